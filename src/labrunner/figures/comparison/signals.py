"""Figures of a sweep about gradients, activations, weights and updates, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from labrunner.figures.comparison.scales import SMALL, counted, legend_below, legend_shape, note_above, percent
from labrunner.figures.comparison.shown import Combination, Shown, token, whole_runs
from labrunner.figures.layers import (
    draw_histograms,
    ended,
    hidden,
    matrices,
    noted,
    numbers,
    positive,
    whole_numbers,
)
from labrunner.figures.look import APART, BLACK, BLUE, PALE, VERMILLION, page, shortened
from labrunner.records import Run, Sweep
from labrunner.thinning import evenly

if TYPE_CHECKING:
    import pandas as pd

STYLES: tuple[Any, ...] = ("-", "--", "-.", ":")
COLOURS = (*APART, BLACK)
# neighbours differ in both, so that of two lines that lie on each other both can be seen
LOOKS = [(COLOURS[i % len(COLOURS)], STYLES[i % len(STYLES)]) for i in range(len(COLOURS) * len(STYLES))]
MOST = 14  # combinations that are told apart
PANELS = 4  # networks of different depth
ROWS, COLUMNS = 6, 4  # of a grid of histograms
BARS = 30
NAME = 26  # characters beside a bar
GRID = 240  # points of a density
RANGE = 4.0  # of the inputs of activation functions, to both sides


# the functions themselves


def normal_cdf(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0)))


def normal_density(x: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


Values = Callable[[np.ndarray], np.ndarray]
FUNCTIONS: dict[str, tuple[Values, Values]] = {  # activation -> value and derivative
    "relu": (lambda x: np.maximum(x, 0.0), lambda x: (x > 0.0) * 1.0),
    "leaky_relu": (lambda x: np.where(x > 0.0, x, 0.01 * x), lambda x: np.where(x > 0.0, 1.0, 0.01)),
    "elu": (lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0))), lambda x: np.exp(np.minimum(x, 0.0))),
    # x Phi(x)  (Hendrycks & Gimpel 2016)
    "gelu": (lambda x: x * normal_cdf(x), lambda x: normal_cdf(x) + x * normal_density(x)),
    # x s(x), and s' = s (1 - s)
    "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)))),
    "tanh": (np.tanh, lambda x: 1.0 - np.tanh(x) ** 2),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * (1.0 - sigmoid(x))),
}


def activation_functions(sweep: Sweep) -> Figure | None:
    """The activation functions of the runs and their derivatives; None unless the runs differ in them."""
    used = dict.fromkeys(str(run.config["model"].get("activation")) for _, run in whole_runs(sweep))
    names = [name for name in used if name in FUNCTIONS]
    if len(names) < 2:
        return None
    figure = page(4.2)
    panels = figure.subplots(1, 2)
    x = np.linspace(-RANGE, RANGE, 801)
    handles = []
    for name, (colour, style) in zip(names, LOOKS, strict=False):
        for axes, function in zip(panels, FUNCTIONS[name], strict=True):
            values = function(x)
            steep = np.abs(np.diff(values)) > 0.5  # a derivative that jumps is no steep line
            axes.plot(x, np.where(np.append(steep, False), np.nan, values), color=colour, linestyle=style, linewidth=2)
        handles.append(Line2D([], [], color=colour, linestyle=style, lw=2, label=name))
    for axes, title in zip(panels, ("activation", "its derivative"), strict=True):
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("what comes into a unit")
    panels[0].set_ylim(-1.3, 3.2)
    panels[0].set_ylabel("what comes out")
    panels[1].set_ylabel("factor for what comes back")
    legend_below(figure, handles)
    return figure


# by layer


class Line(NamedTuple):
    """What a combination has in each layer, one row a seed."""

    combination: Combination
    values: np.ndarray  # (seeds, layers)


def gradients_by_layer(sweep: Sweep) -> Figure | None:
    """Norm of the gradient of each weight matrix before training, a panel for each depth."""
    return by_layer(
        sweep,
        lambda run: at_start(matrices(run, "gradients"), "norm"),
        "norm of the gradient before training",
        "weight matrix",
        heads=1,
    )


def activation_spread(sweep: Sweep) -> Figure | None:
    """Standard deviation of each hidden layer's outputs before training, a panel for each depth."""
    return by_layer(
        sweep, lambda run: at_start(hidden(run), "std"), "spread of outputs before training", "hidden layer", heads=0
    )


