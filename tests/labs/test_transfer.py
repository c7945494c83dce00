"""The labs on transfer with networks of torchvision, cut to few samples: counts, and what the frozen start is from."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from labrunner.files import read_json
from labrunner.labs import LABS
from tests.labs.outcomes import crosses, outcomes, settings
from tests.lines import cases

NAMES = ("transfer_efficientnet", "transfer_shufflenet")
CHECKS = [
    "a_frozen_backbone_leaves_the_head",
    "of_all_parameters",
    "what_was_frozen_stood_still",
    "frozen_features_are_no_worse_than_random_ones",
]


def found(lab, name, **backbone):
    """The lab on a few small images, with the two frozen variants, of which one is changed."""
    said = settings(name)
    variants = said["sweep"]["variants"]
    kept = {"backbone": variants["backbone"] | backbone, "random_backbone": variants["random_backbone"]}
    first = said["sweep"]["first"] | {"dataset.per_class": 2, "dataset.size": 32, "epochs": 1}
    said["sweep"] = said["sweep"] | {"first": first, "variants": kept}
    said["dataset"] = said["dataset"] | {"per_class": 2, "size": 32, "val_fraction": 0.01, "test_fraction": 0.01}
    said["epochs"], said["threads"] = 1, 1
    lab.write("conf/experiment/mine.yaml", "# @package _global_\n# Mine.\n" + yaml.safe_dump(said, sort_keys=False))
    return outcomes(lab, "experiment=mine")


@pytest.mark.parametrize("name", NAMES)
def test_its_checks_are_those_of_the_course(name):
    assert [check["check"] for check in settings(name)["checks"]] == CHECKS
    assert len(CHECKS) >= LABS[name].checks


@pytest.mark.parametrize("name", cases(NAMES, fast=["transfer_shufflenet"]))
def test_a_frozen_backbone_leaves_the_head_and_its_weights_are_those_of_the_first_run(lab, name, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(lab.folder))  # where no weights of ImageNet are
    outcome = found(lab, name)
    assert set(crosses(outcome)) <= {CHECKS[3]}  # so few samples say nothing of features
    head, whole = (outcome[check][1] for check in CHECKS[:2])
    assert (head, whole) == {NAMES[0]: (12810, 4020358), NAMES[1]: (10250, 1263854)}[name]
    used = read_json(Path(lab.folder, "swept", "1", "preprocessing.json"))["weights"]["used"]
    assert Path(used).name == "0"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_stage_that_trains_is_seen_in_the_count(lab, name):
    change = {"freeze": "partial", "freeze.stages": 1, "model.weights": "none"}
    assert CHECKS[0] in crosses(found(lab, name, **change))
