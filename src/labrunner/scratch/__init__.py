"""The NumPy side: a multilayer perceptron from scratch, forward and backward written out.

One noun per file: `layers`, `losses`, `optimizers`, `network`, and the `learner` that joins them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labrunner.errors import RequestError
from labrunner.scratch.layers import ACTIVATIONS
from labrunner.scratch.learner import NumpyLearner
from labrunner.scratch.network import Network
from labrunner.scratch.optimizers import SGD, Adam, Optimizer

PRECISIONS: dict[str, type[np.floating]] = {"float32": np.float32, "float64": np.float64}


def make(config: dict[str, Any], input_shape: tuple[int, ...], num_classes: int) -> NumpyLearner:
    """The learner of ``model=mlp_numpy``.

    Parameters
    ----------
    config : the composed config as a nested dict; of it `seed`, `precision`, `model`, `optim`, `reg` and `init`
    input_shape : of one sample: (channels, height, width) or (features,)
    num_classes : number of classes

    Raises
    ------
    RequestError
        when the config asks for what is not written here.
    """
    model, reg = config["model"], config["reg"]
    dtype = _choice("precision", config["precision"], PRECISIONS)
    _choice("model.activation", model["activation"], ACTIVATIONS)
    network = Network(input_shape, model["hidden"], num_classes, model["activation"], reg["dropout"], dtype)
    network.initialize(config["init"]["name"], config["seed"])
    decayed = [name for name in network.parameters if reg["decay_all"] or not name.endswith(".bias")]
    optimizer = _optimizer(network, config["optim"], reg["weight_decay"], decayed)
    return NumpyLearner(network, optimizer, config["seed"])


def _optimizer(network: Network, optim: dict[str, Any], weight_decay: float, decayed: list[str]) -> Optimizer:
    kind = _choice("optim", optim["name"], {"sgd": SGD, "adam": Adam})
    if kind is SGD:
        if optim["nesterov"] and not optim["momentum"] > 0.0:
            raise RequestError("optim.nesterov looks ahead by the momentum; give optim.momentum=0.9, say")
        return SGD(network.parameters, optim["momentum"], optim["nesterov"], weight_decay, decayed)
    beta1, beta2 = optim["betas"]
    return Adam(network.parameters, (beta1, beta2), optim["eps"], weight_decay, decayed)


def _choice(key: str, value: str, options: dict[str, Any]) -> Any:
    if value not in options:
        raise RequestError(f"model=mlp_numpy has no {key}={value}; there are {', '.join(options)}")
    return options[value]