def at_start(table: pd.DataFrame | None, column: str) -> np.ndarray | None:
    return None if table is None else positive(table.loc[table["epoch"] == 0, column])


def by_layer(
    sweep: Sweep, read: Callable[[Run], np.ndarray | None], label: str, across: str, heads: int
) -> Figure | None:
    """What `read` finds in each layer of the runs; of these layers so many are `heads` and not hidden."""
    shown = Shown(sweep)
    lines = [line for each in shown.combinations if (line := line_of(each, read)) is not None]
    if sum(np.isfinite(line.values).any() for line in lines) < 2:
        return None
    depths = sorted({line.values.shape[1] for line in lines})
    panels = [depths[place] for place in evenly(len(depths), PANELS)]
    names = names_of(shown, lines)
    distinct = list(dict.fromkeys(names))
    looks: dict[str, Any] = dict(zip(distinct[:MOST], LOOKS, strict=False))
    handles = [Line2D([], [], color=c, linestyle=s, lw=2, label=name) for name, (c, s) in looks.items()]
    if len(distinct) > MOST:
        handles.append(Line2D([], [], color=PALE, lw=2, label=f"{len(distinct) - MOST} others"))
    figure = page(3.8 + 0.2 * legend_shape(handles)[0])
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    blank = 0
    for axes, depth in zip(grid, panels, strict=True):
        for line, name in zip(lines, names, strict=True):
            if line.values.shape[1] == depth:
                blank += not np.isfinite(line.values).any()
                draw_line(axes, line.values, *looks.get(name, (PALE, "-")))
        axes.set_title(counted(depth - heads, "hidden layer"), loc="left", fontsize=10.5)
        axes.set_xlim(0.5, depth + 0.5)
        axes.set_xlabel(across)
        whole_numbers(axes)
    grid[0].set_yscale("log")
    grid[0].set_ylabel(label)
    legend_below(figure, handles)
    said = ["1 is next to the input"]
    said += [f"line: mean of {shown.seeds}; band: lowest to highest"] if shown.folds else []
    said += [f"{counted(blank, 'line')} not drawn: 0 in all layers"] if blank else []
    said += [f"{len(panels)} of {len(depths)} depths"] if len(panels) < len(depths) else []
    note_above(figure, shown.note(*said))
    return figure


def line_of(combination: Combination, read: Callable[[Run], np.ndarray | None]) -> Line | None:
    """The layers of a combination's runs, as far as they have equally many."""
    found: list[np.ndarray] = []
    for entry in combination.entries:
        values = None if entry.member.run is None else read(entry.member.run)
        if values is not None and len(values) and (not found or len(found[0]) == len(values)):
            found.append(values)
    return Line(combination, np.array(found)) if found else None


def names_of(shown: Shown, lines: Sequence[Line]) -> list[str]:
    """Names without the keys that only say how deep a network is, which its panel says."""
    combinations = [line.combination for line in lines]
    keys = []
    for key in shown.keys:
        values: dict[int, set[Any]] = {}
        for line in lines:
            values.setdefault(line.values.shape[1], set()).add(token(line.combination.values[key]))
        if max(map(len, values.values())) > 1:
            keys.append(key)
    return shown.names(combinations, keys=keys) if keys else shown.names(combinations)


def draw_line(axes: Axes, values: np.ndarray, colour: Any, style: Any) -> None:
    """Mean and range over seeds; on a log scale the mean of the logarithms lies in the middle."""
    places = np.arange(1, values.shape[1] + 1)
    whole = np.isfinite(values).all(axis=0)
    mean = np.full(values.shape[1], np.nan)
    mean[whole] = np.exp(np.log(values[:, whole]).mean(axis=0))
    front = 2.0 if colour is PALE else 3.0
    axes.plot(places, mean, color=colour, linestyle=style, linewidth=1.8, marker="o", markersize=3.5, zorder=front)
    if len(values) > 1:
        low, high = np.where(whole, values.min(axis=0), np.nan), np.where(whole, values.max(axis=0), np.nan)
        axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0, zorder=front - 1)


