"""Images of the user's own: a folder for each class, or train, val and test folders of class folders.

`describe` looks at names only; `load` hands the files to `decoded`, in an order that no file system decides.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labrunner.data.decoded import decoded_samples, shown
from labrunner.data.samples import WHITE, Description, Samples
from labrunner.errors import RequestError
from labrunner.files import expanded, written
from labrunner.servers import to_stderr

NAMES = ("imagefolder",)
SIZE = 64  # pixels, where neither the user nor the model asks for a size
EXTENSIONS = frozenset(
    f".{each}"
    for each in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "bmp", "dib", "tif", "tiff", "webp", "avif"),
        *("ppm", "pgm", "pbm", "pnm", "jp2", "tga", "pcx", "ico"),
    )
)
# what folders of splits are called, in any case
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}


class Listing(NamedTuple):
    """The files of a data set: train, then val, then test; in each of them class by class, by name."""

    root: Path
    class_names: tuple[str, ...]
    paths: list[str]
    labels: np.ndarray  # (N,) int64
    val: np.ndarray | None  # positions of the official validation split; None if there is none
    test: np.ndarray | None


def describe(options: Mapping[str, Any]) -> Description:
    """The description of a composed `dataset` group; looks at the names of the files and opens none."""
    return _description(options, listing(options).class_names)


def load(options: Mapping[str, Any], say: Callable[[str], None] = to_stderr) -> Samples:
    """Read the images, from the cache where it has them.

    Raises
    ------
    RequestError
        for folders that are no data set, and as `decoded.decode`.
    """
    found = listing(options)
    description = _description(options, found.class_names)
    return decoded_samples(
        description, found.paths, found.labels, options, root=found.root, val=found.val, test=found.test, say=say
    )


def stamp(options: Mapping[str, Any]) -> str:
    """What changes when a file of the data set comes, goes or is written; "" where there is no data set."""
    try:
        paths = listing(options).paths
    except RequestError:
        return ""
    digest = hashlib.sha256(os.fsencode(os.getcwd()))
    for path in paths:
        try:
            state = os.stat(path)
        except OSError:
            written = b""
        else:
            written = b"%d %d" % (state.st_size, state.st_mtime_ns)
        digest.update(b"%b\0%b\0" % (os.fsencode(path), written))
    return digest.hexdigest()


def _description(options: Mapping[str, Any], class_names: tuple[str, ...]) -> Description:
    size = SIZE if options.get("size") is None else options["size"]
    return Description(options["name"], (options["channels"], size, size), class_names, white=WHITE)


def listing(options: Mapping[str, Any]) -> Listing:
    """The files below ``dataset.root``.

    Raises
    ------
    RequestError
        when the root is missing, holds no class folders or only one, a class folder is empty, or a split has a class
        that train lacks.
    """
    root = _root(options)
    folders = _folders(root)
    if not folders:
        raise RequestError(
            f"dataset.root={shown(root)} has no folders; it takes one for each class, or train/, val/ and test/ of them"
        )
    splits = _splits(root, folders)
    parts = {"train": folders} if splits is None else {name: _folders(each) for name, each in splits.items()}
    names = [folder.name for folder in parts["train"]]
    where = root if splits is None else splits["train"]
    if len(names) < 2:
        raise RequestError(_too_few(where, names))
    paths: list[str] = []
    labels: list[int] = []
    official: dict[str, np.ndarray] = {}
    for part, of_classes in parts.items():
        before = len(paths)
        for folder in of_classes:
            if folder.name not in names:
                raise RequestError(
                    f"dataset.root: {shown(folder)} is a class that {shown(where)} lacks; "
                    f"there are {', '.join(map(class_name, names[:12]))}{', …' if len(names) > 12 else ''}"
                )
            files = _images(folder)
            if not files:
                raise RequestError(
                    f"dataset.root: {shown(folder)} holds no images; remove it, or put some there (.jpg, .png, …)"
                )
            paths += files
            labels += [names.index(folder.name)] * len(files)
        official[part] = np.arange(before, len(paths))
    return Listing(
        root,
        tuple(class_name(name) for name in names),
        paths,
        np.array(labels, dtype=np.int64),
        official.get("val"),
        official.get("test"),
    )


def class_name(folder: str) -> str:
    """A folder's name as text that can be written; bytes that are no UTF-8 stand as escapes, as \\xff."""
    return written(folder)


