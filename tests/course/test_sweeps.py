"""Sweeps that are asked for: every run has to be there, and one that was copied under another seed is named."""

from __future__ import annotations

import csv
import io
import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from labrunner.cli import main
from labrunner.course import grading, manifest, submissions, table, wanted
from labrunner.helping import Catalogue, own_folders
from tests.course import handed
from tests.course.handed import anew, copy, seal, with_config, with_csv

MANIFEST = """
title: Sweeps
experiments:
  - name: rates
    overrides: [model=softmax, dataset=iris, epochs=2]
    sweep: {optim.lr: [0.01, 0.1], seed: [0, 1]}
    expect:
      test_accuracy: {take: max, at_least: 0.3}
      parameters: {equals: 15}
    points: 6
"""
FACTS = """
title: Waiting
experiments:
  - name: waiting
    overrides: [experiment=waits]
"""
WAITS = """\
# @package _global_
# A run, and two that take a value from a fact of it and their weights from its folder.
defaults:
  - override /model: cnn
  - override /dataset: digits
epochs: 1
dataset: {per_class: 8}
model: {channels: [2]}
sweep:
  first: {}
  variants:
    lower: {model.weights: "{first}"}
    drawn: {model.weights: none, seed: 5}
"""
PROCESSES = itertools.count(500)


def sweep(folder: Path, *overrides: str) -> Path:
    assert main(["-m", f"hydra.sweep.dir={folder}", "figures=none", "model=softmax", "dataset=iris", *overrides]) == 0
    number = next(PROCESSES)
    for run in folder.glob("*/status.json"):
        handed.by_process(run.parent, number)
    return folder


def grade(text: str, folders: Path) -> dict[str, grading.Student]:
    path = folders.parent / "manifest.yaml"
    path.write_text(text)
    read, lines = manifest.read(path)
    known = Catalogue(own_folders(None))
    code = None if read.code is None else (path.parent / read.code).resolve()
    given = [path.parent / folder for folder in read.handed_out]
    course = grading.Course(read, wanted.composed(read, lines, known), known, code, handed_out=given)
    students = grading.grade(course, submissions.named(sorted(folders.iterdir())), lambda said: None)
    return {student.name: student for student in students}


def reasons(student: grading.Student) -> list[tuple[str, str, str, str]]:
    """(label, name, evidence, effect) of the one experiment."""
    (experiment,) = student.experiments
    return [(label, reason.name, reason.evidence, reason.effect) for label, reason in experiment.all_reasons]


@pytest.fixture(scope="module")
def graded(hall: Path) -> dict[str, grading.Student]:
    asked = ("epochs=2", "optim.lr=0.01,0.1", "seed=0,1")
    sweep(hall / "in" / "anna" / "sweep", *asked)
    sweep(hall / "in" / "ben" / "sweep", *asked)
    shutil.rmtree(hall / "in" / "ben" / "sweep" / "2")
    one_seed = sweep(hall / "in" / "cleo" / "sweep", "epochs=2", "optim.lr=0.01,0.1")
    for number in (0, 1):  # what was trained once is handed in as of two seeds
        folder = copy(one_seed / str(number), one_seed / str(number + 2))
        with_config(folder, lambda config: config.update(seed=1))
        seal(folder)
    two = sweep(hall / "in" / "dora" / "sweep", *asked)
    for number in (1, 3):  # and the same with times of its own
        shutil.rmtree(two / str(number))
        folder = copy(two / str(number - 1), two / str(number))
        with_config(folder, lambda config: config.update(seed=1))
        anew(folder, number)
    (hall / "in" / "emil").mkdir()
    return grade(MANIFEST, hall / "in")


def test_a_whole_sweep_passes(graded):
    student = graded["anna"]
    assert (reasons(student), student.verdict, student.points) == ([], "passed", 6.0)
    assert [attempt.handed.shown for attempt in student.experiments[0].attempts] == [f"sweep/{n}" for n in (0, 1, 2, 3)]


def test_a_run_of_a_sweep_that_is_missing_is_named_by_its_values(graded):
    (missing,) = [each for each in reasons(graded["ben"]) if each[3] == "failed"]
    assert missing[:2] == ("optim.lr=0.1, seed=0", "missing run")
    assert graded["ben"].points == 0.0


def test_a_run_that_was_copied_under_another_seed_is_the_same_run(graded):
    found = [each for each in reasons(graded["cleo"]) if each[1] == "copied run"]
    assert {label for label, *_ in found} >= {"optim.lr=0.01, seed=1"} or "more runs" in found[0][0]
    assert any("rows of timing.csv are equal to the last digit" in said for _, _, said, _ in found)
    assert graded["cleo"].verdict == "look"


