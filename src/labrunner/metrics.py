"""Scores and labels of a whole split -> numbers.

The counts and the areas under the ROC curves come from torchmetrics, in float64 and over the whole split at once; the
divisions are ours, since its ratios are float32 and turn undefined into zero. Undefined is NaN here and blank in files:

- precision of a class that was never predicted is 0 as in scikit-learn, but undefined if it has no samples either;
- recall of a class without samples is undefined; F1 is undefined if a class has no samples and was never predicted;
- AUROC of a class without positives, or without negatives, is undefined;
- a macro average is the mean over the classes in which a number is defined.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_auroc, multiclass_stat_scores


@dataclass(frozen=True)
class Scores:
    """What a split says of a model. Arrays are per class, (K,) float64 with NaN where undefined."""

    n: int
    loss: float
    accuracy: float
    support: np.ndarray  # (K,) int64
    class_precision: np.ndarray
    class_recall: np.ndarray
    class_f1: np.ndarray
    class_auroc: np.ndarray

    @property
    def precision(self) -> float:
        return macro(self.class_precision)

    @property
    def recall(self) -> float:
        return macro(self.class_recall)

    @property
    def f1(self) -> float:
        return macro(self.class_f1)

    @property
    def auroc(self) -> float:
        return macro(self.class_auroc)


def macro(values: np.ndarray) -> float:
    """Mean over the classes in which the number is defined; NaN where it is in none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


def ratio(numerator: np.ndarray, denominator: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """numerator / denominator in float64, and `otherwise` where the denominator is zero."""
    safe = np.where(denominator > 0, denominator, 1)
    return np.where(denominator > 0, numerator / safe, otherwise)


def score(probabilities: np.ndarray, labels: np.ndarray, loss: float) -> Scores:
    """All metrics of a split.

    Parameters
    ----------
    probabilities : (N, K) float64
    labels : (N,) int64 in [0, K)
    loss : mean data term over the split
    """
    classes = probabilities.shape[1]
    p, y = torch.from_numpy(probabilities), torch.from_numpy(np.ascontiguousarray(labels))
    # (K, 5): true positives, false positives, true negatives, false negatives, support
    counts = multiclass_stat_scores(p, y, num_classes=classes, average="none", validate_args=False).numpy()
    tp, fp, fn, support = counts[:, 0], counts[:, 1], counts[:, 3], counts[:, 4]
    nowhere = np.where(support > 0, 0.0, math.nan)
    return Scores(
        n=len(labels),
        loss=loss,
        accuracy=int(tp.sum()) / len(labels),
        support=support,
        class_precision=ratio(tp, tp + fp, nowhere),
        class_recall=ratio(tp, support, np.full(classes, math.nan)),
        class_f1=ratio(2 * tp, 2 * tp + fp + fn, np.full(classes, math.nan)),
        class_auroc=class_auroc(p, y, support),
    )


def class_auroc(probabilities: torch.Tensor, labels: torch.Tensor, support: np.ndarray) -> np.ndarray:
    """One-vs-rest area under the ROC curve of each class (K,), exact; NaN without positives or negatives."""
    classes = probabilities.shape[1]
    defined = (support > 0) & (support < len(labels))
    if not defined.any():
        return np.full(classes, math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of classes without positives, whose number we leave out
        areas = multiclass_auroc(
            probabilities, labels, num_classes=classes, average="none", thresholds=None, validate_args=False
        )
    return np.where(defined, areas.double().numpy(), math.nan)


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (K, K) int64: rows are the truth, columns the predictions."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def wilson(hits: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """The 95% interval of a share of `hits` in `n` (Wilson 1927), as (low, high)."""
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # the ends are exact where the share is: rounding must not put it outside its own interval
    return 0.0 if hits == 0 else centre - half, 1.0 if hits == n else centre + half
