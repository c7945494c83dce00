"""What a notebook shows of a run and of a sweep: a headline and a small table. Text from a folder is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from labrunner import comparison
from labrunner.records.names import odd
from labrunner.selection import finished

if TYPE_CHECKING:
    from labrunner.api.runs import Run
    from labrunner.api.sweeps import Sweep

MOST_ROWS = 30  # of a sweep; the table has all
COLUMNS = ("accuracy", "f1", "auroc", "loss")


def of_run(run: Run) -> str:
    """How a run ended, its validation and test metrics, and where it is."""
    config, rows = comparison.config_of(run), comparison.row_list(run)
    status = str(run.status)
    parts = [f"{text(run.choices.get('model', 'model'))} on {text(run.choices.get('dataset', 'data'))}: {text(status)}"]
    best = comparison.chosen_row(run)
    if best is not None:
        parts.append(f"epoch {best['epoch']} of {len(finished(rows))} by {text(config.get('monitor', ''))}")
    lines = [f"<b>{'; '.join(parts)}</b>"]
    if status != "done" and run.error is not None:
        lines.append(text(run.error))
    test = {} if odd(run.path / "test.json") else run.test or {}
    metrics = [("validation", {name: best[f"val_{name}"] for name in COLUMNS})] if best is not None else []
    if test:
        metrics.append(("test", test))
    if metrics:
        body = [[name, *(number(values.get(column)) for column in COLUMNS)] for name, values in metrics]
        lines.append(table(["", *COLUMNS], body))
    low, high = test.get("accuracy_low"), test.get("accuracy_high")
    if is_number(low) and is_number(high):
        lines.append(f"test accuracy, 95% interval: {low:.3f} to {high:.3f}")
    lines.append(f"<code>{text(run.path)}</code>")
    return joined(lines)


def of_sweep(sweep: Sweep) -> str:
    """The table of a sweep, best run first."""
    names = ["number", "status", *sweep.keys, "best_epoch", "val_loss", "val_accuracy", "seconds"]
    listed = comparison.table(sweep.recorded)
    done = sum(row["status"] == "done" for row in listed)
    what = f"{len(listed)} runs over {', '.join(map(text, sweep.keys))}" if sweep.keys else f"{len(listed)} runs"
    body = [
        [text(comparison.as_typed(row[name])) if name in sweep.keys else number(row[name]) for name in names]
        for row in listed[:MOST_ROWS]
    ]
    more = [f"… and {len(listed) - MOST_ROWS} more"] if len(listed) > MOST_ROWS else []
    head = f"<b>sweep of {what}: {done} done; sorted by {text(sweep.recorded.monitor)}</b>"
    return joined([head, table(names, body), *more, f"<code>{text(sweep.path)}</code>"])


def joined(lines: Iterable[str]) -> str:
    return "<div>" + "".join(f"<div>{line}</div>" for line in lines) + "</div>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells that are HTML already."""
    head = "".join(f"<th>{text(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def text(value: object) -> str:
    """Text from outside as HTML, cut where it is no name any more."""
    said = str(value)
    return escape(said if len(said) <= 300 else said[:299] + "…")


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(value: Any) -> str:
    """A value of a table: numbers in four digits, nothing where there is none."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0.0 else f"{value:.4g}"
    return text(value)
