"""What a student has handed in: the runs below a folder that may be a stranger's. Nothing in it is followed or run."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from labrunner.errors import RequestError
from labrunner.records import Run
from labrunner.records.sweep import SWEEP

DEEPEST = 12  # folders inside each other
MOST_ENTRIES = 50_000  # files and folders of a submission
MOST_RUNS = 1_000
MOST_CHECKPOINTS = 16  # of a run, which keeps three
LARGEST_CHECKPOINT = 4_000_000_000  # bytes
PASSED_OVER = ("__MACOSX", "__pycache__")  # beside hidden folders
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
DATA = "data"  # a folder of archives that are data sets
ARCHIVE = "archive"

Effect = Literal["look", "failed", "note"]


@dataclass(frozen=True)
class Reason:
    """What speaks for a verdict: a name of docs/course.md, what shows it, and what comes of it.

    ``failed``: it is not what was asked for. ``look``: the files contradict each other, or are
    another student's as well, which the lecturer judges.
    ``note``: worth knowing, and nothing comes of it.
    """

    name: str
    evidence: str
    effect: Effect


@dataclass
class Handed:
    """A run of a submission, and what was found of its files."""

    path: Path
    shown: str  # its place below the student's folder
    run: Run
    config: dict[str, Any] | None = None  # checked and complete; None where it cannot be used
    reasons: list[Reason] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # files that are not what checksums.json says
    missing: list[str] = field(default_factory=list)

    @property
    def can_be_read(self) -> bool:
        return self.config is not None


@dataclass
class Submission:
    """All that one student has handed in."""

    student: str
    path: Path
    runs: list[Handed] = field(default_factory=list)
    sweeps: list[Path] = field(default_factory=list)  # folders with a sweep.yaml
    reasons: list[Reason] = field(default_factory=list)  # that belong to no experiment


def found_in(folder: Path, student: str) -> Submission:
    """The runs below a folder, by name; a run folder is one itself.

    Raises
    ------
    RequestError
        when it is no folder, or holds more than any submission does.
    """
    if not folder.is_dir():
        what = "is a file; unpack it first" if folder.exists() else "is not there"
        raise RequestError(f"{folder} {what}")
    submission = Submission(student, folder)
    seen = 0
    for above, folders, files in os.walk(folder, onerror=_refuse):
        here = Path(above)
        seen += len(folders) + len(files)
        if seen > MOST_ENTRIES:
            raise RequestError(f"{folder} holds more than {MOST_ENTRIES:,} files")
        inside = here.relative_to(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        submission.reasons += [
            Reason("not a run's", f"{inside / name} is a symbolic link, and is not followed", "look") for name in links
        ]
        if _is_run(folders, files):
            seen += _entries(here, MOST_ENTRIES - seen)
            shown = str(inside) if inside.parts else here.name
            submission.runs.append(Handed(here, shown, Run(here)))
            folders.clear()
        else:
            submission.sweeps += [here] if SWEEP in files else []
            submission.reasons += _archives(inside, files)
            if len(inside.parts) >= DEEPEST:
                folders.clear()
        folders[:] = sorted(
            name for name in folders if name not in links and not name.startswith(".") and name not in PASSED_OVER
        )
        if len(submission.runs) > MOST_RUNS:
            raise RequestError(f"{folder} holds more than {MOST_RUNS:,} runs")
    submission.runs.sort(key=lambda each: _natural(each.shown))
    return submission


def _archives(inside: Path, files: Sequence[str]) -> Iterator[Reason]:
    """The archives of a folder, which may hold runs."""
    if DATA not in inside.parts:
        for name in sorted(each for each in files if each.lower().endswith(ARCHIVES)):
            yield Reason(ARCHIVE, f"{inside / name} is an archive; unpack it, and grade again", "look")


def _refuse(error: OSError) -> None:
    raise RequestError(f"{error.filename} cannot be read: {error.strerror}")


def _is_run(folders: Sequence[str], files: Sequence[str]) -> bool:
    """Whether a folder is one of a run, also where something of it is missing."""
    whole = {"config.yaml", "metrics.csv"} & {*files, *folders}
    return len(whole) == 2 or bool(whole and ("status.json" in files or "checkpoints" in folders))


def _entries(folder: Path, most: int) -> int:
    """How many files and folders are below a run's; raises RequestError past `most`."""
    count = 0
    for _, folders, files in os.walk(folder):
        count += len(folders) + len(files)
        if count > most:
            raise RequestError(f"{folder} holds more files than any run")
    return count


def _natural(text: str) -> list[tuple[int, str]]:
    """Names in the order in which one counts: 9 before 10."""
    return [(int(part), "") if part.isdecimal() and len(part) < 10 else (-1, part) for part in text.split(os.sep)]


def too_much(folder: Path) -> Iterator[Reason]:
    """Checkpoints that are more, or larger, than any run's; they are not opened."""
    checkpoints = folder / "checkpoints"
    if checkpoints.is_symlink() or not checkpoints.is_dir():
        return
    entries = sorted(checkpoints.iterdir())
    if len(entries) > MOST_CHECKPOINTS:
        yield Reason("not a run's", f"checkpoints/ holds {len(entries)} files, and a run keeps three", "look")
    for path in entries[:MOST_CHECKPOINTS]:
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_size > LARGEST_CHECKPOINT:
            yield Reason("not a run's", f"checkpoints/{path.name} has {found.st_size / 1e9:,.0f} GB", "look")


def named(folders: Sequence[Path], known: Collection[str] = ()) -> dict[Path, str]:
    """The students of some folders, by the folders' names; of two that are alike, with as much in front as differs.

    Where all folders end alike, as those of ``moodle/*/lab1``, what they end in is nobody's name. `known` are names of
    students: of a folder that is alone, and not called as one of them, it is that of the folder around it.
    """
    whole = {folder: folder.resolve().parts for folder in folders}
    distinct = set(whole.values())
    ends = 0
    if len(distinct) > 1:
        while len({parts[-1 - ends :] for parts in distinct}) == 1:
            ends += 1
    elif any(len(parts) > 2 and parts[-1] not in known and parts[-2] in known for parts in distinct):
        ends = 1
    whole = {folder: parts[: len(parts) - ends] for folder, parts in whole.items()}
    names = {}
    for folder, parts in whole.items():
        others = [each for other, each in whole.items() if other != folder and each != parts]
        count = next((n for n in range(1, len(parts)) if all(each[-n:] != parts[-n:] for each in others)), len(parts))
        names[folder] = "/".join(parts[-count:])
    return names
