"""The page of a sweep, or of a comparison: from its folder's files to texts with their origins, no HTML.

The numbers of runs are those of sweep.csv (comparison.csv), whose rows are the record of a page; the verdict is shown
only as long as it is the one in verdict.csv (mcnemar.csv).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from labrunner import comparison
from labrunner.files import atomic_write
from labrunner.helping import GROUPS
from labrunner.records import Run, Sweep, load_sweep
from labrunner.records.names import odd
from labrunner.records.sweep import relative
from labrunner.report import content
from labrunner.report.compared import figures
from labrunner.report.judged import judged, read_lines, shown, verdict
from labrunner.report.origin import BLANK, Shown, count, exact, metric, number, percent
from labrunner.report.page import page
from labrunner.report.repeating import anew

SHORT = 24  # letters
NAMES = {
    "number": "run",
    "best_epoch": "epoch",
    "val_f1": "val F1",
    "val_auroc": "val AUROC",
    "test_f1": "test F1",
    "test_auroc": "test AUROC",
}


class Column(NamedTuple):
    title: str | Shown
    is_number: bool


class Cell(NamedTuple):
    shown: tuple[str | Shown, ...]
    is_number: bool
    value: str = ""  # what is sorted by
    link: str = ""  # to the run's own page

    @property
    def is_short(self) -> bool:
        """Whether it stands whole on paper: a word as "dropout", not a list of settings."""
        return sum(len(piece if isinstance(piece, str) else piece.text) for piece in self.shown) <= 9


class Line(NamedTuple):
    """A row of a table on the page."""

    cells: list[Cell]
    is_best: bool  # by validation


@dataclass
class Table:
    """The rows of sweep.csv as the page needs them."""

    file: str
    header: list[str]
    rows: list[dict[str, str]]
    rivals: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # (row, from 1), without the first run

    def number(self, at: int, name: str) -> float | None:
        return _float(self.rows[at - 1].get(name, ""))

    def source(self, at: int | str, name: str) -> str:
        return f"{self.file}#{at}/{name}"


def render(sweep: Sweep) -> str:
    """The page of a sweep or a comparison, with the figures that stand in its folder."""
    table = read_table(sweep)
    groups = folded(sweep, table)
    judgement, is_recorded = judged(sweep)
    drawn = figures(sweep.path)
    why_none = comparison.why_no_best(sweep)
    return page(
        "sweep.html",
        kind="comparison" if sweep.is_comparison else "sweep",
        name=sweep.path.resolve().name,
        keys=[key_of(sweep, key) for key in sweep.keys],
        subject=subject(sweep),
        statuses=statuses(table),
        best=None if why_none else best(sweep, table, groups),
        why_none=why_none,
        verdict=verdict(judgement) if is_recorded else None,
        is_recorded=is_recorded,
        columns=columns(sweep, table),
        rows=rows(sweep, table, why_none),
        groups=group_cells(sweep, table, groups, why_none),
        notes=[shown(sentence) for sentence in comparison.notes(sweep)],
        differences=differences(sweep),
        figures=drawn,
        checks=content.checks(Run(sweep.path)) if not odd(sweep.path / "checks.csv") else [],
        command=anew(sweep.command, f"{comparison.listing(sweep)}#command") if sweep.command else None,
        monitor=sweep.monitor.replace("_", " ").replace("f1", "F1").replace("auroc", "AUROC"),
    )


def write(path: Path) -> Path:
    """Write ``report.html`` into the folder of a sweep or a comparison and return its path. Draw the figures first."""
    file = path / "report.html"
    atomic_write(file, render(load_sweep(path)))
    return file


# the table of runs


def read_table(sweep: Sweep) -> Table:
    """sweep.csv, or comparison.csv; empty where it is not there yet, or is not what a sweep writes."""
    file = "comparison.csv" if sweep.is_comparison else "sweep.csv"
    header, lines = read_lines(sweep.path / file)
    if header[:2] != ["number", "status"] or any(len(line) != len(header) for line in lines):
        return Table(file, [], [])
    table = Table(file, header, [dict(zip(header, line, strict=True)) for line in lines])
    numbers = {str(member.number) for member in sweep.without_first.members}
    table.rivals = [(at, row) for at, row in enumerate(table.rows, start=1) if row["number"] in numbers]
    return table


def columns(sweep: Sweep, table: Table) -> list[Column]:
    """Those with a value in some row, the keys as they are called."""
    return [
        Column(
            key_of(sweep, name) if name in sweep.keys else title_of(name),
            name in comparison.numbers(sweep) or name == "number",
        )
        for name in shown_columns(table)
    ]


def key_of(sweep: Sweep, key: str) -> Shown:
    """A swept key by its name."""
    return Shown(key, f"{comparison.listing(sweep)}#keys/{sweep.keys.index(key) + 1}")


def shown_columns(table: Table) -> list[str]:
    return [name for name in table.header if any(row[name] for row in table.rows)]


def title_of(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def rows(sweep: Sweep, table: Table, why_none: str) -> list[Line]:
    members = {str(member.number): member for member in sweep.members}
    head = None if why_none else best_row(sweep, table)
    made = []
    for at, row in enumerate(table.rows, start=1):
        member = members.get(row["number"])
        link = "" if member is None else link_to(sweep, member.path)
        cells = [cell_of(sweep, table, at, name) for name in shown_columns(table)]
        made.append(Line([cells[0]._replace(link=link), *cells[1:]], at == head))
    return made


def best_row(sweep: Sweep, table: Table) -> int | None:
    """The row, from 1, of the run at the head of the rivals, if it is done and there is something to be best in."""
    at, row = table.rivals[0] if table.rivals else (0, {"status": ""})
    is_blank = sweep.monitor in table.header and table.number(at, sweep.monitor) is None
    return at if row["status"] == "done" and not is_blank else None


def cell_of(sweep: Sweep, table: Table, at: int, name: str) -> Cell:
    text, value = table.rows[at - 1][name], table.number(at, name)
    source = table.source(at, name)
    if name in sweep.keys or name in ("status", "folder") or (value is None and text):
        return Cell((Shown(text or BLANK, source),), False, text)
    if name in ("number", "best_epoch"):
        return Cell((count(value, source),), True)
    if name == "seconds":
        return Cell((number(value, source, 1),), True)
    return Cell((metric(value, source),), name in comparison.numbers(sweep))


def link_to(sweep: Sweep, run: Path) -> str:
    """The way to a run's page, for a browser; nothing where it has none, or a sweep's run stands elsewhere."""
    if run.is_symlink() or not run.is_dir() or odd(run / "report.html") or not (run / "report.html").is_file():
        return ""
    if not sweep.is_comparison and run.parent != sweep.path:
        return ""
    way = relative(run / "report.html", sweep.path)
    return "" if os.path.isabs(way) else quote("./" + way, errors="surrogateescape")


def statuses(table: Table) -> list[tuple[Shown, str]]:
    """How many runs are done, diverged, …"""
    found: dict[str, list[int]] = {}
    for at, row in enumerate(table.rows, start=1):
        found.setdefault(row["status"], []).append(at)
    return [
        (Shown(str(len(found[status])), table.source(_places(found[status]), "status count")), status)
        for status in comparison.RANKS
        if status in found
    ]


def _places(rows: Sequence[int]) -> str:
    return ",".join(map(str, rows))


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


# seeds folded away


class Group(NamedTuple):
    """Rows that differ in their seed alone."""

    rows: list[int]  # those that are done
    diverged: list[int]
    first: int  # a row that has its values


def folded(sweep: Sweep, table: Table) -> list[Group]:
    """The rows by setting, the best first as in the terminal; none where no two runs fold."""
    if "seed" not in sweep.keys:
        return []
    others = [key for key in sweep.keys if key != "seed"]
    found: dict[tuple[str | None, ...], Group] = {}
    for at, row in sorted(table.rivals, key=lambda rival: _float(rival[1]["number"]) or 0):
        group = found.setdefault(tuple(row.get(key) for key in others), Group([], [], at))
        if row["status"] in ("done", "diverged"):
            (group.rows if row["status"] == "done" else group.diverged).append(at)
    if not any(len(group.rows) > 1 for group in found.values()):
        return []

    def place(group: Group) -> tuple[bool, float]:
        return comparison.standing(len(group.rows), spread(table, group, sweep.monitor)[0], sweep.monitor)

    return sorted(found.values(), key=place)


def best_group(sweep: Sweep, table: Table, groups: Sequence[Group]) -> Group | None:
    """The setting of several seeds with the best mean, if there is another one."""
    head = groups[0] if len(groups) > 1 else None
    is_it = head is not None and len(head.rows) > 1 and spread(table, head, sweep.monitor)[0] is not None
    return head if is_it else None


def spread(table: Table, group: Group, name: str) -> tuple[float | None, tuple[str | Shown, ...]]:
    """The mean of a column over a group's rows, and ``mean ± standard deviation``."""
    having = [at for at in group.rows if table.number(at, name) is not None]
    values = [value for at in having if (value := table.number(at, name)) is not None]
    mean, deviation = comparison.mean_and_sd(values)
    source = table.source(_places(having), name)
    if mean is None:
        return None, (BLANK,)
    told = metric(mean, f"{source} mean")
    return mean, (told,) if deviation is None else (told, "\u00a0±\u00a0", _deviation(deviation, mean, f"{source} sd"))


