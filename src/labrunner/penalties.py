"""What is done to a gradient between the loss and the optimizer, told alike to both sides."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple


class Penalties(NamedTuple):
    """Applied in this order: the gradient of the data, the l1 term, clipping, weight decay, the optimizer's update."""

    weight_decay: float = 0.0  # adds weight_decay * w to the gradient of w; adamw shrinks w instead
    decayed: Collection[str] = ()  # names of the parameters that weight decay and l1 pull at
    l1: float = 0.0  # adds l1 * sign(w) to the gradient of w, where sign(0) = 0
    clip_norm: float | None = None  # a longer gradient of all parameters is scaled down to this (Pascanu et al. 2013)


NONE = Penalties()


def of(reg: Mapping[str, Any], decayed: Collection[str]) -> Penalties:
    """Those of a composed `reg` group, for parameters of these names."""
    return Penalties(reg["weight_decay"], decayed, reg["l1"], reg["clip_norm"])


def settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a composed `optim` group that an optimizer is made with; its lr is the schedule's business."""
    return {key: value for key, value in options.items() if key not in ("name", "lr")}
