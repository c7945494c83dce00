"""The .npz files of a run folder, for tests of what reads them, written without training anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labrunner.records import load_run


def write_samples(folder: Path, shape: tuple[int, ...] = (1, 8, 8), white: float = 16.0) -> dict[str, np.ndarray]:
    """samples.npz of a run folder whose predictions.csv is there: every test sample, its image drawn at random."""
    table = load_run(folder).predictions
    assert table is not None
    probabilities = table.filter(regex="^p_").to_numpy()
    pixels = np.random.default_rng(0).integers(0, int(white) + 1, size=(len(table), *shape))
    arrays: dict[str, np.ndarray] = {
        "index": table["index"].to_numpy(),
        "image": pixels.astype(np.uint8 if len(shape) == 3 else np.float32),
        "label": table["label"].to_numpy(),
        "predicted": table["predicted"].to_numpy(),
        "confidence": probabilities.max(axis=1),
    }
    if len(shape) == 3:
        arrays["white"] = np.float64(white)
    np.savez_compressed(folder / "samples.npz", **arrays)  # type: ignore[arg-type]
    return arrays


def write_boundary(
    folder: Path,
    classes: Sequence[str],
    features: Sequence[str] = ("x1", "x2"),
    splits: Sequence[str] = ("train", "val", "test"),
    points: int = 60,
    **changes: Any,
) -> dict[str, np.ndarray]:
    """boundary.npz with classes in sectors around the origin, the nearest of whose middles is the likeliest."""
    rng = np.random.default_rng(0)
    x, y = np.linspace(-2, 3, 40, dtype=np.float32), np.linspace(-1, 2, 30, dtype=np.float32)
    angles = 2 * np.pi * np.arange(len(classes)) / len(classes)
    middles = np.stack([np.cos(angles), np.sin(angles)])
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    scores = np.exp(2 * grid @ middles)
    point = rng.uniform((-2, -1), (3, 2), size=(points * len(splits), 2)).astype(np.float32)
    arrays: dict[str, Any] = {
        "epoch": np.int64(7),
        "x": x,
        "y": y,
        "probabilities": (scores / scores.sum(axis=-1, keepdims=True)).astype(np.float32),
        "point": point,
        "label": rng.integers(0, len(classes), size=len(point)),
        "index": np.arange(len(point)),
        "split": np.repeat(splits, points),
        "class_names": np.array(classes),
        "feature_names": np.array(features),
    } | changes
    np.savez_compressed(folder / "boundary.npz", **arrays)
    return arrays
