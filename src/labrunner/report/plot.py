"""Curves as numbers that an inline SVG is written with: scales, ticks and paths; no HTML, no library.

Lengths are in the units of the SVG's viewBox, `WIDTH` by `HEIGHT`, of which one is about a pixel. What a curve shows
can be read off its ticks; a reader of the page gets the exact values from the table that the same rows are in.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

from labrunner.report.origin import Shown

WIDTH, HEIGHT = 480, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 468, 12, 212  # of the field in which the lines run
INSIDE = 8  # from the field's edges to the first and the last epoch
MOST_TICKS = 6
FEW = 20  # up to so many epochs each has a mark
DECADES = 2.0  # positive values that span more are drawn on a log scale
LARGEST = sys.float_info.max


class Axis(NamedTuple):
    """A scale: values in [low, high] to places in [start, end]."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        low, high, at = (
            (math.log10(self.low), math.log10(self.high), math.log10(value))
            if self.log
            # in halves, since the difference of two large numbers may be more than there is a number for
            else (self.low / 2, self.high / 2, value / 2)
        )
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)


class Tick(NamedTuple):
    place: float
    label: str


class Line(NamedTuple):
    """A column of ``metrics.csv`` as it is drawn."""

    column: str
    name: str
    style: str  # a class of style.css, which has its colour and its dashes
    path: str  # the ``d`` of an SVG path; a blank is a gap
    marks: list[tuple[float, float]]
    shown: Shown  # its value in the epoch that is told first


class Plot(NamedTuple):
    """A panel with its lines; `chosen` and `diverged` are places on the x axis."""

    title: str
    x: Axis
    y: Axis
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    chosen: float | None
    diverged: float | None
    percent: bool


def epochs_axis(epochs: Sequence[int]) -> Axis:
    """The x axis of increasing epochs."""
    return Axis(epochs[0], epochs[-1], LEFT + INSIDE, RIGHT - INSIDE)


def values_axis(values: Sequence[float], spans_decades: float = DECADES) -> Axis:
    """The y axis of finite values; on a log scale where they are positive and span more than so many decades."""
    low, high = min(values), max(values)
    if low > 0 and math.log10(high) - math.log10(low) > spans_decades:
        room = (high / low) ** 0.04 if high / low < LARGEST else 10.0
        return Axis(max(low / room, 5e-324), min(high * room, LARGEST), BOTTOM, TOP, log=True)
    # of equal values a tenth to either side, of zeros a half
    room = 0.05 * (high / 2 - low / 2) * 2 if high > low else abs(high) / 10 or 0.5
    return Axis(max(low - room, -LARGEST), min(high + room, LARGEST), BOTTOM, TOP)


def ticks(axis: Axis, percent: bool = False, whole: bool = False) -> list[Tick]:
    """Round values within an axis, at most `MOST_TICKS`, and what is written there."""
    values = _decades(axis) if axis.log else _steps(axis, whole)
    return [Tick(axis.place(value), _label(value, percent)) for value in values]


def _label(value: float, percent: bool) -> str:
    return f"{round(100 * value, 9):g}%" if percent else f"{value:.6g}"


def _steps(axis: Axis, whole: bool) -> list[float]:
    if not axis.high > axis.low:
        return [axis.low]
    rough = (axis.high / MOST_TICKS - axis.low / MOST_TICKS) or axis.high
    exponent = math.floor(math.log10(rough))
    size = next((size for size in (1, 2, 5, 10) if size * 10.0**exponent >= rough), 10)
    step = size * 10.0**exponent
    if whole:
        step = max(1.0, step)
    first, last = math.ceil(axis.low / step), math.floor(axis.high / step)
    return [number * step if step >= 1 else round(number * step, 1 - exponent) for number in range(first, last + 1)]


def _decades(axis: Axis) -> list[float]:
    first, last = math.ceil(math.log10(axis.low)), math.floor(math.log10(axis.high))
    every = max(1, -(-(last - first + 1) // MOST_TICKS))
    found = [10.0**exponent for exponent in range(first, last + 1, every)]
    if len(found) < 3:  # of a few decades also what lies between them
        found = [size * 10.0**exponent for exponent in range(first - 1, last + 1) for size in (1, 2, 5)]
    return [value for value in found if axis.low <= value <= axis.high]


def path(places: Sequence[tuple[float, float] | None]) -> str:
    """The ``d`` of a path through places; None is a gap."""
    words, pen = [], "M"
    for place in places:
        if place is not None:
            words.append(f"{pen}{place[0]:g} {place[1]:g}")
        pen = "M" if place is None else "L"
    return "".join(words)


def marks(places: Sequence[tuple[float, float] | None]) -> list[tuple[float, float]]:
    """Where a mark stands: of few places at each, of many at those between two gaps, which have no line."""
    around = [None, *places, None]
    return [
        place
        for index, place in enumerate(places)
        if place is not None and (len(places) <= FEW or around[index] is around[index + 2] is None)
    ]
