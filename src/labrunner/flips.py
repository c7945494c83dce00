"""Which test samples flip between runs: right in one and wrong in another.

Pure functions of run folders, without pandas. A folder may be a stranger's: what is no ordinary file, or too
large to be ours, is not opened.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.files import read_csv, whole_lines
from labrunner.records import Run
from labrunner.records.names import odd

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Flip:
    """A test sample that some runs have right and others wrong."""

    index: int  # position in the whole data set
    label: str  # the name of its class
    predicted: tuple[str | None, ...]  # a class's name for each run, None where the run did not predict this sample
    right: tuple[bool | None, ...]  # whether that is the label


@dataclass(frozen=True)
class Flips:
    """What `find_flips` finds. Runs are counted in the order in which they were given."""

    shared: list[list[int]]  # [a][b]: test samples that both predicted; 0 where their data differ
    lost: list[list[int]]  # [a][b]: of these, right in a and wrong in b
    samples: list[Flip] = field(default_factory=list)
    without: list[int] = field(default_factory=list)  # runs that predicted no test samples
    strangers: list[tuple[int, int]] = field(default_factory=list)  # pairs that share none, though both predicted some


@dataclass(frozen=True)
class _Predicted:
    """The first columns of a run's predictions.csv."""

    data: Any  # what its samples are known by: the fingerprint of the data and the names of the classes
    classes: tuple[str, ...]
    index: np.ndarray  # (N,) integers
    label: np.ndarray  # (N,)
    predicted: np.ndarray  # (N,)


def find_flips(runs: Sequence[Run], *, by_sample: bool = True) -> Flips:
    """Which test samples are right in one run and wrong in another; without `by_sample` only how many.

    Samples are matched by their position in the data set, where the recorded fingerprint of the data and the names of
    the classes agree, and the labels too: runs of other data share no test samples.
    """
    import numpy as np

    read = [_predicted(run) for run in runs]
    n = len(runs)
    shared, lost = [[0] * n for _ in runs], [[0] * n for _ in runs]
    samples: list[Flip] = []
    for members in _alike(read):
        parts = [part for at in members if (part := read[at]) is not None]
        index = np.unique(np.concatenate([part.index for part in parts]))
        label = np.zeros(len(index), dtype=np.int64)
        guess = np.full((len(parts), len(index)), -1, dtype=np.int64)  # -1: not predicted
        for row, part in zip(guess, parts, strict=True):
            where = np.searchsorted(index, part.index)
            row[where], label[where] = part.predicted, part.label
        known = guess >= 0
        right = known & (guess == label)
        # float64 sums of ones are exact, and its products are fast
        both = known.astype(float) @ known.T.astype(float)
        gone = right.astype(float) @ (known & ~right).T.astype(float)
        for i, a in enumerate(members):
            for j, b in enumerate(members):
                shared[a][b], lost[a][b] = int(both[i, j]), int(gone[i, j])
        flipped = right.any(axis=0) & (known & ~right).any(axis=0)
        names = parts[0].classes
        for column in np.flatnonzero(flipped).tolist() if by_sample else ():
            said: list[str | None] = [None] * n
            hit: list[bool | None] = [None] * n
            for part_at, at in enumerate(members):
                if known[part_at, column]:
                    said[at], hit[at] = _name(names, guess[part_at, column]), bool(right[part_at, column])
            samples.append(Flip(int(index[column]), _name(names, label[column]), tuple(said), tuple(hit)))
    present = [at for at, part in enumerate(read) if part is not None]
    return Flips(
        shared=shared,
        lost=lost,
        samples=samples,
        without=[at for at, part in enumerate(read) if part is None],
        strangers=[(a, b) for a in present for b in present if a < b and not shared[a][b]],
    )


def _name(names: Sequence[str], number: int) -> str:
    return names[number] if 0 <= number < len(names) else str(number)


def _alike(read: Sequence[_Predicted | None]) -> list[list[int]]:
    """The runs of one data set each, by position; a run whose labels contradict an earlier one's is of another."""
    groups: list[tuple[Any, dict[int, int], list[int]]] = []
    for at, part in enumerate(read):
        if part is None:
            continue
        labels = dict(zip(part.index.tolist(), part.label.tolist(), strict=True))
        for data, known, members in groups:
            if data == part.data and all(known.get(index, label) == label for index, label in labels.items()):
                known.update(labels)
                members.append(at)
                break
        else:
            groups.append((part.data, labels, [at]))
    return [members for _, _, members in groups]


def _predicted(run: Run) -> _Predicted | None:
    """What a run predicted; None where it has no such file, or a damaged one."""
    import numpy as np

    path = run.path / "predictions.csv"
    if odd(path):
        return None
    try:
        lines = whole_lines(path)
        header = next(csv.reader(lines), [])  # a class's name may hold a line end: past it, all cells are numbers
        if header[:3] != ["index", "label", "predicted"]:
            return None
        cells = np.asarray([[int(text) for text in line.split(",", 3)[:3]] for line in lines], dtype=np.int64)
        index, label, predicted = cells.reshape(-1, 3).T
    except (OSError, ValueError, OverflowError, csv.Error):
        return None
    if len(index) == 0 or len(np.unique(index)) != len(index):
        return None
    classes = _classes(run.path) or tuple(name.removeprefix("p_") for name in header[3:])
    data = None if odd(run.path / "environment.json") else run.environment.get("data")
    return _Predicted((data, classes), classes, index, label, predicted)


def _classes(path: Path) -> tuple[str, ...]:
    if odd(path / "confusion.csv"):
        return ()
    try:
        header, _ = read_csv(path / "confusion.csv")
    except (OSError, ValueError, csv.Error):
        return ()
    return tuple(header[1:])
