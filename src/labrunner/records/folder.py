"""The writer of a run folder, which owns it while it writes.

Most files are written whole or not at all. ``metrics.csv`` and ``timing.csv`` grow by one synced line an epoch, what
probes note by as many as there are; a resume cuts them back to its checkpoint.
"""

from __future__ import annotations

import csv
import io
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from labrunner import checkpoint
from labrunner.errors import RequestError
from labrunner.files import ODD, WriteError, atomic_write, lines_of_csv, read_csv, read_json, to_csv, to_json, writing
from labrunner.records.names import FOLDERS, FORMAT, METRICS, TIMING, Row, held, refuse_links, refuse_used
from labrunner.records.reading import read_notes
from labrunner.records.sealing import CHECKSUMS, checksums, digest, recorded

TABLES = "probes/tables.json"
KEPT = re.compile(r"^(\w+)_(\d+)\.npy$")  # an array of an epoch
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


@dataclass
class Pending:
    """What probes have noted since the last epoch was written."""

    rows: dict[str, tuple[tuple[str, ...], list[Sequence[Any]]]] = field(default_factory=dict)  # file -> header, rows
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


class Follower(Protocol):
    """What else is told what a run folder is told, behind the trainer's back."""

    def record(self, row: Row, timing: Row) -> None:
        """The rows of an epoch, once they are in the CSV files."""

    def ended(self, status: str) -> None:
        """How the run ended."""

    def close(self) -> None: ...


