"""The mosaic of what was predicted for images of the user's own."""

from __future__ import annotations

import numpy as np
import pytest

from labrunner.figures.predicted import predicted_images
from labrunner.figures.samples import percent
from labrunner.seeding import generator
from tests.figures.looking import NAMES, everything, inside
from tests.folders import HOSTILE


def made(count: int, class_names: tuple[str, ...], total: int | None = None, names: list[str] | None = None):
    rng = generator(0, "predicted", count)
    rows = rng.dirichlet(np.full(len(class_names), 0.3), size=count)
    images = rng.integers(0, 256, size=(count, 3, 12, 12)).astype(np.uint8)
    files = names or [f"image_{place:04d}.png" for place in range(count)]
    return rows, predicted_images(images, 255.0, files, rows, class_names, count if total is None else total)


def whole(figure) -> None:
    """No text is cut off at the edge; the axes are off, and their numbers are not drawn."""
    everything(figure)
    (axes,) = figure.axes
    inside(figure, [*axes.texts, axes.title])


@pytest.mark.parametrize("count", [1, 5, 13])
@pytest.mark.parametrize("class_names", [NAMES[2], NAMES[100], HOSTILE], ids=["two", "hundred", "hostile"])
def test_no_text_is_cut_off_whatever_the_classes_are_called(count, class_names):
    _, figure = made(count, class_names)
    whole(figure)


def test_each_image_has_its_file_its_class_and_its_probability():
    rows, figure = made(7, ("cat", "dog"))
    said = [text.get_text() for text in everything(figure)]
    for place, row in enumerate(rows):
        assert f"image_{place:04d}.png" in said
        assert percent(float(row.max())) in said
    assert said.count("cat") == int((rows.argmax(axis=1) == 0).sum())


def test_the_title_says_how_many_images_there_were():
    _, figure = made(6, ("cat", "dog"), total=1000)
    assert figure.axes[0].get_title().startswith("the first 6 of 1000 images, as the model sees them")
    _, figure = made(1, ("cat", "dog"))
    assert figure.axes[0].get_title().startswith("1 image, as the model sees it")


def test_names_of_files_are_no_formulas_and_long_ones_are_shortened():
    names = ["$x_1$.png", "a_very_long_name_of_a_file_that_a_camera_gave_it_0001.jpg", "$\\frac{1}{0}$.png"]
    _, figure = made(3, ("cat", "dog"), names=names)
    whole(figure)
    said = [text.get_text() for text in everything(figure)]
    assert "$x_1$.png" in said
    assert any(text.endswith("…") and text.startswith("a_very") for text in said)
