"""Figures of what probes measured, one file a family; each is left out where its probe was not asked for."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from labrunner.figures.probed.checks import FIGURES as CHECKS
from labrunner.figures.probed.gradcam import FIGURES as GRADCAM
from labrunner.figures.probed.images import FIGURES as IMAGES
from labrunner.figures.probed.linear import FIGURES as LINEAR
from labrunner.figures.probed.paths import FIGURES as PATHS
from labrunner.figures.probed.signals import FIGURES as SIGNALS
from labrunner.figures.probed.steps import FIGURES as STEPS
from labrunner.records import Run

PROBED: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {
    # file name: (function, which returns None where the run has no data for it; whether figures=few draws it)
    **STEPS,
    **SIGNALS,
    **PATHS,
    **LINEAR,
    **IMAGES,
    **GRADCAM,
    **CHECKS,
}
