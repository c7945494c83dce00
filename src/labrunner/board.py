"""What TensorBoard shows of a run: the rows of metrics.csv and timing.csv, the test, and what the run was asked for.

``logger=tensorboard`` keeps one event file in the run's folder ``tensorboard/``. It says what the CSV files say and
nothing else, a tag a column and a step an epoch, in single precision, which is TensorBoard's: the CSV files are the
result. It can be made from them at any time, and so a resume writes it anew. It is written behind the next epoch, as
rows are, and flushed with each, so that what a kill leaves can be read.

Events are records of TensorFlow's (its RecordWriter frames them); hyperparameters are those of TensorBoard's HParams
plugin. torch and TensorFlow are not needed.
"""

from __future__ import annotations

import importlib.util
import shlex
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import schema
from labrunner.comparison import as_typed
from labrunner.errors import RequestError
from labrunner.files import read_json, writing
from labrunner.helping import GROUPS
from labrunner.records import METRICS, TIMING, Row, Run, RunFolder, read_rows
from labrunner.records.names import BOARD

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

PACKAGE = "tensorboard"
EVENTS = "events.out.tfevents."  # how the name of an event file begins, by which TensorBoard finds it
VERSION = "brain.Event:2"  # of the format, in the first event of a file
ALWAYS = ("model", "dataset", "optim", "optim.lr", "batch_size", "seed")  # hyperparameters, whether typed or not
MOST = 100  # hyperparameters, and letters of one: a stranger's file may have any number
TESTED = ("loss", "accuracy", "precision", "recall", "f1", "auroc")  # of test.json
SUCCESS, FAILURE = 1, 2  # as the HParams plugin counts them


def tag(column: str) -> str:
    """What a column is called there: ``loss/val`` of val_loss, so that train, val and test stand side by side."""
    if column in TIMING:
        return f"seconds/{column.removesuffix('seconds').rstrip('_') or 'epoch'}"
    split, _, metric = column.partition("_")
    return f"{metric}/{split}" if metric else column


def refuse_missing(config: Mapping[str, Any]) -> None:
    """Refuse ``logger=tensorboard`` where the package is not installed; imports nothing.

    Raises
    ------
    RequestError
    """
    if config.get("logger") != PACKAGE:
        return
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:  # a folder of that name, as one of event files, is no package
        raise RequestError(
            "logger=tensorboard needs the package tensorboard, which is not installed\n"
            "to get it: pip install 'labrunner[tensorboard]'"
        )


def follow(run_folder: RunFolder, config: Mapping[str, Any]) -> None:
    """Let TensorBoard's file, where the config asks for one, say what the folder does from here on.

    What the folder has by now is written at once. Without one, the file of an earlier part of the run goes: it would
    tell of half a run.
    """
    if config["logger"] == PACKAGE:
        run_folder.follow(Board(run_folder.path, config))
    else:
        for path in files(run_folder.path):
            with writing(path):
                path.unlink(missing_ok=True)
        with suppress(OSError):  # it may not be there, or hold what is none of ours
            (run_folder.path / BOARD).rmdir()


def write(run_folder: RunFolder, config: Mapping[str, Any]) -> None:
    """The file of a run that is over, from what its folder holds; none where the config asks for none."""
    follow(run_folder, config)
    said = (read_json(run_folder.path / "status.json") or {}).get("status")  # which a held lock says nothing of
    run_folder.tell(str(said))


def told(folder: Path, config: Mapping[str, Any]) -> str:
    """What `write` has done, in words."""
    if config["logger"] == PACKAGE:
        return f"TensorBoard's file is made; to see it: {shlex.join(['tensorboard', '--logdir', str(folder)])}"
    return "the run keeps no file of TensorBoard's"


def files(folder: Path) -> list[Path]:
    """The event files of a run, oldest first."""
    return sorted(path for path in (folder / BOARD).glob(f"{EVENTS}*") if path.is_file())


