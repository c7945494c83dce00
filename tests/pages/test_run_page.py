"""The page of a run in a browser: by file, on a phone and on a screen, in the dark and on paper."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from labrunner.records import METRICS, load_run
from labrunner.report import write
from tests.figures.looking import diverging_rows, write_run
from tests.folders import HOSTILE
from tests.pages.kept import keep_samples
from tests.pages.sound import faint

A4 = 673  # pixels between the margins of style.css: (210 - 2 * 16) mm at 96 to the inch
WIDTHS = [390, 1440]


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, Path]:
    """Pages of runs: an ordinary one, one with hostile class names, one of many classes, one that diverged."""
    root = tmp_path_factory.mktemp("pages")
    many = [f"class {chr(97 + at)}, with a name that is rather long" for at in range(25)]
    runs = {
        "plain": keep_samples(write_run(root / "plain")),
        "hostile": keep_samples(write_run(root / "hostile", classes=HOSTILE, command="labrunner " + HOSTILE[0])),
        "many": keep_samples(write_run(root / "many", classes=many, samples=500)),
        "diverged": write_run(root / "diverged", rows=diverging_rows(), status="diverged", error="x" * 300),
    }
    return {name: write(load_run(folder)) for name, folder in runs.items()}


@pytest.mark.parametrize(
    ("name", "width"),
    [("plain", 390), ("plain", 1440), ("hostile", 390), ("many", 390), ("many", 1440), ("diverged", 390)],
)
def test_a_page_says_nothing_asks_for_nothing_and_is_no_wider_than_the_window(reports, opened, name, width):
    found = opened(reports[name], width)
    found.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert found.overflow() == 0
    assert found.messages == []
    assert found.requests == [reports[name].as_uri()]
    assert found.page.title() == "mlp on digits"


@pytest.mark.parametrize("width", [390])
def test_a_cell_opens_its_samples_and_escape_closes_them_and_gives_the_focus_back(reports, opened, width):
    found = opened(reports["plain"], width)
    cell = found.page.locator(".matrix .wrong button").first
    count = int(cell.inner_text())
    panel = found.page.locator(f"#{cell.get_attribute('popovertarget')}")
    assert not panel.is_visible()
    cell.press("Enter")
    assert panel.is_visible()
    assert panel.locator("figure").count() == min(count, 4)
    assert all(panel.locator("img").evaluate_all("all => all.map(each => each.complete && each.naturalWidth === 8)"))
    box = panel.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    found.page.keyboard.press("Escape")
    assert not panel.is_visible()
    assert cell.evaluate("each => each === document.activeElement")


def test_a_frequent_confusion_opens_the_same_panel_and_its_button_closes_it(reports, opened):
    found = opened(reports["plain"])
    button = found.page.locator("button.open").first
    button.click()
    panel = found.page.locator(f"#{button.get_attribute('popovertarget')}")
    assert panel.is_visible()
    assert found.page.get_by_role("dialog").count() == 1
    panel.get_by_role("button", name="close").click()
    assert not panel.is_visible()


def test_a_cell_opens_without_the_script_too(reports, opened):
    found = opened(reports["plain"], script=False)
    cell = found.page.locator(".matrix .wrong button").first
    cell.click()
    assert found.page.locator(f"#{cell.get_attribute('popovertarget')}").is_visible()
    assert not found.page.locator("input.filter").first.is_visible()
    assert not found.page.get_by_text("Point at a curve").is_visible()


def rows(report: Path) -> list[dict[str, str]]:
    with open(report.parent / "metrics.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def told(found, plot: int = 0) -> list[tuple[str, float]]:
    """(origin, number) of what is said above a plot."""
    shown = found.page.locator("figure.plot").nth(plot).locator(".readout [data-src]").all()
    return [(each.get_attribute("data-src"), float(each.inner_text().rstrip("%"))) for each in shown]


def agree(said: list[tuple[str, float]], row: dict[str, str]) -> bool:
    names = [origin.partition("/")[2] for origin, _ in said]
    places = {origin.partition("#")[2].partition("/")[0] for origin, _ in said}
    values = [float(row[name]) * (100 if name.endswith("accuracy") else 1) for name in names]
    near = [pytest.approx(value, rel=5e-4, abs=0.05 if value > 1 else 1e-9) for value in values]
    return places == {row["epoch"]} and [number for _, number in said] == near


@pytest.mark.parametrize("width", WIDTHS)
def test_the_pointer_on_a_curve_tells_the_values_of_its_epoch_in_all_plots(reports, opened, width):
    found = opened(reports["plain"], width)
    truth = rows(reports["plain"])
    home = told(found)
    assert agree(home, min(truth, key=lambda row: float(row["val_loss"])))
    svg = found.page.locator("figure.plot svg").first
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    left, right = 64 / 480, 460 / 480  # the first and the last epoch, as shares of the width
    for number in (1, 11, 30):
        share = left + (number - 1) / 29 * (right - left)
        found.page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        assert agree(told(found), truth[number - 1]), number
        assert agree(told(found, 1), truth[number - 1]), number
        assert not found.page.locator(".why").first.is_visible() or number == int(home[0][1])
    found.page.mouse.move(0, 0)
    assert told(found) == home
    assert found.messages == []


def test_the_keys_walk_along_a_curve_and_the_reading_is_said_aloud(reports, opened):
    found = opened(reports["plain"])
    truth = rows(reports["plain"])
    slider = found.page.locator("figure.plot").first.get_by_role("slider")
    slider.focus()
    for key, epoch in (
        ("Home", 1),
        ("ArrowRight", 2),
        ("PageDown", 12),
        ("ArrowLeft", 11),
        ("End", 30),
        ("ArrowRight", 30),
    ):
        slider.press(key)
        assert agree(told(found), truth[epoch - 1]), key
        assert slider.get_attribute("aria-valuenow") == str(epoch)
        assert f"epoch {epoch}" in slider.get_attribute("aria-valuetext")
    slider.press("Escape")
    assert agree(told(found), min(truth, key=lambda row: float(row["val_loss"])))


def test_a_touch_tells_the_values_and_they_stay(reports, browser):
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(reports["plain"].as_uri())
    svg = page.locator("figure.plot svg").first
    svg.tap(position={"x": svg.bounding_box()["width"] * 64 / 480, "y": 60})
    assert page.locator("figure.plot .at [data-src]").first.inner_text() == "1"
    context.close()


def test_sorting_the_table_of_epochs_leaves_the_curves_as_they_are(reports, opened):
    found = opened(reports["plain"])
    found.page.locator("summary", has_text="The numbers of each epoch").click()
    loss = 1 + METRICS.index("val_loss")
    head = found.page.locator(f"#epochs thead th:nth-child({loss}) button")
    head.click()
    best = min(rows(reports["plain"]), key=lambda row: float(row["val_loss"]))
    assert found.page.locator("#epochs tbody tr").first.get_attribute("class") == "chosen"
    assert found.column("#epochs", 0)[0] == best["epoch"]
    slider = found.page.locator("figure.plot").first.get_by_role("slider")
    slider.press("Home")
    assert agree(told(found), rows(reports["plain"])[0])


def test_the_classes_sort_by_recall_and_filter_by_name(reports, opened):
    found = opened(reports["hostile"])
    recall = found.page.locator("#classes thead th:nth-child(4)")
    recall.get_by_role("button").click()
    values = [float(text) for text in found.column("#classes", 3)]
    assert values == sorted(values)
    box = found.page.locator('input[data-table="classes"]')
    box.fill("northern young")
    assert found.column("#classes", 0) == [HOSTILE[6]]
    assert "1 of 10 rows" in found.page.locator("output").all_inner_texts()


@pytest.mark.parametrize(
    ("typed", "key"),
    [("optim.lr=1e-2", "optim.lr"), ("lr=0.010", "optim.lr"), ("dropo", "reg.dropout"), ("epochs=30", "epochs")],
)
def test_the_config_is_asked_for_a_key_and_its_value_as_they_are_typed(reports, opened, typed, key):
    found = opened(reports["plain"])
    found.page.locator('input[data-table="settings"]').fill(typed)
    assert found.column("#settings", 0) == [key]


def test_the_command_is_copied_as_it_stands(reports, browser):
    context = browser.new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(reports["hostile"].as_uri())
    page.get_by_role("button", name="copy").click()
    page.get_by_role("button", name="copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "labrunner " + HOSTILE[0]
    context.close()


@pytest.mark.parametrize("dark", [False, True])
def test_texts_of_every_kind_can_be_read_on_their_ground_by_day_and_by_night(reports, opened, dark):
    found = opened(reports["plain"], dark=dark)
    found.page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    assert (sum(found.page.evaluate(PAGE_COLOUR)) < 1) == dark
    assert faint(found.page) == []


PAGE_COLOUR = """() => {
  const context = new OffscreenCanvas(1, 1).getContext('2d');
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map(each => each / 255);
}"""


@pytest.mark.parametrize("name", ["many", "diverged"])
def test_on_paper_everything_folded_is_open_panels_are_left_out_and_nothing_is_cut(reports, opened, name):
    found = opened(reports[name], A4)
    found.page.emulate_media(media="print")
    assert found.overflow() == 0
    beyond = (
        "all => all.filter(each => each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML)"
    )
    assert found.page.locator("main *").evaluate_all(beyond) == []
    inside = "all => all.map(each => each.getBoundingClientRect().height)"
    heights = found.page.locator("details > :not(summary)").evaluate_all(inside)
    assert heights
    assert min(heights) > 10
    for gone in (".panel", "input.filter", "button.copy"):
        assert not any(each.is_visible() for each in found.page.locator(gone).all())


def test_a_page_prints_on_a_few_sheets_of_a4(reports, opened):
    document = opened(reports["plain"]).page.pdf(prefer_css_page_size=True)
    assert document.startswith(b"%PDF")
    assert 2 <= document.count(b"/Type /Page\n") <= 15


def test_on_paper_heads_have_no_buttons_that_keep_them_from_the_next_sheet_and_no_title_stands_alone(reports, opened):
    found = opened(reports["plain"])
    button = "document.querySelector('#epochs .sort')"
    found.page.locator("summary", has_text="The numbers of each epoch").click()
    assert found.page.evaluate(f"{button}.getClientRects().length") == 1
    found.page.emulate_media(media="print")
    assert found.page.evaluate(f"{button}.getClientRects().length") == 0
    assert found.page.locator("#epochs thead th").first.inner_text() == "epoch"
    assert found.page.evaluate("getComputedStyle(document.querySelector('#epochs thead')).breakInside") == "avoid"
    after = "all => all.filter(each => getComputedStyle(each).breakAfter !== 'avoid').map(each => each.outerHTML)"
    assert found.page.locator("h2, h3, main h4, summary, tr.group").evaluate_all(after) == []
