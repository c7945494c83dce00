"""Tables for a terminal, and the one that a sweep ends with."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from labrunner import comparison
from labrunner.records import Member, Sweep
from labrunner.verbs.printing import clean, show

BLANK = "-"
MARK = "*"  # stands before the best row
GAP = "  "
FIRST_TO_GO = ("val_auroc", "test_auroc", "val_f1", "test_f1", "seconds")  # where a terminal is narrow; files have them
NUMBER = re.compile(r"-?\d[\d.,]*(e[-+]?\d+)?( ± \S+)?|\d+/\d+|nan")


def print_sweep(sweep: Sweep) -> None:
    """The table of a sweep's or a comparison's runs, the one folded over seeds, and where the best run is."""
    rows = comparison.table(sweep)
    show("\n".join(table_of(sweep, rows)))
    if "seed" in sweep.keys:
        lines = folded_table(sweep, rows)
        if lines:
            show("\n".join(["", *lines]))
    best = best_of(sweep, rows)
    if best is not None:
        member, row = best
        said = [f"{key}={comparison.as_typed(row[key])}" for key in sweep.keys]
        value = comparison.monitored_value(member, sweep.monitor)
        metric = "" if value is None else f"{sweep.monitor} {metric_text(value)} at epoch {row['best_epoch']}"
        show(f"\nbest: {', '.join([' '.join(said), metric] if said and metric else [*said, metric])}")
        show(f"  {folder_text(member.path)}")


def table_of(
    sweep: Sweep, rows: Sequence[Mapping[str, Any]], more: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """The lines of a table of `comparison.table`'s rows, the best one marked; columns without any value are left out.

    `more` are columns behind those, by their name, a cell for each row.
    """
    best = best_of(sweep, rows)
    names = comparison.columns(sweep)
    kept = [name for name in names if name not in comparison.NUMBERS or any(row[name] is not None for row in rows)]
    cells = [
        [
            MARK if best is not None and row["number"] == best[1]["number"] else "",
            *(cell_text(name, row[name], is_value=name in sweep.keys) for name in kept),
            *(column[at] for column in (more or {}).values()),
        ]
        for at, row in enumerate(rows)
    ]
    return aligned(*fitting(["", *kept, *(more or {})], cells))


def best_of(sweep: Sweep, rows: Sequence[Mapping[str, Any]]) -> tuple[Member, Mapping[str, Any]] | None:
    """The run at the head of the table, if it is done and there is something to be best in."""
    if not rows or rows[0]["status"] != "done":
        return None
    member = next(member for member in sweep.members if member.number == rows[0]["number"])
    return None if comparison.monitored_value(member, sweep.monitor) is None else (member, rows[0])


def folded_table(sweep: Sweep, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of the table folded over ``seed``: mean ± standard deviation; none where no two runs fold."""
    keys = [key for key in sweep.keys if key != "seed"]
    groups = comparison.folded(rows, sweep.keys, comparison.NUMBERS)
    if not any(group["n"] > 1 for group in groups):
        return []
    means = [group[sweep.monitor] for group in groups if group.get(sweep.monitor) is not None]
    best = (min if sweep.monitor.endswith("_loss") else max)(means, default=None)
    counts = ["n", *(["diverged"] if any(group["diverged"] for group in groups) else [])]
    shown = [*comparison.VAL, *comparison.TEST]
    shown = [name for name in shown if any(group[name] is not None for group in groups)]
    cells = [
        [
            MARK if best is not None and len(groups) > 1 and group.get(sweep.monitor) == best else "",
            *(cell_text(key, group[key], is_value=True) for key in keys),
            *(str(group[name]) for name in counts),
            *(spread_text(group[name], group[f"{name}_sd"]) for name in shown),
        ]
        for group in groups
    ]
    title = "over seeds: mean ± standard deviation of the n runs that are done"
    return [title, *aligned(*fitting(["", *keys, *counts, *shown], cells))]


# cells


def cell_text(name: str, value: Any, *, is_value: bool = False) -> str:
    """A cell of `comparison.table`; `is_value`: of a swept key, shown as it is typed."""
    if is_value:
        return BLANK if value is None else comparison.as_typed(value)
    if value is None:
        return BLANK
    if name == "seconds":
        return f"{value:.1f}"
    return metric_text(value) if isinstance(value, float) else str(value)


def metric_text(value: float | None) -> str:
    """Four decimals, or an exponent where those would say nothing or too much."""
    if value is None:
        return BLANK
    plain = value == 0 or 5e-5 <= abs(value) < 1e5
    return f"{value:.4f}" if plain else f"{value:.1e}"


def spread_text(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return BLANK
    return metric_text(mean) if deviation is None else f"{metric_text(mean)} ± {metric_text(deviation)}"


def folder_text(path: Any) -> str:
    """A path as one can paste it."""
    return shlex.quote(str(path))


# alignment


def fitting(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows without the columns of `FIRST_TO_GO` that a narrow terminal has no room for."""
    room, kept = terminal_width(), list(range(len(header)))
    for name in FIRST_TO_GO:
        lines = [[line[at] for at in kept] for line in (header, *rows)]
        wide = sum(max(map(width, column)) + len(GAP) for column in zip(*lines, strict=True)) - len(GAP)
        if room is None or wide <= room:
            break
        kept = [at for at in kept if header[at] != name]
    return [header[at] for at in kept], [[row[at] for at in kept] for row in rows]


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[str] = ()) -> list[str]:
    """A header and rows of text as lines: numbers to the right, words to the left, as wide as they are.

    A column is one of numbers where each of its cells is a number or blank, and it is not named in `left`. In a
    terminal the lines are cut to its width; piped they are whole.
    """
    lines = [[one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(width(cell) for cell in column) for column in zip(*lines, strict=True)]
    numbers = (
        [
            name not in left and all(NUMBER.fullmatch(cell) or cell == BLANK for cell in column)
            for name, column in zip(header, zip(*lines[1:], strict=True), strict=True)
        ]
        if rows
        else [False] * len(header)
    )
    room = terminal_width()
    shown = []
    for line in lines:
        padded = (
            " " * (most - width(cell)) + cell if number else cell + " " * (most - width(cell))
            for cell, most, number in zip(line, widths, numbers, strict=True)
        )
        shown.append(cut(GAP.join(padded).rstrip(), room))
    return shown


def one_line(text: str) -> str:
    """Text from outside in one line of a terminal."""
    return clean(text).replace("\n", "\\n").replace("\t", "\\t")


def width(text: str) -> int:
    """The columns that a terminal gives a text: two for a wide character, none for one that combines."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def terminal_width() -> int | None:
    """The terminal's columns; None where stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cut(text: str, room: int | None) -> str:
    """A line in at most `room` columns, with … where something was left out."""
    if room is None or width(text) <= room:
        return text
    while text and width(text) > room - 1:
        text = text[:-1]
    return text + "…"
