"""From submissions and a manifest to verdicts on a whole class."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from labrunner.course.evidence import copies, files
from labrunner.course.looking import Course, Looked
from labrunner.course.submissions import Reason, found_in
from labrunner.course.verdicts import Attempt, Graded, Student, listed
from labrunner.errors import LabrunnerError, RequestError

__all__ = ["TOLD", "Attempt", "Course", "Graded", "LooksLikeAClass", "Student", "grade"]

TOLD = ("test_accuracy", "test_loss", "test_f1", "test_auroc", "test_n", "val_accuracy")  # columns of the class table


class LooksLikeAClass(RequestError):
    """A folder that is graded as one student's seems to be that of several."""


def grade(course: Course, folders: Mapping[Path, str], say: Callable[[str], None]) -> list[Student]:
    """Grade the submissions in some folders, each under its student's name.

    All are looked at before any is judged, since a copied run is one that two have. One that cannot be read is told of
    and does not stop the others. `say` is told how each came out.

    Raises
    ------
    LooksLikeAClass
        for a folder, given alone, that holds several students.
    RequestError
        when what was handed out cannot be read.
    """
    students: list[Student] = []
    traces: list[copies.Trace] = list(_handed_out(course))
    looks: dict[str, Looked] = {}
    shared: dict[Any, Any] = {}
    for folder, name in folders.items():
        begin = time.perf_counter()
        student = Student(name, folder)
        students.append(student)
        try:
            submission = found_in(folder, name)
            looked = Looked(course, submission)
            if (said := looked.several_students()) is not None:
                if len(folders) == 1:
                    raise LooksLikeAClass(said)
                submission.reasons.append(Reason("several students", said.replace("\n", " "), "look"))
            looked.evaluate(shared)
            looks[name] = looked
            traces += looked.traces()
            student.runs = len(submission.runs)
        except LooksLikeAClass:
            raise
        except LabrunnerError as error:
            student.trouble = str(error).splitlines()[0]
        except Exception as error:  # a stranger's files may be anything, and the others are to be graded
            student.trouble = f"{type(error).__name__}: {error}".splitlines()[0]
        student.seconds = time.perf_counter() - begin
        seen = f"{student.runs} run{'' if student.runs == 1 else 's'} looked at, {student.seconds:.1f} s"
        say(f"{name}: {seen if student.trouble is None else f'not graded: {student.trouble}'}")
    if unseen := course.unseen([student.name for student in students]):
        say(f"seeds of the manifest name {listed(unseen)}, of whom there is no folder here")
    for found, reason in copies.copied(traces):
        if found.student is not None:
            looks[found.student].blame(found.handed, reason)
    for student in students:
        if student.trouble is None:
            looks[student.name].judge(student)
    return students


def _handed_out(course: Course) -> Iterator[copies.Trace]:
    """The traces of the runs that the lecturer gave to all."""
    for folder in course.handed_out:
        submission = found_in(folder, folder.name)
        if not submission.runs:
            raise RequestError(f"handed_out: {folder} holds no run")
        for handed in submission.runs:
            files.look_at(handed, course.known, course.code, course.trust)
            yield copies.trace(None, handed, {}, is_sound=True)
