"""The confusion matrix whose cells open: what was predicted as what, and the samples behind each count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labrunner.records import Run
from labrunner.report.features import Features, features
from labrunner.report.origin import Shown, amount, count, percent, probability
from labrunner.report.pictures import MOST_BYTES, data_uri

EXACT = 12  # classes up to which shares are a matrix, too; above that they are pictures
MANY_CLASSES = 25  # above that the matrix is a picture, and the table of classes one click away
SHORT = 3  # characters of a name that stands upright above its column
MOST_CONFUSIONS = 10
MOST_INDEXES = 40  # of the samples of a cell that are not shown themselves
MOST_PIXELS = 2**24  # of an image that is scaled down here


@dataclass(frozen=True)
class Sample:
    """A test sample that samples.npz keeps."""

    index: Shown
    confidence: Shown
    image: str | None  # the address of its picture inside the page; None of a table of numbers, or past the limit
    features: list[Shown]  # of a table of numbers


@dataclass(frozen=True)
class Cell:
    """A count, or a share, of the matrix; `panel` is the id of what it opens, None where there is nothing to open."""

    count: Shown
    share: int  # of the row, on the scale of the colour, from 0 to 100
    wrong: bool
    panel: str | None


@dataclass(frozen=True)
class Panel:
    """The samples of a cell."""

    id: str
    true: Shown
    predicted: Shown
    wrong: bool
    count: Shown
    samples: list[Sample]
    pictured: bool
    kept: Shown | None  # how many of them are shown, where that is not all
    others: Shown | None  # the indexes of some that are not
    more: bool  # whether there are still others


@dataclass(frozen=True)
class Confusion:
    """The matrix (of up to `MANY_CLASSES` classes), its most frequent errors, and all panels."""

    names: list[Shown]
    rows: list[list[Cell]] | None
    short: bool  # whether the names have room above the columns without being turned
    shares: list[tuple[str, list[list[Cell]]]]  # of the true class, and of the predicted one; what each is called
    most: list[dict[str, Any]]
    panels: list[Panel]
    features: Features | None  # of the samples in the panels


def confusion(run: Run) -> Confusion | None:
    """None before the test split was read."""
    if run.confusion is None or run.per_class is None or len(run.per_class) != len(run.confusion):
        return None
    counts = run.confusion.to_numpy()
    names = [Shown(name, f"per_class.csv#{at}/class") for at, name in enumerate(run.per_class["class"], start=1)]
    whole = len(counts) <= MANY_CLASSES
    errors = _most_errors(counts)
    asked = [(int(row), int(column)) for row, column in np.argwhere(counts > 0)] if whole else errors
    kept = _kept(run)
    told = features(run, kept)
    panels = _panels(run, kept, told, counts, names, sorted(asked, key=lambda place: (place[0] == place[1], place)))
    opened = {panel.id for panel in panels}
    rows = None
    if whole:
        rows = [[_cell(counts, row, column, opened) for column in range(len(counts))] for row in range(len(counts))]
    most = [_error(counts, names, *place, opened) for place in errors]
    shares = list(_shares(counts)) if len(counts) <= EXACT else []
    short = all(len(name.text) <= SHORT for name in names)
    return Confusion(names, rows, short, shares, most, panels, told)


def _shares(counts: np.ndarray) -> Iterator[tuple[str, list[list[Cell]]]]:
    """The matrix as percentages of its rows, then of its columns; a blank where a row or column is empty."""
    diagonals = (
        ("Shares of the true class: recall on the diagonal", 1),
        ("Shares of the predicted class: precision", 0),
    )
    for called, axis in diagonals:
        sums = np.broadcast_to(counts.sum(axis=axis, keepdims=True), counts.shape)
        places = range(len(counts))
        yield called, [[_share(counts, sums, row, column, axis == 1) for column in places] for row in places]


def _share(counts: np.ndarray, sums: np.ndarray, row: int, column: int, of_true: bool) -> Cell:
    share = None if sums[row, column] == 0 else float(counts[row, column] / sums[row, column])
    whole = f"per_class.csv#{row + 1}/support" if of_true else f"confusion.csv#*/{column + 1}"
    shown = percent(share, f"confusion.csv#{row + 1}/{column + 1} over {whole}")
    return Cell(shown, _depth(share or 0.0), row != column, None)


def _depth(share: float) -> int:
    # a square root and a start above nothing, so that errors of a few percent show
    return round(15 + 85 * share**0.5) if share > 0 else 0


def _most_errors(counts: np.ndarray) -> list[tuple[int, int]]:
    """The most frequent errors, ties in the order of the classes."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    return [place for place in (divmod(int(flat), len(counts)) for flat in order) if wrong[place] > 0]


def _id(row: int, column: int) -> str:
    return f"cell-{row + 1}-{column + 1}"


