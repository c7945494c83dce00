"""A flag that a signal sets.

`listen` is called on the first line of the command. From then on SIGINT and SIGTERM raise `Interrupted`, except inside
`deferred()`, where they set a flag that the training loop reads at every batch, so that it can stop at a place from
which it can be resumed. A second Ctrl-C there ends at once, and so does any once the command is `over`.

While something is being imported nothing is raised: libraries in C++ abort, or lose it, when an exception comes out of
what they call. The command ends there and then.

A Python session is no command: it answers signals in its own way before and after a run, and outlives each of them
(`listening`).
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from labrunner.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 0.01  # seconds after which a signal that was swallowed comes again


class Stop:
    """Says whether, and by which signal, the run was asked to stop."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def __bool__(self) -> bool:
        return self.signum is not None

    def heed(self) -> None:
        """Raise what was deferred."""
        if self.signum is not None:
            raise Interrupted(self.signum)


_deferred: Stop | None = None
_raised = Stop()  # by which signal `Interrupted` was raised
_say: Callable[[], object] | None = None  # what is said where the command ends at once
_undone: list[Callable[[], object]] = []  # and what is done
_outlives = False  # whether this process is a session, which no signal may end at once


def _on_signal(signum: int, frame: FrameType | None) -> None:
    if _deferred is None:
        if _say is not None and _is_importing(frame):
            for step in (*reversed(_undone), _say):
                with suppress(Exception):
                    step()
            os._exit(128 + signum)
        _raised.signum = signum
        raise Interrupted(signum)
    if _deferred:  # asked before, and not patient any more
        if _outlives:
            raise Interrupted(signum)
        os._exit(128 + signum)
    _deferred.signum = signum


def _on_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """A finalizer, in which Python swallows what is raised, is no place to be interrupted: a moment later is."""
    if isinstance(unraisable.exc_value, Interrupted):
        again = threading.Timer(AGAIN, os.kill, (os.getpid(), unraisable.exc_value.signum))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def listen(say: Callable[[], object] | None = None) -> None:
    """Answer SIGINT and SIGTERM from here on; only the main thread may, elsewhere it does nothing.

    Given `say`, a signal during an import calls it and ends the process.
    """
    global _say
    _handle(_on_signal)
    _say = say
    _raised.signum = None
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _on_unraisable


@contextmanager
def listening() -> Iterator[None]:
    """Answer signals inside as a command does, but that none ends the process: a second one raises `Interrupted`.

    Afterwards they are answered as before. What a session ignores, it goes on to ignore; outside the main thread no
    signal comes.
    """
    global _say, _outlives
    in_main = threading.current_thread() is threading.main_thread()
    before = {signum: signal.getsignal(signum) for signum in SIGNALS} if in_main else {}
    hook, said, outlived = sys.unraisablehook, _say, _outlives
    try:
        _outlives = True
        listen()
        for signum, handler in before.items():
            if handler is signal.SIG_IGN:
                signal.signal(signum, handler)
        yield
    finally:
        for signum, handler in before.items():
            if handler is not None:  # one that Python did not install
                signal.signal(signum, handler)
        sys.unraisablehook, _say, _outlives = hook, said, outlived


@contextmanager
def undone(step: Callable[[], object]) -> Iterator[None]:
    """Inside, where a signal ends the process at once, `step` is done before: it undoes what nobody else would."""
    _undone.append(step)
    try:
        yield
    finally:
        _undone.remove(step)


def raised() -> Stop:
    """The signal that raised `Interrupted`, which a library may have made another exception of."""
    return _raised


def over(code: int) -> None:
    """The command has ended and said how: a signal that still comes ends the process at once, with this exit code."""
    _handle(lambda signum, frame: os._exit(code))
    atexit.register(_handle, signal.SIG_IGN)  # Python's own end takes handlers away


def _handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    if threading.current_thread() is threading.main_thread():
        for signum in SIGNALS:
            signal.signal(signum, handler)


@contextmanager
def deferred() -> Iterator[Stop]:
    """Inside, a first signal sets the flag instead of raising.

    Raises
    ------
    Interrupted
        in the place of an error that comes out of it, where the flag has been set by then: with the error nobody else
        would look at it.
    """
    global _deferred
    before, stop = _deferred, Stop()
    _deferred = stop
    try:
        yield stop
    except Exception as error:
        _deferred = before
        if stop.signum is not None:
            raise Interrupted(stop.signum, str(error)) from error
        raise
    finally:
        _deferred = before
