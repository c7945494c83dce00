"""Measurements beside training. A probe looks at four places and changes nothing of what the run computes.

What it finds goes into ``probes/`` of the run folder, and facts are computed from there: whether a run went through in
one piece or was resumed, they are the same.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

import numpy as np

from labrunner import known_facts, relations
from labrunner.data import Data
from labrunner.deep.modes import untouched_randomness
from labrunner.errors import RequestError, RunError
from labrunner.learner import Batch, BatchOut, Learner
from labrunner.own import during, is_dotted, named, place
from labrunner.records.names import is_probed


class Notes(Protocol):
    """Where probes write, the probes/ of a run folder; `labrunner.records.RunFolder` is one."""

    def note(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Rows that ``probes/<name>.csv`` grows by, at the end of the epoch; a resume cuts them.

        `header` is the same each time and begins with ``epoch``, ``step``: a row's epoch (0 is the start) and the
        training batches before it.
        """

    def table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """All rows of ``probes/<name>.csv``, which is written whole; for what is measured at the end."""

    def keep(self, name: str, epoch: int, values: np.ndarray) -> None:
        """An array of an epoch as ``probes/<name>_<epoch>.npy``, at the end of the epoch; a resume removes it."""

    def rows(self, name: str) -> list[dict[str, Any]]:
        """What ``probes/<name>.csv`` holds, what is pending included: numbers, text, None where blank."""

    def kept(self, name: str) -> dict[int, np.ndarray]:
        """The arrays that were kept, by epoch."""


class Probe:
    """Base of all probes: override the places that are of interest. Probes are called in the order they are listed.

    Parameters
    ----------
    notes : where it writes
    config : the run's, as plain dicts

    Attributes
    ----------
    each_step : whether it is to be called after each step, for which the loop waits for the device at each of them
    FACTS : of a probe of your own, the facts that checks may ask for: name -> meaning
    """

    each_step = True
    FACTS: ClassVar[Mapping[str, str]] = {}

    def __init__(self, notes: Notes, config: Mapping[str, Any]) -> None:
        self.notes, self.config = notes, config

    def start(self, learner: Learner, data: Data, step: int) -> None:
        """Before the first batch of this process, after `step` training batches: 0 unless the run is resumed.

        What is measured of the start is noted at step 0 alone: a resumed run has it already.
        """

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        """After each training batch, the `batch.step`-th from 0."""

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        """After an epoch's row is complete and before it is written."""

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        """After training, of the chosen epoch, whose weights the learner holds."""

    def facts(self) -> dict[str, float]:
        """Named numbers for checks, read from the notes alone; what could not be measured is left out."""
        return {}


PROBES = {  # name -> where its class is; importing them all would take its time
    "steps": "steps:Steps",
    "outputs": "steps:Outputs",
    "gradients": "signals:Gradients",
    "activations": "signals:Activations",
    "weights": "signals:Weights",
    "updates": "signals:Updates",
    "trajectory": "paths:Trajectory",
    "loss_surface": "paths:LossSurface",
    "boundaries": "linear:Boundaries",
    "separation": "linear:Separation",
    "least_squares": "linear:LeastSquares",
    "gradient_check": "gradient_check:GradientCheck",
    "kernels": "images:Kernels",
    "feature_maps": "images:FeatureMaps",
    "embedding": "images:Embedding",
    "shift": "images:Shift",
    "gradcam": "images:GradCam",
    "lr_range": "lr_range:LrRange",
}


PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)


class Together(Probe):
    """Several probes in their order, after each of which torch's generators go on as if it had not looked.

    A learner draws nothing while it is looked at, but a network of the user's may.
    """

    def __init__(self, probes: Sequence[Probe]) -> None:
        self.probes = probes
        self.each_step = any(probe.each_step for probe in probes)

    def start(self, learner: Learner, data: Data, step: int) -> None:
        with untouched_randomness():
            for probe in self.probes:
                probe.start(learner, data, step)

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        with untouched_randomness():
            for probe in self.probes:
                probe.after_step(learner, batch, out)

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        with untouched_randomness():
            for probe in self.probes:
                probe.end_epoch(learner, data, row)

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        with untouched_randomness():
            for probe in self.probes:
                probe.end(learner, data, epoch)

    def facts(self) -> dict[str, float]:
        return {name: value for probe in self.probes for name, value in probe.facts().items()}


def make(names: Iterable[str], notes: Notes, config: Mapping[str, Any]) -> list[Probe]:
    """The probes of a checked config, in the order they are listed, behind one that takes care of them; or none."""
    made: list[Probe] = []
    for name in dict.fromkeys(names):
        if is_dotted(name):
            made.append(Guarded(name, users_own(name), notes, config))
            continue
        module, _, kind = PROBES[name].partition(":")
        made.append(getattr(importlib.import_module(f"labrunner.probes.{module}"), kind)(notes, config))
    return [Together(made)] if made else []


# probes of the user's own


