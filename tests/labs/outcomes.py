"""A lab's sweep in a test: its checks by name, and copies of its file in which something was changed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import yaml

from labrunner.helping import packaged_conf
from tests.cli.lab import Lab


def settings(name: str) -> dict[str, Any]:
    """What an experiment's file says."""
    return yaml.safe_load((packaged_conf() / "experiment" / f"{name}.yaml").read_text(encoding="utf-8"))


def copied(lab: Lab, name: str, *changes: tuple[str, str]) -> None:
    """A copy of an experiment as the user's own `mine`, in which words of its file are replaced by others."""
    text = (packaged_conf() / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    lab.write("conf/experiment/mine.yaml", text)


def outcomes(lab: Lab, *overrides: str, folder: str = "swept") -> dict[str, tuple[bool, float | None]]:
    """Run a sweep; of each check whether it passed, and what was found, None if that was not computed."""
    ended = lab("-m", f"hydra.sweep.dir={folder}", "figures=none", *overrides)
    assert ended.code == 0, ended.err
    with open(Path(lab.folder, folder, "checks.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["check"]: (row["passed"] == "true", float(row["found"]) if row["found"] else None) for row in rows}


def crosses(found: dict[str, tuple[bool, float | None]]) -> list[str]:
    """The checks that failed, all of which have to have been computed."""
    assert all(value is not None for _, value in found.values()), found
    return [name for name, (passed, _) in found.items() if not passed]
