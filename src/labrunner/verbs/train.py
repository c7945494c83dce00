"""``labrunner [key=value …]``: compose, check, run, say what came out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from labrunner.compose import Composed, request
from labrunner.helping import Catalogue, own_folders
from labrunner.verbs.printing import print_result, say, show
from labrunner.verbs.shared import shared_for

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.compose.sweeps import SweepPlan
    from labrunner.running import Result, Shared


def main(arguments: Arguments) -> int:
    asked = asked_for(arguments)
    if arguments.cfg is not None:
        show_configs(asked, arguments.cfg)
        return 0
    if not isinstance(asked, Composed):
        from labrunner.verbs.sweeps import make

        return make(asked, asked.sweep_dir, arguments)
    return train(asked, arguments)


def asked_for(arguments: Arguments, *verb: str) -> Composed | SweepPlan:
    """The run or the sweep that was typed behind a verb."""
    where = [] if arguments.config_dir is None else ["--config-dir", arguments.config_dir]
    return request(
        arguments.overrides,
        catalogue(arguments.config_dir, say),
        multirun=arguments.multirun,
        command=["labrunner", *verb, *where],
    )


def catalogue(config_dir: str | None, say: Callable[[str], None]) -> Catalogue:
    """What can be named here; says what lies in the user's folders and is not read."""
    folders = own_folders(config_dir)
    for path in (folder / "config.yaml" for folder in folders):
        if path.is_file():
            say(f"labrunner: warning: {path} is not read: put what it sets into an experiment")
    return Catalogue(folders)


def show_configs(asked: Composed | SweepPlan, which: str) -> None:
    """What was composed, as YAML; of a sweep a document a run."""
    from labrunner.files import to_yaml

    composed = [asked] if isinstance(asked, Composed) else [run.composed for run in asked.runs]
    texts = []
    for each in composed:
        if each is None:
            texts.append("# waits for a fact of the first run")
            continue
        shown = {"job": each.config, "hydra": {"hydra": each.hydra}}
        texts.append(to_yaml(shown.get(which) or each.config | {"hydra": each.hydra}).rstrip("\n"))
    show("\n---\n".join(texts))


def train(composed: Composed, arguments: Arguments) -> int:
    """One run."""
    from labrunner.machine import command_line

    result = made(composed, command_line(arguments.argv), shared_for)
    return print_result(result, composed.config, composed.choices)


def made(composed: Composed, command: str, shared_state: Callable[[], AbstractContextManager[Shared]]) -> Result:
    """Carry out one run.

    Parameters
    ----------
    composed : checked
    command : for the record
    shared_state : makes what surrounds the run; entered once the request cannot be refused any more without torch

    Raises
    ------
    as `labrunner.running.run`
    """
    # NumPy comes with these, which a refused request need not wait for
    from labrunner.board import refuse_missing
    from labrunner.build import describe
    from labrunner.labs import refuse_too_few
    from labrunner.records import refuse_used

    # before torch is imported; the run looks again
    refuse_too_few(composed.config, composed.choices.get("experiment"), sweep=False)
    refuse_used(composed.run_dir)
    refuse_missing(composed.config)
    describe(composed.config)
    with shared_state() as shared:
        from labrunner.running import run

        return run(
            composed.config,
            composed.run_dir,
            shared,
            overrides=composed.overrides,
            choices=composed.choices,
            command=command,
        )
