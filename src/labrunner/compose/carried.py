"""The sweep that an experiment's file carries: Hydra's own parameters, or a `sweep` section.

sweep:
  params:                       # key -> what one would type behind -m, or a list of values
    seed: 0,1,2
  variants:                     # name -> overrides that change together
    plain: {}
    damped: {optim: sgd, optim.momentum: 0.9}
  first: {optim.lr: 0.001}      # a run that the others start from; {first} in their values is its folder
  facts:                        # key -> multiples of a fact of the first run
    optim.lr: {fact: critical_lr, times: [0.5, 0.99, 1.01]}    # of several facts: a list of these
  threshold: 0.9                # of val_accuracy, for the epochs that a run takes to get there
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from labrunner import schema
from labrunner.compose.composing import SECTION, Base, Composer, key_of
from labrunner.compose.names import check_override
from labrunner.compose.values import MOST, Setting, read, too_many, written
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, nearest

PARTS = ("params", "variants", "first", "facts", "threshold")
VARIANT = "variant"  # the swept key of variants
FOLDER = "{first}"  # in a value: the folder of the first run
_MARK = "LABRUNNER_FIRST_FOLDER"  # stands for it where Hydra's grammar would read braces


@dataclass(frozen=True)
class Multiple:
    """A value that waits for a fact of the first run."""

    fact: str
    times: int | float

    def __str__(self) -> str:
        return f"{self.times:g}*{self.fact}"


@dataclass(frozen=True)
class Choice:
    """One value of a swept key, and what it sets."""

    value: Any
    settings: tuple[Setting, ...]

    @property
    def waits(self) -> bool:
        """Whether it can only be written when the first run has ended."""
        return any(isinstance(each.value, Multiple) or _holds(each.value, FOLDER) for each in self.settings)


@dataclass(frozen=True)
class Axis:
    """A swept key and its values, in order."""

    key: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Carried:
    """What an experiment sweeps over."""

    steps: list[Axis | Setting] = field(default_factory=list)  # a `Setting` is a key with a single value
    first: list[Setting] | None = None
    threshold: float | None = None


def axis_of(key: str, values: Iterable[Any], prefixed: str | None = None) -> Axis:
    return Axis(key, tuple(Choice(value, (Setting(prefixed or key, value),)) for value in values))


def carried_by(base: Base, composer: Composer) -> Carried:
    """Read and check the sweep of the chosen experiment; without one there is nothing in it.

    Raises
    ------
    RequestError
        naming the experiment and the part that is wrong.
    """
    from omegaconf import OmegaConf

    params = base.hydra["sweeper"].get("params") or {}
    whole: Any = OmegaConf.to_container(base.config, resolve=False)
    section, there = whole.get(SECTION), SECTION in whole
    if not params and not there:
        return Carried()
    experiment = base.choices.get("experiment")
    if not experiment:
        raise RequestError("a sweep is carried by an experiment's file alone, and another option's has one")
    with _named(f"experiment={experiment}: "):
        if params and there:
            raise RequestError("it has hydra.sweeper.params and a sweep section; put all into one of them")
        if not there:
            with _named("hydra.sweeper.params: "):
                return Carried([_param(str(key), value, composer, many=False) for key, value in params.items()])
        return _section(section, composer)


def _section(section: Any, composer: Composer) -> Carried:
    section = _mapping(SECTION, section, "parts")
    for part in section:
        if part not in PARTS:
            close = nearest(part, PARTS)
            hint = f"did you mean {close}? " if close else ""
            raise RequestError(f"sweep.{part}: there is no such part; {hint}it has {', '.join(PARTS)}")
    steps: list[Axis | Setting] = []
    if "variants" in section:
        variants = _mapping("sweep.variants", section["variants"], "a name for each set of overrides")
        if not variants:
            raise RequestError("sweep.variants has none")
        choices = [
            Choice(name, tuple(_settings(f"sweep.variants.{name}", said, composer))) for name, said in variants.items()
        ]
        steps.append(Axis(VARIANT, tuple(choices)))
    for key, value in _mapping("sweep.params", section.get("params", {}), "keys with their values").items():
        with _named("sweep.params: "):
            steps.append(_param(key, value, composer, many=True))
    for key, value in _mapping("sweep.facts", section.get("facts", {}), "keys").items():
        with _named(f"sweep.facts.{key}: "):
            steps.append(_multiples(key, value))
            check_override(f"{key}=1", composer.known)
    keys = [step.key for step in steps if isinstance(step, Axis)]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise RequestError(f"sweep.facts.{twice}: it stands in sweep.params too")
    first = _settings("sweep.first", section["first"], composer) if "first" in section else None
    if first is None:
        waiting = next(
            (step.key for step in steps if isinstance(step, Axis) and any(each.waits for each in step.choices)), None
        )
        if waiting is not None:
            raise RequestError(
                f"sweep.first is missing: {waiting} waits for a first run; first: {{}} is the experiment as it is"
            )
    elif any(_holds(each.value, FOLDER) for each in first):
        raise RequestError(f"sweep.first: {FOLDER} is its own folder, and stands in the values of the others")
    return Carried(steps, first, _threshold(section.get("threshold")))


def _threshold(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1.0:
        raise RequestError(f"sweep.threshold={written(value)}: it takes a number above 0 and below 1")
    return float(value)


def _mapping(part: str, said: Any, of: str) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise RequestError(f"{part}: it takes a mapping of {of}, and is {written(said)}")
    return {str(key): value for key, value in said.items()}


def _param(key: str, value: Any, composer: Composer, *, many: bool) -> Axis | Setting:
    """A swept key of the file; `many` reads a YAML list as several values, where Hydra's parameters have one list."""
    if many and isinstance(value, list):
        if len(value) > MOST:
            raise too_many(len(value), key)
        texts = [f"{key}={written(each)}" for each in value]
        if not texts:
            raise RequestError(f"{key} names no value")
    else:
        texts = [f"{key}={value if isinstance(value, str) else written(value)}"]
    for text in texts:
        _check(text, composer)
    if many and isinstance(value, list):
        if key in schema.NOT_COMPUTED:
            raise RequestError(f"{key} says how a sweep is carried out, not what its runs compute; set it beside sweep")
        return axis_of(key, value)
    found = read(texts[0].replace(FOLDER, _MARK), composer)
    if isinstance(found, Setting):
        return Setting(found.key, _unmarked(found.value))
    return axis_of(key_of(key), map(_unmarked, found), key)


