"""The samples that a run keeps, put into a folder that was written without training."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from labrunner.results import archive, chosen_samples


def keep_samples(folder: Path, shape: tuple[int, ...] = (1, 8, 8), most: int = 600, white: float | None = 16.0) -> Path:
    """Write samples.npz as `labrunner.results` does: of the predictions of the folder, with inputs drawn at random."""
    with open(folder / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    index, label, predicted = (np.array([int(row[at]) for row in rows]) for at in range(3))
    confidence = np.array([max(map(float, row[3:])) for row in rows])
    at = chosen_samples(label, predicted, confidence, most)
    image = np.random.default_rng(0).integers(0, int(white or 1) + 1, size=(len(at), *shape)).astype(np.uint8)
    arrays = {"index": index[at], "image": image, "label": label[at], "predicted": predicted[at]}
    arrays["confidence"] = confidence[at]
    if white is not None:
        arrays["white"] = np.float64(white)
    (folder / "samples.npz").write_bytes(archive(arrays))
    return folder
