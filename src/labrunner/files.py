"""Files that a run folder is made of: written whole or not at all, floats to the bit, and read back.

Files that must be whole or absent go by write-to-temporary, flush, fsync, replace, fsync of the folder.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from labrunner.errors import RunError

ODD = "backslashreplace"  # a path that is no UTF-8 is written as Python writes it; as JSON it reads back the same
LINE_ENDS = "\x85\u2028\u2029"  # that YAML knows beside its own


class WriteError(RunError):
    """A file of a run folder could not be written: the disk is full, say."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; a no-op where folders cannot be opened (Windows)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, and a power cut, see the old content or the new and nothing between."""
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        try:
            with open(temporary, "wb") as file:
                file.write(encoded(content))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def encoded(content: bytes | str) -> bytes:
    """Text as UTF-8; what cannot stand in it, as half of a character, becomes the escape that JSON has for it."""
    return content.encode(errors=ODD) if isinstance(content, str) else content


def keep(path: Path, content: bytes | str) -> None:
    """Write a small file of a cache, which several processes may make at once; where that fails, there is none."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    with suppress(OSError):
        try:
            temporary.write_bytes(encoded(content))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def opened(path: str | Path) -> io.BufferedReader:
    """An ordinary file, to be read. Raises OSError for anything else: a pipe is waited for, and a device never ends."""
    _refuse_other_kinds(os.stat(path).st_mode)
    # what is put there after the look at it is not waited for either
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    try:
        _refuse_other_kinds(os.fstat(file.fileno()).st_mode)
    except OSError:
        file.close()
        raise
    return file


def _refuse_other_kinds(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "no ordinary file")


def read_bytes(path: str | Path) -> bytes:
    """The content of an ordinary file. Raises OSError as `opened`."""
    with opened(path) as file:
        return file.read()


def written(path: str | Path) -> str:
    """A path as text that can be written; bytes that are no UTF-8 stand as escapes, as \\xff."""
    return os.fsencode(path).decode("utf-8", ODD)


def expanded(path: str) -> Path:
    """A path as it was typed, with the home folder for a ``~`` in front; ``./~x`` is the name of a file.

    Raises
    ------
    RuntimeError
        when there is no such home.
    """
    return Path(path).expanduser() if path.startswith("~") else Path(path)


def to_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_yaml(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None)
    if any(each in text for each in LINE_ENDS):  # of which a reader makes a space
        text = yaml.safe_dump(value, sort_keys=False, default_flow_style=None)
    return text


def from_yaml(text: str) -> Any:
    """What ``yaml.safe_load`` gives, by libyaml where it is there, which is ten times as fast."""
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:  # a file name that is no UTF-8 stands as an escape which libyaml refuses
        return yaml.safe_load(text)


def cell(value: Any) -> str:
    """A value as a CSV cell: floats as Python's repr, which reads back to the bit; undefined is blank."""
    if value is None or (isinstance(value, (float, np.floating)) and not np.isfinite(value)):
        return ""
    if isinstance(value, np.generic):
        value = value.item()
    return repr(value) if isinstance(value, float) else str(value)


def to_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    return lines_of_csv((header, *rows))


def lines_of_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Rows of cells as lines of CSV.

    A name stands as it is, also one like ``=1+1`` that a spreadsheet computes: a quote in front of it would make it
    another name for pandas, and for every file that is compared with this one.
    """
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        cells = [cell(value) for value in row]
        # the writer knows its own line end alone, readers take a lone carriage return for one
        (quoted if any("\r" in each for each in cells) else plain).writerow(cells)
    return text.getvalue()


def whole_lines(path: Path) -> io.StringIO:
    """The text of a CSV that we wrote; a last line without its newline was cut by a crash and is left out."""
    text = read_bytes(path).decode()  # as written: a class name may hold a line end of any kind
    return io.StringIO(text if text.endswith("\n") else text[: text.rfind("\n") + 1])


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV that we wrote."""
    rows = list(csv.reader(whole_lines(path)))
    return (rows[0], rows[1:]) if rows else ([], [])


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, None where there is none."""
    try:
        value = json.loads(read_bytes(path).decode())
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
