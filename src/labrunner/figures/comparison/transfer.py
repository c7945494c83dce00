"""Figures of a sweep in which weights are transferred or frozen: what it buys to train more of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator

from labrunner import comparison
from labrunner.errors import LabrunnerError
from labrunner.figures.comparison.overlaid import CATEGORIES
from labrunner.figures.comparison.scales import counted, legend_below, legend_shape, note_above, percent
from labrunner.figures.comparison.shown import Combination, Entry, Result, Shown
from labrunner.figures.look import page
from labrunner.records import Run, Sweep

TESTED = "test_accuracy"  # of the table of a sweep; no column of metrics.csv
POINTS = 42  # combinations whose marks are told apart
MARKERS = "os^Dv*"
APART = 0.035  # of the width, between marks that would stand over each other
VALIDATION, TEST, SECONDS = "validation accuracy", "test accuracy", "seconds of all epochs"


class Point(NamedTuple):
    """A combination of a sweep."""

    combination: Combination
    trainable: float  # parameters, in the last epoch
    results: dict[str, Result]  # by what the panel shows


def accuracy_and_trainable(sweep: Sweep) -> Figure | None:
    """Accuracy and time against the number of parameters that train in the last epoch, on a log axis.

    A point is the mean of the seeds with their standard deviation. The test split has a panel where all were tested,
    and ranks nothing. None where nothing is frozen in any run, or all runs freeze alike.
    """
    shown = Shown(sweep)
    if not freezes_differ(shown):
        return None
    points = [point for each in shown.combinations if (point := measured(each)) is not None]
    if len(points) < 2:
        return None
    left_out = len(shown.combinations) - len(points[:POINTS])
    points = points[:POINTS]
    panels = [VALIDATION, *(name for name in (TEST, SECONDS) if all(name in each.results for each in points))]
    looks = [
        (CATEGORIES[i % len(CATEGORIES)], MARKERS[i // len(CATEGORIES) % len(MARKERS)]) for i in range(len(points))
    ]
    titles = shown.names([each.combination for each in points])
    handles = [
        Line2D([], [], ls="none", marker=marker, ms=7, color=colour, mew=0, label=title)
        for (colour, marker), title in zip(looks, titles, strict=True)
    ]
    figure = page(3.9 + 0.22 * legend_shape(handles)[0])
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw_panel(axes, points, name, looks)
        # one scale for both splits, so that they can be held against each other
        alike = [SECONDS] if name == SECONDS else [other for other in panels if other != SECONDS]
        set_heights(axes, [each.results[other] for each in points for other in alike], name)
    legend_below(figure, handles)
    said = [f"mean and standard deviation over {shown.seeds}"] if shown.folds else []
    said += ["at the chosen epoch"]
    if len({each.trainable for each in points}) < len(points):
        said.append("marks of equally many parameters stand beside each other")
    note_above(figure, shown.note(*said, *([f"{counted(left_out, 'combination')} left out"] if left_out else [])))
    return figure


def freezes_differ(shown: Shown) -> bool:
    """Whether something is frozen in some run, and not in all runs as much or by the same strategy."""
    runs = [entry.member.run for entry in shown.entries if entry.member.run is not None]
    found = {(strategy(run), number(run, "parameters_trainable")) for run in runs}
    return len(found) > 1 and any(freezes(run) for run in runs)


def freezes(run: Run) -> bool:
    """Whether something of a run's model was frozen in some epoch, by its strategy or by its maker."""
    total, trainable = number(run, "parameters"), number(run, "parameters_trainable")
    fewer = total is not None and trainable is not None and trainable < total
    return fewer or (number(run, "frozen_tensors") or 0.0) > 0.0


def transferred(shown: Shown) -> bool:
    """Whether the runs differ in their freeze strategy or in where their starting weights are from."""
    runs = [entry.member.run for entry in shown.entries if entry.member.run is not None]
    return len({(strategy(run), weights(run)) for run in runs}) > 1


