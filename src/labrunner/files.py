"""Files that a run folder is made of: written whole or not at all, floats to the bit, and read back.

Files that must be whole or absent go by write-to-temporary, flush, fsync, replace, fsync of the folder.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from labrunner.errors import RunError


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
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def keep(path: Path, content: bytes | str) -> None:
    """Write a small file of a cache, which several processes may make at once; where that fails, there is none."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    with suppress(OSError):
        try:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def to_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_yaml(value: Any) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None)


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
    text = path.read_bytes().decode()  # as written: a class name may hold a line end of any kind
    return io.StringIO(text if text.endswith("\n") else text[: text.rfind("\n") + 1])


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV that we wrote."""
    rows = list(csv.reader(whole_lines(path)))
    return (rows[0], rows[1:]) if rows else ([], [])


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, None where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
