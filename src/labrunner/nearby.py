"""Files and folders as words that are being typed; run folders with what they are of, by a glance at their files.

This imports nothing that is heavy, and believes nothing: a folder may be anybody's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

HOME = "outputs"
MARKS = {  # file -> what the folder is that holds it
    "sweep.yaml": "sweep",
    "evaluation.json": "evaluation",
    "lr_range.csv": "range test",
    **dict.fromkeys(("metrics.csv", "status.json", "environment.json"), "run"),
}
MOST = 1000  # entries of a folder
RECENT = 30  # runs that are offered before a letter is typed
GLANCE = 20_000  # bytes of a file
CHOICE = re.compile(r"\b(model|dataset|experiment): ([\w.-]+)")
STATUS = re.compile(r'"status": "(\w+)"')


class Word(NamedTuple):
    """What a word can go on as."""

    text: str  # the whole word
    meaning: str = ""
    whole: bool = True  # whether the word ends there

    @property
    def shown(self) -> str:
        """What is listed: of ``model=mlp,cnn`` cnn, of ``outputs/runs/a`` a."""
        text = self.text
        _, equals, value = text.partition("=")
        if equals and value:
            text = value.rpartition(",")[2]
        last = text.rstrip("/").rpartition("/")[2]
        return last + "/" if text.endswith("/") and last else last or text


def paths(text: str, files: bool = True, ends: tuple[str, ...] = ("",)) -> Iterator[Word]:
    """Folders, and files where they are asked for, whose path begins with a text; hidden ones behind a dot.

    Of files those that end in one of `ends`.
    """
    for path, entry in _entries(text):
        if _is_folder(entry):
            yield Word(f"{path}/", whole=False)
        elif files and path.endswith(ends):
            yield Word(path)


def ours(text: str, kinds: Collection[str]) -> Iterator[Word]:
    """Folders that begin with a text, those of some kinds with what they are; at the beginning those under outputs/.

    One of another kind is offered as a way to what is in it: the runs of a sweep.
    """
    recent = _recent(kinds) if "/" not in text and HOME.startswith(text) else []
    for path, entry in _entries(text):
        if _is_folder(entry) and not (recent and path == HOME):
            yield from _word(path, kinds)
    yield from recent


def _recent(kinds: Collection[str]) -> list[Word]:
    """The runs, sweeps and the like under outputs/, the newest last: their names begin with the time."""
    found = []
    for home, entry in _entries(f"{HOME}/"):
        if _is_folder(entry):
            found += [(inside.name, path) for path, inside in _entries(f"{home}/") if _is_folder(inside)]
    folders = [path for _, path in sorted(found) if kind_of(_folder(path)) is not None]
    return [word for path in folders[-RECENT:] for word in _word(path, kinds)]


def _word(path: str, kinds: Collection[str]) -> Iterator[Word]:
    folder = _folder(path)
    kind = kind_of(folder)
    if kind in kinds:
        yield Word(path, glance(folder) if kind == "run" else "an evaluation" if kind == "evaluation" else f"a {kind}")
    elif kind is None or kind == "sweep":
        yield Word(f"{path}/", "a sweep" if kind else "", whole=False)


def _folder(path: str) -> Path:
    return Path(os.path.expanduser(path) if path.startswith("~") else path)


def kind_of(folder: Path) -> str | None:
    """What labrunner made of a folder, by the first of its files that is there; None where none is."""
    return next((kind for name, kind in MARKS.items() if (folder / name).is_file()), None)


def glance(folder: Path) -> str:
    """What a run is of, in a few words: ``mlp on digits, done``."""
    said = _head(folder / "overrides.yaml")
    choices = dict(CHOICE.findall(said[said.find("choices:") :])) if "choices:" in said else {}
    words = [f"{choices['model']} on {choices['dataset']}"] if {"model", "dataset"} <= choices.keys() else []
    if "experiment" in choices:
        words.append(choices["experiment"])
    status = STATUS.search(_head(folder / "status.json"))
    if status is not None:
        # one that says that it runs may have been killed; to know better takes longer
        words.append("not done" if status[1] == "running" else status[1])
    return ", ".join(words)


def _entries(text: str) -> list[tuple[str, os.DirEntry[str]]]:
    """Path as it would be typed, and entry, by name."""
    head, slash, begun = text.rpartition("/")
    folder = os.path.expanduser(f"{head}{slash}") if head.startswith("~") else f"{head}{slash}"
    found = []
    try:
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                if entry.name.startswith(begun) and (begun.startswith(".") or not entry.name.startswith(".")):
                    found.append((f"{head}{slash}{entry.name}", entry))
                if len(found) == MOST:
                    break
    except OSError:
        return []
    return sorted(found, key=lambda each: each[0])


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _head(path: Path) -> str:
    """The beginning of an ordinary file: whoever made the folder may have put a pipe there, or gigabytes."""
    try:
        if not path.is_file():
            return ""
        with open(path, "rb") as file:
            return file.read(GLANCE).decode(errors="replace")
    except OSError:
        return ""
