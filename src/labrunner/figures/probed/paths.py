"""Figures of the weights' way over the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator, NullLocator

from labrunner.figures.look import APART, BLACK, GREY, PALE, VERMILLION, literal, page
from labrunner.records import Run

LEVELS = 13  # lines of equal loss
ROW = 80  # characters of a legend's row
MARKED = 60  # points of a way that get a mark each
LEAVES = 4.0  # times the loss of the start: what lies higher is left outside of the picture
MARGIN = 0.2  # of the way's extent, on each side of it
STYLES: tuple[Any, ...] = ("-", "--", ":")
STEPS = ("epoch", "step")
DIRECTIONS = {"direction1": "first principal direction", "direction2": "second principal direction"}


@dataclass(frozen=True)
class Surface:
    """The loss over a plane, from ``probes/loss_surface.csv``."""

    names: tuple[str, str]
    x: np.ndarray  # (X,) ascending
    y: np.ndarray  # (Y,)
    loss: np.ndarray  # (Y, X), NaN where blank

    @property
    def is_of_weights(self) -> bool:
        """Whether the plane is that of the two weights themselves, which several runs may share."""
        return self.names[0] not in DIRECTIONS

    @property
    def area(self) -> float:
        return float(np.ptp(self.x) * np.ptp(self.y))


def surface_of(run: Run) -> Surface | None:
    """The loss that a run noted over its plane; None where there is none, or not one that can be drawn."""
    table = run.probe("loss_surface")
    if table is None or len(table) < 4 or len(table.columns) != 5:
        return None
    first, second = str(table.columns[2]), str(table.columns[3])
    points = table.iloc[:, 2:5].to_numpy(dtype=float)
    x, y = np.unique(points[:, 0]), np.unique(points[:, 1])
    if len(x) < 2 or len(y) < 2 or len(points) != len(x) * len(y) or not np.isfinite(points[:, :2]).all():
        return None
    loss = points[:, 2].reshape(len(y), len(x))
    seen = loss[np.isfinite(loss)]
    if not seen.size or seen.min() == seen.max():
        return None
    return Surface((first, second), x, y, loss)


@dataclass(frozen=True)
class Way:
    """A way in the plane, from ``probes/loss_surface_path.csv``, up to its first point that is no number."""

    steps: np.ndarray  # (P,) training batches so far
    points: np.ndarray  # (P, 2)
    loss: np.ndarray  # (P,), NaN where blank

    @property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners of a rectangle around it, but for what lies too high to be shown."""
        inside = self.points[self.loss <= LEAVES * self.loss[0]] if np.isfinite(self.loss[0]) else self.points[:1]
        low, high = inside.min(axis=0), inside.max(axis=0)
        extent = np.where(high > low, high - low, (high - low).max())
        return low - MARGIN * extent, high + MARGIN * extent


def path_of(run: Run, names: Sequence[str]) -> Way | None:
    """A run's way in the plane of these coordinates; None where there is none."""
    table = run.probe("loss_surface_path")
    if table is None or not {*names, "step", "loss"} <= set(table.columns):
        return None
    points = table[list(names)].to_numpy(dtype=float)
    blank = np.flatnonzero(~np.isfinite(points).all(axis=1))
    end = int(blank[0]) if blank.size else len(points)
    path = Way(table["step"].to_numpy()[:end], points[:end], table["loss"].to_numpy(dtype=float)[:end])
    return path if end else None


Window = tuple[np.ndarray, np.ndarray]  # lower left and upper right corner, (2,) each


def window_of(surface: Surface, paths: Sequence[Way | None]) -> Window:
    """The part of the plane that is shown: around all ways, as far as the loss is known."""
    low, high = np.array([surface.x[0], surface.y[0]]), np.array([surface.x[-1], surface.y[-1]])
    boxes = [path.box for path in paths if path is not None]
    if not boxes:
        return low, high
    around = np.min([box[0] for box in boxes], axis=0), np.max([box[1] for box in boxes], axis=0)
    shown = np.maximum(low, around[0]), np.minimum(high, around[1])
    return shown if (shown[0] < shown[1]).all() else (low, high)


# contours


def levels_of(surfaces: Sequence[tuple[Surface, Window]]) -> np.ndarray:
    """Ascending losses at which lines are drawn: dense at the bottom, so that valley and slopes can be read at once."""
    losses = []
    for surface, (low, high) in surfaces:
        columns, rows = (surface.x >= low[0]) & (surface.x <= high[0]), (surface.y >= low[1]) & (surface.y <= high[1])
        part = surface.loss[np.ix_(rows, columns)]
        losses.append(part[np.isfinite(part)])
    seen = np.concatenate(losses)
    if not seen.size or seen.min() == seen.max():
        seen = np.concatenate([surface.loss[np.isfinite(surface.loss)] for surface, _ in surfaces])
    lowest, highest = float(seen.min()), float(seen.max())
    return lowest + (highest - lowest) * np.linspace(0.0, 1.0, LEVELS) ** 3


