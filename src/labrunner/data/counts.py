"""How often each value of a pixel occurs in images, which their mean and deviation follow from.

Counting reads every pixel of a training split. Beside images that a folder of the cache holds, the counts are kept: a
file for each choice of images.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np

from labrunner.files import keep

COUNTED_AT_ONCE = 2**20  # pixels: few enough for the processor's cache
VALUES = 256  # of a pixel


def pixel_counts(images: np.ndarray, index: np.ndarray | None = None, folder: Path | None = None) -> np.ndarray:
    """(C, 256): how often each value occurs in each channel of images (N, C, ...), of those at `index` or of all.

    Parameters
    ----------
    images : uint8
    index : positions in `images`; None for all
    folder : the one that holds the images and is made anew with them, where counts are kept; None keeps none
    """
    index = np.arange(len(images)) if index is None else index
    if images.strides[0] == 0:  # one image over and over
        return _counted(images, np.arange(1)) * len(index)
    if folder is None:
        return _counted(images, index)
    path = folder / f"counts-{hashlib.sha256(index.astype('<i8').tobytes()).hexdigest()[:32]}"
    counts = _read(path, images.shape[1])
    if counts is None:
        counts = _counted(images, index)
        _write(path, counts)
    return counts


def _counted(images: np.ndarray, index: np.ndarray) -> np.ndarray:
    """A few images at a time."""
    counts = np.zeros((images.shape[1], VALUES), np.int64)
    at_once = max(1, COUNTED_AT_ONCE // max(1, math.prod(images.shape[1:])))
    for first in range(0, len(index), at_once):
        some = images[index[first : first + at_once]]
        for channel, into in enumerate(counts):
            into += np.bincount(some[:, channel].reshape(-1), minlength=VALUES)
    return counts


# files: the numbers, and behind them their SHA-256


def _read(path: Path, channels: int) -> np.ndarray | None:
    """What a file holds; None where there is none, or it is not whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    numbers, digest = content[: channels * VALUES * 8], content[channels * VALUES * 8 :]
    if hashlib.sha256(numbers).digest() != digest:
        return None
    return np.frombuffer(numbers, "<i8").reshape(channels, VALUES).astype(np.int64)


def _write(path: Path, counts: np.ndarray) -> None:
    """Keep the counts; where that cannot be done, pixels are counted again the next time."""
    numbers = counts.astype("<i8").tobytes()
    keep(path, numbers + hashlib.sha256(numbers).digest())
