"""What the verbs that run something set up around it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labrunner.errors import Interrupted
from labrunner.verbs.printing import say

if TYPE_CHECKING:
    from labrunner.running import Shared

DRAWING_SECONDS = 120.0


@contextmanager
def shared_for() -> Iterator[Shared]:
    """Shared state with a drawing process, started now and waited for at the end."""
    from labrunner.drawing import Drawing

    # before torch is imported: how often a thread looks for work before it sleeps. Where it looks longer, as by
    # default, two threads on a machine that does something else are several times slower; see benchmarks/
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    drawing = Drawing()
    with drawing:
        drawing.start()  # it imports matplotlib on the other core while this process imports torch
        from labrunner.running import Shared

        yield Shared(drawing=drawing, say=say, bars=sys.stderr.isatty())
        try:
            messages = drawing.finish(DRAWING_SECONDS)
        except Interrupted as interrupted:
            from labrunner.records import undrawn

            raise Interrupted(interrupted.signum, undrawn(drawing.pending[0]) if drawing.pending else "") from None
        for message in messages:
            say(f"labrunner: warning: {message}")
