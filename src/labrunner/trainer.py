"""The generic loop: epochs, selection and stopping, for anything that keeps to the contract of `labrunner.learner`."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from labrunner import metrics
from labrunner.checkpoint import Position
from labrunner.data import Data, Split
from labrunner.errors import Interrupted, RunError
from labrunner.learner import Batch, BatchOut, Learner
from labrunner.own import during
from labrunner.probes import Probe
from labrunner.records import Row
from labrunner.schedule import Schedule
from labrunner.selection import chosen, stopped_early

FLUSH_SECONDS = 0.25  # how often what came out becomes numbers, is looked at and told to the progress bar
FLUSH_BATCHES = 64  # or after so many batches, which bounds what is kept
ESTIMATE_TRIES = 3
SLOW_BATCH = 0.3  # seconds
BEGAN = "start/"  # in front of the facts of an epoch's start, among the sums of a pass that was stopped


@dataclass(frozen=True)
class Plan:
    """What is asked of the trainer."""

    epochs: int
    schedule: Schedule
    monitor: str = "val_loss"
    select: str = "best"
    patience: int | None = None
    config_hash: str = ""
    every_batches: int | None = None  # from one checkpoint in the middle of an epoch to the next
    every_minutes: float | None = None


@dataclass(frozen=True)
class Start:
    """Where to begin: at the very start, or where a checkpoint left off."""

    rows: Sequence[Row] = ()
    batch: int = 0
    sums: Mapping[str, float] = field(default_factory=dict)


class Journal(Protocol):
    """Where rows and checkpoints go; `labrunner.records.RunFolder` is one."""

    def record(self, row: Row, timing: Row, facts: Mapping[str, float], step: int) -> None:
        """The rows of an epoch; `facts` and `step`, the training batches before it, are those of its start."""

    def commit(
        self,
        row: Row,
        timing: Row,
        facts: Mapping[str, float],
        step: int,
        state: Mapping[str, np.ndarray],
        position: Position,
        keep_epochs: Iterable[int],
    ) -> None: ...

    def save(self, state: Mapping[str, np.ndarray], position: Position, keep_epochs: Iterable[int]) -> None: ...

    def flush(self) -> None: ...


class Diverged(RunError):
    """The loss stopped being a finite number; `at_once` if it never was one, before any update."""

    def __init__(self, message: str, at_once: bool = False) -> None:
        super().__init__(message)
        self.at_once = at_once


class Bar(Protocol):
    """What the loop tells about its progress; called a few times a second and at the end of each epoch."""

    def __call__(self, epoch: int, batch: int, loss: float, row: Row | None) -> None: ...


def silent(epoch: int, batch: int, loss: float, row: Row | None) -> None:
    """The bar of those who do not want one."""


def fit(
    learner: Learner,
    data: Data,
    plan: Plan,
    journal: Journal,
    *,
    start: Start = Start(),
    probes: Sequence[Probe] = (),
    stop: object = None,
    bar: Bar = silent,
) -> list[Row]:
    """Train from `start` to the last epoch, or to where early stopping ends it.

    Returns
    -------
    The rows of all epochs, those of `start` included.

    Raises
    ------
    Diverged
        when a loss is not finite, or a weight; the row of that epoch is recorded with blanks, and no checkpoint.
    Interrupted
        when `stop` became true; the state has been saved in the middle of the epoch.
    """
    rows = list(start.rows)
    total = plan.epochs * data.train.batch_count
    stepping = [probe for probe in probes if probe.each_step]
    for probe in probes:
        probe.start(learner, data, len(rows) * data.train.batch_count + start.batch)
    midway = Midway(journal, plan)
    while len(rows) < plan.epochs and not stopped_early(rows, plan.monitor, plan.patience):
        epoch, begin = len(rows) + 1, time.perf_counter()
        passed = start if epoch == len(start.rows) + 1 else Start()
        facts = learner.start_epoch(epoch) | began_with(passed.sums)
        step = (epoch - 1) * data.train.batch_count  # training batches before this epoch
        lr = plan.schedule(step + data.train.batch_count - 1, total, rows)  # of its last batch
        training = TrainingPass(learner, data.train, plan, rows, total, passed, stepping, facts)
        try:
            training.run(stop, bar, midway)
            state, trained = training.finished(), time.perf_counter()
            what = f"validation of epoch {epoch}"
            val = None if data.val is None else evaluate(learner, data.val, stop, what)
        except StopRequested as request:
            midway.save(training)
            journal.flush()
            raise Interrupted(request.signum) from None
        except Diverged:
            done = time.perf_counter()
            journal.record(blank_row(epoch, lr), timing_row(epoch, begin, done, done), facts, step)
            raise
        rows.append(epoch_row(epoch, lr, training, val))
        for probe in probes:
            probe.end_epoch(learner, data, rows[-1])
        timing = timing_row(epoch, begin, trained, time.perf_counter())
        position = Position(epoch, config_hash=plan.config_hash)
        journal.commit(rows[-1], timing, facts, step, state, position, kept_epochs(rows, plan))
        midway.begin()
        bar(epoch, data.train.batch_count, rows[-1]["train_loss"], rows[-1])
    return rows


def began_with(sums: Mapping[str, float]) -> dict[str, float]:
    """The facts of the start of an epoch that was stopped in its middle, as its checkpoint has them."""
    return {name.removeprefix(BEGAN): value for name, value in sums.items() if name.startswith(BEGAN)}


class StopRequested(Exception):
    """The stop flag was seen at a batch."""

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.signum = signum


def heed(stop: Any) -> None:
    if stop:
        raise StopRequested(stop.signum)


class Midway:
    """Checkpoints in the middle of an epoch: when one is due, and the writing of it."""

    def __init__(self, journal: Journal, plan: Plan) -> None:
        self._journal, self._batches = journal, plan.every_batches
        self._seconds = math.inf if plan.every_minutes is None else 60.0 * plan.every_minutes
        self.begin()

    def begin(self) -> None:
        """A checkpoint has been written, from which the time to the next counts."""
        self._due = time.monotonic() + self._seconds

    def is_due(self, batch: int, now: float) -> bool:
        """Whether one is due after `batch` training batches of an epoch."""
        return now >= self._due or (self._batches is not None and batch % self._batches == 0)

    def save(self, training: TrainingPass) -> None:
        """The state of a pass that has been flushed. Weights that are not finite are not kept: the next loss tells."""
        state = training.learner.state()
        if finite(state):
            self._journal.save(state, training.position(), kept_epochs(training.rows, training.plan))
        self.begin()


def finite(state: Mapping[str, np.ndarray]) -> bool:
    """Whether all weights of a learner's state are numbers."""
    return all(
        np.isfinite(values).all()
        for name, values in state.items()
        if name.startswith("weights/") and np.issubdtype(values.dtype, np.floating)
    )


