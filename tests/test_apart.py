"""How far runs lie apart: weights, rows and gradients, from their files."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest

from labrunner import apart, checkpoint
from labrunner.records import load_run
from labrunner.relations import is_pair

TINY = ("model=mlp_numpy", "model.hidden=[5]", "dataset=iris", "precision=float64", "epochs=2")
CHECKED = (*TINY, "probes=[gradient_check]")


@pytest.fixture
def pair(lab):
    """A run, and a copy of its folder to change."""
    one = lab.train("one", *CHECKED)
    shutil.copytree(one, lab.folder / "other")
    return load_run(one), load_run(lab.folder / "other")


def replaced(path, old, new):
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


def test_every_fact_about_pairs_is_known_as_one():
    assert all(map(is_pair, apart.PAIRS))


def test_a_run_and_its_copy_are_nothing_apart(pair):
    assert {name: fact(*pair) for name, fact in apart.PAIRS.items()} == dict.fromkeys(apart.PAIRS, 0.0)


def test_weights_are_those_after_the_last_epoch_and_the_largest_difference_counts(pair):
    one, other = pair
    path = other.path / "checkpoints" / checkpoint.Position(2).file_name
    state, position = checkpoint.read(path, None)
    state["weights/head.bias"] = state["weights/head.bias"] + np.array([0.0, -0.25, 0.125])
    path.write_bytes(checkpoint.encode(state, position))
    assert apart.weights_apart(one, other) == pytest.approx(0.25, rel=1e-12)
    assert apart.of_runs("weights_apart", [one, one, other]) == pytest.approx(0.25, rel=1e-12)


def test_networks_of_other_shapes_are_infinitely_far_apart(lab):
    runs = [load_run(lab.train(f"run{width}", *TINY, f"model.hidden=[{width}]")) for width in (3, 4)]
    assert apart.weights_apart(*runs) == math.inf


def test_rows_that_one_lacks_are_infinitely_far_apart(pair):
    one, other = pair
    lines = (other.path / "metrics.csv").read_text().splitlines()
    (other.path / "metrics.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert apart.metrics_apart(one, load_run(other.path)) == math.inf


def test_the_largest_difference_of_a_cell_counts(pair):
    one, other = pair
    value = repr(one.row_list[1]["val_loss"])
    replaced(other.path / "metrics.csv", value, repr(float(value) + 0.5))
    assert apart.metrics_apart(one, load_run(other.path)) == pytest.approx(0.5)


def test_gradients_are_compared_entry_by_entry_over_the_larger_of_both(pair):
    one, other = pair
    noted = one.probe("gradient_check")
    row = noted.loc[noted["analytic"].abs().idxmax()]
    value = repr(float(row["analytic"]))
    replaced(other.path / "probes" / "gradient_check.csv", value, repr(float(value) * 1.25))
    assert apart.gradients_apart(one, other) == pytest.approx(0.2)


def test_a_gradient_near_zero_is_compared_over_the_floor(pair):
    one, other = pair
    for run, value in ((one, 1e-9), (other, 3e-9)):
        (run.path / "probes" / "gradient_check.csv").write_text(
            f"epoch,step,parameter,entry,analytic,numeric,error,kink\n0,0,head.bias,1,{value!r},0.0,0.0,0\n"
        )
    assert apart.gradients_apart(one, other) == pytest.approx(2e-9 / apart.SMALLEST_GRADIENT)


def test_other_entries_are_infinitely_far_apart_and_none_are_no_number(pair):
    one, other = pair
    path = other.path / "probes" / "gradient_check.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert apart.gradients_apart(one, other) == math.inf
    path.unlink()
    assert math.isnan(apart.gradients_apart(one, other))
    assert math.isnan(apart.of_runs("gradients_apart", [one, one, other]))
    assert apart.of_runs("gradients_apart", [one]) is None
    assert apart.of_runs("accuracy_gap", [one, one]) is None
