"""From what was typed behind ``-m``, or what an experiment carries, to a list of checked runs.

Every run is composed and checked before anything is done; the first that cannot be made refuses the sweep. Values
come in the order typed, the last key fastest, as Hydra's basic sweeper takes them.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labrunner import schema
from labrunner.compose.carried import Axis, Carried, Choice, Multiple, axis_of, carried_by, filled
from labrunner.compose.checks import check_config
from labrunner.compose.composing import Composed, Composer, chooses, composing, key_of
from labrunner.compose.explained import explained
from labrunner.compose.values import MOST, Setting, as_typed, read, written
from labrunner.errors import RequestError
from labrunner.helping import Catalogue


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep."""

    number: int  # position in the request, from 0; its folder's name
    values: dict[str, Any]  # swept key -> value as YAML has it; an option's name for a group; `variant`: its name
    overrides: list[str]  # what ``labrunner`` would take to make this run alone; while it waits, with open places
    composed: Composed | None  # None while a value waits for a fact, or the folder, of the first run


@dataclass(frozen=True)
class Recipe:
    """What the runs of a sweep are made of, kept for those that wait for the first."""

    known: Catalogue
    steps: list[str | Axis]  # single overrides, and swept keys, in the order in which they are applied
    combinations: list[tuple[Choice, ...]]  # by number; () for the first run


@dataclass(frozen=True)
class SweepPlan:
    """A checked sweep."""

    keys: list[str]  # swept keys, in the order they were given
    runs: list[PlannedRun]
    dropped: list[tuple[dict[str, Any], int]]  # values of a duplicate, and the number of the run it equals
    overrides: list[str]  # as typed
    sweep_dir: Path  # hydra.sweep.dir, resolved as hydra.run.dir is
    config: dict[str, Any]  # of the first run: jobs, fail_fast, figures, monitor, checks, strict are read from it
    choices: dict[str, str]  # of the first run
    threshold: float | None  # of the experiment's sweep section
    has_first: bool  # whether run 0 is the one that the others start from
    recipe: Recipe | None = field(default=None, repr=False, compare=False)

    def settled(self, facts: Mapping[str, float], folder: Path) -> SweepPlan:
        """The plan once its first run has ended: values from the facts of it, ``{first}`` its folder; checked.

        Raises
        ------
        RequestError
            when the first run lacks a fact, or a value that comes out of one cannot be.
        """
        if self.recipe is None or all(run.composed is not None for run in self.runs):
            return self
        recipe, runs = self.recipe, list(self.runs)
        for choice in (choice for combination in recipe.combinations for choice in combination):
            for wanted in (each.value for each in choice.settings if isinstance(each.value, Multiple)):
                found = facts.get(wanted.fact)
                if found is None or not math.isfinite(found):
                    said = "has no fact" if found is None else f"gives {found} for"
                    has = ", ".join(sorted(name for name in facts if math.isfinite(facts[name]))) or "none"
                    raise RequestError(f"the first run {said} {wanted.fact}, which the others wait for; it has {has}")
        with composing(recipe.known) as composer:
            for number, run in enumerate(runs):
                if run.composed is None:
                    combination = recipe.combinations[number]
                    texts = _texts(recipe.steps, combination, str(folder), dict(facts))
                    values = _values_of(recipe.steps, combination, dict(facts))
                    composed = _checked(texts, number, values, composer)
                    composed = replace(composed, run_dir=self.sweep_dir / str(number))
                    runs[number] = PlannedRun(number, _found(values, composed), texts, composed)
        return replace(self, runs=runs)


def carries_sweep(overrides: Sequence[str], known: Catalogue) -> bool:
    """Whether the experiment that is chosen makes a sweep without ``-m``."""
    if not any(key_of(text) == "experiment" for text in overrides):
        return False
    try:
        with explained(overrides, known), composing(known) as composer:
            return composer.base(overrides).carries_sweep
    except RequestError:
        return False


def planned(overrides: Sequence[str], known: Catalogue) -> SweepPlan:
    """Expand, compose and check a sweep whose overrides have valid names.

    Raises
    ------
    RequestError
        for the first run that cannot be made, beginning with its values.
    """
    with explained(overrides, known), composing(known) as composer:
        return _planned(list(overrides), known, composer)


