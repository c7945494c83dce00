"""The loop: means, selection, stopping, divergence, interruption, probes; with a learner that is told what to lose."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labrunner import checkpoint, deep, scratch, trainer
from labrunner.checkpoint import Position
from labrunner.data import Description, Samples, load, make, splits
from labrunner.errors import Interrupted
from labrunner.learner import BatchOut, Tally, Wants
from labrunner.probes import Probe
from labrunner.records import METRICS
from labrunner.schedule import constant, cosine
from labrunner.selection import chosen
from labrunner.trainer import Diverged, Plan, Start, estimate, evaluate, fit, kept_epochs
from tests.data.settings import ADAM, FAKE, MLP_NUMPY, MOMENTUM, config
from tests.test_selection import rows_of

BATCH = 8
TRAIN, VAL = 36, 12  # samples: five batches, the last of four
BATCHES = 5


class Told:
    """A learner that loses what it is told: a number for each step, one for each evaluated batch of each epoch."""

    wants, work = Wants(), 1

    def __init__(
        self, train: Callable[[int], float] = lambda step: 1.0, val: Callable[[int, int], float] = lambda epoch, n: 1.0
    ) -> None:
        self.train, self.val = train, val
        self.steps: list[tuple[int, float]] = []
        self.sizes: list[int] = []

    def array(self, values: np.ndarray) -> np.ndarray:
        return values

    def start_epoch(self, epoch: int) -> dict[str, float]:
        self.epoch, self.evaluated = epoch, 0
        return {"epoch_as_told": float(epoch)}

    def train_batch(self, batch, lr):
        self.steps.append((batch.step, lr))
        self.sizes.append(len(batch.targets))
        return BatchOut(np.float64(self.train(batch.step)), np.eye(2)[np.zeros(len(batch.targets), int)])

    def tally(self, outs, targets):
        hits = sum(int((out.scores.argmax(1) == y).sum()) for out, y in zip(outs, targets, strict=True))
        return Tally([float(out.loss) for out in outs], hits)

    def eval_batch(self, batch):
        self.evaluated += 1
        return BatchOut(np.float64(self.val(self.epoch, self.evaluated)), np.eye(2)[np.asarray(batch.targets)])

    def probabilities(self, scores):
        return np.concatenate(scores).astype(float)

    def state(self):
        return {"weights/steps": np.array(len(self.steps))}


class Notes:
    """A journal in memory."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.facts: list[tuple[int, dict[str, float]]] = []
        self.timings: list[dict[str, Any]] = []
        self.saved: list[tuple[Position, bytes, set[int]]] = []

    def record(self, row, timing, facts, step):
        self.rows.append(row)
        self.timings.append(timing)
        self.facts.append((step, facts))

    def commit(self, row, timing, facts, step, state, position, keep_epochs):
        self.record(row, timing, facts, step)
        self.save(state, position, keep_epochs)

    def save(self, state, position, keep_epochs):
        self.saved.append((position, checkpoint.encode(state, position), set(keep_epochs)))

    def flush(self): ...


class StopAt:
    """A stop flag that is up when it is looked at for the n-th time, counted from 0."""

    signum = 15

    def __init__(self, n: int) -> None:
        self.left = n

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left < 0


def told_data(learner, val: bool = True):
    # 60 samples of two classes: 36 train, 12 val, 12 test
    samples = Samples(Description("told", (1,), ("a", "b")), np.zeros((60, 1), np.float32), np.arange(60) % 2)
    settings = config(
        batch_size=BATCH, dataset={"val_fraction": 0.2 if val else 0.0, "test_fraction": 0.2 if val else 0.4}
    )
    return make(settings, samples, learner)


def fit_told(learner: Told, notes: Notes | None = None, val: bool = True, **options):
    fields = {name: options.pop(name) for name in list(options) if name in Plan.__dataclass_fields__}
    plan = Plan(**{"epochs": 3, "schedule": constant(0.1), **fields})
    return fit(learner, told_data(learner, val), plan, notes or Notes(), **options)


@pytest.fixture(autouse=True)
def _several_batches_in_an_evaluation(monkeypatch):
    monkeypatch.setattr(splits, "EVAL_BATCH", 5)  # twelve samples: five, five, two


# the means of a pass


def test_the_mean_of_a_pass_weighs_batches_by_their_size():
    losses = np.array([1.0, 2.0, 3.0, 4.0, 50.0])
    learner = Told(train=lambda step: losses[step % BATCHES], val=lambda epoch, n: [3.0, 5.0, 70.0][n - 1])
    row = fit_told(learner, epochs=1)[0]
    assert learner.sizes == [8, 8, 8, 8, 4]
    assert row["train_loss"] == pytest.approx((8 * 10.0 + 4 * 50.0) / 36, rel=1e-15)
    assert row["val_loss"] == pytest.approx((5 * 3.0 + 5 * 5.0 + 2 * 70.0) / 12, rel=1e-15)
    assert row["val_loss"] != pytest.approx(np.mean([3.0, 5.0, 70.0]))


