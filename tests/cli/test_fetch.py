"""``labrunner fetch``, and runs on what it fetched."""

from __future__ import annotations

import csv
import json

import pytest

from labrunner.data import photographs, vision
from tests.data import photographed
from tests.data.written import TEST, TRAIN, network, packed, write


def test_fetch_downloads_and_prints_where_and_the_second_time_says_that_it_is_there(lab, monkeypatch):
    write("mnist", lab.folder / "data", monkeypatch)
    served = packed("mnist", lab.folder / "data", monkeypatch)
    stand_in = network(monkeypatch, served)
    first = lab("fetch", "dataset=mnist")
    assert (first.code, first.out) == (0, "dataset=mnist is now in data/MNIST/raw\n")
    assert first.err.startswith(
        "dataset=mnist: downloading 12 MB from https://ossci-datasets.s3.amazonaws.com/mnist/ into"
    )
    asked = list(stand_in.asked)
    second = lab("fetch", "dataset=mnist")
    assert (second.code, second.out, second.err) == (0, "dataset=mnist is already in data/MNIST/raw\n", "")
    assert stand_in.asked == asked
    assert not (lab.folder / "outputs").exists()


def test_fetch_takes_another_root(lab, monkeypatch):
    write("svhn", lab.folder / "sets", monkeypatch)
    network(monkeypatch, packed("svhn", lab.folder / "sets", monkeypatch))
    ended = lab("fetch", "dataset=svhn", "dataset.root=sets")
    assert (ended.code, ended.out) == (0, "dataset=svhn is now in sets\n")
    assert sorted(path.name for path in (lab.folder / "sets").iterdir()) == ["test_32x32.mat", "train_32x32.mat"]


@pytest.mark.parametrize("dataset", ["digits", "mnist5k", "fake"])
def test_fetch_of_a_set_that_labrunner_brings_along_has_nothing_to_do(lab, dataset):
    ended = lab("fetch", f"dataset={dataset}")
    assert (ended.code, ended.out) == (0, f"dataset={dataset}: nothing needs to be fetched\n")
    assert lab.tree() == {}


def test_fetch_without_a_network_ends_with_code_2_and_three_lines(lab, monkeypatch):
    network(monkeypatch)
    ended = lab("fetch", "dataset=cifar10")
    assert ended.code == 2
    errors = ended.err[ended.err.index("labrunner: error:") :].splitlines()
    assert len(errors) == 3
    assert (
        "put cifar-10-python.tar.gz into data; from https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
        in errors[1]
    )


def test_fetch_names_a_damaged_file_instead_of_saying_that_it_is_there(lab, monkeypatch):
    write("cifar10", lab.folder / "data", monkeypatch)
    path = lab.folder / "data/cifar-10-batches-py/test_batch"
    path.write_bytes(path.read_bytes()[:-1])
    ended = lab("fetch", "dataset=cifar10")
    assert ended.code == 2
    assert "data/cifar-10-batches-py/test_batch is damaged" in ended.err


def test_fetch_refuses_a_word(lab):
    ended = lab("fetch", "mnist")
    assert ended.code == 2
    assert "mnist" in ended.err


@pytest.mark.parametrize(("name", "model"), [("mnist", "mlp"), ("mnist", "mlp_numpy"), ("cifar10", "cnn")])
def test_a_run_is_tested_on_the_official_test_samples_alone(lab, monkeypatch, name, model):
    written = write(name, lab.folder / "data", monkeypatch)
    folder = lab.train("run", f"dataset={name}", f"model={model}", "epochs=3", "batch_size=10")
    assert json.loads((folder / "test.json").read_text())["n"] == TEST
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == list(range(TRAIN, TRAIN + TEST))
    assert [int(row["label"]) for row in rows] == written.labels[TRAIN:].tolist()


def test_a_run_whose_files_are_missing_is_refused_before_anything_is_written(lab, monkeypatch):
    network(monkeypatch)
    ended = lab("dataset=mnist")
    assert ended.code == 2
    assert "labrunner fetch dataset=mnist" in ended.err
    assert not (lab.folder / "outputs").exists()


# photographs


def test_fetch_unpacks_photographs_and_the_second_time_says_that_they_are_there(lab, monkeypatch):
    photographed.write("food101", lab.folder / "data", monkeypatch)
    stand_in = network(monkeypatch, photographed.packed("food101", lab.folder / "data", monkeypatch))
    first = lab("fetch", "dataset=food101")
    assert (first.code, first.out) == (0, "dataset=food101 is now in data/food-101\n")
    assert first.err.startswith("dataset=food101: downloading 5.0 GB from http://data.vision.ee.ethz.ch/cvl/food-101")
    stand_in.served.clear()
    second = lab("fetch", "dataset=food101")
    assert (second.code, second.out, second.err) == (0, "dataset=food101 is already in data/food-101\n", "")
    assert not (lab.folder / "outputs").exists()


def test_a_run_on_photographs_takes_the_official_splits(lab, monkeypatch):
    written = photographed.write("dtd", lab.folder / "data", monkeypatch)
    folder = lab.train("run", "dataset=dtd", "dataset.size=8", "model=mlp", "epochs=1", "batch_size=10")
    assert json.loads((folder / "test.json").read_text())["n"] == 47
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == [each.label for each in written if each.split == "test"]
    facts = json.loads((folder / "facts.json").read_text())
    assert [facts[f"{split}_samples"] for split in ("train", "val", "test")] == [47, 47, 47]


def test_classes_with_blanks_in_their_names_can_be_chosen(lab, monkeypatch):
    photographed.write("gtsrb", lab.folder / "data", monkeypatch, each=5)
    chosen = "dataset.classes=[Stop,Speed limit 30 km/h,Beware of ice/snow]"
    folder = lab.train("run", "dataset=gtsrb", "dataset.size=8", chosen, "model=mlp", "epochs=1", "batch_size=10")
    assert json.loads((folder / "test.json").read_text())["n"] == 15


@pytest.mark.parametrize("name", [*vision.NAMES, *photographs.NAMES])
def test_summary_and_plan_of_a_set_that_is_not_there_ask_no_network_and_write_nothing(lab, monkeypatch, name):
    asked = network(monkeypatch).asked
    summary = lab("summary", f"dataset={name}", "model=mlp")
    assert summary.code == 0
    plan = lab("plan", f"dataset={name}", "model=mlp")
    assert plan.code == 0
    assert f"not told: dataset={name}: data" in plan.out
    assert "is missing" in plan.out
    assert asked == []
    assert lab.tree() == {}


def test_a_resume_downloads_no_photographs(lab, monkeypatch):
    photographed.write("eurosat", lab.folder / "data", monkeypatch, each=5)
    lab.train("run", "dataset=eurosat", "dataset.size=8", "model=mlp", "epochs=1", "batch_size=10")
    stand_in = network(monkeypatch, photographed.packed("eurosat", lab.folder / "data", monkeypatch))
    ended = lab("resume", "run", "epochs=2")
    assert ended.code == 2
    assert "data/eurosat/2750 is missing\n" in ended.err
    assert "labrunner fetch dataset=eurosat" in ended.err
    assert stand_in.asked == []
