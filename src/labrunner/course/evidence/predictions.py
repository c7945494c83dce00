"""What a run's predictions.csv says, held against its weights, and what is counted from it against its other files."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labrunner.course.evidence.files import DAMAGED, EDITED
from labrunner.course.submissions import Handed, Reason
from labrunner.files import read_csv, read_json

if TYPE_CHECKING:
    from labrunner.data import Data
    from labrunner.trainer import Evaluation

SPLIT = "altered split"
EXACT = 1e-9  # between numbers that are made of the same file


@dataclass(frozen=True)
class Predictions:
    """The columns of predictions.csv."""

    index: np.ndarray  # (N,)
    label: np.ndarray  # (N,)
    predicted: np.ndarray  # (N,)
    probabilities: np.ndarray  # (N, K)


def read(folder: Path, classes: int) -> Predictions:
    """What predictions.csv holds.

    Raises
    ------
    OSError, ValueError, OverflowError, csv.Error
        for what cannot be read, or what no run writes.
    """
    header, rows = read_csv(folder / "predictions.csv")
    if header[:3] != ["index", "label", "predicted"] or len(header) != 3 + classes:
        raise ValueError("its columns are not those of the data set's classes")
    if any(len(row) != len(header) for row in rows):
        raise ValueError("a row of it is cut")
    whole = np.array([[int(cell) for cell in row[:3]] for row in rows], dtype=np.int64).reshape(-1, 3)
    shares = np.array([[float(cell) for cell in row[3:]] for row in rows], dtype=np.float64).reshape(-1, classes)
    return Predictions(whole[:, 0], whole[:, 1], whole[:, 2], shares)


def apart(said: Predictions, data: Data, tested: Evaluation, close: float) -> Reason | str | None:
    """What predictions.csv says that the weights do not, in words; a reason where it is about the split."""
    assert data.test is not None
    origin = np.asarray(data.test.origin)
    if not np.array_equal(said.index, origin):
        apart = len(np.setdiff1d(said.index, origin))
        which = f"{apart} of its {len(said.index)} samples are not in" if apart else "its rows are not those of"
        of = f"predictions.csv: {which} the test split that the manifest gives, of {len(origin)} samples"
        return Reason(SPLIT, of, "look")
    if not np.array_equal(said.label, tested.labels):
        wrong = int((said.label != tested.labels).sum())
        return f"predictions.csv: {wrong} of {len(origin)} labels are not those of the data set"
    unlike = np.flatnonzero(~(np.abs(said.probabilities - tested.probabilities).max(axis=1) <= close))
    if len(unlike):
        row = int(unlike[0])
        name = int(said.predicted[row])
        columns = said.probabilities.shape[1]
        both = (said.probabilities, tested.probabilities)
        given, now = (each[row, name] if 0 <= name < columns else math.nan for each in both)
        return (
            f"predictions.csv: the weights give other probabilities for {len(unlike)} of {len(origin)} samples, as for "
            f"index {said.index[row]}: p of class {name} is {given:.4f} there, {now:.4f} by the weights"
        )
    other = np.flatnonzero(said.predicted != said.probabilities.argmax(axis=1))
    if len(other):
        return f"predictions.csv: {len(other)} predicted classes are not those of the highest probability beside them"
    return None


def of_files(handed: Handed, said: Predictions, loss: float, chosen: int, close: float) -> Iterator[Reason]:
    """Whether those of test.json, per_class.csv and confusion.csv that are there are what predictions.csv gives."""
    from labrunner import metrics
    from labrunner.results import test_numbers
    from labrunner.trainer import Evaluation

    try:
        if len(said.label) == 0 or said.label.min() < 0 or said.label.max() >= said.probabilities.shape[1]:
            raise ValueError
        if not np.isfinite(said.probabilities).all():
            raise ValueError
        scores = metrics.score(said.probabilities, said.label, loss)
    except (ValueError, OverflowError, RuntimeError):
        return  # which is named already
    folder, missing = handed.path, handed.missing
    numbers = test_numbers(Evaluation(scores, said.probabilities, said.label)) | {"epoch": chosen}
    recorded = read_json(folder / "test.json") or {}
    wrong = []
    for name, now in numbers.items() if "test.json" not in missing else ():
        before = recorded.get(name)
        if now is None or before is None:
            is_apart = (now is None) != (before is None)
        elif type(before) not in (int, float):
            is_apart = True
        else:
            is_apart = not abs(before - now) <= (close * max(1.0, abs(now)) if name == "loss" else EXACT)
        if is_apart:
            by = "the weights give" if name in ("loss", "epoch") else "predictions.csv gives"
            wrong.append(f"{name} is {told(before)}, {by} {told(now)}")
    if wrong:
        yield Reason(EDITED, f"test.json says {_first_of(wrong)}", "look")
    counts = metrics.confusion(said.label, said.predicted, said.probabilities.shape[1])
    try:
        table = [[int(cell) for cell in row[1:]] for row in read_csv(folder / "confusion.csv")[1]]
    except (OSError, ValueError, csv.Error):
        table = []
    if "confusion.csv" not in missing and table != np.asarray(counts).tolist():
        yield Reason(EDITED, "confusion.csv does not count what predictions.csv holds", "look")
    if "per_class.csv" not in missing:
        yield from _of_classes(folder, scores)


def _of_classes(folder: Path, scores: Any) -> Iterator[Reason]:
    columns = {
        "support": scores.support,
        "precision": scores.class_precision,
        "recall": scores.class_recall,
        "f1": scores.class_f1,
        "auroc": scores.class_auroc,
    }
    try:
        header, rows = read_csv(folder / "per_class.csv")
        places = {name: header.index(name) for name in columns}
        table = {name: [float(row[place] or "nan") for row in rows] for name, place in places.items()}
    except (OSError, ValueError, IndexError, csv.Error):
        yield Reason(DAMAGED, "per_class.csv is not what a run writes", "look")
        return
    wrong = []
    for name, values in columns.items():
        said, now = np.array(table[name]), np.asarray(values, dtype=np.float64)
        if said.shape != now.shape or not np.allclose(said, now, rtol=0.0, atol=EXACT, equal_nan=True):
            wrong.append(f"{name} is not what predictions.csv gives")
    if wrong:
        yield Reason(EDITED, f"per_class.csv: {_first_of(wrong)}", "look")


def _first_of(wrong: list[str]) -> str:
    """The first of several contradictions in one file, and how many there are beside."""
    more = len(wrong) - 1
    return wrong[0] + (f"; and {more} more number{'' if more == 1 else 's'}" if more else "")


def told(value: Any) -> str:
    return "blank" if value is None else f"{value:.6g}" if type(value) in (int, float) else str(value)[:60]