def test_training_accuracy_is_the_share_of_hits_over_the_whole_pass():
    row = fit_told(Told(), epochs=1)[0]
    assert row["train_accuracy"] == 0.5, "it says class 0 to all, and half of them are"
    assert row["val_accuracy"] == row["val_auroc"] == 1.0


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_looking_often_changes_no_number(seconds, monkeypatch):
    expected = fit_told(Told(train=lambda step: math.sin(step) / 3))
    monkeypatch.setattr(trainer, "FLUSH_SECONDS", seconds)
    shown = []
    rows = fit_told(Told(train=lambda step: math.sin(step) / 3), bar=lambda *told: shown.append(told))
    assert repr(rows) == repr(expected)
    in_passes = [told for told in shown if told[3] is None]
    assert len(in_passes) == (3 * BATCHES if seconds == 0.0 else 0)
    assert [told[:2] for told in shown if told[3] is not None] == [(1, 5), (2, 5), (3, 5)]


def test_a_row_has_the_columns_of_the_file_and_the_learning_rate_of_its_last_step():
    learner = Told()
    notes = Notes()
    rows = fit_told(learner, notes, schedule=cosine(0.3, 0.0))
    assert [tuple(row) for row in rows] == [METRICS] * 3
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["lr"] for row in rows] == [learner.steps[i][1] for i in (4, 9, 14)]
    assert [step for step, _ in learner.steps] == list(range(15))
    assert learner.steps[0][1] == 0.3
    assert notes.rows == rows
    assert notes.facts == [(5 * (e - 1), {"epoch_as_told": float(e)}) for e in (1, 2, 3)]
    assert all(t["seconds"] == pytest.approx(t["train_seconds"] + t["val_seconds"]) for t in notes.timings)


