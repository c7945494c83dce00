"""What the doctor found: a name to look up in docs/doctor.md, what shows it, and what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    name: str
    evidence: str
    advice: str
