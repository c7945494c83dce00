"""Figures of the perceptron and Adaline: the plane as they learn it, their lines and margins, and their updates."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from labrunner.figures.boundary import COLOURS, LEGEND, MARKERS, shading
from labrunner.figures.look import BLACK, BLUE, GREY, PURPLE, VERMILLION, literal, page, shortened
from labrunner.records import Run
from labrunner.thinning import evenly

PANELS = 12  # of the plane
ACROSS = 4
SHOWN = 200  # samples in a small panel
NAME = 18  # characters of a feature beside a small panel
BARS = 60  # epochs; of more a line is drawn


def boundaries(run: Run) -> Figure | None:
    """The predicted class over the plane at the start, after some epochs and at the chosen one, with training samples.

    None without the probe `boundaries`.
    """
    table, kept = run.probe("boundaries"), kept_arrays(run, "boundaries")
    if table is None or not kept or "x_low" not in table:
        return None
    edges = table[["x_low", "x_high", "y_low", "y_high"]].to_numpy(dtype=float)[0]
    panels = {
        epoch: (f"epoch {epoch}" if epoch else "start", values, pixels_around(edges, values.shape))
        for epoch, values in kept.items()
        if values.ndim == 3 and 2 <= values.shape[-1] <= len(COLOURS)
    }
    last = run.boundary
    if last is not None and last["probabilities"].shape[-1] <= len(COLOURS):
        epoch, x, y = int(last["epoch"]), last["x"], last["y"]
        extent = pixels_around(np.array([x[0], x[-1], y[0], y[-1]], dtype=float), last["probabilities"].shape)
        panels[epoch] = (f"epoch {epoch}, chosen", last["probabilities"], extent)
    chosen = None if last is None else int(last["epoch"])
    shown = sorted(sorted(panels, key=lambda epoch: (epoch != chosen, epoch))[:PANELS])
    if not shown:
        return None
    columns = min(ACROSS, len(shown))
    rows = -(-len(shown) // columns)
    figure = page(0.9 + 2.0 * rows if columns > 2 else 3.9)
    drawn = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    handles: list[Line2D] = []
    for axes, (title, probabilities, extent) in zip(drawn.flat, [panels[at] for at in shown], strict=False):
        regions(axes, probabilities, extent)
        if last is not None:
            handles = train_points(axes, last, SHOWN, 3.0)
        axes.set(xlim=edges[:2], ylim=edges[2:])
        axes.set_title(title, fontsize=10.5)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_locator(MaxNLocator(4))
    for axes in drawn.flat[len(shown) :]:
        axes.set_axis_off()
    names = ("x1", "x2") if last is None else shortened([str(name) for name in last["feature_names"]], NAME)
    for axes in drawn[:, 0]:
        axes.set_ylabel(names[1], fontsize=10, parse_math=False)
    for place in range(columns):
        bottom = max(row for row in range(rows) if row * columns + place < len(shown))
        drawn[bottom, place].set_xlabel(names[0], fontsize=10, parse_math=False)
        drawn[bottom, place].tick_params(labelbottom=True)
    if last is not None and handles:
        class_legend(figure, handles, last)
    return figure


def margins(run: Run) -> Figure | None:
    """The model's line with the best separator and its margin, or with that of least squares, and training samples.

    None unless the inputs are points in the plane, there are two classes, and one of `separation` and `least_squares`
    was asked for.
    """
    plane = run.boundary
    separator, optimum = kept_arrays(run, "separator").get(0), kept_arrays(run, "optimum").get(0)
    if plane is None or plane["probabilities"].shape[-1] != 2:
        return None
    if run.probe("separation") is None and optimum is None:
        return None
    figure = page(4.6)
    axes = figure.subplots()
    x, y = plane["x"], plane["y"]
    corners = np.array([x[0], x[-1], y[0], y[-1]], dtype=float)
    regions(axes, plane["probabilities"], pixels_around(corners, plane["probabilities"].shape))
    handles = [Line2D([], [], color=BLACK, lw=1.4, label=f"the model's, epoch {int(plane['epoch'])}")]
    if separator is not None and separator.shape == (3,):
        gap = run.facts.get("margin", 0.0)
        half_plane(axes, plane, separator, [0.0], PURPLE, "-")
        half_plane(axes, plane, separator, [-gap, gap], PURPLE, "--")
        handles += [
            Line2D([], [], color=PURPLE, lw=1.8, label="the best separator's"),
            Line2D([], [], color=PURPLE, lw=1.8, ls="--", label="and its margin"),
        ]
    elif run.probe("separation") is not None and run.facts.get("separable") == 0:
        axes.set_title("no line separates the training samples", fontsize=11)
    if optimum is not None and optimum.shape == (1, 3):
        half_plane(axes, plane, optimum[0], [0.0], VERMILLION, "--")
        handles.append(Line2D([], [], color=VERMILLION, lw=1.8, ls="--", label="that of least squares"))
    names = shortened([str(name) for name in plane["class_names"]], 24)
    handles += train_points(axes, plane, 10 * SHOWN, 5.5)
    axes.set(xlim=corners[:2], ylim=corners[2:])
    labels = shortened([str(name) for name in plane["feature_names"]], 40)
    axes.set_xlabel(labels[0], parse_math=False)
    axes.set_ylabel(labels[1], parse_math=False)
    legend = figure.legend(handles=handles, loc="outside right upper", fontsize=10, title="boundary", title_fontsize=10)
    literal(legend, [*(str(handle.get_label()) for handle in handles[: -len(names)]), *names])
    return figure


def perceptron_updates(run: Run) -> Figure | None:
    """A perceptron's updates in each epoch, and all so far, with Novikoff's bound if there is one.

    None without the probe `separation`, for other models, and before the first epoch has ended.
    """
    counts = update_counts(run)
    if counts is None:
        return None
    epochs, total = counts
    figure = page(3.7)
    left, right = figure.subplots(1, 2)
    each = np.diff(total)
    end = shown_epochs(each)
    if end <= BARS:
        left.bar(epochs[1:], each, color=BLUE, width=0.8)
    else:
        left.plot(epochs[1:], each, color=BLUE, lw=1.2)
    left.set_ylim(0, 1.05 * max(1, each.max()))
    left.set_ylabel("updates in the epoch")
    said = f"never fewer than {each.min()} in {len(each)} epochs" if each.min() > 0 else f"as few as {each.min()}"
    if each[-1] == 0:
        said = f"none from epoch {resting_from(each)} to {len(each)}"
    left.set_title(said, fontsize=10.5, loc="right", color=GREY)
    right.step(epochs, total, where="post", color=BLUE, lw=2)
    right.set_ylabel("updates so far")
    bound = run.facts.get("novikoff_bound")
    right.set_ylim(0, 1.08 * max(1.0, total.max(), bound or 0.0))
    if bound is not None:
        right.axhline(bound, color=VERMILLION, ls="--", lw=1.6)
        right.set_title(rf"Novikoff's bound $(R/\gamma)^2$ = {bound:.4g}", fontsize=10.5, loc="right", color=VERMILLION)
    elif run.facts.get("separable") == 0:
        right.set_title("no separator, no bound", fontsize=10.5, loc="right", color=GREY)
    for axes in (left, right):
        axes.set_xlim(0, end + 0.5)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    return figure


def resting_from(each: np.ndarray) -> int:
    """The epoch, from 1, from which on there was no update; one more than there are epochs if there always were."""
    return int(np.flatnonzero(np.r_[1, each]).max()) + 1


def shown_epochs(each: np.ndarray) -> int:
    """How many epochs are worth showing: a while after the last update."""
    rest = resting_from(each)
    return min(len(each), max(10, 2 * rest))


def update_counts(run: Run) -> tuple[np.ndarray, np.ndarray] | None:
    """Epochs from 0, and a perceptron's updates up to the end of each; None where they were not counted."""
    table = run.probe("separation_updates")
    if table is None or "updates" not in table or len(table) < 2:
        return None
    return table["epoch"].to_numpy(dtype=int), table["updates"].to_numpy(dtype=int)


