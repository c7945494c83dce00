"""Probes of linear units against other solvers, closed forms and the loop's own record."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVC

from labrunner import checkpoint
from labrunner.probes.linear import best_separator, is_separable
from labrunner.records import load_run
from labrunner.records.reading import read_notes

IRIS = ("dataset=iris", "precision=float64", "dataset.features=[sepal length,petal length]")
SETOSA, VIRGINICA = "dataset.classes=[setosa,versicolor]", "dataset.classes=[versicolor,virginica]"
ADALINE = (*IRIS, SETOSA, "model=adaline", "probes=[least_squares]", "batch_size=full")


def facts(folder) -> dict:
    return json.loads((folder / "facts.json").read_text())


def pair(data, first: int, second: int, columns=slice(None)) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.isin(data.target, (first, second))
    return data.data[chosen][:, columns], np.where(data.target[chosen] == first, -1.0, 1.0)


SEPARABLE = {
    "iris 0 1": pair(load_iris(), 0, 1, [0, 2]),
    "iris 0 2": pair(load_iris(), 0, 2),
    "digits 3 8": pair(load_digits(), 3, 8),
}


# whether there is a line


@pytest.mark.parametrize(("inputs", "signs"), SEPARABLE.values(), ids=SEPARABLE)
def test_classes_that_a_hard_margin_machine_separates_are_separable(inputs, signs):
    machine = SVC(kernel="linear", C=1e6).fit(inputs, signs)
    assert (machine.predict(inputs) == signs).all()
    assert is_separable(inputs, signs)


def test_classes_are_inseparable_where_their_hulls_share_a_point():
    rng = np.random.default_rng(0)
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert not is_separable(corners, np.array([-1.0, 1.0, 1.0, -1.0]))  # xor: both diagonals cross
    for _ in range(20):
        inputs = rng.normal(size=(12, 3))
        # a point of the one class that is a mixture of points of the other
        inputs[0] = rng.dirichlet(np.ones(6)) @ inputs[6:]
        assert not is_separable(inputs, np.repeat([-1.0, 1.0], 6))
    assert not is_separable(*pair(load_iris(), 1, 2))


def test_what_is_separable_stays_so_in_other_units_and_places():
    for inputs, signs in SEPARABLE.values():
        scale = 10.0 ** np.linspace(-6, 6, inputs.shape[1])
        assert is_separable(inputs * scale + 1e3 * scale, signs)


def test_one_sample_beyond_the_other_class_makes_it_inseparable():
    inputs, signs = SEPARABLE["iris 0 1"]
    flipped = signs.copy()
    flipped[np.argmin(inputs[:, 1])] *= -1.0  # the shortest petal of all, called versicolor
    assert is_separable(inputs, signs)
    assert not is_separable(inputs, flipped)


# the best separator


@pytest.mark.parametrize(("inputs", "signs"), SEPARABLE.values(), ids=SEPARABLE)
def test_the_margin_is_that_of_a_support_vector_machine_without_a_free_bias(inputs, signs):
    """On inputs with a constant 1, and their mirror images with the other sign, a machine's own bias must be 0."""
    augmented = np.column_stack([inputs, np.ones(len(inputs))])
    mirrored, both = np.vstack([augmented, -augmented]), np.r_[signs, -signs]
    machine = SVC(kernel="linear", C=1e8, tol=1e-9).fit(mirrored, both)
    assert machine.intercept_ == pytest.approx(0.0, abs=1e-6)
    found, margin = best_separator(inputs, signs)
    assert margin == pytest.approx(1.0 / np.linalg.norm(machine.coef_), rel=1e-4)
    np.testing.assert_allclose(found, machine.coef_[0] / np.linalg.norm(machine.coef_), atol=1e-3)
    assert np.linalg.norm(found) == pytest.approx(1.0)
    assert (signs * (augmented @ found)).min() == pytest.approx(margin)


def test_the_margin_of_two_points_on_a_line_is_known():
    # (1, 1), and (-3, 1) of the other class, whose mirror image is (3, -1): between them (1, 1) is nearest to zero
    found, margin = best_separator(np.array([[1.0], [-3.0]]), np.array([1.0, -1.0]))
    assert margin == pytest.approx(np.sqrt(2.0))
    np.testing.assert_allclose(found, np.array([1.0, 1.0]) / np.sqrt(2.0))


def test_where_there_is_no_separator_none_is_found():
    inputs, signs = pair(load_iris(), 1, 2)
    assert best_separator(inputs, signs) is None
    assert best_separator(np.array([[0.0], [0.0]]), np.array([1.0, -1.0])) is None


