"""Checks of a config that was composed, or saved: keys, types, ranges, combinations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labrunner import combinations, own, schema
from labrunner.compose.names import refuse_key
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue, Option, nearest, packaged_conf


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
    check_names(config, choices, known)
    schema.check_types(config)
    combinations.check(config)


def check_names(config: dict[str, Any], choices: dict[str, str], known: Catalogue) -> None:
    """Refuse a group whose ``name`` is not that of its chosen option: an experiment has set it among its values, where
    it would silently win over what is typed.
    """
    for group, choice in choices.items():
        option = known.option(group, choice)
        section = config.get(group)
        if option is None or group == "experiment" or not isinstance(section, dict) or "_target_" in section:
            continue
        said = next((line.partition(":")[2] for line in option.text.splitlines() if line.startswith("name:")), None)
        if said is not None and section.get("name") != said.partition(" #")[0].strip().strip("'\""):
            raise RequestError(
                f"{group}.name={section.get('name')} stands among a file's values, and {group}={choice} is chosen\n"
                f"an option is chosen in the file's defaults: - override /{group}: {section.get('name')}"
            )


def check_keys(config: dict[str, Any], known: Catalogue) -> None:
    """Refuse keys that no shipped file has, as an experiment's misspelt one: Hydra takes them without a word."""
    for key, value in config.items():
        for name in leaves({key: value}) if key not in GROUPS else ():
            if name not in known.top:
                refuse_key(name, known)
        if key not in GROUPS or value is None:
            continue
        if not isinstance(value, dict):
            if value in [option.name for option in known.options(key)]:
                raise RequestError(
                    f"{key}={value} stands among the values of a file, and {key} is a group\n"
                    f"an option is chosen in the file's defaults: - override /{key}: {value}"
                )
            raise RequestError(f"{key}={schema.shown(value)}: this is a group; there are " + _names(key, known))
        if "_target_" in value:
            check_own(key, value)
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
        if not schema.lookup(config, key)[0]:
            raise RequestError(f"the config has no {key}; the default is {key}={known.top[key].value}")


def check_own(group: str, section: dict[str, Any]) -> None:
    """Refuse a ``_target_`` where none is taken, and keys beside it that would mean two things."""
    if group not in own.GROUPS:
        takes = f"{', '.join(own.GROUPS[:-1])} and {own.GROUPS[-1]}"
        raise RequestError(
            f"the chosen {group} has a _target_, and code of your own is taken for {takes}, and for probes\n"
            f"an option of yours for {group} takes a shipped name and the keys that {group}=NAME has"
        )
    if "name" in section:
        raise RequestError(f"the chosen {group} has a name and a _target_; name is for shipped options, leave it out")
    if group == "dataset" and (taken := [key for key in schema.RESERVED if key in section]):
        raise RequestError(
            f"dataset.{taken[0]}: a data set of your own cannot have a key of that name; give it another"
        )
    if group != "optim":
        return
    if "lr" not in section:
        raise RequestError("the chosen optim has a _target_ and no lr; add a line such as lr: 0.01 to its file")
    if "weight_decay" in section:
        raise RequestError(
            "optim.weight_decay: weight decay is reg.weight_decay, which your optimizer is given; leave it out here"
        )
    if "params" in section:
        raise RequestError("optim.params: an optimizer is given its parameters by labrunner; give the key another name")


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
    return schema.with_own_defaults(full)


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
