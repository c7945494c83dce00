"""Precision, recall and F1 of all classes together, from counts: three ways to average.

- ``micro``: hits, misses and false alarms of all classes are added before anything is divided. Each sample counts once;
  where each has one label and one prediction, precision, recall and F1 are all the share of hits.
- ``macro``: the mean over the classes, each counts once, as far as the number is defined: precision and F1 of a class
  that is in the truth or was predicted, recall of one that is in the truth. These are the numbers of ``test.json``.
- ``weighted``: the mean over the classes that are in the truth, each counts by its samples there.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

KINDS = ("micro", "macro", "weighted")
NUMBERS = ("precision", "recall", "f1")
NAMES = tuple(f"{kind}_{number}" for kind in KINDS for number in NUMBERS)


def averages(counts: np.ndarray) -> dict[str, float]:
    """The `NAMES`, NaN where undefined.

    Parameters
    ----------
    counts : (K, K) samples; rows are the truth, columns the predictions
    """
    hits, support, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    # precision, recall and F1 are hits over one of these, of each class: F1 = 2 PR / (P + R) = hits / ((S + N) / 2)
    bases = {"precision": predicted, "recall": support, "f1": (support + predicted) / 2.0}
    return {f"{kind}_{number}": AVERAGES[kind](hits, bases[number], support) for kind in KINDS for number in NUMBERS}


def micro(hits: np.ndarray, base: np.ndarray, support: np.ndarray) -> float:
    total = float(base.sum())
    return float(hits.sum()) / total if total else math.nan


def macro(hits: np.ndarray, base: np.ndarray, support: np.ndarray) -> float:
    # a class that was never predicted has no false alarm and no hit: its precision is 0, as in scikit-learn
    defined = (base > 0) | (support > 0)
    return float(shares(hits, base)[defined].mean()) if defined.any() else math.nan


def weighted(hits: np.ndarray, base: np.ndarray, support: np.ndarray) -> float:
    total = float(support.sum())
    return float(shares(hits, base) @ support) / total if total else math.nan


AVERAGES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "micro": micro,
    "macro": macro,
    "weighted": weighted,
}


def shares(hits: np.ndarray, base: np.ndarray) -> np.ndarray:
    """hits / base of each class, 0 where the base is."""
    return np.divide(hits, base, out=np.zeros(len(hits)), where=base > 0)


def absent(counts: np.ndarray) -> int:
    """How many classes have no sample in the truth."""
    return int((counts.sum(axis=1) == 0).sum())
