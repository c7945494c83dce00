"""Softmax and cross-entropy against torch, up to scores that overflow a careless exp."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labrunner.scratch.losses import cross_entropy, cross_entropy_and_gradient, softmax


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
