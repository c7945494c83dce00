"""``labrunner [key=value …]``: compose, check, run, say what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labrunner.compose import compose
from labrunner.helping import Catalogue, own_folders
from labrunner.verbs.printing import print_result, say, show
from labrunner.verbs.shared import shared_for

if TYPE_CHECKING:
    from labrunner.cli import Arguments


def main(arguments: Arguments) -> int:
    folders = own_folders(arguments.config_dir)
    for path in (folder / "config.yaml" for folder in folders):
        if path.is_file():
            say(f"labrunner: warning: {path} is not read: put what it sets into an experiment")
    composed = compose(arguments.overrides, Catalogue(folders))
    if arguments.cfg is not None:
        shown = {"job": composed.config, "hydra": {"hydra": composed.hydra}}
        from labrunner.files import to_yaml

        show(to_yaml(shown.get(arguments.cfg) or composed.config | {"hydra": composed.hydra}).rstrip("\n"))
        return 0
    # NumPy comes with these, which a refused request need not wait for
    from labrunner.build import describe
    from labrunner.machine import command_line
    from labrunner.records import refuse_used

    # before torch is imported; the run looks again
    refuse_used(composed.run_dir)
    describe(composed.config)
    with shared_for() as shared:
        from labrunner.running import run

        result = run(
            composed.config,
            composed.run_dir,
            shared,
            overrides=composed.overrides,
            choices=composed.choices,
            command=command_line(arguments.argv),
        )
    return print_result(result, composed.config, composed.choices)
