"""Figures of a sweep about kernels, feature maps, pooling, embeddings, shifts."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from labrunner.records import Sweep

FIGURES: dict[str, tuple[Callable[[Sweep], Figure | None], bool]] = {}
