"""torchvision's classifiers, seen as a backbone and a head.

The backbone is torchvision's network without its last layer, under the names that it has there; the head is that layer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from labrunner import schema
from labrunner.deep.networks import Network
from labrunner.errors import RequestError
from labrunner.helping import nearest


class Classifier(Network):
    """A network of torchvision's.

    Parameters
    ----------
    arch : its name in torchvision.models
    backbone, head : its parts
    head_names : what its last layer is called there -> what it is called here
    dropout : in front of the head
    """

    def __init__(
        self, arch: str, backbone: nn.Module, head: nn.Module, head_names: tuple[str, str], dropout: float
    ) -> None:
        super().__init__(backbone, head, dropout)
        self.arch, self.head_names = arch, head_names


def architecture(model: Mapping[str, Any]) -> str | None:
    """What torchvision calls the network of a composed `model` group; None where it is none of torchvision's.

    Raises
    ------
    RequestError
        when torchvision has no classifier of that name.
    """
    if model.get("name") not in schema.TORCHVISION:
        return None
    arch = str(model.get("arch", model["name"]))
    check(arch)
    return arch


def called(model: Mapping[str, Any]) -> str:
    """A model as one asks for it."""
    arch = f" model.arch={model['arch']}" if "arch" in model else ""
    return f"model={model.get('name', '(your own)')}{arch}"


def check(arch: str) -> None:
    """Raise RequestError if torchvision has no classifier of this name."""
    from torchvision import models

    known = models.list_models(module=models)
    if arch not in known:
        close = nearest(arch, known)
        hint = f"did you mean {close}?" if close else "try one of resnet18, mobilenet_v3_small, convnext_tiny"
        raise RequestError(f"model.arch={arch}: torchvision has no classifier of that name; {hint}")


def build(arch: str, input_shape: tuple[int, ...], num_classes: int, dropout: float, drawn: bool = True) -> Classifier:
    """A classifier without trained weights.

    Dropout is only what is asked for: in front of the head, and where torchvision has it inside (vgg, alexnet, vit,
    swin). Stochastic depth is the architecture's own and stays.

    Parameters
    ----------
    arch : its name in torchvision.models
    input_shape : (3, height, width)
    num_classes : scores that the head gives out
    dropout : share of values that are left out
    drawn : whether to draw starting weights, from torch's generator; else they only take up memory

    Raises
    ------
    RequestError
        when there is no such classifier, or it cannot take images of that size.
    """
    from torchvision import models

    check(arch)
    published = models.get_model_weights(arch)["DEFAULT"]
    *_, height, width = input_shape
    drawing: AbstractContextManager[Any] = nullcontext() if drawn else Undrawn()
    try:
        with drawing:
            whole = models.get_model(arch, weights=None, num_classes=num_classes, **_settings(arch, height, width))
        parts = _squeezenet(whole) if arch.startswith("squeezenet") else _parts(whole)
        network = Classifier(arch, *parts, dropout)
        smallest = published.meta["min_size"]  # which torchvision vouches for
        if height < smallest[0] or width < smallest[1]:
            with torch.no_grad():
                network.eval()(torch.zeros(1, *input_shape))
            network.train()
    except (RuntimeError, ValueError, AssertionError) as error:
        size = published.transforms().crop_size[0]
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RequestError(
            f"{arch} cannot take images of {height} x {width} pixels: {said.rstrip('.!')}\n"
            f"try dataset.size={size}, which its published weights were made for"
        ) from error
    for module in network.backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    return network


def _settings(arch: str, height: int, width: int) -> dict[str, Any]:
    """What some architectures are built with besides a number of classes."""
    if arch in ("googlenet", "inception_v3"):
        # auxiliary classifiers are no part of a backbone; inputs come normalized as the weights want them
        return {"aux_logits": False, "transform_input": False, "init_weights": True}
    if arch.startswith("vit"):  # an embedding for each place
        if height != width:
            raise ValueError("they are not square")
        return {"image_size": height}
    if arch.startswith("maxvit"):
        return {"input_size": (height, width)}
    return {}


def _parts(whole: nn.Module) -> tuple[nn.Module, nn.Module, tuple[str, str]]:
    """Backbone and head, and the head's names; a linear layer comes last, maybe with dropout in front."""
    *leaves, (name, head) = [
        (name, module) for name, module in whole.named_modules() if not any(True for _ in module.children())
    ]
    assert isinstance(head, nn.Linear)
    _replace(whole, name)
    while isinstance(leaves[-1][1], nn.Dropout):
        _replace(whole, leaves.pop()[0])
    return whole, head, (name, "head")


def _replace(whole: nn.Module, name: str) -> None:
    """Put a layer that does nothing in the place of another."""
    above, _, last = name.rpartition(".")
    setattr(whole.get_submodule(above), last, nn.Identity())


def _squeezenet(whole: nn.Module) -> tuple[nn.Module, nn.Module, tuple[str, str]]:
    """Of SqueezeNet the scores are the means of maps: its features are maps, and its head is convolutional."""
    convolution = whole.get_submodule("classifier.1")
    backbone = nn.Sequential(OrderedDict(features=whole.get_submodule("features")))
    layers = OrderedDict(
        conv=convolution, act=nn.ReLU(inplace=True), pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()
    )
    return backbone, nn.Sequential(layers), ("classifier.1", "head.conv")


class Undrawn(TorchFunctionMode):
    """Inside, torch's initializers write zeros: to draw weights can take longer than to load them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # zeros and not just anything: nn.init.trunc_normal_ draws again and again until all lie within its bounds
        if getattr(func, "__module__", None) == "torch.nn.init" or func in (
            torch.Tensor.uniform_,
            torch.Tensor.normal_,
        ):
            with torch.no_grad():
                return (kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]).zero_()
        return func(*args, **(kwargs or {}))
