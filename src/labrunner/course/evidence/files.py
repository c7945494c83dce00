"""Whether a run's files are whole and what the run wrote: the doctor's findings, as reasons for a verdict."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labrunner.course.submissions import Handed, Reason, too_much
from labrunner.course.verdicts import listed
from labrunner.doctor import Finding, integrity, strangers
from labrunner.errors import RequestError
from labrunner.files import read_bytes
from labrunner.helping import Catalogue
from labrunner.records import load_run
from labrunner.records.sealing import CHECKSUMS, recorded, sealed
from labrunner.saved import checked_config
from labrunner.schema import epochs_of
from labrunner.selection import stopped_early
from labrunner.trust import check_saved

LINE_ENDS = "other line ends"
CODE = re.compile(r"yaml\.org,2002:python/([^'\s]+)")
EDITED, SWAPPED, DAMAGED, FOREIGN = "edited file", "swapped weights", "damaged file", "foreign code"
NO_WEIGHTS, STRANGE, INTERRUPTED = "no weights", "not a run's", "interrupted run"
OTHERS = ("it belongs to a run with another config", "it was written as")  # what is said of a checkpoint not its own
MISSING = "missing file"
NEEDED = ("config.yaml", "metrics.csv")  # without which there is nothing to look at
SO = {  # what cannot be seen without a file
    "environment.json": "the version, and the samples that it was made with, cannot be checked",
    "status.json": "whether it came to its end cannot be checked",
    "predictions.csv": "its numbers of the test split cannot be held against what it predicted",
    "test.json": "its numbers of the test split cannot be checked",
    "initial.json": "where it began cannot be checked",
    "timing.csv": "whether it is somebody else's run cannot be checked by its times",
    "facts.json": "its facts cannot be checked",
}
MOST = 64_000_000  # bytes of a text whose line ends are looked at
CHANGED = "changed file"  # as the doctor calls it
UNIMPORTANT = ("left over", "failed", "diverged", "cut line")  # the status of a run tells of these


def look_at(handed: Handed, known: Catalogue, code: Path | None, trust: bool) -> None:
    """Find what is wrong with the files of a run, and read its config where it can be used."""
    folder = handed.path
    others = [*_strangers(folder), *too_much(folder)]
    if others:  # nothing is opened
        handed.reasons += others
        return
    handed.missing = [name for name in NEEDED if not (folder / name).is_file()]  # one is there, or it is no run
    if handed.missing:
        said = f"{handed.missing[0]} is not there, so that nothing of the run can be checked"
        handed.reasons.append(Reason(MISSING, said, "look"))
        return
    try:
        handed.run = load_run(folder)
        handed.config = _config(handed, known, code, trust)
    except RequestError as error:
        said = _first_line(error, folder)
        if (tag := CODE.search(said)) is not None:  # which a reader of YAML that trusts its files would run
            said = f"config.yaml asks for code to be executed (!!python/{tag[1]}), which is not done"
        handed.reasons.append(Reason(DAMAGED if tag is None else FOREIGN, said, "look"))
        return
    if handed.config is None:
        return
    from labrunner.running import config_hash

    try:
        found = integrity(handed.run, config_hash(handed.run.config))
    except (TypeError, ValueError) as error:
        handed.reasons.append(Reason(DAMAGED, str(error).splitlines()[0], "look"))
        handed.config = None
        return
    handed.reasons += _unsealed(handed)
    handed.reasons += _changed(handed, [each for each in found.findings if each.name == CHANGED])
    handed.reasons += _missing(handed, [each for each in found.findings if each.name == MISSING])
    handed.reasons += [reason for finding in found.findings if (reason := _reason(finding, folder)) is not None]
    if not found.is_legible:
        handed.config = None
        return
    handed.reasons += _ended(handed, handed.config)


def _strangers(folder: Path) -> list[Reason]:
    return [Reason(STRANGE, finding.evidence, "look") for finding in strangers(folder)]


def _config(handed: Handed, known: Catalogue, code: Path | None, trust: bool) -> dict[str, Any] | None:
    """The config of a run, checked and complete; None where it names code that is not to be run."""
    saved, is_trusted = handed.run.config, trust
    named = None if trust else next(_code_in(saved), None)
    if named is not None:
        if code is None:
            said = f"it is made of {named}, which is not run; code: in the manifest names your own copy of it"
            handed.reasons.append(Reason(FOREIGN, said, "look"))
            return None
        try:
            check_saved(saved, code)
        except RequestError as error:
            handed.reasons.append(Reason(FOREIGN, str(error).splitlines()[0], "look"))
            return None
        is_trusted = True  # by what has just been looked at, beside the manifest instead of in the current folder
    # nothing is cached where a stranger's config says, and what was chosen is read from the config alone
    return checked_config({**saved, "cache": None}, {}, known, trust=is_trusted, say=lambda text: None)


def _code_in(value: Any) -> Iterator[str]:
    """What in a config names code: a ``_target_`` wherever it is, and a probe of somebody's own, which has a dot."""
    if isinstance(value, Mapping):
        for key, inside in value.items():
            if key == "_target_":
                yield str(inside)
            elif key == "probes" and isinstance(inside, list):
                yield from (each for each in inside if isinstance(each, str) and "." in each)
            else:
                yield from _code_in(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _code_in(inside)


def _first_line(error: RequestError, folder: Path) -> str:
    return str(error).splitlines()[0].replace(f"{folder}/", "").replace(str(folder), "it")


def _reason(finding: Finding, folder: Path) -> Reason | None:
    """What a finding of the doctor's is in a verdict."""
    name, evidence = finding.name, finding.evidence
    if name in (*UNIMPORTANT, CHANGED, MISSING):
        return None
    if name == "contradiction":
        return Reason(EDITED, evidence, "look")
    if name == "damaged checkpoint" and any(said in evidence for said in OTHERS):
        return Reason(SWAPPED, evidence, "look")
    if name in ("no weights", "no checkpoint"):
        there = any((folder / "checkpoints").glob("*.safetensors"))
        return None if there else Reason(NO_WEIGHTS, "checkpoints/ holds none; they have to be handed in", "failed")
    return Reason(STRANGE if name == STRANGE else DAMAGED, evidence, "look")


def _changed(handed: Handed, findings: Sequence[Finding]) -> Iterator[Reason]:
    """The files that are not what the run wrote, told together; git may have changed their line ends alone."""
    names = [finding.evidence.partition(" is not what")[0] for finding in findings]
    sums = recorded(handed.path) or {}
    only_ends = [name for name in names if _has_other_line_ends_alone(handed.path / name, sums.get(name))]
    handed.changed = [name for name in names if name not in only_ends]
    if handed.changed:
        what = "is" if len(handed.changed) == 1 else "are"
        yield Reason(EDITED, f"{_counted(handed.changed)} {what} not what the run wrote ({CHECKSUMS})", "look")
    if only_ends:
        what = "differs" if len(only_ends) == 1 else "differ"
        yield Reason(LINE_ENDS, f"{_counted(only_ends)} {what} from what the run wrote in nothing else", "note")


def _has_other_line_ends_alone(path: Path, expected: str | None) -> bool:
    """Whether a text is what was written but for carriage returns before its line ends, as git's autocrlf puts them."""
    if path.stat().st_size > MOST:
        return False
    return hashlib.sha256(read_bytes(path).replace(b"\r\n", b"\n")).hexdigest() == expected


def _counted(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} files ({listed(names)})"


def _missing(handed: Handed, findings: Sequence[Finding]) -> Iterator[Reason]:
    """The files that are not there, each with what cannot be seen without it."""
    named = [finding.evidence.partition(" ")[0] for finding in findings]
    yield from gone(handed, [*named, "environment.json"])


def gone(handed: Handed, names: Sequence[str]) -> Iterator[Reason]:
    """Those of some files that are not there, and were not told of before."""
    new = [name for name in dict.fromkeys(names) if name not in handed.missing and not (handed.path / name).is_file()]
    handed.missing += new
    for name in new:
        yield Reason(MISSING, f"{name} is not there{f', so that {SO[name]}' if name in SO else ''}", "look")


def _unsealed(handed: Handed) -> Iterator[Reason]:
    """Files of a run that is over without a checksum: whoever edits them takes it away."""
    if handed.run.status not in ("done", "diverged"):
        return
    sums = recorded(handed.path)
    if sums is None:
        yield Reason(EDITED, f"{CHECKSUMS} is not there, which a run writes at its end", "look")
        return
    names = [path.relative_to(handed.path).as_posix() for path in sealed(handed.path)]
    missing = [name for name in names if name not in sums]
    if missing:
        yield Reason(EDITED, f"{CHECKSUMS} does not know {', '.join(missing)}", "look")


def _ended(handed: Handed, config: Mapping[str, Any]) -> Iterator[Reason]:
    """Whether it came to its end."""
    run, asked = handed.run, epochs_of(config)
    if run.status == "diverged" or "status.json" in handed.missing:
        return  # of which a sweep thinks otherwise than a single run
    if run.status != "done":
        yield Reason(INTERRUPTED, f"it is {run.status}, {run.epochs} of {asked} epochs", "failed")
    elif run.epochs < asked and not stopped_early(run.row_list, config["monitor"], config["reg"]["patience"]):
        yield Reason(EDITED, f"it is done, and metrics.csv has {run.epochs} of {asked} epochs", "look")
