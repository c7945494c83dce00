"""Losses of the torch side: the mean over the batch of what the scores (N, K) are off the targets.

Targets are integers (N,) in [0, K) or, where samples are mixed, weights (N, K) whose rows sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def cross_entropy(label_smoothing: float = 0.0) -> Loss:
    """-sum_k t_k log softmax(s)_k; `label_smoothing` is the share of a target that is spread over all classes."""

    def loss(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(scores, targets, label_smoothing=label_smoothing)

    return loss


def mse(label_smoothing: float = 0.0) -> Loss:
    """sum_k (s_k - t_k)^2 against targets of 1 and 0, without a half."""

    def loss(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        classes = scores.shape[1]
        weights = functional.one_hot(targets, classes).to(scores.dtype) if targets.ndim == 1 else targets
        if label_smoothing > 0.0:
            weights = (1.0 - label_smoothing) * weights + label_smoothing / classes
        return (scores - weights).square().sum(dim=1).mean()

    return loss


LOSSES: dict[str, Callable[[float], Loss]] = {"cross_entropy": cross_entropy, "mse": mse}
