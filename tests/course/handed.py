"""Runs as students hand them in, and what can be done to the files of one."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from labrunner import checkpoint
from labrunner.cli import main
from labrunner.records.sealing import checksums
from labrunner.running import config_hash

BASE = ("model=mlp", "dataset=digits", "model.hidden=[8]", "epochs=3", "optim.lr=0.02")


def run(folder: Path, *overrides: str, code: int = 0) -> Path:
    """A run as a process of its own makes it."""
    assert main([f"hydra.run.dir={folder}", "figures=none", *BASE, *overrides]) == code
    by_process(folder, next(PROCESSES))
    return folder


PROCESSES = itertools.count(10_000)


def by_process(folder: Path, number: int) -> None:
    with_json(folder / "status.json", pid=number)


def seal(folder: Path) -> None:
    """As who edits a file makes the checksums fit again."""
    (folder / "checksums.json").write_text(checksums(folder))


def anew(folder: Path, number: int) -> None:
    """As if the run had been made at another time, by another process."""
    with_csv(folder / "timing.csv", lambda row: {**row, **{n: repr(float(row[n]) * (1 + number / 997)) for n in TIMES}})
    by_process(folder, 100_000 + number)
    seal(folder)


TIMES = ("seconds", "train_seconds", "val_seconds")


def with_csv(path: Path, change: Callable[[dict[str, str]], dict[str, Any]]) -> None:
    """Rewrite each row of a CSV."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        rows, header = list(reader), list(reader.fieldnames or ())
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows([change(dict(row)) for row in rows])


def with_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def with_config(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Another config, to which the checkpoints are made to belong."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    for each in sorted((folder / "checkpoints").iterdir()):
        state, position = checkpoint.read(each)
        each.write_bytes(checkpoint.encode(state, checkpoint.Position(position.epoch, config_hash=config_hash(config))))


def chosen(folder: Path) -> Path:
    """The checkpoint of the tested epoch."""
    epoch = json.loads((folder / "test.json").read_text())["epoch"]
    return folder / "checkpoints" / checkpoint.Position(epoch).file_name


def put(state: dict[str, np.ndarray], into: Path) -> None:
    """Another state under a checkpoint's name, made to belong to its run."""
    own = checkpoint.read(into)[1]
    into.write_bytes(checkpoint.encode(state, checkpoint.Position(own.epoch, config_hash=own.config_hash)))


def all_right(folder: Path) -> None:
    """predictions.csv without a mistake, and all that is counted from it made to fit."""
    from labrunner import metrics
    from labrunner.files import to_csv

    with (folder / "predictions.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    labels = np.array([int(row[1]) for row in rows])
    shares = np.array([[float(cell) for cell in row[3:]] for row in rows])
    for place, label in enumerate(labels):
        best = shares[place].argmax()
        shares[place, [best, label]] = shares[place, [label, best]]
    kept = [[row[0], row[1], label, *values] for row, label, values in zip(rows, labels, shares.tolist(), strict=True)]
    (folder / "predictions.csv").write_text(to_csv(header, kept))
    recount(folder, labels, shares)
    assert metrics.score(shares, labels, 0.0).accuracy == 1.0


def recount(folder: Path, labels: np.ndarray, shares: np.ndarray) -> None:
    """test.json, confusion.csv and per_class.csv of these labels and probabilities."""
    from labrunner import metrics
    from labrunner.files import to_csv
    from labrunner.results import test_numbers
    from labrunner.trainer import Evaluation

    before = json.loads((folder / "test.json").read_text())
    scores = metrics.score(shares, labels, before["loss"])
    with_json(folder / "test.json", **test_numbers(Evaluation(scores, shares, labels)))
    names = [str(digit) for digit in range(10)]
    counts = metrics.confusion(labels, shares.argmax(axis=1), 10)
    table = [[name, *row] for name, row in zip(names, counts, strict=True)]
    (folder / "confusion.csv").write_text(to_csv(["true \\ predicted", *names], table))
    columns = (scores.support, scores.class_precision, scores.class_recall, scores.class_f1, scores.class_auroc)
    header = ["class", "support", "precision", "recall", "f1", "auroc"]
    (folder / "per_class.csv").write_text(to_csv(header, zip(names, *columns, strict=True)))


def copy(original: Path, to: Path) -> Path:
    shutil.copytree(original, to)
    return to


def column(path: Path, name: str) -> list[str]:
    with path.open(newline="") as file:
        return [row[name] for row in csv.DictReader(file)]
