"""The SHA-256 of files, remembered by their size and times, so that a file is read again only when it was touched."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labrunner.files import keep, opened, read_json

FORMAT = 1  # of the index
RECENT = 2.0  # seconds: a file as new as this may change again without a change of its times


class Index:
    """The SHA-256 of files, and what is remembered of it: file -> size, times and SHA-256.

    Parameters
    ----------
    folder : where it is kept; None for nowhere
    paths : the files
    """

    def __init__(self, folder: Path | None, paths: Sequence[str]) -> None:
        here = os.getcwd()
        self._names = [path if path.startswith(os.sep) else f"{here}{os.sep}{path}" for path in paths]
        self._states = [_state(name) for name in self._names]
        self._root = os.path.commonpath((min(self._names), max(self._names)))  # of all that lie between, too
        name = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:16]
        self._file = None if folder is None else folder / f"files-{name}.json"
        before = (None if self._file is None else read_json(self._file)) or {}
        files = before.get("files") if before.get("format") == FORMAT else None
        self._entries: dict[str, Any] = files if isinstance(files, dict) else {}
        self._is_new = False
        self.hashes = [self._remembered(name, state) for name, state in zip(self._names, self._states, strict=True)]

    def _remembered(self, name: str, state: list[int] | None) -> str | None:
        entry = self._entries.get(self._key(name))
        if state is None or not isinstance(entry, list) or len(entry) != 4 or entry[:3] != state:
            return None
        return str(entry[3])

    def _key(self, name: str) -> str:
        return name.removeprefix(self._root)

    def hash(self, place: int) -> str:
        """The SHA-256 of a file; "" where it cannot be read."""
        try:
            with opened(self._names[place]) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return ""

    def learn(self, places: Sequence[int], hashes: Sequence[str]) -> None:
        now = time.time_ns()
        for place, found in zip(places, hashes, strict=True):
            self.hashes[place] = found
            state = self._states[place]
            # one that was written a moment ago may be written again in the same tick of the clock
            if found and state is not None and now - state[1] > RECENT * 1e9:
                self._entries[self._key(self._names[place])] = [*state, found]
                self._is_new = True

    def save(self) -> None:
        """Keep what is new; where that cannot be done, files are read again the next time."""
        if not self._is_new or self._file is None:
            return
        text = json.dumps({"format": FORMAT, "root": self._root, "files": self._entries})
        keep(self._file, text)


def _state(name: str) -> list[int] | None:
    """Size in bytes, and times of the content and of the entry in nanoseconds; None where there is no file.

    The second time is not for programs to set: a file that was copied over, times and all, is seen to be another one.
    """
    try:
        found = os.stat(name)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
