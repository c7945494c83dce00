"""A Python session around a run: what is said in it, how it is interrupted, and what a run must not take from it.

A command has a process of its own. A session has a history: settings of torch and NumPy, modules of the user's that
have been edited since they were imported, a Ctrl-C that is the user's to handle. A run finds here what it would find in
a new process, and leaves what it found.
"""

from __future__ import annotations

import importlib
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import own, signals
from labrunner.api.words import in_python
from labrunner.errors import Interrupted, LabrunnerError
from labrunner.verbs.printing import clean, say

if TYPE_CHECKING:
    from labrunner.running import Shared

WARNING = "labrunner: warning: "  # as the command line says it

_one_at_a_time = threading.RLock()  # Hydra, and torch's threads and generator, belong to the process
UNKNOWN = ("", 0, 0)  # of no file
_brought: dict[str, tuple[str, int, int]] = {}  # modules of the user's that runs have imported -> as their files were


class LabrunnerWarning(UserWarning):
    """Something about a run, or a folder, that is worth knowing and no error."""


class Told:
    """What is said while something is carried out: lines at once, warnings at its end, where they can do no harm.

    Python may be told to make an error of a warning, which in the middle of a run would be the end of it.
    """

    def __init__(self, progress: bool) -> None:
        self._progress = progress
        self._warnings: list[str] = []

    def say(self, text: str) -> None:
        """A line in the words of the command line."""
        if text.startswith(WARNING):
            self.warn(text.removeprefix(WARNING))
        elif self._progress:
            say(text)

    def warn(self, text: str) -> None:
        self._warnings.append(in_python(clean(text)))

    def pass_on(self) -> None:
        """Warn of what there was to be warned of, at the line of the caller's that asked for it."""
        while self._warnings:
            warnings.warn(self._warnings.pop(0), LabrunnerWarning, stacklevel=outside())

    @contextmanager
    def shared(self) -> Iterator[Shared]:
        """What surrounds a run: its drawing process, signals, and torch as a new process has it."""
        from labrunner.verbs.shared import shared_for

        bars = self._progress and (sys.stderr.isatty() or "ipykernel" in sys.modules)
        with interruptible(), shared_for(self.say, bars) as shared, as_new():
            yield shared


@contextmanager
def session(progress: bool) -> Iterator[Told]:
    """Inside, one thing is done at a time, whichever threads ask for it."""
    told = Told(progress)
    with _one_at_a_time:
        try:
            yield told
        except BaseException as error:
            if isinstance(error, (LabrunnerError, KeyboardInterrupt)) and error.args:
                error.args = (in_python(str(error.args[0])), *error.args[1:])
            with suppress(LabrunnerWarning):  # where Python makes an error of it, there is another one already
                told.pass_on()
            raise
        told.pass_on()


def outside() -> int:
    """How many calls up the first line stands that is none of labrunner's, for the caller's `warnings.warn`."""
    home, level = str(Path(__file__).resolve().parents[1]), 1
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        if not name.startswith(home) and Path(name).name != "contextlib.py":
            break
        frame, level = frame.f_back, level + 1
    return level


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, a signal is heeded where a run can be resumed from; then it does what it does in this session.

    Raises
    ------
    KeyboardInterrupt
        that tells how to go on.
    """
    stopped: Interrupted | None = None
    try:
        with signals.listening():
            try:
                yield
            except Exception:
                signals.raised().heed()  # an import that was interrupted may end as another error
                raise
    except Interrupted as interrupted:
        stopped = interrupted
    if stopped is None:
        return
    if stopped.signum == signal.SIGTERM:  # which ends the process, unless the session says otherwise
        signal.raise_signal(signal.SIGTERM)
    raise KeyboardInterrupt(stopped.message or "interrupted")


@contextmanager
def as_new() -> Iterator[None]:
    """Inside, torch and NumPy are set as in a new process; afterwards as they were, torch's generator too."""
    import numpy as np
    import torch

    kind = torch.get_default_dtype()
    with ExitStack() as around:
        around.callback(torch.set_default_dtype, kind)
        torch.set_default_dtype(torch.float32)
        around.enter_context(torch.random.fork_rng(devices=[]))
        around.enter_context(torch.inference_mode(False))
        around.enter_context(torch.enable_grad())
        around.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        if torch.get_default_device().type != "cpu":  # a device in force makes every call slower
            around.enter_context(torch.device("cpu"))
        yield


# modules of the user's


@contextmanager
def newest(configs: Iterable[Mapping[str, Any]]) -> Iterator[None]:
    """Inside, code of the user's that configs name is imported as its files are now.

    Otherwise a session would train what a file has been, and record the hash of what it is. What was imported before
    keeps working; it is other modules that stand in its place.
    """
    named = {target.rpartition(".")[0] for config in configs for target in own.targets(config).values()}
    stale = [name for name in named if name not in _brought and is_own(name)]  # of what age nobody knows
    if any(stamp(name) != seen for name, seen in _brought.items()):
        stale += _brought  # others of them may hold what the changed one made
        _brought.clear()
    for name in stale:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    before, begin = set(sys.modules), time.time_ns()
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            if is_own(name):
                seen = stamp(name)
                _brought[name] = seen if seen[1] < begin else UNKNOWN  # edited since, before the import or behind it


def is_own(name: str) -> bool:
    """Whether a module is loaded from a file under the current folder that nobody installed there."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or name == "__main__" or name.partition(".")[0] == "labrunner":
        return False
    path = Path(file).resolve()
    return path.is_relative_to(Path.cwd()) and not path.is_relative_to(Path(sys.prefix).resolve())


def stamp(name: str) -> tuple[str, int, int]:
    """What the file of a module is known by."""
    file = str(getattr(sys.modules.get(name), "__file__", None))
    try:
        said = Path(file).stat()
    except OSError:
        return file, 0, 0
    return file, said.st_mtime_ns, said.st_size
