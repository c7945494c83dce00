"""The freeze audit: what it writes of runs that freeze, and that it goes red when freezing is broken on purpose."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.numpy import load_file
from torch import nn

from labrunner import audit, checkpoint, running, trainer
from labrunner.checkpoint import Position
from labrunner.deep import TorchLearner
from labrunner.deep.optimizers import Optimizer
from labrunner.probes import Probe, Together
from labrunner.records import load_run
from tests.cli.cuts import copies_at_each_write, interrupt_at
from tests.cli.lab import Lab, assert_same_run
from tests.lines import cases
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

TINY = ("dataset=fake", "dataset.samples=60", "dataset.size=8", "batch_size=16", "figures=none", "select=last")
CNN = (*TINY, "freeze.cache=false", "model=cnn", "model.channels=[3,4,5]", "reg.dropout=0.2", "reg.weight_decay=0.01")
OPTIMIZERS = {
    "momentum": ("optim=sgd", "optim.momentum=0.9"),
    "adam": ("optim=adam",),
    "adamw": ("optim=adamw",),
}
THERE_AND_BACK = (
    "freeze=patterns",
    "freeze.train=[{epoch:1,train:[head]},{epoch:2,train:['*']},{epoch:3,train:[backbone.block3,head]}]",
)
BATCHES = 3  # of an epoch, of 36 training samples
OWN = """
import torch
from torch import nn


