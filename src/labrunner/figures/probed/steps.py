"""Figures of losses step by step, of outputs, and of learning-rate range tests."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext, LogLocator, MaxNLocator, NullFormatter

from labrunner.figures.look import APART, BLACK, BLUE, GREY, PALE, SKY, VERMILLION, page
from labrunner.records import Run

DECADES = 2.0  # losses that span more are drawn on a log scale
FEW = 60  # so few steps are drawn as they are
SHARE = 40  # of more, the mean of the last steps is drawn, too: over this part of them all
TOP = 1.25  # of a range test, as a multiple of its first smoothed loss, so that its end does not flatten the rest


class Losses(NamedTuple):
    """The losses of a run's steps; NaN where they are blank."""

    step: np.ndarray  # (S,) from 1
    seconds: np.ndarray  # (S,) of training, when the step was done; NaN where timing.csv does not say
    loss: np.ndarray  # (S,)
    lr: np.ndarray  # (S,)

    @property
    def mean(self) -> np.ndarray:
        """The mean of the last steps up to each; the losses themselves where there are few."""
        return trailing_mean(self.loss)


def trailing_mean(values: np.ndarray) -> np.ndarray:
    """The mean of each value and of those before it: what comes later, such as an explosion, does not move it."""
    if len(values) <= FEW:
        return values
    return pd.Series(values).rolling(len(values) // SHARE + 2, min_periods=1).mean().to_numpy()


def losses(run: Run) -> Losses | None:
    """What the probe `steps` noted; None where it noted no loss."""
    table = run.probe("steps")
    if table is None or not {"step", "lr", "loss"} <= set(table.columns):
        return None
    step, loss, lr = (table[name].to_numpy(dtype=float) for name in ("step", "loss", "lr"))
    if not np.isfinite(loss).any():
        return None
    return Losses(step, seconds_at(run, step), loss, lr)


def seconds_at(run: Run, steps: np.ndarray) -> np.ndarray:
    """Seconds of training after so many steps, evenly within an epoch; NaN beyond what ``timing.csv`` says."""
    timing, epochs = run.timing, run.probe("epochs")
    if timing is None or epochs is None or timing.empty or "step" not in epochs.columns:
        return np.full(len(steps), math.nan)
    before = dict(zip(epochs["epoch"], epochs["step"], strict=True))
    rows = [row for row in timing.itertuples() if row.epoch in before]
    if not rows:
        return np.full(len(steps), math.nan)
    begins = [float(before[row.epoch]) for row in rows]
    # all epochs have equally many steps; of a single one the last that was noted is the last
    length = begins[1] - begins[0] if len(begins) > 1 else float(np.max(steps))
    ends = np.cumsum([row.train_seconds for row in rows])
    known = [begins[0], *(begin + length for begin in begins)]
    return np.interp(steps, known, [0.0, *ends], right=math.nan)


def is_log(values: np.ndarray) -> bool:
    """Whether positive values span so much that a linear scale would hide most of them."""
    there = values[np.isfinite(values)]
    return there.size > 0 and there.min() > 0 and bool(np.log10(there.max() / there.min()) > DECADES)


def loss_per_step(run: Run) -> Figure | None:
    """The loss of each training step, against steps and against seconds; below, the learning rate where it changes."""
    noted = losses(run)
    if noted is None:
        return None
    rates = noted.lr[np.isfinite(noted.lr)]
    changes = len(rates) > 0 and bool(rates.min() < rates.max())
    timed = bool(np.isfinite(noted.seconds).any())
    figure = page(5.4 if changes else 3.7)
    heights = {"height_ratios": [2.2, 1.0]} if changes else {}
    panels = figure.subplots(1 + changes, 1 + timed, squeeze=False, sharey="row", sharex="col", gridspec_kw=heights)
    places = [(noted.step, "training step")] + [(noted.seconds, "seconds of training")] * timed
    for column, (place, label) in enumerate(places):
        _losses(panels[0, column], place, noted)
        if changes:
            axes = panels[1, column]
            axes.plot(place, noted.lr, color=BLACK, linewidth=1.5)
            if rates.min() > 0 and rates.max() / rates.min() > 10:
                axes.set_yscale("log")
        panels[-1, column].set_xlabel(label)
    panels[0, 0].set_ylabel("training loss")
    if is_log(noted.loss):
        panels[0, 0].set_yscale("log")
    if changes:
        panels[1, 0].set_ylabel("learning rate")
    panels[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10], min_n_ticks=1))
    if len(noted.loss) > FEW:
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, borderaxespad=0.0)
    return figure


