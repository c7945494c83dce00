"""Networks as users write them, with what the shipped ones do not have."""

from __future__ import annotations

import torch
from torch import nn


class Gain(nn.Module):
    """Multiplies by a scalar parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones(()))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.value * inputs


class Odd(nn.Module):
    """No backbone, a layer that is used twice, bare parameters of which one is unused, a scalar one, a buffer."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        width = int(torch.Size(input_shape).numel())
        self.mix = nn.Linear(width, width)
        self.squash = nn.Tanh()
        self.gain = Gain()
        self.prototypes = nn.Parameter(0.3 * torch.randn(num_classes, width))
        self.unused = nn.Parameter(torch.ones(2))
        self.register_buffer("offset", torch.linspace(-0.1, 0.1, num_classes))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.squash(self.mix(self.squash(self.mix(inputs.flatten(1)))))
        return self.gain(hidden) @ self.prototypes.T + self.offset


class TwoNames(nn.Module):
    """One layer under two names, and an activation that overwrites its input."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        width = int(torch.Size(input_shape).numel())
        self.first = nn.Linear(width, width)
        self.relu = nn.ReLU(inplace=True)
        self.second = self.first
        self.norm = nn.BatchNorm1d(width, momentum=None)
        self.last = nn.Linear(width, num_classes, bias=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.second(self.relu(self.first(inputs.flatten(1))))))


class Single(nn.Linear):
    """A network that is a single leaf."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__(input_shape[0] * input_shape[1] * input_shape[2], num_classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs.flatten(1))


class Bare(nn.Module):
    """Parameters and no modules."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_classes, int(torch.Size(input_shape).numel())))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.flatten(1) @ self.weight.T
