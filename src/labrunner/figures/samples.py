"""Test samples as they look: a few of each class, and the mistakes that the model was most certain of."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from labrunner.figures.look import GREY, PAGE, VERMILLION, left_to_right, of_samples, page, plain, shortened
from labrunner.records import Run

WIDTH = PAGE - 0.2  # inches, of a mosaic
IN_A_GROUP = 4  # samples of a class that were predicted rightly, and wrongly
GAP, BETWEEN = 0.25, 0.4  # inches, between the two groups of a class, and between columns of classes
NARROWEST, WIDEST = 0.57, (1.25, 0.86)  # inches from tile to tile; the widest where classes are in one column, or two
ONE_COLUMN = 5  # classes; more stand in two columns
MOST_CLASSES = 20
MOST_MISTAKES = 25
ACROSS = 5  # mistakes
FONT = 9.0  # points
CHARACTER = 0.62 * FONT / 72  # inches, of one that is rather wide
LINE = 1.3 * FONT / 72  # inches
TILE = 96  # pixels along each side; more would not show, and makes large files


class Tile(NamedTuple):
    """An image in a mosaic: where its upper left corner is, in inches from the mosaic's, and how it is marked."""

    image: np.ndarray  # (C, H, W)
    x: float
    y: float
    side: float
    wrong: bool


class Line(NamedTuple):
    """A text in a mosaic, below the point (x, y) in inches from the upper left corner."""

    text: str
    x: float
    y: float
    align: str = "center"
    strong: bool = False
    quiet: bool = False


