"""Run folders and sweep folders: the only place that writes them, and the readers of what stands in them."""

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
from labrunner.records.reading import Evaluation, Run, load_run, read_rows
from labrunner.records.sweep import MISSING, Member, Sweep, SweepFolder, is_sweep_folder, load_sweep

__all__ = [
    "FORMAT",
    "METRICS",
    "MISSING",
    "MONITORS",
    "TIMING",
    "Behind",
    "Evaluation",
    "Member",
    "Row",
    "Run",
    "RunFolder",
    "Sweep",
    "SweepFolder",
    "is_sweep_folder",
    "load_run",
    "load_sweep",
    "read_rows",
    "refuse_links",
    "refuse_used",
    "resume_command",
    "undrawn",
]
