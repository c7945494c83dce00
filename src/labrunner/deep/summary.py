"""torchsummary's table of a network, with totals that are exact, and the work of a forward pass."""

from __future__ import annotations

import contextlib
import copy
import io
import re
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from labrunner.deep.modes import evaluating, untouched_randomness


def summarize(network: nn.Module, input_shape: tuple[int, ...]) -> str:
    """The table, for a float32 copy on the CPU in evaluation mode; the network and its random state stay as they are.

    torchsummary 1.5.1 misses bare parameters, counts shared modules twice, takes trainability from the weight alone and
    fails on some networks, so the totals are counted from the unique parameters and stand under its table, with a
    remark where the two disagree.
    """
    total = sum(parameter.numel() for parameter in network.parameters())
    trainable = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    table, remark = _table(network, input_shape), ""
    if table is None:
        table, remark = str(network), "torchsummary cannot draw this network; its modules are listed instead.\n"
    else:
        counted = re.search(r"Total params: ([\d,]+)", table)
        if counted and int(counted[1].replace(",", "")) != total:
            remark = f"The table's own total, {counted[1]}, counts shared modules twice or misses bare parameters.\n"
    return (
        f"{table}\n{remark}Exact, each parameter once: {total:,} parameters, {trainable:,} trainable, "
        f"{total - trainable:,} frozen"
    )


def _table(network: nn.Module, input_shape: tuple[int, ...]) -> str | None:
    import torchsummary

    printed = io.StringIO()
    try:
        # its hooks stay behind when forward raises: on the copy
        clone = copy.deepcopy(network).to("cpu", torch.float32).eval()
        with untouched_randomness(), torch.no_grad(), contextlib.redirect_stdout(printed):
            torchsummary.summary(clone, input_shape, device="cpu")
    except Exception:  # it breaks in its own ways on networks that are fine
        return None
    return printed.getvalue().strip("\n")


class Passed(NamedTuple):
    """What a forward pass of one sample told."""

    work: dict[str, int]  # linear or convolutional layer -> its multiply-adds
    features: tuple[int, ...] | None  # shape of what the backbone gave out; None where no tensor came from one


def passed(network: nn.Module, sample: torch.Tensor) -> Passed:
    """The multiply-adds of each layer for one sample (1, ...), and the shape of its features, by a forward pass."""
    found: dict[str, int] = {}
    shapes: list[tuple[int, ...]] = []

    def count(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, _: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            weight = module.weight
            assert isinstance(weight, torch.Tensor)
            # each output is a dot product with one row of the weight: all inputs, or those under the kernel
            found[name] = found.get(name, 0) + weight[0].numel() * output.numel()

        return hook

    def shape(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor):
            shapes.append(tuple(output.shape[1:]))

    kinds: tuple[type[nn.Module], ...] = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    hooks = [
        module.register_forward_hook(count(name))
        for name, module in network.named_modules()
        if isinstance(module, kinds)
    ]
    backbone = getattr(network, "backbone", None)
    if isinstance(backbone, nn.Module):
        hooks.append(backbone.register_forward_hook(shape))
    try:
        with evaluating(network), untouched_randomness(), torch.no_grad():
            network(sample)
    finally:
        for hook in hooks:
            hook.remove()
    return Passed(found, shapes[-1] if shapes else None)


def multiply_adds(network: nn.Module, sample: torch.Tensor) -> int:
    """Multiply-adds of the linear and convolutional layers for one sample (1, ...), measured by a forward pass."""
    return sum(passed(network, sample).work.values())


def layer_outputs(network: nn.Module, run: Callable[[], object]) -> dict[str, torch.Tensor]:
    """What each leaf module gives out while `run` is called, by the module's name, in the order of the calls."""
    outputs: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor):
                outputs[name] = output.detach().clone()  # the next layer may work in place

        return hook

    leaves = [(name, module) for name, module in network.named_modules() if not any(True for _ in module.children())]
    hooks = [module.register_forward_hook(keep(name or "network")) for name, module in leaves]
    try:
        run()
    finally:
        for handle in hooks:
            handle.remove()
    return outputs
