"""What checkpoints say of the units of a network: those that no longer move, and those that are all alike.

A unit is a row of a weight matrix, or a filter of a convolution. Looked at are the hidden layers,
``weights/backbone.…``: a head may begin with zeros and does no harm.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from labrunner import checkpoint

State = Mapping[str, np.ndarray]
HIDDEN, HEAD = "weights/backbone.", "weights/head."


def last_two(folder: Path) -> tuple[State, State] | None:
    """The states after two epochs that follow each other, the last such; None where there are none."""
    whole = [(epoch, path) for epoch, batch, path in checkpoint.listed(folder / "checkpoints") if not batch]
    for (before, earlier), (after, later) in reversed(list(itertools.pairwise(whole))):
        if after == before + 1:
            try:
                return checkpoint.read(earlier)[0], checkpoint.read(later)[0]
            except checkpoint.DamagedCheckpoint:
                return None
    return None


def hidden(state: State) -> Iterator[tuple[str, np.ndarray]]:
    """Name and weights, (units, inputs), of each hidden layer."""
    for name, values in sorted(state.items()):
        if name.startswith(HIDDEN) and values.ndim >= 2 and len(values) > 1:
            yield name.removeprefix("weights/").removesuffix(".weight"), values.reshape(len(values), -1)


def standing(before: State, after: State) -> tuple[int, int, str] | None:
    """(units that did not move by a bit, units, layer) of the hidden layer with the largest share; None without one.

    Only where something of the network moved: a learning rate of 0 kills no units.
    """
    if not any(name.startswith(HEAD) and (before[name] != after[name]).any() for name in after if name in before):
        return None
    found = []
    for layer, values in hidden(after):
        earlier = dict(hidden(before)).get(layer)
        if earlier is not None and earlier.shape == values.shape:
            still = int((earlier == values).all(axis=1).sum())
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
    head = f"{HEAD}weight"
    if not layers or head not in after or head not in before:
        return None

    def share(name: str) -> float:
        length = float(np.linalg.norm(before[name].astype(float)))
        return float(np.linalg.norm(after[name].astype(float) - before[name].astype(float))) / max(length, 1e-30)

    return share(f"weights/{layers[0]}.weight"), share(head)
