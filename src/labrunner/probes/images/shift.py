"""Accuracy when images are shifted by a few pixels: convolutions move with them, the network as a whole does not."""

from __future__ import annotations

import itertools
import math

import numpy as np

from labrunner.data import Data
from labrunner.learner import Learner
from labrunner.probes import Probe
from labrunner.probes.images.looked_at import watched
from labrunner.thinning import evenly

SAMPLES = 500  # that are shifted
FURTHEST = 3  # pixels


class Shift(Probe):
    """Accuracy at the chosen epoch on images shifted by up to three pixels each way, with black coming in.

    Of up to 500 images, evenly from the validation split (from training where there is none), as `augment.shift` moves
    them: raw pixels, before they are normalized. ``probes/shift.csv``: ``epoch``, ``step``, ``down``, ``right``
    (pixels, negative up and left), ``samples``, ``accuracy``.

    Facts: ``accuracy_unshifted``; ``accuracy_shifted_1``, ``…_2``, ``…_3``: the mean over the four shifts straight up,
    down, left and right by so many pixels; ``shift_cost``: what one pixel takes away, the first minus the second.
    """

    HEADER = ("epoch", "step", "down", "right", "samples", "accuracy")

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        shape = data.description.shape
        if len(shape) != 3 or data.description.soft:
            return
        split = watched(data)
        positions = evenly(len(split), SAMPLES)
        pixels, labels = split.pixels(positions), split.labels[positions]
        furthest = min(FURTHEST, min(shape[1:]) - 1)
        rows = []
        for down, right in itertools.product(range(-furthest, furthest + 1), repeat=2):
            inputs = split.prepared(shifted(pixels, down, right))
            predicted = learner.probabilities([learner.scores(batch) for batch in inputs]).argmax(axis=1)
            accuracy = float((predicted == labels).mean())
            rows.append((epoch, epoch * data.train.batch_count, down, right, len(labels), accuracy))
        self.notes.table("shift", self.HEADER, rows)

    def facts(self) -> dict[str, float]:
        accuracy = {(row["down"], row["right"]): row["accuracy"] for row in self.notes.rows("shift")}
        if not accuracy:
            return {}
        found = {"accuracy_unshifted": accuracy[0, 0]}
        for far in range(1, max(down for down, _ in accuracy) + 1):
            straight = [accuracy[place] for place in ((far, 0), (-far, 0), (0, far), (0, -far))]
            found[f"accuracy_shifted_{far}"] = math.fsum(straight) / 4
        if "accuracy_shifted_1" in found:
            found["shift_cost"] = found["accuracy_unshifted"] - found["accuracy_shifted_1"]
        return found


def shifted(pixels: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images (N, C, H, W) moved by so many pixels, negative up and left; what comes in is black (0)."""
    height, width = pixels.shape[2:]
    moved = np.zeros_like(pixels)
    moved[:, :, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = pixels[
        :, :, max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
    ]
    return moved
