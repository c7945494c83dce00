"""Whether the files of a run folder are whole, agree with each other, and what a resume would begin with.

The folder may be a stranger's: nothing in it is followed out of it, waited for or executed.
"""

from __future__ import annotations

import csv
import math
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labrunner import checkpoint, schema
from labrunner.doctor.finding import Finding
from labrunner.errors import RequestError
from labrunner.files import read_csv, read_json
from labrunner.records import METRICS, MONITORS, TIMING, Run, resume_command
from labrunner.records.names import PREPROCESSING, held, odd
from labrunner.records.sealing import CHECKSUMS, digest, recorded
from labrunner.selection import stopped_early

STATUSES = ("running", "done", "diverged", "failed", "interrupted")
ENDED = ("done", "diverged")
SECTIONS = ("model", "optim", "reg", "freeze")  # of a config; an earlier version may lack one
JSON = ("status.json", "environment.json", "initial.json", PREPROCESSING, "facts.json", "test.json", CHECKSUMS)
OF_EVERY_END = ("metrics.csv", "timing.csv", "facts.json", "checks.csv", "initial.json", PREPROCESSING, "summary.txt")
OF_A_TEST = ("test.json", "predictions.csv", "per_class.csv", "confusion.csv")
APART = 1e-9  # how far an accuracy may be from its own counts, by rounding


@dataclass(frozen=True)
class Integrity:
    """What was found of the files, the state of the run, and what can be done next."""

    findings: list[Finding]
    status: str  # as `Run.status`
    state: str  # in words: status, epochs, the tested one, checkpoints
    next: str  # what a resume would do
    is_legible: bool  # whether config and rows are what a run writes, so that the history can be read


def integrity(run: Run, config_hash: str | None) -> Integrity:
    """Look at all files of a run. `config_hash` is that of its config; None where it cannot be read."""
    folder = run.path
    others = list(strangers(folder))
    if others:  # nothing else is opened
        return Integrity(others, "unknown", "not looked at", "take away what does not belong there first", False)
    status = run.status if run.status in STATUSES else "interrupted"
    findings = [*of_config(run), *of_rows(run)]
    is_legible = not any(finding.name == "damaged file" for finding in findings)
    findings += [*of_json(folder), *of_missing(run), *of_test(folder), *of_checksums(folder)]
    good, damaged = checkpoints(folder, config_hash)
    for name, why in damaged.items():
        findings.append(Finding("damaged checkpoint", f"checkpoints/{name}: {why}", "a resume passes it over, aloud"))
    if is_legible:
        findings += [*of_notes(run), *of_choice(run, good)]
    findings += [
        Finding("left over", f"{path.relative_to(folder)}: a write that was cut", "it is not read, and may go")
        for path in sorted(folder.rglob(".*.tmp"))
    ]
    if status == "running":  # what is being written is not whole
        findings = []
    listed = f"checkpoints: {len(good)} whole" + (f", {len(damaged)} damaged" if damaged else "")
    state = f"{epochs_in_words(run, status) if is_legible else status}; {listed}"
    unknown = "nothing: what it was asked to do cannot be read"
    next_step = what_is_next(run, status, good, damaged) if is_legible else unknown
    return Integrity(findings, status, state, next_step, is_legible)


def strangers(folder: Path) -> Iterator[Finding]:
    """What no run makes: links, pipes, devices, links of whole folders, files too large to be read."""
    for above, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            path = Path(above) / name
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "a pipe, a socket or a device"
                yield Finding("not a run's", f"{path.relative_to(folder)} is {kind}", "no run makes one; take it away")
            elif stat.S_ISREG(mode) and (said := odd(path)) is not None:
                yield Finding("not a run's", said, "no run makes one; take it away")


def of_config(run: Run) -> Iterator[Finding]:
    """Whether config.yaml can be read and holds what every run's does; who runs it checks the rest."""
    try:
        config = run.config
    except RequestError as error:
        yield Finding("damaged file", str(error).splitlines()[0], "put config.yaml back from a copy")
        return
    sections = {name: config.get(name, {}) for name in SECTIONS}
    fits = {
        "epochs": type(config.get("epochs")) is int,
        "smoke": type(config.get("smoke")) is bool,
        "monitor": config.get("monitor") in MONITORS,
        "select": config.get("select") in ("best", "last"),
        **{name: isinstance(section, dict) for name, section in sections.items()},
    }
    if fits["reg"]:
        fits["reg.patience"] = type(sections["reg"].get("patience")) in (int, type(None))
    wrong = [key for key, is_right in fits.items() if not is_right]
    if wrong:
        said = f"{', '.join(wrong)} of config.yaml {'is' if len(wrong) == 1 else 'are'} not what a run writes"
        yield Finding("damaged file", said, "put config.yaml back from a copy")


