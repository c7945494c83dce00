"""``labrunner [key=value …]``: compose, check, run, say what came out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from labrunner.compose import compose
from labrunner.helping import Catalogue, own_folders
from labrunner.verbs.printing import print_result, print_yaml

if TYPE_CHECKING:
    from labrunner.cli import Arguments


def main(arguments: Arguments) -> int:
    composed = compose(arguments.overrides, Catalogue(own_folders(arguments.config_dir)))
    if arguments.cfg is not None:
        shown = {"job": composed.config, "hydra": {"hydra": composed.hydra}}
        print_yaml(shown.get(arguments.cfg) or composed.config | {"hydra": composed.hydra})
        return 0
    refuse_used_folder(composed.run_dir)
    with ExitStack() as stack:
        # the drawing process imports matplotlib on the other core while this one imports torch
        from labrunner.verbs.shared import shared_for

        shared = stack.enter_context(shared_for(composed.config["figures"]))
        from labrunner.running import command_line, run

        result = run(
            composed.config,
            composed.run_dir,
            shared,
            overrides=composed.overrides,
            choices=composed.choices,
            command=command_line(),
        )
    return print_result(result, composed.config, composed.choices)


def refuse_used_folder(folder: Path) -> None:
    """Say so before torch is imported; `RunFolder.create` looks again."""
    from labrunner.records import refuse_used

    refuse_used(folder)
