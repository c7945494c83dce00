"""``labrunner resume RUN [epochs=40]``: finish a cut run, extend a finished one, or draw its figures.

``labrunner resume SWEEP [jobs=2]`` makes the runs of a sweep that are missing, failed or cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from labrunner import board, schema
from labrunner.errors import RequestError
from labrunner.files import to_yaml
from labrunner.helping import Catalogue, nearest, own_folders
from labrunner.machine import command_line
from labrunner.records import Run, RunFolder, is_sweep_folder, load_run, load_sweep, resume_command
from labrunner.saved import checked_config, new_cache
from labrunner.selection import longer, stopped_early
from labrunner.trust import check_saved
from labrunner.verbs.printing import one_line, print_result, say, show
from labrunner.verbs.shared import shared_for

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.compose.sweeps import SweepPlan
    from labrunner.running import Result, Shared

OF_SWEEPS = ("jobs", "fail_fast", "figures", "logger")  # what a resume of a sweep may change


def main(arguments: Arguments) -> int:
    if len(arguments.words) != 1:
        raise RequestError("resume takes one run or sweep: labrunner resume outputs/runs/RUN [epochs=40]")
    folder = Path(arguments.words[0])
    if is_sweep_folder(folder):
        return resume_sweep(folder, arguments)
    ended = gone_on(
        folder,
        read_changes(arguments.overrides),
        command_line(arguments.argv),
        shared_for,
        trust=arguments.trust,
        config_dir=arguments.config_dir,
        say=say,
    )
    if ended.result is not None:
        return print_result(ended.result, ended.config, ended.choices)
    if ended.drawn:
        show(f"drawn again: {one_line(folder)}")
    return 0


class Ended(NamedTuple):
    """How a resume of a run ended."""

    result: Result | None  # None where there was nothing left to train
    drawn: bool  # whether it was drawn again in place of that
    config: dict[str, Any]
    choices: dict[str, str]


def gone_on(
    folder: Path,
    changes: dict[str, Any],
    command: str,
    shared_state: Callable[[], AbstractContextManager[Shared]],
    *,
    trust: bool = False,
    config_dir: str | None = None,
    say: Callable[[str], None] = say,
) -> Ended:
    """Go on with a run; where there is nothing left to train, draw it again if that is asked for, or never was.

    Parameters
    ----------
    folder : of the run
    changes : as `read_changes` gives them
    command : for the record
    shared_state : makes what surrounds the run; entered once the request cannot be refused any more without torch
    trust : whether the config may name code outside the current folder
    config_dir : a folder of options beside ``./conf``
    say : told what is worth a line

    Raises
    ------
    as `labrunner.resuming.resume`
    """
    load_run(folder)  # what is none gets no lock
    with RunFolder.reopen(folder) as run_folder:  # what is read from here on stays as it is
        run = load_run(folder)
        saved = schema.changed(run.config, changes)
        known = Catalogue(own_folders(config_dir))
        config = checked_config(saved, run.choices, known, trust=trust, say=say)
        if not config["smoke"]:
            refuse_fewer(run, config)
        over = nothing_left(run, config)
        board.refuse_missing(config)
        if over is None:
            with shared_state() as shared:
                from labrunner.resuming import resume

                result = resume(config, run_folder, shared, saved=saved, command=command)
            return Ended(result, False, config, run.choices)
        if "logger" in changes:
            run_folder.rewrite("config.yaml", to_yaml(saved))
            board.write(run_folder, config)
            say(f"labrunner: {board.told(folder, config)}")
        if "figures" not in changes and (folder / "report.html").is_file():
            say(f"labrunner: the run is done: {over}")
            return Ended(None, False, config, run.choices)
        run_folder.rewrite("config.yaml", to_yaml(saved))
        with shared_state() as shared:
            assert shared.drawing is not None
            shared.drawing.ask(folder, config["figures"])
        return Ended(None, True, config, run.choices)


def resume_sweep(folder: Path, arguments: Arguments) -> int:
    """The sweep as it was typed, in the folder that there is."""
    from labrunner.verbs.sweeps import make

    plan = planned_again(folder, arguments.overrides, arguments.config_dir)
    return make(plan, folder, arguments, vet_saved(arguments.trust))


def planned_again(folder: Path, overrides: Sequence[str], config_dir: str | None) -> SweepPlan:
    """The plan of a sweep's folder as it was typed, but for what `overrides` change of how it is made."""
    from labrunner.compose import Composed, request

    sweep = load_sweep(folder)
    if sweep.is_comparison:
        raise RequestError(
            f"{folder} is a comparison of runs, and trains nothing; compare them again with labrunner compare"
        )
    for override in overrides:
        key = override.partition("=")[0]
        if key not in OF_SWEEPS:
            raise RequestError(
                f"{override}: a resumed sweep keeps what its runs compute; it may change {', '.join(OF_SWEEPS)}\n"
                f"for another {key}, start a new sweep"
            )
    changed = {override.partition("=")[0] for override in overrides}
    typed = [
        text for text in sweep.overrides if text.partition("=")[0].lstrip("+") not in ("hydra.sweep.dir", *changed)
    ]
    try:
        asked = request([*typed, *overrides], Catalogue(own_folders(config_dir)), multirun=True)
    except RequestError as error:
        first = str(error).splitlines()[0]
        if not first.startswith("there is no "):
            raise
        raise RequestError(
            f"{first}, which {folder} was made with\n"
            f"start labrunner in the folder whose conf/ has it (this is {Path.cwd()}), or name it with --config-dir"
        ) from error
    assert not isinstance(asked, Composed)
    return replace(asked, overrides=sweep.overrides)


