"""All pages, for those who do not see them or go through them by the keyboard, by day and by night."""

from __future__ import annotations

from pathlib import Path

import pytest

from labrunner.course.submissions import Reason
from labrunner.records import SweepFolder, load_run
from labrunner.report import write
from labrunner.report.sweeps import write as write_sweep_page
from labrunner.verdict import renew
from tests.figures.looking import diverging_rows, write_run
from tests.folders import HOSTILE
from tests.pages.kept import keep_samples
from tests.pages.sound import ailments, faint
from tests.pages.test_class import class_of
from tests.sweeps import write_sweep

PAGES = ("run", "table", "diverged", "sweep", "class")
CHECKS = "check,fact,relation,expected,found,passed\nlearns,val_accuracy,at_least,0.9,0.93,true\n"


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """A page of each kind: runs on images, on a table and one that diverged, a sweep, a class."""
    root = tmp_path_factory.mktemp("sound")
    run = keep_samples(write_run(root / "run", classes=HOSTILE, samples=400))
    (run / "checks.csv").write_text(CHECKS, encoding="utf-8")
    table = keep_samples(write_run(root / "table", classes=("a", "b")), shape=(4,), white=None)
    diverged = write_run(root / "diverged", rows=diverging_rows(), status="diverged", error="nan")
    values = [{"optim.lr": lr, "seed": seed} for lr in (0.001, 0.01, 0.1) for seed in range(3)]
    sweep = write_sweep(root / "sweep", values, epochs=2, samples=40, classes=("a", "b"))
    with SweepFolder.open(sweep.path) as folder:
        renew(folder, sweep)
    found = {"sweep": write_sweep_page(sweep.path)}
    found |= {folder.name: write(load_run(folder)) for folder in (run, table, diverged)}
    reasons = [Reason("missing run", "no run", "failed")], [Reason("edited file", "x" * 300, "look")]
    return found | {"class": class_of(root, [("Zoe", []), ("Anna", reasons[0]), ("Ben", reasons[1])])}


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", PAGES)
def test_ids_names_labels_and_headings_are_in_order_and_what_is_too_wide_scrolls_by_keys(pages, opened, name, width):
    assert ailments(opened(pages[name], width).page) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["diverged", "sweep", "class"])
def test_what_is_written_stands_out_from_its_ground(pages, opened, name, dark):
    found = opened(pages[name], dark=dark)
    found.page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert faint(found.page) == []


def test_what_is_too_wide_for_a_phone_is_called_by_what_it_is_and_is_no_stop_where_it_fits(pages, opened):
    found = opened(pages["run"], 390)
    matrix = found.page.get_by_role("region", name="Confusion matrix, rows true, columns predicted")
    matrix.focus()
    assert matrix.evaluate("each => each === document.activeElement")
    found.page.keyboard.press("ArrowRight")
    found.page.wait_for_function("each => each.scrollLeft > 0", arg=matrix.element_handle())
    found.page.set_viewport_size({"width": 1440, "height": 900})
    found.page.wait_for_function("!document.querySelector('.scroll:has(.matrix)').hasAttribute('tabindex')")


def test_the_edge_of_what_goes_on_to_the_side_fades_and_the_end_does_not(pages, opened):
    found = opened(pages["run"], 390)
    box = found.page.locator(".scroll:has(.matrix)").first
    behind = "each => parseFloat(getComputedStyle(each).getPropertyValue('--behind'))"
    assert box.evaluate(behind) == 24
    box.evaluate("each => (each.scrollLeft = each.scrollWidth)")
    found.page.wait_for_function(f"each => ({behind})(each) === 0", arg=box.element_handle())


def test_sorting_on_a_phone_leaves_the_table_where_it_was(pages, opened):
    found = opened(pages["sweep"], 390)
    box = found.page.locator(".scroll:has(#runs)")
    box.evaluate("each => (each.scrollLeft = 300)")
    found.page.locator("#runs thead button", has_text="val loss").evaluate("each => each.click()")
    assert found.page.locator("#runs thead [aria-sort]").count() == 1
    assert box.evaluate("each => each.scrollLeft") == 300
