"""The stages of a network: the parts of its backbone from the inputs on, and its head.

Freezing, learning rates, the audit and figures count in stages, and all of them ask here.
"""

from __future__ import annotations

from torch import nn

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
HEAD = "head"
WHOLE = "model"  # the one stage of a network that has no backbone
ENOUGH = 3  # stages, where the containers of a network of torchvision's are opened no further


def has_parts(network: nn.Module) -> bool:
    """Whether a network names its backbone and its head."""
    return all(isinstance(getattr(network, part, None), nn.Module) for part in ("backbone", HEAD))


def stages(network: nn.Module, least: int = 1) -> dict[str, list[str]]:
    """Stage -> names of its parameters and buffers, as in the state dict, from the inputs to the head.

    The stages of a backbone are its children that hold tensors; a child that is alone is opened, and all are while
    there are fewer than `least`. A normalization on its own belongs to the stage in front of it, a bare parameter of a
    module that was opened to the first stage. Whatever lies outside the backbone belongs to the head.
    """
    names = list(network.state_dict())
    if not has_parts(network):
        return {WHOLE: names}
    prefixes = _prefixes(network.get_submodule("backbone"), least)
    found: dict[str, list[str]] = {stage: [] for stage in (*prefixes.values(), HEAD)}
    first = next(iter(found))
    for name in names:
        own = next((stage for prefix, stage in prefixes.items() if name.startswith(f"{prefix}.")), None)
        if own is None:
            own = first if name.startswith("backbone.") else HEAD
        found[own].append(name)
    return {stage: tensors for stage, tensors in found.items() if tensors or stage == HEAD}


def _prefixes(backbone: nn.Module, least: int) -> dict[str, str]:
    """Prefix of tensors' names -> the stage that they belong to."""
    parts = [("backbone", backbone)]
    while True:
        merged = _merged(parts)
        if len(set(merged.values())) >= max(2, least):
            return merged
        opened = [inner for part in parts for inner in (_children(*part) or [part])]
        if opened == parts:
            return merged
        parts = opened


def _merged(parts: list[tuple[str, nn.Module]]) -> dict[str, str]:
    stages: dict[str, str] = {}
    last = None
    for name, module in parts:
        last = last if last is not None and isinstance(module, NORMS) else name
        stages[name] = last
    return stages


def _children(name: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The children that hold parameters or buffers; those of a ModuleList, which is no step of its own, one by one."""
    found = []
    for child_name, child in module.named_children():
        below = f"{name}.{child_name}"
        if isinstance(child, nn.ModuleList):
            found += _children(below, child)
        elif len(child.state_dict()) > 0:
            found.append((below, child))
    return found
