"""Run folders: the only place that writes one (`folder`), and the readers of what stands in them (`reading`)."""

from labrunner.records.folder import Behind, RunFolder
from labrunner.records.names import (
    FORMAT,
    METRICS,
    MONITORS,
    TIMING,
    Row,
    refuse_links,
    refuse_used,
    resume_command,
    undrawn,
)
from labrunner.records.reading import Run, load_run, read_rows

__all__ = [
    "FORMAT",
    "METRICS",
    "MONITORS",
    "TIMING",
    "Behind",
    "Row",
    "Run",
    "RunFolder",
    "load_run",
    "read_rows",
    "refuse_links",
    "refuse_used",
    "resume_command",
    "undrawn",
]
