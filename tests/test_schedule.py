"""Schedules are pure functions that agree with torch's stateful ones step by step."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from labrunner.schedule import constant, cosine, make


def torchs_cosine(lr: float, min_lr: float, total: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total, eta_min=min_lr)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("total", [1, 2, 7, 500])
@pytest.mark.parametrize("min_lr", [0.0, 0.003])
@pytest.mark.parametrize("lr", [0.1, 1e-4])
def test_cosine_is_torchs_in_each_step(lr, min_lr, total):
    ours = [cosine(lr, min_lr)(step, total, []) for step in range(total)]
    assert ours == pytest.approx(torchs_cosine(lr, min_lr, total), abs=1e-12, rel=0)


def test_cosine_begins_at_lr_passes_the_middle_and_never_rises():
    rates = [cosine(0.8, 0.2)(step, 100, []) for step in range(101)]
    assert rates[0] == pytest.approx(0.8, rel=1e-15)
    assert rates[50] == pytest.approx(0.5, rel=1e-14)
    assert rates[100] == pytest.approx(0.2, rel=1e-14)
    assert all(later < earlier for earlier, later in pairwise(rates))


def test_constant_is_the_same_at_each_step():
    assert {constant(0.3)(step, 1000, [{"val_loss": 1.0}] * step) for step in range(0, 1000, 7)} == {0.3}


def test_a_schedule_forgets_what_it_was_asked_before():
    schedule = cosine(0.1, 0.0)
    forwards = [schedule(step, 20, []) for step in range(20)]
    assert [schedule(step, 20, []) for step in reversed(range(20))] == forwards[::-1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"name": "constant"}, [0.4, 0.4, 0.4]), ({"name": "cosine", "min_lr": 0.2}, [0.4, 0.3, 0.2])],
)
def test_a_group_names_its_schedule(options, expected):
    schedule = make(options, 0.4)
    assert [schedule(step, 10, []) for step in (0, 5, 10)] == pytest.approx(expected, rel=1e-14)
