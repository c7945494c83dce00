"""The learning-rate range test: what the loss does while the learning rate grows from step to step (after Smith 2015).

Smith lets the rate grow linearly and reads the accuracy. That it grows by a factor, so that all orders of magnitude
are seen, and that the steepest fall of the smoothed loss is suggested, has become common practice since.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from labrunner.data import Data, Split
from labrunner.learner import Learner
from labrunner.probes import Probe

LOWEST, HIGHEST = 1e-7, 10.0  # learning rates of the first and of the last step
STEPS = 240  # 30 a decade
KEPT = 0.9  # of the running mean of the loss, from step to step
EXPLODED = 4.0  # the test ends where the smoothed loss is so many times its least
SETTLING = 10  # steps until the smoothed loss is a mean of several
LEAST_FALL = 0.01  # of the smoothed loss, to its minimum; less is rounding, or noise
WINDOW = 7  # steps to either side over which its slope is taken: a quarter of a decade


class Tried(NamedTuple):
    """One step of the test."""

    lr: float
    loss: float  # of the batch, before the step
    smoothed: float


def range_test(learner: Learner, train: Split) -> list[Tried]:
    """Train with a learning rate that grows exponentially, and put everything back as it was.

    The test ends at the highest rate, or where the smoothed loss explodes or is not finite; what is not finite is no
    part of what is returned. Batches go through the epochs of training, augmentation and dropout included.
    """
    before = learner.state()
    learner.start_epoch(1)  # what is frozen then is frozen here
    tried: list[Tried] = []
    mean, least = 0.0, math.inf
    try:
        for number, (lr, batch) in enumerate(zip(rates(), _batches(train), strict=False), start=1):
            loss = float(learner.train_batch(batch, lr).loss)
            if not math.isfinite(loss):
                break
            # m = b m + (1 - b) loss, over 1 - b^t since m began at 0 (the correction of Kingma & Ba 2015)
            mean = KEPT * mean + (1.0 - KEPT) * loss
            smoothed = mean / (1.0 - KEPT**number)
            tried.append(Tried(lr, loss, smoothed))
            least = min(least, smoothed)
            if number > SETTLING and smoothed > EXPLODED * least > 0.0:
                break
    finally:
        learner.load(before)
    return tried


def rates() -> Iterator[float]:
    """`STEPS` learning rates from `LOWEST` to `HIGHEST`, each the same multiple of the one before."""
    return iter(np.geomspace(LOWEST, HIGHEST, STEPS).tolist())


def _batches(train: Split) -> Iterator:
    return itertools.chain.from_iterable(train.batches(epoch) for epoch in itertools.count(1))


def suggestion(tried: Sequence[Tried]) -> int | None:
    """Which step's learning rate to take: where the smoothed loss falls steepest by log lr, before its minimum.

    The slope is that of a line through the steps around. The first steps, whose mean is one of few, are left out, and
    the minimum counts as the end however noisy the loss is behind it. None where the loss never falls by a per cent.
    """
    smoothed = np.array([each.smoothed for each in tried])
    if len(smoothed) <= SETTLING + 2:
        return None
    end = SETTLING + int(smoothed[SETTLING:].argmin())
    if smoothed[end] > (1.0 - LEAST_FALL) * smoothed[SETTLING : end + 1].max():
        return None
    logs = np.log10([each.lr for each in tried])
    slopes = {}
    for at in range(SETTLING, end + 1):
        around = slice(max(SETTLING, at - WINDOW), min(end, at + WINDOW) + 1)
        if around.stop - around.start > WINDOW:  # a line through fewer is noise
            slopes[at] = float(np.polyfit(logs[around], smoothed[around], 1)[0])
    steepest = min(slopes, key=slopes.__getitem__, default=None)
    return steepest if steepest is not None and slopes[steepest] < 0.0 else None


def rounded(lr: float) -> float:
    """Two digits: a suggestion knows no more."""
    return float(f"{lr:.2g}")


def table(tried: Sequence[Tried]) -> Iterator[tuple[float, float, float, int]]:
    """Rows of `COLUMNS`; ``suggested`` is 1 in the row whose learning rate is suggested, else 0."""
    chosen = suggestion(tried)
    return ((*each, int(number == chosen)) for number, each in enumerate(tried))


COLUMNS = ("lr", "loss", "smoothed", "suggested")


class LrRange(Probe):
    """The learning-rate range test before the first step of a run, on a copy of its state.

    ``probes/lr_range.csv``: ``epoch`` and ``step`` (both 0), ``number`` (the test's own step, from 1), ``lr``, ``loss``
    (of the batch), ``smoothed`` (its running mean, corrected for having begun at 0), ``suggested`` (1 where this is the
    learning rate that is suggested, else 0).

    Facts: ``suggested_lr``, that learning rate in two digits.
    """

    HEADER = ("epoch", "step", "number", *COLUMNS)

    def start(self, learner: Learner, data: Data, step: int) -> None:
        if step == 0:
            rows = enumerate(table(range_test(learner, data.train)), start=1)
            self.notes.note("lr_range", self.HEADER, [(0, 0, number, *row) for number, row in rows])

    def facts(self) -> dict[str, float]:
        chosen = [row["lr"] for row in self.notes.rows("lr_range") if row["suggested"] == 1]
        return {"suggested_lr": rounded(chosen[0])} if chosen else {}
