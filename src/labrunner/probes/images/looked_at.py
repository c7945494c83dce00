"""What the probes of images share: which samples are looked at, and how their numbers are noted."""

from __future__ import annotations

from typing import Any

import numpy as np

from labrunner.data import Data, Split


def watched(data: Data) -> Split:
    """The split that is looked at: validation, or training where there is none."""
    return data.train if data.val is None else data.val


def short(values: np.ndarray) -> list[float]:
    """The values in C order as the floats that are shortest to write and name the same number of the array's type."""
    return [float(str(value)) for value in values.ravel()]


def to_numpy(values: Any) -> np.ndarray:
    """A learner's array, wherever it lies."""
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)
