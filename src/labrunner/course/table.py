"""The table of a class: a row for each student and experiment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from labrunner.checks import Verdict
from labrunner.course.grading import TOLD, Graded, Student
from labrunner.files import to_csv
from labrunner.relations import RELATIONS

HEADER = ("student", "experiment", "verdict", "points", "out_of", "run", *TOLD, "expected", "reasons")
COUNTS = ("test_n",)
COMPUTED = "=+-@\t\r"  # what a spreadsheet takes for the beginning of a formula


def csv_of(students: Sequence[Student]) -> str:
    """The class as CSV. Numbers are those of the re-evaluated weights; of a sweep, what the manifest takes of all runs.

    Other than in the files of a run, a text that a spreadsheet would compute has an apostrophe in front: this table is
    made to be opened in one, and names and evidence in it are strangers'.
    """
    rows: list[list[Any]] = []
    for student in students:
        if student.trouble is not None:
            rows.append([student.name, "", "not graded", None, None, "", *([None] * len(TOLD)), "", student.trouble])
        for graded in student.experiments:
            rows.append(
                [
                    student.name,
                    graded.wanted.name,
                    graded.verdict,
                    graded.points,
                    graded.wanted.experiment.points,
                    ", ".join(runs_of(graded)),
                    *numbers_of(graded),
                    "; ".join(measured_in_words(graded.measured)),
                    "; ".join(reasons_of(graded)),
                ]
            )
        if student.reasons:
            said = "; ".join(f"{reason.name}: {reason.evidence}" for reason in student.reasons)
            verdict = "look" if any(reason.effect == "look" for reason in student.reasons) else ""
            rows.append([student.name, "(other files)", verdict, None, None, "", *([None] * len(TOLD)), "", said])
    return to_csv(HEADER, [[_harmless(cell) for cell in row] for row in rows])


def runs_of(graded: Graded) -> list[str]:
    return [attempt.handed.shown for attempt in graded.attempts if attempt.handed is not None]


def numbers_of(graded: Graded) -> list[float | None]:
    """The numbers of `TOLD`; of several runs those of which the manifest takes one. None where they are not known."""
    if len(graded.attempts) == 1:
        facts: Mapping[str, float | None] = graded.attempts[0].facts
    else:
        takes = takes_of(graded)
        facts = {name: each.found for each in graded.measured for name in takes if each.fact == f"{takes[name]} {name}"}
    found = [facts.get(name) for name in TOLD]
    known = [None if value is None or math.isnan(value) else value for value in found]
    return [
        int(value) if value is not None and name in COUNTS else value for name, value in zip(TOLD, known, strict=True)
    ]


def takes_of(graded: Graded) -> dict[str, str]:
    """Number -> what the manifest takes of it over all runs of a sweep: mean, median, min or max."""
    said = {name: expected.take for name, expected in graded.wanted.experiment.expect.items()}
    return {name: take for name, take in said.items() if take not in ("each", "spread")}


def measured_in_words(verdicts: Sequence[Verdict]) -> list[str]:
    """What was found of what the manifest expects: ``max test_accuracy is 0.9667, expected >= 0.85``."""
    found: dict[str, list[str]] = {}
    for each in verdicts:
        value, bound = ("not known" if number is None else f"{number:.6g}" for number in (each.found, each.expected))
        found.setdefault(f"{each.fact} is {value}", []).append(f"{RELATIONS[each.relation]} {bound}")
    return [f"{said}, expected {' and '.join(bounds)}" for said, bounds in found.items()]


def reasons_of(graded: Graded) -> list[str]:
    """Each reason in one line, with its run where there are several."""
    return [f"{reason.name}{f' ({label})' if label else ''}: {reason.evidence}" for label, reason in graded.all_reasons]


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(tuple(COMPUTED)) else cell
