"""The lab on regularization: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import pytest
import yaml

from labrunner.labs import LABS
from tests.labs.outcomes import crosses, outcomes, settings
from tests.lines import cases

SABOTAGE = {
    # where all labels are right it gains nothing
    "dropout_helps_in_spite_of_the_noise": {"dataset": {"label_noise": 0.0}},
    "decay_shortens_the_weights": {"l2": {"reg.weight_decay": 1e-4}},
    # with half of the labels wrong even the best epoch has learned some of them
    "the_best_epochs_hardly_differ": {"dataset": {"label_noise": 0.5}},
}


def found(lab, changes):
    """The lab with one seed and without the variants that no check is about; variants and the data set changed."""
    said = settings("regularization")
    said["dataset"] = said["dataset"] | changes.get("dataset", {})
    variants = said["sweep"]["variants"]
    said["sweep"] = {
        "variants": {name: variants[name] | changes.get(name, {}) for name in ("none", "dropout", "l2")},
        "params": {"seed": [0]},
    }
    lab.write("conf/experiment/mine.yaml", "# @package _global_\n# Mine.\n" + yaml.safe_dump(said, sort_keys=False))
    return outcomes(lab, "experiment=mine")


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("regularization")["checks"]] == list(SABOTAGE)
    assert len(SABOTAGE) >= LABS["regularization"].checks


def test_one_seed_passes_all_checks(lab):
    assert crosses(found(lab, {})) == []


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=0))
def test_each_check_falls_alone_where_its_reason_is_taken_away(lab, check):
    assert crosses(found(lab, SABOTAGE[check])) == [check]
