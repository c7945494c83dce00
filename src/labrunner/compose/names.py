"""What was typed, held against the names in the YAML files: milliseconds, and no Hydra."""

from __future__ import annotations

import re
import shlex

from labrunner import schema
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue, nearest

SWEEP = re.compile(r"^(?:(?:int|float|str|bool)\()*(?:range|choice|interval|glob|sort|shuffle|tag)\(")
MODES = ("RUN", "MULTIRUN")  # of hydra.mode: a single run, also of an experiment that sweeps; a sweep, as with -m
ENVIRONMENT = re.compile(r"\$\{\s*oc\s*\.")  # OmegaConf's own resolvers: the environment, and ways around our checks
PREFIX = re.compile(r"^(\+\+|\+|~)?(.*)$", re.DOTALL)


def check_override(text: str, known: Catalogue) -> None:
    """Refuse an override whose names do not exist, with the nearest that do."""
    prefix, body = split_prefix(text)
    key, equals, value = body.partition("=")
    key = key.strip()
    if prefix != "~" and not (equals and key):
        raise RequestError(f"'{text}' is no override: write key=value, as in optim.lr=0.01")
    if ENVIRONMENT.search(value):
        raise RequestError(
            f"{key}: values from the environment or from other places are not read; write the value itself"
        )
    if key.startswith(("hydra.", "hydra/")):
        _check_hydra(text, prefix, key, value.strip())
        return
    group, _, rest = key.partition(".")
    if prefix == "~":
        raise RequestError(f"'{text}': a key cannot be taken away; choose another option of its group")
    if key in GROUPS:
        _check_choice(group, value.strip(), known)
    elif group in GROUPS:
        _check_group_key(group, rest, prefix, known)
    elif key not in known.top:
        refuse_key(key, known)
    if prefix == "+":
        raise RequestError(f"{text}: {key} is there already, so it is set without the plus sign: {body}")
    if not value.strip():
        kind = schema.KEYS.get(key)
        takes = f"; it takes {schema.describe(kind)}" if kind is not None else ""
        raise RequestError(f"{key}= has no value{takes}")


def split_prefix(text: str) -> tuple[str, str]:
    match = PREFIX.match(text)
    assert match is not None
    return match[1] or "", match[2]


def _check_hydra(text: str, prefix: str, key: str, value: str) -> None:
    """Of Hydra's own keys those have an effect that name a folder, or say whether this is a sweep."""
    if key.startswith(("hydra.sweeper", "hydra/sweeper")):
        raise RequestError(f"{key}: what a sweep goes through stands behind -m: labrunner -m optim.lr=0.01,0.1")
    if key.startswith(("hydra.launcher", "hydra/launcher")):
        raise RequestError(
            f"{key}: labrunner starts the runs itself; put values behind -m, and jobs=2 for two processes"
        )
    if key == "hydra.sweep.subdir":
        raise RequestError(f"{key}: run folders are numbered; the sweep's own folder is hydra.sweep.dir")
    if key == "hydra.searchpath":
        raise RequestError(f"{key}: a folder with options of your own is named by --config-dir FOLDER")
    for folder in ("hydra.run.", "hydra.sweep."):
        if key.startswith(folder) and key != f"{folder}dir":
            raise RequestError(f"there is no key {key}; did you mean {folder}dir?")
    if key not in ("hydra.run.dir", "hydra.sweep.dir", "hydra.mode"):
        raise RequestError(
            f"{key} would have no effect; of Hydra's own keys labrunner takes hydra.run.dir and hydra.sweep.dir"
        )
    if prefix and key != "hydra.run.dir":
        raise RequestError(f"{text}: {key} is there already, so it is set without a sign: {key}={value}")
    if not value:
        raise RequestError(f"{key}= has no value")
    if key == "hydra.mode" and value not in MODES:
        raise RequestError(f"hydra.mode={value}: it takes MULTIRUN (a sweep, as -m does) or RUN (a single run)")


def _check_choice(group: str, value: str, known: Catalogue) -> None:
    names = [option.name for option in known.options(group)]
    if value in names or is_sweep(value):
        return
    if not value:
        raise RequestError(f"{group}= has no value; there are {', '.join(names)}")
    raise known.no_option(group, value)


def _check_group_key(group: str, rest: str, prefix: str, known: Catalogue) -> None:
    if rest == "name":
        raise RequestError(f"{group}.name is reserved; choose an option with {group}=…")
    if known.owners(f"{group}.{rest}"):
        return
    # an option of the user's may have keys in any form YAML allows; Hydra knows better than our quick reading
    if any(option.is_own for option in known.options(group)):
        return
    refuse_key(f"{group}.{rest}", known)


def refuse_key(key: str, known: Catalogue) -> None:
    close = nearest(key, [*known.all_keys(), *GROUPS])
    hint = f"; did you mean {close}?" if close else "; labrunner --help lists them"
    raise RequestError(f"there is no key {key}{hint}")


def is_sweep(value: str) -> bool:
    """Whether Hydra's grammar reads several values: a comma outside of brackets and quotes, or a sweep function."""
    if SWEEP.match(value):
        return True
    depth, quote = 0, ""
    for character in value:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        elif character == "," and depth == 0:
            return True
    return False


def refuse_several(text: str, sweep: str | None = None) -> None:
    """Refuse several values where there is a single run, and say the command of a sweep over them, if there is one."""
    _, body = split_prefix(text)
    key, _, value = body.partition("=")
    key, value = key.strip(), value.strip()
    if key not in schema.PATHS and is_sweep(value):
        raise several(text, sweep)


def several(text: str, sweep: str | None = None) -> RequestError:
    key, _, value = split_prefix(text)[1].partition("=")
    kind = schema.KEYS.get(key.strip())
    as_list = f"[{value.strip()}]"
    lines = [f"{text} names several values, and a run takes one"]
    if schema.is_list(kind) and "(" not in value and "[" not in value:
        lines.append(f"one list of them is written {shlex.quote(f'{key}={as_list}')}")
    elif sweep is not None:
        lines.append(f"a sweep over them is: {sweep}")
    return RequestError("\n".join(lines))


def quote_paths(override: str) -> str:
    """Quote the value of a key that takes a path: brackets, commas and equal signs are plain letters there."""
    key, _, value = override.partition("=")
    if key not in schema.PATHS or value[:1] in "'\"":
        return override
    if value == "null" and key in schema.KEYS and schema.takes(key, None):
        return override
    # in Hydra's quotes a backslash is a plain letter, but for those in front of a quote
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), value)
    return f"{key}='{escaped}'"


# what Hydra made
