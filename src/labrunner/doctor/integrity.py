"""Whether the files of a run folder are whole, agree with each other, and what a resume would begin with.

The folder may be a stranger's: nothing in it is followed out of it, waited for or executed.
"""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labrunner import checkpoint, schema
from labrunner.doctor.finding import Finding
from labrunner.errors import RequestError
from labrunner.files import read_csv, read_json
from labrunner.records import METRICS, TIMING, Run, resume_command
from labrunner.records.names import PREPROCESSING
from labrunner.records.sealing import digest, recorded
from labrunner.selection import stopped_early

JSON = ("status.json", "environment.json", "initial.json", PREPROCESSING, "facts.json", "test.json", "checksums.json")
OF_EVERY_END = ("metrics.csv", "timing.csv", "facts.json", "checks.csv", "initial.json", PREPROCESSING, "summary.txt")
OF_A_TEST = ("test.json", "predictions.csv", "per_class.csv", "confusion.csv")
APART = 1e-9  # how far an accuracy may be from its own counts, by rounding


@dataclass(frozen=True)
class Integrity:
    """What was found of the files, the state of the run, and what can be done next."""

    findings: list[Finding]
    status: str  # as `Run.status`
    checkpoints: str  # in words
    next: str  # what a resume would do


def integrity(run: Run, config_hash: str | None) -> Integrity:
    """Look at all files of a run. `config_hash` is that of its config; None where it cannot be read."""
    folder = run.path
    odd = list(strangers(folder))
    if odd:  # nothing else is opened
        return Integrity(odd, "unknown", "not looked at", "take away what does not belong there first")
    findings = [*of_json(folder), *of_rows(run), *of_missing(run), *of_test(folder), *of_checksums(folder)]
    good, damaged = checkpoints(folder, config_hash)
    for name, why in damaged.items():
        findings.append(Finding("damaged checkpoint", f"checkpoints/{name}: {why}", "a resume passes it over, aloud"))
    chosen = run.chosen if _readable(run) else None
    if run.status == "done" and chosen is not None and chosen.epoch not in {p.epoch for p in good if not p.batch}:
        findings.append(
            Finding(
                "no weights",
                f"the checkpoint of the tested epoch {chosen.epoch} is not there, or not whole",
                "predict and evaluate need it; resume with more epochs makes others",
            )
        )
    findings += [
        Finding("left over", f"{path.relative_to(folder)}: a write that was cut", "it is not read, and may go")
        for path in sorted(folder.rglob(".*.tmp"))
    ]
    listed = f"{len(good)} whole" + (f", {len(damaged)} damaged" if damaged else "")
    return Integrity(findings, run.status, listed, what_is_next(run, good, damaged))


def strangers(folder: Path) -> Iterator[Finding]:
    """What no run makes: links, pipes, devices, and links of whole folders."""
    for above, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            path = Path(above) / name
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "a pipe, a socket or a device"
                yield Finding("not a run's", f"{path.relative_to(folder)} is {kind}", "no run makes one; take it away")


def of_json(folder: Path) -> Iterator[Finding]:
    for name in JSON:
        if (folder / name).is_file() and read_json(folder / name) is None:
            yield Finding("damaged file", f"{name} holds no JSON object", "put it back from a copy")


def of_rows(run: Run) -> Iterator[Finding]:
    """metrics.csv and what grows beside it: whole lines, epochs one after the other, as many in each."""
    counts = {}
    for name, columns in (("metrics.csv", METRICS), ("timing.csv", TIMING)):
        path = run.path / name
        try:
            header, rows = read_csv(path)
            epochs = [int(row[0]) for row in rows]
        except (OSError, ValueError, IndexError, csv.Error):
            header, rows, epochs = [], [], []
        if tuple(header) != columns or any(len(row) != len(columns) for row in rows):
            yield Finding("damaged file", f"{name} is not what a run writes", "put it back from a copy")
            continue
        counts[name] = len(epochs)
        if epochs != list(range(1, len(epochs) + 1)):
            yield Finding("damaged file", f"the epochs of {name} are not 1, 2, 3 and so on", "put it back from a copy")
        if not path.read_bytes().endswith(b"\n"):
            yield Finding("cut line", f"the last line of {name} is not whole", "a resume computes it again")
    # a row goes into one after the other: a kill in between leaves one more
    if len(counts) == 2 and not 0 <= counts["metrics.csv"] - counts["timing.csv"] <= (run.status not in ENDED):
        said = " and ".join(f"{count} rows in {name}" for name, count in counts.items())
        yield Finding("damaged file", said, "they grow together; put them back from a copy")


ENDED = ("done", "diverged")


