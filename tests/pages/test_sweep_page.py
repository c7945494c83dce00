"""The page of a sweep in a browser: its tables sort and filter, its links lead to runs, and it fits phone and paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labrunner.records import SweepFolder, load_run, load_sweep
from labrunner.report import write as write_report
from labrunner.report.sweeps import write
from labrunner.verdict import renew
from tests.sweeps import write_sweep

VALUES = [
    {"optim.lr": lr, "model": model, "seed": s}
    for lr in (0.001, 0.01, 0.1)
    for model in ("mlp", "cnn")
    for s in (0, 1, 2)
]
A4 = 673  # pixels between the margins


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A sweep over two keys and seeds, one run of which diverged, another with a page of its own."""
    path = tmp_path_factory.mktemp("page") / "a sweep"
    sweep = write_sweep(path, VALUES, epochs=2, samples=40, classes=("a", "b"), statuses={17: "diverged"})
    with SweepFolder.open(path) as folder:
        renew(folder, sweep)
    write_report(load_run(path / "4"))
    return write(load_sweep(path).path)


def test_it_is_silent_and_asks_for_nothing(page, opened):
    found = opened(page)
    assert found.messages == []
    assert found.requests == [page.absolute().as_uri()]


def test_the_runs_sort_by_any_column_with_blanks_last(page, opened):
    found = opened(page)
    heads = [head.inner_text().strip(" ↕") for head in found.page.locator("#runs thead th").all()]
    accuracy, lr = heads.index("test accuracy"), heads.index("optim.lr")
    found.page.locator("#runs thead button").nth(accuracy).click()
    up = found.column("#runs", accuracy)
    assert up[-1] == "–"
    assert [float(each) for each in up[:-1]] == sorted(float(each) for each in up[:-1])
    found.page.locator("#runs thead button").nth(lr).click()
    assert [float(each) for each in found.column("#runs", lr)] == sorted(each["optim.lr"] for each in VALUES)


def test_settings_sort_by_their_means(page, opened):
    found = opened(page)
    heads = [head.inner_text().strip(" ↕") for head in found.page.locator("#settings thead th").all()]
    loss = heads.index("val loss")
    found.page.locator("#settings thead button").nth(loss).click()
    means = [float(each.split("±")[0]) for each in found.column("#settings", loss)]
    assert len(means) == 6
    assert means == sorted(means)


def test_a_filter_leaves_the_rows_with_all_its_words(page, opened):
    found = opened(page)
    found.page.locator("input[data-table=runs]").fill("cnn diverged")
    assert found.column("#runs", 0) == ["17"]
    assert found.page.locator("input[data-table=runs] + output").inner_text() == "1 of 18 rows"
    found.page.locator("input[data-table=runs]").fill("")
    assert len(found.column("#runs", 0)) == 18


def test_a_run_with_a_page_of_its_own_is_a_click_away_and_no_other(page, opened):
    found = opened(page)
    links = found.page.locator("#runs a")
    assert [link.inner_text() for link in links.all()] == ["4"]
    links.first.click()
    assert found.page.url == (page.parent / "4/report.html").absolute().as_uri()
    assert "run 4" in found.page.locator("header").inner_text()


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_no_wider_than_the_screen(page, opened, width, dark):
    found = opened(page, width, dark=dark)
    assert found.overflow() == 0
    assert found.messages == []


@pytest.mark.parametrize("value", ["0.00012345", "x" * 17, "x" * 90])
def test_a_value_without_a_place_to_break_it_fits_on_a_phone(tmp_path, opened, value):
    sweep = write_sweep(tmp_path / "s", [{"dataset": value}], epochs=2, samples=20, classes=("a", "b"))
    with SweepFolder.open(sweep.path) as folder:
        renew(folder, sweep)
    assert opened(write(sweep.path), 390).overflow() == 0


@pytest.mark.parametrize("width", [390, 1440])
def test_on_paper_all_pairs_are_there_and_nothing_is_cut_off(page, opened, width):
    found = opened(page, width)
    assert found.page.pdf(format="A4").startswith(b"%PDF")
    found.page.set_viewport_size({"width": A4, "height": 900})
    found.page.emulate_media(media="print")
    assert found.overflow() == 0
    assert right_ends(found.page) <= A4
    assert not found.page.locator("input.filter").first.is_visible()
    assert found.page.evaluate(
        "[...document.querySelectorAll('details')].every(each => each.lastElementChild.getClientRects().length)"
    )


def test_on_paper_no_two_words_of_a_table_touch(page, opened):
    found = opened(page)
    found.page.set_viewport_size({"width": A4, "height": 900})
    found.page.emulate_media(media="print")
    gaps = found.page.evaluate(
        """[...document.querySelectorAll('table.wide tr')].flatMap((row) => [...row.cells].slice(1).map((cell, at) => {
             const [one, other] = [row.cells[at], cell].map((each) => {
               const range = document.createRange();
               range.selectNodeContents(each);
               return range.getBoundingClientRect();
             });
             return other.left - one.right;
           }))"""
    )
    assert len(gaps) > 100
    assert min(gaps) > 2  # pixels; a space of this size has as many


def right_ends(page: Any) -> float:
    """How far to the right any cell of a table reaches, in pixels."""
    return float(
        page.evaluate(
            "Math.max(...[...document.querySelectorAll('th, td')].map(each => each.getBoundingClientRect().right))"
        )
    )


def test_without_a_script_all_is_there_but_the_filter(page, opened):
    found = opened(page, script=False)
    assert len(found.column("#runs", 0)) == 18
    assert not found.page.locator("input.filter").first.is_visible()


def test_tables_of_one_row_or_two_have_nothing_to_sort_or_to_filter(tmp_path, opened):
    values = [{"optim.lr": lr, "seed": seed} for lr in (0.01, 0.1) for seed in range(3)]
    sweep = write_sweep(tmp_path / "s", values, epochs=2, samples=40, classes=("a", "b"))
    with SweepFolder.open(sweep.path) as folder:
        renew(folder, sweep)
    found = opened(write(sweep.path))
    buttons = {name: found.page.locator(f"#{name} thead button").count() > 0 for name in ("runs", "settings", "pairs")}
    assert buttons == {"runs": True, "settings": False, "pairs": False}
    assert [each.get_attribute("data-table") for each in found.page.locator("input.filter").all()] == ["runs"]


def test_the_best_run_and_the_best_setting_are_marked(page, opened):
    found = opened(page)
    runs, settings = found.page.locator("#runs tbody tr"), found.page.locator("#settings tbody tr")
    losses = [float(each.split("±")[0]) for each in settings.locator("td:nth-child(5)").all_inner_texts()]
    assert losses == sorted(losses)
    for rows in (runs, settings):
        assert rows.locator("xpath=self::*[@class='chosen']").count() == 1
        assert rows.first.get_attribute("class") == "chosen"
