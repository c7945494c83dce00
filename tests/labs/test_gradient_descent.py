"""The lab on the quadratic: its checks pass, and each falls where its run is given another rate or rule."""

from __future__ import annotations

import pytest

from tests.labs.outcomes import copied, crosses, outcomes, settings
from tests.lines import cases

SABOTAGE = {  # check -> what is changed in the lab's file
    "below_the_limit_it_arrives": ("sgd_0.4: {optim.lr: 0.4}", "sgd_0.4: {optim.lr: 0.55}"),
    "just_below_the_limit_it_swings": ("sgd_0.49: {optim.lr: 0.49}", "sgd_0.49: {optim.lr: 0.45}"),
    "just_above_the_limit_it_grows": ("sgd_0.51: {optim.lr: 0.51}", "sgd_0.51: {optim.lr: 0.495}"),
    "far_above_the_limit_it_explodes": ("sgd_0.6: {optim.lr: 0.6}", "sgd_0.6: {optim.lr: 0.5}"),
    "momentum_tames_the_same_rate": ("optim.momentum: 0.5}", "optim.momentum: 0.1}"),
    "scaled_steps_take_no_detour": ("{optim: adam, optim.lr: 0.4}", "{optim: adam, optim.lr: 4}"),
}
QUICK = "probes=[trajectory]"  # the other probes are for figures


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("gradient_descent")["checks"]] == list(SABOTAGE)


def test_all_checks_pass_with_the_numbers_of_the_closed_form(lab):
    found = outcomes(lab, "experiment=gradient_descent", QUICK)
    assert crosses(found) == []
    for check, lr in [
        ("below_the_limit_it_arrives", 0.4),
        ("just_below_the_limit_it_swings", 0.49),
        ("just_above_the_limit_it_grows", 0.51),
        ("far_above_the_limit_it_explodes", 0.6),
    ]:
        assert found[check][1] == pytest.approx(2.0 * abs(1.0 - 4.0 * lr) ** 20, rel=1e-5)  # w2 <- (1 - 4 lr) w2


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=1))
def test_each_check_falls_alone_where_its_run_is_another(lab, check):
    copied(lab, "gradient_descent", SABOTAGE[check])
    assert crosses(outcomes(lab, "experiment=mine", QUICK)) == [check]