class TrainingPass:
    """One trip through the training split: a step a batch, and running sums of what came out.

    What comes out of a batch stays where the learner computes, so that no batch waits for the device; it becomes
    numbers at the end, every `FLUSH_BATCHES` batches and a few times a second. They are added up batch by batch, so
    that the sums do not depend on when that was.
    """

    def __init__(
        self,
        learner: Learner,
        split: Split,
        plan: Plan,
        rows: Sequence[Row],
        total: int,
        start: Start,
        probes: Sequence[Probe],
        facts: Mapping[str, float],
    ) -> None:
        self.learner, self.split, self.plan, self.rows = learner, split, plan, rows
        self.total, self.probes, self.facts = total, probes, facts
        self.batch = start.batch
        self._n = int(start.sums.get("n", 0))
        self._loss = float(start.sums.get("loss", 0.0))
        self._hits = None if start.batch and "hits" not in start.sums else int(start.sums.get("hits", 0))
        self._unseen: list[tuple[Batch, float, BatchOut]] = []  # batch, lr, what came out; since the last flush

    def run(self, stop: Any, bar: Bar, midway: Midway) -> None:
        with during(lambda: f"training, epoch {len(self.rows) + 1}, batch {self.batch + 1}"):
            self._run(stop, bar, midway)

    def _run(self, stop: Any, bar: Bar, midway: Midway) -> None:
        epoch = len(self.rows) + 1
        due = time.monotonic() + FLUSH_SECONDS
        for batch in self.split.batches(epoch, self.batch):
            if stop:
                self._flush()  # a pass that has diverged says so, and is not saved
                raise StopRequested(stop.signum)
            lr = self.plan.schedule(batch.step, self.total, self.rows)
            out = self.learner.train_batch(batch, lr)
            self._unseen.append((Batch(None, batch.targets, batch.step), lr, out))
            self.batch += 1
            if self.probes and not math.isfinite(float(out.loss)):
                self._flush()  # at once, so that what is noted does not depend on when the next flush is due
            for probe in self.probes:
                probe.after_step(self.learner, batch, out)
            now = time.monotonic()  # looked at once: what is told has been flushed
            is_saved = self.batch < self.split.batch_count and midway.is_due(self.batch, now)
            if is_saved or now >= due or len(self._unseen) == FLUSH_BATCHES:
                self._flush()
            if is_saved:
                midway.save(self)
            if now >= due:
                bar(epoch, self.batch, self.loss, None)
                due = time.monotonic() + FLUSH_SECONDS
        self._flush()

    def _flush(self) -> None:
        """Turn what came out into sums, batch by batch; raises Diverged with the first bad step."""
        if not self._unseen:
            return
        batches, lrs, outs = zip(*self._unseen, strict=True)
        self._unseen = []
        tally = self.learner.tally(outs, [batch.targets for batch in batches])
        self._hits = None if self._hits is None or tally.hits is None else self._hits + tally.hits
        for batch, lr, loss in zip(batches, lrs, tally.losses, strict=True):
            if not math.isfinite(loss):
                where = f"step {batch.step} (epoch {len(self.rows) + 1}, lr {lr})"
                if batch.step == 0:
                    raise Diverged(f"the training loss is {loss} at {where}, before any update", at_once=True)
                raise Diverged(f"the training loss became {loss} at {where}")
            self._n += len(batch.targets)
            self._loss += loss * len(batch.targets)
        if not math.isfinite(self._loss):
            raise Diverged(f"the sum of the training losses overflowed in epoch {len(self.rows) + 1}")

    def position(self) -> Position:
        """Where a checkpoint in the middle of the pass stands, with the running sums and the facts of its start."""
        sums = {"n": self._n, "loss": self._loss} | ({} if self._hits is None else {"hits": self._hits})
        sums |= {BEGAN + name: value for name, value in self.facts.items()}
        return Position(len(self.rows), self.batch, sums if self.batch else {}, self.plan.config_hash)

    def finished(self) -> dict[str, np.ndarray]:
        """The learner's state at the end of the pass; raises Diverged where the last step spoilt the weights."""
        state, step = self.learner.state(), (len(self.rows) + 1) * self.split.batch_count - 1
        if not finite(state):
            where = f"step {step} (epoch {len(self.rows) + 1}, lr {self.plan.schedule(step, self.total, self.rows)})"
            raise Diverged(f"a weight became infinite or NaN at {where}")
        return state

    @property
    def loss(self) -> float:
        return self._loss / self._n

    @property
    def accuracy(self) -> float | None:
        """Share of hits; None where targets are weights of several classes, as under mixup."""
        return None if self._hits is None else self._hits / self._n


