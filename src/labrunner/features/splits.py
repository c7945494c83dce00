"""Splits whose batches hold features in the place of inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from labrunner.data import Data, Split
from labrunner.data.samples import take
from labrunner.deep import TorchLearner
from labrunner.deep.learner import Features
from labrunner.features.store import Store, Watch
from labrunner.learner import Learner


class FeatureSplit(Split):
    """A split whose batches hold features; what is looked at, by `at`, `prepared` and `pixels`, are inputs as ever.

    Parameters
    ----------
    inputs : the split as it would be without
    store : where its features are from
    """

    def __init__(self, inputs: Split, store: Store) -> None:
        vars(self).update(vars(inputs))
        self.inputs, self.store = inputs, store

    @cached_property
    def _features(self) -> Any:
        return self.store.of(self.inputs)

    @property
    def is_there(self) -> bool:
        """Whether its features need not be computed any more."""
        return "_features" in vars(self) or self.store.has(self.inputs)

    def fill(self) -> None:
        """Have its features computed, or read, now."""
        self._features  # noqa: B018

    def rehearsed(self) -> FeatureSplit:
        """The same with zeros for features, to see how long a batch takes."""
        other = FeatureSplit(self.inputs, self.store)
        vars(other)["_features"] = self.store.zeros(len(self))
        return other

    def _trained_on(self, chosen: Any, epoch: int, number: int) -> tuple[Any, Any]:
        return Features(take(self._features, chosen)), take(self._targets, chosen)

    def _evaluated_on(self, chosen: slice) -> Any:
        return Features(self._features[chosen])


def splits_of(data: Data) -> list[Split]:
    return [split for split in (data.train, data.val, data.test) if split is not None]


def with_features(data: Data) -> list[FeatureSplit]:
    """The splits whose batches hold features: all of them, or none."""
    return [split for split in splits_of(data) if isinstance(split, FeatureSplit)]


def training_work(data: Data, learner: Learner) -> int:
    """Multiply-adds of one sample's forward pass in training: those of the head where there are features."""
    return learner.head_work if with_features(data) and isinstance(learner, TorchLearner) else learner.work


def compute(data: Data) -> None:
    """Have ready what training and validation will ask for; the test split waits until it is read."""
    for split in with_features(data):
        if split.name != "test":
            split.fill()


def rehearsed(data: Data) -> Data:
    """The data for a look at how long a batch takes, which computes no features."""
    named: dict[str, Any] = {split.name: split.rehearsed() for split in with_features(data)}
    return dataclasses.replace(data, **named)


@dataclasses.dataclass(frozen=True)
class Ahead:
    """What has to be done until all features are there."""

    seconds: float = 0.0
    size: int = 0  # bytes of files that will be written


def ahead(data: Data) -> Ahead:
    """How much is missing, from a look at a few samples; writes nothing."""
    missing = [split for split in with_features(data) if not split.is_there]
    if not missing:
        return Ahead()
    store, count = missing[0].store, sum(len(split) for split in missing)
    size = 0 if store.folder is None else count * store.learner.feature_bytes
    return Ahead(count * store.seconds(missing[0].inputs), size)


@contextmanager
def watched(data: Data, watch: Watch) -> Iterator[None]:
    """Inside, the work on features is told to `watch`."""
    stores = [split.store for split in with_features(data)]
    for store in stores:
        store.watch = watch
    try:
        yield
    finally:
        for store in stores:
            store.watch = Watch()
