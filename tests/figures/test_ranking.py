"""ROC and precision-recall curves against scikit-learn, and how many classes are shown."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from labrunner.figures.look import PALE
from labrunner.figures.ranking import (
    EACH,
    GRID,
    WORST,
    _precision_at_grid,
    _roc_at_grid,
    average_precision,
    precision_recall,
    precision_recall_curve,
    roc,
    roc_area,
    roc_curve,
)
from labrunner.records import Run, load_run
from tests.figures.looking import NAMES, all_inside, drawn, made
from tests.folders import HOSTILE
from tests.lines import cases

RANDOM = np.random.default_rng(0)
CASES = {
    "no ties": (RANDOM.random(500) < 0.1, RANDOM.random(500)),
    "many ties": (RANDOM.random(500) < 0.4, RANDOM.integers(0, 7, 500) / 7),
    "all tied": (np.arange(9) < 2, np.full(9, 0.5)),
    "perfect": (np.arange(9) < 2, np.arange(9)[::-1] / 9),
    "reversed": (np.arange(9) < 2, np.arange(9) / 9),
    "one positive": (np.arange(50) == 17, RANDOM.random(50)),
    "probabilities at the ends": (RANDOM.random(200) < 0.5, np.round(RANDOM.random(200))),
}


@pytest.mark.parametrize("case", CASES)
def test_areas_are_those_of_scikit_learn(case):
    positive, score = CASES[case]
    assert roc_area(positive, score) == pytest.approx(sk.roc_auc_score(positive, score), abs=1e-12)
    assert average_precision(positive, score) == pytest.approx(sk.average_precision_score(positive, score), abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_points_are_those_of_scikit_learn(case):
    positive, score = CASES[case]
    rates = roc_curve(positive, score)
    expected = sk.roc_curve(positive, score, drop_intermediate=False)
    for ours, theirs in zip(rates, expected, strict=False):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    precision, recall, _ = sk.precision_recall_curve(positive, score)
    theirs = {(round(r, 9), round(p, 9)) for r, p in zip(recall, precision, strict=True)}
    assert {(round(r, 9), round(p, 9)) for r, p in zip(*precision_recall_curve(positive, score), strict=True)} <= theirs


@pytest.mark.parametrize("case", CASES)
def test_a_curve_on_the_grid_has_its_own_area(case):
    positive, score = CASES[case]
    on_grid = _roc_at_grid(roc_curve(positive, score))
    assert np.sum(np.diff(GRID) * (on_grid[1:] + on_grid[:-1]) / 2) == pytest.approx(
        roc_area(positive, score), abs=2e-3
    )
    steps = _precision_at_grid(precision_recall_curve(positive, score))
    assert np.sum(np.diff(GRID) * steps[1:]) == pytest.approx(average_precision(positive, score), abs=2e-3)


def defined(run: Run) -> list[int]:
    label = run.predictions["label"].to_numpy()
    return [k for k in range(len(run.class_names)) if 0 < (label == k).sum() < len(label)]


def shown(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize(
    ("function", "area"),
    [(roc, sk.roc_auc_score), (precision_recall, sk.average_precision_score)],
    ids=["roc", "precision_recall"],
)
@pytest.mark.parametrize("count", [2, 10])
def test_the_legend_has_every_area_of_the_saved_probabilities_from_the_largest(tmp_path, function, area, count):
    run = made(tmp_path, classes=NAMES[count])
    label = run.predictions["label"].to_numpy()
    areas = [area(label == k, run.predictions.iloc[:, 3 + k]) for k in range(count)]
    entries = shown(drawn(function(run)))
    assert entries[0] == f"{np.mean(areas):.4f}  macro average"
    order = sorted(range(count), key=lambda k: (-round(areas[k], 12), k))
    assert entries[1:-1] == [f"{areas[k]:.4f}  {NAMES[count][k]}" for k in order]


def test_the_area_under_roc_is_the_auroc_of_the_files(tmp_path):
    run = made(tmp_path)
    label = run.predictions["label"].to_numpy()
    ours = [roc_area(label == k, run.predictions.iloc[:, 3 + k].to_numpy()) for k in range(10)]
    np.testing.assert_allclose(ours, run.per_class["auroc"], rtol=0, atol=1e-9)
    assert np.mean(ours) == pytest.approx(run.test["auroc"], abs=1e-9)


def test_ten_classes_are_all_told_apart(tmp_path):
    for function in (roc, precision_recall):
        lines = drawn(function(made(tmp_path / function.__name__))).legends[0].get_lines()
        styles = {(line.get_color(), str(line.get_linestyle()), str(line._dash_pattern)) for line in lines}
        assert len(styles) == len(lines) == 12


def test_of_a_hundred_classes_the_worst_five_stand_out(tmp_path):
    run = made(tmp_path, classes=[f"c{index}" for index in range(100)], samples=2000)
    figure = drawn(roc(run))
    entries = shown(figure)
    worst = run.per_class.sort_values("auroc", ascending=False)["class"][-WORST:]
    assert [entry.split()[-1] for entry in entries[2:-1]] == list(worst)
    assert entries[1].endswith("95 classes")
    (behind,) = [c for c in figure.axes[0].collections if len(c.get_segments()) == 95]
    np.testing.assert_allclose(behind.get_color()[0][:3], [int(PALE[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    assert len(run.class_names) > EACH


def test_classes_without_samples_are_left_out_of_curves_and_average(tmp_path):
    run = made(tmp_path, samples=7)
    for function in (roc, precision_recall):
        figure = drawn(function(run))
        assert len(shown(figure)) == len(defined(run)) + 2
        assert figure.axes[0].get_title().endswith("3 of 10 classes left out: no test samples")


def test_a_single_class_without_samples_is_named(tmp_path):
    run = made(tmp_path)
    table = pd.read_csv(run.path / "predictions.csv")
    table[table["label"] != 4].to_csv(run.path / "predictions.csv", index=False)
    for function in (roc, precision_recall):
        title = drawn(function(load_run(run.path))).axes[0].get_title()
        assert title.endswith(f"class {run.class_names[4]} left out: no test samples")


def test_where_no_class_can_be_ranked_nothing_is_drawn(tmp_path):
    for function in (roc, precision_recall):
        assert function(made(tmp_path / f"one_{function.__name__}", samples=1)) is None
        assert function(made(tmp_path / f"none_{function.__name__}", status="interrupted")) is None


CLASSES = {"2": NAMES[2], "10": NAMES[10], "hostile": HOSTILE, "100": NAMES[100]}
EACH_TIME = [("2", roc), ("10", precision_recall), ("hostile", roc), ("100", roc), ("100", precision_recall)]


@pytest.mark.parametrize(
    ("names", "function"), cases(itertools.product(CLASSES, (roc, precision_recall)), fast=EACH_TIME)
)
def test_no_entry_is_cut_off_and_no_name_starts_a_formula(tmp_path, names, function):
    figure = function(made(tmp_path, classes=CLASSES[names], samples=500))
    all_inside(figure)
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())


def test_a_name_that_starts_with_an_underscore_is_in_the_legend(tmp_path):
    assert any("_hidden" in entry for entry in shown(drawn(roc(made(tmp_path, classes=("_hidden", "seen"))))))
