"""Figures of a sweep about what networks make of images, and what their size buys."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    EngFormatter,
    FixedFormatter,
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from labrunner.errors import LabrunnerError
from labrunner.figures.comparison.overlaid import CATEGORIES, STYLES
from labrunner.figures.comparison.scales import legend_below, legend_shape, note_above
from labrunner.figures.comparison.shown import Combination, Shown
from labrunner.figures.look import page, plain
from labrunner.figures.probed.images import depths
from labrunner.own import name_of
from labrunner.records import Sweep

LINES = 12  # combinations that are drawn
POINTS = 42  # combinations whose marks are told apart
PANELS = 3  # data sets beside each other
SIZES = 3  # that a panel has at least: two points are no trend
MARKERS = "os^Dv*"
SHARES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)  # accuracies along a log axis
BETWEEN = tuple(round(0.05 * step, 2) for step in range(20))  # and where they are too far apart


def parameters(sweep: Sweep) -> Figure | None:
    """Validation accuracy at the chosen epoch against the number of parameters, a panel for each data set.

    A point is the mean of the seeds with their standard deviation. The share of mistakes has a log scale, on which
    99% is as far from 98% as 80% from 60%. A data set on which models of less than three sizes are done has no panel.
    """
    shown = Shown(sweep)
    panels: dict[str, list[tuple[Combination, float]]] = {}
    for each in shown.combinations:
        size = _parameters(each)
        if size is not None and each.result("val_accuracy") is not None:
            panels.setdefault(_data_set(each), []).append((each, size))
    names = [name for name, group in panels.items() if len({size for _, size in group}) >= SIZES][:PANELS]
    if not names:
        return None
    drawn = [pair for name in names for pair in panels[name]][:POINTS]
    looks = {id(each): (CATEGORIES[i % 7], MARKERS[i // 7 % 6]) for i, (each, _) in enumerate(drawn)}
    titles = shown.names([each for each, _ in drawn])
    handles = [
        Line2D([], [], ls="none", marker=looks[id(each)][1], ms=7, color=looks[id(each)][0], mew=0, label=title)
        for (each, _), title in zip(drawn, titles, strict=True)
    ]
    figure = page(3.9 + 0.22 * legend_shape(handles)[0])
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        group = [pair for pair in panels[name] if id(pair[0]) in looks]
        _draw_sizes(axes, group, looks)
        axes.set_xlabel("parameters (k: thousand)")
        if len(names) > 1:
            axes.set_title(plain(name), fontsize=11, parse_math=False)
    figure.axes[0].set_ylabel("validation accuracy")
    legend_below(figure, handles)
    said = [f"mean and standard deviation over {shown.seeds}"] if shown.folds else []
    left_out = sum(map(len, panels.values())) - len(drawn)
    note_above(figure, shown.note(*said, *([f"{left_out} combinations left out"] if left_out else [])))
    return figure


def _draw_sizes(axes: Axes, group: Sequence[tuple[Combination, float]], looks: dict[int, tuple[Any, str]]) -> None:
    sizes = [size for _, size in group]
    results = [result for each, _ in group if (result := each.result("val_accuracy")) is not None]
    wrong = [1.0 - result.mean for result in results]
    spreads = [result.sd or 0.0 for result in results]
    # where a bar would reach a share of 0, half of the least mistake that a run made stands for it
    single = [1.0 - value for result in results for value in result.values]
    half = 0.5 * min([share for share in single if share > 1e-9], default=0.002)
    ends = [max(share - sd, half) for share, sd in zip(wrong, spreads, strict=True)]
    low, high = 0.8 * min(ends), min(1.2, 1.2 * max(share + sd for share, sd in zip(wrong, spreads, strict=True)))
    high = max(high, 3.0 * low)
    for (each, size), share, sd, end in zip(group, wrong, spreads, ends, strict=True):
        colour, marker = looks[id(each)]
        at = max(share, half)
        axes.plot([size], [at], marker=marker, color=colour, ms=7.5, mew=0, zorder=3, clip_on=False)
        axes.vlines(size, end, max(share + sd, at), color=colour, lw=1.4, zorder=2.5)
    axes.set_xscale("log")
    spread = max(1.3, (max(sizes) / min(sizes)) ** 0.08)
    axes.set_xlim(min(sizes) / spread, max(sizes) * spread)
    low_size, high_size = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high_size < 300 * low_size else (1.0,)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yscale("log")
    axes.set_ylim(high, low)  # upward is better
    ticks = [share for share in SHARES if low <= 1.0 - share <= high]
    if len(ticks) < 2:
        ticks = [share for share in BETWEEN if low <= 1.0 - share <= high]
    axes.yaxis.set_major_locator(FixedLocator([1.0 - share for share in ticks]))
    axes.yaxis.set_major_formatter(FixedFormatter([f"{100 * share:g}%" for share in ticks]))
    axes.yaxis.set_minor_locator(NullLocator())


def _parameters(each: Combination) -> float | None:
    for entry in each.entries:
        run = entry.member.run
        value = None if run is None else run.facts.get("parameters")
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 and math.isfinite(value):
            return float(value)
    return None


def _data_set(each: Combination) -> str:
    run = each.entries[0].member.run
    try:
        return "" if run is None else name_of(run.config["dataset"])
    except (LabrunnerError, LookupError, TypeError):  # a damaged folder
        return ""


def shifts(sweep: Sweep) -> Figure | None:
    """Accuracy against how far the images are shifted, the mean of the four straight directions; band over the seeds.

    None where the probe was not asked for.
    """
    return _lines(sweep, "shift", _by_distance, "pixels shifted", "accuracy", "mean of up, down, left and right")


def silhouettes(sweep: Sweep) -> Figure | None:
    """How well the classes lie apart at each depth at the chosen epoch; band over the seeds.

    None where the probe was not asked for.
    """
    return _lines(sweep, "silhouette", _by_depth, "depth", "silhouette (-1 to 1)", "of the classes at the chosen epoch")


def _by_distance(table: Any) -> dict[float, float]:
    straight = table[(table["down"] == 0) | (table["right"] == 0)]
    far = np.maximum(straight["down"].abs(), straight["right"].abs())
    return {float(place): float(value) for place, value in straight.groupby(far)["accuracy"].mean().items()}


def _by_depth(table: Any) -> dict[float, float]:
    part = table[(table["epoch"] != 0) & table["silhouette"].notna()]
    return dict(zip(part["depth"].astype(float), part["silhouette"].astype(float), strict=True))


def _lines(
    sweep: Sweep, probe: str, values: Callable[[Any], dict[float, float]], across: str, up: str, what: str
) -> Figure | None:
    """A line for each combination: the mean over its runs of what a probe measured, and a band from low to high."""
    shown = Shown(sweep)
    found: list[tuple[Combination, list[dict[float, float]]]] = []
    table: Any = None
    for each in shown.combinations:
        noted = []
        for entry in each.entries:
            one = None if entry.member.run is None or entry.status != "done" else entry.member.run.probe(probe)
            if one is not None and (line := values(one)):
                noted.append(line)
                table = one if table is None or len(one) > len(table) else table
        if noted:
            found.append((each, noted))
    if not found:
        return None
    drawn = found[:LINES]
    handles = []
    titles = shown.names([each for each, _ in drawn])
    for index, title in enumerate(titles):
        style = STYLES[index // len(CATEGORIES) % len(STYLES)]
        colour = CATEGORIES[index % len(CATEGORIES)]
        handles.append(Line2D([], [], color=colour, ls=style, marker=MARKERS[index % 6], lw=2, ms=6, label=title))
    figure = page(3.7 + 0.22 * legend_shape(handles)[0])
    axes = figure.subplots()
    for (_, lines), handle in zip(drawn, handles, strict=True):
        places = sorted(set.intersection(*(set(line) for line in lines)))
        spread = np.array([[line[place] for place in places] for line in lines])
        how: dict[str, Any] = {"color": handle.get_color(), "ls": handle.get_linestyle(), "lw": 2, "ms": 6}
        axes.plot(places, spread.mean(axis=0), marker=handle.get_marker(), zorder=3, **how)
        if len(lines) > 1:
            axes.fill_between(places, spread.min(axis=0), spread.max(axis=0), color=how["color"], alpha=0.18, lw=0)
    if probe == "silhouette" and len({tuple(sorted(lines[0])) for _, lines in drawn}) == 1:
        depths(axes, table)
    axes.xaxis.set_major_locator(axes.xaxis.get_major_locator() if probe == "silhouette" else MaxNLocator(integer=True))
    axes.set(xlabel=across, ylabel=up)
    if probe == "shift":
        axes.set_ylim(0.0, 1.03)
    legend_below(figure, handles if len(drawn) > 1 else [])
    said = [what]
    if shown.folds:
        said.append(f"mean of {shown.seeds}, band: lowest to highest")
    if len(found) > LINES:
        said.append(f"{len(found) - LINES} combinations left out")
    note_above(figure, shown.note(*said))
    return figure


FIGURES: dict[str, tuple[Callable[[Sweep], Figure | None], bool]] = {
    "parameters": (parameters, True),
    "shifts": (shifts, True),
    "silhouettes": (silhouettes, True),
}
