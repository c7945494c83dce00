"""What the epochs recorded is what the curves show, whatever a run lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from labrunner.figures import png
from labrunner.figures.curves import curves, learning_rate, metrics
from labrunner.figures.look import look
from labrunner.records import load_run
from tests.figures.looking import all_inside, diverging_rows, drawn, inside, made, rows_without, write_run
from tests.folders import config


def lines(figure: Figure, panel: int) -> dict[str, Any]:
    return {str(line.get_label()): line for line in figure.axes[panel].get_lines()}


def test_the_curves_are_the_columns_of_the_file(tmp_path):
    run = made(tmp_path)
    figure = drawn(curves(run))
    for panel, quantity in enumerate(("loss", "accuracy")):
        for split, label in (("train", "training"), ("val", "validation")):
            line = lines(figure, panel)[label]
            np.testing.assert_array_equal(line.get_xdata(), run.rows["epoch"])
            np.testing.assert_array_equal(line.get_ydata(), run.rows[f"{split}_{quantity}"])
        assert figure.axes[panel].get_xlabel() == "epoch"
        assert figure.axes[panel].get_ylabel() == quantity
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training", "validation"]


@pytest.mark.parametrize(
    ("settings", "monitor"),
    [({}, "val_loss"), ({"monitor": "val_accuracy"}, "val_accuracy"), ({"select": "last"}, None)],
)
def test_the_marked_epoch_is_the_chosen_one_and_carries_its_values(tmp_path, settings, monitor):
    run = made(tmp_path, settings=settings)
    if monitor is not None:
        column = run.rows[monitor]
        best = int(run.rows["epoch"][column.idxmin() if monitor == "val_loss" else column.idxmax()])
    else:
        best = len(run.rows)
    figure = drawn(curves(run))
    row = run.rows[run.rows["epoch"] == best].iloc[0]
    for panel, shown in enumerate((f"{row.val_loss:.4g}", f"{row.val_accuracy:.1%}")):
        (label,) = figure.axes[panel].texts
        assert label.get_text().startswith(f"chosen: epoch {best}\n")
        assert label.get_text().endswith(shown)
        upright = [line for line in figure.axes[panel].get_lines() if list(line.get_xdata()) == [best, best]]
        assert len(upright) == 1


def test_one_epoch_is_drawn_as_points(tmp_path):
    figure = drawn(curves(made(tmp_path, epochs=1)))
    for panel in (0, 1):
        for label in ("training", "validation"):
            line = lines(figure, panel)[label]
            assert line.get_marker() not in (None, "None", "")
            assert line.get_markevery() == [0]


def test_a_value_between_two_blanks_gets_a_mark_even_in_a_long_run(tmp_path):
    rows = rows_without((), 60)
    for epoch in (10, 11, 13, 14):
        rows[epoch - 1] |= {"val_loss": None, "val_accuracy": None}
    figure = drawn(curves(made(tmp_path, rows=rows)))
    assert lines(figure, 0)["validation"].get_markevery() == [11]
    assert lines(figure, 0)["training"].get_markevery() == []


def test_a_row_that_a_crash_cut_short_is_not_drawn(tmp_path):
    folder = write_run(tmp_path / "run", epochs=12, status="running", tested=False)
    content = (folder / "metrics.csv").read_text(encoding="utf-8")
    # of epoch 12 the first digit got through
    (folder / "metrics.csv").write_text(content[: content.rindex("\n12,") + 2], encoding="utf-8")
    assert list(lines(drawn(curves(load_run(folder))), 0)["training"].get_xdata()) == list(range(1, 12))


def test_without_a_val_split_only_training_is_drawn(tmp_path):
    figure = drawn(curves(made(tmp_path, val=False)))
    for panel in (0, 1):
        assert "training" in lines(figure, panel)
        assert "validation" not in lines(figure, panel)
        assert "training" in figure.axes[panel].texts[0].get_text()


def test_a_blank_column_is_said_to_be_blank(tmp_path):
    figure = drawn(curves(made(tmp_path, rows=rows_without(("train_accuracy", "val_accuracy")))))
    assert "no accuracy was recorded" in [text.get_text() for text in figure.axes[1].texts]
    assert "training" in lines(figure, 0)


def test_a_diverged_run_shows_where_it_ended_on_a_log_scale(tmp_path):
    run = made(tmp_path, rows=diverging_rows(), status="diverged", error="the loss is not finite")
    figure = drawn(curves(run))
    assert list(lines(figure, 0)["diverged in epoch 5"].get_xdata()) == [5, 5]
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[1].get_yscale() == "linear"


def test_losses_within_two_decades_or_with_a_zero_stay_on_a_linear_scale(tmp_path):
    assert drawn(curves(made(tmp_path / "near"))).axes[0].get_yscale() == "linear"
    rows = diverging_rows()
    rows[0]["train_loss"] = 0.0
    assert drawn(curves(made(tmp_path / "zero", rows=rows))).axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("count", [2, 10, 100])
def test_the_labels_of_the_curves_lie_inside_the_picture(tmp_path, count):
    run = made(tmp_path, epochs=count, rows=None)
    figure = drawn(curves(run))
    inside(figure, [text for axes in figure.axes for text in axes.texts])


def test_the_curves_are_wide_enough_for_a_page(tmp_path):
    with look():
        content = png(drawn(curves(made(tmp_path))))
    width = int.from_bytes(content[16:20], "big")
    assert 1400 <= width <= 1600


def test_mixup_is_named_as_the_reason_for_a_missing_training_accuracy(tmp_path):
    rows = rows_without(("train_accuracy",))
    mixed = made(tmp_path / "mixed", rows=rows, settings={"reg": config()["reg"] | {"mixup": 0.2}})
    figure = curves(mixed)
    all_inside(figure)
    assert "under mixup" in figure.axes[1].get_xlabel()
    unknown = drawn(curves(made(tmp_path / "unknown", rows=rows)))
    assert "no training accuracy: not recorded" in unknown.axes[1].get_xlabel()
    assert unknown.axes[0].get_xlabel() == "epoch"


def test_each_validation_metric_has_a_panel_in_which_its_column_stands_out(tmp_path):
    run = made(tmp_path)
    figure = drawn(metrics(run))
    for axes, column in zip(figure.axes, ("accuracy", "precision", "recall", "f1", "auroc"), strict=False):
        thick = [line for line in axes.get_lines() if line.get_linewidth() == 2.0]
        assert len(thick) == 1
        np.testing.assert_array_equal(thick[0].get_ydata(), run.rows[f"val_{column}"])
        assert axes.get_title(loc="left").lower().startswith(column)
        value = run.rows.loc[run.rows["epoch"] == run.chosen.epoch, f"val_{column}"].iloc[0]
        assert axes.get_title(loc="right") == (f"{value:.4f}" if column == "auroc" else f"{value:.1%}")
        assert axes.get_ylim() == figure.axes[0].get_ylim()


def test_metrics_that_are_equal_are_all_seen(tmp_path):
    rows = rows_without(())
    for row in rows:
        row |= dict.fromkeys(("val_accuracy", "val_precision", "val_recall", "val_f1"), 0.5) | {"val_auroc": 0.99}
    figure = drawn(metrics(made(tmp_path, rows=rows)))
    for axes in figure.axes[:5]:
        ours = max(axes.get_lines(), key=lambda line: (line.get_linewidth(), line.get_zorder()))
        assert ours.get_zorder() > max(line.get_zorder() for line in axes.get_lines() if line.get_linewidth() == 1.0)


def test_without_a_val_split_there_are_no_validation_metrics(tmp_path):
    assert metrics(made(tmp_path, val=False)) is None


def test_a_metric_that_is_undefined_in_all_epochs_is_said_to_be_missing(tmp_path):
    figure = drawn(metrics(made(tmp_path, rows=rows_without(("val_auroc",)))))
    assert [text.get_text() for text in figure.axes[4].texts] == ["not recorded"]


def test_a_learning_rate_that_never_changes_is_no_figure(tmp_path):
    assert learning_rate(made(tmp_path)) is None


@pytest.mark.parametrize(
    ("rates", "scale"),
    [((0.01, 0.005, 0.002), "linear"), ((0.01, 0.001, 0.0001), "log"), ((0.01, 0.001, 0.0), "linear")],
    ids=["within a decade", "two decades", "down to zero"],
)
def test_the_learning_rate_is_the_column_and_log_above_a_decade(tmp_path, rates, scale):
    rows = rows_without((), 3)
    for row, rate in zip(rows, rates, strict=True):
        row["lr"] = rate
    figure = drawn(learning_rate(made(tmp_path, rows=rows)))
    assert figure.axes[0].get_yscale() == scale
    np.testing.assert_array_equal(figure.axes[0].get_lines()[0].get_ydata(), rates)


@pytest.mark.parametrize("case", ["one epoch", "diverged", "many epochs"])
@pytest.mark.parametrize("function", [curves, metrics, learning_rate])
def test_nothing_is_cut_off_whatever_the_number_of_epochs(tmp_path, case, function):
    rows: list[dict[str, Any]] = {
        "one epoch": rows_without((), 1),
        "diverged": diverging_rows(),
        "many epochs": rows_without((), 3000),
    }[case]
    for row in rows:
        row["lr"] = 0.1 * 0.9 ** (row["epoch"] / 100)
    figure: Figure | None = function(
        made(tmp_path, rows=rows, status="diverged" if case == "diverged" else "done", tested=False)
    )
    assert (figure is None) == (function is learning_rate and case == "one epoch")
    if figure is not None:
        all_inside(figure)
