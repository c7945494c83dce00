"""Learning-rate schedules as pure functions of (step, total steps, rows so far).

A schedule has no state, so a resumed run has nothing to restore: step 500 of 1000 has its learning rate whoever asks.
Steps count training batches from 0; `rows` are the finished epochs, for schedules that look at a metric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Schedule = Callable[[int, int, Sequence[Mapping[str, Any]]], float]


def constant(lr: float) -> Schedule:
    """The same learning rate in each step."""
    return lambda step, total, rows: lr


def cosine(lr: float, min_lr: float) -> Schedule:
    """From `lr` at the first step along half a cosine to `min_lr` at the end (Loshchilov & Hutter 2017, eq. 5)."""

    def at(step: int, total: int, rows: Sequence[Mapping[str, Any]]) -> float:
        return min_lr + (lr - min_lr) * (1.0 + math.cos(math.pi * step / total)) / 2.0

    return at


def make(options: Mapping[str, Any], lr: float) -> Schedule:
    """The schedule of a composed `schedule` group for the optimizer's learning rate."""
    if options["name"] == "cosine":
        return cosine(lr, options["min_lr"])
    return constant(lr)
