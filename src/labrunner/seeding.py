"""Randomness has an owner: every generator is derived from the seed and from what it is for.

Nothing draws from a global generator and no generator's state is ever saved: a resumed run derives the same numbers
again. The words that name a purpose (``"shuffle"``, ``"augment"``, ``"init"``, …) keep streams apart that share a seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from operator import index

import numpy as np


def number(seed: int, *purpose: str | int) -> int:
    """A 64-bit number that depends on all arguments and on nothing else; about a microsecond."""
    # NumPy's integers have a repr of their own: equal numbers must mean equal streams
    key = repr([part if isinstance(part, str) else index(part) for part in (seed, *purpose)]).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")


def numbers(seed: int, *purpose: str | int) -> Callable[[int], int]:
    """A function step -> 64-bit number, for where one is needed in every batch: a third of `number`'s cost.

    The mixing is that of SplitMix64 (Steele, Lea & Flood 2014).
    """
    start, mask = number(seed, *purpose), 2**64 - 1

    def at(step: int) -> int:
        z = (start + step * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    return at


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A NumPy generator for one purpose: ``generator(seed, "shuffle", epoch)``."""
    return np.random.Generator(np.random.PCG64(number(seed, *purpose)))
