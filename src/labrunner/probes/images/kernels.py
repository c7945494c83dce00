"""The kernels of the first convolution, before training and after it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labrunner.data import Data
from labrunner.learner import Learner
from labrunner.probes import Probe
from labrunner.probes.images.looked_at import short

MOST_KERNELS, MOST_CHANNELS = 64, 3  # that are noted
MOST_VALUES = 20_000  # so that of very large kernels fewer are


class Kernels(Probe):
    """The kernels of the first convolution at the start and at the chosen epoch.

    ``probes/kernels.csv``: ``epoch``, ``step``, ``kernel`` (output channel), ``channel`` (of the input), ``row``,
    ``column`` (0 is the upper left), ``value`` (the weight, without unit). Of the first 64 kernels, of large ones
    fewer, and the first three channels of each. Nothing is noted of a model without a convolution.

    Fact: ``kernels_moved``, the length of what training added to these kernels as a share of their length before.
    """

    HEADER = ("epoch", "step", "kernel", "channel", "row", "column", "value")

    def start(self, learner: Learner, data: Data, step: int) -> None:
        if step == 0 and (kernels := first_kernels(learner)) is not None:
            self.notes.note("kernels", self.HEADER, rows(0, 0, kernels))

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        if (kernels := first_kernels(learner)) is None:
            return
        start = [tuple(row.values()) for row in self.notes.rows("kernels") if row["epoch"] == 0]
        self.notes.table("kernels", self.HEADER, [*start, *rows(epoch, epoch * data.train.batch_count, kernels)])

    def facts(self) -> dict[str, float]:
        noted = self.notes.rows("kernels")
        before = np.array([row["value"] for row in noted if row["epoch"] == 0], dtype=float)
        after = np.array([row["value"] for row in noted if row["epoch"] != 0], dtype=float)
        if not len(before) or len(before) != len(after) or not np.linalg.norm(before) > 0.0:
            return {}
        return {"kernels_moved": float(np.linalg.norm(after - before) / np.linalg.norm(before))}


def first_kernels(learner: Learner) -> np.ndarray | None:
    """The kernels (K, C, H, W) of the first convolution, as many as are noted; None where there is none."""
    first = next((values for values in learner.weights().values() if values.ndim == 4), None)
    if first is None:
        return None
    some = first[:, :MOST_CHANNELS]
    return some[: min(MOST_KERNELS, max(1, MOST_VALUES // max(1, some[0].size)))]


def rows(epoch: int, step: int, kernels: np.ndarray) -> Iterator[tuple[float, ...]]:
    for place, value in zip(np.ndindex(kernels.shape), short(kernels), strict=True):
        yield (epoch, step, *place, value)
