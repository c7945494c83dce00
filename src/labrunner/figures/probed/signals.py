"""Figures of gradients, activations, weights and updates, layer by layer."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from labrunner.records import Run

FIGURES: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {}
