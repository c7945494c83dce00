"""What the bounds of a manifest can be: those of keys are the schema's, those of facts follow from what they are."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from math import inf
from typing import Annotated, Any, Union, get_args, get_origin

from labrunner import schema

PROPORTION = re.compile(
    r"(^|_)(accuracy|precision|recall|f1|auroc)(_low|_high|_(un)?shifted(_\d)?)?$"
    r"|^(dead_share|explained_variance_[12]|output_(first|last))$"
)
DIFFERENCE = re.compile(r"^(accuracy_gap|shift_cost|silhouette_(input|first|last|untrained))$")


def of_fact(name: str, value: float) -> str | None:
    """Why a fact can never be compared with this number; None where it can."""
    if PROPORTION.search(name) and not 0 <= value <= 1:
        return f"{name} is a proportion from 0 to 1{_percent(value)}"
    if DIFFERENCE.search(name) and not -1 <= value <= 1:
        return f"{name} lies between -1 and 1{_percent(value)}"
    return None


def of_key(key: str, value: float) -> str | None:
    """Why a shipped key can never be above, or below, this number; None where it can. Open ends count as closed."""
    numbers = list(_numbers(schema.KEYS[key]))
    if not numbers:
        return f"{key} takes {schema.describe(schema.KEYS[key])}; give a list of values, or any"
    low, high = min(low for low, _ in numbers), max(high for _, high in numbers)
    if low <= value <= high:
        return None
    return f"{key} takes {schema.describe(schema.KEYS[key])}{_percent(value) if high == 1 else ''}"


def _percent(value: float) -> str:
    return f": {value / 100:g} for {value:g} %" if 1 < abs(value) <= 100 else ""


def _numbers(kind: Any) -> Iterator[tuple[float, float]]:
    """The range of each number that a type of `schema.KEYS` takes."""
    if get_origin(kind) in (Union, types.UnionType):
        for part in get_args(kind):
            yield from _numbers(part)
        return
    base, *limits = get_args(kind) if get_origin(kind) is Annotated else (kind,)
    if base in (int, float):
        low = (getattr(limit, "ge", getattr(limit, "gt", -inf)) for limit in limits)
        high = (getattr(limit, "le", getattr(limit, "lt", inf)) for limit in limits)
        yield max(low, default=-inf), min(high, default=inf)
