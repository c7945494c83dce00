"""Scales on which many runs can be read at once: values, colours, legends and what stands beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, FigureBase
from matplotlib.legend import Legend
from matplotlib.ticker import LogLocator, NullFormatter

from labrunner.figures.comparison.shown import is_loss
from labrunner.figures.look import GREY, PAGE, literal

DECADES = 2.0  # values of a key that span more need a log scale
APART = 5.0  # losses of which the largest is this many times the least are drawn on a log scale
EXPLODES = 10.0  # a loss this many times as high as any of the better half of the runs
STAYS = 1e3  # up to so many times that, a whole category of runs is no explosion: left out, it would be missed
LEAST = 1e-12  # a vanishing loss is followed down to this share of the largest
ROOM = 2.0  # above what is shown whole, for lines that leave a log scale
SMALL = 10.0  # points, the least of words: on a page 16 cm wide they become 8
CHARACTER = 0.6  # width of a character, as a share of the font's size


class Limits(NamedTuple):
    """What part of a metric is shown, and how; None where the data say it."""

    low: float | None
    high: float | None
    log: bool

    def rises_above(self, line: np.ndarray) -> bool:
        """Whether a line leaves the panel at its top."""
        return self.high is not None and bool((line[np.isfinite(line)] > self.high).any())

    def falls_below(self, line: np.ndarray) -> bool:
        """Whether a line has a zero, or what is as good as one, that a log scale has no place for."""
        return self.log and self.low is not None and bool((line[np.isfinite(line)] < self.low).any())


def limits(
    column: str,
    lines: Sequence[np.ndarray],
    runs: Sequence[np.ndarray] | None = None,
    categories: Sequence[Sequence[np.ndarray]] = (),
) -> Limits:
    """A scale on which all lines can be read but those that explode, which leave the panel at its top.

    What explodes is told from the curves of the `runs`, where the lines are something else. Of each of the `categories`
    of lines some stay, unless all of them are far out of reach. Losses that lie apart are drawn on a log scale,
    where bad runs and good ones can be read at once.
    """
    there = [values for line in lines if (values := line[np.isfinite(line)]).size]
    if not is_loss(column) or not there:
        return Limits(None, None, False)
    most = ceiling(there if runs is None else [values for run in runs if (values := run[np.isfinite(run)]).size])
    if most is not None:
        heights = [
            [float(line[np.isfinite(line)].max()) for line in each if np.isfinite(line).any()] for each in categories
        ]
        missed = [height for each in heights if min(each, default=0.0) > most for height in each]
        most = max([most, *(height for height in missed if height <= STAYS * most)])
    kept = [values for values in there if most is None or values.max() <= most]
    if not kept:
        return limits(column, lines)
    everything = np.concatenate(kept)
    lowest, top, positive = float(everything.min()), float(everything.max()), everything[everything > 0]
    cut = len(kept) < len(there)
    if lowest >= 0 and positive.size and top / positive.min() > (APART if lowest > 0 else 10**DECADES):
        low = max(float(positive.min()), top * LEAST)
        edge = (top / low) ** 0.05
        return Limits(low / edge, top * max(edge, ROOM if cut else 0.0), True)
    if not cut:
        return Limits(None, None, False)
    room = 0.06 * (top - lowest) or 0.1 * abs(top) or 1.0
    return Limits(lowest - room, top + 3 * room, False)


def ceiling(lines: Sequence[np.ndarray]) -> float | None:
    """Above what a loss explodes: ten times the highest of that half of the lines which come lowest, on from zero.

    None where all of these are zero throughout.
    """
    best = sorted(lines, key=lambda values: float(values.min()))[: (len(lines) + 1) // 2]
    low, core = min(0.0, *(float(values.min()) for values in best)), max(float(values.max()) for values in best)
    return low + EXPLODES * (core - low) if core > low else None


def set_scale(
    panels: Sequence[Axes],
    lines: Sequence[Sequence[np.ndarray]],
    column: str,
    what: str,
    runs: Sequence[np.ndarray] | None = None,
    categories: Sequence[Sequence[np.ndarray]] = (),
) -> Limits:
    """Scale the value axis of panels that share it, and say above each how many of its lines leave it.

    `lines` are those of each panel, `what` is one of them, `runs` and `categories` as in `limits`.
    """
    scale = limits(column, [line for panel in lines for line in panel], runs, categories)
    for axes, inside in zip(panels, lines, strict=True):
        axes.margins(y=0.06)
        if scale.log:
            set_log(axes, scale)
        elif scale.high is not None:
            axes.set_ylim(scale.low, scale.high)
        if column.endswith("_accuracy"):
            axes.yaxis.set_major_formatter(percent)
        said = []
        above = [float(np.nanmax(line)) for line in inside if scale.rises_above(line)]
        if above:
            said.append(f"{counted(len(above), what)} beyond, up to {shown_number(max(above))}")
        below = sum(scale.falls_below(line) for line in inside)
        if below:
            said.append(f"{counted(below, what)} down to 0")
        if said and len(panels) == 1:
            axes.set_title("; ".join(said), loc="right", fontsize=SMALL, color=GREY)
        elif said:  # beside each panel's own title there may be no room
            inset: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
            where: dict[str, Any] = {
                "xycoords": "axes fraction",
                "textcoords": "offset points",
                "ha": "right",
                "va": "top",
            }
            axes.annotate("; ".join(said), (1, 1), (-2, -2), fontsize=SMALL, color=GREY, bbox=inset, **where)
    return scale


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def shown_number(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= value < 1e6 else f"{value:.3g}"


def set_log(axes: Axes, scale: Limits) -> None:
    """A log scale with plain numbers."""
    low, high = scale.low or LEAST, scale.high or 1.0
    axes.set_yscale("log")
    plain_log(axes.yaxis, low, high)
    axes.set_ylim(low, high)


def plain_log(axis: Axis, low: float, high: float) -> None:
    """Plain numbers along a log axis, more of them the less it spans."""
    span = high / low
    subs = (1.0, 2.0, 3.0, 5.0) if span < 30 else (1.0, 2.0, 5.0) if span < 1e3 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12 if span < 1e3 else 9))
    axis.set_major_formatter(plain_number)
    axis.set_minor_formatter(NullFormatter())


def plain_number(value: float, _: object = None) -> str:
    """0.05 and 20, and powers of ten where zeros would have to be counted."""
    return f"{value:g}" if 1e-4 <= value < 1e5 else f"{value:.0e}"


def percent(share: float, _: object = None) -> str:
    """100%, and 99.5% where it is close."""
    return f"{round(100 * share, 6):g}%"


def ordered_colours(count: int) -> list[Any]:
    """Colours from dark to bright in the order of a quantity, none so bright that it fades on white."""
    return [tuple(colour) for colour in ORDERED(np.linspace(0.0, 1.0, count) if count > 1 else [0.3])]


def _clipped() -> matplotlib.colors.Colormap:
    return matplotlib.colors.ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.0, 0.74, 256)), "ordered")


ORDERED = _clipped()


def legend_shape(handles: Sequence[Any]) -> tuple[int, int]:
    """Rows and columns of a legend as wide as the page."""
    if not handles:
        return 0, 0
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(len(handles), int(0.95 * 72 * PAGE / (CHARACTER * SMALL * longest + 45))))
    rows = math.ceil(len(handles) / columns)
    return rows, math.ceil(len(handles) / rows)  # no almost empty last column


def legend_below(figure: FigureBase, handles: Sequence[Any], title: str | None = None) -> Legend | None:
    """A legend under all panels in as many columns as its names leave room for."""
    if not handles:
        return None
    columns = legend_shape(handles)[1]
    names = [str(handle.get_label()) for handle in handles]
    legend = figure.legend(
        list(handles),
        [" "] * len(names),
        loc="outside lower center",
        ncols=columns,
        borderaxespad=0.0,
        columnspacing=1.4,
        fontsize=SMALL,
        title=title,
        title_fontsize=SMALL,
    )
    literal(legend, names)
    legend.get_title().set_parse_math(False)
    return legend


def note_above(figure: Figure, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", fontsize=SMALL, color=GREY, parse_math=False)
