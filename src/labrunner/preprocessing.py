"""What a run does to an input before its model sees it: ``preprocessing.json``, and the same done to other inputs.

With it and a checkpoint a run folder needs no data set: a new image, or a row of a table, becomes what the model was
trained on. Nothing is ever taken from the new data, neither a mean nor a range.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labrunner.data import Data, Description, Samples, Split, tables
from labrunner.data.samples import WHITE
from labrunner.data.splits import Normalization
from labrunner.errors import RequestError, some
from labrunner.files import read_json
from labrunner.learner import ANY, Learner, Origin, Wants
from labrunner.records.names import PREPROCESSING

MOST = 1_000_000  # classes, features, pixels along a side: a file from a stranger claims no more
MOST_NUMBERS = 2**28  # in an input
INTERPOLATIONS = ("bilinear", "bicubic")


@dataclass(frozen=True)
class Preprocessing:
    """How inputs become what a model takes, from how they lie in a file.

    An image is decoded, its shorter side becomes `resize` and the centre is cut to `size`; its pixels are numbers from
    0 to `white`. Of a table, columns are numbers in float32, less their `offsets`, or 0 and 1 for a text. Then
    ``inputs * scale + shift``, channel by channel or feature by feature; more of these than channels repeat grey ones.
    """

    shape: tuple[int, ...]  # (channels, height, width) of images, (features,) of tables
    class_names: tuple[str, ...]
    white: float | None  # the value of full brightness; None for tables
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    resize: int | None = None  # None: the shorter side becomes the size
    interpolation: str = "bilinear"
    feature_names: tuple[str, ...] = ()
    offsets: Mapping[str, float] = field(default_factory=dict)  # column -> what is subtracted from it in float64
    soft: bool = False  # the classes mean nothing
    wants: Wants = ANY
    weights: Mapping[str, str] | None = None  # where the starting weights are from: asked, used, sha256

    # what is recorded

    @classmethod
    def of(cls, options: Mapping[str, Any], data: Data, learner: Learner) -> Preprocessing:
        """That of a run.

        Parameters
        ----------
        options : the `dataset` group as its model wants it (`labrunner.build.as_wanted`)
        data : of the run
        learner : as it was built
        """
        description, normalization = data.description, data.normalization
        return cls(
            shape=tuple(description.shape),
            class_names=tuple(description.class_names),
            white=description.white,
            scale=tuple(normalization.scale.reshape(-1).tolist()),
            shift=tuple(normalization.shift.reshape(-1).tolist()),
            resize=options.get("resize"),
            interpolation=options.get("interpolation", "bilinear"),
            feature_names=tuple(description.feature_names),
            offsets=tables.offsets(dict(options)) if options.get("name") in tables.NAMES else {},
            soft=description.soft,
            wants=learner.wants,
            weights=said_of(learner.origin),
        )

    def recorded(self) -> dict[str, Any]:
        """The object in ``preprocessing.json``, which `labrunner.build.build` takes as well."""
        is_image = self.white is not None
        return {
            "shape": list(self.shape),
            "class_names": list(self.class_names),
            "white": self.white,
            "channels": self.shape[0] if is_image else None,
            "size": self.shape[1] if is_image else None,
            "resize": self.resize,
            "interpolation": self.interpolation if is_image else None,
            "scale": list(self.scale),
            "shift": list(self.shift),
            "feature_names": list(self.feature_names),
            "offsets": dict(self.offsets),
            "soft": self.soft,
            "wants": self.wants._asdict(),
            "weights": None if self.weights is None else dict(self.weights),
        }

    # what it makes of inputs

    @property
    def size(self) -> int:
        """Width and height of images in pixels."""
        return self.shape[1]

    @property
    def normalization(self) -> Normalization:
        shape = (len(self.scale),) + (1,) * (len(self.shape) - 1)
        return Normalization(np.array(self.scale).reshape(shape), np.array(self.shift).reshape(shape))

    def description(self, name: str) -> Description:
        """That of the run's data set, and of any that is made to be like it."""
        return Description(name, self.shape, self.class_names, self.white, self.feature_names, self.soft)

    def split(self, name: str, samples: Samples, index: np.ndarray, learner: Learner, precision: str) -> Split:
        """Samples that are like the run's own as a split whose batches the learner takes.

        Parameters
        ----------
        name : of the split
        samples, index : the samples, and (N,) positions of those that belong to it
        precision : the config's
        """
        float_type = "float32" if precision == "bf16" else precision
        count = max(1, len(index))
        return Split(name, index, samples, learner.array, self.normalization, float_type, count, seed=0)

    def pictured(self, images: np.ndarray) -> np.ndarray:
        """Images (N, channels, size, size) uint8 from 0 to 255 in the units of the run's own: of as many levels."""
        return in_units(images, WHITE, self.white or WHITE)

    def like_own(self, samples: Samples) -> Samples:
        """Samples of another data set in the form of the run's own: channels, units, and classes by name.

        Parameters
        ----------
        samples : of the run's own size, cut to it as the run does

        Raises
        ------
        RequestError
            for a table in place of images, features that are missing, and classes that the run does not know.
        """
        name = samples.description.name
        own = self.description(name)
        self._refuse_other_kind(samples.description)
        labels = self._numbered(samples)
        inputs = self._images(samples) if self.white is not None else self._features(samples)
        content = samples.content if inputs is samples.inputs else None
        return dataclasses.replace(samples, description=own, inputs=inputs, labels=labels, content=content)

    def _refuse_other_kind(self, other: Description) -> None:
        if other.soft:
            raise RequestError(f"dataset={other.name} has no classes that predictions could be compared with")
        if (other.white is None) != (self.white is None):
            is_other, is_own = ("a table", "images") if other.white is None else ("images", "a table")
            raise RequestError(f"dataset={other.name} is {is_other}, and the run learned from {is_own}")

    def _numbered(self, samples: Samples) -> np.ndarray:
        """The labels (N,) in the run's own numbers."""
        theirs, ours = samples.description.class_names, self.class_names
        if theirs == ours:
            return samples.labels
        foreign = [each for each in theirs if each not in ours]
        if foreign:
            common = [each for each in ours if each in theirs]
            way_out = f"; try dataset.classes=[{','.join(common)}]" if len(common) > 1 else ""
            raise RequestError(
                f"dataset={samples.description.name} has classes that the run does not know: {some(foreign)}\n"
                f"it knows {some(ours)}{way_out}"
            )
        return np.array([ours.index(each) for each in theirs], dtype=np.int64)[samples.labels]

    def _images(self, samples: Samples) -> np.ndarray:
        channels = self.shape[0]
        inputs = samples.inputs
        if inputs.shape[1] != channels:
            if inputs.shape[1] not in (1, 3) or channels not in (1, 3):
                raise RequestError(
                    f"dataset={samples.description.name} has images of {inputs.shape[1]} channels, and the run learned "
                    f"from images of {channels}"
                )
            inputs = grey(inputs) if channels == 1 else np.repeat(inputs, 3, axis=1)
        return in_units(inputs, samples.description.white or WHITE, self.white or WHITE)

    def _features(self, samples: Samples) -> np.ndarray:
        theirs = samples.description.feature_names
        if theirs == self.feature_names:
            return samples.inputs
        missing = [each for each in self.feature_names if each not in theirs]
        if missing:
            raise RequestError(
                f"dataset={samples.description.name} lacks what the run learned from: {some(missing)}\n"
                f"it has {some(theirs)}"
            )
        return samples.inputs[:, [theirs.index(each) for each in self.feature_names]]