def kept_arrays(run: Run, name: str) -> dict[int, np.ndarray]:
    """The arrays that a probe kept, by epoch; one that cannot be read is left out."""
    found = {}
    for path in sorted((run.path / "probes").glob(f"{name}_*.npy")):
        epoch = re.fullmatch(rf"{name}_(\d+)\.npy", path.name)
        values = None if epoch is None else _array(path)
        if epoch is not None and values is not None:
            found[int(epoch[1])] = values
    return found


def _array(path: Path) -> np.ndarray | None:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return values if isinstance(values, np.ndarray) and np.isfinite(values).all() else None


def pixels_around(corners: np.ndarray, shape: tuple[int, ...]) -> tuple[float, ...]:
    """The extent of an image whose outermost grid points, at the corners, are the middles of its outermost pixels."""
    left, right, low, high = (float(value) for value in corners)
    across, up = (right - left) / (shape[1] - 1) / 2, (high - low) / (shape[0] - 1) / 2
    return left - across, right + across, low - up, high + up


def regions(axes: Axes, probabilities: np.ndarray, extent: tuple[float, ...]) -> None:
    """The likeliest class over the plane, paler where it is less certain, with lines between classes."""
    image: Any = {"origin": "lower", "extent": extent, "aspect": "auto", "interpolation": "nearest"}
    axes.imshow(shading(probabilities), **image)
    rows, columns = probabilities.shape[:2]
    left, right, low, high = extent
    across, up = (right - left) / columns / 2, (high - low) / rows / 2
    x, y = np.linspace(left + across, right - across, columns), np.linspace(low + up, high - up, rows)
    for label in range(probabilities.shape[-1] if probabilities.shape[-1] > 2 else 1):
        lead = probabilities[..., label] - np.delete(probabilities, label, axis=-1).max(axis=-1)
        if lead.min() < 0.0 < lead.max():
            axes.contour(x, y, lead, levels=[0.0], colors="black", linewidths=1.4)
    axes.grid(False)


