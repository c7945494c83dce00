"""The shell of all pages in a browser: tables that sort, boxes that filter, and a policy that lets nothing else run."""

from __future__ import annotations

import pytest
from jinja2 import DictLoader

from labrunner.report.page import environment

TABLE = """{% extends "page.html" %}{% block title %}t{% endblock %}{% block main %}
<input class="filter" type="search" data-table="all" aria-label="filter">
<table class="sortable" id="all"><thead><tr><th>name</th><th class="n">share</th><th data-sort="text">code</th>
<th>by value</th></tr></thead>
<tbody>
<tr><th>run 10</th><td>9.5%</td><td>10</td><td data-value="3">low</td></tr>
<tr><th>run 9</th><td>–</td><td>9</td><td data-value="1">high</td></tr>
<tr><th>{{ hostile }}</th><td>100%</td><td>-</td><td data-value="2">mid</td></tr>
<tr><th>Run 2</th><td>1e-05%</td><td></td><td data-value="">none</td></tr>
</tbody></table>
{{ smuggled }}
{% endblock %}"""
HOSTILE = "<img src=x onerror=document.title='evil'>"


@pytest.fixture
def shell(tmp_path, opened):
    """A page of one table, the script of ours and whatever is put behind it without escaping."""

    def made(smuggled: str = ""):
        from markupsafe import Markup

        overlay = environment().overlay(loader=DictLoader({"table.html": TABLE, **sources()}))
        path = tmp_path / "page.html"
        path.write_text(overlay.get_template("table.html").render(hostile=HOSTILE, smuggled=Markup(smuggled)), "utf-8")
        return opened(path)

    return made


def sources() -> dict[str, str]:
    loader = environment().loader
    assert loader is not None
    return {name: loader.get_source(environment(), name)[0] for name in ("page.html", "style.css")}


def test_a_header_cell_sorts_up_then_down_then_as_it_was_with_blanks_last(shell):
    found = shell()
    before = found.column("#all", 1)
    share = found.page.locator("#all thead button").nth(1)
    seen = []
    for _ in range(3):
        share.click()
        seen.append((found.page.locator("#all thead th").nth(1).get_attribute("aria-sort"), found.column("#all", 1)))
    assert seen == [
        ("ascending", ["1e-05%", "9.5%", "100%", "–"]),
        ("descending", ["100%", "9.5%", "1e-05%", "–"]),
        (None, before),
    ]


def test_texts_sort_with_their_numbers_as_numbers_and_values_by_what_they_carry(shell):
    found = shell()
    buttons = found.page.locator("#all thead button")
    buttons.nth(0).click()
    assert found.column("#all", 0) == [HOSTILE, "Run 2", "run 9", "run 10"]
    buttons.nth(3).focus()
    found.page.keyboard.press("Enter")
    assert found.column("#all", 3) == ["high", "mid", "low", "none"]
    assert found.page.locator("#all thead th[aria-sort]").count() == 1
    assert found.messages == []


def test_a_filter_hides_rows_that_lack_a_word_and_says_how_many_are_left(shell):
    found = shell()
    box = found.page.get_by_role("searchbox")
    box.fill("RUN  %")
    assert found.column("#all", 0) == ["run 10", "Run 2"]
    assert found.page.locator("output").inner_text() == "2 of 4 rows"
    box.fill("")
    assert len(found.column("#all", 0)) == 4
    assert found.page.locator("output").inner_text() == ""


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("9", ["run 9"]),  # neither 9.5% nor the 9 in 19
        ("9.50%", ["run 10"]),
        ("10", ["run 10"]),
        ("ru", ["run 10", "run 9", "Run 2"]),  # of which a word begins so
        ("un", []),
        ("1 low", []),
        ("share=9.5", ["run 10"]),
        ("share=0.095", ["run 10"]),
        ("share>10 name!=x", [HOSTILE]),
        ("share<=9.5%", ["run 10", "Run 2"]),
        ("share=1e-7", ["Run 2"]),
        ("by_value=low", ["run 10"]),
        ('name="run 9"', ["run 9"]),
        ("name=run", []),
        ("by_value>=2", ["run 10", HOSTILE]),  # what a cell carries is its value, too
        ("code=", ["run 10", "run 9", HOSTILE, "Run 2"]),  # not typed to its end yet
        ("((", []),
    ],
)
def test_a_word_is_a_beginning_a_number_a_whole_cell_and_a_column_can_be_asked_for(shell, typed, left):
    found = shell()
    found.page.get_by_role("searchbox").fill(typed)
    assert found.column("#all", 0) == left
    assert found.messages == []


def test_a_filter_that_nothing_fits_says_so_aloud_and_whether_there_is_such_a_column(shell):
    found = shell()
    box, said = found.page.get_by_role("searchbox"), found.page.get_by_role("status")
    assert said.get_attribute("aria-live") == "polite"
    box.fill("zebra")
    assert said.inner_text() == "no of 4 rows"
    box.fill("colour=red")
    assert said.inner_text() == "no of 4 rows: there is no column colour, but name, share, code, by value"


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("by value=low", ["run 10"]),
        ("by value = low", ["run 10"]),
        ("By_Value>2", ["run 10"]),
        ("run by value = low", ["run 10"]),
        ("share > 97%", [HOSTILE]),
        ('name="run 9" by value != low', ["run 9"]),
        ("share >", ["run 10", "run 9", HOSTILE, "Run 2"]),
    ],
)
def test_a_column_is_asked_by_its_name_as_shown_with_blanks_around_the_sign(shell, typed, left):
    found = shell()
    found.page.get_by_role("searchbox").fill(typed)
    assert found.column("#all", 0) == left


def test_a_filter_says_by_an_example_of_its_table_what_can_be_typed(shell):
    found = shell()
    box = found.page.get_by_role("searchbox")
    assert box.get_attribute("placeholder").endswith(": words, or share=9.5%")
    assert "column=value" in box.get_attribute("title")
    box.fill("share=9.5%")
    assert found.column("#all", 0) == ["run 10"]


@pytest.mark.parametrize(
    "attack",
    [
        "<script>document.title = 'evil'</script>",
        "<img src=x onerror=\"document.title='evil'\">",
        "<svg onload=\"document.title='evil'\"></svg>",
        "<iframe srcdoc=\"<script>parent.document.title='evil'</script>\"></iframe>",
    ],
)
def test_a_browser_runs_no_script_but_ours_even_where_one_got_past_the_escaping(shell, attack):
    found = shell(attack)
    found.page.wait_for_load_state("networkidle")
    assert found.page.title() == "t"
    assert found.page.locator("html.scripted").count() == 1
    assert any("Content Security Policy" in message for message in found.messages)
