"""Grad-CAM as a figure: a few images with what speaks for a class laid over them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from labrunner.figures.layers import noted
from labrunner.figures.look import GREY, PAGE, VERMILLION, page, shortened
from labrunner.records import Run

WIDTH = PAGE - 0.2  # inches, of the mosaic
COLUMNS = 2  # groups of pictures beside each other: an image, and what speaks for the predicted and the true class
BETWEEN, GAP = 0.3, 0.06  # inches between groups, and between their pictures
WIDEST = 1.45  # inches, of a picture
FONT = 10.0  # points
LINE = 1.3 * FONT / 72  # inches
CHARACTER = 0.64 * FONT / 72  # inches, of one that is bold
NOTE_WIDTH = 100  # characters of a line above the panels
PIXELS = 220  # of a picture along its longer side
HEAT = "inferno"
COVER = 0.6  # share of the colour in what lies over an image
DARKEST, BRIGHTEST = 0.1, 0.9  # of the grey image below it, so that no colour is lost in black or white


class Explained(NamedTuple):
    """An image with the maps of the classes that it was asked about."""

    image: int
    pixels: np.ndarray  # (C, H, W) from 0 to 1
    label: int
    predicted: int
    maps: dict[int, np.ndarray]  # class -> (h, w)


def gradcam(run: Run) -> Figure | None:
    """A few images beside what speaks for the predicted class, and for the true one where it is another.

    The maps are laid over the grey image, enlarged to its size, on one scale for the maps of an image. None without the
    probe.
    """
    shown, said = read(run)
    if not shown:
        return None
    places = arranged(shown)
    rows = 1 + max(row for _, row, _ in places)
    wide = [max((1 + len(each.maps) for each, _, own in places if own == column), default=0) for column in (0, 1)]
    side = min(WIDEST, (WIDTH - BETWEEN - (sum(wide) - 2) * GAP) / sum(wide))
    labels = {label for each in shown for label in (each.label, *each.maps)}
    known = run.class_names or []
    names = [known[label] if label < len(known) else str(label) for label in range(max(labels) + 1)]
    words = shortened(names, int(side / CHARACTER))
    pitch = 2 * LINE + side + 0.16  # inches from group to group
    height = rows * pitch - 0.1
    figure = page(height + 1.35)
    axes = figure.subplots()
    scale = PIXELS / side
    canvas = np.full((round(height * scale), round(WIDTH * scale), 3), 255, dtype=np.uint8)
    for each, row, column in places:
        left, top = column * (wide[0] * (side + GAP) - GAP + BETWEEN), row * pitch
        highest = max(float(values.max()) for values in each.maps.values())
        pictures = [picture(each.pixels)]
        heads = [(f"image {each.image}", words[each.label], "black")]
        for about, values in each.maps.items():
            pictures.append(overlaid(each.pixels, values / highest if highest > 0.0 else values))
            right = each.predicted == each.label
            what = "predicted rightly" if right else "predicted" if about == each.predicted else "true class"
            if values.max() <= 0.0:
                what = "right: empty" if right else f"{what}: empty"
            heads.append((what, words[about], VERMILLION if about != each.label else "black"))
        for number, (drawn, (above, name, colour)) in enumerate(zip(pictures, heads, strict=True)):
            x, y = left + number * (side + GAP), top + 2 * LINE
            tall, broad = drawn.shape[:2]
            row_of, column_of = round(y * scale), round(x * scale)
            canvas[row_of : row_of + tall, column_of : column_of + broad] = drawn
            write(axes.text(x, top, above), GREY)
            write(axes.text(x, top + LINE, name), colour, strong=True)
    axes.imshow(canvas, extent=(0.0, WIDTH, height, 0.0), interpolation="nearest", aspect="equal")
    axes.set_axis_off()
    scale_of = ScalarMappable(Normalize(0.0, 1.0), ListedColormap(blended(np.linspace(0.0, 1.0, 256), 0.5)))
    bar = figure.colorbar(scale_of, ax=axes, location="bottom", pad=0.02, shrink=0.5, aspect=30)
    bar.set_label("how much it speaks for the class, as a share of the image's highest value", fontsize=FONT)
    bar.outline.set_visible(False)
    figure.suptitle(textwrap.fill(said, NOTE_WIDTH), x=0.01, ha="left", fontsize=FONT, color=GREY, parse_math=False)
    return figure


def read(run: Run) -> tuple[list[Explained], str]:
    """The images in the order they were noted, and what is to be said of them; none without the probe."""
    maps = noted(run, "gradcam", *("image", "label", "predicted", "class", "layer", "row", "column", "value"))
    images = noted(run, "gradcam_images", "image", "channel", "row", "column", "value")
    if maps is None or images is None:
        return [], ""
    shown = []
    for image in maps["image"].unique().tolist():
        part, pixels = maps[maps["image"] == image], images[images["image"] == image]
        planes = [grid(plane) for _, plane in pixels.groupby("channel")]
        found = {int(about): grid(part[part["class"] == about]) for about in part["class"].unique().tolist()}
        if not planes or not all(np.isfinite(values).all() for values in (*planes, *found.values())):
            continue
        label, predicted = int(part["label"].iloc[0]), int(part["predicted"].iloc[0])
        shown.append(Explained(int(image), np.stack(planes), label, predicted, found))
    layer, epoch = maps["layer"].iloc[0], int(maps["epoch"].iloc[0])
    if not shown:
        return [], ""
    tall, broad = next(iter(shown[0].maps.values())).shape
    said = f"epoch {epoch}: where an image speaks for a class, by Grad-CAM at {layer} ({tall} x {broad}); "
    return shown, said + "the first images of some classes, and the most confident mistakes"


def grid(part: Any) -> np.ndarray:
    """The values of a table in long form, by row and column."""
    return part.pivot(index="row", columns="column", values="value").to_numpy(dtype=float)


def arranged(shown: Sequence[Explained]) -> list[tuple[Explained, int, int]]:
    """Each image with its row and column: mistakes stand in the last column, where there are mistakes and others."""
    wrong = [each for each in shown if each.predicted != each.label]
    right = [each for each in shown if each.predicted == each.label]
    if not wrong or not right:
        return [(each, *divmod(number, COLUMNS)) for number, each in enumerate(shown)]
    return [(each, row, column) for column, group in enumerate((right, wrong)) for row, each in enumerate(group)]


def picture(pixels: np.ndarray) -> np.ndarray:
    """(C, H, W) in [0, 1] as (H, W, 3) uint8 of `PIXELS` along the longer side."""
    channels = pixels if len(pixels) == 3 else pixels.mean(axis=0, keepdims=True)  # two or four are no colours
    scaled = np.rint(np.clip(channels, 0.0, 1.0) * 255.0).astype(np.uint8)
    coloured = np.ascontiguousarray(np.broadcast_to(scaled, (3, *scaled.shape[1:])).transpose(1, 2, 0))
    # a box takes the nearest pixel where it enlarges
    return np.asarray(Image.fromarray(coloured).resize(size_of(pixels), Image.Resampling.BOX))


def overlaid(pixels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A map (h, w) in [0, 1], enlarged to an image (C, H, W), in colour over the grey of it."""
    enlarged = Image.fromarray(values.astype(np.float32)).resize(size_of(pixels), Image.Resampling.BILINEAR)
    grey = picture(pixels.mean(axis=0, keepdims=True)) / 255.0
    return np.rint(255.0 * blended(np.asarray(enlarged), grey)).astype(np.uint8)


def blended(values: np.ndarray, grey: np.ndarray | float) -> np.ndarray:
    """The colours (..., 3) of values in [0, 1] over a grey in [0, 1]."""
    heat = matplotlib.colormaps[HEAT](np.clip(values, 0.0, 1.0))[..., :3]
    return COVER * heat + (1.0 - COVER) * (DARKEST + (BRIGHTEST - DARKEST) * grey)


def size_of(pixels: np.ndarray) -> tuple[int, int]:
    """Width and height of an image (C, H, W) as it is drawn."""
    longest = max(pixels.shape[1:])
    tall, broad = (max(1, round(length * PIXELS / longest)) for length in pixels.shape[1:])
    return broad, tall


def write(text: Text, colour: str, strong: bool = False) -> None:
    text.set(fontsize=FONT, color=colour, va="top", weight="bold" if strong else "normal", parse_math=False)
    text.set_in_layout(False)  # its place is reckoned with


FIGURES: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {"gradcam": (gradcam, False)}
