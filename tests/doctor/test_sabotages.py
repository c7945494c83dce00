"""Runs that were spoilt, each named by the doctor for what it is; and shipped experiments, of which nothing is said."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.cli.lab import Lab
from tests.lines import cases

DIGITS = load_digits()


def table(path: Path, inputs: np.ndarray, labels: Iterable[int]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x{place}" for place in range(inputs.shape[1])), "label"])
        writer.writerows([*row, f"c{label}"] for row, label in zip(inputs.tolist(), labels, strict=True))


def shuffled(folder: Path) -> None:
    table(folder / "data.csv", DIGITS.data[:600], np.random.default_rng(0).permutation(DIGITS.target[:600]))


def of_chance(folder: Path) -> None:
    rng = np.random.default_rng(0)
    table(folder / "data.csv", rng.normal(size=(400, 5)), rng.integers(0, 3, 400))


def rare(folder: Path) -> None:
    rng = np.random.default_rng(0)
    table(folder / "data.csv", rng.normal(size=(400, 5)), (rng.random(400) < 0.06).astype(int))


def constant(folder: Path) -> None:
    rng = np.random.default_rng(0)
    table(folder / "data.csv", np.ones((400, 5)), rng.integers(0, 3, 400))


def photos(folder: Path, leaking: str) -> None:
    """Three split folders of digits, and the first sixty training images once more in another one."""
    places = {"train": range(300), "val": range(300, 400), "test": range(400, 500)}
    for split, chosen in (*places.items(), (leaking, range(60))):
        for place in chosen:
            name = f"{place}.png" if place in places[split] else f"copy{place}.png"
            path = folder / "photos" / split / str(DIGITS.target[place]) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((DIGITS.images[place] * 15).astype(np.uint8)).save(path)


TABLE = ("dataset=csv", "dataset.path=data.csv", "dataset.label=label")
FOLDER = ("dataset=imagefolder", "dataset.root=photos", "dataset.channels=1", "dataset.size=8")
DEEP = ("model.hidden=[32,32,32,32,32,32]", "model.activation=sigmoid")

# what was done -> (overrides, what the doctor says among other things)
SABOTAGES: dict[str, tuple[tuple[str, ...], str]] = {
    "labels shuffled": ((*TABLE, "epochs=60"), "labels of other samples"),
    "labels of chance": ((*TABLE, "epochs=60"), "labels of other samples"),
    "random labels": (("dataset.label_noise=0.9",), "random labels"),
    "learning rate that diverges": (("optim=sgd", "optim.lr=1e9", "epochs=3"), "diverged"),
    "learning rate too large": (("optim=sgd", "optim.lr=3", "epochs=6"), "learning rate too large"),
    "learning rate too small": (("optim.lr=5e-7", "epochs=8"), "learning rate too small"),
    "dead ReLUs": (
        ("init=constant", "init.value=-0.1", "dataset.normalize=unit", "epochs=5"),
        "dead units",
    ),
    "zero initialization": (("init=zeros", "epochs=5"), "zero initialization"),
    "units all alike": (("init=constant", "epochs=5"), "units all alike"),
    "one class": ((*TABLE, "epochs=10"), "one class predicted"),
    "leakage into validation": ((*FOLDER, "epochs=5"), "leakage into validation"),
    "leakage into test": ((*FOLDER, "epochs=5"), "leakage into test"),
    "overfitting": (
        ("dataset.per_class=10", "epochs=60", "optim.lr=0.02", "dataset.label_noise=0.3"),
        "overfitting",
    ),
    "vanishing gradients": ((*DEEP, "optim=sgd", "optim.lr=0.1", "epochs=8"), "vanishing gradients"),
    "regularized away": (("reg.weight_decay=100", "optim=sgd", "optim.lr=0.01", "epochs=8"), "regularized away"),
    "inputs without a difference": ((*TABLE, "epochs=8"), "nothing learned"),
}
MADE = {
    "labels shuffled": shuffled,
    "labels of chance": of_chance,
    "one class": rare,
    "inputs without a difference": constant,
    "leakage into validation": lambda folder: photos(folder, "val"),
    "leakage into test": lambda folder: photos(folder, "test"),
}
QUICK = ["learning rate that diverges", "learning rate too large", "zero initialization", "leakage into test"]

HEALTHY: dict[str, tuple[str, ...]] = {
    "default": (),
    "cnn": ("model=cnn", "epochs=5"),
    "mlp_numpy": ("model=mlp_numpy",),
    "softmax": ("model=softmax",),
    "lenet": ("model=lenet", "dataset=mnist5k", "epochs=5"),
    "wine": ("dataset=wine",),
    "breast_cancer": ("dataset=breast_cancer",),
    "iris": ("dataset=iris",),
    "moons": ("dataset=moons",),
    "perceptron": ("model=perceptron", "dataset=breast_cancer"),
    "adaline": ("model=adaline", "dataset=iris"),
    "neuron": ("model=neuron", "dataset=breast_cancer"),
    "to the end of a schedule": ("dataset=blobs", "optim=sgd", "optim.lr=0.5", "schedule=cosine", "epochs=100"),
    "losses": ("experiment=losses",),
    "gradient_descent": ("experiment=gradient_descent",),
    "metrics": ("experiment=metrics",),
    "perceptron_iris": ("experiment=perceptron_iris",),
    "feature_maps": ("experiment=feature_maps",),
    "mlp_from_scratch": ("experiment=mlp_from_scratch",),
    "optimizers": ("experiment=optimizers",),
    "batch_size": ("experiment=batch_size",),
}
SWEEPS = (
    *("perceptron_iris", "feature_maps", "mlp_from_scratch", "optimizers", "batch_size"),
    *("losses", "gradient_descent"),
)


@pytest.mark.parametrize("seed", cases([0, 1, 2], fast=[0]))
@pytest.mark.parametrize("name", cases(SABOTAGES, fast=QUICK))
def test_a_spoilt_run_is_named_for_what_it_is(lab: Lab, name: str, seed: int):
    if name in MADE:
        MADE[name](lab.folder)
    overrides, expected = SABOTAGES[name]
    trained = lab("hydra.run.dir=run", "figures=none", f"seed={seed}", *overrides)
    assert (lab.folder / "run" / "config.yaml").is_file(), trained.err
    if name.startswith("leakage"):
        assert f"{expected.removeprefix('leakage into ')} samples are training samples as well" in trained.err
    ended = lab("doctor", "run")
    assert (ended.code, ended.err) == (1, "")
    named = [line.strip().partition(":")[0] for line in ended.out.splitlines()]
    assert expected in named, ended.out


@pytest.mark.parametrize("name", cases(HEALTHY, fast=["default", "metrics", "iris"]))
def test_of_a_healthy_run_nothing_is_said(lab: Lab, name: str):
    folder = "hydra.sweep.dir=run" if name in SWEEPS else "hydra.run.dir=run"
    assert lab(folder, "figures=none", *HEALTHY[name]).code == 0
    ended = lab("doctor", "run")
    assert (ended.code, ended.err) == (0, ""), ended.out
    assert "nothing found" in ended.out
