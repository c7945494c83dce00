"""Which epoch is chosen and whether patience has run out: functions of the recorded rows alone.

Whoever asks, while training, on resuming or years later on a page, gets the same answer from the same `metrics.csv`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Why = Literal["best", "last", "blank"]


class Chosen(NamedTuple):
    """The epoch that is tested, and why that one."""

    epoch: int
    why: Why  # best by the monitor; last, as select=last asks; last since the monitor's column is blank


def finished(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of epochs that came to their end: the row at which a run diverged is blank, and is none."""
    return [row for row in rows if _number(row["train_loss"]) is not None]


def monitored(row: Mapping[str, Any], monitor: str) -> float | None:
    """The monitored value of a row, turned so that smaller is better; None where it is blank."""
    value = _number(row[monitor])
    return value if value is None or monitor.endswith("_loss") else -value


def chosen(rows: Sequence[Mapping[str, Any]], monitor: str, select: str) -> Chosen | None:
    """The best epoch by the monitor, the earlier one of a tie, or the last; None before the first has finished."""
    rows = finished(rows)
    if not rows:
        return None
    last = int(rows[-1]["epoch"])
    if select == "last":
        return Chosen(last, "last")
    values = {int(row["epoch"]): value for row in rows if (value := monitored(row, monitor)) is not None}
    return Chosen(min(values, key=values.__getitem__), "best") if values else Chosen(last, "blank")


def stopped_early(rows: Sequence[Mapping[str, Any]], monitor: str, patience: int | None) -> bool:
    """Whether the monitor has not improved for `patience` epochs in a row."""
    best = chosen(rows, monitor, "best")
    if patience is None or best is None or best.why == "blank":
        return False
    return int(finished(rows)[-1]["epoch"]) - best.epoch >= patience


def longer(epochs: int) -> int:
    """How many epochs to try where those of a run were too few, or are to be more; whoever says so asks here."""
    return 2 * epochs


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
