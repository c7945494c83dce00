"""A metric against a numeric key: where the best learning rate lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from matplotlib.transforms import blended_transform_factory

from labrunner.figures.comparison.overlaid import CATEGORIES
from labrunner.figures.comparison.scales import (
    CHARACTER,
    DECADES,
    SMALL,
    legend_below,
    note_above,
    ordered_colours,
    set_scale,
)
from labrunner.figures.comparison.shown import (
    Combination,
    Shown,
    better,
    is_log,
    key_label,
    metric_label,
    tick_names,
)
from labrunner.figures.look import BLACK, BLUE, GREY, ORANGE, PAGE, page, shortened
from labrunner.records import Sweep

LINES = 8  # more combinations of the other keys are points, and a line of the best
BOTH = 3  # up to so many lines each is drawn for the chosen epoch and for the last
KEYS = 4  # rows of panels
LABEL = 10.5  # points
TICK = 10.0  # points
FEW = 6  # values so far apart that words between them have room
MANY = 25  # values that have room for full marks


def metric_against_key(sweep: Sweep) -> Figure | None:
    """The validation metrics at the chosen and at the last epoch against each numeric key.

    A point is a run that is done, or the mean of the seeds with their standard deviation; a run that diverged has no
    value, and a cross on the axis of the key. None without a numeric key besides the seed, or while no run is done.
    """
    shown = Shown(sweep)
    keys = [key for key in shown.numeric if not sweep.is_comparison or comparable(shown, key)][:KEYS]
    columns = [
        column for column in shown.columns if any(each.result(column) is not None for each in shown.combinations)
    ]
    if not keys or not columns:
        return None
    figure = page(0.9 + (3.3 if len(keys) == 1 else 2.9) * len(keys))
    parts = figure.subfigures(len(keys), 1, squeeze=False)[:, 0] if len(keys) > 1 else [figure]
    said: list[str] = []
    for part, key in zip(parts, keys, strict=True):
        panels = part.subplots(1, len(columns), squeeze=False)[0]
        handles, title, note = row_of_panels(panels, shown, key, columns)
        legend_below(part, handles, title)
        said += [note] if note and note not in said else []
    if shown.folds:
        said.append(f"mean and standard deviation over {shown.seeds}; faint: single runs at the chosen epoch")
    note_above(figure, shown.note(*said))
    return figure


def grouped(shown: Shown, others: Sequence[str]) -> list[list[Combination]]:
    """The combinations by their values of the other keys."""
    lines: dict[tuple[int, ...], list[Combination]] = {}
    for each in shown.combinations:
        lines.setdefault(tuple(shown.rank(other, each.values[other]) for other in others), []).append(each)
    return [lines[ranks] for ranks in sorted(lines)]


def comparable(shown: Shown, key: str) -> bool:
    """Whether any two runs differ in nothing but this key."""
    return any(len(group) > 1 for group in grouped(shown, [other for other in shown.keys if other != key]))


def row_of_panels(
    panels: Sequence[Axes], shown: Shown, key: str, columns: Sequence[str]
) -> tuple[list[Line2D], str | None, str]:
    """Draw one key in a panel for each column; returns what the legend explains, its title, and a note."""
    others = [other for other in shown.keys if other != key]
    groups = [sorted(group, key=lambda each: float(each.values[key])) for group in grouped(shown, others)]
    # where the chosen epoch is always the last, one line says both
    same = all(each.chosen == each.last for each in shown.entries if each.status == "done")
    both = len(groups) <= BOTH and not same
    cloud = len(groups) > LINES or any(len({each.values[key] for each in group}) < len(group) for group in groups)
    colours = colours_of(shown, others, len(groups))
    for axes, column in zip(panels, columns, strict=True):
        if cloud:
            draw_cloud(axes, shown, key, column)
        else:
            for group, colour in zip(groups, colours, strict=True):
                draw_line(axes, group, key, column, colour, both, alone=len(groups) == 1)
        set_values(axes, shown.order[key], key, 0.87 * (72 * PAGE / len(columns) - 62))
        room = 72 * PAGE / len(columns) - 66
        axes.set_xlabel(key_label(key, int(room / (0.92 * CHARACTER * LABEL))), fontsize=LABEL, parse_math=False)
        axes.set_ylabel(metric_label(column))
        curves = [entry.column(column)[1] for entry in shown.entries]
        set_scale([axes], [seen(axes)], column, "point", curves)
        mark_diverged(axes, shown, key)
    handles = explained(shown, groups, others, colours, cloud, both)
    if cloud:
        said = f"the runs at one value differ in {', '.join(shortened(others, 30))}" if others else ""
        return handles, None, said
    title = key_label(others[0]) if len(others) == 1 and len(groups) > 1 else None
    if both:
        return handles, title, ""
    return handles, title, "values at the chosen epoch" + (", in every run the last" if same else "")


def explained(
    shown: Shown,
    groups: Sequence[Sequence[Combination]],
    others: Sequence[str],
    colours: Sequence[Any],
    cloud: bool,
    both: bool,
) -> list[Line2D]:
    """The entries of the legend."""
    handles: list[Line2D] = []
    if cloud:
        what = "all combinations" if shown.folds else "all runs"
        handles.append(Line2D([], [], color=BLUE, marker="o", label="best at each value (chosen epoch)"))
        handles.append(Line2D([], [], color=GREY, marker="o", ls="none", alpha=0.5, label=what))
    elif len(groups) > 1:
        names = shown.names([group[0] for group in groups], 40, others)
        handles = [
            Line2D([], [], color=colour, marker="o", label=name) for colour, name in zip(colours, names, strict=True)
        ]
    if both and not cloud:
        alone = len(groups) == 1
        handles.append(Line2D([], [], color=BLUE if alone else GREY, marker="o", label="chosen epoch"))
        handles.append(
            Line2D([], [], color=ORANGE if alone else GREY, ls="--", marker="s", mfc="white", label="last epoch")
        )
    if any(each.diverged for each in shown.combinations):
        handles.append(Line2D([], [], color=BLACK, marker="X", ls="none", ms=8, label="diverged"))
    return handles


def colours_of(shown: Shown, others: Sequence[str], count: int) -> Sequence[Any]:
    """One colour for each line: in the order of the other key where that is a number."""
    if count == 1:
        return [BLUE]
    if len(others) == 1 and others[0] in shown.numeric:
        return ordered_colours(count)
    return [CATEGORIES[index % len(CATEGORIES)] for index in range(count)]


def draw_line(
    axes: Axes, group: Sequence[Combination], key: str, column: str, colour: Any, both: bool, alone: bool
) -> None:
    """One line at the chosen epoch and, if `both`, one at the last; a gap where no run is done."""
    for at in ("chosen", "last") if both else ("chosen",):
        last = at == "last"
        hue = ORANGE if last and alone else colour
        places = np.array([float(each.values[key]) for each in group])
        results = [each.result(column, at) for each in group]
        means = np.array([np.nan if result is None else result.mean for result in results])
        spreads = np.array([np.nan if result is None or result.sd is None else result.sd for result in results])
        axes.plot(
            places,
            means,
            color=hue,
            linestyle="--" if last else "-",
            marker="s" if last else "o",
            markersize=(5 if last else 6) if len(group) <= MANY else 3.5,
            markerfacecolor="white" if last else hue,
            linewidth=1.4 if last else 1.9,
            zorder=2.5 if last else 3,
            label=at,
        )
        if np.isfinite(spreads).any():
            axes.errorbar(
                places, means, yerr=spreads, fmt="none", ecolor=hue, elinewidth=1.2, capsize=3, zorder=2.5, alpha=0.9
            )
        if not last:
            draw_single(axes, group, key, column, hue)


def draw_single(axes: Axes, group: Sequence[Combination], key: str, column: str, colour: Any) -> None:
    """The runs behind the means."""
    single = [
        (float(each.values[key]), value)
        for each in group
        if (result := each.result(column)) is not None and len(result.values) > 1
        for value in result.values
    ]
    if single:
        axes.plot(
            *zip(*single, strict=True), ls="none", marker="o", ms=4, color=colour, alpha=0.35, mew=0, label="single"
        )


def draw_cloud(axes: Axes, shown: Shown, key: str, column: str) -> None:
    """All combinations as points, and a line through the best at each value."""
    points: dict[float, list[float]] = {}
    for each in shown.combinations:
        if (result := each.result(column)) is not None:
            points.setdefault(float(each.values[key]), []).append(result.mean)
    if not points:
        return
    everything = [(place, value) for place, values in points.items() for value in values]
    axes.plot(
        *zip(*everything, strict=True), linestyle="none", marker="o", ms=5, color=GREY, alpha=0.5, mew=0, label="all"
    )
    places = sorted(points)
    best = [points[place][better(column, points[place])] for place in places]
    axes.plot(places, best, color=BLUE, marker="o", ms=6, zorder=3, label="best")


def seen(axes: Axes) -> list[np.ndarray]:
    """Every drawn value as a line of its own, for the scale."""
    return [np.array([value]) for line in axes.get_lines() for value in np.asarray(line.get_ydata(), dtype=float)]


def set_values(axes: Axes, values: Sequence[float], key: str, room: float) -> None:
    """Scale the key's axis; its ticks are the values that were swept, as far as their numbers have room (points)."""
    numbers = [float(value) for value in values]
    positive = [value for value in numbers if value > 0]
    if is_log(key, numbers):
        axes.set_xscale("log")
        places = np.log10(numbers)
    elif numbers[0] == 0 and np.log10(positive[-1] / positive[0]) >= DECADES / 2:
        axes.set_xscale("symlog", linthresh=positive[0], linscale=0.6)
        places = np.array([-0.7 if value == 0 else np.log10(value / positive[0]) for value in numbers])
    else:
        places = np.array(numbers)
    span = places[-1] - places[0]
    shares = (places - places[0]) / span if span > 0 else np.full(len(places), 0.5)
    names = tick_names(values)
    kept: list[int] = []
    end = -np.inf
    for index in (0, len(names) - 1, *range(1, len(names) - 1)) if len(names) > 1 else (0,):
        half = 0.5 * CHARACTER * TICK * len(names[index]) + 3
        middle = shares[index] * room
        if index in (0, len(names) - 1) and len(kept) < 2:
            kept.append(index)
            if index == 0:
                end = middle + half
            limit = middle - half
        elif middle - half >= end and middle + half <= limit:
            kept.append(index)
            end = middle + half
    # where there are too many of them, powers of ten say more
    if len(kept) == len(numbers) or axes.get_xscale() != "log" or numbers[-1] < 100 * numbers[0]:
        axes.xaxis.set_major_locator(FixedLocator([numbers[index] for index in sorted(kept)]))
        axes.xaxis.set_major_formatter(FixedFormatter([names[index] for index in sorted(kept)]))
        axes.xaxis.set_minor_locator(FixedLocator(sorted(set(numbers))) if len(kept) < len(numbers) else NullLocator())
    axes.xaxis.set_tick_params(which="minor", labelbottom=False)
    axes.tick_params(axis="x", labelsize=TICK)
    low, high = numbers[0], numbers[-1]
    if axes.get_xscale() == "log":
        pad = (high / low) ** (0.06 if len(numbers) > FEW else 0.1) if high > low else 2.0
        axes.set_xlim(low / pad, high * pad)
    elif axes.get_xscale() == "symlog":
        axes.set_xlim(-0.5 * positive[0], high * (high / positive[0]) ** 0.06)
    else:
        pad = (0.06 if len(numbers) > FEW else 0.1) * (high - low) or 1.0
        axes.set_xlim(low - pad, high + pad)


def mark_diverged(axes: Axes, shown: Shown, key: str) -> None:
    """A cross where runs diverged, on the axis of the key: no value of a metric stands there. Beside it their share."""
    total: dict[float, list[int]] = {}
    for each in shown.combinations:
        count = total.setdefault(float(each.values[key]), [0, 0])
        count[0] += each.diverged
        count[1] += len(each.entries)
    worst = [place for place, (diverged, _) in total.items() if diverged]
    if not worst:
        return
    edge = blended_transform_factory(axes.transData, axes.transAxes)
    axes.plot(
        sorted(worst),
        [0.0] * len(worst),
        color=BLACK,
        marker="X",
        ms=9 if len(worst) <= MANY else 6,
        mec="white",
        ls="none",
        transform=edge,
        clip_on=False,
        zorder=4,
        label="diverged",
    )
    for place in worst:
        diverged, runs = total[place]
        if runs > 1:
            axes.annotate(
                f"{diverged} of {runs}",
                (place, 0.0),
                xycoords=edge,
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=SMALL,
                color=BLACK,
                zorder=4,
            ).set_path_effects([withStroke(linewidth=3, foreground="white")])