def vet_saved(trust: bool) -> Callable[[dict[str, Any]], None]:
    """Refuses configs out of a stranger's list: foreign code, and downloads and caches to where it says."""

    def vet(config: dict[str, Any]) -> None:
        from labrunner.running import refuse_download

        if not trust:
            check_saved(config, Path.cwd())
            if (cache := new_cache(config)) is not None:
                raise RequestError(f"cache={cache} is not there, and a resume makes none elsewhere; make that folder")
        refuse_download(config)

    return vet


def refuse_fewer(run: Run, config: dict[str, Any]) -> None:
    """A run has the epochs it was begun with, by which its schedule counts, or more."""
    planned = run.config.get("epochs")
    is_fewer = schema.takes("epochs", planned) and config["epochs"] < planned
    if config["epochs"] < run.epochs or is_fewer:
        has = f"has {run.epochs} already" if config["epochs"] < run.epochs else f"is one of {planned}"
        raise RequestError(f"epochs={config['epochs']}: the run {has}; a resume can only add to them")


def nothing_left(run: Run, config: dict[str, Any]) -> str | None:
    """Why a run has nothing left to train, and what can be done; None if it has."""
    if run.status != "done":
        return None
    if config["smoke"]:
        return "a smoke run has one epoch"
    if stopped_early(run.row_list, config["monitor"], config["reg"]["patience"]):
        return f"it stopped early after epoch {run.epochs}, with reg.patience={config['reg']['patience']}, and stays so"
    if config["epochs"] > run.epochs:
        return None
    return f"{run.epochs} epochs; to extend it: {resume_command(run.path, f'epochs={longer(run.epochs)}')}"


def read_changes(overrides: Sequence[str]) -> dict[str, Any]:
    """What a resume is asked to change, checked."""
    import yaml

    changes = {}
    for override in overrides:
        key, _, text = override.partition("=")
        if key not in schema.KEYS and (meant := nearest(key, schema.RESUMABLE)):
            raise RequestError(f"there is no {key}; did you mean {meant}?")
        if key not in schema.RESUMABLE:
            raise RequestError(
                f"{override}: a resume keeps what the run computes; it may change {', '.join(schema.RESUMABLE)}\n"
                f"for another {key}, start a new run"
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if not text.strip():
            raise RequestError(f"{key}= has no value; it takes {schema.describe(schema.KEYS[key])}")
        schema.check_value(key, schema.KEYS[key], value)
        changes[key] = value
    return changes
