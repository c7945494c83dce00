"""The confusion matrix of the test split."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from labrunner.figures.look import GREY, shortened
from labrunner.records import Run

NAME_WIDTH = 24  # characters of a class name beside an axis
SMALLEST = 5.5  # points; smaller numbers are left out
WITHOUT_SUPPORT = "#ebebeb"


def confusion(run: Run) -> Figure | None:
    """Counts of true class (rows) against predicted class (columns); None before the test split was read.

    The colour is the count's share of its row, so that a class with many samples does not drown the others, on a square
    root scale, so that errors of a few percent show beside a strong diagonal.
    """
    if run.confusion is None:
        return None
    counts = run.confusion.to_numpy()
    count = len(counts)
    side = min(11.0, 3.0 + 0.45 * count)  # inches, of the matrix alone
    cell = side * 72 / count  # points
    names = shortened([str(name) for name in run.confusion.columns], NAME_WIDTH)
    font = min(11.0, 0.8 * cell)
    step = 1
    if font < SMALLEST:  # too many to name them all
        font, step = SMALLEST, int(np.ceil(SMALLEST / (0.8 * cell)))
    longest = 0.6 * font * max(map(len, names))  # points; a character is about 0.6 of the font's size wide
    upright = longest <= 0.9 * cell * step
    edge = longest / 72 + 0.6  # inches, for the names beside the axis

    figure = Figure(figsize=(side + edge + 1.3, side + (0.9 if upright else edge)), layout="constrained")
    axes = figure.subplots()
    support = counts.sum(axis=1, keepdims=True)
    shares = np.ma.masked_invalid(np.divide(counts, support, out=np.full(counts.shape, np.nan), where=support > 0))
    colours = matplotlib.colormaps["Blues"].with_extremes(bad=WITHOUT_SUPPORT)
    image = axes.imshow(shares, cmap=colours, norm=PowerNorm(0.5, 0.0, 1.0))
    ticks = np.arange(0, count, step)
    for axis in (axes.xaxis, axes.yaxis):
        # class names come from outside: a $ in one is a dollar and starts no formula
        axis.set_ticks(ticks, [names[tick] for tick in ticks], fontsize=font, parse_math=False)
    if not upright:
        slanted = count <= 12
        turn = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {"rotation": 90}
        for label in axes.get_xticklabels():
            label.set(**turn)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"test split, {counts.sum()} samples", fontsize=11)
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if cell >= 8:
        axes.set_xticks(np.arange(count - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(count - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=0.8)
        axes.tick_params(which="minor", length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
    bar.set_label("share of the true class")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    bar.outline.set_visible(False)
    _numbers(axes, counts, np.asarray(image.cmap(image.norm(shares))), cell)
    return figure


def _numbers(axes: Axes, counts: np.ndarray, colours: np.ndarray, cell: float) -> None:
    """The count in every cell, dark on light and light on dark; none at all where they could not be read."""
    font = min(12.0, 0.45 * cell, 0.85 * cell / (0.6 * len(str(counts.max()))))
    if font < SMALLEST:
        return
    for row, column in np.ndindex(counts.shape):
        count = int(counts[row, column])
        light = _luminance(colours[row, column]) > 0.18  # where black and white contrast alike
        colour = (GREY if count == 0 else "black") if light else "white"
        text = axes.text(column, row, str(count), ha="center", va="center", fontsize=font, color=colour)
        text.set_in_layout(False)  # it lies inside its cell; measuring thousands would take seconds


def _luminance(colour: np.ndarray) -> float:
    """Relative luminance of an sRGB colour (r, g, b, a) in [0, 1] (WCAG 2.1)."""
    linear = np.where(colour[:3] <= 0.04045, colour[:3] / 12.92, ((colour[:3] + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
