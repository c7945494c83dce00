"""Augmentation of whole batches: where the pixels come from, and what happens to their colours.

What happens is worked out in NumPy, from numbers that NumPy drew; the learner's own array library gathers and computes.
The same batch is therefore the same in NumPy and in torch: to the byte where pixels only move, else to rounding.
`moves` turns, shifts, crops and mirrors, `windows` has the resized crop, `colours` the colour jitter, `randaugment`
torchvision's operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from labrunner.data import colours, moves, windows
from labrunner.data.samples import WHITE
from labrunner.errors import RequestError

PART = 2**19  # pixel values that are worked on at a time: they stay in the processor's cache
DOES = {  # what each key does to images
    "shift": "moves",
    "rotate": "turns",
    "flip": "mirrors",
    "crop": "crops",
    "resized_crop": "crops and resizes",
    "jitter": "changes the colours of",
    "randaugment": "changes",
}
COLOURED = ("jitter", "randaugment")  # what is defined on grey and on red, green and blue


def check(options: Mapping[str, Any], shape: tuple[int, ...], name: str) -> None:
    """Refuse what cannot be done to samples of a shape.

    Parameters
    ----------
    options : the config's `augment`
    shape : (channels, height, width) of an image, or (features,)
    name : the data set's name, for the message

    Raises
    ------
    RequestError
        when the samples are no images, too small for the shift or the crop, or of other channels than colours have.
    """
    asked = [key for key in DOES if options.get(key, 0) > 0]
    if asked and len(shape) != 3:
        key, preset = asked[0], options.get("name", "none")
        is_mixture = preset != "none" and preset not in DOES
        is_preset = is_mixture or preset == key
        given, way_out = (f"augment={preset}", "augment=none") if is_preset else _settings(options, key, 0)
        does = "changes" if is_mixture else DOES[key]
        raise RequestError(f"{given} {does} images and dataset={name} is a table; try {way_out}")
    troubles = {"shift": "can move them out of sight", "crop": "mirrors more pixels of each side than they have"}
    for key, trouble in troubles.items():
        side = min(shape[1:], default=0)
        if key in asked and options[key] >= side:
            given, way_out = _settings(options, key, side // 4)
            raise RequestError(
                f"{given} and the images of {name} are {shape[1]} x {shape[2]} pixels: it {trouble}; try {way_out}"
            )
    for key in COLOURED:
        if key in asked and shape[0] not in (1, 3):
            given, way_out = _settings(options, key, 0)
            raise RequestError(
                f"{given} is for images of one channel or three and those of {name} have {shape[0]}; try {way_out}"
            )


def _settings(options: Mapping[str, Any], key: str, other: int) -> tuple[str, str]:
    """A key with its value, and with another one."""
    return f"augment.{key}={options[key]}", f"augment.{key}={other}"


class Augment:
    """Images of a training batch, each changed in its own way.

    All that is asked for is applied, in the order rotate, shift, crop, resized crop, flip, jitter, RandAugment: first
    where pixels come from, then their colours, and last the operations that are defined on finished 8-bit images. A
    turn is bilinear, about the centre; so is what a resized crop enlarges.

    Parameters
    ----------
    options : the config's `augment`: shift and crop in pixels, rotate in degrees, flip a chance, resized_crop and
        jitter shares, randaugment a number of operations and magnitude their strength; a missing key is 0
    shape : (channels, height, width) of an image
    to_array : the learner's `array`
    float_type : the number type of images that are turned, resized or jittered, which fall between pixels and levels
    white : the value of full brightness; None stands for 255
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        shape: tuple[int, ...],
        to_array: Callable[[np.ndarray], Any],
        float_type: str,
        white: float | None = None,
    ) -> None:
        whole, shares = ("shift", "crop", "randaugment", "magnitude"), ("rotate", "flip", "resized_crop", "jitter")
        shift, crop, self.randaugment, self.magnitude = (int(options.get(key, 0)) for key in whole)
        rotate, self.flip, self.resized_crop, self.jitter = (float(options.get(key, 0.0)) for key in shares)
        self.white = WHITE if white is None else white
        self.shape, self._to_array, self._float_type = shape, to_array, float_type
        self._moved = moves.Moves(shift, rotate, crop, shape, to_array, float_type)
        self._is_moved = bool(shift or rotate or crop or self.flip)

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self._is_moved or any((self.resized_crop, self.jitter, self.randaugment))

    def __call__(self, pixels: Any, rng: np.random.Generator) -> Any:
        """Pixels (N, C, H, W) of the learner's library -> as many of it.

        They keep their type where they only move, and are of `float_type` where they are turned, resized or jittered;
        after RandAugment they are uint8 again, unless `white` is not 255.

        The draws from `rng` depend on N alone, and those of each change come after those of the ones before it: what
        else is asked for changes no shift and no window, and no library does.
        """
        if not self:
            return pixels
        count = len(pixels)
        draws = [rng.random((moves.DRAWS, count))]  # [0, 1), one of each for every image
        if self.resized_crop or self.jitter or self.randaugment:
            draws += [rng.random((windows.DRAWS, count)), rng.random((colours.DRAWS, count))]
        if self._is_moved or self.resized_crop or self.jitter:
            pixels = self._in_parts(pixels, draws)
        if self.randaugment:
            from labrunner.data.randaugment import varied

            chosen = rng.random((self.randaugment, 2, count)).swapaxes(0, 1)  # more operations keep the first ones
            pixels = varied(pixels, chosen, self.magnitude, self.white, self._float_type)
        return pixels

    def _in_parts(self, pixels: Any, draws: list[np.ndarray]) -> Any:
        """All but RandAugment, of so many images at a time."""
        count, step = len(pixels), max(1, PART // math.prod(self.shape))
        if count <= step:
            return self._changed(pixels, *draws)
        whole: Any = None
        for first in range(0, count, step):
            part = slice(first, first + step)
            changed = self._changed(pixels[part], *(drawn[:, part] for drawn in draws))
            if whole is None:
                shape = count, *self.shape
                is_torch = hasattr(changed, "new_empty")
                whole = changed.new_empty(shape) if is_torch else np.empty(shape, changed.dtype)
            whole[part] = changed
        return whole

    def _changed(
        self,
        pixels: Any,
        of_moves: np.ndarray,
        of_windows: np.ndarray | None = None,
        of_colours: np.ndarray | None = None,
    ) -> Any:
        """Images moved, seen through windows and jittered, as draws say, of which there is a column for each image."""
        *others, mirror = of_moves
        is_mirrored = mirror < self.flip
        if self.resized_crop and of_windows is not None:
            pixels = self._moved(pixels, others, np.zeros_like(is_mirrored))
            drawn = windows.windows(of_windows, self.resized_crop, *self.shape[1:])
            pixels = windows.resized(pixels, drawn, is_mirrored, self._to_array, self._float_type)
        else:
            pixels = self._moved(pixels, others, is_mirrored)
        if self.jitter and of_colours is not None:
            pixels = colours.jittered(pixels, of_colours, self.jitter, self.white, self._to_array, self._float_type)
        return pixels