class RunFolder:
    """A run folder that this process owns: locked from `create` or `reopen` until `close`."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock

        self.path = path
        self._lock = FileLock(path / ".lock")
        self._behind = Behind()
        self._open = False
        self._pending = Pending()
        self._followers: list[Follower] = []

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
                try:
                    for follower in self._followers:
                        follower.close()
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
        if status == "done":  # which all that belongs to it comes before
            self.tell(status)
        self.write_json(
            "status.json",
            {"format": FORMAT, "status": status, "error": error, "pid": os.getpid(), "host": socket.gethostname()},
        )
        if status not in ("running", "done"):
            self.tell(status)

    def follow(self, follower: Follower) -> None:
        """Tell it from here on what the folder is told; it is closed with the folder."""
        self._followers.append(follower)

    def tell(self, status: str) -> None:
        """Let followers know how the run ended."""
        for follower in self._followers:
            follower.ended(status)

    def seal(self) -> None:
        """The run is over: checksums of its files."""
        self.flush()
        self.write(CHECKSUMS, checksums(self.path))

    def unseal(self) -> None:
        """The run goes on: its files will change."""
        with writing(self.path / CHECKSUMS):
            (self.path / CHECKSUMS).unlink(missing_ok=True)

    def rewrite(self, name: str, content: bytes | str) -> None:
        """Write a file of a run that is over, and its checksum where it was that of the file before."""
        before = recorded(self.path) or {}
        path = self.path / name
        was_whole = path.is_file() and before.get(name) == digest(path)
        self.write(name, content)
        if was_whole:
            self.write_json(CHECKSUMS, {"format": FORMAT, "sha256": before | {name: digest(path)}})

    def log(self, message: str) -> None:
        path = self.path / "log.txt"
        with writing(path), open(path, "a", encoding="utf-8", errors=ODD) as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {message}\n")

    def report_error(self, error: BaseException) -> None:
        """Keep a failure's traceback in the log, where a bug report can copy it from."""
        import traceback

        self.log("".join(traceback.format_exception(error)).rstrip())

    # what grows epoch by epoch

    def record(self, row: Row, timing: Row, facts: Mapping[str, float], step: int) -> None:
        """Append the rows of one epoch: metrics, timing, and the facts of its start, `step` batches into the run."""
        noted = self._take_pending()

        def work() -> None:
            self._append_rows(row, timing, dict(facts), step)
            self._append_notes(noted)

        self._behind.submit(work)

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
        noted = self._take_pending()

        def work() -> None:
            self._append_rows(row, timing, dict(facts), step)
            self._append_notes(noted)
            self._save(state, position, keep_epochs)

        self._behind.submit(work)

    def save(self, state: Mapping[str, np.ndarray], position: checkpoint.Position, keep_epochs: Iterable[int]) -> None:
        """A checkpoint in the middle of an epoch, behind what follows; first what was noted up to it."""
        noted = self._take_pending()

        def work() -> None:
            self._append_notes(noted)
            self._save(state, position, keep_epochs)

        self._behind.submit(work)

    def flush(self) -> None:
        """Wait until all that was recorded is on disk; raises what went wrong on the way."""
        self._behind.wait()
        self._append_notes(self._take_pending())

    def record_start(self, facts: Mapping[str, float]) -> None:
        """The facts of epoch 0, which fix the columns of ``probes/epochs.csv``."""
        self.write_csv("probes/epochs.csv", ["epoch", "step", *facts], [[0, 0, *facts.values()]])

    def cut_back(self, epoch: int, step: int) -> None:
        """Drop what lies beyond a checkpoint, after `epoch` epochs and `step` training batches: a resume computes it
        again. Of the very beginning nothing is left in probes/, since it is noted again, too.
        """
        self._behind.wait()
        self._pending = Pending()
        for path in sorted((self.path / "probes").iterdir()):
            number = KEPT.match(path.name)
            if (epoch, step) == (0, 0) or (number is not None and int(number[2]) > epoch):
                path.unlink()
        self._drop_ends()
        grown = [path for path in sorted((self.path / "probes").glob("*.csv")) if path.name != "epochs.csv"]
        by_epoch = [self.path / name for name in ("metrics.csv", "timing.csv", "probes/epochs.csv")]
        for path in (*(path for path in by_epoch if path.is_file()), *grown):
            header, rows = read_csv(path)
            kept = [row for row in rows if int(row[0]) <= epoch]
            if path in grown:  # of the epoch that was cut in its middle, what was noted before
                kept += [row for row in rows if int(row[0]) == epoch + 1 and int(row[1]) <= step]
            if len(kept) != len(rows) or not path.read_text(encoding="utf-8").endswith("\n"):
                self.write_csv(str(path.relative_to(self.path)), header, kept)

    def _drop_ends(self) -> None:
        """Of what was written whole at an earlier end, only the start stays: the next end writes it anew."""
        for name in self._tables():
            path = self.path / "probes" / f"{name}.csv"
            header, rows = read_csv(path) if path.is_file() else ([], [])
            start = [row for row in rows if int(row[0]) == 0]
            if start:
                self.write_csv(f"probes/{name}.csv", header, start)
            else:
                path.unlink(missing_ok=True)
        (self.path / TABLES).unlink(missing_ok=True)

    # what probes note

    def note(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Rows that ``probes/<name>.csv`` grows by at the end of the epoch; the columns are fixed by the first."""
        before = self._pending.rows.setdefault(name, (tuple(header), []))
        if before[0] != tuple(header):
            raise ValueError(f"probes/{name}.csv has the columns {before[0]}, not {tuple(header)}")
        before[1].extend(rows)

    def table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """All rows of ``probes/<name>.csv``, written whole, now; named in ``probes/tables.json``."""
        self._behind.wait()
        listed = {*self._tables(), name}
        self.write_json(TABLES, {"tables": sorted(listed)})
        self.write_csv(f"probes/{name}.csv", header, rows)

    def _tables(self) -> list[str]:
        """The files that are written whole at the end of a run."""
        return list((read_json(self.path / TABLES) or {}).get("tables", []))

    def keep(self, name: str, epoch: int, values: np.ndarray) -> None:
        """An array of an epoch, as ``probes/<name>_<epoch>.npy`` at the end of the epoch."""
        self._pending.arrays[f"probes/{name}_{epoch:05d}.npy"] = np.array(values)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """What ``probes/<name>.csv`` holds: numbers, text, None where blank."""
        self.flush()
        return read_notes(self.path / "probes" / f"{name}.csv")

    def kept(self, name: str) -> dict[int, np.ndarray]:
        """The arrays of `keep`, by epoch."""
        self.flush()
        found = {}
        for path in sorted((self.path / "probes").glob(f"{name}_*.npy")):
            match = KEPT.match(path.name)
            if match is not None and match[1] == name:
                found[int(match[2])] = np.load(path, allow_pickle=False)
        return found

    def _take_pending(self) -> Pending:
        taken, self._pending = self._pending, Pending()
        return taken

    def _append_notes(self, noted: Pending) -> None:
        for name, (header, rows) in noted.rows.items():
            path = self.path / "probes" / f"{name}.csv"
            if not path.is_file():
                self.write_csv(f"probes/{name}.csv", header, ())
            with writing(path), open(path, "ab") as file:
                file.write(lines_of_csv(rows).encode())
                file.flush()
                os.fsync(file.fileno())
        for place, values in noted.arrays.items():
            content = io.BytesIO()
            np.save(content, values, allow_pickle=False)
            self.write(place, content.getvalue())

    def _append_rows(self, row: Row, timing: Row, facts: dict[str, float], step: int) -> None:
        self._append("metrics.csv", [row[name] for name in METRICS])
        self._append("timing.csv", [timing[name] for name in TIMING])
        self._append("probes/epochs.csv", [row["epoch"], step, *self._in_columns(facts)])
        for follower in self._followers:
            follower.record(row, timing)

    def _in_columns(self, facts: Mapping[str, float]) -> list[float | None]:
        """The facts in the order of the columns that `record_start` fixed; blank where there is none today."""
        with open(self.path / "probes" / "epochs.csv", encoding="utf-8", newline="") as file:
            header = next(csv.reader(file))
        strangers = facts.keys() - set(header)
        if strangers:
            raise ValueError(f"start_epoch gives {sorted(strangers)[0]}, which it did not before the first epoch")
        return [facts.get(name) for name in header[2:]]

    def _append(self, name: str, values: Sequence[Any]) -> None:
        with writing(self.path / name), open(self.path / name, "ab") as file:
            file.write(lines_of_csv([values]).encode())
            file.flush()
            os.fsync(file.fileno())

    def _save(self, state: Mapping[str, np.ndarray], position: checkpoint.Position, keep_epochs: Iterable[int]) -> None:
        folder = self.path / "checkpoints"
        atomic_write(folder / position.file_name, checkpoint.encode(state, position))
        with writing(folder):
            for path in checkpoint.superseded(folder, keep_epochs, position):
                path.unlink(missing_ok=True)
