"""The report: one self-contained HTML page of a run, rendered from the files of its folder.

Nothing in the page asks anything of anywhere: style and figures are inside, and there is no script. Every number in it
says in a ``data-src`` attribute which record it shows; `labrunner.report.origin` defines how.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from labrunner.files import atomic_write
from labrunner.records import Run
from labrunner.report import content
from labrunner.report.measured import measured

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The templates, each compiled once."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # class names, messages and values come from outside
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(run: Run) -> str:
    """The page of a run, with the figures that stand in its folder."""
    drawn = content.figures(run)
    template = environment().get_template("run.html")
    return template.render(
        title=content.title(run),
        name=run.path.resolve().name,
        status=content.status(run),
        smoke=bool(run.config["smoke"]),
        progress=content.progress(run),
        test=content.test(run),
        validation=content.validation(run),
        training=content.training(run),
        done=run.status == "done",
        checks=content.checks(run),
        figures=drawn,
        measured=measured(drawn),
        classes=content.classes(run),
        many_classes=content.MANY_CLASSES,
        confusions=content.confusions(run),
        summary=content.summary(run),
        freezing=content.freezing(run),
        typed=content.typed(run),
        settings=content.settings(run),
        environment=content.environment(run),
    )


def write(run: Run) -> Path:
    """Write ``report.html`` into the folder of a run and return its path. Draw the figures first."""
    path = run.path / "report.html"
    atomic_write(path, render(run))
    return path