@pytest.mark.parametrize("name", ["cleo", "dora"])
def test_a_run_that_was_copied_under_another_seed_began_with_the_weights_of_the_first(graded, name):
    found = [label for label, what, said, _ in reasons(graded[name]) if what == "other start" and "seed=1" in said]
    assert found == ["optim.lr=0.01, seed=1", "optim.lr=0.1, seed=1"]


def test_who_handed_nothing_in_is_told_so_once(graded):
    assert [each[1:] for each in reasons(graded["emil"])] == [("missing run", "no run was handed in", "failed")]


def test_expectations_of_a_sweep_are_held_against_what_is_taken_of_its_runs(hall, graded):
    taken = {
        "{take: max, at_least: 0.3}": None,
        "{take: min, at_least: 0.999}": "min test_accuracy is",
        "{at_least: 0.999}": "test_accuracy is",
        "{take: spread, at_most: 0.0}": "spread test_accuracy is",
    }
    one = MANIFEST.partition("experiments:\n")[2].replace("name: rates", "name: RATES")
    experiments = [
        one.replace("RATES", f"number{n}").replace("{take: max, at_least: 0.3}", each) for n, each in enumerate(taken)
    ]
    (hall / "expected").mkdir()
    shutil.copytree(hall / "in" / "anna", hall / "expected" / "anna")
    student = grade("title: Expected\nexperiments:\n" + "".join(experiments), hall / "expected")["anna"]
    found = [[reason.evidence for _, reason in each.all_reasons] for each in student.experiments]
    for said, evidence in zip(taken.values(), found, strict=True):
        assert len(evidence) == (said is not None), evidence
        assert said is None or said in evidence[0]


def test_a_sweep_has_the_number_that_the_manifest_takes_of_its_runs(hall, graded):
    tested = [json.loads(path.read_text())["accuracy"] for path in (hall / "in/anna/sweep").glob("?/test.json")]
    assert len(tested) == 4
    rows = {row["student"]: row for row in csv.DictReader(io.StringIO(table.csv_of(list(graded.values()))))}
    assert float(rows["anna"]["test_accuracy"]) == pytest.approx(max(tested), abs=1e-9)
    assert (
        rows["anna"]["expected"]
        == f"max test_accuracy is {max(tested):.6g}, expected >= 0.3; parameters is 15, expected = 15"
    )
    assert rows["anna"]["test_n"] == rows["emil"]["test_accuracy"] == ""
    given = json.loads((hall / "in/anna/sweep/0/test.json").read_text())["n"]
    (whole,) = graded["anna"].experiments
    one = replace(whole, attempts=whole.attempts[:1])
    assert dict(zip(table.TOLD, map(str, table.numbers_of(one)), strict=True))["test_n"] == str(given)  # and not 30.0


def test_runs_that_wait_for_the_first_are_held_against_what_it_found(hall):
    conf = hall / "conf" / "experiment"
    conf.mkdir(parents=True)
    (conf / "waits.yaml").write_text(WAITS)
    folders = hall / "waiting"
    assert main(["hydra.sweep.dir=waiting/anna/sweep", "figures=none", "experiment=waits"]) == 0
    student = grade(FACTS, folders)["anna"]
    assert reasons(student) == []
    assert len(student.experiments[0].attempts) == 3
    shutil.copytree(folders / "anna", folders / "ben")
    shutil.rmtree(folders / "ben" / "sweep" / "2")
    for number in (0, 1):
        anew(folders / "ben" / "sweep" / str(number), number + 1)
    found = reasons(grade(FACTS, folders)["ben"])
    assert [(label, name) for label, name, _, effect in found if effect == "failed"] == [
        ("variant=drawn", "missing run")
    ]
    shutil.rmtree(hall / "conf")


def test_a_seed_that_was_assigned_to_another_is_no_own_run(hall):
    text = """
title: Seeds
seeds: {anna: 11, ben: 12}
experiments:
  - {name: one, overrides: [model=softmax, dataset=iris, epochs=2]}
"""
    folders = hall / "seeds"
    for name, seed in (("anna", 11), ("ben", 11), ("cleo", 13)):
        folder = f"hydra.run.dir={folders / name / 'run'}"
        assert main([folder, "figures=none", "model=softmax", "dataset=iris", "epochs=2", f"seed={seed}"]) == 0
        handed.by_process(folders / name / "run", seed * 100 + ord(name[0]))
    students = grade(text, folders)
    assert reasons(students["anna"]) == []
    assert [each[1:3] for each in reasons(students["ben"])] == [
        ("forbidden override", "run: seed is 11, asked for is 12")
    ]
    assert [each[1:] for each in reasons(students["cleo"])] == [
        ("no seed assigned", "the seeds of the manifest do not name cleo", "look")
    ]


