"""Perceptron and Adaline against plain loops, scikit-learn and least squares; the neuron against paper."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import Perceptron
from sklearn.metrics import roc_auc_score

from labrunner.learner import Batch
from labrunner.scratch import make
from labrunner.scratch.perceptron import PerceptronLearner
from tests.data.settings import ADALINE, NEURON, PERCEPTRON, config

ZEROS = {"name": "zeros"}
LMS = {"name": "lms", "lr": 0.001}


def perceptron(features: int, classes: int, **changes) -> PerceptronLearner:
    learner = make(config(model=PERCEPTRON, init=ZEROS, **changes), (features,), classes)
    assert isinstance(learner, PerceptronLearner)
    return learner


def overlapping(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=n)
    return rng.normal(size=(n, 3)) + labels[:, None], labels


def test_each_update_is_that_of_a_plain_loop_of_rosenblatt_s_rule():
    x, labels = overlapping()
    learner, lr = perceptron(3, 2), 0.5
    w, b, updates = [0.0, 0.0, 0.0], 0.0, 0
    for epoch in range(4):
        for i, (sample, label) in enumerate(zip(x.tolist(), labels.tolist(), strict=True)):
            sign = 1 if label == 1 else -1
            if sign * (sum(wi * xi for wi, xi in zip(w, sample, strict=True)) + b) <= 0:
                w = [wi + lr * sign * xi for wi, xi in zip(w, sample, strict=True)]
                b += lr * sign
                updates += 1
            learner.train_batch(Batch(x[i : i + 1], labels[i : i + 1], epoch * len(x) + i), lr)
            np.testing.assert_allclose(learner.weights()["head.weight"][0], w, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(learner.weights()["head.bias"], [b], rtol=1e-12, atol=1e-12)
            assert learner.rule.updates == updates
    assert updates > 50


@pytest.mark.parametrize("batch_size", [1, 7, 120])
def test_the_size_of_the_batches_changes_no_weight(batch_size):
    x, labels = overlapping()
    learner, whole = perceptron(3, 2), perceptron(3, 2)
    whole.train_batch(Batch(x, labels, 0), 0.1)
    for first in range(0, len(x), batch_size):
        part = slice(first, first + batch_size)
        learner.train_batch(Batch(x[part], labels[part], first), 0.1)
    assert learner.state().keys() == whole.state().keys()
    for name, value in learner.state().items():
        np.testing.assert_array_equal(value, whole.state()[name])


SETS = {"iris, two classes": (load_iris, [0, 1]), "iris": (load_iris, [0, 1, 2]), "digits": (load_digits, range(10))}


@pytest.mark.parametrize("name", SETS)
def test_in_the_same_order_the_weights_are_those_of_scikit_learn(name):
    read, chosen = SETS[name]
    x, labels = read(return_X_y=True)
    x, labels = x[np.isin(labels, chosen)], labels[np.isin(labels, chosen)]
    order = np.random.default_rng(3).permutation(len(x))
    x, labels, epochs = x[order], labels[order], 5
    theirs = Perceptron(shuffle=False, max_iter=epochs, tol=None, eta0=0.25, alpha=0.0, penalty=None).fit(x, labels)
    ours = perceptron(x.shape[1], len(chosen))
    for epoch in range(epochs):
        ours.train_batch(Batch(x, labels, epoch), 0.25)
    np.testing.assert_allclose(ours.weights()["head.weight"], theirs.coef_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.weights()["head.bias"], theirs.intercept_, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(ours.scores(x).argmax(axis=1), theirs.predict(x))


def test_separable_classes_end_without_an_update():
    x, labels = load_iris(return_X_y=True)
    x, labels = x[labels < 2], labels[labels < 2]
    learner = perceptron(4, 2)
    counts = []
    for epoch in range(20):
        counts.append(learner.start_epoch(epoch + 1)["updates"])
        learner.train_batch(Batch(x, labels, epoch), 1.0)
    assert counts[0] == 0.0
    assert counts[-1] == counts[-2] > 0.0
    assert (learner.scores(x).argmax(axis=1) == labels).all()


def test_the_count_of_updates_is_kept_in_the_state():
    x, labels = overlapping()
    learner, fresh = perceptron(3, 2), perceptron(3, 2)
    learner.train_batch(Batch(x, labels, 0), 1.0)
    fresh.load(learner.state())
    assert fresh.start_epoch(2) == learner.start_epoch(2)
    assert fresh.rule.updates == learner.rule.updates > 0


def test_the_learning_rate_scales_the_weights_and_no_answer():
    x, labels = overlapping()
    small, large = perceptron(3, 2), perceptron(3, 2)
    for learner, lr in ((small, 0.25), (large, 2.0)):
        learner.train_batch(Batch(x, labels, 0), lr)
    np.testing.assert_allclose(8 * small.weights()["head.weight"], large.weights()["head.weight"], rtol=1e-12)
    np.testing.assert_allclose(small.scores(x), large.scores(x), rtol=1e-12)


@pytest.mark.parametrize("model", [PERCEPTRON, ADALINE])
def test_the_scores_of_a_unit_come_from_distances_to_its_boundary(model):
    x, labels = overlapping()
    learner = make(config(model=model), (3,), 2)
    for step in range(3):
        learner.train_batch(Batch(x, labels, step), 0.01)
    w, b = learner.weights()["head.weight"][0], learner.weights()["head.bias"][0]
    distances = (x @ w + b) / np.linalg.norm(w)
    p = learner.probabilities([learner.scores(x)])
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-np.arcsinh(distances))), rtol=1e-12)


@pytest.mark.parametrize("model", [PERCEPTRON, ADALINE])
def test_inputs_that_are_far_away_still_rank(model):
    rng = np.random.default_rng(0)
    x, labels = 1e6 * rng.normal(size=(200, 3)), rng.integers(0, 2, size=200)
    learner = make(config(model=model), (3,), 2)
    p = learner.probabilities([learner.scores(x)])
    assert len(np.unique(p[:, 0])) == len(np.unique(p[:, 1])) == 200, "ties have no rank"
    margins = x @ learner.weights()["head.weight"][0]
    expected = roc_auc_score(labels, margins)
    assert roc_auc_score(labels, p[:, 1]) == pytest.approx(expected, rel=1e-12)
    assert roc_auc_score(1 - labels, p[:, 0]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_scale_of_the_weights_changes_neither_loss_nor_scores_of_a_perceptron(classes):
    x, labels = overlapping()
    learner = make(config(model=PERCEPTRON), (3,), classes)
    before = learner.eval_batch(Batch(x, labels, 0))
    weights = {f"weights/{name}": 1e200 * value for name, value in learner.weights().items()}  # squares overflow
    learner.load(weights)
    after = learner.eval_batch(Batch(x, labels, 0))
    assert float(after.loss) == pytest.approx(float(before.loss), rel=1e-12)
    np.testing.assert_allclose(after.scores, before.scores, rtol=1e-12)


def test_the_loss_of_a_perceptron_is_how_far_its_errors_lie_from_the_boundary():
    x, labels = overlapping()
    learner = make(config(model=PERCEPTRON), (3,), 2)
    w, b = learner.weights()["head.weight"][0], learner.weights()["head.bias"][0]
    distances = (x @ w + b) / np.linalg.norm(w) * np.where(labels == 1, 1, -1)
    expected = np.maximum(0, -distances).mean()
    assert float(learner.eval_batch(Batch(x, labels, 0)).loss) == pytest.approx(expected, rel=1e-12)


def test_before_the_first_update_all_classes_are_alike():
    x, _ = overlapping()
    for classes in (2, 4):
        p = perceptron(3, classes).probabilities([perceptron(3, classes).scores(x)])
        np.testing.assert_array_equal(p, 1 / classes)


@pytest.mark.parametrize("classes", [2, 3])
def test_adaline_in_full_batches_reaches_the_least_squares_optimum(classes):
    x, labels = load_iris(return_X_y=True)
    x, labels = x[labels < classes], labels[labels < classes]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    with_bias = np.column_stack([x, np.ones(len(x))])
    codes = 2.0 * np.eye(classes)[labels] - 1.0
    optimum = np.linalg.lstsq(with_bias, codes[:, 1:] if classes == 2 else codes, rcond=None)[0].T
    curvature = np.linalg.eigvalsh(2 * with_bias.T @ with_bias / len(x))
    learner = make(config(model=ADALINE, optim=LMS, init=ZEROS), (4,), classes)
    losses = []
    for step in range(3000):
        losses.append(float(learner.train_batch(Batch(x, labels, step), 2 / (curvature[0] + curvature[-1])).loss))
    weights = learner.weights()
    np.testing.assert_allclose(np.column_stack([weights["head.weight"], weights["head.bias"]]), optimum, atol=1e-6)
    assert all(later <= earlier + 1e-15 for earlier, later in pairwise(losses))


def test_adaline_above_the_critical_learning_rate_flees_and_below_it_falls():
    x, labels = load_iris(return_X_y=True)
    x = (x[:, [0, 2]] - x[:, [0, 2]].mean(axis=0)) / x[:, [0, 2]].std(axis=0)
    with_bias = np.column_stack([x, np.ones(len(x))])
    critical = 2 / np.linalg.eigvalsh(2 * with_bias.T @ with_bias / len(x))[-1]
    ends = {}
    for factor in (0.99, 1.01):
        learner = make(config(model=ADALINE, optim=LMS, init=ZEROS), (2,), 3)
        losses = [float(learner.train_batch(Batch(x, labels, s), factor * critical).loss) for s in range(2000)]
        ends[factor] = losses[-1] / losses[0]
    assert ends[0.99] < 1.0
    assert ends[1.01] > 10.0


def test_online_adaline_is_a_plain_loop_of_the_delta_rule():
    x, labels = overlapping()
    learner, lr = make(config(model=ADALINE, optim=LMS, init=ZEROS), (3,), 2), 0.02
    w, b = np.zeros(3), 0.0
    for step, (sample, label) in enumerate(zip(x, labels, strict=True)):
        error = (1.0 if label == 1 else -1.0) - (w @ sample + b)
        w, b = w + 2 * lr * error * sample, b + 2 * lr * error  # w <- w + 2 lr (t - o) x: no half in the loss
        learner.train_batch(Batch(x[step : step + 1], labels[step : step + 1], step), lr)
    np.testing.assert_allclose(learner.weights()["head.weight"][0], w, rtol=1e-12)
    np.testing.assert_allclose(learner.weights()["head.bias"], [b], rtol=1e-12)


def test_adaline_without_a_bias_has_none():
    learner = make(config(model={**ADALINE, "bias": False}), (3,), 2)
    assert list(learner.weights()) == ["head.weight"]
    assert learner.parameters() == {"head.weight": (3, True)}


# from w = b = 2 on the one input 1 with target 0: Nielsen, Neural Networks and Deep Learning, chapter 3
@pytest.mark.parametrize(("loss", "expected"), [("mse", 0.964), ("cross_entropy", 0.099)])
def test_a_neuron_that_is_sure_and_wrong_learns_late_by_squared_error(loss, expected):
    learner = make(config(model={**NEURON, "loss": loss}, init={"name": "constant", "value": 2.0}), (1,), 2)
    x, target = np.array([[1.0]]), np.array([0])
    first = learner.probabilities([learner.scores(x)])[0, 1]
    assert first == pytest.approx(1 / (1 + np.exp(-4.0)), rel=1e-12)
    for step in range(50):
        learner.train_batch(Batch(x, target, step), 0.15)
    assert learner.probabilities([learner.scores(x)])[0, 1] == pytest.approx(expected, abs=5e-4)
