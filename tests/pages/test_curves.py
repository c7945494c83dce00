"""The curves of a run's page: read off their own ticks they are metrics.csv, and what cannot be drawn is left out."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrunner.records import METRICS, load_run
from labrunner.report import render
from labrunner.report.epochs import MOST_ROWS
from labrunner.report.plot import BOTTOM, MOST_TICKS, TOP, Axis, epochs_axis, marks, path, ticks, values_axis
from tests.figures.looking import diverging_rows, write_run
from tests.folders import metrics_row
from tests.pages.reading import Page


def figures(text: str) -> dict[str, str]:
    """Title -> the markup of each plot of a page."""
    found = re.findall(r'<figure class="plot".*?</figure>', text, re.DOTALL)
    return {re.findall(r"<h3>(.*?)</h3>", each)[0]: each for each in found}


def scale(figure: str, which: str) -> Any:
    """What a reader of the ticks makes of a place: value from pixel, by the first and the last label."""
    written = re.findall(rf'<text class="{which}" x="([\d.]+)" y="([\d.]+)">([^<]*)</text>', figure)
    places = [(float(x) if which == "x" else float(y) - 4, label) for x, y, label in written if label != "epoch"]
    values = [float(label.rstrip("%")) / (100 if label.endswith("%") else 1) for _, label in places]
    assert len(values) >= 2
    log = "data-log" in figure and which == "y"
    known = [math.log10(value) for value in values] if log else values
    (one, first), (other, last) = (places[0][0], known[0]), (places[-1][0], known[-1])

    def read(place: float) -> float:
        value = first + (place - one) / (other - one) * (last - first)
        return 10**value if log else value

    return read


def drawn(figure: str, style: str) -> list[list[tuple[float, float]]]:
    """The pieces of a line, as (x, y) places."""
    described = re.findall(rf'<path class="line {style}" d="([^"]*)"', figure)
    assert len(described) == 1
    pieces = described[0].split("M")[1:]
    return [[tuple(map(float, place.split())) for place in piece.split("L")] for piece in pieces]


def recorded(folder: Path, column: str) -> list[tuple[int, float]]:
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        return [(int(row["epoch"]), float(row[column])) for row in csv.DictReader(file) if row[column]]


LINES = [
    ("Loss", "train", "train_loss"),
    ("Loss", "val", "val_loss"),
    ("Accuracy", "train", "train_accuracy"),
    ("Accuracy", "val", "val_accuracy"),
    ("Validation metrics, macro", "second", "val_recall"),
    ("Validation metrics, macro", "fourth", "val_auroc"),
    ("Learning rate of the last step", "first", "lr"),
]


@pytest.fixture(params=["falls", "diverges"])
def run_and_rows(request, tmp_path) -> tuple[Path, list[dict[str, Any]]]:
    rng = np.random.default_rng(1)
    rows = diverging_rows() if request.param == "diverges" else [metrics_row(epoch, 25, rng) for epoch in range(1, 26)]
    for row in rows:
        row["lr"] = 0.5 * 0.6 ** row["epoch"]
    status = "diverged" if request.param == "diverges" else "done"
    return write_run(tmp_path / "run", rows=rows, status=status, tested=False), rows


def test_a_curve_read_off_its_ticks_is_the_column_of_metrics_csv(run_and_rows):
    folder, _ = run_and_rows
    plots = figures(render(load_run(folder)))
    for title, style, column in LINES:
        x, y = scale(plots[title], "x"), scale(plots[title], "y")
        points = [point for piece in drawn(plots[title], style) for point in piece]
        truth = recorded(folder, column)
        assert len(points) == len(truth)
        tolerance = abs(y(TOP + 1.0) - y(TOP)) if "data-log" not in plots[title] else None
        for (at, height), (epoch, value) in zip(points, truth, strict=True):
            assert x(at) == pytest.approx(epoch, abs=0.05)
            if tolerance is None:  # a pixel of a log scale is a factor
                assert y(height) == pytest.approx(value, rel=abs(y(TOP) / y(TOP + 1.0) - 1))
            else:
                assert y(height) == pytest.approx(value, abs=tolerance)


def test_a_loss_over_many_decades_has_a_log_scale_and_one_over_few_has_not(tmp_path):
    few = figures(render(load_run(write_run(tmp_path / "few"))))
    assert "data-log" not in few["Loss"]
    many = write_run(tmp_path / "many", rows=diverging_rows(), status="diverged")
    assert "data-log" in figures(render(load_run(many)))["Loss"]
    assert "data-log" not in figures(render(load_run(many)))["Accuracy"]


def test_the_chosen_epoch_is_marked_at_its_place_and_told_first(tmp_path):
    folder = write_run(tmp_path / "run")
    losses = recorded(folder, "val_loss")
    chosen = min(losses, key=lambda row: row[1])[0]
    plot = figures(render(load_run(folder)))["Loss"]
    at = float(re.findall(r'<line class="chosen" x1="([\d.]+)"', plot)[0])
    assert scale(plot, "x")(at) == pytest.approx(chosen, abs=0.05)
    told = Page(plot).shown
    assert [place for place, _ in told] == [
        f"metrics.csv#{chosen}/{name}" for name in ("epoch", "train_loss", "val_loss")
    ]
    assert float(told[2][1]) == pytest.approx(dict(losses)[chosen], rel=5e-4)


def test_of_a_very_long_run_a_few_rows_are_there_and_the_chosen_epoch_is_one_of_them(tmp_path):
    rng = np.random.default_rng(0)
    rows = [metrics_row(epoch, 1500, rng) for epoch in range(1, 1501)]
    rows[777]["val_loss"] = 1e-3
    text = render(load_run(write_run(tmp_path / "run", rows=rows)))
    table = re.findall(r'<table class="sortable epochs".*?</table>', text, re.DOTALL)[0]
    shown = [int(place.split("/")[0]) for place, _ in Page(table).of("metrics.csv") if place.endswith("/epoch")]
    assert MOST_ROWS <= len(shown) <= MOST_ROWS + 1
    assert (shown[0], shown[-1]) == (1, 1500)
    assert 778 in shown
    assert re.findall(r'<tr class="chosen"><td class="n"><span data-src="metrics.csv#(\d+)/epoch"', table) == ["778"]
    assert "the file holds all" in " ".join(text.split())
    assert len(drawn(figures(text)["Loss"], "val")[0]) == len(shown)
    assert "the file holds all" not in " ".join(render(load_run(write_run(tmp_path / "short"))).split())


def test_every_row_and_column_of_metrics_csv_stands_in_the_table(tmp_path):
    folder = write_run(tmp_path / "run", epochs=7)
    table = re.findall(r'<table class="sortable epochs".*?</table>', render(load_run(folder)), re.DOTALL)[0]
    assert [place for place, _ in Page(table).of("metrics.csv")] == [
        f"{epoch}/{name}" for epoch in range(1, 8) for name in METRICS
    ]


@pytest.mark.parametrize(
    ("choices", "titles"),
    [
        ({"val": False}, ["Loss", "Accuracy"]),
        ({"rows": [dict.fromkeys(METRICS) | {"epoch": 1, "lr": 0.1}], "status": "diverged"}, []),
        ({"rows": [], "status": "failed"}, []),
        ({"epochs": 1}, ["Loss", "Accuracy", "Validation metrics, macro"]),
    ],
)
def test_what_was_not_recorded_has_no_curve(tmp_path, choices, titles):
    assert list(figures(render(load_run(write_run(tmp_path / "run", **choices))))) == titles


def test_a_single_epoch_stands_in_the_middle_as_a_mark(tmp_path):
    plot = figures(render(load_run(write_run(tmp_path / "run", epochs=1))))["Loss"]
    [(x, y)] = drawn(plot, "val")[0]
    axis = epochs_axis([1])
    assert x == (axis.start + axis.end) / 2
    assert f'<circle class="mark val" cx="{x}" cy="{y}"' in plot


def test_the_epoch_in_which_a_run_diverged_is_dotted_and_named(tmp_path):
    text = render(load_run(write_run(tmp_path / "run", rows=diverging_rows(), status="diverged")))
    plot = figures(text)["Loss"]
    at = float(re.findall(r'<line class="diverged" x1="([\d.]+)"', plot)[0])
    assert scale(plot, "x")(at) == pytest.approx(5, abs=0.05)
    assert "in which the run diverged" in text


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 0.0],
        [1.0],
        [-3.0, 5.0],
        [1e-320, 1.0],
        [1e-300, 1e300],
        [-1.7e308, 1.7e308],
        [0.0, 1.7e308],
        [5e-324, 5e-324],
        [0.1, 0.1000001],
        [1e15, 1e15 + 1],
        [3.0, 2999.0],
    ],
)
def test_an_axis_holds_its_values_and_a_few_ticks_whatever_they_are(values):
    axis = values_axis(values)
    for value in values:
        place = axis.place(value)
        assert TOP <= place <= BOTTOM
    found = ticks(axis)
    assert 0 < len(found) <= 2 * MOST_TICKS
    assert all(TOP - 1 <= tick.place <= BOTTOM + 1 for tick in found)
    assert [tick.place for tick in found] == sorted((tick.place for tick in found), reverse=True)
    assert len({tick.label for tick in found}) == len(found) or max(values) / min(values) - 1 < 1e-5


@pytest.mark.parametrize("last", [1, 2, 7, 30, 250, 10_000])
def test_ticks_of_epochs_are_whole_and_within(last):
    found = [float(tick.label) for tick in ticks(epochs_axis(range(1, last + 1)), whole=True)]
    assert found == [round(value) for value in found]
    assert 1 <= len(found) <= 2 * MOST_TICKS
    assert min(found) >= 1
    assert max(found) <= last


def test_a_blank_is_a_gap_and_a_value_between_two_blanks_a_mark():
    places = [(float(at), 1.0) if at not in (3, 5) else None for at in range(30)]
    assert path(places).startswith("M0 1L1 1L2 1M4 1M6 1L7 1")
    assert marks(places) == [(4.0, 1.0)]
    assert marks(places[:4]) == [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)]


def test_a_log_axis_puts_equal_factors_at_equal_distances():
    axis = Axis(1.0, 10_000.0, 0.0, 400.0, log=True)
    assert [axis.place(10.0**exponent) for exponent in range(5)] == [0.0, 100.0, 200.0, 300.0, 400.0]
