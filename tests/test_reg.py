"""What weight decay, l1 and clipping do to a step, computed by hand, on both sides."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from labrunner.deep import optimizers as deep
from labrunner.scratch import optimizers as scratch

NO_REG = {"weight_decay": 0.0, "l1": 0.0, "clip_norm": None}
LMS = {"name": "lms"}  # w <- w - lr g, so that the step shows the gradient
ADAMW = {"name": "adamw", "betas": [0.9, 0.999], "eps": 1e-12}
SHAPES = {"linear.weight": (3, 4), "linear.bias": (3,), "head.weight": (2, 3), "head.bias": (2,)}

Arrays = dict[str, np.ndarray]
Move = Callable[..., Arrays]


def on_numpy(weights: Arrays, gradients: list[Arrays], lr: float, optim: Any, reg: Any, decayed: list[str]) -> Arrays:
    parameters = {name: w.copy() for name, w in weights.items()}
    optimizer = scratch.make(parameters, optim, NO_REG | reg, decayed)
    for gradient in gradients:
        optimizer.step(gradient, lr)
    return parameters


def on_torch(weights: Arrays, gradients: list[Arrays], lr: float, optim: Any, reg: Any, decayed: list[str]) -> Arrays:
    parameters = {name: torch.nn.Parameter(torch.from_numpy(w.copy())) for name, w in weights.items()}
    optimizer = deep.make(parameters, optim, NO_REG | reg, decayed)
    for gradient in gradients:
        for name, parameter in parameters.items():
            parameter.grad = torch.from_numpy(gradient[name].copy())
        optimizer.step(lr)
    return {name: parameter.detach().numpy() for name, parameter in parameters.items()}


@pytest.fixture(params=[on_numpy, on_torch], ids=["numpy", "torch"])
def move(request: pytest.FixtureRequest) -> Move:
    return request.param


def arrays(**values: Any) -> Arrays:
    return {name: np.array(value, np.float64) for name, value in values.items()}


def moved_to(found: Arrays, **expected: Any) -> None:
    for name, value in arrays(**expected).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-15)


def test_weight_decay_adds_its_share_of_the_named_weights_to_their_gradient(move):
    start, gradient = arrays(w=[1.0, -2.0], b=[3.0]), arrays(w=[0.5, 0.5], b=[0.5])
    found = move(start, [gradient], 0.1, LMS, {"weight_decay": 0.2}, ["w"])
    # w: 1 - 0.1 (0.5 + 0.2 * 1) and -2 - 0.1 (0.5 - 0.2 * 2)
    moved_to(found, w=[0.93, -2.01], b=[2.95])


def test_adamw_shrinks_the_weight_itself_and_adam_scales_the_decay_away(move):
    start, gradient = arrays(w=[2.0]), arrays(w=[3.0])
    # the first step of either is lr * sign of what it takes for the gradient
    moved_to(move(start, [gradient], 0.1, ADAMW, {"weight_decay": 0.2}, ["w"]), w=[2.0 * (1 - 0.1 * 0.2) - 0.1])
    moved_to(move(start, [gradient], 0.1, ADAMW | {"name": "adam"}, {"weight_decay": 0.2}, ["w"]), w=[2.0 - 0.1])


def test_l1_adds_the_sign_of_the_named_weights_and_nothing_at_zero(move):
    start, gradient = arrays(w=[1.0, -5.0, 0.0, -0.0], b=[3.0]), arrays(w=[0.5, 0.5, 0.5, 0.0], b=[0.5])
    found = move(start, [gradient], 0.1, LMS, {"l1": 0.2}, ["w"])
    moved_to(found, w=[1.0 - 0.1 * 0.7, -5.0 - 0.1 * 0.3, -0.1 * 0.5, 0.0], b=[2.95])


def test_l1_alone_takes_the_same_from_large_and_small_weights(move):
    start, still = arrays(w=[1.0, 0.1, -3.0]), arrays(w=[0.0, 0.0, 0.0])
    moved_to(move(start, [still] * 5, 0.1, LMS, {"l1": 0.1}, ["w"]), w=[0.95, 0.05, -2.95])


def test_a_longer_gradient_is_scaled_down_to_the_length_over_all_parameters(move):
    start, gradient = arrays(w=[0.0, 0.0], b=[0.0]), arrays(w=[1.0, 2.0], b=[2.0])  # 3 long
    scale = 1.5 / (3.0 + 1e-6)
    moved_to(move(start, [gradient], 1.0, LMS, {"clip_norm": 1.5}, []), w=[-scale, -2 * scale], b=[-2 * scale])


@pytest.mark.parametrize("longest", [3.1, 1e9])
def test_a_shorter_gradient_is_left_alone(move, longest):
    start, gradient = arrays(w=[0.0, 0.0], b=[0.0]), arrays(w=[1.0, 2.0], b=[2.0])
    found = move(start, [gradient], 1.0, LMS, {"clip_norm": longest}, [])
    assert {name: w.tolist() for name, w in found.items()} == {"w": [-1.0, -2.0], "b": [-2.0]}


def test_clipping_comes_after_l1_and_before_weight_decay(move):
    start, gradient = arrays(w=[10.0]), arrays(w=[3.0])
    # (3 + l1) is clipped to 1, and 0.5 * 10 is added to that
    scale = 1.0 / (4.0 + 1e-6)
    found = move(start, [gradient], 0.1, LMS, {"clip_norm": 1.0, "l1": 1.0, "weight_decay": 0.5}, ["w"])
    moved_to(found, w=[10.0 - 0.1 * (4.0 * scale + 5.0)])


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("optim", [LMS, ADAMW], ids=["lms", "adamw"])
def test_a_gradient_without_a_finite_length_is_not_hidden_by_clipping(move, optim, bad):
    start, gradient = arrays(w=[1.0, 2.0], b=[1.0]), arrays(w=[0.1, bad], b=[0.1])
    with np.errstate(invalid="ignore"):
        found = move(start, [gradient], 0.1, optim, {"clip_norm": 1.0}, [])
    assert all(np.isnan(w).all() for w in found.values())


def test_a_finite_gradient_whose_length_overflows_is_not_hidden_either():
    for move in (on_numpy, on_torch):
        start, gradient = {"w": np.ones(2, np.float32)}, {"w": np.full(2, 1e30, np.float32)}
        with np.errstate(over="ignore"):
            assert np.isnan(move(start, [gradient], 0.1, LMS, {"clip_norm": 1.0}, [])["w"]).all()


def test_clipping_is_that_of_torch_over_a_hundred_steps():
    rng = np.random.default_rng(0)
    start = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    steps = [{name: scale * rng.normal(size=s) for name, s in SHAPES.items()} for scale in rng.uniform(0.01, 1, 100)]
    lengths = [math.sqrt(sum((g**2).sum() for g in step.values())) for step in steps]
    assert min(lengths) < 2.0 < max(lengths)

    twins = {name: torch.nn.Parameter(torch.from_numpy(w.copy())) for name, w in start.items()}
    reference = torch.optim.SGD(twins.values(), lr=0.1, momentum=0.9)
    for step in steps:
        for name, twin in twins.items():
            twin.grad = torch.from_numpy(step[name].copy())
        torch.nn.utils.clip_grad_norm_(twins.values(), 2.0)
        reference.step()
    for move in (on_numpy, on_torch):
        found = move(start, steps, 0.1, {"name": "sgd", "momentum": 0.9, "nesterov": False}, {"clip_norm": 2.0}, [])
        for name, twin in twins.items():
            np.testing.assert_allclose(found[name], twin.detach(), rtol=1e-12, atol=1e-12)


OPTIMS = {
    "sgd": {"momentum": 0.5, "nesterov": False},
    "lms": {},
    "adam": {"betas": [0.9, 0.99], "eps": 1e-6},
    "adamw": {"betas": [0.9, 0.99], "eps": 1e-6},
    "rmsprop": {"alpha": 0.9, "eps": 1e-6, "momentum": 0.5},
    "adagrad": {"eps": 1e-6},
}


@pytest.mark.parametrize("name", OPTIMS)
def test_both_sides_take_the_same_hundred_steps_with_everything_on(name):
    rng = np.random.default_rng(1)
    start = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    steps = [{name: rng.normal(size=shape) for name, shape in SHAPES.items()} for _ in range(100)]
    optim = {"name": name, **OPTIMS[name]}
    reg = {"weight_decay": 0.1, "l1": 0.05, "clip_norm": 1.0}
    decayed = ["linear.weight", "head.weight"]
    ours, theirs = (move(start, steps, 0.01, optim, reg, decayed) for move in (on_numpy, on_torch))
    for parameter in SHAPES:
        np.testing.assert_allclose(ours[parameter], theirs[parameter], rtol=1e-12, atol=1e-12)
