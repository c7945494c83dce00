"""The lab on learning rates: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import pytest

from labrunner.labs import LABS
from tests.labs.outcomes import copied, crosses, outcomes, settings
from tests.lines import cases

SABOTAGE = {
    # in five epochs neither of them gets there
    "a_thousandth_is_later_than_a_hundredth": ("epochs=5",),
    # momentum makes steps ten times as long: a hundredth is as good as a tenth was
    "a_hundredth_is_later_than_a_tenth": ("optim.momentum=0.9", "epochs=16"),
    # while it warms up, ten has not come to ten: the best epoch lies before
    "ten_learns_nothing": ("select=best", "schedule.warmup=10", "epochs=22"),
}


def found(lab, *overrides):
    """The lab without the rate that no check is about."""
    copied(lab, "learning_rates", ("0.1, 1, 10]", "0.1, 10]"))
    return outcomes(lab, "experiment=mine", *overrides)


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("learning_rates")["checks"]] == list(SABOTAGE)
    assert len(SABOTAGE) >= LABS["learning_rates"].checks


def test_it_passes_with_fewer_epochs(lab):
    assert crosses(found(lab, "epochs=16")) == []


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=1))
def test_each_check_falls_alone_where_its_reason_is_taken_away(lab, check):
    assert crosses(found(lab, *SABOTAGE[check])) == [check]
