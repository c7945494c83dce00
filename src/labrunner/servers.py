"""What waiting for a server comes to, for data sets and for weights alike."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from labrunner.errors import RequestError

PATIENCE = 5.0  # seconds that a server may be silent; a machine without a network must not wait for long


NUMBERED = re.compile(r"^\[Errno (-?)\d+\] ")


class NotDownloaded(RequestError):
    """A file is not here, and no server gave it."""


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
    """The last line of a message: torchvision lists all servers that it tried. Of no network this is said first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    text = lines[-1].removeprefix("<urlopen error ").removesuffix(">")
    numbered = NUMBERED.match(text)
    if numbered is None:
        return text
    # numbers below zero are those of a name that could not be looked up (getaddrinfo)
    return f"{'no network: ' if numbered[1] else ''}{text[numbered.end() :]}"