def of_missing(run: Run) -> Iterator[Finding]:
    """Files that a run of this status has."""
    if run.status not in ENDED:
        return
    data = read_json(run.path / "facts.json") or {}
    names = [*OF_EVERY_END, *(OF_A_TEST if run.status == "done" and data.get("test_samples") else ())]
    if read_json(run.path / "environment.json") is None or recorded(run.path) is None:
        names = [
            name for name in names if name not in ("facts.json", "checks.csv", PREPROCESSING)
        ]  # an earlier version
    for name in names:
        if not (run.path / name).is_file():
            yield Finding("missing file", f"{name} is not there", "put it back from a copy")


def of_test(folder: Path) -> Iterator[Finding]:
    """Whether test.json, predictions.csv and confusion.csv count the same."""
    said = read_json(folder / "test.json")
    try:
        header, rows = read_csv(folder / "predictions.csv")
        places = [header.index(name) for name in ("label", "predicted")]
        pairs = [tuple(int(row[place]) for place in places) for row in rows]
        table = [[int(cell) for cell in row[1:]] for row in read_csv(folder / "confusion.csv")[1]]
    except (OSError, ValueError, IndexError, csv.Error):
        if (folder / "predictions.csv").is_file() and (folder / "confusion.csv").is_file():
            yield Finding("damaged file", "predictions.csv or confusion.csv is not what a run writes", "put it back")
        return
    counted = [[0] * len(table) for _ in table]
    for label, predicted in pairs:
        if not (0 <= label < len(table) and 0 <= predicted < len(table)):
            yield Finding("contradiction", f"predictions.csv names class {max(label, predicted)}", "one was edited")
            return
        counted[label][predicted] += 1
    if counted != table:
        yield Finding("contradiction", "confusion.csv does not count what predictions.csv holds", "one was edited")
    if said is not None and pairs:
        accuracy = sum(label == predicted for label, predicted in pairs) / len(pairs)
        stated = said.get("accuracy")
        if said.get("n") != len(pairs) or not isinstance(stated, float) or abs(stated - accuracy) > APART:
            of_them = f"accuracy {stated} of {said.get('n')} samples, predictions.csv {accuracy:.6f} of {len(pairs)}"
            yield Finding("contradiction", f"test.json says {of_them}", "one of them was edited")


def of_checksums(folder: Path) -> Iterator[Finding]:
    sums = recorded(folder)
    for name, expected in (sums or {}).items():
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            yield Finding("damaged file", f"checksums.json names {name}, outside of the folder", "put it back")
        elif not path.is_file():
            yield Finding("missing file", f"{name} has a checksum and is not there", "put it back from a copy")
        elif digest(path) != expected:
            yield Finding(
                "changed file",
                f"{name} is not what the run wrote (checksums.json)",
                "it was edited, or the disk damaged it",
            )


def checkpoints(folder: Path, config_hash: str | None) -> tuple[list[checkpoint.Position], dict[str, str]]:
    """Positions of the whole checkpoints, oldest first, and of the others what is wrong with them."""
    good, damaged = [], {}
    for _, _, path in checkpoint.listed(folder / "checkpoints"):
        try:
            good.append(checkpoint.read(path, config_hash)[1])
        except checkpoint.DamagedCheckpoint as error:
            damaged[path.name] = str(error)
    return good, damaged


def what_is_next(run: Run, good: list[checkpoint.Position], damaged: Mapping[str, str]) -> str:
    """What a resume would do."""
    command = resume_command(run.path)
    if run.status == "running":
        who = read_json(run.path / "status.json") or {}
        return f"it is being worked on by process {who.get('pid')} on {who.get('host')}"
    if not _readable(run):
        return "nothing: what it was asked to do cannot be read"
    epochs, asked = run.epochs, schema.epochs_of(run.config)
    if run.status == "done":
        if stopped_early(run.row_list, run.config["monitor"], run.config["reg"]["patience"]):
            return "nothing is left: it stopped early"
        return f"nothing is left; to extend it: {resume_command(run.path, f'epochs={epochs + 10}')}"
    if run.status == "diverged":
        return "nothing: it would diverge again; start another run with a smaller optim.lr"
    if not good:
        return "no checkpoint can be read: start it anew" if damaged else f"{command} begins with the first epoch"
    last = good[-1]
    where = f"after epoch {last.epoch}" + (f", batch {last.batch}" if last.batch else "")
    return f"{command} goes on {where}, of {asked} epochs"


def _readable(run: Run) -> bool:
    try:
        return isinstance(run.config.get("reg"), dict) and run.epochs >= 0
    except (RequestError, KeyError, TypeError, json.JSONDecodeError):
        return False
