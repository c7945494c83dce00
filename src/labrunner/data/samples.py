"""What a data set is and what it holds: `Description` and `Samples`, and how both change when less is asked for."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labrunner.errors import RequestError, some
from labrunner.helping import nearest

if TYPE_CHECKING:
    from PIL import Image

WHITE = 255.0  # of images that were resized
COMPARED = 2**29  # bytes of inputs up to which samples are compared with each other
NARROW = 8  # numbers of an input below which equal ones are no copies: two lengths in millimetres are often the same
FEW = 0.2  # of the samples: where no more inputs are different from all others, equal ones mean nothing either


@dataclass(frozen=True)
class Description:
    """What a data set is: enough to build a network for it."""

    name: str
    shape: tuple[int, ...]  # (channels, height, width) of images, (features,) of tables
    class_names: tuple[str, ...]
    white: float | None = None  # the pixel value of full brightness; None for tables
    feature_names: tuple[str, ...] = ()  # of tables, as far as they have names
    soft: bool = False  # targets are weights over the classes, and the classes mean nothing

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def with_classes(self, names: Sequence[Any]) -> Description:
        """The same with these classes alone, in this order."""
        return dataclasses.replace(self, class_names=tuple(self.class_names[k] for k in self.numbers_of(names)))

    def numbers_of(self, names: Sequence[Any]) -> list[int]:
        """The numbers of classes by name; 3 names the class "3".

        Raises
        ------
        RequestError
            for a name that no class has or that comes twice, and for fewer than two names.
        """
        if self.soft:
            raise RequestError(f"dataset={self.name} has no classes to choose from; try dataset.classes=null")
        words = [str(name) for name in names]
        for word in words:
            if word not in self.class_names:
                close = nearest(word, self.class_names)
                hint = f"did you mean {close}? " if close else ""
                known = some(self.class_names)
                raise RequestError(f"dataset.classes: dataset={self.name} has no class {word}\n{hint}there are {known}")
            if words.count(word) > 1:
                raise RequestError(f"dataset.classes names {word} twice; try naming it once")
        if len(words) < 2:
            raise RequestError("dataset.classes names one class, which leaves nothing to tell apart; try two or more")
        return [self.class_names.index(word) for word in words]

    def resized(self, size: int) -> Description:
        """The same with images of `size` x `size` pixels from 0 to 255; itself if they are that large."""
        if self.white is None:
            raise RequestError(f"dataset={self.name} is a table and has no size in pixels; try dataset.size=null")
        shape = (self.shape[0], size, size)
        return self if shape == self.shape else dataclasses.replace(self, shape=shape, white=WHITE)


@dataclass(frozen=True)
class Samples:
    """All samples of a data set, in its own order."""

    description: Description
    inputs: np.ndarray  # (N, *shape), uint8 images or float32 features; a memmap where memory would not hold them
    labels: np.ndarray  # (N,) int64 in [0, K)
    weights: np.ndarray | None = None  # (N, K) float64 whose rows sum to 1: targets that are no labels
    val: np.ndarray | None = None  # positions of the official validation split, int64; None if there is none
    test: np.ndarray | None = None  # positions of the official test split, int64; None if there is none
    origin: np.ndarray | None = None  # positions in the whole data set, where only some of it is here, int64
    paths: tuple[str, ...] | None = None  # (N,) the file of each sample, below the data set's root
    content: str | None = None  # what `inputs` are known by, where reading all of them would take long
    folder: Path | None = None  # of the cache, that holds what is known by `content`; None where none does
    listed: bool = False  # noise stands in for `inputs`, whose files were listed and not read

    def __post_init__(self) -> None:
        """Refuse labels and shapes that a metric or a network would pass over silently."""
        name, expected = self.description.name, self.description.shape
        count, classes = len(self.labels), self.description.num_classes
        if self.inputs.shape[1:] != expected:
            raise RequestError(f"dataset={name}: samples have shape {self.inputs.shape[1:]}, described as {expected}")
        if len(self.inputs) != count:
            raise RequestError(f"dataset={name}: {len(self.inputs)} samples and {count} labels")
        if count == 0:
            raise RequestError(f"dataset={name} has no samples")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= classes:
            raise RequestError(f"dataset={name}: labels from {low} to {high}, described are classes 0 to {classes - 1}")
        if self.weights is not None:
            self._check_weights(self.weights)
        for each, split in (("validation", self.val), ("test", self.test)):
            if split is not None and len(split):
                if split.min() < 0 or split.max() >= count:
                    raise RequestError(
                        f"dataset={name}: the {each} split names samples beyond the {count} that there are"
                    )
                if len(np.unique(split)) != len(split):
                    raise RequestError(f"dataset={name}: the {each} split names a sample twice")
        if self.val is not None and self.test is not None and len(both := np.intersect1d(self.val, self.test)):
            raise RequestError(f"dataset={name}: sample {both[0]} is in the validation split and in the test split")
        if self.paths is not None and len(self.paths) != count:
            raise RequestError(f"dataset={name}: {len(self.paths)} files and {count} labels")

    @cached_property
    def first_alike(self) -> np.ndarray | None:
        """(N,) int64: of each sample the first one with the same input; None where looking would take long, and where
        equal inputs mean nothing."""
        if self.listed or self.inputs.nbytes > COMPARED or self.inputs[0].size < NARROW:
            return None
        firsts: dict[bytes, int] = {}
        rows = np.ascontiguousarray(self.inputs).reshape(len(self.inputs), -1)
        found = [
            firsts.setdefault(hashlib.blake2b(row.data, digest_size=16).digest(), place)
            for place, row in enumerate(rows)
        ]
        return np.array(found, dtype=np.int64) if len(firsts) > FEW * len(found) else None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of shapes, inputs (or what they are known by) and labels: other data give another one."""
        digest = hashlib.sha256(f"{self.inputs.dtype.str}{self.inputs.shape}".encode())
        if self.content is None:
            digest.update(np.ascontiguousarray(self.inputs).data)
        else:
            digest.update(self.content.encode())
        digest.update(np.ascontiguousarray(self.labels).data)
        return "sha256:" + digest.hexdigest()[:16]

    def _check_weights(self, weights: np.ndarray) -> None:
        name, shape = self.description.name, (len(self.labels), self.description.num_classes)
        if weights.shape != shape:
            raise RequestError(f"dataset={name}: the weights have shape {weights.shape}, and {shape} is described")
        wrong = np.flatnonzero((np.abs(weights.sum(axis=1) - 1.0) > 1e-9) | (weights < 0.0).any(axis=1))
        if len(wrong):
            raise RequestError(
                f"dataset={name}: the weights of sample {wrong[0]} are {weights[wrong[0]].tolist()}, "
                "not shares that sum to 1"
            )


