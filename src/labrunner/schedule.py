"""Learning-rate schedules as pure functions of (step, total steps, rows so far).

A schedule has no state, so a resumed run has nothing to restore: step 500 of 1000 has its learning rate whoever asks.
Steps count training batches from 0; `rows` are the finished epochs, which some schedules count and some look at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labrunner.selection import monitored

Rows = Sequence[Mapping[str, Any]]
Schedule = Callable[[int, int, Rows], float]

PLATEAU_GAIN = 1e-4  # what counts as better, relative to the best so far; torch's default
PLATEAU_STEP = 1e-8  # a smaller change of the learning rate is not worth making; torch's default


def constant(lr: float) -> Schedule:
    """The same learning rate in each step."""
    return lambda step, total, rows: lr


def stepwise(lr: float, step_size: int, gamma: float) -> Schedule:
    """`lr`, multiplied by `gamma` after each `step_size` epochs."""
    return lambda step, total, rows: lr * gamma ** (len(rows) // step_size)


def multistep(lr: float, milestones: Sequence[int], gamma: float) -> Schedule:
    """`lr`, multiplied by `gamma` once so many epochs as a milestone says are finished; in any order."""
    return lambda step, total, rows: lr * gamma ** sum(milestone <= len(rows) for milestone in milestones)


def exponential(lr: float, gamma: float) -> Schedule:
    """`lr`, multiplied by `gamma` after each epoch."""
    return lambda step, total, rows: lr * gamma ** len(rows)


def cosine(lr: float, min_lr: float) -> Schedule:
    """From `lr` at the first step along half a cosine to `min_lr` at the end (Loshchilov & Hutter 2017, eq. 5)."""
    return lambda step, total, rows: _along_cosine(lr, min_lr, step / total)


def onecycle(lr: float, pct_start: float, div_factor: float, final_div_factor: float) -> Schedule:
    """Up to `lr` and down again, each along half a cosine (Smith & Topin 2018, in the form of torch's OneCycleLR).

    Parameters
    ----------
    lr : the peak
    pct_start : share of the steps until the peak, in (0, 1)
    div_factor : the first learning rate is lr / div_factor
    final_div_factor : the last one is the first / final_div_factor
    """
    first = lr / div_factor
    last = first / final_div_factor

    def at(step: int, total: int, rows: Rows) -> float:
        peak = pct_start * total - 1.0  # the step of the peak; need not be whole
        if step < peak:
            return _along_cosine(first, lr, step / peak)
        return _along_cosine(lr, last, (step - peak) / (total - 1.0 - peak))

    return at


def plateau(lr: float, factor: float, patience: int, min_lr: float, monitor: str) -> Schedule:
    """`lr`, multiplied by `factor` when the monitor has not improved in more than `patience` epochs, down to `min_lr`.

    Better is better than the best so far by `PLATEAU_GAIN` of it; the count begins anew after each fall. Rows whose
    monitor is blank count for nothing. It is torch's ReduceLROnPlateau, gone through from the first row.
    """
    gain = 1.0 - PLATEAU_GAIN if monitor.endswith("_loss") else 1.0 + PLATEAU_GAIN  # monitored() is minimized

    def after(rows: Rows) -> float:
        rate, best, waited = lr, math.inf, 0
        for row in rows:
            value = monitored(row, monitor)
            if value is None:
                continue
            if value < best * gain:
                best, waited = value, 0
            else:
                waited += 1
            if waited > patience:
                waited, lower = 0, max(rate * factor, min_lr)
                rate = lower if rate - lower > PLATEAU_STEP else rate
        return rate

    # the same rows are asked for at each batch of an epoch: the last answer is kept beside its question
    asked: list[Mapping[str, Any]] = []
    answer = lr

    def at(step: int, total: int, rows: Rows) -> float:
        nonlocal asked, answer
        if asked != rows:
            asked, answer = list(rows), after(rows)
        return answer

    return at


def warmed_up(schedule: Schedule, lr: float, epochs: int, steps_per_epoch: int) -> Schedule:
    """Linearly up to `lr` in the first epochs, then `schedule` as if it began there (Goyal et al. 2017)."""
    steps = epochs * steps_per_epoch

    def at(step: int, total: int, rows: Rows) -> float:
        if step < steps:
            return lr * (step + 1) / steps
        return schedule(step - steps, total - steps, rows[epochs:])

    return at


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "step": stepwise,
    "multistep": multistep,
    "exponential": exponential,
    "cosine": cosine,
    "onecycle": onecycle,
    "plateau": plateau,
}


def make(options: Mapping[str, Any], lr: float, monitor: str = "val_loss", steps_per_epoch: int = 1) -> Schedule:
    """The schedule of a composed `schedule` group.

    Parameters
    ----------
    options : name, warmup and the keys of that schedule
    lr : the optimizer's learning rate, the highest of every schedule
    monitor : the column of the rows that a plateau looks at; *_loss is minimized, others are maximized
    steps_per_epoch : training batches in an epoch, for the warm-up
    """
    settings = {key: value for key, value in options.items() if key not in ("name", "warmup")}
    if options["name"] == "plateau":
        settings["monitor"] = monitor
    schedule = SCHEDULES[options["name"]](lr, **settings)
    warmup = options.get("warmup", 0)
    return warmed_up(schedule, lr, warmup, steps_per_epoch) if warmup > 0 else schedule


def _along_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0
