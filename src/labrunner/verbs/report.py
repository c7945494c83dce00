"""``labrunner report RUN…``: figures and report of runs and sweeps again, from the files in their folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labrunner import schema
from labrunner.errors import RequestError
from labrunner.files import WriteError
from labrunner.records import SweepFolder, is_sweep_folder, load_run, load_sweep, refuse_links
from labrunner.records.names import is_range_folder
from labrunner.verbs.printing import complain, one_line, say, show
from labrunner.verdict import renew

if TYPE_CHECKING:
    from labrunner.cli import Arguments

DRAWING_SECONDS = 120.0  # that a folder may take


def main(arguments: Arguments) -> int:
    words, which = read(arguments)
    if not words:
        raise RequestError("report takes run folders or sweep folders: labrunner report outputs/runs/RUN [figures=few]")
    asked = {word: folders_of(Path(word)) for word in words}
    folders = list(dict.fromkeys(folder for group in asked.values() for folder in group))
    for folder in folders:
        refuse_links(folder)  # writing would leave it
    from labrunner.drawing import Drawing

    for folder in folders:
        if is_sweep_folder(folder):
            renew_tables(folder)
    before = pictures(folders)
    if len(folders) > 1:
        say(f"labrunner: drawing {len(folders)} folders")
    with Drawing() as drawing:
        for folder in folders:
            drawing.ask(folder, which)
        messages = drawing.finish(DRAWING_SECONDS * len(folders))
    for message in messages:
        complain(message)
    if messages:
        return 1
    for word, group in asked.items():
        count = len(group) - 1
        runs = f", with {count} run{'' if count == 1 else 's'}" if count else ""
        show(f"drawn{runs}: {one_line(Path(word) / drawn_in(Path(word)))}")
    if which == "few" and (gone := len(before - pictures(folders))):
        figures = "1 figure" if gone == 1 else f"{gone} figures"
        show(f"{figures} of an earlier drawing taken away: figures=few leaves few; figures=all draws them again")
    return 0


def pictures(folders: Sequence[Path]) -> set[Path]:
    return {path for folder in folders for path in (folder / "figures").glob("*.png")}


def read(arguments: Arguments) -> tuple[list[str], str]:
    """The folders, each once, and which figures are asked for.

    Raises
    ------
    RequestError
        for an override other than ``figures=all|few|none``.
    """
    words, which = list(arguments.words), "all"
    for override in arguments.overrides:
        key, _, value = override.partition("=")
        if os.path.isdir(override):  # a folder's name may hold an equal sign
            words.append(override)
        elif key == "figures":
            schema.check_value(key, schema.KEYS[key], value)
            if value == "none":
                raise RequestError("figures=none leaves nothing to draw; report takes figures=all or few")
            which = value
        else:
            raise RequestError(
                f"{override}: report shows what was recorded and changes none of it; it takes figures=all or few"
            )
    return list(dict.fromkeys(os.path.normpath(word) for word in words)), which


def drawn_in(path: Path) -> str:
    """Where to look at what was drawn in a folder."""
    return "lr_range.png" if is_range_folder(path) else "report.html"


def renew_tables(folder: Path) -> None:
    """The table of a sweep, and the verdict, as its runs are now; what is still being worked on writes its own."""
    try:
        with SweepFolder.open(folder) as sweep_folder:
            renew(sweep_folder, load_sweep(folder))
    except (RequestError, WriteError) as error:
        say(f"labrunner: warning: {str(error).splitlines()[0]}: its table and verdict stay as they are")


def folders_of(path: Path) -> list[Path]:
    """What is drawn for a folder: a run; a sweep's runs as far as they have begun, and then the sweep itself.

    The runs of a comparison, and of a sweep.yaml that names folders elsewhere, are not this folder's: they are left as
    they are. A run that is still going is drawn as far as it got, and draws itself again at its end.

    Raises
    ------
    RequestError
        for what is neither.
    """
    if is_sweep_folder(path):
        sweep = load_sweep(path)
        inside = [
            member.path for member, _ in sweep.runs if member.path.parent == path and not member.path.is_symlink()
        ]
        return [*inside, path]
    if is_range_folder(path):
        return [path]
    if not path.is_dir():
        raise RequestError(f"there is no folder {path}; labrunner report takes run folders and sweep folders")
    load_run(path)
    return [path]
