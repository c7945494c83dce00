"""`mlp` and `mlp_numpy` are one network written twice: they begin alike to the byte and train alike to rounding."""

from __future__ import annotations

from itertools import product
from typing import get_args

import numpy as np
import pytest
import yaml

from labrunner import deep, scratch
from labrunner.data import load, make
from labrunner.deep import networks
from labrunner.helping import packaged_conf
from labrunner.learner import Batch
from labrunner.schema import Activation
from labrunner.scratch.layers import ACTIVATIONS
from tests.data.settings import ADAM, DIGITS, MLP, NESTEROV, SGD, config
from tests.lines import cases

INITS = sorted(path.stem for path in (packaged_conf() / "init").glob("*.yaml") if path.stem != "given")


def twins(settings, shape, classes):
    numpy_model = {**settings["model"], "name": "mlp_numpy"}
    return scratch.make({**settings, "model": numpy_model}, shape, classes), deep.make(settings, shape, classes)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("scheme", INITS)
def test_they_start_from_the_same_bytes(scheme, batch_norm, precision):
    init = yaml.safe_load((packaged_conf() / "init" / f"{scheme}.yaml").read_text())
    for seed in (0, 7):
        settings = config(init=init, precision=precision, seed=seed, model={**MLP, "batch_norm": batch_norm})
        ours, theirs = (learner.weights() for learner in twins(settings, (1, 4, 4), 3))
        assert list(ours) == list(theirs)
        for name in ours:
            assert ours[name].dtype == theirs[name].dtype == ("int64" if "num_batches" in name else precision)
            assert ours[name].tobytes() == theirs[name].tobytes(), name


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_given_weights_are_those_of_both(precision):
    init = {"name": "given", "weights": [0.1 * number for number in range(48)], "biases": [1.0, 2.0, 1 / 3]}
    settings = config(init=init, precision=precision, model={**MLP, "hidden": []})
    for learner in twins(settings, (1, 4, 4), 3):
        weights = learner.weights()
        assert weights["head.weight"].tobytes() == np.array(init["weights"], precision).tobytes()
        assert weights["head.bias"].tobytes() == np.array(init["biases"], precision).tobytes()


def test_they_know_the_same_activations():
    assert list(networks.ACTIVATIONS) == list(ACTIVATIONS) == list(get_args(Activation))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_their_gradients_agree(activation, smoothing, loss, batch_norm):
    model = {**MLP, "activation": activation, "hidden": [9, 8], "loss": loss, "batch_norm": batch_norm}
    settings = config(model=model, reg={"label_smoothing": smoothing})
    ours, theirs = twins(settings, (2, 3, 3), 4)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 2, 3, 3)), rng.integers(0, 4, size=20)
    of_numpy = ours.gradients(Batch(x, y, 0))
    of_torch = theirs.gradients(Batch(theirs.array(x), theirs.array(y), 0))
    assert of_numpy.keys() == of_torch.keys()
    for name, gradient in of_numpy.items():
        assert np.abs(gradient).max() > 1e-6
        assert np.abs(gradient - of_torch[name]).max() < 1e-12, name
    loss_of_numpy = ours.eval_batch(Batch(x, y, 0)).loss
    loss_of_torch = theirs.eval_batch(Batch(theirs.array(x), theirs.array(y), 0)).loss
    assert float(loss_of_numpy) == pytest.approx(float(loss_of_torch), rel=1e-12)


OPTIMS = {
    "sgd": (SGD, 0.05),
    "nesterov": (NESTEROV, 0.05),
    "lms": ({"name": "lms", "lr": 0.05}, 0.05),
    "adam": ({**ADAM, "betas": [0.8, 0.99]}, 0.01),
    "adamw": ({**ADAM, "name": "adamw"}, 0.01),
    "rmsprop": ({"name": "rmsprop", "lr": 0.01, "alpha": 0.9, "eps": 1e-6, "momentum": 0.5}, 0.003),
    "adagrad": ({"name": "adagrad", "lr": 0.01, "eps": 1e-10}, 0.02),
}
REGS = [
    {},
    {"weight_decay": 0.01},
    {"weight_decay": 0.01, "decay_all": True},
    {"l1": 0.001, "clip_norm": 0.5, "label_smoothing": 0.1},
    {"mixup": 0.4},
]


ONCE = [(optim, REGS[number % len(REGS)]) for number, optim in enumerate(OPTIMS)]  # each of both


@pytest.mark.parametrize(
    ("optim", "reg"),
    cases(product(OPTIMS, REGS), fast=ONCE),
    ids=lambda value: " ".join(value) or "none" if isinstance(value, dict) else value,
)
def test_after_two_hundred_steps_on_the_same_batches_they_hold_the_same_weights(optim, reg):
    options, lr = OPTIMS[optim]
    settings = config(dataset=DIGITS, optim=options, reg=reg, model={**MLP, "hidden": [32]})
    check_twins_train_alike(settings, lr)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_with_batch_norm_they_train_alike_running_means_included(loss):
    check_twins_train_alike(config(dataset=DIGITS, model={**MLP, "batch_norm": True, "loss": loss}), 0.02)


def check_twins_train_alike(settings, lr: float) -> None:
    samples = load(settings["dataset"])
    ours, theirs = twins(settings, samples.description.shape, 10)
    start = ours.weights()
    sides = [make(settings, samples, learner).train for learner in (ours, theirs)]
    epochs = range(1, 2 + 200 // sides[0].batch_count)
    pairs = ((b, c) for epoch in epochs for b, c in zip(*(side.batches(epoch) for side in sides), strict=True))
    for _, (batch, same) in zip(range(200), pairs, strict=False):
        np.testing.assert_array_equal(batch.inputs, same.inputs.numpy())
        loss = ours.train_batch(batch, lr).loss
        assert float(loss) == pytest.approx(float(theirs.train_batch(same, lr).loss), abs=1e-9)
    ends = ours.weights(), theirs.weights()
    for name, values in ends[0].items():
        assert np.abs(values - start[name]).max() > 1e-3, f"{name} has not moved"
        assert np.abs(values - ends[1][name]).max() < 1e-9, name
