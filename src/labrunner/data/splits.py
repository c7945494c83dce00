"""Splits and batches: which samples train, validate and test, and in which order they come.

Every sample lives in memory once, as uint8 pixels or float32 features, in the learner's own array library; a batch is
an index, a gather, a normalization and, where asked, an augmentation and a mixing of the whole batch. Images that
memory would not hold are gathered from their file instead, batch by batch, and are the same to the byte. The order of a
training pass depends on (seed, epoch) and on nothing else.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labrunner.data.augment import Augment
from labrunner.data.counts import pixel_counts
from labrunner.data.mixing import cutmix, mixup
from labrunner.data.samples import Description, Samples, take
from labrunner.errors import RequestError
from labrunner.learner import ANY, Batch, Learner, Wants
from labrunner.seeding import generator

SMALLEST = 1e-30  # a smaller range counts as none: its inverse would overflow float32
EVAL_BATCH = 500  # samples in a batch of an evaluation pass, which keeps no gradients
EVAL_VALUES = 2**23  # and at most so many numbers: of 224 x 224 pixels in colour, 55 images


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
    parts = {name: [np.empty(0, np.int64)] for name in ("test", "val", "train")}
    for label, sizes in zip(classes, divided, strict=True):
        members = generator(seed, "split", int(label)).permutation(np.flatnonzero(labels == label))
        for name, chosen in zip(parts, np.split(members, np.cumsum(sizes)[:-1]), strict=True):
            parts[name].append(chosen)
    return {name: np.sort(np.concatenate(chosen)) for name, chosen in parts.items()}


def divided(samples: Samples, options: dict[str, Any]) -> dict[str, np.ndarray]:
    """Indices of train, val and test, sorted, as a composed `dataset` group says.

    Official splits stay whole; the fraction of one that is there takes none, and that of the other one is a share of
    the rest. `per_class` takes from train alone, the same samples and more as it grows.
    """
    labels, seed = samples.labels, options.get("split_seed", 0)
    val_fraction, test_fraction = options.get("val_fraction", 0.0), options.get("test_fraction", 0.0)
    official = {name: index for name, index in (("val", samples.val), ("test", samples.test)) if index is not None}
    is_rest = np.ones(len(labels), dtype=bool)
    for index in official.values():
        is_rest[index] = False
    rest = np.flatnonzero(is_rest)
    fractions = (0.0 if "val" in official else val_fraction, 0.0 if "test" in official else test_fraction)
    parts = {name: rest[index] for name, index in stratified(labels[rest], *fractions, seed).items()}
    parts |= {name: np.sort(index) for name, index in official.items()}
    most = options.get("per_class")
    if most is not None:
        parts["train"] = at_most(most, parts["train"], labels, seed)
    return parts


def at_most(most: int, index: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """So many of `index` (sorted) of each class, or all where there are fewer."""
    kept = []
    for label in np.unique(labels[index]):
        members = generator(seed, "per_class", int(label)).permutation(index[labels[index] == label])
        kept.append(members[:most])
    return np.sort(np.concatenate(kept)) if kept else index


def with_label_noise(samples: Samples, train: np.ndarray, share: float, seed: int) -> Samples:
    """The samples with another class, drawn evenly, on a share of the training samples, rounded to whole ones.

    A larger share keeps what a smaller one has replaced.
    """
    count, classes = round(share * len(train)), samples.description.num_classes
    if not count:
        return samples
    rng = generator(seed, "label_noise")
    chosen = train[rng.permutation(len(train))[:count]]
    further = rng.integers(1, classes, size=len(train))[:count]
    labels = samples.labels.copy()
    labels[chosen] = (labels[chosen] + further) % classes
    return dataclasses.replace(samples, labels=labels)


@dataclass(frozen=True)
class Normalization:
    """inputs * scale + shift, per channel or feature, in float64; a scale of three channels makes grey images three."""

    scale: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(
        cls,
        kind: str,
        inputs: np.ndarray,
        description: Description,
        wants: Wants = ANY,
        index: np.ndarray | None = None,
        folder: Path | None = None,
    ) -> Normalization:
        """From the training split alone: `inputs` at positions `index`, or all. `kind` is none, unit or standard.

        `folder` keeps what is counted of images (`counts.pixel_counts`).

        Images are scaled to [0, 1] by their white, and then standardized per channel; tables are brought to [0, 1], or
        standardized, per feature. A mean and a deviation that the learner wants, of images in [0, 1], take the place of
        those of the training split.
        """
        channels = inputs.shape[1]
        mean, deviation = np.zeros(channels), np.ones(channels)
        unit = 1.0 if description.white is None else 1.0 / description.white
        if description.white is not None:
            channels = wants.channels or channels
        if description.white is not None and (wants.mean is not None or wants.std is not None):
            mean = mean if wants.mean is None else np.array(wants.mean, dtype=np.float64)
            deviation = deviation if wants.std is None else np.array(wants.std, dtype=np.float64)
        elif kind == "none":
            unit = 1.0
        elif kind == "unit" and description.white is None:
            train = inputs if index is None else inputs[index]
            low, high = train.min(axis=0).astype(np.float64), train.max(axis=0).astype(np.float64)
            mean, deviation = low, np.where(high - low > SMALLEST, high - low, 1.0)
        elif kind == "standard":
            mean, deviation = moments(inputs, index, unit, folder)
        for given in (mean, deviation):
            if len(given) not in (1, channels):
                raise RequestError(
                    f"the model wants its inputs normalized by {len(given)} channels and those of "
                    f"dataset={description.name} have {channels}; try Wants(channels={len(given)}, …)"
                )
        shape = (channels,) + (1,) * (len(description.shape) - 1)
        scale, shift = unit / deviation, -mean / deviation
        return cls(*(np.broadcast_to(values, channels).reshape(shape) for values in (scale, shift)))


def moments(
    inputs: np.ndarray, index: np.ndarray | None, unit: float, folder: Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of inputs * unit, (C,) each, per channel or feature, of samples `index` or of all.

    Pixels are counted by value first: a float64 copy of a large set of images would not fit into memory.
    """
    if inputs.dtype == np.uint8:
        numbers = np.arange(256) * unit
        counted = pixel_counts(inputs, index, folder)
        found = [mean_and_deviation(numbers, counts / counts.sum()) for counts in counted]
    else:
        train = inputs if index is None else inputs[index]
        columns = (train[:, channel].astype(np.float64).reshape(-1) * unit for channel in range(train.shape[1]))
        found = [mean_and_deviation(values, np.full(values.size, 1.0 / values.size)) for values in columns]
    mean, deviation = (np.array(values) for values in zip(*found, strict=True))
    return mean, deviation


