"""Steps by name against `torch.optim`, whose arithmetic they borrow."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from labrunner.deep.optimizers import SGD, Adam

CASES = {
    "sgd": (SGD, torch.optim.SGD, {}),
    "momentum": (SGD, torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (SGD, torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
    "adam": (Adam, torch.optim.Adam, {"betas": (0.8, 0.95), "eps": 1e-6}),
}


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
    optimizer = ours_of(ours, **settings, weight_decay=0.1, decayed=decayed)
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
        for slot, value in reference.state[parameter].items():
            if value is not None:
                torch.testing.assert_close(optimizer.slots[name][slot], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_parameter_without_a_gradient_stands_still_with_its_state(case):
    ours_of, _, settings = CASES[case]
    ours = parameters()
    optimizer = ours_of(ours, **settings, weight_decay=0.1, decayed=list(ours))

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
