"""The optimizers against torch.optim: a hundred steps with random gradients and another learning rate at each."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labrunner.errors import RequestError
from labrunner.reg import Reg
from labrunner.scratch.optimizers import KINDS as NAMED
from labrunner.scratch.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, make

SHAPES = {"linear.weight": (3, 4), "linear.bias": (3,), "head.weight": (2, 3), "head.bias": (2,)}
KINDS = {
    "sgd": (SGD, torch.optim.SGD, {}),
    "momentum": (SGD, torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (SGD, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (Adam, torch.optim.Adam, {}),
    "adam_other_betas": (Adam, torch.optim.Adam, {"betas": (0.5, 0.9), "eps": 1e-3}),
    "adamw": (AdamW, torch.optim.AdamW, {}),
    "adamw_other_betas": (AdamW, torch.optim.AdamW, {"betas": (0.5, 0.9), "eps": 1e-3}),
    "rmsprop": (RMSprop, torch.optim.RMSprop, {}),
    "rmsprop_momentum": (RMSprop, torch.optim.RMSprop, {"alpha": 0.9, "eps": 1e-3, "momentum": 0.8}),
    "adagrad": (Adagrad, torch.optim.Adagrad, {}),
    "adagrad_other_eps": (Adagrad, torch.optim.Adagrad, {"eps": 1e-2}),
}
NO_REG = {"weight_decay": 0.0, "l1": 0.0, "clip_norm": None}


def values(seed: int, dtype: type = np.float64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}


def rates(steps: int) -> np.ndarray:
    return np.random.default_rng(9).uniform(0.001, 0.1, size=steps)


@pytest.mark.parametrize("decayed", ["none", "weights", "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_steps_are_those_of_torch(kind, decayed):
    ours, theirs, settings = KINDS[kind]
    names = {"none": [], "weights": [n for n in SHAPES if n.endswith("weight")], "all": list(SHAPES)}[decayed]
    parameters = values(0)
    optimizer = ours(parameters, **settings, reg=Reg(0.05 if names else 0.0, names))
    twins = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in parameters.items()}
    groups = [
        {"params": [twins[n] for n in SHAPES if n in names], "weight_decay": 0.05},
        {"params": [twins[n] for n in SHAPES if n not in names], "weight_decay": 0.0},
    ]
    twin_optimizer = theirs([group for group in groups if group["params"]], lr=0.0, **settings)

    for step, lr in enumerate(rates(100)):
        gradients = values(1000 + step)
        for name, twin in twins.items():
            twin.grad = torch.from_numpy(gradients[name].copy())
        for group in twin_optimizer.param_groups:
            group["lr"] = float(lr)
        optimizer.step(gradients, float(lr))
        twin_optimizer.step()
        for name, twin in twins.items():
            np.testing.assert_allclose(parameters[name], twin.detach(), rtol=1e-12, atol=1e-12, err_msg=f"step {step}")

    for name, twin in twins.items():
        slots, twin_slots = optimizer.slots[name], twin_optimizer.state[twin]
        assert {k for k, v in twin_slots.items() if v is not None} == slots.keys(), "slots are named as in torch"
        for slot, value in slots.items():
            np.testing.assert_allclose(value, twin_slots[slot], rtol=1e-12, atol=1e-12)


def test_the_first_step_of_momentum_is_plain_descent():
    plain, heavy, gradients = values(0), values(0), values(1)
    SGD(plain).step(gradients, 0.1)
    SGD(heavy, momentum=0.9).step(gradients, 0.1)
    for name in SHAPES:
        np.testing.assert_array_equal(plain[name], heavy[name])


def test_the_first_step_of_adam_is_the_learning_rate_whatever_the_gradient():
    parameters, gradients = values(0), values(1)
    before = {name: value.copy() for name, value in parameters.items()}
    Adam(parameters, eps=0.0).step(gradients, 0.01)
    for name in SHAPES:  # m / sqrt(v) = g / |g| once both are freed of their start
        np.testing.assert_allclose(parameters[name], before[name] - 0.01 * np.sign(gradients[name]), rtol=1e-12)


def test_the_first_step_of_adagrad_is_the_learning_rate_and_the_fourth_of_equal_ones_is_half_of_it():
    parameters, gradients = values(0), values(1)
    optimizer = Adagrad(parameters, eps=0.0)
    moved = []
    for _ in range(4):
        before = {name: value.copy() for name, value in parameters.items()}
        optimizer.step(gradients, 0.01)
        moved.append({name: before[name] - parameters[name] for name in SHAPES})
    for name in SHAPES:  # g / sqrt(t g^2) = sign(g) / sqrt(t)
        np.testing.assert_allclose(moved[0][name], 0.01 * np.sign(gradients[name]), rtol=1e-12)
        np.testing.assert_allclose(moved[3][name], 0.005 * np.sign(gradients[name]), rtol=1e-12)


def test_the_first_step_of_rmsprop_is_the_learning_rate_over_the_root_of_what_is_not_kept():
    parameters, gradients = values(0), values(1)
    before = {name: value.copy() for name, value in parameters.items()}
    RMSprop(parameters, alpha=0.75, eps=0.0).step(gradients, 0.01)
    for name in SHAPES:  # g / sqrt(0.25 g^2) = 2 sign(g)
        np.testing.assert_allclose(parameters[name], before[name] - 0.02 * np.sign(gradients[name]), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_are_in_place_and_leave_the_gradients(kind, dtype):
    ours, _, settings = KINDS[kind]
    parameters, gradients = values(0, dtype), values(1, dtype)
    arrays, before = dict(parameters), {name: value.tobytes() for name, value in gradients.items()}
    optimizer: Optimizer = ours(parameters, **settings, reg=Reg(0.1, list(SHAPES), l1=0.01, clip_norm=0.5))
    optimizer.step(gradients, 0.1)
    assert all(parameters[name] is arrays[name] for name in SHAPES)
    assert all(value.dtype == dtype for value in parameters.values())
    assert {name: value.tobytes() for name, value in gradients.items()} == before


def test_decay_of_a_parameter_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"no_such\.weight.*linear\.weight"):
        SGD(values(0), reg=Reg(0.1, ["no_such.weight"]))


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValueError, match="nesterov"):
        SGD(values(0), nesterov=True)


@pytest.mark.parametrize(
    ("options", "twin"),
    [
        ({"name": "sgd", "momentum": 0.9, "nesterov": True}, lambda p: SGD(p, momentum=0.9, nesterov=True)),
        ({"name": "lms"}, SGD),
        ({"name": "adam", "betas": [0.5, 0.9], "eps": 1e-3}, lambda p: Adam(p, (0.5, 0.9), 1e-3)),
        ({"name": "adamw", "betas": [0.5, 0.9], "eps": 1e-3}, lambda p: AdamW(p, (0.5, 0.9), 1e-3)),
        (
            {"name": "rmsprop", "alpha": 0.9, "eps": 1e-3, "momentum": 0.5},
            lambda p: RMSprop(p, alpha=0.9, eps=1e-3, momentum=0.5),
        ),
        ({"name": "adagrad", "eps": 1e-3}, lambda p: Adagrad(p, eps=1e-3)),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_a_group_names_its_optimizer(options, twin):
    ours, theirs = values(0), values(0)
    made, twin_optimizer = make(ours, {**options, "lr": 7.0}, NO_REG, list(SHAPES)), twin(theirs)
    assert type(made) is type(twin_optimizer)
    for seed in range(3):
        made.step(values(seed), 0.1)
        twin_optimizer.step(values(seed), 0.1)
    for name in SHAPES:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_an_unknown_optimizer_is_refused_with_the_known_ones():
    with pytest.raises(RequestError, match=f"optim=lion.*{', '.join(NAMED)}"):
        make(values(0), {"name": "lion"}, NO_REG, [])
