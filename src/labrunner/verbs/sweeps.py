"""What the verbs that make a sweep have in common: its checks, its runs, its table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labrunner.errors import RequestError
from labrunner.machine import command_line
from labrunner.verbs.printing import complain, say
from labrunner.verbs.shared import shared_for

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.compose.sweeps import SweepPlan


def make(plan: SweepPlan, folder: Path, arguments: Arguments) -> int:
    """Carry out what is missing of a sweep, print its table, and return the exit code."""
    from labrunner.sweeping import OVER, place, shown, sweep
    from labrunner.verbs.tables import print_sweep

    check_data(plan)
    command = command_line(arguments.argv)
    place(plan, folder, command)  # before torch is imported; the sweep looks again
    with shared_for() as shared:
        result = sweep(
            plan,
            folder,
            shared,
            command=command,
            flags=flags(arguments),
            jobs=plan.config["jobs"],
            fail_fast=plan.config["fail_fast"],
        )
    print_sweep(result.sweep)
    if not result.failures:
        return 0
    members = {member.number: member for member in result.sweep.members}
    left = sum(member.status not in OVER for member in members.values())
    for number, cause in sorted(result.failures.items()):
        say(f"labrunner: run {number} ({shown(members[number].values)}) failed: {cause.splitlines()[0]}")
    from labrunner.records import resume_command

    complain(f"{left} of {len(members)} runs are not done\nto make them again: {resume_command(folder)}")
    return 1


def check_data(plan: SweepPlan) -> None:
    """Whether each model can take its data; imports no torch.

    Raises
    ------
    RequestError
        that begins with the run and its values.
    """
    from labrunner.build import describe
    from labrunner.sweeping import shown

    seen: set[str] = set()
    for run in plan.runs:
        if run.composed is None:
            continue
        config = run.composed.config
        alike = json.dumps([config["dataset"], config["model"], config["augment"]], sort_keys=True, default=str)
        if alike in seen:
            continue
        seen.add(alike)
        try:
            describe(config)
        except RequestError as error:
            raise RequestError(f"run {run.number} ({shown(run.values)}): {error}") from None


def flags(arguments: Arguments) -> Sequence[str]:
    """What the command of a single run takes beside its overrides."""
    return () if arguments.config_dir is None else ("--config-dir", arguments.config_dir)
