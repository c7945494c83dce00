"""Figures: pure functions from a recorded run, or sweep, to a matplotlib `Figure`, one file a family.

Only this package imports matplotlib, and it does so at once: import it where drawing is the work, as in the process of
`labrunner.drawing`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from labrunner.errors import RunError
from labrunner.figures.boundary import boundary
from labrunner.figures.calibration import reliability
from labrunner.figures.classes import classes
from labrunner.figures.comparison import COMPARISONS
from labrunner.figures.confusion import confusion, confusion_predicted, confusion_true
from labrunner.figures.curves import curves, learning_rate, metrics
from labrunner.figures.freezing import freezing
from labrunner.figures.look import look
from labrunner.figures.probed import PROBED
from labrunner.figures.probed.steps import range_test
from labrunner.figures.ranking import precision_recall, roc
from labrunner.figures.samples import mistakes, samples
from labrunner.records import Evaluation, Run, Sweep
from labrunner.records.names import RANGE

FIGURES: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {  # of a run
    # file name: (function, which returns None where the run has no data for it; whether figures=few draws it)
    "curves": (curves, True),
    "confusion": (confusion, True),
    "metrics": (metrics, False),
    "learning_rate": (learning_rate, False),
    "freezing": (freezing, True),
    "confusion_true": (confusion_true, False),
    "confusion_predicted": (confusion_predicted, False),
    "classes": (classes, False),
    "roc": (roc, False),
    "precision_recall": (precision_recall, False),
    "reliability": (reliability, False),
    "boundary": (boundary, False),
    "samples": (samples, False),
    "mistakes": (mistakes, False),
    **PROBED,
}
EVALUATED = {  # of an evaluation on other data: those that need predictions and nothing else
    name: FIGURES[name]
    for name in (
        *("confusion", "confusion_true", "confusion_predicted", "classes", "averages"),
        *("roc", "precision_recall", "reliability", "samples", "mistakes"),
    )
}


def draw(run: Run, which: str = "all") -> list[Path]:
    """Write ``figures/<name>.png`` of a run and return the paths; equal records give equal bytes.

    Parameters
    ----------
    which
        ``all``, ``few`` (those marked so in `FIGURES`) or ``none``. A figure that is not drawn, or has no data,
        leaves no file of an earlier draw behind.

    Raises
    ------
    RunError
        when figures could not be drawn, after all others were; the message names them.
    """
    return _draw(FIGURES, run, which)


def draw_evaluation(evaluation: Evaluation, which: str = "all") -> list[Path]:
    """The same of an evaluation on other data, with the figures in `EVALUATED`."""
    return _draw(EVALUATED, evaluation, which)


def draw_sweep(sweep: Sweep, which: str = "all") -> list[Path]:
    """The same of a sweep, or a comparison, with the figures in `COMPARISONS`."""
    return _draw(COMPARISONS, sweep.without_first, which)


def draw_range(folder: Path) -> Path:
    """Write ``lr_range.png`` beside the ``lr_range.csv`` of a range test without a run."""
    import pandas as pd

    with look():
        content = png(range_test(pd.read_csv(folder / RANGE)))
    path = folder / "lr_range.png"
    path.write_bytes(content)
    return path


Few = bool | Callable[[Any], bool]


def _draw(table: Mapping[str, tuple[Callable[[Any], Figure | None], Few]], recorded: Any, which: str) -> list[Path]:
    if which not in ("all", "few", "none"):
        raise ValueError(f"which={which!r} is none of all, few, none")
    folder = recorded.path / "figures"
    folder.mkdir(exist_ok=True)
    written, failures = [], []
    for name, (function, in_few) in table.items():
        path = folder / f"{name}.png"
        path.unlink(missing_ok=True)
        if which == "none":
            continue
        if which == "few" and not (in_few(recorded) if callable(in_few) else in_few):
            continue
        try:
            with look():
                figure = function(recorded)
                content = None if figure is None else png(figure)
        except Exception as error:
            failures.append(f"{path.name}: {type(error).__name__}: {error}")
            continue
        if content is not None:
            path.write_bytes(content)
            written.append(path)
    if failures:
        raise RunError("; ".join(failures))
    return written


def png(figure: Figure) -> bytes:
    """The figure as a PNG file without date or version in it.

    What ``savefig`` does, in one walk through the figure: with constrained layout it draws everything twice, once to
    no end but that the layout is made.
    """
    # a second canvas would be a second picture in memory
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    canvas.draw()
    content = io.BytesIO()
    # the page is white: its alpha says nothing
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(
        content, format="png", compress_level=4, dpi=(figure.dpi, figure.dpi)
    )
    return content.getvalue()
