"""Grad-CAM (Selvaraju et al. 2017): where an image speaks for a class, by the gradient of its score.

The gradient is taken with respect to the last maps of the backbone and stops there, so that it asks nothing of the
parameters: frozen or not, they are constants here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from labrunner.deep.modes import untouched_buffers, untouched_randomness
from labrunner.deep.stages import has_parts

PASSED_OVER: tuple[type[nn.Module], ...] = (  # the maps that went in, coarser or as they were
    *(nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.FractionalMaxPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d),
    *(nn.modules.dropout._DropoutNd, nn.Identity),
)


class ClassMaps(NamedTuple):
    """Where N images speak for a class each."""

    layer: str  # whose maps these are made of, as `named_modules` has it
    values: np.ndarray  # (N, h, w), 0 or more, in units of the score


class Site(NamedTuple):
    """The call of a module that gives out the last maps of a forward pass."""

    name: str
    module: nn.Module
    call: int  # calls of the same module before it


def class_maps(network: nn.Module, run: Callable[[], torch.Tensor], classes: np.ndarray) -> ClassMaps | None:
    """ReLU(sum_k alpha_k A_k) with alpha_k the mean over all places of d score / d A_k.

    A (N, C, h, w) are the last maps of more than one pixel in the backbone, in front of a pooling. Modes, parameters
    with their gradients, buffers and torch's generators are afterwards what they were.

    Parameters
    ----------
    network : in evaluation mode
    run : computes the scores (N, K) by one forward pass of the network, on the same inputs each time
    classes : (N,) the class of each image

    Returns
    -------
    None where there are no such maps, or no gradient reaches them, as behind a ``detach``.
    """
    with without_gradients(network), untouched_randomness(), untouched_buffers(network):
        with torch.no_grad():
            site = last_maps(network, run)
        if site is None:
            return None
        with torch.enable_grad():
            maps, scores = tracked(site, run)
            if not scores.requires_grad:
                return None
            chosen = torch.as_tensor(classes, device=scores.device)[:, None]
            # each image's score hangs on its own maps alone: the gradient of their sum has all of them
            (gradient,) = torch.autograd.grad(scores.gather(1, chosen).sum(), maps)
    wide = torch.promote_types(maps.dtype, torch.float32)
    maps, gradient = maps.detach().to(wide), gradient.to(wide)
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # alpha_k, (N, C, 1, 1)
    return ClassMaps(site.name, (weights * maps).sum(dim=1).relu().cpu().numpy())


def last_maps(network: nn.Module, run: Callable[[], object]) -> Site | None:
    """Where the last maps of a forward pass come from; to be called without gradients.

    Of the outputs (N, C, h, w) of all modules in the backbone (of the network, where it has none) with h * w > 1, the
    last one. Pooling, dropout and modules that hand on what a module inside them gave out are passed over.
    """
    found: Site | None = None
    before: tuple[torch.Tensor, int] | None = None
    calls: Counter[nn.Module] = Counter()

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, _: object, output: object) -> None:
            nonlocal found, before
            call = calls[module]
            calls[module] += 1
            if not isinstance(output, torch.Tensor):
                return
            # a residual block may add to what its last layer gave out in place: then it is new
            version = 0 if output.is_inference() else output._version
            handed_on = before is not None and output is before[0] and version == before[1]
            before = output, version
            inner = any(True for _ in module.children())
            if isinstance(module, PASSED_OVER) or (inner and handed_on):
                return
            if output.ndim == 4 and output.is_floating_point() and output[0, 0].numel() > 1:
                found = Site(name, module, call)

        return hook

    part, prefix = (network.get_submodule("backbone"), "backbone") if has_parts(network) else (network, "")
    hooks = [module.register_forward_hook(look(name)) for name, module in part.named_modules(prefix=prefix) if name]
    try:
        run()
    finally:
        for handle in hooks:
            handle.remove()
    return found


def tracked(site: Site, run: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """A forward pass that is recorded from the site on: the maps there, and the scores."""
    held: list[torch.Tensor] = []
    calls = 0

    def take(module: nn.Module, _: object, output: torch.Tensor) -> torch.Tensor | None:
        nonlocal calls
        calls += 1
        if calls - 1 != site.call:
            return None
        torch.set_grad_enabled(True)  # where a forward keeps its backbone under no_grad, up to the end of that
        held.append(output.detach().requires_grad_())
        return held[0].clone()  # the next layer may work in place

    handle = site.module.register_forward_hook(take)
    try:
        scores = run()
    finally:
        handle.remove()
    return held[0], scores


@contextmanager
def without_gradients(network: nn.Module) -> Iterator[None]:
    """No parameter asks for a gradient inside: nothing in front of the maps has to be remembered."""
    asking: list[Any] = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
