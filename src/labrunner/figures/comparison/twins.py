"""Two runs that should be one: their losses over each other, how far they lie apart, and their checked gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labrunner.figures.comparison.shown import named, whole_runs
from labrunner.figures.look import BLUE, GREY, ORANGE, SKY, VERMILLION, page, shortened
from labrunner.figures.probed.checks import PARAMETERS, error_bars, gradient_errors
from labrunner.records import Run, Sweep

LOSSES = (("train_loss", "training", SKY, BLUE), ("val_loss", "validation", ORANGE, VERMILLION))
SPACING = float(np.finfo(float).eps)
EQUAL = 1e-18  # where a difference of nothing is drawn on a log axis
FEW_EPOCHS = 20


def twins(sweep: Sweep) -> Figure | None:
    """Losses of two runs that lie on each other, their difference on a log axis, and the errors of their gradients.

    None unless the sweep has two runs, whose gradients were checked, with as many epochs.
    """
    runs = [(member, run) for member, run in whole_runs(sweep) if run.epochs > 0]
    errors = [gradient_errors(run) for _, run in runs]
    if len(runs) != 2 or any(each is None for each in errors) or runs[0][1].epochs != runs[1][1].epochs:
        return None
    labels = shortened([named(member.values, sweep.keys) or f"run {member.number}" for member, _ in runs], 34)
    parameters = list(dict.fromkeys(name for each in errors if each is not None for name in each["parameter"]))
    shown = min(len(parameters), PARAMETERS)
    bars = 1.0 + 0.5 * shown
    figure = page(5.3 + bars)
    upper, middle, lower = figure.subplots(3, 1, height_ratios=(2.7, 1.6, bars))
    _losses(upper, [run for _, run in runs], labels)
    _differences(middle, runs[0][1], runs[1][1])
    middle.sharex(upper)
    upper.xaxis.set_major_locator(MaxNLocator(integer=True))
    if runs[0][1].epochs == 1:
        upper.set_xlim(0.5, 1.5)
        upper.set_xticks([1])
    series = {
        label: {str(name): float(error) for name, error in each.groupby("parameter")["error"].max().items()}
        for label, each in zip(labels, errors, strict=True)
        if each is not None
    }
    error_bars(lower, parameters, series)
    return figure


def _column(run: Run, name: str) -> tuple[np.ndarray, np.ndarray]:
    rows = run.rows.iloc[: run.epochs]
    return rows["epoch"].to_numpy(dtype=int), rows[name].to_numpy(dtype=float)


def _losses(axes: Axes, runs: list[Run], labels: list[str]) -> None:
    """The first run thick and pale, the second thin and dashed on top of it."""
    for column, said, pale, dark in LOSSES:
        first, second = (_column(run, column) for run in runs)
        if not np.isfinite(first[1]).any():
            continue
        marker = "o" if len(first[0]) == 1 else None  # one epoch makes no line
        axes.plot(
            *first,
            color=pale,
            linewidth=7.0,
            alpha=0.75,
            solid_capstyle="round",
            marker=marker,
            markersize=14,
            label=f"{said}, {labels[0]}",
        )
        axes.plot(
            *second,
            color=dark,
            linewidth=1.6,
            linestyle=(0, (4, 2.5)),
            marker=marker,
            markersize=5,
            label=f"{said}, {labels[1]}",
        )
    axes.set_ylabel("loss")
    axes.tick_params(axis="x", labelbottom=False)
    low, high = axes.get_ylim()
    axes.set_ylim(min(0.0, low), high + 0.05 * (high - min(0.0, low)))
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, fontsize=10, borderaxespad=0.2, handlelength=2.6)


def _differences(axes: Axes, one: Run, other: Run) -> None:
    """|a - b| of each loss by epoch; what is equal to the bit is a mark at the bottom, beside "none"."""
    seen = []
    for (column, said, _, dark), marker in zip(LOSSES, ("o", "s"), strict=True):
        (epochs, a), (_, b) = _column(one, column), _column(other, column)
        apart = np.abs(a - b)
        if not np.isfinite(apart).any():
            continue
        drawn = np.where(apart == 0.0, EQUAL, apart)
        seen.append(drawn[np.isfinite(drawn)])
        axes.plot(
            epochs, drawn, color=dark, linewidth=1.2, marker=marker if len(epochs) <= FEW_EPOCHS else None, label=said
        )
    axes.set_yscale("log")
    values = np.concatenate(seen) if seen else np.array([EQUAL])
    top = max(-14.0, np.ceil(np.log10(values.max())) + 1.0)
    axes.set_ylim(EQUAL / 3.0, 10.0**top)
    powers = range(-16, int(top) + 1, max(2, int(top + 16) // 4))
    axes.set_yticks([EQUAL, *(10.0**power for power in powers)], ["none", *(f"1e{power}" for power in powers)])
    axes.minorticks_off()
    axes.axhline(SPACING, color=GREY, linestyle=":", linewidth=1.2)
    where = axes.get_yaxis_transform()
    said = "2e-16: between 1 and the next number"
    axes.text(1.0, SPACING * 1.3, said, transform=where, ha="right", va="bottom", fontsize=10, color=GREY)
    axes.set_ylabel("difference\nof the losses")
    axes.set_xlabel("epoch")


FIGURES: dict[str, tuple[Callable[[Sweep], Figure | None], bool]] = {"twins": (twins, True)}
