"""How well the probability of each class ranks the test samples: ROC and precision-recall, one against the rest.

The points are those of the definitions, one for each different probability: samples that tie enter together. A class
counts where the test split has samples of it and of others. With two classes both are drawn: their ROC curves mirror
each other and have one area, while precision and recall depend on which of the two is sought.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, StrMethodFormatter

from labrunner.figures.look import APART, BLACK, GREY, PALE, left_to_right, literal, of_samples, page, shortened
from labrunner.records import Run

NAME_WIDTH = 22  # characters of a class name in the legend
EACH = 12  # classes up to which each gets a colour and a line in the legend
WORST = 5  # with more, how many do
STYLES = ("-", (0, (4, 1.5)), (0, (1, 1)))  # with the colours of APART, eighteen lines
GRID = np.linspace(0.0, 1.0, 1001)  # where curves are averaged: finer than a printed page shows
CORNER = 0.2  # side of the corner that is drawn again, larger, where all curves run there

Points = tuple[np.ndarray, np.ndarray]


def roc(run: Run) -> Figure | None:
    """True positive rate against false positive rate; None without predictions, or where no class counts.

    The macro average is the mean true positive rate at each false positive rate (Fawcett 2006); its area is the mean of
    the classes' areas.
    """
    return _draw(run, ROC)


def precision_recall(run: Run) -> Figure | None:
    """Precision against recall, with average precision for an area; None as `roc`.

    Each precision holds back to the recall before it, as average precision sums it, without a line between the points
    (Davis & Goadrich 2006). The macro average is the mean precision at each recall; its area is the mean of the
    classes' average precisions. Without ranking, precision is the class's share of the samples at every recall.
    """
    return _draw(run, PRECISION_RECALL)


def roc_curve(positive: np.ndarray, score: np.ndarray) -> Points:
    """False and true positive rates, from (0, 0) to (1, 1), by falling threshold.

    positive (N,) bool, with both values in it; score (N,). A point for each different score, and (0, 0).
    """
    hits, taken = _counts(positive, score)
    misses = taken - hits
    return np.r_[0.0, misses / misses[-1]], np.r_[0.0, hits / hits[-1]]


def roc_area(positive: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve, by trapezoids: the chance that a positive scores above a negative, ties for a half."""
    rate, hit_rate = roc_curve(positive, score)
    return float(np.sum(np.diff(rate) * (hit_rate[1:] + hit_rate[:-1]) / 2))


def precision_recall_curve(positive: np.ndarray, score: np.ndarray) -> Points:
    """Recalls and precisions by falling threshold; one point for each recall above 0, the one with most precision.

    positive (N,) bool, with a True in it; score (N,).
    """
    hits, taken = _counts(positive, score)
    rises = np.diff(hits, prepend=0) > 0
    return hits[rises] / hits[-1], hits[rises] / taken[rises]