def said_of(origin: Origin | None) -> dict[str, str] | None:
    """What is recorded of starting weights; None where they were drawn."""
    return None if origin is None else {"asked": origin.asked, "used": origin.used, "sha256": origin.sha256}


def in_units(images: np.ndarray, white: float, other: float) -> np.ndarray:
    """Pixels from 0 to `white` as pixels from 0 to `other`, whole numbers both; itself if these are equal."""
    return images if white == other else np.rint(images * (other / white)).astype(np.uint8)


def grey(images: np.ndarray) -> np.ndarray:
    """Red, green and blue (N, 3, H, W) uint8 as grey (N, 1, H, W), to the byte as Pillow converts RGB to L.

    That is ITU-R BT.601's luma, 0.299 R + 0.587 G + 0.114 B, in fixed point of 16 bits.
    """
    found = np.empty((len(images), 1, *images.shape[2:]), dtype=np.uint8)
    for image, into in zip(images, found, strict=True):  # one by one: they may be more than memory holds in 32 bits
        red, green, blue = image.astype(np.uint32)
        into[0] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return found


# the file


def read(folder: Path) -> Preprocessing | None:
    """What a run folder says; None where it has no such file, as those of earlier versions.

    Raises
    ------
    RequestError
        when it says what no run writes.
    """
    path = folder / PREPROCESSING
    if not path.is_file():
        return None
    said = read_json(path)
    try:
        if said is None:
            raise ValueError
        return _checked(said)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError):
        raise RequestError(f"{path} is not what a run writes") from None


def _checked(said: Mapping[str, Any]) -> Preprocessing:
    """The object of a file; whoever made it may have put anything there. Raises whatever does not fit."""
    shape = tuple(_whole(each) for each in said["shape"])
    scale, shift = (tuple(_finite(each) for each in said[key]) for key in ("scale", "shift"))
    wants = _wants(said["wants"])
    is_image = said["white"] is not None
    names = tuple(_text(each) for each in said["feature_names"])
    found = Preprocessing(
        shape=shape,
        class_names=tuple(_text(each) for each in said["class_names"]),
        white=_finite(said["white"]) if is_image else None,
        scale=scale,
        shift=shift,
        resize=None if said["resize"] is None else _whole(said["resize"]),
        interpolation=_one_of(said["interpolation"], INTERPOLATIONS) if is_image else "bilinear",
        feature_names=names,
        offsets={_text(name): _finite(value) for name, value in said["offsets"].items()},
        soft=said["soft"] is True,
        wants=wants,
        weights=None if said["weights"] is None else {key: _text(said["weights"][key]) for key in Origin._fields[:3]},
    )
    channels = {shape[0], wants.channels} if is_image and shape[0] == 1 else {shape[0]}
    fits = [
        len(shape) == (3 if is_image else 1) and math.prod(shape) <= MOST_NUMBERS,
        len(set(found.class_names)) == len(found.class_names) > 0,
        len(scale) == len(shift) and len(scale) in channels,
        not names or len(names) == shape[0],
    ]
    if is_image:
        fits += [found.white is not None and found.white > 0.0, shape[1] == shape[2]]
        fits += [found.resize is None or found.resize >= shape[1]]
    if not all(fits):
        raise ValueError
    return found


def _wants(said: Mapping[str, Any]) -> Wants:
    def moments(key: str) -> tuple[float, ...] | None:
        return None if said[key] is None else tuple(_finite(each) for each in said[key])

    def count(key: str) -> int | None:
        return None if said[key] is None else _whole(said[key])

    return Wants(
        count("channels"),
        count("size"),
        moments("mean"),
        moments("std"),
        count("resize"),
        _one_of(said["interpolation"], INTERPOLATIONS),
    )


def _whole(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MOST:
        raise ValueError
    return value


def _finite(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _one_of(value: Any, known: Sequence[str]) -> str:
    if value not in known:
        raise ValueError
    return str(value)
