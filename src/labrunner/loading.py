"""A run folder -> its model with the weights of the chosen epoch, without the data set that it learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import checkpoint, schema
from labrunner.errors import RequestError, RunError
from labrunner.helping import Catalogue, own_folders
from labrunner.own import name_of
from labrunner.records import Run, is_sweep_folder, load_run, resume_command
from labrunner.saved import checked_config
from labrunner.selection import chosen

if TYPE_CHECKING:
    from labrunner.learner import Learner
    from labrunner.preprocessing import Preprocessing

# what may be other than when the run was made, without another model coming of it
CHANGES = ("device", "threads")


@dataclass(frozen=True)
class Loaded:
    """A run whose model is ready."""

    run: Run
    config: dict[str, Any]  # checked, and as its model wants it
    learner: Learner
    preprocessing: Preprocessing
    epoch: int  # whose weights these are
    threads: int


def changes_in(
    overrides: list[str], also: tuple[str, ...] = (), checked: tuple[str, ...] = CHANGES
) -> tuple[dict[str, Any], list[str]]:
    """What is asked for in the keys of `checked` and `also`, checked; and the other overrides.

    Values of `also` are paths, which no range is known for.
    """
    import yaml

    changes: dict[str, Any] = {}
    others = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if key not in (*checked, *also):
            others.append(override)
            continue
        if not equals or not text:
            raise RequestError(f"{key}= has no value")
        if key in also:
            changes[key] = text
            continue
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        schema.check_value(key, schema.KEYS[key], value)
        changes[key] = value
    return changes, others


def load(
    folder: Path,
    changes: dict[str, Any],
    *,
    trust: bool = False,
    config_dir: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Loaded:
    """The model of a run.

    Parameters
    ----------
    folder : a run folder
    changes : keys of `CHANGES` with their values
    trust : whether the config may name code outside the current folder
    config_dir : a folder of options beside ``./conf``
    say : told what is worth knowing and no error

    Raises
    ------
    RequestError
        for what is no run folder, names foreign code, has no finished epoch, or does not fit this machine.
    RunError
        when the weights cannot be read.
    """
    if is_sweep_folder(folder):
        raise RequestError(f"{folder} is a sweep; name one of its runs, as {folder / '0'}")
    run = load_run(folder)
    known = Catalogue(own_folders(config_dir))
    config = checked_config(run.config | changes, run.choices, known, trust=trust, say=say)
    epoch = epoch_of(run, config, say)
    from labrunner.machine import arithmetic, file_hash
    from labrunner.running import config_hash, own_files

    path = folder / "checkpoints" / checkpoint.Position(epoch).file_name
    try:
        state, _ = checkpoint.read(path, config_hash(run.config))
    except checkpoint.DamagedCheckpoint as error:
        raise RunError(f"the checkpoint of the chosen epoch, {path}, cannot be used: {error}") from None
    config, preprocessing, learner = built(folder, config, say)
    try:
        with arithmetic(1):
            learner.load(state)
    except ValueError as error:
        raise RunError(f"the checkpoint of the chosen epoch, {path}, cannot be used: {error}") from None
    versions = run.environment.get("versions")
    for file in own_files({"model": config["model"]}):
        before = versions.get(file.name) if isinstance(versions, dict) else None
        if before not in (None, file_hash(file)):
            say(f"labrunner: warning: {file.name} has changed since the run began: its model may compute otherwise")
    return Loaded(run, config, learner, preprocessing, epoch, threads_of(run, config))


def built(
    folder: Path, config: dict[str, Any], say: Callable[[str], None]
) -> tuple[dict[str, Any], Preprocessing, Learner]:
    """The config as its model wants it, how inputs are prepared, and the learner, whose weights are still to come.

    A folder of an earlier version does not say how inputs are prepared; there the data set is read for it.
    """
    from labrunner import build, preprocessing
    from labrunner.machine import arithmetic
    from labrunner.running import Shared, prepare

    recorded = preprocessing.read(folder)
    if recorded is None:
        say(f"labrunner: {folder} has no preprocessing.json, as runs of earlier versions; reading its data set for it")
        ready = prepare(config, Shared(say=say))
        return config, ready.preprocessing, ready.learner
    with arithmetic(1):
        config, own, wants = build.as_wanted(config, recorded.recorded())
        description = recorded.description(name_of(config["dataset"]))
        learner = build.build_learner(config, description, own, wants, load_weights=False)
    return config, recorded, learner


def epoch_of(run: Run, config: dict[str, Any], say: Callable[[str], None]) -> int:
    """The chosen epoch, of a run that is not done the one that is chosen so far; says so.

    Raises
    ------
    RequestError
        when no epoch has come to its end.
    """
    whole = [epoch for epoch, batch, _ in checkpoint.listed(run.path / "checkpoints") if batch == 0 and epoch > 0]
    # what was killed may have a row whose checkpoint was never written
    rows = [row for row in run.row_list if row["epoch"] <= max(whole, default=0)]
    choice = chosen(rows, config["monitor"], config["select"])
    status = run.status
    if choice is None:
        then = f"; to go on: {resume_command(run.path)}" if status not in ("done", "diverged") else ""
        raise RequestError(f"the run in {run.path} is {status} and has no finished epoch{then}")
    if status != "done":
        of = f"of {len(rows)} so far" if status != "diverged" else f"of {len(rows)} before that"
        how = {"running": "is still running", "diverged": "diverged", "failed": "failed"}.get(status, f"was {status}")
        say(f"labrunner: the run {how}: these are the weights of epoch {choice.epoch} {of}")
    return choice.epoch


def threads_of(run: Run, config: dict[str, Any]) -> int:
    """As many threads as the run computed with, so that the same numbers come out, unless others are asked for."""
    if config["threads"] != "auto":
        return int(config["threads"])
    recorded = run.environment.get("threads")
    return recorded if isinstance(recorded, int) and schema.takes("threads", recorded) else 1
