"""The networks in torch. Each has a `backbone` that makes features and a `head` that scores classes.

Those two names, and the names inside them, stand in checkpoints, freeze patterns and probes: they do not change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
POOLINGS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class Network(nn.Module):
    """Features, then scores: ``head(backbone(x))``, with dropout in between if asked."""

    def __init__(self, backbone: nn.Module, head: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        if dropout > 0.0:
            self.drop = nn.Dropout(dropout)
        self.head = head

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """inputs (N, ...) -> scores (N, K)."""
        return self.score(self.backbone(inputs))

    def score(self, features: torch.Tensor) -> torch.Tensor:
        """features (N, D), as the backbone gives them out -> scores (N, K)."""
        return self.head(self.drop(features) if hasattr(self, "drop") else features)


def mlp(
    input_shape: tuple[int, ...],
    num_classes: int,
    hidden: Sequence[int],
    activation: str,
    batch_norm: bool,
    dropout: float,
) -> Network:
    """Linear layers of widths `hidden`, each with an activation, batch norm in front and dropout behind if asked.

    The names are those of the NumPy twin: backbone.linear1, backbone.norm1, backbone.act1, backbone.drop1, …, head.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = int(torch.Size(input_shape).numel())
    for number, out in enumerate(hidden, start=1):
        # a bias in front of batch norm is subtracted again with the mean
        layers[f"linear{number}"] = nn.Linear(width, out, bias=not batch_norm)
        if batch_norm:
            layers[f"norm{number}"] = nn.BatchNorm1d(out)
        layers[f"act{number}"] = ACTIVATIONS[activation]()
        if dropout > 0.0:
            layers[f"drop{number}"] = nn.Dropout(dropout)
        width = out
    return Network(nn.Sequential(layers), nn.Linear(width, num_classes))


def softmax(input_shape: tuple[int, ...], num_classes: int, dropout: float) -> Network:
    """Softmax regression: no hidden layer, a linear head on the flattened inputs."""
    return mlp(input_shape, num_classes, [], "relu", batch_norm=False, dropout=dropout)


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


def lenet(input_shape: tuple[int, ...], num_classes: int, pooling: str, activation: str, dropout: float) -> Network:
    """LeNet-5 (LeCun 1998) with full connections between its feature maps and a softmax on top.

    Two blocks of 5 x 5 convolution and pooling with 6 and 16 channels, the first of which keeps the image's size (28 x
    28 then is what the original's 32 x 32 with a black margin was), and two of 120 and 84 units, with dropout behind
    them if asked.
    """
    channels, height, width = input_shape

    def convolution(planes: int, out: int, padding: int) -> nn.Sequential:
        block: OrderedDict[str, nn.Module] = OrderedDict(conv=nn.Conv2d(planes, out, 5, padding=padding))
        block["act"] = ACTIVATIONS[activation]()
        if pooling != "none":
            block["pool"] = POOLINGS[pooling](2)
        return nn.Sequential(block)

    def units(inputs: int, out: int) -> nn.Sequential:
        block: OrderedDict[str, nn.Module] = OrderedDict(linear=nn.Linear(inputs, out), act=ACTIVATIONS[activation]())
        if dropout > 0.0:
            block["drop"] = nn.Dropout(dropout)
        return nn.Sequential(block)

    halving = 1 if pooling == "none" else 2
    rows, columns = ((size // halving - 4) // halving for size in (height, width))
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    blocks["block1"] = convolution(channels, 6, padding=2)
    blocks["block2"] = convolution(6, 16, padding=0)
    blocks["flatten"] = nn.Flatten()
    blocks["block3"] = units(16 * rows * columns, 120)
    blocks["block4"] = units(120, 84)
    return Network(nn.Sequential(blocks), nn.Linear(84, num_classes))
