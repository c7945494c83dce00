"""Weights by name into a network that has these names, or a refusal that says which ones it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from labrunner.deep.classifiers import Classifier
from labrunner.deep.stages import HEAD
from labrunner.errors import RequestError, some

MOST = 3  # names of a kind that a message lists
COUNTER = "num_batches_tracked"  # of batch norm, which files from before torch 0.4.1 lack: it begins at 0
AUXILIARY = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}  # classifiers that help training there
# names of before that torchvision still reads: densenet's "norm.1", and a vit's "linear_1", which is now layer 0 of 4
# (torchvision/models/densenet.py and vision_transformer.py, pull request 6053)
DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
PERCEPTRON = re.compile(r"(?<=\.mlp\.)linear_([12])(?=\.)")


@torch.no_grad()
def put(network: nn.Module, given: Mapping[str, torch.Tensor], where: str, called: str) -> list[str]:
    """Copy weights into a network; returns what is to be said about its head.

    A head of another size stays as it was drawn. Nothing is copied where anything else does not fit.

    Parameters
    ----------
    network : with a backbone and a head
    given : name -> tensor; names are the network's own, or torchvision's for a network of torchvision's
    where, called : what the weights and the model are called in messages

    Raises
    ------
    RequestError
        when names or shapes differ; it lists a few of each.
    """
    own = network.state_dict()
    names = _translated(network, list(given))
    fitting = {names[name]: tensor for name, tensor in given.items() if name in names}
    theirs = {new: name for name, new in names.items()}
    head = [name for name in own if name.startswith(f"{HEAD}.")]
    is_whole = head == [name for name in own if name.startswith(f"{HEAD}.") and name in fitting]
    kept = is_whole and any(fitting[name].shape != own[name].shape for name in head)
    compared = {name: tensor for name, tensor in own.items() if not (kept and name in head)}

    missing = [name for name in compared if name not in fitting and not name.endswith(f".{COUNTER}")]
    unknown = [theirs[name] for name in fitting if name not in own]
    shapes = [
        f"{theirs[name]} has shape {tuple(fitting[name].shape)}, the model's is {tuple(tensor.shape)}"
        for name, tensor in compared.items()
        if name in fitting and fitting[name].shape != tensor.shape
    ]
    kinds = [
        f"{theirs[name]} holds {fitting[name].dtype}, the model's is {tensor.dtype}"
        for name, tensor in compared.items()
        if name in fitting and fitting[name].is_floating_point() != tensor.is_floating_point()
    ]
    lists = [f"missing: {some(missing, MOST)}" if missing else "", f"unknown: {some(unknown, MOST)}" if unknown else ""]
    said = [text for text in (*lists, some(shapes, MOST, "; "), some(kinds, MOST, "; ")) if text]
    if said:
        raise RequestError(f"{where} does not fit {called}\n" + "; ".join(said) + _way_out(network, shapes))
    for name, tensor in compared.items():
        if name in fitting:
            tensor.copy_(fitting[name])
    return _about_head(own, fitting, head, kept)


def _translated(network: nn.Module, names: Sequence[str]) -> dict[str, str]:
    """Name in a file -> the network's own name; without those that are known to be too many."""
    if not isinstance(network, Classifier) or any(name.startswith("backbone.") for name in names):
        return {name: name for name in names}
    theirs, ours = network.head_names
    found = {}
    for name in names:
        if name.startswith(AUXILIARY.get(network.arch, ("\0",))):
            continue
        new = PERCEPTRON.sub(lambda match: str(3 * int(match[1]) - 3), DENSE.sub(r"\1\2", name))
        is_head = new.startswith(f"{theirs}.")
        found[name] = f"{ours}{new.removeprefix(theirs)}" if is_head else f"backbone.{new}"
    return found


def _about_head(
    own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor], head: Sequence[str], kept: bool
) -> list[str]:
    weights = [name for name in head if own[name].ndim > 1]
    if not weights:
        return []
    here, there = own[weights[-1]], given[weights[-1]]
    if not kept:
        return [f"the head of {len(here)} classes is taken over, too"]
    if len(here) != len(there):
        return [f"the head of {len(there)} classes is replaced by one of {len(here)}"]
    return [f"the head on {there[0].numel()} features is replaced by one on {here[0].numel()}"]


def _way_out(network: nn.Module, shapes: Sequence[str]) -> str:
    if isinstance(network, Classifier) and any("pos_embedding" in each for each in shapes):
        return "\nits weights are for images of one size; leave dataset.size out, or give it the one that they are for"
    return ""