class Writing(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        width = int(torch.Size(input_shape).numel())
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(width, 4), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            with torch.no_grad():
                self.backbone[1].weight.mul_(0.999)
        return self.head(self.backbone(x))


class Fixed(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        width = int(torch.Size(input_shape).numel())
        self.first = nn.Sequential(nn.Linear(width, 4), nn.BatchNorm1d(4)).requires_grad_(False)
        self.last = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.last(self.first(x.flatten(1)))
"""


def table(folder: Path) -> dict[str, dict[str, str]]:
    """freeze.csv by stage."""
    with open(folder / "freeze.csv", newline="", encoding="utf-8") as file:
        return {row["stage"]: row for row in csv.DictReader(file)}


def column(folder: Path, name: str) -> list[str]:
    return [row[name] for row in table(folder).values()]


def facts(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "facts.json").read_text())


def same(one: Path, other: Path) -> None:
    assert_same_run(one, other)
    assert (one / "freeze.csv").read_bytes() == (other / "freeze.csv").read_bytes()


# what it writes


@pytest.mark.parametrize(
    ("request_line", "thawed", "trainable"),
    [
        ("freeze=none", ["1", "1", "1", "1"], [True, True, True, True]),
        ("freeze=backbone", ["", "", "", "1"], [False, False, False, True]),
        ("freeze=partial", ["", "", "1", "1"], [False, False, True, True]),
        ("freeze=partial freeze.stages=3", ["1", "1", "1", "1"], [True, True, True, True]),
        ("freeze=gradual freeze.every=1", ["", "3", "2", "1"], [False, True, True, True]),
        (
            "freeze=linear_probe_then_finetune freeze.probe_epochs=2",
            ["3", "3", "3", "1"],
            [True, True, True, True],
        ),
        (" ".join(THERE_AND_BACK), ["2", "2", "2", "1"], [False, False, True, True]),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)
def test_it_tells_of_each_stage_what_trained_and_what_stood_still(lab: Lab, request_line, thawed, trainable):
    folder = lab.train("run", *CNN, *request_line.split(), "epochs=3")
    rows = table(folder)
    assert list(rows) == ["backbone.block1", "backbone.block2", "backbone.block3", "head"]
    sizes = [3 * 3 * 9 + 2 * 3, 3 * 4 * 9 + 2 * 4, 4 * 5 * 9 + 2 * 5, 5 * 4 + 4]
    assert column(folder, "parameters") == [str(size) for size in sizes]
    expected = [size if trains else 0 for size, trains in zip(sizes, trainable, strict=True)]
    assert column(folder, "trainable") == [str(size) for size in expected]
    assert column(folder, "thawed") == thawed
    assert column(folder, "changed") == ["0"] * 4
    # of a block: a kernel, scale and shift, two running numbers and their count
    assert column(folder, "frozen") == ["0" if epoch == "1" else "6" for epoch in thawed]
    found = facts(folder)
    assert found["frozen_changed"] == 0
    assert found["frozen_tensors"] == 6 * sum(epoch != "1" for epoch in thawed)
    assert found["parameters_trainable"] == sum(expected)
    assert found["parameters"] == sum(sizes)


def test_the_hashes_noted_where_something_thaws_are_those_of_the_checkpoint(lab: Lab):
    folder = lab.train("run", *CNN, *THERE_AND_BACK, "epochs=2")
    with open(folder / "probes" / "frozen.csv", newline="", encoding="utf-8") as file:
        noted = list(csv.DictReader(file))
    assert list(noted[0]) == ["epoch", "step", "tensor", "sha256"]
    initial = json.loads((folder / "initial.json").read_text())
    for epoch in (1, 2):
        weights = load_file(folder / "checkpoints" / f"{epoch:05d}.safetensors")
        rows = {row["tensor"]: row for row in noted if row["epoch"] == str(epoch)}
        blocks = (1, 2, 3) if epoch == 1 else (1, 2)
        assert {name.rsplit(".", 2)[0] for name in rows} == {f"backbone.block{number}" for number in blocks}
        for name, row in rows.items():
            assert row["sha256"] == checkpoint.tensor_hash(name, weights[f"weights/{name}"])
            assert row["step"] == str(epoch * BATCHES)
            assert (row["sha256"] == initial[name]) == (epoch == 1)


def test_the_epochs_tell_how_many_parameters_train_in_each(lab: Lab):
    folder = lab.train("run", *CNN, "freeze=gradual", "freeze.every=1", "epochs=3")
    with open(folder / "probes" / "epochs.csv", newline="", encoding="utf-8") as file:
        told = [float(row["parameters_trainable"]) for row in csv.DictReader(file)]
    assert told == [24, 24, 24 + 190, 24 + 190 + 116]
    assert f"{24:,} trainable" in (folder / "summary.txt").read_text()


@pytest.mark.parametrize("model", ["mlp_numpy", "perceptron", "mlp", "softmax"])
def test_every_run_has_it_whatever_learns(lab: Lab, model):
    folder = lab.train("run", *TINY, f"model={model}", "epochs=1")
    assert sum(int(size) for size in column(folder, "parameters")) == facts(folder)["parameters"]
    assert column(folder, "trainable") == column(folder, "parameters")
    assert set(column(folder, "frozen")) == set(column(folder, "changed")) == {"0"}
    assert not (folder / "probes" / "frozen.csv").exists()


def test_where_nothing_is_frozen_nothing_is_hashed(lab: Lab, monkeypatch):
    def counted(learner: Any, names: Any) -> dict[str, str]:
        assert not list(names), "it hashes"
        return {}

    monkeypatch.setattr(audit, "hashes", counted)
    lab.train("run", *CNN, "epochs=2")


def test_the_loop_does_not_wait_for_it_at_each_step(lab: Lab, monkeypatch):
    given: list[Any] = []

    class Pass(trainer.TrainingPass):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            given.append(self.probes)

    monkeypatch.setattr(trainer, "TrainingPass", Pass)
    lab.train("run", *CNN, "freeze=backbone", "epochs=1")
    lab.train("probed", *CNN, "freeze=backbone", "epochs=1", "probes=[steps]")
    assert [[type(probe) for probe in each] for each in given] == [[], [Together]]


def test_several_probes_wait_at_each_step_if_one_of_them_does():
    class Seldom(Probe):
        each_step = False

        def __init__(self) -> None: ...

    class Often(Seldom):
        each_step = True

    assert not Together([Seldom(), Seldom()]).each_step
    assert Together([Seldom(), Often()]).each_step


# runs that are cut and go on


@pytest.mark.parametrize(
    ("strategy", "optimizer"),
    cases(
        product(("gradual", "there_and_back"), OPTIMIZERS),
        fast=[("gradual", "adam"), ("there_and_back", "momentum")],
    ),
)
def test_a_run_stopped_at_any_batch_around_a_thaw_ends_with_the_same_bytes(lab: Lab, monkeypatch, strategy, optimizer):
    freeze = THERE_AND_BACK if strategy == "there_and_back" else ("freeze=gradual", "freeze.every=1")
    request = (*CNN, *OPTIMIZERS[optimizer], *freeze, "epochs=4")
    whole = lab.train("whole", *request)
    for number in (2, 3, 4, 7):
        name = f"cut_{number}"
        with monkeypatch.context() as patch:
            interrupt_at(patch, TorchLearner, "train_batch", number)
            assert lab(f"hydra.run.dir={name}", *request).code == 143
        assert lab("resume", name).code == 0
        same(whole, lab.folder / name)


@pytest.mark.parametrize("optimizer", cases(OPTIMIZERS, fast=["adamw"]))
def test_a_run_killed_after_any_row_or_checkpoint_ends_with_the_same_bytes(lab: Lab, monkeypatch, optimizer):
    request = (*CNN, *OPTIMIZERS[optimizer], *THERE_AND_BACK, "epochs=3")
    with monkeypatch.context() as patch:
        copies = copies_at_each_write(patch)
        whole = lab.train("whole", *request)
    assert len(copies) == 6
    for copy in copies.values():
        assert lab("resume", copy.name).code == 0
        same(whole, copy)


@pytest.mark.parametrize("freeze", [("freeze=gradual", "freeze.every=2"), THERE_AND_BACK], ids=lambda f: f[0])
def test_a_run_that_is_extended_is_the_run_in_one_piece(lab: Lab, freeze):
    whole = lab.train("whole", *CNN, *freeze, "epochs=4")
    folder = lab.train("run", *CNN, *freeze, "epochs=2")
    assert lab("resume", "run", "epochs=4").code == 0
    same(whole, folder)
    assert lab("resume", "run", "figures=few").code == 0
    assert load_run(folder).config["figures"] == "few"


def test_a_run_killed_between_training_and_its_test_counts_what_trained_last(lab: Lab, monkeypatch):
    request = (*CNN, "freeze=gradual", "freeze.every=1", "epochs=3")
    whole = lab.train("whole", *request)

    def killed(*arguments: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("labrunner.results.read_test", killed)
        assert lab("hydra.run.dir=run", *request).code == 130
    assert lab("resume", "run").code == 0
    same(whole, lab.folder / "run")


def test_a_folder_from_before_there_were_audits_goes_on(lab: Lab):
    """Batch norm that its maker froze moved on in those: what stands still counts from the resume."""
    lab.write("nets.py", OWN)
    lab.write("conf/model/fixed.yaml", "_target_: nets.Fixed\n")
    folder = lab.train("run", *TINY, "model=fixed", "epochs=2")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["freeze"] = {"name": "none"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    known = running.config_hash(config)
    for _, _, path in checkpoint.listed(folder / "checkpoints"):
        state, position = checkpoint.read(path)
        state["weights/first.1.running_mean"] = state["weights/first.1.running_mean"] + 1
        path.write_bytes(checkpoint.encode(state, Position(position.epoch, position.batch, position.sums, known)))
    (folder / "freeze.csv").unlink()
    for epochs in (3, 5):
        ended = lab("resume", "run", f"epochs={epochs}")
        assert ended.code == 0, ended.err
        assert facts(folder)["frozen_changed"] == 0
        assert facts(folder)["frozen_tensors"] == 7


# broken on purpose


def broken_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch norm stays in train mode, as where one sets requires_grad alone."""
    method = TorchLearner._set_mode

    def set_mode(self: TorchLearner, training: bool) -> None:
        self._still = []
        method(self, training)

    monkeypatch.setattr(TorchLearner, "_set_mode", set_mode)


def one_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter that should be frozen has a gradient."""
    method = TorchLearner._thaw

    def thaw(self: TorchLearner, epoch: int) -> None:
        method(self, epoch)
        self.network.get_parameter("backbone.block2.conv.weight").requires_grad_(True)

    monkeypatch.setattr(TorchLearner, "_thaw", thaw)


def momentum_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimizer steps parameters that have a state, gradient or none: the way of old weights."""
    step = Optimizer.step

    def drifting(self: Optimizer, lr: float) -> None:
        for name in self.slots:
            if self.parameters[name].grad is None:
                self.parameters[name].grad = self.parameters[name].detach() * 0.0
        step(self, lr)

    monkeypatch.setattr(Optimizer, "leave_out", lambda self, names: None)
    monkeypatch.setattr(Optimizer, "step", drifting)


BREAKS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], tuple[str, ...], str]] = {
    "modes of a backbone": (broken_modes, ("freeze=backbone",), "backbone.block1.norm.num_batches_tracked"),
    "modes of some": (broken_modes, ("freeze=partial",), "backbone.block1.norm.num_batches_tracked"),
    "modes before a thaw": (broken_modes, ("freeze=gradual", "freeze.every=1"), "backbone.block1.norm."),
    "one missed of a backbone": (one_missed, ("freeze=backbone",), "backbone.block2.conv.weight"),
    "one missed of some": (one_missed, ("freeze=partial",), "backbone.block2.conv.weight"),
    "one missed before all": (
        one_missed,
        ("freeze=linear_probe_then_finetune", "freeze.probe_epochs=2"),
        "backbone.block2.conv.weight",
    ),
    "one missed after all": (one_missed, THERE_AND_BACK, "backbone.block2.conv.weight"),
    "momentum": (momentum_goes_on, THERE_AND_BACK, "backbone.block1.conv.weight"),
}


