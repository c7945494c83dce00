"""The weights' way and the loss around it, against closed forms, scikit-learn and the weights themselves."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrunner import build, checkpoint, compose, probes
from labrunner.helping import Catalogue
from labrunner.learner import Batch
from labrunner.probes import paths
from labrunner.records import load_run

QUADRATIC = (
    "model=adaline",
    "model.bias=false",
    "dataset=quadratic",
    "init=given",
    "init.weights=[-5,-2]",
    "optim=sgd",
    "batch_size=full",
    "precision=float64",
    "epochs=20",
)
MLP = ("model=mlp", "model.hidden=[6]", "dataset=moons", "dataset.samples=60", "batch_size=12", "epochs=4")


def table(folder: Path, name: str) -> dict[str, np.ndarray]:
    found = load_run(folder).probe(name)
    assert found is not None
    return {str(column): found[column].to_numpy(dtype=float) for column in found.columns}


def config_of(*overrides: str) -> dict[str, Any]:
    return compose.compose(overrides, Catalogue()).config


def facts(folder: Path) -> dict[str, float]:
    return json.loads((folder / "facts.json").read_text())


# trajectory


@pytest.mark.parametrize("lr", [0.1, 0.4, 0.49, 0.51, 0.6])
def test_plain_gradient_descent_on_the_quadratic_follows_its_closed_form(lab, lr):
    folder = lab.train("run", *QUADRATIC, f"optim.lr={lr}", "probes=[trajectory]")
    found, t = table(folder, "trajectory"), np.arange(21)
    np.testing.assert_array_equal(found["step"], t)
    np.testing.assert_array_equal(found["epoch"], t)
    # L = 0.1 w1^2 + 2 w2^2, so dL/dw1 = 0.2 w1 and dL/dw2 = 4 w2
    np.testing.assert_allclose(found["w1"], -5.0 * (1.0 - 0.2 * lr) ** t, rtol=1e-10)
    np.testing.assert_allclose(found["w2"], -2.0 * (1.0 - 4.0 * lr) ** t, rtol=1e-10)
    last = facts(folder)
    assert last["abs_w2_last"] == pytest.approx(2.0 * abs(1.0 - 4.0 * lr) ** 20, rel=1e-10)
    assert last["abs_w1_last"] == pytest.approx(5.0 * (1.0 - 0.2 * lr) ** 20, rel=1e-10)


def test_momentum_follows_its_recursion(lab):
    folder = lab.train("run", *QUADRATIC, "optim.lr=0.6", "optim.momentum=0.5", "probes=[trajectory]")
    w, v, curvature = np.array([-5.0, -2.0]), np.zeros(2), np.array([0.2, 4.0])
    expected = [w]
    for _ in range(20):
        v = 0.5 * v + curvature * w  # torch's form
        w = w - 0.6 * v
        expected.append(w)
    found = table(folder, "trajectory")
    np.testing.assert_allclose(np.stack([found["w1"], found["w2"]], axis=1), expected, rtol=1e-9, atol=1e-14)


def test_the_way_s_length_and_detour_are_those_of_its_rows(lab):
    folder = lab.train("run", *QUADRATIC, "optim.lr=0.49", "probes=[trajectory]")
    found = table(folder, "trajectory")
    points = np.stack([found["w1"], found["w2"]], axis=1)
    length = sum(float(np.hypot(*(b - a))) for a, b in itertools.pairwise(points))
    assert facts(folder)["path_length"] == pytest.approx(length, rel=1e-12)
    assert facts(folder)["path_detour"] == pytest.approx(length / np.hypot(*(points[-1] - points[0])), rel=1e-12)


def test_the_last_row_is_what_the_checkpoint_has(lab):
    small = ("dataset=moons", "dataset.samples=60", "batch_size=12", "epochs=3", "probes=[trajectory]")
    folder = lab.train("run", "model=mlp", "model.hidden=[2]", *small)
    state, _ = checkpoint.read(folder / "checkpoints" / "00003.safetensors")
    found = table(folder, "trajectory")
    assert found["step"].tolist() == list(range(3 * 3 + 1))
    weights = state["weights/backbone.linear1.weight"]
    for row, column in np.ndindex(weights.shape):
        assert found[f"backbone.linear1.weight[{row + 1},{column + 1}]"][-1] == float(weights[row, column])
    assert found["head.bias[2]"][-1] == float(state["weights/head.bias"][1])
    assert len(found) == 2 + 12


def test_a_single_unit_has_short_names_for_its_weights(lab):
    points = ("dataset=moons", "dataset.samples=60", "epochs=1", "probes=[trajectory]")
    folder = lab.train("run", "model=neuron", *points)
    assert list(table(folder, "trajectory")) == ["epoch", "step", "w1", "w2", "b"]
    assert {"abs_w1_last", "abs_w2_last", "abs_b_last"} <= facts(folder).keys()


def test_a_long_run_is_thinned_evenly_and_keeps_its_last_step(lab, monkeypatch):
    monkeypatch.setattr(paths, "STEPS", 8)
    folder = lab.train("run", *QUADRATIC, "optim.lr=0.1", "probes=[trajectory]")
    assert table(folder, "trajectory")["step"].tolist() == [0, 3, 6, 9, 12, 15, 18, 20]


@pytest.mark.parametrize("total", [1, 2, 7, 100, 999, 12345])
def test_a_stride_notes_as_many_as_it_may_and_the_last(total):
    stride = paths.Stride(total, 100)
    taken = [number for number in range(1, total + 1) if stride.takes(number)]
    assert taken[-1] == total
    assert min(total, 50) <= len(taken) <= 101
    assert len(set(np.diff(taken[:-1]))) <= 1


def test_a_model_of_ones_own_that_has_many_weights_notes_no_trajectory(lab):
    lab.write(
        "wide.py",
        "from torch import nn\n\n\ndef wide(input_shape, num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n",
    )
    lab.write("conf/model/wide.yaml", "# Wide.\n_target_: wide.wide\n")
    folder = lab.train("run", "model=wide", "dataset=digits", "smoke=true", "probes=[trajectory]")
    assert not (folder / "probes" / "trajectory.csv").exists()


@pytest.mark.parametrize("model", ["cnn", "lenet", "mlp", "mlp_numpy"])
def test_a_model_that_surely_has_many_weights_is_refused_with_a_way_out(lab, model):
    before = lab.tree()
    refused = lab(f"model={model}", "dataset=mnist5k", "probes=[trajectory]")
    assert refused.code == 2
    assert f"model={model}" in refused.err
    assert "try probes=[loss_surface]" in refused.err
    assert lab.tree() == before


# loss surface of two weights


def test_the_loss_over_the_plane_of_two_weights_is_the_objective(lab):
    folder = lab.train("run", *QUADRATIC, "optim.lr=0.4", "probes=[loss_surface]")
    found = table(folder, "loss_surface")
    assert list(found) == ["epoch", "step", "w1", "w2", "loss"]
    np.testing.assert_allclose(found["loss"], 0.1 * found["w1"] ** 2 + 2.0 * found["w2"] ** 2, rtol=1e-9, atol=1e-12)
    way = table(folder, "loss_surface_path")
    np.testing.assert_allclose(way["loss"], 0.1 * way["w1"] ** 2 + 2.0 * way["w2"] ** 2, rtol=1e-9, atol=1e-12)
    for name in ("w1", "w2"):
        assert found[name].min() < way[name].min()
        assert found[name].max() > way[name].max()


def test_a_way_that_climbs_far_is_not_covered_and_one_that_stays_is(lab):
    reach = {}
    for lr in (0.49, 0.6):
        folder = lab.train(f"lr{lr}", *QUADRATIC, f"optim.lr={lr}", "probes=[loss_surface]")
        reach[lr] = np.abs(table(folder, "loss_surface")["w2"]).max()
        assert np.isfinite(table(folder, "loss_surface")["loss"]).all()
    assert np.abs(table(folder, "loss_surface_path")["w2"]).max() > 1000.0
    assert reach[0.6] < 20.0


# principal directions


def test_directions_are_the_singular_vectors_of_the_way_and_shares_its_squares():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(12, 40)).cumsum(axis=0)
    plane = paths.principal_directions(weights)
    assert plane is not None
    steps = weights - weights[-1]
    _, singular, right = np.linalg.svd(steps, full_matrices=False)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(np.abs((plane.axes * right[:2]).sum(axis=1)), 1.0, rtol=1e-10)
    np.testing.assert_allclose(plane.explained, singular[:2] ** 2 / (singular**2).sum(), rtol=1e-10)
    np.testing.assert_allclose(plane.path, steps @ plane.axes.T, atol=1e-10)
    assert (plane.path[0] <= 0.0).all()
    np.testing.assert_allclose(plane.path[-1], 0.0, atol=1e-12)


def test_directions_agree_with_scikit_learn_where_the_mean_is_the_end():
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(1)
    there = rng.normal(size=(6, 9)) @ np.diag([5.0, 3.0, *[0.3] * 7])
    weights = np.concatenate([there, -there, np.zeros((1, 9))])  # its mean is its last point: centring moves nothing
    plane, pca = paths.principal_directions(weights), PCA(2).fit(weights)
    assert plane is not None
    np.testing.assert_allclose(plane.explained, pca.explained_variance_ratio_, rtol=1e-10)
    np.testing.assert_allclose(np.abs((plane.axes * pca.components_).sum(axis=1)), 1.0, rtol=1e-10)


@pytest.mark.parametrize("weights", [np.ones((3, 5)), np.outer(np.arange(4.0), np.ones(5)), np.ones((1, 5))])
def test_a_straight_way_spans_no_plane(weights):
    assert paths.principal_directions(weights) is None


@pytest.mark.parametrize("model", ["mlp", "mlp_numpy"])
def test_the_loss_along_the_plane_is_the_learner_s_own(lab, model):
    folder = lab.train("run", *MLP, f"model={model}", "probes=[loss_surface]", "select=last", "precision=float64")
    weights = np.stack([np.load(path) for path in sorted((folder / "probes").glob("loss_surface_*.npy"))])
    assert weights.shape == (5, 6 * 2 + 6 + 2 * 6 + 2)
    assert weights.dtype == np.float32
    plane = paths.principal_directions(weights)
    assert plane is not None
    way = table(folder, "loss_surface_path")
    np.testing.assert_allclose(np.stack([way["direction1"], way["direction2"]], axis=1), plane.path, atol=1e-9)
    assert way["epoch"].tolist() == [0, 1, 2, 3, 4]
    assert way["step"].tolist() == [0, 3, 6, 9, 12]
    said = facts(folder)
    assert said["explained_variance_1"] == pytest.approx(plane.explained[0], rel=1e-9)
    assert 0.0 < said["explained_variance_2"] <= said["explained_variance_1"]
    assert said["explained_variance_1"] + said["explained_variance_2"] <= 1.0 + 1e-12

    data, learner = built(folder)
    grid = table(folder, "loss_surface")
    whole = data.train.at(np.arange(len(data.train)))
    for number in (0, 311, 624):
        point = plane.centre + plane.axes.T @ [grid["direction1"][number], grid["direction2"][number]]
        assert grid["loss"][number] == pytest.approx(loss_at(learner, point, whole), rel=1e-7)
    assert way["loss"][-1] == pytest.approx(loss_at(learner, weights[-1].astype(float), whole), rel=1e-7)


def built(folder: Path):
    return build.build(load_run(folder).config, {})


def loss_at(learner, point: np.ndarray, batch: Batch) -> float:
    state, begin = learner.state(), 0
    for name, (count, _) in learner.parameters().items():
        shape = state[f"weights/{name}"].shape
        state[f"weights/{name}"] = point[begin : begin + count].reshape(shape)
        begin += count
    learner.load(state)
    return float(learner.eval_batch(batch).loss)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=cnn", "dataset=fake", "dataset.size=8", "dataset.samples=60", "optim=adam"),
        ("model=mlp_numpy", "model.batch_norm=true", "dataset=moons", "dataset.samples=60", "optim=rmsprop"),
        ("model=perceptron", "dataset=moons", "dataset.samples=60"),
    ],
)
def test_moving_the_weights_leaves_the_learner_as_it_was_to_the_bit(overrides):
    data, learner = build.build(config_of(*overrides, "batch_size=16"), {})
    learner.start_epoch(1)
    for batch in data.train.batches(1):
        learner.train_batch(batch, 0.01)
    before = {name: values.tobytes() for name, values in learner.state().items()}
    count = paths.size(learner)
    with paths.MovedWeights(learner, paths.sample_of(learner, data, 5)) as moved:
        moved.losses(np.random.default_rng(0).normal(size=(3, count)))
        assert {name: values.tobytes() for name, values in learner.state().items()} != before
    assert {name: values.tobytes() for name, values in learner.state().items()} == before


def test_a_learner_gets_its_weights_back_when_looking_fails():
    data, learner = build.build(config_of("model=neuron", "dataset=moons", "batch_size=full"), {})
    before = {name: values.tobytes() for name, values in learner.state().items()}
    with (
        pytest.raises(ValueError, match="reshape"),
        paths.MovedWeights(learner, paths.sample_of(learner, data, 5)) as moved,
    ):
        moved.losses([np.ones(3), np.ones(1)])
    assert {name: values.tobytes() for name, values in learner.state().items()} == before


def test_epochs_are_thinned_and_the_last_is_the_centre(lab, monkeypatch):
    monkeypatch.setattr(paths, "EPOCHS", 3)
    folder = lab.train("run", *MLP, "epochs=7", "probes=[loss_surface]")
    assert table(folder, "loss_surface_path")["epoch"].tolist() == [0, 3, 6, 7]


def test_a_model_of_too_many_weights_and_a_straight_way_leave_no_file(lab, monkeypatch):
    one = lab.train("one", *MLP, "epochs=1", "probes=[loss_surface]")
    monkeypatch.setattr(paths, "WEIGHTS", 10)
    large = lab.train("large", *MLP, "probes=[loss_surface]")
    for folder in (one, large):
        assert not list((folder / "probes").glob("loss_surface*.csv"))
        assert "explained_variance_1" not in facts(folder)


def test_costly_models_are_looked_at_on_fewer_samples():
    data, learner = build.build(config_of("model=mlp", "dataset=digits"), {})
    counts = []
    for work in (1, learner.work, 10**5, 10**7):
        learner.work = work
        counts.append(len(paths.sample_of(learner, data, paths.DIRECTIONS).targets))
    assert counts[:2] == [paths.SAMPLES, paths.SAMPLES]
    assert counts[2] == int(paths.WORK / (10**5 * paths.DIRECTIONS**2))
    assert counts[3] == paths.FEWEST


def test_the_window_holds_the_way_but_not_what_lies_too_high():
    points = np.array([[0.0, 0.0], [1.0, 2.0], [100.0, 200.0]])
    low, high = paths.window(points, np.array([1.0, 2.0, 1e6]))
    assert low.tolist() == pytest.approx([-0.2, -0.4])
    assert high.tolist() == pytest.approx([1.2, 2.4])
    low, high = paths.window(points[:1], np.array([np.nan]))
    assert (low < points[0]).all()
    assert (high > points[0]).all()


def test_probes_are_made_by_their_names():
    config = config_of("probes=[trajectory,loss_surface]", *QUADRATIC)
    (together,) = probes.make(config["probes"], None, config)
    assert [type(probe) for probe in together.probes] == [paths.Trajectory, paths.LossSurface]
    assert probes.make([], None, config) == []
