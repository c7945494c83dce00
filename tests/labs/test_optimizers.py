"""The lab on optimizers: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import pytest

from labrunner.labs import LABS
from tests.labs.outcomes import copied, crosses, outcomes, settings
from tests.lines import cases

SABOTAGE = {
    # plain gradient descent takes longer than six epochs
    "each_reaches_90": ("epochs=6",),
    # of raw pixels in small batches the steps are too long already
    "momentum_is_not_slower": ("dataset.normalize=none", "batch_size=16", "epochs=6"),
    # without decay there is nothing that they do differently
    "adam_is_not_adamw": ("reg.weight_decay=0", "epochs=13"),
}


def found(lab, *overrides):
    """The lab without the variants that are much like others."""
    lines = [
        "    nesterov: {optim: sgd, optim.lr: 0.01, optim.momentum: 0.9, optim.nesterov: true}\n",
        "    adagrad: {optim: adagrad, optim.lr: 0.01}\n",
        "    rmsprop: {optim: rmsprop, optim.lr: 0.001, optim.momentum: 0.0}\n",
    ]
    copied(lab, "optimizers", *((line, "") for line in lines))
    return outcomes(lab, "experiment=mine", *overrides)


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("optimizers")["checks"]] == list(SABOTAGE)
    assert len(SABOTAGE) >= LABS["optimizers"].checks


def test_it_passes_with_fewer_epochs(lab):
    assert crosses(found(lab, "epochs=13")) == []


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=["each_reaches_90"]))
def test_each_check_falls_alone_where_its_reason_is_taken_away(lab, check):
    assert crosses(found(lab, *SABOTAGE[check])) == [check]
