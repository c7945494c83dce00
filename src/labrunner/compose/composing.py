"""Hydra's part: from overrides to a config, in a surrounding that cannot change it.

A composition reads two dozen files and takes a tenth of a second. Whatever one process composes of the same options, as
the runs of a sweep, shares one; the values of plain keys are put into a copy of it, by the function with which Hydra
does that itself, in the same order and with the same errors.
"""

from __future__ import annotations

import copy
import os
import pickle
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import schema
from labrunner.aliases import check_aliases
from labrunner.compose.explained import explained
from labrunner.compose.names import quote_paths, several, split_prefix
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue, packaged_conf

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

SECTION = "sweep"  # of an experiment's file: what it sweeps over


@dataclass(frozen=True)
class Composed:
    """A checked request."""

    config: dict[str, Any]  # plain dicts, lists, numbers and words; without Hydra's own node
    choices: dict[str, str]  # group -> chosen option
    overrides: list[str]  # as typed
    run_dir: Path
    hydra: dict[str, Any]


@dataclass(frozen=True)
class Base:
    """What a combination of options composes to, before any key is set."""

    whole: DictConfig  # with Hydra's own node
    config: DictConfig  # without
    choices: dict[str, Any]
    hydra: dict[str, Any]
    carries_sweep: bool


def compose_with_hydra(typed: Sequence[str], known: Catalogue) -> Composed:
    """A single run, by one composition of Hydra's."""
    with explained(typed, known), composing(known) as composer:
        for text in typed:
            if composer.parsed(text).is_sweep_override():
                raise several(text)
        composed = composer.hydras(typed)
        hydra = _plain(composed.hydra, resolve=False)
        run_dir = str(composed.hydra.run.dir)
        choices = dict(composed.hydra.runtime.choices)
        if carries_sweep(composed):
            raise RequestError(
                f"{_carrier(choices)} is a sweep, and this takes a single run; "
                "hydra.mode=RUN makes one, with none of the sweep's values"
            )
        config = _values(_without_hydra(composed), choices)
    return Composed(config, chosen(choices), list(typed), Path(run_dir), hydra)


def carries_sweep(composed: DictConfig) -> bool:
    """Whether what was chosen asks for a sweep; ``hydra.mode=RUN`` asks for a single run of it."""
    mode = str(composed.hydra.mode).rpartition(".")[2]
    return mode == "MULTIRUN" or (mode != "RUN" and (bool(composed.hydra.sweeper.params) or SECTION in composed))


def chosen(choices: dict[str, Any]) -> dict[str, str]:
    return {group: str(choices[group]) for group in GROUPS if choices.get(group) is not None}


@contextmanager
def composing(known: Catalogue) -> Iterator[Composer]:
    """Hydra, ready to compose; what it raises inside is for `explained`."""
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("unique", lambda: secrets.token_hex(2), use_cache=False, replace=True)
    for option in (option for group in GROUPS for option in known.options(group) if not option.shipped):
        check_aliases(option.text, option.path)
    with same_everywhere(), initialize_config_dir(str(packaged_conf()), version_base="1.3", job_name="labrunner"):
        yield Composer(known)


