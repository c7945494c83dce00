"""A run's weights evaluated again, on data that the grader has read itself, and its files held against that.

Nothing of what comes out is taken from the submission but the weights and what its config says: the samples, the
split, the normalization and all numbers are made anew. Another machine, or another count of threads, rounds
otherwise: probabilities may be apart by `CLOSE`, and a sample whose two likeliest classes are nearer than that may be
called either.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labrunner import checkpoint
from labrunner.course.evidence import predictions
from labrunner.course.evidence.files import DAMAGED, EDITED, SWAPPED, gone
from labrunner.course.evidence.predictions import EXACT, SPLIT
from labrunner.course.submissions import Handed, Reason
from labrunner.doctor.integrity import OF_A_TEST
from labrunner.errors import LabrunnerError, RequestError
from labrunner.files import read_json

if TYPE_CHECKING:
    from labrunner.data import Data, Split
    from labrunner.learner import Learner
    from labrunner.trainer import Evaluation

START, UNREAD = "other start", "not re-evaluated"
CLOSE = 2e-3  # between probabilities; losses as a share
CLOSE_BF16 = 5e-2  # of products in bfloat16
FREE_KEYS = ("hidden", "channels")  # of a model: widths, each of which is a dimension of some tensor
METRICS = ("accuracy", "precision", "recall", "f1", "auroc")


@dataclass
class Evaluated:
    """What the weights of a run say."""

    facts: dict[str, float] = field(default_factory=dict)  # by the names of checks; computed here
    reasons: list[Reason] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)  # checkpoint -> SHA-256 of its weights
    is_done: bool = False  # whether the weights could be evaluated


def evaluated(
    handed: Handed, expected: Mapping[str, Any], shared: dict[Any, Any], code: Path | None, replay: bool
) -> Evaluated:
    """Evaluate a run whose config is what `expected` allows, and hold its files against what comes out.

    Parameters
    ----------
    handed : a run that can be read
    expected : the manifest's config: where data lie, and where this machine computes
    shared : keeps samples for all runs of the class
    code : the lecturer's folder of modules
    replay : whether the last epoch is trained again
    """
    found = Evaluated()
    try:
        with _importable(code):
            _evaluate(handed, expected, shared, found, replay)
    except LabrunnerError as error:
        found.reasons.append(Reason(UNREAD, str(error).splitlines()[0], "look"))
    except MemoryError:
        found.reasons.append(Reason(UNREAD, "there is not enough memory for it", "look"))
    except Exception as error:  # a stranger's files may raise anything, and the next run is to be graded
        found.reasons.append(Reason(UNREAD, f"{type(error).__name__}: {error}".splitlines()[0], "look"))
    return found


class _importable:
    """Inside, modules of a folder can be imported."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else str(folder)

    def __enter__(self) -> None:
        import sys

        if self._folder is not None:
            sys.path.insert(0, self._folder)

    def __exit__(self, *raised: object) -> None:
        import sys

        if self._folder is not None and self._folder in sys.path:
            sys.path.remove(self._folder)


def _evaluate(
    handed: Handed, expected: Mapping[str, Any], shared: dict[Any, Any], found: Evaluated, replay: bool
) -> None:
    from labrunner import data as sets
    from labrunner.machine import arithmetic, cores

    run, submitted = handed.run, handed.config
    assert submitted is not None
    config = _here(submitted, expected)
    states = _states(run.path)
    if (missing := _missing_width(config["model"], states)) is not None:
        found.reasons.append(Reason(SWAPPED, missing, "look"))
        return
    with arithmetic(1):
        config, learner = _learner(run.path, config)
    samples = sets.samples_of(config, shared)
    data = sets.make(config, samples, learner)
    found.reasons += _of_data(handed, data)
    threads = run.environment.get("threads")
    with arithmetic(min(threads, cores()) if type(threads) is int and threads > 0 else 1):
        _of_start(handed, config, learner, found)
        found.reasons += _of_rates(handed, config, data)
        _of_weights(handed, config, data, learner, states, found)
        if replay and found.is_done and run.status == "done":  # a cut run ends where no plan does
            from labrunner.course.evidence.replay import of_replay

            found.reasons += of_replay(handed, config, data, learner, states)


