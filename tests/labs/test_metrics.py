"""The lab on metrics: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import csv
import json

import pytest

from labrunner import facts
from labrunner.checks import of_run
from labrunner.records import load_run
from labrunner.relations import parse
from tests.labs.outcomes import settings

MICRO = ["micro_precision_is_accuracy", "micro_recall_is_accuracy", "micro_f1_is_accuracy"]
CHECKS = ["agrees_with_scikit_learn", *MICRO, "a_class_is_missing", "accuracy_hides_the_rare"]


def crosses(folder) -> list[str]:
    """The checks of a run that failed, as its file has them; all of them were computed."""
    with open(folder / "checks.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["check"] for row in rows] == CHECKS
    assert all(row["found"] for row in rows)
    return [row["check"] for row in rows if row["passed"] == "false"]


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("metrics")["checks"]] == CHECKS


@pytest.mark.parametrize("seed", [0, 1])
def test_all_checks_pass(lab, seed):
    folder = lab.train("run", "experiment=metrics", f"seed={seed}", "strict=true")
    assert crosses(folder) == []
    support = load_run(folder).per_class["support"].tolist()
    assert support[-1] == 0
    assert min(support[:-1]) > 0


def test_clouds_far_apart_leave_nothing_for_accuracy_to_hide(lab):
    assert crosses(lab.train("run", "experiment=metrics", "dataset.noise=0.3")) == ["accuracy_hides_the_rare"]


def test_a_larger_test_split_has_every_class(lab):
    assert crosses(lab.train("run", "experiment=metrics", "dataset.test_fraction=0.4")) == ["a_class_is_missing"]


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_the_macro_average_taken_for_the_micro_is_not_the_accuracy(lab, monkeypatch, name):
    monkeypatch.setitem(facts.DERIVED, f"micro_{name}", facts.DERIVED[f"macro_{name}"])
    assert crosses(lab.train("run", "experiment=metrics")) == [f"micro_{name}_is_accuracy"]


@pytest.mark.parametrize("key", ["f1", "auroc", "loss"])
def test_a_number_copied_with_two_digits_does_not_agree_with_scikit_learn(lab, key):
    folder = lab.train("run", "experiment=metrics")
    said = json.loads((folder / "test.json").read_text())
    (folder / "test.json").write_text(json.dumps(said | {key: round(said[key], 2)}))
    run = load_run(folder)
    verdicts = of_run(parse(run.config["checks"]), run)
    assert [verdict.check for verdict in verdicts if not verdict.passed] == ["agrees_with_scikit_learn"]
    assert all(verdict.found is not None for verdict in verdicts)
