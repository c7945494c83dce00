"""Figures of a sweep about losses step by step, learning-rate range tests, gradient checks."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from labrunner.records import Sweep

FIGURES: dict[str, tuple[Callable[[Sweep], Figure | None], bool]] = {}