EACH_BREAK = ["modes before a thaw", "one missed of a backbone", "one missed after all", "momentum"]


@pytest.mark.parametrize("case", cases(BREAKS, fast=EACH_BREAK))
def test_it_goes_red_when_freezing_is_broken_and_the_test_split_stays_unread(lab: Lab, monkeypatch, case):
    breaking, freeze, name = BREAKS[case]
    request = (*CNN, *OPTIMIZERS["momentum"], *freeze, "epochs=4")
    with monkeypatch.context() as patch:
        breaking(patch)
        ended = lab("hydra.run.dir=run", *request)
    folder = lab.folder / "run"
    assert ended.code == 1
    assert "frozen weights moved" in ended.err
    assert name in ended.err
    assert len(ended.err.splitlines()) <= 3
    run = load_run(folder)
    assert run.status == "failed"
    assert "batch norm left in train mode" in run.error
    assert not (folder / "test.json").exists()
    assert not (folder / "facts.json").exists()
    moved = {stage for stage, row in table(folder).items() if row["changed"] != "0"}
    assert ".".join(name.split(".")[:2]) in moved
    assert lab("resume", "run").code == 1, "its end is as it was"
    assert lab("hydra.run.dir=good", *request).code == 0


@pytest.mark.parametrize("number", [2, 4, 7])
def test_what_moved_before_a_cut_is_red_after_it(lab: Lab, monkeypatch, number):
    request = (*CNN, "freeze=gradual", "freeze.every=1", "epochs=3")
    with monkeypatch.context() as patch:
        broken_modes(patch)
        interrupt_at(patch, TorchLearner, "train_batch", number)
        assert lab("hydra.run.dir=run", *request).code == 143
    ended = lab("resume", "run")
    assert ended.code == 1
    assert "frozen weights moved" in ended.err


