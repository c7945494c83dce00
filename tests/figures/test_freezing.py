"""The figure of what was frozen: bars as long as the counts of freeze.csv, and nothing where nothing was frozen."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labrunner.audit import COLUMNS
from labrunner.figures.freezing import freezing
from labrunner.figures.look import BLUE, PALE, look
from labrunner.records import Run, load_run
from tests.figures.looking import all_inside, everything, write_run
from tests.folders import HOSTILE

LONG = "backbone.features.{}.a_stage_with_a_name_that_is_rather_long_{}"
TABLES: dict[str, list[list[Any]]] = {
    "two": [["backbone.block1", 1280, 0, None, 6, 0], ["head", 1_100_000, 1_100_000, 1, 0, 0]],
    "gradual": [["backbone.block1", 352, 0, None, 6, 0], ["b", 18_560, 18_560, 7, 6, 0], ["head", 2570, 2570, 1, 0, 0]],
    "six": [
        ["backbone.conv1", 696, 0, None, 6, 0],
        ["backbone.stage2", 27_516, 0, None, 40, 3],
        ["backbone.stage3", 244_000, 120, 2, 40, 0],
        ["backbone.stage4", 720_000, 0, 1, 12, 0],
        ["backbone.conv5", 477_184, 477_184, 30, 6, 0],
        ["head", 10_250, 10_250, 1, 0, 0],
    ],
    "sixteen": [
        *([LONG.format(i, i), int(928 * 1.6**i), 0, None, 10, 0] for i in range(15)),
        ["head", 10, 10, 1, 0, 0],
    ],
    "seventy": [*([f"layer{i}", 1000 + i, 0, None, 1, int(i == 30)] for i in range(70)), ["head", 10, 10, 1, 0, 0]],
    "hostile": [*([name, 12, 0, None, 1, 0] for name in HOSTILE), ["head", 4, 4, 1, 0, 0]],
    "without parameters": [["backbone.norm", 0, 0, None, 3, 0], ["head", 20, 20, 1, 0, 0]],
    "huge": [["backbone.a", 4, 0, None, 3, 2], ["head", 300_000_000, 299_999_999, 1, 1, 0]],
}


def written(path: Path, rows: Sequence[Sequence[Any]], **choices: Any) -> Run:
    folder = write_run(path / "run", **choices)
    with open(folder / "freeze.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *(["" if cell is None else cell for cell in row] for row in rows)])
    return load_run(folder)


def drawn(run: Run) -> Figure:
    with look(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = freezing(run)
        assert figure is not None
        all_inside(figure)
    return figure


def bars(figure: Figure, panel: int, colour: str) -> dict[int, tuple[float, float]]:
    """Row -> where its bar of that colour begins and ends."""
    boxes = [box for box in figure.axes[panel].patches if isinstance(box, Rectangle)]
    return {
        round(box.get_y() + box.get_height() / 2): (box.get_x(), box.get_x() + box.get_width())
        for box in boxes
        if to_hex(box.get_facecolor()) == colour.lower()
    }


def words(figure: Figure, panel: int) -> list[str]:
    return [text.get_text() for text in figure.axes[panel].texts]


@pytest.mark.parametrize("name", TABLES)
def test_any_number_of_stages_is_drawn_with_words_that_can_be_read(tmp_path, name):
    figure = drawn(written(tmp_path, TABLES[name]))
    assert all(text.get_fontsize() >= 10.0 for text in everything(figure))
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert not any(a.overlaps(b) for number, a in enumerate(boxes) for b in boxes[:number])
    inside = figure.axes[0].get_window_extent()
    assert all(text.get_window_extent().x1 <= inside.x1 + 1 for text in figure.axes[0].texts)


def test_a_bar_ends_at_its_parameters_and_the_blue_one_at_those_that_train(tmp_path):
    rows = TABLES["six"]
    figure = drawn(written(tmp_path, rows))
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    pale, blue = bars(figure, 0, PALE), bars(figure, 0, BLUE)
    for place, (_, parameters, trainable, *_) in enumerate(rows):
        ends = [found[place][1] for found in (pale, blue) if place in found]
        assert max(ends) == pytest.approx(parameters)
        assert (place in blue) == (trainable > 0)
        if trainable:
            assert blue[place][1] == pytest.approx(trainable)
        assert (place in pale) == (trainable < parameters)
    low, high = axes.get_xlim()
    assert all(begin == low for begin, _ in [*pale.values(), *blue.values()])
    assert high > 720_000
    assert words(figure, 0) == [
        "696",
        "27,516: 3 of 40 moved",
        "120 of 244,000",
        "720,000",
        "477,184",
        "10,250",
    ]


def test_small_stages_and_large_ones_can_both_be_seen(tmp_path):
    figure = drawn(written(tmp_path, TABLES["two"]))
    axes = figure.axes[0]
    widths = [
        axes.transData.transform((end, 0))[0] - axes.transData.transform((begin, 0))[0]
        for begin, end in [*bars(figure, 0, PALE).values(), *bars(figure, 0, BLUE).values()]
    ]
    assert min(widths) > 0.05 * axes.bbox.width
    assert max(widths) > 2 * min(widths)


def test_the_second_panel_says_from_which_epoch_on_a_stage_trains(tmp_path):
    figure = drawn(written(tmp_path, TABLES["six"]))
    assert words(figure, 1) == [
        "never",
        "never",
        "from epoch 2",
        "from the start, then frozen",
        "from epoch 30",
        "from the start",
    ]
    pale, blue = bars(figure, 1, PALE), bars(figure, 1, BLUE)
    assert pale == {0: (0.5, 30.5), 1: (0.5, 30.5), 2: (0.5, 1.5), 4: (0.5, 29.5)}
    assert blue == {2: (1.5, 30.5), 4: (29.5, 30.5), 5: (0.5, 30.5)}
    (again,) = [box for box in figure.axes[1].patches if box.get_hatch()]
    assert round(again.get_y() + again.get_height() / 2) == 3


def test_what_moved_while_it_was_frozen_has_a_cross_and_is_explained(tmp_path):
    figure = drawn(written(tmp_path, TABLES["six"]))
    (cross,) = [line for line in figure.axes[0].get_lines() if line.get_marker() == "X"]
    assert (list(cross.get_xdata()), list(cross.get_ydata())) == ([27_516], [1])
    assert "tensors that moved while frozen" in [text.get_text() for text in figure.legends[0].get_texts()]
    figure = drawn(written(tmp_path / "still", TABLES["two"]))
    assert not [line for line in figure.axes[0].get_lines() if line.get_marker() == "X"]
    assert len(figure.legends[0].get_texts()) == 2


def test_of_very_many_stages_some_are_left_out_but_none_that_moved(tmp_path):
    figure = drawn(written(tmp_path, TABLES["seventy"]))
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(names) <= 41
    assert {"layer0", "layer30", "head"} <= set(names)
    assert f"{71 - len(names)} stages left out" in figure.get_suptitle()
    assert figure.get_suptitle().startswith("10 of 72,425 parameters train")


@pytest.mark.parametrize("epochs", [1, 3])
def test_of_a_single_epoch_there_is_one_to_be_seen(tmp_path, epochs):
    figure = drawn(written(tmp_path, TABLES["two"], epochs=epochs))
    low, high = figure.axes[1].get_xlim()
    assert [tick for tick in figure.axes[1].get_xticks() if low < tick < high] == list(range(1, epochs + 1))


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "stage,parameters,trainable,thawed,frozen,changed\n",
        "stage,parameters,trainable,thawed,frozen,changed\nhead,10,10,1,0,0\n",
        "stage,parameters\na,1\n",
        "stage,parameters,trainable,thawed,frozen,changed\nhead,many,10,1,3,0\n",
        "stage,parameters,trainable,thawed,frozen,changed\nhead,1\n",
        "\x00\xff",
    ],
)
def test_where_nothing_was_frozen_or_the_table_is_damaged_there_is_no_figure(tmp_path, content):
    folder = write_run(tmp_path / "run")
    if content is not None:
        (folder / "freeze.csv").write_text(content, encoding="latin-1")
    assert freezing(load_run(folder)) is None
