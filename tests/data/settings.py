"""A composed config as plain dicts, for tests that build data and learners without composing YAML."""

from __future__ import annotations

import copy
from typing import Any

SGD = {"name": "sgd", "lr": 0.1, "momentum": 0.0, "nesterov": False}
MOMENTUM = {**SGD, "momentum": 0.9}
NESTEROV = {**SGD, "momentum": 0.9, "nesterov": True}
ADAM = {"name": "adam", "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8}
MLP = {"name": "mlp", "hidden": [7, 5], "activation": "tanh", "batch_norm": False, "loss": "cross_entropy"}
MLP_NUMPY = {**MLP, "name": "mlp_numpy"}
CNN = {
    "name": "cnn",
    "channels": [4, 3],
    "kernel": 3,
    "pooling": "max",
    "batch_norm": True,
    "activation": "relu",
    "loss": "cross_entropy",
}
LENET = {"name": "lenet", "pooling": "max", "activation": "relu", "loss": "cross_entropy"}
SOFTMAX = {"name": "softmax"}
PERCEPTRON = {"name": "perceptron"}
ADALINE = {"name": "adaline", "bias": True}
NEURON = {"name": "neuron", "loss": "cross_entropy"}
DIVIDED = {"val_fraction": 0.2, "test_fraction": 0.2, "split_seed": 0, "normalize": "standard"}
ALL = {"classes": None, "per_class": None, "label_noise": 0.0}
DIGITS = {"name": "digits", **DIVIDED, **ALL, "size": None}
MNIST5K = {**DIGITS, "name": "mnist5k"}
PHOTO_PATCHES = {**DIGITS, "name": "photo_patches"}
IRIS = {"name": "iris", **DIVIDED, **ALL}
WINE = {**IRIS, "name": "wine"}
BREAST_CANCER = {**IRIS, "name": "breast_cancer"}
MOONS = {**IRIS, "name": "moons", "samples": 500, "noise": 0.15, "seed": 0}
CIRCLES = {**MOONS, "name": "circles", "noise": 0.1}
BLOBS = {**MOONS, "name": "blobs", "num_classes": 3, "noise": 1.0}
IMBALANCED = {**MOONS, "name": "imbalanced", "shares": [0.7, 0.2, 0.08, 0.016, 0.004], "noise": 1.0}
XOR = {**MOONS, "name": "xor", "noise": 0.3}
CSV = {**IRIS, "name": "csv", "path": "table.csv", "label": None, "features": None}
QUADRATIC, POINT = {"name": "quadratic"}, {"name": "point"}
FAKE = {**DIGITS, "name": "fake", "samples": 100, "num_classes": 4, "channels": 3, "size": 6, "noise": 0.5}
PLAIN = {
    "seed": 0,
    "batch_size": 32,
    "device": "cpu",
    "precision": "float64",
    "smoke": False,
    "dataset": FAKE,
    "model": MLP,
    "optim": SGD,
    "reg": {
        "dropout": 0.0,
        "weight_decay": 0.0,
        "decay_all": False,
        "l1": 0.0,
        "label_smoothing": 0.0,
        "mixup": 0.0,
        "clip_norm": None,
        "patience": None,
    },
    "init": {"name": "default"},
}


def config(**changes: Any) -> dict[str, Any]:
    """`PLAIN` with changes: a group with a name replaces the old one, ``reg={"dropout": 0.5}`` is merged into it."""
    merged = copy.deepcopy(PLAIN)
    for key, value in changes.items():
        merged[key] = {**merged[key], **value} if isinstance(value, dict) and "name" not in value else value
    return merged
