"""What can go wrong, sorted by exit code.

A message says in one to three lines what is wrong and what to do next; the command line prints it as
``labrunner: error: …`` without a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence


class LabrunnerError(Exception):
    """Base of the errors that labrunner explains by itself."""

    exit_code = 1


class RunError(LabrunnerError):
    """A run began and could not be finished (exit 1)."""


class RequestError(LabrunnerError):
    """The request was wrong: config, data or path (exit 2). Nothing was started."""

    exit_code = 2


def some(names: Sequence[str], most: int = 12, between: str = ", ") -> str:
    """The first names of a list for a message, and how many there are if that is not all."""
    return between.join(names[:most]) + (f", … ({len(names)} of them)" if len(names) > most else "")


class Interrupted(BaseException):
    """A signal asked to stop; `signum` says which. Exit code 128 + signum, as shells count.

    Not an `Exception`, so that no handler meant for failures swallows it.
    """

    def __init__(self, signum: int, message: str = "") -> None:
        super().__init__(message)
        self.signum = signum
        self.message = message

    @property
    def exit_code(self) -> int:
        return 128 + self.signum
