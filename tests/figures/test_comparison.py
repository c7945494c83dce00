"""Figures of sweeps and comparisons show what pandas finds in the run folders, for the sweeps that occur."""

from __future__ import annotations

import json
import shutil
import warnings
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.colors import LogNorm, to_rgba
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from labrunner import comparison
from labrunner.figures import draw_sweep
from labrunner.figures.comparison import COMPARISONS, bars, epochs_to, flips, heat_map, metric_against_key, validation
from labrunner.figures.comparison.scales import limits, set_scale
from labrunner.figures.comparison.shown import as_typed, tick_names, typed
from labrunner.figures.comparison.transfer import accuracy_and_trainable
from labrunner.figures.look import PAGE, look, luminance
from labrunner.records import METRICS, Sweep, load_sweep
from tests.figures.looking import all_inside, all_shown_inside, drawn, everything, shown, write_sweep
from tests.lines import cases
from tests.sweeps import curve

RATES = (0.001, 0.01, 0.1)
OF_ANY = {"validation", "metric_against_key", "bars", "heat_map", "epochs_to", "flips"}  # all others ask for a probe
LONG = "/home/student/experiments/2026/labs/first/pretrained/efficientnet_b0_imagenet"
HOSTILE = (r"$\frac{1}{0}$", "_hidden", f"{LONG}_v1.pth", f"{LONG}_v2.pth", "two\nlines", "כלב גדול")

SWEEPS: dict[str, dict[str, Any]] = {
    "three rates": {"values": [{"optim.lr": rate} for rate in RATES]},
    "sixteen rates": {
        "values": [{"optim.lr": round(10 ** (-4 + 0.3 * i), 6)} for i in range(16)],
        "statuses": {13: "diverged", 14: "diverged", 15: "diverged"},
    },
    "rates, seeds, models": {
        "values": [{"optim.lr": r, "seed": s, "model": m} for r, s, m in product(RATES, range(3), ("mlp", "cnn"))],
        "statuses": {12: "diverged", 13: "diverged", 15: "diverged", 17: "diverged", 0: "failed"},
    },
    "rates and widths": {
        "values": [{"optim.lr": r, "model.hidden": h} for r, h in product(RATES, ([32], [128], [256, 128]))],
        "statuses": {6: "diverged", 7: "missing", 8: "diverged"},
    },
    "models": {"values": [{"model": name} for name in ("mlp", "cnn", "lenet", "a_network_with_a_very_long_name_v2")]},
    "hostile": {"values": [{"model.weights": w, "dataset.classes": c} for w in HOSTILE for c in ([0, 1], None)]},
    "long keys": {
        "values": [{f"my_module.{'some_long_name_' * 4}": r, f"other.{'x' * 40}$^": n} for r in RATES for n in (1, 2)],
        "monitor": "val_f1",
    },
    "long keys and names": {
        "values": [{f"my_module.{'some_long_name_' * 4}": v, "seed": s} for v in ("$" * 40, "_c") for s in (0, 1)],
        "statuses": {3: "diverged"},
        "monitor": "val_f1",
    },
    "thirty optimizers": {"values": [{"optim": f"optimizer_number_{i}"} for i in range(30)], "statuses": {3: "failed"}},
    "sixty rates": {
        "values": [{"optim.lr": round(10 ** (-4 + 0.06 * i), 7)} for i in range(60)],
        "statuses": {40: "missing", 58: "diverged"},
        "monitor": "val_f1",
    },
    "two numbers, with zero": {
        "values": [{"reg.weight_decay": w, "batch_size": b} for w in (0, 1e-5, 1e-3, 1e-2) for b in (16, 64, 128)]
    },
    "seeds": {"values": [{"seed": seed} for seed in range(5)], "lengths": {1: 6}},
    "one run": {"values": [{"optim.lr": 0.01}]},
    "one epoch": {"values": [{"optim.lr": r, "seed": s} for r in RATES for s in (0, 1)], "epochs": 1},
    "all diverged": {"values": [{"optim.lr": r} for r in RATES], "statuses": dict.fromkeys(range(3), "diverged")},
    "unrelated": {
        "values": [
            {"model": "mlp", "optim.lr": 0.01, "epochs": 30, "dataset": "digits"},
            {"model": "cnn", "optim.lr": 0.001, "epochs": 20, "dataset": "mnist5k"},
            {"model": "lenet", "optim.lr": 0.1, "epochs": 30, "dataset": "digits", "model.path": LONG},
        ],
        "comparison": True,
    },
}
DRAWN = {
    "three rates": {"validation", "metric_against_key", "epochs_to"},
    "sixteen rates": {"validation", "metric_against_key", "epochs_to"},
    "rates, seeds, models": {"validation", "metric_against_key", "bars", "heat_map", "epochs_to"},
    "rates and widths": {"validation", "metric_against_key", "bars", "heat_map", "epochs_to"},
    "models": {"validation", "bars", "epochs_to"},
    "hostile": {"validation", "bars", "heat_map", "epochs_to"},
    "long keys": {"validation", "metric_against_key", "heat_map", "epochs_to"},
    "long keys and names": {"validation", "bars", "epochs_to"},
    "thirty optimizers": {"validation", "bars", "epochs_to"},
    "sixty rates": {"validation", "metric_against_key", "epochs_to"},
    "two numbers, with zero": {"validation", "metric_against_key", "heat_map", "epochs_to"},
    "seeds": {"validation", "epochs_to"},
    "one run": {"validation", "epochs_to"},
    "one epoch": {"validation", "metric_against_key", "epochs_to"},
    "all diverged": {"validation", "epochs_to"},
    "unrelated": {"validation", "bars", "epochs_to", "flips"},
}

