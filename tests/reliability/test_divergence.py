"""A loss that stops being a number: the first bad step is named, and what is kept stays finite."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrunner import checkpoint
from labrunner.deep import TorchLearner
from labrunner.learner import BatchOut
from labrunner.records import load_run
from labrunner.scratch import NumpyLearner
from tests.cli.kinds import TINY
from tests.lines import cases, line

STEPS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 11)  # of twelve, three an epoch
LEARNERS: dict[str, type] = {"mlp": TorchLearner, "mlp_numpy": NumpyLearner}
RUN = (*TINY, "epochs=4", "schedule=cosine", "checkpoint.every_batches=1")


def spoil(monkeypatch: pytest.MonkeyPatch, learner: type, first: int, factor: float) -> None:
    """From step `first` on, the losses of a learner are no numbers."""
    method = learner.train_batch  # type: ignore[attr-defined]

    def spoilt(self: Any, batch: Any, lr: float) -> BatchOut:
        out = method(self, batch, lr)
        return BatchOut(out.loss * factor, out.scores) if batch.step >= first else out

    monkeypatch.setattr(learner, "train_batch", spoilt)


def assert_finite_checkpoints(folder: Path, epochs: int) -> None:
    listed = checkpoint.listed(folder / "checkpoints")
    assert all(epoch <= epochs for epoch, _, _ in listed)
    for _, _, path in listed:
        state, _ = checkpoint.read(path)
        assert all(np.isfinite(values).all() for values in state.values())


@line(7, "NaN or Inf in the training loss at a step")
@pytest.mark.parametrize(
    ("step", "bad", "model"),
    cases(
        [(step, bad, model) for step in STEPS for bad in (math.nan, math.inf) for model in LEARNERS],
        fast=[(0, math.nan, "mlp"), (5, math.inf, "mlp_numpy"), (10, math.nan, "mlp"), (11, math.inf, "mlp")],
    ),
)
def test_the_first_bad_step_is_named_and_what_is_kept_is_finite(lab, monkeypatch, step, bad, model):
    with monkeypatch.context() as patch:
        spoil(patch, LEARNERS[model], step, bad)
        ended = lab("hydra.run.dir=off", "figures=none", *RUN, f"model={model}")
    folder = lab.folder / "off"
    assert (ended.code, ended.out) == (1, "")
    became = "became" if step else "is"  # before any update
    assert ended.err.startswith(f"labrunner: error: the run diverged: the training loss {became} {bad} at step {step} ")
    assert len(ended.err.splitlines()) <= 3
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, step // 3 + 2))
    assert {rows[-1][name] for name in rows[-1] if name not in ("epoch", "lr")} == {""}
    assert all(math.isfinite(float(row["val_loss"])) for row in rows[:-1])
    whole = lab.train("whole", *RUN, f"model={model}")  # what says the learning rate of the step
    lr = load_run(whole).row_list[step // 3]["lr"]
    assert lr > 0.0
    assert f"(epoch {step // 3 + 1}, lr " in ended.err
    run = load_run(folder)
    assert run.status == "diverged"
    assert f"at step {step} " in (run.error or "")
    assert not (folder / "test.json").exists()
    assert_finite_checkpoints(folder, step // 3)
    if step >= 3:
        chosen = run.chosen
        assert chosen is not None
        assert math.isfinite(float(rows[chosen.epoch - 1]["val_loss"])), "the best epoch is one with a number"


@line(7, "NaN in the loss of a validation")
@pytest.mark.parametrize("model", cases(LEARNERS, fast=["mlp"]))
def test_a_validation_without_a_number_is_no_epoch_to_choose(lab, monkeypatch, model):
    learner, seen = LEARNERS[model], []
    method = learner.eval_batch  # type: ignore[attr-defined]

    def spoilt(self: Any, batch: Any) -> BatchOut:
        out = method(self, batch)
        seen.append(1)
        return BatchOut(out.loss * math.nan, out.scores) if len(seen) == 3 else out

    monkeypatch.setattr(learner, "eval_batch", spoilt)
    ended = lab("hydra.run.dir=off", "figures=none", *RUN, f"model={model}")
    assert ended.code == 1
    assert "validation of epoch 3" in ended.err
    run = load_run(lab.folder / "off")
    assert run.status == "diverged"
    assert_finite_checkpoints(lab.folder / "off", 2)


@line(7, "weights that a step made infinite")
@pytest.mark.parametrize(
    ("step", "validated"), cases([(s, v) for s in (2, 5, 11) for v in (False, True)], fast=[(5, False), (11, True)])
)
def test_weights_that_the_last_step_of_an_epoch_spoilt_are_not_kept(lab, monkeypatch, step, validated):
    method = TorchLearner.train_batch

    def spoiling(self: Any, batch: Any, lr: float) -> BatchOut:
        out = method(self, batch, lr)
        if batch.step == step:
            next(self.network.parameters()).data.mul_(math.inf)
        return out

    monkeypatch.setattr(TorchLearner, "train_batch", spoiling)
    without = () if validated else ("dataset.val_fraction=0", "dataset.samples=90", "monitor=train_loss")
    ended = lab("hydra.run.dir=off", "figures=none", *RUN, *without)
    assert ended.code == 1
    assert f"a weight became infinite or NaN at step {step} (epoch {step // 3 + 1}, lr " in ended.err
    assert load_run(lab.folder / "off").status == "diverged"
    assert_finite_checkpoints(lab.folder / "off", step // 3)


@line(7, "a diverged run in a sweep")
def test_in_a_sweep_it_is_a_result_like_any_other(lab):
    ended = lab("-m", "hydra.sweep.dir=sweep", *TINY, "epochs=2", "optim=sgd", "optim.lr=0.01,1e30,0.1", "figures=none")
    assert ended.code == 0, ended.err
    rows = list(csv.DictReader((lab.folder / "sweep" / "sweep.csv").open()))
    assert [row["status"] for row in rows if float(row["optim.lr"]) == 1e30] == ["diverged"]
    assert sorted(row["status"] for row in rows) == ["diverged", "done", "done"]
    status = json.loads((lab.folder / "sweep" / "1" / "status.json").read_text())
    assert "step" in status["error"]
