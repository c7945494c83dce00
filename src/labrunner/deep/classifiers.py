"""torchvision's classifiers, seen as a backbone and a head."""

from __future__ import annotations

from labrunner.deep.networks import Network


def build(arch: str, input_shape: tuple[int, ...], num_classes: int, dropout: float) -> Network:
    raise NotImplementedError