def samples(run: Run) -> Figure | None:
    """A few test samples of each class, those predicted rightly to the left of those predicted wrongly.

    A class has a row; many classes share rows by two, and of very many those with the lowest recall are shown. A
    mistake has a frame and the name of the predicted class under it. None for tables and before the test split was
    read.
    """
    kept, counts = run.samples, run.confusion
    if kept is None or counts is None or not _are_images(kept):
        return None
    matrix, support = counts.to_numpy(), counts.to_numpy().sum(axis=1)
    right = np.diagonal(matrix)
    recall = np.divide(right, support, out=np.full(len(support), np.inf), where=support > 0)
    there = np.flatnonzero(support > 0)
    hardest = there[np.argsort(recall[there], kind="stable")]
    shown = np.sort(hardest[:MOST_CLASSES]) if len(there) > MOST_CLASSES else there

    columns = 1 if len(shown) <= ONE_COLUMN else 2
    names = [str(name) for name in counts.columns]
    room = (WIDTH - (columns - 1) * BETWEEN) / columns - GAP  # inches, for the tiles of a class
    longest = max(len(plain(name)) for name in names) + len("→ ")
    pitch = min(max(NARROWEST, longest * CHARACTER + 0.05), WIDEST[columns - 1])
    each = min(IN_A_GROUP, int(room / pitch / 2))
    pitch = room / each / 2
    lines, tags = captions(names, pitch)
    side = min(pitch - 0.06, 0.85)
    width, height = 2 * each * pitch + GAP, LINE * (1.3 + lines) + side + 0.17  # of a class
    titles = shortened(names, int(width / CHARACTER) - len(" 10000 of 10000 right"))

    tiles, texts = [], []
    for place, label in enumerate(shown.tolist()):
        row, column = divmod(place, columns)
        left, top = column * (width + BETWEEN), LINE * 1.5 + row * height
        # two texts: what is written from right to left would turn the numbers round
        texts.append(Line(titles[label], left, top, "left", strong=True))
        texts.append(Line(f"{right[label]} of {support[label]} right", left + width - (pitch - side), top, "right"))
        of_class = np.flatnonzero(kept["label"] == label)
        wrong = kept["predicted"][of_class] != label
        confident = of_class[wrong][np.argsort(-kept["confidence"][of_class[wrong]], kind="stable")]
        for group, members in enumerate((of_class[~wrong], confident)):
            for number, member in enumerate(members[:each].tolist()):
                x = left + group * (each * pitch + GAP) + number * pitch
                tiles.append(Tile(kept["image"][member], x, top + 1.3 * LINE, side, bool(group)))
                if group:
                    under = left_to_right("→ ", tags[int(kept["predicted"][member])])
                    texts.append(Line(under, x + side / 2, top + 1.3 * LINE + side + 0.04))
    for column in range(columns):
        left = column * (width + BETWEEN)
        texts.append(Line("predicted rightly", left, 0.0, "left", quiet=True))
        texts.append(Line("predicted wrongly, as →", left + each * pitch + GAP, 0.0, "left", quiet=True))
    title = of_samples(run, int(support.sum()))
    if len(shown) < len(there):
        title += f": the {len(shown)} classes with the lowest recall, of {len(there)}"
    return mosaic(tiles, texts, LINE * 1.5 + -(-len(shown) // columns) * height, title, float(kept["white"]))


def mistakes(run: Run) -> Figure | None:
    """The mistakes with the highest probability, the highest first, with true and predicted class.

    None for tables, before the test split was read, and where there is no mistake.
    """
    kept = run.samples
    if kept is None or run.confusion is None or not _are_images(kept):
        return None
    wrong = np.flatnonzero(kept["predicted"] != kept["label"])
    if not len(wrong):
        return None
    shown = wrong[np.argsort(-kept["confidence"][wrong], kind="stable")][:MOST_MISTAKES]
    total = int(run.confusion.to_numpy().sum() - np.trace(run.confusion.to_numpy()))
    names = [str(name) for name in run.confusion.columns]
    pitch, side = WIDTH / ACROSS, 1.15
    beside = (2 * max(len(plain(name)) for name in names) + len(" → ")) * CHARACTER < pitch  # both classes in a line
    lines, tags = captions(names, pitch)
    height = side + LINE * (2 if beside else 1 + 2 * lines) + 0.22
    tiles, texts = [], []
    for place, member in enumerate(shown.tolist()):
        row, column = divmod(place, ACROSS)
        x, y = column * pitch, row * height
        tiles.append(Tile(kept["image"][member], x + (pitch - side) / 2, y, side, True))
        true, guess = tags[int(kept["label"][member])], tags[int(kept["predicted"][member])]
        said = left_to_right(true, " " if beside else "\n", "→ ", guess)
        texts.append(Line(percent(float(kept["confidence"][member])), x + pitch / 2, y + side + 0.05, strong=True))
        texts.append(Line(said, x + pitch / 2, y + side + 0.05 + LINE))
    which = f"the {len(shown)} most confident of {total} mistakes"
    if len(shown) == total:
        which = "the only mistake" if total == 1 else f"all {total} mistakes"
    title = f"{which}: probability, true class → predicted class"
    return mosaic(tiles, texts, -(-len(shown) // ACROSS) * height, title, float(kept["white"]))


def _are_images(kept: dict[str, np.ndarray]) -> bool:
    return kept["image"].ndim == 4 and len(kept["image"]) > 0 and "white" in kept


def percent(value: float) -> str:
    """A probability in percent; no rounding makes it certain."""
    return f"{value:.1%}" if value < 0.9995 else "> 99.9%" if value < 1.0 else "100%"


def captions(names: Sequence[str], pitch: float) -> tuple[int, list[str]]:
    """The lines that a name takes at most in `pitch` inches, beside an arrow, and the names in as many lines."""
    fits = int((pitch - 0.04) / CHARACTER)
    if max(len(plain(name)) for name in names) <= fits - len("→ "):
        return 1, [plain(name) for name in names]
    wrapped = [_wrapped(name, fits) for name in shortened(names, 2 * fits - 4)]
    return 1 + max(name.count("\n") for name in wrapped), wrapped


def _wrapped(name: str, fits: int) -> str:
    """A name in at most two lines, the first of which has room for an arrow; at a space if that does.

    What was left out in the middle of a name is left out between the lines.
    """
    lines = textwrap.wrap(name, fits, initial_indent="  ")
    head, _, tail = name.partition("…")
    if len(lines) > 1 and tail and len(head) + 1 <= fits - 2 and len(tail) <= fits:
        return f"{head}…\n{tail}"
    if len(lines) > 2 or not lines:
        return f"{name[: fits - 2]}\n{name[fits - 2 :]}"
    return "\n".join(lines).strip()


def mosaic(tiles: Sequence[Tile], texts: Sequence[Line], height: float, title: str, white: float) -> Figure:
    """All tiles as one image, so that hundreds are drawn as quickly as one; frames and texts over it."""
    figure = page(height + 0.5)
    axes = figure.subplots()
    scale = TILE / tiles[0].side  # of the canvas, pixels an inch
    canvas = np.full((int(np.ceil(height * scale)), int(np.ceil(WIDTH * scale)), 3), 255, dtype=np.uint8)
    frames: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for tile in tiles:
        picture = _picture(tile.image, white)
        tall, broad = picture.shape[:2]
        x, y = round(tile.x * scale) + (TILE - broad) // 2, round(tile.y * scale) + (TILE - tall) // 2
        canvas[y : y + tall, x : x + broad] = picture
        corners = np.array([[0, 0], [broad, 0], [broad, tall], [0, tall], [0, 0]]) + np.array([x, y])
        frames[tile.wrong].append(corners / scale)
    extent = (0.0, canvas.shape[1] / scale, canvas.shape[0] / scale, 0.0)
    axes.imshow(canvas, extent=extent, interpolation="nearest", aspect="equal")
    axes.add_collection(LineCollection(frames[0], colors="#bbbbbb", linewidths=0.6))
    axes.add_collection(LineCollection(frames[1], colors=VERMILLION, linewidths=2.0))
    axes.set(xlim=(-0.05, WIDTH), ylim=(height, -0.05))
    axes.set_axis_off()
    axes.set_title(title, fontsize=11)
    _write(axes, texts)
    return figure


def _write(axes: Axes, texts: Sequence[Line]) -> None:
    for line in texts:
        text = axes.text(
            line.x,
            line.y,
            line.text,
            ha=line.align,
            va="top",
            fontsize=FONT,
            color=GREY if line.quiet else "black",
            weight="bold" if line.strong else "normal",
            linespacing=1.15,
            parse_math=False,
        )
        text.set_in_layout(False)  # its place is reckoned with; measuring hundreds would take a second


def _picture(image: np.ndarray, white: float) -> np.ndarray:
    """(C, H, W) in [0, white] as (H, W, 3) uint8 of `TILE` along the longer side.

    A pixel of a small image becomes a square; a large one is averaged.
    """
    channels = image if image.shape[0] == 3 else image.mean(axis=0, keepdims=True)  # two or four are no colours
    scaled = np.clip(np.rint(channels * (255.0 / white)), 0, 255).astype(np.uint8)
    picture = np.ascontiguousarray(np.broadcast_to(scaled, (3, *scaled.shape[1:])).transpose(1, 2, 0))
    longest = max(picture.shape[:2])
    tall, broad = (max(1, round(length * TILE / longest)) for length in picture.shape[:2])
    # a box takes the nearest pixel where it enlarges
    return np.asarray(Image.fromarray(picture).resize((broad, tall), Image.Resampling.BOX))
