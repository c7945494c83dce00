"""``labrunner resume RUN [epochs=40]``: finish a cut run, extend a finished one, or draw its figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import schema
from labrunner.errors import RequestError
from labrunner.files import to_yaml
from labrunner.helping import Catalogue, own_folders
from labrunner.machine import command_line
from labrunner.records import Run, RunFolder, load_run, resume_command
from labrunner.selection import stopped_early
from labrunner.verbs.printing import print_result, say, show
from labrunner.verbs.saved import checked_config
from labrunner.verbs.shared import shared_for

if TYPE_CHECKING:
    from labrunner.cli import Arguments


def main(arguments: Arguments) -> int:
    if len(arguments.words) != 1:
        raise RequestError("resume takes one run folder: labrunner resume outputs/runs/RUN [epochs=40]")
    folder = Path(arguments.words[0])
    changes = read_changes(arguments.overrides)
    load_run(folder)  # what is none gets no lock
    with RunFolder.reopen(folder) as run_folder:  # what is read from here on stays as it is
        run = load_run(folder)
        saved = run.config | changes
        config = checked_config(saved, run.choices, Catalogue(own_folders(arguments.config_dir)), trust=arguments.trust)
        if config["epochs"] < run.epochs and not config["smoke"]:
            raise RequestError(
                f"epochs={config['epochs']}: the run has {run.epochs} already; a resume can only add to them"
            )
        over = nothing_left(run, config)
        if over is None:
            with shared_for() as shared:
                from labrunner.running import resume

                result = resume(config, run_folder, shared, saved=saved, command=command_line(arguments.argv))
            return print_result(result, config, run.choices)
        if "figures" not in changes and (folder / "report.html").is_file():
            say(f"labrunner: the run is done: {over}")
            return 0
        run_folder.write("config.yaml", to_yaml(saved))
        with shared_for() as shared:
            assert shared.drawing is not None
            shared.drawing.ask(folder, config["figures"])
        show(f"drawn again: {folder}")
        return 0


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
    return f"{run.epochs} epochs; to extend it: {resume_command(run.path, f'epochs={run.epochs + 10}')}"


def read_changes(overrides: list[str]) -> dict[str, Any]:
    """What a resume is asked to change, checked."""
    import yaml

    changes = {}
    for override in overrides:
        key, _, text = override.partition("=")
        if key not in schema.RESUMABLE:
            raise RequestError(
                f"{override}: a resume keeps what the run computes; it may change {', '.join(schema.RESUMABLE)}\n"
                f"for another {key}, start a new run"
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if value is None:
            raise RequestError(f"{key}= has no value; it takes {schema.describe(schema.KEYS[key])}")
        schema.check_value(key, schema.KEYS[key], value)
        changes[key] = value
    return changes
