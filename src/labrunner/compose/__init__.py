"""From what was typed to a checked config, or to the checked runs of a sweep. The only part that imports Hydra.

A request is read in two steps. First against the names in the YAML files (`names`), which takes milliseconds and knows
the nearest valid name; then Hydra composes (`composing`), and the result is checked for unknown keys, types, ranges and
combinations (`checks`). A sweep (`sweeps`) expands what was typed (`values`) and what an experiment carries (`carried`)
into runs, and does that for each. What is wrong raises `RequestError` with one to three lines; nothing is written
anywhere.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from labrunner.compose.alone import alone
from labrunner.compose.checks import check_config, completed
from labrunner.compose.composing import Composed, compose_with_hydra, key_of
from labrunner.compose.names import check_override, refuse_several
from labrunner.compose.sweeps import PlannedRun, SweepPlan, carries_sweep, planned
from labrunner.errors import RequestError
from labrunner.helping import Catalogue

__all__ = ["Composed", "PlannedRun", "SweepPlan", "check_config", "completed", "compose", "request"]


def request(
    overrides: Sequence[str], known: Catalogue, *, multirun: bool, command: Sequence[str] = ("labrunner",)
) -> Composed | SweepPlan:
    """What a command line asks for: a run, or a sweep.

    Parameters
    ----------
    multirun : whether ``-m`` was given; ``hydra.mode=MULTIRUN`` means the same. An experiment that carries a sweep
        makes one without it; ``hydra.mode=RUN`` makes a single run of such an experiment.
    command : what stands before the overrides, for messages that repeat it

    Raises
    ------
    RequestError
        for whatever is wrong with the request, or with any run of the sweep.
    """
    with alone():
        return _requested(list(overrides), known, multirun, shlex.join([*command, "-m", *overrides]))


def _requested(overrides: list[str], known: Catalogue, multirun: bool, sweep: str) -> Composed | SweepPlan:
    for override in overrides:
        check_override(override, known)
    mode = _mode(overrides)
    if mode == "RUN" and multirun:
        raise RequestError("-m makes a sweep, and hydra.mode=RUN a single run; leave one of them out")
    if multirun or mode == "MULTIRUN":
        return planned(overrides, known)
    for override in overrides:
        refuse_several(override, sweep)
    try:
        return compose(overrides, known)
    except RequestError:
        # what was typed may fit the experiment's sweep alone: its folder, or a key of an option that a variant chooses
        if mode == "RUN" or not carries_sweep(overrides, known):
            raise
    return planned(overrides, known)


def compose(overrides: Sequence[str], known: Catalogue) -> Composed:
    """A single run: check the names, compose, check the result.

    Raises
    ------
    RequestError
        for whatever is wrong with the request, and for several values.
    """
    for override in overrides:
        check_override(override, known)
        refuse_several(override)
        if key_of(override) == "hydra.sweep.dir":
            raise RequestError("hydra.sweep.dir is the folder of a sweep; that of a single run is hydra.run.dir")
    if _mode(overrides) == "MULTIRUN":
        raise RequestError("hydra.mode=MULTIRUN asks for a sweep, and this takes a single run; leave it out")
    composed = compose_with_hydra(overrides, known)
    check_config(composed.config, composed.choices, known)
    return composed


def _mode(overrides: Sequence[str]) -> str | None:
    said = [override.partition("=")[2].strip() for override in overrides if key_of(override) == "hydra.mode"]
    return said[-1] if said else None
