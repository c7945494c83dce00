"""Figures that check numbers: gradient errors, the three averages, and two runs that should be one."""

from __future__ import annotations

import numpy as np
import pytest

from labrunner import averages, figures
from labrunner.figures import draw, png
from labrunner.figures.comparison.twins import EQUAL, twins
from labrunner.figures.look import look
from labrunner.figures.probed.checks import LEAST, PARAMETERS, gradient_check, three_averages
from labrunner.records import load_run, load_sweep
from tests.figures.looking import NAMES, all_inside, drawn, made, write_sweep
from tests.lines import cases

HEADER = "epoch,step,parameter,entry,analytic,numeric,error,kink"
FEW = ("backbone.linear1.weight", "backbone.linear1.bias", "head.weight", "head.bias")


def note(path, parameters=FEW, epochs=(0, 30), error=1e-9, kinks=0):
    """A gradient_check.csv of three entries a parameter, of which the first `kinks` stand at a corner."""
    lines = [HEADER]
    for epoch in epochs:
        for at, name in enumerate(parameters):
            for entry in range(3):
                kink = entry < kinks
                size = "" if kink else repr(error * (1 + at) * (1 + entry))
                lines.append(f"{epoch},{34 * epoch},{name},{entry},0.5,0.5,{size},{int(kink)}")
    (path / "probes" / "gradient_check.csv").write_text("\n".join(lines) + "\n")


def bars(axes):
    return [patch.get_width() for patch in axes.patches]


def test_without_the_probe_there_is_no_figure_of_gradients(tmp_path):
    run = made(tmp_path)
    assert gradient_check(run) is None
    (run.path / "probes" / "gradient_check.csv").write_text(HEADER + "\n")
    assert gradient_check(load_run(run.path)) is None


def test_a_bar_is_the_largest_error_of_a_parameter_at_a_moment(tmp_path):
    run = made(tmp_path)
    note(run.path)
    figure = drawn(gradient_check(run))
    axes = figure.axes[0]
    expected = [3e-9 * (1 + at) for at in range(len(FEW))]
    assert bars(axes) == pytest.approx(expected * 2)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(FEW)
    assert [text.get_text() for text in axes.get_legend().get_texts()][1:] == ["start", "epoch 30"]
    assert axes.get_xscale() == "log"
    all_inside(figure)


def test_errors_of_nothing_and_of_everything_stay_inside_the_axes(tmp_path):
    run = made(tmp_path)
    for error in (0.0, 0.7):
        note(run.path, error=error)
        figure = drawn(gradient_check(load_run(run.path)))
        low, high = figure.axes[0].get_xlim()
        assert all(low <= width <= high for width in bars(figure.axes[0]))
        assert low == LEAST
        all_inside(figure)


def test_entries_at_kinks_are_counted_and_a_parameter_of_nothing_else_has_no_bar(tmp_path):
    run = made(tmp_path)
    note(run.path, kinks=3)
    figure = drawn(gradient_check(run))
    assert np.isnan(bars(figure.axes[0])).all()
    assert "24 of 24 entries are left out" in figure.get_suptitle()


def test_of_many_parameters_the_worst_are_drawn_and_that_is_said(tmp_path):
    run = made(tmp_path)
    names = [f"features.{at}.block.conv.weight_with_a_name_of_many_letters" for at in range(60)]
    note(run.path, names)
    figure = drawn(gradient_check(run))
    axes = figure.axes[0]
    assert len(axes.get_yticks()) == PARAMETERS
    assert min(bars(axes)) == pytest.approx(3e-9 * (61 - PARAMETERS))
    assert f"{PARAMETERS} worst of 60 parameters" in axes.get_xlabel()
    all_inside(figure)


# averages


@pytest.mark.parametrize("count", [2, 10, 100])
def test_the_bars_are_the_three_averages_of_each_number(tmp_path, count):
    run = made(tmp_path, classes=NAMES[count])
    figure = drawn(three_averages(run))
    found = averages.averages(run.confusion.to_numpy())
    heights = [patch.get_height() for patch in figure.axes[0].patches]
    assert heights == pytest.approx([found[name] for name in averages.NAMES])
    all_inside(figure)


def test_classes_without_samples_are_counted_below(tmp_path):
    run = made(tmp_path, samples=7)
    assert "3 of 10 classes without a sample" in drawn(three_averages(run)).axes[0].get_xlabel()


def test_before_the_test_split_was_read_there_are_no_averages(tmp_path):
    assert three_averages(made(tmp_path, tested=False)) is None


def test_both_are_drawn_with_the_others(tmp_path, monkeypatch):
    names = {"curves", "averages", "gradient_check"}
    monkeypatch.setattr(figures, "FIGURES", {name: figures.FIGURES[name] for name in names})
    run = made(tmp_path, classes=NAMES[2])
    note(run.path)
    assert {path.stem for path in draw(load_run(run.path))} == names


# two runs that should be one


def pair(path, count=2, notes=True, **choices):
    sweep = write_sweep(path / "s", [{"model": name} for name in ("mlp_numpy", "mlp", "cnn")[:count]], **choices)
    if notes:
        for member in sweep.members:
            note(member.path)
    return load_sweep(sweep.path)


@pytest.mark.parametrize("epochs", cases([1, 2, 30], fast=[1, 30]))
def test_both_losses_are_drawn_and_their_difference_is_that_of_the_rows(tmp_path, epochs):
    sweep = pair(tmp_path, epochs=epochs)
    figure = drawn(twins(sweep))
    upper, middle, _ = figure.axes
    rows = [run.rows for _, run in sweep.runs]
    lines = [line.get_ydata() for line in upper.lines]
    expected = [rows[at][column] for column in ("train_loss", "val_loss") for at in (0, 1)]
    assert all((line == values).all() for line, values in zip(lines, expected, strict=True))
    apart = (rows[0]["val_loss"] - rows[1]["val_loss"]).abs().to_numpy()
    np.testing.assert_array_equal(middle.lines[1].get_ydata(), apart)
    low, high = middle.get_ylim()
    assert low < apart.min()
    assert apart.max() < high
    all_inside(figure)


def test_runs_that_are_equal_to_the_bit_differ_by_none(tmp_path):
    sweep = pair(tmp_path)
    one, other = (member.path / "metrics.csv" for member in sweep.members)
    other.write_bytes(one.read_bytes())
    figure = drawn(twins(load_sweep(sweep.path)))
    middle = figure.axes[1]
    assert set(middle.lines[0].get_ydata()) == {EQUAL}
    assert middle.get_yticklabels()[0].get_text() == "none"
    all_inside(figure)


def test_blanks_of_a_run_without_a_val_split_are_left_out(tmp_path):
    sweep = pair(tmp_path)
    for member in sweep.members:
        table = member.run.rows
        table[[name for name in table if name.startswith("val_")]] = np.nan
        table.to_csv(member.path / "metrics.csv", index=False)
    upper = drawn(twins(load_sweep(sweep.path))).axes[0]
    assert len(upper.lines) == 2


@pytest.mark.parametrize("choices", [{"count": 3}, {"count": 1}, {"notes": False}, {"lengths": {1: 7}}])
def test_what_is_no_pair_of_checked_runs_has_no_such_figure(tmp_path, choices):
    assert twins(pair(tmp_path, **choices)) is None


def test_equal_files_give_equal_bytes(tmp_path):
    sweep = pair(tmp_path)
    with look():
        assert png(twins(sweep)) == png(twins(load_sweep(sweep.path)))