@dataclass(frozen=True)
class Evaluation:
    """A whole split, seen once: the metrics and what they came from."""

    scores: metrics.Scores
    probabilities: np.ndarray  # (N, K) float64
    labels: np.ndarray  # (N,) int64

    @property
    def predicted(self) -> np.ndarray:
        return self.probabilities.argmax(axis=1)


def evaluate(learner: Learner, split: Split, stop: Any = None, what: str = "evaluation") -> Evaluation:
    """Scores of all samples of a split, and the metrics computed once over all of them."""
    losses, kept = [], []
    with during(lambda: what):
        for batch in split.in_order():
            heed(stop)
            out = learner.eval_batch(batch)
            losses.append((out.loss, len(batch.targets)))
            kept.append(out.scores)
    loss = math.fsum(float(mean) * n for mean, n in losses) / len(split)
    if not math.isfinite(loss):
        raise Diverged(f"the loss became {loss} in the {what}")
    probabilities = learner.probabilities(kept)
    return Evaluation(metrics.score(probabilities, split.labels, loss), probabilities, split.labels)


def epoch_row(epoch: int, lr: float, train: TrainingPass, val: Evaluation | None) -> Row:
    """The record of one epoch, under the names of metrics.csv; None where there is nothing to say."""
    row = blank_row(epoch, lr) | {"train_loss": train.loss, "train_accuracy": train.accuracy}
    if val is not None:
        row["val_loss"] = val.scores.loss
        for name in ("accuracy", "precision", "recall", "f1", "auroc"):
            row[f"val_{name}"] = defined(getattr(val.scores, name))
    return row


def blank_row(epoch: int, lr: float) -> Row:
    columns = ("loss", "accuracy", "precision", "recall", "f1", "auroc")
    return {"epoch": epoch, "lr": lr, "train_loss": None, "train_accuracy": None} | {
        f"val_{name}": None for name in columns
    }


def timing_row(epoch: int, begin: float, trained: float, end: float) -> Row:
    return {"epoch": epoch, "seconds": end - begin, "train_seconds": trained - begin, "val_seconds": end - trained}


def defined(value: float) -> float | None:
    return value if math.isfinite(value) else None


def kept_epochs(rows: Sequence[Row], plan: Plan) -> set[int]:
    """Epochs whose checkpoints stay: the last two, and the best."""
    best = chosen(rows, plan.monitor, "best")
    return {len(rows), len(rows) - 1} | ({best.epoch} if best is not None else set())


def estimate(learner: Learner, data: Data, epochs: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that `epochs` will take, from a few batches and their gradients; moves nothing.

    The first gradient pays for set-up and is not counted; of the others the quickest is, since what is beside us on the
    machine can only slow it down. The update is left out: it is small beside the gradient.
    """
    train = data.train
    batches = itertools.chain.from_iterable(train.batches(epoch) for epoch in itertools.count(1))
    learner.gradients(next(batches))
    seconds = math.inf  # of a sample
    for _ in range(ESTIMATE_TRIES):
        begin = clock()
        batch = next(batches)
        learner.gradients(batch)
        took = clock() - begin
        seconds = min(seconds, took / len(batch.targets))
        if took > SLOW_BATCH:  # a second look would cost more than it tells
            break
    trained = min(len(train), train.batch_count * train.batch_size)
    # an evaluated sample costs about a third of a trained one
    return epochs * seconds * (trained + (0 if data.val is None else len(data.val)) / 3)
