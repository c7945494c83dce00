"""What holds for every probe: it changes nothing of the run, and a cut run that is resumed has noted the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from labrunner import checkpoint, known_facts, schema, trainer
from labrunner.deep import TorchLearner
from labrunner.probes import PROBES
from labrunner.records import load_run
from labrunner.scratch import NumpyLearner, PerceptronLearner
from tests.cli.cuts import WRITES, copies_at_each_write, interrupt_at
from tests.cli.lab import assert_same_run, essence
from tests.lines import cases

DIGITS = ("dataset=fake", "dataset.samples=60", "dataset.size=8", "batch_size=12")
TORCH = (*DIGITS, "model=mlp", "model.hidden=[6,5]", "reg=dropout")
NUMPY = (*DIGITS, "model=mlp_numpy", "model.hidden=[6,5]", "model.batch_norm=true")
CNN = (*DIGITS, "model=cnn", "model.channels=[3,4]", "optim=sgd", "optim.momentum=0.9")
POINTS = ("dataset=moons", "dataset.samples=60", "batch_size=12")
MLP = (*POINTS, "model=mlp", "model.hidden=[6]")
EXACT = ("precision=float64", "model.activation=tanh", "reg.dropout=0")
LINE = ("dataset=iris", "dataset.classes=[setosa,versicolor]", "batch_size=12")

WITH = {  # probe -> set-ups that it has something to say of
    "steps": (TORCH, NUMPY),
    "outputs": (TORCH, NUMPY, (*LINE, "model=neuron")),
    "gradients": (TORCH, NUMPY, CNN),
    "activations": (TORCH, NUMPY, CNN),
    "weights": (TORCH, NUMPY, CNN),
    "updates": (TORCH, NUMPY, CNN),
    "trajectory": ((*LINE, "model=adaline", "optim.lr=0.001"), (*LINE, "model=neuron")),
    "loss_surface": (TORCH, NUMPY, (*LINE, "model=neuron"), CNN),
    "boundaries": (MLP, (*POINTS, "model=perceptron")),
    "separation": ((*LINE, "model=perceptron"), (*LINE, "model=mlp")),
    "least_squares": ((*LINE, "model=adaline", "batch_size=full", "optim.lr=0.01"),),
    "gradient_check": ((*TORCH, *EXACT), (*NUMPY, *EXACT)),
    "kernels": (CNN,),
    "feature_maps": (CNN,),
    "embedding": (CNN, TORCH),
    "shift": (CNN, TORCH),
    "gradcam": (CNN, (*CNN, "freeze=partial")),
    "lr_range": (TORCH, NUMPY),
}
CASES = [(name, number) for name in PROBES for number in range(len(WITH[name]))]
SETTINGS = list(dict.fromkeys(setting for several in WITH.values() for setting in several))
# each time all probes of a set-up at once, as few set-ups as have all probes, and by `make test-slow` each alone
TOGETHER = [(setting, [name for name in PROBES if setting in WITH[name]]) for setting in SETTINGS]
ALONE = [(WITH[name][number], [name]) for name, number in CASES if (WITH[name][number], [name]) not in TOGETHER]
FEW = [CNN, NUMPY, (*NUMPY, *EXACT), *(WITH[name][-1] for name in ("trajectory", "boundaries")), *WITH["least_squares"]]
FEW.append(WITH["separation"][0])
EACH = cases([*TOGETHER, *ALONE], fast=[(setting, names) for setting, names in TOGETHER if setting in FEW])
cut_short = pytest.mark.parametrize(("setting", "names"), EACH, ids=" ".join)
one_by_one = pytest.mark.parametrize(("name", "number"), cases(CASES, fast=[(name, 0) for name in PROBES]))


def overrides(name: str, number: int) -> tuple[str, ...]:
    return watched_by([name], WITH[name][number])


def watched_by(names: list[str], setting: tuple[str, ...]) -> tuple[str, ...]:
    return (*setting, "epochs=3", f"probes=[{','.join(names)}]")


def without_hashes(folder: Path) -> dict[str, bytes]:
    """All that a run computed, but for what tells that a probe was asked for."""
    told = ("facts.json", "checks.csv")
    return {
        name: content
        for name, content in essence(folder).items()
        if name not in told and not name.startswith(("checkpoints/", "probes/"))
    }


def last_state(folder: Path) -> dict[str, bytes]:
    _, _, path = checkpoint.listed(folder / "checkpoints")[-1]
    return {name: values.tobytes() for name, values in checkpoint.read(path)[0].items()}


def test_each_probe_of_the_schema_is_there_and_tried_here():
    assert set(PROBES) == set(get_args(schema.Probe)) == set(WITH) == set(known_facts.PROBES)
    assert set(PROBES) == {name for setting, names in TOGETHER if setting in FEW for name in names}


@one_by_one
def test_a_run_computes_the_same_bytes_with_a_probe_and_without(lab, name, number):
    watched = lab.train("watched", *overrides(name, number))
    alone = lab.train("alone", *overrides(name, number), "probes=[]")
    assert without_hashes(watched) == without_hashes(alone)
    assert last_state(watched) == last_state(alone)
    said = json.loads((watched / "facts.json").read_text()), json.loads((alone / "facts.json").read_text())
    own = [fact for fact in said[0] if fact not in said[1]]
    assert [fact for fact in own if (known_facts.known(fact) or known_facts.Known("")).probe != name] == []
    assert all(known_facts.known(fact) for fact in said[1])
    noted = sorted(path.name for path in (watched / "probes").iterdir() if path.name != "epochs.csv")
    assert noted, "it has noted nothing"
    for path in (watched / "probes").glob("*.csv"):
        header, *rows = path.read_text().splitlines()
        assert header.startswith("epoch,step")
        assert rows


def test_all_probes_together_change_nothing(lab):
    names = [name for name in PROBES if WITH[name][0] in (TORCH, CNN)]
    watched = lab.train("watched", *CNN, "epochs=2", f"probes=[{','.join(names)}]")
    alone = lab.train("alone", *CNN, "epochs=2")
    assert without_hashes(watched) == without_hashes(alone)
    assert last_state(watched) == last_state(alone)


@cut_short
def test_a_cut_run_that_is_resumed_has_noted_the_same(lab, monkeypatch, setting, names):
    with monkeypatch.context() as patch:
        copies = copies_at_each_write(patch, WRITES | {"_append_notes": "notes"})
        whole = lab.train("whole", *watched_by(names, setting))
    assert len(copies) >= 9
    for (rows, what), copy in copies.items():
        ended = lab("resume", copy.name)
        assert ended.code == 0, (rows, what, ended.err)
        assert_same_run(whole, copy)


@cut_short
def test_a_run_stopped_in_the_middle_of_an_epoch_and_resumed_has_noted_the_same(lab, monkeypatch, setting, names):
    whole = lab.train("whole", *watched_by(names, setting))
    learner = NumpyLearner if type_of(whole) in schema.NUMPY_MODELS else TorchLearner
    if type_of(whole) == "perceptron":
        learner = PerceptronLearner
    steps = json.loads((whole / "facts.json").read_text())["steps"]
    for batch in {0, steps // 2, steps - 1}:
        name_of = f"cut{batch}"
        with monkeypatch.context() as patch:
            interrupt_at(patch, learner, "train_batch", batch)
            ended = lab(f"hydra.run.dir={name_of}", "figures=none", *watched_by(names, setting))
        if ended.code == 143:
            assert lab("resume", name_of).code == 0
        assert_same_run(whole, lab.folder / name_of)


def type_of(folder: Path) -> str:
    return load_run(folder).config["model"]["name"]


@one_by_one
def test_a_probe_survives_a_run_that_diverges_and_one_that_is_cut_small(lab, name, number):
    folder = lab.train("small", *overrides(name, number), "smoke=true")
    facts = json.loads((folder / "facts.json").read_text())
    assert all(np.isfinite(value) for value in facts.values())
    if type_of(folder) != "perceptron":
        ended = lab("hydra.run.dir=wild", "figures=none", *overrides(name, number), "optim=sgd", "optim.lr=1e30")
        assert ended.code in (0, 1), ended.err
        assert load_run(lab.folder / "wild").status in ("done", "diverged")


def test_what_is_noted_of_a_run_that_diverges_does_not_depend_on_the_clock(lab, monkeypatch):
    wild = (*POINTS, "model=adaline", "optim=sgd", "optim.lr=10", "epochs=3", "batch_size=4")
    probes = "probes=[least_squares,updates,steps,outputs,gradients,trajectory]"
    noted = []
    for seconds in (0.0, 1000.0):
        monkeypatch.setattr(trainer, "FLUSH_SECONDS", seconds)
        ended = lab(f"hydra.run.dir=run{seconds:.0f}", "figures=none", *wild, probes)
        assert "diverged" in ended.err
        noted.append(essence_of_notes(lab.folder / f"run{seconds:.0f}"))
    assert noted[0] == noted[1]


def test_a_finished_run_that_is_extended_and_then_diverges_has_noted_what_one_in_one_piece_has(lab):
    wild = (*POINTS, "model=adaline", "optim=sgd", "optim.lr=3", "batch_size=full", "precision=float64")
    probes = "probes=[weights,gradient_check,embedding]"
    lab.train("cut", *wild, probes, "epochs=1")
    assert lab("resume", "cut", "epochs=400").code == 1
    assert lab("hydra.run.dir=whole", "figures=none", *wild, probes, "epochs=400").code == 1
    assert essence_of_notes(lab.folder / "cut") == essence_of_notes(lab.folder / "whole")


def essence_of_notes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [*(folder / "probes").iterdir(), folder / "facts.json"]}


NOISY = """
import torch
from torch import nn

