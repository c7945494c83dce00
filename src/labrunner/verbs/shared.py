"""What the verbs that run something set up around it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labrunner.running import Shared

DRAWING_SECONDS = 120.0


def say(text: str) -> None:
    """A line for the user that is no result: to stderr, so that stdout stays clean."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def shared_for() -> Iterator[Shared]:
    """Shared state with a drawing process, started now and waited for at the end."""
    from labrunner.drawing import Drawing

    drawing = Drawing()
    with drawing:
        drawing.start()  # it imports matplotlib on the other core while this process imports torch
        from labrunner.running import Shared

        yield Shared(drawing=drawing, say=say, bars=sys.stderr.isatty())
        for message in drawing.finish(DRAWING_SECONDS):
            say(f"labrunner: warning: {message}")
