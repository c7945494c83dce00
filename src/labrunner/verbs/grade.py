"""``labrunner grade MANIFEST FOLDER…``: what was handed in, held against a lecturer's manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labrunner.errors import RequestError
from labrunner.files import atomic_write, expanded
from labrunner.helping import Catalogue, own_folders
from labrunner.verbs import tables
from labrunner.verbs.places import refuse_there
from labrunner.verbs.printing import one_line, say, show

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.course.grading import Course, Student

TAKES = ("csv", "html")


def main(arguments: Arguments) -> int:
    """0 when all folders were graded, whatever came out; 1 when one could not be."""
    places = wanted_files(arguments.overrides)
    if len(arguments.words) < 2:
        raise RequestError("grade takes a manifest, and the folders of students: labrunner grade lab1.yaml handed_in/*")
    course = course_of(Path(arguments.words[0]), arguments)
    from labrunner.course import grading, submissions

    folders = list(dict.fromkeys(expanded(word) for word in arguments.words[1:]))
    names = submissions.named(folders, course.manifest.seeds or ())
    students = grading.grade(course, names, lambda text: say(f"labrunner: {one_line(text)}"))
    write(places, course, students)
    print_class(course, students)
    return 1 if any(student.trouble is not None for student in students) else 0


def wanted_files(overrides: list[str]) -> dict[str, Path]:
    """The files that are asked for, by their kind."""
    places = {}
    for override in overrides:
        key, _, value = override.partition("=")
        if key not in TAKES or not value:
            raise RequestError(f"{override}: grade takes csv=FILE and html=FILE; the rest is in the manifest")
        places[key] = expanded(value)
        refuse_there(places[key], key)
    if len(set(places.values())) < len(places):
        raise RequestError(f"csv and html are both {places['csv']}; give them two names")
    return places


def course_of(path: Path, arguments: Arguments) -> Course:
    """The manifest, read and composed. Raises RequestError with the line of what is wrong."""
    if path.is_dir():
        raise RequestError(f"{path} is a folder; the manifest comes first: labrunner grade lab1.yaml {path}")
    from labrunner.course import grading, manifest, wanted
    from labrunner.course.bundling import own_files

    read, lines = manifest.read(path)
    known = Catalogue(own_folders(arguments.config_dir))
    code = None
    if read.code is not None:
        code = (path.parent / read.code).resolve()
        if not code.is_dir():
            raise lines.error(("code",), f"there is no folder {code}; it holds the modules that models are made of")
    handed_out = [(path.parent / folder).resolve() for folder in read.handed_out]
    for number, folder in enumerate(handed_out):
        if not folder.is_dir():
            raise lines.error(("handed_out", number), f"there is no folder {folder}; it holds runs that all were given")
    composed = wanted.composed(read, lines, known)
    for number, each in enumerate(composed):  # else it would be told of each student
        sources = [own_files(required.config["dataset"]) for required in each.runs if required.config is not None]
        if absent := next((source for source in sources if source is not None and not source.exists()), None):
            where = f"data are read from the current folder, {Path.cwd()}, or by a whole path"
            raise lines.error(("experiments", number, "overrides"), f"there is no {absent}\n{where}")
    return grading.Course(read, composed, known, code, arguments.trust, handed_out)


def write(places: dict[str, Path], course: Course, students: list[Student]) -> None:
    for kind, path in places.items():
        if kind == "csv":
            from labrunner.course.table import csv_of

            content = csv_of(students)
        else:
            from labrunner.course.page import render

            content = render(course, students)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, content)
        say(f"labrunner: {path}")


def print_class(course: Course, students: list[Student]) -> None:
    """The class as a table, then what speaks against whom."""
    names = [wanted.name for wanted in course.wanted]
    with_points = any(wanted.experiment.points is not None for wanted in course.wanted)
    others = ["other files"] if any(student.others == "look" for student in students) else []
    header = ["student", *names, *others, *(["points"] if with_points else [])]
    cells = []
    for student in students:
        if student.trouble is not None:
            blank = [tables.BLANK] * (len(others) + with_points)
            cells.append([student.name, *(["not graded"] * len(names)), *blank])
            continue
        points = [student.points_told] if with_points else []
        beside = [student.others if student.others == "look" else ""] if others else []
        cells.append([student.name, *(graded.verdict for graded in student.experiments), *beside, *points])
    show("\n".join(tables.aligned(header, cells, left=["student", *names, *others])))
    for student in students:
        lines = [] if student.trouble is None else [f"  {student.trouble}"]
        for graded in student.experiments:
            for label, reason in graded.all_reasons:
                where = f"{graded.wanted.name}{f' ({label})' if label else ''}"
                lines.append(f"  {reason.effect}: {where}: {reason.name}: {reason.evidence}")
        lines += [f"  {reason.effect}: other files: {reason.name}: {reason.evidence}" for reason in student.reasons]
        if lines:
            show("\n".join(map(one_line, [student.name, *lines])))
