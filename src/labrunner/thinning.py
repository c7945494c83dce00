"""Which few stand for many."""

from __future__ import annotations

import numpy as np


def evenly(count: int, most: int) -> np.ndarray:
    """At most `most` positions among `count`, evenly from the first to the last: what is listed may be sorted."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
