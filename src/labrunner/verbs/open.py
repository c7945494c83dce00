"""``labrunner open [RUN_OR_SWEEP]``: the report of a run or sweep in the browser, the newest where none is named."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from labrunner.errors import RequestError, RunError
from labrunner.records import is_sweep_folder, load_run, load_sweep, refuse_links
from labrunner.records.names import is_evaluation_folder, is_range_folder
from labrunner.verbs.printing import one_line, say, show

if TYPE_CHECKING:
    from labrunner.cli import Arguments

REPORT = "report.html"
HOME = Path("outputs")
DRAWING_SECONDS = 120.0
USAGE = "labrunner open, or labrunner open outputs/runs/RUN"


def main(arguments: Arguments) -> int:
    if arguments.overrides:
        raise RequestError(f"open takes a run folder or a sweep folder, and not {arguments.overrides[0]}: {USAGE}")
    if len(arguments.words) > 1:
        raise RequestError(f"open shows one report at a time, and {len(arguments.words)} folders were named: {USAGE}")
    page = newest() if not arguments.words else page_of(folder_of(arguments.words[0]))
    show(one_line(page))
    why = no_browser(os.environ, sys.platform)
    if why is None and not shown(page):
        why = "no browser could be started"
    if why is not None:
        say(f"labrunner: {why}: nothing was opened, and the file above is what there is to look at")
    return 0


def folder_of(word: str) -> Path:
    """The folder that was named, by itself or by its report.

    Raises
    ------
    RequestError
        where there is none.
    """
    path = Path(word)
    if path.name == REPORT and path.is_file():
        return path.parent
    if not path.is_dir():
        raise RequestError(f"there is no folder {one_line(word)}; labrunner ls shows the runs and sweeps under outputs")
    return path


def newest() -> Path:
    """The page of the run or sweep that was begun last; what has nothing to show is passed over, and said.

    Raises
    ------
    RequestError
        where there is none.
    """
    from labrunner.verbs.ls import folders_in

    found = sorted(folders_in(HOME), key=lambda each: (each.when, each.rank), reverse=True)
    for each in found:
        try:
            return page_of(each.path)
        except (RequestError, RunError) as error:
            say(f"labrunner: passed over: {one_line(str(error).splitlines()[0])}")
    if found:
        raise RequestError(f"nothing under {HOME} can be shown; labrunner doctor FOLDER says what is wrong with one")
    raise RequestError(f"there are no runs under {HOME} yet; to begin: labrunner, or labrunner open FOLDER")


def page_of(folder: Path) -> Path:
    """What there is to look at in a folder; the report of a run or sweep that has none is drawn now.

    Raises
    ------
    RequestError
        for what no run, sweep, evaluation or range test is, and for an evaluation without figures.
    RunError
        when the report cannot be drawn.
    """
    is_sweep = is_sweep_folder(folder)
    is_evaluation, is_range = is_evaluation_folder(folder), is_range_folder(folder)
    if is_sweep:
        load_sweep(folder)
    elif not is_evaluation and not is_range:
        load_run(folder)  # which says what it is not
    refuse_links(folder)  # a page elsewhere is not this folder's, and drawing would leave it
    if (page := drawn(folder)) is not None:
        return page
    if is_evaluation:
        raise RequestError(
            f"the evaluation in {folder} has no figures; labrunner evaluate RUN … figures=all draws them"
        )
    draw(folder)
    page = drawn(folder)
    if page is None:
        raise RunError(f"there is nothing to show in {folder}: nothing of it could be drawn")
    return page


def drawn(folder: Path) -> Path | None:
    """The report of a folder, the figure of a range test, or the first figure of what has no report."""
    figures = sorted((folder / "figures").glob("*.png"))
    is_run = not (is_sweep_folder(folder) or is_evaluation_folder(folder) or is_range_folder(folder))
    places = [folder / REPORT, *([] if is_run else [folder / "lr_range.png", *figures])]
    return next((path for path in places if path.is_file()), None)


def draw(folder: Path) -> None:
    from labrunner.drawing import Drawing

    say(f"labrunner: {one_line(folder)} has no report yet; drawing it")
    with Drawing() as drawing:
        drawing.ask(folder)
        messages = drawing.finish(DRAWING_SECONDS)
    for message in messages:
        say(f"labrunner: warning: {message}")


# the browser


def no_browser(environment: Mapping[str, str], platform: str) -> str | None:
    """Why a browser would not show up where the user sits; None where it should.

    ``BROWSER`` is the user's own word, and editors that work on another machine set it to a program that opens pages
    on this one.
    """
    if environment.get("BROWSER"):
        return None
    has_display = bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
    if not has_display and (environment.get("SSH_CONNECTION") or environment.get("SSH_TTY")):
        return "this is a session on another machine (SSH)"
    if not has_display and platform not in ("darwin", "win32"):
        return "there is no display here"
    return None


def shown(page: Path) -> bool:
    """Whether a browser took the page."""
    import webbrowser

    try:
        return webbrowser.open(page.resolve().as_uri())
    except (webbrowser.Error, OSError):
        return False
