"""Bars of a sweep: the metrics of its categories, and how many epochs a run takes to a threshold."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from labrunner import comparison
from labrunner.figures.comparison.scales import APART, CHARACTER, SMALL, legend_below, note_above, percent
from labrunner.figures.comparison.shown import (
    Combination,
    Result,
    Shown,
    is_loss,
    key_label,
    metric_label,
    short_keys,
    shown_value,
)
from labrunner.figures.comparison.transfer import TESTED, result_of, transferred
from labrunner.figures.look import BLACK, BLUE, PAGE, VERMILLION, page, shortened
from labrunner.records import Sweep

MOST = 60  # bars; of more, the best
LEAST_ROOM = 140.0  # points; narrower panels show a standard deviation by its line alone
LINES = 3  # keys that get a line each where they are too long for one
NAMES = {1: 42, 2: 34, 3: 24}  # characters beside so many panels
MISSED: dict[str, Any] = {"facecolor": "#f4f4f4", "edgecolor": "#b0b0b0", "hatch": "///", "linewidth": 0.6}


def bars(sweep: Sweep) -> Figure | None:
    """A bar for each category: the metrics at the chosen epoch, best first by the one that is monitored.

    Losses of different kinds rank nothing: then by accuracy or, without one, in the order of the keys.

    With seeds, the mean with its standard deviation and the single runs. Where numeric keys were swept too, each
    category stands at its best value of them. Where the runs differ in what is frozen, or in where their weights are
    from, the test accuracy stands beside it and ranks nothing. None where no key is a category, or no run is done.
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
    unranked = bool(shown.loss_kinds) and is_loss(deciding)  # there is nothing that could rank them
    if unranked:
        places = {id(each): place for place, each in enumerate(shown.combinations)}
        chosen.sort(key=lambda each: places[id(each)])
    columns = [column for column in shown.columns if any(each.result(column) is not None for each in chosen)]
    if not columns:
        return None
    columns.sort(key=lambda column: column != deciding)
    told = len(columns) < max(NAMES) and transferred(shown) and any(result_of(each, TESTED) for each in chosen)
    columns += [TESTED] * told
    left_out = max(0, len(chosen) - MOST)
    chosen = chosen[:MOST]
    names = named_bars(shown, chosen, None if alone else keys, NAMES[len(columns)])
    notes = len(shown.numeric) > 0 and not alone
    lines = 1 + max(name.count("\n") - (not notes and name.endswith(" diverged")) for name in names)
    height = 0.16 + 0.17 * lines if lines > 1 else 0.34 if len(chosen) <= 30 else 0.24
    figure = page(1.3 + height * max(3, len(chosen)))
    panels = figure.subplots(1, len(columns), squeeze=False, sharey=True, gridspec_kw={"wspace": 0.08})[0]
    for axes, column in zip(panels, columns, strict=True):
        draw_bars(axes, chosen, column, (72 * PAGE - width_of(names)) / len(columns) - 30)
        axes.set_xlabel(metric_label(column), fontsize=10.5)
    set_names(panels[0], names, height)
    said = ["at the chosen epoch" if unranked else f"sorted by {metric_label(deciding)} at the chosen epoch"]
    if shown.numeric and not alone:
        said.append(f"each at its best {' and '.join(shortened(shown.numeric, 30))}")
    if left_out:
        said.append(f"the {'first' if unranked else 'best'} {MOST}")
    if shown.folds:
        said.append(f"mean and standard deviation over {shown.seeds}; points: single runs")
    said += ["the test split ranks nothing"] * told
    said += shown.cautions if any(map(is_loss, columns)) else []
    note_above(figure, shown.note(*said))
    return figure


def named_bars(shown: Shown, chosen: Sequence[Combination], keys: Sequence[str] | None, width: int) -> list[str]:
    """A name for each bar, and on a second line where it stands and how many of its runs diverged."""
    names = shown.names(chosen, width, keys)
    if keys is not None and 1 < len(keys) <= LINES and max(len(shown.named(each, keys)) for each in chosen) > width:
        names = ["\n".join(each) for each in one_by_one(shown, chosen, keys, width)]
    notes: list[list[str]] = [[] for _ in chosen]
    if shown.numeric and keys is not None:
        prefix = f"{short_keys(shown.numeric)[0]}=" if len(shown.numeric) == 1 else ""
        for note, at in zip(notes, shown.names(chosen, width, shown.numeric), strict=True):
            note.append(f"{prefix}{at}")
    for note, each in zip(notes, chosen, strict=True):
        if 0 < each.diverged < len(each.entries):
            note.append(f"{each.diverged} of {len(each.entries)} diverged")
    return ["\n".join([name, ", ".join(note)] if note else [name]) for name, note in zip(names, notes, strict=True)]


