"""Hydra in a Python session, which may have set it up for itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def alone() -> Iterator[None]:
    """Inside, Hydra is set up for nobody; afterwards as it was. Imports nothing: what is not imported is not set up."""
    if "hydra.core.global_hydra" not in sys.modules:
        yield
        return
    from hydra.core.global_hydra import GlobalHydra

    theirs = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = theirs
