"""What a run on a table knows of its samples: the features of those that ``samples.npz`` keeps, under their names."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from labrunner.files import read_json
from labrunner.records import Run
from labrunner.records.names import PREPROCESSING
from labrunner.report.origin import Shown, measured

MOST_FEATURES = 40  # whoever has more will not compare them by eye


class Features(NamedTuple):
    """The features that are shown: the first `MOST_FEATURES`."""

    names: list[Shown]
    offsets: dict[int, tuple[float, str]]  # feature -> what was taken from it before it was kept, and its key
    values: np.ndarray  # (kept samples, features)
    are_all: bool

    def of(self, at: int) -> list[Shown]:
        """Those of a sample, as they stand in the table that it is from; counting starts at 0."""
        shown = []
        for feature in range(len(self.names)):
            source = f"samples.npz#{at + 1}/image/{feature + 1}"
            value = float(self.values[at, feature])
            if feature in self.offsets:
                offset, key = self.offsets[feature]
                shown.append(measured(value + offset, f"{source} plus {PREPROCESSING}#offsets/{key}", 12))
            else:
                shown.append(measured(value, source))
        return shown


def features(run: Run, kept: dict[str, np.ndarray]) -> Features | None:
    """None of images, and of a folder in which the names of its features are not those of its samples."""
    values, said = kept.get("image"), read_json(run.path / PREPROCESSING)
    if values is None or values.ndim != 2 or values.dtype.kind not in "iufb" or not isinstance(said, dict):
        return None
    names, offsets = said.get("feature_names"), said.get("offsets")
    if not isinstance(names, list) or len(names) != values.shape[1] or said.get("white") is not None:
        return None
    known = offsets if isinstance(offsets, dict) else {}
    places = range(min(len(names), MOST_FEATURES))
    return Features(
        [Shown(str(names[place]), f"{PREPROCESSING}#feature_names/{place + 1}") for place in places],
        {
            place: (float(known[names[place]]), names[place])
            for place in places
            if isinstance(names[place], str) and isinstance(known.get(names[place]), int | float)
        },
        values,
        len(names) <= MOST_FEATURES,
    )
