"""Runs to draw, and ways to look at what was drawn."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.text import Text

from labrunner.figures.look import look
from labrunner.records import METRICS, Run, Sweep, load_run, load_sweep
from tests import folders, sweeps
from tests.folders import DIGITS, metrics_row

NAMES = {
    2: ("benign", "malignant"),
    10: DIGITS,
    100: tuple(f"class number {index} of many, with a name of about sixty letters" for index in range(100)),
}


_folders = tempfile.TemporaryDirectory(prefix="folders_to_draw_")  # each written once, and copied from here
_written: dict[str, Path] = {}
_rendered: weakref.WeakSet[Figure] = weakref.WeakSet()


def _copied(path: Path, write: Callable[..., Any], *arguments: Any, **choices: Any) -> Path:
    what = repr((write.__name__, arguments, sorted(choices.items())))
    if what not in _written:
        first = Path(_folders.name) / str(len(_written))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda file: None)  # no test here is about a power cut
            write(first, *arguments, **choices)
        _written[what] = first
    shutil.copytree(_written[what], path)
    return path


def write_run(path: Path, **choices: Any) -> Path:
    """The folder that `tests.folders.write_run` writes."""
    return _copied(path, folders.write_run, **choices)


def write_sweep(path: Path, values: Sequence[dict[str, Any]], *, comparison: bool = False, **choices: Any) -> Sweep:
    """The folder that `tests.sweeps.write_sweep` writes; the runs of a comparison lie elsewhere."""
    if comparison:
        return sweeps.write_sweep(path, values, comparison=True, **choices)
    return load_sweep(_copied(path, sweeps.write_sweep, values, **choices))


def made(path: Path, **choices: Any) -> Run:
    return load_run(write_run(path / "run", **choices))


def drawn(figure: Figure | None) -> Figure:
    """The figure after its layout was computed."""
    assert figure is not None
    if not isinstance(figure.get_layout_engine(), PlaceHolderLayoutEngine):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def rows_without(columns: tuple[str, ...], epochs: int = 8) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [metrics_row(epoch, epochs, rng) | dict.fromkeys(columns) for epoch in range(1, epochs + 1)]


def diverging_rows() -> list[dict[str, Any]]:
    rows = rows_without((), 4)
    rows[-1] |= {"train_loss": 2e5, "val_loss": 3e5}
    return [*rows, dict.fromkeys(METRICS) | {"epoch": 5, "lr": 0.01}]


def everything(figure: Figure) -> list[Text]:
    """Every text that can be seen, once the figure is drawn as it is written into a file."""
    if figure not in _rendered:
        with look():
            FigureCanvasAgg(figure).draw()
        figure.set_layout_engine("none")
        _rendered.add(figure)
    return shown(figure)


def shown(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def all_inside(figure: Figure | None) -> None:
    """No text at all reaches beyond the edge; tick labels that lie outside of their axis are not drawn."""
    assert figure is not None
    everything(figure)
    all_shown_inside(figure)


def all_shown_inside(figure: Figure) -> None:
    """The same of a figure that is drawn already, as it is written into a file."""
    texts = shown(figure)  # before axes without ticks are asked for theirs
    outside = _outside_of_their_axis(figure)
    inside(figure, [text for text in texts if text not in outside])


def _outside_of_their_axis(figure: Figure) -> set[Text]:
    labels: set[Text] = set()
    for axes in figure.findobj(lambda artist: hasattr(artist, "xaxis")):
        for axis in (axes.xaxis, axes.yaxis):
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            drawn_ones = {label for tick in axis._update_ticks() for label in (tick.label1, tick.label2)}
            labels |= {label for tick in ticks for label in (tick.label1, tick.label2)} - drawn_ones
    return labels


def inside(figure: Figure, texts: Any) -> None:
    """No text reaches beyond the edge of the picture, where it would be cut off."""
    page = figure.bbox
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= page.x0 - 1, text
        assert box.x1 <= page.x1 + 1, text
        assert box.y0 >= page.y0 - 1, text
        assert box.y1 <= page.y1 + 1, text


def contrast(one: Any, other: Any) -> float:
    """The contrast ratio of WCAG 2.1, from 1 to 21; 4.5 is its bound for text."""

    def luminance(colour: Any) -> float:
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
