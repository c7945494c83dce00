"""Losses against torch, central differences and paper, up to scores that overflow a careless exp."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labrunner.scratch import losses
from labrunner.scratch.losses import CrossEntropy, smoothed, softmax

cross_entropy, cross_entropy_and_gradient = CrossEntropy(5).value, CrossEntropy(5).value_and_gradient


def case(scale: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(16, 5)) * scale, rng.integers(0, 5, size=16)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 50.0, 1e4])
@pytest.mark.parametrize("offset", [-1e4, 0.0, 1e4])
def test_probabilities_loss_and_gradient_are_those_of_torch(scale, offset):
    scores, targets = case(scale)
    scores += offset
    twin = torch.from_numpy(scores.copy()).requires_grad_()
    expected = torch.nn.functional.cross_entropy(twin, torch.from_numpy(targets))
    expected.backward()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, grad = cross_entropy_and_gradient(scores, targets)
        p = softmax(scores)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-12)
    np.testing.assert_allclose(grad, twin.grad, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(p, torch.softmax(twin.detach(), 1), rtol=1e-12, atol=1e-12)
    assert cross_entropy(scores, targets) == loss


def test_the_gradient_agrees_with_central_differences():
    scores, targets = case(2.0)
    _, grad = cross_entropy_and_gradient(scores, targets)
    h = 1e-5
    for i in np.ndindex(scores.shape):
        shift = np.zeros_like(scores)
        shift[i] = h
        numeric = (cross_entropy(scores + shift, targets) - cross_entropy(scores - shift, targets)) / (2 * h)
        assert grad[i] == pytest.approx(numeric, rel=1e-6, abs=1e-9)


def test_one_sided_scores_have_their_exact_loss():
    scores = np.array([[1e4, 0.0], [1e4, 0.0]])
    assert cross_entropy(scores, np.array([0, 0])) == 0.0
    assert cross_entropy(scores, np.array([1, 1])) == 1e4
    np.testing.assert_array_equal(softmax(scores), [[1.0, 0.0], [1.0, 0.0]])


def test_equal_scores_have_the_loss_log_of_k():
    assert cross_entropy(np.full((3, 10), 123.0), np.array([0, 4, 9])) == pytest.approx(np.log(10), rel=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arithmetic_stays_in_the_precision_of_the_scores(dtype):
    scores, targets = case(1.0)
    loss, grad = cross_entropy_and_gradient(scores.astype(dtype), targets)
    assert loss.dtype == grad.dtype == softmax(scores.astype(dtype)).dtype == dtype


def test_the_scores_stay_as_they_are():
    scores, targets = case(1.0)
    before = scores.tobytes()
    cross_entropy_and_gradient(scores, targets)
    cross_entropy(scores, targets)
    softmax(scores)
    assert scores.tobytes() == before


SMOOTH = ["CrossEntropy", "SquaredError", "SignedSquaredError", "SigmoidCrossEntropy", "SigmoidSquaredError"]
CASES = [
    (name, classes)
    for name in [*SMOOTH, "PerceptronCriterion"]
    for classes in (2, 4)
    if classes == 2 or "Sig" not in name
]


def made(name: str, classes: int, kind: str):
    """A loss, outputs for it, and targets: labels, or weights of the classes."""
    loss = getattr(losses, name)(classes)
    rng = np.random.default_rng(classes)
    targets = rng.integers(0, classes, size=7) if kind == "labels" else rng.dirichlet(np.ones(classes), size=7)
    return loss, rng.normal(size=(7, loss.units)), targets


@pytest.mark.parametrize("kind", ["labels", "weights"])
@pytest.mark.parametrize(("name", "classes"), CASES)
def test_every_gradient_agrees_with_central_differences(name, classes, kind):
    loss, outputs, targets = made(name, classes, kind)
    value, grad = loss.value_and_gradient(outputs, targets)
    assert loss.value(outputs, targets) == value
    assert grad.shape == outputs.shape
    h = 1e-5
    for i in np.ndindex(outputs.shape):
        shift = np.zeros_like(outputs)
        shift[i] = h
        numeric = (loss.value(outputs + shift, targets) - loss.value(outputs - shift, targets)) / (2 * h)
        assert grad[i] == pytest.approx(numeric, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("name", "classes"), CASES)
def test_all_of_the_weight_on_one_class_is_its_label(name, classes):
    loss, outputs, labels = made(name, classes, "labels")
    weights = np.eye(classes)[labels]
    np.testing.assert_allclose(loss.value(outputs, weights), loss.value(outputs, labels), rtol=1e-14)
    np.testing.assert_allclose(
        loss.value_and_gradient(outputs, weights)[1], loss.value_and_gradient(outputs, labels)[1], atol=1e-15
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "classes"), CASES)
def test_every_loss_stays_in_the_precision_of_the_outputs(name, classes, dtype):
    loss, outputs, labels = made(name, classes, "labels")
    value, grad = loss.value_and_gradient(outputs.astype(dtype), labels)
    assert value.dtype == grad.dtype == loss.scores(outputs.astype(dtype)).dtype == dtype


def test_cross_entropy_of_weights_is_that_of_torch():
    loss, outputs, weights = made("CrossEntropy", 4, "weights")
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(outputs), torch.from_numpy(weights))
    np.testing.assert_allclose(loss.value(outputs, weights), expected.item(), rtol=1e-14)


def test_smoothing_spreads_a_share_of_each_target_evenly():
    by_hand = [[0.925, 0.025, 0.025, 0.025], [0.025, 0.025, 0.925, 0.025]]  # .9 + .1/4 and .1/4
    np.testing.assert_allclose(smoothed(np.array([0, 2]), 4, 0.1, np.dtype(np.float64)), by_hand, rtol=1e-15)
    half = smoothed(np.array([[0.5, 0.5, 0.0, 0.0]]), 4, 0.2, np.dtype(np.float64))
    np.testing.assert_allclose(half, [[0.45, 0.45, 0.05, 0.05]], rtol=1e-15)


def test_smoothed_cross_entropy_is_that_of_torch():
    loss, outputs, labels = made("CrossEntropy", 4, "labels")
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(outputs), torch.from_numpy(labels), label_smoothing=0.3
    )
    value = loss.value(outputs, smoothed(labels, 4, 0.3, outputs.dtype))
    np.testing.assert_allclose(value, expected.item(), rtol=1e-14)


def test_squared_errors_are_summed_over_outputs_without_a_half():
    outputs, labels = np.array([[0.5, 1.0, -1.0], [0.0, 0.0, 2.0]]), np.array([0, 2])
    # (.25 + 1 + 1) and (0 + 0 + 1), in the mean
    assert losses.SquaredError(3).value(outputs, labels) == pytest.approx((2.25 + 1.0) / 2, rel=1e-15)


def test_signed_errors_have_targets_of_plus_and_minus_one():
    three, two = losses.SignedSquaredError(3), losses.SignedSquaredError(2)
    assert (three.units, two.units) == (3, 1)
    np.testing.assert_array_equal(three.codes(np.array([1]), np.dtype(float)), [[-1, 1, -1]])
    np.testing.assert_array_equal(two.codes(np.array([0, 1]), np.dtype(float)), [[-1], [1]])
    np.testing.assert_array_equal(two.codes(np.array([[0.5, 0.5]]), np.dtype(float)), [[0.0]])
    assert two.value(np.array([[0.5], [0.5]]), np.array([0, 1])) == pytest.approx((2.25 + 0.25) / 2, rel=1e-15)


def test_the_perceptron_criterion_counts_wrong_answers_by_how_far_off_they_are():
    loss = losses.PerceptronCriterion(2)
    outputs, labels = np.array([[2.0], [-3.0], [0.0], [4.0]]), np.array([1, 1, 0, 0])
    value, grad = loss.value_and_gradient(outputs, labels)
    assert value == pytest.approx((0 + 3 + 0 + 4) / 4, rel=1e-15)
    np.testing.assert_array_equal(grad, np.array([[0.0], [-1.0], [1.0], [1.0]]) / 4)  # an answer of 0 is wrong


@pytest.mark.parametrize("s", [-800.0, -3.0, 0.0, 2.0, 800.0])
def test_one_sigmoid_s_scores_are_its_probabilities(s):
    loss = losses.SigmoidCrossEntropy(2)
    p = float(torch.sigmoid(torch.tensor(s, dtype=torch.float64)))
    np.testing.assert_allclose(softmax(loss.scores(np.array([[s]]))), [[1 - p, p]], atol=1e-15)
    with np.errstate(over="raise"):
        value = loss.value(np.array([[s]]), np.array([1]))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor([s], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    )
    assert value == pytest.approx(expected.item(), rel=1e-14, abs=1e-300)


def test_a_sure_and_wrong_neuron_learns_by_cross_entropy_and_hardly_by_squared_error():
    outputs, wrong = np.array([[4.0]]), np.array([0])
    p = 1 / (1 + np.exp(-4.0))
    assert losses.SigmoidCrossEntropy(2).value_and_gradient(outputs, wrong)[1][0, 0] == pytest.approx(p, rel=1e-14)
    by_error = losses.SigmoidSquaredError(2).value_and_gradient(outputs, wrong)[1][0, 0]
    assert by_error == pytest.approx(2 * p * p * (1 - p), rel=1e-13)
