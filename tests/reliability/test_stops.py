"""A run stopped at every batch, and one cut after every checkpoint in the middle of an epoch: the same bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from labrunner import checkpoint
from labrunner.deep import TorchLearner
from labrunner.records import RunFolder, load_run
from tests.cli.cuts import interrupt_at
from tests.cli.kinds import KINDS, TINY, overrides_of
from tests.cli.lab import assert_same_run
from tests.lines import cases, line

OPTIMIZERS = {
    "sgd": ("optim=sgd", "optim.momentum=0.9", "optim.lr=0.05"),
    "adamw": ("optim=adamw", "reg.weight_decay=0.1", "optim.lr=0.05"),
}
SCHEDULES = {
    "step": ("schedule=step", "schedule.step_size=1"),
    "cosine": ("schedule=cosine",),
    "plateau": ("schedule=plateau", "schedule.patience=0"),
}
STOPPING = {
    "to the end": (),
    "stopping early": ("reg.patience=1", "epochs=12", "dataset.label_noise=0.5"),
}
FREEZING = {
    "gradual": ("freeze=gradual", "freeze.every=1"),
    "probe": ("freeze=linear_probe_then_finetune", "freeze.probe_epochs=1"),
}
CNN = ("model=cnn", "model.channels=[4,8]", "model.batch_norm=true", *TINY[:3], "batch_size=24")

REQUESTS: dict[str, tuple[str, ...]] = {
    f"{optimizer}, {schedule}, {stopping}": (*TINY, "epochs=2", *OPTIMIZERS[optimizer], *SCHEDULES[schedule], *rule)
    for optimizer in OPTIMIZERS
    for schedule in SCHEDULES
    for stopping, rule in STOPPING.items()
}
REQUESTS |= {
    f"{optimizer}, {schedule}, {freezing}": (*CNN, "epochs=2", *OPTIMIZERS[optimizer], *SCHEDULES[schedule], *rule)
    for optimizer in OPTIMIZERS
    for schedule in SCHEDULES
    for freezing, rule in FREEZING.items()
}


@line(3, "stopped at every batch of two epochs, and of the passes that evaluate")
@pytest.mark.parametrize("kind", cases(REQUESTS, fast=["sgd, plateau, stopping early", "adamw, step, gradual"]))
def test_stopped_at_any_batch_it_ends_with_the_same_bytes(lab, monkeypatch, kind):
    whole = lab.train("whole", *REQUESTS[kind])
    if "stopping early" in kind:
        assert len(load_run(whole).row_list) < 12, "the stopping is among what is resumed"
    calls = {"train_batch": 6, "eval_batch": 2}  # of two epochs
    for name, count in calls.items():
        for number in range(count):
            folder = lab.folder / f"{name}{number}"
            with monkeypatch.context() as patch:
                interrupt_at(patch, TorchLearner, name, number)
                assert lab(f"hydra.run.dir={folder.name}", "figures=none", *REQUESTS[kind]).code == 143
            assert lab("resume", folder.name).code == 0
            assert_same_run(whole, folder)


@line(3, "cut after each checkpoint in the middle of an epoch")
@pytest.mark.parametrize("kind", cases(KINDS, fast=["adam with cosine", "numpy with batch norm", "cnn with dropout"]))
def test_cut_after_any_checkpoint_in_the_middle_of_an_epoch_it_ends_with_the_same_bytes(lab, monkeypatch, kind):
    request = overrides_of(kind, epochs=3)
    whole = lab.train("whole", *request)
    copies: list[Path] = []
    save = RunFolder._save

    def copying(self: RunFolder, state: object, position: checkpoint.Position, keep: object) -> None:
        save(self, state, position, keep)  # type: ignore[arg-type]
        if position.batch:
            copies.append(self.path.with_name(Path(position.file_name).stem))
            shutil.copytree(self.path, copies[-1])

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "_save", copying)
        often = lab.train("often", *request, "checkpoint.every_batches=1")
    assert_same_run(whole, often)
    steps = json.loads((whole / "facts.json").read_text())["steps"]
    epochs = len(load_run(whole).row_list)
    assert len(copies) == steps - epochs, "one after each batch but the last of an epoch"
    for copy in copies:
        resumed = []
        step = TorchLearner.train_batch
        with monkeypatch.context() as patch:
            patch.setattr(
                TorchLearner,
                "train_batch",
                lambda self, batch, lr, resumed=resumed, step=step: (resumed.append(batch.step), step(self, batch, lr))[
                    1
                ],
            )
            ended = lab("resume", copy.name)
        assert (ended.code, ended.err) == (0, "")
        assert_same_run(whole, copy)
        if "numpy" not in kind and kind not in ("perceptron", "adaline"):
            epoch, batch = (int(part) for part in copy.name.split("-"))
            assert resumed[0] == epoch * steps // epochs + batch, "nothing before the checkpoint is computed again"


def test_the_time_between_checkpoints_counts_from_the_last_one_and_changes_no_byte(lab, monkeypatch):
    from labrunner import trainer

    request = overrides_of("momentum with cosine", epochs=2)
    whole = lab.train("whole", *request)
    saved: list[str] = []
    save, seconds = RunFolder._save, 0.0

    def noting(self: RunFolder, state: object, position: checkpoint.Position, keep: object) -> None:
        saved.append(position.file_name.removesuffix(".safetensors"))
        save(self, state, position, keep)  # type: ignore[arg-type]

    def clock() -> float:
        nonlocal seconds
        seconds += 0.01
        return seconds

    step = TorchLearner.train_batch

    def slow(self: TorchLearner, batch: object, lr: float) -> object:
        nonlocal seconds
        seconds += 31.0  # two batches are more than a minute, and so is one with the validation before it
        return step(self, batch, lr)  # type: ignore[arg-type]

    monkeypatch.setattr(RunFolder, "_save", noting)
    monkeypatch.setattr(TorchLearner, "train_batch", slow)
    monkeypatch.setattr(trainer.time, "monotonic", clock)
    timed = lab.train("timed", *request, "checkpoint.every_minutes=1")
    assert saved == ["00000-000002", "00001", "00001-000002", "00002"]
    assert_same_run(whole, timed)


def test_a_resume_may_take_checkpoints_more_often_and_the_config_says_so(lab, monkeypatch):
    whole = lab.train("whole", *TINY, "epochs=2")
    with monkeypatch.context() as patch:
        interrupt_at(patch, TorchLearner, "train_batch", 1)
        assert lab("hydra.run.dir=run", "figures=none", *TINY, "epochs=2").code == 143
    assert lab("resume", "run", "checkpoint.every_batches=1", "checkpoint.every_minutes=").code == 2, "no value"
    ended = lab("resume", "run", "checkpoint.every_batches=1", "checkpoint.every_minutes=0.5")
    assert ended.code == 0, ended.err
    assert load_run(lab.folder / "run").config["checkpoint"] == {"every_batches": 1, "every_minutes": 0.5}
    assert_same_run(whole, lab.folder / "run")
