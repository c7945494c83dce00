"""Sweep folders: several runs beside each other, and what they differ in.

A sweep folder holds ``sweep.yaml`` and its runs in numbered folders; the folder that ``labrunner compare`` makes holds
``comparison.yaml`` in the same form, whose runs stand elsewhere. Both are read as a `Sweep`.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from labrunner.aliases import check_aliases
from labrunner.errors import RequestError
from labrunner.files import WriteError, atomic_write, from_yaml, to_csv, to_yaml, writing
from labrunner.records.names import FORMAT, MONITORS, held
from labrunner.records.reading import Run

SWEEP, COMPARISON = "sweep.yaml", "comparison.yaml"
LOCK_SECONDS = 0.5  # whoever looks at a folder holds its lock for a moment
MOST_BYTES = 8_000_000  # of a sweep.yaml: twenty thousand runs
MISSING = "missing"  # the status of a run that has not begun


@dataclass(frozen=True)
class Member:
    """One run of a sweep, as ``sweep.yaml`` lists it."""

    number: int
    path: Path  # of its run folder
    values: dict[str, Any]  # swept key -> value; an option's name for a group
    overrides: list[str]  # what ``labrunner`` would take to make this run alone
    config_hash: str | None = None  # None while a value waits for a fact of the first run
    epochs: int | None = None  # that are asked for

    @cached_property
    def run(self) -> Run | None:
        """The run, None where there is none yet; files are read once, so ask a new `Sweep` for newer ones."""
        whole = (self.path / "config.yaml").is_file() and (self.path / "metrics.csv").is_file()
        return Run(self.path) if whole else None

    @property
    def status(self) -> str:
        """That of its run folder; `MISSING` where it has not begun."""
        return MISSING if self.run is None else self.run.status

    @property
    def is_held(self) -> bool:
        """Whether a process works on it."""
        return Run(self.path)._locked()

    @property
    def last_written(self) -> float:
        """When something in its folder came or went, in seconds; 0 where there is none."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0


@dataclass(frozen=True)
class Sweep:
    """What a sweep's folder, or a comparison's, says."""

    path: Path
    keys: list[str]  # the swept keys in the order they were given; of a comparison, the keys that differ
    members: list[Member]  # by number
    monitor: str = "val_loss"  # the column of metrics.csv that the table is sorted by
    threshold: float | None = None  # of val_accuracy, for the epochs that it takes to get there; None chooses one
    overrides: list[str] = field(default_factory=list)  # as typed
    command: str = ""
    is_comparison: bool = False

    @property
    def without_first(self) -> Sweep:
        """The same without the run that the others start from, which has no values and is no rival of theirs."""
        rivals = [member for member in self.members if member.values or not self.keys]
        return replace(self, members=rivals)

    @property
    def runs(self) -> list[tuple[Member, Run]]:
        """Those that have begun."""
        return [(member, member.run) for member in self.members if member.run is not None]


def is_sweep_folder(path: Path) -> bool:
    return (path / SWEEP).is_file() or (path / COMPARISON).is_file()


def load_sweep(path: str | Path) -> Sweep:
    """Open a sweep's or a comparison's folder for reading. Raises RequestError if it is none."""
    import yaml

    folder = Path(path)
    file = next((folder / name for name in (SWEEP, COMPARISON) if (folder / name).is_file()), None)
    if file is None:
        raise RequestError(f"{folder} is no sweep folder: it has no {SWEEP}")
    try:
        if file.stat().st_size > MOST_BYTES:
            raise RequestError(f"{file} is too large for what a sweep writes")
        text = file.read_text(encoding="utf-8")
        check_aliases(text, file)
        said = from_yaml(text)
        if said["format"] != FORMAT:
            raise RequestError(f"{folder} has format {said['format']}; this version of labrunner reads {FORMAT}")
        members = [
            Member(
                number=int(each["number"]),
                path=Path(os.path.normpath(folder / str(each["folder"]))),
                values=dict(each["values"]),
                overrides=[str(text) for text in each["overrides"]],
                config_hash=each["config_hash"],
                epochs=each["epochs"],
            )
            for each in said["runs"]
        ]
        numbers = [member.number for member in members]
        if len(set(numbers)) < len(numbers) or said["monitor"] not in MONITORS:
            raise ValueError
        return Sweep(
            path=folder,
            keys=[str(key) for key in said["keys"]],
            members=sorted(members, key=lambda member: member.number),
            monitor=said["monitor"],
            threshold=None if said["threshold"] is None else float(said["threshold"]),
            overrides=[str(text) for text in said["overrides"]],
            command=str(said["command"]),
            is_comparison=file.name == COMPARISON,
        )
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise RequestError(f"cannot read {file}: {str(error).splitlines()[0]}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise RequestError(
            f"{file} is not what a sweep writes; without it, the sweep's own command finds its runs again"
        ) from None


class SweepFolder:
    """A sweep's folder that this process owns: locked from `open` until `close`."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock

        self.path = path
        self._lock = FileLock(path / ".lock")

    @classmethod
    def open(cls, path: Path) -> SweepFolder:
        """Make the folder where there is none, and lock it.

        Raises
        ------
        RequestError
            when it cannot be made, or another process works on it.
        """
        from filelock import Timeout

        folder = cls(path)
        try:
            with writing(path):
                path.mkdir(parents=True, exist_ok=True)
            refuse_links_in(path)
            with writing(path / ".lock"):
                try:
                    folder._lock.acquire(timeout=LOCK_SECONDS)
                except Timeout:  # an OSError too
                    raise RequestError(held(path, "sweep")) from None
            with writing(path):
                (path / "figures").mkdir(exist_ok=True)
        except WriteError as error:
            folder.close()
            raise RequestError(str(error)) from None
        return folder

    def __enter__(self) -> SweepFolder:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        self._lock.release()

    def write(self, sweep: Sweep) -> None:
        """``sweep.yaml``, or ``comparison.yaml``."""
        said = {
            "format": FORMAT,
            "command": sweep.command,
            "overrides": list(sweep.overrides),
            "keys": list(sweep.keys),
            "monitor": sweep.monitor,
            "threshold": sweep.threshold,
            "runs": [
                {
                    "number": member.number,
                    "folder": relative(member.path, self.path),
                    "values": copy.deepcopy(member.values),  # a list that runs share would become an alias
                    "overrides": list(member.overrides),
                    "config_hash": member.config_hash,
                    "epochs": member.epochs,
                }
                for member in sweep.members
            ],
        }
        atomic_write(self.path / (COMPARISON if sweep.is_comparison else SWEEP), to_yaml(said))

    def write_csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        atomic_write(self.path / name, to_csv(header, rows))


def relative(path: Path, start: Path) -> str:
    """A path as seen from a folder, whole where no way leads there, as between the drives of Windows."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:
        return Path(os.path.abspath(path)).as_posix()


def refuse_links_in(path: Path) -> None:
    """Raise RequestError if something in a sweep folder is a symbolic link: writing would leave the folder."""
    for entry in os.scandir(path):
        if entry.is_symlink():
            raise RequestError(f"{entry.path} is a symbolic link, and no sweep makes one; what it names is left alone")
