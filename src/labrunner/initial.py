"""The starting weights of both sides, drawn once in float64 with NumPy, so that `mlp` and `mlp_numpy` begin alike.

Each parameter has a generator of its own, derived from the seed and the parameter's name: adding a layer does not
change what the others start from.
"""

from __future__ import annotations

import math

import numpy as np

from labrunner.seeding import generator

SCHEMES = ("default", "he", "xavier")


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of one unit of a weight: (out, in, ...) with the kernel's pixels counted in."""
    receptive = math.prod(shape[2:])
    return shape[1] * receptive, shape[0] * receptive


def weight(scheme: str, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Starting values of a weight.

    Parameters
    ----------
    scheme : one of `SCHEMES`
    seed : the run's seed
    name : the parameter's name in the state dict, as in ``backbone.linear1.weight``
    shape : (out, in) or (out, in, height, width)

    Returns
    -------
    float64 array of that shape.
    """
    rng = generator(seed, "init", name)
    fan_in, fan_out = fans(shape)
    if scheme == "default":  # torch: kaiming_uniform_(a=sqrt(5)), which is U(-1/sqrt(fan_in), 1/sqrt(fan_in))
        bound = 1.0 / math.sqrt(fan_in)
        return rng.uniform(-bound, bound, shape)
    if scheme == "he":  # Var(w) = 2 / fan_in  (He et al. 2015, eq. 10)
        return rng.normal(0.0, math.sqrt(2.0 / fan_in), shape)
    if scheme == "xavier":  # U(-a, a) with a = sqrt(6 / (fan_in + fan_out))  (Glorot & Bengio 2010, eq. 16)
        bound = math.sqrt(6.0 / (fan_in + fan_out))
        return rng.uniform(-bound, bound, shape)
    raise ValueError(f"unknown scheme {scheme!r}; there are {', '.join(SCHEMES)}")


def bias(scheme: str, seed: int, name: str, size: int, fan_in: int) -> np.ndarray:
    """Starting values of a bias, float64 (size,); `fan_in` is that of the weight beside it."""
    if scheme == "default":
        bound = 1.0 / math.sqrt(fan_in)
        return generator(seed, "init", name).uniform(-bound, bound, size)
    return np.zeros(size)
