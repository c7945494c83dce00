"""The writer of a run folder, which owns it while it writes.

Most files are written whole or not at all. ``metrics.csv`` and ``timing.csv`` grow by one synced line an epoch; a
resume cuts them back to its checkpoint.
"""

from __future__ import annotations

import csv
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from labrunner import checkpoint
from labrunner.errors import RequestError
from labrunner.files import WriteError, atomic_write, cell, read_csv, to_csv, to_json, writing
from labrunner.records.names import FOLDERS, FORMAT, METRICS, TIMING, Row, held, refuse_links, refuse_used

LOCK_SECONDS = 0.5  # whoever reads a folder's status holds its lock for a moment


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
