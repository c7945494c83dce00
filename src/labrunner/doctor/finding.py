"""What the doctor found: a name to look up in docs/doctor.md, what shows it, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labrunner.records import Run


@dataclass(frozen=True)
class Finding:
    name: str
    evidence: str
    advice: str


def never_a_number(run: Run) -> bool:
    """Whether a run diverged before any update, in which the learning rate has no part."""
    return str(run.error).partition("; ")[0].endswith("before any update")
