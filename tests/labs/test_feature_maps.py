"""The lab that looks into a CNN: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import pytest

from tests.labs.outcomes import copied, crosses, outcomes, settings
from tests.lines import cases

FEWER = ("epochs: 12", "epochs: 8")
SABOTAGE = {
    # average pooling under the name of the other; of another width, as two runs that are the same would be one
    "max_pooling_is_the_maximum_of_each_block": (
        "{model.pooling: max}",
        "{model.pooling: avg, model.channels: [8, 12]}",
    ),
    # three significant digits
    "average_pooling_is_the_mean_of_each_block": ("{model.pooling: avg}", "{model.pooling: avg, precision: bf16}"),
    "classes_lie_further_apart_with_depth": ("epochs: 12", "epochs: 1"),
    # trained on shifted images
    "a_shift_by_one_pixel_costs_accuracy": ("batch_size: 32", "batch_size: 32\naugment: {shift: 1}"),
}


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("feature_maps")["checks"]] == list(SABOTAGE)


def test_one_seed_passes_all_checks_after_fewer_epochs(lab):
    copied(lab, "feature_maps", FEWER)
    assert crosses(outcomes(lab, "experiment=mine", "seed=0")) == []


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=["classes_lie_further_apart_with_depth"]))
def test_each_check_falls_alone_where_its_reason_is_taken_away(lab, check):
    change = SABOTAGE[check]
    copied(lab, "feature_maps", *([FEWER] if change[0] != FEWER[0] else []), change)
    assert crosses(outcomes(lab, "experiment=mine", "seed=0")) == [check]