def _planned(overrides: list[str], known: Catalogue, composer: Composer) -> SweepPlan:
    if any(key_of(text) == "hydra.run.dir" for text in overrides):
        raise RequestError(
            "hydra.run.dir: a sweep's folder is hydra.sweep.dir, and its runs are numbered folders in it"
        )
    typed = _typed(overrides, composer)
    options = [
        text if isinstance(step, str) else step.choices[0].settings[0].text
        for step in typed
        if chooses(text := step if isinstance(step, str) else f"{step.key}=")
    ]
    base = composer.base(options)
    sweeps_experiments = any(isinstance(step, Axis) and step.key == "experiment" for step in typed)
    carried = Carried() if sweeps_experiments else carried_by(base, composer)
    steps = _merged(carried, typed, carries=base.carries_sweep and not sweeps_experiments)
    axes = [step for step in steps if isinstance(step, Axis)]
    _refuse_too_many(axes, first=carried.first is not None)

    combinations: list[tuple[Choice, ...]] = list(itertools.product(*(axis.choices for axis in axes)))
    if carried.first is None:
        texts = _texts(steps, combinations[0], "", None)
        first = _checked(texts, 0, _values_of(steps, combinations[0], None), composer)
    else:
        texts = _first(steps, carried.first)
        first = _checked(texts, 0, None, composer)
    folder = _sweep_dir(overrides, texts, composer)
    runs: list[PlannedRun] = []
    dropped: list[tuple[dict[str, Any], int]] = []
    kept: list[tuple[Choice, ...]] = []
    if carried.first is not None:
        runs.append(PlannedRun(0, {}, texts, replace(first, run_dir=folder / "0")))
        kept.append(())
    seen: dict[str, int] = {}
    for combination in combinations:
        number = len(runs)
        values = _values_of(steps, combination, None)
        made = _texts(steps, combination, str(folder / "0"), None)
        composed = _checked(made, number, values, composer)
        if sweeps_experiments and composer.base(made).carries_sweep:
            raise RequestError(
                f"experiment={composed.choices['experiment']} carries a sweep of its own, "
                "and cannot be one value of another sweep"
            )
        waits = any(choice.waits for choice in combination)
        values = values if waits else _found(values, composed)
        # what waits was composed with stand-ins, and two of them may be equal where the facts are not
        equal = number if waits else seen.setdefault(_essence(composed.config), number)
        if equal != number:
            dropped.append((values, equal))
            continue
        kept.append(combination)
        if waits:
            runs.append(PlannedRun(number, values, _open(steps, combination), None))
        else:
            runs.append(PlannedRun(number, values, made, replace(composed, run_dir=folder / str(number))))
    return SweepPlan(
        keys=[axis.key for axis in axes],
        runs=runs,
        dropped=dropped,
        overrides=overrides,
        sweep_dir=folder,
        config=first.config,
        choices=first.choices,
        threshold=carried.threshold,
        has_first=carried.first is not None,
        recipe=Recipe(known, steps, kept),
    )


def _typed(overrides: Sequence[str], composer: Composer) -> list[str | Axis]:
    """What was typed, in order, without what concerns the sweep itself; of a swept key the last counts."""
    steps: list[tuple[str, str | Axis]] = []
    swept: set[str] = set()
    for text in overrides:
        key = key_of(text)
        found = read(text, composer)
        if key.startswith("hydra."):
            continue
        if isinstance(found, Setting):
            steps.append((key, as_typed(text, found)))
        else:
            swept.add(key)
            steps.append((key, axis_of(key, found, text.partition("=")[0].strip())))
    last = dict(steps)
    merged: list[str | Axis] = []
    for key, step in steps:
        if key not in swept:
            merged.append(step)
        elif key in last:
            merged.append(last.pop(key))
    return merged


def _merged(carried: Carried, typed: list[str | Axis], *, carries: bool) -> list[str | Axis]:
    """The experiment's keys, then what was typed, which replaces them; the experiment itself stands first."""
    said = {step.key if isinstance(step, Axis) else key_of(step) for step in typed}
    own = [step for step in carried.steps if key_of(f"{step.key}=") not in said]
    steps: list[str | Axis] = [step if isinstance(step, Axis) else step.text for step in own]
    if not carries and not steps:
        return typed
    experiment = [step for step in typed if isinstance(step, str) and key_of(step) == "experiment"]
    alone = ["hydra.mode=RUN"] if carries else []
    return [*experiment, *alone, *steps, *(step for step in typed if step not in experiment)]


