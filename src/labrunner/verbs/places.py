"""Where verbs put what they make beside runs: new folders and files, and what is refused of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labrunner import signals
from labrunner.errors import RequestError


def new_place(home: str) -> Path:
    """A folder, or the stem of a file, that is not there yet: ``outputs/<home>/<date>_<time>_<unique>``."""
    return Path("outputs", home, f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(2)}")


def refuse_used(folder: Path) -> None:
    """Refuse a folder that is not new or empty."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        what = "is a file" if folder.is_file() else "is not empty"
        raise RequestError(f"the folder {folder} {what}; give hydra.run.dir another one")


def refuse_there(path: Path, key: str) -> None:
    """Refuse to write a file where one is, or where none can be."""
    if path.is_dir():
        raise RequestError(f"{key}={path} is a folder; it takes the name of a new file")
    if path.exists():
        raise RequestError(f"{key}={path} is there already; give {key} another name")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise RequestError(f"{key}={path} cannot be written: {above} is a file")


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder, so that one that cannot be is refused before the work; if that ends early, it goes again.

    Raises
    ------
    RequestError
        when it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"cannot make the folder {folder}: {error.strerror or error}") from None
    try:
        with signals.undone(folder.rmdir):
            yield
    except BaseException:
        with suppress(OSError):  # what has been written stays
            folder.rmdir()
        raise
