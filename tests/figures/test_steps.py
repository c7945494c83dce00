"""Figures of steps, outputs and range tests: drawn from odd data, and left out where there is none."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from labrunner.figures.comparison import steps as swept
from labrunner.figures.probed import steps as probed
from labrunner.records import load_run
from labrunner.records.sweep import load_sweep
from tests.figures.looking import all_inside, drawn, made, write_sweep

STEPS = 34  # of an epoch


def note_steps(run, epochs=30, loss=lambda step: 2.0 / step, lr=lambda step: 0.01, every=1):
    """What the probe would have noted, and the steps before each epoch."""
    steps = np.arange(1, epochs * STEPS + 1, every)
    table = {"epoch": (steps - 1) // STEPS + 1, "step": steps, "lr": [*map(lr, steps)], "loss": [*map(loss, steps)]}
    pd.DataFrame(table).to_csv(run.path / "probes/steps.csv", index=False)
    before = [[epoch, STEPS * max(0, epoch - 1)] for epoch in range(epochs + 1)]
    pd.DataFrame(before, columns=["epoch", "step"]).to_csv(run.path / "probes/epochs.csv", index=False)
    return load_run(run.path)


def note_outputs(run, classes=2, steps=20, samples=3):
    rng = np.random.default_rng(0)
    rows = [
        [0 if step == 0 else 1, step, 7 * sample, sample % classes, *np.repeat(rng.random(), 1 + classes)]
        for step in range(steps)
        for sample in range(samples)
    ]
    header = ["epoch", "step", "index", "label", "p_label", *(f"p_{k}" for k in range(classes))]
    pd.DataFrame(rows, columns=header).to_csv(run.path / "probes/outputs.csv", index=False)
    return load_run(run.path)


def range_table(count=240, marked=150, loss=None):
    lr = np.geomspace(1e-7, 10, 240)[:count]
    smoothed = 2.3 - 1.5 / (1 + np.exp(-3 * (np.log10(lr) + 2))) if loss is None else loss(lr)
    noisy = smoothed + 0.1 * np.random.default_rng(0).normal(size=count)
    suggested = (np.arange(count) == marked).astype(int)
    return pd.DataFrame({"lr": lr, "loss": noisy, "smoothed": smoothed, "suggested": suggested})


def note_range(run, **choices):
    table = range_table(**choices)
    columns = {"epoch": 0, "step": 0, "number": range(1, len(table) + 1)}
    table.assign(**columns)[[*columns, *table.columns]].to_csv(run.path / "probes/lr_range.csv", index=False)
    return load_run(run.path)


def note_updates(run, ratio, steps=60):
    """Ratios of three weight matrices around `ratio`, and of a bias that is no matrix."""
    rows = [
        [1, step, name, axes, 1.0, 1.0, factor * ratio(step)]
        for step in range(1, steps + 1)
        for name, axes, factor in (("a", 2, 0.1), ("b", 2, 1.0), ("c", 4, 100.0), ("bias", 1, 1e6))
    ]
    header = ["epoch", "step", "parameter", "axes", "update", "weight", "ratio"]
    pd.DataFrame(rows, columns=header).to_csv(run.path / "probes/updates.csv", index=False)
    return load_run(run.path)


# of a run


@pytest.mark.parametrize("figure", [probed.loss_per_step, probed.outputs, probed.lr_range])
def test_a_run_without_the_probe_has_no_figure(tmp_path, figure):
    assert figure(made(tmp_path)) is None


@pytest.mark.parametrize("figure", [probed.loss_per_step, probed.outputs, probed.lr_range])
@pytest.mark.parametrize("text", ["", "epoch,step\n", "epoch,step,lr\n0,1,2\n", "no,such\ncolumns,here\n"])
def test_a_file_that_is_none_of_the_probes_has_no_figure(tmp_path, figure, text):
    run = made(tmp_path)
    for name in ("steps", "outputs", "lr_range"):
        (run.path / f"probes/{name}.csv").write_text(text)
    assert figure(load_run(run.path)) is None


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"every": 40},
        {"epochs": 1},
        {"lr": lambda step: 0.1 / step},
        {"lr": lambda step: math.nan},
        {"loss": lambda step: math.nan if step > 100 else 10.0**step if step < 50 else 1.0},
        {"loss": lambda step: 0.0},
        {"loss": lambda step: -1.0},
    ],
)
def test_losses_of_all_kinds_are_drawn_and_no_text_is_cut(tmp_path, choices):
    all_inside(probed.loss_per_step(note_steps(made(tmp_path), **choices)))


def test_without_a_finite_loss_there_is_no_figure(tmp_path):
    assert probed.loss_per_step(note_steps(made(tmp_path), loss=lambda step: math.nan)) is None


def test_seconds_are_those_of_training_up_to_the_step(tmp_path):
    """`made` spends 0.15 s of training on each epoch of 34 steps."""
    noted = probed.losses(note_steps(made(tmp_path), epochs=30))
    assert noted.seconds == pytest.approx(0.15 * noted.step / STEPS)


def test_beyond_what_was_timed_a_step_has_no_second(tmp_path):
    run = note_steps(made(tmp_path, epochs=4), epochs=5)
    seconds = probed.losses(run).seconds
    assert np.isfinite(seconds[: 4 * STEPS]).all()
    assert np.isnan(seconds[4 * STEPS :]).all()


def test_without_a_timing_the_panel_of_seconds_is_left_out(tmp_path):
    run = note_steps(made(tmp_path))
    (run.path / "timing.csv").unlink()
    assert len(drawn(probed.loss_per_step(load_run(run.path))).axes) == 1


def test_the_mean_of_the_last_steps_begins_where_the_losses_do_and_is_moved_by_no_later_one():
    losses = np.random.default_rng(0).normal(size=400) + 2.5
    losses[10] = 1e4
    mean = probed.trailing_mean(losses)
    assert mean[0] == losses[0]
    assert mean[9] == pytest.approx(losses[:10].mean())
    window = len(losses) // probed.SHARE + 2
    assert mean[300] == pytest.approx(losses[301 - window : 301].mean())
    assert mean[:10].max() < 10.0 < mean[10]
    short = np.random.default_rng(0).normal(size=probed.FEW)
    assert probed.trailing_mean(short) is short


@pytest.mark.parametrize(("classes", "label"), [(2, "second class"), (10, "right class")])
def test_outputs_say_whose_probability_they_are(tmp_path, classes, label):
    figure = probed.outputs(note_outputs(made(tmp_path), classes))
    all_inside(figure)
    assert label in figure.axes[0].get_ylabel()


@pytest.mark.parametrize(
    "choices",
    [{}, {"marked": None}, {"count": 15}, {"loss": lambda lr: 1e6 * lr + 1}, {"loss": lambda lr: 0 * lr}],
)
def test_range_tests_of_all_kinds_are_drawn_and_no_text_is_cut(tmp_path, choices):
    all_inside(probed.lr_range(note_range(made(tmp_path), **choices)))


def test_the_suggestion_is_marked_where_it_is(tmp_path):
    table = range_table(marked=100)
    axes = drawn(probed.range_test(table)).axes[0]
    (mark,) = (line for line in axes.lines if line.get_label() == "suggestion")
    assert mark.get_xdata() == [table["lr"][100]]
    assert mark.get_ydata() == [table["smoothed"][100]]


# of a sweep


def sweep_of(path, values, note, **choices):
    sweep = write_sweep(path / "sweep", values, samples=20, **choices)
    for number, (_, run) in enumerate(sweep.runs):
        note(run, number)
    return load_sweep(path / "sweep")


@pytest.mark.parametrize("figure", [swept.convergence, swept.outputs, swept.lr_range, swept.updates])
def test_a_sweep_without_the_probe_has_no_figure(tmp_path, figure):
    assert figure(write_sweep(tmp_path / "sweep", [{"optim.lr": lr} for lr in (0.1, 0.01)])) is None


RATES = [{"optim.lr": lr} for lr in (0.001, 0.01, 0.1)]
SEEDS = [{"optim.lr": lr, "seed": seed} for lr in (0.01, 0.1) for seed in range(3)]
MANY = [{"optim.lr": round(1.5**-k, 6)} for k in range(30)]
NAMES = [{"variant": name} for name in ("sgd", "a variant with a name of some length", "adam")]


@pytest.mark.parametrize("values", [RATES, SEEDS, MANY, NAMES, RATES[:1]])
def test_sweeps_of_all_kinds_are_drawn_and_no_text_is_cut(tmp_path, values):
    def note(run, number):
        note_steps(run, epochs=6, loss=lambda step: (number + 1) / step)
        note_outputs(run)
        note_updates(run, lambda step: 0.01 * (number + 1) / step)

    sweep = sweep_of(tmp_path, values, note, epochs=6)
    for figure in (swept.convergence, swept.outputs, swept.updates):
        all_inside(figure(sweep))


def test_a_run_that_diverged_or_lacks_the_file_leaves_the_others_in_the_figure(tmp_path):
    def note(run, number):
        if number != 1:
            note_steps(run, epochs=4, loss=lambda step: 30.0**step if number == 2 and step < 100 else 1.0 / step)
            note_outputs(run)

    sweep = sweep_of(tmp_path, RATES, note, statuses={2: "diverged"})
    all_inside(swept.outputs(sweep))
    convergence = swept.convergence(sweep)
    all_inside(convergence)
    lines = [line for line in convergence.axes[0].lines if line.get_linewidth() > 1]
    assert len(lines) == 2


def test_accuracies_stand_where_their_epochs_end(tmp_path):
    sweep = sweep_of(tmp_path, RATES, lambda run, number: note_steps(run), epochs=30)
    by_step, by_second = drawn(swept.convergence(sweep)).axes[2:4]
    assert by_step.lines[0].get_xdata() == pytest.approx(STEPS * np.arange(1, 31))
    assert by_second.lines[0].get_xdata() == pytest.approx(0.15 * np.arange(1, 31))


def test_runs_of_very_different_lengths_share_a_log_axis(tmp_path):
    sweep = sweep_of(tmp_path, RATES, lambda run, number: note_steps(run, epochs=30 if number else 1))
    assert drawn(swept.convergence(sweep)).axes[2].get_xscale() == "log"


def test_equal_range_tests_are_one_line_above_the_results(tmp_path):
    sweep = sweep_of(tmp_path, RATES, lambda run, number: note_range(run), statuses={2: "diverged"})
    figure = swept.lr_range(sweep)
    all_inside(figure)
    above, below = figure.axes
    assert sum(line.get_label() == "smoothed" for line in above.lines) == 1
    points = [line for line in below.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in points] == [2]
    (cross,) = (line for line in below.lines if line.get_marker() == "X")
    assert list(cross.get_xdata()) == [0.1]


def test_a_range_test_without_swept_rates_has_no_figure_of_the_sweep(tmp_path):
    assert swept.lr_range(sweep_of(tmp_path, NAMES, lambda run, number: note_range(run))) is None


def test_the_line_of_a_run_is_the_median_ratio_of_its_weight_matrices(tmp_path):
    def note(run, number):
        note_updates(run, lambda step: 0.0 if step == 7 else 0.01 * (number + 1) / step)

    figure = drawn(swept.updates(sweep_of(tmp_path, NAMES, note)))
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    assert len(axes.lines) == len(NAMES)
    for number, line in enumerate(axes.lines):
        steps, ratios = (np.asarray(values, dtype=float) for values in line.get_data())
        assert steps.tolist() == list(range(1, 61))
        expected = 0.01 * (number + 1) / steps
        expected[6] = np.nan
        np.testing.assert_allclose(ratios, expected)
    assert "3 steps that moved nothing not drawn" in figure.get_suptitle().replace("\n", " ")


@pytest.mark.parametrize("ratio", [0.0, math.nan, math.inf])
def test_updates_without_a_ratio_have_no_figure(tmp_path, ratio):
    assert swept.updates(sweep_of(tmp_path, NAMES, lambda run, number: note_updates(run, lambda step: ratio))) is None
