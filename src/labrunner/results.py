"""What the chosen epoch says of the test split, and of the plane where inputs lie in one, as files of a run."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from labrunner import relations
from labrunner.checks import COLUMNS, Verdict, of_run
from labrunner.data import in_train
from labrunner.files import read_json
from labrunner.metrics import confusion, wilson
from labrunner.records import Run, RunFolder
from labrunner.thinning import evenly
from labrunner.trainer import Evaluation, defined, evaluate

if TYPE_CHECKING:
    from labrunner.data import Data
    from labrunner.learner import Learner
    from labrunner.probes import Probe

# what samples.npz keeps
PER_CELL = 4  # samples of each cell of the confusion matrix
CONFIDENT = 25  # mistakes with the highest probability, from whatever cells
MOST_SAMPLES = 600  # a hundred classes have ten thousand cells
MOST_BYTES = 2**24  # of pixels

# what boundary.npz keeps
GRID = 150  # points along each axis
MARGIN = 0.06  # of the range of the samples, on each side
MOST_POINTS = 1000  # of each split
MOST_CLASSES = 10  # more regions than this nobody tells apart


def read_test(run_folder: RunFolder, data: Data, learner: Learner, epoch: int, stop: Any) -> dict[str, Any] | None:
    """Read the test split with the weights of the chosen epoch, and write what it says; None without a test split.

    Where inputs are points in the plane, what the weights say of the plane around them is written first, which reads no
    test label.
    """
    write_boundary(run_folder, data, learner, epoch)
    if data.test is None:
        return None
    evaluation = evaluate(learner, data.test, stop, "test")
    before = read_json(run_folder.path / "test.json") or {}
    test = test_numbers(evaluation) | {"epoch": epoch, "reads": int(before.get("reads", 0)) + 1}
    write_evaluation(run_folder, data, evaluation)
    run_folder.write_json("test.json", test)
    return test


def write_facts(
    run_folder: RunFolder,
    config: Mapping[str, Any],
    data: Data,
    learner: Learner,
    epochs: int,
    chosen: int | None,
    watching: Sequence[Probe] = (),
) -> list[Verdict]:
    """The named numbers of a run, those that its probes found among them, and how its checks came out.

    `chosen` is None of a run that diverged. A run that was cut short by ``smoke`` checks nothing.
    """
    parameters = learner.parameters()
    frozen = learner.frozen(max(1, epochs))  # of the last epoch, whichever the learner was set up for last
    facts: dict[str, float] = {
        "parameters": sum(count for count, _ in parameters.values()),
        "parameters_trainable": sum(count for name, (count, _) in parameters.items() if name not in frozen),
        "multiply_adds": learner.work,
        "train_samples": len(data.train),
        "val_samples": 0 if data.val is None else len(data.val),
        "test_samples": 0 if data.test is None else len(data.test),
        **{f"{name}_in_train": count for name, count in in_train(data).items()},
        "epochs": epochs,
        "steps": epochs * data.train.batch_count,
    }
    if chosen is not None:
        facts["chosen_epoch"] = chosen
    for probe in watching:
        facts |= {name: value for name, value in probe.facts().items() if math.isfinite(value)}
    run_folder.write_json("facts.json", facts)
    checks = [] if config["smoke"] else relations.parse(config["checks"])
    verdicts = of_run(checks, Run(run_folder.path))
    run_folder.write_csv("checks.csv", COLUMNS, [verdict.row for verdict in verdicts])
    return verdicts


def test_numbers(evaluation: Evaluation) -> dict[str, Any]:
    """The numbers of test.json; None where undefined."""
    scores = evaluation.scores
    hits = int((evaluation.predicted == evaluation.labels).sum())
    low, high = wilson(hits, scores.n)
    names = ("loss", "accuracy", "precision", "recall", "f1", "auroc")
    numbers = {name: defined(getattr(scores, name)) for name in names}
    return {"n": scores.n, **numbers, "accuracy_low": low, "accuracy_high": high}


class Files(Protocol):
    """A folder that files are written to; `labrunner.records.RunFolder` is one."""

    def write(self, name: str, content: bytes | str) -> None: ...

    def write_csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None: ...


def write_evaluation(run_folder: Files, data: Data, evaluation: Evaluation) -> None:
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
    write_samples(run_folder, data, evaluation)


def write_samples(run_folder: Files, data: Data, evaluation: Evaluation) -> None:
    """samples.npz: the few test samples that figures and reports show."""
    assert data.test is not None
    predicted = evaluation.predicted
    confidence = evaluation.probabilities.max(axis=1)
    size = data.test.pixels(np.arange(1)).nbytes
    shown = chosen_samples(evaluation.labels, predicted, confidence, min(MOST_SAMPLES, max(1, MOST_BYTES // size)))
    arrays = {
        "index": data.test.origin[shown],
        "image": data.test.pixels(shown),
        "label": evaluation.labels[shown],
        "predicted": predicted[shown],
        "confidence": confidence[shown],
    }
    if data.description.white is not None:
        arrays["white"] = np.float64(data.description.white)
    run_folder.write("samples.npz", archive(arrays))


def chosen_samples(labels: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, most: int) -> np.ndarray:
    """Positions of the samples that are kept, sorted; a function of what was predicted alone.

    The `CONFIDENT` most confident mistakes come first, then up to `PER_CELL` of each cell of the confusion matrix: of
    the diagonal the first ones, one of every class before a second of any, then the most confident mistakes of each
    cell, until there are `most`.
    """
    wrong = labels != predicted
    # of equal confidence, and among what was predicted rightly, the earlier one
    order = np.argsort(np.where(wrong, -confidence, 0.0), kind="stable")
    rank = np.empty(len(labels), dtype=np.int64)  # within its cell
    seen: dict[tuple[int, int], int] = {}
    for position in order.tolist():
        cell = (int(labels[position]), int(predicted[position]))
        rank[position] = seen[cell] = seen.get(cell, -1) + 1
    mistakes = order[wrong[order]]
    right = np.flatnonzero(~wrong)
    right = right[np.argsort(rank[right], kind="stable")]
    queue = np.concatenate([mistakes[:CONFIDENT], right[rank[right] < PER_CELL], mistakes[rank[mistakes] < PER_CELL]])
    return np.sort(list(dict.fromkeys(queue.tolist()))[:most]).astype(np.int64)


def write_boundary(run_folder: RunFolder, data: Data, learner: Learner, epoch: int) -> None:
    """boundary.npz: probabilities on a grid over the plane, and the samples that lie in it.

    Nothing where inputs are no points in the plane, or there are no classes, or too many, to tell apart in it.
    """
    description = data.description
    if description.shape != (2,) or description.soft or description.num_classes > MOST_CLASSES:
        return
    splits = [split for split in (data.train, data.val, data.test) if split is not None]
    axes = plane(np.concatenate([split.pixels(np.arange(len(split))) for split in splits]))
    grid = np.stack(np.meshgrid(*axes), axis=-1)  # (y, x, 2)
    batches = data.train.prepared(grid.reshape(-1, 2))
    probabilities = learner.probabilities([learner.scores(inputs) for inputs in batches])
    shown = [evenly(len(split), MOST_POINTS) for split in splits]
    arrays = {
        "epoch": np.int64(epoch),
        "x": axes[0],
        "y": axes[1],
        "probabilities": probabilities.reshape(GRID, GRID, -1).astype(np.float32),
        "point": np.concatenate([split.pixels(at) for split, at in zip(splits, shown, strict=True)]),
        "label": np.concatenate([split.labels[at] for split, at in zip(splits, shown, strict=True)]),
        "index": np.concatenate([split.origin[at] for split, at in zip(splits, shown, strict=True)]),
        "split": np.repeat([split.name for split in splits], [len(at) for at in shown]),
        "class_names": np.array(description.class_names),
        "feature_names": np.array(description.feature_names or ("x1", "x2")),
    }
    run_folder.write("boundary.npz", archive(arrays))


def plane(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The (GRID,) places along each axis of a rectangle around points (N, 2), in the points' own type and units."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    edge = np.where(high > low, MARGIN * (high - low), np.maximum(1.0, MARGIN * np.abs(low)))
    x, y = (
        np.linspace(start, end, GRID).astype(points.dtype) for start, end in zip(low - edge, high + edge, strict=True)
    )
    return x, y


def archive(arrays: dict[str, Any]) -> bytes:
    """Arrays as an .npz file, which holds no time: equal arrays are equal bytes."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()
