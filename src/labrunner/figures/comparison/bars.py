"""Bars of a sweep: the metrics of its categories, and how many epochs a run takes to a threshold."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from labrunner import comparison
from labrunner.figures.comparison.scales import CHARACTER, PAGE, legend_below, note_above, percent
from labrunner.figures.comparison.shown import (
    Combination,
    Shown,
    is_loss,
    metric_label,
    short_keys,
    shown_value,
)
from labrunner.figures.look import BLACK, BLUE, GREY, VERMILLION, shortened
from labrunner.records import Sweep

MOST = 60  # bars; of more, the best
AHEAD = 3.0  # a bar is followed up to this many times the median of all
NAME = 34  # characters
MISSED = "#d9d9d9"


def bars(sweep: Sweep) -> Figure | None:
    """A bar for each category: the metrics at the chosen epoch, best first by the one that is monitored.

    With seeds, the mean with its standard deviation and the single runs. Where numeric keys were swept too, each
    category stands at its best value of them. None where no key is a category, or no run is done.
    """
    shown = Shown(sweep)
    keys = shown.categories
    alone = sweep.is_comparison and not shown.folds  # a comparison's runs are each their own category
    if not (keys or (alone and len(shown.combinations) > 1)) or not shown.columns:
        return None
    deciding = shown.deciding
    best: dict[Hashable, Combination] = {}
    for each in sorted(shown.combinations, key=lambda each: rank(each, deciding)):
        own = each.entries[0].member.number if alone else tuple(shown.rank(key, each.values[key]) for key in keys)
        best.setdefault(own, each)
    chosen = list(best.values())
    columns = [column for column in shown.columns if any(each.result(column) is not None for each in chosen)]
    if not columns:
        return None
    columns.sort(key=lambda column: column != deciding)
    left_out = max(0, len(chosen) - MOST)
    chosen = chosen[:MOST]
    names = shown.names(chosen, NAME, None if alone else keys)
    if shown.numeric and not alone:
        at = shown.names(chosen, NAME, shown.numeric)
        prefix = f"{short_keys(shown.numeric)[0]}=" if len(shown.numeric) == 1 else ""
        names = [f"{name}\n{prefix}{text}" for name, text in zip(names, at, strict=True)]
    height = 0.5 if shown.numeric and not alone else 0.34 if len(chosen) <= 30 else 0.24
    figure = Figure(figsize=(PAGE, 1.3 + height * max(3, len(chosen))), layout="constrained")
    panels = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    for axes, column in zip(panels, columns, strict=True):
        draw_bars(axes, chosen, column)
        axes.set_xlabel(metric_label(column))
    set_names(panels[0], names, height)
    said = [f"sorted by {metric_label(deciding)} at the chosen epoch"]
    if shown.numeric and not alone:
        said.append(f"each at its best {' and '.join(shortened(shown.numeric, 30))}")
    if left_out:
        said.append(f"the best {MOST}")
    if shown.folds:
        said.append(f"mean and standard deviation over {shown.seeds}; points: single runs")
    note_above(figure, shown.note(*said))
    return figure


def rank(combination: Combination, column: str) -> tuple[float, int]:
    """Best first; what has no result last, by number."""
    result = combination.result(column)
    value = float("inf") if result is None else result.mean if is_loss(column) else -result.mean
    return value, combination.entries[0].member.number


def draw_bars(axes: Axes, chosen: Sequence[Combination], column: str) -> None:
    """Bars from zero, with their numbers at the end of each."""
    results = [each.result(column) for each in chosen]
    ends = [result.mean for result in results if result is not None]
    highest = [max([result.mean + (result.sd or 0.0), *result.values]) for result in results if result is not None]
    limit = max(highest)
    if is_loss(column) and np.median(ends) > 0 and limit > AHEAD * np.median(ends):
        within = [value for value in highest if value <= AHEAD * np.median(ends)]
        limit = 1.1 * max(within)
    low = min(0.0, *ends)
    reach = limit - low
    for place, (each, result) in enumerate(zip(chosen, results, strict=True)):
        if result is None:
            text = each.unfinished or "no value"
            beside(axes, low, place, text, VERMILLION)
            continue
        axes.barh(place, result.mean, height=0.72, color=BLUE, alpha=0.55, zorder=2)
        end = result.mean
        if result.sd is not None:
            axes.errorbar(result.mean, place, xerr=result.sd, ecolor=BLACK, elinewidth=1.2, capsize=3, zorder=3)
            axes.plot(
                result.values,
                [place] * len(result.values),
                ls="none",
                marker="o",
                ms=4.5,
                color=BLACK,
                mfc="white",
                mew=0.9,
                zorder=4,
            )
            end = max(result.mean + result.sd, *result.values)
        text = shown_value(column, result.mean)
        if result.sd is not None:
            text += f" ± {spread(column, result.sd)}"
        if each.diverged:
            text += f"  ({each.diverged} of {len(each.entries)} diverged)"
        beyond = result.mean > limit
        beside(axes, min(end, limit), place, f"→ {text}" if beyond else text)
    longest = max([len(text.get_text()) for text in axes.texts], default=0)
    # the numbers stand to the right of the bars: about 5.6 points a character, of some 200 points
    axes.set_xlim(low, limit + reach * min(1.2, 0.05 + 0.026 * longest))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    if column.endswith("_accuracy"):
        axes.xaxis.set_major_formatter(lambda share, _: percent(share) if share <= 1 else "")
    axes.grid(axis="y", visible=False)


def beside(axes: Axes, end: float, place: int, text: str, colour: str = "black") -> None:
    """Words behind the end of a bar."""
    axes.annotate(
        text, (end, place), xytext=(7, 0), textcoords="offset points", va="center", fontsize=9.5, color=colour, zorder=5
    )


def spread(column: str, sd: float) -> str:
    return f"{100 * sd:.1f}" if column.endswith("_accuracy") else f"{sd:.2g}" if is_loss(column) else f"{sd:.3f}"


def set_names(axes: Axes, names: Sequence[str], height: float) -> None:
    """The names beside the bars, the first on top."""
    font = min(10.5, 0.75 * 72 * height)
    axes.set_yticks(range(len(names)), list(names), fontsize=font, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)


def epochs_to(sweep: Sweep) -> Figure | None:
    """How many epochs each run took until its validation accuracy first reached the threshold.

    In the order of the keys; a run that never did is an empty bar as long as it trained. With seeds, the mean over
    those that did, and how many these were. None where no run has a validation accuracy.
    """
    threshold = comparison.threshold(sweep)
    if threshold is None:
        return None
    shown = Shown(sweep)
    chosen = shown.combinations
    left_out = max(0, len(chosen) - MOST)
    if left_out:
        chosen = sorted(chosen, key=lambda each: rank(each, shown.deciding))[:MOST]
    height = 0.34 if len(chosen) <= 30 else 0.24
    figure = Figure(figsize=(PAGE, 1.4 + height * max(3, len(chosen))), layout="constrained")
    axes = figure.subplots()
    longest = max([int(entry.rows[-1]["epoch"]) for each in chosen for entry in each.entries if entry.rows], default=1)
    for place, each in enumerate(chosen):
        draw_epochs(axes, place, each, threshold, longest)
    if len(shown.keys) == 1:
        axes.set_ylabel(shortened(shown.keys, 30)[0], parse_math=False)
    names = shown.names(chosen, NAME)
    room = 72 * PAGE - CHARACTER * 10 * max(map(len, names)) - 50  # points
    words = max(CHARACTER * 9.5 * len(text.get_text()) for text in axes.texts) + 12
    axes.set_xlim(0, longest / (1 - min(0.6, words / room)))
    set_names(axes, names, height)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"epochs until the validation accuracy reaches {threshold:.10g}")
    said = [f"the best {MOST} of {len(shown.combinations)}"] if left_out else []
    if shown.folds:
        said.append(f"mean over those of {shown.seeds} that reach it; points: single runs")
    note_above(figure, shown.note(*said))
    reached = Patch(color=BLUE, alpha=0.55, label="reached")
    missed = Patch(facecolor=MISSED, edgecolor=GREY, hatch="///", linewidth=0.6, label="trained without reaching it")
    legend_below(figure, [reached, missed])
    return figure


def draw_epochs(axes: Axes, place: int, combination: Combination, threshold: float, longest: int) -> None:
    """One bar: the mean over the runs that reached it, or an empty one as long as the longest trained."""
    took = [
        epoch
        for entry in combination.entries
        if (epoch := comparison.epochs_to(entry.rows, "val_accuracy", threshold)) is not None
    ]
    count = len(combination.entries)
    if took:
        mean = sum(took) / len(took)
        axes.barh(place, mean, height=0.72, color=BLUE, alpha=0.55, zorder=2)
        if count > 1:
            axes.plot(
                took, [place] * len(took), ls="none", marker="o", ms=4.5, color=BLACK, mfc="white", mew=0.9, zorder=4
            )
        text = f"{mean:.4g}" if count == 1 else f"{mean:.3g} ({len(took)} of {count})"
        end = float(max(took))
        if count == 1 and combination.entries[0].status != "done":
            text += f" ({combination.entries[0].status})"
    else:
        end = float(max((int(entry.rows[-1]["epoch"]) for entry in combination.entries if entry.rows), default=0))
        if end:
            axes.barh(place, end, height=0.72, color=MISSED, edgecolor=GREY, hatch="///", linewidth=0.6, zorder=2)
        text = never(combination, int(end))
    beside(axes, end, place, text, "black" if took else VERMILLION)


def never(combination: Combination, epochs: int) -> str:
    """Why there is no number."""
    count, rest = len(combination.entries), combination.unfinished
    if count > 1:
        if combination.diverged == count:
            return f"all {count} diverged"
        return f"0 of {count}, never within {epochs}" + (f" ({rest})" if rest else "") if epochs else rest
    if rest == "diverged":
        return f"diverged in epoch {epochs + 1}"
    if rest:
        return f"{rest} after epoch {epochs}" if epochs else rest
    return f"never within {epochs}"
