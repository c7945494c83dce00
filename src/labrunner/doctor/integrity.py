"""Whether the files of a run folder are whole, agree with each other, and what a resume would begin with.

The folder may be a stranger's: nothing in it is followed out of it, waited for or executed.
"""

from __future__ import annotations

import csv
import math
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labrunner import checkpoint, schema
from labrunner.doctor.finding import Finding, never_a_number
from labrunner.errors import RequestError
from labrunner.files import read_csv, read_json
from labrunner.records import METRICS, MONITORS, TIMING, Run, resume_command
from labrunner.records.names import PREPROCESSING, held, odd
from labrunner.records.sealing import CHECKSUMS, digest, recorded
from labrunner.selection import longer, stopped_early

STATUSES = ("running", "done", "diverged", "failed", "interrupted")
ENDED = ("done", "diverged")
SECTIONS = ("model", "optim", "reg", "freeze")  # of a config; an earlier version may lack one
JSON = ("status.json", "environment.json", "initial.json", PREPROCESSING, "facts.json", "test.json", CHECKSUMS)
ALWAYS = ("config.yaml", "metrics.csv", "timing.csv", "status.json")  # in the folder of any run that has begun
OF_EVERY_END = ("facts.json", "checks.csv", "initial.json", PREPROCESSING, "summary.txt")
OF_A_TEST = ("test.json", "predictions.csv", "per_class.csv", "confusion.csv")
SAYS = {  # what must be legible before anything can be told of a run
    "config.yaml": "which says what it was asked to do",
    "metrics.csv": "which says how far it got",
}
APART = 1e-9  # how far an accuracy may be from its own counts, by rounding


@dataclass(frozen=True)
class Integrity:
    """What was found of the files, the state of the run, and what can be done next."""

    findings: list[Finding]
    status: str  # as `Run.status`
    progress: str  # in words: status, epochs, the tested one
    checkpoints: str  # in words
    next: str  # what a resume would do
    is_legible: bool  # whether config and rows are what a run writes, so that the history can be read


def integrity(run: Run, config_hash: str | None) -> Integrity:
    """Look at all files of a run. `config_hash` is that of its config; None where it cannot be read."""
    folder = run.path
    others = list(strangers(folder))
    if others:  # nothing else is opened
        return Integrity(others, "unknown", "not looked at", "", "take away what does not belong there first", False)
    status = run.status if run.status in STATUSES else "interrupted"
    of_files = {
        "config.yaml": list(of_config(run)),
        "metrics.csv": list(of_table(run, "metrics.csv", METRICS)),
        "timing.csv": list(of_table(run, "timing.csv", TIMING)),
    }
    findings = [*of_status(run), *(finding for found in of_files.values() for finding in found)]
    broken = [
        name
        for name, found in of_files.items()
        if not (folder / name).is_file() or any(finding.name == "damaged file" for finding in found)
    ]
    needed = next((name for name in broken if name in SAYS), None)
    is_legible = needed is None
    findings += [*of_json(folder), *of_missing(run), *of_test(folder), *of_checksums(folder)]
    good, damaged = checkpoints(folder, config_hash)
    for name, why in damaged.items():
        advice = "a resume passes it over, aloud" if good else "no other is whole, so that a resume refuses"
        findings.append(Finding("damaged checkpoint", f"checkpoints/{name}: {why}", advice))
    if is_legible:
        timed = None if "timing.csv" in broken else len(read_csv(folder / "timing.csv")[1])
        findings += [*of_reach(run, timed, good, damaged), *of_notes(run), *of_choice(run, good)]
    findings += [
        Finding("left over", f"{path.relative_to(folder)}: a write that was cut", "it is not read, and may go")
        for path in sorted(folder.rglob(".*.tmp"))
    ]
    if status == "running":  # what is being written is not whole
        findings = []
    listed = f"checkpoints: {len(good)} whole" + (f", {len(damaged)} damaged" if damaged else "")
    progress = progress_in_words(run, status, good) if is_legible else status
    if needed is None:
        next_step = what_is_next(run, status, good, damaged)
    elif status == "running":
        next_step = f"nothing: {held(folder)}"
    else:
        next_step = f"nothing yet: {needed}, {SAYS[needed]}, cannot be read; put it back from a copy first"
    return Integrity(findings, status, progress, listed, next_step, is_legible)


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
    if not (run.path / "config.yaml").is_file():  # which `of_missing` names
        return
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


