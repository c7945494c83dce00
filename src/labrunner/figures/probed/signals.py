"""Figures of gradients, activations, weights and updates, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from labrunner.figures.comparison.scales import legend_below, ordered_colours, percent, plain_log
from labrunner.figures.layers import (
    draw_histograms,
    ended,
    hidden,
    layer_name,
    matrices,
    noted,
    numbers,
    positive,
    whole_numbers,
)
from labrunner.figures.look import BLUE, GREY, PALE, page, shortened
from labrunner.records import Run
from labrunner.thinning import evenly

if TYPE_CHECKING:
    import pandas as pd

NAMED = 10  # lines of layers that a legend names, evenly
PANELS = 8  # histograms
UPDATES = 6  # weight matrices whose updates are drawn
SMOOTHED = 25  # recorded steps in a running median
HEALTHY = 1e-3  # an often quoted ratio of update to weight  (Karpathy 2015, lecture notes of Stanford's CS231n)


def gradients(run: Run) -> Figure | None:
    """Norm of the gradient of each weight matrix: by layer at the start and the chosen epoch, and over the epochs."""
    table = matrices(run, "gradients")
    return None if table is None else by_layer_and_epoch(run, table, "norm of the gradient", log=True)


def weights(run: Run) -> Figure | None:
    """Norm of each weight matrix: by layer at the start and the chosen epoch, and over the epochs."""
    table = matrices(run, "weights")
    return None if table is None else by_layer_and_epoch(run, table, "norm of the weights", log=False)


def by_layer_and_epoch(run: Run, table: pd.DataFrame, label: str, log: bool) -> Figure | None:
    values = positive if log else numbers
    if not np.isfinite(values(table["norm"])).any():
        return None
    names = list(dict.fromkeys(table["parameter"]))
    figure = page(4.0)
    left, right = figure.subplots(1, 2, sharey=True)
    start_and_end(left, run, table, "parameter", "norm", values)
    left.set_xlabel(f"weight matrix, from the input (1) to the head ({len(names)})")
    left.set_ylabel(label)
    left.legend(fontsize=10)
    shown, handles = evenly(len(names), NAMED), []
    for index, (name, colour) in enumerate(zip(names, ordered_colours(len(names)), strict=True)):
        rows = table[table["parameter"] == name]
        right.plot(rows["epoch"], values(rows["norm"]), color=colour, marker="o", markersize=3, linewidth=1.5)
        if index in shown:
            label = f"{index + 1} {shortened([layer_name(name)], 24)[0]}"
            handles.append(Line2D([], [], color=colour, lw=2, label=label))
    right.set_xlabel("epoch (0: before training)")
    whole_numbers(right)
    right.tick_params(labelleft=True)
    if log:
        log_scale(left, positive(table["norm"]))
        zeros = int((numbers(table["norm"]) == 0.0).sum())
        if zeros:
            right.set_title("gaps: exactly 0", fontsize=10, color=GREY, loc="right")
    else:
        left.set_ylim(bottom=0.0)
    legend_below(figure, handles)
    return figure


def start_and_end(
    axes: Axes, run: Run, table: pd.DataFrame, by: str, column: str, values: Callable[[Any], np.ndarray] = numbers
) -> None:
    """A column by layer, before training and at the chosen epoch."""
    last = ended(run, table)
    for epoch, colour, style, mark in ((0, GREY, "--", "s"), (last, BLUE, "-", "o")):
        rows = table[table["epoch"] == epoch]
        if not len(rows) or (epoch == last == 0 and colour == BLUE):
            continue
        places = np.arange(1, len(rows) + 1)
        label = "before training" if epoch == 0 else f"after epoch {epoch}"
        axes.plot(places, values(rows[column]), color=colour, linestyle=style, marker=mark, markersize=5, label=label)
    count = table[by].nunique()
    axes.set_xlim(0.5, count + 0.5)
    whole_numbers(axes)


def log_scale(axes: Axes, values: np.ndarray) -> None:
    """A log scale with a plain number or two, also where the values span less than a decade."""
    if not np.isfinite(values).any():
        return
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = max((high / low) ** 0.06, 1.1)
    axes.set_yscale("log")
    axes.set_ylim(low / room, high * room)
    plain_log(axes.yaxis, low / room, high * room)


def activations(run: Run) -> Figure | None:
    """Spread, zeros and dead units of each hidden layer, before training and at the chosen epoch."""
    table = hidden(run)
    if table is None or not np.isfinite(numbers(table["std"])).any():
        return None
    import pandas as pd

    table = table.assign(dead=pd.to_numeric(table["dead"]) / table["units"])
    figure = page(3.6)
    panels = figure.subplots(1, 3)
    for axes, (column, label, how) in zip(
        panels,
        (
            ("std", "spread of outputs (std)", positive),
            ("zeros", "outputs that are 0", numbers),
            ("dead", "units that are dead", numbers),
        ),
        strict=True,
    ):
        start_and_end(axes, run, table, "layer", column, how)
        axes.set_xlabel("hidden layer")
        axes.set_title(label, fontsize=10.5, loc="left")
        if column == "std":
            log_scale(axes, positive(table["std"]))
        else:
            axes.set_ylim(-0.04, 1.04)
            axes.yaxis.set_major_formatter(FuncFormatter(percent))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, borderaxespad=0.0)
    return figure


def activation_histograms(run: Run) -> Figure | None:
    """How the outputs of the hidden layers and the scores are spread, before training and at the chosen epoch."""
    return histograms(noted(run, "activation_histograms", "layer", "low", "high", "count"), "layer", "output")


def weight_histograms(run: Run) -> Figure | None:
    """How the weights of each matrix are spread, before training and at the chosen epoch."""
    return histograms(noted(run, "weight_histograms", "parameter", "low", "high", "count"), "parameter", "weight")


def histograms(table: pd.DataFrame | None, by: str, what: str) -> Figure | None:
    if table is None:
        return None
    names = list(dict.fromkeys(table[by]))
    chosen = [names[place] for place in evenly(len(names), PANELS)]
    columns = min(4, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = page(0.9 + 2.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    last = int(table["epoch"].max())
    for axes, name in zip(grid.flat, chosen, strict=False):
        mine = table[table[by] == name]
        draw_histograms(axes, mine[mine["epoch"] == 0], mine[mine["epoch"] == last] if last > 0 else None)
        axes.set_title(shortened([layer_name(name)], 22)[0], fontsize=10.5, loc="left", parse_math=False)
        axes.tick_params(labelsize=10)
    for axes in grid.flat[len(chosen) :]:
        axes.set_axis_off()
    for axes in grid.flat[max(0, len(chosen) - columns) : len(chosen)]:  # the lowest of each column
        axes.set_xlabel(what)
    for axes in grid[:, 0]:
        axes.set_ylabel("density")
    handles = [Line2D([], [], color=PALE, lw=6, label="before training")]
    handles += [Line2D([], [], color=BLUE, lw=2, label=f"after epoch {last}")] if last > 0 else []
    left_out = f"{len(chosen)} of {len(names)}, evenly from the first to the last" if len(chosen) < len(names) else None
    legend_below(figure, handles, left_out)
    return figure


def updates(run: Run) -> Figure | None:
    """Length of each step over the length of the weights it moves, by weight matrix."""
    table = matrices(run, "updates")
    if table is None or "ratio" not in table.columns or not np.isfinite(positive(table["ratio"])).any():
        return None
    names = list(dict.fromkeys(table["parameter"]))
    chosen = [names[place] for place in evenly(len(names), UPDATES)]
    figure = page(4.0)
    axes = figure.subplots()
    handles = []
    for name, colour in zip(chosen, ordered_colours(len(chosen)), strict=True):
        rows = table[table["parameter"] == name]
        steps, ratios = numbers(rows["step"]), positive(rows["ratio"])
        smooth = running_median(ratios, SMOOTHED)
        if len(ratios) > 4 * SMOOTHED:
            axes.plot(steps, ratios, color=colour, linewidth=0.6, alpha=0.3)
        else:
            smooth = ratios
        axes.plot(steps, smooth, color=colour, linewidth=1.8)
        handles.append(Line2D([], [], color=colour, lw=2, label=shortened([layer_name(name)], 24)[0]))
    axes.axhline(HEALTHY, color=GREY, linewidth=1.2, linestyle=":", zorder=1.5)
    handles.append(Line2D([], [], color=GREY, linestyle=":", label="0.001, often called healthy"))
    axes.set_yscale("log")
    axes.set_xlabel("training step")
    axes.set_ylabel("length of step / of weights")
    said = [f"thick: running median of {SMOOTHED}"] if len(table) / len(names) > 4 * SMOOTHED else []
    said += [f"{len(chosen)} of {len(names)} weight matrices"] if len(chosen) < len(names) else []
    if said:
        axes.set_title("; ".join(said), fontsize=10, color=GREY, loc="right")
    legend_below(figure, handles)
    return figure


def running_median(values: Sequence[float] | np.ndarray, width: int) -> np.ndarray:
    """The median of so many values around each; of fewer at the ends. Blanks are left out."""
    values, half = numbers(values), width // 2
    padded = np.concatenate([np.full(half, np.nan), values, np.full(half, np.nan)])
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    there = np.isfinite(around).any(axis=1)
    found = np.full(len(values), np.nan)
    found[there] = np.nanmedian(around[there], axis=1)
    return found


FIGURES: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {
    "gradients": (gradients, False),
    "activations": (activations, False),
    "activation_histograms": (activation_histograms, False),
    "weights": (weights, False),
    "weight_histograms": (weight_histograms, False),
    "updates": (updates, False),
}
