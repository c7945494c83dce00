"""A class is graded: the honest ones pass, and each way of spoiling a run is named.

All submissions but the honest ones are spoilt copies of a few real runs, which were made to look as if each had been
made by itself; they are graded together, once.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from labrunner import checkpoint
from labrunner.cli import main
from labrunner.course import grading, manifest, submissions, wanted
from labrunner.course.table import csv_of
from labrunner.helping import Catalogue
from tests.course import handed
from tests.course.handed import all_right, anew, chosen, copy, put, run, seal, with_config, with_csv, with_json

MANIFEST = """
title: Lab 1
labrunner: ">=0.1,<0.2"
experiments:
  - name: baseline
    overrides: [model=mlp, dataset=digits, "model.hidden=[8]", epochs=3, optim.lr=0.02]
    allowed:
      seed: [0, 1, 2]
      optim.lr: {at_least: 0.01, at_most: 0.05}
      reg: [none, l2]
    expect:
      test_accuracy: {at_least: 0.6, at_most: 0.99}
    replay: true
    points: 4
"""

# edited files: every one but the first two with checksums that fit again


def unsealed(run: Path) -> None:
    with_json(run / "test.json", accuracy=0.99)


def checksums_gone(run: Path) -> None:
    with_csv(run / "metrics.csv", lambda row: {**row, "train_loss": "0.01"})
    (run / "checksums.json").unlink()


def checksum_of_metrics_gone(run: Path) -> None:
    with_csv(run / "metrics.csv", lambda row: {**row, "train_loss": "0.01"})
    sums = json.loads((run / "checksums.json").read_text())
    del sums["sha256"]["metrics.csv"]
    (run / "checksums.json").write_text(json.dumps(sums))


def accuracy(run: Path) -> None:
    with_json(run / "test.json", accuracy=0.99)


def interval(run: Path) -> None:
    with_json(run / "test.json", accuracy_low=0.98)


def loss_of_test(run: Path) -> None:
    with_json(run / "test.json", loss=0.01)


def rows(run: Path) -> None:
    with_csv(run / "metrics.csv", lambda row: {**row, "val_accuracy": "0.99"})


def val_loss_of_the_end(run: Path) -> None:
    with_csv(run / "metrics.csv", lambda row: {**row, "val_loss": repr(float(row["val_loss"]) / 2)})


def predictions(run: Path) -> None:
    all_right(run)


def labels(run: Path) -> None:
    with_csv(run / "predictions.csv", lambda row: {**row, "label": row["predicted"]})


def predicted_alone(run: Path) -> None:
    with_csv(run / "predictions.csv", lambda row: {**row, "predicted": row["label"]})


def confusion(run: Path) -> None:
    path = run / "confusion.csv"
    path.write_text(path.read_text().replace("\n0,", "\n0,1", 1))


def recall(run: Path) -> None:
    with_csv(run / "per_class.csv", lambda row: {**row, "recall": "1.0"})


def facts(run: Path) -> None:
    with_json(run / "facts.json", parameters=17)


EDITED = {
    unsealed: "test.json",
    checksums_gone: "checksums.json is not there",
    checksum_of_metrics_gone: "does not know metrics.csv",
    accuracy: "test.json says accuracy is 0.99, predictions.csv gives",
    interval: "test.json says accuracy_low is 0.98",
    loss_of_test: "test.json says loss is 0.01, the weights give",
    rows: "metrics.csv says val_accuracy is 0.99, the weights give",
    val_loss_of_the_end: "metrics.csv says val_loss is",
    predictions: "predictions.csv: the weights give other probabilities",
    labels: "labels are not those of the data set",
    predicted_alone: "predicted classes are not those of the highest probability",
    confusion: "confusion.csv does not count",
    recall: "per_class.csv: recall is not what predictions.csv gives",
    facts: "facts.json says parameters is 17, it is",
}
UNSEALED = (unsealed, checksums_gone, checksum_of_metrics_gone)

# swapped weights


def file_of_another_seed(run: Path) -> None:
    shutil.copyfile(Path("originals/seed1/checkpoints") / chosen(run).name, chosen(run))


def weights_of_another_seed(run: Path) -> None:
    put(checkpoint.read(chosen(Path("originals/seed1")))[0], chosen(run))


def weights_of_another_epoch(run: Path) -> None:
    other = next(path for path in sorted((run / "checkpoints").iterdir()) if path != chosen(run))
    put(checkpoint.read(other)[0], chosen(run))


def weights_of_another_model(run: Path) -> None:
    put(checkpoint.read(chosen(Path("originals/wide")))[0], chosen(run))


def another_seeds_numbers_too(run: Path) -> None:
    """All of another run, but for where it began: its seed is the one that was asked for."""
    for name in ("metrics.csv", "test.json", "predictions.csv", "confusion.csv", "per_class.csv", "facts.json"):
        shutil.copyfile(Path("originals/seed1") / name, run / name)
    shutil.rmtree(run / "checkpoints")
    shutil.copytree("originals/seed1/checkpoints", run / "checkpoints")
    shutil.copyfile("originals/seed1/initial.json", run / "initial.json")
    with_config(run, lambda config: None)


SWAPPED = {
    file_of_another_seed: "it belongs to a run with another config",
    weights_of_another_seed: "the weights give",
    weights_of_another_epoch: "the weights give",
    weights_of_another_model: "is 8 wide",
}

# a config that was edited back, with checkpoints that fit it


def another_rate(run: Path) -> None:
    shutil.rmtree(run)
    copy(Path("originals/fast"), run)
    with_config(run, lambda config: config["optim"].update(lr=0.02))


def another_optimizer(run: Path) -> None:
    shutil.rmtree(run)
    copy(Path("originals/sgd"), run)
    adam = yaml.safe_load(Path("originals/seed0/config.yaml").read_text())["optim"]
    with_config(run, lambda config: config.update(optim=adam))


def other_targets(run: Path) -> None:
    """Trained on other targets than the config says, as by a program that was changed."""
    whole = Path("originals/noisy")
    for name in ("metrics.csv", "test.json", "predictions.csv", "confusion.csv", "per_class.csv"):
        shutil.copyfile(whole / name, run / name)
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(whole / "checkpoints", run / "checkpoints")
    with_config(run, lambda config: None)


def train_loss_of_the_end(run: Path) -> None:
    with_csv(run / "metrics.csv", lambda row: {**row, "train_loss": repr(float(row["train_loss"]) / 2)})


HIDDEN = {
    another_rate: ("edited file", "metrics.csv says lr is 0.04 in epoch 1, its config gives 0.02"),
    another_optimizer: ("not reproduced", "epoch 3, trained again, ends elsewhere"),
    other_targets: ("not reproduced", "epoch 3, trained again, ends elsewhere"),
    train_loss_of_the_end: ("edited file", "metrics.csv says train_loss is"),
}

# an altered split


def samples_of_another_split(run: Path) -> None:
    """Made with another split, and the config edited back."""
    shutil.rmtree(run)
    copy(Path("originals/split1"), run)
    with_config(run, lambda config: config["dataset"].update(split_seed=0))


def other_samples(run: Path) -> None:
    with_json(run / "environment.json", data="sha256:0123456789abcdef")


def fewer_predictions(run: Path) -> None:
    path = run / "predictions.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-40]) + "\n")


SPLIT = {
    samples_of_another_split: "samples are not in the test split",
    other_samples: "environment.json",
    fewer_predictions: "predictions.csv",
}

# what a run was openly asked to be, whatever its command line is made to say

OPENLY: dict[str, tuple[tuple[str, ...], str, str]] = {
    "split_seed": (("dataset.split_seed=1",), "altered split", "dataset.split_seed is 1, asked for is 0"),
    "optimizer": (("optim=sgd", "optim.lr=0.02"), "forbidden override", "optim.name is sgd, asked for is adam"),
    "rate": (("optim.lr=0.2",), "forbidden override", "optim.lr is 0.2, asked for is 0.01 to 0.05"),
    "epochs": (("epochs=4",), "forbidden override", "epochs is 4, asked for is 3"),
    "seed": (("seed=7",), "forbidden override", "seed is 7, asked for is 0 or 1 or 2"),
    "reg": (("reg=l1",), "forbidden override", "reg.name is l1, asked for is none or l2"),
    "batch": (("batch_size=64",), "forbidden override", "batch_size is 64, asked for is 32"),
    "smoke": (("smoke=true",), "smoke run", "smoke is true, asked for is false"),
}

HONEST = ("ben", "cleo", "dan", "emma", "finn")


@pytest.fixture(scope="module")
def graded(hall: Path) -> dict[str, grading.Student]:
    """All submissions, graded."""
    handed_in, originals = hall / "in", hall / "originals"
    run(handed_in / "anna" / "baseline")
    run(handed_in / "ben" / "deep" / "inside" / "run", "seed=2", "optim.lr=0.03", "reg=l2", "probes=[gradients]")
    run(handed_in / "cleo", "epochs=2")
    assert main(["resume", str(handed_in / "cleo"), "epochs=3", "figures=none"]) == 0
    handed.by_process(handed_in / "cleo", 77)
    run(handed_in / "dan" / "x", "threads=2")
    run(handed_in / "emma" / "first", "optim.lr=0.2")  # tried out, and handed in beside what was asked for
    run(handed_in / "emma" / "second")
    run(handed_in / "finn" / "run", "dataset.normalize=standard", "reg.weight_decay=0.001", "reg=l2")
    base = run(originals / "seed0")
    run(originals / "seed1", "seed=1")
    run(originals / "wide", "model.hidden=[9]")
    run(originals / "fast", "optim.lr=0.04")
    run(originals / "sgd", "optim=sgd", "optim.lr=0.02")
    run(originals / "noisy", "dataset.label_noise=0.05")  # other training samples, by what the program did with them
    run(originals / "split1", "dataset.split_seed=1")
    for number, spoil in enumerate((*EDITED, *SWAPPED, another_seeds_numbers_too, *HIDDEN, *SPLIT)):
        folder = copy(base, handed_in / spoil.__name__ / "run")
        if spoil in UNSEALED:
            anew(folder, number + 1)
            spoil(folder)
        else:
            spoil(folder)
            anew(folder, number + 1)
    for name, (overrides, _, _) in OPENLY.items():
        folder = run(handed_in / name / "run", *overrides)
        (folder / "overrides.yaml").write_text((base / "overrides.yaml").read_text())
        with_json(folder / "environment.json", command="labrunner")
        seal(folder)
    copy(handed_in / "anna", handed_in / "ian")
    timed = copy(base, handed_in / "copied_and_timed_anew" / "run")
    copy(base, handed_in / "copied_from" / "run")
    with_csv(timed / "timing.csv", lambda row: {**row, **{name: repr(float(row[name]) * 1.1) for name in handed.TIMES}})
    seal(timed)
    others(handed_in, base)
    (hall / "lab1.yaml").write_text(MANIFEST)
    read, lines = manifest.read(hall / "lab1.yaml")
    known = Catalogue()
    course = grading.Course(read, wanted.composed(read, lines, known), known)
    folders = sorted(handed_in.iterdir())
    before = {path: path.stat().st_mtime_ns for path in handed_in.rglob("*") if not path.is_symlink()}
    students = grading.grade(course, submissions.named(folders), lambda text: None)
    assert before == {path: path.stat().st_mtime_ns for path in handed_in.rglob("*") if not path.is_symlink()}
    return {student.name: student for student in students}


def others(handed_in: Path, base: Path) -> None:
    """What is no run that was asked for, and what is no run."""
    (handed_in / "empty").mkdir()
    (handed_in / "zipped").write_bytes(b"PK")
    number = 500

    def spoilt(name: str, spoil: Callable[[Path], object]) -> None:
        nonlocal number
        number += 1
        folder = copy(base, handed_in / name / "run")
        anew(folder, number)
        spoil(folder)

    spoilt("interrupted", lambda run: with_json(run / "status.json", status="interrupted"))
    spoilt("other_version", lambda run: (with_json(run / "environment.json", labrunner="0.2.1"), seal(run)))
    spoilt("without_weights", lambda run: shutil.rmtree(run / "checkpoints"))
    spoilt("without_the_epoch_before", lambda run: (run / "checkpoints" / "00002.safetensors").unlink())
    spoilt("linked", lambda run: (run / "passwd").symlink_to("/etc/passwd"))
    spoilt("piped", lambda run: os.mkfifo(run / "probes" / "pipe"))
    spoilt("huge", lambda run: os.truncate(chosen(run), 5_000_000_000))
    spoilt("cut", lambda run: os.truncate(chosen(run), 100))
    spoilt("no_yaml", lambda run: (run / "config.yaml").write_text("{"))
    spoilt("bomb", lambda run: (run / "config.yaml").write_text("a: &a [1, 1]\n" + bomb()))
    spoilt(
        "code", lambda run: with_config(run, lambda config: config.update(model={"_target_": "os.system", "c": "x"}))
    )
    spoilt("wide_claim", lambda run: (with_config(run, lambda c: c["model"].update(hidden=[900_000])), seal(run)))
    spoilt("deep_json", lambda run: (run / "test.json").write_text("[" * 100_000))
    spoilt("no_number", lambda run: (with_csv(run / "predictions.csv", lambda row: {**row, "p_3": "nan"}), seal(run)))


def bomb() -> str:
    names = "abcdefghijklmnopqrstuvwxyz"
    return "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in itertools.pairwise(names))


def reasons(student: grading.Student) -> list[tuple[str, str, str]]:
    """(name, evidence, effect) of all that speaks against a student."""
    (experiment,) = student.experiments
    return [(reason.name, reason.evidence, reason.effect) for _, reason in experiment.all_reasons]


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_submission_passes_and_has_its_points(graded, name):
    student = graded[name]
    against = [each for each in reasons(student) if each[2] != "note"]
    assert (against, student.verdict, student.points) == ([], "passed", 4.0)


def test_what_was_tried_out_beside_what_was_asked_for_is_no_matter(graded):
    (experiment,) = graded["emma"].experiments
    assert experiment.attempts[0].handed.shown == "second"


@pytest.mark.parametrize(("spoil", "evidence"), EDITED.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_an_edited_file_is_named(graded, spoil, evidence):
    student = graded[spoil.__name__]
    assert any(name == "edited file" and evidence in said for name, said, _ in reasons(student)), reasons(student)
    assert (student.verdict, student.experiments[0].points) == ("look", None)


@pytest.mark.parametrize(("spoil", "evidence"), SWAPPED.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_swapped_weights_are_named(graded, spoil, evidence):
    student = graded[spoil.__name__]
    assert any(name == "swapped weights" and evidence in said for name, said, _ in reasons(student)), reasons(student)
    assert student.verdict == "look"


@pytest.mark.parametrize(("spoil", "expected"), HIDDEN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_what_a_config_hides_that_was_edited_back_is_named(graded, spoil, expected):
    student = graded[spoil.__name__]
    name, evidence = expected
    assert any(each == name and evidence in said for each, said, _ in reasons(student)), reasons(student)
    assert student.verdict == "look"


def test_a_run_of_another_seed_under_this_ones_name_did_not_begin_as_this_seed_does(graded):
    found = reasons(graded["another_seeds_numbers_too"])
    assert [name for name, _, effect in found if effect == "look"] == ["other start", "not reproduced"], found
    assert "are not those that seed=0 draws" in found[0][1]


@pytest.mark.parametrize(("spoil", "evidence"), SPLIT.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_an_altered_split_is_named(graded, spoil, evidence):
    student = graded[spoil.__name__]
    assert any(name == "altered split" and evidence in said for name, said, _ in reasons(student)), reasons(student)
    assert student.verdict == "look"


@pytest.mark.parametrize("name", OPENLY)
def test_what_a_run_was_openly_asked_to_be_fails_by_its_key_whatever_its_command_line_says(graded, name):
    _, expected, evidence = OPENLY[name]
    student = graded[name]
    assert any(each == expected and evidence in said for each, said, _ in reasons(student)), reasons(student)
    assert (student.verdict, student.points) == ("failed", 0.0)


@pytest.mark.parametrize(("name", "other"), [("ian", "anna"), ("anna", "ian")])
def test_a_copied_submission_is_named_on_both_sides(graded, name, other):
    found = reasons(graded[name])
    ((evidence,),) = [[said] for each, said, _ in found if each == "copied run"]
    assert f"the same run as {other}" in evidence
    assert "3 of 3 rows of timing.csv are equal to the last digit" in evidence
    assert graded[name].verdict == "look"


def test_a_copy_whose_times_were_changed_still_was_written_by_the_same_process(graded):
    found = [said for name, said, _ in reasons(graded["copied_and_timed_anew"]) if name == "copied run"]
    assert any("copied_from" in said and "at the same seconds" in said for said in found), found


def test_equal_weights_of_the_same_config_and_seed_are_no_copy(graded):
    weights = [
        checkpoint.state_hash(checkpoint.read(chosen(Path("in", place)))[0])
        for place in ("emma/second", "cleo", "anna/baseline")
    ]
    assert len(set(weights)) == 1
    assert [name for name, _, _ in reasons(graded["emma"])] == []


OTHERS = {
    "empty": ("missing run", "no run was handed in", "failed"),
    "interrupted": ("interrupted run", "it is interrupted, 3 of 3 epochs", "failed"),
    "other_version": ("other version", "made by labrunner 0.2.1, asked for is >=0.1,<0.2", "failed"),
    "without_weights": ("no weights", "checkpoints/ holds none", "failed"),
    "without_the_epoch_before": ("not replayed", "there is no 00002.safetensors that can be used", "look"),
    "linked": ("not a run's", "passwd is a symbolic link", "look"),
    "piped": ("not a run's", "probes/pipe is a pipe", "look"),
    "huge": ("not a run's", "has 5 GB", "look"),
    "cut": ("damaged file", "it is cut short", "look"),
    "no_yaml": ("damaged file", "cannot read config.yaml", "look"),
    "bomb": ("damaged file", "aliases", "look"),
    "code": ("foreign code", "os.system, which is not run", "look"),
    "wide_claim": ("forbidden override", "model.hidden is [900000], asked for is [8]", "failed"),
    "deep_json": ("damaged file", "test.json", "look"),
    "no_number": ("edited file", "predictions.csv", "look"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_whole_run_is_named_and_stops_nobody_else(graded, name):
    expected, evidence, effect = OTHERS[name]
    found = reasons(graded[name])
    assert any(each[0] == expected and evidence in each[1] and each[2] == effect for each in found), found
    assert graded[name].verdict == effect


def test_what_cannot_be_graded_says_why(graded):
    assert graded["zipped"].trouble is not None
    assert "unpack it first" in graded["zipped"].trouble
    assert [student.name for student in graded.values() if student.trouble is not None] == ["zipped"]


def test_the_numbers_of_the_table_are_those_of_the_weights_and_not_of_the_files(graded):
    rows = {row["student"]: row for row in csv.DictReader(io.StringIO(csv_of(list(graded.values()))))}
    honest = json.loads(Path("originals/seed0/test.json").read_text())
    for name in ("emma", "accuracy", "predictions", "loss_of_test"):
        assert float(rows[name]["test_accuracy"]) == pytest.approx(honest["accuracy"], abs=1e-9)
        assert float(rows[name]["test_loss"]) == pytest.approx(honest["loss"], rel=1e-6)
    assert json.loads(Path("in/accuracy/run/test.json").read_text())["accuracy"] == 0.99