class Noisy(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.layer = nn.Linear(input_shape[0], 5)
        self.act2 = nn.Softplus()
        self.head = nn.Linear(5, num_classes)
        self.register_buffer("mask", torch.ones(5, dtype=torch.bool))

    def forward(self, x):
        x = self.act2(self.layer(x) * self.mask)
        return self.head(x + 0.1 * torch.randn(x.shape))
"""


def test_looking_at_a_model_that_draws_in_evaluation_changes_nothing_of_it(lab):
    lab.write("noisy.py", NOISY)
    lab.write("conf/model/noisy.yaml", "# Noise.\n_target_: noisy.Noisy\n")
    asked = (*POINTS, "model=noisy", "epochs=2")
    watched = lab.train("watched", *asked, "probes=[gradients,activations,boundaries,outputs]")
    alone = lab.train("alone", *asked)
    assert without_hashes(watched) == without_hashes(alone)


def test_flags_among_the_buffers_can_be_compared(lab):
    lab.write("noisy.py", NOISY)
    lab.write("conf/model/noisy.yaml", "# Noise.\n_target_: noisy.Noisy\n")
    check = "checks=[{fact: weights_apart, above: 0}]"
    ended = lab("-m", "seed=0,1", *POINTS, "model=noisy", "epochs=1", check, "figures=none", "strict=true")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    "words",
    [
        "model=neuron dataset=point probes=[weights]",
        "model=mlp dataset=iris init=constant init.value=1 probes=[weights]",
        "model=mlp dataset=iris dataset.normalize=none init=constant init.value=100 model.activation=sigmoid "
        "probes=[activations]",
    ],
)
def test_weights_and_outputs_that_are_almost_one_number_have_histograms(lab, words):
    lab.train("run", *words.split(), "epochs=1")


@pytest.mark.parametrize("words", ["model=softmax dataset=digits", "model=mlp model.hidden=[1] dataset=digits"])
def test_a_trajectory_of_many_weights_is_refused_before_anything_is_made(lab, words):
    ended = lab(*words.split(), "probes=[trajectory]")
    assert ended.code == 2
    assert "loss_surface" in ended.err
    assert not (lab.folder / "outputs").exists()
