"""``labrunner ls [FOLDER…]``: runs, sweeps and comparisons with status and headline, the newest last."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import comparison
from labrunner.errors import RequestError
from labrunner.records import Sweep, is_sweep_folder, load_run, load_sweep
from labrunner.records.names import oddity, only_begun
from labrunner.selection import finished
from labrunner.verbs import tables
from labrunner.verbs.printing import show

if TYPE_CHECKING:
    from labrunner.cli import Arguments

MOST = 60  # columns for a name that a file gives
DEPTH = 3  # folders below the one that is asked for: ./outputs/runs/RUN
MARKS = ("metrics.csv", "status.json", "environment.json")  # by which a damaged run folder is known
STAMP = re.compile(r"(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)")
FIRST_TO_GO = ("when", "epochs", "chosen", "validation")  # where a terminal is narrow
NARROW = 12  # columns of a status there
HEADER = ["folder", "status", "when", "epochs", "chosen", "validation", "test accuracy", "what"]


@dataclass(frozen=True)
class Line:
    """What is said of a folder; texts under the names of `HEADER`."""

    path: Path
    when: str  # sorts as it reads
    status: str = "damaged"
    epochs: str = tables.BLANK  # finished/asked for
    chosen: str = tables.BLANK
    val: str = tables.BLANK  # the monitored metric at the chosen epoch
    test: str = tables.BLANK  # accuracy
    what: str = ""

    def cells(self) -> list[str]:
        shown = self.when[:16]  # seconds only sort
        return [
            tables.folder_text(self.path),
            self.status,
            shown,
            self.epochs,
            self.chosen,
            self.val,
            self.test,
            self.what,
        ]


def main(arguments: Arguments) -> int:
    if arguments.overrides:
        raise RequestError(f"ls takes folders, as in labrunner ls outputs/runs, and not {arguments.overrides[0]}")
    named = [Path(word) for word in arguments.words] or [Path("outputs")]
    for path in named:
        if arguments.words and not path.is_dir():
            raise RequestError(f"there is no folder {path}")
    found: dict[str, Found] = {}
    for root in named:
        for each in folders_in(root):
            found.setdefault(os.path.realpath(each.path), each)
    lines = [line_of(each.path) for each in sorted(found.values(), key=lambda each: (each.when, each.rank))]
    if not lines:
        where = ", ".join(map(str, named))
        show(f"no runs in {where} yet; to begin: labrunner, or labrunner model=cnn optim.lr=0.01")
        return 0
    header, cells, gone = tables.fitting(HEADER, [line.cells() for line in lines], HEADER[:1], FIRST_TO_GO)
    if gone:  # the counts of a sweep are long
        cells = [[cell if at != 1 else tables.cut(cell, NARROW) for at, cell in enumerate(row)] for row in cells]
    show("\n".join(tables.aligned(header, cells, left=("what", "status"))))
    return 0


@dataclass(frozen=True)
class Found:
    """A folder, and its place in the list: oldest first."""

    path: Path
    when: str
    rank: tuple[Any, ...]


def folders_in(root: Path) -> Iterator[Found]:
    """Run folders and sweep folders in a folder, or it itself; before a sweep that was named come its runs."""
    if is_sweep_folder(root):
        when = when_of(root)
        for path in subfolders(root):
            if is_run_folder(path):
                number = int(path.name) if path.name.isdecimal() else sys.maxsize
                yield Found(path, when, (str(root), 0, number, path.name))
        yield Found(root, when, (str(root), 1))
    else:
        for path in [root] if is_run_folder(root) else below(root, DEPTH):
            yield Found(path, when_of(path), (str(path),))


def below(folder: Path, depth: int) -> Iterator[Path]:
    for path in subfolders(folder):
        if is_sweep_folder(path) or is_run_folder(path):
            yield path
        elif depth > 1:
            yield from below(path, depth - 1)


def subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [
                folder / entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []


def is_run_folder(path: Path) -> bool:
    """Whether a run has been here, also one that was killed at once, or of which files are gone."""
    return any((path / name).is_file() for name in MARKS)


# what is said of a folder


def line_of(path: Path) -> Line:
    """A folder's line, whatever state it is in."""
    when = when_of(path)
    try:
        return sweep_line(load_sweep(path), when) if is_sweep_folder(path) else run_line(path, when)
    except RequestError as error:
        said = str(error).splitlines()[0].removeprefix(f"{path} ").replace(f"{path}{os.sep}", "")
        return Line(path, when, what=said)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # what a file says cannot be so
        return Line(path, when, what=f"{type(error).__name__}: {error}".splitlines()[0])


