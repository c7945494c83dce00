"""What is noted of gradients, activations, weights and updates, against numbers that were found in another way."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch

from labrunner import build, checkpoint
from labrunner.deep import TorchLearner
from labrunner.deep.optimizers import SGD
from labrunner.learner import Batch
from labrunner.probes import signals
from labrunner.probes.signals import Moments, distinct_rows, evenly, lines_of, noted, outputs_of, probed
from labrunner.records import load_run

DIGITS = ("dataset=fake", "dataset.samples=60", "dataset.size=8", "batch_size=12", "epochs=2")
MLP = (*DIGITS, "model=mlp", "model.hidden=[6,5]")
TWIN = (*DIGITS, "model=mlp_numpy", "model.hidden=[6,5]")


def table(folder, name):
    return load_run(folder).probe(name)


def facts(folder):
    return json.loads((folder / "facts.json").read_text())


def weights_after(folder, epoch):
    state, _ = checkpoint.read(folder / "checkpoints" / checkpoint.Position(epoch).file_name, None)
    return {name.removeprefix("weights/"): values for name, values in state.items() if name.startswith("weights/")}


# gradients


def test_gradient_norms_are_those_of_finite_differences(lab):
    folder = lab.train("run", *TWIN, "precision=float64", "model.activation=tanh", "probes=[gradients]", "epochs=1")
    data, learner = built(folder)
    batch = data.train.at(probed(data.train))
    found = table(folder, "gradients")
    start = found[found["epoch"] == 0].set_index("parameter")["norm"]
    for name in ("backbone.linear1.bias", "head.weight"):
        weight, h, squares = learner.network.parameters[name], 1e-5, 0.0
        for place in np.ndindex(weight.shape):
            before = weight[place]
            weight[place] = before + h
            above = float(learner.eval_batch(batch).loss)
            weight[place] = before - h
            below = float(learner.eval_batch(batch).loss)
            weight[place] = before
            squares += ((above - below) / (2 * h)) ** 2
        assert start[name] == pytest.approx(math.sqrt(squares), rel=1e-6)


def built(folder):
    """The data of a run, and its learner as it was before training."""
    return build.build(load_run(folder).config, {})


def test_numpy_and_torch_note_the_same_gradients_and_activations(lab):
    same = ("precision=float64", "probes=[gradients,activations]", "init=he_normal", "optim=sgd")
    one, other = lab.train("one", *MLP, *same), lab.train("other", *TWIN, *same)
    for name, columns in (("gradients", ["norm"]), ("activations", ["mean", "std", "zeros", "dead"])):
        left, right = table(one, name), table(other, name)
        assert list(left.iloc[:, 2]) == list(right.iloc[:, 2])
        np.testing.assert_allclose(left[columns].to_numpy(float), right[columns].to_numpy(float), rtol=1e-9, atol=1e-12)


def test_the_ratio_of_gradients_is_that_of_the_first_and_the_last_hidden_matrix(lab):
    folder = lab.train("run", *MLP, "model.hidden=[6,5,4]", "probes=[gradients]")
    rows = table(folder, "gradients")
    norms = rows[rows["epoch"] == 0].set_index("parameter")["norm"]
    expected = norms["backbone.linear1.weight"] / norms["backbone.linear3.weight"]
    assert facts(folder)["gradient_ratio_first_last"] == expected


@pytest.mark.parametrize("model", [("model=softmax",), ("model=mlp", "model.hidden=[6]")])
def test_a_network_without_two_hidden_layers_has_no_ratio(lab, model):
    assert "gradient_ratio_first_last" not in facts(lab.train("run", *DIGITS, *model, "probes=[gradients]"))


# activations


def test_activations_are_summed_up_as_numpy_does_at_once(lab):
    folder = lab.train("run", *MLP, "probes=[activations]", "epochs=1")
    data, learner = built(folder)
    split = data.train
    outputs = learner.activations(split.at(probed(split)).inputs)
    rows = table(folder, "activations")
    rows = rows[rows["epoch"] == 0].set_index("layer")
    assert list(rows.index) == ["backbone.act1", "backbone.act2", "head"]
    for name, row in rows.iterrows():
        values = outputs[name].astype(float)
        assert row["mean"] == pytest.approx(values.mean(), rel=1e-6)
        assert row["std"] == pytest.approx(values.std(), rel=1e-6)
        assert row["zeros"] == (values == 0.0).mean()
        assert row["units"] == values.shape[1]
    assert rows["dead"]["backbone.act1"] == (outputs["backbone.act1"] == 0.0).all(axis=0).sum()
    assert np.isnan(rows["dead"]["head"])
    loss = float(learner.eval_batch(split.at(probed(split))).loss)
    assert facts(folder)["initial_loss"] == pytest.approx(loss, rel=1e-6)
    assert facts(folder)["activation_spread_last_first"] == rows["std"]["backbone.act2"] / rows["std"]["backbone.act1"]


def test_moments_in_parts_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    values = np.maximum(0.0, rng.normal(3.0, 2.0, (50, 4, 3, 3)))
    values[:, 2] = 0.0
    moments = Moments()
    for part in np.split(values, [1, 20, 33]):
        moments.add(part)
    assert moments.mean == pytest.approx(values.mean(), rel=1e-12)
    assert moments.std == pytest.approx(values.std(), rel=1e-12)
    assert moments.zeros == (values == 0.0).mean()
    assert (moments.low, moments.high) == (0.0, values.max())
    assert (moments.units, moments.dead) == (4, 1)


def test_zero_weights_leave_every_relu_dead(lab):
    found = facts(lab.train("run", *MLP, "init=zeros", "probes=[activations]"))
    assert found["dead_units"] == 11.0
    assert found["dead_share"] == 1.0
    assert found["initial_loss"] == pytest.approx(math.log(4), rel=1e-6)  # of four classes
    assert "activation_spread_last_first" not in found


def test_sigmoids_are_never_dead(lab):
    assert facts(lab.train("run", *MLP, "model.activation=sigmoid", "probes=[activations]"))["dead_units"] == 0.0


def test_histograms_count_every_output_of_the_start_and_of_the_chosen_epoch(lab):
    folder = lab.train("run", *MLP, "epochs=3", "monitor=val_loss", "probes=[activations,weights]")
    run = load_run(folder)
    rows = table(folder, "activation_histograms")
    assert set(rows["epoch"]) == {0, run.chosen.epoch}
    samples = min(signals.PROBED, facts(folder)["train_samples"])
    units = table(folder, "activations").groupby("layer")["units"].first()
    for (layer, _), part in rows.groupby(["layer", "epoch"]):
        assert part["count"].sum() == samples * units[layer]
        assert len(part) == signals.BINS
    weights = weights_after(folder, run.chosen.epoch)
    rows = table(folder, "weight_histograms")
    for name, part in rows[rows["epoch"] == run.chosen.epoch].groupby("parameter"):
        edges = np.append(part["low"], part["high"].iloc[-1])
        inside = [int(((weights[name] >= a) & (weights[name] < b)).sum()) for a, b in itertools.pairwise(edges)]
        inside[-1] += int((weights[name] == edges[-1]).sum())
        assert abs(np.array(inside) - part["count"].to_numpy()).sum() <= 2  # edges were rounded on their way


def test_a_constant_lies_in_one_bin():
    counted = signals.histogram(np.full((3, 4), 0.5))
    rows = list(lines_of(0, 0, "w", counted))
    assert [row[5] for row in rows if row[5]] == [12]
    assert signals.histogram(np.array([0.0, math.inf])) is None


def test_layers_that_only_hand_on_are_left_out():
    assert noted(["backbone.flatten", "backbone.linear1", "backbone.act1", "head"]) == ["backbone.act1", "head"]
    assert noted(["flatten", "0", "1", "drop1", "2"]) == ["0", "1", "2"]
    assert noted(["head"]) == ["head"]
    many = noted([f"act{number}" for number in range(200)] + ["head"])
    assert len(many) == signals.LAYERS + 1
    assert (many[0], many[-2], many[-1]) == ("act0", "act199", "head")
    assert evenly(["a", "b"], 5) == ["a", "b"]


def test_a_large_network_is_looked_at_in_parts(lab, monkeypatch):
    data, learner = built(lab.train("run", *MLP, "dataset.samples=200", "epochs=1"))
    split, seen = data.train, []
    one = learner.activations(split.at(np.array([0])).inputs)
    monkeypatch.setattr(signals, "VALUES", 10 * sum(values.size for values in one.values()))
    for outputs in outputs_of(learner, split):
        seen.append(len(outputs["head"]))
    assert seen[0] == signals.FIRST
    assert max(seen[1:]) == 10
    assert sum(seen) == len(split)


# weights


def test_weight_norms_are_those_of_the_checkpoint(lab):
    folder = lab.train("run", *MLP, "model.batch_norm=true", "probes=[weights]", "select=last")
    weights, rows = weights_after(folder, 2), table(folder, "weights")
    last = rows[rows["epoch"] == 2].set_index("parameter")
    assert not [name for name in last.index if "running" in name]
    for name, norm in last["norm"].items():
        assert norm == pytest.approx(np.linalg.norm(weights[name].astype(float)), rel=1e-9)
    together = math.sqrt(sum((weights[name].astype(float) ** 2).sum() for name in weights if weights[name].ndim == 2))
    assert facts(folder)["weight_norm"] == pytest.approx(together, rel=1e-9)


@pytest.mark.parametrize(("start", "distinct"), [("zeros", 1), ("constant", 1), ("he_normal", 6)])
def test_units_that_start_alike_stay_alike(lab, start, distinct):
    folder = lab.train("run", *MLP, f"init={start}", "probes=[weights]", "epochs=4")
    assert facts(folder)["distinct_rows_w1"] == distinct


def test_rows_are_told_apart_by_more_than_rounding():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(5, 7))
    rows = np.concatenate([base, base * (1 + 1e-7), base[:2] + 0.01])
    assert distinct_rows(rows[rng.permutation(len(rows))]) == 7
    assert distinct_rows(np.zeros((4, 3))) == 1
    assert distinct_rows(np.ones((4, 3, 2, 2))) == 1
    assert distinct_rows(np.array([[1.0, math.nan]])) is None


# updates


@pytest.mark.parametrize("model", [MLP, TWIN])
def test_updates_of_gradient_descent_are_the_learning_rate_times_the_gradient(lab, model):
    folder = lab.train("run", *model, "precision=float64", "optim=sgd", "optim.lr=0.05", "probes=[updates]")
    data, learner = built(folder)
    rows = table(folder, "updates")
    assert sorted(set(rows["step"])) == list(range(1, 2 * data.train.batch_count + 1))
    for batch in data.train.batches(1):
        gradients, weights = learner.gradients(batch), learner.weights()
        for row in rows[rows["step"] == batch.step + 1].itertuples():
            expected = 0.05 * np.linalg.norm(gradients[row.parameter])
            assert row.update == pytest.approx(expected, rel=1e-9)
            assert row.weight == pytest.approx(np.linalg.norm(weights[row.parameter]), rel=1e-12)
        learner.train_batch(batch, 0.05)
    matrices = rows[rows["axes"] > 1]
    assert facts(folder)["update_ratio"] == pytest.approx(matrices["ratio"].median(), rel=1e-12)


def test_of_many_steps_some_are_noted_evenly_the_first_among_them(lab, monkeypatch):
    monkeypatch.setattr(signals, "RECORDED", 4)
    monkeypatch.setattr(signals, "LEAST", 1)
    rows = table(lab.train("run", *MLP, "epochs=3", "probes=[updates]"), "updates")
    steps = sorted(set(rows["step"]))
    assert steps[0] == 1
    assert len(set(np.diff(steps))) == 1
    assert len(steps) <= 4


def test_a_parameter_that_is_zero_has_no_ratio(lab):
    rows = table(lab.train("run", *MLP, "init=he_normal", "probes=[updates]"), "updates")
    first = rows[rows["step"] == 1].set_index("parameter")["ratio"]
    assert np.isnan(first["backbone.linear1.bias"])
    assert first["backbone.linear1.weight"] > 0.0


# frozen parameters


def test_probes_measure_a_learner_whose_first_layer_is_frozen():
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    network[0].requires_grad_(False)

    learner = TorchLearner(network, SGD(dict(network.named_parameters())), (3,), 0)
    batch = Batch(torch.zeros(4, 3), torch.zeros(4, dtype=torch.long), 0)
    assert list(learner.gradients(batch)) == ["1.weight", "1.bias"]
    assert list(signals.parameters_of(learner)) == ["0.weight", "0.bias", "1.weight", "1.bias"]
