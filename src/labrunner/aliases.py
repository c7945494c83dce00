"""How much a YAML text becomes once its aliases are written out.

An alias costs a few bytes and stands for a whole section, and sections of aliases of sections multiply: a kilobyte can
stand for more than fits in memory. A file from a stranger, or with a slip in it, is measured before it is expanded.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from labrunner.errors import RequestError

DEEPEST = 50  # mappings and lists inside each other; no config of ours has ten
MOST = 100_000  # values; no config of ours has a thousand
_ALIAS = re.compile(r"(?:^|[\s,\[{:-])\*\w")


def check_aliases(text: str, where: object) -> None:
    """Raise RequestError if the aliases in a YAML text stand for too much; a text that is no YAML passes."""
    if not _ALIAS.search(text):
        return
    import yaml

    try:
        size = _size(yaml.compose(text, Loader=yaml.SafeLoader), {})
    except (yaml.YAMLError, RecursionError):
        return  # whoever reads it says where the error is
    if size > MOST:
        raise RequestError(f"{where}: its aliases (*name) stand for more than {MOST:,} values")


def check_values(value: Any, where: object, depth: int = 0) -> None:
    """Raise RequestError for what whoever shows it could not: values nested too deeply, numbers of too many digits."""
    if depth > DEEPEST:
        raise RequestError(f"{where}: it is nested too deeply")
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise RequestError(f"{where}: it has a number larger than any float")
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inside:
        check_values(each, where, depth + 1)


def _size(node: Any, known: dict[int, float]) -> float:
    """Values in a node with its aliases written out; infinite if it holds itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")  # until it is counted: whoever meets it inside itself sees this
        below = [] if node is None or isinstance(node.value, str) else node.value
        parts = [part for each in below for part in (each if isinstance(each, tuple) else (each,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]
