"""The matrices show the counts and their shares, for 2 to 250 classes."""

from __future__ import annotations

import itertools

import matplotlib
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from labrunner.figures.confusion import NAME_WIDTH, confusion, confusion_predicted, confusion_true
from tests.figures.looking import NAMES, all_inside, contrast, drawn, inside, made
from tests.folders import HOSTILE
from tests.lines import cases


@pytest.mark.parametrize("count", [2, 10])
def test_the_numbers_in_the_cells_are_the_counts(tmp_path, count):
    run = made(tmp_path, classes=NAMES[count])
    (axes, _) = drawn(confusion(run)).axes
    counts = run.confusion.to_numpy()
    written = {(text.get_position()[1], text.get_position()[0]): int(text.get_text()) for text in axes.texts}
    assert written == {place: int(counts[place]) for place in np.ndindex(counts.shape)}


@pytest.mark.parametrize("count", [2, 10, 100])
def test_the_colour_of_a_cell_is_its_share_of_the_row(tmp_path, count):
    run = made(tmp_path, classes=NAMES[count], samples=1000)
    (axes, _) = drawn(confusion(run)).axes
    counts = run.confusion.to_numpy()
    np.testing.assert_allclose(axes.images[0].get_array(), counts / counts.sum(axis=1, keepdims=True))
    assert axes.get_xlabel() == "predicted class"
    assert axes.get_ylabel() == "true class"


def test_a_class_without_test_samples_has_no_share(tmp_path):
    run = made(tmp_path, classes=NAMES[10], samples=7)
    (axes, _) = drawn(confusion(run)).axes
    assert np.ma.getmaskarray(axes.images[0].get_array())[7:].all()


@pytest.mark.parametrize("count", cases([10, 20, 30], fast=[10, 30]))
def test_numbers_can_be_told_from_their_cells(tmp_path, count):
    run = made(tmp_path, classes=[f"kind {index}" for index in range(count)], samples=2000)
    (axes, _) = drawn(confusion(run)).axes
    image = axes.images[0]
    assert axes.texts
    for text in axes.texts:
        column, row = text.get_position()
        cell = image.cmap(image.norm(image.get_array()[int(row), int(column)]))
        assert contrast(matplotlib.colors.to_rgb(text.get_color()), cell[:3]) > 4.5


def test_a_hundred_classes_are_drawn_without_numbers_and_named_without_overlap(tmp_path):
    figure = drawn(confusion(made(tmp_path, classes=NAMES[100], samples=1000)))
    (axes, _) = figure.axes
    assert not axes.texts
    for labels, side in ((axes.get_xticklabels(), "x"), (axes.get_yticklabels(), "y")):
        boxes = [label.get_window_extent() for label in labels]
        low, high = ("x0", "x1") if side == "x" else ("y0", "y1")
        spans = sorted((getattr(box, low), getattr(box, high)) for box in boxes)
        assert all(first[1] <= second[0] + 1 for first, second in itertools.pairwise(spans))
        inside(figure, labels)


def test_more_classes_than_can_be_named_get_every_few_a_name(tmp_path):
    (axes, _) = drawn(confusion(made(tmp_path, classes=[f"c{i}" for i in range(250)], samples=250))).axes
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["c0", "c3"]


def test_hostile_class_names_are_drawn_literally_on_one_line(tmp_path):
    figure = drawn(confusion(made(tmp_path, classes=HOSTILE)))
    labels = figure.axes[0].get_yticklabels()
    shown = [label.get_text() for label in labels]
    assert shown[1:4] == [HOSTILE[1], "two lines", HOSTILE[3]]
    assert shown[-3:] == list(HOSTILE[-3:])
    assert len(set(shown)) == len(HOSTILE)
    assert all(len(text) <= NAME_WIDTH for text in shown)
    assert not any(label.get_parse_math() for label in (*labels, *figure.axes[0].get_xticklabels()))
    inside(figure, [*labels, *figure.axes[0].get_xticklabels()])


@pytest.mark.parametrize(
    ("function", "normalize"), [(confusion_true, "true"), (confusion_predicted, "pred")], ids=["true", "predicted"]
)
def test_shares_are_those_of_scikit_learn(tmp_path, function, normalize):
    run = made(tmp_path, samples=997)
    expected = confusion_matrix(run.predictions["label"], run.predictions["predicted"], normalize=normalize)
    (axes, _) = drawn(function(run)).axes
    np.testing.assert_allclose(axes.images[0].get_array(), expected, rtol=0, atol=1e-12)
    for text in axes.texts:
        column, row = text.get_position()
        assert float(text.get_text()) == pytest.approx(100 * expected[int(row), int(column)], abs=0.05 + 1e-9)


def test_the_diagonals_are_recall_and_precision(tmp_path):
    run = made(tmp_path)
    for function, column in ((confusion_true, "recall"), (confusion_predicted, "precision")):
        (axes, _) = drawn(function(run)).axes
        np.testing.assert_allclose(np.diag(axes.images[0].get_array()), run.per_class[column])


def test_a_class_that_was_never_predicted_is_a_grey_column_without_numbers(tmp_path):
    run = made(tmp_path)
    run.confusion.iloc[:, 3] = 0
    (axes, _) = drawn(confusion_predicted(run)).axes
    mask = np.ma.getmaskarray(axes.images[0].get_array())
    assert mask[:, 3].all()
    assert mask.sum() == len(mask)
    assert 3 not in {text.get_position()[0] for text in axes.texts}
    assert "grey column: never predicted" in axes.get_title()


def test_shares_near_the_ends_are_not_rounded_away(tmp_path):
    run = made(tmp_path, classes=("a", "b"))
    run.confusion.iloc[:, :] = [[9999, 1], [0, 5]]
    (axes, _) = drawn(confusion_true(run)).axes
    assert [text.get_text() for text in axes.texts] == [">99.9", "<0.1", "0", "100"]


EACH_TIME = [(2, confusion), (2, confusion_predicted), (10, confusion_true), (100, confusion)]
MATRICES = list(itertools.product([2, 10, 100], [confusion, confusion_true, confusion_predicted]))


@pytest.mark.parametrize(("count", "function"), cases(MATRICES, fast=EACH_TIME))
def test_nothing_of_a_matrix_is_cut_off(tmp_path, function, count):
    all_inside(function(made(tmp_path, classes=NAMES[count], samples=1000)))