def test_a_small_margin_of_many_inputs_is_still_found():
    data = load_breast_cancer()
    inputs = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    signs = np.where(data.target == 0, -1.0, 1.0)
    assert is_separable(inputs, signs)
    found, margin = best_separator(inputs, signs)
    assert 0.001 < margin < 0.002
    assert (signs * (inputs @ found[:-1] + found[-1])).min() == pytest.approx(margin)


# the perceptron's updates


def test_no_order_of_the_samples_makes_more_updates_than_the_bound_and_the_count_is_the_learners(lab):
    for seed in range(3):
        folder = lab.train(
            f"run{seed}",
            *IRIS,
            SETOSA,
            "model=perceptron",
            "probes=[separation]",
            "epochs=8",
            f"seed={seed}",
            "dataset.normalize=none",
            "monitor=val_accuracy",
        )
        found = facts(folder)
        assert found["separable"] == 1
        assert found["novikoff_bound"] == pytest.approx((found["radius"] / found["margin"]) ** 2)
        assert 0 < found["updates_total"] <= found["novikoff_bound"]
        assert found["updates_last_epoch"] == found["updates_fewest"] == 0
        _, _, path = checkpoint.listed(folder / "checkpoints")[-1]
        assert checkpoint.read(path)[0]["optim/head.weight/updates"] == found["updates_total"]
        counts = [row["updates"] for row in read_notes(folder / "probes" / "separation_updates.csv")]
        before = [row["updates"] for row in read_notes(folder / "probes" / "epochs.csv")]
        assert counts[:-1] == before[1:]  # the end of an epoch is the start of the next


def test_inseparable_classes_have_no_bound_and_no_epoch_without_updates(lab):
    folder = lab.train("run", *IRIS, VIRGINICA, "model=perceptron", "probes=[separation]", "epochs=10")
    found = facts(folder)
    assert found["separable"] == 0
    assert found["updates_fewest"] > 0
    assert not {"novikoff_bound", "margin", "radius"} & found.keys()
    assert not list((folder / "probes").glob("separator_*.npy"))


def test_the_separator_is_kept_in_the_units_of_the_data_whatever_the_learner_sees(lab):
    inputs, signs = SEPARABLE["iris 0 1"]
    for kind in ("none", "standard", "unit"):
        folder = lab.train(
            kind,
            *IRIS,
            SETOSA,
            "model=perceptron",
            "probes=[separation]",
            "epochs=1",
            f"dataset.normalize={kind}",
            "dataset.val_fraction=0",
            "dataset.test_fraction=0",
        )
        kept = np.load(folder / "probes" / "separator_00000.npy")
        outputs = signs * (inputs @ kept[:2] + kept[2])
        assert outputs.min() == pytest.approx(facts(folder)["margin"], rel=1e-5)  # the data are float32


def test_other_models_are_told_whether_a_line_would_do_and_have_no_updates(lab):
    folder = lab.train("run", *IRIS, SETOSA, "model=mlp", "model.hidden=[4]", "probes=[separation]", "epochs=1")
    assert facts(folder)["separable"] == 1
    assert "updates_total" not in facts(folder)


def test_a_perceptron_of_three_classes_is_counted_though_no_line_separates_three(lab):
    folder = lab.train("run", *IRIS, "model=perceptron", "probes=[separation]", "epochs=2")
    assert facts(folder)["updates_total"] > 0
    assert "separable" not in facts(folder)


# least squares


@pytest.mark.parametrize("bias", ["true", "false"])
def test_curvature_and_optimum_are_scikit_learns(lab, bias):
    settings = ("dataset.val_fraction=0", "dataset.test_fraction=0", "optim.lr=0.5", f"model.bias={bias}")
    folder = lab.train("run", *ADALINE, *settings, "epochs=150")
    found = facts(folder)
    inputs, signs = SEPARABLE["iris 0 1"]
    x = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    correlation = np.corrcoef(x.T)[0, 1]
    # of standardized inputs X'X / n is the matrix of correlations, and the column of ones is apart from them
    assert found["lambda_max"] == pytest.approx(2 * (1 + correlation), rel=1e-6)
    assert found["lambda_min"] == pytest.approx(2 * (1 - correlation), rel=1e-6)
    assert found["critical_lr"] == pytest.approx(1 / (1 + correlation), rel=1e-6)
    assert found["best_lr"] == pytest.approx(0.5, rel=1e-6)
    theirs = LinearRegression(fit_intercept=bias == "true").fit(x, signs)
    _, _, path = checkpoint.listed(folder / "checkpoints")[-1]
    weight = checkpoint.read(path)[0]["weights/head.weight"][0]
    np.testing.assert_allclose(weight, theirs.coef_, rtol=1e-6)
    assert found["optimum_distance"] < 1e-9
    # each step leaves the share r^2 of the excess
    assert found["steps_to_optimum"] == pytest.approx(np.log(1e-6) / np.log(correlation**2), abs=2)