# histograms


def activation_grid(sweep: Sweep) -> Figure | None:
    """Histograms of the outputs of some layers, a row for each combination; of networks of many depths the deepest."""
    shown = Shown(sweep)
    found: list[tuple[Combination, Run, list[str]]] = []
    for each in shown.combinations:
        run = next((entry.member.run for entry in each.entries if entry.member.run is not None), None)
        table = None if run is None else noted(run, "activation_histograms", "layer", "low", "high", "count")
        if run is not None and table is not None:
            found.append((each, run, list(dict.fromkeys(table["layer"]))[:-1]))
    found = [each for each in found if each[2]]
    deepest = max((len(layers) for _, _, layers in found), default=0)
    found = [each for each in found if len(each[2]) == deepest]
    if len(found) < 2:
        return None
    lines = [Line(each, np.zeros((1, deepest))) for each, _, _ in found]
    kept = evenly(len(found), ROWS)
    names = names_of(shown, lines)
    places = evenly(deepest, COLUMNS)
    figure = page(1.0 + 1.35 * len(kept))
    grid = figure.subplots(len(kept), len(places), squeeze=False)
    last = 0
    for row, index in zip(grid, kept, strict=True):
        _, run, layers = found[index]
        table = noted(run, "activation_histograms", "layer", "low", "high", "count")
        assert table is not None
        end = int(table["epoch"].max())
        last = max(last, end)
        for axes, place in zip(row, places, strict=True):
            mine = table[table["layer"] == layers[place]]
            draw_histograms(axes, mine[mine["epoch"] == 0], mine[mine["epoch"] == end] if end > 0 else None)
            axes.set_yticks([])
            axes.minorticks_off()
            axes.tick_params(labelsize=10)
        row[0].set_ylabel(shortened([names[index]], 14)[0], fontsize=10.5, parse_math=False)
    for axes, place in zip(grid[0], places, strict=True):
        axes.set_title(f"hidden layer {place + 1}", fontsize=10.5, loc="left")
    for axes in grid[-1]:
        axes.set_xlabel("output of a unit", fontsize=10.5)
    handles = [Line2D([], [], color=PALE, lw=6, label="before training")]
    handles += [Line2D([], [], color=BLUE, lw=2, label="at the chosen epoch")] if last else []
    legend_below(figure, handles)
    said = [f"{counted(deepest, 'hidden layer')}; densities, each on a log scale of its own"]
    said += [f"{len(kept)} of {len(found)} combinations"] if len(kept) < len(found) else []
    said += ["of each the first run"] if shown.folds else []
    note_above(figure, shown.note(*said))
    return figure


def weights_compared(sweep: Sweep) -> Figure | None:
    """Length of all weight matrices together over the epochs, and how single weights are spread at the end."""
    shown = Shown(sweep)
    norms = [(each, line) for each in shown.combinations if (line := norms_of(each)) is not None]
    if len(norms) < 2:
        return None
    names = shown.names([each for each, _ in norms])
    figure = page(4.2)
    left, right = figure.subplots(1, 2)
    handles = []
    shown_now = list(zip(norms, names, LOOKS, strict=False))[:MOST]
    bounds = bounds_of([each for (each, _), _, _ in shown_now])
    for (each, runs), name, (colour, style) in shown_now:
        length = min(len(values) for values in runs)
        values = np.array([line[:length] for line in runs])
        epochs = np.arange(length)
        left.plot(epochs, values.mean(axis=0), color=colour, linestyle=style, linewidth=1.8)
        if len(values) > 1:
            left.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0)
        histogram = weights_of(each)
        if histogram is not None:
            right.plot((bounds[1:] + bounds[:-1]) / 2, density(*histogram, bounds), color=colour, linestyle=style)
        handles.append(Line2D([], [], color=colour, linestyle=style, lw=2, label=name))
    left.set_xlabel("epoch (0: before training)")
    left.set_ylabel("norm of all weight matrices")
    left.set_ylim(bottom=0.0)
    whole_numbers(left)
    right.set_xlabel("a weight at the chosen epoch")
    right.set_ylabel("density")
    right.set_yscale("log")
    legend_below(figure, handles)
    said = [f"lines: means of {shown.seeds}; bands: lowest to highest; right: first run"] if shown.folds else []
    said += [f"the first {MOST} of {len(norms)} combinations"] if len(shown_now) < len(norms) else []
    note_above(figure, shown.note(*said))
    return figure


