"""What happened over the epochs: loss and accuracy, all validation metrics, the learning rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from labrunner.figures.look import BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, VERMILLION, page
from labrunner.records import Run

SPLITS = (("train", BLUE, "--", "o"), ("val", VERMILLION, "-", "s"))  # dashes and marks tell them apart in grey print
VALIDATION = (
    ("accuracy", VERMILLION),
    ("precision", BLUE),
    ("recall", GREEN),
    ("F1", PURPLE),
    ("AUROC", ORANGE),
)
FEW_EPOCHS = 20  # up to here every epoch gets a mark
DECADES = 2.0  # losses that span more are drawn on a log scale


def curves(run: Run) -> Figure | None:
    """Loss and accuracy of train and val side by side, the chosen epoch marked; None while no epoch has a loss."""
    losses = run.rows[["train_loss", "val_loss"]].to_numpy(dtype=float)
    if not np.isfinite(losses).any():
        return None
    figure = page(3.7)
    left, right = figure.subplots(1, 2)
    _panel(left, run, "loss")
    _panel(right, run, "accuracy")
    right.yaxis.set_major_formatter(FuncFormatter(_percent))
    seen = losses[np.isfinite(losses)]
    if seen.min() > 0 and np.log10(seen.max() / seen.min()) > DECADES:
        left.set_yscale("log")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), borderaxespad=0.0)
    return figure


def metrics(run: Run) -> Figure | None:
    """The five validation metrics over the epochs, each before the others in grey; None where none was recorded.

    Accuracy, precision, recall and F1 often lie on each other, and AUROC far above: a panel for each, on one scale,
    shows every one of them whole.
    """
    columns = {name: run.rows[f"val_{name.lower()}"].to_numpy(dtype=float) for name, _ in VALIDATION}
    recorded = np.concatenate(list(columns.values()))
    if not np.isfinite(recorded).any():
        return None
    epochs = run.rows["epoch"].to_numpy(dtype=int)
    figure = page(4.8)
    grid = figure.subplots(2, 3, sharex=True, sharey=True)
    panels, legend = grid.flat[:-1], grid.flat[-1]
    for axes, (name, colour) in zip(panels, VALIDATION, strict=True):
        for other, values in columns.items():
            if other != name:
                _draw(axes, epochs, values, color=PALE, linewidth=1.0, marker=".", markersize=4, zorder=1.8)
        values = columns[name]
        if np.isfinite(values).any():
            _draw(axes, epochs, values, color=colour, linewidth=2.0, marker="o", markersize=4, zorder=2.5)
        else:
            axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_title(name if name == "accuracy" else f"{name} (macro)", fontsize=11, loc="left")
        _mark_end(axes, run, epochs)
        if run.chosen is not None:
            value = values[epochs == run.chosen.epoch][0]
            axes.axvline(run.chosen.epoch, color=GREY, linewidth=1.0, zorder=1.6)
            if np.isfinite(value):
                axes.plot(
                    [run.chosen.epoch], [value], "o", markersize=7, color=colour, markeredgecolor="white", zorder=3
                )
                axes.set_title(f"{value:.4f}" if name == "AUROC" else f"{value:.1%}", fontsize=11, loc="right")
    for axes in grid[:, 0]:
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    for axes in (*grid[1, :2], grid[0, 2]):
        axes.set_xlabel("epoch")
        axes.tick_params(labelbottom=True)
    _epoch_axis(grid[0, 0], epochs)
    low, high = recorded[np.isfinite(recorded)].min(), recorded[np.isfinite(recorded)].max()
    room = max(0.06 * (high - low), 0.01)
    grid[0, 0].set_ylim(low - room, high + room)

    legend.set_axis_off()
    handles = [
        Line2D([], [], color=BLUE, linewidth=2.0),
        Line2D([], [], color=PALE, linewidth=1.5),
    ]
    labels = ["the metric, validation split", "the other four"]
    if run.chosen is not None:
        handles.append(Line2D([], [], color=GREY, linewidth=1.0))
        labels.append(f"chosen: epoch {run.chosen.epoch},\nits values at the right")
    if run.status == "diverged":
        handles.append(Line2D([], [], color=GREY, linestyle=":"))
        labels.append(f"diverged in epoch {epochs[-1]}")
    legend.legend(handles, labels, loc="center", fontsize=10, handlelength=1.6, borderaxespad=0.0)
    return figure


def learning_rate(run: Run) -> Figure | None:
    """The learning rate of each epoch's last step, on a log scale above a decade; None where it never changed."""
    epochs = run.rows["epoch"].to_numpy(dtype=int)
    rates = run.rows["lr"].to_numpy(dtype=float)
    seen = rates[np.isfinite(rates)]
    if len(seen) == 0 or seen.min() == seen.max():
        return None
    figure = page(3.2)
    axes = figure.subplots()
    _draw(axes, epochs, rates, color=BLUE, linewidth=1.8, marker="o", markersize=4.5)
    if seen.min() > 0 and seen.max() / seen.min() > 10:
        axes.set_yscale("log")
        if seen.max() / seen.min() < 1000:
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0.0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:.6g}"))
    axes.set_xlabel("epoch")
    axes.set_ylabel("learning rate of the last step")
    _epoch_axis(axes, epochs)
    _mark_end(axes, run, epochs)
    if run.chosen is not None:
        rate = float(rates[epochs == run.chosen.epoch][0])
        axes.axvline(run.chosen.epoch, color=GREY, linewidth=1.0, zorder=1.5)
        _above(axes, run.chosen.epoch, f"chosen: epoch {run.chosen.epoch}, learning rate {rate:.4g}")
    if run.status == "diverged":
        figure.legend(loc="outside lower center", borderaxespad=0.0)
    return figure


