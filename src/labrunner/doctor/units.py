"""What checkpoints say of the units of a network: those that no longer change, and those that are all alike.

A unit is a row of a weight matrix, or a filter of a convolution. Looked at are the hidden layers,
``weights/backbone.…``: a head may begin with zeros and does no harm.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from labrunner import checkpoint

State = Mapping[str, np.ndarray]
WEIGHTS, HIDDEN, HEAD = "weights/", "weights/backbone.", "weights/head."
MOVES = 1e-4  # of its length: a head that moves less in an epoch comes near to what float32 can tell apart


def newest(folder: Path) -> State | None:
    """The weights in the newest checkpoint that is whole; None where there is none."""
    for _, _, path in reversed(checkpoint.listed(folder / "checkpoints")):
        try:
            return weights(path)
        except checkpoint.DamagedCheckpoint:
            continue
    return None


def last_two(folder: Path) -> tuple[State, State] | None:
    """The weights after two epochs that follow each other, the last such; None where there are none."""
    whole = [(epoch, path) for epoch, batch, path in checkpoint.listed(folder / "checkpoints") if not batch]
    for (before, earlier), (after, later) in reversed(list(itertools.pairwise(whole))):
        if after == before + 1:
            try:
                one, other = weights(earlier), weights(later)
            except checkpoint.DamagedCheckpoint:
                return None
            same = {name for name in one.keys() & other.keys() if one[name].shape == other[name].shape}
            return {name: one[name] for name in same}, {name: other[name] for name in same}
    return None


def weights(path: Path) -> dict[str, np.ndarray]:
    """The weights in a checkpoint, that are numbers; a stranger's file may hold anything."""
    state = checkpoint.read(path)[0]
    return {
        name: values
        for name, values in state.items()
        if name.startswith(WEIGHTS) and values.size and np.issubdtype(values.dtype, np.floating)
    }


def hidden(state: State) -> Iterator[tuple[str, np.ndarray]]:
    """Name and weights, (units, inputs), of each hidden layer."""
    for name, values in sorted(state.items()):
        if name.startswith(HIDDEN) and values.ndim >= 2 and len(values) > 1:
            yield name.removeprefix(WEIGHTS).removesuffix(".weight"), values.reshape(len(values), -1)


def largest(state: State) -> float:
    """The largest weight of all matrices, without its sign."""
    return max((float(np.abs(values).max()) for values in state.values() if values.ndim >= 2), default=math.nan)


def standing(before: State, after: State) -> tuple[int, int, str] | None:
    """(units that did not move by a bit, units, layer) of the hidden layer with the largest share; None without one.

    Only where the head moved well: a learning rate of 0 kills no units, nor one that a schedule has brought near it.
    """
    if max((moved(before, after, name) for name in after if name.startswith(HEAD)), default=0.0) < MOVES:
        return None
    earlier, found = dict(hidden(before)), []
    for layer, values in hidden(after):
        still = int((earlier[layer] == values).all(axis=1).sum())
        found.append((still / len(values), still, len(values), layer))
    return max(found)[1:] if found else None


def alike(state: State) -> tuple[int, str] | None:
    """(units, layer) of the first hidden layer all of whose units have the same weights, up to rounding."""
    for layer, values in hidden(state):
        scale = float(np.abs(values).max())
        if np.abs(values - values[0]).max() <= 1e-6 * scale:
            return len(values), layer
    return None


def movement(before: State, after: State) -> tuple[float, float] | None:
    """How far the first hidden layer and the head moved in an epoch, as shares of their lengths."""
    layers = [layer for layer, _ in hidden(after)]
    first, head = f"{WEIGHTS}{layers[0]}.weight" if layers else "", f"{HEAD}weight"
    if first not in after or head not in after:
        return None
    return moved(before, after, first), moved(before, after, head)


def moved(before: State, after: State, name: str) -> float:
    """How far a tensor moved, as a share of its length."""
    length = float(np.linalg.norm(before[name].astype(float)))
    return float(np.linalg.norm(after[name].astype(float) - before[name].astype(float))) / max(length, 1e-30)
