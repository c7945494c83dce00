"""Steps by name against `torch.optim`, whose arithmetic they borrow."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from labrunner.deep.optimizers import KINDS, SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, make
from labrunner.errors import RequestError
from labrunner.reg import Reg

CASES = {
    "sgd": (SGD, torch.optim.SGD, {}),
    "momentum": (SGD, torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (SGD, torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
    "adam": (Adam, torch.optim.Adam, {"betas": (0.8, 0.95), "eps": 1e-6}),
    "adamw": (AdamW, torch.optim.AdamW, {"betas": (0.8, 0.95), "eps": 1e-6}),
    "rmsprop": (RMSprop, torch.optim.RMSprop, {"alpha": 0.95, "eps": 1e-6}),
    "rmsprop_momentum": (RMSprop, torch.optim.RMSprop, {"momentum": 0.8}),
    "adagrad": (Adagrad, torch.optim.Adagrad, {"eps": 1e-6}),
}
NO_REG = {"weight_decay": 0.0, "l1": 0.0, "clip_norm": None}


def parameters() -> dict[str, nn.Parameter]:
    rng = torch.Generator().manual_seed(0)
    values = {
        "conv": torch.randn(4, 3, 3, 3, generator=rng, dtype=torch.float64).to(memory_format=torch.channels_last),
        "linear": torch.randn(5, 7, generator=rng, dtype=torch.float64),
        "bias": torch.randn(5, generator=rng, dtype=torch.float64),
    }
    return {name: nn.Parameter(value) for name, value in values.items()}


@pytest.mark.parametrize("decayed", [(), ("conv", "linear"), ("conv", "linear", "bias")], ids=["none", "some", "all"])
@pytest.mark.parametrize("case", CASES)
def test_a_hundred_steps_are_those_of_torch(case, decayed):
    ours_of, theirs_of, settings = CASES[case]
    ours, theirs = parameters(), parameters()
    optimizer = ours_of(ours, **settings, reg=Reg(0.1, decayed))
    groups = [{"params": [p], "weight_decay": 0.1 if name in decayed else 0.0} for name, p in theirs.items()]
    reference = theirs_of(groups, lr=0.0, **settings)
    rng = torch.Generator().manual_seed(1)
    for step in range(100):
        lr = 0.05 / (1 + step)
        for name, parameter in theirs.items():
            gradient = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
            parameter.grad, ours[name].grad = (torch.empty_like(parameter).copy_(gradient) for _ in range(2))
        optimizer.step(lr)
        for group in reference.param_groups:
            group["lr"] = lr
        reference.step()
    for name, parameter in theirs.items():
        torch.testing.assert_close(ours[name], parameter, rtol=1e-12, atol=1e-12)
        named = {slot for slot, value in reference.state[parameter].items() if value is not None}
        assert named == optimizer.slots[name].keys(), "slots are named as in torch"
        for slot, value in reference.state[parameter].items():
            if value is not None:
                torch.testing.assert_close(optimizer.slots[name][slot], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_each_parameter_moves_at_its_own_multiple_of_the_rate(case):
    """Twenty steps are those of torch's groups of parameters with the multiplied rates, weight decay included."""
    ours_of, theirs_of, settings = CASES[case]
    ours, theirs = parameters(), parameters()
    factors, decayed = {"conv": 0.25, "bias": 10.0}, ("conv", "linear")
    optimizer = ours_of(ours, **settings, reg=Reg(0.1, decayed), factors=factors)
    groups = [
        {"params": [p], "weight_decay": 0.1 if name in decayed else 0.0, "lr": 0.02 * factors.get(name, 1.0)}
        for name, p in theirs.items()
    ]
    reference = theirs_of(groups, lr=0.0, **settings)
    rng = torch.Generator().manual_seed(1)
    for _ in range(20):
        for name, parameter in theirs.items():
            gradient = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
            parameter.grad, ours[name].grad = (torch.empty_like(parameter).copy_(gradient) for _ in range(2))
        optimizer.step(0.02)
        reference.step()
    for name, parameter in theirs.items():
        torch.testing.assert_close(ours[name], parameter, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_parameter_that_is_left_out_stands_still_and_begins_afresh(case):
    ours_of, _, settings = CASES[case]
    ours, fresh = parameters(), parameters()
    optimizer = ours_of(ours, **settings, reg=Reg(0.1, list(ours), l1=0.01))

    def step(of: Optimizer, named: dict[str, nn.Parameter], names: list[str]) -> None:
        of.clear()
        for name in names:
            named[name].grad = torch.ones_like(named[name])
        of.step(0.1)

    step(optimizer, ours, list(ours))
    before = ours["linear"].detach().clone()
    ours["linear"].grad = torch.ones_like(ours["linear"])  # of a batch before it was left out
    optimizer.leave_out(["linear"])
    assert ours["linear"].grad is None
    assert "linear" not in optimizer.slots
    step(optimizer, ours, ["conv", "bias"])
    assert torch.equal(ours["linear"], before)
    with torch.no_grad():
        fresh["linear"].copy_(before)
    step(optimizer, ours, list(ours))
    step(ours_of(fresh, **settings, reg=Reg(0.1, list(fresh), l1=0.01)), fresh, ["linear"])
    assert torch.equal(ours["linear"], fresh["linear"])


@pytest.mark.parametrize("case", CASES)
def test_a_parameter_without_a_gradient_stands_still_with_its_state(case):
    ours_of, _, settings = CASES[case]
    ours = parameters()
    optimizer = ours_of(ours, **settings, reg=Reg(0.1, list(ours), l1=0.01, clip_norm=0.5))

    def step(names) -> None:
        optimizer.clear()
        for name in names:
            ours[name].grad = torch.ones_like(ours[name])
        optimizer.step(0.1)

    step(["linear", "bias"])
    conv, slots = ours["conv"].detach().clone(), {k: v.clone() for k, v in optimizer.slots["linear"].items()}
    assert "conv" not in optimizer.slots
    linear = ours["linear"].detach().clone()
    step(["bias"])
    assert torch.equal(ours["conv"], conv)
    assert torch.equal(ours["linear"], linear)
    assert all(torch.equal(optimizer.slots["linear"][k], v) for k, v in slots.items())
    step(["conv", "linear", "bias"])  # one of them for the first time
    assert not torch.equal(ours["conv"], conv)
    assert not torch.equal(ours["linear"], linear)


@pytest.mark.parametrize("case", CASES)
def test_slots_have_the_memory_format_of_their_weights(case):
    ours_of, _, settings = CASES[case]
    ours = parameters()
    optimizer = ours_of(ours, **settings)
    for parameter in ours.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(0.1)
    for name, slots in optimizer.slots.items():
        assert all(value.stride() == ours[name].stride() for value in slots.values() if value.ndim)


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
    ours, theirs = parameters(), parameters()
    made, twin_optimizer = make(ours, {**options, "lr": 7.0}, NO_REG, list(ours)), twin(theirs)
    assert type(made) is type(twin_optimizer)
    rng = torch.Generator().manual_seed(1)
    for _ in range(3):
        for name, parameter in ours.items():
            parameter.grad = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
            theirs[name].grad = parameter.grad.clone()
        made.step(0.1)
        twin_optimizer.step(0.1)
    assert all(torch.equal(parameter, theirs[name]) for name, parameter in ours.items())


def test_an_unknown_optimizer_is_refused_with_the_known_ones():
    with pytest.raises(RequestError, match=f"optim=lion.*{', '.join(KINDS)}"):
        make(parameters(), {"name": "lion"}, NO_REG, [])


@pytest.mark.parametrize("view", [lambda w: w[::2], lambda w: w[:, ::2], lambda w: w.t()], ids=["rows", "columns", "t"])
@pytest.mark.parametrize("case", CASES)
def test_a_parameter_that_is_a_view_with_gaps_moves_as_a_dense_one(case, view):
    ours_of, _, settings = CASES[case]
    whole = torch.arange(24.0, dtype=torch.float64).reshape(4, 6)
    gaps, dense = {"w": nn.Parameter(view(whole.clone()))}, {"w": nn.Parameter(view(whole.clone()).contiguous())}
    assert gaps["w"].stride() != dense["w"].stride()
    for parameters in (gaps, dense):
        optimizer = ours_of(parameters, **settings, reg=Reg(0.1, ["w"], l1=0.01, clip_norm=0.5))
        for step in range(5):
            gradient = torch.sin(torch.arange(parameters["w"].numel(), dtype=torch.float64) + step)
            # laid out as backward does it: like a weight without gaps, and row by row otherwise
            parameters["w"].grad = torch.empty_like(parameters["w"]).copy_(gradient.reshape(parameters["w"].shape))
            optimizer.step(0.05)
    torch.testing.assert_close(gaps["w"], dense["w"], rtol=1e-12, atol=1e-12)