def mean_and_deviation(numbers: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Of numbers with weights that sum to 1, in float64; the deviation of a constant is given as 1."""
    mean = (numbers * weights).sum()
    # a constant has a deviation of zero but for rounding, which must not be divided by
    if np.ptp(numbers[weights > 0.0]) <= SMALLEST:
        return float(mean), 1.0
    return float(mean), float(np.sqrt(((numbers - mean) ** 2 * weights).sum()))


class Streamed:
    """Images of a split in a file, gathered when they are asked for: to a `Split` the same as an array in memory.

    Parameters
    ----------
    images : (N, C, H, W) uint8, a memmap
    index : positions in it of the split's samples
    to_array : the learner's `array`
    """

    def __init__(self, images: np.ndarray, index: np.ndarray, to_array: Callable[[np.ndarray], Any]) -> None:
        self._images = images.view(np.ndarray)  # a view of the same pages: a memmap's own indexing is slow
        self._index, self._to_array = index, to_array

    def index_select(self, _axis: int, positions: Any) -> Any:
        """The images at positions of the split, which are read in the order of the file."""
        rows = self._index[np.asarray(positions.cpu() if hasattr(positions, "cpu") else positions)]
        gathered = np.empty((len(rows), *self._images.shape[1:]), self._images.dtype)
        for place in np.argsort(rows, kind="stable"):
            gathered[place] = self._images[rows[place]]
        return self._to_array(gathered)

    def __getitem__(self, chosen: slice) -> Any:
        return self._to_array(self._images[self._index[chosen]])


class Split:
    """One of train, val, test, as batches.

    Parameters
    ----------
    name : train, val or test
    index : (N,) positions in the whole data set
    samples : the whole data set, which is not copied
    to_array : the learner's `array`
    normalization : applied to each batch
    float_type : the number type of normalized batches
    batch_size : samples in a training batch
    seed : the run's seed, for the order of training passes
    limit : at most so many batches in a pass; None for all
    augment : what happens to the pixels of training batches, before they are normalized; None for nothing
    mixup : alpha of the mixing of training batches, whose targets are then (N, K) weights; 0 for none
    cutmix : alpha of the rectangles that training images exchange, with such targets; 0 for none
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
        augment: Augment | None = None,
        mixup: float = 0.0,
        cutmix: float = 0.0,
    ) -> None:
        self.name, self.index, self.labels = name, index, samples.labels[index]
        self.batch_size, self.seed, self.limit = batch_size, seed, limit
        self._samples, self._to_array = samples, to_array
        self._normalization, self._float_type = normalization, float_type
        self._augment, self._mixup, self._cutmix = augment, mixup, cutmix

    def __len__(self) -> int:
        return len(self.index)

    @property
    def origin(self) -> np.ndarray:
        """(N,) positions in the whole data set, also where only some classes of it are here."""
        whole = self._samples.origin
        return self.index if whole is None else whole[self.index]

    @property
    def is_weighted(self) -> bool:
        """Whether training targets are weights of the classes, which have no hit and no miss."""
        return self._mixup > 0.0 or self._cutmix > 0.0 or self._samples.weights is not None

    @property
    def is_varied(self) -> bool:
        """Whether the inputs of training batches differ from one epoch to the next: augmented, or mixed."""
        return self._augment is not None or self._mixup > 0.0 or self._cutmix > 0.0

    @property
    def batch_count(self) -> int:
        """Training batches in a pass; the last one may be short."""
        count = math.ceil(len(self) / self.batch_size)
        return count if self.limit is None else min(count, self.limit)

    @property
    def last_batch(self) -> int:
        """Samples in the last training batch of a pass."""
        return min(self.batch_size, len(self) - (self.batch_count - 1) * self.batch_size)

    @property
    def eval_batch(self) -> int:
        """Samples in a batch of an evaluation pass: a function of their shape, not of the training batch."""
        return max(1, min(EVAL_BATCH, EVAL_VALUES // max(1, math.prod(self._samples.inputs.shape[1:]))))

    @cached_property
    def _inputs(self) -> Any:
        inputs = self._samples.inputs
        if isinstance(inputs, np.memmap):
            return Streamed(inputs, self.index, self._to_array)
        return self._to_array(inputs[self.index])

    @cached_property
    def _targets(self) -> Any:
        return self._to_array(self.labels) if self._samples.weights is None else self._weights

    @cached_property
    def _weights(self) -> Any:
        """(N, K) shares of the classes: all of the label's own unless the samples bring weights."""
        if self._samples.weights is None:
            return self._to_array(np.eye(self._samples.description.num_classes, dtype=self._float_type)[self.labels])
        return self._to_array(self._samples.weights[self.index].astype(self._float_type))

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

    def order(self, epoch: int) -> np.ndarray:
        """(N,) positions in this split, in the order of a training pass: a function of (seed, epoch) alone."""
        return generator(self.seed, "shuffle", epoch).permutation(len(self))

    def chosen(self, epoch: int, number: int) -> np.ndarray:
        """Positions in this split of the samples in a training batch of an epoch, counted from 0."""
        return self.order(epoch)[number * self.batch_size : (number + 1) * self.batch_size]

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The training batches of an epoch, from batch `start` on, in the order of that epoch."""
        positions = self._to_array(self.order(epoch))
        before = (epoch - 1) * self.batch_count
        for number in range(start, self.batch_count):
            chosen = positions[number * self.batch_size : (number + 1) * self.batch_size]
            yield Batch(*self._trained_on(chosen, epoch, number), before + number)

    def _trained_on(self, chosen: Any, epoch: int, number: int) -> tuple[Any, Any]:
        """Inputs and targets of the samples in a training batch."""
        pixels = take(self._inputs, chosen)
        if self._augment is not None:
            pixels = self._augment(pixels, generator(self.seed, "augment", epoch, number))
        inputs = self._normalized(pixels)
        if self._mixup:
            rng, weights = generator(self.seed, "mixup", epoch, number), take(self._weights, chosen)
            return mixup(inputs, weights, rng, self._mixup, self._to_array)
        if self._cutmix:
            rng, weights = generator(self.seed, "cutmix", epoch, number), take(self._weights, chosen)
            return cutmix(inputs, weights, rng, self._cutmix, self._to_array)
        return inputs, take(self._targets, chosen)

    def in_order(self) -> Iterator[Batch]:
        """All samples in the split's own order, in batches that do not depend on the training batch."""
        for first in range(0, len(self), self.eval_batch):
            chosen = slice(first, first + self.eval_batch)
            yield Batch(self._evaluated_on(chosen), self._targets[chosen], 0)

    def _evaluated_on(self, chosen: slice) -> Any:
        """Inputs of the samples in a batch of an evaluation pass."""
        return self._normalized(self._inputs[chosen])

    def at(self, positions: np.ndarray) -> Batch:
        """The samples at positions of this split as one batch, as `in_order` hands them over: never augmented."""
        chosen = self._to_array(np.asarray(positions, dtype=np.int64))
        return Batch(self._normalized(take(self._inputs, chosen)), take(self._targets, chosen), 0)

    def prepared(self, values: np.ndarray) -> Iterator[Any]:
        """Other inputs (N, ...) of the data set's own type and units, as `in_order` hands over those of this split."""
        for first in range(0, len(values), self.eval_batch):
            yield self._normalized(self._to_array(values[first : first + self.eval_batch]))

    def pixels(self, positions: np.ndarray) -> np.ndarray:
        """The raw samples at positions of this split, for pages that show them."""
        return np.asarray(self._samples.inputs[self.index[positions]])


@dataclass(frozen=True)
class Data:
    """The three splits of a data set; `val` and `test` may be missing."""

    samples: Samples  # as they were read
    description: Description
    normalization: Normalization
    train: Split
    val: Split | None
    test: Split | None
    remarks: tuple[str, ...] = ()  # on how the samples are handed over, for the log


def in_train(data: Data) -> dict[str, int]:
    """How many samples of val and of test have the input of a training sample; nothing where nobody looked."""
    first = data.samples.first_alike
    if first is None:
        return {}
    trained = first[data.train.index]
    splits = {name: split for name, split in (("val", data.val), ("test", data.test)) if split is not None}
    return {name: int(np.isin(first[split.index], trained).sum()) for name, split in splits.items()}


def make(config: dict[str, Any], samples: Samples, learner: Learner, smoke_batches: int = 4) -> Data:
    """Split the samples and hand them to the learner.

    Raises
    ------
    RequestError
        when nothing is left to train on.
    """
    options, description = config["dataset"], samples.description
    parts = divided(samples, options)
    if not len(parts["train"]):
        official = {"val_fraction": samples.val, "test_fraction": samples.test}
        keys = [key for key, index in official.items() if index is None]
        given = " and ".join(f"dataset.{key}={options.get(key, 0.0)}" for key in keys) or "the official splits"
        raise RequestError(f"{given} leave{'s' if len(keys) == 1 else ''} no sample of {description.name} to train on")
    noisy = with_label_noise(samples, parts["train"], options.get("label_noise", 0.0), options.get("split_seed", 0))
    normalization = Normalization.of(
        options.get("normalize", "none"),
        samples.inputs,
        description,
        learner.wants,
        parts["train"],
        None if samples.content is None else samples.folder,
    )
    size = len(parts["train"]) if config["batch_size"] == "full" else config["batch_size"]
    float_type = "float32" if config["precision"] == "bf16" else config["precision"]
    augment = Augment(config.get("augment", {}), description.shape, learner.array, float_type, description.white)

    def split(name: str) -> Split | None:
        index = parts[name]
        if not len(index):
            return None
        of_training: dict[str, Any] = {}
        if name == "train":
            of_training = {
                "limit": smoke_batches if config["smoke"] else None,
                "augment": augment or None,
                "mixup": config["reg"].get("mixup", 0.0),
                "cutmix": config["reg"].get("cutmix", 0.0),
            }
        return Split(
            name,
            index,
            noisy,
            learner.array,
            normalization,
            float_type,
            size,
            config["seed"],
            **of_training,
        )

    train = split("train")
    assert train is not None
    return Data(samples, description, normalization, train, split("val"), split("test"))
