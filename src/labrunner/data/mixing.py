"""Training samples mixed in pairs, and their classes in the same proportion: mixup and CutMix.

What is mixed with what comes from NumPy's draws; the learner's own array library does the mixing, so that a batch is
the same in NumPy and in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from labrunner.data.samples import take
from labrunner.errors import RequestError


def check(options: Mapping[str, Any], shape: tuple[int, ...], name: str) -> None:
    """Refuse rectangles out of what is no image; mixup takes any samples.

    Parameters
    ----------
    options : the config's `reg`
    shape : (channels, height, width) of an image, or (features,)
    name : the data set's name, for the message
    """
    alpha = options.get("cutmix", 0.0)
    if alpha > 0.0 and len(shape) != 3:
        raise RequestError(
            f"reg.cutmix={alpha} cuts rectangles out of images and dataset={name} is a table; "
            "try reg.cutmix=0, or reg=mixup"
        )


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
    return _mixed(inputs, partners, kept), _mixed(weights, partners, kept)


def cutmix(
    inputs: Any, weights: Any, rng: np.random.Generator, alpha: float, to_array: Callable[[np.ndarray], Any]
) -> tuple[Any, Any]:
    """Each image with a rectangle out of another one of its batch, its classes by area (Yun et al. 2019).

    The same rectangle for the whole batch. Its sides are a share sqrt(1 - lambda) of the image's, its centre lies
    anywhere in the image, and what sticks out is cut off; the shares of the classes follow the pixels that are left.

    Parameters
    ----------
    inputs : (N, C, H, W) floats of the learner's library; they are left as they were
    weights : (N, K) floats: the share of each class
    rng : where the rectangle and the pairs come from
    alpha : above 0; lambda is drawn from Beta(alpha, alpha), once for the batch
    to_array : the learner's `array`

    Returns
    -------
    inputs, weights : of the same shapes and types
    """
    height, width = inputs.shape[2:]
    side = np.sqrt(1.0 - rng.beta(alpha, alpha))
    centres = rng.random(2)
    partners = to_array(rng.permutation(len(inputs)))
    rows, columns = (_span(centre, side, size) for centre, size in zip(centres, (height, width), strict=True))
    kept = 1.0 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    changed = inputs.clone() if hasattr(inputs, "clone") else inputs.copy()  # torch's word and NumPy's
    changed[..., rows, columns] = take(inputs[..., rows, columns], partners)
    return changed, _mixed(weights, partners, kept)


def _mixed(values: Any, partners: Any, kept: float) -> Any:
    # x~ = lambda x_i + (1 - lambda) x_j
    return values * kept + take(values, partners) * (1.0 - kept)


def _span(centre: float, side: float, size: int) -> slice:
    """The whole pixels of an axis next to the stretch of a share `side` about `centre`, both in [0, 1]."""
    low, high = (round(min(max(end, 0.0), 1.0) * size) for end in (centre - side / 2, centre + side / 2))
    return slice(low, high)
