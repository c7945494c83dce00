"""Hydra's part: from overrides to a config, in a surrounding that cannot change it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labrunner.aliases import check_aliases
from labrunner.compose.explained import explained
from labrunner.compose.names import NO_SWEEPS
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue, packaged_conf


@dataclass(frozen=True)
class Composed:
    """A checked request."""

    config: dict[str, Any]  # plain dicts, lists, numbers and words; without Hydra's own node
    choices: dict[str, str]  # group -> chosen option
    overrides: list[str]  # as typed
    run_dir: Path
    hydra: dict[str, Any]


def compose_with_hydra(quoted: list[str], typed: list[str], known: Catalogue) -> Composed:
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
