"""Precision, recall and F1 of each class of the test split."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from labrunner.figures.look import BLACK, GREY, PALE, SKY, VERMILLION, left_to_right, page, shortened
from labrunner.records import Run

METRICS = (("precision", SKY, "<"), ("recall", VERMILLION, ">"), ("f1", BLACK, "o"))
SHOWN = {"precision": "precision", "recall": "recall", "f1": "F1"}
NAME_WIDTH = 26  # characters of a class name
BARS = 12  # classes up to which each metric is a bar; more are a row of marks
ALL = 40  # classes up to which each is drawn; of more, the
WORST, BEST = 20, 10


def classes(run: Run) -> Figure | None:
    """A row per class, best F1 on top, with bars up to 12 classes and marks for more; None before the test was read.

    Of more than 40 classes the best 10 and the worst 20 are drawn, and what lies between is said in words. Classes
    whose F1 is undefined, without test samples and never predicted, stand below the others.
    """
    table = run.per_class
    if table is None or len(table) == 0:
        return None
    names = shortened([str(name) for name in table["class"]], NAME_WIDTH)
    f1 = table["f1"].to_numpy(dtype=float)
    order = sorted(range(len(f1)), key=lambda index: (np.isnan(f1[index]), -np.nan_to_num(f1[index]), index))
    defined = [index for index in order if not np.isnan(f1[index])]
    undefined = order[len(defined) :]
    rows: list[int | str]  # the number of a class, or what is said in its stead
    if len(order) <= ALL:
        rows = [*order]
    else:
        best, between, worst = defined[:BEST], defined[BEST:-WORST], defined[BEST:][-WORST:]
        rows = [*best]
        if between:
            low, high = f1[between[-1]], f1[between[0]]
            rows.append(f"{len(between)} more classes, F1 {_percent(low)} to {_percent(high)}: in per_class.csv")
        rows += worst
        rows += undefined[:3]
        if len(undefined) > 3:
            rows.append(f"{len(undefined) - 3} more classes without F1: neither in the test split nor predicted")
    bars = len(order) <= BARS
    pitch = 0.52 if bars else 0.235  # inches

    figure = page(1.35 + pitch * max(len(rows), 2))
    axes = figure.subplots()
    support = table["support"].to_numpy(dtype=int)
    values = {name: table[name].to_numpy(dtype=float) for name, _, _ in METRICS}
    for place, row in enumerate(rows):
        if isinstance(row, str):
            axes.text(0.5, place, row, ha="center", va="center", fontsize=10, color=GREY)
        else:
            (_bars if bars else _marks)(axes, place, {name: column[row] for name, column in values.items()})
            axes.text(
                1.015,
                place,
                "" if np.isnan(f1[row]) else _percent(f1[row]),
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=10.5,
            )
    labels = ["" if isinstance(row, str) else left_to_right(names[row], f"  ({support[row]})") for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=10.5, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0.0 if bars else -0.01, 1.0 if bars else 1.01)
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    axes.grid(axis="y", visible=not bars)
    axes.spines["left"].set_visible(bars)
    axes.text(1.015, 1.0, "F1", transform=axes.transAxes, va="bottom", fontsize=10.5, weight="bold")
    axes.set_ylabel("class (test samples)")
    axes.set_xlabel(f"{run.tested}, classes by F1")
    for name, colour, marker in reversed(METRICS) if bars else METRICS:
        if bars:
            axes.barh([0], [np.nan], color=colour, label=SHOWN[name])
        else:
            axes.plot([], [], linestyle="none", marker=marker, markersize=7, color=colour, label=SHOWN[name])
    handles, entries = axes.get_legend_handles_labels()
    by_name = dict(zip(entries, handles, strict=True))
    entries = [SHOWN[name] for name, _, _ in METRICS]
    figure.legend([by_name[name] for name in entries], entries, loc="outside upper center", ncols=3, borderaxespad=0.0)
    return figure


def _bars(axes: Axes, place: int, values: dict[str, float]) -> None:
    """Three bars under each other; what is undefined is said, so that it is not taken for zero."""
    height = 0.26
    for offset, (name, colour, _) in zip((-height, 0.0, height), METRICS, strict=True):
        value = values[name]
        if np.isnan(value):
            said = {"recall": "recall undefined: no test samples"}.get(name, f"{SHOWN[name]} undefined")
            axes.text(0.006, place + offset, said, va="center", fontsize=8.5, color=GREY)
        else:
            axes.barh(place + offset, value, height * 0.92, color=colour)
            if value == 0:
                axes.plot([0], [place + offset], marker="|", markersize=9, color=colour, clip_on=False)


def _marks(axes: Axes, place: int, values: dict[str, float]) -> None:
    """A mark for each metric that is defined, on a line from the least to the greatest."""
    there = {name: value for name, value in values.items() if not np.isnan(value)}
    if there:
        axes.plot([min(there.values()), max(there.values())], [place, place], color=PALE, linewidth=2.0, zorder=1.5)
    for name, colour, marker in METRICS:
        if name in there:
            axes.plot(
                [there[name]],
                [place],
                marker=marker,
                markersize=7 if name != "f1" else 5.5,
                color=colour,
                markeredgecolor="white",
                markeredgewidth=0.4,
                clip_on=False,
                zorder=3,
            )
    missing = [SHOWN[name] for name in values if name not in there]
    if missing:
        said = " and ".join(missing) if len(missing) < 3 else "all three"
        axes.text(0.99, place, f"{said} undefined", ha="right", va="center", fontsize=9, color=GREY)


def _percent(value: float) -> str:
    """A share with one decimal; what is below 1 is not rounded to it."""
    return ">99.9%" if 0.9995 <= value < 1.0 else f"{value:.1%}"
