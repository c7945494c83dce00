"""A flag that a signal sets.

`listen` is called on the first line of the command. From then on SIGINT and SIGTERM raise `Interrupted`, except inside
`deferred()`, where they set a flag that the training loop reads at every batch, so that it can stop at a place from
which it can be resumed. A second Ctrl-C there ends at once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from labrunner.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Says whether, and by which signal, the run was asked to stop."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def __bool__(self) -> bool:
        return self.signum is not None


_deferred: Stop | None = None


def _on_signal(signum: int, frame: FrameType | None) -> None:
    if _deferred is None:
        raise Interrupted(signum)
    if _deferred:  # asked before, and not patient any more
        os._exit(128 + signum)
    _deferred.signum = signum


def listen() -> None:
    """Answer SIGINT and SIGTERM from here on; only the main thread may, elsewhere it does nothing."""
    if threading.current_thread() is threading.main_thread():
        for signum in SIGNALS:
            signal.signal(signum, _on_signal)


@contextmanager
def deferred() -> Iterator[Stop]:
    """Inside, a first signal sets the flag instead of raising."""
    global _deferred
    before, stop = _deferred, Stop()
    _deferred = stop
    try:
        yield stop
    finally:
        _deferred = before
