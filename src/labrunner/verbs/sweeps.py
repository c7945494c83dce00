"""What the verbs that make a sweep have in common: its checks, its runs, its table."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.comparison import values_text
from labrunner.errors import RequestError
from labrunner.labs import refuse_too_few
from labrunner.machine import command_line
from labrunner.verbs.printing import complain, print_checks, say
from labrunner.verbs.shared import shared_for

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.compose.sweeps import SweepPlan
    from labrunner.running import Shared
    from labrunner.sweeping import SweepResult


def make(
    plan: SweepPlan,
    folder: Path,
    arguments: Arguments,
    vet: Callable[[dict[str, Any]], None] = lambda config: None,
) -> int:
    """Carry out what is missing of a sweep, print its table, and return the exit code.

    `vet` refuses a config that must not be run.
    """
    from labrunner.verbs.tables import print_sweep

    result = made(plan, folder, command_line(arguments.argv), shared_for, flags(arguments.config_dir), vet)
    with suppress(BrokenPipeError):  # the table's reader may have gone; how the sweep ended is said all the same
        print_sweep(result.sweep, result.judgement)
        sys.stdout.flush()
    if not result.failures:
        return print_checks(result.verdicts, plan.config, plan.choices)
    from labrunner.sweeping import OVER

    members = {member.number: member for member in result.sweep.members}
    left = sum(member.status not in OVER for member in members.values())
    for number, cause in sorted(result.failures.items()):
        say(f"labrunner: run {number} ({values_text(members[number].values)}) failed: {cause.splitlines()[0]}")
    from labrunner.records import resume_command

    again = resume_command(folder, *flags(arguments.config_dir))
    complain(f"{left} of {len(members)} runs are not done\nto make them again: {again}")
    return 1


def made(
    plan: SweepPlan,
    folder: Path,
    command: str,
    shared_state: Callable[[], AbstractContextManager[Shared]],
    flags: Sequence[str] = (),
    vet: Callable[[dict[str, Any]], None] = lambda config: None,
) -> SweepResult:
    """Carry out what is missing of a sweep.

    Parameters
    ----------
    plan, folder, command, flags, vet : as `labrunner.sweeping.sweep` takes them
    shared_state : makes what surrounds the runs; entered once the request cannot be refused any more without torch

    Raises
    ------
    as `labrunner.sweeping.sweep`
    """
    from labrunner.board import refuse_missing
    from labrunner.sweeping import sweep

    for run in plan.runs:
        if run.composed is not None:
            vet(run.composed.config)
            refuse_missing(run.composed.config)
    refuse_too_few(plan.config, plan.choices.get("experiment"), sweep=True)
    check_data(plan)
    with shared_state() as shared:
        return sweep(
            plan,
            folder,
            shared,
            command=command,
            flags=flags,
            jobs=plan.config["jobs"],
            fail_fast=plan.config["fail_fast"],
            vet=vet,
        )


def check_data(plan: SweepPlan) -> None:
    """Whether each model can take its data; imports no torch.

    Raises
    ------
    RequestError
        that begins with the run and its values.
    """
    from labrunner.build import describe

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
            raise RequestError(f"run {run.number} ({values_text(run.values)}): {error}") from None


def flags(config_dir: str | None) -> Sequence[str]:
    """What the command of a single run takes beside its overrides."""
    return () if config_dir is None else ("--config-dir", config_dir)
