"""Files that data sets are read from and that come from a server: where each belongs, and what to say without it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from labrunner.errors import RequestError
from labrunner.servers import NotDownloaded, reason


class File(NamedTuple):
    """A file that a set is read from, or a folder of them."""

    path: Path
    packed: tuple[Path, ...]  # archives that it can be unpacked from
    url: str  # of the last of these archives, or of the file itself
    is_folder: bool = False

    @property
    def downloaded(self) -> Path:
        """Where that which the address gives belongs."""
        return self.packed[-1] if self.packed else self.path

    @property
    def is_there(self) -> bool:
        return self.path.is_dir() if self.is_folder else self.path.is_file()


def absent(files: Sequence[File]) -> list[File]:
    """Those that are not there, or not unpacked."""
    return [file for file in files if not file.is_there]


def missing(files: Sequence[File]) -> list[Path]:
    """Those that are neither there nor in an archive that is there; looks at names only."""
    return [file.path for file in absent(files) if not any(path.is_file() for path in file.packed)]


def root_of(options: Mapping[str, Any]) -> Path:
    """``dataset.root`` of a composed `dataset` group.

    Raises
    ------
    RequestError
        when it can be no path.
    """
    try:
        root = Path(options["root"]).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(root)
    except (OSError, RuntimeError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise RequestError(f"dataset.root={options['root'][:80]!r} is no path: {said}") from None
    return root


@contextmanager
def cleared(folders: Sequence[Path]) -> Iterator[None]:
    """Remove, if the block fails, those of `folders` and of the folders above them that were made in it for nothing."""
    new = {each for folder in folders for each in (folder, *folder.parents) if not each.exists()}
    try:
        yield
    except BaseException:
        for folder in sorted(new, reverse=True):  # the inner ones first; one that holds something stays
            with suppress(OSError):
                folder.rmdir()
        raise


# what to say


def command(options: Mapping[str, Any]) -> str:
    """What fetches a data set, where there is a network."""
    root = "" if options["root"] == "data" else " " + shlex.quote(f"dataset.root={options['root']}")
    return f"labrunner fetch dataset={options['name']}{root}"


def damaged(options: Mapping[str, Any], paths: Sequence[Path]) -> RequestError:
    those, them = ("is", "it") if len(paths) == 1 else ("are", "them")
    return RequestError(
        f"dataset={options['name']}: {', '.join(map(str, paths))} {those} damaged\n"
        f"delete {them} and fetch again: {command(options)}"
    )


def unreadable(options: Mapping[str, Any], where: str | Path, error: Exception) -> RequestError:
    return RequestError(
        f"dataset={options['name']}: the files in {where} cannot be read: {reason(error)}\n"
        f"delete them and fetch again: {command(options)}"
    )


def not_downloaded(
    options: Mapping[str, Any], wanted: Sequence[File], broken: Sequence[Path], error: Exception
) -> NotDownloaded:
    """What to say when `wanted` are missing, or `broken` instead of whole, and a download has failed."""
    paths = list(dict.fromkeys(file.downloaded for file in wanted))
    names, folder = ", ".join(path.name for path in paths), paths[0].parent
    what = f"{broken[0]} is damaged and" if broken else f"{paths[0]} is missing and"
    return NotDownloaded(
        f"dataset={options['name']}: {what} cannot be downloaded: {reason(error)}\n"
        f"put {names} into {folder}; from {address(wanted)}\n"
        f"or, where there is a network: {command(options)}"
    )


def address(files: Sequence[File]) -> str:
    """The address that files come from: the one of all, or the folder of several."""
    urls = list(dict.fromkeys(file.url for file in files))
    return urls[0] if len(urls) == 1 else urls[0].rpartition("/")[0] + "/"


def size(megabytes: int) -> str:
    return f"{megabytes} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