def _deviation(deviation: float, mean: float, source: str) -> Shown:
    """To as many decimals as its mean, in which rounding noise is zero."""
    is_plain = mean == 0 or 5e-5 <= abs(mean) < 1e5
    if is_plain and deviation < 1e5:
        return number(deviation, source, 4)
    return metric(0.0 if deviation <= 1e-12 * abs(mean) else deviation, source)


def group_cells(sweep: Sweep, table: Table, groups: Sequence[Group], why_none: str) -> dict[str, Any]:
    """Header and rows of the table folded over seeds; empty where nothing folds."""
    if not groups:
        return {}
    keys = [key for key in sweep.keys if key != "seed"]
    metrics = [name for name in comparison.numbers(sweep) if name not in ("best_epoch", "seconds")]
    names = [name for name in shown_columns(table) if name in metrics]
    any_diverged = any(group.diverged for group in groups)
    head = None if why_none else best_group(sweep, table, groups)
    made = []
    for group in groups:
        cells = [cell_of(sweep, table, group.first, key) for key in keys]
        cells.append(Cell((_count_of(table, group.rows),), True))
        if any_diverged:
            cells.append(Cell((_count_of(table, group.diverged),), True))
        for name in names:
            mean, told = spread(table, group, name)
            cells.append(Cell(told, True, "" if mean is None else repr(mean)))
        made.append(Line(cells, group is head))
    titles = [Column(key_of(sweep, key), False) for key in keys]
    titles += [Column("seeds", True), *([Column("diverged", True)] if any_diverged else [])]
    return {"columns": [*titles, *(Column(title_of(name), True) for name in names)], "rows": made}


