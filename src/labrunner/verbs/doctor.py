"""``labrunner doctor RUN…``: whether run folders are whole, what can be resumed, and what their histories show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labrunner.comparison import values_text
from labrunner.doctor import Finding, Integrity, history, integrity, strangers, unjudged
from labrunner.errors import RequestError
from labrunner.records import Member, Run, Sweep, is_sweep_folder, load_run, load_sweep, resume_command
from labrunner.records.names import held, is_evaluation_folder, is_range_folder, locker, only_begun
from labrunner.verbs import ls, tables
from labrunner.verbs.printing import one_line, show

if TYPE_CHECKING:
    from labrunner.cli import Arguments

NAMED = 5  # of those that have not begun
WIDTH = 60  # columns for the values of one of them
WHOLE = ("config.yaml", "metrics.csv")  # without which a folder is none that a run can be read from
TO_RESUME = ("interrupted", "failed")


@dataclass(frozen=True)
class Looked:
    """What was found in one folder."""

    path: Path
    status: str
    is_sick: bool


def main(arguments: Arguments) -> int:
    """0 where nothing was found, 1 where something was."""
    if arguments.overrides:
        raise RequestError(f"{arguments.overrides[0]}: doctor takes folders alone: labrunner doctor outputs/runs/RUN")
    if not arguments.words:
        raise RequestError("doctor takes runs or sweeps: labrunner doctor outputs/runs/RUN")
    words = [Path(word) for word in arguments.words]
    folders = unique([folder for word in words for folder in folders_of(word)])
    sweeps, unread = [], {}
    runs: dict[Path, Run | None] = {}  # None: it has not begun
    for folder in folders:
        try:
            if is_sweep_folder(folder):
                sweeps.append(load_sweep(folder))
                runs |= {member.path: begun(member.path) for member in sweeps[-1].members}
            else:
                runs[folder] = run_of(folder)
        except RequestError as error:
            if folder in words:
                raise
            unread[folder] = str(error).splitlines()[0]
    runs = {path: runs[path] for path in unique(list(runs))}
    many = len(runs) + len(unread) > 1
    looked = [examine(run, brief=many) for run in runs.values() if run is not None]
    for folder, why in unread.items():
        show(f"{one_line(folder)}: not looked at: {one_line(why)}")
    sick = sum(each.is_sick for each in looked) + len(unread)
    missing = sum(run is None for run in runs.values())
    if many:
        left = f"; {missing} {'has' if missing == 1 else 'have'} not begun" if missing else ""
        show(f"{sick} of {len(looked) + len(unread)} runs with findings{left}")
    elif missing and not sweeps:
        show(f"{one_line(folders[0])}: interrupted before it began, nothing is lost\n  next: start the run again")
    statuses = {each.path: each.status for each in looked}
    for sweep in sweeps:
        print_rest(sweep, statuses)
    return 1 if sick else 0


def unique(folders: Sequence[Path]) -> list[Path]:
    """Each folder once, by whatever name it comes first."""
    first: dict[str, Path] = {}
    for folder in folders:
        try:
            first.setdefault(os.path.realpath(folder), folder)
        except (OSError, ValueError):  # a name out of a stranger's list that none can have
            first.setdefault(str(folder), folder)
    return list(first.values())


def folders_of(folder: Path) -> Sequence[Path]:
    """A run or a sweep itself; of a folder of such, those that are in it, oldest first."""
    if is_sweep_folder(folder) or not folder.is_dir() or any(os.path.lexists(folder / name) for name in WHOLE):
        return [folder]
    found = sorted(ls.folders_in(folder), key=lambda each: (each.when, each.rank))
    inside = [each.path for each in found if not is_evaluation_folder(each.path) and not is_range_folder(each.path)]
    if not inside:
        raise RequestError(f"{folder} is no run folder, and there are none in it")
    return inside


def run_of(folder: Path) -> Run | None:
    """The run of a folder, also of one that is not whole: a finding. None for one that was cut before it began."""
    there = [name for name in WHOLE if os.path.lexists(folder / name)]
    if there and was_cut_at_once(folder):
        return None
    if len(there) == 1 or (there and any(strangers(folder))):  # in which a pipe stands, say
        return Run(folder)
    return load_run(folder)


def begun(folder: Path) -> Run | None:
    """The run of a sweep's member; None for one that has not begun."""
    is_there = ls.is_run_folder(folder) or (folder / "config.yaml").is_file()
    return Run(folder) if is_there and not was_cut_at_once(folder) else None


def was_cut_at_once(folder: Path) -> bool:
    """Whether a folder holds no more than what a run leaves that was killed before it had its config."""
    try:
        return only_begun(folder)
    except OSError:
        return False


def examine(run: Run, brief: bool) -> Looked:
    """Print what is found of one run."""
    files = integrity(run, hash_of(run))
    found = [*files.findings, *(history(run) if files.is_legible else ())]
    if not found and brief:
        said = files.progress if files.status in TO_RESUME else files.status
        show(f"{one_line(run.path)}: {said}, {nothing_found(run, files)}")
    else:
        print_block(run, files, found)
    return Looked(run.path, files.status, bool(found))


def nothing_found(run: Run, files: Integrity) -> str:
    """What holds of a run without findings."""
    why = unjudged(run) if files.is_legible else "there is no history that can be read"
    if files.status == "running":
        learns = why or "the history so far is that of a run that learns"
        return f"nothing found: {learns}; files are not looked at while a process works on them"
    learns = why or "and the history is that of a run that learns"
    return f"nothing found: the files are whole{'; ' if why else ', '}{learns}"


def hash_of(run: Run) -> str | None:
    """The config's hash, by which checkpoints are this run's; None where there is none."""
    from labrunner.running import config_hash

    try:
        return None if any(strangers(run.path)) else config_hash(run.config)
    except (RequestError, TypeError, ValueError):  # which the findings name
        return None


def print_block(run: Run, files: Integrity, found: list[Finding]) -> None:
    show(f"{one_line(run.path)}: {'; '.join(filter(None, (files.progress, files.checkpoints)))}")
    for finding in found:
        show(f"  {one_line(finding.name)}: {one_line(finding.evidence)}\n    {finding.advice}")
    if not found:
        show(f"  {nothing_found(run, files)}")
    show(f"  next: {one_line(files.next)}")


def print_rest(sweep: Sweep, statuses: dict[Path, str]) -> None:
    """Which runs of a sweep have not begun, and what makes those that are not done."""
    lines, found = [], {statuses.get(member.path) for member in sweep.members}
    waiting = [member for member in sweep.members if begun(member.path) is None]
    broken = [member for member in sweep.members if member not in waiting and member.run is None]
    if waiting:
        lines.append(f"  {'has' if len(waiting) == 1 else 'have'} not begun: {named(waiting)}")
    if locker(sweep.path / ".lock") is not None or "running" in found:
        lines.append(f"  next: nothing: {one_line(held(sweep.path, 'sweep'))}")
    elif (waiting or broken or found & set(TO_RESUME)) and not sweep.is_comparison:
        lines.append(f"  next: {one_line(resume_command(sweep.path))}")
        if broken:  # a folder that is not empty is not used again
            lines[-1] += f"; {named(broken)} only once its folder is whole, or taken away"
    if lines:
        show("\n".join([f"{one_line(sweep.path)}:", *lines]))


def named(members: Sequence[Member]) -> str:
    """Each by its number and its values, and how many more there are."""
    said = []
    for member in members[:NAMED]:
        values = tables.cut(one_line(values_text(member.values)), WIDTH)
        said.append(f"run {member.number}" + (f" ({values})" if values else ""))
    more = len(members) - NAMED
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")
