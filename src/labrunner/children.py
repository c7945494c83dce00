"""How a Python process of our own is started beside this one: its command and what it finds in its environment."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import MutableMapping
from pathlib import Path


def command(module: str) -> list[str]:
    """The command that runs a module of ours with this interpreter."""
    # -P: a random.py in the student's folder must not stand in for the standard library's
    return [sys.executable, "-P", "-m", module]


def environment() -> dict[str, str]:
    """This process's environment, with which another interpreter finds the same labrunner."""
    around = dict(os.environ)
    root = str(Path(__file__).resolve().parents[1])
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        # a checkout: its path may be relative, or known to this process only
        known = around.get("PYTHONPATH")
        around["PYTHONPATH"] = f"{root}{os.pathsep}{known}" if known else root
    return around


def spin_briefly(around: MutableMapping[str, str]) -> None:
    """Set how often a thread of torch's looks for work before it sleeps; holds where torch is not imported yet.

    Where it looks longer, as by default, two threads on a machine that does something else are several times slower;
    see benchmarks/.
    """
    if "OMP_WAIT_POLICY" not in around:
        around.setdefault("GOMP_SPINCOUNT", "1000")
