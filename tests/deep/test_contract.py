"""The torch learner keeps the contract of all learners, whatever the network, the optimizer and the precision."""

from __future__ import annotations

import numpy as np
import pytest

from labrunner import deep, kit
from tests.data.settings import ADAM, CNN, LENET, MLP, MOMENTUM, NESTEROV, SOFTMAX, config
from tests.deep.odd import Bare, Odd, Single, TwoNames
from tests.deep.own import Awkward
from tests.lines import cases

SHAPE, CLASSES = (2, 5, 5), 3
SMOOTH_CNN = {**CNN, "batch_norm": False, "activation": "tanh", "pooling": "avg"}
RELU_MLP = {"activation": "relu", "hidden": [6]}
DROPOUT, L2 = {"dropout": 0.4}, {"weight_decay": 0.01}
FLOAT32 = {"precision": "float32"}
THERE_AND_BACK = {
    "name": "patterns",
    "train": [{"epoch": 1, "train": ["*"]}, {"epoch": 2, "train": ["head"]}, {"epoch": 3, "train": ["*.weight"]}],
}

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
    "mlp norm adamw float32": (
        config(model={**MLP, "batch_norm": True}, optim={**ADAM, "name": "adamw"}, reg=L2, **FLOAT32),
        0.01,
        False,
        None,
    ),
    "mlp rmsprop mse": (
        config(
            model={**MLP, "loss": "mse", "activation": "silu"},
            optim={"name": "rmsprop", "lr": 0.01, "alpha": 0.9, "eps": 1e-8, "momentum": 0.5},
        ),
        0.005,
        True,
        None,
    ),
    "mlp adagrad l1 clipped": (
        config(optim={"name": "adagrad", "lr": 0.01, "eps": 1e-10}, reg={"l1": 1e-3, "clip_norm": 0.5}),
        0.05,
        True,
        None,
    ),
    "mlp smoothing mse": (config(model={**MLP, "loss": "mse"}, reg={"label_smoothing": 0.2}), 0.02, False, None),
    "mlp half": (config(optim=ADAM, precision="bf16", model=RELU_MLP), 0.01, False, None),
    "cnn norm half": (config(optim=ADAM, precision="bf16", model=CNN), 0.01, False, None),
    "lenet half": (config(optim=MOMENTUM, precision="bf16", model=LENET), 0.01, False, None),
    "softmax lms": (config(model=SOFTMAX, optim={"name": "lms", "lr": 0.1}), 0.1, True, None),
    "lenet adam": (config(model=LENET, optim=ADAM, reg=DROPOUT, **FLOAT32), 0.003, False, None),
    "lenet gelu avg": (
        config(model={**LENET, "pooling": "avg", "activation": "gelu"}, optim=MOMENTUM),
        0.05,
        True,
        None,
    ),
    "own momentum": (config(optim=MOMENTUM, reg=L2), 0.02, True, Odd),
    "own adam float32": (config(optim=ADAM, **FLOAT32), 0.01, False, Odd),
    "own with two names": (config(optim=ADAM), 0.01, False, TwoNames),
    "own single leaf": (config(), 0.1, True, Single),
    "own without modules": (config(optim=MOMENTUM), 0.02, False, Bare),
    "mlp backbone momentum": (config(optim=MOMENTUM, reg=L2, freeze={"name": "backbone"}), 0.05, True, None),
    "mlp gradual rates adam": (
        config(
            optim=ADAM,
            freeze={"name": "gradual", "every": 1, "head_factor": 2.0, "stage_factor": 0.5},
            model={**MLP, "hidden": [7, 6, 5]},
        ),
        0.02,
        True,
        None,
    ),
    "cnn partial dropout momentum": (
        config(model=CNN, optim=MOMENTUM, reg={**DROPOUT, **L2}, freeze={"name": "partial", "stages": 1}),
        0.02,
        False,
        None,
    ),
    "cnn probe adamw float32": (
        config(
            model=CNN,
            optim={**ADAM, "name": "adamw"},
            reg={**L2, "l1": 1e-4, "clip_norm": 1.0},
            freeze={"name": "linear_probe_then_finetune", "probe_epochs": 2},
            **FLOAT32,
        ),
        0.01,
        False,
        None,
    ),
    "cnn patterns there and back": (
        config(model=CNN, optim=MOMENTUM, reg=L2, freeze=THERE_AND_BACK),
        0.02,
        False,
        None,
    ),
    "own awkward gradual": (config(optim=MOMENTUM, freeze={"name": "gradual", "every": 1}), 0.02, False, Awkward),
    "own awkward half": (config(optim=ADAM, precision="bf16"), 0.01, False, Awkward),
}
# each of their models, optimizers, penalties, precisions and ways of freezing is one of another's
LIKE_OTHERS = {
    *("mlp momentum l2", "mlp adam dropout float32", "mlp dropout momentum", "mlp smoothing mse", "softmax regression"),
    *("cnn sgd", "cnn norm momentum", "cnn norm adam float32", "lenet half", "lenet adam"),
    *("own adam float32", "own awkward half"),
}
NEEDS_LAYERS = (kit.check_every_method_is_present, kit.check_activations_are_named_arrays_with_a_row_for_each_sample)


@pytest.fixture(scope="module")
def samples() -> tuple[np.ndarray, np.ndarray]:
    targets = np.arange(24) % CLASSES
    inputs = np.random.default_rng(1).normal(size=(24, *SHAPE)) + targets[:, None, None, None]
    return inputs, targets


@pytest.mark.parametrize("check", kit.CHECKS, ids=kit.name_of)
@pytest.mark.parametrize("name", cases(CONFIGS, fast=[name for name in CONFIGS if name not in LIKE_OTHERS]))
def test_the_torch_learner_keeps_the_contract(name, check, samples):
    settings, lr, smooth, own = CONFIGS[name]
    inputs, targets = samples
    if settings["model"]["name"] == "lenet":
        inputs = inputs.repeat(3, axis=2).repeat(3, axis=3)  # which leaves nothing of 5 x 5
    if own is Bare and check in NEEDS_LAYERS:
        pytest.skip("a network without modules has no layers to look at and to count the work of")
    shape = inputs.shape[1:]
    check(lambda: deep.make(settings, shape, CLASSES, own), kit.Data(inputs, targets, lr=lr, smooth=smooth))


def test_tables_go_through_as_images_do(samples):
    inputs, targets = samples
    kit.check_learner(lambda: deep.make(config(), (50,), CLASSES), inputs.reshape(24, 50), targets, smooth=True)