def _here(submitted: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """A submitted config whose files lie, and whose arithmetic is done, where the grader says."""
    places = {key: expected["dataset"][key] for key in ("root", "path", "memory") if key in expected["dataset"]}
    own = {key: value for key, value in submitted["dataset"].items() if key not in ("root", "path", "memory")}
    around = {key: expected[key] for key in ("device", "threads", "cache")}
    return {**submitted, **around, "dataset": {**own, **places}}


def _states(folder: Path) -> dict[int, dict[str, np.ndarray]]:
    """The states after whole epochs, by epoch; those that are damaged are named elsewhere."""
    found = {}
    for epoch, batch, path in checkpoint.listed(folder / "checkpoints"):
        if not batch and epoch:
            try:
                found[epoch] = checkpoint.read(path)[0]
            except checkpoint.DamagedCheckpoint:
                continue
    return found


def _missing_width(model: Mapping[str, Any], states: Mapping[int, Mapping[str, np.ndarray]]) -> str | None:
    """What is said of a model wider than any checkpoint, before memory is asked for it; None if there is none."""
    for key in FREE_KEYS:
        widths = model.get(key, []) if "_target_" not in model else []
        for epoch, state in states.items():
            sizes = {size for array in state.values() for size in array.shape}
            wrong = next((width for width in widths if width not in sizes), None) if isinstance(widths, list) else None
            if wrong is not None:
                name = checkpoint.Position(epoch).file_name
                return f"model.{key}={widths}, and no tensor of checkpoints/{name} is {wrong} wide"
    return None


def _learner(folder: Path, config: dict[str, Any]) -> tuple[dict[str, Any], Learner]:
    """The config as its model wants it, and the learner as it was drawn; weights from elsewhere are not read."""
    from labrunner import build, preprocessing

    weights = config["model"].get("weights", "none")
    names = weights if isinstance(weights, list) else [weights]
    if "_target_" in config["model"] or weights == "none":
        config, _, learner = build.with_learner(config)  # which has nothing to read, and draws
        return config, learner
    if set(names) <= {"none", "imagenet"}:
        _, _, wants = build.as_wanted(config)
    else:  # those of a run, or a file, that is on the student's machine
        recorded = preprocessing.read(folder)
        if recorded is None:
            raise RequestError("preprocessing.json is not there, which says what its starting weights wanted")
        wants = recorded.wants
    config, _, learner = build.with_learner(config, {"wants": wants._asdict()})
    return config, learner


def _of_data(handed: Handed, data: Data) -> Iterator[Reason]:
    """Whether the run saw the samples that the manifest's config gives."""
    if "environment.json" in handed.missing:
        return
    before, now = handed.run.environment.get("data"), data.samples.fingerprint
    if before != now:
        said = f"the samples that it was made with are {before}, those of the manifest {now} (environment.json)"
        yield Reason(SPLIT, said, "look")


def _of_start(handed: Handed, config: Mapping[str, Any], learner: Learner, found: Evaluated) -> None:
    """Whether the run began with the weights that its seed draws."""
    if config["model"].get("weights", "none") != "none":
        return
    recorded = read_json(handed.path / "initial.json")
    drawn = {name: checkpoint.tensor_hash(name, array) for name, array in learner.weights().items()}
    if recorded is None:
        return  # which the doctor names
    apart = sorted(name for name in {*recorded, *drawn} if recorded.get(name) != drawn.get(name))
    if apart:
        said = f"initial.json: {len(apart)} of {len(drawn)} tensors are not those that seed={config['seed']} draws"
        found.reasons.append(Reason(START, f"{said}, {apart[0]} among them", "look"))


def _of_rates(handed: Handed, config: Mapping[str, Any], data: Data) -> Iterator[Reason]:
    """Whether the learning rates of the rows are those of the schedule; a run that was extended began with another."""
    from labrunner.schedule import make
    from labrunner.schema import epochs_of

    if handed.run.environment.get("resumed"):
        return
    count, rows = data.train.batch_count, handed.run.row_list
    schedule = make(config["schedule"], config["optim"]["lr"], config["monitor"], count)
    for place, row in enumerate(rows):
        now = schedule((place + 1) * count - 1, epochs_of(config) * count, rows[:place])
        said = row["lr"]
        if said is None or not math.isclose(said, now, rel_tol=1e-6):
            yield Reason(
                EDITED,
                f"metrics.csv says lr is {predictions.told(said)} in epoch {place + 1}, its config gives {now:.6g}",
                "look",
            )
            return


def _of_weights(
    handed: Handed,
    config: Mapping[str, Any],
    data: Data,
    learner: Learner,
    states: Mapping[int, Mapping[str, np.ndarray]],
    found: Evaluated,
) -> None:
    """The weights of each kept epoch on the validation split, those of the chosen one on the test split."""
    from labrunner.results import test_numbers
    from labrunner.trainer import Diverged, evaluate

    run, close = handed.run, CLOSE_BF16 if config["precision"] == "bf16" else CLOSE
    rows = {int(row["epoch"]): row for row in run.row_list if row["train_loss"] is not None}
    choice = run.chosen
    apart: dict[int, str] = {}
    for epoch, state in states.items():
        name = checkpoint.Position(epoch).file_name
        found.weights[name] = checkpoint.state_hash({k: v for k, v in state.items() if k.startswith("weights/")})
        try:
            learner.load(state)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            said = f"checkpoints/{name} is of another model: {str(error).splitlines()[0]}"
            found.reasons.append(Reason(SWAPPED, said, "look"))
            return
        if epoch in rows and data.val is not None:
            try:
                validated = evaluate(learner, data.val, None, "validation")
            except Diverged as error:
                apart[epoch] = f"val_loss is {predictions.told(rows[epoch]['val_loss'])}, and by the weights {error}"
                continue
            if (other := _row_apart(rows[epoch], validated, close)) is not None:
                apart[epoch] = other
            if choice is not None and epoch == choice.epoch:
                found.facts |= {f"val_{key}": _defined(getattr(validated.scores, key)) for key in ("loss", *METRICS)}
    if choice is None or choice.epoch not in states:
        _blame(handed, apart, None, None, found)
        return
    learner.load(states[choice.epoch])
    found.facts |= _counted(config, data, learner, len(rows), choice.epoch)
    of_test: str | None = None
    written: predictions.Predictions | None = None
    if data.test is not None:
        tested = evaluate(learner, data.test, None, "test")
        numbers = test_numbers(tested)
        found.facts |= {f"test_{key}": _defined(value) for key, value in numbers.items()}
        is_over = run.status == "done"  # before, no files speak of the test split, or those of an earlier end do
        if is_over:
            found.reasons += gone(handed, OF_A_TEST)
        if is_over and "predictions.csv" not in handed.missing:
            try:
                written = predictions.read(handed.path, tested.probabilities.shape[1])
            except (OSError, ValueError, OverflowError, csv.Error) as error:
                found.reasons.append(Reason(DAMAGED, f"predictions.csv: {str(error).splitlines()[0]}", "look"))
        if written is not None:
            unlike = predictions.apart(written, data, tested, close)
            if isinstance(unlike, Reason):
                found.reasons.append(unlike)
            else:
                of_test = unlike
    _blame(handed, apart, choice.epoch, of_test, found)
    if written is not None:
        found.reasons += predictions.of_files(handed, written, found.facts["test_loss"], choice.epoch, close)
    found.reasons += _of_facts(handed, found.facts)
    found.is_done = True


def _defined(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _ties(tested: Evaluation, close: float) -> int:
    """Samples whose two likeliest classes are too near each other for another machine to agree."""
    two = np.sort(tested.probabilities, axis=1)[:, -2:]
    return int((two[:, -1] - two[:, 0] <= close).sum()) if two.shape[1] == 2 else 0


def _row_apart(row: Mapping[str, Any], validated: Evaluation, close: float) -> str | None:
    """The first number of a row that the weights do not give, in words; None where they give all."""
    n, ties = validated.scores.n, _ties(validated, close)
    smallest = max(1, int(validated.scores.support[validated.scores.support > 0].min(initial=n)))
    room = {"accuracy": ties / n + EXACT, "auroc": close + ties / smallest}
    for name in ("loss", *METRICS):
        recorded, now = row[f"val_{name}"], _defined(getattr(validated.scores, name))
        if recorded is None or math.isnan(now):
            if (recorded is None) != math.isnan(now):
                return f"val_{name} is {'blank' if recorded is None else recorded}, the weights give {now:.6g}"
            continue
        most = close * max(1.0, abs(now)) if name == "loss" else room.get(name, ties / smallest + 1e-6)
        if not abs(recorded - now) <= most:
            return f"val_{name} is {recorded:.6g}, the weights give {now:.6g}"
    return None


def _blame(handed: Handed, apart: Mapping[int, str], chosen: int | None, of_test: str | None, found: Evaluated) -> None:
    """Say of rows and predictions that the weights do not give which of the two is not the run's."""
    first = next(iter(apart), None)
    if first is None:
        if of_test is not None:
            found.reasons.append(Reason(EDITED, of_test, "look"))
        return
    epoch = chosen if chosen is not None and chosen in apart else first
    said = f"epoch {epoch}: metrics.csv says {apart[epoch]}"
    rows_were_edited = "metrics.csv" in handed.changed
    if of_test is not None and chosen in apart:
        both = f"{said}; {of_test}"
        found.reasons.append(Reason(SWAPPED, both, "look"))
    elif chosen in apart or rows_were_edited:
        found.reasons.append(Reason(EDITED, said, "look"))
    else:
        found.reasons.append(Reason(SWAPPED, said, "look"))
    if of_test is not None and chosen not in apart:
        found.reasons.append(Reason(EDITED, of_test, "look"))


def _counted(config: Mapping[str, Any], data: Data, learner: Learner, epochs: int, chosen: int) -> dict[str, float]:
    """The facts that are counts of the model and of the data."""
    parameters = learner.parameters()
    frozen = learner.frozen(max(1, epochs))

    def size(split: Split | None) -> int:
        return 0 if split is None else len(split)

    return {
        "parameters": sum(count for count, _ in parameters.values()),
        "parameters_trainable": sum(count for name, (count, _) in parameters.items() if name not in frozen),
        "multiply_adds": learner.work,
        "train_samples": size(data.train),
        "val_samples": size(data.val),
        "test_samples": size(data.test),
        "epochs": epochs,
        "steps": epochs * data.train.batch_count,
        "chosen_epoch": chosen,
    }


def _of_facts(handed: Handed, facts: Mapping[str, float]) -> Iterator[Reason]:
    recorded = read_json(handed.path / "facts.json") or {}
    for name, value in facts.items():
        said = recorded.get(name)
        if name in recorded and (type(said) not in (int, float) or said != value):
            yield Reason(EDITED, f"facts.json says {name} is {said}, it is {value:g}", "look")
