"""What the part on training says: the rows of ``metrics.csv`` as a table, and the same rows as curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from labrunner.records import METRICS, Row, Run
from labrunner.report.origin import Shown, count, measured, percent
from labrunner.report.plot import Axis, Line, Plot, epochs_axis, marks, path, ticks, values_axis
from labrunner.thinning import evenly

MOST_ROWS = 200  # of a longer run so many, evenly from the first to the last epoch
SHARES = tuple(name for name in METRICS if name.endswith("accuracy"))
PANELS = {
    "loss": (("train_loss", "training", "train"), ("val_loss", "validation", "val")),
    "accuracy": (("train_accuracy", "training", "train"), ("val_accuracy", "validation", "val")),
    "validation metrics, macro": (
        ("val_precision", "precision", "first"),
        ("val_recall", "recall", "second"),
        ("val_f1", "F1", "third"),
        ("val_auroc", "AUROC", "fourth"),
    ),
    "learning rate of the last step": (("lr", "learning rate", "first"),),
}


class Epochs(NamedTuple):
    """The rows that are shown, the panels in front and those that are folded away."""

    columns: tuple[str, ...]
    rows: list[list[Shown]]
    first: Shown  # the epoch whose values are told until another is pointed at
    first_is_chosen: bool
    diverged: Shown | None  # the epoch in which the run did
    left_out: Shown | None  # the last epoch, of how many the rows are some, where not all are there
    panels: list[Plot]
    folded: list[Plot]
    is_validated: bool


def epochs(run: Run) -> Epochs | None:
    """None before a row says more than its learning rate, which is all that one says that diverged at once."""
    recorded = run.row_list
    if not any(_there(row[column]) for row in recorded for column in METRICS if column not in ("epoch", "lr")):
        return None
    chosen = None if run.chosen is None else run.chosen.epoch
    kept = set(evenly(len(recorded), MOST_ROWS).tolist())
    kept |= {index for index, row in enumerate(recorded) if row["epoch"] == chosen}
    rows = [recorded[index] for index in sorted(kept)]
    told = next((row for row in rows if row["epoch"] == chosen), rows[-1])
    diverged = rows[-1]["epoch"] if run.status == "diverged" else None
    drawn = {title: _plot(title, rows, told, chosen, diverged) for title in PANELS}
    if len({row["lr"] for row in rows if _there(row["lr"])}) < 2:
        drawn["learning rate of the last step"] = None
    plots = [plot for plot in drawn.values() if plot is not None]
    return Epochs(
        METRICS,
        [[_cell(row, column) for column in METRICS] for row in rows],
        _cell(told, "epoch"),
        chosen is not None,
        None if diverged is None else _cell(rows[-1], "epoch"),
        _cell(rows[-1], "epoch") if len(rows) < len(recorded) else None,
        [plot for plot in plots if plot.title in ("loss", "accuracy")],
        [plot for plot in plots if plot.title not in ("loss", "accuracy")],
        any(_there(row[column]) for row in rows for column in ("val_loss", "val_accuracy")),
    )


def _there(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _cell(row: Row, column: str) -> Shown:
    source = f"metrics.csv#{row['epoch']}/{column}"
    if column == "epoch":
        return count(row[column], source)
    return percent(row[column], source) if column in SHARES else measured(row[column], source, 4, padded=column != "lr")


def _plot(title: str, rows: Sequence[Row], told: Row, chosen: int | None, diverged: int | None) -> Plot | None:
    """None where nothing of it was recorded."""
    columns = [(column, *how) for column, *how in PANELS[title] if any(_there(row[column]) for row in rows)]
    if not columns:
        return None
    x = epochs_axis([row["epoch"] for row in rows])
    shares = title in ("accuracy", "validation metrics, macro")  # none is more than one
    values = [row[column] for column, *_ in columns for row in rows if _there(row[column])]
    y = values_axis(values, math.inf if shares else 1.0 if columns[0][0] == "lr" else 2.0)
    if shares:  # no share is more than all
        y = y._replace(low=max(y.low, min(0.0, min(values))), high=min(y.high, max(1.0, max(values))))
    lines = []
    for column, name, style in columns:
        places = [_place(x, y, row, column) for row in rows]
        lines.append(Line(column, name, style, path(places), marks(places), _cell(told, column)))
    return Plot(
        title,
        x,
        y,
        ticks(x, whole=True),
        ticks(y, percent=title == "accuracy"),
        lines,
        None if chosen is None else x.place(chosen),
        None if diverged is None else x.place(diverged),
        shares,
    )


def _place(x: Axis, y: Axis, row: Row, column: str) -> tuple[float, float] | None:
    return (x.place(row["epoch"]), y.place(row[column])) if _there(row[column]) else None