def test_the_noted_loss_is_that_of_the_whole_split_before_each_step(lab):
    folder = lab.train("run", *ADALINE, "optim.lr=0.3", "epochs=12")
    losses = [row["loss"] for row in read_notes(folder / "probes" / "least_squares.csv")]
    rows = load_run(folder).row_list  # a full-batch epoch is one step, and its loss that of the weights before it
    assert losses[:-1] == pytest.approx([row["train_loss"] for row in rows], rel=1e-9)


def test_distances_are_noted_evenly_and_at_most_a_thousand_times(lab, monkeypatch):
    monkeypatch.setattr("labrunner.probes.linear.MOST_STEPS", 10)
    folder = lab.train("run", *ADALINE[:-1], "batch_size=10", "epochs=5", "optim.lr=0.01")  # 30 steps
    steps = [row["step"] for row in read_notes(folder / "probes" / "least_squares.csv")]
    assert steps == list(range(0, 31, 3))


def test_several_units_have_one_curvature_and_the_optimum_of_all(lab):
    folder = lab.train(
        "run",
        *IRIS,
        "model=adaline",
        "probes=[least_squares]",
        "batch_size=full",
        "epochs=150",
        "optim.lr=0.5",
        "dataset.val_fraction=0",
        "dataset.test_fraction=0",
    )
    assert np.load(folder / "probes" / "optimum_00000.npy").shape == (3, 3)
    assert facts(folder)["optimum_distance"] < 1e-6


def test_an_optimum_at_zero_has_no_relative_distance(lab):
    folder = lab.train(
        "run",
        "dataset=quadratic",
        "model=adaline",
        "model.bias=false",
        "init=normal",
        "probes=[least_squares]",
        "batch_size=full",
        "epochs=2",
        "optim.lr=0.1",
        "precision=float64",
    )
    found = facts(folder)
    # .1 w1^2 + 2 w2^2
    assert (found["lambda_min"], found["lambda_max"]) == pytest.approx((0.2, 4.0))
    assert "optimum_distance" not in found


def test_a_run_that_diverges_leaves_blanks_and_its_curvature(lab):
    ended = lab("hydra.run.dir=run", "figures=none", *ADALINE, "optim.lr=1e200", "epochs=9")
    assert ended.code == 1
    assert load_run(lab.folder / "run").status == "diverged"
    assert facts(lab.folder / "run")["critical_lr"] > 0


# the plane


def test_the_kept_planes_are_those_of_the_start_and_of_powers_of_two(lab):
    folder = lab.train(
        "run", "dataset=moons", "dataset.samples=60", "model=mlp", "model.hidden=[4]", "probes=[boundaries]", "epochs=9"
    )
    epochs = [row["epoch"] for row in read_notes(folder / "probes" / "boundaries.csv")]
    assert epochs == [0, 1, 2, 4, 8]
    for epoch in epochs:
        kept = np.load(folder / "probes" / f"boundaries_{epoch:05d}.npy")
        assert kept.shape == (80, 80, 2)
        np.testing.assert_allclose(kept.sum(axis=-1), 1.0, atol=1e-6)


def test_a_plane_says_of_a_point_what_the_weights_say(lab):
    folder = lab.train(
        "run",
        "dataset=moons",
        "dataset.samples=60",
        "model=softmax",
        "probes=[boundaries]",
        "epochs=1",
        "dataset.normalize=none",
    )
    weights = checkpoint.read(checkpoint.listed(folder / "checkpoints")[-1][2])[0]
    row = read_notes(folder / "probes" / "boundaries.csv")[-1]
    x = np.linspace(row["x_low"], row["x_high"], 80, dtype=np.float32)
    y = np.linspace(row["y_low"], row["y_high"], 80, dtype=np.float32)
    kept = np.load(folder / "probes" / "boundaries_00001.npy")
    for at in ((3, 70), (40, 5)):
        scores = weights["weights/head.weight"] @ np.array([x[at[1]], y[at[0]]]) + weights["weights/head.bias"]
        share = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(kept[at], share, rtol=1e-4)


# what is refused


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("probes=[boundaries]",), "two inputs and dataset=digits has 64 numbers a sample"),
        (("probes=[boundaries]", "dataset=iris"), "dataset.features"),
        (("probes=[boundaries]", "dataset=quadratic", "model=adaline"), "no classes to show"),
        (("probes=[separation]", "dataset=iris", "model=softmax"), "dataset.classes=[setosa,versicolor]"),
        (("probes=[least_squares]", "dataset=iris", "model=softmax"), "try model=adaline"),
    ],
)
def test_a_probe_that_would_have_nothing_to_say_is_refused_before_anything_is_written(lab, typed, words):
    ended = lab(*typed)
    assert ended.code == 2
    assert words in ended.err
    assert lab.tree() == {}
