"""Figures of kernels, feature maps, pooling, embeddings, shifts."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from labrunner.records import Run

FIGURES: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {}
