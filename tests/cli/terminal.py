"""The command on a terminal: a pseudo-terminal whose other end the test reads."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

from tests.cli.lab import command


def on_a_terminal(*argv: str, cwd: Path, columns: int = 100) -> tuple[int, str]:
    """Exit code, and all that the terminal got to see."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30 if columns else 0, columns, 0, 0))
    process = subprocess.Popen(command(*argv), cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    seen = b""
    while True:
        try:
            content = os.read(ours, 65536)
        except OSError:  # the last of its writers has gone
            break
        if not content:
            break
        seen += content
    os.close(ours)
    return process.wait(), seen.decode()
