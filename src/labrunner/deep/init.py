"""Starting weights from `labrunner.initial` into a torch network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from labrunner import initial

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@torch.no_grad()
def initialize(network: nn.Module, options: Mapping[str, Any], seed: int, below: str = "") -> None:
    """Fill every linear and convolutional layer; other layers (norms, embeddings) keep what their class gives them.

    `options` is the composed `init` group; outside the module that `below` names, nothing is filled. The numbers are
    drawn in float64 and rounded to the parameter's type, so they are the NumPy side's own.
    """
    for prefix, module in network.named_modules():
        if not isinstance(module, WEIGHTED) or not f"{prefix}.".startswith(f"{below}." if below else ""):
            continue
        # named_modules calls the network itself "", whose parameters have no prefix
        name = f"{prefix}." if prefix else ""
        shape = tuple(module.weight.shape)
        values = initial.weight(options, seed, f"{name}weight", shape)
        module.weight.copy_(torch.from_numpy(values).to(module.weight.dtype))
        if module.bias is not None:
            fan_in, _ = initial.fans(shape)
            values = initial.bias(options, seed, f"{name}bias", len(module.bias), fan_in)
            module.bias.copy_(torch.from_numpy(values).to(module.bias.dtype))
