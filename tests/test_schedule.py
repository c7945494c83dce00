"""Schedules are pure functions that agree with torch's stateful ones step by step."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from labrunner.schedule import Rows, Schedule, constant, cosine, make, onecycle, plateau

PER_EPOCH = 4  # steps

OPTIONS: dict[str, dict[str, Any]] = {
    "constant": {},
    "step": {"step_size": 3, "gamma": 0.5},
    "multistep": {"milestones": [2, 3, 7], "gamma": 0.1},
    "exponential": {"gamma": 0.9},
    "cosine": {"min_lr": 0.003},
    "onecycle": {"pct_start": 0.3, "div_factor": 25.0, "final_div_factor": 1e4},
    "plateau": {"factor": 0.5, "patience": 2, "min_lr": 0.01},
}
Torchs = Callable[[torch.optim.Optimizer, float, int], lr_scheduler.LRScheduler]
# optimizer, lr, total steps -> torch's schedule, and whether it is stepped by the batch or by the epoch
TORCHS: dict[str, tuple[Torchs, str]] = {
    "constant": (lambda o, lr, total: lr_scheduler.LambdaLR(o, lambda _: 1.0), "epoch"),
    "step": (lambda o, lr, total: lr_scheduler.StepLR(o, step_size=3, gamma=0.5), "epoch"),
    "multistep": (lambda o, lr, total: lr_scheduler.MultiStepLR(o, milestones=[2, 3, 7], gamma=0.1), "epoch"),
    "exponential": (lambda o, lr, total: lr_scheduler.ExponentialLR(o, gamma=0.9), "epoch"),
    "cosine": (lambda o, lr, total: lr_scheduler.CosineAnnealingLR(o, T_max=total, eta_min=0.003), "batch"),
    "onecycle": (
        lambda o, lr, total: lr_scheduler.OneCycleLR(o, max_lr=lr, total_steps=total, cycle_momentum=False),
        "batch",
    ),
}


def optimizer_at(lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rate(optimizer: torch.optim.Optimizer) -> float:
    return optimizer.param_groups[0]["lr"]


def rows_of(values: list[float | None], monitor: str = "val_loss") -> list[dict[str, Any]]:
    return [{"epoch": epoch, monitor: value} for epoch, value in enumerate(values, start=1)]


def losses(epochs: int, seed: int = 0) -> list[float]:
    """Losses that fall, rise and stand still."""
    draw = random.Random(seed)
    return [round(draw.uniform(0.5, 1.0), 2) for _ in range(epochs)]


def asked(schedule: Schedule, rows: Rows, steps_per_epoch: int = PER_EPOCH) -> list[float]:
    """The learning rate of each step of a run that has these rows in the end."""
    total = len(rows) * steps_per_epoch
    return [schedule(step, total, rows[: step // steps_per_epoch]) for step in range(total)]


def torchs(name: str, lr: float, epochs: int) -> list[float]:
    make_schedule, stepped = TORCHS[name]
    optimizer = optimizer_at(lr)
    schedule = make_schedule(optimizer, lr, epochs * PER_EPOCH)
    rates = []
    for step in range(epochs * PER_EPOCH):
        rates.append(rate(optimizer))
        optimizer.step()
        if stepped == "batch" or (step + 1) % PER_EPOCH == 0:
            schedule.step()
    return rates


@pytest.mark.parametrize("lr", [0.1, 1e-4])
@pytest.mark.parametrize("epochs", [1, 2, 12])
@pytest.mark.parametrize("name", TORCHS)
def test_each_schedule_is_torchs_in_each_step(name, epochs, lr):
    schedule = make({"name": name, "warmup": 0} | OPTIONS[name], lr, steps_per_epoch=PER_EPOCH)
    # the cosine may even rise here: its min_lr is above the smaller lr
    assert asked(schedule, rows_of(losses(epochs))) == pytest.approx(torchs(name, lr, epochs), abs=1e-12, rel=0)


@pytest.mark.parametrize("lr", [0.3, 0.02])
@pytest.mark.parametrize("warmup", [1, 3])
@pytest.mark.parametrize("name", ["constant", "step", "multistep", "exponential", "cosine"])
def test_a_warm_up_is_torchs_sequence_of_a_line_and_the_schedule(name, warmup, lr):
    # torch steps a sequence by one clock: an epoch of one batch has but one
    epochs, per_epoch = 12, 1 if TORCHS[name][1] == "epoch" else PER_EPOCH
    steps = warmup * per_epoch
    optimizer = optimizer_at(lr)
    line = lr_scheduler.LinearLR(optimizer, start_factor=1 / steps, total_iters=steps - 1)
    rest = TORCHS[name][0](optimizer, lr, epochs * per_epoch - steps)
    sequence = lr_scheduler.SequentialLR(optimizer, [line, rest], milestones=[steps])
    expected = []
    for _ in range(epochs * per_epoch):
        expected.append(rate(optimizer))
        optimizer.step()
        sequence.step()
    schedule = make({"name": name, "warmup": warmup} | OPTIONS[name], lr, steps_per_epoch=per_epoch)
    assert asked(schedule, rows_of(losses(epochs)), per_epoch) == pytest.approx(expected, abs=1e-12, rel=0)


@pytest.mark.parametrize("name", OPTIONS)
def test_after_a_warm_up_the_schedule_runs_as_if_it_began_there(name):
    options, rows = {"name": name} | OPTIONS[name], rows_of(losses(12))
    warm = asked(make(options | {"warmup": 3}, 0.2, steps_per_epoch=PER_EPOCH), rows)
    assert warm[:12] == pytest.approx([0.2 * (step + 1) / 12 for step in range(12)], rel=1e-14)
    assert warm[12:] == asked(make(options | {"warmup": 0}, 0.2, steps_per_epoch=PER_EPOCH), rows[3:])


@pytest.mark.parametrize("warmup", [4, 9])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_warm_up_may_take_the_whole_run_and_more(name, warmup):
    schedule = make({"name": name, "warmup": warmup} | OPTIONS[name], 0.2, steps_per_epoch=PER_EPOCH)
    steps = warmup * PER_EPOCH
    expected = [0.2 * (step + 1) / steps for step in range(4 * PER_EPOCH)]
    assert asked(schedule, rows_of(losses(4))) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_schedule_forgets_what_it_was_asked_before(name, warmup):
    schedule = make({"name": name, "warmup": warmup} | OPTIONS[name], 0.1, steps_per_epoch=PER_EPOCH)
    rows = rows_of(losses(20))
    forwards = asked(schedule, rows)
    steps = list(range(20 * PER_EPOCH))
    assert [schedule(step, 80, rows[: step // PER_EPOCH]) for step in reversed(steps)] == forwards[::-1]
    random.Random(0).shuffle(steps)
    assert [schedule(step, 80, rows[: step // PER_EPOCH]) for step in steps] == [forwards[step] for step in steps]


# cosine


@pytest.mark.parametrize("total", [1, 2, 7, 500])
@pytest.mark.parametrize("min_lr", [0.0, 0.003])
def test_cosine_is_torchs_for_any_number_of_steps(min_lr, total):
    optimizer = optimizer_at(0.1)
    schedule = lr_scheduler.CosineAnnealingLR(optimizer, T_max=total, eta_min=min_lr)
    for step in range(total):
        assert cosine(0.1, min_lr)(step, total, []) == pytest.approx(rate(optimizer), abs=1e-12, rel=0)
        optimizer.step()
        schedule.step()


def test_cosine_begins_at_lr_passes_the_middle_and_never_rises():
    rates = [cosine(0.8, 0.2)(step, 100, []) for step in range(101)]
    assert rates[0] == pytest.approx(0.8, rel=1e-15)
    assert rates[50] == pytest.approx(0.5, rel=1e-14)
    assert rates[100] == pytest.approx(0.2, rel=1e-14)
    assert all(later < earlier for earlier, later in pairwise(rates))


def test_constant_is_the_same_at_each_step():
    assert {constant(0.3)(step, 1000, [{"val_loss": 1.0}] * step) for step in range(0, 1000, 7)} == {0.3}


# one cycle


@pytest.mark.parametrize("total", [2, 3, 11, 500])
@pytest.mark.parametrize("pct_start", [0.05, 0.3, 0.9])
def test_one_cycle_is_torchs_for_any_share_of_the_rise(pct_start, total):
    optimizer = optimizer_at(0.1)
    schedule = lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=0.5,
        total_steps=total,
        pct_start=pct_start,
        div_factor=10,
        final_div_factor=100,
        cycle_momentum=False,
    )
    for step in range(total):
        assert onecycle(0.5, pct_start, 10, 100)(step, total, []) == pytest.approx(rate(optimizer), abs=1e-12, rel=0)
        optimizer.step()
        if step < total - 1:
            schedule.step()


def test_one_cycle_begins_low_peaks_at_lr_and_ends_at_almost_nothing():
    rates = [onecycle(1.0, 0.25, 25.0, 1e4)(step, 104, []) for step in range(104)]
    assert rates[0] == pytest.approx(1 / 25, rel=1e-12)
    assert rates[-1] == pytest.approx(1 / 25 / 1e4, rel=1e-9)
    top = rates.index(max(rates))
    assert top == 25  # with the first 26 of 104 steps, a quarter of them
    assert rates[top] == pytest.approx(1.0, rel=1e-14)
    assert all(earlier < later for earlier, later in pairwise(rates[: top + 1]))
    assert all(earlier > later for earlier, later in pairwise(rates[top:]))


@pytest.mark.parametrize("total", [1, 2, 4])
@pytest.mark.parametrize("pct_start", [0.25, 0.5])
def test_one_cycle_never_divides_by_zero_in_a_very_short_run(pct_start, total):  # where torch does, at 0.5 * 2 - 1
    assert all(0.0 < onecycle(1.0, pct_start, 25.0, 1e4)(step, total, []) <= 1.0 for step in range(total))


# plateau


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "train_loss"])
@pytest.mark.parametrize(
    ("patience", "factor", "min_lr"), [(0, 0.5, 0.0), (2, 0.1, 0.0), (1, 0.3, 0.01), (5, 0.5, 0.0)]
)
def test_plateau_is_torchs_in_each_epoch(monitor, patience, factor, min_lr):
    values = losses(60, seed=patience)
    mode = "min" if monitor.endswith("_loss") else "max"
    optimizer = optimizer_at(0.2)
    reference = lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, factor=factor, patience=patience, min_lr=min_lr)
    schedule = plateau(0.2, factor, patience, min_lr, monitor)
    rows, rates = rows_of(values, monitor), []
    for epoch, value in enumerate(values):
        rates.append(schedule(epoch, 60, rows[:epoch]))
        assert rates[-1] == pytest.approx(rate(optimizer), rel=1e-12, abs=0)
        reference.step(value)
    assert len(set(rates)) > 2, "it has fallen more than once"


def test_plateau_falls_after_one_epoch_more_than_its_patience():
    schedule = plateau(1.0, 0.5, 2, 0.0, "val_loss")
    rows = rows_of([0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9])  # best, then six without a gain
    assert [schedule(0, 9, rows[:n]) for n in range(8)] == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    ("monitor", "values"),
    [("val_loss", [0.5, 0.49999, 0.49997]), ("val_accuracy", [0.5, 0.50001, 0.50003])],
)
def test_a_gain_of_less_than_a_ten_thousandth_is_none(monitor, values):
    schedule = plateau(1.0, 0.5, 0, 0.0, monitor)
    assert [schedule(0, 9, rows_of(values, monitor)[:n]) for n in range(4)] == [1.0, 1.0, 0.5, 0.25]
    better = [values[0], values[0] + (1 if monitor == "val_accuracy" else -1) * 0.0001]
    assert schedule(0, 9, rows_of(better, monitor)) == 1.0


def test_plateau_skips_rows_whose_monitor_is_blank():
    schedule = plateau(1.0, 0.5, 1, 0.0, "val_auroc")
    assert schedule(0, 9, rows_of([None, float("nan"), None, None], "val_auroc")) == 1.0
    # one epoch without a gain, whatever lies between
    assert schedule(0, 9, rows_of([0.9, None, 0.8, float("nan")], "val_auroc")) == 1.0
    assert schedule(0, 9, rows_of([0.9, None, 0.8, None, 0.8], "val_auroc")) == 0.5


def test_plateau_tells_runs_apart_whose_rows_are_as_many():
    schedule = plateau(1.0, 0.5, 0, 0.0, "val_loss")
    standing, falling = rows_of([0.5, 0.5]), rows_of([0.5, 0.4])
    assert [schedule(0, 9, rows) for rows in (standing, falling, standing)] == [0.5, 1.0, 0.5]


# groups


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"name": "constant"}, [0.4, 0.4, 0.4]), ({"name": "cosine", "min_lr": 0.2}, [0.4, 0.3, 0.2])],
)
def test_a_group_names_its_schedule(options, expected):
    schedule = make(options, 0.4)
    assert [schedule(step, 10, []) for step in (0, 5, 10)] == pytest.approx(expected, rel=1e-14)


def test_a_plateau_looks_at_the_monitor_of_the_run():
    options = {"name": "plateau", "warmup": 0, "factor": 0.5, "patience": 0, "min_lr": 0.0}
    rows = [{"epoch": n, "val_loss": 1.0 / n, "val_f1": 0.5} for n in (1, 2)]
    assert make(options, 0.4, "val_loss")(0, 9, rows) == 0.4
    assert make(options, 0.4, "val_f1")(0, 9, rows) == 0.2


def test_an_unknown_schedule_is_refused():
    with pytest.raises(KeyError, match="polynomial"):
        make({"name": "polynomial"}, 0.1)
