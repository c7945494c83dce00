"""Data sets, their splits and batches: from a checked config to what a learner is fed."""

from __future__ import annotations

from typing import Any

from labrunner.data.own import Arrays
from labrunner.data.samples import Description, Samples
from labrunner.data.sets import describe, identity, load
from labrunner.data.splits import Data, Split, in_train, make

__all__ = ["Arrays", "Data", "Description", "Samples", "Split", "describe", "in_train", "load", "make", "samples_of"]


def samples_of(config: dict[str, Any], shared: dict[Any, Any]) -> Samples:
    """The samples of a config's data set, read once for all runs that share the dict `shared`."""
    options = {**config["dataset"], "cache": config.get("cache")}
    key = ("samples", identity(options))
    if key not in shared:
        shared[key] = load(options)
    return shared[key]
