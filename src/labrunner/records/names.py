"""What a run folder consists of, and what is said of folders: file names, columns, refusals."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any, get_args

from labrunner.errors import RequestError
from labrunner.files import read_json
from labrunner.schema import Monitor

FORMAT = 1
MONITORS: tuple[str, ...] = get_args(Monitor)
METRICS = ("epoch", "lr", *MONITORS)
TIMING = ("epoch", "seconds", "train_seconds", "val_seconds")

PREPROCESSING = "preprocessing.json"
EVALUATION = "evaluation.json"  # of the folder that ``labrunner evaluate`` makes, which is no run's
RANGE = "lr_range.csv"  # of the folder that ``labrunner lr-find`` makes, which is no run's
FOLDERS = ("checkpoints", "probes", "figures")
BEGUN = {
    ".lock",
    *FOLDERS,
    "metrics.csv",
    "timing.csv",
    "overrides.yaml",
    "environment.json",
    "log.txt",
    "status.json",
}  # before config.yaml

Row = dict[str, Any]  # a column's name -> number, or None where there is none


def refuse_used(path: Path) -> None:
    """Raise RequestError if a new run's folder would not be new."""
    try:
        above = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    except OSError as error:
        raise RequestError(f"the run folder {path} cannot be made: {error.strerror}") from None
    if not above.is_dir() and above != path.absolute():
        raise RequestError(f"the run folder {path} cannot be made: {above} is a file")
    if is_range_folder(path):
        raise RequestError(f"{path} holds a range test already; give hydra.run.dir another folder")
    if path.is_dir() and (path / "config.yaml").is_file():
        raise RequestError(
            f"the run folder {path} holds a run already\n"
            f"to go on with it: {resume_command(path)}; otherwise give hydra.run.dir another folder"
        )
    if path.is_dir() and only_begun(path):
        return
    if path.exists():
        what = "is not empty" if path.is_dir() else "is a file"
        raise RequestError(f"the run folder {path} {what}; give hydra.run.dir another one")


def only_begun(path: Path) -> bool:
    """Whether a folder is empty, or holds no more than a run that was killed before it had a config.yaml leaves."""
    names = {entry.name for entry in path.iterdir()}
    temporaries = {f".{name}.tmp" for name in (*BEGUN, "config.yaml")}
    inside = (entry for name in FOLDERS if (path / name).is_dir() for entry in (path / name).iterdir())
    return not names or (".lock" in names and names <= BEGUN | temporaries and not any(inside))


def is_range_folder(path: Path) -> bool:
    """Whether ``labrunner lr-find`` made a folder."""
    return (path / RANGE).is_file()


def is_evaluation_folder(path: Path) -> bool:
    """Whether ``labrunner evaluate`` made a folder."""
    return (path / EVALUATION).is_file()


def resume_command(path: Path, *changes: str) -> str:
    """The command that goes on with a run, as one can paste it."""
    return shlex.join(["labrunner", "resume", str(path), *changes])


def undrawn(path: Path) -> str:
    """What is said of a run whose drawing was cut."""
    return f"the run is done, its figures and report are not drawn; to draw them: {resume_command(path)}"


def refuse_links(path: Path) -> None:
    """Raise RequestError if something in a run folder is a symbolic link: writing would leave the folder."""
    for folder in (path, *(path / name for name in FOLDERS)):
        for entry in os.scandir(folder) if folder.is_dir() and (folder == path or not folder.is_symlink()) else ():
            if entry.is_symlink():
                raise RequestError(
                    f"{entry.path} is a symbolic link, and no run makes one; what it names is left alone"
                )


def held(path: Path) -> str:
    """Who works on a run folder, in words."""
    status = read_json(path / "status.json") or {}
    holder = f"process {status['pid']} on {status.get('host')}" if "pid" in status else "another process"
    return f"the run in {path} is being worked on by {holder}"
