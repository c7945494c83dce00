"""What a manifest asks for, composed: the config that each run must have, and how far a submitted one is from it.

Every key of a run has an expected value this way, also those that nobody typed. What a command line or a file of a
submission says was typed is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from labrunner import relations, schema
from labrunner.compose import SweepPlan, compose, request
from labrunner.compose.composing import key_of
from labrunner.compose.values import written
from labrunner.course import naming
from labrunner.course.manifest import Allowed, Experiment, Lines, Manifest, Range
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue

SPLIT = ("val_fraction", "test_fraction", "split_seed", "classes", "per_class", "label_noise")
SPLIT_KEYS = tuple(f"dataset.{key}" for key in SPLIT)
# where files lie and where it computes is each machine's own; the options of reg and augment are presets of equal keys
NEUTRAL = (*schema.NOT_COMPUTED, "device", "threads", "dataset.root", "dataset.path", "reg.name", "augment.name")
FIRST = "first-run-of-the-sweep"  # stands for its folder, which each student has elsewhere


@dataclass(frozen=True)
class Difference:
    """A key in which a run is not what the manifest asks for."""

    key: str
    expected: str  # in words
    found: str

    @property
    def name(self) -> str:
        if self.key == "smoke":
            return "smoke run"
        return "altered split" if self.key in SPLIT_KEYS else "forbidden override"

    def __str__(self) -> str:
        return f"{self.key} is {self.found}, asked for is {self.expected}"


@dataclass(frozen=True)
class Required:
    """One run that has to be there."""

    values: Mapping[str, Any]  # swept key -> value; empty of a single run
    overrides: tuple[str, ...]
    config: Mapping[str, Any] | None  # None while it waits for the first run

    @property
    def label(self) -> str:
        return ", ".join(f"{key}={schema.shown(value)}" for key, value in self.values.items())


@dataclass(frozen=True)
class Wanted:
    """An experiment of the manifest, composed and checked."""

    experiment: Experiment
    runs: list[Required]
    plan: SweepPlan | None  # of a sweep
    checks: list[relations.Check]  # that the experiment itself has
    expect: list[relations.Check]
    known: Catalogue
    _composed: dict[tuple[str, ...], Mapping[str, Any] | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.experiment.name

    @property
    def swept(self) -> list[str]:
        return [] if self.plan is None else self.plan.keys

    def settled(self, facts: Mapping[str, float]) -> list[Required]:
        """The runs once the first one is known. Raises RequestError when it lacks a fact that others wait for."""
        assert self.plan is not None
        return _required(self.plan.settled(facts, Path(FIRST)))

    def takes_seed(self, required: Required) -> bool:
        """Whether a seed that was assigned takes the place of this run's: nothing of the experiment says another."""
        typed = any(key_of(override) == "seed" for override in required.overrides)
        return not typed and "seed" not in self.experiment.allowed and "seed" not in required.values

    def differences(
        self, required: Required, config: Mapping[str, Any], seed: int | Literal["any"] | None
    ) -> list[Difference]:
        """The keys in which a checked and complete config is not what is asked for.

        `seed` is the one that was assigned to the student, `any` where it is not known; None follows the overrides.
        """
        assert required.config is not None
        allowed = self.experiment.allowed
        found: dict[str, Any] = flat(config)
        differences: list[Difference] = []
        expected = self._with_options(required, config, differences)
        if seed is not None and self.takes_seed(required):
            expected = {**expected, "seed": found.get("seed") if seed == "any" else seed}
        free = [group for group in allowed if group in GROUPS and _is_own(config, group)]
        for key in dict.fromkeys([*expected, *found]):
            group = key.partition(".")[0]
            if key in NEUTRAL or group in free or any(each.key == f"{group}.name" for each in differences):
                continue
            if key == "probes":
                differences += _of_probes(expected[key], found.get(key))
            elif key not in found or key not in expected:
                there = "not there"
                told = [_shown(each[key]) if key in each else there for each in (expected, found)]
                differences.append(Difference(key, *told))
            elif key in allowed:
                if not _is_allowed(allowed[key], found[key]) and not _same(expected[key], found[key]):
                    differences.append(Difference(key, _said(allowed[key]), _shown(found[key])))
            elif not _same(expected[key], found[key]):
                differences.append(Difference(key, _shown(expected[key]), _shown(found[key])))
        return differences

    def _with_options(
        self, required: Required, config: Mapping[str, Any], differences: list[Difference]
    ) -> dict[str, Any]:
        """What is expected, flat, once the options that a student was free to choose are chosen."""
        assert required.config is not None
        chosen: dict[str, str] = {}
        for group, rule in self.experiment.allowed.items():
            if group not in GROUPS or _is_own(config, group):
                continue
            name = _name(config, group)
            if name == _name(required.config, group):
                continue
            if self.known.option(group, name) is None or not _is_allowed(rule, name):
                differences.append(Difference(f"{group}.name", _said(rule), name))
            else:
                chosen[group] = name
        if not chosen:
            return flat(required.config)
        composed = self._recomposed(required, chosen)
        if composed is None:
            differences += [
                Difference(f"{group}.name", _name(required.config, group), name) for group, name in chosen.items()
            ]
        return flat(required.config if composed is None else composed)

    def _recomposed(self, required: Required, chosen: Mapping[str, str]) -> Mapping[str, Any] | None:
        """The config with other options; None where they do not go with the rest."""
        kept = []
        for override in required.overrides:
            group, _, rest = key_of(override).partition(".")
            option = self.known.option(group, chosen[group]) if group in chosen else None
            if option is None or (rest and rest in option.keys):
                kept.append(override)
        texts = (*kept, *(f"{group}={name}" for group, name in chosen.items()))
        if texts not in self._composed:
            try:
                alone = [text for text in texts if not key_of(text).startswith("hydra.")]
                self._composed[texts] = compose(["hydra.mode=RUN", *alone], self.known).config
            except RequestError:
                self._composed[texts] = None
        return self._composed[texts]