def _losses(axes: Axes, place: np.ndarray, noted: Losses) -> None:
    if len(noted.loss) <= FEW:
        marker = "o" if len(noted.loss) <= 25 else ""
        axes.plot(place, noted.loss, color=BLUE, linewidth=1.8, marker=marker, markersize=4.5)
        return
    axes.plot(place, noted.loss, color=SKY, linewidth=0.8, alpha=0.6, label="each noted step")
    axes.plot(place, noted.mean, color=BLUE, linewidth=2.0, label="mean of the last steps")


def outputs(run: Run) -> Figure | None:
    """The probability of the own class of a few training samples, step by step; of two classes that of the second."""
    table = run.probe("outputs")
    if table is None or table.empty or not {"step", "index", "label", "p_label"} <= set(table.columns):
        return None
    column = output_column(table)
    figure = page(3.9)
    axes = figure.subplots()
    steps = table["step"].nunique()
    for number, (index, rows) in enumerate(table.groupby("index", sort=False)):
        axes.plot(
            rows["step"],
            rows[column],
            color=APART[number % len(APART)],
            linewidth=1.8,
            marker="o" if steps <= 25 else "",
            markersize=4,
            label=f"sample {index}, class {rows['label'].iloc[0]}",
        )
    output_axes(axes, column)
    figure.legend(loc="outside lower center", ncols=2, borderaxespad=0.0, fontsize=10)
    return figure


def output_column(table: pd.DataFrame) -> str:
    """The column that stands for the output: the second of two classes, else the sample's own."""
    return "p_1" if "p_1" in table.columns and "p_2" not in table.columns else "p_label"


def output_axes(axes: Axes, column: str) -> None:
    axes.set_xlabel("training steps so far")
    axes.set_ylabel("probability of the second class" if column == "p_1" else "probability of the right class")
    axes.set_ylim(-0.03, 1.03)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10], min_n_ticks=1))


def lr_range(run: Run) -> Figure | None:
    """The learning-rate range test of a run, if the probe made one."""
    table = run.probe("lr_range")
    return None if table is None or not is_range(table) else range_test(table)


def is_range(table: pd.DataFrame) -> bool:
    """Whether a table is that of a range test, with a loss in it."""
    return {"lr", "loss", "smoothed", "suggested"} <= set(table.columns) and len(table) > 1


def range_test(table: pd.DataFrame) -> Figure:
    """The smoothed loss against the learning rate, the losses themselves pale behind it, the suggestion marked.

    `table` has the columns ``lr``, ``loss``, ``smoothed`` and ``suggested``.
    """
    figure = page(3.9)
    axes = figure.subplots()
    draw_range(axes, table)
    mark_suggestion(axes, table)
    figure.legend(loc="outside lower center", ncols=3, borderaxespad=0.0)
    return figure


def draw_range(axes: Axes, table: pd.DataFrame, colour: str = BLUE, label: str = "smoothed") -> None:
    lr, loss, smoothed = (table[name].to_numpy(dtype=float) for name in ("lr", "loss", "smoothed"))
    axes.plot(lr, loss, color=PALE, linewidth=1.0, label="loss of each batch" if label else None)
    axes.plot(lr, smoothed, color=colour, linewidth=2.0, label=label or None)
    low, high = range_limits(table)
    axes.set_ylim(low, high)
    rate_axis(axes)
    axes.set_ylabel("training loss")


def range_limits(table: pd.DataFrame) -> tuple[float, float]:
    """From a little below the lowest loss to a little above where the smoothed one began: its end may be far above."""
    low, begin = float(np.nanmin(table[["loss", "smoothed"]].to_numpy(dtype=float))), float(table["smoothed"].iloc[0])
    room = 0.06 * (TOP * begin - low) or 0.1
    return low - room, TOP * begin + room


def rate_axis(axes: Axes) -> None:
    """A log axis of learning rates, a power of ten at each tick."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(LogFormatterMathtext())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("learning rate")


def mark_suggestion(axes: Axes, table: pd.DataFrame) -> None:
    chosen = table[table["suggested"] == 1]
    if chosen.empty:
        axes.set_title("no suggestion: the loss never falls", loc="left", fontsize=10.5)
        return
    lr, smoothed = float(chosen["lr"].iloc[0]), float(chosen["smoothed"].iloc[0])
    axes.axvline(lr, color=GREY, linewidth=1.0, zorder=1.5)
    axes.plot(
        [lr], [smoothed], "o", color=VERMILLION, markersize=9, markeredgecolor="white", zorder=4, label="suggestion"
    )
    axes.set_title(f"suggested learning rate {lr:.2g}, where the loss falls steepest", loc="left", fontsize=10.5)


FIGURES: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {
    "loss_per_step": (loss_per_step, True),
    "outputs": (outputs, True),
    "lr_range": (lr_range, True),
}
