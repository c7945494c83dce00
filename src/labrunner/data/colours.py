"""Colour jitter of whole batches: brightness, contrast and saturation of each image by factors of its own.

Each of the three is torchvision's, on floats that are not rounded in between. Numbers come from NumPy's draws, and the
learner's own array library computes: NumPy and torch see the same batch to rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

DRAWS = 4  # numbers from [0, 1) that an image takes: three factors and their order
GREY = (0.2989, 0.587, 0.114)  # shares of red, green and blue in torchvision's grey: ITU-R BT.601, rounded
BRIGHTNESS, CONTRAST, SATURATION = range(3)
ORDERS = np.array(list(itertools.permutations((BRIGHTNESS, CONTRAST, SATURATION))))  # (6, 3)


def jittered(
    pixels: Any,
    draws: np.ndarray,
    most: float,
    white: float,
    to_array: Callable[[np.ndarray], Any],
    float_type: str,
) -> Any:
    """Each image brightened, contrasted and saturated, in an order of its own.

    Brightness f times all values; contrast moves them f times as far from the image's mean grey; saturation, f times as
    far from the grey of the same pixel, which changes no grey image. Each ends within [0, white].

    Parameters
    ----------
    pixels : (N, C, H, W) of the learner's library, C of 1 or 3
    draws : (DRAWS, N) from [0, 1); the factors are uniform in [1 - most, 1 + most], all six orders equally likely
    most : from 0 to 1
    white : the value of full brightness
    to_array : the learner's `array`
    float_type : the number type of what comes out
    """
    count, channels = pixels.shape[:2]
    factors, orders = 1.0 + most * (2.0 * draws[:3] - 1.0), ORDERS[np.floor(draws[3] * len(ORDERS)).astype(np.int64)]
    values = pixels * to_array(np.ones((1, 1, 1, 1), float_type))
    for kinds in orders.T:  # (N,) what is done to each image in this step
        factor = factors[kinds, np.arange(count)]
        if channels == 1:
            factor = np.where(kinds == SATURATION, 1.0, factor)
        own, of_mean, of_pixel = (
            to_array(shares.astype(float_type).reshape(-1, 1, 1, 1))
            for shares in (factor, (1.0 - factor) * (kinds == CONTRAST), (1.0 - factor) * (kinds == SATURATION))
        )
        grey = _grey(values)
        mean = grey.reshape(count, -1).mean(1).reshape(-1, 1, 1, 1)
        # f x + (1 - f) (0, the mean of all greys, or the pixel's grey)
        other = grey * of_pixel
        other += of_mean * mean
        values *= own
        values += other
        values = _within(values, white)
    return values


def _grey(values: Any) -> Any:
    """(N, C, H, W) -> (N, 1, H, W)."""
    if values.shape[1] == 1:
        return values
    red, green, blue = (values[:, channel : channel + 1] * share for channel, share in enumerate(GREY))
    red += green
    red += blue
    return red


def _within(values: Any, white: float) -> Any:
    """Values clipped to [0, white], in their own memory."""
    return values.clamp_(0.0, white) if hasattr(values, "clamp_") else values.clip(0.0, white, out=values)
