"""Whether a learner's gradients are those of its loss: against finite differences, at the start and at the end."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from labrunner.data import Data
from labrunner.deep.modes import untouched_randomness
from labrunner.learner import Batch, Learner
from labrunner.probes import Probe
from labrunner.seeding import generator
from labrunner.thinning import evenly

SAMPLES = 32  # training samples in the batch, evenly from the first to the last
ENTRIES = 400  # of all parameters together, as many of each,
MOST, LEAST = 40, 1  # but of one parameter no more and no less than this
STEPS = (1e-4, 3e-5)  # of a weight: the second where the first meets a corner, or a bend as sharp as one
FLOOR = 1e-4  # gradients below it count as this large: rounding leaves them no digits to compare
KINK = 1e-6  # more than this lies between estimates of a slope that agree where the loss is smooth
HEADER = ("epoch", "step", "parameter", "entry", "analytic", "numeric", "error", "kink")


class Estimate(NamedTuple):
    """A derivative from values of the function."""

    value: float
    spread: float  # between estimates that agree where the function is smooth


def estimate(loss: Callable[[float], float], here: float, h: float) -> Estimate:
    """dL/dw at 0 from L at ±h and ±h/2, given L(0).

    Parameters
    ----------
    loss : L as a function of how far the weight is moved
    here : L(0)
    h : the larger of the two steps

    Notes
    -----
    Central differences of both steps, extrapolated to a step of zero (Richardson 1911); their error falls with h^4. At
    a kink the extrapolated slopes of both sides differ. A kink at h/3 hides there, and shows between the two central
    differences.
    """
    up, down, near_up, near_down = (loss(step) for step in (h, -h, h / 2.0, -h / 2.0))
    # C(h) = (L(h) - L(-h)) / 2h = L' + h^2 L'''/6 + …
    wide, narrow = (up - down) / (2.0 * h), (near_up - near_down) / h
    # F(h) = (L(h) - L(0)) / h = L' + h L''/2 + …, so that 2 F(h/2) - F(h) has no term in h
    right = 4.0 * (near_up - here) / h - (up - here) / h
    left = 4.0 * (here - near_down) / h - (here - down) / h
    return Estimate((4.0 * narrow - wide) / 3.0, max(abs(right - left), abs(wide - narrow)))


def slope(loss: Callable[[float], float], here: float) -> tuple[float, bool]:
    """The derivative at 0, and whether there is a kink so near that it is none."""
    kink = False
    for h in STEPS:
        found = estimate(loss, here, h)
        kink = found.spread > KINK * max(1.0, abs(found.value), abs(here))  # False where it is no number
        if not kink:
            break
    return found.value, kink


def relative_error(one: float, other: float, floor: float = FLOOR) -> float:
    """|a - b| / max(|a|, |b|, floor)."""
    return abs(one - other) / max(abs(one), abs(other), floor)


class GradientCheck(Probe):
    """``probes/gradient_check.csv``: the gradient of the training loss by some entries of each parameter.

    Measured on up to 32 training samples, never augmented, before the first batch and with the weights of the chosen
    epoch; columns ``epoch``, ``step``, ``parameter``, ``entry`` (position in the flattened parameter, drawn from the
    run's seed), ``analytic`` (the learner's own), ``numeric`` (finite differences of its loss), ``error``
    (|analytic - numeric| over the larger of both, or over 1e-4 where both are smaller), ``kink`` (1 where the loss has
    a corner within the step, as ReLU makes them: no derivative can be compared there, and ``error`` is blank).

    The loss is that of a training batch: dropout leaves out the same units each time, since it depends on the batch's
    step alone; batch norm takes the batch's own moments; label smoothing counts; penalties do not, which no learner's
    gradients hold. It needs ``precision=float64``.

    Facts: ``gradient_error``, the largest error; ``gradient_kinks``, how many entries were left out.
    """

    def start(self, learner: Learner, data: Data, step: int) -> None:
        if step == 0:
            self.notes.note("gradient_check", HEADER, self._measured(learner, data, 0, 0))

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        rows = [[row[name] for name in HEADER] for row in self.notes.rows("gradient_check") if row["epoch"] == 0]
        rows += self._measured(learner, data, epoch, epoch * data.train.batch_count)
        self.notes.table("gradient_check", HEADER, rows)

    def facts(self) -> dict[str, float]:
        rows = self.notes.rows("gradient_check")
        errors = [row["error"] for row in rows if row["error"] is not None]
        return {
            **({"gradient_error": float(max(errors))} if errors else {}),
            **({"gradient_kinks": float(sum(row["kink"] for row in rows))} if rows else {}),
        }

    def _measured(self, learner: Learner, data: Data, epoch: int, step: int) -> list[list[Any]]:
        """The rows of one moment; the learner is afterwards what it was."""
        batch = data.train.at(evenly(len(data.train), SAMPLES))
        state = learner.state()
        try:
            with untouched_randomness():
                return [[epoch, step, *row] for row in compared(learner, batch, state, int(self.config.get("seed", 0)))]
        finally:
            learner.load(state)


def compared(learner: Learner, batch: Batch, state: Mapping[str, np.ndarray], seed: int) -> list[list[Any]]:
    """parameter, entry, analytic, numeric, error, kink of the chosen entries; leaves the learner moved."""
    gradients = learner.gradients(batch)
    each = min(MOST, max(LEAST, ENTRIES // max(1, len(gradients))))

    def loss(name: str, entry: int, by: float) -> float:
        """Of the batch in training mode, with one entry of one parameter moved."""
        moved = state[name].copy()
        moved.reshape(-1)[entry] += by
        learner.load({**state, name: moved})
        return float(learner.train_batch(batch, 0.0).loss)  # a step of no length; the next load takes back its traces

    here = float(learner.train_batch(batch, 0.0).loss)
    rows: list[list[Any]] = []
    for name, gradient in gradients.items():
        analytic, place = gradient.reshape(-1), f"weights/{name}"
        chosen = generator(seed, "gradient_check", name).permutation(analytic.size)[:each]
        for entry in np.sort(chosen).tolist():
            numeric, kink = slope(functools.partial(loss, place, entry), here)
            exact = float(analytic[entry])
            known = math.isfinite(exact) and math.isfinite(numeric)
            error = relative_error(exact, numeric) if known and not kink else None
            rows.append([name, entry, _cell(exact), _cell(numeric), error, int(kink)])
    return rows


def _cell(value: float) -> float | None:
    return value if math.isfinite(value) else None