def users_own(name: str) -> type[Probe]:
    """The class of a dotted name. Raises RequestError where it is none, or no probe."""
    kind = named(name, "a probe", f"probes=[{name}]")
    if not (isinstance(kind, type) and issubclass(kind, Probe)):
        raise RequestError(f"probes=[{name}]: it is no class that extends labrunner.probes.Probe")
    if not isinstance(kind.FACTS, Mapping):
        raise RequestError(f'probes=[{name}]: its FACTS is no mapping; it takes {{"name": "what it means"}}')
    return kind


def check(config: Mapping[str, Any]) -> None:
    """Import the probes that are the user's own, and look whether checks ask for facts that there are.

    Raises
    ------
    RequestError
        for a probe that is none, and for a fact that nobody gives, or that two give.
    """
    declared: dict[str, str] = {}
    for name in (name for name in dict.fromkeys(config["probes"]) if is_dotted(name)):
        for fact in users_own(name).FACTS:
            if known_facts.known(fact) is not None:
                raise RequestError(f"probes=[{name}]: its fact {fact} is one of labrunner's; give it another name")
            if fact in declared:
                raise RequestError(f"probes=[{declared[fact]},{name}]: both have a fact {fact}; give one another name")
            declared[fact] = name
    for fact in (fact for each in relations.parse(config["checks"]) for fact in each.facts):
        if known_facts.known(fact) is None and fact not in declared:
            close = difflib.get_close_matches(fact, [*declared, *known_facts.FACTS], n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise RequestError(
                f"checks: there is no fact {fact}\n{hint}a probe of your own says which it gives: "
                f'FACTS = {{"{fact}": "what it means"}}'
            )


class Guarded(Probe):
    """A probe of the user's own: what it writes and finds stays beside what labrunner does."""

    def __init__(self, name: str, kind: type[Probe], notes: Notes, config: Mapping[str, Any]) -> None:
        self.name = name
        with self._located():
            self.probe = kind(GuardedNotes(name, notes), config)
        self.each_step = self.probe.each_step

    def start(self, learner: Learner, data: Data, step: int) -> None:
        with self._located():
            self.probe.start(learner, data, step)

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        with self._located():
            self.probe.after_step(learner, batch, out)

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        with self._located():
            self.probe.end_epoch(learner, data, row)

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        with self._located():
            self.probe.end(learner, data, epoch)

    @contextmanager
    def _located(self) -> Iterator[None]:
        """What goes wrong inside is said to be the probe's, with the line of the user's code."""
        try:
            with during(lambda: f"probe {self.name}"):
                yield
        except RunError as error:  # of the notes
            found = place(error)
            raise RunError(f"{found}: {error}" if found else str(error)) from error

    def facts(self) -> dict[str, float]:
        found = {}
        with self._located():
            given = dict(self.probe.facts())
        for name, value in given.items():
            if known_facts.known(name) is not None:
                raise RunError(f"{self.name} gives a fact {name}, which is one of labrunner's; give it another name")
            try:
                found[name] = float(value)
            except (TypeError, ValueError):
                raise RunError(f"{self.name}: its fact {name} is {value!r}, and no number") from None
        return found


class GuardedNotes:
    """Notes of a probe of the user's own, in files of its own."""

    def __init__(self, probe: str, notes: Notes) -> None:
        self._probe, self._notes = probe, notes
        self._headers: dict[str, list[str]] = {}  # of the files that rows were added to

    def note(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        checked = self._checked(name, header, rows)
        if name not in self._headers:  # a resumed run has begun the file
            self._headers[name] = list(next(iter(self._notes.rows(name)), header))
        if list(header) != self._headers[name]:
            raise RunError(
                f"{self._probe} notes {listed(header)} in probes/{name}.csv, which has {listed(self._headers[name])}"
            )
        self._notes.note(*checked)

    def table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self._notes.table(*self._checked(name, header, rows))

    def keep(self, name: str, epoch: int, values: np.ndarray) -> None:
        self._named(name)
        self._notes.keep(name, epoch, values)

    def rows(self, name: str) -> list[dict[str, Any]]:
        return self._notes.rows(name)

    def kept(self, name: str) -> dict[int, np.ndarray]:
        return self._notes.kept(name)

    def _named(self, name: str) -> None:
        if not PLAIN.fullmatch(name):
            raise RunError(f"{self._probe} notes {name!r}, which is no name for a file; letters, digits, _ and -")
        if is_probed(name):
            raise RunError(f"{self._probe} notes {name}, a file that labrunner writes itself; give it another name")

    def _checked(
        self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> tuple[str, Sequence[str], list[Sequence[Any]]]:
        self._named(name)
        file = f"{self._probe}: probes/{name}.csv"
        if list(header[:2]) != ["epoch", "step"]:
            raise RunError(
                f"{file}: its first columns are epoch and step, by which a resume cuts it, and not {listed(header[:2])}"
            )
        found = list(rows)
        for row in found:
            if len(row) != len(header):
                raise RunError(f"{file}: a row has {len(row)} values for {len(header)} columns, {listed(header)}")
            if not all(isinstance(each, (int, np.integer)) and not isinstance(each, bool) for each in row[:2]):
                raise RunError(f"{file}: epoch and step are whole numbers, and not {row[0]!r} and {row[1]!r}")
        return name, header, found


def listed(names: Sequence[str]) -> str:
    return ", ".join(map(str, names))
