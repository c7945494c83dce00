"""Named numbers of a run, all of them from its files, for checks and for sweeps whose values wait for one.

``facts.json`` holds what the run itself wrote: counts, and what its probes found. The rest is read off its rows:

- a column of ``metrics.csv`` (``val_accuracy``): at the chosen epoch; ``first_…`` and ``last_…``: at the first and at
  the last finished epoch; ``lowest_…``, ``highest_…``: over all of them
- ``train_loss_rises``: epochs whose training loss is above that of the epoch before
- ``accuracy_gap``: training accuracy minus validation accuracy at the chosen epoch
- ``epochs_to_90``: the first epoch whose validation accuracy is at least .90 (any whole per cent); inf if none is
- ``diverged``: 1 if the loss became infinite, else 0
- ``test_accuracy`` and the other numbers of ``test.json``
- ``micro_precision``, ``macro_f1``, ``weighted_recall`` and the like: the `labrunner.averages` of ``confusion.csv``;
  ``classes_without_samples``: those of which the test split has none
- ``apart_from_scikit_learn``: the largest difference of any number of the test split to scikit-learn's, which is
  computed from ``predictions.csv`` when it is asked for
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labrunner import agreement, averages
from labrunner.records import Run
from labrunner.selection import finished

_EPOCHS_TO = re.compile(r"^epochs_to_([1-9][0-9]?)$")


def _average(name: str) -> Callable[[Run], float]:
    return lambda run: math.nan if run.confusion is None else averages.averages(run.confusion.to_numpy())[name]


def _absent(run: Run) -> float:
    return math.nan if run.confusion is None else float(averages.absent(run.confusion.to_numpy()))


DERIVED: dict[str, Callable[[Run], float]] = {  # computed when they are asked for; NaN where they cannot be
    **{name: _average(name) for name in averages.NAMES},
    "classes_without_samples": _absent,
    "apart_from_scikit_learn": agreement.apart_from_scikit_learn,
}


class Facts(Mapping[str, float]):
    """The facts of a recorded run; one that it lacks is a KeyError."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._rows = finished(run.row_list)
        self._known = {name: float(value) for name, value in run.facts.items() if _is_number(value)}
        self._known |= of_rows(self._rows)
        chosen = run.chosen
        if chosen is not None:
            self._known |= of_row(self._rows[chosen.epoch - 1])
        self._known["diverged"] = float(run.status == "diverged")
        for name, value in (run.test or {}).items():
            if _is_number(value):
                self._known[f"test_{name}"] = float(value)

    def __getitem__(self, name: str) -> float:
        percent = _EPOCHS_TO.match(name)
        if percent is not None:
            return epochs_to(self._rows, int(percent[1]) / 100.0)
        if name not in self._known and name in DERIVED:
            value = DERIVED[name](self._run)
            if not math.isnan(value):
                self._known[name] = value
        return self._known[name]

    def __iter__(self) -> Any:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def of_row(row: Mapping[str, Any]) -> dict[str, float]:
    """What the row of the chosen epoch says."""
    found = {name: float(value) for name, value in row.items() if name != "epoch" and _is_number(value)}
    if {"train_accuracy", "val_accuracy"} <= found.keys():
        found["accuracy_gap"] = found["train_accuracy"] - found["val_accuracy"]
    return found


def of_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What all rows together say."""
    found: dict[str, float] = {}
    for name in rows[0] if rows else ():
        values = [float(row[name]) for row in rows if row[name] is not None]
        if name != "epoch" and values:
            found |= {f"first_{name}": values[0], f"last_{name}": values[-1]}
            found |= {f"lowest_{name}": min(values), f"highest_{name}": max(values)}
    losses = [row["train_loss"] for row in rows]
    if losses and None not in losses:
        found["train_loss_rises"] = float(sum(b > a for a, b in itertools.pairwise(losses)))
    return found


def epochs_to(rows: Sequence[Mapping[str, Any]], threshold: float) -> float:
    """The first epoch with so much validation accuracy; inf if no epoch has it."""
    reached = (row["epoch"] for row in rows if row["val_accuracy"] is not None and row["val_accuracy"] >= threshold)
    return float(next(reached, math.inf))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
