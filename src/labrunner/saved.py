"""Checks of a config that comes out of a run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labrunner.compose import check_config, completed
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue
from labrunner.trust import check_saved


def checked_config(
    saved: dict[str, Any],
    choices: Mapping[str, str],
    known: Catalogue,
    *,
    trust: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The saved config with the keys that came with later versions, checked as a typed one is.

    `say` is told what is left out of it.

    Raises
    ------
    RequestError
        when it names foreign code, or cannot be run by this version.
    """
    if not trust:
        check_saved(saved, Path.cwd())
    config = completed(saved, known)
    # what a stranger's folder says was chosen is no reason to look for two files of that name
    shipped = {group: name for group, name in choices.items() if group in GROUPS and group != "experiment"}
    try:
        check_config(config, {g: n for g, n in shipped.items() if "_target_" not in (config.get(g) or {})}, known)
    except RequestError as error:
        raise RequestError(f"the saved config cannot be run: {error}") from None
    if not trust and (cache := new_cache(config)) is not None:
        say(f"labrunner: cache={cache} is not there, and the saved config makes none elsewhere: nothing is kept")
        config = config | {"cache": None}
    return config


def new_cache(config: Mapping[str, Any]) -> Path | None:
    """The cache of a config, if it would have to be made, and elsewhere than under the current folder."""
    if config["cache"] is None:
        return None
    cache = Path(config["cache"]).expanduser()
    here = Path.cwd().resolve()
    return None if cache.is_dir() or cache.resolve().is_relative_to(here) else cache
