"""What the verbs that run something set up around it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labrunner import children
from labrunner.errors import Interrupted
from labrunner.verbs.printing import say

if TYPE_CHECKING:
    from labrunner.running import Shared

DRAWING_SECONDS = 120.0
FOLDER_SECONDS = 10.0  # more for each folder that waits


@contextmanager
def shared_for(say: Callable[[str], None] = say, bars: bool | None = None) -> Iterator[Shared]:
    """Shared state with a drawing process, started now and waited for at the end.

    `say` is told what is worth a line; `bars` is whether progress bars are shown, None where stderr is a terminal.
    """
    from labrunner.drawing import Drawing

    children.spin_briefly(os.environ)
    drawing = Drawing()
    with drawing:
        drawing.start()  # it imports matplotlib on the other core while this process imports torch
        from labrunner.running import Shared

        yield Shared(drawing=drawing, say=say, bars=sys.stderr.isatty() if bars is None else bars)
        try:
            messages = drawing.finish(DRAWING_SECONDS + FOLDER_SECONDS * len(drawing.pending))
        except Interrupted as interrupted:
            from labrunner.records import undrawn

            raise Interrupted(interrupted.signum, undrawn(drawing.pending[0]) if drawing.pending else "") from None
        for message in messages:
            say(f"labrunner: warning: {message}")
