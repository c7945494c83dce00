"""The folder of a bundle: what it says that it holds, whether it does, and how to use it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from labrunner import __version__
from labrunner.data import downloads
from labrunner.errors import RequestError
from labrunner.files import atomic_write, read_json, to_json
from labrunner.records.sealing import digest

FORMAT = 1
LIST, SUMS, README = "bundle.json", "SHA256SUMS", "README.txt"
DATA, WEIGHTS = "data", "weights"
OWN_ENTRIES = {LIST, SUMS, README, DATA, WEIGHTS}
MEGABYTE = 1_000_000
PASSED_OVER = ("outputs", "__pycache__")
MOST_STRAYS = 1000
MOST_LISTED = 1_000_000  # files of a bundle, whoever made it


@dataclass
class Item:
    """What of a bundle belongs together."""

    name: str
    files: list[str] = field(default_factory=list)  # below the bundle, with slashes
    bytes: int = 0


@dataclass
class Bundle:
    """What a folder has: its items, and the commands that it is for."""

    folder: Path
    items: dict[str, Item] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)  # name -> command
    sums: dict[str, str] = field(default_factory=dict)  # file -> SHA-256

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items.values())

    def write(self) -> None:
        """The list, the checksums in the format of ``sha256sum -c``, and what to do with the folder."""
        said = {
            "format": FORMAT,
            "labrunner": __version__,
            "items": [{"name": each.name, "bytes": each.bytes, "files": each.files} for each in self.items.values()],
            "commands": self.commands,
        }
        if self.sums:  # of an empty list sha256sum says that it is none
            atomic_write(self.folder / SUMS, "".join(f"{self.sums[file]}  {file}\n" for file in sorted(self.sums)))
        atomic_write(self.folder / README, readme(self))
        atomic_write(self.folder / LIST, to_json(said))


def opened(folder: Path) -> Bundle:
    """The bundle in a folder; an empty one where there is none yet.

    Raises
    ------
    RequestError
        when something else is there.
    """
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file; bundle takes the name of a folder")
    if (folder / LIST).exists():
        return read(folder)
    others = (
        sorted(entry.name for entry in folder.iterdir() if entry.name not in OWN_ENTRIES) if folder.exists() else []
    )
    if others:
        raise RequestError(f"{folder} holds {others[0]} and is no bundle; give it the name of a new folder")
    return Bundle(folder)


def read(folder: Path) -> Bundle:
    """The bundle that a folder says it is. Raises RequestError for what no bundle says."""
    said = read_json(folder / LIST)
    try:
        if said is None or said["format"] != FORMAT:
            raise ValueError
        items = {
            str(each["name"]): Item(str(each["name"]), [_inside(name) for name in each["files"]], int(each["bytes"]))
            for each in said["items"]
        }
        has_files = any(item.files for item in items.values())
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()[:MOST_LISTED] if has_files else []
        sums = {_inside(line[66:]): line[:64] for line in lines}
        commands = {str(name): str(command) for name, command in said["commands"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, OSError):
        raise RequestError(
            f"{folder / LIST} or {SUMS} beside it is not what bundle writes; make a new bundle"
        ) from None
    return Bundle(folder, items, commands, sums)


def _inside(name: Any) -> str:
    """A path below the bundle. Raises ValueError for any other."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError
    return str(name)


def damage(bundle: Bundle) -> dict[str, str]:
    """File -> what is wrong with it, of those that are not as they were put in."""
    wrong = {}
    for file, expected in bundle.sums.items():
        path = bundle.folder / file
        if not path.is_file() or path.is_symlink():
            wrong[file] = "is missing"
        elif digest(path) != expected:
            wrong[file] = "is damaged"
    listed = {file for item in bundle.items.values() for file in item.files}
    return wrong | dict.fromkeys(listed - bundle.sums.keys(), f"is not in {SUMS}")


def strays(bundle: Bundle) -> list[str]:
    """What lies in the folder and was not put in: files of `data` and `weights`, and whatever is beside them.

    Runs that were made there, hidden files and links count for nothing.
    """
    known = {PurePosixPath(file) for file in bundle.sums}
    known |= {above for file in known for above in file.parents}
    found: list[str] = []
    for entry in sorted(bundle.folder.iterdir()):
        if entry.name.startswith(".") or entry.name in PASSED_OVER:
            continue
        if PurePosixPath(entry.name) not in known and entry.name not in OWN_ENTRIES:
            found.append(entry.name)
            continue
        for here, folders, files in os.walk(entry):
            folders.sort()
            inside = PurePosixPath(Path(here).relative_to(bundle.folder))
            found += [str(inside / name) for name in sorted(files) if inside / name not in known]
            if len(found) > MOST_STRAYS:
                return found
    return found


def readme(bundle: Bundle) -> str:
    """What to do with a bundle, for who finds it on a stick."""
    commands = "\n".join(f"  {command}" for command in dict.fromkeys(bundle.commands.values()))
    title = f"Files for labrunner {__version__} in a room without a network.\n\n"
    if not bundle.items:
        return f"{title}No files are needed: labrunner brings along all that these commands read.\n\n{commands}\n"
    has = "\n".join(f"  {each.name}  ({size(each.bytes)})" for each in bundle.items.values())
    return f"""\
{title}What is here
{has}

How to use it
  cd into this folder and start labrunner there: it reads data sets from data/ and torchvision's weights from weights/
  of the folder that it is started in.

{commands}

From another folder
  data      dataset.root=PATH_TO_THIS_FOLDER/data behind labrunner
  weights   export TORCH_HOME=PATH_TO_THIS_FOLDER/weights (set TORCH_HOME=... on Windows) before it

Is it whole?
  labrunner bundle THIS_FOLDER      or, in this folder:  sha256sum -c SHA256SUMS
"""


def size(count: int) -> str:
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.1f} kB" if count < MEGABYTE else downloads.size(round(count / MEGABYTE))
