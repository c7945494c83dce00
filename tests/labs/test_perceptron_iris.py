"""The lab on the perceptron and two pairs of iris: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import pytest

from tests.labs.outcomes import crosses, outcomes, settings
from tests.lines import cases

SHRUNK = ("experiment=perceptron_iris", "seed=0,1", "epochs=20")
SABOTAGE = {
    "stops_within_the_bound": (
        "init=normal",
        "init.std=1",
        "optim.lr=0.001",
        "epochs=60",
    ),  # the bound is one from zero weights
    "comes_to_rest": ("epochs=1",),
    # with all four lengths the training samples can be separated: a perceptron that rests has found the line
    "never_rests": ("dataset.features=null", "epochs=200"),
    "no_line_exists": ("dataset.features=null", "dataset.split_seed=2", "epochs=10"),  # a line that takes long to find
}
# what rests makes no mistake on any sample, so that its line separates them: whoever rests has shown that one exists
BRINGS = {"never_rests": ["no_line_exists"]}


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("perceptron_iris")["checks"]] == list(SABOTAGE)


def test_a_few_epochs_of_two_seeds_pass_all_checks(lab):
    found = outcomes(lab, *SHRUNK)
    assert crosses(found) == []
    assert 5 <= found["stops_within_the_bound"][1] <= 7


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=["comes_to_rest", "no_line_exists"]))
def test_each_check_falls_where_its_reason_is_taken_away_and_only_rest_brings_another_down(lab, check):
    found = outcomes(lab, "experiment=perceptron_iris", "seed=0,1", *SABOTAGE[check])
    assert crosses(found) == [check, *BRINGS.get(check, [])]