def train_points(axes: Axes, plane: dict[str, np.ndarray], most: int, size: float) -> list[Line2D]:
    """At most so many training samples, evenly; returns a handle for each class, without a name."""
    is_train = plane["split"] == "train"
    points, labels = plane["point"][is_train], plane["label"][is_train]
    at = evenly(len(points), most)
    handles = []
    for label in range(len(plane["class_names"])):
        mine = points[at][labels[at] == label]
        how: dict[str, Any] = {"marker": MARKERS[label], "ls": "none", "mec": "white", "mew": 0.5}
        axes.plot(mine[:, 0], mine[:, 1], color=COLOURS[label], ms=size, **how)
        handles.append(Line2D([], [], color=COLOURS[label], ms=8, label="a class", **how))
    return handles


def class_legend(figure: Figure, handles: list[Line2D], plane: dict[str, np.ndarray]) -> None:
    """The classes' names under all panels."""
    names = shortened([str(name) for name in plane["class_names"]], 24)
    columns = max(1, min(len(names), int(LEGEND / (max(map(len, names)) + 6))))
    literal(figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=10), names)


def half_plane(
    axes: Axes, plane: dict[str, np.ndarray], weights: np.ndarray, levels: list[float], colour: str, style: str
) -> None:
    """The lines w1 x + w2 y + b = level."""
    x, y = np.meshgrid(plane["x"], plane["y"])
    outputs = weights[0] * x + weights[1] * y + weights[2]
    if any(outputs.min() < level < outputs.max() for level in levels):
        axes.contour(x, y, outputs, levels=sorted(set(levels)), colors=colour, linestyles=style, linewidths=1.8)


FIGURES: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {
    "boundaries": (boundaries, False),
    "margins": (margins, True),
    "perceptron_updates": (perceptron_updates, True),
}
