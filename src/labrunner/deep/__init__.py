"""The torch side: networks, their starting weights, and the learner around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from labrunner import own, schema
from labrunner.deep import classifiers, freeze, networks, optimizers, own_optimizer, pretrained, stages
from labrunner.deep.init import initialize
from labrunner.deep.learner import TorchLearner, decaying
from labrunner.deep.modes import evaluating, untouched_randomness
from labrunner.errors import RequestError
from labrunner.learner import ANY, Wants
from labrunner.seeding import number

__all__ = ["TorchLearner", "make"]

PRECISIONS = {"float32": torch.float32, "float64": torch.float64, "bf16": torch.float32}  # of weights and inputs


def make(
    config: dict[str, Any],
    input_shape: tuple[int, ...],
    num_classes: int,
    own_network: Callable[..., nn.Module] | None = None,
    wants: Wants = ANY,
    load_weights: bool = True,
) -> TorchLearner:
    """The learner of a checked config.

    Parameters
    ----------
    config : the composed config, as plain dicts
    input_shape, num_classes : from the data set's description
    own_network : the user's class or function; it gets `input_shape`, `num_classes` and the keys of its YAML
    wants : what the inputs have been made to be
    load_weights : whether to read what model.weights names; not where all weights are loaded afterwards

    Raises
    ------
    RequestError
        when the device is not there, or the user's network cannot be built or gives out no (N, num_classes).
    """
    device = choose_device(config["device"], config["precision"])
    is_read = own_network is None and load_weights and not pretrained.choose(config["model"]).is_drawn
    # layers outside our reach draw their starting weights from torch's generator, which begins with the run's seed
    torch.default_generator.manual_seed(number(config["seed"], "init"))
    network: nn.Module
    if own_network is None:
        network = shipped(config, input_shape, num_classes, drawn=load_weights and not is_read)
    else:
        network = users_own(own_network, input_shape, num_classes)
    # first the precision, then the float64 starting numbers: rounding happens once
    network = network.to(device, PRECISIONS[config["precision"]]).to(memory_format=torch.channels_last)
    if own_network is None or config["init"]["name"] != "default":
        # init=default leaves a backbone of torchvision's as torchvision draws it
        keeps = is_read or (isinstance(network, classifiers.Classifier) and config["init"]["name"] == "default")
        initialize(network, config["init"], config["seed"], below=stages.HEAD if keeps else "")
    origin = pretrained.load(network, config["model"]) if own_network is None and load_weights else None
    reg = config["reg"]
    parts = stages.stages(network, stages.ENOUGH if config["model"].get("name") in schema.TORCHVISION else 1)
    strategy = freeze.make(config.get("freeze", freeze.NONE), network, parts)
    make_optimizer = own_optimizer.make if "_target_" in config["optim"] else optimizers.make
    optimizer = make_optimizer(
        dict(network.named_parameters()), config["optim"], reg, decaying(network, reg["decay_all"]), strategy.factors
    )
    return TorchLearner(
        network,
        optimizer,
        input_shape,
        config["seed"],
        loss=config["model"].get("loss", "cross_entropy") if own_network is None else "cross_entropy",
        label_smoothing=reg["label_smoothing"],
        bf16=config["precision"] == "bf16",
        wants=wants,
        strategy=strategy,
        parts=parts,
        origin=origin,
    )


def shipped(
    config: dict[str, Any], input_shape: tuple[int, ...], num_classes: int, drawn: bool = True
) -> networks.Network:
    """A network of labrunner's own, or of torchvision's; these only have starting weights if they are `drawn`."""
    options = {key: value for key, value in config["model"].items() if key not in ("name", "loss", "weights")}
    name = config["model"]["name"]
    if name in schema.TORCHVISION:
        return classifiers.build(options.get("arch", name), input_shape, num_classes, config["reg"]["dropout"], drawn)
    builders: dict[str, Callable[..., networks.Network]] = {
        "mlp": networks.mlp,
        "softmax": networks.softmax,
        "cnn": networks.cnn,
        "lenet": networks.lenet,
    }
    build = builders[name]
    return build(input_shape, num_classes, dropout=config["reg"]["dropout"], **options)


def users_own(build: Callable[..., nn.Module], input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """The user's network, tried on one sample."""
    make, keys = getattr(build, "func", build), getattr(build, "keywords", {})
    name = getattr(make, "__name__", "the network")
    given = {"input_shape": input_shape, "num_classes": num_classes, **keys}

    def hint() -> str:
        return f"{own.misfit(make, 'model', keys)}\nit is called with {own.called(given)}; {own.TRACEBACK}"

    try:
        network = build(input_shape=input_shape, num_classes=num_classes)
    except (Exception, SystemExit) as error:
        raise RequestError(f"{name} cannot be built: {own.said(error)}{hint()}") from error
    if not isinstance(network, nn.Module):
        raise RequestError(f"{name} gives a {type(network).__name__}, which is no torch.nn.Module")
    if next(network.parameters(), None) is None:
        raise RequestError(f"{name} has no parameters, so there is nothing to train")
    shape = (1, *input_shape)
    try:
        with evaluating(network), untouched_randomness(), torch.enable_grad():
            scores = network(torch.zeros(shape))
    except (Exception, SystemExit) as error:
        raise RequestError(f"{name} cannot take inputs of shape {shape}: {own.said(error)}{hint()}") from error
    found = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
    if found != (1, num_classes):
        raise RequestError(f"{name} gives {found} for one sample, not scores of shape (1, {num_classes})")
    if not scores.requires_grad:
        is_frozen = not any(each.requires_grad for each in network.parameters())
        why = "it sets requires_grad=False for all" if is_frozen else "a detach(), no_grad() or item() cuts forward off"
        raise RequestError(f"{name}: no parameter gets a gradient from its scores, so nothing would learn: {why}")
    return network


def choose_device(name: str, precision: str = "float32") -> torch.device:
    """auto takes CUDA, then Apple's MPS, then the processor; a device that is asked for and missing is an error."""
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": lambda: torch.backends.mps.is_available() and precision != "float64",  # which MPS does not have
        "cpu": lambda: True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there()))
    if not available[name]():
        raise RequestError(f"device={name}: this machine, or this build of torch, has none; try device=auto")
    return torch.device(name)
