"""The page of a class in a browser: it sorts, it filters, it fits a phone, and asks for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from labrunner.course import page
from labrunner.course.grading import Attempt, Course, Graded, Student
from labrunner.course.manifest import Manifest
from labrunner.course.submissions import Reason
from labrunner.course.wanted import Required, Wanted
from labrunner.helping import Catalogue


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A class of three, of whom one passed, one failed and one is to be looked at."""
    manifest = Manifest.model_validate(
        {"title": "Lab", "experiments": [{"name": name, "points": 2.0} for name in ("baseline", "a_longer_name")]}
    )
    wanted = [Wanted(each, [Required({}, (), None)], None, [], [], Catalogue()) for each in manifest.experiments]
    students = []
    for name, said in (
        ("Zoe", []),
        ("Anna", [Reason("missing run", "no run", "failed")]),
        ("Ben", [Reason("edited file", "test.json says " + "x" * 300, "look")]),
    ):
        graded = [Graded(each, [Attempt(each.runs[0], None, list(said))]) for each in wanted]
        students.append(Student(name, Path(name), graded, runs=1))
    path = tmp_path / "class.html"
    path.write_text(page.render(Course(manifest, wanted, Catalogue()), students), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [390, 1440])
def test_a_class_sorts_and_filters_and_fits(opened, written, width):
    found = opened(written, width)
    assert found.overflow() == 0
    assert found.column("#class", 0) == ["Zoe", "Anna", "Ben"]
    found.page.locator("#class thead button").nth(0).click()
    assert found.column("#class", 0) == ["Anna", "Ben", "Zoe"]
    found.page.locator("input.filter").fill("edited look")
    assert found.column("#class", 0) == ["Ben"]
    assert found.messages == []
    assert [address.partition(":")[0] for address in found.requests] == ["file"]


def test_what_has_to_be_looked_at_is_open_and_what_passed_is_folded(opened, written):
    found = opened(written)
    assert found.page.locator("details[open] > summary").all_inner_texts() == ["Anna: failed", "Ben: look"]
    assert found.page.locator("details:not([open]) > summary").all_inner_texts() == ["Zoe: passed"]
