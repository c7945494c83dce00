"""labrunner: config-driven experiments for deep-learning labs.

``from labrunner import run, sweep, load_run, load_sweep`` is the command from Python (`labrunner.api`, docs/python.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labrunner.api import load_run, load_sweep, run, sweep

__version__ = "0.1.0"
__all__ = ["__version__", "load_run", "load_sweep", "run", "sweep"]


def __getattr__(name: str) -> Any:
    """What `labrunner.api` has, which is imported when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from labrunner import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
