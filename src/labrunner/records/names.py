"""What a run folder consists of, and what is said of folders: file names, columns, refusals."""

from __future__ import annotations

import os
import re
import shlex
import socket
import stat
from pathlib import Path
from typing import Any, get_args

from labrunner.errors import RequestError
from labrunner.files import read_json
from labrunner.schema import Monitor, Probe

FORMAT = 1
MONITORS: tuple[str, ...] = get_args(Monitor)
METRICS = ("epoch", "lr", *MONITORS)
TIMING = ("epoch", "seconds", "train_seconds", "val_seconds")

# files in probes/ that labrunner writes, or draws figures of
PROBED = frozenset(
    [
        *get_args(Probe),
        *("epochs", "frozen", "tables", "probed_loss", "activation_histograms", "weight_histograms"),
        *("loss_surface_path", "loss_surface_plane", "separation_updates", "separator", "optimum"),
        *("least_squares_hessian", "pooling", "gradcam_images", "silhouette"),
    ]
)
TABLES = "probes/tables.json"
TABLE = re.compile(r"\w+")
PREPROCESSING = "preprocessing.json"
EVALUATION = "evaluation.json"  # of the folder that ``labrunner evaluate`` makes, which is no run's
RANGE = "lr_range.csv"  # of the folder that ``labrunner lr-find`` makes, which is no run's
FOLDERS = ("checkpoints", "probes", "figures")
BOARD = "tensorboard"  # a folder of runs that ask for it (`labrunner.board`)
INSIDE = (*FOLDERS, BOARD)
BEGUN = {
    ".lock",
    *INSIDE,
    "metrics.csv",
    "timing.csv",
    "overrides.yaml",
    "environment.json",
    "log.txt",
    "status.json",
}  # before config.yaml

MEGABYTE = 1_000_000
READ = {  # what is read of a run before anything else, and how large it may be: ours have a hundredth of that
    "config.yaml": MEGABYTE,
    "overrides.yaml": MEGABYTE,
    "environment.json": MEGABYTE,
    "status.json": MEGABYTE,
    "test.json": MEGABYTE,
    "metrics.csv": 64 * MEGABYTE,
    "timing.csv": 64 * MEGABYTE,
}
LARGEST = {  # of the other files by their suffix; a checkpoint is as large as its model
    ".json": 64 * MEGABYTE,
    ".npz": 256 * MEGABYTE,
    **dict.fromkeys((".csv", ".npy", ".png", ".txt", ".html"), 1000 * MEGABYTE),
}

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
        if not (path / "metrics.csv").exists():  # which is there before a config is
            raise RequestError(
                f"the run folder {path} holds what is left of a run: it has no metrics.csv\n"
                "move that folder elsewhere, or delete it, to make the run anew"
            )
        raise RequestError(
            f"the run folder {path} holds a run already\n"
            f"to go on with it: {resume_command(path)}; otherwise give hydra.run.dir another folder"
        )
    if path.is_dir() and only_begun(path):
        return
    if path.exists():
        what = "is not empty" if path.is_dir() else "is a file"
        raise RequestError(f"the run folder {path} {what}; give hydra.run.dir another one")


def odd(path: Path) -> str | None:
    """Why a file of a run is not opened: reading a pipe would wait for ever, a huge file long; None if it is."""
    try:
        said = path.stat()
    except (OSError, ValueError):  # gone, which whoever reads it knows about
        return None
    if not stat.S_ISREG(said.st_mode):
        return f"{path.name} is no ordinary file"
    most = READ.get(path.name, LARGEST.get(path.suffix))
    if most is None or said.st_size <= most:
        return None
    return f"{path.name} is too large: {said.st_size / MEGABYTE:,.0f} MB"


def oddity(folder: Path) -> str | None:
    """What is `odd` about a run folder: the files that say what it is, and whatever else lies in it."""
    known = (folder / name for name in READ)
    found = (path for inside in (folder, *(folder / name for name in INSIDE)) for path in _files(inside))
    return next((said for path in (*known, *found) if (said := odd(path)) is not None), None)


def _files(folder: Path) -> list[Path]:
    """All but the folders of a folder, by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if not entry.is_dir())
    except OSError:
        return []


def only_begun(path: Path) -> bool:
    """Whether a folder is empty, or holds no more than a run that was killed before it had a config.yaml leaves."""
    names = {entry.name for entry in path.iterdir()}
    temporaries = {f".{name}.tmp" for name in (*BEGUN, "config.yaml")}
    inside = (entry for name in INSIDE if (path / name).is_dir() for entry in (path / name).iterdir())
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
    """Raise RequestError if something in a run folder leads out of it: a symbolic link, or the name of a table."""
    for folder in (path, *(path / name for name in INSIDE)):
        for entry in os.scandir(folder) if folder.is_dir() and (folder == path or not folder.is_symlink()) else ():
            if entry.is_symlink():
                raise RequestError(
                    f"{entry.path} is a symbolic link, and no run makes one; what it names is left alone"
                )
    listed = (read_json(path / TABLES) or {}).get("tables", [])  # of files that a resume takes away
    if not isinstance(listed, list) or not all(isinstance(name, str) and TABLE.fullmatch(name) for name in listed):
        raise RequestError(f"{path / TABLES} is not what a run writes; what it names is left alone")


def held(path: Path, what: str = "run") -> str:
    """Who works on a run folder, or on a sweep's, in words."""
    status = read_json(path / "status.json") or {}  # of whoever began, which a resume that sets itself up is not yet
    pid = locker(path / ".lock")
    who = status if pid is None else {"pid": pid, "host": socket.gethostname()}
    holder = f"process {who['pid']} on {who.get('host')}" if "pid" in who else "another process"
    return f"the {what} in {path} is being worked on by {holder}"


def locker(path: Path) -> int | None:
    """The process that holds a lock, where the operating system tells: Linux does."""
    try:
        inode = str(path.stat().st_ino)
        held_locks = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for held_lock in held_locks:  # 1: FLOCK ADVISORY WRITE 4711 fe:00:393256 0 EOF
        _, kind, _, _, pid, file, *_ = held_lock.split()
        if kind == "FLOCK" and file.rpartition(":")[2] == inode and int(pid) > 0:  # 0: of another container
            return int(pid)
    return None


def is_probed(name: str) -> bool:
    """Whether labrunner writes a file of this name in probes/ itself."""
    return name in PROBED or name.startswith("boundaries")
