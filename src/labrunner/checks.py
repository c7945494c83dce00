"""Expected facts against found ones: ticks and crosses. A fact that could not be computed is a cross.

A run answers the checks that are about itself. A sweep answers all: of its runs, ``of`` picks those with these values
of swept keys (all, if it is left out), ``take`` says what is compared of them: ``each`` (every one must pass; told is
the worst), or their mean, median, min, max or spread.
"""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labrunner import apart
from labrunner.errors import LabrunnerError
from labrunner.facts import Facts
from labrunner.records import Run, Sweep
from labrunner.relations import RELATIONS, Check, Side, is_pair

COLUMNS = ("check", "fact", "relation", "expected", "found", "passed")
HOLDS: dict[str, Callable[[float, float], bool]] = {
    "at_most": operator.le,
    "at_least": operator.ge,
    "below": operator.lt,
    "above": operator.gt,
}
TAKEN: dict[str, Callable[[list[float]], float]] = {
    "mean": statistics.fmean,
    "median": statistics.median,
    "min": min,
    "max": max,
    "spread": lambda values: max(values) - min(values),
}


@dataclass(frozen=True)
class Subject:
    """A run that is asked."""

    facts: Mapping[str, float]
    values: Mapping[str, Any] = field(default_factory=dict)  # swept key -> value
    run: Run | None = None  # None where no pair of runs is asked about


@dataclass(frozen=True)
class Verdict:
    """How a check came out."""

    check: str
    fact: str  # what was asked, in words
    relation: str
    expected: float | None  # None where it could not be computed
    found: float | None
    passed: bool
    empty: str = ""  # what no run is, where the check asks for runs that there are none of
    worst: str = ""  # of several runs that each must pass: the name of the one that is told
    runs: int = 1  # how many those are
    failed: int = 0  # and how many of them fail

    @property
    def row(self) -> list[Any]:
        """The cells of `COLUMNS`."""
        return [self.check, self.fact, self.relation, _cell(self.expected), _cell(self.found), str(self.passed).lower()]

    def __str__(self) -> str:
        mark = "✓" if self.passed else "✗"
        found, expected = ("not computed" if each is None else f"{each:.6g}" for each in (self.found, self.expected))
        if self.empty:
            found = f"not computed: no run is {self.empty}"
        if self.worst:
            failed = f", {self.failed} of which fail" if self.failed > 1 else ""
            found += f" in run {self.worst}, the worst of {self.runs}{failed}"
        return f"{mark} {self.check}: {self.fact} is {found}, expected {RELATIONS[self.relation]} {expected}"


def of_run(checks: Sequence[Check], run: Run) -> list[Verdict]:
    """The checks that a run answers by itself."""
    mine = [check for check in checks if not check.is_about_several]
    return evaluate(mine, [Subject(Facts(run), {}, run)]) if mine else []


def of_sweep(
    checks: Sequence[Check], sweep: Sweep, also: Sequence[tuple[Mapping[str, Any], int]] = ()
) -> list[Verdict]:
    """All checks, of the runs of a sweep that are over.

    `also` are values that were left out of the sweep since they make the same run as another, with that run's number:
    it answers under them, too.
    """
    if not checks:
        return []
    runs = [(member, run) for member, run in sweep.without_first.runs if run.status in ("done", "diverged")]
    subjects = {member.number: Subject(Facts(run), member.values, run) for member, run in runs}
    twins = [replace(subjects[number], values=values) for values, number in also if number in subjects]
    return evaluate(checks, [*subjects.values(), *twins])


def evaluate(checks: Sequence[Check], subjects: Sequence[Subject]) -> list[Verdict]:
    """A verdict for each check."""
    return [_verdict(check, subjects) for check in checks]


