"""``labrunner doctor RUN…``: whether run folders are whole, what can be resumed, and what their histories show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labrunner.doctor import Finding, Integrity, history, integrity
from labrunner.errors import RequestError
from labrunner.records import Run, is_sweep_folder, load_run, load_sweep
from labrunner.verbs.printing import show

if TYPE_CHECKING:
    from labrunner.cli import Arguments


def main(arguments: Arguments) -> int:
    """0 where nothing was found, 1 where something was."""
    if arguments.overrides:
        raise RequestError(f"{arguments.overrides[0]}: doctor takes folders alone: labrunner doctor outputs/runs/RUN")
    if not arguments.words:
        raise RequestError("doctor takes runs or sweeps: labrunner doctor outputs/runs/RUN")
    runs = [run for word in arguments.words for run in runs_of(Path(word))]
    sick = sum(examine(run, brief=len(runs) > 1) for run in runs)
    if len(runs) > 1:
        show(f"{sick} of {len(runs)} runs with findings")
    return 1 if sick else 0


def runs_of(folder: Path) -> list[Run]:
    """The run of a folder, or those of a sweep that have begun."""
    if is_sweep_folder(folder):
        return [member.run for member in load_sweep(folder).members if member.run is not None]
    return [load_run(folder)]


def examine(run: Run, brief: bool) -> bool:
    """Print what is found of one run; whether something was."""
    from labrunner.running import config_hash

    try:
        config, unreadable = run.config, None
        sha = config_hash(config)
    except (RequestError, TypeError, ValueError) as error:
        sha, unreadable = None, str(error).splitlines()[0]
    files = integrity(run, sha)
    found = [*files.findings]
    if unreadable is not None:
        found.append(Finding("damaged file", unreadable, "put config.yaml back from a copy"))
    elif not any(finding.name == "not a run's" for finding in files.findings):
        found += history_of(run)
    if not found and brief:
        show(f"{run.path}: {files.status}, nothing found")
        return False
    print_block(run, files, found)
    return bool(found)


def history_of(run: Run) -> list[Finding]:
    try:
        return history(run)
    except RequestError:  # metrics.csv, which the files' findings name
        return []


def print_block(run: Run, files: Integrity, found: list[Finding]) -> None:
    show(f"{run.path}: {files.status}; checkpoints: {files.checkpoints}")
    for finding in found:
        show(f"  {finding.name}: {finding.evidence}\n    {finding.advice}")
    if not found:
        show("  nothing found: the files are whole, and the history is that of a run that learns")
    show(f"  next: {files.next}")
