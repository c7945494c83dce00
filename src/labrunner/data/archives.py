"""Archives of data sets: downloaded and unpacked by torchvision's functions, whole or not at all.

Both happen in a folder beside, and what comes out gets its name once it is whole: a command that is killed leaves
nothing that is taken for a data set. Archives stay where they are, as torchvision leaves them.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labrunner import servers
from labrunner.data import downloads
from labrunner.data.downloads import File, root_of
from labrunner.errors import RequestError


@dataclass(frozen=True)
class Archive:
    """What a server has."""

    path: str  # where it belongs, below the root
    url: str
    md5: str
    megabytes: int
    # what is in it and is read, below the folder that the archive lies in; nothing: it is itself what is read
    holds: tuple[str, ...] = ()

    def files(self, root: Path) -> list[File]:
        """What is read, whether it is there or not."""
        path = root / self.path
        if not self.holds:
            return [File(path, (), self.url)]
        return [File(path.parent / name, (path,), self.url, is_folder=not Path(name).suffix) for name in self.holds]

    def is_whole(self, root: Path) -> bool:
        """Whether it lies where it belongs, with all its bytes."""
        from torchvision.datasets.utils import check_integrity

        return bool(check_integrity(root / self.path, self.md5))

    def is_absent(self, root: Path) -> bool:
        return bool(downloads.absent(self.files(root)))


def provide(options: Mapping[str, Any], archives: Sequence[Archive], say: Callable[[str], None]) -> bool:
    """See to it that what is in `archives` is there, by unpacking and downloading; whether there was something to do.

    Parameters
    ----------
    options : a composed `dataset` group, with `name` and `root`
    archives : all of the data set; those whose contents are there are not needed
    say : takes one line for the user

    Raises
    ------
    RequestError
        when an archive cannot be downloaded or unpacked. What came whole is kept; nothing else is left.
    """
    root, name = root_of(options), options["name"]
    wanted = [archive for archive in archives if archive.is_absent(root)]
    if not wanted:
        return False
    with downloads.cleared([(root / archive.path).parent for archive in wanted]):
        try:
            for archive in wanted:
                (root / archive.path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _failed(options, wanted, error) from error
        with _alone(name, root, say):
            wanted = [archive for archive in wanted if archive.is_absent(root)]  # another process may have been first
            for folder in {(root / archive.path).parent for archive in wanted}:
                for left in folder.glob(f".{name}-*"):  # by a process that was killed
                    shutil.rmtree(left, ignore_errors=True)
            _download(options, [archive for archive in wanted if not archive.is_whole(root)], say)
            for archive in wanted:
                if archive.holds:
                    _unpack(name, archive, root, say)
    return True


@contextmanager
def _alone(name: str, root: Path, say: Callable[[str], None]) -> Iterator[None]:
    """One process at a time fetches a set into a root."""
    from filelock import FileLock, Timeout

    path = root / f".{name}.lock"
    held = FileLock(path)
    try:
        try:
            held.acquire(timeout=0)
        except Timeout:
            say(f"dataset={name}: waiting for another process, which fetches the same files")
            held.acquire()
    except OSError as error:
        raise RequestError(f"dataset={name}: cannot write into {root}: {servers.reason(error)}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        held.release()


def _download(options: Mapping[str, Any], wanted: Sequence[Archive], say: Callable[[str], None]) -> None:
    if not wanted:
        return
    from torchvision.datasets.utils import download_url

    name, root = options["name"], root_of(options)
    broken = [root / archive.path for archive in wanted if (root / archive.path).is_file()]
    again = f"; {broken[0]}, which is damaged, is replaced" if broken else ""
    size = downloads.size(max(1, sum(archive.megabytes for archive in wanted)))
    address = downloads.address([file for archive in wanted for file in archive.files(root)])
    say(f"dataset={name}: downloading {size} from {address} into {(root / wanted[0].path).parent}{again}")
    for place, archive in enumerate(wanted):
        path = root / archive.path
        try:
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{name}-downloading-") as folder:
                with servers.patiently():
                    download_url(archive.url, folder, path.name, archive.md5)
                os.replace(Path(folder, path.name), path)
        except Exception as error:
            raise _failed(options, wanted[place:], error) from error


def _failed(options: Mapping[str, Any], left: Sequence[Archive], error: Exception) -> RequestError:
    """What to say when none of the archives `left` can be had."""
    root = root_of(options)
    broken = [root / archive.path for archive in left if (root / archive.path).is_file()]
    return downloads.not_downloaded(options, [file for each in left for file in each.files(root)], broken, error)


def _unpack(name: str, archive: Archive, root: Path, say: Callable[[str], None]) -> None:
    """Unpack an archive that is whole, and put what it holds into its place."""
    from torchvision.datasets.utils import extract_archive

    path = root / archive.path
    say(f"dataset={name}: unpacking {path}")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{name}-unpacking-") as folder:
            extract_archive(str(path), folder)
            for file, held in zip(archive.files(root), archive.holds, strict=True):
                if not file.is_there:
                    file.path.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(Path(folder, held), file.path)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise RequestError(f"dataset={name}: cannot unpack {path}: {servers.reason(error)}") from error
