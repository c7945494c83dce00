"""The lab on Adaline's learning rate: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import json

import pytest

from labrunner.records import load_run
from tests.labs.outcomes import crosses, outcomes, settings
from tests.lines import cases

LAB = "experiment=adaline_learning_rate"
SABOTAGE = {
    "falls_at_half_the_limit": ("precision=float32",),  # what is left of the loss is rounding
    "falls_just_below_it": ("optim=sgd", "optim.momentum=0.012", "optim.nesterov=true"),  # whose limit is lower
    "grows_just_above_it": ("reg=clip", "reg.clip_norm=2"),
    # inputs that go together more closely: the best rate leaves the share r^2 of the excess, r their correlation
    "fast_at_the_best_rate": (
        "dataset.classes=[setosa,virginica]",
        "dataset.features=[sepal length,petal width]",
    ),
    "reaches_the_optimum": ("reg=l2", "reg.weight_decay=0.0001"),  # whose optimum is another
}


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("adaline_learning_rate")["checks"]] == list(SABOTAGE)


def test_the_lab_passes_all_checks_at_the_rates_that_its_first_run_found(lab):
    found = outcomes(lab, LAB, "epochs=80")
    assert crosses(found) == []
    first = json.loads((lab.folder / "swept" / "0" / "facts.json").read_text())
    rates = [load_run(lab.folder / "swept" / str(number)).config["optim"]["lr"] for number in range(1, 5)]
    limit = first["critical_lr"]
    assert rates == pytest.approx([0.5 * limit, 0.99 * limit, 1.01 * limit, first["best_lr"]], rel=1e-12)


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=["reaches_the_optimum"]))
def test_each_check_falls_alone_where_its_reason_is_taken_away(lab, check):
    slow = check in ("falls_at_half_the_limit", "fast_at_the_best_rate")  # until rounding shows; until it is there
    epochs = 120 if slow else 80
    assert crosses(outcomes(lab, LAB, f"epochs={epochs}", *SABOTAGE[check])) == [check]
