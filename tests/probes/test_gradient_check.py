"""Gradients against finite differences: what is right passes, what is wrong is found, and corners are left out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from labrunner import deep, scratch
from labrunner.data import load, make
from labrunner.probes import gradient_check
from labrunner.probes.gradient_check import GradientCheck, estimate, relative_error, slope
from labrunner.records import load_run
from tests.data.settings import ADALINE, ADAM, BLOBS, CNN, FAKE, MLP, MLP_NUMPY, MOMENTUM, MOONS, NEURON, config

H = gradient_check.STEPS[0]


class Kept:
    """Notes in memory."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict]] = {}

    def note(self, name, header, rows):
        self.tables.setdefault(name, []).extend(dict(zip(header, row, strict=True)) for row in rows)

    def table(self, name, header, rows):
        self.tables[name] = [dict(zip(header, row, strict=True)) for row in rows]

    def rows(self, name):
        return list(self.tables.get(name, ()))


def checked(settings, learner=None, steps=3):
    """The probe after a start, a few steps and an end; the learner it looked at, and the data."""
    samples = load(settings["dataset"])
    side = scratch if settings["model"]["name"] in ("mlp_numpy", "adaline", "neuron") else deep
    learner = learner or side.make(settings, samples.description.shape, samples.description.num_classes)
    data = make(settings, samples, learner)
    probe = GradientCheck(Kept(), settings)
    probe.start(learner, data, 0)
    for batch in list(data.train.batches(1))[:steps]:
        learner.train_batch(batch, settings["optim"]["lr"])
    probe.end(learner, data, 1)
    return probe, learner, data


# derivatives of functions that one knows


@pytest.mark.parametrize(
    ("function", "derivative"),
    [(math.exp, 1.0), (lambda x: math.sin(3.0 * x + 1.0), 3.0 * math.cos(1.0)), (lambda x: 5.0 - 2.0 * x, -2.0)],
)
def test_a_smooth_function_has_its_derivative_and_no_kink(function, derivative):
    found, kink = slope(function, function(0.0))
    assert found == pytest.approx(derivative, rel=1e-10)
    assert not kink


@pytest.mark.parametrize("place", [0.0, 0.2, 1 / 3, 0.5, 0.9, -0.2, -1 / 3, -0.7])
@pytest.mark.parametrize("jump", [1.0, 1e-3])
def test_a_corner_within_the_step_is_seen_wherever_it_stands(place, jump):
    def bent(x: float) -> float:
        return 1.0 + x + jump * max(0.0, x - place * H)

    assert estimate(bent, bent(0.0), H).spread > 1e-2 * jump


def test_a_corner_beyond_the_step_is_none_and_the_second_step_comes_nearer():
    found, kink = slope(lambda x: max(0.0, x + 2.0 * H), 2.0 * H)
    assert (found, kink) == (pytest.approx(1.0, rel=1e-9), False)
    found, kink = slope(lambda x: max(0.0, x + 0.6 * H), 0.6 * H)  # within the first, beyond the second
    assert (found, kink) == (pytest.approx(1.0, rel=1e-9), False)
    assert slope(lambda x: max(0.0, x), 0.0)[1]


def test_relative_errors_are_symmetric_and_small_numbers_count_as_the_floor():
    assert relative_error(1.0, 1.1) == relative_error(1.1, 1.0) == pytest.approx(0.1 / 1.1)
    assert relative_error(1e-9, 2e-9) == pytest.approx(1e-9 / 1e-4)


# learners


