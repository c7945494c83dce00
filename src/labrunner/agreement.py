"""What a run recorded of the test split, against what scikit-learn makes of its saved predictions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from labrunner import averages
from labrunner.records import Run

MARGINS = ("perceptron", "adaline")  # models whose p_<class> rank, and are no probabilities


def apart_from_scikit_learn(run: Run) -> float:
    """Largest difference of any number; inf where one of the two has none, NaN where there are no predictions.

    Compared are the accuracy, loss (of cross-entropy) and macro averages of ``test.json``, every cell of
    ``per_class.csv`` and of ``confusion.csv``, and the `labrunner.averages`.
    """
    if run.predictions is None or run.test is None or run.per_class is None or run.confusion is None:
        return math.nan
    return max((_apart(ours, theirs) for _, ours, theirs in compared(run)), default=math.nan)


def _apart(one: float, other: float) -> float:
    if math.isnan(one) or math.isnan(other):
        return 0.0 if math.isnan(one) and math.isnan(other) else math.inf
    return abs(one - other)


def compared(run: Run) -> Iterator[tuple[str, float, float]]:
    """Name, the recorded number, that of scikit-learn; NaN where undefined."""
    from sklearn import metrics  # takes a second

    assert run.predictions is not None
    assert run.test is not None
    assert run.per_class is not None
    assert run.confusion is not None
    counts = run.confusion.to_numpy()
    truth, predicted = (run.predictions[name].to_numpy(dtype=int) for name in ("label", "predicted"))
    p = run.predictions.iloc[:, 3:].to_numpy(dtype=float)
    classes = np.arange(len(counts))
    test = {name: math.nan if value is None else float(value) for name, value in run.test.items()}

    yield "accuracy", test["accuracy"], metrics.accuracy_score(truth, predicted)
    model = run.config.get("model") or {}
    if model.get("loss", "cross_entropy") == "cross_entropy" and model.get("name") not in MARGINS:
        yield "loss", test["loss"], metrics.log_loss(truth, p, labels=classes)
    theirs = metrics.confusion_matrix(truth, predicted, labels=classes)
    for ours, other in zip(counts.ravel(), theirs.ravel(), strict=True):
        yield "confusion", float(ours), float(other)

    # what is undefined is left out of a mean as NaN, but for the precision of a class that was never predicted: it is 0
    seen = np.union1d(truth, predicted)
    how: dict[str, tuple[Any, dict[str, Any]]] = {
        "precision": (metrics.precision_score, {"labels": seen, "zero_division": 0.0}),
        "recall": (metrics.recall_score, {"labels": classes, "zero_division": math.nan}),
        "f1": (metrics.f1_score, {"labels": classes, "zero_division": math.nan}),
    }
    means = averages.averages(counts)
    for name, (score, options) in how.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of classes without samples, whose number is left out
            for kind in averages.KINDS:
                found = float(score(truth, predicted, average=kind, **options))
                yield f"{kind}_{name}", means[f"{kind}_{name}"], found
                if kind == "macro":
                    yield name, test[name], found
            each = np.full(len(classes), math.nan)
            each[options["labels"]] = score(truth, predicted, average=None, **options)
        for ours, other in zip(run.per_class[name].to_numpy(dtype=float), each, strict=True):
            yield f"class {name}", float(ours), float(other)

    areas = [
        float(metrics.roc_auc_score(truth == k, p[:, k])) if 0 < (truth == k).sum() < len(truth) else math.nan
        for k in classes
    ]
    for ours, other in zip(run.per_class["auroc"].to_numpy(dtype=float), areas, strict=True):
        yield "class auroc", float(ours), other
    defined = [area for area in areas if not math.isnan(area)]
    yield "auroc", test["auroc"], float(np.mean(defined)) if defined else math.nan
    counted = np.bincount(truth, minlength=len(classes))
    for ours, other in zip(run.per_class["support"].to_numpy(dtype=int), counted, strict=True):
        yield "support", float(ours), float(other)
