"""The figure of Grad-CAM: maps over images on one scale, drawn from the recorded files alone."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.transforms import Bbox
from PIL import Image

from labrunner.figures.look import look
from labrunner.figures.probed.gradcam import arranged, blended, gradcam, overlaid, picture, read
from labrunner.probes.images import GradCam
from labrunner.records import Run, load_run
from tests.figures.looking import all_inside, everything, write_run
from tests.folders import DIGITS, HOSTILE

RNG = np.random.default_rng(0)
PAIRS = [(0, 0), (1, 1), (2, 4), (3, 5), (6, 5), (9, 0)]  # true and predicted class of the images


def write(
    folder: Path,
    pairs: Sequence[tuple[int, int]] = PAIRS,
    shape: tuple[int, int, int] = (1, 8, 8),
    maps: tuple[int, int] = (4, 4),
    factor: float = 0.01,
    layer: str = "backbone.block2.act",
) -> Run:
    rows, pixels = [], []
    for number, (label, predicted) in enumerate(pairs):
        image = 40 + number
        for about in dict.fromkeys((predicted, label)):
            values = factor * RNG.random(maps)
            rows += [(9, 306, image, label, predicted, about, layer, *at, v) for at, v in np.ndenumerate(values)]
        pixels += [(9, 306, image, *at, round(float(v), 3)) for at, v in np.ndenumerate(RNG.random(shape))]
    for name, header, table in (
        ("gradcam", GradCam.MAPS, flat(rows)),
        ("gradcam_images", GradCam.IMAGES, flat(pixels)),
    ):
        with open(folder / "probes" / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *flat(table)])
    return load_run(folder)


def flat(rows: list[tuple]) -> list[list]:
    return [[part for cell in row for part in (cell if isinstance(cell, tuple) else (cell,))] for row in rows]


@pytest.mark.parametrize(
    ("pairs", "shape", "maps", "classes"),
    [
        (PAIRS, (1, 8, 8), (4, 4), DIGITS),
        (PAIRS, (3, 56, 40), (7, 5), HOSTILE),
        ([(0, 0)], (1, 8, 8), (1, 2), DIGITS),
        ([(0, 1)], (2, 9, 64), (3, 16), HOSTILE),
        ([(1, 0), (0, 1), (1, 0)], (4, 5, 5), (5, 5), ("a class of which the name is much too long", "b")),
        ([(0, 0), (1, 1), (2, 2)], (3, 32, 32), (16, 16), DIGITS),
    ],
)
def test_images_of_any_shape_are_drawn_with_words_that_can_be_read(tmp_path, pairs, shape, maps, classes):
    run = write(write_run(tmp_path / "run", classes=classes), pairs, shape, maps)
    with look(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = gradcam(run)
        all_inside(figure)
    assert all(text.get_fontsize() >= 10.0 for text in everything(figure))
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for number, a in enumerate(boxes) for b in boxes[:number])


def test_a_mistake_has_a_map_for_each_class_and_a_hit_has_one(tmp_path):
    run = write(write_run(tmp_path / "run"))
    with look():
        figure = gradcam(run)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words[:4] == ["image 40", "0", "predicted rightly", "0"]
    start = words.index("image 42")
    assert words[start : start + 6] == ["image 42", "2", "predicted", "4", "true class", "2"]
    assert words.count("predicted rightly") == 2
    assert words.count("true class") == 4
    assert "backbone.block2.act (4 x 4)" in figure.get_suptitle().replace("\n", " ")


def test_hits_stand_to_the_left_of_mistakes(tmp_path):
    shown, _ = read(write(write_run(tmp_path / "run")))
    assert [(each.image, row, column) for each, row, column in arranged(shown)] == [
        (40, 0, 0),
        (41, 1, 0),
        (42, 0, 1),
        (43, 1, 1),
        (44, 2, 1),
        (45, 3, 1),
    ]
    assert [(row, column) for _, row, column in arranged(shown[2:])] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_map_is_enlarged_bilinearly_and_laid_over_the_grey_image():
    values = np.array([[0.0, 1.0], [0.5, 0.25]])
    drawn = overlaid(np.zeros((3, 4, 4)), values)
    size = drawn.shape[0]
    # half-pixel centres: the places of the 2 x 2 values, and straight lines between them
    centres = np.clip((np.arange(size) + 0.5) / size * 2 - 0.5, 0.0, 1.0)
    rows = (1 - centres)[:, None] * values[0] + centres[:, None] * values[1]
    expected = (1 - centres) * rows[:, :1] + centres * rows[:, 1:]
    np.testing.assert_allclose(drawn / 255.0, blended(expected, 0.0), atol=0.012)
    assert drawn.shape == (size, size, 3)


def test_each_image_is_scaled_by_its_own_highest_value_and_both_classes_alike(tmp_path):
    run = write(write_run(tmp_path / "run"), [(0, 1)], maps=(8, 8))
    rows = (run.path / "probes" / "gradcam.csv").read_text().splitlines()
    made = [row.rsplit(",", 4) for row in rows[1:]]
    # the predicted class reaches 4 everywhere, the true one 1
    changed = [",".join([*row[:-1], "4.0" if row[0].split(",")[5] == "1" else "1.0"]) for row in made]
    (run.path / "probes" / "gradcam.csv").write_text("\n".join([rows[0], *changed]) + "\n")
    (explained,), _ = read(load_run(run.path))
    with look():
        canvas = gradcam(load_run(run.path)).axes[0].images[0].get_array()
    expected = [overlaid(explained.pixels, np.full((8, 8), share)) for share in (1.0, 0.25)]
    side = expected[0].shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(canvas), (side, side, 3))[:, :, 0]
    for tile in (picture(explained.pixels), *expected):
        corners = np.argwhere((windows[:, :, 0, 0] == tile[0, 0]).all(axis=2))
        assert sum(np.array_equal(windows[row, column], tile) for row, column in corners) == 1


@pytest.mark.parametrize(
    ("pairs", "heads"),
    [
        ([(0, 0), (1, 1)], ["right: empty"]),
        ([(0, 1), (1, 0)], ["predicted: empty", "true class: empty"]),  # six pictures beside each other
        (PAIRS, ["right: empty", "predicted: empty", "true class: empty"]),
    ],
)
def test_a_map_of_zeros_is_called_empty_and_no_head_touches_its_neighbour(tmp_path, pairs, heads):
    run = write(write_run(tmp_path / "run"), pairs, factor=0.0)
    with look(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = gradcam(run)
        all_inside(figure)
    texts = figure.axes[0].texts
    assert {text.get_text() for text in texts} >= set(heads)
    boxes = [text.get_window_extent() for text in texts]
    widened = [Bbox.from_extents(box.x0, box.y0, box.x1 + 4, box.y1) for box in boxes]
    assert not any(a.overlaps(b) for number, a in enumerate(widened) for b in widened[:number])


def test_the_bar_has_the_colours_that_values_have_over_grey():
    bar = blended(np.linspace(0.0, 1.0, 256), 0.5)
    heat = matplotlib.colormaps["inferno"](np.linspace(0.0, 1.0, 256))[:, :3]
    assert ((bar >= 0.0) & (bar <= 1.0)).all()
    assert np.corrcoef(bar.sum(axis=1), heat.sum(axis=1))[0, 1] > 0.999


def test_pixels_are_drawn_in_their_colours():
    pixels = RNG.random((3, 5, 5))
    drawn = picture(pixels)
    again = np.asarray(Image.fromarray(drawn).resize((5, 5), Image.Resampling.BOX))
    np.testing.assert_allclose(again.transpose(2, 0, 1) / 255.0, pixels, atol=0.01)


@pytest.mark.parametrize("name", ["gradcam", "gradcam_images"])
@pytest.mark.parametrize("content", ["", "epoch,step\n", "\x00\xff", "epoch,step,image\n1,2\n1,2,3,4,5\n"])
def test_an_empty_or_damaged_table_draws_nothing(tmp_path, name, content):
    run = write(write_run(tmp_path / "run"))
    (run.path / "probes" / f"{name}.csv").write_text(content, encoding="latin-1")
    assert gradcam(load_run(run.path)) is None


def test_what_is_not_finite_is_not_drawn(tmp_path):
    run = write(write_run(tmp_path / "run"), [(0, 0)], factor=np.nan)
    assert gradcam(run) is None


def test_without_the_probe_nothing_is_drawn(tmp_path):
    assert gradcam(load_run(write_run(tmp_path / "run"))) is None
