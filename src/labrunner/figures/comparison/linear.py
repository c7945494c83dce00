"""Figures of a sweep about the perceptron and Adaline."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from labrunner.figures.boundary import COLOURS
from labrunner.figures.comparison.overlaid import planned
from labrunner.figures.comparison.scales import (
    SMALL,
    legend_below,
    legend_shape,
    note_above,
    ordered_colours,
    plain_log,
)
from labrunner.figures.comparison.shown import Combination, Shown, token, whole_runs
from labrunner.figures.look import GREY, VERMILLION, page, shortened
from labrunner.figures.probed.linear import (
    NAME,
    pixels_around,
    regions,
    resting_from,
    shown_epochs,
    train_points,
    update_counts,
)
from labrunner.records import Run, Sweep
from labrunner.thinning import evenly

PANELS = 12  # planes beside each other
ACROSS = 4
SHOWN = 200  # samples in a small panel
RATES = 10  # learning rates with a line each; of more, the first so many
MANY = 40  # epochs, of which the first are shown wider
LOWEST, HIGHEST = 1e-14, 1e12  # of the start's excess loss: below it rounding is left


def boundaries_beside(sweep: Sweep) -> Figure | None:
    """The predicted class over the plane of each combination, of several seeds the first that is done.

    Of two categories the first is read down and the second across. None unless two combinations have inputs that are
    points in the plane, and the figure of their boundary.
    """
    shown = Shown(sweep)
    planes = [(each, plane) for each in shown.combinations if (plane := plane_of(each)) is not None]
    if len(planes) < 2:
        return None
    count = min(len(planes), PANELS)
    has_val = "val_accuracy" in shown.columns
    table = tabled(shown, planes)
    if table is None:
        columns = min(count, 3 if count <= 6 else ACROSS)
        names = shown.names([each for each, _ in planes], 30)
        table = [
            [(planes[at], names[at]) for at in range(first, min(first + columns, count))]
            for first in range(0, count, columns)
        ]
    rows, columns = len(table), max(map(len, table))
    figure = page(0.9 + rows * (2.35 if columns > 2 else 2.6))
    drawn = figure.subplots(rows, columns, squeeze=False)
    for line, cells in zip(drawn, table, strict=True):
        for axes, cell in zip(line, [*cells, *[None] * (columns - len(cells))], strict=True):
            if cell is None:
                axes.set_axis_off()
                continue
            (combination, plane), name = cell
            result = combination.result("val_accuracy") if has_val else None
            accuracy = None if has_val and result is None else result.mean if result else accuracy_on(plane)
            told = "" if accuracy is None else f"accuracy {accuracy:.1%}"
            draw_plane(axes, plane, f"{name}\n{told}".strip())
    said = []
    if shown.folds:
        said.append("drawn: the first seed that is done")
    if has_val:
        said.append(f"accuracy: validation split{', mean over seeds' if shown.folds else ''}")
    else:
        said.append("accuracy: of the training samples, by the class of the plane where they lie")
    if len(shown.keys) == 1:
        said.append(f"named by {shortened(shown.keys, 40)[0]}")
    if len(planes) > count:
        said.append(f"the first {count} of {len(planes)} are drawn")
    note_above(figure, shown.note(*said))
    return figure


Plane = dict[str, np.ndarray]
Cell = tuple[tuple[Combination, Plane], str]


def plane_of(combination: Combination) -> Plane | None:
    """``boundary.npz`` of the first run that is done."""
    for entry in combination.entries:
        run = entry.member.run
        if entry.status == "done" and run is not None and (plane := run.boundary) is not None:
            return plane if plane["probabilities"].shape[-1] <= len(COLOURS) else None
    return None


def tabled(shown: Shown, planes: Sequence[tuple[Combination, Plane]]) -> list[list[Cell | None]] | None:
    """Rows of the key with more values, columns of the other, turned so that there are at most four columns; None
    unless two keys were swept and the table fits.
    """
    if len(shown.keys) != 2:
        return None
    down, across = sorted(shown.keys, key=lambda key: len(shown.order[key]))
    if len(shown.order[across]) > ACROSS:
        down, across = across, down
    if len(shown.order[across]) > ACROSS or len(shown.order[down]) * len(shown.order[across]) > PANELS:
        return None
    cells: list[list[Cell | None]] = [[None] * len(shown.order[across]) for _ in shown.order[down]]
    for pair in planes:
        values = pair[0].values
        texts = [shown.texts[key][token(values[key])] for key in (down, across)]
        name = ", ".join(shortened(texts, 16))
        cells[shown.rank(down, values[down])][shown.rank(across, values[across])] = (pair, name)
    return cells


def draw_plane(axes: Axes, plane: Plane, title: str) -> None:
    x, y = plane["x"], plane["y"]
    corners = np.array([x[0], x[-1], y[0], y[-1]], dtype=float)
    regions(axes, plane["probabilities"], pixels_around(corners, plane["probabilities"].shape))
    train_points(axes, plane, SHOWN, 3.2)
    axes.set(xlim=corners[:2], ylim=corners[2:])
    axes.set_title(title, fontsize=10.5, parse_math=False)
    names = shortened([str(name) for name in plane["feature_names"]], NAME)
    axes.set_xlabel(names[0], fontsize=10, parse_math=False, labelpad=1)
    axes.set_ylabel(names[1], fontsize=10, parse_math=False, labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def accuracy_on(plane: Plane) -> float | None:
    """The share of the training samples in whose place the plane has their class, at the nearest point of the grid.

    The column ``train_accuracy`` is another: it was measured while the model still changed.
    """
    of_split = plane["split"] == "train"
    if not of_split.any():
        return None
    points, labels = plane["point"][of_split], plane["label"][of_split]
    across, up = (
        np.abs(points[:, axis, None] - grid[None, :]).argmin(axis=1)
        for axis, grid in enumerate((plane["x"], plane["y"]))
    )
    return float((plane["probabilities"][up, across].argmax(axis=-1) == labels).mean())


def updates_by_epoch(sweep: Sweep) -> Figure | None:
    """A perceptron's updates in each epoch, and all so far, mean and range over seeds, with Novikoff's bounds.

    None unless runs counted them.
    """
    shown = Shown(sweep)
    counted = [
        (each, [counts for run in runs_of(each) if (counts := update_counts(run)) is not None])
        for each in shown.combinations
    ]
    if not any(found for _, found in counted):
        return None
    plan = planned(shown)
    handles = list(plan.handles)
    bounded = any(bounds_of(each) for each, _ in counted)
    if bounded:
        handles.append(Line2D([], [], color=GREY, ls="--", lw=1.6, label=r"Novikoff's bound (R/γ)²"))
    rows = legend_shape(handles)[0]
    figure = page(3.6 + 0.5 + 0.22 * rows)
    left, right = figure.subplots(1, 2)
    rests, longest = [], 1
    for look, (each, found) in zip(plan.looks, counted, strict=True):
        if not found:
            continue
        end = min(len(total) for _, total in found)
        totals = np.array([total[:end] for _, total in found])  # (runs, epochs + 1)
        epochs, steps = found[0][0][:end], np.diff(totals, axis=1)
        how: dict[str, Any] = {"color": look.colour, "linestyle": look.style, "lw": 1.8}
        for axes, at, values in ((left, epochs[1:], steps), (right, epochs, totals)):
            axes.plot(at, values.mean(axis=0), **how)
            if len(values) > 1:
                axes.fill_between(at, values.min(axis=0), values.max(axis=0), color=look.colour, alpha=0.18, lw=0)
        for bound in bounds_of(each):
            right.axhline(bound, color=look.colour, ls="--", lw=1.6)
        rests += [(resting_from(row), len(row)) for row in steps]
        longest = max(longest, max(shown_epochs(row) for row in steps))
    left.set_ylabel("updates in the epoch")
    right.set_ylabel("updates so far")
    left.set_ylim(0, None)
    right.set_yscale("symlog", linthresh=10)
    right.set_ylim(0, None)
    right.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.set_xlim(0, longest + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if longest > MANY:  # some rest after a few epochs, others never
            axes.set_xscale("log")
            axes.set_xlim(0.9, 1.1 * longest)
            plain_log(axes.xaxis, 1.0, longest)
    legend_below(figure, handles, plan.title)
    still = sum(rest <= length for rest, length in rests)
    said = [f"{still} of {len(rests)} came to rest"]
    if shown.folds:
        said.append(f"line: mean of {shown.seeds}; band: lowest to highest")
    note_above(figure, shown.note(*said, *plan.notes))
    return figure


def runs_of(combination: Combination) -> list[Run]:
    return [entry.member.run for entry in combination.entries if entry.member.run is not None]


def bounds_of(combination: Combination) -> list[float]:
    """The different bounds of its runs: one where all saw the same samples."""
    found = [run.facts.get("novikoff_bound") for run in runs_of(combination)]
    return sorted({round(bound, 6) for bound in found if isinstance(bound, int | float)})


@dataclass(frozen=True)
class Descent:
    """A run of Adaline: its learning rate, and its loss by step."""

    lr: float
    critical: float
    best: float
    steps: np.ndarray
    loss: np.ndarray  # NaN where it was no finite number
    share: np.ndarray  # of the start's excess over the least loss

    @property
    def name(self) -> str:
        """The rate, and how it lies to the critical one: ``0.2759, 0.5 of the limit``."""
        what = f"{self.lr / self.critical:.3g} of the limit"
        return f"{self.lr:.4g}, {what}{', the best' if math.isclose(self.lr, self.best, rel_tol=1e-6) else ''}"


def descent_of(run: Run, lr: Any) -> Descent | None:
    """None where the probe `least_squares` noted nothing."""
    table, facts = run.probe("least_squares"), run.facts
    columns = {"step", "loss", "excess"}
    if table is None or not columns <= set(table.columns) or not {"critical_lr", "best_lr"} <= facts.keys():
        return None
    if not isinstance(lr, int | float) or not len(table):
        return None
    excess = table["excess"].to_numpy(dtype=float)
    if not excess[0] > 0.0:
        return None
    steps, loss = table["step"].to_numpy(dtype=float), table["loss"].to_numpy(dtype=float)
    return Descent(float(lr), facts["critical_lr"], facts["best_lr"], steps, loss, excess / excess[0])


def descent(sweep: Sweep) -> Figure | None:
    """Adaline's loss by step, plain and above its least on a log scale, and what is left of it against the rate.

    The critical rate and the best one are marked. None unless two runs with different rates noted least squares.
    """
    found = [
        each
        for _, run in whole_runs(sweep.without_first)
        if (each := descent_of(run, run.config.get("optim", {}).get("lr"))) is not None
    ]
    by_rate = {each.lr: each for each in reversed(found)}  # of several runs at one rate the first
    lines = [by_rate[lr] for lr in sorted(by_rate)]
    if len(lines) < 2:
        return None
    drawn = [lines[at] for at in evenly(len(lines), RATES)]
    colours = dict(zip((each.lr for each in drawn), ordered_colours(len(drawn)), strict=True))
    handles = [Line2D([], [], color=colours[each.lr], lw=2, label=each.name) for each in drawn]
    figure = page(3.9 + 0.22 * legend_shape(handles)[0])
    plain, log, against = figure.subplots(1, 3)
    for each in drawn:
        how: dict[str, Any] = {"color": colours[each.lr], "lw": 1.8}
        plain.plot(each.steps, each.loss, **how)
        log.plot(each.steps, np.where(each.share > LOWEST, np.minimum(each.share, HIGHEST), np.nan), **how)
    start = max(float(each.loss[0]) for each in lines)
    plain.set_ylim(0, 1.6 * start)
    plain.set_ylabel("loss (mean squared error)", fontsize=10)
    beyond = sum(bool((each.loss[np.isfinite(each.loss)] > 1.6 * start).any()) for each in drawn)
    if beyond:
        plain.set_title(f"{beyond} beyond", loc="right", fontsize=SMALL, color=GREY)
    ends = [last_of(each.share) for each in lines]
    low, high = max(LOWEST, min(ends) / 3), min(max(3.0, 3 * max(ends)), HIGHEST)
    for axes in (log, against):
        axes.set_yscale("log")
        plain_log(axes.yaxis, low, high)
        axes.set_ylim(low, high)
    log.set_ylabel("excess over the least loss, start = 1", fontsize=10)
    for axes in (plain, log):
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    against.axvline(lines[0].critical, color=VERMILLION, ls="--", lw=1.6)
    against.axvline(lines[0].best, color=GREY, ls=":", lw=1.6)
    against.set_title("limit", loc="right", fontsize=SMALL, color=VERMILLION)
    against.set_title("dotted: best", loc="left", fontsize=SMALL, color=GREY)
    for each, end in zip(lines, ends, strict=True):
        colour = colours.get(each.lr, GREY)
        against.plot([each.lr], [min(max(end, low * 1.3), high / 1.3)], marker="o", ls="none", color=colour, ms=7)
    against.set_xlabel("learning rate", fontsize=10)
    against.set_ylabel("excess after the last step", fontsize=10)
    against.xaxis.set_major_locator(MaxNLocator(4))
    legend_below(figure, handles, "learning rate (optim.lr)")
    said = f"limit: {lines[0].critical:.4g} = 2 / largest curvature; best: {lines[0].best:.4g}"
    note_above(figure, said if len(drawn) == len(lines) else f"{said}; lines for {len(drawn)} of {len(lines)} rates")
    return figure


def last_of(values: np.ndarray) -> float:
    """The last finite one."""
    return float(values[np.isfinite(values)][-1])


FIGURES: dict[str, tuple[Callable[[Sweep], Figure | None], bool]] = {
    "boundaries_beside": (boundaries_beside, True),
    "updates_by_epoch": (updates_by_epoch, True),
    "descent": (descent, True),
}
