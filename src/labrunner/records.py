"""The run folder: the only place that writes one, and the reader of what stands in it.

Most files are written whole or not at all. ``metrics.csv`` and ``timing.csv`` grow by one synced line an epoch; a
resume cuts them back to its checkpoint.
"""

from __future__ import annotations

import csv
import os
import shlex
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from labrunner import checkpoint
from labrunner.aliases import check_aliases
from labrunner.errors import RequestError
from labrunner.files import (
    WriteError,
    atomic_write,
    cell,
    read_csv,
    read_json,
    to_csv,
    to_json,
    whole_lines,
    writing,
)
from labrunner.schema import Monitor
from labrunner.selection import Chosen, chosen, finished

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
MONITORS: tuple[str, ...] = get_args(Monitor)
METRICS = ("epoch", "lr", *MONITORS)
TIMING = ("epoch", "seconds", "train_seconds", "val_seconds")

FOLDERS = ("checkpoints", "probes", "figures")
BEGUN = {".lock", *FOLDERS, "metrics.csv", "timing.csv", "overrides.yaml", "environment.json"}  # before config.yaml
LOCK_SECONDS = 0.5  # whoever reads a folder's status holds its lock for a moment

Row = dict[str, Any]  # a column's name -> number, or None where there is none


def refuse_used(path: Path) -> None:
    """Raise RequestError if a new run's folder would not be new."""
    try:
        above = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    except OSError as error:
        raise RequestError(f"the run folder {path} cannot be made: {error.strerror}") from None
    if not above.is_dir() and above != path.absolute():
        raise RequestError(f"the run folder {path} cannot be made: {above} is a file")
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


