"""``labrunner doctor RUN…``: whether run folders are whole, what can be resumed, and what their histories show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labrunner.doctor import Finding, Integrity, history, integrity, strangers
from labrunner.errors import RequestError
from labrunner.records import Run, is_sweep_folder, load_run, load_sweep
from labrunner.verbs.printing import one_line, show

if TYPE_CHECKING:
    from labrunner.cli import Arguments


def main(arguments: Arguments) -> int:
    """0 where nothing was found, 1 where something was."""
    if arguments.overrides:
        raise RequestError(f"{arguments.overrides[0]}: doctor takes folders alone: labrunner doctor outputs/runs/RUN")
    if not arguments.words:
        raise RequestError("doctor takes runs or sweeps: labrunner doctor outputs/runs/RUN")
    members = [run for word in arguments.words for run in runs_of(Path(word))]
    runs = [run for run in members if run is not None]
    sick = sum(examine(run, brief=len(members) > 1) for run in runs)
    if len(members) > 1:
        missing = len(members) - len(runs)
        show(f"{sick} of {len(runs)} runs with findings" + (f"; {missing} have not begun" if missing else ""))
    return 1 if sick else 0


def runs_of(folder: Path) -> Sequence[Run | None]:
    """The run of a folder, or those of a sweep; None for one that has not begun."""
    if is_sweep_folder(folder):
        return [member.run for member in load_sweep(folder).members]
    if all(os.path.lexists(folder / name) for name in ("config.yaml", "metrics.csv")) and any(strangers(folder)):
        return [Run(folder)]  # in which a pipe stands, say: a finding
    return [load_run(folder)]


def examine(run: Run, brief: bool) -> bool:
    """Print what is found of one run; whether something was."""
    files = integrity(run, hash_of(run))
    found = [*files.findings, *(history(run) if files.is_legible else ())]
    if not found and brief:
        show(f"{one_line(run.path)}: {files.status}, nothing found")
        return False
    print_block(run, files, found)
    return bool(found)


def hash_of(run: Run) -> str | None:
    """The config's hash, by which checkpoints are this run's; None where there is none."""
    from labrunner.running import config_hash

    try:
        return None if any(strangers(run.path)) else config_hash(run.config)
    except (RequestError, TypeError, ValueError):  # which the findings name
        return None


def print_block(run: Run, files: Integrity, found: list[Finding]) -> None:
    show(f"{one_line(run.path)}: {files.state}")
    for finding in found:
        show(f"  {one_line(finding.name)}: {one_line(finding.evidence)}\n    {finding.advice}")
    if not found:
        show("  nothing found: the files are whole, and the history is that of a run that learns")
    show(f"  next: {one_line(files.next)}")
