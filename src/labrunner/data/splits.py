"""Splits and batches: which samples train, validate and test, and in which order they come.

Every sample lives in memory once, as uint8 pixels or float32 features, in the learner's own array library; a batch is
an index, a gather and a normalization. The order of a training pass depends on (seed, epoch) and on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from labrunner.data.sets import Description, Samples
from labrunner.errors import RequestError
from labrunner.learner import Batch, Learner
from labrunner.seeding import generator

EVAL_BATCH = 500  # samples in a batch of an evaluation pass, which keeps no gradients


def shares(counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Divide K classes among P parts, each class like the whole.

    Parameters
    ----------
    counts : (K,) samples of each class
    totals : (P,) samples of each part, which sum to those of the classes

    Returns
    -------
    (K, P) integers whose rows sum to `counts` and columns to `totals`, within one of counts * totals / sum.
    """
    divided, rest = np.divmod(np.outer(counts, totals), max(1, int(counts.sum())))
    classes, parts = counts - divided.sum(axis=1), totals - divided.sum(axis=0)
    for part, missing in enumerate(parts):
        # one more from the classes that have most left to give, and of those the nearest to it (Gale 1957, Ryser 1957)
        chosen = np.lexsort((-rest[:, part], -classes))[:missing]
        divided[chosen, part] += 1
        classes[chosen] -= 1
    return divided


def stratified(labels: np.ndarray, val_fraction: float, test_fraction: float, seed: int) -> dict[str, np.ndarray]:
    """Indices of train, val and test, sorted; each class is divided like the whole, to one sample.

    Parameters
    ----------
    labels : (N,) int64
    val_fraction, test_fraction : shares of all N samples, in [0, 1)
    seed : the split's own seed
    """
    classes, counts = np.unique(labels, return_counts=True)
    n_test = round(test_fraction * len(labels))
    n_val = min(round(val_fraction * len(labels)), len(labels) - n_test)
    divided = shares(counts, np.array([n_test, n_val, len(labels) - n_test - n_val]))
    parts: dict[str, list[np.ndarray]] = {"test": [], "val": [], "train": []}
    for label, sizes in zip(classes, divided, strict=True):
        members = generator(seed, "split", int(label)).permutation(np.flatnonzero(labels == label))
        for name, chosen in zip(parts, np.split(members, np.cumsum(sizes)[:-1]), strict=True):
            parts[name].append(chosen)
    return {name: np.sort(np.concatenate(chosen)) for name, chosen in parts.items()}


@dataclass(frozen=True)
class Normalization:
    """inputs * scale + shift, per channel or feature, in float64."""

    scale: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, kind: str, train: np.ndarray, description: Description) -> Normalization:
        """From the training split alone. `kind` is none, unit or standard.

        Images are scaled to [0, 1] first, and standardized per channel; tables are standardized per feature.
        """
        channels = description.shape[0]
        shape = (channels,) + (1,) * (len(description.shape) - 1)
        unit = 1.0 if kind == "none" or description.white is None else 1.0 / description.white
        if kind != "standard":
            return cls(np.full(shape, unit), np.zeros(shape))
        axes = (0, *range(2, train.ndim))
        values = train.astype(np.float64) * unit
        mean, deviation = values.mean(axis=axes), values.std(axis=axes)
        # a constant channel stays constant; its deviation is zero but for rounding, which must not be divided by
        deviation = np.where(train.min(axis=axes) < train.max(axis=axes), deviation, 1.0)
        return cls((unit / deviation).reshape(shape), (-mean / deviation).reshape(shape))


def take(array: Any, positions: Any) -> Any:
    """``array[positions]``; torch's own name for it is five times as quick as its indexing."""
    select = getattr(array, "index_select", None)
    return array[positions] if select is None else select(0, positions)


