"""The lab on frozen and fine-tuned backbones: its checks pass, and the one on features falls where there are none."""

from __future__ import annotations

import pytest
import yaml

from labrunner.labs import LABS
from tests.labs.outcomes import crosses, outcomes, settings

CHECKS = ["frozen_features_of_mnist_beat_random_ones", "what_was_frozen_stood_still"]


def found(lab, frozen):
    """The lab with one seed, a fifth of MNIST and the two frozen variants, of which one is changed."""
    said = settings("frozen_or_finetuned")
    variants = said["sweep"]["variants"]
    kept = {"frozen": variants["frozen"] | frozen, "random_frozen": variants["random_frozen"]}
    first = said["sweep"]["first"] | {"dataset.per_class": 100}
    said["sweep"] = said["sweep"] | {"first": first, "variants": kept, "params": {"seed": [0]}}
    said["epochs"], said["threads"] = 20, 1
    lab.write("conf/experiment/mine.yaml", "# @package _global_\n# Mine.\n" + yaml.safe_dump(said, sort_keys=False))
    return outcomes(lab, "experiment=mine")


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("frozen_or_finetuned")["checks"]] == CHECKS
    assert len(CHECKS) >= LABS["frozen_or_finetuned"].checks


def test_one_seed_passes_all_checks_and_nothing_frozen_moved(lab):
    outcome = found(lab, {})
    assert crosses(outcome) == []
    assert outcome["what_was_frozen_stood_still"][1] == 0.0


@pytest.mark.slow
def test_features_that_were_never_trained_do_not_pass(lab):
    # the same variant but for its weights, so that both are random
    assert crosses(found(lab, {"model.weights": "none"})) == CHECKS[:1]
