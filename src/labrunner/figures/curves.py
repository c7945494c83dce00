"""Loss and accuracy over the epochs."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labrunner.figures.look import BLUE, GREY, VERMILLION
from labrunner.records import Run

SPLITS = (("train", BLUE, "--", "o"), ("val", VERMILLION, "-", "s"))  # dashes and marks tell them apart in grey print
FEW_EPOCHS = 20  # up to here every epoch gets a mark
DECADES = 2.0  # losses that span more are drawn on a log scale


def curves(run: Run) -> Figure | None:
    """Loss and accuracy of train and val side by side, the chosen epoch marked; None while no epoch has a loss."""
    losses = run.rows[["train_loss", "val_loss"]].to_numpy(dtype=float)
    if not np.isfinite(losses).any():
        return None
    figure = Figure(figsize=(10, 4.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    _panel(left, run, "loss")
    _panel(right, run, "accuracy")
    right.yaxis.set_major_formatter(lambda share, _: f"{round(100 * share, 6):g}%")  # 100%, and 99.5% where it is close
    seen = losses[np.isfinite(losses)]
    if seen.min() > 0 and np.log10(seen.max() / seen.min()) > DECADES:
        left.set_yscale("log")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), borderaxespad=0.0)
    return figure


def _panel(axes: Axes, run: Run, quantity: str) -> None:
    epochs = run.rows["epoch"].to_numpy(dtype=int)
    drawn = [_line(axes, epochs, run, quantity, *split) for split in SPLITS]
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + max(0.5, 0.02 * (epochs[-1] - epochs[0])))
    if run.status == "diverged":
        axes.axvline(int(epochs[-1]), color=GREY, linestyle=":", label=f"diverged in epoch {epochs[-1]}")
    if run.chosen is not None:
        _mark(axes, run, quantity, run.chosen.epoch)
    if not any(drawn):
        axes.set_yticks([])
        axes.text(0.5, 0.5, f"no {quantity} was recorded", transform=axes.transAxes, ha="center", color=GREY)


def _line(
    axes: Axes, epochs: np.ndarray, run: Run, quantity: str, split: str, colour: str, style: str, marker: str
) -> bool:
    """Draw one column as it is recorded, with gaps where it is blank; False if all of it is."""
    values = run.rows[f"{split}_{quantity}"].to_numpy(dtype=float)
    there = np.isfinite(values)
    if not there.any():
        return False
    # a value between two blanks has no line to either side: only a mark shows it
    alone = there & ~np.r_[False, there[:-1]] & ~np.r_[there[1:], False]
    marked = there if len(epochs) <= FEW_EPOCHS else alone
    name = {"train": "training", "val": "validation"}[split]
    axes.plot(
        epochs,
        values,
        color=colour,
        linestyle=style,
        marker=marker,
        markersize=4.5,
        markevery=np.flatnonzero(marked).tolist(),
        label=name,
    )
    return True


def _mark(axes: Axes, run: Run, quantity: str, epoch: int) -> None:
    """A line at the chosen epoch; above the panel, where no curve runs, its number and its value."""
    row = run.rows.loc[run.rows["epoch"] == epoch].iloc[0]
    label = f"chosen: epoch {epoch}"
    axes.axvline(epoch, color=GREY, linewidth=1.0, zorder=1.5)
    for split, colour, _, marker in reversed(SPLITS):
        value = float(row[f"{split}_{quantity}"])
        if np.isfinite(value):
            shown = f"{value:.1%}" if quantity == "accuracy" else f"{value:.4g}"
            label += f", {'validation' if split == 'val' else 'training'} {quantity} {shown}"
            axes.plot([epoch], [value], marker=marker, markersize=8, color=colour, markeredgecolor="white", zorder=3)
            break
    low, high = axes.get_xlim()
    place = (epoch - low) / (high - low)
    side = "left" if place < 0.35 else "right" if place > 0.65 else "center"
    axes.annotate(
        label,
        (epoch, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 5),
        textcoords="offset points",
        ha=side,
        va="bottom",
        fontsize=10,
    )
