"""Starting weights from elsewhere: torchvision's, a file's, or those of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from labrunner.learner import Origin, Wants


def wants(model: Mapping[str, Any]) -> Wants:
    raise NotImplementedError


def load(network: nn.Module, model: Mapping[str, Any]) -> Origin | None:
    return None
