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
from labrunner.told import plain
from labrunner.verbs.printing import one_line, show
from labrunner.verbs.verdicts import print_verdict
from labrunner.verdict import MCNEMAR, VERDICT, Judgement, judge

REPORT = "report.html"
BLANK = "-"
MARK = "*"  # stands before the best row
GAP = "  "

# where a terminal is narrow: the columns that go, in this order, and the names that are shortened then
FIRST_TO_GO = ("seconds", "val_auroc", "test_auroc", "val_f1", "test_f1", "val_loss")
SHORT = {"val_accuracy": "val_acc", "test_accuracy": "test_acc", "best_epoch": "epoch"}
LAST_TO_GO = ("folder",)
NUMBER = re.compile(r"-?\d[\d.,]*(e[-+]?\d+)?( ± \S+)?|\d+/\d+|nan")


def print_sweep(sweep: Sweep, judgement: Judgement | None = None) -> None:
    """The table of a sweep's or a comparison's runs, the one folded over seeds, the verdict, and where the best run is.

    `judgement` is what is said between the runs, where that is known already.
    """
    rows = comparison.table(sweep)
    show("\n".join(table_of(sweep, rows)))
    groups = comparison.over_seeds(sweep, rows)
    if groups:
        show("\n".join(["", *folded_table(sweep, groups)]))
    print_verdict(judge(sweep, rows) if judgement is None else judgement, terminal_width())
    best = comparison.best_of(sweep, rows)
    if why := no_best_text(sweep):
        show(f"\n{why}")
    elif best is not None:
        member, row = best
        show(f"\nbest: {best_text(sweep, groups, member, row)}")
        show(f"  {folder_text(member.path)}")
    for line in comparison.notes(sweep):
        show(f"note: {one_line(plain(line))}")
    if (sweep.path / REPORT).is_file():
        show(f"report: {folder_text(sweep.path / REPORT)}")
    judged = next((name for name in (VERDICT, MCNEMAR) if (sweep.path / name).is_file()), None)
    drawn = "figures" if any((sweep.path / "figures").glob("*.png")) else None
    files = [name for name in ("sweep.csv", judged, drawn) if name is not None]
    several = f"{', '.join(files[:-1])} and {files[-1]}" if files[1:] else files[0]
    show(f"all: {several}\n  {folder_text(sweep.path)}")