class Split:
    """One of train, val, test, as batches.

    Parameters
    ----------
    name : train, val or test
    index : (N,) positions in the whole data set
    samples : the whole data set, which is not copied
    to_array : the learner's `array`
    normalization : applied to each batch
    float_type : the learner's number type, which normalized batches have
    batch_size : samples in a training batch
    seed : the run's seed, for the order of training passes
    limit : at most so many batches in a pass; None for all
    """

    def __init__(
        self,
        name: str,
        index: np.ndarray,
        samples: Samples,
        to_array: Callable[[np.ndarray], Any],
        normalization: Normalization,
        float_type: str,
        batch_size: int,
        seed: int,
        limit: int | None = None,
    ) -> None:
        self.name, self.index, self.labels = name, index, samples.labels[index]
        self.batch_size, self.seed, self.limit = batch_size, seed, limit
        self._samples, self._to_array = samples, to_array
        self._normalization, self._float_type = normalization, float_type

    def __len__(self) -> int:
        return len(self.index)

    @property
    def batch_count(self) -> int:
        """Training batches in a pass; the last one may be short."""
        count = math.ceil(len(self) / self.batch_size)
        return count if self.limit is None else min(count, self.limit)

    @cached_property
    def _inputs(self) -> Any:
        return self._to_array(self._samples.inputs[self.index])

    @cached_property
    def _targets(self) -> Any:
        return self._to_array(self.labels)

    @cached_property
    def _scale(self) -> Any:
        return self._to_array(self._normalization.scale.astype(self._float_type))

    @cached_property
    def _shift(self) -> Any:
        return self._to_array(self._normalization.shift.astype(self._float_type))

    def _normalized(self, pixels: Any) -> Any:
        # the same two operations, in the same type, in NumPy and in torch: both sides see equal numbers
        values = pixels * self._scale
        values += self._shift
        return values

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The training batches of an epoch, from batch `start` on, in an order of (seed, epoch) alone."""
        order = generator(self.seed, "shuffle", epoch).permutation(len(self))
        positions = self._to_array(order)
        before = (epoch - 1) * self.batch_count
        for number in range(start, self.batch_count):
            chosen = positions[number * self.batch_size : (number + 1) * self.batch_size]
            yield Batch(self._normalized(take(self._inputs, chosen)), take(self._targets, chosen), before + number)

    def in_order(self) -> Iterator[Batch]:
        """All samples in the split's own order, in batches that do not depend on the training batch."""
        for first in range(0, len(self), EVAL_BATCH):
            chosen = slice(first, first + EVAL_BATCH)
            yield Batch(self._normalized(self._inputs[chosen]), self._targets[chosen], 0)

    def pixels(self, positions: np.ndarray) -> np.ndarray:
        """The raw samples at positions of this split, for pages that show them."""
        return self._samples.inputs[self.index[positions]]


@dataclass(frozen=True)
class Data:
    """The three splits of a data set; `val` and `test` may be missing."""

    description: Description
    normalization: Normalization
    train: Split
    val: Split | None
    test: Split | None


def make(config: dict[str, Any], samples: Samples, learner: Learner, smoke_batches: int = 4) -> Data:
    """Split the samples and hand them to the learner.

    Raises
    ------
    RequestError
        when nothing is left to train on.
    """
    options, description = config["dataset"], samples.description
    parts = stratified(samples.labels, options["val_fraction"], options["test_fraction"], options["split_seed"])
    if not len(parts["train"]):
        raise RequestError(
            f"dataset.val_fraction={options['val_fraction']} and dataset.test_fraction={options['test_fraction']} "
            f"leave no sample of {description.name} to train on"
        )
    normalization = Normalization.of(options["normalize"], samples.inputs[parts["train"]], description)
    size = len(parts["train"]) if config["batch_size"] == "full" else config["batch_size"]

    def split(name: str) -> Split | None:
        index = parts[name]
        if not len(index):
            return None
        return Split(
            name,
            index,
            samples,
            learner.array,
            normalization,
            config["precision"],
            size,
            config["seed"],
            smoke_batches if config["smoke"] and name == "train" else None,
        )

    train = split("train")
    assert train is not None
    return Data(description, normalization, train, split("val"), split("test"))