def _cell(counts: np.ndarray, row: int, column: int, opened: set[str]) -> Cell:
    share = counts[row, column] / max(1, counts[row].sum())
    panel = _id(row, column)
    return Cell(
        amount(counts[row, column], f"confusion.csv#{row + 1}/{column + 1}"),
        _depth(float(share)),
        row != column,
        panel if panel in opened else None,
    )


def _error(counts: np.ndarray, names: Sequence[Shown], row: int, column: int, opened: set[str]) -> dict[str, Any]:
    cell, support = f"confusion.csv#{row + 1}/{column + 1}", f"per_class.csv#{row + 1}/support"
    panel = _id(row, column)
    return {
        "true": names[row],
        "predicted": names[column],
        "count": amount(counts[row, column], cell),
        "share": percent(counts[row, column] / counts[row].sum(), f"{cell} over {support}"),
        "panel": panel if panel in opened else None,
    }


def _panels(
    run: Run,
    kept: dict[str, np.ndarray],
    told: Features | None,
    counts: np.ndarray,
    names: Sequence[Shown],
    places: Sequence[tuple[int, int]],
) -> list[Panel]:
    """A panel for each cell of which at least one sample is known; errors have their pictures before the others."""
    predictions = _predictions(run)
    panels = []
    room = MOST_BYTES
    for row, column in places:
        label = {"label": row, "predicted": column}
        samples: list[Sample] = []
        shown: set[int] = set()
        for at in _members(kept, label) if kept else ():
            picture = None
            if _pictured(kept) and room > 0:
                picture = data_uri(kept["image"][at], float(kept["white"]))
                room -= len(picture)
            index = int(kept["index"][at])
            samples.append(
                Sample(
                    count(index, f"samples.npz#{at + 1}/index"),
                    probability(kept["confidence"][at], f"samples.npz#{at + 1}/confidence"),
                    picture,
                    told.of(at) if told else [],
                )
            )
            shown.add(index)
        others = [at for at in _members(predictions, label) if int(predictions["index"][at]) not in shown]
        if not samples and not others:
            continue
        panels.append(
            Panel(
                _id(row, column),
                names[row],
                names[column],
                row != column,
                amount(counts[row, column], f"confusion.csv#{row + 1}/{column + 1}"),
                samples,
                any(sample.image for sample in samples),
                count(len(samples), f"samples.npz#{row + 1}/{column + 1}")
                if len(samples) < counts[row, column]
                else None,
                _listed(predictions["index"], others[:MOST_INDEXES]) if others else None,
                len(others) > MOST_INDEXES,
            )
        )
    return panels


def _kept_of(samples: int, row: int, column: int) -> Shown:
    return count(samples, f"samples.npz#{row + 1}/{column + 1}")


def _listed(indexes: np.ndarray, at: Sequence[int]) -> Shown:
    places = ",".join(str(place + 1) for place in at)
    return Shown(", ".join(str(int(indexes[place])) for place in at), f"predictions.csv#{places}/index")


def _members(table: dict[str, np.ndarray], label: dict[str, int]) -> list[int]:
    """The positions of the samples of a cell; mistakes by falling confidence, where that is there."""
    at = np.flatnonzero((table["label"] == label["label"]) & (table["predicted"] == label["predicted"]))
    if "confidence" in table and label["label"] != label["predicted"]:
        at = at[np.argsort(-table["confidence"][at], kind="stable")]
    return [int(each) for each in at]


def _kept(run: Run) -> dict[str, np.ndarray]:
    """samples.npz as far as it is what a run writes; a stranger's may be anything."""
    kept = run.samples or {}
    flat = ("index", "label", "predicted", "confidence")
    if any(name not in kept or kept[name].ndim != 1 or kept[name].dtype.kind not in "iuf" for name in flat):
        return {}
    return kept if np.isfinite(kept["index"].astype(float)).all() else {}


def _pictured(kept: dict[str, np.ndarray]) -> bool:
    image, white = kept["image"], kept.get("white")
    return (
        image.ndim == 4
        and min(image.shape) > 0
        and image[0].size <= MOST_PIXELS
        and image.dtype.kind in "iufb"
        and white is not None
        and white.ndim == 0
        and white.dtype.kind in "iuf"
        and float(white) > 0
    )


def _predictions(run: Run) -> dict[str, np.ndarray]:
    names = ("index", "label", "predicted")
    empty = dict.fromkeys(names, np.zeros(0, dtype=np.int64))
    try:
        table = run.predictions
    except ValueError:  # pandas' own errors are such; the matrix is there without it
        table = None
    if table is None or not set(names) <= set(table.columns):
        return empty
    found = {name: table[name].to_numpy() for name in names}
    return found if all(column.dtype.kind in "iu" for column in found.values()) else empty
