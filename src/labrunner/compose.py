"""From what was typed to a checked config. The only module that imports Hydra.

A request is read in two steps. First against the names in the YAML files, which takes milliseconds and knows the
nearest valid name; then Hydra composes, and the result is checked for unknown keys, types, ranges and combinations.
What is wrong raises `RequestError` with one to three lines; nothing is written anywhere.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labrunner import schema
from labrunner.aliases import check_aliases
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue, Option, nearest, packaged_conf

SWEEP = re.compile(r"^(?:range|choice|interval|glob|sort|shuffle|tag)\(")
NO_SWEEPS = "this version carries out one run a command; sweeps with -m are not there yet"
SWEEP_KEYS = ("hydra.sweep.", "hydra.sweeper.", "hydra.mode")
ENVIRONMENT = re.compile(r"\$\{\s*oc\s*\.")  # OmegaConf's own resolvers: the environment, and ways around our checks
PREFIX = re.compile(r"^(\+\+|\+|~)?(.*)$", re.DOTALL)


@dataclass(frozen=True)
class Composed:
    """A checked request."""

    config: dict[str, Any]  # plain dicts, lists, numbers and words; without Hydra's own node
    choices: dict[str, str]  # group -> chosen option
    overrides: list[str]  # as typed
    run_dir: Path
    hydra: dict[str, Any]


def compose(overrides: Sequence[str], known: Catalogue) -> Composed:
    """Check the names, compose, check the result.

    Raises
    ------
    RequestError
        for whatever is wrong with the request.
    """
    for override in overrides:
        check_override(override, known)
    quoted = [quote_paths(override) for override in overrides]
    composed = _compose_with_hydra(quoted, list(overrides), known)
    check_config(composed.config, composed.choices, known)
    return composed


def check_config(config: dict[str, Any], choices: dict[str, str], known: Catalogue) -> None:
    """Everything that is checked on a composed or a saved config: keys, types, ranges, combinations."""
    for group, option in choices.items():
        files = known.clashes(group, option)
        if len(files) > 1:
            raise RequestError(
                f"{group}={option} names two files: {files[0].path} and {files[1].path}\n"
                "shipped options cannot be replaced: give yours another name"
            )
    check_keys(config, known)
    schema.check_types(config)
    schema.check_combinations(config)


# names


def check_override(text: str, known: Catalogue) -> None:
    """Refuse an override whose names do not exist, with the nearest that do."""
    prefix, body = _split_prefix(text)
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
        _refuse_key(key, known)
    if prefix == "+":
        raise RequestError(f"{text}: {key} is there already, so it is set without the plus sign: {body}")
    _check_single(key, value.strip())


def _split_prefix(text: str) -> tuple[str, str]:
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
    _refuse_key(f"{group}.{rest}", known)


def _refuse_key(key: str, known: Catalogue) -> None:
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


def check_keys(config: dict[str, Any], known: Catalogue) -> None:
    """Refuse keys that no shipped file has, as an experiment's misspelt one: Hydra takes them without a word."""
    for key, value in config.items():
        if key not in GROUPS and key not in known.top:
            _refuse_key(key, known)
        if key not in GROUPS or value is None:
            continue
        if not isinstance(value, dict):
            raise RequestError(f"{key}={schema.shown(value)}: this is a group; there are " + _names(key, known))
        if "_target_" in value:
            if key != "model":
                raise RequestError(
                    f"the chosen {key} has a _target_, and this version takes code of your own for model alone\n"
                    f"an option of yours for {key} takes a shipped name and the keys that {key}=NAME has"
                )
            if "name" in value:
                raise RequestError(
                    f"the chosen {key} has a name and a _target_; name is for shipped options, leave it out"
                )
            continue
        option = known.option(key, str(value.get("name")))
        if option is None or not option.shipped:
            said = f"name: {value['name']}" if "name" in value else "neither name nor _target_"
            raise RequestError(f"the chosen {key} says {said}; it takes a shipped name or a _target_ of your own")
        _check_option_keys(key, value, option)
        for name in option.keys:
            if not schema.lookup(value, name)[0]:
                raise RequestError(
                    f"{key}.{name} is missing; {key}={option.name} has {key}.{name}={option.keys[name].value}"
                )
    for group in GROUPS:
        if group != "experiment" and not isinstance(config.get(group), dict):
            raise RequestError(f"the config has no {group}; there are {_names(group, known)}")
    for key in known.top:
        if key not in config:
            raise RequestError(f"the config has no {key}; the default is {key}={known.top[key].value}")


