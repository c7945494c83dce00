"""The torch learner keeps the contract of all learners, whatever the network, the optimizer and the precision."""

from __future__ import annotations

import numpy as np
import pytest

from labrunner import deep, kit
from tests.data.settings import ADAM, CNN, MOMENTUM, NESTEROV, config
from tests.deep.odd import Bare, Odd, Single, TwoNames

SHAPE, CLASSES = (2, 5, 5), 3
SMOOTH_CNN = {**CNN, "batch_norm": False, "activation": "tanh", "pooling": "avg"}
RELU_MLP = {"activation": "relu", "hidden": [6]}
DROPOUT, L2 = {"dropout": 0.4}, {"weight_decay": 0.01}
FLOAT32 = {"precision": "float32"}

# the config, the learning rate, whether finite differences apply, and the user's own network
CONFIGS = {
    "mlp sgd": (config(), 0.1, True, None),
    "mlp momentum l2": (config(optim=MOMENTUM, reg=L2), 0.02, True, None),
    "mlp nesterov float32": (
        config(optim=NESTEROV, reg={**L2, "decay_all": True}, model=RELU_MLP, **FLOAT32),
        0.02,
        False,
        None,
    ),
    "mlp adam": (config(optim=ADAM, init={"name": "xavier"}), 0.01, True, None),
    "mlp adam dropout float32": (config(optim=ADAM, reg=DROPOUT, **FLOAT32), 0.01, False, None),
    "mlp dropout momentum": (config(optim=MOMENTUM, reg=DROPOUT), 0.02, False, None),
    "softmax regression": (config(model={"hidden": []}), 0.1, True, None),
    "cnn sgd": (config(model=SMOOTH_CNN), 0.1, True, None),
    "cnn norm momentum": (config(model=CNN, optim=MOMENTUM, reg=L2, init={"name": "he"}), 0.02, False, None),
    "cnn norm adam float32": (config(model=CNN, optim=ADAM, **FLOAT32), 0.01, False, None),
    "cnn dropout adam": (
        config(model={**CNN, "pooling": "none"}, optim=ADAM, reg={**DROPOUT, **L2}),
        0.01,
        False,
        None,
    ),
    "own momentum": (config(optim=MOMENTUM, reg=L2), 0.02, True, Odd),
    "own adam float32": (config(optim=ADAM, **FLOAT32), 0.01, False, Odd),
    "own with two names": (config(optim=ADAM), 0.01, False, TwoNames),
    "own single leaf": (config(), 0.1, True, Single),
    "own without modules": (config(optim=MOMENTUM), 0.02, False, Bare),
}
NEEDS_LAYERS = (kit.check_every_method_is_present, kit.check_activations_are_named_arrays_with_a_row_for_each_sample)


@pytest.fixture(scope="module")
def samples() -> tuple[np.ndarray, np.ndarray]:
    targets = np.arange(24) % CLASSES
    inputs = np.random.default_rng(1).normal(size=(24, *SHAPE)) + targets[:, None, None, None]
    return inputs, targets


@pytest.mark.parametrize("check", kit.CHECKS, ids=kit.name_of)
@pytest.mark.parametrize("name", CONFIGS)
def test_the_torch_learner_keeps_the_contract(name, check, samples):
    settings, lr, smooth, own = CONFIGS[name]
    if own is Bare and check in NEEDS_LAYERS:
        pytest.skip("a network without modules has no layers to look at and to count the work of")
    check(lambda: deep.make(settings, SHAPE, CLASSES, own), kit.Data(*samples, lr=lr, smooth=smooth))


def test_tables_go_through_as_images_do(samples):
    inputs, targets = samples
    kit.check_learner(lambda: deep.make(config(), (50,), CLASSES), inputs.reshape(24, 50), targets, smooth=True)
