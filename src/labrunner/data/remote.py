"""The data sets whose files come from a server: which these are, what is missing of one, and how it is fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from labrunner.data import photographs, vision
from labrunner.data.downloads import File
from labrunner.servers import to_stderr

NAMES = (*vision.NAMES, *photographs.NAMES)


def absent(options: dict[str, Any]) -> list[File]:
    """What a composed `dataset` group lacks; nothing where no file is fetched. Looks at names only.

    Raises
    ------
    RequestError
        when ``dataset.root`` can be no path.
    """
    name = options.get("name")
    if name in vision.NAMES:
        return vision.absent(options)
    return photographs.absent(options) if name in photographs.NAMES else []


def files(options: dict[str, Any]) -> list[File]:
    """The files and folders that one of `NAMES` is read from, whether they are there or not."""
    return photographs.files(options) if options["name"] in photographs.NAMES else vision.files(options)


def where(options: dict[str, Any]) -> list[Path]:
    """The folders that the files of one of `NAMES` lie in."""
    return photographs.where(options) if options["name"] in photographs.NAMES else vision.where(options)


def fetch(options: dict[str, Any], say: Callable[[str], None] = to_stderr) -> bool:
    """See to it that the files of one of `NAMES` are there and whole; whether something had to be done for that.

    Raises
    ------
    RequestError
        when files are missing and cannot be downloaded, or are damaged.
    """
    fetched = photographs.fetch if options["name"] in photographs.NAMES else vision.fetch
    return fetched(options, say)