def _panel(axes: Axes, run: Run, quantity: str) -> None:
    epochs = run.rows["epoch"].to_numpy(dtype=int)
    drawn = {split[0]: _line(axes, epochs, run, quantity, *split) for split in SPLITS}
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    _epoch_axis(axes, epochs)
    _mark_end(axes, run, epochs)
    if run.chosen is not None:
        _mark(axes, run, quantity, run.chosen.epoch)
    if not any(drawn.values()):
        axes.set_yticks([])
        axes.text(0.5, 0.5, f"no {quantity} was recorded", transform=axes.transAxes, ha="center", color=GREY)
    elif not drawn["train"]:
        reg = run.config.get("reg") or {}
        mixing = next((key for key in ("mixup", "cutmix") if (reg.get(key) or 0) > 0), None)
        why = "not recorded" if mixing is None else f"under {mixing}\ntargets are mixtures of classes"
        # below the panel, where no curve runs
        axes.set_xlabel(f"epoch\nno training {quantity}: {why}")


def _epoch_axis(axes: Axes, epochs: np.ndarray) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + max(0.5, 0.02 * (epochs[-1] - epochs[0])))


def _mark_end(axes: Axes, run: Run, epochs: np.ndarray) -> None:
    if run.status == "diverged":
        axes.axvline(int(epochs[-1]), color=GREY, linestyle=":", label=f"diverged in epoch {epochs[-1]}")


def _percent(share: float, _: Any) -> str:
    return f"{round(100 * share, 6):g}%"  # 100%, and 99.5% where it is close


def _draw(axes: Axes, epochs: np.ndarray, values: np.ndarray, **style: Any) -> None:
    """A column as it is recorded, with gaps where it is blank."""
    there = np.isfinite(values)
    # a value between two blanks has no line to either side: only a mark shows it
    alone = there & ~np.r_[False, there[:-1]] & ~np.r_[there[1:], False]
    marked = there if len(epochs) <= FEW_EPOCHS else alone
    axes.plot(epochs, values, markevery=np.flatnonzero(marked).tolist(), **style)


def _line(
    axes: Axes, epochs: np.ndarray, run: Run, quantity: str, split: str, colour: str, style: str, marker: str
) -> bool:
    """Draw one column; False if all of it is blank."""
    values = run.rows[f"{split}_{quantity}"].to_numpy(dtype=float)
    if not np.isfinite(values).any():
        return False
    name = {"train": "training", "val": "validation"}[split]
    _draw(axes, epochs, values, color=colour, linestyle=style, marker=marker, markersize=4.5, label=name)
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
            label += f"\n{'validation' if split == 'val' else 'training'} {quantity} {shown}"
            axes.plot([epoch], [value], marker=marker, markersize=8, color=colour, markeredgecolor="white", zorder=3)
            break
    _above(axes, epoch, label)


def _above(axes: Axes, epoch: int, label: str) -> None:
    """Write above the panel, at an epoch, to the side that has room."""
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