def _root(options: Mapping[str, Any]) -> Path:
    given = shown(str(options["root"])[:200])
    try:
        root = expanded(options["root"])
        is_folder = stat.S_ISDIR(os.stat(root).st_mode)
    except FileNotFoundError:
        raise RequestError(
            f"dataset.root={given} is not there; it takes the folder that holds a folder for each class"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise RequestError(f"dataset.root={given} is no path: {said}; try dataset.root=…") from None
    if not is_folder:
        raise RequestError(f"dataset.root={given} is no folder; it takes one that holds a folder for each class")
    return root


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, by name; hidden entries are passed over."""
    try:
        with os.scandir(folder) as entries:
            return sorted((each for each in entries if each.name[0] != "."), key=lambda each: os.fsencode(each.name))
    except OSError as error:
        raise RequestError(f"dataset.root: cannot look into {shown(folder)}: {error.strerror}") from None


def _folders(folder: Path) -> list[Path]:
    return [folder / entry.name for entry in _entries(folder) if _is(entry, os.DirEntry.is_dir)]


def _is(entry: os.DirEntry[str], kind: Callable[[os.DirEntry[str]], bool]) -> bool:
    """Whether an entry, or what it links to, is a folder or a file; a link to itself is neither."""
    try:
        return kind(entry)
    except OSError:
        return False


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Whether it is called one and is no folder; a pipe, or a link to what is gone, is an image that cannot be read."""
    return os.path.splitext(entry.name)[1].lower() in EXTENSIONS and not _is(entry, os.DirEntry.is_dir)


def _splits(root: Path, folders: Sequence[Path]) -> dict[str, Path] | None:
    """The folders of the splits, train first; None where the folders are classes."""
    called = {alias: name for name, aliases in SPLITS.items() for alias in aliases}
    found: dict[str, Path] = {}
    others = []
    for folder in folders:
        name = called.get(folder.name.casefold())
        if name is None or not _folders(folder) or any(map(_is_image, _entries(folder))):
            others.append(folder)  # also a class of trains, whose folder holds images
        elif name in found:
            raise RequestError(
                f"dataset.root: {shown(found[name])} and {shown(folder)} are both {name}; put one elsewhere"
            )
        else:
            found[name] = folder
    if not found:
        return None
    if "train" not in found:
        if others:
            return None
        raise RequestError(
            f"dataset.root={shown(root)} holds {', '.join(f'{each.name}/' for each in found.values())} and no train/"
        )
    if others:
        is_split = others[0].name.casefold() in called
        why = "does not hold class folders alone" if is_split else "is none of train, val and test"
        raise RequestError(f"dataset.root={shown(root)} holds train/, and {shown(others[0])} {why}; put it elsewhere")
    return {name: found[name] for name in SPLITS if name in found}


def _too_few(where: Path, names: Sequence[str]) -> str:
    inside = where / names[0]
    is_deeper = len(_folders(inside)) > 1
    hint = f"; try {shlex.quote(f'dataset.root={inside}')}" if is_deeper else "; it takes two or more, a folder each"
    return f"dataset.root: {shown(where)} holds one class alone, {class_name(names[0])}{hint}"


def _images(folder: Path) -> list[str]:
    """The images in a class folder and in the folders inside it, by name.

    A folder is entered once, whoever links to it, and no folder that the class folder is in.
    """
    entered = {_identity(above) for each in (folder.absolute(), folder.resolve()) for above in each.parents}
    found: list[str] = []

    def enter(inside: Path) -> None:
        known = _identity(inside)
        if known in entered:
            return
        entered.add(known)
        for entry in _entries(inside):
            if _is(entry, os.DirEntry.is_dir):
                enter(inside / entry.name)
            elif _is_image(entry):
                found.append(entry.path)

    enter(folder)
    return found


def _identity(folder: Path) -> tuple[int, int]:
    try:
        state = os.stat(folder)
    except OSError as error:
        raise RequestError(f"dataset.root: cannot look into {shown(folder)}: {error.strerror}") from None
    return state.st_dev, state.st_ino
