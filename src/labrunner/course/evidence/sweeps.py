"""Whether the tables of a sweep's folder are what its runs come to. The runs are graded by themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from labrunner import comparison
from labrunner.course.evidence.files import EDITED
from labrunner.course.submissions import Effect, Handed, Reason, Submission
from labrunner.files import read_csv
from labrunner.records.names import odd
from labrunner.records.sweep import SWEEP, load_sweep

TABLE = "sweep.csv"
NUMBERS = ("best_epoch", *comparison.VAL, *comparison.TEST)
EXACT = 1e-9  # between numbers that are made of the same files
CLOSE = 1e-3  # between statistics that another version of a library has computed
KEYS = {"verdict.csv": ("a", "b", "metric"), "mcnemar.csv": ("run_a", "run_b")}  # what a row is about


def look_at(submission: Submission) -> Iterator[Reason]:
    """What contradicts the runs in the tables of a submission's sweeps."""
    runs = {handed.path: handed for handed in submission.runs if handed.config is not None}
    for folder in submission.sweeps:
        where = folder.relative_to(submission.path)
        try:
            yield from _of_sweep(folder, where, runs)
        except Exception as error:  # a stranger's files may raise anything, and the next sweep is to be looked at
            said = str(error).replace(f"{folder}/", "").splitlines() or [type(error).__name__]
            yield Reason("damaged file", f"{where}: {said[0]}", "note")


def _of_sweep(folder: Path, where: Path, runs: Mapping[Path, Handed]) -> Iterator[Reason]:
    if any(odd(folder / name) or (folder / name).is_symlink() for name in (SWEEP, TABLE, *KEYS)):
        yield Reason("not a run's", f"{where}: its tables are links, no ordinary files, or too large", "look")
        return
    said = load_sweep(folder)
    # runs are those that were found below the folder, wherever sweep.yaml says that they are
    here = [member for member in said.members if member.path in runs]
    sweep = replace(said, members=here)
    rows = comparison.table(sweep)
    wrong = _of_table(_rows(folder / TABLE), {row["number"]: row for row in rows})
    resumed = any(runs[member.path].run.environment.get("resumed") for member in here)
    if wrong:  # a run that is gone on with alone leaves the table of its sweep behind
        effect: Effect = "note" if resumed else "look"
        yield Reason(EDITED, f"{where / TABLE} says {wrong[0]}{_more(wrong)}", effect)
    if not wrong and len(here) == len(said.members) and any((folder / name).is_file() for name in KEYS):
        from labrunner.verdict.judging import judge, tables

        for name, table in tables(judge(sweep, rows)).items():
            unlike = _of_verdict(_rows(folder / name), [] if table is None else _dicts(*table), KEYS[name])
            if unlike:
                told = f"{where / name} is not what its runs give: {unlike[0]}{_more(unlike)}"
                yield Reason(EDITED, f"{told}; labrunner report writes it anew", "note")


def _of_table(said: Sequence[Mapping[str, str]], found: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """Numbers of sweep.csv that the runs in it do not have, in words."""
    wrong = []
    for row in said:
        number = int(row["number"])
        for name in NUMBERS if number in found else ():
            now = found[number][name]
            if name in row and not _is_close(row[name], now, EXACT):
                wrong.append(f"{name} of run {number} is {row[name] or 'blank'}, its folder {_told(now)}")
    return wrong


def _of_verdict(
    said: Sequence[Mapping[str, str]], found: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> list[str]:
    """Numbers of verdict.csv or mcnemar.csv that the runs do not give, in words; what stands in both is compared."""
    known = {tuple(str(row[key]) for key in keys): row for row in found}
    wrong = []
    for row in said:
        now = known.get(tuple(row.get(key, "") for key in keys), {})
        for name in now:
            if name in row and name not in keys and not _is_close(row[name], now[name], CLOSE):
                wrong.append(f"{name} is {row[name] or 'blank'}, by the runs {_told(now[name])}")
    return wrong


def _rows(path: Path) -> list[dict[str, str]]:
    return _dicts(*read_csv(path)) if path.is_file() else []


def _dicts(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(header, row, strict=False)) for row in rows]


def _is_close(said: str, now: Any, most: float) -> bool:
    """Whether a cell holds a value, as far as both are numbers; text is compared as it is."""
    if now is None or said == "":
        return now is None and said == ""
    try:
        return math.isclose(float(said), float(now), rel_tol=most, abs_tol=most)
    except ValueError:
        return said == str(now)


def _told(value: Any) -> str:
    return "blank" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _more(wrong: Sequence[str]) -> str:
    return f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""
