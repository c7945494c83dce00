"""torchvision's own networks with random numbers in them, and their state dicts where torchvision looks for files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from labrunner.deep import published

State = dict[str, torch.Tensor]


@torch.no_grad()
def randomized(network: nn.Module, seed: int = 0) -> nn.Module:
    """Other numbers in all parameters and buffers, in evaluation mode; variances are positive, counts are counts."""
    rng = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(17)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=rng)
        elif tensor.is_floating_point():
            fan_in = max(1, tensor[0].numel()) if tensor.ndim > 1 else 25
            tensor.normal_(0.0, fan_in**-0.5, generator=rng)
    return network.eval()


def network(arch: str, classes: int = 1000, **settings: Any) -> nn.Module:
    if arch in ("googlenet", "inception_v3"):
        settings = {"init_weights": False, **settings}
    return randomized(models.get_model(arch, weights=None, num_classes=classes, **settings))


def place(arch: str, state: State, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a file of weights into a torch.hub folder of the test's own, under a name that its SHA-256 fits."""
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(folder / "hub"))
    there = folder / "hub/checkpoints"
    there.mkdir(parents=True, exist_ok=True)
    torch.save(state, there / "new")
    prefix = hashlib.sha256((there / "new").read_bytes()).hexdigest()[:8]
    path = (there / "new").rename(there / f"{arch}-{prefix}.pth")
    weights = models.get_model_weights(arch)["DEFAULT"]
    true = published.file_of(arch)
    url = weights.url.rpartition("/")[0] + f"/{path.name}"
    renamed = true._replace(path=path, url=url, prefix=prefix)
    monkeypatch.setattr(published, "file_of", lambda asked: renamed if asked == arch else true)
    return path
