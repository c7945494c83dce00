"""Scales on which many runs can be read at once: values, colours, legends and what stands beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.legend import Legend
from matplotlib.ticker import LogLocator, NullFormatter

from labrunner.figures.comparison.shown import is_loss
from labrunner.figures.look import GREY, literal

DECADES = 2.0  # values of a key that span more need a log scale
APART = 5.0  # losses of which the largest is this many times the least are drawn on a log scale
AHEAD = 10.0  # there an exploding loss is followed up to this many times what the better half of the runs reaches
AHEAD_LINEAR = 3.0  # and so far where there are losses of zero or less
LEAST = 1e-12  # and a vanishing one down to this share of the largest
PAGE = 10.0  # inches, the width of every figure here
CHARACTER = 0.6  # width of a character, as a share of the font's size


class Limits(NamedTuple):
    """What part of a metric is shown, and how; None where the data say it."""

    low: float | None
    high: float | None
    log: bool

    def leaves(self, line: np.ndarray) -> bool:
        """Whether a line has a value that is not shown."""
        values = line[np.isfinite(line)]
        above = self.high is not None and bool((values > self.high).any())
        return above or (self.log and self.low is not None and bool((values < self.low).any()))


def limits(column: str, lines: Sequence[np.ndarray]) -> Limits:
    """A scale on which a run that explodes does not flatten the others: these stay whole, it leaves the panel.

    Losses that lie apart are drawn on a log scale, where bad runs and good ones can be read at once. The half of the
    lines with the lower loss is always shown whole, the others up to a multiple of it.
    """
    there = [values for line in lines if (values := line[np.isfinite(line)]).size]
    if not is_loss(column) or not there:
        return Limits(None, None, False)
    best = sorted(there, key=lambda values: float(values.min()))[: (len(there) + 1) // 2]
    core, top = max(float(values.max()) for values in best), max(float(values.max()) for values in there)
    everything = np.concatenate(there)
    lowest, positive = float(everything.min()), everything[everything > 0]
    if lowest >= 0 and positive.size and top > APART * positive.min():
        high = top if core <= 0 or top <= AHEAD * core else AHEAD * core
        low = max(float(positive.min()), high * LEAST)
        edge = (high / low) ** 0.04
        return Limits(low / edge, high if high < top else high * edge, True)
    if core <= 0 or top <= AHEAD_LINEAR * core:
        return Limits(None, None, False)
    high = AHEAD_LINEAR / 2 * core
    return Limits(lowest - 0.05 * (high - lowest), high, False)


def set_scale(panels: Sequence[Axes], lines: Sequence[Sequence[np.ndarray]], column: str, what: str) -> Limits:
    """Scale the value axis of panels that share it, and say above each how many of its lines leave it.

    `lines` are those of each panel, `what` is one of them.
    """
    scale = limits(column, [line for panel in lines for line in panel])
    for axes, inside in zip(panels, lines, strict=True):
        axes.margins(y=0.06)
        if scale.log:
            axes.set_yscale("log")
            few = scale.low is not None and scale.high is not None and scale.high < 1e3 * scale.low
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
            axes.yaxis.set_major_formatter(plain_number)
            axes.yaxis.set_minor_formatter(NullFormatter())
        if scale.high is not None:
            axes.set_ylim(scale.low, scale.high)
        if column.endswith("_accuracy"):
            axes.yaxis.set_major_formatter(percent)
        beyond = [line for line in inside if scale.leaves(line)]
        if beyond:
            top = max(float(np.nanmax(line)) for line in beyond)
            shown = f"{top:,.0f}" if 1000 <= top < 1e6 else f"{top:.3g}"
            said = f"{len(beyond)} {what}{'' if len(beyond) == 1 else 's'} beyond, up to {shown}"
            axes.set_title(said, loc="right", fontsize=9, color=GREY)
    return scale


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


def luminance(colour: Any) -> float:
    """Relative luminance of an sRGB colour (r, g, b, a) in [0, 1] (WCAG 2.1)."""
    parts = np.asarray(colour)[:3]
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def legend_below(figure: FigureBase, handles: Sequence[Any], title: str | None = None) -> Legend | None:
    """A legend under all panels in as many columns as its names leave room for."""
    if not handles:
        return None
    longest = max(len(str(handle.get_label())) for handle in handles)
    room = 0.95 * 72 * PAGE
    columns = max(1, min(len(handles), int(room / (CHARACTER * 10 * longest + 45))))
    rows = math.ceil(len(handles) / columns)
    columns = math.ceil(len(handles) / rows)  # no almost empty last column
    names = [str(handle.get_label()) for handle in handles]
    legend = figure.legend(
        list(handles),
        [" "] * len(names),
        loc="outside lower center",
        ncols=columns,
        borderaxespad=0.0,
        fontsize=10,
        title=title,
        title_fontsize=10,
    )
    literal(legend, names)
    legend.get_title().set_parse_math(False)
    return legend


def note_above(figure: Figure, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", fontsize=9.5, color=GREY, parse_math=False)
