"""The losses and outputs of single steps against what a bare loop computes."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from labrunner.probes.steps import ALL_STEPS, PAIRS, is_noted, movement
from labrunner.records.reading import read_notes
from labrunner.schedule import cosine, onecycle

POINT = ("model=neuron", "dataset=point", "batch_size=full", "precision=float64", "monitor=train_loss", "select=last")
MOONS = ("dataset=moons", "dataset.samples=60", "model=mlp", "model.hidden=[6]", "batch_size=12", "optim=sgd")


def notes(folder, name):
    return read_notes(folder / "probes" / f"{name}.csv")


def facts(folder):
    return json.loads((folder / "facts.json").read_text())


def by_hand(loss, steps, lr, w=2.0, b=2.0):
    """Outputs of one sigmoid neuron on the input 1 of target 0, before each step and after the last."""
    outputs = []
    for _ in range(steps):
        p = 1.0 / (1.0 + math.exp(-(w + b)))
        outputs.append(p)
        # d/dz of (p - 0)^2 + ((1 - p) - 1)^2 halves to p^2 for one sigmoid unit; of -ln(1 - p) it is p
        slope = p if loss == "cross_entropy" else 2.0 * p * p * (1.0 - p)
        w, b = w - lr * slope, b - lr * slope
    return [*outputs, 1.0 / (1.0 + math.exp(-(w + b)))]


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_the_outputs_of_a_neuron_are_those_of_fifty_steps_by_hand(lab, loss):
    start = ("init=constant", "init.value=2", "optim.lr=0.15", "epochs=50", f"model.loss={loss}")
    folder = lab.train("run", *POINT, *start, "probes=[outputs,steps]")
    rows, expected = notes(folder, "outputs"), by_hand(loss, 50, 0.15)
    assert [row["step"] for row in rows] == list(range(51))
    assert [row["p_1"] for row in rows] == pytest.approx(expected, rel=1e-12)
    assert [row["p_label"] for row in rows] == pytest.approx([1.0 - p for p in expected], rel=1e-10)
    assert facts(folder)["output_first"] == rows[0]["p_1"]
    assert facts(folder)["output_last"] == rows[-1]["p_1"]
    losses = [p * p if loss == "mse" else -math.log(1.0 - p) for p in expected[:-1]]
    assert [row["loss"] for row in notes(folder, "steps")] == pytest.approx(losses, rel=1e-10)


def test_the_mean_of_an_epochs_step_losses_is_its_training_loss(lab):
    folder = lab.train("run", *MOONS, "epochs=3", "probes=[steps]")
    rows = notes(folder, "steps")
    trained = facts(folder)["train_samples"]
    batches = math.ceil(trained / 12)
    assert [row["step"] for row in rows] == list(range(1, 3 * batches + 1))
    sizes = [12] * (batches - 1) + [trained - 12 * (batches - 1)]
    epochs = (folder / "metrics.csv").read_text().splitlines()[1:]
    for number, line in enumerate(epochs, start=1):
        losses = [row["loss"] for row in rows if row["epoch"] == number]
        assert np.average(losses, weights=sizes) == pytest.approx(float(line.split(",")[2]), rel=1e-12)


@pytest.mark.parametrize(
    ("overrides", "schedule"),
    [
        (("schedule=cosine", "optim.lr=0.2"), cosine(0.2, 0.0)),
        (("schedule=onecycle", "optim.lr=0.2"), onecycle(0.2, 0.3, 25.0, 10000.0)),
    ],
)
def test_the_learning_rate_of_each_step_is_that_of_the_schedule(lab, overrides, schedule):
    folder = lab.train("run", *MOONS, *overrides, "epochs=4", "probes=[steps]")
    rows = notes(folder, "steps")
    assert [row["lr"] for row in rows] == [schedule(step, len(rows), []) for step in range(len(rows))]


@pytest.mark.parametrize("schedule", ["step", "multistep", "exponential", "constant", "cosine"])
def test_the_last_learning_rate_of_an_epoch_is_that_of_its_row(lab, schedule):
    folder = lab.train("run", *MOONS, f"schedule={schedule}", "epochs=4", "probes=[steps]", "schedule.warmup=1")
    last = {row["epoch"]: row["lr"] for row in notes(folder, "steps")}
    told = [float(line.split(",")[1]) for line in (folder / "metrics.csv").read_text().splitlines()[1:]]
    assert list(last.values()) == told


def test_under_a_plateau_the_learning_rate_is_blank(lab):
    folder = lab.train("run", *MOONS, "schedule=plateau", "epochs=2", "probes=[steps]")
    assert {row["lr"] for row in notes(folder, "steps")} == {None}


def test_all_of_the_first_steps_are_noted_and_of_each_doubling_equally_many_pairs():
    assert all(map(is_noted, range(1, ALL_STEPS + 1)))
    for octave in (2**12, 2**16, 2**20):
        noted = [step for step in range(octave, 2 * octave) if is_noted(step)]
        assert len(noted) == 2 * PAIRS
        assert sum(b == a + 1 for a, b in itertools.pairwise(noted)) >= PAIRS


def test_a_run_that_is_extended_has_noted_what_one_piece_has(lab):
    whole = lab.train("whole", *MOONS, "epochs=5", "probes=[steps,outputs]")
    short = lab.train("short", *MOONS, "epochs=3", "probes=[steps,outputs]")
    assert lab("resume", "short", "epochs=5", "figures=none").code == 0
    for name in ("steps", "outputs"):
        assert (short / f"probes/{name}.csv").read_bytes() == (whole / f"probes/{name}.csv").read_bytes()
    assert facts(short) == facts(whole)


def test_movement_is_the_mean_absolute_difference_over_the_last_fifth():
    losses = np.random.default_rng(0).normal(size=100)
    assert movement(range(1, 101), losses) == pytest.approx(np.abs(np.diff(losses[79:])).mean())
    assert movement([1, 2], [3.0, 1.0]) == 2.0
    assert movement([1], [3.0]) is None
    # 7 and 8 are successive; 8 and 12 are not, and tell nothing of how a loss moves
    assert movement([7, 8, 12, 13], [0.0, 5.0, 100.0, 101.0]) == 1.0


def test_a_full_batch_that_has_converged_does_not_move_and_single_samples_do(lab):
    line = ("dataset=iris", "dataset.classes=[setosa,versicolor]", "model=adaline", "probes=[steps]")
    full = lab.train("full", *line, "batch_size=full", "optim.lr=0.05", "epochs=400")
    single = lab.train("single", *line, "batch_size=1", "optim.lr=0.001", "epochs=20")
    assert facts(full)["step_loss_spread"] < 1e-4 < 1e-2 < facts(single)["step_loss_spread"]


def test_nothing_is_noted_behind_a_loss_that_is_not_finite(lab):
    wild = ("optim.lr=1e30", "epochs=5", "probes=[steps,outputs]", "model.loss=mse")
    assert lab("hydra.run.dir=wild", *MOONS, *wild, "figures=none").code == 1
    losses = [row["loss"] for row in notes(lab.folder / "wild", "steps")]
    assert losses  # of the steps before
    assert None not in losses
    assert all(math.isfinite(value) for value in facts(lab.folder / "wild").values())


def test_of_many_classes_the_right_one_alone_is_followed(lab):
    many = ("dataset=fake", "dataset.num_classes=30", "dataset.samples=90", "dataset.size=8")
    folder = lab.train("run", *many, "model=softmax", "epochs=1", "probes=[outputs]")
    rows = notes(folder, "outputs")
    assert list(rows[0]) == ["epoch", "step", "index", "label", "p_label"]
    assert len({row["index"] for row in rows}) == 4
    assert facts(folder)["output_last"] == rows[-4]["p_label"]
