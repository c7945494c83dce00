"""Runs that are cut short in a test: copies of their folder as a crash would leave it, and signals at a batch."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from labrunner.records import RunFolder

WRITES = {"_append_rows": "row", "_save": "checkpoint"}


def copies_at_each_write(
    monkeypatch: pytest.MonkeyPatch, writes: dict[str, str] = WRITES
) -> dict[tuple[str, str], Path]:
    """Copy the run folder whenever a row, or a checkpoint after it, is on disk: what a crash there would leave."""
    copies: dict[tuple[str, str], Path] = {}

    def copying(method: Callable[..., None], what: str) -> Callable[..., None]:
        def wrapper(self: RunFolder, *arguments: object) -> None:
            method(self, *arguments)
            rows = (self.path / "metrics.csv").read_text().count("\n") - 1
            copy = self.path.with_name(f"{self.path.name}_{rows}_{what}")
            if copy.exists():
                return
            shutil.copytree(self.path, copy)
            copies[str(rows), what] = copy

        return wrapper

    for name, what in writes.items():
        monkeypatch.setattr(RunFolder, name, copying(getattr(RunFolder, name), what))
    return copies


def interrupt_at(
    monkeypatch: pytest.MonkeyPatch, learner: type, name: str, number: int, signum: int = signal.SIGTERM
) -> None:
    """Have a signal ask to stop in a learner's `number`-th call, from 0, of a method such as train_batch."""
    method, seen = getattr(learner, name), 0

    def interrupted(self: object, *arguments: object) -> object:
        nonlocal seen
        if seen == number:
            signal.raise_signal(signum)
        seen += 1
        return method(self, *arguments)

    monkeypatch.setattr(learner, name, interrupted)
