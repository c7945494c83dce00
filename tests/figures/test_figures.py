"""Figures show what the files say, for the shapes of runs and the class names that occur."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from labrunner.errors import RunError
from labrunner.figures import FIGURES, draw, png
from labrunner.figures.confusion import NAME_WIDTH, confusion
from labrunner.figures.curves import curves
from labrunner.figures.look import look, shortened
from labrunner.records import METRICS, Run, load_run
from tests.folders import DIGITS, HOSTILE, metrics_row, write_run

NAMES = {
    2: ("benign", "malignant"),
    10: DIGITS,
    100: tuple(f"class number {index} of many, with a name of about sixty letters" for index in range(100)),
}


def made(path: Path, **choices: Any) -> Run:
    return load_run(write_run(path / "run", **choices))


def drawn(figure: Figure | None) -> Figure:
    """The figure after its layout was computed."""
    assert figure is not None
    FigureCanvasAgg(figure).draw()
    return figure


def lines(figure: Figure, panel: int) -> dict[str, Any]:
    return {str(line.get_label()): line for line in figure.axes[panel].get_lines()}


def rows_without(columns: tuple[str, ...], epochs: int = 8) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [metrics_row(epoch, epochs, rng) | dict.fromkeys(columns) for epoch in range(1, epochs + 1)]


def diverging_rows() -> list[dict[str, Any]]:
    rows = rows_without((), 4)
    rows[-1] |= {"train_loss": 2e5, "val_loss": 3e5}
    return [*rows, dict.fromkeys(METRICS) | {"epoch": 5, "lr": 0.01}]


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
        assert label.get_text().startswith(f"chosen: epoch {best}, ")
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


@pytest.mark.parametrize("count", [2, 10])
def test_the_numbers_in_the_cells_are_the_counts(tmp_path, count):
    run = made(tmp_path, classes=NAMES[count])
    (axes, _) = drawn(confusion(run)).axes
    counts = run.confusion.to_numpy()
    written = {(text.get_position()[1], text.get_position()[0]): int(text.get_text()) for text in axes.texts}
    assert written == {place: int(counts[place]) for place in np.ndindex(counts.shape)}


@pytest.mark.parametrize("count", [2, 10, 100])
def test_the_colour_of_a_cell_is_its_share_of_the_row(tmp_path, count):
    run = made(tmp_path, classes=NAMES[count], samples=1000)
    (axes, _) = drawn(confusion(run)).axes
    counts = run.confusion.to_numpy()
    np.testing.assert_allclose(axes.images[0].get_array(), counts / counts.sum(axis=1, keepdims=True))
    assert axes.get_xlabel() == "predicted class"
    assert axes.get_ylabel() == "true class"


def test_a_class_without_test_samples_has_no_share(tmp_path):
    run = made(tmp_path, classes=NAMES[10], samples=7)
    (axes, _) = drawn(confusion(run)).axes
    assert np.ma.getmaskarray(axes.images[0].get_array())[7:].all()


@pytest.mark.parametrize("count", [10, 20, 30])
def test_numbers_can_be_told_from_their_cells(tmp_path, count):
    run = made(tmp_path, classes=[f"kind {index}" for index in range(count)], samples=2000)
    (axes, _) = drawn(confusion(run)).axes
    image = axes.images[0]
    assert axes.texts
    for text in axes.texts:
        column, row = text.get_position()
        cell = image.cmap(image.norm(image.get_array()[int(row), int(column)]))
        assert contrast(matplotlib.colors.to_rgb(text.get_color()), cell[:3]) > 4.5


def test_a_hundred_classes_are_drawn_without_numbers_and_named_without_overlap(tmp_path):
    figure = drawn(confusion(made(tmp_path, classes=NAMES[100], samples=2000)))
    (axes, _) = figure.axes
    assert not axes.texts
    for labels, side in ((axes.get_xticklabels(), "x"), (axes.get_yticklabels(), "y")):
        boxes = [label.get_window_extent() for label in labels]
        low, high = ("x0", "x1") if side == "x" else ("y0", "y1")
        spans = sorted((getattr(box, low), getattr(box, high)) for box in boxes)
        assert all(first[1] <= second[0] + 1 for first, second in itertools.pairwise(spans))
        inside(figure, labels)


def test_more_classes_than_can_be_named_get_every_few_a_name(tmp_path):
    (axes, _) = drawn(confusion(made(tmp_path, classes=[f"c{i}" for i in range(250)], samples=500))).axes
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["c0", "c3"]


def test_hostile_class_names_are_drawn_literally_on_one_line(tmp_path):
    figure = drawn(confusion(made(tmp_path, classes=HOSTILE)))
    labels = figure.axes[0].get_yticklabels()
    shown = [label.get_text() for label in labels]
    assert shown[1:4] == [HOSTILE[1], "two lines", HOSTILE[3]]
    assert shown[-3:] == list(HOSTILE[-3:])
    assert len(set(shown)) == len(HOSTILE)
    assert all(len(text) <= NAME_WIDTH for text in shown)
    assert not any(label.get_parse_math() for label in (*labels, *figure.axes[0].get_xticklabels()))
    inside(figure, [*labels, *figure.axes[0].get_xticklabels()])


def test_shortened_names_stay_apart():
    alike = ["a" * 30 + end + "b" * 30 for end in "xyz"]
    assert shortened(["cat", "a cat, with more to it"], 8) == ["cat", "a cat, …".replace(", ", "")]
    assert shortened(["the northern bird (old)", "the northern bird (young)"], 12) == ["the n…(old)", "the n…young)"]
    assert len(set(shortened(alike, 12))) == 3
    assert all(len(name) <= 12 for name in shortened(alike, 12))
    assert shortened(["", "a\n b", "left\u202eright"], 12) == ["(no name)", "a b", "leftright"]


def test_draw_writes_the_same_bytes_twice_whatever_the_readers_own_settings(tmp_path):
    run = made(tmp_path, classes=HOSTILE)
    first = {path.name: path.read_bytes() for path in draw(run, "all")}
    assert set(first) == {f"{name}.png" for name in FIGURES}
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 20, "lines.linewidth": 9}):
        second = {path.name: path.read_bytes() for path in draw(load_run(run.path), "all")}
    assert first == second
    assert all(content.startswith(b"\x89PNG") and b"Software" not in content for content in first.values())


def test_drawing_leaves_the_settings_of_matplotlib_as_they_were(tmp_path):
    before = dict(matplotlib.rcParams)
    draw(made(tmp_path))
    assert dict(matplotlib.rcParams) == before


def test_the_curves_are_wide_enough_for_a_page(tmp_path):
    with look():
        content = png(drawn(curves(made(tmp_path))))
    width = int.from_bytes(content[16:20], "big")
    assert 1400 <= width <= 1600


def test_figures_without_data_are_left_out_and_leave_no_old_file(tmp_path):
    run = made(tmp_path, status="interrupted", epochs=3)
    (run.path / "figures" / "confusion.png").write_bytes(b"of an earlier end of the run")
    assert [path.name for path in draw(run)] == ["curves.png"]
    assert sorted(path.name for path in (run.path / "figures").iterdir()) == ["curves.png"]
    assert draw(made(tmp_path / "early", rows=[], status="failed")) == []


def test_none_draws_nothing_and_few_draws_what_is_marked_so(tmp_path, monkeypatch):
    run = made(tmp_path)
    monkeypatch.setitem(FIGURES, "curves", (curves, False))
    assert [path.stem for path in draw(run, "few")] == ["confusion"]
    assert draw(run, "none") == []
    assert list((run.path / "figures").iterdir()) == []
    with pytest.raises(ValueError, match="some"):
        draw(run, "some")


def test_a_figure_that_fails_is_named_and_the_others_are_drawn(tmp_path, monkeypatch):
    def broken(run: Run) -> Figure:
        raise ZeroDivisionError("no such thing")

    monkeypatch.setitem(FIGURES, "curves", (broken, True))
    run = made(tmp_path)
    with pytest.raises(RunError, match=r"curves\.png: ZeroDivisionError: no such thing"):
        draw(run)
    assert [path.name for path in (run.path / "figures").iterdir()] == ["confusion.png"]


def inside(figure: Figure, texts: Any) -> None:
    """No text reaches beyond the edge of the picture, where it would be cut off."""
    page = figure.bbox
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= page.x0 - 1, text
        assert box.x1 <= page.x1 + 1, text
        assert box.y0 >= page.y0 - 1, text
        assert box.y1 <= page.y1 + 1, text


def contrast(one: Any, other: Any) -> float:
    """The contrast ratio of WCAG 2.1, from 1 to 21; 4.5 is its bound for text."""

    def luminance(colour: Any) -> float:
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
