"""Cases of the lines of docs/reliability.md: which test is one, how many run each time, and the table at the end.

``@line(1, "kills")`` makes every item of a test a case of line 1. ``cases(200, fast=6)`` gives 200 parameters, of which
the first six run each time and the others by ``make test-slow``, which prints what was tried and what failed, by line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

PROPERTY = "line of docs/reliability.md"
MEASURED = "measured"
_seen: dict[tuple[int, str], list[bool]] = defaultdict(list)  # (line, what) -> whether each case held
_largest: dict[str, float] = {}


def line(number: int, what: str, count: int = 1) -> pytest.MarkDecorator:
    """Mark a test: each of its items tries `count` cases of a line."""
    return pytest.mark.line(number, what, count)


def cases(values: int | Iterable[Any], fast: int | Sequence[Any]) -> list[Any]:
    """Parameters for ``parametrize``; all but the first `fast`, or those in `fast`, are slow."""
    values = list(range(values) if isinstance(values, int) else values)
    each_time = values[:fast] if isinstance(fast, int) else list(fast)
    assert all(value in values for value in each_time)
    several = [value if isinstance(value, tuple) else (value,) for value in values]  # a tuple is of several arguments
    marks = [() if value in each_time else pytest.mark.slow for value in values]
    return [pytest.param(*value, marks=mark) for value, mark in zip(several, marks, strict=True)]


def measured(request: pytest.FixtureRequest, what: str, value: float) -> None:
    """Have the largest `value` of all cases told at the end; nothing is asserted of it."""
    request.node.user_properties.append((MEASURED, [what, value]))


# hooks, taken over by tests/conftest.py


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("line"):
            item.user_properties.append((PROPERTY, list(mark.args)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Also called where the items ran in other processes; what is said of an item travels with its report."""
    if report.skipped or (report.when != "call" and report.passed):
        return
    for name, said in report.user_properties:
        if name == PROPERTY:
            number, what, count = said
            _seen[number, what] += [report.passed] * count
        elif name == MEASURED:
            _largest[said[0]] = max(said[1], _largest.get(said[0], said[1]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _seen:
        return
    terminalreporter.section("docs/reliability.md")
    for (number, what), held in sorted(_seen.items()):
        terminalreporter.line(f"line {number:2}  {len(held):4} cases  {held.count(False):3} failures  {what}")
    for what, value in sorted(_largest.items()):
        terminalreporter.line(f"{what}: {value:.2f}")