def completed(config: dict[str, Any], known: Catalogue) -> dict[str, Any]:
    """A saved config with the keys that came after it was saved, at the values of the shipped files.

    The shipped value of a key that is added to an existing option means what the option did before there was the key,
    so that a run that began with an earlier version goes on as it began.
    """
    from omegaconf import OmegaConf

    def shipped(path: Path) -> dict[str, Any]:
        loaded = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(loaded, dict)
        return {str(key): value for key, value in loaded.items() if key not in ("defaults", "hydra")}

    def fill(section: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        both = {key: fill(section[key], values[key]) for key in section if _dicts(section[key], values.get(key))}
        return values | section | both

    full = fill(config, shipped(packaged_conf() / "config.yaml"))
    for group, default in known.defaults.items():
        section = full.get(group, {"name": default}) if group != "experiment" else None
        if not isinstance(section, dict) or "_target_" in section:
            continue
        option = known.option(group, str(section.get("name")))
        if option is not None and option.shipped:
            full[group] = fill(section, shipped(option.path))
    return full


def _dicts(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def _check_option_keys(group: str, value: dict[str, Any], option: Option) -> None:
    for name in leaves(value):
        if name != "name" and name not in option.keys:
            close = nearest(name, option.keys)
            has = ", ".join(f"{group}.{key}" for key in option.keys) or "no keys"
            hint = f"did you mean {group}.{close}? " if close else ""
            raise RequestError(f"{group}={option.name} has no key {group}.{name}\n{hint}it has {has}")


def leaves(section: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in section.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _names(group: str, known: Catalogue) -> str:
    return ", ".join(f"{group}={option.name}" for option in known.options(group))


def _compose_with_hydra(quoted: list[str], typed: list[str], known: Catalogue) -> Composed:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("unique", lambda: secrets.token_hex(2), use_cache=False, replace=True)
    quoted = list(quoted)
    if known.folders:
        paths = ",".join("'file://" + str(folder).replace("'", "\\'") + "'" for folder in known.folders)
        quoted.append(f"hydra.searchpath=[{paths}]")
    for option in (option for group in GROUPS for option in known.options(group) if not option.shipped):
        check_aliases(option.text, option.path)
    conf = initialize_config_dir(str(packaged_conf()), version_base="1.3", job_name="labrunner")
    with explained(typed, known), same_everywhere(), conf:
        composed = hydra_compose("config", overrides=quoted, return_hydra_config=True)
        hydra = OmegaConf.to_container(composed.hydra, resolve=False)
        run_dir = str(composed.hydra.run.dir)
        if str(composed.hydra.mode).rpartition(".")[2] == "MULTIRUN" or composed.hydra.sweeper.params:
            raise RequestError(f"experiment={composed.hydra.runtime.choices.get('experiment')} is a sweep: {NO_SWEEPS}")
        choices = dict(composed.hydra.runtime.choices)
        OmegaConf.set_struct(composed, False)
        del composed["hydra"]
        missing = OmegaConf.missing_keys(composed)
        if missing:
            raise RequestError(f"{sorted(missing)[0]} has no value yet (???); give it one on the command line")
        config = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(config, dict)
    assert isinstance(hydra, dict)
    if config.pop("experiment", None):
        raise RequestError(
            f"experiment={choices['experiment']} sets nothing: its file must begin with the line '# @package _global_'"
        )
    plain = {str(key): value for key, value in config.items()}
    chosen = {group: str(choices[group]) for group in GROUPS if choices.get(group) is not None}
    return Composed(plain, chosen, typed, Path(run_dir), {str(key): value for key, value in hydra.items()})


@contextmanager
def same_everywhere() -> Iterator[None]:
    """Inside, a config cannot ask its surroundings: it must mean the same wherever it is read."""
    from omegaconf import OmegaConf
    from omegaconf.resolvers import oc

    resolvers: dict[str, Any] = {"oc.env": oc.env, "oc.decode": oc.decode}
    for name in resolvers:
        OmegaConf.clear_resolver(name)
    try:
        yield
    finally:  # they are the whole process's
        for name, resolver in resolvers.items():
            OmegaConf.register_new_resolver(name, resolver, replace=True)


@contextmanager
def explained(typed: Sequence[str], known: Catalogue) -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise into one to three lines of ours."""
    import yaml
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except OverrideParseException as error:
        raise RequestError(
            f"cannot read {error.override}: its value is not in Hydra's override grammar\n{_quoted(error.override)}"
        ) from None
    except MissingConfigException as error:
        raise _missing(error, known) from None
    except yaml.YAMLError as error:
        raise _yaml_error(error, known) from None
    except UnicodeDecodeError:
        raise _undecodable(known) from None
    except RecursionError:
        raise RequestError("the config cannot be composed: it is nested too deeply") from None
    except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
        raise _refused(error, typed, known) from None


def _quoted(override: str) -> str:
    key, _, value = (override or "").partition("=")
    if value.startswith("["):
        return f"a list is written '{key}=[1,2]'; text in it with spaces or signs needs quotes: '{key}=[\"a (b)\",c]'"
    return f"text with brackets, commas or equal signs needs quotes inside quotes: '{key}=\"{value}\"'"


def _missing(error: Any, known: Catalogue) -> RequestError:
    group, _, name = str(error.missing_cfg_file or "").partition("/")
    names = [option.name for option in known.options(group)] if group in GROUPS else []
    if not names:
        return RequestError(str(error).splitlines()[0])
    close = nearest(name, names)
    hint = f"did you mean {close}? " if close else ""  # as it stands in a defaults list, without its group
    return RequestError(f"there is no {group}={name}\n{hint}there are {', '.join(names)}")


def _yaml_error(error: Any, known: Catalogue) -> RequestError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:
        return RequestError(f"a YAML file cannot be read: {problem}")
    return RequestError(f"{mark.name}:{mark.line + 1}:{mark.column + 1}: {problem}")


def _undecodable(known: Catalogue) -> RequestError:
    for option in (option for group in GROUPS for option in known.options(group)):
        try:
            option.path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            return RequestError(f"{option.path} is not in utf-8 (byte {error.start}); save it in that encoding")
    return RequestError("a YAML file is not in utf-8")


def _refused(error: BaseException, typed: Sequence[str], known: Catalogue) -> RequestError:
    cause = error.__cause__ if error.__cause__ is not None else error
    said = re.search(r"Could not override '([^']+)'", str(error))
    key = said[1] if said else str(getattr(cause, "full_key", None) or "")
    text = next((text for text in typed if key and _split_prefix(text)[1].partition("=")[0] == key), None)
    if text is not None and said:
        owners = ", ".join(f"{option.group}={option.name}" for option, _ in known.owners(key))
        if owners:
            return RequestError(f"the chosen {key.partition('.')[0]} has no key {key}; it belongs to {owners}")
        _refuse_key(key, known)
    place = re.search(r"In '([^']+)'", str(error))
    if text is None and said and place and key not in GROUPS:
        close = nearest(key, GROUPS)
        hint = f"; did you mean {close}?" if close else f"; there are {', '.join(GROUPS)}"
        return RequestError(f"{place[1]}.yaml overrides {key}, and there is no such group{hint}")
    if text is not None:
        kind = schema.KEYS.get(key)
        takes = f": it takes {schema.describe(kind)}" if kind is not None and "${" not in text else ""
        return RequestError(f"{text}{takes or f': {str(cause).splitlines()[0]}'}")
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return RequestError(f"the config cannot be composed: {f'{key}: ' if key else ''}{first}")