def test_a_model_of_ones_own_is_run_from_the_lecturers_folder_alone(hall, as_it_was):
    """The student's file writes a mark when it is imported; the lecturer's does not."""
    model = """
from torch import nn

class Tiny(nn.Module):
    def __init__(self, num_classes, input_shape):
        super().__init__()
        self.backbone = nn.Flatten()
        self.head = nn.Linear(4, num_classes)

    def forward(self, inputs):
        return self.head(self.backbone(inputs))
"""
    folders, own = hall / "own", hall / "lecturers"
    own.mkdir()
    (own / "their_tiny.py").write_text(model)
    (hall / "conf" / "model").mkdir(parents=True)
    (hall / "conf" / "model" / "tiny.yaml").write_text("_target_: their_tiny.Tiny\n")
    (hall / "their_tiny.py").write_text(model)
    made = ["figures=none", "model=tiny", "dataset=iris", "epochs=2", "optim.lr=0.01"]
    assert main([f"hydra.run.dir={folders / 'anna' / 'run'}", *made]) == 0
    (hall / "their_tiny.py").write_text("import pathlib; pathlib.Path('mark').touch()\n" + model)
    (folders / "anna" / "their_tiny.py").write_text("import pathlib; pathlib.Path('mark').touch()\n")
    import sys

    del sys.modules["their_tiny"]
    one = "  - {name: one, overrides: [model=tiny, dataset=iris, epochs=2, optim.lr=0.01]}\n"
    without = grade(f"title: Own\nexperiments:\n{one}", folders)["anna"]
    assert ("foreign code", "look") in [(name, effect) for _, name, _, effect in reasons(without)]
    assert "their_tiny" not in sys.modules
    (hall / "their_tiny.py").unlink()
    given = grade(f"title: Own\ncode: lecturers\nexperiments:\n{one}", folders)["anna"]
    assert not Path("mark").exists()
    assert [each for each in reasons(given) if each[3] != "note"] == []
    assert json.loads((folders / "anna/run/test.json").read_text())["accuracy"] == pytest.approx(
        given.experiments[0].attempts[0].facts["test_accuracy"]
    )


def test_a_run_that_diverged_is_a_result_in_a_sweep_and_none_alone(hall):
    folders = hall / "diverged"
    text = """
title: Diverging
experiments:
  - name: rates
    overrides: [dataset=digits, "model.hidden=[4]", optim=sgd, epochs=2]
    sweep: {optim.lr: [0.1, 1.0e+12]}
    expect: {test_accuracy: {at_least: 0.05}}
"""
    asked = ["dataset=digits", "model.hidden=[4]", "optim=sgd", "epochs=2"]
    main(["-m", f"hydra.sweep.dir={folders / 'anna' / 's'}", "figures=none", *asked, "optim.lr=0.1,1e12"])
    found = reasons(grade(text, folders)["anna"])
    assert [(name, effect) for _, name, _, effect in found] == [("diverged run", "note")]
    alone = text.replace("    sweep: {optim.lr: [0.1, 1.0e+12]}\n", "").replace("epochs=2]", "epochs=2, optim.lr=1e12]")
    found = reasons(grade(alone, folders)["anna"])
    assert ("diverged run", "failed") in [(name, effect) for _, name, _, effect in found]


def test_rows_of_time_that_two_runs_happen_to_share_are_whole_rows(hall, graded):
    """One equal number of nanoseconds among many runs is a chance; three in one row are none."""
    folders = hall / "times"
    for place, name in enumerate(("anna", "ben")):
        shutil.copytree(hall / "in" / "anna", folders / name)
        for number in range(4):
            anew(folders / name / "sweep" / str(number), 10 * place + number + 1)
    theirs = folders / "ben" / "sweep" / "0" / "timing.csv"
    seconds = iter(handed.column(folders / "anna" / "sweep" / "0" / "timing.csv", "seconds"))
    with_csv(theirs, lambda row: {**row, "seconds": next(seconds)})
    seal(theirs.parent)
    assert reasons(grade(MANIFEST, folders)["ben"]) == []
