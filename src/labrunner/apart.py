"""How far recorded runs lie apart: facts about pairs of runs, from their files. 0 is equal to the bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from labrunner import checkpoint
from labrunner.records import Run
from labrunner.records.reading import read_notes

SMALLEST_GRADIENT = 1e-4  # one below it counts as this large: rounding leaves it no digits to compare


def weights_apart(one: Run, other: Run) -> float:
    """Largest difference of any weight after the last epoch."""
    return largest(last_weights(one), last_weights(other))


def metrics_apart(one: Run, other: Run) -> float:
    """Largest difference in any column of any row of ``metrics.csv``; inf where one has rows or cells more."""
    rows = one.row_list, other.row_list
    if len(rows[0]) != len(rows[1]):
        return math.inf
    found = 0.0
    for a, b in zip(*rows, strict=True):
        for name in a:
            if (a[name] is None) != (b[name] is None):
                return math.inf
            if a[name] is not None:
                found = max(found, abs(a[name] - b[name]))
    return found


def gradients_apart(one: Run, other: Run) -> float:
    """Largest difference of any gradient that both have in ``probes/gradient_check.csv``, over the larger of the two.

    inf where one has other entries, NaN where there are none to compare.
    """
    found = [
        {(row["epoch"], row["parameter"], row["entry"]): row["analytic"] for row in rows}
        for rows in (read_notes(run.path / "probes" / "gradient_check.csv") for run in (one, other))
    ]
    if not found[0] or not found[1] or None in (*found[0].values(), *found[1].values()):
        return math.nan
    if found[0].keys() != found[1].keys():
        return math.inf
    pairs = ((a, found[1][entry]) for entry, a in found[0].items())
    return float(max(abs(a - b) / max(abs(a), abs(b), SMALLEST_GRADIENT) for a, b in pairs))


def last_weights(run: Run) -> dict[str, np.ndarray]:
    """Weights and buffers after the last finished epoch, by name, from the checkpoint."""
    path = run.path / "checkpoints" / checkpoint.Position(run.epochs).file_name
    state, _ = checkpoint.read(path, None)
    return {name: values for name, values in state.items() if name.startswith("weights/")}


def largest(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """Largest difference of any value; inf where names or shapes differ."""
    if one.keys() != other.keys() or any(one[name].shape != other[name].shape for name in one):
        return math.inf
    # in float64: buffers may be flags, or whole numbers without a sign
    values = {name: (one[name].astype(np.float64), other[name].astype(np.float64)) for name in one}
    return max((float(np.abs(a - b).max()) for a, b in values.values() if a.size), default=0.0)


PAIRS: dict[str, Callable[[Run, Run], float]] = {
    "weights_apart": weights_apart,
    "metrics_apart": metrics_apart,
    "gradients_apart": gradients_apart,
}


def of_runs(fact: str, runs: Sequence[Run]) -> float | None:
    """The largest of a fact of `PAIRS` between the first run and each other; None for less than two runs."""
    if fact not in PAIRS or len(runs) < 2:
        return None
    found = [PAIRS[fact](runs[0], run) for run in runs[1:]]
    return math.nan if any(map(math.isnan, found)) else max(found)
