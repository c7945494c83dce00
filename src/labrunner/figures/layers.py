"""What figures of layers share: the tables of their probes, names, numbers for log scales, histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from labrunner.figures.look import BLUE, GREY, PALE
from labrunner.records import Run

if TYPE_CHECKING:
    import pandas as pd


def noted(run: Run, name: str, *columns: str) -> pd.DataFrame | None:
    """A probe's table with these columns; None where it is not there, empty or something else."""
    table = run.probe(name)
    if table is None or not len(table) or not {"epoch", "step", *columns} <= set(table.columns):
        return None
    return table


def matrices(run: Run, name: str) -> pd.DataFrame | None:
    """The rows of a probe's table that are about weights of linear and convolutional layers."""
    table = noted(run, name, "parameter", "axes")
    table = None if table is None else table[table["axes"] > 1]
    return table if table is not None and len(table) else None


def hidden(run: Run) -> pd.DataFrame | None:
    """The rows of activations.csv without the scores, which come last."""
    table = noted(run, "activations", "layer", "std", "zeros", "dead", "units")
    if table is None:
        return None
    table = table[table["layer"] != table["layer"].iloc[-1]]
    return table if len(table) else None


def ended(run: Run, table: pd.DataFrame) -> int:
    """The chosen epoch, or the last noted one of a run that has none; 0 where only the start was noted."""
    epochs = set(table["epoch"].astype(int))
    chosen = run.chosen.epoch if run.chosen is not None else None
    return chosen if chosen in epochs else max(epochs)


def numbers(values: Any) -> np.ndarray:
    """As floats, NaN where blank."""
    return np.asarray(values, dtype=float)


def positive(values: Any) -> np.ndarray:
    """For log scales: what is not above 0 has no place there."""
    found = numbers(values)
    return np.where(found > 0.0, found, np.nan)


def layer_name(name: str) -> str:
    """``linear1`` of ``backbone.linear1.weight``."""
    return name.removeprefix("backbone.").removesuffix(".weight") or name


def whole_numbers(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def draw_histograms(axes: Axes, start: pd.DataFrame, end: pd.DataFrame | None) -> None:
    """Densities of one layer, before training filled and behind it as a line.

    They stand on a log scale: among the outputs of ReLU the zeros would flatten all others.
    """
    heights = [found for part in (start, end) if part is not None and len(part) and (found := densities(part)).any()]
    if not heights:
        return
    floor = min(float(each[each > 0.0].min()) for each in heights) / 2
    for part, filled in ((start, True), (end, False)):
        if part is None or not len(part):
            continue
        bounds = np.append(numbers(part["low"]), numbers(part["high"])[-1])
        shown = np.maximum(densities(part), floor / 10)  # an empty bin ends below the panel
        if filled:
            axes.stairs(shown, bounds, baseline=floor / 10, fill=True, color=PALE)
        axes.stairs(
            shown, bounds, baseline=floor / 10, color=GREY if filled else BLUE, linewidth=0.8 if filled else 1.6
        )
    axes.set_yscale("log")
    axes.set_ylim(bottom=floor)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=3))


def densities(part: pd.DataFrame) -> np.ndarray:
    """Share of the values in each bin over its width."""
    low, high, count = (numbers(part[column]) for column in ("low", "high", "count"))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(count / count.sum() / (high - low), nan=0.0, posinf=0.0)
