"""A learner's state in one file, and back.

The file is safetensors: plain arrays behind a JSON header, nothing in it that could execute. Its metadata holds a
single key, since safetensors writes several in random order: sorted JSON with the counters, the config's hash and a
SHA-256 over these and the names, types, shapes and bytes of all arrays. No time, no path and no name of a run go in,
so equal states are equal files. A checkpoint of epoch 7 is ``00007.safetensors``; one taken twelve batches into epoch 8
is ``00007-000012.safetensors``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1
NAME = re.compile(r"^(\d{5,})(?:-(\d{6,}))?\.safetensors$")


class DamagedCheckpoint(Exception):
    """The file is not what was written; the message says what is off."""


@dataclass(frozen=True)
class Position:
    """Where a run stands: `epoch` epochs are finished, and `batch` training batches of the next one."""

    epoch: int
    batch: int = 0
    sums: Mapping[str, float] = field(default_factory=dict)  # running sums of the pass that was cut
    config_hash: str = ""

    @property
    def file_name(self) -> str:
        return f"{self.epoch:05d}.safetensors" if self.batch == 0 else f"{self.epoch:05d}-{self.batch:06d}.safetensors"


def tensor_hash(name: str, array: np.ndarray) -> str:
    """SHA-256 over name, type, shape and bytes of one array."""
    digest = hashlib.sha256(f"{name}|{array.dtype.str}|{array.shape}|".encode())
    digest.update(np.asarray(array, order="C").data)
    return digest.hexdigest()


def state_hash(state: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of a whole state, whatever the order of its names."""
    return hashlib.sha256("".join(tensor_hash(name, state[name]) for name in sorted(state)).encode()).hexdigest()


def encode(state: Mapping[str, np.ndarray], position: Position) -> bytes:
    """The bytes of a checkpoint file; equal for equal arguments."""
    from safetensors.numpy import save

    header = {"format": FORMAT, **asdict(position), "sums": dict(position.sums)}
    header["sha256"] = _digest(header, state)
    # order="C" keeps 0-d arrays 0-d, which np.ascontiguousarray does not
    arrays = {name: np.asarray(state[name], order="C") for name in sorted(state)}
    return save(arrays, metadata={"labrunner": json.dumps(header, sort_keys=True)})


def _digest(header: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the state and what is said of it."""
    said = json.dumps({key: value for key, value in header.items() if key != "sha256"}, sort_keys=True)
    return hashlib.sha256((said + state_hash(state)).encode()).hexdigest()


def decode(content: bytes) -> tuple[dict[str, np.ndarray], Position]:
    """The state and the position out of a file's bytes.

    Raises
    ------
    DamagedCheckpoint
        when the bytes are no checkpoint, were cut, or do not match their own checksum.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        length = int.from_bytes(content[:8], "little")
        if len(content) < 8 or length > len(content) - 8:
            raise DamagedCheckpoint("it is cut short")
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["labrunner"])
        state = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedCheckpoint(f"it is no checkpoint: {error}") from None
    if not isinstance(header, dict):
        raise DamagedCheckpoint("it is no checkpoint: its header holds no object")
    if header.get("format") != FORMAT:
        raise DamagedCheckpoint(f"its format is {header.get('format')}, this version reads {FORMAT}")
    if _digest(header, state) != header.get("sha256"):
        raise DamagedCheckpoint("its checksum does not match its content")
    return state, _position(header)


def _position(header: Mapping[str, Any]) -> Position:
    """The position a header states; whoever made the file may have put anything there."""
    epoch, batch, sums, config_hash = (header.get(key) for key in ("epoch", "batch", "sums", "config_hash"))
    counters = all(type(value) is int and value >= 0 for value in (epoch, batch))
    if not counters or not isinstance(sums, dict) or not isinstance(config_hash, str):
        raise DamagedCheckpoint("its header does not say after which epoch and batch it was taken")
    if any(type(value) not in (int, float) for value in sums.values()):
        raise DamagedCheckpoint("its running sums are no numbers")
    return Position(epoch, batch, sums, config_hash)  # type: ignore[arg-type]


def read(path: Path, config_hash: str | None = None) -> tuple[dict[str, np.ndarray], Position]:
    """Read and verify one checkpoint.

    Raises
    ------
    DamagedCheckpoint
        as `decode` does, when there is no such file, when it holds another epoch than its name says, or when it belongs
        to a run with another config than that of `config_hash`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedCheckpoint(f"it cannot be read: {error.strerror}") from None
    state, position = decode(content)
    if position.file_name != path.name:
        raise DamagedCheckpoint(f"it was written as {position.file_name}")
    if config_hash is not None and position.config_hash != config_hash:
        raise DamagedCheckpoint("it belongs to a run with another config")
    return state, position


def listed(folder: Path) -> list[tuple[int, int, Path]]:
    """(epoch, batch, path) of the checkpoints of a folder, oldest first; other files are passed over."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = NAME.match(path.name)
        if match:
            found.append((int(match[1]), int(match[2] or 0), path))
    return sorted(found)


def superseded(folder: Path, keep_epochs: Iterable[int], latest: Position) -> list[Path]:
    """Files that may go once `latest` is committed: all but `latest` and the finished epochs that are kept."""
    kept = {Position(epoch).file_name for epoch in keep_epochs} | {latest.file_name}
    return [path for _, _, path in listed(folder) if path.name not in kept]
