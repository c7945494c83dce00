"""The learning-rate range test: what it leaves behind, and what it suggests."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from labrunner.build import build
from labrunner.compose import compose
from labrunner.helping import Catalogue
from labrunner.probes.lr_range import (
    HIGHEST,
    KEPT,
    LOWEST,
    STEPS,
    Tried,
    range_test,
    rates,
    rounded,
    suggestion,
    table,
)
from labrunner.records.reading import read_notes
from tests.cli.lab import assert_same_run

SMALL = ("dataset=fake", "dataset.samples=60", "dataset.size=8", "batch_size=12")
LEARNERS = [
    ("model=mlp", "model.hidden=[6]", "optim=adam", "reg=dropout", "model.batch_norm=true"),
    ("model=mlp_numpy", "model.hidden=[6]", "optim=sgd", "optim.momentum=0.9", "model.batch_norm=true"),
    ("model=cnn", "model.channels=[3]", "optim=rmsprop"),
    ("model=softmax", "reg=mixup", "augment=shift"),
]


def built(*overrides):
    return build(compose([*SMALL, *overrides], Catalogue()).config, {})


@pytest.mark.parametrize("overrides", LEARNERS, ids=[each[0] for each in LEARNERS])
def test_a_learner_is_afterwards_what_it_was_before_to_the_bit(overrides):
    data, learner = built(*overrides)
    for batch in data.train.batches(1):
        learner.train_batch(batch, 0.01)
    before = {name: values.tobytes() for name, values in learner.state().items()}
    assert len(range_test(learner, data.train)) > 100
    assert {name: values.tobytes() for name, values in learner.state().items()} == before


def test_a_learner_is_put_back_also_where_the_loss_is_no_number():
    data, learner = built("model=mlp", "model.hidden=[6]", "model.loss=mse", "dataset.normalize=none", "optim=sgd")
    before = {name: values.tobytes() for name, values in learner.state().items()}
    tried = range_test(learner, data.train)
    assert len(tried) < STEPS
    assert all(math.isfinite(value) for each in tried for value in each)
    assert {name: values.tobytes() for name, values in learner.state().items()} == before


def test_the_rates_are_equally_far_apart_by_their_logarithm():
    found = list(rates())
    assert (len(found), found[0], found[-1]) == (STEPS, pytest.approx(LOWEST), pytest.approx(HIGHEST))
    assert np.diff(np.log(found)) == pytest.approx(np.log(HIGHEST / LOWEST) / (STEPS - 1))


def test_the_losses_are_those_of_a_bare_loop_and_their_mean_is_the_weighted_one():
    data, learner = built("model=softmax", "optim=sgd")
    tried = range_test(learner, data.train)
    losses, epoch = [], 0
    while len(losses) < len(tried):
        epoch += 1
        for batch in data.train.batches(epoch):
            if len(losses) < len(tried):
                losses.append(float(learner.train_batch(batch, tried[len(losses)].lr).loss))
    assert [each.loss for each in tried] == losses
    for count in (1, 2, 50, len(tried)):
        weights = KEPT ** np.arange(count)[::-1]  # the latest counts most, and all of them sum to one
        assert tried[count - 1].smoothed == pytest.approx(np.average(losses[:count], weights=weights))


def curve(loss):
    """Steps of a test whose smoothed loss is a function of log10 of the learning rate."""
    return [Tried(lr, loss(math.log10(lr)), loss(math.log10(lr))) for lr in rates()]


def test_the_suggestion_is_where_a_sigmoid_falls_steepest():
    tried = curve(lambda x: 2.0 - 1.5 / (1.0 + math.exp(-3.0 * (x + 3.0))))
    assert math.log10(tried[suggestion(tried)].lr) == pytest.approx(-3.0, abs=0.05)


def test_what_lies_behind_the_minimum_does_not_count():
    """The loss falls gently to 1e-3, explodes, and then falls back from there far more steeply."""

    def loss(x):
        if x < -3.0:
            return 2.0 - 0.2 * max(0.0, x + 5.0)
        return 1.6 + 20.0 * (x + 3.0) if x < -1.0 else 41.6 - 17.0 * (x + 1.0)

    tried = curve(loss)
    assert tried[suggestion(tried)].lr < 1e-3


def test_noise_at_the_start_is_not_taken_for_a_fall():
    rng = np.random.default_rng(0)
    tried = curve(lambda x: 2.0 - 1.5 / (1.0 + math.exp(-3.0 * (x + 3.0))))
    noisy = [
        each._replace(smoothed=each.smoothed + 1.5 / (at + 1) + 0.02 * rng.normal()) for at, each in enumerate(tried)
    ]
    assert math.log10(noisy[suggestion(noisy)].lr) == pytest.approx(-3.0, abs=0.3)


@pytest.mark.parametrize("loss", [lambda x: 1 + max(0, x + 2), lambda x: 1.0, lambda x: 1 - 1e-9 * x])
def test_a_loss_that_never_falls_suggests_nothing(loss):
    tried = curve(loss)
    assert suggestion(tried) is None
    assert sum(row[-1] for row in table(tried)) == 0


@pytest.mark.parametrize("count", range(14))
def test_a_test_of_a_few_steps_suggests_nothing(count):
    assert suggestion(curve(lambda x: -x)[:count]) is None


def test_the_fact_is_the_suggested_rate_in_two_digits(lab):
    folder = lab.train("run", *SMALL, "model=softmax", "epochs=1", "probes=[lr_range]")
    rows = read_notes(folder / "probes" / "lr_range.csv")
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert {(row["epoch"], row["step"]) for row in rows} == {(0, 0)}
    marked = [row["lr"] for row in rows if row["suggested"]]
    assert len(marked) == 1
    fact = json.loads((folder / "facts.json").read_text())["suggested_lr"]
    assert fact == rounded(marked[0])
    assert fact == pytest.approx(marked[0], rel=0.05)


def test_a_run_that_was_stopped_before_its_first_batch_goes_on_as_one_piece(lab, monkeypatch):
    """The range test takes its time: a signal may come in the middle of it."""
    from labrunner.deep import TorchLearner
    from tests.cli.cuts import interrupt_at

    set_up = (*SMALL, "model=softmax", "epochs=2", "probes=[lr_range]", "figures=none")
    whole = lab.train("whole", *set_up)
    with monkeypatch.context() as patch:
        interrupt_at(patch, TorchLearner, "train_batch", 20)
        assert lab("hydra.run.dir=cut", *set_up).code == 143
    assert (lab.folder / "cut/metrics.csv").read_text().count("\n") == 1
    assert lab("resume", "cut").code == 0
    assert_same_run(whole, lab.folder / "cut")


def test_a_perceptron_has_no_learning_rate_to_look_for(lab):
    ended = lab("model=perceptron", "dataset=iris", "probes=[lr_range]")
    assert ended.code == 2
    assert "model=adaline" in ended.err
    assert lab.tree() == {}