def norms_of(combination: Combination) -> list[np.ndarray] | None:
    """Of each run that is done, the length of all weight matrices together at each epoch from 0 on."""
    found = []
    for entry in combination.entries:
        table = None if entry.member.run is None else matrices(entry.member.run, "weights")
        if table is not None and entry.status == "done" and "norm" in table.columns:
            squares = (numbers(table["norm"]) ** 2, numbers(table["epoch"]).astype(int))
            found.append(np.sqrt(np.bincount(squares[1], squares[0])))
    return found or None


def weights_of(combination: Combination) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Low and high end and count of all bins of all matrices of the first run, at the chosen epoch."""
    for entry in combination.entries:
        if entry.member.run is not None:
            table = noted(entry.member.run, "weight_histograms", "parameter", "low", "high", "count")
            if table is not None:
                table = table[table["epoch"] == table["epoch"].max()]
                return numbers(table["low"]), numbers(table["high"]), numbers(table["count"])
    return None


def bounds_of(combinations: Sequence[Combination]) -> np.ndarray:
    """Equal parts of the range of all weights: on parts of their own, the narrow would rise out of sight."""
    found = [histogram for each in combinations if (histogram := weights_of(each)) is not None]
    low = min((float(histogram[0].min()) for histogram in found), default=-1.0)
    high = max((float(histogram[1].max()) for histogram in found), default=1.0)
    return np.linspace(low, high, GRID + 1)


def density(low: np.ndarray, high: np.ndarray, count: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Share of the weights in each part over its width; within a bin they are taken to lie evenly."""
    below = np.clip((bounds[:, None] - low) / (high - low), 0.0, 1.0) @ count
    return positive(np.diff(below) / np.diff(bounds) / max(1.0, count.sum()))


# bars


def dead_units(sweep: Sweep) -> Figure | None:
    """Share of hidden units that are 0 for all probed samples at the chosen epoch; None where none is."""
    shown = Shown(sweep)
    found = []
    for each in shown.combinations:
        shares = [dead_share(entry.member.run) for entry in each.entries if entry.member.run is not None]
        known = [share for share in shares if share is not None]
        if known:
            found.append((each, known))
    if not any(any(values) for _, values in found):
        return None
    some = [pair for pair in found if any(pair[1])]
    bound = sorted((float(np.mean(values)) for _, values in some), reverse=True)[:BARS][-1]
    drawn = [pair for pair in some if float(np.mean(pair[1])) >= bound][:BARS]
    names = shortened([valued(shown, each) for each, _ in drawn], NAME)
    figure = page(1.1 + 0.3 * len(drawn))
    axes = figure.subplots()
    places = np.arange(len(drawn))[::-1]
    axes.barh(places, [float(np.mean(values)) for _, values in drawn], color=BLUE, height=0.6)
    for place, (_, values) in zip(places, drawn, strict=True):
        if len(values) > 1:
            axes.plot(values, np.full(len(values), place), "o", color=BLACK, markersize=4, alpha=0.6)
    axes.set_yticks(places, names, fontsize=SMALL, parse_math=False)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0.0, min(1.02, 1.08 * max(max(values) for _, values in drawn)))
    axes.set_ylim(-0.6, len(drawn) - 0.4)
    axes.xaxis.set_major_formatter(FuncFormatter(percent))
    axes.set_xlabel("hidden units that are 0 for all probed samples, at the chosen epoch")
    said = ["bar: mean over seeds; points: runs"] if shown.folds else []
    said += [f"the {BARS} with most of {len(some)}"] if len(drawn) < len(some) else []
    said += [f"{counted(len(found) - len(some), 'combination')} without any"] if len(some) < len(found) else []
    note_above(figure, shown.note(*said))
    return figure


