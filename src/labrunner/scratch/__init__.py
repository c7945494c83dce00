"""The NumPy side: perceptron, Adaline, one neuron and a multilayer perceptron from scratch, every line to be read.

One noun per file: `layers`, `losses`, `optimizers`, `network`, the `learner` that joins them, and the `perceptron`,
which learns by a rule of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labrunner.errors import RequestError
from labrunner.learner import ANY, Wants
from labrunner.scratch import optimizers
from labrunner.scratch.layers import ACTIVATIONS
from labrunner.scratch.learner import NumpyLearner
from labrunner.scratch.losses import (
    CrossEntropy,
    Loss,
    PerceptronCriterion,
    SigmoidCrossEntropy,
    SigmoidSquaredError,
    SignedSquaredError,
    SquaredError,
)
from labrunner.scratch.network import Network
from labrunner.scratch.perceptron import PerceptronLearner

PRECISIONS: dict[str, type[np.floating]] = {"float32": np.float32, "float64": np.float64}
LOSSES: dict[tuple[str, str], type[Loss]] = {
    ("adaline", "mse"): SignedSquaredError,
    ("neuron", "cross_entropy"): SigmoidCrossEntropy,
    ("neuron", "mse"): SigmoidSquaredError,
    ("mlp_numpy", "cross_entropy"): CrossEntropy,
    ("mlp_numpy", "mse"): SquaredError,
}


def make(config: dict[str, Any], input_shape: tuple[int, ...], num_classes: int, wants: Wants = ANY) -> NumpyLearner:
    """The learner of ``model=perceptron``, ``adaline``, ``neuron`` or ``mlp_numpy``.

    Parameters
    ----------
    config : the composed config as a nested dict; of it `seed`, `precision`, `model`, `optim`, `reg` and `init`
    input_shape : of one sample: (channels, height, width) or (features,)
    num_classes : number of classes
    wants : what the inputs have been made to be

    Raises
    ------
    RequestError
        when the config asks for what is not written here.
    """
    model, reg, seed = config["model"], config["reg"], config["seed"]
    dtype = _choice(model, "precision", config["precision"], PRECISIONS)
    if model["name"] == "perceptron":
        network = Network(input_shape, [], PerceptronCriterion(num_classes).units, dtype=dtype)
        network.initialize(config["init"], seed)
        return PerceptronLearner(network, seed, num_classes, wants)
    loss = LOSSES[model["name"], model.get("loss", "mse")](num_classes)  # Adaline has no other than mse
    if model["name"] == "mlp_numpy":
        _choice(model, "model.activation", model["activation"], ACTIVATIONS)
        network = Network(
            input_shape,
            model["hidden"],
            loss.units,
            model["activation"],
            batch_norm=model["batch_norm"],
            dropout=reg["dropout"],
            dtype=dtype,
        )
    else:
        network = Network(input_shape, [], loss.units, bias=model.get("bias", True), dtype=dtype)
    network.initialize(config["init"], seed)
    optimizer = optimizers.make(network.parameters, config["optim"], reg, network.decaying(reg["decay_all"]))
    return NumpyLearner(network, loss, optimizer, seed, reg["label_smoothing"], wants)


def _choice(model: dict[str, Any], key: str, value: str, options: dict[str, Any]) -> Any:
    if value not in options:
        raise RequestError(f"model={model['name']} has no {key}={value}; there are {', '.join(options)}")
    return options[value]
