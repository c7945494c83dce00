"""Networks as users write them, in a backbone and a head, with what makes freezing go wrong elsewhere."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torchvision.ops import StochasticDepth


class Residual(nn.Module):
    """Two convolutions beside a path around them, which training leaves out at random."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(planes, planes, 3, padding=1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.norm2 = nn.Conv2d(planes, planes, 1, bias=False), nn.BatchNorm2d(planes, momentum=None)
        self.act, self.depth = nn.SiLU(), StochasticDepth(0.3, "row")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        inner = self.norm2(self.conv2(self.act(self.norm1(self.conv1(inputs)))))
        return self.act(inputs + self.depth(inner))


class SmallResidual(nn.Module):
    """A residual network whose stages are a stem, two blocks and a last convolution."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            OrderedDict(
                stem=nn.Conv2d(input_shape[0], 4, 3, bias=False),
                norm=nn.BatchNorm2d(4),
                block1=Residual(4),
                block2=Residual(4),
                last=nn.Sequential(nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6), nn.SiLU(), nn.Dropout(0.2)),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
            )
        )
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(6, num_classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.backbone(inputs)))


class Awkward(nn.Module):
    """The head comes first, and its layer is one of the backbone's; batch norm without a scale, on the inputs, too.

    Its maker froze the bias of one layer and the whole of another.
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        width = int(torch.Size(input_shape).numel())
        self.head = nn.Sequential(OrderedDict(shared=nn.Linear(6, 6), act=nn.Tanh(), out=nn.Linear(6, num_classes)))
        self.backbone = nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                inputs=nn.BatchNorm1d(width, affine=False),
                one=nn.Linear(width, 6),
                one_norm=nn.BatchNorm1d(6, affine=False),
                one_act=nn.Tanh(),
                fixed=nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)).requires_grad_(False),
                two=nn.Linear(6, 6, bias=False),
                two_norm=nn.BatchNorm1d(6, affine=False),
                two_drop=nn.Dropout(0.3),
                shared=self.head.shared,
            )
        )
        self.between = nn.BatchNorm1d(6, affine=False)
        self.backbone.one.bias.requires_grad_(False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.between(self.backbone(inputs)))