# some of their figures are drawn below
LENGTHY = ("sixty rates", "thirty optimizers", "rates and widths", "rates, seeds, models", "models", "one epoch")
EACH_TIME = [name for name in SWEEPS if name not in LENGTHY]


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Opens a sweep of `SWEEPS` by its name; each is written once."""
    root, written = tmp_path_factory.mktemp("sweeps"), {}

    def opened(name: str) -> Sweep:
        if name not in written:
            written[name] = write_sweep(root / name.replace(" ", "_"), **{"epochs": 12, **SWEEPS[name]})
        return written[name]

    return opened


@pytest.fixture(scope="module")
def figure_of(sweeps: Any) -> Any:
    """A figure of a sweep of `SWEEPS`, if it has one, drawn once and without a warning."""
    made: dict[tuple[str, str], Figure | None] = {}

    def drawn_once(function: str, name: str) -> Figure | None:
        if (function, name) not in made:
            with look(), warnings.catch_warnings():
                warnings.simplefilter("error")
                figure = COMPARISONS[function][0](sweeps(name))
                made[function, name] = figure if figure is not None and everything(figure) else None
        return made[function, name]

    return drawn_once


@pytest.fixture(scope="module")
def figures(figure_of: Any) -> Any:
    """All figures that a sweep of `SWEEPS` has, by their names."""

    def drawn_once(name: str) -> dict[str, Figure]:
        found = {each: figure_of(each, name) for each in COMPARISONS}
        return {each: figure for each, figure in found.items() if figure is not None}

    return drawn_once


def metrics(sweep: Sweep, number: int) -> pd.DataFrame:
    """metrics.csv of a run, as pandas reads it."""
    return pd.read_csv(sweep.members[number].path / "metrics.csv")


def best(sweep: Sweep, number: int) -> pd.Series:
    rows = metrics(sweep, number)
    return rows.loc[rows["val_loss"].idxmin()]


def curves_of(figure: Figure, panel: int) -> list[Any]:
    """The lines of a panel that go over epochs: no marks."""
    return [
        line for line in figure.axes[panel].get_lines() if line.get_linestyle() != "None" and len(line.get_xdata()) > 1
    ]


def crosses(figure: Figure, panel: int) -> list[Any]:
    return [line for line in figure.axes[panel].get_lines() if line.get_marker() == "X"]


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def note(figure: Figure) -> str:
    return figure.get_suptitle().replace("\n", " ")


@pytest.mark.parametrize("name", cases(SWEEPS, fast=EACH_TIME))
def test_every_figure_that_applies_is_drawn_and_nothing_leaves_the_page(figures, name):
    for figure in figures(name).values():
        all_shown_inside(figure)
    assert set(figures(name)) == DRAWN[name]


@pytest.mark.parametrize(
    "name", cases(["sixteen rates", "two numbers, with zero", "rates and widths", "sixty rates"], fast=3)
)
def test_the_values_below_an_axis_do_not_run_into_each_other(figure_of, name):
    for axes in figure_of("metric_against_key", name).axes:
        low, high = axes.get_xlim()
        inside = [
            label.get_window_extent()
            for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
            if low <= place <= high and label.get_text()
        ]
        boxes = sorted((box.x0, box.x1) for box in inside)
        assert len(boxes) >= 2
        assert all(right[0] > left[1] for left, right in pairwise(boxes))


# validation


def test_the_curves_are_the_columns_of_the_runs_in_the_order_of_the_rate(sweeps, figure_of):
    sweep = sweeps("three rates")
    figure = figure_of("validation", "three rates")
    for panel, column in enumerate(("val_loss", "val_accuracy")):
        lines = curves_of(figure, panel)
        for number, line in enumerate(lines):
            np.testing.assert_array_equal(line.get_xdata(), metrics(sweep, number)["epoch"])
            np.testing.assert_array_equal(line.get_ydata(), metrics(sweep, number)[column])
        shades = [luminance(to_rgba(line.get_color())) for line in lines]
        assert shades == sorted(shades)
        assert max(shades) < 0.45  # on white, of luminance 1
    assert legend_texts(figure) == ["0.001", "0.01", "0.1", "chosen epoch"]
    assert figure.legends[0].get_title().get_text() == "learning rate (optim.lr)"


def test_the_order_of_the_colours_is_that_of_the_values_not_of_the_runs(tmp_path):
    sweep = write_sweep(tmp_path / "sweep", [{"optim.lr": rate} for rate in (0.1, 0.001, 0.01)], epochs=4)
    figure = drawn(validation(sweep))
    for line, number in zip(curves_of(figure, 0), (1, 2, 0), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), metrics(sweep, number)["val_loss"])
    assert legend_texts(figure)[:3] == ["0.001", "0.01", "0.1"]


def test_many_values_get_a_bar_of_colours_instead_of_a_legend(figure_of):
    figure = figure_of("validation", "sixteen rates")
    assert figure.axes[-1].get_ylabel() == "learning rate (optim.lr)"
    assert legend_texts(figure) == ["diverged"]


def test_seeds_fold_into_the_mean_and_a_band_from_lowest_to_highest(sweeps, figure_of):
    sweep = sweeps("seeds")
    figure = figure_of("validation", "seeds")
    table = pd.concat([metrics(sweep, number).set_index("epoch")["val_loss"] for number in range(5)], axis=1)
    shared = table.dropna()
    assert len(shared) == 6  # one of them ended there
    mean = curves_of(figure, 0)[0]
    np.testing.assert_array_equal(mean.get_xdata(), shared.index)
    np.testing.assert_allclose(mean.get_ydata(), shared.mean(axis=1), rtol=1e-14)
    (band,) = figure.axes[0].collections
    (path,) = band.get_paths()
    for epoch in shared.index:
        edge = path.vertices[path.vertices[:, 0] == epoch, 1]
        assert edge.min() == shared.loc[epoch].min()
        assert edge.max() == shared.loc[epoch].max()
    # the four others go on as thin lines
    assert [list(line.get_xdata()) for line in curves_of(figure, 0)[1:]] == [list(range(6, 13))] * 4
    assert "mean of 5 seeds" in note(figure)
    assert "lowest to highest" in note(figure)


def test_a_diverged_run_ends_in_a_cross_and_does_not_flatten_the_others(sweeps, figure_of):
    sweep = sweeps("sixteen rates")
    figure = figure_of("validation", "sixteen rates")
    assert len(crosses(figure, 0)) == len(crosses(figure, 1)) == 3
    for cross in crosses(figure, 1):
        last = metrics(sweep, 13)["val_accuracy"].dropna()
        assert (list(cross.get_xdata()), list(cross.get_ydata())) == ([len(last)], [last.iloc[-1]])
    highest = max(metrics(sweep, number)["val_loss"].max() for number in range(13))
    assert highest < figure.axes[0].get_ylim()[1] < 2.1 * highest
    assert figure.axes[0].get_title(loc="right") == "3 runs beyond, up to 2,250"
    assert "3 diverged" in note(figure)


def test_a_run_that_diverged_in_its_first_epoch_is_a_cross_at_the_edge(tmp_path):
    sweep = write_sweep(
        tmp_path / "sweep", [{"optim.lr": r} for r in RATES], epochs=4, statuses={2: "diverged"}, after=0
    )
    figure = drawn(validation(sweep))
    assert [len(curves_of(figure, panel)) for panel in (0, 1)] == [2, 2]
    for panel in (0, 1):
        (cross,) = crosses(figure, panel)
        assert (list(cross.get_xdata()), list(cross.get_ydata())) == ([1], [0.0])  # on the axis, where no value is


def test_runs_that_diverged_at_once_stand_beside_each_other_on_the_axis_seeds_as_one(tmp_path):
    values = [{"optim.lr": lr, "seed": seed} for lr in RATES for seed in (0, 1)]
    sweep = write_sweep(tmp_path / "s", values, epochs=4, statuses=dict.fromkeys((2, 3, 4, 5), "diverged"), after=0)
    figure = drawn(validation(sweep))
    for axes, panel in zip(figure.axes[:2], (0, 1), strict=True):
        found = [cross.get_transform().transform((1, cross.get_ydata()[0])) for cross in crosses(figure, panel)]
        assert len(found) == 2  # rates
        assert {round(axes.transAxes.inverted().transform(place)[1], 6) for place in found} == {0.0}
        assert found[0][0] != found[1][0]


def test_losses_over_many_decades_get_a_log_axis(tmp_path):
    rows = curve(0.9, 10, np.random.default_rng(0))
    fast = [row | {"val_loss": 10.0 ** -row["epoch"]} for row in rows]
    sweep = write_sweep(tmp_path / "sweep", [{"optim.lr": r} for r in (0.1, 0.2)], rows={0: fast, 1: fast}, epochs=10)
    axes = drawn(validation(sweep)).axes
    assert axes[0].get_yscale() == "log"
    low, high = axes[0].get_ylim()
    assert low <= 1e-10
    assert high >= 0.1
    assert axes[0].get_title(loc="right") == ""


def test_one_epoch_is_drawn_as_points(tmp_path):
    figure = drawn(validation(write_sweep(tmp_path / "sweep", [{"optim.lr": r} for r in RATES], epochs=1)))
    for line in figure.axes[0].get_lines():
        assert (line.get_marker(), line.get_markevery()) == ("o", [0])


def test_a_second_key_gets_panels_of_its_own_where_seeds_fold(figure_of):
    figure = figure_of("validation", "rates, seeds, models")
    assert [axes.get_title(loc="left") for axes in figure.axes[::2]] == ["model: mlp", "model: cnn"]
    assert legend_texts(figure) == ["0.001", "0.01", "0.1", "diverged"]


def test_categories_are_told_apart_by_colour_and_dashes(figure_of):
    figure = figure_of("validation", "hostile")
    looks = {(line.get_color(), line.get_linestyle()) for line in curves_of(figure, 0)}
    assert len(looks) == len(SWEEPS["hostile"]["values"])
    names = legend_texts(figure)
    assert len(set(names)) == len(names) == 12
    assert all(not text.get_parse_math() for text in figure.legends[0].get_texts())
    assert any("v1.pth" in name for name in names)


def test_of_many_categories_the_best_are_named(sweeps, figure_of):
    sweep = sweeps("thirty optimizers")
    order = sorted((n for n in range(30) if n != 3), key=lambda number: best(sweep, number)["val_loss"])
    names = legend_texts(figure_of("validation", "thirty optimizers"))
    assert names[:10] == [f"optimizer_number_{number}" for number in order[:10]]
    assert names[10] == "the 20 others"


def test_without_a_val_split_the_training_columns_are_shown(tmp_path):
    rows = {
        n: [row | {c: None for c in row if c.startswith("val_")} for row in curve(0.8, 5, np.random.default_rng(n))]
        for n in range(2)
    }
    sweep = write_sweep(tmp_path / "sweep", [{"optim.lr": 0.1}, {"optim.lr": 0.2}], rows=rows, epochs=5)
    figure = drawn(validation(sweep))
    assert [axes.get_ylabel() for axes in figure.axes] == ["training loss", "training accuracy"]
    assert "no run has a val split" in note(figure)
    assert epochs_to(sweep) is None


def test_a_monitored_column_of_another_kind_gets_its_panel(figure_of):
    labels = [axes.get_ylabel() for axes in figure_of("validation", "long keys").axes]
    assert labels[:3] == ["validation loss", "validation accuracy", "validation F1 (macro)"]


# metric_against_key


def test_the_points_are_the_chosen_and_the_last_epoch_of_each_run(sweeps, figure_of):
    sweep = sweeps("sixteen rates")
    figure = figure_of("metric_against_key", "sixteen rates")
    done = range(13)
    rates = [sweep.members[number].values["optim.lr"] for number in done]
    table = {row["number"]: row for row in comparison.table(sweep)}
    for axes, column in zip(figure.axes, ("val_loss", "val_accuracy"), strict=True):
        chosen, last = axes.get_lines()[:2]
        np.testing.assert_array_equal(chosen.get_xdata()[:13], rates)
        np.testing.assert_array_equal(chosen.get_ydata()[:13], [table[number][column] for number in done])
        np.testing.assert_array_equal(chosen.get_ydata()[:13], [best(sweep, number)[column] for number in done])
        np.testing.assert_array_equal(
            last.get_ydata()[:13], [metrics(sweep, number)[column].iloc[-1] for number in done]
        )
        assert np.isnan(chosen.get_ydata()[13:]).all()
        assert axes.get_xscale() == "log"
        assert axes.get_xlabel() == "learning rate (optim.lr)"


@pytest.mark.parametrize("panel", [0, 1])
def test_diverged_runs_are_marked_on_the_axis_of_the_key_where_no_value_is(sweeps, figure_of, panel):
    sweep = sweeps("sixteen rates")
    figure = figure_of("metric_against_key", "sixteen rates")
    (marks,) = crosses(figure, panel)
    assert list(marks.get_xdata()) == [sweep.members[number].values["optim.lr"] for number in (13, 14, 15)]
    assert list(marks.get_ydata()) == [0.0] * 3
    at = (
        figure.axes[panel].transAxes.inverted().transform(marks.get_transform().transform((0.01, marks.get_ydata()[0])))
    )
    assert at[1] == pytest.approx(0)
    assert panel == 0 or figure.axes[panel].get_ylim()[0] > -0.1  # there are no accuracies below zero
    assert "diverged" in legend_texts(figure)


def test_the_swept_values_are_the_ticks(figure_of):
    axes = figure_of("metric_against_key", "three rates").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.001", "0.01", "0.1"]
    assert list(axes.get_xticks()) == list(RATES)


def test_seeds_fold_into_mean_and_standard_deviation_over_those_that_are_done(sweeps, figure_of):
    sweep = sweeps("rates, seeds, models")
    rows = comparison.folded(comparison.table(sweep), sweep.keys)
    axes = figure_of("metric_against_key", "rates, seeds, models").axes[0]
    lines = [line for line in axes.get_lines() if line.get_label() == "chosen"]
    for line, model in zip(lines, ("mlp", "cnn"), strict=True):
        own = sorted((row for row in rows if row["model"] == model), key=lambda row: row["optim.lr"])
        means = [np.nan if row["val_loss"] is None else row["val_loss"] for row in own]
        np.testing.assert_allclose(line.get_ydata(), means, rtol=1e-14)
    spreads = [row["val_loss_sd"] for row in rows if row["model"] == "mlp" and row["val_loss_sd"] is not None]
    lengths = [segment[1][1] - segment[0][1] for segment in axes.collections[0].get_segments() if len(segment)]
    np.testing.assert_allclose(sorted(lengths), sorted(2 * sd for sd in spreads), rtol=1e-9)
    assert "4 of 6" in [text.get_text() for text in axes.texts]


def test_a_key_with_zero_among_powers_of_ten_keeps_them_apart(figure_of):
    axes = figure_of("metric_against_key", "two numbers, with zero").axes[0]
    places = axes.transData.transform([(value, 0.3) for value in (0, 1e-5, 1e-3, 1e-2)])[:, 0]
    assert (np.diff(places) > 0.08 * axes.bbox.width).all()


def test_figures_of_validation_metrics_do_not_know_the_test_split(tmp_path):
    values = [{"optim.lr": r, "model": m} for r in RATES[:2] for m in ("mlp", "cnn")]
    sweep = write_sweep(tmp_path / "sweep", values, epochs=4)
    before = {path.stem: path.read_bytes() for path in draw_sweep(sweep)}
    for member in sweep.members:
        for name in ("test.json", "predictions.csv", "confusion.csv", "per_class.csv"):
            (member.path / name).unlink()
    assert {path.stem: path.read_bytes() for path in draw_sweep(load_sweep(sweep.path))} == before


# heat_map


def test_a_cell_holds_the_mean_over_seeds_of_its_pair(sweeps, figure_of):
    sweep = sweeps("rates, seeds, models")
    rows = comparison.folded(comparison.table(sweep), sweep.keys)
    axes = figure_of("heat_map", "rates, seeds, models").axes[0]
    table = axes.images[0].get_array()
    assert axes.get_xlabel() == "learning rate (optim.lr)"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.001", "0.01", "0.1"]
    for row in rows:
        cell = table[("mlp", "cnn").index(row["model"]), RATES.index(row["optim.lr"])]
        if row["val_loss"] is None:
            assert cell is np.ma.masked
        else:
            assert cell == pytest.approx(row["val_loss"], rel=1e-14)
            assert f"{row['val_loss']:#.4g}" in [text.get_text() for text in axes.texts]


def test_diverged_cells_are_hatched_and_missing_ones_blank(figure_of):
    axes = figure_of("heat_map", "rates and widths").axes[0]
    hatched = [patch for patch in axes.patches if patch.get_hatch()]
    assert [patch.get_x() + 0.48 for patch in hatched] == [2, 2]  # both at the highest rate
    words = [text.get_text() for text in axes.texts]
    assert words.count("diverged") == 2
    assert words.count("missing") == 1
    assert np.ma.count(axes.images[0].get_array()) == 6


def test_numbers_ascend_to_the_right_and_upwards_whatever_their_order(tmp_path):
    values = [{"batch_size": b, "optim.lr": r} for b in (128, 16, 64) for r in (0.1, 0.001)]
    sweep = write_sweep(tmp_path / "sweep", values, epochs=3)
    axes = drawn(heat_map(sweep)).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["16", "64", "128"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0.001", "0.1"]
    assert axes.get_ylim()[0] < axes.get_ylim()[1]
    table = axes.images[0].get_array()
    for number, each in enumerate(values):
        cell = table[(0.001, 0.1).index(each["optim.lr"]), (16, 64, 128).index(each["batch_size"])]
        assert cell == best(sweep, number)["val_loss"]


# bars


def test_bars_are_the_monitored_metric_of_each_category_best_first(sweeps, figure_of):
    sweep = sweeps("models")
    figure = figure_of("bars", "models")
    rows = comparison.table(sweep)
    for axes, column in zip(figure.axes, ("val_loss", "val_accuracy"), strict=True):
        widths = [box[0].get_width() for box in axes.containers if isinstance(box, BarContainer)]
        assert widths == [row[column] for row in rows]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [row["model"] for row in rows]


def test_bars_stand_at_the_best_of_the_numeric_keys(sweeps, figure_of):
    sweep = sweeps("rates, seeds, models")
    rows = comparison.folded(comparison.table(sweep), sweep.keys)
    figure = figure_of("bars", "rates, seeds, models")
    widths = [box[0].get_width() for box in figure.axes[0].containers if isinstance(box, BarContainer)]
    means = {
        m: min(r["val_loss"] for r in rows if r["model"] == m and r["val_loss"] is not None) for m in ("mlp", "cnn")
    }
    assert widths == pytest.approx(sorted(means.values()), rel=1e-14)
    assert "each at its best optim.lr" in note(figure)


def test_a_category_without_a_result_has_a_word_and_no_bar(figure_of):
    figure = figure_of("bars", "thirty optimizers")
    assert sum(isinstance(box, BarContainer) for box in figure.axes[0].containers) == 29
    assert [text.get_text() for text in figure.axes[0].texts].count("failed") == 1
    assert figure.axes[0].get_yticklabels()[-1].get_text() == "optimizer_number_3"


def test_an_arrow_stands_only_where_a_bar_leaves_the_axis(tmp_path):
    losses = (0.1, 0.11, 0.3, 0.4, 0.5, 2.0, 2.3, 56.0)
    rows = {
        n: [dict.fromkeys(METRICS) | {"epoch": 1, "train_loss": loss, "val_loss": loss, "val_accuracy": 0.5}]
        for n, loss in enumerate(losses)
    }
    values = [{"variant": f"v{n}"} for n in range(len(losses))]
    axes = drawn(bars(write_sweep(tmp_path / "sweep", values, rows=rows, epochs=1))).axes[0]
    end = axes.get_xlim()[1]
    assert [text.get_text().startswith("→") for text in axes.texts] == [loss > end for loss in losses]
    assert sum(loss > end for loss in losses) >= 1


def test_no_tick_of_an_accuracy_is_above_all_of_them(figure_of):
    for name in ("models", "thirty optimizers"):
        axes = figure_of("bars", name).axes[1]
        assert axes.get_xlabel() == "validation accuracy"
        assert max(axes.get_xticks()) <= 1.0 + 1e-9


def test_losses_of_different_kinds_rank_nothing_and_it_is_said(tmp_path):
    values = [{"variant": name} for name in ("a", "b")]
    rows = {
        n: [dict.fromkeys(METRICS) | {"epoch": 1, "train_loss": loss, "val_loss": loss, "val_accuracy": accuracy}]
        for n, (loss, accuracy) in enumerate(((0.1, 0.5), (0.9, 0.8)))
    }
    sweep = write_sweep(tmp_path / "sweep", values, rows=rows, epochs=1)
    assert [label.get_text() for label in drawn(bars(sweep)).axes[0].get_yticklabels()] == ["a", "b"]
    assert "not comparable" not in note(drawn(bars(sweep)))
    path = sweep.members[1].path / "config.yaml"
    config = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(config | {"model": {"name": "adaline"}}))
    sweep = load_sweep(sweep.path)
    figure = drawn(bars(sweep))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["b", "a"]
    assert "sorted by validation accuracy" in note(figure)
    for function in (bars, validation):
        assert "losses of different kinds (cross_entropy, mse): not comparable" in note(drawn(function(sweep)))


# epochs_to


def test_bars_of_epochs_end_where_pandas_finds_the_threshold_reached(sweeps, figure_of):
    sweep = sweeps("sixteen rates")
    threshold = comparison.threshold(sweep)
    axes = figure_of("epochs_to", "sixteen rates").axes[0]
    words = [text.get_text() for text in axes.texts]
    boxes = [box[0].get_width() for box in axes.containers]
    for number in range(16):
        rows = metrics(sweep, number)
        reached = rows[rows["val_accuracy"] >= threshold]["epoch"]
        if len(reached):
            assert (boxes[number], words[number]) == (reached.iloc[0], str(reached.iloc[0]))
        else:
            assert words[number] == ("never within 12" if number < 13 else "diverged in epoch 4")
    assert axes.get_xlabel().endswith(f"reaches {threshold:g}")


def test_seeds_that_never_get_there_are_counted(tmp_path):
    values = [{"optim.lr": 0.01, "seed": seed} for seed in range(3)]
    rows = {
        n: [
            dict.fromkeys(METRICS) | {"epoch": e, "train_loss": 1.0, "val_loss": 1.0, "val_accuracy": a}
            for e, a in enumerate(accuracies, start=1)
        ]
        for n, accuracies in enumerate(([0.1, 0.9, 0.9], [0.1, 0.2, 0.9], [0.1, 0.2, 0.3]))
    }
    sweep = write_sweep(tmp_path / "sweep", values, rows=rows, epochs=3, threshold=0.8)
    axes = drawn(epochs_to(sweep)).axes[0]
    assert [text.get_text() for text in axes.texts] == ["2.5 (2 of 3)"]
    assert axes.containers[0][0].get_width() == 2.5


# flips


def test_flips_are_those_that_pandas_counts(sweeps, figure_of):
    sweep = sweeps("unrelated")
    figure = figure_of("flips", "unrelated")
    right = []
    for member in sweep.members:
        table = pd.read_csv(member.path / "predictions.csv").set_index("index")
        right.append(table["label"] == table["predicted"])
    shown = figure.axes[0].images[0].get_array()
    for a, b in product(range(3), range(3)):
        if a == b:
            assert shown[a, b] is np.ma.masked
        else:
            assert shown[a, b] == (right[a] & ~right[b]).sum()
    assert "of 360 test samples" in note(figure)


def test_a_sweep_is_not_ranked_by_its_test_split(sweeps):
    assert flips(sweeps("three rates")) is None


# transfer

FREEZES = {"finetuned": 21_482, "backbone": 2570, "partial": 21_130, "random_backbone": 2570}


def transfer(path: Path, trainable: dict[str, int], seeds: int = 2, frozen: bool = True, **choices: Any) -> Sweep:
    """A sweep over variants, each with so many parameters that train."""
    values = [{"variant": name, "seed": seed} for name in trainable for seed in range(seeds)]
    sweep = write_sweep(path, values, epochs=4, **choices)
    for member in sweep.members:
        if not member.path.is_dir():
            continue
        count, most = trainable[member.values["variant"]], max(trainable.values())
        facts = {"parameters": most, "parameters_trainable": count, "frozen_tensors": 6 * (count < most and frozen)}
        (member.path / "facts.json").write_text(json.dumps(facts if frozen else facts | {"parameters": count}))
        config = yaml.safe_load((member.path / "config.yaml").read_text())
        config["freeze"] = {"name": member.values["variant"] if frozen else "none"}
        (member.path / "config.yaml").write_text(yaml.safe_dump(config))
    return load_sweep(sweep.path)


def marks_of(figure: Figure, title: str) -> list[tuple[float, float]]:
    (axes,) = [axes for axes in figure.axes if axes.get_title() == title]
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.get_lines()]


def test_accuracy_and_time_stand_against_the_parameters_that_train(tmp_path):
    sweep = transfer(tmp_path / "sweep", FREEZES)
    figure = drawn(accuracy_and_trainable(sweep))
    assert [axes.get_title() for axes in figure.axes] == [
        "validation accuracy",
        "test accuracy",
        "seconds of all epochs",
    ]
    numbers = [{**member.values, **best(sweep, member.number)} for member in sweep.members]
    table = pd.DataFrame(numbers)
    table["test"] = [json.loads((member.path / "test.json").read_text())["accuracy"] for member in sweep.members]
    table["took"] = [pd.read_csv(member.path / "timing.csv")["seconds"].sum() for member in sweep.members]
    folded = table.groupby("variant", sort=False).agg(["mean", "std"])
    for axes, column in zip(figure.axes, ("val_accuracy", "test", "took"), strict=True):
        marks = marks_of(figure, axes.get_title())
        assert [y for _, y in marks] == pytest.approx(folded[column, "mean"].tolist())
        lines = [collection.get_segments()[0] for collection in axes.collections]
        assert [line[1][1] - line[0][1] for line in lines] == pytest.approx((2 * folded[column, "std"]).tolist())
        assert axes.get_xscale() == "log"
        assert [x for x, _ in marks] == pytest.approx(list(FREEZES.values()), rel=0.15)
        places = sorted(x for x, y in marks)
        assert places[0] < 2570 < places[1]  # two that train equally much stand beside each other
        assert places[0] * places[1] == pytest.approx(2570**2)
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert figure.axes[2].get_ylim()[0] == 0.0
    assert legend_texts(figure) == list(FREEZES)
    assert "marks of equally many parameters stand beside each other" in note(figure)


@pytest.mark.parametrize(("count", "seeds"), cases([(2, 1), (2, 3), (6, 3), (16, 2), (50, 1)], fast=[(50, 1)]))
def test_any_number_of_strategies_with_long_names_is_drawn(tmp_path, count, seeds):
    names = {f"a_variant_with_a_rather_long_name_{n}$": int(1000 * 1.4 ** (n % 16)) for n in range(count)}
    sweep = transfer(tmp_path / "sweep", names, seeds, samples=40)
    for function in (validation, bars, accuracy_and_trainable):
        with look(), warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = function(sweep)
            all_inside(figure)
    looks = {(line.get_color(), line.get_marker()) for line in figure.axes[0].get_lines()}
    assert len(looks) == min(count, 42)
    assert ("8 combinations left out" in note(figure)) == (count == 50)


def test_where_nothing_is_frozen_or_all_freeze_alike_there_is_nothing_to_compare(tmp_path):
    assert accuracy_and_trainable(transfer(tmp_path / "free", FREEZES, frozen=False)) is None
    alike = transfer(tmp_path / "alike", dict.fromkeys(("a", "b"), 10))
    for member in alike.members:
        facts = {"parameters": 20, "parameters_trainable": 10, "frozen_tensors": 2}
        (member.path / "facts.json").write_text(json.dumps(facts))
        config = (member.path / "config.yaml").read_text()
        (member.path / "config.yaml").write_text(
            config.replace("name: a", "name: backbone").replace("name: b\n", "name: backbone\n")
        )
    assert accuracy_and_trainable(load_sweep(alike.path)) is None
    assert accuracy_and_trainable(write_sweep(tmp_path / "none", [{"variant": n} for n in "ab"], epochs=3)) is None


def test_a_test_panel_is_there_only_where_all_were_tested(tmp_path):
    sweep = transfer(tmp_path / "sweep", FREEZES)
    (sweep.members[3].path / "test.json").unlink()
    sweep = load_sweep(sweep.path)
    assert [axes.get_title() for axes in drawn(accuracy_and_trainable(sweep)).axes] == [
        "validation accuracy",
        "seconds of all epochs",
    ]
    panel = drawn(bars(sweep)).axes[2]
    assert [text.get_text() for text in panel.texts].count("no value") == 1


def test_runs_that_failed_or_diverged_are_left_out_and_said(tmp_path):
    sweep = transfer(tmp_path / "sweep", FREEZES, statuses={2: "diverged", 3: "diverged", 4: "failed", 7: "missing"})
    figure = drawn(accuracy_and_trainable(sweep))
    assert legend_texts(figure) == ["finetuned", "partial", "random_backbone"]
    assert "2 diverged, 4 done, 1 failed, 1 missing" in note(figure)
    assert "1 combination left out" in note(figure)


def test_bars_show_the_test_split_where_freezing_differs_and_do_not_rank_by_it(tmp_path):
    sweep = transfer(tmp_path / "sweep", FREEZES)
    figure = drawn(bars(sweep))
    assert [axes.get_xlabel() for axes in figure.axes] == ["validation loss", "validation accuracy", "test accuracy"]
    order = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert "the test split ranks nothing" in note(figure)
    accuracy = {name: [] for name in FREEZES}
    for number, member in enumerate(sweep.members):
        test = json.loads((member.path / "test.json").read_text())
        test["accuracy"] = (17 * number % 8) / 10
        (member.path / "test.json").write_text(json.dumps(test))
        accuracy[member.values["variant"]].append(test["accuracy"])
    figure = drawn(bars(load_sweep(sweep.path)))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == order
    widths = [box[0].get_width() for box in figure.axes[2].containers if isinstance(box, BarContainer)]
    assert widths == pytest.approx([np.mean(accuracy[name]) for name in order])
    points = [list(line.get_xdata()) for line in figure.axes[2].get_lines() if line.get_marker() == "o"]
    assert [sorted(each) for each in points] == [sorted(accuracy[name]) for name in order]


def test_bars_of_runs_that_differ_in_their_starting_weights_show_the_test_split_too(tmp_path):
    sweep = write_sweep(tmp_path / "sweep", [{"variant": name} for name in "ab"], epochs=3)
    assert len(drawn(bars(sweep)).axes) == 2
    path = sweep.members[1].path / "config.yaml"
    config = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(config | {"model": config["model"] | {"weights": "imagenet"}}))
    assert len(drawn(bars(load_sweep(sweep.path))).axes) == 3


# draw_sweep


def test_few_figures_are_the_curves_and_the_metric_against_the_key(tmp_path):
    sweep = write_sweep(tmp_path / "sweep", [{"optim.lr": rate} for rate in RATES], epochs=3)
    assert {path.stem for path in draw_sweep(sweep)} == DRAWN["three rates"]
    assert [path.stem for path in draw_sweep(sweep, "few")] == ["validation", "metric_against_key"]
    assert sorted(path.name for path in (sweep.path / "figures").iterdir()) == [
        "metric_against_key.png",
        "validation.png",
    ]


def test_few_has_the_epochs_to_a_threshold_where_the_sweep_names_one(tmp_path):
    sweep = write_sweep(tmp_path / "sweep", [{"optim.lr": rate} for rate in RATES], epochs=3, threshold=0.5)
    assert "epochs_to" in [path.stem for path in draw_sweep(sweep, "few")]


def test_a_sweep_that_has_not_begun_has_no_figures(tmp_path):
    sweep = write_sweep(
        tmp_path / "sweep", [{"optim.lr": rate} for rate in RATES], statuses=dict.fromkeys(range(3), "missing")
    )
    assert draw_sweep(sweep) == []


def test_a_damaged_run_folder_costs_its_own_line_alone(tmp_path):
    sweep = write_sweep(tmp_path / "sweep", [{"optim.lr": rate} for rate in RATES], epochs=3)
    (sweep.members[1].path / "metrics.csv").write_text("this is no table\n", encoding="utf-8")
    figure = drawn(validation(load_sweep(sweep.path)))
    assert len(curves_of(figure, 0)) == 2


def test_equal_records_give_equal_bytes_wherever_they_lie(tmp_path):
    sweep = write_sweep(tmp_path / "one", [{"optim.lr": rate, "seed": s} for rate in RATES for s in (0, 1)], epochs=3)
    shutil.copytree(sweep.path, Path(tmp_path / "two"))
    first, second = draw_sweep(sweep), draw_sweep(load_sweep(tmp_path / "two"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


# scales


def real_rows(rates: np.ndarray, epochs: int = 20) -> dict[int, list[dict[str, Any]]]:
    """Runs as a wide sweep of rates gives them: the lowest hardly move from 2.3, the highest jump up to 4.4."""
    made = {}
    for number, rate in enumerate(rates):
        rng = np.random.default_rng(number)
        floor = 0.25 + 0.4 * max(0.0, -2.6 - np.log10(rate)) ** 2 + 4.5 * max(0.0, np.log10(rate) + 1.2)
        loss = floor + max(0.0, 2.3 - floor) * np.exp(-400 * rate * np.arange(1, epochs + 1))
        loss *= 1 + 0.4 * rng.random(epochs) * (rate > 0.1)
        made[number] = [
            dict.fromkeys(METRICS)
            | {"epoch": epoch, "train_loss": value, "val_loss": value, "val_accuracy": max(0.1, 1 - value / 3)}
            for epoch, value in enumerate(loss.tolist(), start=1)
        ]
    return made


def test_runs_that_learn_badly_stay_in_the_panel_on_a_log_axis(tmp_path):
    rates = np.geomspace(1e-5, 0.33, 16)
    values = [{"optim.lr": float(rate)} for rate in rates]
    sweep = write_sweep(tmp_path / "sweep", values, rows=real_rows(rates), epochs=20)
    losses = pd.concat([metrics(sweep, number)["val_loss"] for number in range(16)])
    assert losses.max() / losses.min() > 12
    for function in (validation, metric_against_key):
        axes = drawn(function(sweep)).axes[0]
        low, high = axes.get_ylim()
        drawn_values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
        assert axes.get_yscale() == "log"
        assert axes.get_title(loc="right") == ""
        assert low < drawn_values.min() <= drawn_values.max() < high
        assert len([place for place in axes.get_yticks() if low <= place <= high]) >= 3


@pytest.mark.parametrize(("factor", "scale"), [(4.9, "linear"), (5.1, "log")])
def test_losses_five_times_apart_get_a_log_axis(tmp_path, factor, scale):
    rows = {
        n: [
            dict.fromkeys(METRICS) | {"epoch": e, "train_loss": loss, "val_loss": loss, "val_accuracy": 0.5}
            for e in (1, 2)
        ]
        for n, loss in enumerate((0.3, 0.3 * factor))
    }
    sweep = write_sweep(tmp_path / "sweep", [{"optim.lr": r} for r in (0.1, 0.2)], rows=rows, epochs=2)
    for function in (validation, metric_against_key):
        assert drawn(function(sweep)).axes[0].get_yscale() == scale


@pytest.mark.parametrize(
    ("factor", "said"), [(9.9, ""), (10.1, "1 run beyond, up to 20.2"), (1e4, "1 run beyond, up to 20,000")]
)
def test_a_loss_explodes_at_ten_times_what_the_better_half_ever_had(factor, said):
    lines = [np.array([2.0, 0.3]), np.array([1.5, 0.7]), np.array([2.0 * factor, np.nan])]
    figure = Figure()
    axes = figure.subplots()
    scale = set_scale([axes], [lines], "val_loss", "run")
    assert axes.get_title(loc="right") == said
    low, high = axes.get_ylim()
    assert low < 0.3
    assert (2.0 < high < 2.0 * factor) if said else high > 2.0 * factor
    assert scale.log


def test_no_category_whose_runs_are_done_is_missing(tmp_path):
    """Of one category four runs of five have no loss at all, so that the losses of the other are far above its own."""
    made = {}
    for number in range(10):
        easy, hard = (0.0, 0.0), (3.0, 0.05)
        made[number] = [
            dict.fromkeys(METRICS) | {"epoch": epoch, "train_loss": loss, "val_loss": loss, "val_accuracy": 0.9}
            for epoch, loss in enumerate((0.008, 0.008) if number == 0 else easy if number < 5 else hard, start=1)
        ]
    values = [{"variant": name, "seed": seed} for name in ("easy", "hard") for seed in range(5)]
    axes = drawn(validation(write_sweep(tmp_path / "sweep", values, rows=made, epochs=2))).axes[0]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log"
    assert len(axes.get_lines()) == 2
    for line in axes.get_lines():
        assert low < min(line.get_ydata()) <= max(line.get_ydata()) < high
    assert axes.get_title(loc="right") == "4 runs down to 0"


def test_equal_widths_are_counted_and_computed_values_have_four_digits():
    assert as_typed([64, 64, 64, 64]) == "4 x 64"
    assert [as_typed(value) for value in ([64], [64, 32], [0.9, 0.9], [True, True])] == [
        "[64]",
        "[64,32]",
        "[0.9,0.9]",
        "[true,true]",
    ]
    assert typed([0.2758684847, 0.5, 1, "x"]) == ["0.2759", "0.5", "1", "x"]
    assert typed([0.27586, 0.27588]) == ["0.27586", "0.27588"]
    assert typed([123456.5, 1e-5]) == ["123456.5", "1e-05"]


@pytest.mark.parametrize(
    ("lines", "log", "top"),
    [
        ([[1.0, 0.0], [1.0, 0.2]], False, None),  # a zero between ordinary losses
        ([[1.0, 1e-6], [1.0, 0.0]], True, 1.0),  # one behind vanishing ones leaves the panel at its foot
        ([[0.0, 0.0], [0.0, 0.0], [9.0, 5.0]], False, None),
        ([[-3.0, -9.0], [4.0, 2.0], [4e6, 1e9]], False, 4.0),
        ([[np.nan, np.nan]], False, None),
        ([[1e9], [1e-9]], False, 1e-9),
    ],
)
def test_losses_that_are_zero_or_less_have_a_scale_too(lines, log, top):
    scale = limits("val_loss", [np.array(line) for line in lines])
    assert scale.log == log
    if top is None:
        assert scale.high is None
    else:
        assert scale.high is not None
        assert top < scale.high < 4 * top


def test_a_loss_of_zero_on_a_log_axis_is_counted():
    axes = Figure().subplots()
    set_scale([axes], [[np.array([1.0, 1e-6]), np.array([1.0, 0.0])]], "val_loss", "run")
    assert axes.get_title(loc="right") == "1 run down to 0"


def test_what_explodes_in_the_curves_does_so_against_the_rate(tmp_path):
    rng = np.random.default_rng(0)
    blown = [row | {"val_loss": 1e4 * row["val_loss"]} for row in curve(0.5, 8, rng)]
    high = [row | {"val_loss": 5 * row["val_loss"]} for row in curve(0.5, 8, rng)]
    values = [{"optim.lr": rate} for rate in (0.001, 0.003, 0.01, 0.1, 1.0)]
    sweep = write_sweep(tmp_path / "sweep", values, rows={3: high, 4: blown}, epochs=8)
    assert drawn(validation(sweep)).axes[0].get_title(loc="right").startswith("1 run beyond, up to ")
    axes = drawn(metric_against_key(sweep)).axes[0]
    assert axes.get_title(loc="right").startswith("2 points beyond, up to ")  # at the chosen and at the last epoch
    assert best(sweep, 3)["val_loss"] < axes.get_ylim()[1] < best(sweep, 4)["val_loss"]


# words


@pytest.mark.parametrize("name", cases(SWEEPS, fast=EACH_TIME))
def test_words_have_ten_points_on_a_page_of_eight_inches(figures, name):
    for figure_name, figure in figures(name).items():
        assert figure.get_figwidth() == PAGE
        cells = {id(text) for axes in figure.axes if axes.images for text in axes.texts}
        for text in shown(figure):
            least = 7.0 if id(text) in cells or figure_name == "flips" else 10.0
            assert text.get_fontsize() >= least, text


@pytest.mark.parametrize("name", cases(SWEEPS, fast=EACH_TIME))
def test_words_behind_bars_end_before_the_next_panel(figures, name):
    for figure in (figures(name).get(each) for each in ("bars", "epochs_to")):
        for axes in figure.axes if figure is not None else ():
            assert all(text.get_window_extent().x1 <= axes.bbox.x1 + 0.1 * axes.bbox.width for text in axes.texts)


@pytest.mark.parametrize("name", ["rates, seeds, models", "rates and widths", "hostile", "two numbers, with zero"])
def test_words_in_the_cells_of_a_heat_map_fit_them(figures, name):
    for axes in figures(name)["heat_map"].axes:
        for text in axes.texts if axes.images else ():
            width = axes.bbox.width / axes.images[0].get_array().shape[1]
            assert text.get_window_extent().width <= width


def test_what_leaves_a_panel_is_said_beside_its_title(figures):
    figure = figures("rates, seeds, models")["validation"]
    said = [text for axes in figure.axes for text in axes.texts if "beyond" in text.get_text()]
    assert said
    titles = [
        text.get_window_extent()
        for text in figure.findobj(Text)
        if text.get_text().startswith("model: ") and text.get_visible()
    ]
    assert len(titles) == 2
    assert not any(text.get_window_extent().overlaps(title) for text in said for title in titles)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([0.001, 0.01], ["0.001", "0.01"]),
        ([0.0316227766, 3.16227766], ["0.0316", "3.16"]),
        ([0.10001, 0.10002], ["0.10001", "0.10002"]),  # three digits do not tell them apart
        ([1500, 20000], ["1500", "20000"]),
    ],
)
def test_ticks_have_three_digits_where_these_tell_the_values_apart(values, names):
    assert tick_names(values) == names


# marks, colours and cells


def test_a_dot_marks_the_chosen_epoch_of_each_run(sweeps, figure_of):
    sweep = sweeps("three rates")
    figure = figure_of("validation", "three rates")
    for panel, column in enumerate(("val_loss", "val_accuracy")):
        dots = [line for line in figure.axes[panel].get_lines() if len(line.get_xdata()) == 1]
        found = [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots]
        assert found == [(best(sweep, number)["epoch"], best(sweep, number)[column]) for number in range(3)]


def test_colours_of_many_rates_brighten_with_the_rate(figure_of):
    lines = curves_of(figure_of("validation", "sixteen rates"), 1)
    shades = [luminance(to_rgba(line.get_color())) for line in lines]
    assert len(shades) == 16
    assert shades == sorted(shades)


def test_the_framed_cell_is_the_best_that_pandas_finds(sweeps, figure_of):
    sweep = sweeps("two numbers, with zero")
    table = pd.DataFrame([{**member.values, **best(sweep, member.number)} for member in sweep.members])
    wanted = {"validation loss": table["val_loss"].idxmin(), "validation accuracy": table["val_accuracy"].idxmax()}
    for axes in figure_of("heat_map", "two numbers, with zero").axes[:2]:
        (frame,) = axes.patches
        column, row = frame.get_x() + 0.5, frame.get_y() + 0.5
        pair = table.loc[wanted[axes.get_title()]]
        assert axes.get_xticklabels()[int(column)].get_text() == f"{pair['reg.weight_decay']:g}"
        assert axes.get_yticklabels()[int(row)].get_text() == f"{pair['batch_size']:g}"


def test_losses_that_lie_apart_get_colours_on_a_log_scale(tmp_path):
    values = [{"optim.lr": r, "batch_size": b} for r in RATES for b in (16, 64)]
    rows = {4: [row | {"val_loss": 20 * row["val_loss"]} for row in curve(0.5, 4, np.random.default_rng(0))]}
    image = drawn(heat_map(write_sweep(tmp_path / "sweep", values, rows=rows, epochs=4))).axes[0].images[0]
    assert isinstance(image.norm, LogNorm)


# damaged folders


def harm(folder: Path, how: str) -> None:
    name, _, kind = how.partition(" ")
    if kind == "gone":
        (folder / name).unlink()
    elif kind == "bytes":
        (folder / name).write_bytes(bytes(range(256)))
    elif kind == "cut":
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    else:
        shutil.rmtree(folder)


HARMS = [
    "metrics.csv bytes",
    "metrics.csv cut",
    "metrics.csv gone",
    "status.json bytes",
    "status.json cut",
    "config.yaml bytes",
    "config.yaml gone",
    "test.json bytes",
    "predictions.csv bytes",
    "predictions.csv cut",
    "folder",
]


EACH_HARM = [
    "metrics.csv cut",
    "status.json bytes",
    "config.yaml gone",
    "predictions.csv cut",
]


@pytest.mark.parametrize("how", cases(HARMS, fast=EACH_HARM))
@pytest.mark.parametrize("comparison_of", cases([True, False], fast=1))
def test_a_damaged_run_folder_stops_no_figure(tmp_path, how, comparison_of):
    values = [{"optim.lr": rate, "model": name} for rate in RATES[:2] for name in ("mlp", "cnn")]
    sweep = write_sweep(tmp_path / "sweep", values, epochs=3, samples=90, comparison=comparison_of)
    harm(sweep.members[1].path, how)
    whole = OF_ANY if comparison_of else OF_ANY - {"flips"}
    assert {path.stem for path in draw_sweep(load_sweep(sweep.path))} == whole


def test_the_rows_of_a_run_are_read_once_for_all_figures(tmp_path, monkeypatch):
    values = [{"optim.lr": rate, "model": name} for rate in RATES for name in ("mlp", "cnn")]
    sweep = write_sweep(tmp_path / "sweep", values, epochs=3)
    asked: list[Path] = []
    original = comparison.chosen_row
    monkeypatch.setattr(comparison, "chosen_row", lambda run: asked.append(run.path) or original(run))
    assert len(draw_sweep(load_sweep(sweep.path))) == 5
    assert sorted(asked) == sorted(member.path for member in sweep.members)