def measured(combination: Combination) -> Point | None:
    """None where nothing is known of its parameters, or it has no validation accuracy."""
    known = [number(entry.member.run, "parameters_trainable") for entry in combination.entries if entry.member.run]
    trainable = next((value for value in known if value is not None and value > 0.0), None)
    validation = combination.result("val_accuracy")
    if trainable is None or validation is None:
        return None
    results = {VALIDATION: validation}
    for name, value in ((TEST, tested), (SECONDS, took)):
        found = folded(combination, value)
        if found is not None:
            results[name] = found
    return Point(combination, trainable, results)


def result_of(combination: Combination, column: str) -> Result | None:
    """A column at the chosen epoch, or the accuracy on the test split, of its runs that are done."""
    return folded(combination, tested) if column == TESTED else combination.result(column)


def folded(combination: Combination, value: Callable[[Entry], float | None]) -> Result | None:
    """A number of its runs that are done; None unless all of these have it."""
    done = [entry for entry in combination.entries if entry.status == "done"]
    values = [found for entry in done if (found := value(entry)) is not None]
    if not values or len(values) < len(done):
        return None
    mean, sd = comparison.mean_and_sd(values)
    return Result(float(mean or 0.0), sd, values)


def tested(entry: Entry) -> float | None:
    """The accuracy on the test split."""
    return None if entry.member.run is None else comparison.tested(entry.member.run)[TESTED]


def took(entry: Entry) -> float | None:
    return None if entry.member.run is None else comparison.seconds(entry.member.run)


def number(run: Run | None, fact: str) -> float | None:
    """A fact of facts.json; None where there is none."""
    value = None if run is None else run.facts.get(fact)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def strategy(run: Run) -> str:
    return str(section(run, "freeze").get("name", "none"))


def weights(run: Run) -> str:
    return str(section(run, "model").get("weights"))


def section(run: Run, name: str) -> dict[str, Any]:
    try:
        found = run.config.get(name)
    except LabrunnerError:  # a damaged folder
        return {}
    return found if isinstance(found, dict) else {}


def draw_panel(axes: Axes, points: Sequence[Point], name: str, looks: Sequence[tuple[Any, str]]) -> None:
    sizes = [each.trainable for each in points]
    low, high = min(sizes), max(sizes)
    room = max(1.6, (high / low) ** 0.15)
    low, high = low / room, high * room
    for each, place, (colour, marker) in zip(points, spread(points, low, high), looks, strict=True):
        result = each.results[name]
        if result.sd is not None:
            axes.vlines(place, result.mean - result.sd, result.mean + result.sd, color=colour, lw=1.4, zorder=2.5)
        axes.plot([place], [result.mean], marker=marker, color=colour, ms=7.5, mew=0, zorder=3)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 30 * low else (1.0,), numticks=5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("trainable parameters")
    axes.set_title(name, fontsize=11)


def set_heights(axes: Axes, reached: Sequence[Result], name: str) -> None:
    """The scale of a panel that has room for these results with their spread."""
    low = min(result.mean - (result.sd or 0.0) for result in reached)
    high = max(result.mean + (result.sd or 0.0) for result in reached)
    ticks = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10])
    axes.yaxis.set_major_locator(ticks)
    if name == SECONDS:
        axes.set_ylim(0.0, 1.08 * high)
        return
    room = 0.08 * max(high - low, 0.02)
    axes.set_ylim(low - room, high + room)
    whole = [tick for tick in ticks.tick_values(low - room, high + room) if 0.0 <= tick <= 1.0 + 1e-9]
    axes.yaxis.set_major_locator(FixedLocator(whole))
    axes.yaxis.set_major_formatter(percent)


def spread(points: Sequence[Point], low: float, high: float) -> list[float]:
    """Where the marks stand: those of equally many parameters beside each other, about their own place."""
    step = (high / low) ** APART
    places = []
    for each in points:
        alike = [other for other in points if other.trainable == each.trainable]
        mine = next(place for place, other in enumerate(alike) if other is each)
        places.append(each.trainable * step ** (mine - (len(alike) - 1) / 2) if len(alike) < 8 else each.trainable)
    return places


FIGURES: dict[str, tuple[Callable[[Sweep], Figure | None], bool]] = {
    "accuracy_and_trainable": (accuracy_and_trainable, True)
}