class Composer:
    """Compositions of one request. Only inside of `composing`."""

    def __init__(self, known: Catalogue) -> None:
        from hydra.core.override_parser.overrides_parser import OverridesParser

        self.known = known
        self._parser = OverridesParser.create()
        self._parsed: dict[str, Override] = {}
        self._bases: dict[tuple[str, ...], Base] = {}

    def parsed(self, text: str) -> Override:
        """An override in Hydra's grammar, paths taken as they are."""
        if text not in self._parsed:
            self._parsed[text] = self.in_grammar(self._for_hydra(text))
        return self._parsed[text]

    def _for_hydra(self, text: str) -> str:
        """An override as Hydra takes it: a data set of the user's own has keys that its file need not list."""
        quoted = quote_paths(text)
        key, is_plain = key_of(text), not split_prefix(text)[0]
        added = is_plain and key in schema.KEPT and any(each.is_own for each in self.known.options("dataset"))
        return f"++{quoted}" if added and key.startswith("dataset.") else quoted

    def in_grammar(self, text: str) -> Override:
        """An override in Hydra's grammar, paths too."""
        return self._parser.parse_overrides([text])[0]

    def hydras(self, texts: Sequence[str]) -> DictConfig:
        """Hydra's own composition, with Hydra's own node; of shipped files in a copy of what their options gave."""
        if self.known.folders:
            return self.afresh(texts)
        from hydra._internal.config_loader_impl import get_overrides_dirname

        options = tuple(text for text in texts if chooses(text))
        composed: DictConfig = pickle.loads(of_options(_shipped_files(), options))  # its own bytes of a moment ago
        self._set(texts, composed)
        parsed = [self.parsed(text) for text in texts]
        hydra, typed = composed.hydra, [override for override in parsed if not override.is_hydra_override()]
        hydra.overrides.task = [override.input_line for override in typed]
        hydra.overrides.hydra = [override.input_line for override in parsed if override.is_hydra_override()]
        hydra.job.override_dirname = get_overrides_dirname(typed, [], ",", "=")
        hydra.runtime.cwd = os.getcwd()
        return composed

    def afresh(self, texts: Sequence[str]) -> DictConfig:
        """Hydra's own composition, from the files."""
        quoted = [self._for_hydra(text) for text in texts]
        if self.known.folders:
            paths = ",".join("'file://" + str(folder).replace("'", "\\'") + "'" for folder in self.known.folders)
            quoted.append(f"hydra.searchpath=[{paths}]")
        return _by_hydra(quoted)

    def base(self, texts: Sequence[str]) -> Base:
        """The composition that the options among some overrides name; each combination is composed once."""
        options = tuple(text for text in texts if chooses(text))
        if options not in self._bases:
            whole = self.hydras(options)
            self._bases[options] = Base(
                whole=whole,
                config=_without_hydra(copy.deepcopy(whole)),
                choices=dict(whole.hydra.runtime.choices),
                hydra=_plain(whole.hydra, resolve=False),
                carries_sweep=carries_sweep(whole),
            )
        return self._bases[options]

    def run(self, texts: Sequence[str]) -> Composed:
        """One run of a sweep: what `compose_with_hydra` makes of the same overrides, but for its folder."""
        base = self.base(texts)
        config = copy.deepcopy(base.config)
        self._set([text for text in texts if not is_hydras(text)], config)
        hydra = base.hydra | {"overrides": base.hydra["overrides"] | {"task": list(texts)}}
        return Composed(_values(config, base.choices), chosen(base.choices), list(texts), Path(), hydra)

    def sweep_dir(self, texts: Sequence[str]) -> str:
        """The sweep's folder, as seen from a run of it: its name may hold ``${now:…}`` and keys of the config."""
        whole = copy.deepcopy(self.base(texts).whole)
        self._set([text for text in texts if not text.startswith("hydra.mode=")], whole)
        return str(whole.hydra.sweep.dir)

    def _set(self, texts: Sequence[str], config: DictConfig) -> None:
        from hydra._internal.config_loader_impl import ConfigLoaderImpl

        keys = [self.parsed(text) for text in texts if not chooses(text)]
        ConfigLoaderImpl._apply_overrides_to_config(keys, config)


def _by_hydra(texts: list[str]) -> DictConfig:
    from hydra import compose

    return compose("config", overrides=texts, return_hydra_config=True)


@lru_cache(maxsize=256)
def of_options(files: tuple[tuple[str, int], ...], options: tuple[str, ...]) -> bytes:
    """What Hydra composes of options alone; in bytes, which are quick to copy and which nobody changes."""
    return pickle.dumps(_by_hydra(list(options)))


def _shipped_files() -> tuple[tuple[str, int], ...]:
    """The shipped files and when they were written: whoever edits one is not given what it was."""
    return tuple((str(path), path.stat().st_mtime_ns) for path in sorted(packaged_conf().rglob("*.yaml")))


def key_of(text: str) -> str:
    """The key of an override, without a plus sign."""
    return split_prefix(text)[1].partition("=")[0].strip()


def chooses(text: str) -> bool:
    """Whether an override chooses an option of a group."""
    return key_of(text) in GROUPS


def is_hydras(text: str) -> bool:
    return key_of(text).startswith("hydra.")


def _without_hydra(composed: DictConfig) -> DictConfig:
    from omegaconf import OmegaConf

    OmegaConf.set_struct(composed, False)
    del composed["hydra"]
    OmegaConf.set_struct(composed, True)
    return composed


def _values(config: DictConfig, choices: dict[str, Any]) -> dict[str, Any]:
    """The plain values of a composed config, which loses its sweep's section here."""
    from omegaconf import OmegaConf

    OmegaConf.set_struct(config, False)
    config.pop(SECTION, None)
    missing = OmegaConf.missing_keys(config)
    if missing:
        raise RequestError(f"{sorted(missing)[0]} has no value yet (???); give it one: {sorted(missing)[0]}=…")
    plain = _plain(config, resolve=True)
    if plain.pop("experiment", None):
        raise RequestError(
            f"experiment={choices['experiment']} sets nothing: its file must begin with the line '# @package _global_'"
        )
    return schema.with_own_defaults(plain)


def _plain(config: DictConfig, *, resolve: bool) -> dict[str, Any]:
    from omegaconf import OmegaConf

    values = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _carrier(choices: dict[str, Any]) -> str:
    return f"experiment={choices['experiment']}" if choices.get("experiment") else "what was chosen"


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
