"""Measurements beside training. A probe looks at four places and changes nothing of what the run computes.

What it finds goes into ``probes/`` of the run folder, and facts are computed from there: whether a run went through in
one piece or was resumed, they are the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from labrunner.data import Data
from labrunner.deep.modes import untouched_randomness
from labrunner.learner import Batch, BatchOut, Learner


class Notes(Protocol):
    """Where probes write, the probes/ of a run folder; `labrunner.records.RunFolder` is one."""

    def note(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Rows that ``probes/<name>.csv`` grows by, at the end of the epoch; a resume cuts them.

        `header` is the same each time and begins with ``epoch``, ``step``: a row's epoch (0 is the start) and the
        training batches before it.
        """

    def table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """All rows of ``probes/<name>.csv``, which is written whole; for what is measured at the end."""

    def keep(self, name: str, epoch: int, values: np.ndarray) -> None:
        """An array of an epoch as ``probes/<name>_<epoch>.npy``, at the end of the epoch; a resume removes it."""

    def rows(self, name: str) -> list[dict[str, Any]]:
        """What ``probes/<name>.csv`` holds, what is pending included: numbers, text, None where blank."""

    def kept(self, name: str) -> dict[int, np.ndarray]:
        """The arrays that were kept, by epoch."""


class Probe:
    """Base of all probes: override the places that are of interest. Probes are called in the order they are listed.

    Parameters
    ----------
    notes : where it writes
    config : the run's, as plain dicts

    Attributes
    ----------
    each_step : whether it is to be called after each step, for which the loop waits for the device at each of them
    """

    each_step = True

    def __init__(self, notes: Notes, config: Mapping[str, Any]) -> None:
        self.notes, self.config = notes, config

    def start(self, learner: Learner, data: Data, step: int) -> None:
        """Before the first batch of this process, after `step` training batches: 0 unless the run is resumed.

        What is measured of the start is noted at step 0 alone: a resumed run has it already.
        """

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        """After each training batch, the `batch.step`-th from 0."""

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        """After an epoch's row is complete and before it is written."""

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        """After training, of the chosen epoch, whose weights the learner holds."""

    def facts(self) -> dict[str, float]:
        """Named numbers for checks, read from the notes alone; what could not be measured is left out."""
        return {}


PROBES = {  # name -> where its class is; importing them all would take its time
    "steps": "steps:Steps",
    "outputs": "steps:Outputs",
    "gradients": "signals:Gradients",
    "activations": "signals:Activations",
    "weights": "signals:Weights",
    "updates": "signals:Updates",
    "trajectory": "paths:Trajectory",
    "loss_surface": "paths:LossSurface",
    "boundaries": "linear:Boundaries",
    "separation": "linear:Separation",
    "least_squares": "linear:LeastSquares",
    "gradient_check": "gradient_check:GradientCheck",
    "kernels": "images:Kernels",
    "feature_maps": "images:FeatureMaps",
    "embedding": "images:Embedding",
    "shift": "images:Shift",
    "gradcam": "images:GradCam",
    "lr_range": "lr_range:LrRange",
}


class Together(Probe):
    """Several probes in their order, after each of which torch's generators go on as if it had not looked.

    A learner draws nothing while it is looked at, but a network of the user's may.
    """

    def __init__(self, probes: Sequence[Probe]) -> None:
        self.probes = probes
        self.each_step = any(probe.each_step for probe in probes)

    def start(self, learner: Learner, data: Data, step: int) -> None:
        with untouched_randomness():
            for probe in self.probes:
                probe.start(learner, data, step)

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        with untouched_randomness():
            for probe in self.probes:
                probe.after_step(learner, batch, out)

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        with untouched_randomness():
            for probe in self.probes:
                probe.end_epoch(learner, data, row)

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        with untouched_randomness():
            for probe in self.probes:
                probe.end(learner, data, epoch)

    def facts(self) -> dict[str, float]:
        return {name: value for probe in self.probes for name, value in probe.facts().items()}


def make(names: Iterable[str], notes: Notes, config: Mapping[str, Any]) -> list[Probe]:
    """The probes of a checked config, in the order they are listed, behind one that takes care of them; or none."""
    made = []
    for name in dict.fromkeys(names):
        module, _, kind = PROBES[name].partition(":")
        made.append(getattr(importlib.import_module(f"labrunner.probes.{module}"), kind)(notes, config))
    return [Together(made)] if made else []
