"""Checksums of a finished run's files: what was edited, or damaged on a disk, is not taken for what the run wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from labrunner.files import read_json, to_json
from labrunner.records.names import FORMAT, PREPROCESSING

CHECKSUMS = "checksums.json"
# checkpoints have a checksum inside; the log, the status, figures and report are no results
SEALED = (
    *("config.yaml", "overrides.yaml", "environment.json", PREPROCESSING, "initial.json", "summary.txt"),
    *("metrics.csv", "timing.csv", "freeze.csv", "facts.json", "checks.csv"),
    *("test.json", "predictions.csv", "per_class.csv", "confusion.csv", "samples.npz", "boundary.npz"),
)


def checksums(folder: Path) -> str:
    """The content of a run's checksums.json: SHA-256 by name, of the files that are there."""
    digests = {path.relative_to(folder).as_posix(): digest(path) for path in sealed(folder)}
    return to_json({"format": FORMAT, "sha256": digests})


def sealed(folder: Path) -> Iterator[Path]:
    """The files of a run that are its results."""
    yield from (path for name in SEALED if (path := folder / name).is_file())
    yield from sorted(path for path in (folder / "probes").glob("*") if path.is_file())


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recorded(folder: Path) -> dict[str, str] | None:
    """File -> SHA-256 as the run wrote it; None of a run that is under way, or of an earlier version."""
    said = (read_json(folder / CHECKSUMS) or {}).get("sha256")
    return {str(name): str(value) for name, value in said.items()} if isinstance(said, dict) else None