def _count_of(table: Table, rows: Sequence[int]) -> Shown | str:
    return Shown(str(len(rows)), table.source(_places(rows), "number count")) if rows else "none"


# the headline


def subject(sweep: Sweep) -> list[Shown]:
    """The model and the data set, as far as all runs have the same."""
    told = []
    for group in ("model", "dataset"):
        found: dict[str, Shown] = {}
        for member, run in sweep.runs:
            if group in run.choices:
                folder = relative(member.path, sweep.path)
                found.setdefault(
                    run.choices[group], Shown(run.choices[group], f"{folder}/overrides.yaml#choices/{group}")
                )
        if len(found) == 1 and group not in sweep.keys:
            told += list(found.values())
    return told


def best(sweep: Sweep, table: Table, groups: Sequence[Group]) -> dict[str, Any] | None:
    """The setting, or run, that is best by validation: its values, that metric, and the accuracy on the test split."""
    if (first := best_group(sweep, table, groups)) is not None:
        keys = [key for key in sweep.keys if key != "seed"]
        mean = spread(table, first, "test_accuracy")[0]
        having = [at for at in first.rows if table.number(at, "test_accuracy") is not None]
        said = values(sweep, table, first.first, keys)
        return {
            "values": said,
            "is_short": is_short(said),
            "metric": spread(table, first, sweep.monitor)[1],
            "seeds": _count_of(table, first.rows),
            "test": None if mean is None else percent(mean, f"{table.source(_places(having), 'test_accuracy')} mean"),
            "link": "",
        }
    if (at := best_row(sweep, table)) is None:
        return None
    member = next((each for each in sweep.members if str(each.number) == table.rows[at - 1]["number"]), None)
    accuracy = table.number(at, "test_accuracy")
    said = values(sweep, table, at, sweep.keys)
    return {
        "values": said,
        "is_short": is_short(said),
        "metric": (metric(table.number(at, sweep.monitor), table.source(at, sweep.monitor)),)
        if sweep.monitor in table.header
        else (),
        "seeds": None,
        "test": None if accuracy is None else percent(accuracy, table.source(at, "test_accuracy")),
        "link": "" if member is None else link_to(sweep, member.path),
    }


