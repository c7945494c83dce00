"""Runs that are one run handed in twice.

The same config, seed, machine and versions give the same weights to the byte, so that equal weights say nothing by
themselves. What two honest runs never share is when they were made: how many nanoseconds each epoch took, which process
wrote the files and at which seconds, the folder's name with what was drawn for it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from labrunner.course.submissions import Handed, Reason
from labrunner.course.verdicts import listed
from labrunner.files import opened, read_csv, read_json
from labrunner.records.names import odd

COPIED, GIVEN = "copied run", "handed-out run"
DRAWN = re.compile(r"^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{4}$")  # a folder's name as labrunner gives it
WHEN = re.compile(rb"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)  ", re.MULTILINE)  # before each line of log.txt
LOG = 2**20  # bytes of a log that are read: the beginning says enough
# keys that move no weight
IDLE = ("probes", "monitor", "select", "dataset.root", "dataset.path", "reg.patience", "reg.name", "augment.name")


@dataclass(frozen=True)
class Trace:
    """What a run leaves of when and where it was made, and of its weights."""

    student: str | None  # None of a run that the lecturer gave to all
    handed: Handed
    is_sound: bool  # whether nothing was found in it that contradicts something else
    epochs: frozenset[tuple[str, ...]]  # whole rows of timing.csv
    process: tuple[Any, ...] | None  # host, number, and the seconds of the log
    folder: str | None  # the name, as far as it was drawn
    weights: frozenset[str]  # hashes of the checkpoints' weights
    start: tuple[tuple[str, str], ...]  # hashes of the starting weights
    config: Mapping[str, Any]  # what it computes, flat


def trace(student: str | None, handed: Handed, weights: Mapping[str, str], is_sound: bool) -> Trace:
    """That of a run whose folder holds nothing odd."""
    from labrunner.course.wanted import NEUTRAL, flat

    config = flat(handed.config or {})
    computed = {key: value for key, value in config.items() if key not in (*NEUTRAL, *IDLE, "epochs")}
    start = read_json(handed.path / "initial.json") or {}
    return Trace(
        student,
        handed,
        is_sound,
        _epochs(handed),
        _process(handed),
        handed.path.name if DRAWN.match(handed.path.name) else None,
        frozenset(weights.values()),
        tuple(sorted((str(name), str(value)) for name, value in start.items())),
        computed,
    )


def _epochs(handed: Handed) -> frozenset[tuple[str, ...]]:
    """The rows of timing.csv: three times of nanoseconds that agree are no chance."""
    try:
        rows = read_csv(handed.path / "timing.csv")[1]
    except (OSError, ValueError, csv.Error):
        return frozenset()
    return frozenset(tuple(row[:4]) for row in rows if len(row) >= 4 and all(len(cell) > 8 for cell in row[1:4]))


def _process(handed: Handed) -> tuple[Any, ...] | None:
    """Which process wrote it, and when; None where that says too little."""
    status = read_json(handed.path / "status.json") or {}
    path = handed.path / "log.txt"
    try:
        if odd(path) is not None:
            return None
        with opened(path) as file:
            seconds = tuple(WHEN.findall(file.read(LOG)))
    except OSError:
        return None
    host, number = status.get("host"), status.get("pid")
    is_told = isinstance(host, str) and type(number) is int and len(seconds) >= 2
    return (host, number, *seconds) if is_told else None


def copied(traces: Sequence[Trace]) -> Iterator[tuple[Trace, Reason]]:
    """Each run that shares with another what two runs cannot share, with the reason.

    The runs of a sweep share their process. Of the runs of one other student a run is held against, those that share
    most with it are named. What the lecturer handed out is nobody's copy of anybody else's.
    """
    found: dict[tuple[int, str | None], list[tuple[int, str, Trace]]] = {}
    given: dict[int, tuple[str, Trace]] = {}
    for one, other in _pairs(traces):
        shared = _shared(traces[one], traces[other])
        for mine, theirs in ((one, other), (other, one)) if shared else ():
            partner = traces[theirs]
            if partner.student is None and traces[mine].student is not None:
                given[mine] = ("; ".join(shared), partner)
            found.setdefault((mine, partner.student), []).append((len(shared), "; ".join(shared), partner))
    for mine, (said, partner) in given.items():
        yield traces[mine], Reason(GIVEN, f"it is {partner.handed.shown} of what was handed out: {said}", "look")
    alike: dict[tuple[int, str, bool | None], list[tuple[str, str]]] = {}
    for (mine, student), partners in found.items():
        if mine in given or student is None or traces[mine].student is None:
            continue
        most = max(count for count, _, _ in partners)
        best = [(said, partner) for count, said, partner in partners if count == most]
        said, partner = best[0]
        is_own = student == traces[mine].student
        where = partner.handed.shown if is_own else f"{student}: {partner.handed.shown}"
        more = f" and {len(best) - 1} more" if len(best) > 1 else ""
        alike.setdefault((mine, said, None if is_own else partner.is_sound), []).append((student, f"{where}{more}"))
    for (mine, said, is_sound), others in alike.items():
        places, students = (listed([each[at] for each in others]) for at in (1, 0))
        whose = "" if is_sound is None else f"; {_which(traces[mine].is_sound, is_sound, students)}"
        yield traces[mine], Reason(COPIED, f"the same run as {places}: {said}{whose}", "look")


def _which(mine: bool, theirs: bool, students: str) -> str:
    """What the files themselves say of who had it from whom: whether each run is sound."""
    if mine and theirs:
        return "neither contradicts itself, so that nobody knows who had it from whom"
    if mine:
        return f"nothing in this run contradicts itself; that of {students} does"
    return f"this run contradicts itself; that of {students} does {'not' if theirs else 'as well'}"


def _pairs(traces: Sequence[Trace]) -> list[tuple[int, int]]:
    """The numbers of runs that have anything in common, each pair once."""
    holders: dict[Any, list[int]] = {}
    for number, each in enumerate(traces):
        keys = [*each.epochs, *each.weights]
        keys += [key for key in (each.process, each.folder) if key is not None]
        for key in keys:
            holders.setdefault(key, []).append(number)
    return sorted({pair for numbers in holders.values() for pair in combinations(sorted(set(numbers)), 2)})


def _shared(one: Trace, other: Trace) -> list[str]:
    """What two runs share that two runs cannot, in words."""
    is_own = one.student == other.student
    if is_own and one.config == other.config:
        return []  # a copy of one's own folder, which adds nothing and claims nothing
    said = []
    if both := one.epochs & other.epochs:
        of = min(len(one.epochs), len(other.epochs))
        said.append(f"{len(both)} of {of} rows of timing.csv are equal to the last digit")
    if one.process is not None and one.process == other.process and not is_own:
        said.append(f"both were written by process {one.process[1]} on {one.process[0]} at the same seconds (log.txt)")
    if one.folder is not None and one.folder == other.folder and not is_own:
        said.append(f"both folders are called {one.folder}")
    if one.weights & other.weights and one.config != other.config and one.start != other.start:
        keys = sorted(key for key in {*one.config, *other.config} if one.config.get(key) != other.config.get(key))
        said.append(f"the weights are equal, though {', '.join(keys[:3])} and the starting weights are not")
    return said