def one_by_one(shown: Shown, chosen: Sequence[Combination], keys: Sequence[str], width: int) -> list[list[str]]:
    """The values of each combination, beside their keys, each with the whole width to itself."""
    columns = []
    for key, short in zip(keys, short_keys(keys), strict=True):
        head = shortened([f"{short}="], width // 2)[0]
        columns.append([head + text for text in shown.valued(chosen, [key], width - len(head))])
    return [list(each) for each in zip(*columns, strict=True)]


def width_of(texts: Sequence[str]) -> float:
    """Of the longest line, in points."""
    return CHARACTER * SMALL * max(len(line) for text in texts for line in text.split("\n"))


def rank(combination: Combination, column: str) -> tuple[float, int]:
    """Best first; what has no result last, by number."""
    result = combination.result(column)
    value = float("inf") if result is None else result.mean if is_loss(column) else -result.mean
    return value, combination.entries[0].member.number


def draw_bars(axes: Axes, chosen: Sequence[Combination], column: str, room: float) -> None:
    """Bars from zero in a panel `room` points wide, with their numbers at the end of each."""
    results = [result_of(each, column) for each in chosen]
    ends = [result.mean for result in results if result is not None]
    highest = [max([result.mean + (result.sd or 0.0), *result.values]) for result in results if result is not None]
    limit = max(highest)
    if is_loss(column) and np.median(ends) > 0 and limit > APART * np.median(ends):
        within = [value for value in highest if value <= APART * np.median(ends)]
        limit = 1.1 * max(within)
    low = min(0.0, *ends)
    while True:
        words = [words_behind(*pair, column, low, limit, room) for pair in zip(chosen, results, strict=True)]
        reach = (limit - low) * stretch(words, low, limit - low, room)
        whole = [end for end in highest if limit < end <= low + reach]
        if not whole:
            break
        limit = max(whole)  # what ends before the axis does is no bar that goes beyond it
    for place, (result, (end, text)) in enumerate(zip(results, words, strict=True)):
        beside(axes, end, place, text, VERMILLION if result is None else "black")
        if result is None:
            continue
        axes.barh(place, result.mean, height=0.72, color=BLUE, alpha=0.55, zorder=2)
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
    axes.set_xlim(low, low + reach)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=3 if room < 150 else 4, steps=[1, 2, 2.5, 5, 10]))
    if column.endswith("_accuracy"):  # nothing is more than all
        few = MaxNLocator(nbins=max(2, round(4 * (1.0 - low) / reach)), steps=[1, 2, 2.5, 5, 10])
        axes.set_xticks([tick for tick in few.tick_values(low, 1.0) if low <= tick <= min(1.0 + 1e-9, low + reach)])
        axes.xaxis.set_major_formatter(percent)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def words_behind(
    combination: Combination, result: Result | None, column: str, low: float, limit: float, room: float
) -> tuple[float, str]:
    """Where a bar ends that is whole up to `limit`, with its points and spread, and what stands there."""
    if result is None:
        return low, combination.unfinished or "no value"
    text, end = shown_value(column, result.mean), result.mean
    if result.sd is not None:
        end = max(result.mean + result.sd, *result.values)
        if room > LEAST_ROOM:
            text += f" ± {spread(text, column, result.sd)}"
    return min(end, limit), f"→ {text}" if result.mean > limit else text


def stretch(words: Sequence[tuple[float, str]], low: float, reach: float, room: float) -> float:
    """How much longer than its longest bar an axis of `room` points must be for the words behind the ends of bars."""
    wanted = 1.03
    for end, text in words:
        share = (end - low) / reach
        length = CHARACTER * SMALL * len(text) + 10
        wanted = max(wanted, share / max(0.3, 1 - length / room))
    return wanted


def beside(axes: Axes, end: float, place: int, text: str, colour: str = "black") -> None:
    """Words behind the end of a bar."""
    where: dict[str, Any] = {"xytext": (7, 0), "textcoords": "offset points", "va": "center"}
    axes.annotate(text, (end, place), fontsize=SMALL, color=colour, zorder=5, **where)


def spread(mean: str, column: str, sd: float) -> str:
    """A standard deviation in the digits of its mean."""
    if column.endswith("_accuracy"):
        return f"{100 * sd:.1f}"
    digits = len(mean.partition(".")[2])
    return f"{sd:.2g}" if "e" in mean else f"{sd:.{digits}f}"


def set_names(axes: Axes, names: Sequence[str], height: float) -> None:
    """The names beside the bars, the first on top."""
    font = min(10.5, 0.75 * 72 * height)
    axes.set_yticks(range(len(names)), list(names), fontsize=font, parse_math=False)
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
    figure = page(1.4 + height * max(3, len(chosen)))
    axes = figure.subplots()
    longest = max([int(entry.rows[-1]["epoch"]) for each in chosen for entry in each.entries if entry.rows], default=1)
    for place, each in enumerate(chosen):
        draw_epochs(axes, place, each, threshold, longest)
    if len(shown.keys) == 1:
        axes.set_ylabel(key_label(shown.keys[0], int(70 * height * max(3, len(chosen)) / 6.6)), parse_math=False)
    names = shown.names(chosen, NAMES[1])
    words = [(text.xy[0], text.get_text()) for text in axes.texts]  # type: ignore[attr-defined]
    axes.set_xlim(0, longest * stretch(words, 0, longest, 72 * PAGE - width_of(names) - 50))
    set_names(axes, names, height)
    ticks = MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1).tick_values(0, longest)
    axes.set_xticks([tick for tick in ticks if 0 <= tick <= longest])
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"epochs until the validation accuracy reaches {threshold:.10g}")
    said = [f"the best {MOST} of {len(shown.combinations)}"] if left_out else []
    if shown.folds:
        said.append(f"mean over those of {shown.seeds} that reach it; points: single runs")
    note_above(figure, shown.note(*said))
    reached = Patch(color=BLUE, alpha=0.55, label="reached")
    missed = Patch(**MISSED, label="trained without reaching it")
    hatched = [patch.get_hatch() is not None for patch in axes.patches]
    legend_below(figure, [reached] * (not all(hatched)) + [missed] * any(hatched))
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
        text = f"{mean:.10g}" if count == 1 else f"{mean:.3g} ({len(took)} of {count})"
        end = float(max(took))
        if count == 1 and combination.entries[0].status != "done":
            text += f" ({combination.entries[0].status})"
    else:
        end = float(max((int(entry.rows[-1]["epoch"]) for entry in combination.entries if entry.rows), default=0))
        if end:
            axes.barh(place, end, height=0.72, zorder=2, **MISSED)
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
