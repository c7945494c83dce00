"""The lab on losses: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import pytest

from labrunner.labs import LABS
from tests.labs.outcomes import crosses, outcomes, settings

SABOTAGE = {
    # a neuron that begins on the right side is not stuck, whatever its loss
    "mse_is_stuck": ("init.value=-2",),
    # fifty steps of a fifteenth of the length lead nowhere
    "cross_entropy_gets_away": ("optim.lr=0.01",),
    # when cross-entropy has arrived its steps are as small as those of the other
    "cross_entropy_moves_more": ("epochs=80",),
}


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("losses")["checks"]] == list(SABOTAGE)
    assert len(SABOTAGE) >= LABS["losses"].checks


def test_it_passes_and_its_numbers_are_the_same_for_every_seed(lab):
    found = outcomes(lab, "experiment=losses")
    assert crosses(found) == []
    assert outcomes(lab, "experiment=losses", "seed=7", folder="other") == found


@pytest.mark.parametrize("check", SABOTAGE)
def test_each_check_falls_alone_where_its_reason_is_taken_away(lab, check):
    assert crosses(outcomes(lab, "experiment=losses", *SABOTAGE[check])) == [check]
