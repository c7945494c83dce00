"""The starting weights of both sides, drawn once in float64 with NumPy, so that `mlp` and `mlp_numpy` begin alike.

Each parameter has a generator of its own, derived from the seed and the parameter's name: adding a layer does not
change what the others start from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labrunner.errors import RequestError
from labrunner.seeding import generator

SHORT = {"he": "he_normal", "xavier": "xavier_uniform"}  # other names of the same numbers
SCHEMES = (
    "default",
    "zeros",
    "constant",
    "given",
    "normal",
    "xavier_uniform",
    "xavier_normal",
    "he_uniform",
    "he_normal",
    "orthogonal",
    *SHORT,
)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of one unit of a weight: (out, in, ...) with the kernel's pixels counted in."""
    receptive = math.prod(shape[2:])
    return shape[1] * receptive, shape[0] * receptive


def weight(options: Mapping[str, Any], seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Starting values of a weight.

    Parameters
    ----------
    options : the composed `init` group: the name of a scheme (one of `SCHEMES`), with its value, std or numbers
    seed : the run's seed
    name : the parameter's name in the state dict, as in ``backbone.linear1.weight``
    shape : (out, in) or (out, in, height, width)

    Returns
    -------
    float64 array of that shape.

    Raises
    ------
    RequestError
        when weights are given one by one, and not as many as there are.
    """
    scheme = SHORT.get(options["name"], options["name"])
    rng = generator(seed, "init", name)
    fan_in, fan_out = fans(shape)
    if scheme == "default":  # torch: kaiming_uniform_(a=sqrt(5)), which is U(-1/sqrt(fan_in), 1/sqrt(fan_in))
        return _uniform(rng, 1.0 / math.sqrt(fan_in), shape)
    if scheme == "zeros":
        return np.zeros(shape)
    if scheme == "constant":
        return np.full(shape, float(options["value"]))
    if scheme == "given":
        return _given("weights", options["weights"], name, shape)
    if scheme == "normal":
        return rng.normal(0.0, options["std"], shape)
    if scheme == "xavier_uniform":  # U(-a, a) with a = sqrt(6 / (fan_in + fan_out))  (Glorot & Bengio 2010, eq. 16)
        return _uniform(rng, math.sqrt(6.0 / (fan_in + fan_out)), shape)
    if scheme == "xavier_normal":  # Var(w) = 2 / (fan_in + fan_out)  (Glorot & Bengio 2010, eq. 12)
        return rng.normal(0.0, math.sqrt(2.0 / (fan_in + fan_out)), shape)
    if scheme == "he_uniform":  # U(-a, a) has the variance a^2 / 3, and Var(w) = 2 / fan_in
        return _uniform(rng, math.sqrt(6.0 / fan_in), shape)
    if scheme == "he_normal":  # Var(w) = 2 / fan_in  (He et al. 2015, eq. 10)
        return rng.normal(0.0, math.sqrt(2.0 / fan_in), shape)
    if scheme == "orthogonal":
        return _orthogonal(rng, shape)
    raise ValueError(f"unknown scheme {scheme!r}; there are {', '.join(SCHEMES)}")


def bias(options: Mapping[str, Any], seed: int, name: str, size: int, fan_in: int) -> np.ndarray:
    """Starting values of a bias, float64 (size,); `fan_in` is that of the weight beside it."""
    if options["name"] == "default":
        return _uniform(generator(seed, "init", name), 1.0 / math.sqrt(fan_in), (size,))
    if options["name"] == "constant":
        return np.full(size, float(options["value"]))
    if options["name"] == "given" and options["biases"]:
        return _given("biases", options["biases"], name, (size,))
    return np.zeros(size)


def _given(key: str, values: Sequence[float], name: str, shape: tuple[int, ...]) -> np.ndarray:
    count = math.prod(shape)
    if len(values) != count:
        listed = ",".join(f"{value:g}" for value in values) if len(values) <= 8 else f"…{len(values)} numbers"
        hint = f"try init.{key}=[{','.join(['0.1'] * count)}]" if count <= 8 else "try init=constant"
        raise RequestError(f"init.{key}=[{listed}] has {len(values)} and {name} takes {count}; {hint}")
    return np.array(values, dtype=float).reshape(shape)


def _uniform(rng: np.random.Generator, bound: float, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(-bound, bound, shape)


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform among all weights whose rows, or columns where they are fewer, are orthonormal (Saxe et al. 2014).

    The weight is taken as a matrix (out, rest). The last bits of a large one depend on the threads of the arithmetic,
    which are the caller's to fix.
    """
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.where(np.diag(r) < 0.0, -1.0, 1.0)  # QR leaves signs open; with these q is uniform (Mezzadri 2007)
    return np.ascontiguousarray(q if rows >= columns else q.T).reshape(shape)
