"""Measurements beside training. A probe looks at four places and changes nothing of what the run computes."""

from __future__ import annotations

from typing import Any

from labrunner.data import Data
from labrunner.learner import Batch, BatchOut, Learner


class Probe:
    """Base of all probes: override the places that are of interest. Probes are called in the order they are listed."""

    def start(self, learner: Learner, data: Data) -> None:
        """Before the first batch of this process, be it of a new or of a resumed run."""

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        """After each training batch."""

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        """After an epoch's row is complete and before it is written."""

    def end(self, learner: Learner, data: Data) -> None:
        """After the last epoch; the learner still holds its last state."""
