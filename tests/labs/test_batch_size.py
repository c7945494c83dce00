"""The lab on the size of batches: its checks pass on less data, and each falls where its reason is taken away."""

from __future__ import annotations

import pytest

from tests.labs.outcomes import crosses, outcomes, settings
from tests.lines import cases

# 128 training samples; each of the lab's checks passes on these, too
SHRUNK = ("experiment=batch_size", "probes=[steps]", "seed=0,1", "dataset.samples=214")
SABOTAGE = {
    # 98 training samples: each epoch of 16s ends with a batch of two, that of 64s with one of 34
    "the_loss_is_calmer_over_16_samples_than_over_1": ("dataset.samples=162",),
    # 70 training samples: every second batch of the 64s is one of six, and every fifth of the 16s
    "and_over_64_than_over_16": ("dataset.samples=118",),
    # 64 training samples: a batch of 64 is all of them
    "and_over_all_than_over_64": ("dataset.samples=108",),
    "more_steps_get_further": ("init.weights=[0.27,-0.61]",),  # who begins at the goal needs no steps
    "the_full_batch_ignores_the_shuffle": ("precision=float32",),  # rounding of sums is seen in the eighth digit
    "single_samples_depend_on_it": ("schedule=cosine",),  # a rate that falls to 0 averages the samples after all
}


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("batch_size")["checks"]] == list(SABOTAGE)


def test_two_seeds_on_fewer_samples_pass_all_checks(lab):
    assert crosses(outcomes(lab, *SHRUNK)) == []


@pytest.mark.parametrize("check", cases(SABOTAGE, fast=["and_over_64_than_over_16"]))
def test_each_check_falls_alone_where_its_reason_is_taken_away(lab, check):
    assert crosses(outcomes(lab, *SHRUNK, *SABOTAGE[check])) == [check]
