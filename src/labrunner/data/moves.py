"""Images turned, shifted, cropped out of their mirrored surroundings, and mirrored, all in one gather.

Where each pixel comes from is worked out in NumPy; the learner's own array library gathers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from labrunner.data.samples import take

DRAWS = 6  # numbers from [0, 1) that an image takes: angle, shift down and right, crop down and right, and mirror
BORDER = 2  # black pixels on each side of an image: both neighbours of a place outside fall there
FAR = 10**6  # pixels from an image: outside it, however it is turned


class Moves:
    """What moves images, applied in the order rotate, shift, crop, flip. A turn is bilinear, about the centre.

    Parameters
    ----------
    shift, crop : in pixels; 0 for none
    rotate : in degrees
    shape : (channels, height, width) of an image
    to_array : the learner's `array`
    float_type : the number type of turned images, which fall between pixels
    """

    def __init__(
        self,
        shift: int,
        rotate: float,
        crop: int,
        shape: tuple[int, ...],
        to_array: Callable[[np.ndarray], Any],
        float_type: str,
    ) -> None:
        self.shift, self.rotate, self.crop = shift, rotate, crop
        self.shape, self._to_array, self._float_type = shape, to_array, float_type

    def __call__(self, pixels: Any, draws: Sequence[np.ndarray], is_mirrored: np.ndarray) -> Any:
        """Pixels (N, C, H, W) -> as many; themselves where nothing is asked for.

        `draws` (DRAWS - 1, N) are angle, shifts and crops from [0, 1), `is_mirrored` (N,) the images to be flipped.
        """
        if not (self.rotate or self.shift or self.crop or is_mirrored.any()):
            return pixels
        angle, down, right, lower, further = draws
        rows, columns = self._sources(down, right, lower, further, is_mirrored)
        if self.rotate:
            return self._turned(pixels, np.radians(self.rotate * (2.0 * angle - 1.0)), rows, columns)
        border = BORDER if self.shift else 0
        height, width = self.shape[1:]
        rows, columns = _framed(rows, height, border)[:, :, None], _framed(columns, width, border)[:, None, :]
        # (N, C, H, 1) + (N, 1, 1, W): one pass over the pixels
        index = self._to_array(self._planes(len(pixels), border, rows * (width + 2 * border)) + columns[:, None])
        return _gather(self._in_frame(pixels, border).reshape(-1), index)

    def _sources(
        self, down: np.ndarray, right: np.ndarray, lower: np.ndarray, further: np.ndarray, is_mirrored: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The row (N, H) and the column (N, W) that each row and column comes from, backward: flip, crop, shift."""
        height, width = self.shape[1:]
        rows = self._moved(height, down, lower)
        columns = self._moved(width, right, further)
        return rows, np.where(is_mirrored[:, None], columns[:, ::-1], columns)

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
