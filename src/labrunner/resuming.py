"""One run gone on with: a run folder that was cut, or is to be extended, in; a finished one out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import __version__, board, checkpoint, records, schema, signals
from labrunner.errors import RequestError, RunError
from labrunner.files import to_yaml, writing
from labrunner.machine import arithmetic, environment
from labrunner.records import RunFolder
from labrunner.records.names import PREPROCESSING
from labrunner.running import (
    Ready,
    Result,
    Shared,
    carry_out,
    kept,
    own_files,
    prepare,
    record_start,
    refuse_download,
    unless_stopped,
    watched,
)

if TYPE_CHECKING:
    from labrunner.data import Data
    from labrunner.preprocessing import Preprocessing
    from labrunner.trainer import Start


def resume(
    config: dict[str, Any],
    run_folder: RunFolder,
    shared: Shared,
    *,
    saved: Mapping[str, Any] | None = None,
    command: str = "",
) -> Result:
    """Go on with a run from its newest good checkpoint, up to the epochs that `config` asks for.

    Parameters
    ----------
    config : checked and complete, as plain dicts
    run_folder : reopened; it is closed afterwards
    shared : what runs of this process share
    saved : the config as the folder has it, if that lacks keys which came with a later version
    command : the command line, for the record

    Raises
    ------
    RequestError
        when the request cannot be carried out; nothing has been written.
    RunError
        when no checkpoint of this run can be read; nothing has been written.
    """
    recorded = records.load_run(run_folder.path).environment
    threads = recorded.get("threads")
    kept_threads = threads if schema.takes("threads", threads) and threads != "auto" else None
    refuse_download(config)
    board.refuse_missing(config)
    ready = prepare(config, shared, kept_threads, saved, preprocessed(run_folder.path))
    refuse_other_data(recorded, ready.data)
    found = restore(ready, run_folder.path, shared)
    shared.begin(ready.threads)
    with (
        signals.deferred() as stop,
        kept(run_folder, stop),
        arithmetic(ready.threads),
        watched(ready, shared, run_folder, stop),
    ):
        run_folder.unseal()
        start = cut_back(ready, run_folder, found)
        now = environment(ready.threads, command, own_files(config))
        record_resume(recorded, now | {"data": ready.data.samples.fingerprint}, len(start.rows), run_folder, shared)
        run_folder.write("config.yaml", to_yaml(dict(config if saved is None else saved)))
        run_folder.write_json(PREPROCESSING, ready.preprocessing.recorded())  # a run of an earlier version has none
        run_folder.status("running")
        run_folder.log(f"labrunner {__version__} resumes after epoch {len(start.rows)}, batch {start.batch}: {command}")
        result = carry_out(ready, run_folder, shared, start, stop)
    return unless_stopped(result, stop)


def preprocessed(folder: Path) -> Preprocessing | None:
    """What is recorded of a run that has a checkpoint; None where its weights have to be made, or read, again."""
    from labrunner.preprocessing import read

    return read(folder) if checkpoint.listed(folder / "checkpoints") else None


def refuse_other_data(recorded: Mapping[str, Any], data: Data) -> None:
    """Other data would be split otherwise, and samples that were trained on would be tested on."""
    before, now = recorded.get("data"), data.samples.fingerprint
    if before is not None and before != now:
        raise RequestError(
            f"dataset={data.description.name} does not hold the samples that the run began with ({now}, not {before})\n"
            "put those back, or start a new run; a data set of your own that draws needs a seed: default_rng(0)"
        )


def record_resume(
    recorded: dict[str, Any], now: dict[str, Any], epochs: int, run_folder: RunFolder, shared: Shared
) -> None:
    """Add this resume to environment.json, which goes on to tell how the run began."""
    before = recorded.get("versions")
    versions = before if isinstance(before, dict) else {}
    changed = [
        f"{package} {versions[package]}, now {version}"
        for package, version in now["versions"].items()
        if package in versions and versions[package] != version
    ]
    if changed:
        message = f"the run began with {'; '.join(changed)}: the bytes may differ from those of a run in one piece"
        shared.say(f"labrunner: warning: {message}")
        run_folder.log(message)
    listed = recorded.get("resumed")
    this = {"from_epoch": epochs} | {key: now[key] for key in ("labrunner", "threads", "versions", "command")}
    resumed = [*(listed if isinstance(listed, list) else []), this]
    # a run that failed before it was set up has no record of its own
    begun = now | recorded if recorded.get("data") is None else recorded
    run_folder.write_json("environment.json", begun | {"resumed": resumed})


@dataclass(frozen=True)
class Found:
    """Where a run can be gone on with, and the checkpoints that cannot be used, by name, with the reason."""

    position: checkpoint.Position
    passed: Mapping[str, str]


def restore(ready: Ready, folder: Path, shared: Shared) -> Found:
    """Load the newest checkpoint that is whole, this run's, and no further than its rows; nothing is written.

    A run that was cut before its first checkpoint begins anew.

    Raises
    ------
    RunError
        when there is none, and what the run has got to would be lost.
    """
    listed = checkpoint.listed(folder / "checkpoints")
    epochs = len(records.read_rows(folder / "metrics.csv"))
    passed = {}
    for _, _, path in reversed(listed):
        try:
            state, position = checkpoint.read(path, ready.plan.config_hash)
            if position.epoch > epochs:
                raise checkpoint.DamagedCheckpoint(f"metrics.csv has {epochs} epochs")
            ready.learner.load(state)
        except (checkpoint.DamagedCheckpoint, ValueError) as error:
            shared.say(f"labrunner: warning: passing over {path}: {error}")
            passed[path.name] = str(error)
            continue
        return Found(position, passed)
    if listed:
        raise RunError(f"none of the {len(listed)} checkpoints in {folder} can be read; start the run anew")
    if records.load_run(folder).needs_checkpoint:
        raise RunError(f"there is no checkpoint in {folder}, which has {epochs} epochs; start the run anew")
    return Found(checkpoint.Position(0), passed)


def cut_back(ready: Ready, run_folder: RunFolder, found: Found) -> Start:
    """Drop what a run has beyond the place from which it goes on."""
    from labrunner.trainer import Start, kept_epochs

    position = found.position
    for name, reason in found.passed.items():
        run_folder.log(f"passing over {name}: {reason}")
    step = position.epoch * ready.data.train.batch_count + position.batch
    run_folder.cut_back(position.epoch, step)
    if step == 0:  # stopped before the first batch: the start may be cut, too
        record_start(ready, run_folder)
    rows = records.read_rows(run_folder.path / "metrics.csv")
    # a crash between a checkpoint and the end of the one that it supersedes leaves both
    folder = run_folder.path / "checkpoints"
    place = (position.epoch, position.batch)
    older = {path for epoch, batch, path in checkpoint.listed(folder) if (epoch, batch) < place}
    for each in older.intersection(checkpoint.superseded(folder, kept_epochs(rows, ready.plan), position)):
        with writing(each):
            each.unlink(missing_ok=True)
    return Start(rows, position.batch, position.sums)
