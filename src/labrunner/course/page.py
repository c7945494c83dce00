"""The page of a class: one file on the shell of the reports."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader

from labrunner.course.grading import Course, Student
from labrunner.course.table import measured_in_words, numbers_of, takes_of
from labrunner.report.page import environment

TEMPLATES = Path(__file__).parent / "templates"
BADGES = {"passed": "done", "failed": "failed", "look": "look"}  # verdict -> class of its badge


@cache
def templates() -> Environment:
    """Those of the reports, and this page's own."""
    shell = environment()
    assert shell.loader is not None
    return shell.overlay(loader=ChoiceLoader([FileSystemLoader(TEMPLATES), shell.loader]))


def render(course: Course, students: Sequence[Student]) -> str:
    """The class on one page: who passed, where to look, and why."""
    verdicts = [student.verdict for student in students if student.trouble is None]
    return (
        templates()
        .get_template("class.html")
        .render(
            manifest=course.manifest,
            wanted=course.wanted,
            students=students,
            counts={verdict: verdicts.count(verdict) for verdict in ("passed", "look", "failed")},
            troubled=[student for student in students if student.trouble is not None],
            badges=BADGES,
            numbers_of=numbers_of,
            takes_of=takes_of,
            reason_names=reason_names,
            measured_in_words=measured_in_words,
            with_others=any(student.others == "look" for student in students),
            with_points=any(wanted.experiment.points is not None for wanted in course.wanted),
        )
    )


def reason_names(student: Student) -> str:
    """Why a student has not passed, in short."""
    if student.trouble is not None:
        return f"not graded: {student.trouble}"
    of_runs = [reason for graded in student.experiments for _, reason in graded.all_reasons]
    return ", ".join(dict.fromkeys(reason.name for reason in (*of_runs, *student.reasons) if reason.effect != "note"))
