"""Random windows of images, each resized to the whole image: the resized crop of Szegedy et al. (2015).

The window is drawn as torchvision's RandomResizedCrop draws it. It is never larger than the image, so that resizing it
never shrinks anything: plain bilinear interpolation is then what an antialiased one comes to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labrunner.data.samples import take

TRIES = 10  # for a window that lies within the image
DRAWS = 2 * TRIES + 2  # numbers from [0, 1) that an image's window takes: area and ratio of each try, and the place
RATIO = 4 / 3  # the longest side over the other one, in pixels


def windows(draws: np.ndarray, share: float, height: int, width: int) -> np.ndarray:
    """The windows that are drawn, (4, N) integers: first row, first column, height and width.

    A window's area is uniform from `share` to all of the image's, the logarithm of its width over its height uniform
    from log(3/4) to log(4/3), its place uniform among those within the image. After ten windows that are wider or
    higher than the image it is the middle of the image, as large as these ratios let it be.

    Parameters
    ----------
    draws : (DRAWS, N) from [0, 1)
    share : from above 0 to 1
    height, width : of the images, in pixels
    """
    areas, ratios = draws[:-2].reshape(TRIES, 2, -1).swapaxes(0, 1)  # (TRIES, N) each
    areas = height * width * (share + (1.0 - share) * areas)
    ratios = RATIO ** (2.0 * ratios - 1.0)
    heights, widths = np.rint(np.sqrt(areas / ratios)), np.rint(np.sqrt(areas * ratios))
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    # the first one that fits, and the middle where none does
    is_found, first = fits.any(axis=0), fits.argmax(axis=0)
    tried = np.stack([heights, widths])[:, first, np.arange(len(first))]
    sizes = np.where(is_found, tried, [[min(height, round(width * RATIO))], [min(width, round(height * RATIO))]])
    spare = np.array([[height], [width]]) - sizes
    places = np.where(is_found, np.floor(draws[-2:] * (spare + 1)), spare // 2)
    return np.concatenate([places, sizes]).astype(np.int64)


def resized(
    pixels: Any,
    drawn: np.ndarray,
    is_mirrored: np.ndarray,
    to_array: Callable[[np.ndarray], Any],
    float_type: str,
) -> Any:
    """What is seen through the windows, in the size of the images, bilinear.

    A pixel is a little square and its value that of its middle; beyond the middles of a window's outer pixels their
    values go on, as in PIL and torchvision.

    Parameters
    ----------
    pixels : (N, C, H, W) of the learner's library
    drawn : (4, N) as `windows` gives them
    is_mirrored : (N,) which of the images are then mirrored left to right
    to_array : the learner's `array`
    float_type : the number type of what is seen
    """
    top, left, high, wide = drawn
    height, width = pixels.shape[2:]
    columns = _places(left, wide, width)
    columns = np.where(is_mirrored[:, None], columns[:, ::-1], columns)
    # lines of memory are what gathers quickly: columns are lines of the transposed images
    across = _lines(pixels.swapaxes(2, 3), columns, left + wide - 1, to_array, float_type)
    return _lines(across.swapaxes(2, 3), _places(top, high, height), top + high - 1, to_array, float_type)


def _places(start: np.ndarray, size: np.ndarray, whole: int) -> np.ndarray:
    """Where the middles of `whole` pixels come from in windows (N,) of an axis, (N, whole) floats."""
    start, size = start[:, None], size[:, None]
    return start + np.clip((np.arange(whole) + 0.5) * size / whole - 0.5, 0.0, size - 1.0)


def _lines(
    values: Any, places: np.ndarray, last: np.ndarray, to_array: Callable[[np.ndarray], Any], float_type: str
) -> Any:
    """Lines (N, C, L, M) seen at fractional places (N, K) -> (N, C, K, M) in `float_type`; `last` (N,) has no next."""
    count, channels, length, across = values.shape
    first = np.floor(places)
    share = (places - first)[:, None, :, None].astype(float_type)
    starts = np.arange(count * channels).reshape(count, channels, 1) * length
    flat = values.reshape(-1, across)

    def seen(lines: np.ndarray, shares: np.ndarray) -> Any:
        index = starts + lines.astype(np.int64)[:, None]
        gathered = take(flat, to_array(index.reshape(-1))).reshape(count, channels, len(places[0]), across)
        return gathered * to_array(shares)

    found = seen(first, 1.0 - share)
    found += seen(np.minimum(first + 1, last[:, None]), share)
    return found
