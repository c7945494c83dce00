"""Losses: how wrong the outputs of a network are, and the gradient that says which way is better.

A loss takes the network's outputs (N, units) and the targets, which are integers (N,) in [0, K) or, where samples are
mixed or labels smoothed, weights (N, K) whose rows sum to 1. Its value is the mean over the batch.
"""

from __future__ import annotations

import math

import numpy as np

from labrunner.scratch.layers import sigmoid


def softmax(scores: np.ndarray) -> np.ndarray:
    """p_k = exp(s_k) / sum_j exp(s_j). scores (N, K); returns (N, K) of the same type, rows summing to 1.

    Taking the largest score of a row from all of them changes no probability and keeps exp from overflowing.
    """
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p


def weights_of(targets: np.ndarray, classes: int, dtype: np.dtype) -> np.ndarray:
    """Targets as weights (N, K) of the outputs' type: a label is all of one class, and none of the others."""
    if targets.ndim == 2:
        return targets.astype(dtype, copy=False)
    weights = np.zeros((len(targets), classes), dtype)
    weights[np.arange(len(targets)), targets] = 1.0
    return weights


def smoothed(targets: np.ndarray, classes: int, share: float, dtype: np.dtype) -> np.ndarray:
    """Weights (N, K) of which `share` is spread evenly over all classes: (1 - e) t + e / K  (Szegedy 2016)."""
    return weights_of(targets, classes, dtype) * dtype.type(1.0 - share) + dtype.type(share / classes)


class Loss:
    """What all losses share.

    Parameters
    ----------
    classes : K
    """

    is_margin = False  # whether the outputs are margins, whose unit is the length of the weights

    def __init__(self, classes: int) -> None:
        self.classes = classes

    @property
    def units(self) -> int:
        """Outputs that the network must have."""
        return self.classes

    def value(self, outputs: np.ndarray, targets: np.ndarray) -> np.floating:
        """Mean over the batch, in the outputs' type."""
        return self.value_and_gradient(outputs, targets)[0]

    def value_and_gradient(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.floating, np.ndarray]:
        """The value, and its gradient with respect to the outputs, (N, units)."""
        raise NotImplementedError

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """(N, K) scores whose softmax is the model's probabilities."""
        return outputs


class CrossEntropy(Loss):
    """-sum_k t_k log p_k with p = softmax(outputs).

    Everything is computed from the outputs minus the largest of their row: log(sum_j exp(s_j)) =
    m + log(sum_j exp(s_j - m)).
    """

    def value(self, outputs: np.ndarray, targets: np.ndarray) -> np.floating:
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        return self._mean(shifted, np.exp(shifted).sum(axis=1), targets)

    def value_and_gradient(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.floating, np.ndarray]:
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        grad = np.exp(shifted)
        total = grad.sum(axis=1)
        loss = self._mean(shifted, total, targets)
        grad /= total[:, None]
        if targets.ndim == 2:
            grad -= targets
        else:
            grad[np.arange(len(targets)), targets] -= 1.0
        grad /= len(targets)  # dL/ds_k = (p_k - t_k) / N
        return loss, grad

    def _mean(self, shifted: np.ndarray, total: np.ndarray, targets: np.ndarray) -> np.floating:
        # -sum_k t_k log p_k = log(sum_j exp(s_j - m)) - sum_k t_k (s_k - m), since the t_k sum to 1
        if targets.ndim == 2:
            return (np.log(total) - (targets * shifted).sum(axis=1)).mean()
        return (np.log(total) - shifted[np.arange(len(targets)), targets]).mean()


class SquaredError(Loss):
    """sum_k (o_k - t_k)^2 against targets of 1 and 0, without a half."""

    def value_and_gradient(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.floating, np.ndarray]:
        error = outputs - self.codes(targets, outputs.dtype)
        return (error * error).sum(axis=1).mean(), 2.0 / len(error) * error  # dL/do = 2 (o - t) / N

    def codes(self, targets: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """What the outputs should be, (N, units)."""
        return weights_of(targets, self.classes, dtype)


class SignedUnits(Loss):
    """What losses share whose units answer +1 for their class and -1 for the rest; two classes share one unit."""

    is_margin = True

    @property
    def units(self) -> int:
        return 1 if self.classes == 2 else self.classes

    def codes(self, targets: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """+1 and -1 (N, units); between them where the targets are weights of several classes."""
        weights = weights_of(targets, self.classes, dtype)
        return weights[:, 1:] - weights[:, :1] if self.units == 1 else 2.0 * weights - 1.0

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        return two_sided(outputs) if self.units == 1 else outputs


class SignedSquaredError(SignedUnits, SquaredError):
    """Squared error of linear units against targets of +1 and -1 (Widrow & Hoff 1960)."""


class PerceptronCriterion(SignedUnits):
    """sum of max(0, -t o): how far the units that are wrong are from being right. A unit at 0 is wrong."""

    def value_and_gradient(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.floating, np.ndarray]:
        signs = self.codes(targets, outputs.dtype)
        margins = signs * outputs
        return np.maximum(0.0, -margins).sum(axis=1).mean(), np.where(margins <= 0.0, -signs, 0.0) / len(signs)


class OneSigmoid(Loss):
    """What losses share whose network has one output s for two classes, with p(class 1) = 1 / (1 + exp(-s))."""

    @property
    def units(self) -> int:
        return 1

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        return two_sided(outputs)

    def target(self, targets: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """(N, 1): 1 for class 1, 0 for class 0."""
        return weights_of(targets, self.classes, dtype)[:, 1:]


class SigmoidCrossEntropy(OneSigmoid):
    """-t log p - (1 - t) log(1 - p)."""

    def value_and_gradient(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.floating, np.ndarray]:
        t = self.target(targets, outputs.dtype)
        # log(1 + e^s) - t s, of which log(1 + e^s) = max(s, 0) + log(1 + e^-|s|) never overflows
        losses = np.maximum(outputs, 0.0) + np.log1p(np.exp(-np.abs(outputs))) - t * outputs
        return losses.mean(), (sigmoid(outputs) - t) / len(t)  # dL/ds = (p - t) / N


class SigmoidSquaredError(OneSigmoid):
    """(p - t)^2: the gradient carries p (1 - p), so that a unit that is sure and wrong hardly learns."""

    def value_and_gradient(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.floating, np.ndarray]:
        p = sigmoid(outputs)
        error = p - self.target(targets, outputs.dtype)
        return (error * error).mean(), 2.0 / len(p) * error * p * (1.0 - p)  # dL/ds = 2 (p - t) p (1 - p) / N


def two_sided(outputs: np.ndarray) -> np.ndarray:
    """One output s (N, 1) -> scores (-s/2, s/2), whose softmax is 1 / (1 + exp(-s)) for class 1."""
    return np.concatenate([-0.5 * outputs, 0.5 * outputs], axis=1)


def length(weight: np.ndarray) -> float:
    """The length of the weights (units, D) of one unit, the root mean square over all; 1 while they are zero.

    One length for all units: dividing by it turns margins into distances and changes no order among the classes.
    """
    largest = float(np.abs(weight).max(initial=0.0)) or 1.0  # scaled by it, no square overflows
    return largest * math.sqrt(float(((weight.astype(np.float64) / largest) ** 2).sum()) / len(weight)) or 1.0