def of_json(folder: Path) -> Iterator[Finding]:
    for name in JSON:
        if (folder / name).is_file() and read_json(folder / name) is None:
            yield Finding("damaged file", f"{name} holds no JSON object", "put it back from a copy")
    status = read_json(folder / "status.json")
    if status is not None and status.get("status") not in STATUSES:
        said = "status.json does not say how the run stands; it is taken for interrupted"
        yield Finding("damaged file", said, "put it back from a copy, or resume")
    if read_json(folder / CHECKSUMS) is not None and recorded(folder) is None:
        yield Finding("damaged file", f"{CHECKSUMS} holds no checksums", "put it back from a copy")


def of_rows(run: Run) -> Iterator[Finding]:
    """metrics.csv and what grows beside it: whole lines, epochs one after the other, as many in each."""
    counts = {}
    for name, columns in (("metrics.csv", METRICS), ("timing.csv", TIMING)):
        path = run.path / name
        try:
            header, rows = read_csv(path)
            epochs = [int(row[0]) for row in rows]
            numbers = [float(cell) for row in rows for cell in row if cell]
        except (OSError, ValueError, IndexError, csv.Error):
            header, rows, epochs, numbers = [], [], [], []
        is_whole = tuple(header) == columns and all(len(row) == len(columns) for row in rows)
        if not is_whole or not all(map(math.isfinite, numbers)):
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
        yield Finding("contradiction", said, "they grow together; put them back from a copy")


def of_notes(run: Run) -> Iterator[Finding]:
    """What probes note epoch by epoch: no further than the rows, but for the epoch that was cut."""
    most = len(run.row_list) + (run.status != "done")
    for path in sorted((run.path / "probes").glob("*.csv")):
        name = f"probes/{path.name}"
        try:
            header, rows = read_csv(path)
            grows = header[:2] == ["epoch", "step"]  # the others are tables, written whole
            last = max((int(row[0]) for row in rows), default=0) if grows else 0
        except (OSError, ValueError, IndexError, csv.Error):
            header, rows, last = [], [], 0
        if not header or any(len(row) != len(header) for row in rows):
            yield Finding("damaged file", f"{name} is not what a run writes", "put it back from a copy")
        elif last > most:
            said = f"{name} goes to epoch {last}, metrics.csv to {len(run.row_list)}"
            yield Finding("contradiction", said, "they grow together; put them back from a copy")


def of_choice(run: Run, good: list[checkpoint.Position]) -> Iterator[Finding]:
    """Whether the epoch that the rows choose is the tested one, and its weights are there."""
    chosen = run.chosen
    if run.status != "done" or chosen is None:
        return
    tested = (read_json(run.path / "test.json") or {}).get("epoch", chosen.epoch)
    if tested != chosen.epoch:
        said = f"test.json is of epoch {tested}, and by metrics.csv epoch {chosen.epoch} is chosen"
        yield Finding("contradiction", said, "one of them was edited")
    if chosen.epoch not in {position.epoch for position in good if not position.batch}:
        yield Finding(
            "no weights",
            f"the checkpoint of the tested epoch {chosen.epoch} is not there, or not whole",
            "predict and evaluate need it; resume with more epochs makes others",
        )


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
        if not (run.path / name).is_file() and name not in (recorded(run.path) or {}):  # those are looked at anyway
            yield Finding("missing file", f"{name} is not there", "put it back from a copy")


def of_test(folder: Path) -> Iterator[Finding]:
    """Whether test.json, predictions.csv and confusion.csv count the same."""
    said = read_json(folder / "test.json")
    try:
        header, rows = read_csv(folder / "predictions.csv")
        places = [header.index(column) for column in ("label", "predicted")]
        pairs = [tuple(int(row[place]) for place in places) for row in rows]
        table = [[int(cell) for cell in row[1:]] for row in read_csv(folder / "confusion.csv")[1]]
        if any(len(row) != len(table) for row in table):
            raise ValueError
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


def epochs_in_words(run: Run, status: str) -> str:
    """How far a run got: ``done, 30 of 30 epochs, epoch 29 tested``."""
    said = [status, f"{run.epochs} of {schema.epochs_of(run.config)} epochs"]
    if status == "done" and run.test is not None and run.chosen is not None:
        said.append(f"epoch {run.chosen.epoch} tested")
    return ", ".join(said)


def what_is_next(run: Run, status: str, good: list[checkpoint.Position], damaged: Mapping[str, str]) -> str:
    """What a resume would do."""
    command = resume_command(run.path)
    if status == "running":
        return f"nothing: {held(run.path)}"
    epochs, asked = run.epochs, schema.epochs_of(run.config)
    if status == "done":
        if stopped_early(run.row_list, run.config["monitor"], run.config.get("reg", {}).get("patience")):
            return "nothing is left: it stopped early"
        return f"nothing is left; to extend it: {resume_command(run.path, f'epochs={epochs + 10}')}"
    if status == "diverged":
        return "nothing: it would diverge again; start another run with a smaller optim.lr"
    if not good:
        return "no checkpoint can be read: start it anew" if damaged else f"{command} begins with the first epoch"
    last = good[-1]
    where = f"after epoch {last.epoch}" + (f", batch {last.batch}" if last.batch else "")
    return f"{command} goes on {where}, of {asked} epochs"
