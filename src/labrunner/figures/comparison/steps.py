"""Figures of a sweep about losses and outputs step by step, and about learning-rate range tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from labrunner.figures.comparison.overlaid import Look, Plan, planned
from labrunner.figures.comparison.scales import (
    counted,
    legend_below,
    legend_shape,
    limits,
    note_above,
    percent,
    plain_log,
    set_log,
)
from labrunner.figures.comparison.shown import Entry, Shown
from labrunner.figures.look import GREY, ORANGE, VERMILLION, page
from labrunner.figures.probed.steps import (
    Losses,
    is_range,
    losses,
    output_axes,
    output_column,
    range_limits,
    rate_axis,
    seconds_at,
)
from labrunner.figures.probed.steps import draw_range as draw_range_test
from labrunner.records import Run, Sweep

RAW = 6  # up to so many combinations show the losses themselves behind their means
MARKED = 25  # so few steps are points
WIDE = 20.0  # runs of which the longest has so many times the steps of the shortest need a log scale


class Drawn(NamedTuple):
    """A run that has something to draw, and how."""

    entry: Entry
    look: Look
    first: bool  # of the seeds of its combination


def drawn(shown: Shown, plan: Plan) -> list[Drawn]:
    return [
        Drawn(entry, look, number == 0)
        for combination, look in zip(shown.combinations, plan.looks, strict=True)
        for number, entry in enumerate(combination.entries)
        if entry.member.run is not None
    ]


def convergence(sweep: Sweep) -> Figure | None:
    """The training loss of each step, and the validation accuracy, against steps and against seconds of training.

    Each run is a line: the mean of its last steps. Of few combinations the losses themselves, of their first
    seed, stand pale behind it. None unless runs noted their steps.
    """
    shown = Shown(sweep)
    if not shown.columns:
        return None
    plan = planned(shown)
    runs = [
        (each, noted)
        for each in drawn(shown, plan)
        if (run := each.entry.member.run) is not None and (noted := losses(run)) is not None
    ]
    if not runs:
        return None
    has_val = any(bool(np.isfinite(each.entry.column("val_accuracy")[1]).any()) for each, _ in runs)
    timed = any(bool(np.isfinite(noted.seconds).any()) for _, noted in runs)
    rows = 1 + has_val
    handles = plan.handles
    below = 0.22 * legend_shape(handles)[0] + 0.2 * (plan.bar is None and plan.title is not None)
    figure = page(0.6 + 2.7 * rows + below)
    panels = figure.subplots(rows, 1 + timed, squeeze=False, sharex="col", sharey="row")
    for each, noted in runs:
        for column, place in enumerate((noted.step, noted.seconds)[: 1 + timed]):
            draw_losses(panels[0, column], place, noted, each, raw=each.first and len(shown.combinations) <= RAW)
        if has_val:
            draw_accuracy(panels[1], each)
    scale_losses(panels[0], [noted for _, noted in runs])
    panels[0, 0].set_ylabel("training loss")
    if has_val:
        panels[1, 0].set_ylabel("validation accuracy")
        panels[1, 0].yaxis.set_major_formatter(percent)
    lengths = [noted.step[-1] for _, noted in runs]
    wide = max(lengths) > WIDE * min(lengths)
    panels[-1, 0].set_xlabel("training step")
    if wide:
        panels[-1, 0].set_xscale("log")
    else:
        panels[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10], min_n_ticks=1))
    if timed:
        panels[-1, 1].set_xlabel("seconds of training")
        times = [noted.seconds[np.isfinite(noted.seconds)] for _, noted in runs]
        ends = [float(each.max()) for each in times if len(each) and each.max() > 0.0]
        if ends and max(ends) > WIDE * min(ends):
            panels[-1, 1].set_xscale("log")
            panels[-1, 1].set_xlim(0.03 * min(ends), 1.3 * max(ends))
    explain(figure, panels, plan, handles)
    said = []
    if any(noted.mean is not noted.loss for _, noted in runs):
        said.append("line: mean of the last steps")
        said += [f"pale: each noted step{', first seed' * shown.folds}"] if len(shown.combinations) <= RAW else []
    said += ["each seed is a line, the first a thick one"] if shown.folds else []
    said += shown.cautions
    note_above(figure, shown.note(*plan.notes, *said))
    return figure


def draw_losses(axes: Axes, place: np.ndarray, noted: Losses, each: Drawn, raw: bool) -> None:
    look, width = each.look, 1.8 if each.first and each.look.front else 0.9
    mean = noted.mean
    if raw and mean is not noted.loss:
        axes.plot(place, noted.loss, color=look.colour, linewidth=0.6, alpha=0.3, zorder=1.9)
    front = 3.0 if look.front else 2.2
    axes.plot(place, mean, color=look.colour, linestyle=look.style, linewidth=width, zorder=front)


def draw_accuracy(panels: np.ndarray, each: Drawn) -> None:
    """The validation accuracy of each epoch, where it ends, in one panel against steps and one against seconds."""
    run = each.entry.member.run
    table = None if run is None else run.probe("epochs")
    epochs, values = each.entry.column("val_accuracy")
    if run is None or table is None or not np.isfinite(values).any():
        return
    before = dict(zip(table["epoch"], table["step"], strict=True))
    length = before[2] - before[1] if 2 in before else run.facts.get("steps", before.get(1, 0) + 1)
    ends = np.array([before.get(int(epoch), np.nan) for epoch in epochs], dtype=float) + float(length)
    look, width = each.look, 1.8 if each.first and each.look.front else 0.9
    for axes, place in zip(panels, (ends, seconds_at(run, ends)), strict=False):
        marker = "o" if len(epochs) == 1 else ""
        axes.plot(place, values, color=look.colour, linestyle=look.style, linewidth=width, marker=marker, zorder=3.0)


def scale_losses(panels: np.ndarray, runs: list[Losses]) -> None:
    """One scale for all losses, from their means; those that explode leave the panels at their top."""
    scale = limits("train_loss", [noted.mean for noted in runs])
    if scale.log:
        set_log(panels[0], scale)
    elif scale.high is not None:
        panels[0].set_ylim(scale.low, scale.high)
    above = sum(scale.rises_above(noted.mean) for noted in runs)
    if above:
        said = f"{above} run{'s' * (above > 1)} beyond the top"
        panels[0].set_title(said, loc="left", fontsize=10, color=GREY)


def explain(figure: Figure, panels: np.ndarray, plan: Plan, handles: list[Line2D]) -> None:
    """Legend or colour bar of a plan."""
    if plan.bar is not None:
        mappable, ticks, labels = plan.bar
        bar = figure.colorbar(mappable, ax=list(panels.flat), pad=0.015, aspect=35)
        bar.set_ticks(ticks, labels=labels)
        bar.minorticks_off()
        bar.set_label(plan.title or "")
        bar.outline.set_visible(False)
    legend_below(figure, handles, None if plan.bar else plan.title)


def outputs(sweep: Sweep) -> Figure | None:
    """The output for the first training sample, step by step, of every run; None unless runs noted their outputs."""
    shown = Shown(sweep)
    if not shown.columns:
        return None
    plan = planned(shown)
    found = []
    for each in drawn(shown, plan):
        table = each.entry.member.run.probe("outputs") if each.entry.member.run is not None else None
        if table is not None and {"step", "index", "label", "p_label"} <= set(table.columns) and not table.empty:
            found.append((each, table[table["index"] == table["index"].iloc[0]]))
    if not found:
        return None
    column = output_column(found[0][1])
    figure = page(3.9 + 0.22 * legend_shape(plan.handles)[0])
    axes = figure.subplots()
    for each, table in found:
        values = table[column if column in table.columns else "p_label"]
        width = 1.9 if each.first else 0.9
        axes.plot(table["step"], values, color=each.look.colour, linestyle=each.look.style, linewidth=width)
    output_axes(axes, column)
    explain(figure, np.array([axes]), plan, plan.handles)
    labels = sorted({int(table["label"].iloc[0]) for _, table in found})
    whose = (
        f"of the first training sample, of class {labels[0]}" if len(labels) == 1 else "of the first training sample"
    )
    note_above(figure, shown.note(*plan.notes, whose))
    return figure


def updates(sweep: Sweep) -> Figure | None:
    """How far a step moves the weights as a share of their length: the median over weight matrices, step by step.

    Each run is a line, on a log axis. None unless runs noted their updates.
    """
    shown = Shown(sweep)
    if not shown.columns:
        return None
    plan = planned(shown)
    found = []
    for each in drawn(shown, plan):
        ratios = update_ratios(each.entry.member.run)
        if ratios is not None:
            found.append((each, ratios))
    if not any((ratios > 0.0).any() for _, ratios in found):
        return None
    figure = page(3.9 + 0.22 * legend_shape(plan.handles)[0] + 0.2 * (plan.bar is None and plan.title is not None))
    axes = figure.subplots()
    blank = 0
    for each, ratios in found:
        positive = ratios.where(ratios > 0.0)
        blank += int((ratios == 0.0).sum())
        width = (1.6 if each.look.front else 1.0) if each.first else 0.8
        axes.plot(
            positive.index,
            positive,
            color=each.look.colour,
            linestyle=each.look.style,
            linewidth=width,
            marker="o" if len(positive) <= MARKED else "",
            markersize=4,
            zorder=3.0 if each.look.front else 2.2,
        )
    axes.set_xlabel("training step")
    axes.set_ylabel("length of the step / of the weights")
    axes.set_yscale("log")
    plain_log(axes.yaxis, *axes.get_ylim())
    lengths = [ratios.index[-1] for _, ratios in found]
    if max(lengths) > WIDE * min(lengths):
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10], min_n_ticks=1))
    explain(figure, np.array([axes]), plan, plan.handles)
    said = ["median over weight matrices"]
    said += ["each seed is a line, the first a thick one"] if shown.folds else []
    said += [f"{counted(blank, 'step')} that moved nothing not drawn"] if blank else []
    note_above(figure, shown.note(*plan.notes, *said))
    return figure


def update_ratios(run: Run | None) -> pd.Series | None:
    """Step -> the median ratio of all weights with two axes or more, of those that are no zeros."""
    table = None if run is None else run.probe("updates")
    if table is None or not {"step", "axes", "ratio"} <= set(table.columns):
        return None
    numbers = table[["step", "axes", "ratio"]].apply(pd.to_numeric, errors="coerce")
    kept = numbers[(numbers["axes"] > 1) & np.isfinite(numbers["ratio"]) & np.isfinite(numbers["step"])]
    return None if kept.empty else kept.groupby("step")["ratio"].median()


def lr_range(sweep: Sweep) -> Figure | None:
    """Above the range tests of the runs, below what training with each learning rate came to.

    Equal tests are one line. None unless runs made a range test and ``optim.lr`` was swept over.
    """
    shown = Shown(sweep)
    if not shown.columns or "optim.lr" not in shown.numeric:
        return None
    tests: dict[str, pd.DataFrame] = {}
    for each in shown.entries:
        table = each.member.run.probe("lr_range") if each.member.run is not None else None
        if table is not None and is_range(table):
            tests.setdefault(table.to_csv(), table)
    if not tests:
        return None
    column = "val_accuracy" if "val_accuracy" in shown.columns else shown.deciding
    figure = page(6.4)
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1.2, 1.0]})
    suggested = []
    for number, table in enumerate(tests.values()):
        draw_range_test(above, table, label="smoothed" if number == 0 else "")
        suggested += table.loc[table["suggested"] == 1, "lr"].tolist()
    lows, highs = zip(*map(range_limits, tests.values()), strict=True)
    above.set_ylim(min(lows), max(highs))
    for axes in (above, below):
        for number, lr in enumerate(suggested):
            label = "suggestion" if number == 0 and axes is above else None
            axes.axvline(lr, color=VERMILLION, linewidth=1.4, zorder=1.7, label=label)
    draw_results(below, shown, column)
    above.set_xlabel("")
    rate_axis(below)
    figure.legend(loc="outside lower center", ncols=6, borderaxespad=0.0)
    told = (
        f"suggested learning rate: {', '.join(f'{lr:.2g}' for lr in suggested[:4])}" if suggested else "no suggestion"
    )
    note_above(figure, shown.note(told))
    return figure


def draw_results(axes: Axes, shown: Shown, column: str) -> None:
    """The result of each run against its learning rate; a run that diverged is a cross at the edge."""
    points, lost = [], []
    for combination in shown.combinations:
        for entry in combination.entries:
            lr, value = float(combination.values["optim.lr"]), entry.result(column, "chosen")
            if value is not None:
                points.append((lr, value))
            elif entry.status == "diverged":
                lost.append(lr)
    points.sort()
    if points:
        rates = sorted({lr for lr, _ in points})
        means = [float(np.mean([value for at, value in points if at == lr])) for lr in rates]
        axes.plot(rates, means, color=ORANGE, linewidth=1.6, zorder=2.5)
        axes.plot(*zip(*points, strict=True), "o", color=ORANGE, markersize=6, markeredgecolor="white", zorder=3)
    if lost:
        edge = axes.get_xaxis_transform()
        style: dict[str, Any] = {
            "linestyle": "none",
            "marker": "X",
            "markersize": 9,
            "color": GREY,
            "markeredgecolor": "white",
        }
        axes.plot(lost, [0.04] * len(lost), transform=edge, label="diverged", zorder=3, **style)
    loss = column.endswith("_loss")
    name = column.replace("val_", "validation ").replace("train_", "training ").replace("_", " ")
    axes.set_ylabel(f"{name},\nchosen epoch")
    if not loss:
        axes.yaxis.set_major_formatter(percent)


FIGURES: dict[str, tuple[Callable[[Sweep], Figure | None], bool]] = {
    "convergence": (convergence, True),
    "outputs": (outputs, True),
    "lr_range": (lr_range, True),
    "updates": (updates, True),
}
