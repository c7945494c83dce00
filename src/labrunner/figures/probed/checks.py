"""Figures that check numbers: gradients against finite differences, and averages against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from labrunner import averages
from labrunner.figures.look import BLUE, GREY, ORANGE, VERMILLION, of_samples, page, shortened
from labrunner.records import Run

PARAMETERS = 16  # of more, those with the largest errors are drawn
LIMIT = 1e-6  # an error above it is no rounding
LEAST = 1e-13  # a smaller error is drawn as this
NAME_WIDTH = 30
ROOM = 0.12  # a bar below it has no room for its number
SHOWN = {"precision": "precision", "recall": "recall", "f1": "F1"}
KINDS = {"micro": BLUE, "macro": VERMILLION, "weighted": "#00795A"}  # the green dark enough for white letters


def gradient_errors(run: Run) -> pd.DataFrame | None:
    """Largest error and number of entries at kinks by parameter and moment; None where nothing was measured."""
    noted = run.probe("gradient_check")
    if noted is None or not {"epoch", "parameter", "error", "kink"} <= set(noted.columns) or noted.empty:
        return None
    grouped = noted.groupby(["parameter", "epoch"], sort=False)
    return grouped.agg(error=("error", "max"), kinks=("kink", "sum"), entries=("kink", "size")).reset_index()


def gradient_check(run: Run) -> Figure | None:
    """The largest relative error of each parameter's gradient, at the start and the end; None where none was asked."""
    errors = gradient_errors(run)
    if errors is None:
        return None
    moments = {epoch: "start" if epoch == 0 else f"epoch {epoch}" for epoch in errors["epoch"].unique()}
    series = {
        said: dict(zip(part["parameter"], part["error"], strict=True))
        for epoch, said in moments.items()
        for part in [errors[errors["epoch"] == epoch]]
    }
    names = list(dict.fromkeys(errors["parameter"]))
    rows = min(len(names), PARAMETERS)
    figure = page(1.6 + (0.24 + 0.16 * len(series)) * rows)
    error_bars(figure.subplots(), names, series)
    kinks, entries = int(errors["kinks"].sum()), int(errors["entries"].sum())
    if kinks:
        note = f"{kinks} of {entries} entries are left out: the loss has a kink there"
        figure.suptitle(note, x=0.01, ha="left", fontsize=10, color=GREY)
    return figure


def error_bars(axes: Axes, names: Sequence[str], series: Mapping[str, Mapping[str, float]]) -> None:
    """A group of bars for each parameter, one of each series, on a log axis, with the limit that rounding keeps to.

    Parameters
    ----------
    names : of the parameters, the first on top
    series : what stands in the legend -> parameter -> error; NaN and what is missing are blank
    """
    worst = {name: max((_number(errors.get(name)) for errors in series.values()), default=0.0) for name in names}
    kept = sorted(names, key=lambda name: -worst[name])[:PARAMETERS]
    kept = [name for name in names if name in kept]
    height = 0.8 / max(1, len(series))
    for at, (label, errors) in enumerate(series.items()):
        places = np.arange(len(kept)) - 0.4 + height * (at + 0.5)
        values = np.array([errors.get(name, np.nan) for name in kept], dtype=float)
        colour = (BLUE, ORANGE)[at % 2]
        axes.barh(places, np.maximum(values, LEAST), height * 0.9, color=colour, label=label)
    axes.set_xscale("log")
    top = max([LIMIT, *worst.values()])
    axes.set_xlim(LEAST, 10.0 ** np.ceil(np.log10(top) + 0.5))
    axes.xaxis.set_major_locator(LogLocator(numticks=9))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.axvline(LIMIT, color=VERMILLION, linestyle="--", linewidth=1.4, label=f"limit {LIMIT:.0e}")
    axes.set_yticks(range(len(kept)), shortened(kept, NAME_WIDTH), fontsize=10, parse_math=False)
    axes.set_ylim(len(kept) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    more = "" if len(kept) == len(names) else f" ({len(kept)} worst of {len(names)} parameters)"
    axes.set_xlabel(f"largest relative error of the gradient{more}")
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=len(series) + 1,
        fontsize=10,
        borderaxespad=0.2,
        handlelength=1.4,
    )


def _number(value: Any) -> float:
    return 0.0 if value is None or not np.isfinite(value) else float(value)


def three_averages(run: Run) -> Figure | None:
    """Precision, recall and F1 of the test split, averaged in three ways, and accuracy; None before it was read."""
    if run.confusion is None:
        return None
    counts = run.confusion.to_numpy()
    if counts.sum() == 0:
        return None
    found = averages.averages(counts)
    figure = page(3.9)
    axes = figure.subplots()
    width = 0.26
    for at, (kind, colour) in enumerate(KINDS.items()):
        values = [found[f"{kind}_{number}"] for number in SHOWN]
        places = np.arange(len(SHOWN)) + (at - 1) * width
        axes.bar(places, values, width * 0.92, color=colour, label=kind)
        for place, value in zip(places, values, strict=True):
            if np.isnan(value):
                axes.text(place, 0.012, "undefined", ha="center", va="bottom", rotation=90, fontsize=10, color=GREY)
            elif value > ROOM:
                said = f"{value:.1%}"
                axes.text(place, value - 0.015, said, ha="center", va="top", fontsize=10, color="white", weight="bold")
            else:
                axes.text(place, value + 0.012, f"{value:.1%}", ha="center", va="bottom", fontsize=10)
    accuracy = float(np.trace(counts) / counts.sum())
    axes.axhline(accuracy, color=GREY, linestyle="--", linewidth=1.3, label=f"accuracy {accuracy:.1%}", zorder=0.9)
    axes.set_xticks(range(len(SHOWN)), list(SHOWN.values()))
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(0.0, 1.02)
    axes.set_yticks(np.linspace(0.0, 1.0, 6))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    axes.grid(axis="x", visible=False)
    without = averages.absent(counts)
    missing = f"; {without} of {len(counts)} classes without a sample" if without else ""
    axes.set_xlabel(of_samples(run, int(counts.sum())) + missing)
    axes.set_ylabel("average of the classes")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, borderaxespad=0.0)
    return figure


FIGURES: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {
    "gradient_check": (gradient_check, False),
    "averages": (three_averages, False),
}
