"""The networks in torch. Each has a `backbone` that makes features and a `head` that scores classes.

Those two names, and the names inside them, stand in checkpoints, freeze patterns and probes: they do not change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
POOLINGS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class Network(nn.Module):
    """Features, then scores: ``head(backbone(x))``."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """inputs (N, ...) -> scores (N, K)."""
        return self.head(self.backbone(inputs))


def mlp(
    input_shape: tuple[int, ...], num_classes: int, hidden: Sequence[int], activation: str, dropout: float
) -> Network:
    """Linear layers of widths `hidden`, each with an activation and, if asked, dropout behind it.

    The names are those of the NumPy twin: backbone.linear1, backbone.act1, backbone.drop1, …, head.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = int(torch.Size(input_shape).numel())
    for number, out in enumerate(hidden, start=1):
        layers[f"linear{number}"] = nn.Linear(width, out)
        layers[f"act{number}"] = ACTIVATIONS[activation]()
        if dropout > 0.0:
            layers[f"drop{number}"] = nn.Dropout(dropout)
        width = out
    return Network(nn.Sequential(layers), nn.Linear(width, num_classes))


def cnn(
    input_shape: tuple[int, ...],
    num_classes: int,
    channels: Sequence[int],
    kernel: int,
    pooling: str,
    batch_norm: bool,
    activation: str,
    dropout: float,
) -> Network:
    """Blocks of convolution, batch norm, activation, pooling and dropout; the head is linear on all features.

    The image keeps its size in a convolution (zero padding of kernel // 2) and halves, rounded down, in a pooling.
    """
    planes, height, width = input_shape
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    for number, out in enumerate(channels, start=1):
        block: OrderedDict[str, nn.Module] = OrderedDict()
        # a bias in front of batch norm is subtracted again with the mean
        block["conv"] = nn.Conv2d(planes, out, kernel, padding=kernel // 2, bias=not batch_norm)
        if batch_norm:
            block["norm"] = nn.BatchNorm2d(out)
        block["act"] = ACTIVATIONS[activation]()
        if pooling != "none":
            block["pool"] = POOLINGS[pooling](2)
            height, width = height // 2, width // 2
        if dropout > 0.0:
            block["drop"] = nn.Dropout(dropout)
        blocks[f"block{number}"] = nn.Sequential(block)
        planes = out
    blocks["flatten"] = nn.Flatten()
    return Network(nn.Sequential(blocks), nn.Linear(planes * height * width, num_classes))