class Board:
    """The event file of a run folder.

    Parameters
    ----------
    folder : of the run, whose rows so far are written at once; files of an earlier part of the run go
    config : checked and complete
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._folder = folder
        rows, timing = (read_rows(folder / name) for name in ("metrics.csv", "timing.csv"))
        earlier = files(folder)
        path = new_file(folder / BOARD, earlier)
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            self._path = path
            self._records = RecordWriter(open(path, "wb"))  # noqa: SIM115 (closed with the folder)
        took = [row["seconds"] or 0.0 for row in timing]
        now = time.time()
        ended = [now - sum(took) + seconds for seconds in accumulate(took)]  # as if it had gone through in one piece
        self._write(self._version(now - sum(took)), self._start(hyperparameters(Run(folder), config), now - sum(took)))
        for row, timed, when in zip(rows, timing, ended, strict=False):
            self._write(scalars(row, timed, when))
        for each in earlier:
            with writing(each):
                each.unlink(missing_ok=True)

    def record(self, row: Row, timing: Row) -> None:
        """The rows of an epoch."""
        self._write(scalars(row, timing, time.time()))

    def ended(self, status: str) -> None:
        """How the run ended, and what the test split said of the chosen epoch."""
        test = (read_json(self._folder / "test.json") or {}) if status == "done" else {}
        events = [self._end(status)]
        if isinstance(test.get("epoch"), int):
            values = {f"{name}/test": test.get(name) for name in TESTED}
            events.insert(0, event(time.time(), values, test["epoch"]))
        self._write(*events)

    def close(self) -> None:
        with suppress(OSError):  # what was written has been flushed, or could not be, which was said then
            self._records.close()

    def _write(self, *events: Event) -> None:
        with writing(self._path):
            for each in events:
                self._records.write(each.SerializeToString())
            self._records.flush()

    @staticmethod
    def _version(when: float) -> Event:
        from tensorboard.compat.proto.event_pb2 import Event

        return Event(wall_time=when, file_version=VERSION)

    @staticmethod
    def _start(values: Mapping[str, bool | float | str], when: float) -> Event:
        """What the run was asked for, as the HParams plugin reads it."""
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2

        start = plugin_data_pb2.SessionStartInfo(start_time_secs=when)
        for name, value in values.items():
            if isinstance(value, bool):
                start.hparams[name].bool_value = value
            elif isinstance(value, (int, float)):
                start.hparams[name].number_value = value
            else:
                start.hparams[name].string_value = value
        said = plugin_data_pb2.HParamsPluginData(session_start_info=start)
        return plugged(metadata.SESSION_START_INFO_TAG, said, when)

    @staticmethod
    def _end(status: str) -> Event:
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2

        when = time.time()
        end = plugin_data_pb2.SessionEndInfo(status=SUCCESS if status == "done" else FAILURE, end_time_secs=when)
        return plugged(metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=end), when)


def new_file(folder: Path, earlier: Iterable[Path]) -> Path:
    """A name behind those of earlier files: TensorBoard reads them by name, and goes on to the next one that comes."""
    numbers = [path.name.removeprefix(EVENTS).partition(".")[0] for path in earlier]
    last = max((int(number) for number in numbers if number.isdecimal() and len(number) <= 10), default=0)
    return folder / f"{EVENTS}{max(int(time.time()), last + 1):010d}.labrunner"


def hyperparameters(run: Run, config: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """What tells a run apart from others: `ALWAYS`, and whatever was typed, as far as it changes what is computed.

    In a sweep, each swept key is typed for each of its runs.
    """
    listed = run.overrides.get("overrides")
    typed = [str(text).lstrip("+").partition("=")[0].strip() for text in listed] if isinstance(listed, list) else []
    found: dict[str, bool | float | str] = {}
    for key in [*ALWAYS, *typed][:MOST]:
        if key in schema.NOT_COMPUTED or key.startswith("hydra."):
            continue
        said: schema.Config = dict(run.choices if key in GROUPS else config)
        there, value = schema.lookup(said, key)
        if there:
            is_plain = isinstance(value, (bool, int, float)) and abs(value) <= 2**63
            found[key[:MOST]] = value if is_plain else as_typed(value)[:MOST]
    return found


def scalars(row: Row, timing: Row, when: float) -> Event:
    """The columns of an epoch that are not blank."""
    values = {tag(name): row[name] for name in METRICS if name != "epoch"}
    values |= {tag(name): timing[name] for name in TIMING if name != "epoch"}
    return event(when, values, row["epoch"])


def event(when: float, values: Mapping[str, Any], step: int) -> Event:
    """Numbers under their tags, those that there are, rounded to single precision."""
    import numpy as np
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    with np.errstate(over="ignore"):  # a loss that explodes is infinite there
        known = {
            name: float(np.float32(value))
            for name, value in values.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
    summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in known.items()])
    return Event(wall_time=when, step=step, summary=summary)


def plugged(name: str, said: Any, when: float) -> Event:
    """An event of the HParams plugin."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    value = Summary.Value(tag=name, metadata=metadata.create_summary_metadata(said), tensor=metadata.NULL_TENSOR)
    summary: Summary = Summary(value=[value])
    return Event(wall_time=when, summary=summary)
