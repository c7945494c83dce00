"""Metrics are scikit-learn's where both define them, and undefined where a split does not say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score

from labrunner.metrics import confusion, score, wilson

pytestmark = pytest.mark.filterwarnings("error")

NUMBERS = ("precision", "recall", "f1", "auroc")


def random_case(classes: int, n: int, seed: int, *, balance: float = 1.0, steps: int = 0, sharp: float = 2.0):
    """Probabilities and labels. `balance` below 1 makes later classes rare, `steps` makes ties."""
    rng = np.random.default_rng(seed)
    weights = balance ** np.arange(classes)
    labels = rng.choice(classes, size=n, p=weights / weights.sum())
    labels[:classes] = np.arange(classes)
    scores = rng.normal(size=(n, classes)) + sharp * np.eye(classes)[labels]
    if steps:
        counts = np.maximum(np.round(steps * np.exp(np.clip(scores, -3, 2))), 1.0)
        return counts / counts.sum(axis=1, keepdims=True), labels
    p = np.exp(scores)
    return p / p.sum(axis=1, keepdims=True), labels


CASES = {
    "two classes": random_case(2, 300, 0),
    "ten classes": random_case(10, 1000, 1),
    "two classes, imbalanced": random_case(2, 400, 2, balance=0.03),
    "ten classes, imbalanced": random_case(10, 2000, 3, balance=0.5),
    "few samples": random_case(5, 9, 4),
    "ties": random_case(4, 500, 5, steps=1),
    "ties of two classes": random_case(2, 200, 6, steps=1),
    "by chance": random_case(3, 500, 7, sharp=0.0),
    "saturated": random_case(3, 500, 8, sharp=60.0),
    "many samples": random_case(2, 50_000, 9, sharp=0.5),
}


@pytest.mark.parametrize("name", CASES)
def test_all_numbers_are_scikit_learns(name):
    p, labels = CASES[name]
    classes, predicted = p.shape[1], p.argmax(axis=1)
    found = score(p, labels, 0.5)
    theirs = precision_recall_fscore_support(labels, predicted, labels=range(classes), zero_division=0)
    areas = [roc_auc_score(labels == k, p[:, k]) for k in range(classes)]
    assert found.n == len(labels)
    assert found.loss == 0.5
    assert found.accuracy == pytest.approx(accuracy_score(labels, predicted), rel=1e-15)
    np.testing.assert_array_equal(found.support, theirs[3])
    for mine, other in zip(NUMBERS, (*theirs[:3], areas), strict=True):
        np.testing.assert_allclose(getattr(found, f"class_{mine}"), other, atol=1e-6, rtol=0, err_msg=mine)
        assert getattr(found, mine) == pytest.approx(np.mean(other), abs=1e-6), mine
    np.testing.assert_array_equal(confusion(labels, predicted, classes), confusion_matrix(labels, predicted))


@pytest.mark.parametrize("name", [name for name, (p, _) in CASES.items() if p.shape[1] > 2])
def test_the_macro_area_is_scikit_learns_one_against_rest(name):
    p, labels = CASES[name]
    theirs = roc_auc_score(labels, p, multi_class="ovr", average="macro")
    assert score(p, labels, 0.0).auroc == pytest.approx(theirs, abs=1e-6)


def test_counts_and_ratios_are_exact_in_float64():
    p, labels = CASES["ten classes"]
    predicted = p.argmax(axis=1)
    theirs = precision_recall_fscore_support(labels, predicted, zero_division=0)
    found = score(p, labels, 0.0)
    for mine, other in zip(NUMBERS[:3], theirs[:3], strict=True):
        np.testing.assert_allclose(getattr(found, f"class_{mine}"), other, rtol=1e-14)


def test_a_class_that_is_missing_from_the_split_is_undefined_and_left_out_of_the_mean():
    p, labels = random_case(5, 400, 10)
    keep = labels != 2
    p, labels = p[keep], labels[keep]
    predicted = p.argmax(axis=1)
    assert (predicted == 2).any(), "it is predicted sometimes"
    found = score(p, labels, 0.0)
    present = [0, 1, 3, 4]
    theirs = precision_recall_fscore_support(labels, predicted, labels=present, zero_division=0)
    areas = [roc_auc_score(labels == k, p[:, k]) for k in present]
    assert found.support[2] == 0
    assert math.isnan(found.class_recall[2])
    assert math.isnan(found.class_auroc[2])
    assert found.class_precision[2] == 0.0, "all that was called so is wrong"
    for mine, other in zip(NUMBERS, (*theirs[:3], areas), strict=True):
        np.testing.assert_allclose(getattr(found, f"class_{mine}")[present], other, atol=1e-6, rtol=0)
    assert found.recall == pytest.approx(np.mean(theirs[1]), abs=1e-12)
    assert found.auroc == pytest.approx(np.mean(areas), abs=1e-6)


def test_a_class_neither_present_nor_predicted_is_undefined_in_all_numbers():
    p, labels = random_case(4, 300, 11)
    p[:, 3], labels = 1e-9, np.where(labels == 3, 0, labels)
    found = score(p / p.sum(axis=1, keepdims=True), labels, 0.0)
    theirs = precision_recall_fscore_support(labels, p.argmax(axis=1), labels=[0, 1, 2], average="macro")
    for mine, other in zip(NUMBERS[:3], theirs[:3], strict=True):
        assert math.isnan(getattr(found, f"class_{mine}")[3])
        assert getattr(found, mine) == pytest.approx(other, abs=1e-12)
    assert math.isnan(found.class_auroc[3])


def test_a_class_that_is_never_predicted_has_precision_zero_and_still_ranks():
    p, labels = random_case(3, 300, 12)
    p[:, 1] *= 0.01
    p /= p.sum(axis=1, keepdims=True)
    predicted = p.argmax(axis=1)
    assert not (predicted == 1).any()
    found = score(p, labels, 0.0)
    theirs = precision_recall_fscore_support(labels, predicted, zero_division=0)
    assert found.class_precision[1] == found.class_recall[1] == found.class_f1[1] == 0.0
    assert found.precision == pytest.approx(theirs[0].mean(), abs=1e-12)
    assert found.class_auroc[1] == pytest.approx(roc_auc_score(labels == 1, p[:, 1]), abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_split_of_one_class_has_no_area_and_numbers_of_that_class_alone(classes):
    p, _ = random_case(classes, 50, 13)
    labels = np.zeros(50, np.int64)
    found = score(p, labels, 0.0)
    share = (p.argmax(axis=1) == 0).mean()
    assert math.isnan(found.auroc)
    assert np.isnan(found.class_auroc).all()
    assert found.accuracy == found.recall == pytest.approx(share)
    assert np.isnan(found.class_recall[1:]).all()
    assert found.class_precision[0] == 1.0


def test_a_single_sample_gets_numbers():
    found = score(np.array([[0.3, 0.7]]), np.array([1]), 0.0)
    assert found.accuracy == 1.0
    assert found.class_f1[1] == 1.0
    assert math.isnan(found.auroc)


def test_the_first_of_equal_probabilities_is_the_prediction():
    p = np.full((6, 4), 0.25)
    labels = np.array([0, 0, 1, 2, 3, 3])
    found = score(p, labels, 0.0)
    assert found.accuracy == pytest.approx(2 / 6)
    np.testing.assert_array_equal(found.class_auroc, 0.5)


def test_probabilities_that_only_float64_tells_apart_still_rank():
    p = np.array([[1 - 3e-16, 3e-16], [1 - 2e-16, 2e-16], [1 - 1e-16, 1e-16], [1.0, 0.0]])
    assert score(p, np.array([1, 1, 0, 0]), 0.0).class_auroc.tolist() == [1.0, 1.0]


def test_confusion_has_the_truth_in_its_rows():
    counts = confusion(np.array([0, 0, 2]), np.array([1, 1, 0]), 3)
    np.testing.assert_array_equal(counts, [[0, 2, 0], [0, 0, 0], [1, 0, 0]])


# intervals as in R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (3, 7), (50, 100), (359, 360), (360, 360), (0, 360)])
def test_the_ends_of_wilsons_interval_solve_its_equation(hits, n):
    low, high = wilson(hits, n)
    assert 0.0 <= low <= hits / n <= high <= 1.0
    for p in (low, high):
        # (share - p)^2 = z^2 p (1 - p) / n, and the ends 0 and 1 solve it for no hits and for all
        assert (hits / n - p) ** 2 == pytest.approx(1.959963984540054**2 * p * (1 - p) / n, abs=1e-14)


def test_wilsons_interval_mirrors_hits_and_misses():
    low, high = wilson(17, 60)
    assert wilson(43, 60) == pytest.approx((1 - high, 1 - low), abs=1e-15)
