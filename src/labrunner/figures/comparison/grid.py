"""Two keys at once as a heat map, and how many test samples two runs disagree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labrunner.figures.comparison.scales import (
    APART,
    CHARACTER,
    EXPLODES,
    SMALL,
    note_above,
    percent,
    plain_log,
)
from labrunner.figures.comparison.shown import (
    Combination,
    Shown,
    better,
    is_loss,
    key_label,
    metric_label,
    short_values,
    shown_value,
    value_of,
)
from labrunner.figures.look import GREY, PAGE, VERMILLION, luminance, page, shortened
from labrunner.flips import find_flips
from labrunner.records import Run, Sweep

NAME = 22  # characters of a value beside a cell
FACETS = 4
RUNS = 20  # of a matrix of flips
SMALLEST = 7.0  # points
VALUES = 24  # of a key; a map of more has no room for its numbers

Cell = Combination | None


def heat_map(sweep: Sweep) -> Figure | None:
    """The metrics at the chosen epoch for each pair of values of two keys, mean over seeds.

    Numbers ascend to the right and upwards. A third key with few values gives a panel each. A cell in which every run
    diverged is hatched, one without a run that is done is blank. None unless two or three keys were swept.
    """
    shown = Shown(sweep)
    if not 2 <= len(shown.keys) <= 3 or not shown.columns:
        return None
    across, up, third = axes_of(shown)
    sizes = len(shown.order[across]), len(shown.order[up])
    if (third is not None and len(shown.order[third]) > FACETS) or max(sizes) > VALUES:
        return None
    if sweep.is_comparison and len(shown.combinations) < 0.5 * sizes[0] * sizes[1]:
        return None  # runs that have little in common fill no grid
    columns = [
        column for column in shown.columns if any(each.result(column) is not None for each in shown.combinations)
    ]
    if not columns:
        return None
    columns.sort(key=lambda column: column != shown.deciding)
    panels: list[tuple[str, str, list[list[list[Combination]]]]] = []  # title, column, cells
    if third is None:
        panels = [(metric_label(column), column, cells(shown, across, up)) for column in columns]
    else:
        for value in shown.order[third]:
            title = f"{shortened([third], 30)[0]}: {short_values([value], 40)[0]}"
            panels.append((title, columns[0], cells(shown, across, up, (third, value))))
    if any(len(cell) > 1 for _, _, table in panels for row in table for cell in row):
        return None  # two runs of a comparison in one cell
    names = max(map(len, short_values(shown.order[up], NAME)))
    room = [72 * PAGE / share - CHARACTER * SMALL * names - 100 for share in (1, 2)]  # beside names and colours
    words = [text for each in shown.combinations for text in words_of(each, columns)]
    wide = room[1] / sizes[0] < 10 + CHARACTER * SMALL * max(map(len, words))
    shape = (len(panels), 1) if wide else (-(-len(panels) // 2), min(2, len(panels)))
    cell = min(0.62, 5.0 / sizes[1]) if sizes[1] > 6 else 0.62
    figure = page(0.5 + shape[0] * (1.5 + cell * max(2, sizes[1])))
    norms = {column: norm_of(shown, column) for column in columns}
    drawn = figure.subplots(*shape, squeeze=False)
    width = room[shape[1] - 1] / sizes[0]
    for axes, (title, column, table) in zip(drawn.flat, panels, strict=False):
        draw_cells(axes, table, column, norms[column], (width, 72 * cell))
        axes.set_title(title, fontsize=11, parse_math=False)
        set_values(axes, shown, across, up, (width, 72 * cell))
        image = axes.images[0]
        bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=18, extend=extension(norms[column], shown, column))
        bar.outline.set_visible(False)
        if isinstance(norms[column], LogNorm):
            plain_log(bar.ax.yaxis, *image.get_clim())
        if column.endswith("_accuracy"):
            bar.ax.yaxis.set_major_formatter(percent)
        if third is not None:
            bar.set_label(metric_label(column))
    for axes in list(drawn.flat)[len(panels) :]:
        axes.set_axis_off()
    said = ["at the chosen epoch", "framed: the best" + (" of each panel" if third is not None else "")]
    if shown.folds:
        said.insert(1, f"mean over {shown.seeds}")
    note_above(figure, shown.note(*said))
    return figure


def axes_of(shown: Shown) -> tuple[str, str, str | None]:
    """The keys to the right, upwards, and of the panels: numbers to the right, the fewest categories in panels."""
    if len(shown.keys) == 3:
        candidates = sorted(shown.categories or shown.keys, key=lambda key: len(shown.order[key]))
        third: str | None = candidates[0]
    else:
        third = None
    first, second = [key for key in shown.keys if key != third]
    alike = (first in shown.numeric) == (second in shown.numeric)
    longer = alike and len(shown.order[second]) > 2 * len(shown.order[first])
    if longer or (not alike and second in shown.numeric):
        first, second = second, first
    return first, second, third


def cells(shown: Shown, across: str, up: str, only: tuple[str, Any] | None = None) -> list[list[list[Combination]]]:
    """[row][column] -> the combinations there; row 0 is the first value of `up`."""
    table: list[list[list[Combination]]] = [[[] for _ in shown.order[across]] for _ in shown.order[up]]
    for each in shown.combinations:
        if only is None or shown.rank(only[0], each.values[only[0]]) == shown.rank(*only):
            table[shown.rank(up, each.values[up])][shown.rank(across, each.values[across])].append(each)
    return table


def norm_of(shown: Shown, column: str) -> Normalize:
    """Colours over all panels of a column; a loss that runs away does not make the others one colour."""
    found = np.array([result.mean for each in shown.combinations if (result := each.result(column)) is not None])
    low, high = float(found.min()), float(found.max())
    if is_loss(column) and low > 0:
        high = min(high, EXPLODES * float(np.median(found)))
        if high / low > APART:
            return LogNorm(low, high)
    return Normalize(low, high if high > low else low + 1e-9)


def extension(norm: Normalize, shown: Shown, column: str) -> str:
    top = max(result.mean for each in shown.combinations if (result := each.result(column)) is not None)
    return "max" if norm.vmax is not None and top > norm.vmax * (1 + 1e-12) + 1e-9 else "neither"


def draw_cells(
    axes: Axes,
    table: Sequence[Sequence[Sequence[Combination]]],
    column: str,
    norm: Normalize,
    size: tuple[float, float],
) -> None:
    """Colours, numbers and what became of the cells without one; `size` of a cell in points."""
    found = np.full((len(table), len(table[0])), np.nan)
    for row, line in enumerate(table):
        for place, cell in enumerate(line):
            if cell and (result := cell[0].result(column)) is not None:
                found[row, place] = result.mean
    # the better, the brighter: a loss is turned round
    colours = matplotlib.colormaps["viridis_r" if is_loss(column) else "viridis"].with_extremes(bad="white")
    image = axes.imshow(np.ma.masked_invalid(found), cmap=colours, norm=norm, origin="lower", aspect="auto")
    shades = np.asarray(image.cmap(norm(np.ma.masked_invalid(found))))
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    known = np.isfinite(found)
    texts = [shown_value(column, value) for value in found[known]]
    font = min(11.0, 0.4 * size[1], 0.9 * size[0] / (CHARACTER * max(map(len, texts), default=1)))
    for row, line in enumerate(table):
        for place, cell in enumerate(line):
            if known[row, place]:
                dark = luminance(shades[row, place]) > 0.18
                some = cell[0].diverged
                text = shown_value(column, found[row, place]) if font >= SMALLEST else ""
                axes.text(
                    place,
                    row + (0.14 if some else 0),
                    text,
                    ha="center",
                    va="center",
                    fontsize=font,
                    color="black" if dark else "white",
                ).set_in_layout(False)
                if some:
                    share = f"{some} of {len(cell[0].entries)} diverged"
                    small = min(8.5, 0.92 * size[0] / (CHARACTER * len(share)))
                    axes.text(
                        place,
                        row - 0.26,
                        share if small >= SMALLEST else f"{some}×",
                        ha="center",
                        va="center",
                        fontsize=max(small, SMALLEST),
                        color="black" if dark else "white",
                    ).set_in_layout(False)
            elif cell:
                mark_unfinished(axes, place, row, cell[0], size)
    if known.any():
        best = np.argwhere(known)[better(column, list(found[known]))]
        axes.add_patch(
            Rectangle(
                (best[1] - 0.5, best[0] - 0.5), 1, 1, fill=False, edgecolor=VERMILLION, lw=2.5, clip_on=False, zorder=4
            )
        )


def mark_unfinished(axes: Axes, place: int, row: int, cell: Combination, size: tuple[float, float]) -> None:
    """A cell without a number: hatched if its runs diverged, otherwise blank, with the word where it fits."""
    if cell.diverged:
        axes.add_patch(
            Rectangle(
                (place - 0.48, row - 0.48), 0.96, 0.96, facecolor="white", edgecolor="#b0b0b0", hatch="////", lw=0
            )
        )
    text = word_of(cell)
    font = min(SMALL, 0.95 * size[0] / (CHARACTER * max(map(len, text.split("\n")))))
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    if font < SMALLEST:
        text, font = ("×" if cell.diverged else "–"), 10.0
    colour = VERMILLION if cell.diverged else GREY
    axes.text(place, row, text, ha="center", va="center", fontsize=font, color=colour, bbox=box).set_in_layout(False)


def words_of(cell: Combination, columns: Sequence[str]) -> list[str]:
    """What would stand in its cells."""
    found = [(column, cell.result(column)) for column in columns]
    return [shown_value(column, result.mean) if result else word_of(cell) for column, result in found]


def word_of(cell: Combination) -> str:
    """What became of a cell without a number."""
    return "diverged" if cell.diverged == len(cell.entries) else cell.unfinished.replace(", ", "\n") or "no value"


def set_values(axes: Axes, shown: Shown, across: str, up: str, size: tuple[float, float]) -> None:
    """The values of both keys beside the cells, which are of `size` points."""
    width, height = size
    names = short_values(shown.order[across], NAME)
    turned = CHARACTER * 10 * max(map(len, names)) > 0.95 * width
    axes.set_xticks(range(len(names)), names, fontsize=10, parse_math=False)
    if turned:
        for label in axes.get_xticklabels():
            label.set(rotation=35, ha="right", rotation_mode="anchor")
    names = short_values(shown.order[up], NAME)
    axes.set_yticks(range(len(names)), names, fontsize=10, parse_math=False)
    if up not in shown.numeric:
        axes.invert_yaxis()  # categories are read from the top
    axes.set_xlabel(key_label(across), fontsize=10.5, parse_math=False)
    axes.set_ylabel(key_label(up, int(height * len(names) / (CHARACTER * 10.5))), parse_math=False)


def flips(sweep: Sweep) -> Figure | None:
    """For each pair of a comparison's runs, how many test samples the one has right and the other wrong.

    None for a sweep, whose runs the test split does not rank, and unless two to twenty runs have predictions.
    """
    if not sweep.is_comparison:
        return None
    runs = [(member, run) for member, run in sweep.runs if run.test is not None]
    found = find_flips([run for _, run in runs])
    kept = [at for at in range(len(runs)) if at not in found.without]
    if not 2 <= len(kept) <= RUNS:
        return None
    shared = np.array(found.shared)[np.ix_(kept, kept)]
    lost = np.ma.array(np.array(found.lost)[np.ix_(kept, kept)], mask=shared == 0)
    lost.mask |= np.eye(len(kept), dtype=bool)
    if lost.count() == 0:
        return None
    numbers = [runs[at][0].number for at in kept]
    shown = Shown(sweep)
    by_number = {
        each.member.number: Combination({key: value_of(each.member, key) for key in shown.keys}, [each])
        for each in shown.entries
    }
    texts = shown.valued([by_number[number] for number in numbers], shown.keys, 40)
    names = shortened([f"#{number} {text}".strip() for number, text in zip(numbers, texts, strict=True)], 44)
    rows = [f"{name}\n{tested(runs[at][1])}" for at, name in zip(kept, names, strict=True)]
    side = max(2.2, min(7.0, 0.62 * len(kept)))
    figure = page(side + 1.3)
    axes = figure.subplots()
    image = axes.imshow(lost, cmap=matplotlib.colormaps["Blues"].with_extremes(bad="#f0f0f0"), vmin=0, aspect="auto")
    shades = np.asarray(image.cmap(image.norm(lost)))
    cell = 72 * side / len(kept)
    for row, column in np.argwhere(~np.ma.getmaskarray(lost)):
        dark = luminance(shades[row, column]) > 0.18
        axes.text(
            column,
            row,
            str(lost[row, column]),
            ha="center",
            va="center",
            fontsize=min(12.0, 0.42 * cell),
            color="black" if dark else "white",
        ).set_in_layout(False)
    font = min(10.0, 0.36 * cell)
    axes.set_yticks(range(len(kept)), rows, fontsize=font, parse_math=False)
    axes.set_xticks(range(len(kept)), [f"#{number}" for number in numbers], fontsize=10)
    axes.set_xlabel("wrong in this run")
    axes.set_ylabel("right in this run")
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("test samples")
    bar.outline.set_visible(False)
    totals = sorted({int(count) for count in shared[~np.eye(len(kept), dtype=bool)] if count})
    said = f"of {totals[0]} test samples" if len(totals) == 1 else f"of {totals[0]} to {totals[-1]} shared test samples"
    blank = "; blank: the two share no test samples" if found.strangers else ""
    note_above(figure, f"test samples that the run of the row has right and that of the column wrong, {said}{blank}")
    return figure


def tested(run: Run) -> str:
    accuracy = (run.test or {}).get("accuracy")
    return "" if accuracy is None else f"test accuracy {accuracy:.1%}"