def _refuse_too_many(axes: Sequence[Axis], *, first: bool) -> None:
    count = math.prod(len(axis.choices) for axis in axes) + first
    if count > MOST:
        product = " x ".join(str(len(axis.choices)) for axis in axes)
        raise RequestError(
            f"this sweep would have {count:,} runs ({product}), and {MOST:,} is the most; take fewer values"
        )


def _texts(
    steps: Sequence[str | Axis], combination: Sequence[Choice], folder: str, facts: dict[str, float] | None
) -> list[str]:
    """The overrides of one run."""
    choices, texts = iter(combination), []
    for step in steps:
        if isinstance(step, str):
            texts.append(step)
        else:
            texts += [filled(setting, folder, facts).text for setting in next(choices).settings]
    return texts


def _open(steps: Sequence[str | Axis], combination: Sequence[Choice]) -> list[str]:
    """The overrides of a run that waits, with the names of what it waits for."""
    choices, texts = iter(combination), []
    for step in steps:
        settings = () if isinstance(step, str) else next(choices).settings
        texts += [step] if isinstance(step, str) else [_open_text(setting) for setting in settings]
    return texts


def _open_text(setting: Setting) -> str:
    return f"{setting.key}={setting.value}" if isinstance(setting.value, Multiple) else setting.text


def _first(steps: Sequence[str | Axis], first: Sequence[Setting]) -> list[str]:
    """The overrides of the run that the others start from: the section's, then what was typed of single values."""
    single = [step for step in steps if isinstance(step, str)]
    ahead = sum(key_of(step) in ("experiment", "hydra.mode") for step in single)
    return [*single[:ahead], *(setting.text for setting in first), *single[ahead:]]


def _sweep_dir(overrides: Sequence[str], texts: Sequence[str], composer: Composer) -> Path:
    said = [text for text in overrides if key_of(text) == "hydra.sweep.dir"]
    whole = composer.base(texts).whole
    if str(whole.hydra.sweep._get_node("subdir")._value()) != "${hydra.job.num}":
        raise RequestError("hydra.sweep.subdir: run folders are numbered; the sweep's own folder is hydra.sweep.dir")
    name = composer.sweep_dir([*texts, *said]).strip()
    if not name:
        raise RequestError("hydra.sweep.dir is empty; it takes the path of the sweep's folder")
    return Path(name)


def _values_of(
    steps: Sequence[str | Axis], combination: Sequence[Choice], facts: dict[str, float] | None
) -> dict[str, Any]:
    axes = (step for step in steps if isinstance(step, Axis))
    values = {}
    for axis, choice in zip(axes, combination, strict=True):
        multiple = choice.settings[0].value if choice.settings else None
        settled = facts is not None and isinstance(multiple, Multiple)
        values[axis.key] = filled(choice.settings[0], "", facts).value if settled else choice.value
    return values


def _found(values: Mapping[str, Any], composed: Composed) -> dict[str, Any]:
    """The values as the composed config has them."""
    there = {key: schema.lookup(composed.config, key) for key in values if not chooses(f"{key}=")}
    return {key: there[key][1] if key in there and there[key][0] else value for key, value in values.items()}


def _essence(config: Mapping[str, Any]) -> str:
    """What two configs have in common that make the same run."""
    return json.dumps(schema.without(config, schema.NOT_COMPUTED), sort_keys=True, default=str)


def _checked(texts: list[str], number: int, values: Mapping[str, Any] | None, composer: Composer) -> Composed:
    """One run, composed and checked; its errors begin with its values."""
    with _of_run(number, values), explained(texts, composer.known):
        composed = composer.run(texts)
        check_config(composed.config, composed.choices, composer.known)
    return composed


@contextmanager
def _of_run(number: int, values: Mapping[str, Any] | None) -> Iterator[None]:
    """Errors inside begin with the run's values, unless they name them; None: the run the others start from."""
    try:
        yield
    except RequestError as error:
        if values is None:
            raise RequestError(f"the first run: {error}") from None
        said = [f"{key}={schema.shown(value)}" for key, value in values.items()]
        if any(str(error).startswith(f"{one}:") for one in said) or all(one in str(error) for one in said):
            raise
        these = ", ".join(f"{key}={_short(value)}" for key, value in values.items())
        raise RequestError(f"run {number} ({these}): {error}") from None


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else written(value)
    return text if len(text) <= 60 else text[:57] + "..."