def _pale() -> ListedColormap:
    """White where the loss is least, blue where it is high; never so dark that a way does not stand out."""
    return ListedColormap(matplotlib.colormaps["Blues"](np.linspace(0.0, 0.72, 256)), "pale blues")


PALE_BLUES = _pale()


def draw_surface(axes: Axes, surface: Surface, window: Window, levels: np.ndarray) -> QuadContourSet:
    """Filled contours and their lines; grey where the loss overflowed."""
    norm = BoundaryNorm(levels, PALE_BLUES.N)
    shown = np.ma.masked_invalid(np.clip(surface.loss, levels[0], levels[-1]))
    filled = axes.contourf(surface.x, surface.y, shown, levels=levels, cmap=PALE_BLUES, norm=norm)
    axes.contour(surface.x, surface.y, shown, levels=levels[1:-1], colors=GREY, linewidths=0.4, alpha=0.6)
    axes.set_facecolor(PALE)
    axes.grid(False)
    (left, bottom), (right, top) = window
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    return filled


def colour_bar(figure: Figure, filled: QuadContourSet, panels: Any, levels: np.ndarray) -> None:
    bar = figure.colorbar(filled, ax=panels, pad=0.015, aspect=30)
    every = levels[:: 2 if len(levels) > 8 else 1]
    bar.set_ticks(list(every), labels=[f"{level:.3g}" for level in every])
    bar.minorticks_off()
    bar.set_label("training loss")
    bar.outline.set_visible(False)


def draw_path(axes: Axes, path: Way) -> bool:
    """A way with its start and its end; returns whether it leaves the panel for good.

    It is then cut at the edge, where a triangle points where it went and a number says at which step.
    """
    points = path.points
    gone = leaves(points, axes.get_xlim(), axes.get_ylim())
    drawn = points if gone is None else points[: gone[0] + 1]
    marked = len(points) <= MARKED
    halo = [Stroke(linewidth=2.4, foreground="white", alpha=0.7), Normal()]
    axes.plot(
        drawn[:, 0],
        drawn[:, 1],
        color=VERMILLION,
        linewidth=1.3 if marked else 0.6,
        marker="o" if marked else None,
        markersize=3.0,
        path_effects=halo if marked else None,
        zorder=3,
    )
    axes.plot(*points[0], "o", color="white", markeredgecolor=BLACK, markersize=7, zorder=4)
    if gone is None:
        axes.plot(*points[-1], "X", color=BLACK, markeredgecolor="white", markersize=9, zorder=5)
        return False
    number, (x, y), angle = gone
    axes.plot(
        [x], [y], marker=(3, 0, angle - 90.0), markersize=13, color=VERMILLION, markeredgecolor=BLACK, clip_on=False,
        linestyle="none", zorder=5,
    )  # fmt: skip
    step = f"step {path.steps[number]}"
    left, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
    across, up = (x - left) / np.ptp(axes.get_xlim()), (y - bottom) / np.ptp(axes.get_ylim())
    inward = (12 if across < 0.5 else -12, 8 if up < 0.5 else -8)  # points
    corner: dict[str, Any] = {"ha": "left" if across < 0.5 else "right", "va": "bottom" if up < 0.5 else "top"}
    inset = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5}
    axes.annotate(step, (x, y), inward, textcoords="offset points", fontsize=10, bbox=inset, zorder=6, **corner)
    return True


def leaves(
    points: np.ndarray, x: tuple[float, float], y: tuple[float, float]
) -> tuple[int, tuple[float, float], float] | None:
    """Where a way leaves a rectangle for good.

    Returns
    -------
    The number of the first point outside, the place where it goes over the edge and the direction in degrees (0 is
    right, 90 is up); None for a way that ends inside.
    """
    low, high = np.array([x[0], y[0]]), np.array([x[1], y[1]])
    inside = np.all((points >= low) & (points <= high), axis=1)
    if inside[-1] or not inside[0]:
        return None
    number = int(np.flatnonzero(inside)[-1]) + 1
    begin, end = points[number - 1], points[number]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(end > high, (high - begin) / (end - begin), (low - begin) / (end - begin))
    shares = np.where((end > high) | (end < low), shares, np.inf)
    axis = int(np.argmin(shares))
    place = begin + shares[axis] * (end - begin)
    up = end[axis] > high[axis]
    return number, (float(place[0]), float(place[1])), (0.0 if axis == 0 else 90.0) + (0.0 if up else 180.0)


