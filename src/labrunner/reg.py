"""The part of a composed `reg` group that optimizers apply, told alike to both sides."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple


class Reg(NamedTuple):
    """Applied in this order: the gradient of the data, the l1 term, clipping, weight decay, the optimizer's update."""

    weight_decay: float = 0.0  # adds weight_decay * w to the gradient of w; adamw shrinks w instead
    decayed: Collection[str] = ()  # names of the parameters that weight decay and l1 pull at
    l1: float = 0.0  # adds l1 * sign(w) to the gradient of w, where sign(0) = 0
    clip_norm: float | None = None  # a longer gradient of all parameters is scaled down to this (Pascanu et al. 2013)

    @classmethod
    def of(cls, options: Mapping[str, Any], decayed: Collection[str]) -> Reg:
        """That of a composed `reg` group, for parameters of these names."""
        return cls(options["weight_decay"], decayed, options["l1"], options["clip_norm"])


NONE = Reg()
