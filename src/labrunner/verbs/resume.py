"""``labrunner resume RUN [epochs=40]``: finish a cut run, or extend a finished one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import schema
from labrunner.errors import RequestError
from labrunner.helping import Catalogue, own_folders
from labrunner.machine import command_line
from labrunner.records import held, load_run
from labrunner.verbs.printing import print_result
from labrunner.verbs.saved import checked_config
from labrunner.verbs.shared import say, shared_for

if TYPE_CHECKING:
    from labrunner.cli import Arguments


def main(arguments: Arguments) -> int:
    if len(arguments.words) != 1:
        raise RequestError("resume takes one run folder: labrunner resume outputs/runs/RUN [epochs=40]")
    folder = Path(arguments.words[0])
    run = load_run(folder)
    known = Catalogue(own_folders(arguments.config_dir))
    choices = run.choices
    config = with_changes(run.config, arguments.overrides)
    checked_config(config, choices, known, trust=arguments.trust)
    if run.status == "running":
        raise RequestError(held(folder))
    finished = len(run.rows)
    if config["epochs"] < finished:
        raise RequestError(f"epochs={config['epochs']}: the run has {finished} already; a resume can only add to them")
    nothing_new = config["smoke"] or config["epochs"] in (finished, run.config["epochs"])
    if run.status == "done" and nothing_new:
        further = f"labrunner resume {folder} epochs={finished + 10}"
        say(f"labrunner: the run is done ({finished} epochs); to extend it: {further}")
        return 0
    with shared_for() as shared:
        from labrunner.running import resume

        result = resume(config, folder, shared, command=command_line())
    return print_result(result, config, choices)


def with_changes(saved: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """The saved config with what a resume may change."""
    import yaml

    changed = dict(saved)
    for override in overrides:
        key, _, text = override.partition("=")
        if key not in schema.OUTSIDE_HASH:
            raise RequestError(
                f"{override}: a resume keeps what the run computes; it may change {', '.join(schema.OUTSIDE_HASH)}\n"
                f"for another {key}, start a new run"
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if value is None:
            raise RequestError(f"{key}= has no value; it takes {schema.describe(schema.KEYS[key])}")
        schema.check_value(key, schema.KEYS[key], value)
        changed[key] = value
    return changed
