"""Checks of a config that comes out of a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labrunner.compose import check_config
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue
from labrunner.trust import check_saved


def checked_config(config: dict[str, Any], choices: Mapping[str, str], known: Catalogue, *, trust: bool) -> None:
    """Refuse a saved config that names foreign code, or that this version cannot run.

    Raises
    ------
    RequestError
        with what is wrong, and where the config lies.
    """
    if not trust:
        check_saved(config, Path.cwd())
    # what a stranger's folder says was chosen is no reason to look for two files of that name
    shipped = {group: name for group, name in choices.items() if group in GROUPS and group != "experiment"}
    try:
        check_config(config, {g: n for g, n in shipped.items() if "_target_" not in (config.get(g) or {})}, known)
    except RequestError as error:
        raise RequestError(f"the saved config cannot be run: {error}") from None
