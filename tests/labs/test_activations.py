"""The lab on activation functions: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import pytest
import yaml

from labrunner.labs import LABS
from tests.labs.outcomes import crosses, outcomes, settings
from tests.lines import cases

SABOTAGE = {
    # weights large enough to make up for the small slope of the sigmoid
    "sigmoid_starves_the_first_of_eight_layers": {"sigmoid": {"init": "normal", "init.std": 0.3}},
    # a start with a third of He's variance and with biases, and an optimizer that learns all the same
    "relu_feeds_the_first_of_eight_layers": {
        "relu": {"init": "default", "optim": "adam", "optim.lr": 0.003, "epochs": 10}
    },
    # steps that do not shrink with the gradient, and weights just large enough for them
    "eight_sigmoid_layers_stay_at_chance": {
        "sigmoid": {"init": "normal", "init.std": 0.2, "optim": "adam", "optim.lr": 0.005}
    },
    "eight_relu_layers_learn": {"relu": {"optim.lr": 1e-5}},
    "one_sigmoid_layer_learns": {"sigmoid": {"optim.lr": 1e-5}},
}


def found(lab, changes):
    """The lab with one seed, the first and the last of its activations and depths, and six epochs; variants changed."""
    said = settings("activations") | {"epochs": 6}
    sweep = said["sweep"]
    sweep["variants"] = {name: sweep["variants"][name] | changes.get(name, {}) for name in ("relu", "sigmoid")}
    sweep["params"] = {"model.hidden": [[64], [64] * 8], "seed": [0]}
    lab.write("conf/experiment/mine.yaml", "# @package _global_\n# Mine.\n" + yaml.safe_dump(said, sort_keys=False))
    return outcomes(lab, "experiment=mine")


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("activations")["checks"]] == list(SABOTAGE)
    assert len(SABOTAGE) >= LABS["activations"].checks


def test_one_seed_and_few_epochs_pass_all_checks(lab):
    assert crosses(found(lab, {})) == []


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=1))
def test_each_check_falls_alone_where_its_reason_is_taken_away(lab, check):
    assert crosses(found(lab, SABOTAGE[check])) == [check]
