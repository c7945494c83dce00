"""The grammar of checks: what an experiment expects, as data. `labrunner.checks` holds it against what was found.

checks:
  - {check: stops_within_the_bound, fact: updates_total, at_most: novikoff_bound}
  - {fact: val_accuracy, of: {model: perceptron, dataset: xor}, take: mean, at_most: 0.65}
  - fact: val_accuracy           # of a sweep: the mean of some runs against the mean of others
    of: {model: mlp}
    take: mean
    at_least: {fact: val_accuracy, of: {model: perceptron}, plus: 0.08}
  - {fact: val_accuracy, of: {optim.lr: {fact: suggested_lr}}, at_least: 0.9}   # the run whose lr is its own fact
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labrunner.errors import RequestError

RELATIONS = {"at_most": "<=", "at_least": ">=", "below": "<", "above": ">", "equals": "="}
TAKES = ("each", "mean", "median", "min", "max", "spread")  # each: every run; spread: max - min
_SIDE = ("fact", "of", "take", "times", "plus")
_CHECK = ("check", *_SIDE, *RELATIONS, "within")


@dataclass(frozen=True)
class Side:
    """One side of a relation: a number, or a fact of one run or several; then ``times * value + plus``."""

    number: float | None = None
    fact: str = ""
    of: Mapping[str, Any] = field(default_factory=dict)  # swept key -> value, list of values, or a `Multiple` as data
    take: str = "each"
    times: float = 1.0
    plus: float = 0.0

    @property
    def is_about_several(self) -> bool:
        """Whether it asks for runs of a sweep."""
        return bool(self.of) or self.take != "each" or is_pair(self.fact)

    @property
    def picked(self) -> str:
        """Which runs it asks for, in words."""
        return ", ".join(f"{key}={_told(value)}" for key, value in self.of.items())

    def __str__(self) -> str:
        if self.number is not None:
            return f"{self.number:g}"
        text = self.fact if self.take == "each" else f"{self.take} {self.fact}"
        if self.times != 1.0:
            text = f"{self.times:g} * {text}"
        if self.of:
            text += f" of {self.picked}"
        return f"{text} {'+' if self.plus > 0 else '-'} {abs(self.plus):g}" if self.plus else text


@dataclass(frozen=True)
class Check:
    """An expected relation between what was found and a number, or another fact."""

    name: str
    found: Side
    relation: str  # a key of `RELATIONS`
    expected: Side
    within: float = 0.0  # of equals: how far apart they may be

    @property
    def facts(self) -> list[str]:
        """All facts that it names."""
        sides = (self.found, self.expected)
        picking = [value["fact"] for side in sides for value in side.of.values() if isinstance(value, Mapping)]
        return [*(side.fact for side in sides if side.fact), *picking]

    @property
    def is_about_several(self) -> bool:
        """Whether only a sweep can answer it."""
        return self.found.is_about_several or self.expected.is_about_several


def is_pair(fact: str) -> bool:
    """Whether a fact is about how far runs lie apart, as ``weights_apart``."""
    return fact.endswith("_apart")


def parse(said: Any) -> list[Check]:
    """The checks of a config. Raises RequestError that names the first which is none."""
    if not isinstance(said, list):
        raise RequestError(f"checks: it takes a list such as [{{fact: val_accuracy, at_least: 0.9}}], not {said}")
    checks = [_check(f"checks[{number}]", each) for number, each in enumerate(said)]
    names = [check.name for check in checks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RequestError(f"checks: two are called {twice}; give one of them another name by check: NAME")
    return checks


def _check(where: str, said: Any) -> Check:
    parts = _parts(where, said, _CHECK)
    relations = [part for part in parts if part in RELATIONS]
    if len(relations) != 1 or "fact" not in parts:
        raise RequestError(f"{where}: it takes a fact and one of {', '.join(RELATIONS)}, and has {', '.join(parts)}")
    relation = relations[0]
    found = _side(where, {part: parts[part] for part in parts if part in _SIDE})
    expected = _expected(f"{where}.{relation}", parts[relation])
    within = _number(f"{where}.within", parts.get("within", 0.0))
    if within < 0.0 or ("within" in parts and relation != "equals"):
        raise RequestError(f"{where}.within: it is the room that equals leaves, a number from 0")
    if is_pair(found.fact) and found.take != "each":
        raise RequestError(f"{where}.take: {found.fact} is of several runs already, the largest between them")
    if is_pair(expected.fact):
        raise RequestError(f"{where}.{relation}: {expected.fact} is of several runs, and stands on the left: fact")
    name = parts.get("check")
    if name is None:
        name = "_".join(f"{found} {relation} {expected}".replace("=", " ").replace("*", "times").split())
    if not isinstance(name, str) or not name:
        raise RequestError(f"{where}.check: it takes a name, not {name}")
    return Check(name, found, relation, expected, within)


def _expected(where: str, said: Any) -> Side:
    if isinstance(said, str) and said:
        if _reads_as_number(said):
            raise RequestError(f"{where}: '{said}' is text; a number stands without quotes")
        return Side(fact=said)
    if isinstance(said, Mapping):
        given = _parts(where, said, _SIDE)
        # of one run the mean is its value; of several, something has to be taken
        return _side(where, {"take": "mean", **given} if given.get("of") else given)
    return Side(number=_number(where, said))


def _side(where: str, parts: dict[str, Any]) -> Side:
    fact, of, take = parts.get("fact"), parts.get("of", {}), parts.get("take", "each")
    if not isinstance(fact, str) or not fact:
        raise RequestError(f"{where}.fact: it takes the name of a fact, not {fact}")
    if not isinstance(of, Mapping):
        raise RequestError(f"{where}.of: it takes swept keys with their values, as {{model: mlp}}, not {of}")
    if take not in TAKES:
        raise RequestError(f"{where}.take: it takes {', '.join(TAKES)}, not {take}")
    times, plus = (
        _number(f"{where}.{part}", parts.get(part, value)) for part, value in (("times", 1.0), ("plus", 0.0))
    )
    for key, value in of.items():
        if isinstance(value, Mapping):
            _parts(f"{where}.of.{key}", value, ("fact", "times"))
            if not isinstance(value.get("fact"), str):
                raise RequestError(f"{where}.of.{key}: it takes a value, a list of values, or {{fact: critical_lr}}")
    return Side(None, fact, {str(key): value for key, value in of.items()}, take, times, plus)


def _parts(where: str, said: Any, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(said, Mapping):
        raise RequestError(f"{where}: it takes a mapping such as {{fact: val_accuracy, at_least: 0.9}}, not {said}")
    for part in said:
        if part not in known:
            close = difflib.get_close_matches(str(part), known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise RequestError(f"{where}.{part}: there is no such part; {hint}it has {', '.join(known)}")
    return {str(part): value for part, value in said.items()}


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise RequestError(f"{where}={value}: it takes a number, or the name of a fact")
    return float(value)


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        times = value.get("times", 1)
        return f"{value['fact']}" if times == 1 else f"{times:g}*{value['fact']}"
    return "|".join(map(str, value)) if isinstance(value, list) else str(value)
