"""Figures: pure functions from a recorded run to a matplotlib `Figure`, one file a family.

Only this package imports matplotlib, and it does so at once: import it where drawing is the work, as in the process of
`labrunner.drawing`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from labrunner.errors import RunError
from labrunner.figures.confusion import confusion
from labrunner.figures.curves import curves
from labrunner.figures.look import look
from labrunner.records import Run

FIGURES: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {
    # file name: (function, which returns None where the run has no data for it; whether figures=few draws it)
    "curves": (curves, True),
    "confusion": (confusion, True),
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
    if which not in ("all", "few", "none"):
        raise ValueError(f"which={which!r} is none of all, few, none")
    folder = run.path / "figures"
    folder.mkdir(exist_ok=True)
    written, failures = [], []
    for name, (function, in_few) in FIGURES.items():
        path = folder / f"{name}.png"
        path.unlink(missing_ok=True)
        if which == "none" or (which == "few" and not in_few):
            continue
        try:
            with look():
                figure = function(run)
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
    """The figure as a PNG file without date or version in it."""
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
