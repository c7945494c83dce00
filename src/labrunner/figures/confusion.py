"""The confusion matrix of the test split: counts, shares of the true class, shares of the predicted class."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from labrunner.figures.look import GREY, luminance, of_samples, shortened
from labrunner.records import Run

NAME_WIDTH = 24  # characters of a class name beside an axis
SMALLEST = 5.5  # points; smaller numbers are left out
EXACT = 12  # classes up to which shares have a decimal
UNDEFINED = "#dcdcdc"


def confusion(run: Run) -> Figure | None:
    """Counts of true class (rows) against predicted class (columns); None before the test split was read.

    The colour is the count's share of its row, so that a class with many samples does not drown the others, on a square
    root scale, so that errors of a few percent show beside a strong diagonal.
    """
    if run.confusion is None:
        return None
    counts = run.confusion.to_numpy()
    written = [[str(count) for count in row] for row in counts.tolist()]
    return _matrix(run, _shares(counts, 1), written, "number of samples", "true")


def confusion_true(run: Run) -> Figure | None:
    """Percent of each true class, so that rows sum to 100 and recall stands on the diagonal; None as `confusion`."""
    if run.confusion is None:
        return None
    shares = _shares(run.confusion.to_numpy(), 1)
    return _matrix(run, shares, _percents(shares), "% of the true class: the diagonal is recall", "true")


def confusion_predicted(run: Run) -> Figure | None:
    """Percent of each predicted class, so that columns sum to 100 and precision stands on the diagonal.

    The column of a class that was never predicted is grey and without numbers; None as `confusion`.
    """
    if run.confusion is None:
        return None
    shares = _shares(run.confusion.to_numpy(), 0)
    return _matrix(run, shares, _percents(shares), "% of the predicted class: the diagonal is precision", "predicted")


def _shares(counts: np.ndarray, axis: int) -> np.ndarray:
    """Counts (K, K) over their sums along `axis`; NaN where that is zero."""
    sums = np.broadcast_to(counts.sum(axis=axis, keepdims=True), counts.shape)
    return np.divide(counts, sums, out=np.full(counts.shape, np.nan), where=sums > 0)


def _percents(shares: np.ndarray) -> list[list[str]]:
    """Shares in percent as they are written; neither what is above 0 nor what is below 100 is rounded away."""
    decimals = 1 if len(shares) <= EXACT else 0
    step = 10.0**-decimals

    def percent(share: float) -> str:
        if np.isnan(share):
            return ""
        if share in (0.0, 1.0):
            return f"{100 * share:.0f}"
        value = round(100 * share, decimals)
        if value < step:
            return f"<{step:g}"
        return f">{100 - step:g}" if value > 100 - step else f"{value:.{decimals}f}"

    return [[percent(share) for share in row] for row in shares.tolist()]


def _matrix(run: Run, shares: np.ndarray, written: list[list[str]], meaning: str, whole: str) -> Figure:
    """The matrix in the colours of `shares` (K, K), NaN in grey, and with what is `written` in its cells.

    `whole` is what the shares are of: the true or the predicted class.
    """
    assert run.confusion is not None
    count = len(shares)
    side = min(11.0, 2.9 + 0.31 * count)  # inches, of the matrix alone
    cell = side * 72 / count  # points
    names = shortened([str(name) for name in run.confusion.columns], NAME_WIDTH)
    font = min(11.0, 0.8 * cell)
    step = 1
    if font < SMALLEST:  # too many to name them all
        font, step = SMALLEST, int(np.ceil(SMALLEST / (0.8 * cell)))
    longest = 0.6 * font * max(map(len, names))  # points; a character is about 0.6 of the font's size wide
    upright = longest <= 0.9 * cell * step
    edge = longest / 72 + 0.6  # inches, for the names beside the axis

    width = side + edge + 1.3
    large = 11.0 * max(1.0, width / 9)  # as large on the page when the page shrinks the figure
    figure = Figure(figsize=(width, side + (1.1 if upright else edge + 0.2)), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["Blues"].with_extremes(bad=UNDEFINED)
    values = np.ma.masked_invalid(shares)
    image = axes.imshow(values, cmap=colours, norm=PowerNorm(0.5, 0.0, 1.0))
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    renderer = FigureCanvasAgg(figure).get_renderer()  # one for all: each is as large as the picture
    slanted = count <= 12
    turn = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {"rotation": 90}
    for axis, style in ((axes.xaxis, {} if upright else turn), (axes.yaxis, {})):
        _name(axis, names, np.arange(0, count, step), font, style, renderer)
    axes.set_xlabel("predicted class", fontsize=large)
    axes.set_ylabel("true class", fontsize=large)
    lines = [of_samples(run, run.confusion.to_numpy().sum()), meaning]
    if np.isnan(shares).any():
        lines.append("grey row: no test samples" if whole == "true" else "grey column: never predicted")
    axes.set_title("\n".join(lines), fontsize=large)
    if cell >= 8:
        between = np.arange(count - 1) + 0.5
        low, high = -0.5, count - 0.5
        seams = [[(low, at), (high, at)] for at in between] + [[(at, low), (at, high)] for at in between]
        axes.add_collection(LineCollection(seams, colors="white", linewidths=0.8), autolim=False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
    bar.set_label(f"share of the {whole} class", fontsize=large)
    bar.ax.tick_params(labelsize=large)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    bar.outline.set_visible(False)
    _numbers(axes, written, np.asarray(image.cmap(image.norm(values))), cell)
    return figure


def _name(
    axis: Axis, names: list[str], ticks: np.ndarray, font: float, style: dict[str, Any], renderer: RendererAgg
) -> None:
    """Write the names beside an axis."""
    # class names come from outside: a $ in one is a dollar and starts no formula
    axis.set_ticks(ticks, [names[tick] for tick in ticks], fontsize=font, parse_math=False)
    shown = [tick.label1 for tick in axis.get_major_ticks()][: len(ticks)]
    for label in shown:
        label.set(**style)
    # the layout measures each label many times, and the longest say it all
    extents = [label.get_window_extent(renderer) for label in shown]
    telling = {0, max(range(len(shown)), key=lambda at: extents[at].width)}
    telling.add(max(range(len(shown)), key=lambda at: extents[at].height))
    for at, label in enumerate(shown):
        label.set_in_layout(at in telling)


def _numbers(axes: Axes, written: list[list[str]], colours: np.ndarray, cell: float) -> None:
    """What stands in the cells, dark on light and light on dark; nothing at all where it could not be read."""
    longest = max(len(text) for row in written for text in row)
    font = min(11.0, 0.45 * cell, 0.85 * cell / (0.6 * max(longest, 1)))
    if font < SMALLEST:
        return
    for row, texts in enumerate(written):
        for column, content in enumerate(texts):
            if not content:
                continue
            light = luminance(colours[row, column]) > 0.18  # where black and white contrast alike
            colour = (GREY if content == "0" else "black") if light else "white"
            text = axes.text(column, row, content, ha="center", va="center", fontsize=font, color=colour)
            text.set_in_layout(False)  # it lies inside its cell; measuring thousands would take seconds
