"""The report: one self-contained HTML page of a run, rendered from the files of its folder.

Nothing in the page asks anything of anywhere: style, figures and the one script are inside, and a policy in its head
has the browser refuse all else; `labrunner.report.page` says how. It can be read without the script, which only sorts,
filters and points. Every number in it says in a ``data-src`` attribute which record it shows; `labrunner.report.origin`
defines how.
"""

from __future__ import annotations

from pathlib import Path

from labrunner.files import atomic_write
from labrunner.records import Run
from labrunner.report import content, plot
from labrunner.report.cells import MANY_CLASSES, confusion
from labrunner.report.epochs import epochs
from labrunner.report.measured import measured
from labrunner.report.page import TEMPLATES, page
from labrunner.report.pictures import Figures
from labrunner.report.settings import settings, typed

__all__ = ["TEMPLATES", "render", "write"]


def render(run: Run) -> str:
    """The page of a run, with the figures that stand in its folder."""
    drawn = Figures(run.path)
    return page(
        "run.html",
        title=content.title(run),
        name=run.path.resolve().name,
        status=content.status(run),
        smoke=bool(run.config["smoke"]),
        progress=content.progress(run),
        facts=content.facts(run),
        test=content.test(run),
        validation=content.validation(run),
        training=content.training(run),
        done=run.status == "done",
        epochs=epochs(run),
        width=plot.WIDTH,
        height=plot.HEIGHT,
        left=plot.LEFT,
        right=plot.RIGHT,
        top=plot.TOP,
        bottom=plot.BOTTOM,
        checks=content.checks(run),
        figures=drawn,
        measured=measured(drawn),
        classes=content.classes(run),
        many_classes=MANY_CLASSES,
        confusion=confusion(run),
        summary=content.summary(run),
        freezing=content.freezing(run),
        typed=typed(run),
        settings=settings(run),
        environment=content.environment(run),
    )


def write(run: Run) -> Path:
    """Write ``report.html`` into the folder of a run and return its path. Draw the figures first."""
    path = run.path / "report.html"
    atomic_write(path, render(run))
    return path