def _multiples(key: str, said: Any) -> Axis:
    """The values of a key that are multiples of a fact, or of several facts, as a list says."""
    if key in GROUPS or key_of(key) in schema.NOT_COMPUTED:
        raise RequestError(f"{key} takes no multiple of a fact")
    if isinstance(said, list) and not said:
        raise RequestError(f"{key} names no fact")
    multiples = [each for part in (said if isinstance(said, list) else [said]) for each in _multiples_of(part)]
    return Axis(key, tuple(Choice(str(each), (Setting(key, each),)) for each in multiples))


def _multiples_of(said: Any) -> list[Multiple]:
    said = _mapping("it", said, "fact and times")
    unknown = next((part for part in said if part not in ("fact", "times")), None)
    if unknown is not None or len(said) < 2:
        raise RequestError(
            f"it takes fact and times, as in {{fact: critical_lr, times: [0.5, 0.99]}}, not {list(said)}"
        )
    fact, times = said["fact"], said["times"]
    if not isinstance(fact, str) or not fact:
        raise RequestError(f"fact: it takes the name of a fact, not {written(fact)}")
    if not isinstance(times, list) or not times or not all(_is_number(each) for each in times):
        raise RequestError(f"times: it takes a list of numbers, not {written(times)}")
    return [Multiple(fact, each) for each in times]  # whole ones of a whole fact stay whole, as epochs must be


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _settings(part: str, said: Any, composer: Composer) -> list[Setting]:
    """Overrides that change together: a list of them as typed, or a mapping; a group's section stands for its keys."""
    with _named(f"{part}: "):
        if said is None:
            return []
        if isinstance(said, dict):
            pairs = [(str(key), value) for key, value in said.items()]
            flat: list[tuple[str, Any]] = []
            for key, value in pairs:
                inside = key in GROUPS and isinstance(value, dict)
                flat += [(f"{key}.{name}", each) for name, each in value.items()] if inside else [(key, value)]
            settings = [Setting(key, value) for key, value in flat]
            for setting in settings:
                _check(setting.text, composer)
            return settings
        if not isinstance(said, list) or not all(isinstance(text, str) for text in said):
            raise RequestError(
                "it takes a mapping such as {optim.lr: 0.1}, or a list of overrides such as [optim.lr=0.1]"
            )
        settings = []
        for text in said:
            _check(text, composer)
            found = read(text.replace(FOLDER, _MARK), composer)
            if not isinstance(found, Setting):
                raise RequestError(f"{text} names several values; what is swept over stands in sweep.params")
            settings.append(Setting(found.key, _unmarked(found.value)))
        return settings


def _check(text: str, composer: Composer) -> None:
    check_override(text, composer.known)
    key = key_of(text)
    if key == "experiment" or key.startswith("hydra."):
        raise RequestError(f"{text}: {key} cannot change from run to run")


def filled(setting: Setting, folder: str, facts: dict[str, float] | None) -> Setting:
    """A setting with the first run's folder and facts in it; without facts, with the multiples as stand-ins."""
    if isinstance(setting.value, Multiple):
        of = 1 if facts is None else facts[setting.value.fact]
        value = setting.value.times * of
        # fifteen digits: what is shown and typed again is the number itself, 0.234 and not 0.23399999999999999
        return Setting(setting.key, float(f"{value:.15g}") if isinstance(value, float) else value)
    return Setting(setting.key, _mapped(setting.value, lambda text: text.replace(FOLDER, folder)))


def _holds(value: Any, text: str) -> bool:
    if isinstance(value, dict):
        return any(_holds(each, text) for each in value.values())
    if isinstance(value, list):
        return any(_holds(each, text) for each in value)
    return isinstance(value, str) and text in value


def _unmarked(value: Any) -> Any:
    return _mapped(value, lambda text: text.replace(_MARK, FOLDER))


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(each, change) for key, each in value.items()}
    if isinstance(value, list):
        return [_mapped(each, change) for each in value]
    return change(value) if isinstance(value, str) else value


@contextmanager
def _named(prefix: str) -> Iterator[None]:
    """Errors inside begin with where they were found."""
    try:
        yield
    except RequestError as error:
        raise RequestError(f"{prefix}{error}") from None
