"""What trained, stage by stage: parameters that train and that stand still, and when a stage thaws."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, FixedLocator, MaxNLocator, NullLocator

from labrunner.figures.look import BLUE, GREY, PAGE, PALE, VERMILLION, literal, page, shortened
from labrunner.files import read_csv
from labrunner.records import Run
from labrunner.thinning import evenly

MOST = 40  # stages that are drawn
FONT = 10.0  # points
NAME_WIDTH = 26  # characters of a stage
BARS, TIMES = 1.9, 1.0  # widths of the panels


class Stage(NamedTuple):
    """A row of ``freeze.csv``."""

    name: str
    parameters: int
    trainable: int  # in the last epoch
    thawed: int | None  # the first epoch in which some of it trained
    frozen: int  # tensors that were frozen in some epoch
    changed: int  # of them, those that moved while they were


def freezing(run: Run) -> Figure | None:
    """A bar for each stage, on a log scale, with its parameters that train in the last epoch; and from when on they do.

    A tensor that moved while it was frozen is marked. None where nothing was ever frozen.
    """
    stages = read(run)
    if not any(each.frozen for each in stages):
        return None
    kept = sorted({*evenly(len(stages), MOST).tolist(), *(i for i, each in enumerate(stages) if each.changed)})
    shown = [stages[place] for place in kept]
    height = 0.34 if len(shown) <= 20 else 0.24
    figure = page(1.75 + height * max(3, len(shown)))
    bars, times = figure.subplots(1, 2, sharey=True, width_ratios=(BARS, TIMES))
    words = draw_times(times, shown, max(1, run.epochs))
    names = shortened([each.name.removeprefix("backbone.") for each in shown], NAME_WIDTH)
    outside = sum(0.6 * FONT * max(map(len, texts)) for texts in (names, words))  # points
    draw_bars(bars, shown, (72 * PAGE - outside - 60) * BARS / (BARS + TIMES))
    bars.set_yticks(range(len(shown)), names, fontsize=FONT, parse_math=False)
    bars.set_ylim(len(shown) - 0.4, -0.6)
    for axes in (bars, times):
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    handles: list[Patch | Line2D] = [Patch(color=BLUE), Patch(color=PALE)]
    said = ["trains", "frozen"]
    if any(each.changed for each in shown):
        handles.append(Line2D([], [], ls="none", marker="X", ms=9, color=VERMILLION, markeredgecolor="white"))
        said.append("tensors that moved while frozen")
    legend = figure.legend(handles, [" "] * len(said), loc="outside lower center", ncols=3, fontsize=FONT)
    literal(legend, said)
    total, trainable = (sum(getattr(each, name) for each in stages) for name in ("parameters", "trainable"))
    note = f"{trainable:,} of {total:,} parameters train in the last epoch; from the inputs (top) to the head"
    if len(shown) < len(stages):
        note += f"; {len(stages) - len(shown)} stages left out"
    figure.suptitle(note, x=0.01, ha="left", fontsize=FONT, color=GREY)
    return figure


def read(run: Run) -> list[Stage]:
    """The stages of ``freeze.csv``, from the inputs to the head; none where it is not there or something else."""
    path = run.path / "freeze.csv"
    if not path.is_file():
        return []
    try:
        header, rows = read_csv(path)
        found = [dict(zip(header, row, strict=True)) for row in rows]
        return [
            Stage(
                name=row["stage"],
                parameters=int(row["parameters"]),
                trainable=int(row["trainable"]),
                thawed=int(row["thawed"]) if row["thawed"] else None,
                frozen=int(row["frozen"]),
                changed=int(row["changed"]),
            )
            for row in found
        ]
    except (OSError, ValueError, KeyError):
        return []


def draw_bars(axes: Axes, stages: list[Stage], room: float) -> None:
    """Parameters of a stage, blue those that train; `room` in points is the width of the panel."""
    counts = [count for each in stages for count in (each.parameters, each.trainable) if count]
    low, most = 0.5 * min(counts, default=1), max(counts, default=1)
    low = min(low, most / 30.0)
    wanted = 0.0  # decades, of the axis
    for place, each in enumerate(stages):
        part = 0 < each.trainable < each.parameters
        if each.trainable < each.parameters:
            axes.barh(place, each.parameters - low, left=low, height=0.8, color=PALE, zorder=2)
        if each.trainable:
            axes.barh(place, each.trainable - low, left=low, height=0.5 if part else 0.8, color=BLUE, zorder=3)
        text = f"{each.trainable:,} of {each.parameters:,}" if part else f"{each.parameters:,}"
        end, shift, colour = max(each.parameters, low), 6.0, "black"
        if each.changed:
            axes.plot(end, place, marker="X", ms=9, color=VERMILLION, markeredgecolor="white", zorder=5, clip_on=False)
            text, shift, colour = f"{text}: {each.changed} of {each.frozen} moved", 11.0, VERMILLION
        beside(axes, (end, place), text, colour, shift)
        behind = (0.62 * FONT * len(text) + shift) / room
        wanted = max(wanted, np.log10(end / low) / max(0.2, 1.0 - behind))
    axes.set_xscale("log")
    axes.set_xlim(low, low * 10.0**wanted)
    decades = np.arange(np.ceil(np.log10(low)), np.floor(np.log10(most)) + 1.0)
    axes.xaxis.set_major_locator(FixedLocator((10.0 ** decades[:: 1 + len(decades) // 6]).tolist()))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("parameters (k: thousand, M: million)", fontsize=FONT)


def draw_times(axes: Axes, stages: list[Stage], epochs: int) -> list[str]:
    """From which epoch on a stage trains, and the words beside it.

    When a stage that trained was frozen again is not known: it is hatched up to the last epoch.
    """
    words = []
    for place, each in enumerate(stages):
        begin = epochs + 1 if each.thawed is None else min(each.thawed, epochs + 1)
        again = each.thawed is not None and each.trainable == 0
        if begin > 1:
            axes.barh(place, begin - 1, left=0.5, height=0.8, color=PALE, zorder=2)
        if begin <= epochs:
            how: dict[str, Any] = {"facecolor": "white", "hatch": "///"} if again else {"facecolor": BLUE}
            how |= {"left": begin - 0.5, "edgecolor": BLUE, "linewidth": 0.6, "zorder": 3}
            axes.barh(place, epochs + 1 - begin, height=0.8, **how)
        said = "never" if each.thawed is None else f"from epoch {each.thawed}" if each.thawed > 1 else "from the start"
        words.append(said + (", then frozen" if again else ""))
    axes.set_xlim(0.5, epochs + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.set_xlabel("epoch", fontsize=FONT)
    for place, said in enumerate(words):
        beside(axes, (epochs + 0.5, place), said, "black" if said != "never" else GREY)
    return words


def beside(axes: Axes, place: tuple[float, float], text: str, colour: str, shift: float = 6.0) -> None:
    """Words behind the end of a bar."""
    where: dict[str, Any] = {"xytext": (shift, 0), "textcoords": "offset points", "va": "center"}
    axes.annotate(text, place, fontsize=FONT, color=colour, zorder=6, **where)
