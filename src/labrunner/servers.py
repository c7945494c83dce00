"""What waiting for a server comes to, for data sets and for weights alike."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

PATIENCE = 5.0  # seconds that a server may be silent; a machine without a network must not wait for long


def to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def patiently() -> Iterator[None]:
    """Wait for a silent server for `PATIENCE` seconds; what torchvision prints goes to stderr."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)


def reason(error: Exception) -> str:
    """The last line of a message: torchvision lists all servers that it tried."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("<urlopen error ").removesuffix(">") if lines else type(error).__name__
