"""The lab on starting weights: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import pytest
import yaml

from labrunner.labs import LABS
from tests.labs.outcomes import crosses, outcomes, settings
from tests.lines import cases

ASLEEP = {"init": "normal", "init.std": 0.02, "optim.lr": 1e-7}  # units of their own, which do not learn either
DEEP = {"model.hidden": [64] * 20}
SABOTAGE = {
    "zeros_stay_alike": {"zeros": ASLEEP},
    "constants_stay_alike": {"constant": ASLEEP},
    # with two classes, a network of one unit a layer does well
    "units_alike_learn_little": {"dataset": {"classes": [0, 1]}},
    "large_weights_start_far_off": {"normal_1": {"init": "normal", "init.std": 0.05}},
    "xavier_and_he_learn": {"he": {"init": "he_normal", "optim.lr": 1e-7}},
    "xavier_fades_in_relu": {"xavier_20": {"init": "he_uniform", **DEEP}},
    "he_keeps_the_spread": {"he_20": {"init": "xavier_uniform", **DEEP}},
}
NEEDED = ("zeros", "constant", "normal_1", "he", "xavier_20", "he_20")


def found(lab, changes):
    """The lab with one seed, four epochs, one of deep networks; variants replaced, or the data set changed."""
    said = settings("initialization") | {"epochs": 4}
    said["dataset"] = said["dataset"] | changes.get("dataset", {})
    variants = said["sweep"]["variants"] | changes
    short = {name: {"epochs": 1} if name.endswith("_20") else {} for name in NEEDED}
    said["sweep"] = {"variants": {name: variants[name] | short[name] for name in NEEDED}, "params": {"seed": [0]}}
    lab.write("conf/experiment/mine.yaml", "# @package _global_\n# Mine.\n" + yaml.safe_dump(said, sort_keys=False))
    return outcomes(lab, "experiment=mine")


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("initialization")["checks"]] == list(SABOTAGE)
    assert len(SABOTAGE) >= LABS["initialization"].checks


def test_one_seed_and_few_epochs_pass_all_checks(lab):
    assert crosses(found(lab, {})) == []


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=1))
def test_each_check_falls_alone_where_its_reason_is_taken_away(lab, check):
    assert crosses(found(lab, SABOTAGE[check])) == [check]