class Behind:
    """Does one piece of work at a time behind the caller's back, in order; an error surfaces at the next call.

    Writing, hashing and syncing release the interpreter's lock, so that the next epoch computes meanwhile.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="labrunner-writer")
        self._last: Future[None] | None = None

    def submit(self, work: Callable[..., None], *args: Any) -> None:
        self.wait()
        self._last = self._pool.submit(work, *args)

    def wait(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def close(self) -> None:
        try:
            self.wait()
        finally:
            self._pool.shutdown()


class RunFolder:
    """A run folder that this process owns: locked from `create` or `reopen` until `close`."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock

        self.path = path
        self._lock = FileLock(path / ".lock")
        self._behind = Behind()
        self._open = False

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """A new folder. Raises RequestError if something is there already that is not an empty folder."""
        refuse_used(path)
        folder = cls(path)
        try:
            with writing(path):
                path.mkdir(parents=True, exist_ok=True)
            refuse_links(path)
            folder.acquire()
            refuse_used(path)  # another process may have been quicker
            folder._make_folders()
            folder.write_csv("metrics.csv", METRICS, ())
            folder.write_csv("timing.csv", TIMING, ())
        except WriteError as error:
            folder.close()
            cause = error.__cause__
            said = cause.strerror if isinstance(cause, OSError) else None
            raise RequestError(f"cannot make the run folder {path}: {said or error}") from None
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """An existing run folder, to resume it.

        Raises
        ------
        RequestError
            when another process holds it, it cannot be written to, or a symbolic link leads out of it.
        """
        folder = cls(path)
        refuse_links(path)  # the lock itself may be one
        try:
            folder.acquire()
            refuse_links(path)
            folder._make_folders()
        except WriteError as error:
            folder.close()
            raise RequestError(str(error)) from None
        except BaseException:
            folder.close()
            raise
        return folder

    def acquire(self) -> None:
        from filelock import Timeout

        with writing(self.path / ".lock"):
            try:
                self._lock.acquire(timeout=LOCK_SECONDS)
            except Timeout:
                raise RequestError(held(self.path)) from None
        self._open = True

    def _make_folders(self) -> None:
        with writing(self.path):
            for name in FOLDERS:
                (self.path / name).mkdir(exist_ok=True)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        if self._open:
            self._open = False
            try:
                self._behind.close()
            finally:
                self._lock.release()

    # what is written once

    def write(self, name: str, content: bytes | str) -> None:
        atomic_write(self.path / name, content)

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, to_json(value))

    def write_csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self.write(name, to_csv(header, rows))

    def status(self, status: str, error: str | None = None) -> None:
        """One of running, done, diverged, failed, interrupted."""
        self._behind.wait()
        self.write_json(
            "status.json",
            {"format": FORMAT, "status": status, "error": error, "pid": os.getpid(), "host": socket.gethostname()},
        )

    def log(self, message: str) -> None:
        path = self.path / "log.txt"
        with writing(path), open(path, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {message}\n")

    def report_error(self, error: BaseException) -> None:
        """Keep a failure's traceback in the log, where a bug report can copy it from."""
        import traceback

        self.log("".join(traceback.format_exception(error)).rstrip())

    # what grows epoch by epoch

    def record(self, row: Row, timing: Row, facts: Mapping[str, float], step: int) -> None:
        """Append the rows of one epoch: metrics, timing, and the facts of its start, `step` batches into the run."""
        self._behind.submit(self._append_rows, row, timing, dict(facts), step)

    def commit(
        self,
        row: Row,
        timing: Row,
        facts: Mapping[str, float],
        step: int,
        state: Mapping[str, np.ndarray],
        position: checkpoint.Position,
        keep_epochs: Iterable[int],
    ) -> None:
        """The rows of an epoch, then its checkpoint, then older checkpoints go; all behind the next epoch."""

        def work() -> None:
            self._append_rows(row, timing, dict(facts), step)
            self._save(state, position, keep_epochs)

        self._behind.submit(work)

    def save(self, state: Mapping[str, np.ndarray], position: checkpoint.Position, keep_epochs: Iterable[int]) -> None:
        """A checkpoint now, as when a signal asks to stop in the middle of an epoch."""
        self._behind.wait()
        self._save(state, position, keep_epochs)

    def flush(self) -> None:
        """Wait until all that was recorded is on disk; raises what went wrong on the way."""
        self._behind.wait()

    def record_start(self, facts: Mapping[str, float]) -> None:
        """The facts of epoch 0, which fix the columns of ``probes/epochs.csv``."""
        self.write_csv("probes/epochs.csv", ["epoch", "step", *facts], [[0, 0, *facts.values()]])

    def cut_back(self, epoch: int) -> None:
        """Drop the rows beyond `epoch`: what a resume will compute again."""
        for path in (self.path / "metrics.csv", self.path / "timing.csv", *(self.path / "probes").glob("*.csv")):
            header, rows = read_csv(path)
            kept = [row for row in rows if int(row[0]) <= epoch]
            if len(kept) != len(rows) or not path.read_text(encoding="utf-8").endswith("\n"):
                self.write_csv(str(path.relative_to(self.path)), header, kept)

    def _append_rows(self, row: Row, timing: Row, facts: dict[str, float], step: int) -> None:
        self._append("metrics.csv", [row[name] for name in METRICS])
        self._append("timing.csv", [timing[name] for name in TIMING])
        self._append("probes/epochs.csv", [row["epoch"], step, *self._in_columns(facts)])

    def _in_columns(self, facts: Mapping[str, float]) -> list[float | None]:
        """The facts in the order of the columns that `record_start` fixed; blank where there is none today."""
        with open(self.path / "probes" / "epochs.csv", encoding="utf-8", newline="") as file:
            header = next(csv.reader(file))
        strangers = facts.keys() - set(header)
        if strangers:
            raise ValueError(f"start_epoch gives {sorted(strangers)[0]}, which it did not before the first epoch")
        return [facts.get(name) for name in header[2:]]

    def _append(self, name: str, values: Sequence[Any]) -> None:
        line = to_csv([cell(value) for value in values], ())
        with writing(self.path / name), open(self.path / name, "ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def _save(self, state: Mapping[str, np.ndarray], position: checkpoint.Position, keep_epochs: Iterable[int]) -> None:
        folder = self.path / "checkpoints"
        atomic_write(folder / position.file_name, checkpoint.encode(state, position))
        with writing(folder):
            for path in checkpoint.superseded(folder, keep_epochs, position):
                path.unlink(missing_ok=True)


def read_rows(path: Path) -> list[Row]:
    """The rows of ``metrics.csv`` or ``timing.csv`` as numbers, None where blank."""
    header, rows = read_csv(path)
    return [
        {
            name: None if text == "" else int(text) if name == "epoch" else float(text)
            for name, text in zip(header, row, strict=True)
        }
        for row in rows
    ]


def load_run(path: str | Path) -> Run:
    """Open a run folder for reading. Raises RequestError if it is none."""
    folder = Path(path)
    if not folder.is_dir():
        raise RequestError(f"there is no run folder {folder}")
    if not (folder / "config.yaml").is_file() or not (folder / "metrics.csv").is_file():
        raise RequestError(f"{folder} is no run folder: it has no config.yaml and metrics.csv")
    environment = read_json(folder / "environment.json") or {}
    if environment.get("format", FORMAT) != FORMAT:
        raise RequestError(f"{folder} has format {environment['format']}; this version of labrunner reads {FORMAT}")
    return Run(folder)


class Run:
    """What a run folder holds, each file read when it is first asked for. None where the run did not get that far."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed config, as plain dicts, lists and numbers."""
        import yaml

        try:
            text = (self.path / "config.yaml").read_text(encoding="utf-8")
            check_aliases(text, self.path / "config.yaml")
            config = yaml.safe_load(text)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, OSError) as error:
            raise RequestError(f"cannot read {self.path / 'config.yaml'}: {str(error).splitlines()[0]}") from None
        if not isinstance(config, dict):
            raise RequestError(f"{self.path / 'config.yaml'} does not hold a config")
        return config

    @property
    def status(self) -> str:
        """running, done, diverged, failed or interrupted; running without a held lock reads as interrupted."""
        status = (read_json(self.path / "status.json") or {}).get("status", "interrupted")
        return "interrupted" if status == "running" and not self._locked() else status

    @property
    def error(self) -> str | None:
        return (read_json(self.path / "status.json") or {}).get("error")

    def _locked(self) -> bool:
        from filelock import FileLock, Timeout

        path = self.path / ".lock"
        if path.is_symlink() or not path.is_file():  # reading makes no file
            return False
        try:
            with FileLock(path).acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # a folder that may not be written to is nobody's to hold
            return False

    @cached_property
    def environment(self) -> dict[str, Any]:
        return read_json(self.path / "environment.json") or {}

    @cached_property
    def overrides(self) -> dict[str, Any]:
        """What the user typed, and the chosen option of every group; empty if it cannot be read."""
        import yaml

        path = self.path / "overrides.yaml"
        try:
            text = path.read_text(encoding="utf-8")
            check_aliases(text, path)
            said = yaml.safe_load(text)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, OSError):
            return {}
        return said if isinstance(said, dict) else {}

    @property
    def choices(self) -> dict[str, str]:
        """Group -> chosen option."""
        choices = self.overrides.get("choices")
        return {str(group): str(name) for group, name in choices.items()} if isinstance(choices, dict) else {}

    def _table(self, name: str, **options: Any) -> pd.DataFrame | None:
        import pandas as pd

        path = self.path / name
        return pd.read_csv(whole_lines(path), **options) if path.is_file() else None

    @cached_property
    def rows(self) -> pd.DataFrame:
        """metrics.csv: a row per epoch."""
        try:
            table = self._table("metrics.csv")
        except ValueError:  # pandas' own errors and those of decoding are ValueErrors
            table = None
        if table is None or tuple(table.columns) != METRICS:
            raise RequestError(f"{self.path / 'metrics.csv'} is not what a run writes")
        return table

    @cached_property
    def timing(self) -> pd.DataFrame | None:
        return self._table("timing.csv")

    @cached_property
    def test(self) -> dict[str, Any] | None:
        """test.json: the test metrics of the chosen epoch."""
        return read_json(self.path / "test.json")

    @cached_property
    def per_class(self) -> pd.DataFrame | None:
        # a class may be called "NA" or "1": its name stays text
        return self._table("per_class.csv", dtype={"class": str}, keep_default_na=False, na_values=NO_NAMES)

    @cached_property
    def confusion(self) -> pd.DataFrame | None:
        """Counts, rows true and columns predicted, class names on both."""
        header, rows = read_csv(path) if (path := self.path / "confusion.csv").is_file() else ([], [])
        if not header:
            return None
        import pandas as pd

        counts = [[int(value) for value in row[1:]] for row in rows]
        return pd.DataFrame(counts, index=[row[0] for row in rows], columns=header[1:])

    @cached_property
    def predictions(self) -> pd.DataFrame | None:
        """index, label, predicted, and the probability of each class of the test samples."""
        return self._table("predictions.csv")

    @cached_property
    def facts(self) -> dict[str, float]:
        return read_json(self.path / "facts.json") or {}

    @cached_property
    def checks(self) -> pd.DataFrame | None:
        return self._table("checks.csv")

    @cached_property
    def summary(self) -> str | None:
        path = self.path / "summary.txt"
        return path.read_text(encoding="utf-8") if path.is_file() else None

    @cached_property
    def class_names(self) -> list[str] | None:
        return None if self.confusion is None else [str(name) for name in self.confusion.columns]

    @cached_property
    def row_list(self) -> list[Row]:
        """metrics.csv as the trainer has it: dicts, None where a cell is blank."""
        try:
            rows = read_rows(self.path / "metrics.csv")
        except (ValueError, csv.Error):
            rows = None
        if rows is None or any(tuple(row) != METRICS for row in rows):
            raise RequestError(f"{self.path / 'metrics.csv'} is not what a run writes")
        return rows

    @property
    def epochs(self) -> int:
        """How many epochs came to their end: not the one in which a run diverged."""
        return len(finished(self.row_list))

    @property
    def chosen(self) -> Chosen | None:
        """The epoch that was, or would be, tested, and why."""
        return chosen(self.row_list, self.config["monitor"], self.config["select"])

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, status={self.status!r})"


NO_NAMES = {column: [""] for column in ("support", "precision", "recall", "f1", "auroc")}
