"""Whether what a manifest names is there, and can be as it says: keys, options, values and facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from labrunner import known_facts, schema
from labrunner.compose.composing import key_of
from labrunner.course import limits
from labrunner.course.manifest import Expected, Experiment, Lines, Range
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue, nearest

Place = tuple[str | int, ...]


def check(
    experiment: Experiment,
    config: Mapping[str, Any],
    keys: Collection[str],
    swept: Sequence[str],
    place: Place,
    lines: Lines,
    known: Catalogue,
) -> None:
    """Refuse the first thing in `allowed` and `expect` that says nothing.

    Parameters
    ----------
    config : of the run that is asked for, or of the sweep
    keys : that some run of it has
    swept : keys that it sweeps over
    place : where the experiment stands in the manifest

    Raises
    ------
    RequestError
        with the line.
    """
    for key, rule in experiment.allowed.items():
        here = (*place, "allowed", key)
        said = _of_allowed(key, experiment, config, keys, swept, known)
        if said is not None:
            raise lines.error(here, said)
        if isinstance(rule, Range) and key in schema.KEYS:
            _check_bounds(rule, partial(limits.of_key, key), here, lines)
    for name, expected in experiment.expect.items():
        here = (*place, "expect", name)
        try:
            known_facts.check_facts([name], config["probes"])
        except RequestError as error:
            raise lines.error(here, str(error).removeprefix("checks: ")) from None
        _check_bounds(expected, partial(limits.of_fact, name), here, lines)


def culprit(experiment: Experiment, said: str) -> Place:
    """Where what an error says stands: the override, or the swept key, that it names first."""
    places: dict[str, Place] = {key: ("sweep", key) for key in experiment.sweep}
    places |= {key_of(text): ("overrides", number) for number, text in enumerate(experiment.overrides)}
    found = {}
    for key in places:
        if named := re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.])", said):
            found[key] = named.start()
    return places[min(found, key=lambda key: found[key])] if found else ("overrides",)


def _of_allowed(
    key: str,
    experiment: Experiment,
    config: Mapping[str, Any],
    keys: Collection[str],
    swept: Sequence[str],
    known: Catalogue,
) -> str | None:
    """What is wrong with a key of `allowed`, bounds apart."""
    rule = experiment.allowed[key]
    if key in swept:
        return f"{key} is swept: all its values are asked for; leave it out here"
    if key == "experiment" or key.startswith("hydra."):
        return f"{key} is kept in no config; name the keys that may vary"
    if key in GROUPS:
        if isinstance(rule, Range):
            return f"{key} is a group; it takes any, or a list of its options"
        unknown = [str(name) for name in rule if known.option(key, str(name)) is None] if isinstance(rule, list) else []
        return str(known.no_option(key, unknown[0])) if unknown else None
    if key not in keys and not (key.partition(".")[0] in experiment.allowed and known.owners(key)):
        return _no_key(key, config, keys)
    for value in rule if isinstance(rule, list) and key in schema.KEYS else []:
        try:
            schema.check_value(key, schema.KEYS[key], value)
        except RequestError as error:
            if schema.takes(key, rule):
                return f"{key} is a list itself; each that it may be stands in a list of them: [{rule}]"
            return str(error)
    return None


def _no_key(key: str, config: Mapping[str, Any], keys: Collection[str]) -> str:
    """What is said of a key that no run of an experiment has, with those that it has."""
    group = key.partition(".")[0]
    section = config.get(group)
    close = nearest(key, [each for each in keys if each != f"{group}.name"])
    hint = f"did you mean {close}? " if close else ""
    if group not in GROUPS or not isinstance(section, Mapping):
        return f"there is no key {key}\n{hint}".strip()
    has = ", ".join(f"{group}.{each}" for each in section if each != "name") or "no keys"
    return f"{group}={section.get('name')} has no key {key}\n{hint}it has {has}"


def _check_bounds(bounds: Range | Expected, odd: Callable[[float], str | None], place: Place, lines: Lines) -> None:
    """Refuse a bound that nothing can be held against; `odd` says why it is one."""
    for relation in ("at_least", "at_most", "equals"):
        value = getattr(bounds, relation, None)
        if value is not None and (said := odd(value)) is not None:
            raise lines.error((*place, relation), said)
