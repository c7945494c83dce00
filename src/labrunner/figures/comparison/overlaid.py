"""The validation curves of all runs over each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory, offset_copy

from labrunner.figures.comparison.scales import (
    DECADES,
    LEAST,
    ORDERED,
    Limits,
    legend_below,
    legend_shape,
    note_above,
    ordered_colours,
    set_scale,
)
from labrunner.figures.comparison.shown import (
    Combination,
    Entry,
    Shown,
    is_log,
    is_loss,
    key_label,
    metric_label,
    tick_names,
    typed,
)
from labrunner.figures.look import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, SKY, VERMILLION, page, shortened
from labrunner.records import Sweep

CATEGORIES = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
STYLES: tuple[Any, ...] = ("-", "--", ":", "-.")
LEGEND = 10  # more values of a numeric key get a colour bar
NAMED = 14  # more categories than this, and only the best are named
BEST = 10
FACETS = 6


@dataclass(frozen=True)
class Look:
    """How a combination is drawn, and in which row of panels."""

    colour: Any
    style: Any = "-"
    row: int = 0
    front: bool = True


@dataclass
class Plan:
    """The looks of all combinations, and what explains them."""

    looks: list[Look]
    rows: list[str] = field(default_factory=lambda: [""])
    handles: list[Line2D] = field(default_factory=list)
    title: str | None = None
    bar: tuple[ScalarMappable, list[float], list[str]] | None = None
    notes: list[str] = field(default_factory=list)


def validation(sweep: Sweep) -> Figure | None:
    """The validation columns of every run over the epochs, coloured in the order of the swept key.

    Seeds fold into their mean and a band from the lowest to the highest, as far as all of them go; a run that goes on
    longer, or is not done, is a thin line. None while no run has a value.
    """
    shown = Shown(sweep)
    if not shown.columns:
        return None
    plan = planned(shown)
    count, columns = len(plan.rows), shown.columns
    handles = [*plan.handles, *marks(shown)]
    below = 0.22 * legend_shape(handles)[0] + 0.2 * (plan.bar is None and plan.title is not None)
    figure = page((3.4 if count == 1 else 2.3 * count) + 0.5 + below)
    panels = figure.subplots(count, len(columns), squeeze=False, sharex=True, sharey="col")
    for place, column in enumerate(columns):
        draw_column([row[place] for row in panels], shown, plan, column)
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    for row, title in zip(panels, plan.rows, strict=True):
        if title:
            row[0].set_title(title, loc="left", fontsize=10.5, parse_math=False)
    set_epochs(panels[0][0], shown.entries, wide=len(columns) <= 2)
    if plan.bar is not None:
        mappable, ticks, labels = plan.bar
        bar = figure.colorbar(mappable, ax=list(panels.flat), pad=0.015, aspect=30 if count == 1 else 40)
        bar.set_ticks(ticks, labels=labels)
        bar.minorticks_off()
        bar.set_label(plan.title or "")
        bar.outline.set_visible(False)
    legend_below(figure, handles, None if plan.bar else plan.title)
    note_above(figure, shown.note(*notes(shown, plan)))
    return figure


def notes(shown: Shown, plan: Plan) -> list[str]:
    said = list(plan.notes)
    if shown.folds:
        some = any(each.status != "done" for each in shown.entries)
        seeds = f"those of {shown.seeds} that are done" if some else shown.seeds
        said.append(f"line: mean of {seeds}, as far as all go on; band: lowest to highest")
    if any(each.rows and unfinished(each) for each in shown.entries):
        said.append("thin: runs that are not done")
    if shown.columns[0].startswith("train_"):
        said.append("no run has a val split: the training columns are shown")
    if any(map(is_loss, shown.columns)):
        said += shown.cautions
    return said


def unfinished(entry: Entry) -> bool:
    return entry.status not in ("done", "diverged")


def planned(shown: Shown) -> Plan:
    """How the combinations are told apart: by the order of a numeric key first, by category otherwise."""
    together = shown.sweep.is_comparison and len(shown.keys) > 1  # unrelated runs: a key that happens to be a number
    if shown.numeric and not together:
        return by_number(shown, shown.numeric[0])
    return by_category(shown)


def by_number(shown: Shown, key: str) -> Plan:
    combinations, values = shown.combinations, shown.order[key]
    others = [other for other in shown.keys if other != key]
    rest: dict[tuple[int, ...], str] = {}
    for each in combinations:
        rest[tuple(shown.rank(other, each.values[other]) for other in others)] = shown.named(each, others)
    rest = dict(sorted(rest.items()))
    place = {ranks: index for index, ranks in enumerate(rest)}
    bar = len(values) > LEGEND
    norm = norm_of(key, values)
    spread = ordered_colours(len(values))
    faceted = 1 < len(rest) <= FACETS and (len(combinations) > 8 or shown.folds)
    styled = not faceted and 1 < len(rest) <= len(STYLES)
    looks = []
    for each in combinations:
        value = each.values[key]
        colour = ORDERED(norm(value)) if bar else spread[shown.rank(key, value)]
        index = place[tuple(shown.rank(other, each.values[other]) for other in others)]
        looks.append(Look(colour, STYLES[index] if styled else "-", index if faceted else 0))
    plan = Plan(looks, title=key_label(key))
    names = shortened(list(rest.values()), 60)
    if len(others) == 1:
        names = [f"{key_label(others[0])}: {name}" for name in names]
    if faceted:
        plan.rows = names
    elif styled:
        plan.handles = [
            Line2D([], [], color=GREY, linestyle=STYLES[index], label=name) for index, name in enumerate(names)
        ]
    elif len(rest) > 1:
        plan.notes.append(f"lines of one colour differ in {', '.join(others)}")
    if bar:
        plan.bar = (ScalarMappable(norm, ORDERED), *bar_ticks(key, values, norm))
    else:
        plan.handles = [
            *(Line2D([], [], color=spread[i], lw=2, label=text) for i, text in enumerate(typed(values))),
            *plan.handles,
        ]
    return plan


def norm_of(key: str, values: Sequence[float]) -> Normalize:
    if is_log(key, values):
        return LogNorm(values[0], values[-1])
    positive = [value for value in values if value > 0]
    if values[0] == 0 and np.log10(positive[-1] / positive[0]) > DECADES:  # no room on a linear scale, zero on no other
        return BoundaryNorm(np.arange(len(values) + 1) - 0.5, ORDERED.N)
    return Normalize(values[0], values[-1])


def bar_ticks(key: str, values: Sequence[float], norm: Normalize) -> tuple[list[float], list[str]]:
    """The swept values that have room on a colour bar of page height, first and last among them."""
    places = [float(place) for place in np.ma.getdata(norm(np.asarray(values, dtype=float)))]
    if isinstance(norm, BoundaryNorm):
        places = list(np.linspace(0.0, 1.0, len(values)))
    kept = [0]
    for index in range(1, len(values) - 1):
        if places[index] - places[kept[-1]] >= 0.055 and places[-1] - places[index] >= 0.055:
            kept.append(index)
    kept.append(len(values) - 1)
    names = tick_names(values)
    return [values[index] for index in kept], [names[index] for index in kept]


def by_category(shown: Shown) -> Plan:
    combinations = shown.combinations
    names = shown.names(combinations)
    if len(combinations) == 1:
        return Plan([Look(BLUE)], title=None)
    pairs = list(itertools.product(STYLES, CATEGORIES))
    title = key_label(shown.keys[0]) if len(shown.keys) == 1 else None
    names = [
        f"{name} ({each.entries[0].status})" if len(each.entries) == 1 and unfinished(each.entries[0]) else name
        for name, each in zip(names, combinations, strict=True)
    ]
    if len(combinations) <= NAMED:
        looks = [Look(colour, style) for style, colour in pairs[: len(combinations)]]
        handles = [
            Line2D([], [], color=look.colour, linestyle=look.style, lw=2, label=name)
            for look, name in zip(looks, names, strict=True)
        ]
        return Plan(looks, handles=handles, title=title)
    ranked = sorted(range(len(combinations)), key=lambda index: ranking(shown, combinations[index]))
    looks = [Look(PALE, front=False)] * len(combinations)
    handles = []
    for (style, colour), index in zip(pairs, ranked[:BEST], strict=False):
        looks[index] = Look(colour, style)
        handles.append(Line2D([], [], color=colour, linestyle=style, lw=2, label=names[index]))
    handles.append(Line2D([], [], color=PALE, lw=2, label=f"the {len(combinations) - BEST} others"))
    return Plan(looks, handles=handles, title=title, notes=[f"coloured: the best {BEST} by {shown.deciding}, in order"])


def ranking(shown: Shown, combination: Combination) -> float:
    result = combination.result(shown.deciding)
    if result is None:
        return float("inf")
    return result.mean if is_loss(shown.deciding) else -result.mean


def marks(shown: Shown) -> list[Line2D]:
    """What the marks on the lines mean, as far as there are any."""
    handles = []
    if dotted(shown):
        handles.append(
            Line2D(
                [], [], color=GREY, marker="o", linestyle="none", markeredgecolor="white", ms=7, label="chosen epoch"
            )
        )
    if any(each.status == "diverged" for each in shown.entries):
        handles.append(Line2D([], [], color=GREY, marker="X", linestyle="none", ms=8, label="diverged"))
    return handles


def dotted(shown: Shown) -> bool:
    """Whether each line carries its chosen epoch: where there are few, of one run each."""
    longest = max(len(each.rows) for each in shown.entries)
    return not shown.folds and len(shown.combinations) <= LEGEND and longest > 1


def draw_column(panels: Sequence[Axes], shown: Shown, plan: Plan, column: str) -> None:
    """All runs of one column, in the panels of their rows."""
    drawn: list[list[np.ndarray]] = [[] for _ in panels]
    categories: list[list[np.ndarray]] = []
    ends: list[tuple[Axes, Entry, Look]] = []
    for combination, look in zip(shown.combinations, plan.looks, strict=True):
        axes = panels[look.row]
        lines = draw_combination(axes, shown, combination, look, column)
        drawn[look.row] += lines
        if shown.categories and any(entry.status == "done" for entry in combination.entries):
            categories.append(lines)
        ends += [(axes, entry, look) for entry in combination.entries if entry.status == "diverged"]
    for axes in panels:
        axes.set_ylabel(metric_label(column))
    scale = set_scale(panels, drawn, column, "run", categories=categories)
    if scale.log and scale.low is not None:  # of runs that are 0 and one that is not the mean lies below them all
        means = [np.asarray(line.get_ydata(), dtype=float) for axes in panels for line in axes.get_lines()]
        least = min([float(values[values > 0].min()) for values in means if (values > 0).any()], default=scale.low)
        panels[0].set_ylim(bottom=min(scale.low, max(0.7 * least, LEAST)))
    beside: dict[tuple[int, int, float], list[Look]] = {}
    for axes, entry, look in ends:
        cross(axes, entry, look, column, scale, beside)


def draw_combination(axes: Axes, shown: Shown, combination: Combination, look: Look, column: str) -> list[np.ndarray]:
    """The lines of one combination; returns the values of each run."""
    lines = [(entry, *entry.column(column)) for entry in combination.entries]
    lines = [line for line in lines if np.isfinite(line[2]).any()]
    width, front = (2.0, 3.0) if look.front else (1.2, 2.2)
    done = [line for line in lines if line[0].status == "done"]
    if len(done) > 1:
        shared = sorted(set.intersection(*({int(e) for e in epochs} for _, epochs, _ in done)))
        table = np.array(
            [[dict(zip(epochs.tolist(), values, strict=True))[e] for e in shared] for _, epochs, values in done]
        )
        epochs = np.array(shared)
        whole = np.isfinite(table).all(axis=0)
        mean = np.where(whole, table.mean(axis=0), np.nan)
        line(axes, epochs, mean, color=look.colour, linestyle=look.style, linewidth=width, zorder=front)
        low, high = np.where(whole, table.min(axis=0), np.nan), np.where(whole, table.max(axis=0), np.nan)
        axes.fill_between(epochs, low, high, color=look.colour, alpha=0.18, linewidth=0, zorder=front - 1)
        if len(shared) == 1:
            axes.vlines(epochs, low, high, color=look.colour, linewidth=1.2)
    for entry, epochs, values in lines:
        if len(done) > 1 and entry.status == "done":
            after = epochs >= shared[-1] if shared else epochs > 0
            if after.sum() > 1:
                line(
                    axes, epochs[after], values[after], color=look.colour, linewidth=0.8, alpha=0.7, zorder=front - 0.5
                )
            continue
        thin = unfinished(entry) or (len(combination.entries) > 1 and entry.status != "done")
        line(
            axes,
            epochs,
            values,
            color=look.colour,
            linestyle=look.style,
            linewidth=0.9 if thin else 0.8 * width,
            zorder=front,
        )
        if dotted(shown) and look.front and entry.chosen is not None and entry.chosen[column] is not None:
            axes.plot(
                [entry.chosen["epoch"]],
                [entry.chosen[column]],
                color=look.colour,
                marker="o",
                markersize=6.5,
                markeredgecolor="white",
                zorder=front + 0.5,
            )
    return [values for _, _, values in lines]


def line(axes: Axes, epochs: np.ndarray, values: np.ndarray, **how: Any) -> None:
    """A line with gaps where it is blank; a value that has none to either side is a point."""
    there = np.isfinite(values)
    alone = there & ~np.r_[False, there[:-1]] & ~np.r_[there[1:], False]
    axes.plot(epochs, values, marker="o", markersize=5, markevery=np.flatnonzero(alone).tolist(), **how)


def cross(
    axes: Axes, entry: Entry, look: Look, column: str, scale: Limits, beside: dict[tuple[int, int, float], list[Look]]
) -> None:
    """Where a run diverged: the end of its line; the upper edge if that lies beyond it, the lower if there is none."""
    epochs, values = entry.column(column)
    there = np.flatnonzero(np.isfinite(values))
    how: dict[str, Any] = {
        "marker": "X",
        "markersize": 9,
        "color": look.colour,
        "markeredgecolor": "white",
        "linestyle": "none",
        "clip_on": False,
        "zorder": 5,
    }
    if there.size and (scale.high is None or values[there[-1]] <= scale.high):
        axes.plot([epochs[there[-1]]], [values[there[-1]]], **how)
        return
    epoch = int(epochs[there[-1]]) if there.size else 1
    height = 1.0 if there.size and is_loss(column) else 0.0
    # several at one place stand beside each other on the edge, where no value is; the seeds of a line are one cross
    there_already = beside.setdefault((id(axes), epoch, height), [])
    if look in there_already:
        return
    there_already.append(look)
    edge = offset_copy(
        blended_transform_factory(axes.transData, axes.transAxes),
        fig=axes.get_figure(root=True),
        x=9 * ((len(there_already) - 1) % 12),
        units="points",
    )
    axes.plot([epoch], [height], transform=edge, **how)


def set_epochs(axes: Axes, entries: Sequence[Entry], wide: bool) -> None:
    last = max([int(entry.rows[-1]["epoch"]) for entry in entries if entry.rows], default=1)
    axes.xaxis.set_major_locator(
        MaxNLocator(nbins="auto" if wide else 4, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
    )
    axes.set_xlim(0.5, last + max(0.5, 0.02 * last))
