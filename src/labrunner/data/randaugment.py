"""RandAugment of whole batches (Cubuk et al. 2020): of fourteen operations, a few for each image, all of one strength.

The operations are torchvision's own functions, with the magnitudes and the nearest neighbours of its class RandAugment;
images that drew the same one go through it together. This module imports torch, and is imported where it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torchvision.transforms.v2 import functional

LEVELS = 31  # magnitudes from 0 to 30
FULL = 255.0  # white of the 8-bit images that the operations are defined on

Operation = Callable[[torch.Tensor], torch.Tensor]


def operations(magnitude: int, height: int, width: int) -> list[tuple[Operation, Operation]]:
    """The fourteen, each for a draw of plus and for one of minus; where there is no sign they are the same.

    Parameters
    ----------
    magnitude : from 0 to 30
    height, width : of the images, in pixels
    """

    def up_to(most: float, start: float = 0.0) -> float:
        # in float32, as there: what it truncates to whole pixels falls on the same side
        return float(torch.linspace(start, most, LEVELS)[magnitude])

    def sheared(x: float, y: float) -> Operation:
        shear = [math.degrees(math.atan(x)), math.degrees(math.atan(y))]
        return partial(functional.affine, angle=0.0, translate=[0, 0], scale=1.0, shear=shear, center=[0, 0])

    def translated(x: float, y: float) -> Operation:
        return partial(functional.affine, angle=0.0, translate=[int(x), int(y)], scale=1.0, shear=[0.0, 0.0])

    lean, across, down = up_to(0.3), up_to(150.0 / 331.0 * width), up_to(150.0 / 331.0 * height)
    turn, colour = up_to(30.0), up_to(0.9)
    bits = 8 - round(magnitude / ((LEVELS - 1) / 4))

    def same(operation: Operation) -> tuple[Operation, Operation]:
        return operation, operation

    def by_factor(operation: Callable[[torch.Tensor, float], torch.Tensor]) -> tuple[Operation, Operation]:
        return lambda images: operation(images, 1.0 + colour), lambda images: operation(images, 1.0 - colour)

    return [
        same(lambda images: images),
        (sheared(lean, 0.0), sheared(-lean, 0.0)),
        (sheared(0.0, lean), sheared(0.0, -lean)),
        (translated(across, 0), translated(-across, 0)),
        (translated(0, down), translated(0, -down)),
        (partial(functional.rotate, angle=turn), partial(functional.rotate, angle=-turn)),
        by_factor(functional.adjust_brightness),
        by_factor(functional.adjust_saturation),
        by_factor(functional.adjust_contrast),
        by_factor(functional.adjust_sharpness),
        same(partial(functional.posterize, bits=bits)),
        same(partial(functional.solarize, threshold=FULL * up_to(0.0, start=1.0))),
        same(functional.autocontrast),
        same(functional.equalize),
    ]


def varied(pixels: Any, draws: np.ndarray, magnitude: int, white: float, float_type: str) -> Any:
    """Each image through the operations that it drew, one after another.

    Parameters
    ----------
    pixels : (N, C, H, W) in NumPy or in torch, C of 1 or 3
    draws : (2, operations of an image, N) from [0, 1): which one, and its sign
    magnitude : from 0 to 30
    white : the value of full brightness
    float_type : the number type of what comes out where `white` is not 255

    Returns
    -------
    uint8 pixels of the same library where `white` is 255, floats else. Pixels of other types and of another white are
    rounded to 256 levels, on which the operations are defined.
    """
    images = pixels if isinstance(pixels, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(pixels))
    if images.dtype != torch.uint8 or white != FULL:
        images = (images * (FULL / white)).round_().clamp_(0.0, FULL).to(torch.uint8)
    choices = operations(magnitude, *images.shape[2:])
    which, signs = np.floor(draws[0] * len(choices)).astype(np.int64), (draws[1] >= 0.5).astype(np.int64)
    for groups in 2 * which + signs:  # (N,) one of 28 for each image
        changed = torch.empty_like(images)
        for group in np.unique(groups):
            members = torch.from_numpy(np.flatnonzero(groups == group)).to(images.device)
            operation = choices[group // 2][group % 2]
            changed.index_copy_(0, members, operation(images.index_select(0, members)))
        images = changed
    if white != FULL:
        images = images.to(getattr(torch, float_type)) * (white / FULL)
    return images if isinstance(pixels, torch.Tensor) else images.numpy()
