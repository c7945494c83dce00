"""Complete run folders for tests of what reads them, written without training anything.

The labels are drawn at random and the scores of the test split follow from them, so that the files of a folder agree
with each other as those of a real run do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from labrunner.records import METRICS, RunFolder, load_run

DIGITS = tuple("0123456789")
HOSTILE = (
    "<script>alert('x')</script>",
    r"$\frac{1}{0}$ and $x_1$",
    "two\nlines",
    "כלב גדול",
    "a & b, \"quoted\"; 'single'",
    "the northern bald ibis, waldrapp, Geronticus eremita (adult)",
    "the northern bald ibis, waldrapp, Geronticus eremita (young)",
    "NA",
    "-0.5",
    "{{ 7 * 7 }}",
)

SUMMARY = """\
----------------------------------------------------------------
        Layer (type)               Output Shape         Param #
================================================================
            Linear-1                  [-1, 128]           8,320
              ReLU-2                  [-1, 128]               0
            Linear-3                   [-1, 10]           1,290
================================================================
Total params: 9,610
Trainable params: 9,610
Non-trainable params: 0
----------------------------------------------------------------
"""


def config(**changes: Any) -> dict[str, Any]:
    """A composed config as a run stores it; keyword arguments replace top-level keys."""
    return {
        "seed": 0,
        "epochs": 30,
        "batch_size": 32,
        "monitor": "val_loss",
        "select": "best",
        "device": "auto",
        "precision": "float32",
        "threads": "auto",
        "figures": "all",
        "smoke": False,
        "dataset": {
            "name": "digits",
            "val_fraction": 0.2,
            "test_fraction": 0.2,
            "split_seed": 0,
            "normalize": "standard",
        },
        "optim": {"name": "adam", "lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-08},
        "schedule": {"name": "constant"},
        "reg": {"name": "none", "dropout": 0.0, "weight_decay": 0.0, "decay_all": False, "patience": None},
        "init": {"name": "default"},
        "freeze": {"name": "none"},
        "model": {"name": "mlp", "hidden": [128], "activation": "relu"},
    } | changes


def metrics_row(epoch: int, epochs: int, rng: np.random.Generator, val: bool = True) -> dict[str, Any]:
    """A row as a network that begins to overfit after two thirds of the epochs would leave it."""
    progress = epoch / max(epochs, 2)
    wobble = 1 + 0.05 * rng.standard_normal(4)
    row: dict[str, Any] = dict.fromkeys(METRICS)
    row |= {
        "epoch": epoch,
        "lr": 0.01,
        "train_loss": 2.3 * np.exp(-4 * progress) * wobble[0],
        "train_accuracy": min(1.0, 1 - 0.9 * np.exp(-5 * progress) * wobble[1]),
    }
    if val:
        accuracy = min(1.0, 1 - 0.9 * np.exp(-4 * progress) * wobble[2] - 0.03)
        row |= {
            "val_loss": (2.3 * np.exp(-4 * progress) + 0.1 + 0.3 * max(0.0, progress - 0.6)) * wobble[3],
            "val_accuracy": accuracy,
            "val_precision": accuracy - 0.004,
            "val_recall": accuracy - 0.002,
            "val_f1": accuracy - 0.003,
            "val_auroc": min(1.0, accuracy + 0.02),
        }
    return row


def write_run(
    path: Path,
    *,
    classes: Sequence[str] = DIGITS,
    epochs: int = 30,
    samples: int = 360,
    val: bool = True,
    status: str = "done",
    error: str | None = None,
    rows: Sequence[dict[str, Any]] | None = None,
    tested: bool | None = None,
    typed: Sequence[str] = ("optim.lr=0.01",),
    command: str = "labrunner optim.lr=0.01",
    settings: dict[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """Write a whole run folder and return its path.

    `rows` replaces the made-up rows of ``metrics.csv``; `tested` says whether the files of the test split are there,
    which they are by default for a run that is done.
    """
    rng = np.random.default_rng(seed)
    folder = RunFolder.create(path)
    try:
        folder.write("config.yaml", yaml.safe_dump(config(**(settings or {})), sort_keys=False))
        choices = {"model": "mlp", "dataset": "digits", "optim": "adam", "schedule": "constant", "reg": "none"}
        overrides = {"overrides": list(typed), "choices": {**choices, "init": "default", "freeze": "none"}}
        folder.write("overrides.yaml", yaml.safe_dump(overrides, sort_keys=False))
        environment = {
            "format": 1,
            "labrunner": "0.1.0",
            "python": "3.11.7",
            "platform": "Linux-6.1.0-x86_64-with-glibc2.36",
            "threads": 1,
            "versions": {"numpy": "2.4.6", "torch": "2.10.0"},
            "git_commit": "0123456789abcdef0123456789abcdef01234567",
            "command": command,
        }
        folder.write_json("environment.json", environment)
        folder.write("summary.txt", SUMMARY)
        folder.record_start({"lr": 0.01})
        if rows is None:
            rows = [metrics_row(epoch, epochs, rng, val) for epoch in range(1, epochs + 1)]
        for row in rows:
            seconds = 0.2 + 0.01 * rng.random()
            timing = {"epoch": row["epoch"], "seconds": seconds, "train_seconds": 0.15, "val_seconds": 0.04}
            folder.record(row, timing, {"lr": 0.01}, 34 * row["epoch"])
        folder.flush()
        if tested if tested is not None else status == "done":
            write_test(folder, classes, samples, rng)
        folder.status(status, error)
    finally:
        folder.close()
    return path


def write_test(folder: RunFolder, classes: Sequence[str], samples: int, rng: np.random.Generator) -> None:
    """The files of the test split: metrics, per class, confusion and predictions, from the same random scores."""
    from scipy.stats import rankdata

    count = len(classes)
    label = np.arange(samples) % count
    scores = rng.standard_normal((samples, count)) + 3.2 * np.eye(count)[label] + 1.2 * np.eye(count)[label - 1]
    share = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    predicted = share.argmax(axis=1)
    confusion = np.zeros((count, count), dtype=int)
    np.add.at(confusion, (label, predicted), 1)

    hits, support, named = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    ranks = rankdata(share, axis=0)
    columns: dict[str, list[float | None]] = {
        "precision": [float(h / n) if n else 0.0 for h, n in zip(hits, named, strict=True)],
        "recall": [float(h / n) if n else None for h, n in zip(hits, support, strict=True)],
        "f1": [float(2 * h / (n + s)) if n + s else None for h, n, s in zip(hits, named, support, strict=True)],
        "auroc": [area(ranks[label == index, index], samples) for index in range(count)],
    }
    per_class = [
        [name, int(support[index]), *(values[index] for values in columns.values())]
        for index, name in enumerate(classes)
    ]
    folder.write_csv("per_class.csv", ["class", "support", *columns], per_class)
    matrix = ([name, *row] for name, row in zip(classes, confusion, strict=True))
    folder.write_csv("confusion.csv", ["true \\ predicted", *classes], matrix)
    folder.write_csv(
        "predictions.csv",
        ["index", "label", "predicted", *(f"p_{name}" for name in classes)],
        [[index, *row] for index, *row in zip(range(samples), label, predicted, *share.T, strict=True)],
    )

    accuracy = float(hits.sum() / samples)
    low, high = wilson(int(hits.sum()), samples)
    defined = {name: [value for value in values if value is not None] for name, values in columns.items()}
    macro = {name: float(np.mean(values)) if values else None for name, values in defined.items()}
    loss = float(-np.log(share[np.arange(samples), label]).mean())
    test = {"n": samples, "loss": loss, "accuracy": accuracy, **macro}
    test |= {"accuracy_low": low, "accuracy_high": high, "epoch": load_run(folder.path).chosen.epoch, "reads": 1}
    folder.write_json("test.json", test)


def area(ranks: np.ndarray, samples: int) -> float | None:
    """Area under the ROC curve, from the ranks of the positives among the scores of all samples (Mann & Whitney)."""
    n = len(ranks)
    return float((ranks.sum() - n * (n + 1) / 2) / (n * (samples - n))) if 0 < n < samples else None


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson 1927)."""
    z, share = 1.959963984540054, hits / n
    middle, spread = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return float((middle - spread) / (1 + z * z / n)), float((middle + spread) / (1 + z * z / n))
