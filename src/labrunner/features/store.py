"""Where features are: in the memory of this process, in a file, or still to be computed.

A file has a name that is a hash of all that its features depend on, so that it is never out of date: weights, structure
and code of the backbone, samples and what is done to them, number type, versions, processor.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from labrunner.data import Data, Split
from labrunner.deep import TorchLearner
from labrunner.deep.extraction import TRIED, Extraction, alike, arithmetic_of, part_size, restored
from labrunner.deep.identity import identity
from labrunner.files import sync_folder

FORMAT = 1  # of the files, and of how features are computed
KEPT = 2**31  # bytes of features that a process keeps for its further runs
WAITING = 0.1  # seconds between two looks at whether another process is done


@dataclass(frozen=True)
class Watch:
    """Who is told of the work on features, and may end it."""

    log: Callable[[str], None] = lambda text: None  # takes a line for each split
    # samples in all -> what is called with how many more are done
    bar: Callable[[int], AbstractContextManager[Callable[[int], object]]] = lambda total: nullcontext(lambda more: None)
    heed: Callable[[], None] = lambda: None  # called again and again; what it raises ends the work
    say: Callable[[str], None] = lambda text: None  # takes what the user should know, the same for several splits


@dataclass
class Kept:
    """Features that this process has had, up to `KEPT` bytes; the oldest go first."""

    _known: OrderedDict[str, Any] = field(default_factory=OrderedDict)

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def get(self, key: str) -> Any:
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def put(self, key: str, features: Any) -> None:
        self._known[key] = features
        while len(self._known) > 1 and sum(each.nbytes for each in self._known.values()) > KEPT:
            self._known.popitem(last=False)


class Store:
    """The features of the splits of one run.

    Parameters
    ----------
    learner : they are of its backbone as that is when they are asked for
    data : the samples, and what is done to them
    folder : for the files; None writes none
    kept : what this process keeps
    threads : that compute, on the processor; features do not depend on them
    tried : whether a few samples are computed again to see if a file is what the backbone makes of them, as with code
        that may call what nobody hashes
    """

    def __init__(
        self,
        learner: TorchLearner,
        data: Data,
        folder: Path | None,
        kept: Kept,
        threads: int,
        tried: bool = False,
    ) -> None:
        self.learner, self.folder, self.threads, self.tried = learner, folder, threads, tried
        self.watch = Watch()
        self._data, self._kept = data, kept
        self._known: tuple[tuple[int, ...], str] | None = None  # the identity of the backbone, and of which weights
        self._quick: tuple[str, Extraction] | None = None  # and the identity of the backbone that it is made of

    def of(self, split: Split) -> Any:
        """(N, …) features of a split, where the learner computes."""
        key = self.key(split)
        features = self._kept.get(key)
        if features is not None:
            self.watch.log(f"{told(split)}: those that a run before this one had")
            return features
        features = restored(self._found(key, split), self.learner)
        self._kept.put(key, features)
        return features

    def has(self, split: Split) -> bool:
        """Whether they need not be computed, as far as a file's name tells."""
        key = self.key(split)
        return key in self._kept or (self.folder is not None and self._file(self.folder, key).is_file())

    def zeros(self, count: int) -> Any:
        """(count, …) zeros in the place of features."""
        assert self.learner.feature_shape is not None
        return self.learner.array(np.zeros((count, *self.learner.feature_shape), np.float32))

    def key(self, split: Split) -> str:
        """SHA-256 of all that the features of a split depend on, in hexadecimal digits."""
        learner, normalization = self.learner, self._data.normalization
        parts = (
            FORMAT,
            self._backbone(),
            self._data.samples.fingerprint,
            split.index.astype("<i8").tobytes(),
            normalization.scale.astype("<f8").tobytes(),
            normalization.shift.astype("<f8").tobytes(),
            learner.input_shape,
            part_size(learner),
            arithmetic_of(learner),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

    def _backbone(self) -> str:
        """The identity of the backbone as it is now; told anew where a tensor has been written to since."""
        backbone = self.learner.network.get_submodule("backbone")
        now = tuple(tensor._version for tensor in backbone.state_dict().values())
        if self._known is None or self._known[0] != now:
            self._known = now, identity(backbone)
        return self._known[1]

    def _found(self, key: str, split: Split) -> np.ndarray:
        """From its file, which is made if need be."""
        if self.folder is None:
            return self._computed(split, "kept in memory alone, as cache=null says")
        path = self._file(self.folder, key)
        found = self._read(path, split)
        if found is not None:
            return found
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._alone(path):
                found = self._read(path, split)  # another process may have made it by now
                return self._written(path, split) if found is None else found
        except OSError as error:  # a folder that is not ours to write into, say
            return self._computed(split, f"not kept: {self.folder}: {error.strerror or error}")

    @staticmethod
    def _file(folder: Path, key: str) -> Path:
        return folder / f"{key}.npy"

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        """No other process makes the same file inside."""
        from filelock import FileLock, Timeout

        lock = FileLock(path.with_name(f".{path.stem}.lock"))
        while not lock.is_locked:
            self.watch.heed()
            with suppress(Timeout):
                lock.acquire(timeout=WAITING)
        try:
            for left in path.parent.glob(f".{path.stem}-*"):  # by a process that was killed
                left.unlink(missing_ok=True)
            yield
        finally:
            if path.is_file():  # nobody needs to wait any more
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    # files: an array as NumPy writes it, and behind it the SHA-256 of its numbers

    def _read(self, path: Path, split: Split) -> np.ndarray | None:
        """What a file holds; None where there is none, or it is not whole."""
        if not path.is_file():
            return None
        assert self.learner.feature_shape is not None
        with suppress(OSError, ValueError, EOFError, MemoryError), open(path, "rb") as file:
            values = np.load(file, allow_pickle=False)
            if values.shape == (len(split), *self.learner.feature_shape) and file.read() == digest(values):
                if self.tried and not self._are_of(values, split):
                    self.watch.log(f"{told(split)}: {path} is of a backbone that computed otherwise, and made again")
                    return None
                self.watch.log(f"{told(split)}: from {path}")
                self.watch.say(f"the features of the frozen backbone are read from {path.parent}")
                return values
        self.watch.log(f"{told(split)}: {path} is damaged and made again")
        return None

    def _are_of(self, values: np.ndarray, split: Split) -> bool:
        """Whether the backbone gives these features of the first samples, to rounding."""
        few = np.arange(min(TRIED, len(split)))
        return alike(restored(values[: len(few)], self.learner), self.learner.features(inputs_at(split, few)))

    def _written(self, path: Path, split: Split) -> np.ndarray:
        values = self._computed(split, f"for {path}", path.parent)
        temporary = path.with_name(f".{path.stem}-{os.getpid()}")
        try:
            with open(temporary, "wb") as file:
                np.save(file, values, allow_pickle=False)
                file.write(digest(values))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
        except OSError as error:  # a full disk: this run has them all the same
            self.watch.log(f"{told(split)}: {path} cannot be written: {error.strerror or error}")
        finally:
            temporary.unlink(missing_ok=True)
        return values

    # computing

    def _computed(self, split: Split, where: str, kept: Path | str = "memory") -> np.ndarray:
        self.watch.say(f"the features of the frozen backbone are computed once and kept in {kept}")
        begin, done, values = time.perf_counter(), 0, None
        parts = self._extraction(split)(self._parts(split), self.threads)
        with self.watch.bar(len(split)) as step, closing(parts):
            for part in parts:
                if values is None:
                    values = np.empty((len(split), *part.shape[1:]), part.dtype)
                values[done : done + len(part)] = part
                done += len(part)
                step(len(part))
                self.watch.heed()
        assert values is not None
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        self.watch.log(f"{told(split)}: computed in {time.perf_counter() - begin:.1f} s on {threads}, {where}")
        return values

    def _parts(self, split: Split) -> Iterator[Callable[[], Any]]:
        size = part_size(self.learner)
        for first in range(0, len(split), size):
            yield partial(inputs_at, split, np.arange(first, min(first + size, len(split))))

    def _extraction(self, split: Split) -> Extraction:
        now = self._backbone()
        if self._quick is None or self._quick[0] != now:
            self._quick = now, Extraction(self.learner, next(self._parts(split))())
        return self._quick[1]

    def seconds(self, split: Split) -> float:
        """What the features of a sample take, from a few parts of a split."""
        extraction, parts = self._extraction(split), list(itertools.islice(self._parts(split), self.threads))
        self._timed(extraction, parts[:1])  # the first one pays for set-up
        return self._timed(extraction, parts) / min(len(split), len(parts) * part_size(self.learner))

    def _timed(self, extraction: Extraction, parts: Sequence[Callable[[], Any]]) -> float:
        begin = time.perf_counter()
        for _ in extraction(parts, self.threads):
            self.watch.heed()
        return time.perf_counter() - begin


def told(split: Split) -> str:
    return f"features of the {len(split)} samples of {split.name}"


def inputs_at(split: Split, positions: np.ndarray) -> Any:
    """The inputs of a few samples of a split, as its learner takes them, without having the whole split in memory."""
    (inputs,) = split.prepared(split.pixels(positions))
    return inputs


def digest(values: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values).data).digest()
