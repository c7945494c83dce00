"""Figures of a sweep and of a comparison, which has the same form: pure functions of its run folders.

They show validation metrics. The test split ranks nothing: its numbers stand in `flips`, as labels, and beside those of
validation where runs differ in what is frozen or in where their weights are from.
"""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from labrunner.figures.comparison.against import metric_against_key
from labrunner.figures.comparison.bars import bars, epochs_to
from labrunner.figures.comparison.grid import flips, heat_map
from labrunner.figures.comparison.images import FIGURES as IMAGES
from labrunner.figures.comparison.linear import FIGURES as LINEAR
from labrunner.figures.comparison.overlaid import validation
from labrunner.figures.comparison.paths import FIGURES as PATHS
from labrunner.figures.comparison.signals import FIGURES as SIGNALS
from labrunner.figures.comparison.steps import FIGURES as STEPS
from labrunner.figures.comparison.transfer import FIGURES as TRANSFER
from labrunner.figures.comparison.twins import FIGURES as TWINS
from labrunner.records import Sweep

COMPARISONS: dict[str, tuple[Callable[[Sweep], Figure | None], bool | Callable[[Sweep], bool]]] = {
    # file name: (function, which returns None where it does not apply; whether, or of which, figures=few draws it)
    "validation": (validation, True),
    "metric_against_key": (metric_against_key, True),
    "bars": (bars, True),
    "heat_map": (heat_map, False),
    "epochs_to": (epochs_to, lambda sweep: sweep.threshold is not None),  # an experiment that asks how fast
    "flips": (flips, False),
    **TRANSFER,
    # of what probes measured
    **STEPS,
    **SIGNALS,
    **PATHS,
    **LINEAR,
    **IMAGES,
    **TWINS,
}
