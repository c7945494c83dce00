"""What was typed, held against the names in the YAML files: milliseconds, and no Hydra."""

from __future__ import annotations

import re

from labrunner import schema
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue, nearest

SWEEP = re.compile(r"^(?:range|choice|interval|glob|sort|shuffle|tag)\(")
NO_SWEEPS = "this version carries out one run a command; sweeps with -m are not there yet"
SWEEP_KEYS = ("hydra.sweep.", "hydra.sweeper.", "hydra.mode")
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
    if key.startswith("hydra."):
        if key.startswith(SWEEP_KEYS):
            raise RequestError(f"{text}: {NO_SWEEPS}")
        if key == "hydra.searchpath":
            raise RequestError(f"{key}: a folder with options of your own is named by --config-dir FOLDER")
        if key.startswith("hydra.run.") and key != "hydra.run.dir":
            raise RequestError(f"there is no key {key}; did you mean hydra.run.dir?")
        if key != "hydra.run.dir":
            raise RequestError(f"{key} would have no effect; of Hydra's own keys labrunner takes hydra.run.dir")
        if not value.strip():
            raise RequestError(f"{key}= has no value")
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
    _check_single(key, value.strip())


def split_prefix(text: str) -> tuple[str, str]:
    match = PREFIX.match(text)
    assert match is not None
    return match[1] or "", match[2]


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


def _check_single(key: str, value: str) -> None:
    if value == "":
        kind = schema.KEYS.get(key)
        takes = f"; it takes {schema.describe(kind)}" if kind is not None else ""
        raise RequestError(f"{key}= has no value{takes}")
    if key not in schema.PATHS and is_sweep(value):
        first = value.split(",")[0].strip() if "," in value and "(" not in value else "…"
        raise RequestError(f"{key}={value} names several values, and a run takes one: {key}={first}\n{NO_SWEEPS}")


def quote_paths(override: str) -> str:
    """Quote the value of a key that takes a path: brackets, commas and equal signs are plain letters there."""
    key, _, value = override.partition("=")
    if key not in schema.PATHS or value[:1] in "'\"":
        return override
    # in Hydra's quotes a backslash is a plain letter, but for those in front of a quote
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), value)
    return f"{key}='{escaped}'"


# what Hydra made
