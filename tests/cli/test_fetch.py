"""``labrunner fetch``, and runs on what it fetched."""

from __future__ import annotations

import csv
import json

import pytest

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