def of_status(run: Run) -> Iterator[Finding]:
    """Why a run failed, as it said itself."""
    if run.status == "failed":
        lines = str(run.error or "").strip().splitlines() or ["status.json does not say of what"]
        yield Finding("failed", lines[0], "mend what it names, then go on as next: says")


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


def of_table(run: Run, name: str, columns: tuple[str, ...]) -> Iterator[Finding]:
    """What grows by a row in each epoch: whole lines, epochs one after the other."""
    path = run.path / name
    if not path.is_file():
        return
    try:
        header, rows = read_csv(path)
        epochs = [int(row[0]) for row in rows]
        numbers = [float(cell) for row in rows for cell in row if cell]
    except (OSError, ValueError, IndexError, csv.Error):
        header, rows, epochs, numbers = [], [], [], []
    is_whole = tuple(header) == columns and all(len(row) == len(columns) for row in rows)
    if not is_whole or not all(map(math.isfinite, numbers)):
        yield Finding("damaged file", f"{name} is not what a run writes", "put it back from a copy")
        return
    if epochs != list(range(1, len(epochs) + 1)):
        yield Finding("damaged file", f"the epochs of {name} are not 1, 2, 3 and so on", "put it back from a copy")
    if not path.read_bytes().endswith(b"\n"):
        yield Finding("cut line", f"the last line of {name} is not whole", "a resume computes it again")


def of_reach(
    run: Run, timed: int | None, good: list[checkpoint.Position], damaged: Mapping[str, str]
) -> Iterator[Finding]:
    """How far metrics.csv goes, beside timing.csv with `timed` rows and the checkpoints."""
    epochs = len(run.row_list)
    # a row goes into one after the other: a kill in between leaves one more
    if timed is not None and not 0 <= epochs - timed <= (run.status not in ENDED):
        said = f"{epochs} rows in metrics.csv and {timed} rows in timing.csv"
        yield Finding("contradiction", said, "they grow together; put them back from a copy")
    if good and good[-1].epoch > epochs:  # which is written after the row
        said = f"checkpoints/{good[-1].file_name} follows epoch {good[-1].epoch}, and metrics.csv has {epochs} epochs"
        yield Finding("contradiction", said, "put metrics.csv back from a copy, or have those epochs computed again")
    if run.needs_checkpoint and run.status not in ENDED and not good and not damaged:  # no kill leaves that
        said = f"metrics.csv has {epochs} epochs, and there is no checkpoint of any"
        yield Finding("no checkpoint", said, "put checkpoints/ back from a copy; else start the run anew")


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
            "predict and evaluate need it; put it back from a copy",
        )


def of_missing(run: Run) -> Iterator[Finding]:
    """Files that a run of this status has."""
    names = list(ALWAYS)
    if run.status in ENDED:
        data = read_json(run.path / "facts.json") or {}
        ends = [*OF_EVERY_END, *(OF_A_TEST if run.status == "done" and data.get("test_samples") else ())]
        if read_json(run.path / "environment.json") is None or recorded(run.path) is None:  # an earlier version
            ends = [name for name in ends if name not in ("facts.json", "checks.csv", PREPROCESSING)]
        names += ends
    for name in names:
        if not (run.path / name).is_file() and name not in (recorded(run.path) or {}):  # those are looked at anyway
            said = "; without it the run is taken for interrupted" if name == "status.json" else ""
            yield Finding("missing file", f"{name} is not there", f"put it back from a copy{said}")