def is_short(said: Sequence[str | Shown]) -> bool:
    """Whether it can stand in large letters."""
    return sum(len(piece) if isinstance(piece, str) else len(piece.text) for piece in said) <= SHORT


def values(sweep: Sweep, table: Table, at: int, keys: Sequence[str]) -> list[str | Shown]:
    """``optim.lr=0.1 optim=adam``, of a run without keys its number."""
    told: list[str | Shown] = []
    for key in keys:
        if table.rows[at - 1].get(key):
            name = key_of(sweep, key)
            told += [*([" "] if told else []), name, "=", Shown(table.rows[at - 1][key], table.source(at, key))]
    return told or ["run ", Shown(table.rows[at - 1]["number"], table.source(at, "number"))]


# what differs


def differences(sweep: Sweep) -> list[tuple[Shown, list[tuple[list[str | Shown], list[str | Shown]]]]]:
    """Each key whose values differ, with its values and the runs that have them."""
    configs = [(member, config) for member, run in sweep.runs if (config := comparison.config_of(run))]
    made = []
    for key in comparison.differing([config for _, config in configs]):
        found: dict[str, tuple[list[str | Shown], list[int]]] = {}
        source = ""
        for member, config in configs:
            told = _setting(sweep, member.path, config, key)
            text, source = (told, source) if isinstance(told, str) else (told.text, source or told.source)
            found.setdefault(text, ([told], []))[1].append(member.number)
        values = [(told, shown(comparison.runs_told(sweep, numbers))) for told, numbers in found.values()]
        made.append((Shown(key, f"{source} key"), values))
    return made


def _setting(sweep: Sweep, run: Path, config: dict[str, Any], key: str) -> str | Shown:
    """A value of a run's config with its place in it; words where it has none."""
    place = key.split(".")
    section = config.get(key)
    if key in GROUPS and isinstance(section, dict):  # said by the option's name
        place.append("name" if "name" in section else "_target_")
    value: Any = config
    for part in place:
        if not isinstance(value, dict) or part not in value:
            return "not there"
        value = value[part]
    return exact(value, f"{relative(run, sweep.path)}/config.yaml#{'/'.join(place)}")
