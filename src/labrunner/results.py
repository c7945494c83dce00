"""What the chosen epoch says of the test split, as files of the run folder."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from labrunner.files import read_json
from labrunner.metrics import confusion, wilson
from labrunner.records import RunFolder
from labrunner.trainer import Evaluation, defined, evaluate

if TYPE_CHECKING:
    from labrunner.data import Data
    from labrunner.learner import Learner

PER_CELL = 4  # samples kept of each cell of the confusion matrix


def read_test(run_folder: RunFolder, data: Data, learner: Learner, epoch: int, stop: Any) -> dict[str, Any] | None:
    """Read the test split with the weights of the chosen epoch, and write what it says; None without a test split."""
    if data.test is None:
        return None
    evaluation = evaluate(learner, data.test, stop, "test")
    before = read_json(run_folder.path / "test.json") or {}
    test = test_numbers(evaluation) | {"epoch": epoch, "reads": int(before.get("reads", 0)) + 1}
    write_evaluation(run_folder, data, evaluation)
    run_folder.write_json("test.json", test)
    return test


def write_facts(run_folder: RunFolder, data: Data, learner: Learner, epochs: int, chosen: int) -> None:
    """The named numbers of a run, and its checks: none yet."""
    parameters = learner.parameters().values()
    facts = {
        "parameters": sum(count for count, _ in parameters),
        "parameters_trainable": sum(count for count, trains in parameters if trains),
        "multiply_adds": learner.work,
        "train_samples": len(data.train),
        "val_samples": 0 if data.val is None else len(data.val),
        "test_samples": 0 if data.test is None else len(data.test),
        "epochs": epochs,
        "chosen_epoch": chosen,
        "steps": epochs * data.train.batch_count,
    }
    run_folder.write_json("facts.json", facts)
    run_folder.write_csv("checks.csv", ["check", "fact", "relation", "expected", "found", "passed"], [])


def test_numbers(evaluation: Evaluation) -> dict[str, Any]:
    """The numbers of test.json; None where undefined."""
    scores = evaluation.scores
    hits = int((evaluation.predicted == evaluation.labels).sum())
    low, high = wilson(hits, scores.n)
    names = ("loss", "accuracy", "precision", "recall", "f1", "auroc")
    numbers = {name: defined(getattr(scores, name)) for name in names}
    return {"n": scores.n, **numbers, "accuracy_low": low, "accuracy_high": high}


def write_evaluation(run_folder: RunFolder, data: Data, evaluation: Evaluation) -> None:
    """per_class.csv, confusion.csv, predictions.csv and samples.npz of the test split."""
    assert data.test is not None
    names, scores, predicted = data.description.class_names, evaluation.scores, evaluation.predicted
    columns = (scores.support, scores.class_precision, scores.class_recall, scores.class_f1, scores.class_auroc)
    run_folder.write_csv(
        "per_class.csv",
        ["class", "support", "precision", "recall", "f1", "auroc"],
        zip(names, *columns, strict=True),
    )
    counts = confusion(evaluation.labels, predicted, len(names))
    counted = ([name, *row] for name, row in zip(names, counts, strict=True))
    run_folder.write_csv("confusion.csv", ["true \\ predicted", *names], counted)
    run_folder.write_csv(
        "predictions.csv",
        ["index", "label", "predicted", *(f"p_{name}" for name in names)],
        (
            [index, label, guess, *row]
            for index, label, guess, row in zip(
                data.test.origin.tolist(),
                evaluation.labels.tolist(),
                predicted.tolist(),
                evaluation.probabilities.tolist(),
                strict=True,
            )
        ),
    )
    shown = chosen_samples(evaluation.labels, predicted)
    content = io.BytesIO()
    np.savez_compressed(
        content,
        index=data.test.origin[shown],
        image=data.test.pixels(shown),
        label=evaluation.labels[shown],
        predicted=predicted[shown],
    )
    run_folder.write("samples.npz", content.getvalue())


def chosen_samples(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Positions of the first few samples of each cell of the confusion matrix, sorted."""
    seen: dict[tuple[int, int], int] = {}
    kept_positions = []
    for position, cell in enumerate(zip(labels.tolist(), predicted.tolist(), strict=True)):
        seen[cell] = seen.get(cell, 0) + 1
        if seen[cell] <= PER_CELL:
            kept_positions.append(position)
    return np.asarray(kept_positions, dtype=np.int64)
