"""A composed config as plain dicts, for tests that build data and learners without composing YAML."""

from __future__ import annotations

import copy
from typing import Any

SGD = {"name": "sgd", "lr": 0.1, "momentum": 0.0, "nesterov": False}
MOMENTUM = {**SGD, "momentum": 0.9}
NESTEROV = {**SGD, "momentum": 0.9, "nesterov": True}
ADAM = {"name": "adam", "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8}
MLP = {"name": "mlp", "hidden": [7, 5], "activation": "tanh"}
MLP_NUMPY = {**MLP, "name": "mlp_numpy"}
CNN = {"name": "cnn", "channels": [4, 3], "kernel": 3, "pooling": "max", "batch_norm": True, "activation": "relu"}
DIGITS = {"name": "digits", "val_fraction": 0.2, "test_fraction": 0.2, "split_seed": 0, "normalize": "standard"}
MNIST5K = {**DIGITS, "name": "mnist5k"}
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
    "reg": {"dropout": 0.0, "weight_decay": 0.0, "decay_all": False, "patience": None},
    "init": {"name": "default"},
}


def config(**changes: Any) -> dict[str, Any]:
    """`PLAIN` with changes: a group with a name replaces the old one, ``reg={"dropout": 0.5}`` is merged into it."""
    merged = copy.deepcopy(PLAIN)
    for key, value in changes.items():
        merged[key] = {**merged[key], **value} if isinstance(value, dict) and "name" not in value else value
    return merged