def path_handles(ends: bool, leaves: bool) -> list[Line2D]:
    """What the marks of `draw_path` mean, as far as there are any."""
    none: dict[str, Any] = {"linestyle": "none"}
    handles = [
        Line2D([], [], marker="o", color="white", markeredgecolor=BLACK, markersize=7, label="start", **none),
    ]
    if ends:
        handles.append(Line2D([], [], marker="X", color=BLACK, markeredgecolor="white", markersize=9, **none))
        handles[-1].set_label("end")
    if leaves:
        made = Line2D([], [], marker="^", color=VERMILLION, markeredgecolor=BLACK, markersize=9, **none)
        made.set_label("leaves the picture")
        handles.append(made)
    return handles


def axis_label(name: str, run: Run | None = None) -> str:
    """``weight w1``, or the principal direction with its share of the way's squared distances from its end."""
    if name not in DIRECTIONS:
        return f"weight {name}"
    table = None if run is None else run.probe("loss_surface_plane")
    if table is None or not {"direction", "explained"} <= set(table.columns):
        return DIRECTIONS[name]
    share = table.loc[table["direction"] == int(name[-1]), "explained"].to_numpy(dtype=float)
    return f"{DIRECTIONS[name]}\n({share[0]:.1%} of squared distances)" if share.size else DIRECTIONS[name]


# figures


def loss_surface(run: Run) -> Figure | None:
    """Contours of the training loss over the plane of the run's way, and the way; None without probe `loss_surface`."""
    surface = surface_of(run)
    if surface is None:
        return None
    figure = page(5.2)
    axes = figure.subplots()
    path = path_of(run, surface.names)
    window = window_of(surface, [path])
    levels = levels_of([(surface, window)])
    filled = draw_surface(axes, surface, window, levels)
    if path is not None:
        gone = draw_path(axes, path)
        handles = path_handles(ends=not gone, leaves=gone)
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), borderaxespad=0.0)
    colour_bar(figure, filled, axes, levels)
    axes.set_xlabel(axis_label(surface.names[0], run))
    axes.set_ylabel(axis_label(surface.names[1], run))
    return figure


def trajectory(run: Run) -> Figure | None:
    """Each weight of a small model over the steps; None without probe `trajectory`."""
    table = run.probe("trajectory")
    if table is None or len(table) < 2:
        return None
    names = [str(name) for name in table.columns if name not in STEPS]
    values = table[names].to_numpy(dtype=float)
    if not np.isfinite(values).any():
        return None
    figure = page(3.7)
    axes = figure.subplots()
    steps = table["step"].to_numpy(dtype=int)
    looks = [(colour, style) for style in STYLES for colour in APART]
    handles = []
    for column, (name, (colour, style)) in enumerate(zip(names, looks, strict=False)):
        marker = "o" if len(steps) <= MARKED else None
        axes.plot(steps, values[:, column], color=colour, linestyle=style, marker=marker, markersize=3.5, linewidth=1.8)
        handles.append(Line2D([], [], color=colour, linestyle=style, linewidth=1.8, label=name))
    set_spread(axes, values)
    axes.axhline(0.0, color=GREY, linewidth=0.8, zorder=1.5)
    axes.set_xlabel("training step")
    axes.set_ylabel("weight" if len(names) == 1 else "weights")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    columns = min(len(names), max(1, ROW // (max(map(len, names)) + 6)))
    legend = figure.legend(
        handles, [" "] * len(handles), loc="outside lower center", ncols=columns, borderaxespad=0.0, fontsize=10
    )
    literal(legend, names)
    return figure


def set_spread(axes: Axes, values: np.ndarray) -> None:
    """Where weights explode, a scale that is linear around those of the first steps and logarithmic beyond."""
    sizes = np.abs(values[np.isfinite(values)])
    near = float(np.nanmax(np.abs(values[: max(2, len(values) // 10)]), initial=0.0))
    if near > 0.0 and sizes.max() > 100.0 * near:
        powers = 10.0 ** np.arange(math.ceil(math.log10(near)), math.ceil(math.log10(sizes.max())))
        powers = powers[:: math.ceil(len(powers) / 4)]
        axes.set_yscale("symlog", linthresh=near)
        axes.set_yticks([*-powers[::-1], 0.0, *powers])
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_title("logarithmic beyond the size of the first steps", loc="right", fontsize=10, color=GREY)


FIGURES: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {
    "loss_surface": (loss_surface, True),
    "trajectory": (trajectory, False),
}