SETTINGS = {
    "numpy": config(model=MLP_NUMPY, optim=MOMENTUM),
    "torch": config(model=MLP, optim=ADAM),
    "dropout": config(model=MLP_NUMPY, reg={"dropout": 0.4}),
    "torch dropout": config(model=MLP, reg={"dropout": 0.4}),
    "batch norm": config(model={**MLP_NUMPY, "batch_norm": True}),
    "cnn": config(model=CNN, dataset={**FAKE, "size": 8}),
    "label smoothing": config(model=MLP_NUMPY, reg={"label_smoothing": 0.2}),
    "penalties": config(model=MLP, reg={"weight_decay": 0.1, "l1": 0.01, "clip_norm": 0.1}),
    "raw pixels": config(model=MLP_NUMPY, dataset={**FAKE, "normalize": "none"}),
    "relu": config(model={**MLP, "activation": "relu"}),
    "adaline": config(model=ADALINE, dataset=BLOBS, optim={**MOMENTUM, "lr": 0.01}),
    "neuron": config(model=NEURON, dataset=MOONS),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_gradients_of_every_learner_are_those_of_its_training_loss(name):
    probe, _, _ = checked(SETTINGS[name])
    facts = probe.facts()
    assert facts["gradient_error"] < 1e-6
    assert facts["gradient_kinks"] <= 5  # pixels of up to 255 bend the loss as sharply as a corner
    rows = probe.notes.rows("gradient_check")
    assert {row["epoch"] for row in rows} == {0, 1}
    assert max(abs(row["analytic"]) for row in rows) > 1e-3


@pytest.mark.parametrize("name", ["numpy", "torch dropout", "batch norm", "cnn"])
def test_the_learner_is_afterwards_what_it_was_to_the_byte(name):
    settings = SETTINGS[name]
    _, learner, data = checked(settings)
    before = learner.state()
    assert any(key.startswith("optim/") for key in before) == (settings["optim"]["name"] == "adam" or name == "numpy")
    GradientCheck(Kept(), settings).end(learner, data, 1)
    after = learner.state()
    assert {key: value.tobytes() for key, value in before.items()} == {
        key: value.tobytes() for key, value in after.items()
    }


def test_a_wrong_gradient_is_found_in_the_parameter_that_has_it(monkeypatch):
    from labrunner.scratch.learner import NumpyLearner

    right = NumpyLearner.gradients

    def wrong(self, batch):
        found = right(self, batch)
        found["head.bias"] *= 1.001
        return found

    monkeypatch.setattr(NumpyLearner, "gradients", wrong)
    probe, _, _ = checked(SETTINGS["numpy"])
    errors = {row["parameter"]: 0.0 for row in probe.notes.rows("gradient_check")}
    for row in probe.notes.rows("gradient_check"):
        errors[row["parameter"]] = max(errors[row["parameter"]], row["error"])
    assert errors.pop("head.bias") == pytest.approx(0.001, rel=0.01)
    assert max(errors.values()) < 1e-6


def test_weights_at_a_corner_of_relu_are_left_out_and_counted():
    settings = config(model={**MLP_NUMPY, "activation": "relu"})
    samples = load(settings["dataset"])
    learner = scratch.make(settings, samples.description.shape, samples.description.num_classes)
    flat = {name: np.zeros_like(values) if "linear1" in name else values for name, values in learner.state().items()}
    learner.load(flat)  # all units of the first layer stand on their corner
    probe, _, _ = checked(settings, learner, steps=0)
    rows = [row for row in probe.notes.rows("gradient_check") if row["epoch"] == 0]
    kinks = {row["parameter"] for row in rows if row["kink"]}
    assert kinks == {"backbone.linear1.weight", "backbone.linear1.bias"}
    assert all(row["error"] is None for row in rows if row["kink"])
    assert probe.facts()["gradient_kinks"] > 10
    assert probe.facts()["gradient_error"] < 1e-6


def test_both_sides_are_asked_about_the_same_entries_and_no_more_than_that_many():
    one, other = (
        [(row["parameter"], row["entry"]) for row in checked(SETTINGS[side])[0].notes.rows("gradient_check")]
        for side in ("numpy", "torch")
    )
    assert one == other
    start = one[: len(one) // 2]
    assert len(set(start)) == len(start) <= gradient_check.ENTRIES
    counts = [sum(name == parameter for name, _ in start) for parameter in {name for name, _ in start}]
    assert max(counts) == gradient_check.MOST


def test_numbers_that_are_not_finite_are_blank_and_no_error():
    settings = SETTINGS["numpy"]
    samples = load(settings["dataset"])
    learner = scratch.make(settings, samples.description.shape, samples.description.num_classes)
    learner.load({name: np.full_like(values, np.nan) for name, values in learner.state().items()})
    probe, _, _ = checked(settings, learner, steps=0)
    assert "gradient_error" not in probe.facts()
    assert {row["error"] for row in probe.notes.rows("gradient_check")} == {None}


# as a run


def test_a_run_has_the_facts_and_the_rows_of_start_and_end(lab):
    folder = lab.train(
        "run", "model=mlp_numpy", "dataset=iris", "precision=float64", "epochs=3", "probes=[gradient_check]"
    )
    facts = json.loads((folder / "facts.json").read_text())
    noted = load_run(folder).probe("gradient_check")
    assert facts["gradient_error"] == noted["error"].max() < 1e-6
    chosen = facts["chosen_epoch"]
    assert list(dict.fromkeys(zip(noted["epoch"], noted["step"], strict=True))) == [
        (0, 0),
        (chosen, chosen * facts["steps"] // 3),
    ]


@pytest.mark.parametrize(
    ("request_line", "way_out"),
    [("model=mlp", "precision=float64"), ("model=perceptron precision=float64", "model=adaline")],
)
def test_it_is_refused_where_it_makes_no_sense_and_the_way_out_leads_out(lab, request_line, way_out):
    before = lab.tree()
    refused = lab(*request_line.split(), "dataset=iris", "epochs=1", "probes=[gradient_check]")
    assert refused.code == 2
    assert f"try {way_out}" in refused.err
    assert lab.tree() == before
    request = [text for text in request_line.split() if text.partition("=")[0] != way_out.partition("=")[0]]
    lab.train("run", *request, way_out, "dataset=iris", "epochs=1", "probes=[gradient_check]")