def test_a_schedule_sees_the_rows_of_the_finished_epochs():
    seen = {}
    fit_told(Told(), schedule=lambda step, total, rows: seen.setdefault(step, (total, len(rows))) and 0.1)
    assert seen == {step: (15, step // BATCHES) for step in range(15)}


def test_without_validation_the_columns_are_blank_and_the_last_epoch_is_chosen():
    learner = Told(train=lambda step: [1.0, 0.2, 5.0][step // 6])  # 36 + 12 samples: six batches
    rows = fit_told(learner, val=False, patience=1)
    assert len(rows) == 3, "nothing to stop by"
    assert all(row[name] is None for row in rows for name in METRICS if name.startswith("val_"))
    assert chosen(rows, "val_loss", "best") == (3, "blank")
    assert kept_epochs(rows, Plan(3, constant(0.1))) == {2, 3}


# selection and stopping


def test_a_fit_stops_where_its_rows_say_and_stays_stopped():
    losses = [5.0, 4.0, 4.5, 4.5, 1.0, 1.0]
    learner = Told(val=lambda epoch, n: losses[epoch - 1])
    rows = fit_told(learner, epochs=6, patience=2)
    assert [row["val_loss"] for row in rows] == losses[:4]
    again = Told()
    assert fit_told(again, epochs=50, patience=2, start=Start(rows)) == rows
    assert again.steps == []


def test_the_last_two_epochs_and_the_best_are_kept():
    plan = Plan(9, constant(0.1))
    assert kept_epochs(rows_of([1.0, 2.0, 3.0, 4.0, 5.0]), plan) >= {1, 4, 5}
    assert kept_epochs(rows_of([3.0, 2.0, 1.0]), plan) == {2, 3}
    assert kept_epochs(rows_of([3.0, 1.0, 1.0, 1.0]), plan) == {2, 3, 4}


def test_every_commit_says_what_is_kept():
    notes = Notes()
    losses = [2.0, 1.0, 3.0, 3.0, 3.0]
    fit_told(Told(val=lambda epoch, n: losses[epoch - 1]), notes, epochs=5, config_hash="abc")
    assert [position for position, _, _ in notes.saved] == [Position(e, config_hash="abc") for e in range(1, 6)]
    assert [keep & set(range(1, 6)) for *_, keep in notes.saved] == [{1}, {1, 2}, {2, 3}, {2, 3, 4}, {2, 4, 5}]


# divergence


@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["looked at often", "looked at late"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("first", range(BATCHES, 2 * BATCHES))
def test_the_first_bad_step_is_named_with_its_learning_rate(first, bad, seconds, monkeypatch):
    monkeypatch.setattr(trainer, "FLUSH_SECONDS", seconds)
    learner, notes = Told(train=lambda step: 1.0 if step < first else bad if step == first else math.nan), Notes()
    schedule = cosine(0.5, 0.0)
    with pytest.raises(Diverged, match=rf"{bad} at step {first} \(epoch 2, lr {schedule(first, 15, [])}\)"):
        fit_told(learner, notes, schedule=schedule)
    assert [position.epoch for position, *_ in notes.saved] == [1], "no checkpoint comes out of that pass"
    assert [row["epoch"] for row in notes.rows] == [1, 2]
    blanks = {name: value for name, value in notes.rows[1].items() if name not in ("epoch", "lr")}
    assert set(blanks.values()) == {None}
    assert notes.rows[1]["lr"] == schedule(9, 15, [])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_validation_that_is_not_finite_ends_the_run_too(batch, bad):
    learner, notes = Told(val=lambda epoch, n: bad if (epoch, n) == (2, batch) else 1.0), Notes()
    with pytest.raises(Diverged, match=f"{bad} in the validation of epoch 2"):
        fit_told(learner, notes)
    assert [position.epoch for position, *_ in notes.saved] == [1]
    assert notes.rows[1]["epoch"] == 2
    assert notes.rows[1]["val_loss"] is None


def test_a_stop_after_a_bad_step_saves_no_checkpoint():
    learner, notes = Told(train=lambda step: math.nan if step == 2 else 1.0), Notes()
    with pytest.raises(Diverged, match="nan at step 2"):
        fit_told(learner, notes, stop=StopAt(4))
    assert notes.saved == []
    assert [row["train_loss"] for row in notes.rows] == [None]


def test_a_learning_rate_that_is_too_large_diverges_on_both_sides():
    for module, model in ((scratch, MLP_NUMPY), (deep, {**MLP_NUMPY, "name": "mlp"})):
        settings = config(model={**model, "activation": "relu"}, batch_size=BATCH, precision="float32")
        learner = module.make(settings, (3, 6, 6), 4)
        notes = Notes()
        with pytest.raises(Diverged, match=r"step \d+ .*lr 1e\+30"):
            fit(learner, make(settings, load(FAKE), learner), Plan(3, constant(1e30)), notes)
        assert notes.saved == []


# interruption


SIDES = {
    "numpy momentum": (scratch, config(model=MLP_NUMPY, optim=MOMENTUM, batch_size=BATCH)),
    "numpy adam": (
        scratch,
        config(model=MLP_NUMPY, optim=ADAM, batch_size=BATCH, precision="float32", reg={"dropout": 0.3}),
    ),
    "torch momentum": (deep, config(optim=MOMENTUM, batch_size=BATCH, precision="float32", reg={"dropout": 0.3})),
    "torch adam": (deep, config(optim=ADAM, batch_size=BATCH, reg={"dropout": 0.3, "weight_decay": 0.01})),
}
REAL_PLAN = Plan(3, cosine(0.02, 0.001), config_hash="abc")
PER_EPOCH = BATCHES + 3  # looks at the flag: five training batches and three of validation


def real(name: str):
    module, settings = SIDES[name]
    settings = {**settings, "dataset": {**FAKE, "samples": 60}}
    learner = module.make(settings, (3, 6, 6), 4)
    return learner, make(settings, load(settings["dataset"]), learner)


@pytest.fixture(scope="module")
def uninterrupted():
    """The rows and the final state of a fit of each side in one piece."""
    before, splits.EVAL_BATCH = splits.EVAL_BATCH, 5
    ends = {}
    for name in SIDES:
        learner, data = real(name)
        ends[name] = fit(learner, data, REAL_PLAN, Notes()), checkpoint.state_hash(learner.state())
    splits.EVAL_BATCH = before
    return ends


@pytest.mark.parametrize("look", range(2 * PER_EPOCH))
@pytest.mark.parametrize("side", SIDES)
def test_a_fit_that_was_stopped_at_any_batch_goes_on_to_the_same_bytes(side, look, uninterrupted):
    learner, data = real(side)
    notes = Notes()
    with pytest.raises(Interrupted) as caught:
        fit(learner, data, REAL_PLAN, notes, stop=StopAt(look))
    assert caught.value.signum == 15
    state, position = checkpoint.decode(notes.saved[-1][1])
    epoch, batch = divmod(look, PER_EPOCH)
    assert (position.epoch, position.batch) == (epoch, min(batch, BATCHES))
    assert position.config_hash == "abc"
    assert notes.saved[-1][2] >= set(range(1, epoch + 1)), "the finished epochs may still be chosen"

    learner, data = real(side)
    learner.load(state)
    rows = fit(learner, data, REAL_PLAN, Notes(), start=Start(notes.rows, position.batch, position.sums))
    expected, end = uninterrupted[side]
    assert repr(rows) == repr(expected)
    assert checkpoint.state_hash(learner.state()) == end


def test_a_fit_that_was_stopped_again_and_again_comes_to_the_same_bytes(uninterrupted):
    for side in SIDES:
        learner, data = real(side)
        notes, start, runs = Notes(), Start(), 1
        while True:
            try:
                rows = fit(learner, data, REAL_PLAN, notes, start=start, stop=StopAt(4))
                break
            except Interrupted:
                runs += 1
                learner, data = real(side)
                state, position = checkpoint.decode(notes.saved[-1][1])
                learner.load(state)
                start = Start(list(notes.rows), position.batch, position.sums)
        assert runs > 3
        assert (repr(rows), checkpoint.state_hash(learner.state())) == (
            repr(uninterrupted[side][0]),
            uninterrupted[side][1],
        )


def test_a_stop_that_nobody_sees_changes_nothing(uninterrupted):
    learner, data = real("numpy momentum")
    assert repr(fit(learner, data, REAL_PLAN, Notes(), stop=StopAt(3 * PER_EPOCH))) == repr(
        uninterrupted["numpy momentum"][0]
    )


# what only looks


class Watch(Probe):
    """Notes each call, and looks at the learner as probes do."""

    def __init__(self, name: str, calls: list[tuple]) -> None:
        self.name, self.calls = name, calls

    def start(self, learner, data, step):
        self.calls.append((self.name, "start", step))
        learner.weights()

    def after_step(self, learner, batch, out):
        self.calls.append((self.name, "after_step", batch.step))
        learner.gradients(batch)
        learner.activations(batch.inputs)

    def end_epoch(self, learner, data, row):
        self.calls.append((self.name, "end_epoch", row["epoch"], row["val_loss"] is not None))
        learner.eval_batch(next(data.val.in_order()))


@pytest.mark.parametrize("side", SIDES)
def test_probes_are_called_in_their_order_and_change_nothing(side, uninterrupted):
    calls: list[tuple] = []
    learner, data = real(side)
    rows = fit(learner, data, REAL_PLAN, Notes(), probes=[Watch("b", calls), Watch("a", calls)])
    places = [("start", 0)]
    for epoch in (1, 2, 3):
        places += [("after_step", step) for step in range(5 * (epoch - 1), 5 * epoch)] + [("end_epoch", epoch, True)]
    assert calls == [(name, *place) for place in places for name in ("b", "a")]
    assert (repr(rows), checkpoint.state_hash(learner.state())) == (
        repr(uninterrupted[side][0]),
        uninterrupted[side][1],
    )


@pytest.mark.parametrize("side", SIDES)
def test_an_estimate_moves_nothing(side, uninterrupted):
    learner, data = real(side)
    before = checkpoint.state_hash(learner.state())
    ticks = iter([10.0, 10.5])
    # half a second a batch of eight: 3 epochs of 36 samples trained, and 12 evaluated at a third of the cost
    assert estimate(learner, data, 3, lambda: next(ticks)) == pytest.approx(3 * (36 + 12 / 3) * 0.5 / 8)
    assert checkpoint.state_hash(learner.state()) == before
    assert repr(fit(learner, data, REAL_PLAN, Notes())) == repr(uninterrupted[side][0])


def test_a_bar_that_becomes_due_between_two_looks_at_the_clock_is_told_numbers(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(trainer.time, "monotonic", lambda: next(ticks) * 0.6 * trainer.FLUSH_SECONDS)
    learner, data = real("numpy momentum")
    told: list[float] = []
    fit(learner, data, REAL_PLAN, Notes(), bar=lambda epoch, batch, loss, row: told.append(loss))
    assert len(told) > 3
    assert all(math.isfinite(loss) for loss in told)


def test_an_evaluation_sees_each_sample_in_the_splits_own_order():
    learner, data = real("numpy momentum")
    evaluation = evaluate(learner, data.test)
    np.testing.assert_array_equal(evaluation.labels, load({**FAKE, "samples": 60}).labels[data.test.index])
    batch = next(data.test.in_order())
    np.testing.assert_allclose(
        evaluation.probabilities[:5], learner.probabilities([learner.scores(batch.inputs)]), rtol=1e-12
    )
    p = evaluation.probabilities[np.arange(len(data.test)), evaluation.labels]
    assert evaluation.scores.loss == pytest.approx(-np.log(p).mean(), rel=1e-12), "cross-entropy"
    assert evaluation.scores.accuracy == (evaluation.predicted == evaluation.labels).mean()
