"""The table of a class: a row for each student and experiment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from labrunner.course.grading import TOLD, Graded, Student
from labrunner.files import to_csv

HEADER = ("student", "experiment", "verdict", "points", "out_of", "run", *TOLD, "reasons")
COMPUTED = "=+-@\t\r"  # what a spreadsheet takes for the beginning of a formula


def csv_of(students: Sequence[Student]) -> str:
    """The class as CSV. Numbers are those of the re-evaluated weights; of a sweep they are left blank.

    Other than in the files of a run, a text that a spreadsheet would compute has an apostrophe in front: this table is
    made to be opened in one, and names and evidence in it are strangers'.
    """
    rows: list[list[Any]] = []
    for student in students:
        if student.trouble is not None:
            rows.append([student.name, "", "not graded", None, None, "", *([None] * len(TOLD)), student.trouble])
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
                    "; ".join(reasons_of(graded)),
                ]
            )
        if student.reasons:
            said = "; ".join(f"{reason.name}: {reason.evidence}" for reason in student.reasons)
            verdict = "look" if any(reason.effect == "look" for reason in student.reasons) else ""
            rows.append([student.name, "(other files)", verdict, None, None, "", *([None] * len(TOLD)), said])
    return to_csv(HEADER, [[_harmless(cell) for cell in row] for row in rows])


def runs_of(graded: Graded) -> list[str]:
    return [attempt.handed.shown for attempt in graded.attempts if attempt.handed is not None]


def numbers_of(graded: Graded) -> list[float | None]:
    """The numbers of `TOLD`, None where they are not known or of several runs."""
    facts = graded.attempts[0].facts if len(graded.attempts) == 1 else {}
    found = [facts.get(name) for name in TOLD]
    return [None if value is None or math.isnan(value) else value for value in found]


def reasons_of(graded: Graded) -> list[str]:
    """Each reason in one line, with its run where there are several."""
    return [f"{reason.name}{f' ({label})' if label else ''}: {reason.evidence}" for label, reason in graded.all_reasons]


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(tuple(COMPUTED)) else cell
