"""`mlp` and `mlp_numpy` are one network written twice: they begin alike to the byte and train alike to rounding."""

from __future__ import annotations

import numpy as np
import pytest

from labrunner import deep, scratch
from labrunner.data import load, make
from labrunner.learner import Batch
from tests.data.settings import ADAM, DIGITS, MLP, NESTEROV, SGD, config


def twins(settings, shape, classes):
    numpy_model = {**settings["model"], "name": "mlp_numpy"}
    return scratch.make({**settings, "model": numpy_model}, shape, classes), deep.make(settings, shape, classes)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("scheme", ["default", "he", "xavier"])
def test_they_start_from_the_same_bytes(scheme, precision):
    for seed in (0, 7):
        settings = config(init={"name": scheme}, precision=precision, seed=seed)
        ours, theirs = (learner.weights() for learner in twins(settings, (1, 4, 4), 3))
        assert list(ours) == list(theirs)
        for name in ours:
            assert ours[name].dtype == theirs[name].dtype == precision
            assert ours[name].tobytes() == theirs[name].tobytes(), name


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_their_gradients_agree(activation):
    settings = config(model={**MLP, "activation": activation, "hidden": [9, 8]})
    ours, theirs = twins(settings, (2, 3, 3), 4)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 2, 3, 3)), rng.integers(0, 4, size=20)
    of_numpy = ours.gradients(Batch(x, y, 0))
    of_torch = theirs.gradients(Batch(theirs.array(x), theirs.array(y), 0))
    assert of_numpy.keys() == of_torch.keys()
    for name, gradient in of_numpy.items():
        assert np.abs(gradient).max() > 1e-6
        assert np.abs(gradient - of_torch[name]).max() < 1e-12, name


@pytest.mark.parametrize("reg", [{}, {"weight_decay": 0.01}, {"weight_decay": 0.01, "decay_all": True}])
@pytest.mark.parametrize("optim", [SGD, NESTEROV, {**ADAM, "betas": [0.8, 0.99]}], ids=["sgd", "nesterov", "adam"])
def test_after_two_hundred_steps_on_the_same_batches_they_hold_the_same_weights(optim, reg):
    lr = 0.01 if optim["name"] == "adam" else 0.05
    settings = config(dataset=DIGITS, optim=optim, reg=reg, model={**MLP, "hidden": [32]})
    check_twins_train_alike(settings, lr)


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
        assert np.abs(values - start[name]).max() > 1e-3, "nothing was learned"
        assert np.abs(values - ends[1][name]).max() < 1e-9, name
