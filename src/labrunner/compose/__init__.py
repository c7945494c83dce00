"""From what was typed to a checked config. The only part of the house that imports Hydra.

A request is read in two steps. First against the names in the YAML files (`names`), which takes milliseconds and knows
the nearest valid name; then Hydra composes (`composing`), and the result is checked for unknown keys, types, ranges and
combinations (`checks`). What is wrong raises `RequestError` with one to three lines; nothing is written anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from labrunner.compose.checks import check_config, completed
from labrunner.compose.composing import Composed, compose_with_hydra
from labrunner.compose.names import check_override, quote_paths
from labrunner.helping import Catalogue

__all__ = ["Composed", "check_config", "completed", "compose"]


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
    composed = compose_with_hydra(quoted, list(overrides), known)
    check_config(composed.config, composed.choices, known)
    return composed