def when_of(path: Path) -> str:
    """When a folder was begun, from its name; otherwise when it was last written to."""
    stamp = STAMP.match(path.name)
    if stamp:
        return f"{stamp[1]} {stamp[2]}:{stamp[3]}:{stamp[4]}"
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(path.stat().st_mtime))
    except (OSError, OverflowError, ValueError):
        return tables.BLANK


def run_line(path: Path, when: str) -> Line:
    if not (path / "config.yaml").exists() and only_begun(path):
        return Line(path, when, status="interrupted", what="ended before it began")
    if (said := oddity(path)) is not None:
        return Line(path, when, what=said)
    run = load_run(path)
    config = comparison.config_of(run) or run.config  # which says what is wrong with it
    rows = run.row_list
    monitor = str(config.get("monitor", "val_loss"))
    best = comparison.chosen_row(run)
    test = comparison.tested(run)["test_accuracy"]
    asked = 1 if config.get("smoke") is True else config.get("epochs")
    return Line(
        path,
        when,
        status=status_text(run.status),
        epochs=f"{len(finished(rows))}/{asked if isinstance(asked, int) else '?'}",
        chosen=tables.BLANK if best is None else str(best["epoch"]),
        val=value_text(best, monitor),
        test=tables.metric_text(test),
        what=what_of(config, run.choices),
    )


def status_text(status: Any) -> str:
    return status if isinstance(status, str) and status in comparison.RANKS else "damaged"


def what_of(config: Mapping[str, Any], choices: Mapping[str, str]) -> str:
    """``cnn on digits``, by the names that were chosen."""
    names = []
    for group in ("model", "dataset"):
        section = config.get(group)
        said = section.get("name", section.get("_target_")) if isinstance(section, dict) else None
        names.append(tables.cut(choices.get(group) or str(said or "?"), MOST))
    experiment = tables.cut(choices.get("experiment", ""), MOST)
    return " on ".join(names) + (f" (experiment={experiment})" if experiment else "")


def value_text(row: Mapping[str, Any] | None, monitor: str) -> str:
    value = None if row is None else row.get(monitor)
    return tables.BLANK if value is None else f"{monitor.removeprefix('val_')} {tables.metric_text(value)}"


def sweep_line(sweep: Sweep, when: str) -> Line:
    """The counts of a sweep, and its best setting, or run."""
    rows = comparison.table(sweep)
    counts = Counter(row["status"] for row in rows)
    status = ", ".join(f"{counts[name]} {name}" for name in comparison.RANKS if counts[name]) or "no runs"
    kind = "comparison" if sweep.is_comparison else "sweep"
    runs = f"{len(sweep.members)} run{'' if len(sweep.members) == 1 else 's'}"
    what = f"{kind} of {tables.cut(swept(sweep), 2 * MOST) if sweep.keys else runs}"
    setting = comparison.best_over_seeds(sweep, comparison.over_seeds(sweep, rows))
    if setting is not None:
        return Line(
            sweep.path,
            when,
            status=status,
            val=value_text(setting, sweep.monitor),
            test=tables.metric_text(setting["test_accuracy"]),
            what=f"{what}; best {values_of_row(sweep, setting)} (mean of {setting['n']} seeds)",
        )
    best = comparison.best_of(sweep, rows)
    if best is None:
        return Line(sweep.path, when, status=status, what=what)
    member, row = best
    which = f"; best {values_of_row(sweep, row) or tables.folder_text(member.path)}" if len(rows) > 1 else ""
    return Line(
        sweep.path,
        when,
        status=status,
        chosen=str(row["best_epoch"]),
        val=value_text({sweep.monitor: comparison.monitored_value(member, sweep.monitor)}, sweep.monitor),
        test=tables.metric_text(row["test_accuracy"]),
        what=f"{what}{which}",
    )


def values_of_row(sweep: Sweep, row: Mapping[str, Any]) -> str:
    """The values of the swept keys that a row of a table has."""
    return tables.cut(" ".join(f"{key}={comparison.as_typed(row[key])}" for key in sweep.keys if key in row), 2 * MOST)


def swept(sweep: Sweep) -> str:
    """``optim.lr (4) x seed (3)``: the swept keys with how many values each takes."""
    return " x ".join(f"{key} ({values_of(sweep, key)})" for key in sweep.keys)


def values_of(sweep: Sweep, key: str) -> int:
    return len({repr(member.values.get(key)) for member in sweep.members})
