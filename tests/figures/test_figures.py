"""What holds for all figures of a run: files, settings, names, bytes."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from labrunner.errors import RunError
from labrunner.figures import FIGURES, draw, png
from labrunner.figures.confusion import confusion
from labrunner.figures.curves import curves
from labrunner.figures.look import left_to_right, look, shortened
from labrunner.records import Run, load_run
from tests.figures.looking import NAMES, made, rows_without
from tests.folders import HOSTILE

OF_TABLES = (
    "curves",
    "metrics",
    "learning_rate",
    "confusion",
    "confusion_true",
    "confusion_predicted",
    "classes",
    "roc",
    "precision_recall",
    "reliability",
)  # drawn from the CSV files of any tested run


def test_shortened_names_stay_apart():
    alike = ["a" * 30 + end + "b" * 30 for end in "xyz"]
    assert shortened(["cat", "a cat, with more to it"], 8) == ["cat", "a cat, …".replace(", ", "")]
    assert shortened(["the northern bird (old)", "the northern bird (young)"], 12) == ["the n…(old)", "the n…young)"]
    assert len(set(shortened(alike, 12))) == 3
    assert all(len(name) <= 12 for name in shortened(alike, 12))
    assert shortened(["", "a\n b", "left\u202eright"], 12) == ["(no name)", "a b", "leftright"]


def test_draw_writes_the_same_bytes_twice_whatever_the_readers_own_settings(tmp_path):
    rows = rows_without((), 5)
    for row in rows:
        row["lr"] /= row["epoch"]
    run = made(tmp_path, classes=HOSTILE[:4], rows=rows)
    before = dict(matplotlib.rcParams)
    first = {path.name: path.read_bytes() for path in draw(run, "all")}
    assert set(first) >= {f"{name}.png" for name in OF_TABLES}
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 20, "lines.linewidth": 9}):
        second = {path.name: path.read_bytes() for path in draw(load_run(run.path), "all")}
    assert first == second
    assert dict(matplotlib.rcParams) == before
    assert all(content.startswith(b"\x89PNG") and b"Software" not in content for content in first.values())


def test_drawing_leaves_the_settings_of_matplotlib_as_they_were(tmp_path):
    before = dict(matplotlib.rcParams)
    draw(made(tmp_path), "few")
    assert dict(matplotlib.rcParams) == before


def test_figures_without_data_are_left_out_and_leave_no_old_file(tmp_path):
    run = made(tmp_path, status="interrupted", epochs=3)
    (run.path / "figures" / "confusion.png").write_bytes(b"of an earlier end of the run")
    assert [path.name for path in draw(run)] == ["curves.png", "metrics.png"]
    assert sorted(path.name for path in (run.path / "figures").iterdir()) == ["curves.png", "metrics.png"]
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
    run = made(tmp_path, classes=NAMES[2])
    with pytest.raises(RunError, match=r"curves\.png: ZeroDivisionError: no such thing"):
        draw(run)
    names = {path.stem for path in (run.path / "figures").iterdir()}
    assert names >= {*OF_TABLES} - {"curves", "learning_rate"}
    assert "curves" not in names


def test_png_is_the_picture_that_matplotlib_itself_would_save(tmp_path):
    run = made(tmp_path)
    for function in (curves, confusion):
        with look():
            ours, theirs, content = function(run), function(run), io.BytesIO()
            theirs.savefig(content, format="png")
            mine = np.asarray(Image.open(io.BytesIO(png(ours))).convert("RGB"), dtype=int)
        expected = np.asarray(Image.open(content).convert("RGB"), dtype=int)
        assert mine.shape == expected.shape
        assert (np.abs(mine - expected).max(axis=2) > 40).mean() < 0.001


def test_few_does_not_draw_what_takes_a_sweep_long():
    assert [name for name in OF_TABLES if FIGURES[name][1]] == ["curves", "confusion"]


def test_a_name_from_right_to_left_keeps_its_number_behind_it():
    assert left_to_right("cat", "  (3)") == "cat  (3)"
    assert left_to_right("כלב", "  (3)") == "\u200eכלב\u200e  (3)"
