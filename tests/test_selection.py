"""Which epoch is chosen, and when patience has run out."""

from __future__ import annotations

import math
from typing import Any

import pytest

from labrunner.selection import chosen, finished, stopped_early


def rows_of(values: list[float | None], column: str = "val_loss") -> list[dict[str, Any]]:
    """Rows with these values in a column, of epochs that came to their end."""
    blank = {"train_loss": 1.0, "val_loss": None, "val_f1": None}
    return [blank | {"epoch": n, column: value} for n, value in enumerate(values, start=1)]


def stops_after(values: list[float | None], patience: int | None, monitor: str = "val_loss") -> int | None:
    rows = rows_of(values, monitor)
    return next((n for n in range(len(rows) + 1) if stopped_early(rows[:n], monitor, patience)), None)


def test_patience_of_two_stops_after_the_second_epoch_without_gain():
    assert stops_after([5.0, 4.0, 4.5, 4.5, 1.0], patience=2) == 4
    assert stops_after([5.0, 4.0, 4.5, 3.0, 3.5, 3.1], patience=2) == 6
    assert stops_after([5.0, 4.0, 4.0, 4.0], patience=2) == 4, "a tie is no gain"
    assert stops_after([5.0, 4.0, 3.0, 2.0], patience=2) is None
    assert stops_after([5.0, 6.0, 7.0], patience=None) is None
    assert stops_after([5.0, 6.0], patience=1) == 2


def test_stopping_by_a_score_waits_for_it_to_rise():
    assert stops_after([0.5, 0.6, 0.55, 0.6], patience=2, monitor="val_f1") == 4
    assert stops_after([0.5, 0.4, 0.6, 0.7], patience=2, monitor="val_f1") is None


def test_epochs_without_a_number_are_no_gain():
    assert stops_after([None, None, None, None], patience=1) is None
    assert stops_after([0.5, None, None], patience=2, monitor="val_f1") == 3


@pytest.mark.parametrize(
    ("monitor", "values", "best"),
    [
        ("val_loss", [3.0, 1.0, 2.0, 1.0], 2),
        ("train_loss", [3.0, 1.0, 0.5], 3),
        ("val_f1", [0.1, 0.9, 0.9, 0.2], 2),
        ("train_accuracy", [0.4, 0.3], 1),
        ("val_auroc", [None, 0.4, None, 0.3], 2),
        ("val_auroc", [math.nan, 0.4], 2),
        ("val_auroc", [None, None], 2),
        ("val_f1", [0.0, 0.0], 1),
        ("val_loss", [-1.0, -2.0], 2),
    ],
)
def test_losses_are_minimized_others_maximized_and_ties_keep_the_earlier(monitor, values, best):
    rows = rows_of(values, monitor)
    why = "blank" if not any(value is not None and value == value for value in values) else "best"
    assert chosen(rows, monitor, "best") == (best, why)
    assert chosen(rows, monitor, "last") == (len(rows), "last")


def test_no_rows_choose_no_epoch():
    for select in ("best", "last"):
        assert chosen([], "val_loss", select) is None


DIVERGED = {"epoch": 4, "train_loss": None, "val_loss": None, "val_f1": None}


@pytest.mark.parametrize(
    ("monitor", "select", "epoch"), [("val_loss", "best", 2), ("val_loss", "last", 3), ("val_f1", "best", 3)]
)
def test_the_blank_row_of_a_run_that_diverged_is_no_epoch(monitor, select, epoch):
    rows = [*rows_of([3.0, 1.0, 2.0]), DIVERGED]
    assert chosen(rows, monitor, select).epoch == epoch
    assert len(finished(rows)) == 3
    assert chosen([DIVERGED], monitor, select) is None
    assert not stopped_early(rows, "val_loss", patience=2)
