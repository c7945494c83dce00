"""Verdicts on what was handed in, and the reasons for them: each told once, the heaviest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from labrunner import checks
from labrunner.course.submissions import Handed, Reason
from labrunner.course.wanted import Required, Wanted

Verdict = Literal["passed", "failed", "look"]
ORDER: tuple[Verdict, ...] = ("passed", "look", "failed")  # of several runs of one experiment, which counts
EFFECTS = ("look", "failed", "note")  # what is told first
WEIGHTS = (  # of what comes to the same, which is told first
    *("copied run", "swapped weights", "other start", "not reproduced", "altered split", "edited file"),
    *("foreign code", "not a run's", "damaged file", "missing file", "not replayed", "not re-evaluated"),
    *("several students", "archive", "no seed assigned", "smoke run", "forbidden override", "missing run"),
    *("interrupted run", "diverged run", "no weights", "other version", "not reached", "check failed"),
)
MOST_ALIKE = 3  # runs of a sweep, or files, of which a reason is told one by one


@dataclass
class Attempt:
    """A run that was taken for one that is asked for; without one it is missing."""

    required: Required
    handed: Handed | None
    reasons: list[Reason] = field(default_factory=list)
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.required.label

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.reasons)


@dataclass
class Graded:
    """One experiment of one student."""

    wanted: Wanted
    attempts: list[Attempt]
    reasons: list[Reason] = field(default_factory=list)  # about all its runs together
    measured: list[checks.Verdict] = field(default_factory=list)  # what the manifest expects, and what was found of it

    @property
    def all_reasons(self) -> list[tuple[str, Reason]]:
        """(which run, as far as there are several; reason); what many runs have in common stands once."""
        found = [("", reason) for reason in self.reasons]
        alike: dict[tuple[str, str], list[tuple[str, Reason]]] = {}
        for attempt in self.attempts:
            for reason in attempt.reasons:
                alike.setdefault((reason.name, reason.effect), []).append((attempt.label, reason))
        for several in alike.values():
            labels = list(dict.fromkeys(label for label, _ in several))
            if len(labels) <= MOST_ALIKE:
                found += several
            else:
                found.append((f"{labels[0]} and {len(labels) - 1} more runs", several[0][1]))
        return sorted(found, key=lambda each: weight(each[1]))

    @property
    def verdict(self) -> Verdict:
        return verdict_of([reason for _, reason in self.all_reasons])

    @property
    def points(self) -> float | None:
        """None where the manifest gives none, and where the lecturer has to look first."""
        most = self.wanted.experiment.points
        if most is None or self.verdict == "look":
            return None
        return most if self.verdict == "passed" else 0.0


@dataclass
class Student:
    """All of one student."""

    name: str
    path: Path
    experiments: list[Graded] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)  # about what no experiment asks for
    runs: int = 0
    seconds: float = 0.0
    trouble: str | None = None  # why nothing could be graded

    @property
    def points(self) -> float | None:
        """The sum so far; None where the manifest gives none."""
        known = [graded.points for graded in self.experiments if graded.wanted.experiment.points is not None]
        return sum(points for points in known if points is not None) if known else None

    @property
    def points_told(self) -> str:
        """The sum in words: ``4 + ?`` where the lecturer has to look before it is known, at other files too."""
        if self.points is None:
            return "–"
        waits = any(each.verdict == "look" and each.wanted.experiment.points is not None for each in self.experiments)
        return f"{self.points:g}{' + ?' if waits or self.others == 'look' else ''}"

    @property
    def others(self) -> Verdict:
        """The verdict on what belongs to no experiment: passed, where there is nothing, or nothing of matter."""
        return verdict_of(self.reasons)

    @property
    def verdict(self) -> Verdict:
        found = {graded.verdict for graded in self.experiments}
        if self.trouble is not None or "look" in found or self.others == "look":
            return "look"
        return "failed" if "failed" in found else "passed"


def verdict_of(reasons: Sequence[Reason]) -> Verdict:
    """What reasons come to: contradictions are for a person to judge, whatever else there is."""
    effects = {reason.effect for reason in reasons}
    return "look" if "look" in effects else "failed" if "failed" in effects else "passed"


def weight(reason: Reason) -> tuple[int, int]:
    """What a reason is sorted by: the heaviest is the least."""
    place = WEIGHTS.index(reason.name) if reason.name in WEIGHTS else len(WEIGHTS)
    return EFFECTS.index(reason.effect), place


def told_once(reasons: Iterable[Reason]) -> list[Reason]:
    """Each reason once, the heaviest first; what is said of several files alike is said of all of them together."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for reason in reasons:
        file, colon, said = reason.evidence.partition(": ")
        named = alike.setdefault((reason.name, reason.effect, said if colon else reason.evidence), [])
        if colon and file not in named:
            named.append(file)
    found = [
        Reason(name, _of_files(files, said), effect)  # type: ignore[arg-type]
        for (name, effect, said), files in alike.items()
    ]
    # that test.json does not count what predictions.csv holds is told with the number, where both were read whole
    if any(reason.evidence.startswith("test.json says ") and " samples, " not in reason.evidence for reason in found):
        found = [
            each for each in found if not (each.evidence.startswith("test.json") and " samples, " in each.evidence)
        ]
    return sorted(found, key=weight)


def _of_files(files: Sequence[str], said: str) -> str:
    """What is said of files alike: ``a, b: it is cut short`` becomes ``a, b: each is cut short``."""
    if len(files) > 1 and said.startswith("it "):
        said = f"each {said.removeprefix('it ')}"
    return f"{listed(files)}: {said}" if files else said


def listed(names: Sequence[str]) -> str:
    """Names one after the other, of many the first and how many there are beside."""
    if len(names) <= MOST_ALIKE + 1:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_ALIKE])} and {len(names) - MOST_ALIKE} more"