def average_precision(positive: np.ndarray, score: np.ndarray) -> float:
    """sum of (R_n - R_n-1) P_n over the thresholds, R recall and P precision."""
    recall, precision = precision_recall_curve(positive, score)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _counts(positive: np.ndarray, score: np.ndarray) -> Points:
    """Positives and samples at or above each different score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))  # the last sample of each tie
    return np.cumsum(positive[order])[last], last + 1


def _roc_at_grid(points: Points) -> np.ndarray:
    """The highest true positive rate at each false positive rate of GRID; straight between points."""
    rate, hit_rate = points
    start = np.flatnonzero(np.diff(rate, prepend=-1.0))  # where a rate comes first, and
    end = np.r_[start[1:], len(rate)] - 1  # last: between the two the curve goes straight up
    at = np.searchsorted(rate[start], GRID, side="right") - 1
    following = np.minimum(at + 1, len(start) - 1)
    width = rate[start][following] - rate[start][at]
    way = np.divide(GRID - rate[start][at], width, out=np.zeros_like(GRID), where=width > 0)
    return hit_rate[end][at] + way * (hit_rate[start][following] - hit_rate[end][at])


def _precision_at_grid(points: Points) -> np.ndarray:
    recall, precision = points
    return precision[np.minimum(np.searchsorted(recall, GRID), len(recall) - 1)]


def _steps(points: Points) -> Points:
    """The corners of precision over recall: each precision holds back to the recall before it."""
    recall, precision = points
    return np.repeat(np.r_[0.0, recall], 2)[1:-1], np.repeat(precision, 2)


@dataclass(frozen=True)
class Kind:
    """What makes a curve of its kind."""

    curve: Callable[[np.ndarray, np.ndarray], Points]
    area: Callable[[np.ndarray, np.ndarray], float]
    at_grid: Callable[[Points], np.ndarray]  # the second coordinate where the first is GRID
    line: Callable[[Points], Points]  # the points as they are connected
    labels: tuple[str, str]
    heading: str
    corner: tuple[float, float]  # the lower left end of the corner where good curves run
    inset: tuple[float, float, float, float]  # where it is drawn again: left, bottom, width, height


ROC = Kind(
    roc_curve,
    roc_area,
    _roc_at_grid,
    lambda points: points,
    ("false positive rate", "true positive rate"),
    "AUROC",
    (0.0, 1.0 - CORNER),
    (0.46, 0.12, 0.5, 0.5),
)
PRECISION_RECALL = Kind(
    precision_recall_curve,
    average_precision,
    _precision_at_grid,
    _steps,
    ("recall", "precision"),
    "average precision",
    (1.0 - CORNER, 1.0 - CORNER),
    (0.17, 0.12, 0.5, 0.5),
)


def _draw(run: Run, kind: Kind) -> Figure | None:
    if run.predictions is None or run.class_names is None:
        return None
    label = run.predictions["label"].to_numpy()
    probability = run.predictions.iloc[:, 3:].to_numpy(dtype=float)
    present = [(label == index) for index in range(probability.shape[1])]
    counted = [
        index
        for index, positive in enumerate(present)
        if positive.any() and not positive.all() and np.isfinite(probability[:, index]).all()
    ]
    if not counted:
        return None
    curves = {index: kind.curve(present[index], probability[:, index]) for index in counted}
    areas = {index: kind.area(present[index], probability[:, index]) for index in counted}
    macro = np.mean([kind.at_grid(curves[index]) for index in counted], axis=0)
    mean_area = float(np.mean(list(areas.values())))
    chance = float(np.mean([present[index].mean() for index in counted]))

    # the two areas of two classes are equal but for the last bit
    by_area = sorted(counted, key=lambda index: (-round(areas[index], 12), index))
    named = by_area if len(counted) <= EACH else by_area[-WORST:]
    behind = [index for index in by_area if index not in named]
    lines = {index: np.column_stack(kind.line(curves[index])) for index in counted}
    average = np.column_stack((GRID, macro))
    if kind is ROC:
        average = np.vstack(([0.0, 0.0], average))

    def content(axes: Axes) -> None:
        if behind:
            axes.add_collection(LineCollection([lines[index] for index in behind], colors=PALE, linewidths=0.6))
        for place, index in enumerate(named):
            # by its number where all are drawn: a class has its colour in both figures
            axes.plot(*lines[index].T, **_style(index if not behind else place), linewidth=1.5)
        axes.plot(*average.T, color=BLACK, linewidth=2.2)
        if kind is ROC:
            axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1.0, zorder=1.5)
        else:
            axes.axhline(chance, color=GREY, linestyle=":", linewidth=1.0, zorder=1.5)

    figure = page(5.0)
    axes = figure.subplots()
    content(axes)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=kind.labels[0], ylabel=kind.labels[1])
    left = len(present) - len(counted)
    title = f"{of_samples(run, len(label))}: each class against the rest"
    if left:
        title += f"\n{_left_out(run.class_names, counted, present)}"
    axes.set_title(title, fontsize=11, parse_math=False)
    if _corner_is_enough([*lines.values(), average], mean_area, kind):
        _enlarge(axes, kind, content)

    names = shortened(run.class_names, NAME_WIDTH)
    handles = [Line2D([], [], color=BLACK, linewidth=2.2)]
    entries = [f"{_area(mean_area)}  macro average"]
    if behind:
        handles.append(Line2D([], [], color=PALE, linewidth=1.0))
        low, high = areas[behind[-1]], areas[behind[0]]
        entries.append(f"{_area(low)} to {_area(high)}\n{len(behind)} classes")
    for place, index in enumerate(named):
        handles.append(Line2D([], [], **_style(index if not behind else place), linewidth=1.8))
        entries.append(left_to_right(f"{_area(areas[index])}  ", names[index]))
    handles.append(Line2D([], [], color=GREY, linestyle=":"))
    entries.append("by chance" if kind is ROC or len(set(map(np.sum, present))) == 1 else "by chance, on average")
    legend = figure.legend(
        handles,
        ["-"] * len(handles),
        loc="outside right center",
        title=f"{kind.heading}" + (f",\nthe {len(named)} worst classes" if behind else ""),
        title_fontsize=11,
        fontsize=10.5,
        alignment="left",
        handlelength=2.2,
        borderaxespad=0.0,
    )
    literal(legend, entries)
    return figure


def _left_out(names: Sequence[str], counted: Sequence[int], present: Sequence[np.ndarray]) -> str:
    """Which classes have no curve, and why; where one has all samples, there are no curves at all."""
    missing = [index for index in range(len(present)) if index not in counted]
    why = "no test samples" if not any(present[index].any() for index in missing) else "no samples or no probabilities"
    if len(missing) == 1:
        why = "no test samples" if not present[missing[0]].any() else "probabilities that are no numbers"
        return f"class {shortened([names[missing[0]]], NAME_WIDTH)[0]} left out: {why}"
    return f"{len(missing)} of {len(present)} classes left out: {why}"


def _style(index: int) -> dict[str, Any]:
    return {"color": APART[index % len(APART)], "linestyle": STYLES[index // len(APART)]}


def _area(area: float) -> str:
    """Four decimals; what is below 1 is not rounded to it."""
    return ">.9999" if 0.99995 <= area < 1.0 else f"{area:.4f}"


def _corner_is_enough(lines: list[np.ndarray], area: float, kind: Kind) -> bool:
    """Whether the curves run in the corner of good ones, and none behind the place where that is drawn again."""
    left, bottom, width, height = kind.inset
    if area < 0.95 or area == 1.0:
        return False
    for line in lines:
        x, y = line.T
        inside = (x > left - 0.1) & (x < left + width + 0.02) & (y < bottom + height + 0.02)
        if inside.any():
            return False
    return True


def _enlarge(axes: Axes, kind: Kind, content: Callable[[Axes], None]) -> None:
    """The corner again, larger, in the empty part of the panel."""
    inset = axes.inset_axes(kind.inset)
    content(inset)
    (x, y), edge = kind.corner, 0.005
    inset.set(xlim=(x - edge, x + CORNER + edge), ylim=(y - edge, y + CORNER + edge))
    for axis, start in ((inset.xaxis, x), (inset.yaxis, y)):
        axis.set_major_locator(FixedLocator([start, start + CORNER / 2, start + CORNER]))
        axis.set_major_formatter(StrMethodFormatter("{x:.1f}"))
    inset.tick_params(labelsize=10)
    inset.spines[:].set(visible=True, color=GREY)
    inset.set_title("enlarged", fontsize=10, pad=3)