def composed(manifest: Manifest, lines: Lines, known: Catalogue) -> list[Wanted]:
    """All experiments of a manifest, each composed and checked.

    Raises
    ------
    RequestError
        for the first that cannot be made, or names what does not exist.
    """
    found = [_wanted(number, experiment, lines, known) for number, experiment in enumerate(manifest.experiments)]
    if manifest.seeds is not None and not any(each.takes_seed(run) for each in found for run in each.runs):
        raise lines.error(("seeds",), "no experiment takes them: each says its own in overrides, sweep or allowed")
    return found


def _wanted(number: int, experiment: Experiment, lines: Lines, known: Catalogue) -> Wanted:
    place = ("experiments", number)
    swept = [f"{key}={several(values)}" for key, values in experiment.sweep.items()]
    try:
        asked = request([*experiment.overrides, *swept], known, multirun=bool(experiment.sweep))
    except RequestError as error:
        raise lines.error((*place, *naming.culprit(experiment, str(error))), str(error)) from None
    plan = asked if isinstance(asked, SweepPlan) else None
    runs = [Required({}, tuple(asked.overrides), asked.config)] if plan is None else _required(plan)
    keys = {
        key for config in (asked.config, *(run.config for run in runs)) if config is not None for key in flat(config)
    }
    naming.check(experiment, asked.config, keys, [] if plan is None else plan.keys, place, lines, known)
    checks = relations.parse(asked.config["checks"])
    if plan is None:
        checks = [check for check in checks if not check.is_about_several]
    return Wanted(experiment, runs, plan, checks, _expectations(experiment), known)


def several(values: Sequence[Any]) -> str:
    """Values as one types them behind -m."""
    return ",".join(map(written, values))


def _required(plan: SweepPlan) -> list[Required]:
    return [
        Required(run.values, tuple(run.overrides), None if run.composed is None else run.composed.config)
        for run in plan.runs
    ]


def _expectations(experiment: Experiment) -> list[relations.Check]:
    """What is expected, as checks."""
    said = [
        {"check": f"{fact} {relation}", "fact": fact, "take": expected.take, relation: value}
        for fact, expected in experiment.expect.items()
        for relation in ("at_least", "at_most", "equals")
        if (value := getattr(expected, relation)) is not None
    ]
    return relations.parse(said)


# comparing


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, str) and FIRST in expected:  # the folder of the first run, wherever the student had it
        return isinstance(found, str) and Path(found).name == "0"
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(_same, expected, found))
    return bool(expected == found)


def _is_allowed(rule: Allowed, found: Any) -> bool:
    if isinstance(rule, Range):
        return rule.holds(found)
    return rule == "any" or any(_same(each, found) for each in rule)


def _of_probes(expected: list[Any], found: Any) -> Iterator[Difference]:
    """More probes than asked for change nothing of what a run computes."""
    missing = [probe for probe in expected if not isinstance(found, list) or probe not in found]
    if missing:
        yield Difference("probes", _shown(expected), _shown(found))


def _name(config: Mapping[str, Any], group: str) -> str:
    return str(config[group].get("name"))


def _is_own(config: Mapping[str, Any], group: str) -> bool:
    """Whether what was chosen is code of somebody's own, whose keys mean what its author likes."""
    section = config.get(group)
    return isinstance(section, Mapping) and "_target_" in section


def _said(rule: Allowed) -> str:
    if isinstance(rule, Range):
        return str(rule)
    return "anything" if rule == "any" else " or ".join(map(_shown, rule))


def _shown(value: Any) -> str:
    return schema.shown(value)
