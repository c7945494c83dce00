"""Figures of a sweep and of a comparison, which has the same form: pure functions of its run folders.

They show validation metrics. The test split ranks nothing: its numbers stand in `flips` alone, as labels.
"""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from labrunner.figures.comparison.against import metric_against_key
from labrunner.figures.comparison.bars import bars, epochs_to
from labrunner.figures.comparison.grid import flips, heat_map
from labrunner.figures.comparison.overlaid import validation
from labrunner.records import Sweep

COMPARISONS: dict[str, tuple[Callable[[Sweep], Figure | None], bool]] = {
    # file name: (function, which returns None where it does not apply; whether figures=few draws it)
    "validation": (validation, True),
    "metric_against_key": (metric_against_key, True),
    "bars": (bars, True),
    "heat_map": (heat_map, False),
    "epochs_to": (epochs_to, False),
    "flips": (flips, False),
}
