"""The reliability diagram against torchmetrics, and where there is none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from labrunner.figures.calibration import BINS, _interval, binned, reliability
from labrunner.metrics import wilson
from tests.figures.looking import NAMES, all_inside, drawn, made
from tests.folders import HOSTILE, config
from tests.lines import cases


@pytest.mark.parametrize("count", [2, 10, 100])
def test_the_expected_calibration_error_is_that_of_torchmetrics(tmp_path, count):
    run = made(tmp_path, classes=NAMES[count], samples=1000)
    probability = run.predictions.iloc[:, 3:].to_numpy()
    expected = multiclass_calibration_error(
        torch.tensor(probability),
        torch.tensor(run.predictions["label"].tolist()),
        num_classes=count,
        n_bins=BINS,
        norm="l1",
    )
    right = (run.predictions["label"] == run.predictions["predicted"]).to_numpy()
    error = binned(probability.max(axis=1), right).error
    assert error == pytest.approx(float(expected), abs=1e-6)
    assert f"expected calibration error {error:.4f}" in drawn(reliability(run)).axes[0].get_title()


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_and_certainty_to_the_last():
    bins = binned(np.array([1 / 3, 1.0, 1.0, 0.0]), np.array([True, True, False, False]), 3)
    assert bins.counts.tolist() == [2, 0, 2]
    assert np.isnan(bins.accuracy[1])
    # (0 and 1/3: one of two right; twice 1: one of two right)
    assert bins.error == pytest.approx(0.5 * abs(0.5 - 1 / 6) + 0.5 * abs(0.5 - 1.0))


def test_the_histogram_counts_every_sample(tmp_path):
    figure = drawn(reliability(made(tmp_path)))
    heights = [patch.get_height() for patch in figure.axes[1].patches]
    assert len(heights) == BINS
    assert sum(heights) == 360


def test_intervals_are_those_of_the_test_metrics():
    hits, n = np.array([0, 3, 7, 7]), np.array([4, 9, 8, 7])
    low, high = _interval(hits, n)
    for index in range(4):
        assert (low[index], high[index]) == pytest.approx(wilson(int(hits[index]), int(n[index])), abs=1e-12)


@pytest.mark.parametrize(
    "model",
    [{"name": "mlp", "loss": "mse"}, {"name": "perceptron"}, {"name": "adaline", "bias": True}],
    ids=["mse", "perceptron", "adaline"],
)
def test_scores_that_are_no_probabilities_have_no_reliability_diagram(tmp_path, model):
    assert reliability(made(tmp_path, settings={"model": config()["model"] | model})) is None


def test_a_run_that_was_not_tested_has_no_reliability_diagram(tmp_path):
    assert reliability(made(tmp_path, status="interrupted")) is None


CLASSES = {"2": NAMES[2], "hostile": HOSTILE, "100": NAMES[100]}
EACH_TIME = [("2", 1), ("hostile", 500), ("100", 1)]


@pytest.mark.parametrize(("names", "samples"), cases(itertools.product(CLASSES, (1, 500)), fast=EACH_TIME))
def test_nothing_of_the_diagram_is_cut_off(tmp_path, names, samples):
    all_inside(reliability(made(tmp_path, classes=CLASSES[names], samples=samples)))
