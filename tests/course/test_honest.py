"""Honest runs of many kinds, of which nothing is said, whatever learns and however it is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labrunner.cli import main
from labrunner.course import grading, manifest, wanted
from labrunner.deep.learner import TorchLearner
from labrunner.helping import Catalogue
from tests.cli.cuts import interrupt_at

SMALL_CNN = ("model=cnn", "model.channels=[4]")
QUICK: dict[str, tuple[str, ...]] = {
    "mlp_numpy": ("model=mlp_numpy", "model.hidden=[8]", "epochs=2"),
    "perceptron": ("model=perceptron", "dataset=breast_cancer", "epochs=3"),
    "adaline": ("model=adaline", "dataset=iris", "epochs=3"),
    "plateau": ("dataset=moons", "schedule=plateau", "epochs=8"),
    "early": ("dataset=iris", "reg=early_stopping", "epochs=40", "optim.lr=0.1"),
    "no_validation": ("dataset=iris", "dataset.val_fraction=0", "monitor=train_loss", "epochs=2"),
    "no_test": ("dataset=iris", "dataset.test_fraction=0", "epochs=2"),
    "no_classes": ("dataset=quadratic", "model=adaline", "optim=sgd", "epochs=3"),
    "frozen": (*SMALL_CNN, "freeze=backbone", "freeze.cache=true", "epochs=2"),
    "noisy": ("dataset.label_noise=0.2", "dataset.per_class=10", "dataset.classes=[3,5,8]", "epochs=2"),
}
MORE: dict[str, tuple[str, ...]] = {
    "varied": (*SMALL_CNN, "reg=dropout", "augment=shift", "epochs=2"),
    "cosine": ("dataset=moons", "optim=sgd", "schedule=cosine", "epochs=3"),
    "cnn": (*SMALL_CNN, "epochs=3"),
    "mixup": ("epochs=3", "reg=mixup"),
    "neuron": ("model=neuron", "dataset=breast_cancer", "epochs=4"),
    "one_cycle": ("dataset=moons", "schedule=onecycle", "epochs=5"),
    "bf16": ("epochs=3", "precision=bf16"),
    "float64": ("epochs=3", "precision=float64"),
    "full": ("dataset=iris", "batch_size=full", "epochs=5"),
    "last": ("dataset=iris", "select=last", "epochs=5"),
    "resized": ("dataset.size=12", "model=lenet", "epochs=2"),
    "gradual": ("model=cnn", "model.channels=[4,4]", "freeze=gradual", "epochs=4"),
    "batch_norm": ("model=mlp", "model.batch_norm=true", "epochs=3"),
    "rmsprop": ("optim=rmsprop", "epochs=3"),
    "adamw": ("optim=adamw", "reg=l2", "epochs=3"),
    "shufflenet": (
        *("model=shufflenet_v2_x1_0", "dataset=digits", "dataset.size=32", "dataset.per_class=5"),
        "epochs=2",
    ),
}


def graded(folder: Path, kinds: dict[str, tuple[str, ...]], code: int = 0) -> grading.Student:
    for name, overrides in kinds.items():
        assert main([f"hydra.run.dir={folder / name}", "figures=none", *overrides]) == code
    asked = [f"  - {{name: {name}, replay: true, overrides: {json.dumps(each)}}}\n" for name, each in kinds.items()]
    path = folder.with_suffix(".yaml")
    path.write_text("title: Honest\nexperiments:\n" + "".join(asked))
    read, lines = manifest.read(path)
    known = Catalogue()
    course = grading.Course(read, wanted.composed(read, lines, known), known)
    (student,) = grading.grade(course, {folder: "h"}, lambda said: None)
    return student


@pytest.mark.parametrize("kinds", [QUICK, pytest.param(MORE, marks=pytest.mark.slow)], ids=["quick", "more"])
def test_of_an_honest_run_nothing_is_said(hall, kinds):
    student = graded(hall / f"in{len(kinds)}", kinds)
    said = {each.wanted.name: [str(reason) for _, reason in each.all_reasons] for each in student.experiments}
    assert said == {name: [] for name in kinds}
    assert student.verdict == "passed"


def test_of_a_run_that_was_cut_in_the_middle_of_an_epoch_nothing_else_is_said(hall, monkeypatch):
    interrupt_at(monkeypatch, TorchLearner, "train_batch", 80)  # of 34 an epoch
    student = graded(hall / "cut", {"cut": ("model=mlp", "dataset=digits", "epochs=4")}, code=143)
    (experiment,) = student.experiments
    (said,) = [f"{reason.name}: {reason.evidence}" for _, reason in experiment.all_reasons]
    assert said == "interrupted run: it is interrupted, 2 of 4 epochs"
    assert student.verdict == "failed"
