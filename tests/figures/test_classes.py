"""Precision, recall and F1 of each class, for 2 to 100 classes, defined or not."""

from __future__ import annotations

import itertools

import pytest

from labrunner.figures.classes import BEST, WORST, classes
from tests.figures.looking import NAMES, all_inside, drawn, everything, made
from tests.folders import HOSTILE
from tests.lines import cases


@pytest.mark.parametrize("count", [2, 10])
def test_the_bars_are_the_columns_of_the_file_best_f1_on_top(tmp_path, count):
    run = made(tmp_path, classes=NAMES[count])
    axes = drawn(classes(run)).axes[0]
    ranked = run.per_class.sort_values("f1", ascending=False, kind="stable")
    drawn_bars = sorted(
        (patch.get_y(), patch.get_width()) for patch in axes.patches if patch.get_width() == patch.get_width()
    )
    expected = ranked[["precision", "recall", "f1"]].to_numpy().ravel()
    assert [width for _, width in drawn_bars] == pytest.approx(list(expected))
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert [label.rsplit("(", 1)[1] for label in labels] == [f"{support})" for support in ranked["support"]]


def test_of_a_hundred_classes_the_best_and_the_worst_are_named_and_the_rest_is_said(tmp_path):
    run = made(tmp_path, classes=[f"c{index}" for index in range(100)], samples=3000)
    axes = drawn(classes(run)).axes[0]
    ranked = run.per_class.sort_values("f1", ascending=False, kind="stable")
    shown = [label.get_text().split(" ")[0] for label in axes.get_yticklabels() if label.get_text()]
    assert shown == [*ranked["class"][:BEST], *ranked["class"][-WORST:]]
    left = ranked["f1"][BEST:-WORST]
    said = f"70 more classes, F1 {left.min():.1%} to {left.max():.1%}: in per_class.csv"
    assert said in [text.get_text() for text in axes.texts]


def test_undefined_classes_stand_below_and_are_said_to_be_undefined(tmp_path):
    run = made(tmp_path, samples=7)
    axes = drawn(classes(run)).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[7:] == ["7  (0)", "8  (0)", "9  (0)"]
    said = [text.get_text() for text in axes.texts]
    assert said.count("F1 undefined") == 3
    assert said.count("recall undefined: no test samples") == 3


def test_undefined_metrics_are_said_where_marks_stand_for_bars(tmp_path):
    run = made(tmp_path, classes=[f"c{index}" for index in range(20)], samples=15)
    said = [text.get_text() for text in drawn(classes(run)).axes[0].texts]
    assert said.count("recall and F1 undefined") == 5


def test_a_run_that_was_not_tested_has_no_classes(tmp_path):
    assert classes(made(tmp_path, status="interrupted")) is None


CLASSES = {"2": NAMES[2], "10": NAMES[10], "hostile": HOSTILE, "100": NAMES[100]}
EACH_TIME = [("2", 1), ("10", 360), ("hostile", 1), ("hostile", 360), ("100", 360)]


@pytest.mark.parametrize(("names", "samples"), cases(itertools.product(CLASSES, (1, 360)), fast=EACH_TIME))
def test_no_class_is_cut_off_and_no_name_starts_a_formula(tmp_path, names, samples):
    run = made(tmp_path, classes=CLASSES[names], samples=samples)
    figure = classes(run)
    all_inside(figure)
    assert not any(label.get_parse_math() for label in figure.axes[0].get_yticklabels())
    boxes = [text.get_window_extent() for text in everything(figure) if "(" in text.get_text() and text.axes]
    rows = sorted((box.y0, box.y1) for box in boxes if box.x1 < figure.axes[0].bbox.x0)
    assert all(lower[1] <= upper[0] + 1 for lower, upper in itertools.pairwise(rows))