def test_a_forward_that_writes_into_its_weights_is_caught(lab: Lab):
    lab.write("nets.py", OWN)
    lab.write("conf/model/writing.yaml", "_target_: nets.Writing\n")
    ended = lab("hydra.run.dir=run", *TINY, "model=writing", "freeze=backbone", "freeze.cache=false", "epochs=1")
    assert ended.code == 1
    assert "backbone.1.weight" in ended.err
    assert "a forward that writes into its weights" in ended.err
    assert column(lab.folder / "run", "changed") == ["1", "0"]


def test_a_run_that_diverges_is_audited_too(lab: Lab, monkeypatch):
    request = (*CNN, "freeze=backbone", "optim=sgd", "optim.lr=1e30", "epochs=3")
    ended = lab("hydra.run.dir=run", *request)
    assert load_run(lab.folder / "run").status == "diverged", ended.err
    assert column(lab.folder / "run", "changed") == ["0"] * 4
    broken_modes(monkeypatch)
    ended = lab("hydra.run.dir=red", *request)
    assert ended.code == 1
    assert "frozen weights moved" in ended.err
    assert load_run(lab.folder / "red").status == "failed"


def test_a_checkpoint_with_other_weights_than_the_run_began_with_is_not_tested(lab: Lab, monkeypatch):
    method, loaded = running.load_epoch, []

    def other(ready: running.Ready, folder: Any, epoch: int) -> None:
        method(ready, folder, epoch)
        nn.init.ones_(ready.learner.network.get_parameter("backbone.block1.conv.weight"))
        loaded.append(epoch)

    monkeypatch.setattr(running, "load_epoch", other)
    ended = lab("hydra.run.dir=run", *CNN, "freeze=backbone", "epochs=2")
    assert ended.code == 1
    assert f"checkpoint of epoch {loaded[0]}" in ended.err
    assert "backbone.block1.conv.weight" in ended.err
    assert not (lab.folder / "run" / "test.json").exists()


def test_hashes_that_were_lost_are_no_proof(lab: Lab):
    folder = lab.train("run", *CNN, "freeze=gradual", "freeze.every=1", "epochs=2")
    path = folder / "probes" / "frozen.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("1,3,backbone.block2.conv.weight")))
    ended = lab("resume", "run", "epochs=3")
    assert ended.code == 1
    assert "frozen.csv has lost what backbone.block2.conv.weight was" in ended.err
