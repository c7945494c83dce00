"""One run of many: what has to be done for it, and how it ended. A failure here is an outcome and no exception."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labrunner import own, signals
from labrunner.errors import Interrupted, LabrunnerError, RequestError
from labrunner.files import WriteError, read_json, to_yaml
from labrunner.records import Run, RunFolder
from labrunner.resuming import resume
from labrunner.running import Result, Shared, config_hash, failed, run


@dataclass(frozen=True)
class Task:
    """A run that is to be made, or gone on with where its folder holds a part of it. Plain values only: it is sent to
    other processes."""

    number: int
    config: dict[str, Any]  # composed and checked
    folder: Path
    overrides: list[str]
    choices: dict[str, str]
    command: str  # that makes this run alone


@dataclass(frozen=True)
class Outcome:
    """How a task ended."""

    number: int
    status: str  # done, diverged or failed
    error: str | None
    seconds: float
    epoch: int | None = None  # the chosen one
    epochs: int = 0  # finished ones
    val: Mapping[str, Any] | None = None  # the row of the chosen epoch


def carry_out(task: Task, shared: Shared) -> Outcome:
    """Make the run of a task, or go on with it.

    Raises
    ------
    Interrupted
        when a signal asked to stop; the run can be resumed. Nothing else is raised: what goes wrong is the outcome.
    """
    mark_begun(task.folder)
    try:
        with signals.undone(task.folder.rmdir):
            return _outcome(task, shared)
    except Interrupted:
        with suppress(OSError):  # of a run that was only being set up nothing is left
            task.folder.rmdir()
        raise


def _outcome(task: Task, shared: Shared) -> Outcome:
    begin = time.perf_counter()
    try:
        result = _made(task, shared)
    except (Exception, SystemExit) as error:
        signals.raised().heed()  # an import that was interrupted may end as another error
        known = isinstance(error, LabrunnerError)
        message = str(error) if known else own.failure(error)
        keep_failure(task, error, message)
        return Outcome(task.number, "failed", message, time.perf_counter() - begin)
    return Outcome(
        task.number,
        result.status,
        result.error,
        time.perf_counter() - begin,
        result.epoch,
        result.epochs,
        result.val,
    )


def _made(task: Task, shared: Shared) -> Result:
    if not is_begun(task.folder):
        return run(
            task.config,
            task.folder,
            shared,
            overrides=task.overrides,
            choices=task.choices,
            command=task.command,
        )
    run_folder = RunFolder.reopen(task.folder)
    try:
        saved = Run(task.folder).config
        if config_hash(saved) != config_hash(task.config):
            raise RequestError(f"{task.folder} holds a run of another config, which is left as it is")
        return resume(task.config, run_folder, shared, saved=saved, command=task.command)
    finally:
        run_folder.close()


def mark_begun(folder: Path) -> None:
    """Let a run's folder tell that, and when, it was last begun, whatever becomes of this process."""
    with suppress(OSError):  # whoever writes into it will say why not
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)


def was_cut_off(folder: Path) -> bool:
    """Whether a run was begun and nobody recorded how it ended, as where its process was killed."""
    return folder.is_dir() and (read_json(folder / "status.json") or {}).get("status") in (None, "running")


def is_begun(folder: Path) -> bool:
    """Whether a folder holds enough of a run to go on with it."""
    return (folder / "config.yaml").is_file() and (folder / "metrics.csv").is_file()


def keep_failure(task: Task, error: BaseException, message: str) -> None:
    """A run that failed before it had a folder gets one that says so, as far as the disk allows."""
    if is_begun(task.folder):
        return
    try:
        with RunFolder.create(task.folder) as run_folder:
            overrides = {"overrides": list(task.overrides), "choices": dict(task.choices)}
            run_folder.write("overrides.yaml", to_yaml(overrides))
            run_folder.write("config.yaml", to_yaml(task.config))
            failed(run_folder, error, message)
    except (LabrunnerError, WriteError):
        return