def valued(shown: Shown, combination: Combination) -> str:
    """``relu, 8 x 64``: the values of the keys alone."""
    texts = [shown.texts[key][token(combination.values[key])] for key in shown.keys]
    return ", ".join(texts) or shown.names([combination], NAME)[0]


def dead_share(run: Run) -> float | None:
    table = hidden(run)
    if table is None or table["dead"].isna().all():
        return None
    last = table[table["epoch"] == ended(run, table)]
    return float(numbers(last["dead"]).sum() / numbers(last["units"]).sum())


def generalization_gap(sweep: Sweep) -> Figure | None:
    """Training and validation accuracy of each combination and the gap between; None unless regularization differs."""
    if len({repr(sorted((run.config.get("reg") or {}).items(), key=str)) for _, run in whole_runs(sweep)}) < 2:
        return None
    shown = Shown(sweep)
    found = []
    for each in shown.combinations:
        train, val = each.result("train_accuracy"), each.result("val_accuracy")
        if train is not None and val is not None:
            found.append((each, train, val, best_of(each)))
    if len(found) < 2:
        return None
    drawn = sorted(found, key=lambda row: -row[2].mean)[:BARS]
    names = shown.names([each for each, *_ in drawn], NAME)
    figure = page(1.5 + 0.36 * len(drawn))
    axes = figure.subplots()
    for place, (_, train, val, best) in zip(range(len(drawn) - 1, -1, -1), drawn, strict=True):
        axes.plot([val.mean, train.mean], [place, place], color=PALE, linewidth=5, solid_capstyle="butt", zorder=1.5)
        for result, colour, mark in ((train, BLUE, "s"), (val, VERMILLION, "o")):
            axes.errorbar(
                result.mean, place, xerr=result.sd, color=colour, marker=mark, markersize=7, capsize=3, linewidth=1.3
            )
        axes.plot([best], [place], marker="|", markersize=13, markeredgewidth=2, color=BLACK, linestyle="none")
    axes.set_yticks(range(len(drawn) - 1, -1, -1), names, fontsize=SMALL, parse_math=False)
    axes.set_ylim(-0.6, len(drawn) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(FuncFormatter(percent))
    axes.set_xlabel("accuracy at the chosen epoch")
    handles: list[Any] = [
        Line2D([], [], color=VERMILLION, marker="o", ls="none", ms=7, label="validation"),
        Line2D([], [], color=BLUE, marker="s", ls="none", ms=7, label="training, with dropout if any"),
        Line2D([], [], color=BLACK, marker="|", ls="none", ms=12, mew=2, label="validation at its best epoch"),
    ]
    legend_below(figure, handles)
    said = [f"means of {shown.seeds} with standard deviations"] if shown.folds else []
    said += [f"the best {BARS} of {len(found)}"] if len(drawn) < len(found) else []
    note_above(figure, shown.note(*said))
    return figure


def best_of(combination: Combination) -> float:
    """The mean over runs of the highest validation accuracy of any epoch."""
    columns = [entry.column("val_accuracy")[1] for entry in combination.entries if entry.status == "done"]
    return float(np.mean([np.nanmax(values) for values in columns]))


FIGURES: dict[str, tuple[Callable[[Sweep], Figure | None], bool]] = {
    "activation_functions": (activation_functions, True),
    "gradients_by_layer": (gradients_by_layer, True),
    "activation_spread": (activation_spread, True),
    "activation_grid": (activation_grid, True),
    "dead_units": (dead_units, True),
    "weights_compared": (weights_compared, True),
    "generalization_gap": (generalization_gap, True),
}