def table_of(
    sweep: Sweep, rows: Sequence[Mapping[str, Any]], more: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """The lines of a table of `comparison.table`'s rows, the best one marked; columns without any value are left out.

    `more` are columns behind those, by their name, a cell for each row. What a narrow terminal has no room for is
    named in a last line.
    """
    best = comparison.best_of(sweep, rows)
    names = comparison.columns(sweep)
    counted = comparison.numbers(sweep)
    kept = [name for name in names if name not in counted or any(row[name] is not None for row in rows)]
    cells = [
        [
            MARK if best is not None and row["number"] == best[1]["number"] else "",
            *(
                value_text(sweep, name, row[name]) if name in sweep.keys else cell_text(name, row[name])
                for name in kept
            ),
            *(column[at] for column in (more or {}).values()),
        ]
        for at, row in enumerate(rows)
    ]
    header, cells, gone = fitting(["", *kept, *(more or {})], cells, keep=(*sweep.keys, sweep.monitor))
    file = "comparison.csv" if sweep.is_comparison else "sweep.csv"
    return [*aligned(header, cells), *([f"{file} has more: {', '.join(gone)}"] if gone else [])]


def no_best_text(sweep: Sweep) -> str:
    """Why no row is marked as the best; nothing where there is no need to say so."""
    why = comparison.why_no_best(sweep)
    return f"best: none; {why}" if why else ""


def best_text(sweep: Sweep, groups: Sequence[Mapping[str, Any]], member: Member, row: Mapping[str, Any]) -> str:
    """The best values and their metric; over several seeds the best setting, and not the luckiest seed."""
    first = comparison.best_over_seeds(sweep, groups)
    if first is not None:
        keys = [key for key in sweep.keys if key != "seed"]
        said = " ".join(f"{key}={value_text(sweep, key, first[key])}" for key in keys)
        spread = spread_text(first[sweep.monitor], first[f"{sweep.monitor}_sd"])
        alone = " ".join(f"{key}={value_text(sweep, key, row[key])}" for key in sweep.keys)
        return f"{said}, {sweep.monitor} {spread} over {first['n']} seeds; of single runs {alone}"
    said = " ".join(f"{key}={value_text(sweep, key, row[key])}" for key in sweep.keys)
    value = comparison.monitored_value(member, sweep.monitor)
    metric = "" if value is None else f"{sweep.monitor} {metric_text(value)} at epoch {row['best_epoch']}"
    return ", ".join(part for part in (said, metric) if part)


def folded_table(sweep: Sweep, groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of the table folded over ``seed``: mean ± standard deviation, the best setting marked."""
    keys = [key for key in sweep.keys if key != "seed"]
    best = comparison.best_over_seeds(sweep, groups)
    counts = ["n", *(["diverged"] if any(group["diverged"] for group in groups) else [])]
    shown = [name for name in comparison.numbers(sweep) if name not in ("best_epoch", "seconds")]
    shown = [name for name in shown if any(group[name] is not None for group in groups)]
    cells = [
        [
            MARK if group is best else "",
            *(value_text(sweep, key, group[key]) for key in keys),
            *(str(group[name]) for name in counts),
            *(spread_text(group[name], group[f"{name}_sd"]) for name in shown),
        ]
        for group in groups
    ]
    title = "over seeds: mean ± standard deviation of the n runs that are done"
    header, cells, _ = fitting(["", *keys, *counts, *shown], cells, keep=(*keys, sweep.monitor))
    return [title, *aligned(header, cells)]


# cells


def value_text(sweep: Sweep, key: str, value: Any) -> str:
    """A swept key's value as it is typed; blank where a run does not have the key, unless null is one of its values."""
    is_null = value is None and any(member.values.get(key, BLANK) is None for member in sweep.members)
    return BLANK if value is None and not is_null else comparison.as_typed(value)


def cell_text(name: str, value: Any) -> str:
    """A cell of `comparison.table`."""
    if value is None:
        return BLANK
    if name == "seconds":
        return f"{value:.1f}"
    return metric_text(value) if isinstance(value, float) else str(value)


def metric_text(value: float | None) -> str:
    """Four decimals, or an exponent where those would say nothing or too much."""
    if value is None:
        return BLANK
    return f"{value:.4f}" if is_plain(value) else f"{value:.1e}"


def is_plain(value: float) -> bool:
    return value == 0 or 5e-5 <= abs(value) < 1e5


def spread_text(mean: float | None, deviation: float | None) -> str:
    """``0.9402 ± 0.0018``: the deviation to as many decimals as its mean, in which rounding noise is zero."""
    if mean is None or deviation is None:
        return metric_text(mean)
    noise = deviation <= 1e-12 * abs(mean)
    small = is_plain(mean) and deviation < 1e5
    return f"{metric_text(mean)} ± {'0.0000' if noise else f'{deviation:.4f}' if small else metric_text(deviation)}"


def folder_text(path: Any) -> str:
    """A path as one can paste it."""
    return shlex.quote(str(path))


# alignment


def fitting(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    keep: Collection[str] = (),
    first: Sequence[str] = FIRST_TO_GO,
) -> tuple[list[str], list[list[str]], list[str]]:
    """Header and rows in the width of the terminal, and the names of the columns that went for that.

    First go those named `first` that are not to be kept, then names are shortened, then go those of `LAST_TO_GO`.
    """
    room, kept, names, gone = terminal_width(), list(range(len(header))), list(header), []

    def too_wide() -> bool:
        lines = [[line[at] for at in kept] for line in (names, *rows)]
        wide = sum(max(width(one_line(cell)) for cell in column) + len(GAP) for column in zip(*lines, strict=True))
        return room is not None and wide - len(GAP) > room

    for name in (*first, "", *LAST_TO_GO):
        if not too_wide():
            break
        if not name:
            names = shortened(header)
        elif name in header and name not in keep:
            kept = [at for at in kept if header[at] != name]
            gone.append(name)
    return [names[at] for at in kept], [[row[at] for at in kept] for row in rows], gone


def shortened(header: Sequence[str]) -> list[str]:
    """The names of columns in fewer letters, of keys their last part, where these still tell them apart."""
    short = [SHORT.get(name, name.rpartition(".")[2]) for name in header]
    return [name if short.count(less) > 1 else less for name, less in zip(header, short, strict=True)]


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
