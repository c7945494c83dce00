"""``labrunner grade`` as it is typed: exit codes, refusals that leave nothing, the class as CSV and as a page."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from labrunner.course import page, table
from labrunner.course.grading import Attempt, Course, Graded, Student
from labrunner.course.manifest import Manifest
from labrunner.course.submissions import Reason
from labrunner.course.wanted import Required, Wanted
from labrunner.helping import Catalogue
from tests.cli.lab import Lab
from tests.course.handed import by_process
from tests.reliability.hostile_names import NAMES, Page, assert_nothing_gets_in, assert_the_terminal_stays_clean

EXAMPLE = Path(__file__).parents[2] / "docs" / "course.yaml"
MANIFEST = """
title: Lab
experiments:
  - {name: one, overrides: [dataset=iris, model=softmax, epochs=1], points: 2}
"""
ASKED = ("dataset=iris", "model=softmax", "epochs=1")


def test_a_class_is_printed_and_written_and_the_exit_code_is_0_whatever_came_out(lab: Lab):
    lab.write("lab.yaml", MANIFEST)
    lab.train("in/anna/run", *ASKED)
    by_process(lab.train("in/ben/run", "dataset=iris", "model=softmax", "epochs=2"), 2)
    ended = lab("grade", "lab.yaml", "in/anna", "in/ben", "csv=out/class.csv", "html=out/class.html")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        "student  one     points",
        "anna     passed       2",
        "ben      failed       0",
        "ben",
        "  failed: one: forbidden override: run: epochs is 2, asked for is 1",
    ]
    assert [line.rpartition(",")[0] for line in ended.err.splitlines()[:2]] == [
        "labrunner: anna: 1 run looked at",
        "labrunner: ben: 1 run looked at",
    ]
    rows = list(csv.DictReader(io.StringIO((lab.folder / "out/class.csv").read_text())))
    assert [(row["student"], row["experiment"], row["verdict"], row["points"]) for row in rows] == [
        ("anna", "one", "passed", "2.0"),
        ("ben", "one", "failed", "0.0"),
    ]
    text = (lab.folder / "out/class.html").read_text()
    assert_nothing_gets_in(Page(text))
    assert "epochs is 2, asked for is 1" in Page(text).text


def test_a_folder_that_cannot_be_graded_makes_the_exit_code_1_and_stops_no_other(lab: Lab):
    lab.write("lab.yaml", MANIFEST)
    lab.train("in/anna/run", *ASKED)
    lab.write("in/ben.zip", "PK")
    ended = lab("grade", "lab.yaml", "in/ben.zip", "in/anna")
    assert ended.code == 1
    assert "anna     passed           2" in ended.out
    assert "in/ben.zip is a file; unpack it first" in ended.out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("lab.yaml",), "grade takes a manifest, and the folders of students"),
        (("in", "in/anna"), "the manifest comes first"),
        (("nothing.yaml", "in"), "the manifest nothing.yaml cannot be read: No such file"),
        (("lab.yaml", "in", "optim.lr=1"), "grade takes csv=FILE and html=FILE"),
        (("lab.yaml", "in", "csv=lab.yaml"), "csv=lab.yaml is there already"),
        (("lab.yaml", "in", "csv=a", "html=a"), "csv and html are both a"),
        (("odd.yaml", "in"), "odd.yaml, line 1, experiments: it is missing"),
        (("version.yaml", "in"), "version.yaml, line 2, labrunner: newest: it takes versions"),
        (("code.yaml", "in"), "code.yaml, line 2, code: there is no folder"),
        (("table.yaml", "in"), "table.yaml, line 3, experiments[0].overrides: there is no people.csv"),
    ],
)
def test_a_wrong_request_ends_with_code_2_and_leaves_nothing(lab: Lab, argv, said):
    (lab.folder / "in").mkdir()
    lab.write("lab.yaml", MANIFEST)
    lab.write("odd.yaml", "title: Lab\n")
    lab.write("version.yaml", MANIFEST.replace("title: Lab", "title: Lab\nlabrunner: newest", 1).lstrip())
    lab.write("code.yaml", MANIFEST.replace("title: Lab", "title: Lab\ncode: nowhere", 1).lstrip())
    table = "title: Lab\nexperiments:\n  - {name: people, overrides: [dataset=csv, dataset.path=people.csv]}\n"
    lab.write("table.yaml", table)
    before = lab.tree()
    ended = lab("grade", *argv)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) <= 3
    assert lab.tree() == before


def test_two_students_whose_folders_are_called_alike_keep_apart(lab: Lab):
    lab.write("lab.yaml", MANIFEST)
    for place in ("monday/anna", "friday/anna", "monday/ben"):
        (lab.folder / place).mkdir(parents=True)
    ended = lab("grade", "lab.yaml", "monday/anna", "friday/anna", "monday/ben")
    assert [line.split()[0] for line in ended.out.splitlines()[1:4]] == ["monday/anna", "friday/anna", "ben"]


def test_the_example_of_the_manual_is_a_manifest(lab: Lab):
    (lab.folder / "anna").mkdir()
    ended = lab("grade", str(EXAMPLE), "anna")
    assert ended.code == 0, ended.err
    assert "no run was handed in" in ended.out


def of_name(name: str) -> tuple[Course, list[Student]]:
    """A class in which all that comes from submissions is this name."""
    manifest = Manifest.model_validate({"title": "Lab", "experiments": [{"name": "one", "points": 1.0}]})
    wanted = Wanted(manifest.experiments[0], [Required({}, (), None)], None, [], [], Catalogue())
    reasons = [Reason("edited file", f"{name} is {name}", "look")]
    graded = Graded(wanted, [Attempt(wanted.runs[0], None, reasons)])
    good = Student(name, Path(name.replace("\0", "")), [graded], reasons, 1)
    bad = Student(name, Path("x"), trouble=name)
    return Course(manifest, [wanted], Catalogue()), [good, bad]


@pytest.mark.parametrize("kind", NAMES)
def test_a_hostile_name_gets_into_no_page_no_spreadsheet_and_no_terminal(kind, capsys):
    from labrunner.verbs.grade import print_class

    name = NAMES[kind]
    course, students = of_name(name)
    assert_nothing_gets_in(Page(page.render(course, students)))
    for row in csv.reader(io.StringIO(table.csv_of(students))):
        assert len(row) == len(table.HEADER)
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    print_class(course, students)
    assert_the_terminal_stays_clean(capsys.readouterr().out, name)


def test_the_manual_shows_the_example_as_it_is():
    shown = EXAMPLE.with_suffix(".md").read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    assert shown == EXAMPLE.read_text(encoding="utf-8").partition("\n")[2]
