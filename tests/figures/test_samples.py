"""Mosaics of test samples: which are shown, how they are marked, and what their pixels are."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from labrunner.figures.look import PAGE, VERMILLION, look, shortened
from labrunner.figures.samples import TILE, _picture, _wrapped, mistakes, percent, samples
from labrunner.records import Run, load_run
from tests.arrays import write_samples
from tests.figures.looking import NAMES, everything, inside, write_run
from tests.folders import HOSTILE
from tests.lines import cases


def made(path: Path, shape: tuple[int, ...] = (1, 8, 8), white: float = 16.0, **choices: Any) -> Run:
    folder = write_run(path / "run", **choices)
    write_samples(folder, shape, white)
    return load_run(folder)


def frames(figure: Figure) -> tuple[int, int]:
    """How many tiles have a thin frame, and how many the thick one of a mistake."""
    thin, thick = figure.axes[0].collections
    assert {to_hex(colour) for colour in thick.get_colors()} == {VERMILLION.lower()}
    assert thick.get_linewidths()[0] > 2 * thin.get_linewidths()[0]
    return len(thin.get_segments()), len(thick.get_segments())


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_each_class_has_its_name_and_its_hits_and_a_mistake_says_what_it_was_taken_for(tmp_path):
    run = made(tmp_path)
    figure = samples(run)
    counts = run.confusion.to_numpy()
    said = words(figure)
    for label, name in enumerate(run.class_names):
        assert name in said
        assert f"{counts[label, label]} of {counts[label].sum()} right" in said
    thin, thick = frames(figure)
    table = run.predictions
    wrong = table[table["label"] != table["predicted"]]
    assert thin == sum(min(3, int(counts[label, label])) for label in range(10))
    assert thick == sum(min(3, int((wrong["label"] == label).sum())) for label in range(10))
    assert sum(word.startswith("→ ") for word in said) == thick


def test_the_tiles_are_the_pixels_of_the_samples(tmp_path):
    run = made(tmp_path, classes=("a", "b"), samples=90)
    figure = mistakes(run)
    kept = run.samples
    wrong = np.flatnonzero(kept["label"] != kept["predicted"])
    first = wrong[np.argmax(kept["confidence"][wrong])]
    canvas = figure.axes[0].images[0].get_array()
    expected = np.rint(kept["image"][first, 0] / 16.0 * 255.0).repeat(TILE // 8, axis=0).repeat(TILE // 8, axis=1)
    corner = frames_at(figure)[0]
    scale = TILE / 1.15
    x, y = (round(value * scale) for value in corner)
    np.testing.assert_array_equal(canvas[y : y + TILE, x : x + TILE, 0], expected)
    np.testing.assert_array_equal(canvas[..., 0], canvas[..., 2])  # grey


def frames_at(figure: Figure) -> list[tuple[float, float]]:
    """The upper left corners of the tiles of mistakes, in their order."""
    return [tuple(segment[0]) for segment in figure.axes[0].collections[1].get_segments()]


def test_the_mistakes_are_the_most_confident_ones_in_falling_order(tmp_path):
    run = made(tmp_path)
    table = run.predictions
    wrong = table[table["label"] != table["predicted"]]
    highest = wrong.filter(regex="^p_").max(axis=1)
    most = highest.sort_values(ascending=False, kind="stable")[:25]
    figure = mistakes(run)
    shown = [word for word in words(figure) if word.endswith("%")]
    assert shown == [percent(value) for value in most]
    pairs = [word for word in words(figure) if "→" in word]
    assert pairs == [f"{row.label} → {row.predicted}" for row in wrong.loc[most.index].itertuples()]
    assert f"of {len(wrong)} mistakes" in figure.axes[0].get_title()


def test_the_mistakes_of_a_run_are_those_of_its_predictions_and_look_as_the_data_set_has_them(lab):
    run = load_run(lab.train("run", "dataset=digits", "epochs=2"))
    table = run.predictions
    table["confidence"] = table.filter(regex="^p_").max(axis=1)
    wrong = table[table["label"] != table["predicted"]].sort_values("confidence", ascending=False, kind="stable")
    figure = mistakes(run)
    assert [word for word in words(figure) if word.endswith("%")] == [
        percent(value) for value in wrong["confidence"][:25]
    ]
    canvas, scale = figure.axes[0].images[0].get_array(), TILE / 1.15
    images = load_digits().images
    for index, corner in zip(wrong["index"][:25], frames_at(figure), strict=True):
        x, y = (round(value * scale) for value in corner)
        middles = canvas[y + 6 : y + TILE : 12, x + 6 : x + TILE : 12, 0]  # of the pixels of an image
        np.testing.assert_array_equal(middles, np.rint(images[index] / 16.0 * 255.0))


def test_a_probability_is_not_rounded_to_certainty():
    assert [percent(value) for value in (0.5, 0.9994, 0.9996, 0.99999999, 1.0)] == [
        "50.0%",
        "99.9%",
        "> 99.9%",
        "> 99.9%",
        "100%",
    ]


def test_without_a_mistake_without_images_and_before_the_test_there_is_nothing_to_draw(tmp_path):
    run = made(tmp_path / "table", shape=(4,))
    assert samples(run) is None
    assert mistakes(run) is None
    early = load_run(write_run(tmp_path / "early", status="interrupted"))
    assert samples(early) is None
    assert mistakes(early) is None
    folder = write_run(tmp_path / "perfect", classes=("a", "b"))
    arrays = write_samples(folder)
    np.savez(folder / "samples.npz", **(arrays | {"predicted": arrays["label"]}))
    assert mistakes(load_run(folder)) is None
    assert samples(load_run(folder)) is not None


LONG = (
    "a malignant tumour of the breast, invasive, with lymph nodes",
    "a malignant tumour of the breast, not invasive",
)


CLASSES = {"2": NAMES[2], "long": LONG, "10": NAMES[10], "hostile": HOSTILE, "100": NAMES[100]}
SHAPES = {"grey": (1, 8, 8), "colours": (3, 64, 48)}
EACH_TIME = [
    (samples, "hostile", "grey"),
    (samples, "100", "grey"),
    (samples, "long", "colours"),
    (mistakes, "long", "grey"),
    (mistakes, "100", "grey"),
    (mistakes, "2", "colours"),
    (mistakes, "10", "colours"),
]


@pytest.mark.parametrize(
    ("figure", "names", "shape"), cases(itertools.product((samples, mistakes), CLASSES, SHAPES), fast=EACH_TIME)
)
def test_no_text_leaves_the_page_or_touches_another(tmp_path, figure, names, shape):
    with look():
        drawn = figure(made(tmp_path, shape=SHAPES[shape], classes=CLASSES[names], samples=1000))
        everything(drawn)
    assert drawn.get_figwidth() == PAGE
    texts = drawn.axes[0].texts
    inside(drawn, [*texts, drawn.axes[0].title])
    boxes = np.array([text.get_window_extent().extents for text in texts])  # x0, y0, x1, y1
    for one in range(len(boxes)):
        apart = (boxes[one, :2] >= boxes[:, 2:] - 1).any(axis=1) | (boxes[:, :2] >= boxes[one, 2:] - 1).any(axis=1)
        apart[one] = True
        assert apart.all(), (texts[one], texts[int(np.argmin(apart))])


def test_a_name_cut_in_its_middle_is_cut_between_its_lines():
    assert shortened(LONG, 28) == ["a malignant t…th lymph nodes", "a malignant t…, not invasive"]
    assert _wrapped("a malignant t…th lymph nodes", 16) == "a malignant t…\nth lymph nodes"
    assert _wrapped("short… name", 16) == "short… name"
    assert _wrapped("withoutanyspaceinit…", 16) == "withoutanyspac\neinit…"


def test_of_a_hundred_classes_those_with_the_lowest_recall_are_shown(tmp_path):
    run = made(tmp_path, classes=[f"c{index}" for index in range(100)], samples=2000)
    figure = samples(run)
    table = run.per_class
    shown = table[table["class"].isin(words(figure))]
    assert len(shown) == 20
    assert shown["recall"].max() <= table.drop(shown.index)["recall"].min()
    assert "the 20 classes with the lowest recall, of 100" in figure.axes[0].get_title()


def test_hostile_names_are_written_as_they_are_and_from_left_to_right(tmp_path):
    run = made(tmp_path, classes=HOSTILE)
    for figure in (samples(run), mistakes(run)):
        assert not any(text.get_parse_math() for text in figure.axes[0].texts)
    assert any("\u200e→ " in word for word in words(mistakes(run)))  # where a name is Hebrew


def test_a_picture_is_scaled_by_the_white_of_its_data_set_and_not_by_its_own():
    grey = np.full((1, 4, 4), 8, dtype=np.uint8)
    assert (_picture(grey, 16.0) == 128).all()
    assert (_picture(grey, 255.0) == 8).all()
    assert _picture(grey, 16.0).shape == (TILE, TILE, 3)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 5, 5), (1, 28, 28), (3, 32, 50), (3, 64, 64), (1, 95, 95), (3, 224, 224)]
)
def test_a_picture_fills_its_tile_whatever_its_size(shape):
    image = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
    picture = _picture(image, 255.0)
    assert max(picture.shape[:2]) == TILE
    assert picture.shape[0] / picture.shape[1] == pytest.approx(shape[1] / shape[2], abs=0.02)
    if max(shape[1:]) <= TILE:  # no colour that the image has not
        assert {tuple(pixel) for pixel in picture.reshape(-1, 3)} <= {
            tuple(np.broadcast_to(image, (3, *shape[1:]))[:, row, column]) for row, column in np.ndindex(shape[1:])
        }


def test_two_or_four_channels_are_no_colours_and_shown_as_their_mean():
    image = np.stack([np.full((4, 4), value, dtype=np.uint8) for value in (10, 30)])
    assert (_picture(image, 255.0) == 20).all()


def test_a_large_picture_is_averaged_and_keeps_its_colours():
    image = np.zeros((3, 2 * TILE, 2 * TILE), dtype=np.uint8)
    image[0, :, ::2], image[2] = 200, 50
    picture = _picture(image, 255.0)
    assert picture.shape == (TILE, TILE, 3)
    assert np.unique(picture.reshape(-1, 3), axis=0).tolist() == [[100, 0, 50]]
    assert _picture(np.zeros((1, 50, 300), dtype=np.uint8), 255.0).shape == (TILE // 6, TILE, 3)
