"""What the NumPy learner promises beyond the contract: its config, its states, its silence on divergence."""

from __future__ import annotations

import copy
import math
import warnings

import numpy as np
import pytest
import torch

from labrunner.errors import RequestError
from labrunner.learner import Batch
from labrunner.scratch import make
from tests.data.settings import MLP_NUMPY, config

CONFIG = config(
    model={**MLP_NUMPY, "hidden": [6]}, optim={"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": False}
)
ADAM = {"name": "adam", "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8}


def learner(**changes):
    """`learner(reg__dropout=0.5)` has config["reg"]["dropout"] = 0.5."""
    settings = copy.deepcopy(CONFIG)
    for key, value in changes.items():
        *groups, last = key.split("__")
        place = settings
        for group in groups:
            place = place[group]
        place[last] = value
    return make(settings, (1, 2, 3), 3)


def batch(step: int = 0, dtype: type = np.float64) -> Batch:
    rng = np.random.default_rng(step)
    return Batch(rng.normal(size=(8, 1, 2, 3)).astype(dtype), rng.integers(0, 3, size=8), step)


@pytest.mark.parametrize("optim", [CONFIG["optim"], {**CONFIG["optim"], "nesterov": True}, ADAM])
@pytest.mark.parametrize("decay_all", [False, True])
def test_training_is_that_of_torch(optim, decay_all):
    ours = learner(optim=optim, reg__weight_decay=0.05, reg__decay_all=decay_all)
    twins = {name: torch.nn.Parameter(torch.from_numpy(w)) for name, w in ours.weights().items()}
    biases = [twin for name, twin in twins.items() if name.endswith("bias")]
    groups = [
        {"params": [twin for name, twin in twins.items() if name.endswith("weight")], "weight_decay": 0.05},
        {"params": biases, "weight_decay": 0.05 if decay_all else 0.0},
    ]
    if optim["name"] == "sgd":
        optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=optim["nesterov"])
    else:
        optimizer = torch.optim.Adam(groups, lr=0.1)
    for step in range(20):
        x, targets, _ = batch(step)
        out = ours.train_batch(batch(step), 0.1)
        w1, b1, w2, b2 = twins.values()
        scores = torch.tanh(torch.from_numpy(x).flatten(1) @ w1.T + b1) @ w2.T + b2
        loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert float(out.loss) == pytest.approx(loss.item(), rel=1e-10)
    for name, w in ours.weights().items():
        np.testing.assert_allclose(w, twins[name].detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_arrays_take_the_precision_and_integers_stay(precision):
    ours = learner(precision=precision)
    for dtype in (np.float16, np.float32, np.float64):
        assert ours.array(np.ones((2, 3), dtype)).dtype == precision
    for dtype in (np.uint8, np.int64):
        assert ours.array(np.ones((2, 3), dtype)).dtype == dtype
    assert all(w.dtype == precision for w in ours.weights().values())
    out = ours.train_batch(Batch(ours.array(batch().inputs), batch().targets, 0), 0.1)
    assert out.scores.dtype == precision
    assert out.loss.dtype == precision  # the trainer sums in float64


def test_activations_hold_every_layer_and_end_in_the_scores():
    ours = learner(reg__dropout=0.5)
    activations = ours.activations(batch().inputs)
    assert list(activations) == list(ours.network.layers)
    np.testing.assert_array_equal(activations["head"], ours.scores(batch().inputs))
    np.testing.assert_array_equal(activations["backbone.drop1"], activations["backbone.act1"])


def test_probabilities_join_the_batches_of_a_pass():
    ours = learner()
    scores = [np.array([[0.0, 0.0, 0.0]]), np.log([[1.0, 2.0, 5.0], [8.0, 1.0, 1.0]])]
    expected = [[1 / 3, 1 / 3, 1 / 3], [0.125, 0.25, 0.625], [0.8, 0.1, 0.1]]
    np.testing.assert_allclose(ours.probabilities(scores), expected, rtol=1e-15)


def test_states_name_torch_s_slots():
    names = learner().weights().keys()
    weights = {f"weights/{name}" for name in names}
    plain, momentum, adam = learner(optim__momentum=0.0), learner(), learner(optim=ADAM)
    for ours in (plain, momentum, adam):
        assert ours.state().keys() == weights, "nothing but weights before the first step"
        ours.train_batch(batch(), 0.1)
    assert plain.state().keys() == weights
    assert momentum.state().keys() == weights | {f"optim/{name}/momentum_buffer" for name in names}
    slots = ("step", "exp_avg", "exp_avg_sq")
    assert adam.state().keys() == weights | {f"optim/{name}/{slot}" for name in names for slot in slots}
    assert adam.state()["optim/head.bias/step"].shape == ()


@pytest.mark.parametrize("optim", [CONFIG["optim"], ADAM])
def test_weights_alone_start_the_optimizer_afresh(optim):
    trained = learner(optim=optim)
    for step in range(3):
        trained.train_batch(batch(step), 0.1)
    weights = {key: value for key, value in trained.state().items() if key.startswith("weights/")}
    fresh, used = learner(optim=optim), trained
    for ours in (fresh, used):
        ours.load(weights)
        ours.train_batch(batch(9), 0.1)
    for key, value in fresh.state().items():
        np.testing.assert_array_equal(value, used.state()[key])


def test_load_names_all_that_does_not_fit():
    ours = learner(optim=ADAM)
    ours.train_batch(batch(), 0.1)
    state = ours.state()
    del state["weights/head.bias"], state["optim/head.weight/step"]
    state["weights/tail.bias"] = np.zeros(3)
    state["weights/head.weight"] = np.zeros((2, 2))
    with pytest.raises(ValueError, match="does not fit") as caught:
        ours.load(state)
    message = str(caught.value)
    assert "missing optim/head.weight/step, weights/head.bias" in message
    assert "unexpected weights/tail.bias" in message
    assert "weights/head.weight has shape (2, 2), not (3, 6)" in message


def test_slots_of_another_optimizer_are_refused():
    adam = learner(optim=ADAM)
    adam.train_batch(batch(), 0.1)
    with pytest.raises(ValueError, match="exp_avg"):
        learner().load(adam.state())


def test_a_run_that_diverges_says_so_by_its_loss_alone():
    ours = learner(precision="float32", model__activation="relu", model__hidden=[6, 6])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = [float(ours.train_batch(batch(step, np.float32), 1e30).loss) for step in range(5)]
        assert not math.isfinite(losses[-1])
        assert not math.isfinite(float(ours.eval_batch(batch(0, np.float32)).loss))
        ours.probabilities([ours.scores(batch(0, np.float32).inputs)])


def test_the_count_of_parameters_is_a_fact_of_the_epoch():
    assert learner().start_epoch(1) == {"parameters_trainable": 6 * 6 + 6 + 6 * 3 + 3}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"precision": "bfloat16"}, "precision=bfloat16.*float32, float64"),
        ({"model__activation": "swish"}, "model.activation=swish.*relu, leaky_relu, .*sigmoid"),
    ],
)
def test_what_is_not_written_here_is_refused_by_its_key(changes, words):
    with pytest.raises(RequestError, match=words):
        learner(**changes)