def of_test(folder: Path) -> Iterator[Finding]:
    """Whether test.json, predictions.csv and confusion.csv count the same."""
    said = read_json(folder / "test.json")
    try:
        header, rows = read_csv(folder / "predictions.csv")
        places = [header.index(column) for column in ("label", "predicted")]
        pairs = [tuple(int(row[place]) for place in places) for row in rows]
        chances = [place for place, column in enumerate(header) if column.startswith("p_")]
        if not all(math.isfinite(float(row[place])) for row in rows for place in chances):
            raise ValueError
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
    if said is not None and isinstance(loss := said.get("loss"), float) and not math.isfinite(loss):
        yield Finding(
            "contradiction", f"test.json says loss {loss}, and a run with such a loss diverges", "it was edited"
        )
    if said is not None and pairs:
        accuracy = sum(label == predicted for label, predicted in pairs) / len(pairs)
        stated = said.get("accuracy")
        if said.get("n") != len(pairs) or not isinstance(stated, float) or not abs(stated - accuracy) <= APART:
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


def progress_in_words(run: Run, status: str, good: list[checkpoint.Position]) -> str:
    """How far a run got: ``done, 30 of 30 epochs, epoch 29 tested``."""
    said = [status, f"{run.epochs} of {schema.epochs_of(run.config)} epochs"]
    if status == "done" and run.test is not None and run.chosen is not None:
        said.append(f"epoch {run.chosen.epoch} tested")
    if status != "done" and good and good[-1].batch and good[-1].epoch == run.epochs:
        said.append(f"batch {good[-1].batch} of the next")
    return ", ".join(said)


def what_is_next(run: Run, status: str, good: list[checkpoint.Position], damaged: Mapping[str, str]) -> str:
    """What a resume would do."""
    if status == "running":
        return f"nothing: {held(run.path)}"
    if status == "diverged":
        other = "once it begins with a loss that is a number" if never_a_number(run) else "with a smaller optim.lr"
        return f"nothing: it would diverge again; start another run {other}"
    epochs, asked = run.epochs, schema.epochs_of(run.config)
    reached = [position for position in good if position.epoch <= len(run.row_list)]
    why_not = why_no_resume(run, good, damaged) if not reached else None
    if status == "done":
        early = stopped_early(run.row_list, run.config["monitor"], run.config.get("reg", {}).get("patience"))
        drawn = undrawn(run)
        if early:
            return f"nothing is left: it stopped early{drawn}"
        if run.config["smoke"]:
            return f"nothing is left: a smoke run has one epoch{drawn}"
        if epochs >= asked and why_not is not None:
            return f"nothing is left, and it cannot be extended: {why_not}; for more epochs start the run anew{drawn}"
        if epochs >= asked:
            return f"nothing is left; to extend it: {resume_command(run.path, f'epochs={longer(epochs)}')}{drawn}"
    if why_not is not None:
        return f"start the run anew: {why_not}"
    if not reached:
        return f"{resume_command(run.path)} begins with the first epoch"
    last = reached[-1]
    where = f"after epoch {last.epoch}" + (f", batch {last.batch}" if last.batch else "")
    passed = "" if last is good[-1] else ": the newest whole checkpoint that metrics.csv reaches"
    return f"{resume_command(run.path)} goes on {where}, of {asked} epochs{passed}"


def why_no_resume(run: Run, good: list[checkpoint.Position], damaged: Mapping[str, str]) -> str | None:
    """Why a run of which no checkpoint can be used is not gone on with; None where it begins with its first epoch."""
    if good:
        return "metrics.csv reaches none of its whole checkpoints"
    if damaged:
        return "no checkpoint can be read"
    return "it has no checkpoint" if run.needs_checkpoint else None


def undrawn(run: Run) -> str:
    """What draws a finished run of which nothing is drawn, though figures are asked for."""
    figures = run.path / "figures"
    is_drawn = (run.path / "report.html").is_file() or (figures.is_dir() and any(figures.iterdir()))
    if is_drawn or run.config.get("figures", "none") == "none":
        return ""
    return f"; to draw it: {shlex.join(['labrunner', 'report', str(run.path)])}"
