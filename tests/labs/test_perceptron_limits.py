"""The lab on what one line cannot do: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import pytest

from tests.labs.outcomes import copied, crosses, outcomes, settings
from tests.lines import cases

SHRUNK = ("seed=0,1", "epochs=12", "probes=[]")  # the probe is for figures
XOR, CIRCLES = "xor: {dataset: xor, dataset.noise: 0.3}", "circles: {dataset: circles, dataset.noise: 0.1}"
SEPARABLE = "{dataset: blobs, dataset.num_classes: 2, dataset.noise: 0.3}"
SABOTAGE = {
    "xor_defeats_a_line": (XOR, f"xor: {SEPARABLE}"),
    "circles_defeat_a_line": (CIRCLES, f"circles: {SEPARABLE}"),
    "a_hidden_layer_solves_xor": (XOR, XOR.replace("0.3", "1.0")),
    "a_hidden_layer_solves_circles": (CIRCLES, CIRCLES.replace("0.1", "0.5")),
    "a_hidden_layer_gains_on_moons": ("dataset: moons, dataset.noise: 0.15", "dataset: moons, dataset.noise: 1.0"),
}


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("perceptron_limits")["checks"]] == list(SABOTAGE)


def test_two_seeds_pass_all_checks(lab):
    assert crosses(outcomes(lab, "experiment=perceptron_limits", *SHRUNK)) == []


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=["circles_defeat_a_line"]))
def test_each_check_falls_alone_where_its_reason_is_taken_away(lab, check):
    copied(lab, "perceptron_limits", SABOTAGE[check])
    assert crosses(outcomes(lab, "experiment=mine", *SHRUNK)) == [check]
