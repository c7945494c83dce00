"""The lab on the range test: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import pytest

from labrunner.labs import LABS
from tests.labs.outcomes import copied, crosses, outcomes, settings
from tests.lines import cases

SABOTAGE = {
    # he begins with larger weights, where the loss falls early, and three epochs favour what is bold
    "the_suggestion_is_near_the_best": ("init=he", "epochs=3"),
    # a tenth of the labels are wrong, and small steps have no time to learn them by heart
    "a_hundredth_of_it_is_too_slow": ("dataset.label_noise=0.1",),
    # while it warms up, a hundred times it is not yet that much: the best epoch lies before
    "a_hundred_times_it_learns_nothing": ("select=best", "schedule.warmup=25"),
}


def found(lab, *overrides):
    """The lab with a coarser grid."""
    copied(lab, "learning_rate_range", ("[0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100]", "[0.01, 1, 10, 100]"))
    return outcomes(lab, "experiment=mine", *overrides)


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("learning_rate_range")["checks"]] == list(SABOTAGE)
    assert len(SABOTAGE) >= LABS["learning_rate_range"].checks


def test_it_passes_on_a_coarser_grid(lab):
    assert crosses(found(lab)) == []


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=1))
def test_each_check_falls_alone_where_its_reason_is_taken_away(lab, check):
    assert crosses(found(lab, *SABOTAGE[check])) == [check]
