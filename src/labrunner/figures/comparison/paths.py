"""Figures of a sweep about the weights' way over the loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from matplotlib.figure import Figure

from labrunner.figures.comparison.scales import legend_below, note_above
from labrunner.figures.comparison.shown import Shown, short_keys
from labrunner.figures.look import page
from labrunner.figures.probed.paths import (
    Surface,
    Way,
    axis_label,
    colour_bar,
    draw_path,
    draw_surface,
    levels_of,
    path_handles,
    path_of,
    surface_of,
    window_of,
)
from labrunner.records import Run, Sweep

VARIANT = "variant"  # a key whose values are names that speak for themselves
PANELS = 12
COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3}  # panels side by side; of more four
ALIKE = ("dataset", "model")  # parts of the config that the loss over the weights depends on
NAME_WIDTH = {1: 60, 2: 40, 3: 26, 4: 19}  # characters over a panel, by columns


class Panel(NamedTuple):
    """A combination's run, with its way."""

    name: str
    run: Run
    surface: Surface
    path: Way | None


def loss_surfaces(sweep: Sweep) -> Figure | None:
    """The way of each combination's first run over contours of the loss; None without probe `loss_surface`.

    Where the planes are those of two weights and the loss over them is the same, all panels have one scale, on which
    steps can be compared.
    """
    shown = Shown(sweep)
    panels, shared, left_out = panels_of(shown)
    if not panels:
        return None
    columns = COLUMNS.get(len(panels), 4)
    rows = math.ceil(len(panels) / columns)
    figure = page(min(3.2, 8.4 / columns) * rows + 1.0)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared)
    together = window_of(panels[0].surface, [panel.path for panel in panels])
    windows = [together if shared else window_of(panel.surface, [panel.path]) for panel in panels]
    levels = levels_of([(panel.surface, window) for panel, window in zip(panels, windows, strict=True)])
    ends = gone = False
    for axes, panel, window in zip(grid.flat, panels, windows, strict=False):
        filled = draw_surface(axes, panel.surface, window, levels)
        left = panel.path is not None and draw_path(axes, panel.path)
        axes.set_title(panel.name, loc="left", fontsize=10.5, parse_math=False)
        ends, gone = ends or (panel.path is not None and not left), gone or left
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    if shared:  # below an empty place the panel above has the labels
        for axes in grid.flat[: len(panels)]:
            axes.label_outer()
        for axes in grid.flat[max(0, len(panels) - columns) : len(panels)]:
            axes.tick_params(labelbottom=True)
    names = panels[0].surface.names
    for axes in grid.flat[max(0, len(panels) - columns) : len(panels)]:
        axes.set_xlabel(axis_label(names[0]))
    for axes in grid[:, 0]:
        axes.set_ylabel(axis_label(names[1]))
    colour_bar(figure, filled, list(grid.flat[: len(panels)]), levels)
    legend_below(figure, path_handles(ends, gone))
    more = []
    if shown.folds:
        more.append("drawn: the first seed of each")
    if not shared and len(panels) > 1:
        more.append("each panel has its own plane and scale")
    if left_out:
        more.append(f"left out: {left_out} without a way in a plane, or beyond {PANELS} panels")
    note_above(figure, shown.note(*more))
    return figure


def panels_of(shown: Shown) -> tuple[list[Panel], bool, int]:
    """The panels in order, whether they share one plane, and how many combinations have none."""
    combinations = shown.combinations
    found: list[tuple[Run, Surface | None] | None] = []
    for combination in combinations:
        runs = [entry.member.run for entry in combination.entries if entry.member.run is not None]
        found.append(next(((run, surface_of(run)) for run in runs if run.probe("loss_surface_path") is not None), None))
    there = [each for each in found if each is not None]
    surfaces = [surface for _, surface in there if surface is not None]
    if not surfaces:
        return [], False, len(combinations)
    names = surfaces[0].names
    alike = {repr([run.config.get(part) for part in ALIKE]) for run, _ in there}
    shared = surfaces[0].is_of_weights and len(alike) == 1 and all(surface.names == names for surface in surfaces)
    widest = max(surfaces, key=lambda surface: surface.area)
    columns = COLUMNS.get(min(PANELS, len(there)), 4)
    panels = []
    titles = shown.names(combinations, NAME_WIDTH[columns])
    if len(shown.keys) == 1 and shown.keys[0] != VARIANT:
        titles = [f"{short_keys(shown.keys)[0]}={title}" for title in titles]
    for each, name in zip(found, titles, strict=True):
        surface = None if each is None else widest if shared else each[1]
        if each is None or surface is None or surface.is_of_weights != surfaces[0].is_of_weights:
            continue
        panels.append(Panel(name, each[0], surface, path_of(each[0], surface.names)))
    return panels[:PANELS], shared, len(combinations) - min(PANELS, len(panels))


FIGURES: dict[str, tuple[Callable[[Sweep], Figure | None], bool]] = {"loss_surfaces": (loss_surfaces, True)}
