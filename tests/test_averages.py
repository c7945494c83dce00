"""Micro, macro and weighted averages, and every recorded number of the test split, against scikit-learn."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics

from labrunner import agreement, averages
from labrunner.facts import DERIVED, Facts
from labrunner.records import load_run
from tests.folders import write_run
from tests.unsynced import unsynced  # noqa: F401 (for every test here)


def counted(truth, predicted, classes):
    return metrics.confusion_matrix(truth, predicted, labels=np.arange(classes))


@pytest.mark.parametrize("seed", range(8))
def test_averages_of_classes_that_are_all_there_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 9))
    truth = np.concatenate([np.arange(classes), rng.integers(classes, size=60)])
    predicted = np.where(rng.random(len(truth)) < 0.6, truth, rng.integers(classes, size=len(truth)))
    found = averages.averages(counted(truth, predicted, classes))
    assert found.keys() == set(averages.NAMES)
    for kind in averages.KINDS:
        theirs = metrics.precision_recall_fscore_support(truth, predicted, average=kind, zero_division=0.0)[:3]
        for name, value in zip(averages.NUMBERS, theirs, strict=True):
            assert found[f"{kind}_{name}"] == pytest.approx(value, abs=1e-12), (kind, name)


@pytest.mark.parametrize("seed", range(4))
def test_micro_precision_recall_and_f1_are_the_accuracy_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(7, size=(2, 101))
    found = averages.averages(counted(truth, predicted, 7))
    accuracy = float((truth == predicted).sum() / 101)
    assert {found[f"micro_{name}"] for name in averages.NUMBERS} == {accuracy}
    assert found["weighted_recall"] == pytest.approx(accuracy, abs=1e-15)


def test_a_class_that_is_missing_counts_only_where_its_number_is_defined():
    truth = np.array([0, 0, 0, 1, 1])
    # class 1 is never predicted, class 2 is predicted though it is nowhere, class 3 is neither
    found = averages.averages(counted(truth, np.array([0, 0, 2, 0, 0]), 4))
    assert found["macro_precision"] == pytest.approx((2 / 4 + 0 + 0) / 3)
    assert found["macro_recall"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["macro_f1"] == pytest.approx((4 / 7 + 0 + 0) / 3)
    assert found["weighted_recall"] == pytest.approx(2 / 5)
    assert averages.absent(counted(truth, truth, 4)) == 2


def test_nothing_at_all_has_no_average():
    assert all(math.isnan(value) for value in averages.averages(np.zeros((3, 3), int)).values())


# recorded runs


IMBALANCED = ("dataset=imbalanced", "model=softmax", "epochs=2")


def test_every_number_of_a_run_is_compared_and_agrees(lab):
    run = load_run(lab.train("run", *IMBALANCED))
    pairs = list(agreement.compared(run))
    names = {name for name, _, _ in pairs}
    assert set(run.test) - {"n", "accuracy_low", "accuracy_high", "epoch", "reads"} <= names
    assert {f"class {name}" for name in run.per_class.columns if name not in ("class", "support")} | {
        "support"
    } <= names
    assert set(averages.NAMES) <= names
    assert sum(name == "confusion" for name, _, _ in pairs) == 25
    assert agreement.apart_from_scikit_learn(run) < 1e-6
    assert any(math.isnan(one) and math.isnan(other) for _, one, other in pairs)  # of the class that is missing


@pytest.mark.parametrize("request_line", ["model=perceptron", "model=adaline", "model=mlp model.loss=mse"])
def test_scores_that_are_no_probabilities_have_no_loss_to_compare(lab, request_line):
    run = load_run(lab.train("run", "dataset=iris", "epochs=2", *request_line.split()))
    assert "loss" not in {name for name, _, _ in agreement.compared(run)}
    assert agreement.apart_from_scikit_learn(run) < 1e-6


@pytest.mark.parametrize(
    ("file", "key"),
    [("test.json", name) for name in ("accuracy", "loss", "precision", "recall", "f1", "auroc")]
    + [("per_class.csv", name) for name in ("support", "precision", "recall", "f1", "auroc")],
)
def test_a_number_that_was_tampered_with_is_found(lab, file, key):
    path = lab.train("run", *IMBALANCED) / file
    if file == "test.json":
        said = json.loads(path.read_text())
        path.write_text(json.dumps(said | {key: said[key] + 0.01}))
    else:
        header, first, *rest = path.read_text().splitlines()
        cells = first.split(",")
        at = header.split(",").index(key)
        cells[at] = str(int(cells[at]) + 1) if key == "support" else repr(float(cells[at]) - 0.01)
        path.write_text("\n".join([header, ",".join(cells), *rest]) + "\n")
    assert agreement.apart_from_scikit_learn(load_run(path.parent)) > 0.009


def test_a_number_where_scikit_learn_has_none_is_infinitely_far_from_it(lab):
    path = lab.train("run", *IMBALANCED) / "per_class.csv"
    text = path.read_text()
    assert "class 4,0,0.0,,0.0,\n" in text
    path.write_text(text.replace("class 4,0,0.0,,0.0,\n", "class 4,0,0.0,0.0,0.0,\n"))
    assert agreement.apart_from_scikit_learn(load_run(path.parent)) == math.inf


def test_these_facts_are_computed_when_they_are_asked_for_and_are_missing_without_a_test_split(tmp_path):
    run = load_run(write_run(tmp_path / "run"))
    facts = Facts(run)
    assert not set(facts) & DERIVED.keys()
    assert facts["macro_f1"] == pytest.approx(run.test["f1"])
    assert facts["classes_without_samples"] == 0
    assert facts["apart_from_scikit_learn"] < 1e-9
    without = Facts(load_run(write_run(tmp_path / "without", tested=False)))
    for name in DERIVED:
        with pytest.raises(KeyError):
            without[name]
    assert without.get("nonsense") is None


def test_facts_import_scikit_learn_only_where_it_is_asked(tmp_path):
    path = write_run(tmp_path / "run")
    code = (
        "import sys\nfrom labrunner.facts import Facts\nfrom labrunner.records import load_run\n"
        f"facts = Facts(load_run({str(path)!r}))\nfacts['micro_f1'], facts['val_loss']\nprint('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