def _verdict(check: Check, subjects: Sequence[Subject]) -> Verdict:
    asked, mine = str(check.found), chosen(check.found, subjects)
    pairs = _pairs(check, mine, subjects)
    known = [(found, expected) for found, expected in pairs if found is not None and expected is not None]
    if not pairs or len(known) < len(pairs):
        found, expected = next((pair for pair in pairs if None in pair), (None, check.expected.number))
        sides = (side for side in (check.found, check.expected) if side.of)
        empty = next((side.picked for side in sides if not chosen(side, subjects)), "")
        return Verdict(check.name, asked, check.relation, expected, found, False, empty)
    # the pair that comes nearest to failing, or fails most, stands for all
    number = min(range(len(known)), key=lambda each: _margin(check, *known[each]))
    found, expected = known[number]
    failed = sum(not _holds(check, *pair) for pair in known)
    verdict = Verdict(check.name, asked, check.relation, expected, found, failed == 0)
    run = mine[number].run if len(known) > 1 else None
    return verdict if run is None else replace(verdict, worst=run.path.name, runs=len(known), failed=failed)


def _pairs(
    check: Check, mine: Sequence[Subject], subjects: Sequence[Subject]
) -> list[tuple[float | None, float | None]]:
    """What was found and what is expected, for each comparison that a check asks for."""
    side, other = check.found, check.expected
    if is_pair(side.fact):
        values = [_apart(side, mine)]
    elif side.take == "each":
        if not other.is_about_several:  # each run's own fact
            return [(_fact(side, subject), _fact(other, subject)) for subject in mine]
        values = [_fact(side, subject) for subject in mine]
    else:
        values = [_taken(side, mine)]
    expected = _taken(other, chosen(other, subjects)) if other.number is None else other.number
    return [(value, expected) for value in values]


def chosen(side: Side, subjects: Sequence[Subject]) -> list[Subject]:
    """The runs that one side is about, each once."""
    picked: dict[Any, Subject] = {}
    for subject in subjects:
        if all(_is(subject, key, value) for key, value in side.of.items()):
            picked.setdefault(id(subject) if subject.run is None else subject.run.path, subject)
    return list(picked.values())


def _is(subject: Subject, key: str, wanted: Any) -> bool:
    if key not in subject.values:
        return False
    value = subject.values[key]
    if isinstance(wanted, Mapping):
        fact = subject.facts.get(wanted["fact"])
        return fact is not None and _alike(value, wanted.get("times", 1) * fact)
    # a list names several values, or is the value itself, as widths are
    return any(_alike(value, each) for each in [wanted, *(wanted if isinstance(wanted, list) else [])])


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool) or isinstance(one, str) or isinstance(other, str):
        return type(one) is type(other) and one == other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9)  # a multiple of a fact was written and read on its way
    return bool(one == other)


def _fact(side: Side, subject: Subject) -> float | None:
    if side.number is not None:
        return side.number
    value = subject.facts.get(side.fact)
    return None if value is None or math.isnan(value) else side.times * value + side.plus


def _taken(side: Side, subjects: Sequence[Subject]) -> float | None:
    values = [subject.facts.get(side.fact) for subject in subjects]
    known = [value for value in values if value is not None and not math.isnan(value)]
    if not known or len(known) < len(values):
        return None
    if side.take == "spread" and any(map(math.isinf, known)):
        return None
    if len(set(known)) == 1 and side.take != "spread":
        return side.times * known[0] + side.plus
    value = TAKEN[side.take](known) if side.take in TAKEN else math.nan  # `each` of different numbers is no number
    return None if math.isnan(value) else side.times * value + side.plus


def _apart(side: Side, subjects: Sequence[Subject]) -> float | None:
    try:
        found = apart.of_runs(side.fact, [subject.run for subject in subjects if subject.run is not None])
    except LabrunnerError:
        return None
    return None if found is None or math.isnan(found) else side.times * found + side.plus


def _holds(check: Check, found: float, expected: float) -> bool:
    if math.isinf(found) and math.isinf(expected):
        return False  # what was never reached is neither earlier nor later than what was never reached
    if check.relation == "equals":
        return found == expected or abs(found - expected) <= check.within
    return HOLDS[check.relation](found, expected)


def _margin(check: Check, found: float, expected: float) -> float:
    """How far a comparison is from failing; negative where it fails."""
    if found == expected:
        return 0.0
    if check.relation == "equals":
        return -abs(found - expected)
    return expected - found if check.relation in ("at_most", "below") else found - expected


def _cell(value: float | None) -> Any:
    return str(value) if value is not None and math.isinf(value) else value
