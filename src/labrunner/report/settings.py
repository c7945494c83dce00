"""The config of a run as its page shows it: what was typed, and what differs from what the shipped YAML says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from labrunner.files import from_yaml
from labrunner.helping import Catalogue, Key
from labrunner.records import Run
from labrunner.report.origin import Shown, exact

UNKNOWN = object()  # the default of a key of the user's own, or of one that the YAML looks up


class Setting(NamedTuple):
    """A key; `default` is what it would have been, where that is another value."""

    key: str
    value: Shown
    typed: bool
    default: Shown | None


class Group(NamedTuple):
    """A config group, or the top-level keys, which have no option."""

    name: str
    option: Shown | None
    typed: bool
    default: Shown | None
    settings: list[Setting]


def typed(run: Run) -> list[Shown]:
    """The overrides as they were typed."""
    return [
        Shown(str(text), f"overrides.yaml#overrides/{index}") for index, text in enumerate(_overrides(run), start=1)
    ]


def _overrides(run: Run) -> list[Any]:
    overrides = run.overrides.get("overrides")
    return overrides if isinstance(overrides, list) else []


def settings(run: Run) -> list[Group]:
    """The config, group by group, the top-level keys first."""
    keys = {str(text).split("=", 1)[0].lstrip("+~") for text in _overrides(run)}
    choices, shipped = run.choices, Catalogue()
    top = Group("", None, False, None, [])
    groups = [top]
    for key, value in run.config.items():
        if not isinstance(value, dict):
            top.settings.append(_setting(keys, [key], value, shipped.top.get(key), ["config.yaml", key]))
            continue
        option, default, known, where = None, None, shipped.top, ["config.yaml", key]
        if choices.get(key) is not None:
            option = Shown(choices[key], f"overrides.yaml#choices/{key}")
        elif "name" in value:
            option = exact(value["name"], f"config.yaml#{key}/name")
        if key in shipped.defaults:
            usual = shipped.defaults[key]
            if option is not None and option.text != usual:
                default = Shown(usual, f"conf/config.yaml#defaults/{key}")
            chosen = None if option is None else shipped.option(key, option.text)
            known, where = {} if chosen is None else chosen.keys, [f"{key}/{option.text if option else ''}.yaml"]
        else:
            known = {name.partition(".")[2]: each for name, each in shipped.top.items() if name.startswith(f"{key}.")}
        found = [
            _setting(keys, path, leaf, known.get(".".join(path[1:])), [*where, *path[1:]])
            for path, leaf in _leaves({name: inner for name, inner in value.items() if name != "name"}, [str(key)])
        ]
        groups.append(Group(str(key), option, key in keys, default, found))
    return groups


def _leaves(value: Mapping[str, Any], path: list[str]) -> list[tuple[list[str], Any]]:
    """The values of nested dicts with the keys that lead there; lists and empty dicts are values."""
    found: list[tuple[list[str], Any]] = []
    for key, inner in value.items():
        here = [*path, str(key)]
        found += _leaves(inner, here) if isinstance(inner, dict) and inner else [(here, inner)]
    return found


def _setting(keys: set[str], path: list[str], value: Any, shipped: Key | None, where: list[str]) -> Setting:
    # typing a whole section types what is in it; a group's own name chooses an option and types no value
    path = [str(part) for part in path]
    dotted = [".".join(path[: end + 1]) for end in range(len(path))]
    told = dotted if len(path) == 1 else dotted[1:]
    usual = UNKNOWN if shipped is None else _meant(shipped.value)
    default = None
    if usual is not UNKNOWN and not _alike(usual, value):
        default = exact(usual, f"conf/{where[0]}#{'/'.join(where[1:])}")
    return Setting(
        dotted[-1], exact(value, "config.yaml#" + "/".join(path)), any(name in keys for name in told), default
    )


def _meant(text: str) -> Any:
    """What a value of a shipped YAML file stands for; `UNKNOWN` where that is looked up or computed."""
    if "${" in text or text == "???":
        return UNKNOWN
    return from_yaml(text)


def _alike(one: Any, other: Any) -> bool:
    """Whether two values of YAML mean the same: 1 and 1.0, and the 1e-8 that YAML takes for a word."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if one == other and isinstance(one, bool) == isinstance(other, bool):
        return True
    if isinstance(one, bool) or isinstance(other, bool) or None in (one, other):
        return False
    try:
        return math.isclose(float(one), float(other), rel_tol=0.0)
    except (TypeError, ValueError, OverflowError):
        return False
