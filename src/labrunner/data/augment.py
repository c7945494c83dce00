"""Augmentation of whole batches: images are turned, shifted, cropped and mirrored in one gather, and mixed in pairs.

Where the pixels come from is worked out in NumPy, from numbers that NumPy drew; the learner's own array library gathers
them. The same batch is therefore the same in NumPy and in torch: to the byte, or to rounding where images are turned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from labrunner.data.samples import take
from labrunner.errors import RequestError

BORDER = 2  # black pixels on each side of an image: both neighbours of a place outside fall there
FAR = 10**6  # pixels from an image: outside it, however it is turned
DOES = {"shift": "moves", "rotate": "turns", "flip": "mirrors", "crop": "crops"}  # what each key does to images


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
        when the samples are no images, or too small for the shift or the crop.
    """
    asked = [key for key in DOES if options.get(key, 0) > 0]
    if asked and len(shape) != 3:
        key = asked[0]
        is_preset = options.get("name") == key
        given, way_out = ("augment=" + key, "augment=none") if is_preset else _settings(options, key, 0)
        raise RequestError(f"{given} {DOES[key]} images and dataset={name} is a table; try {way_out}")
    troubles = {"shift": "can move them out of sight", "crop": "mirrors more pixels of each side than they have"}
    for key, trouble in troubles.items():
        side = min(shape[1:], default=0)
        if key in asked and options[key] >= side:
            given, way_out = _settings(options, key, side // 4)
            raise RequestError(
                f"{given} and the images of {name} are {shape[1]} x {shape[2]} pixels: it {trouble}; try {way_out}"
            )


def _settings(options: Mapping[str, Any], key: str, other: int) -> tuple[str, str]:
    """A key with its value, and with another one."""
    return f"augment.{key}={options[key]}", f"augment.{key}={other}"


class Augment:
    """Images of a training batch, each changed in its own way.

    All that is asked for is applied, in the order rotate, shift, crop, flip. A turn is bilinear, about the centre.

    Parameters
    ----------
    options : the config's `augment`: shift and crop in pixels, rotate in degrees, flip a chance; a missing key is 0
    shape : (channels, height, width) of an image
    to_array : the learner's `array`
    float_type : the number type of turned images, which fall between pixels
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        shape: tuple[int, ...],
        to_array: Callable[[np.ndarray], Any],
        float_type: str,
    ) -> None:
        self.shift, self.crop = int(options.get("shift", 0)), int(options.get("crop", 0))
        self.rotate, self.flip = float(options.get("rotate", 0.0)), float(options.get("flip", 0.0))
        self.shape, self._to_array, self._float_type = shape, to_array, float_type

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return any((self.shift, self.rotate, self.flip, self.crop))

    def __call__(self, pixels: Any, rng: np.random.Generator) -> Any:
        """Pixels (N, C, H, W) of the learner's library -> as many, of their own type, or `float_type` when turned.

        The draws from `rng` depend on N alone: what else is asked for changes no shift, and no library does.
        """
        if not self:
            return pixels
        angle, *draws = rng.random((6, len(pixels)))  # [0, 1), one of each for every image
        rows, columns = self._sources(*draws)
        if self.rotate:
            return self._turned(pixels, np.radians(self.rotate * (2.0 * angle - 1.0)), rows, columns)
        border = BORDER if self.shift else 0
        height, width = self.shape[1:]
        rows, columns = _framed(rows, height, border)[:, :, None], _framed(columns, width, border)[:, None, :]
        # (N, C, H, 1) + (N, 1, 1, W): one pass over the pixels
        index = self._to_array(self._planes(len(pixels), border, rows * (width + 2 * border)) + columns[:, None])
        return _gather(self._in_frame(pixels, border).reshape(-1), index)

    def _sources(
        self, down: np.ndarray, right: np.ndarray, lower: np.ndarray, further: np.ndarray, mirror: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The row (N, H) and the column (N, W) that each row and column comes from, backward: flip, crop, shift."""
        height, width = self.shape[1:]
        rows = self._moved(height, down, lower)
        columns = self._moved(width, right, further)
        return rows, np.where(mirror[:, None] < self.flip, columns[:, ::-1], columns)

    def _moved(self, size: int, shift: np.ndarray, crop: np.ndarray) -> np.ndarray:
        """Where the places 0 ... size - 1 of one axis come from, (N, size) integers; FAR is outside."""
        places = np.arange(size) + _whole(crop, self.crop)[:, None]
        places = size - 1 - np.abs(size - 1 - np.abs(places))  # mirrored at both edges, which are not repeated
        places = places - _whole(shift, self.shift)[:, None]
        return np.where((places < 0) | (places >= size), FAR, places)

    def _turned(self, pixels: Any, angles: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Any:
        """Pixels turned counterclockwise by angles (N,) in radians, seen at rows (N, H) and columns (N, W)."""
        height, width = self.shape[1:]
        middle, centre = (height - 1) / 2, (width - 1) / 2
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        y, x = rows - middle, columns - centre
        # turned back: y' = cos y + sin x, x' = cos x - sin y, with y downward; (N, H, W)
        y, x = (cos * y + middle)[:, :, None] + (sin * x)[:, None], (centre - sin * y)[:, :, None] + (cos * x)[:, None]
        top, left = np.floor(y), np.floor(x)
        below, after = (self._shares(whole) for whole in (y - top, x - left))  # shares of the second neighbours
        above, before = 1 - below, 1 - after
        line = width + 2 * BORDER
        first = _framed(top, height, BORDER) * line + _framed(left, width, BORDER)
        index = self._to_array(self._planes(len(pixels), BORDER, first.astype(np.int64)))
        flat = self._in_frame(pixels, BORDER).reshape(-1)
        upper = _gather(flat, index) * before + _gather(flat[1:], index) * after
        lower = _gather(flat[line:], index) * before + _gather(flat[line + 1 :], index) * after
        return upper * above + lower * below

    def _shares(self, values: np.ndarray) -> Any:
        """(N, H, W) as (N, 1, H, W) in the learner's library: the same for all channels."""
        return self._to_array(values[:, None].astype(self._float_type))

    def _planes(self, count: int, border: int, within: np.ndarray) -> np.ndarray:
        """Positions `within` each framed image (N, H, 1 or W) as positions in the flat batch (N, C, H, 1 or W)."""
        channels, height, width = self.shape
        starts = np.arange(count * channels) * ((height + 2 * border) * (width + 2 * border))
        return starts.reshape(count, channels, 1, 1) + within[:, None]

    def _in_frame(self, pixels: Any, border: int) -> Any:
        """The pixels with a black border."""
        if not border:
            return pixels
        channels, height, width = self.shape
        shape = len(pixels), channels, height + 2 * border, width + 2 * border
        frame = self._to_array(np.zeros(shape, str(pixels.dtype).removeprefix("torch.")))
        frame[..., border:-border, border:-border] = pixels
        return frame


def _whole(draws: np.ndarray, most: int) -> np.ndarray:
    """Draws from [0, 1) as whole numbers from -most to most, all equally likely."""
    return np.floor(draws * (2 * most + 1)).astype(np.int64) - most


def _framed(places: np.ndarray, size: int, border: int) -> np.ndarray:
    """Places of an axis as places in a frame; what lies outside comes to lie on the border, with its neighbour."""
    return np.clip(places, -border, size) + border if border else places


def _gather(flat: Any, index: Any) -> Any:
    """``flat[index]``, of the index's shape."""
    return take(flat, index.reshape(-1)).reshape(index.shape)


def mixup(
    inputs: Any, weights: Any, rng: np.random.Generator, alpha: float, to_array: Callable[[np.ndarray], Any]
) -> tuple[Any, Any]:
    """Each sample mixed with another one of its batch, and so its classes (Zhang et al. 2018).

    Parameters
    ----------
    inputs : (N, ...) floats of the learner's library
    weights : (N, K) floats: the share of each class
    rng : where the mixing comes from
    alpha : above 0; the share that stays is drawn from Beta(alpha, alpha), once for the batch
    to_array : the learner's `array`

    Returns
    -------
    inputs, weights : of the same shapes and types
    """
    kept = float(rng.beta(alpha, alpha))
    partners = to_array(rng.permutation(len(inputs)))

    def mixed(values: Any) -> Any:
        # x~ = lambda x_i + (1 - lambda) x_j
        return values * kept + take(values, partners) * (1.0 - kept)

    return mixed(inputs), mixed(weights)
