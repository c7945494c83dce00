"""The loss: softmax turns scores into probabilities, cross-entropy says how wrong they are.

Everything is computed from the scores minus the largest of their row, which changes no probability and keeps exp from
overflowing: log(sum_j exp(s_j)) = m + log(sum_j exp(s_j - m)).
"""

from __future__ import annotations

import numpy as np


def softmax(scores: np.ndarray) -> np.ndarray:
    """p_k = exp(s_k) / sum_j exp(s_j). scores (N, K); returns (N, K) of the same type, rows summing to 1."""
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p


def cross_entropy(scores: np.ndarray, targets: np.ndarray) -> np.floating:
    """Mean over the batch of -log p_target, in the scores' type. scores (N, K), targets (N,) integers in [0, K)."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1)
    return _mean_loss(shifted, total, targets)


def cross_entropy_and_gradient(scores: np.ndarray, targets: np.ndarray) -> tuple[np.floating, np.ndarray]:
    """`cross_entropy` and its gradient with respect to the scores, (N, K), sharing the exponentials."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    grad = np.exp(shifted)
    total = grad.sum(axis=1)
    loss = _mean_loss(shifted, total, targets)
    grad /= total[:, None]
    grad[np.arange(len(targets)), targets] -= 1.0
    grad /= len(targets)  # dL/ds_k = (p_k - [k = target]) / N
    return loss, grad


def _mean_loss(shifted: np.ndarray, total: np.ndarray, targets: np.ndarray) -> np.floating:
    # -log p_t = log(sum_j exp(s_j - m)) - (s_t - m)
    return (np.log(total) - shifted[np.arange(len(targets)), targets]).mean()