def choose_classes(samples: Samples, names: Sequence[Any]) -> Samples:
    """Only the samples of these classes, numbered in the order given; itself if it has no others, in that order."""
    description = samples.description.with_classes(names)
    if description == samples.description:
        return samples
    labels = renumbered(samples.labels, samples.description.numbers_of(names), samples.description.num_classes)
    kept = labels >= 0
    places = np.flatnonzero(kept)
    return Samples(
        description,
        np.asarray(samples.inputs[kept]),
        labels[kept],
        val=within(samples.val, places),
        test=within(samples.test, places),
        origin=places if samples.origin is None else samples.origin[kept],
        paths=None if samples.paths is None else tuple(samples.paths[place] for place in places),
    )


def renumbered(labels: np.ndarray, numbers: Sequence[int], num_classes: int) -> np.ndarray:
    """(N,) labels as places in `numbers`; -1 where a label is not among them."""
    places = np.full(num_classes, -1, dtype=np.int64)
    places[list(numbers)] = np.arange(len(numbers))
    return places[labels]


def within(positions: np.ndarray | None, kept: np.ndarray) -> np.ndarray | None:
    """Where those of `positions` that are kept stand among the kept ones (ascending); None stays None."""
    return None if positions is None else np.flatnonzero(np.isin(kept, positions))


def resize(samples: Samples, size: int, shorter: int | None = None, interpolation: str = "bilinear") -> Samples:
    """Images of `size` x `size` pixels from 0 to 255; what shrinks is averaged over all pixels it covers.

    Parameters
    ----------
    samples : images of any shape
    size : width and height in pixels
    shorter : what the shorter side becomes before the centre is cut to `size`; None: `size`
    interpolation : bilinear or bicubic
    """
    description, white = samples.description.resized(size), samples.description.white
    if description == samples.description and shorter in (None, size):
        return samples
    from PIL import Image

    is_scaled = description.white != white
    pixels = np.rint(samples.inputs * (WHITE / (white or WHITE))).astype(np.uint8) if is_scaled else samples.inputs
    resized = np.empty((len(pixels), *description.shape), dtype=np.uint8)
    for image, into in zip(pixels, resized, strict=True):
        for channel, plane in enumerate(image):
            into[channel] = square(Image.fromarray(plane), size, shorter, interpolation)
    return dataclasses.replace(samples, description=description, inputs=resized, content=None, folder=None)


def square(image: Image.Image, size: int, shorter: int | None, interpolation: str) -> Image.Image:
    """The middle of an image as `size` x `size` pixels, to the byte as torchvision resizes and cuts Pillow's images.

    The shorter side becomes `shorter` (None: `size`) and the other one keeps the proportion, rounded down; then the
    centre is cut out (``torchvision.transforms.functional``: resize, center_crop).

    Raises
    ------
    RequestError
        when `shorter` is less than `size`: there would be nothing to see at the edges.
    """
    width, height = resized_to(image.size, size, shorter)
    from PIL import Image

    method = Image.Resampling.BICUBIC if interpolation == "bicubic" else Image.Resampling.BILINEAR
    resized = image.resize((width, height), method)
    if (width, height) == (size, size):
        return resized
    left, top = round((width - size) / 2.0), round((height - size) / 2.0)
    return resized.crop((left, top, left + size, top + size))


def resized_to(sides: tuple[int, int], size: int, shorter: int | None) -> tuple[int, int]:
    """Width and height of an image before the centre is cut to `size`, from those that it has."""
    short = size if shorter is None else shorter
    if short < size:
        raise RequestError(
            f"the model wants images whose shorter side is {short} pixels, cut to {size}; try Wants(resize={size}, …)"
        )
    long = int(short * max(sides) / min(sides))
    return (short, long) if sides[0] <= sides[1] else (long, short)


def take(array: Any, positions: Any) -> Any:
    """``array[positions]``; torch's own name for it is five times as quick as its indexing."""
    select = getattr(array, "index_select", None)
    return array[positions] if select is None else select(0, positions)
