"""The page of a class in a browser: it sorts, it filters, it fits a phone, and asks for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    missing, edited = (
        Reason("missing run", "no run", "failed"),
        Reason("edited file", "test.json says " + "x" * 300, "look"),
    )
    return class_of(tmp_path, (("Zoe", []), ("Anna", [missing]), ("Ben", [edited])))


def class_of(folder: Path, said: Sequence[tuple[str, list[Reason]]]) -> Path:
    """The page of students, each with the same reasons in two experiments."""
    manifest = Manifest.model_validate(
        {"title": "Lab", "experiments": [{"name": name, "points": 2.0} for name in ("baseline", "a_longer_name")]}
    )
    wanted = [Wanted(each, [Required({}, (), None)], None, [], [], Catalogue()) for each in manifest.experiments]
    students = []
    for name, reasons in said:
        graded = [Graded(each, [Attempt(each.runs[0], None, list(reasons))]) for each in wanted]
        students.append(Student(name, Path(name), graded, runs=1))
    path = folder / "class.html"
    path.write_text(page.render(Course(manifest, wanted, Catalogue()), students), encoding="utf-8")
    return path


def names(found: Any) -> list[str]:
    """The students as they are shown; on a phone the reasons stand below."""
    return [each.partition("\n")[0] for each in found.column("#class", 0)]


@pytest.mark.parametrize("width", [390, 1440])
def test_a_class_sorts_and_filters_and_fits(opened, written, width):
    found = opened(written, width)
    assert found.overflow() == 0
    assert names(found) == ["Zoe", "Anna", "Ben"]
    found.page.locator("#class thead button").nth(0).click()
    assert names(found) == ["Anna", "Ben", "Zoe"]
    found.page.locator("input.filter").fill("edited look")
    assert names(found) == ["Ben"]
    assert found.messages == []
    assert [address.partition(":")[0] for address in found.requests] == ["file"]


def test_a_filter_finds_what_is_told_of_a_student_and_hides_the_sections_of_the_others(opened, written):
    found = opened(written)
    found.page.locator("input.filter").fill("xxxx")  # of the evidence, which the table does not have
    assert names(found) == ["Ben"]
    assert found.page.locator("summary:visible").all_inner_texts() == ["Ben: look"]
    found.page.locator("input.filter").fill("")
    assert found.page.locator("summary:visible").count() == 3


@pytest.mark.parametrize("script", [True, False])
def test_a_name_leads_to_what_was_found_of_its_student_and_back(opened, written, script):
    found = opened(written, script=script)
    found.page.get_by_role("link", name="Zoe").click()
    said = found.page.locator("section", has_text="Zoe: passed").locator("details").first
    assert said.get_attribute("open") is not None  # what was folded is shown
    said.get_by_role("link", name="up to the class").click()
    assert found.page.url.endswith("#class")


@pytest.mark.parametrize("width", [390, 1440])
def test_long_names_leave_room_for_the_reasons(opened, tmp_path, width):
    long = "Jörg_assignsubmission_file_" + "x" * 120
    found = opened(
        class_of(tmp_path, ((long, [Reason("edited file", "y" * 300, "look")]), ("Ben", []), ("Zoe", []))), width
    )
    found.page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert found.overflow() == 0
    reason = found.page.locator("#class .why, #class .below").filter(has_text="edited file", visible=True)
    assert reason.count() == 1
    box = reason.bounding_box()
    assert 0 <= box["x"] < box["x"] + box["width"] <= width


def test_what_has_to_be_looked_at_is_open_and_what_passed_is_folded(opened, written):
    found = opened(written)
    assert found.page.locator("details[open] > summary").all_inner_texts() == ["Anna: failed", "Ben: look"]
    assert found.page.locator("details:not([open]) > summary").all_inner_texts() == ["Zoe: passed"]
