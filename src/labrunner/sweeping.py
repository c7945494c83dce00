"""One sweep, top to bottom: a list of checked runs and a folder in, a finished sweep folder out.

The folder is the truth here too. What has been done is read from the run folders, each time anew, so that the same
command with the same folder goes on wherever the one before it ended.
"""

from __future__ import annotations

import itertools
import json
import shlex
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labrunner import comparison, own, relations, schema, signals
from labrunner.checks import COLUMNS, Verdict, of_sweep
from labrunner.compose.sweeps import PlannedRun, SweepPlan
from labrunner.errors import Interrupted, RequestError, RunError
from labrunner.files import read_json
from labrunner.machine import cores, file_hash
from labrunner.records import Member, Sweep, SweepFolder, is_sweep_folder, load_sweep, resume_command
from labrunner.running import Shared, config_hash, duration, prepare
from labrunner.tasks import Outcome, Task, carry_out, is_begun, was_cut_off
from labrunner.verdict import MCNEMAR, VERDICT, Judgement, renew
from labrunner.workers import STOP_SECONDS, Workers

# what a run's own config says, whatever the sweep's way of making it
ALONE = {"jobs": 1, "fail_fast": False, "strict": False}
OVER = ("done", "diverged")  # what a run ends as that is not made again
# what a sweep's folder may hold without a sweep.yaml, as where a kill came before it, or it was lost
WRITTEN = ("sweep.yaml", "sweep.csv", VERDICT, MCNEMAR, "checks.csv")
BESIDE_RUNS = {".lock", "figures", "report.html", *WRITTEN, *(f".{name}.tmp" for name in WRITTEN)}
TOLD = 60.0  # seconds still to go from which they are told
HELD_SECONDS = STOP_SECONDS + 5.0  # what processes of a killed sweep are given to let go of its runs
TRIED = 12  # ways of calling the user's code that are tried before a sweep
TICK = 0.1  # seconds; how often it is looked whether they have

Outcomes = Callable[[Sequence[Task]], Iterator[Outcome]]


@dataclass(frozen=True)
class SweepResult:
    """How a sweep ended."""

    sweep: Sweep  # read when it was over
    failures: dict[int, str]  # number -> cause, of the runs that failed this time
    verdicts: list[Verdict] = field(default_factory=list)  # of its checks
    judgement: Judgement = field(default_factory=Judgement)  # what its runs say of each other


@dataclass(frozen=True)
class Placed:
    """The planned runs in their folders."""

    plan: SweepPlan
    sweep: Sweep  # its members have the numbers of the folder
    planned: dict[int, PlannedRun]  # by number in the folder

    @property
    def left(self) -> list[Member]:
        """What is still to be made, and can be: not what waits for a fact of the first run.

        Those never begun come first, then those whose last try is longest ago: whatever one run does to the process,
        the same command, repeated, gets to all others.
        """
        left = [
            member
            for member in self.sweep.members
            if self.planned[member.number].composed is not None and member.status not in OVER
        ]
        return sorted(left, key=lambda member: member.last_written)

    @property
    def left_out(self) -> list[tuple[dict[str, Any], int]]:
        """Values that make the same run as others, and the number of that run in the folder."""
        folders = {run.number: number for number, run in self.planned.items()}
        return [(values, folders[position]) for values, position in self.plan.dropped]

    @property
    def first(self) -> Member | None:
        """The run that the others start from, where there is one."""
        if not self.plan.has_first:
            return None
        return next(member for member in self.sweep.members if self.planned[member.number].number == 0)


def sweep(
    plan: SweepPlan,
    folder: Path,
    shared: Shared,
    *,
    command: str = "",
    flags: Sequence[str] = (),
    jobs: int = 1,
    fail_fast: bool = False,
    vet: Callable[[dict[str, Any]], None] = lambda config: None,
) -> SweepResult:
    """Make the runs of a sweep that are missing, failed or cut, those never begun first.

    Parameters
    ----------
    plan : composed and checked
    folder : new, empty, or that of a sweep all of whose runs are planned
    shared : what runs of this process share
    command : the command line, for the record
    flags : what each run's own command line takes beside its overrides, as ``--config-dir conf``
    jobs : processes that make runs; 1 is this process
    fail_fast : whether the first failure ends the sweep
    vet : refuses a config that must not be run, as one out of a stranger's list

    Raises
    ------
    RequestError
        when the folder holds something else, or code of the user's own cannot be used; nothing has been written.
    Interrupted
        when a signal asked to stop; the same command goes on.
    """
    placed = place(plan, folder, command)
    if jobs == 1:  # else this process outlives whatever the code does to that of a run
        try_own_code(placed, shared, vet)
    to_go_on = resume_command(folder, *flags)
    with SweepFolder.open(folder) as sweep_folder:
        wait_for_orphans(folder, shared)
        placed = place(plan, folder, command)  # another process may have been quicker
        warn_of_edits(placed, shared)
        table = Table(sweep_folder)
        sweep_folder.write(as_begun(placed.sweep))
        table.keep(now=True)
        draw_the_undrawn(placed, shared)
        log = Log(shared.say, placed, min(jobs, cores()))
        failures: dict[int, str] = {}

        def beware(task: Task) -> None:
            """Before a run that may be the end of this process: all that is done is in the table."""
            if was_cut_off(task.folder):
                table.keep(now=True)
                log.beware(task.number, resume_command(folder, *flags, "jobs=2"))

        try:
            with executor(jobs, shared, beware) as outcomes:
                for now, tasks in stages(placed, sweep_folder, flags):
                    log.placed = now  # facts of the first run have become values
                    for task in tasks:
                        vet(task.config)
                    for outcome in outcomes(tasks):
                        log.ended(outcome)
                        if outcome.status == "failed":
                            failures[outcome.number] = outcome.error or "no cause was given"
                        task = next(task for task in tasks if task.number == outcome.number)
                        if shared.drawing is not None and is_begun(task.folder):
                            shared.drawing.ask(task.folder, task.config["figures"])
                        table.keep()
                        if failures and fail_fast:
                            raise _EnoughError
        except _EnoughError:
            shared.say(f"labrunner: fail_fast=true ends the sweep; to go on: {to_go_on}")
        except Interrupted as interrupted:
            table.keep(now=True)
            raise Interrupted(interrupted.signum, f"interrupted; to go on: {to_go_on}") from None
        listed = load_sweep(folder)
        judgement = renew(sweep_folder, listed)
        checks = [] if plan.config["smoke"] else relations.parse(plan.config["checks"])
        verdicts = of_sweep(checks, listed, placed.left_out)
        sweep_folder.write_csv("checks.csv", COLUMNS, [verdict.row for verdict in verdicts])
    if shared.drawing is not None:
        shared.drawing.ask(folder, plan.config["figures"])
    return SweepResult(listed, failures, verdicts, judgement)


class _EnoughError(Exception):
    """One failure was enough."""


def try_own_code(placed: Placed, shared: Shared, vet: Callable[[dict[str, Any]], None]) -> None:
    """Set up runs that call the user's code, each in a way of its own, until one can be made.

    Where none can, that is said once, before anything is written; one run of many that cannot is a failure of its own.

    Raises
    ------
    RequestError
        of the first of them, that begins with the run and its values.
    """
    if is_sweep_folder(placed.sweep.path):  # it has begun, and what fails there is told run by run
        return
    refused: dict[str, RequestError] = {}
    for member in placed.left:
        composed = placed.planned[member.number].composed
        if composed is None:
            continue
        if not own.targets(composed.config):
            return
        sections = {key: composed.config[key] for key in (*own.GROUPS, "probes", "freeze")}
        sections["optim"] = {key: value for key, value in sections["optim"].items() if key != "lr"}
        called = json.dumps(sections, sort_keys=True, default=str)
        if called in refused:
            continue
        if len(refused) == TRIED:
            break
        vet(composed.config)
        try:
            prepare(composed.config | ALONE, shared)
        except RequestError as error:
            signals.raised().heed()  # an import that was interrupted may end as a refusal
            refused[called] = RequestError(f"run {member.number}{of(member.values)}: {error}")
            refused[called].__cause__ = error
        else:
            return
    for first in refused.values():
        raise first


# where the runs of a plan stand


def place(plan: SweepPlan, folder: Path, command: str = "") -> Placed:
    """The runs of a plan with the numbers and folders that they have, or will have, in a sweep's folder; only reads.

    A run that the folder holds already keeps its number; the others take the numbers that are free.

    Raises
    ------
    RequestError
        when the folder is another's, or holds a run that is not planned: a changed config is no finished run.
    """
    begun: dict[tuple[Any, ...], list[Member]] = {}  # a first run may be equal to one of the others
    for member in earlier(folder):
        if member.run is not None:
            begun.setdefault(identity(member.run.config), []).append(member)
    first = plan.runs[0].composed
    if plan.has_first and first is not None:
        there = begun.get(identity(first.config), [])
        if there and there[0].status == "done":
            plan = plan.settled(facts_of(there[0]), there[0].path)
    numbers: dict[int, int] = {}  # position in the plan -> number in the folder
    for run in plan.runs:
        known = [] if run.composed is None else begun.get(identity(run.composed.config), [])
        if known:
            numbers[run.number] = known.pop(0).number
    for stranger in itertools.chain.from_iterable(begun.values()):
        raise RequestError(not_planned(stranger, plan, folder))
    taken = set(numbers.values())
    free = (number for number in itertools.count() if number not in taken)
    planned = {numbers[run.number] if run.number in numbers else next(free): run for run in plan.runs}
    members = [
        Member(
            number=number,
            path=folder / str(number),
            values=run.values,
            overrides=[text for text in run.overrides if text.partition("=")[0].lstrip("+") not in ALONE],
            config_hash=None if run.composed is None else config_hash(run.composed.config),
            epochs=None if run.composed is None else run.composed.config["epochs"],
        )
        for number, run in sorted(planned.items())
    ]
    listed = Sweep(folder, plan.keys, members, plan.config["monitor"], plan.threshold, plan.overrides, command)
    return Placed(plan, listed, planned)


def earlier(folder: Path) -> list[Member]:
    """The runs that a sweep's folder holds already; none of a new or empty folder."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise RequestError(f"the sweep folder {folder} is a file; give hydra.sweep.dir another one")
    there = load_sweep(folder) if is_sweep_folder(folder) else None
    if there is not None and there.is_comparison:
        raise RequestError(f"{folder} holds a comparison and no sweep; give hydra.sweep.dir another folder")
    names = {entry.name for entry in folder.iterdir()}
    numbers = {name for name in names if is_number(name)}
    if there is None and not names <= BESIDE_RUNS | numbers:
        raise RequestError(f"the sweep folder {folder} is not empty; give hydra.sweep.dir another one")
    # what lies there counts, and not what the list says: of it come the values for a message
    values = {} if there is None else {str(member.number): member.values for member in there.members}
    return [Member(int(name), folder / name, values.get(name, {}), []) for name in sorted(numbers, key=int)]


def is_number(name: str) -> bool:
    """Whether a folder's name is a run's."""
    return name.isdecimal() and name.isascii() and len(name) < 10


def identity(config: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes a planned run the one that a folder holds: what it computes, for how long, and on what."""
    return config_hash(config), *(config.get(key) for key in schema.RESUMABLE if key not in schema.NOT_COMPUTED)


def not_planned(stranger: Member, plan: SweepPlan, folder: Path) -> str:
    """What to say of a folder with a run that the request does not ask for."""
    assert stranger.run is not None
    said = (
        f"the sweep folder {folder} holds run {stranger.number}{of(stranger.values)}, which this command does not make"
    )
    alike = next((run for run in plan.runs if run.values == stranger.values and run.composed is not None), None)
    if alike is not None and alike.composed is not None:
        before, now = comparison.flat(stranger.run.config), comparison.flat(alike.composed.config)
        changed = [
            key for key in {**before, **now} if before.get(key) != now.get(key) and key not in schema.NOT_COMPUTED
        ]
        if changed:  # else it is not the config that differs, but the version which wrote it
            key = changed[0]
            said += f": it has {key}={schema.shown(before.get(key))}, asked for is {schema.shown(now.get(key))}"
    return f"{said}\nname its values too, as they were, or give hydra.sweep.dir another folder"


def of(values: Mapping[str, Any]) -> str:
    return f" ({comparison.values_text(values)})" if values else ""


# what is done with them


def stages(placed: Placed, sweep_folder: SweepFolder, flags: Sequence[str]) -> Iterator[tuple[Placed, list[Task]]]:
    """The runs to be made; first that which the others start from, and those once it is done.

    Raises
    ------
    RunError
        when the first run diverged, or lacks a fact: the others have nothing to start from.
    """
    nothing = "the first run diverged, and the others have nothing to start from; change what sweep.first says"
    first = placed.first
    if first is not None and first.status not in OVER:
        yield placed, [task_of(placed, first, flags)]
        made = replace(first)  # whose files are read anew
        if made.status == "diverged":
            raise RunError(nothing)
        if made.status != "done":
            return  # its failure has been said, and the others have nothing to start from
        try:
            placed = place(placed.plan, sweep_folder.path, placed.sweep.command)
        except RequestError as error:
            raise RunError(str(error)) from None
        sweep_folder.write(as_begun(placed.sweep))
    elif first is not None and first.status == "diverged":
        raise RunError(nothing)
    yield placed, [task_of(placed, member, flags) for member in placed.left]


def task_of(placed: Placed, member: Member, flags: Sequence[str]) -> Task:
    composed = placed.planned[member.number].composed
    assert composed is not None
    return Task(
        number=member.number,
        config=composed.config | ALONE,
        folder=member.path,
        overrides=member.overrides,
        choices=composed.choices,
        command=shlex.join(["labrunner", *flags, *member.overrides]),
    )


def wait_for_orphans(folder: Path, shared: Shared) -> None:
    """Wait until nobody works on a run of a sweep: processes of a killed one save their state before they end.

    A run that stays with another process is the failure of that run.
    """
    deadline = time.monotonic() + HELD_SECONDS
    held = earlier(folder)
    for looks in itertools.count():
        held = [member for member in held if member.is_held]
        if not held or time.monotonic() > deadline:
            return
        if looks == 1:  # whoever reads a status holds the lock for a moment
            numbers = ", ".join(str(member.number) for member in held)
            which = f"run {numbers} is" if len(held) == 1 else f"runs {numbers} are"
            shared.say(f"labrunner: {which} still being worked on, as after a kill; waiting until that has ended")
        time.sleep(TICK)


@contextmanager
def executor(jobs: int, shared: Shared, beware: Callable[[Task], None]) -> Iterator[Outcomes]:
    """What makes runs: this process, one after the other, or several processes at a time.

    `beware` is told of each run that this process is about to make.
    """
    alone = replace(shared, alone=False)

    def one_by_one(tasks: Sequence[Task]) -> Iterator[Outcome]:
        for task in tasks:
            beware(task)
            yield carry_out(task, alone)

    if jobs == 1:
        yield one_by_one
        return
    with Workers(jobs, shared.say_once) as workers:  # each process has its own memory of what it said
        yield workers.outcomes


def as_begun(listed: Sweep) -> Sweep:
    """The list of runs under the command that began it, as long as that still asks for them."""
    if not is_sweep_folder(listed.path):
        return listed
    before = load_sweep(listed.path)
    return replace(listed, command=before.command) if before.overrides == listed.overrides else listed


def warn_of_edits(placed: Placed, shared: Shared) -> None:
    """Say so when a model's file has changed since runs of the sweep were made: the others will be of another model."""
    changed: dict[str, list[str]] = {}
    for member in placed.sweep.members:
        versions = {} if member.run is None else member.run.environment.get("versions")
        for name, recorded in versions.items() if isinstance(versions, dict) else ():
            if str(name).endswith(".py") and Path(name).name == name and file_hash(Path(name)) not in (None, recorded):
                changed.setdefault(name, []).append(str(member.number))
    for name, numbers in changed.items():
        which = f"run {numbers[0]} was" if len(numbers) == 1 else f"runs {', '.join(numbers)} were"
        shared.say(
            f"labrunner: warning: {name} has changed since {which} begun: what is made now may be of another model\n"
            "  for a fresh start give hydra.sweep.dir another folder"
        )


def facts_of(member: Member) -> dict[str, float]:
    return read_json(member.path / "facts.json") or {}


class Table:
    """Keeps sweep.csv up to date while runs end; reading all runs again takes its time, of which it takes a share."""

    SHARE = 0.05  # of the time that goes by

    def __init__(self, sweep_folder: SweepFolder) -> None:
        self._folder = sweep_folder
        self._due = 0.0

    def keep(self, *, now: bool = False) -> None:
        """Write it, if it is due or must be."""
        begin = time.monotonic()
        if not now and begin < self._due:
            return
        self._folder.write_csv("sweep.csv", *comparison.lines(load_sweep(self._folder.path)))
        self._due = time.monotonic() + (time.monotonic() - begin) / self.SHARE


def draw_the_undrawn(placed: Placed, shared: Shared) -> None:
    """Runs that ended while their figures were not drawn, as when the whole command was killed."""
    for member in placed.sweep.members:
        composed = placed.planned[member.number].composed
        over = member.status in OVER and not (member.path / "report.html").is_file()
        if over and composed is not None and shared.drawing is not None:
            shared.drawing.ask(member.path, composed.config["figures"])


@dataclass
class Log:
    """Says how each run ended, as soon as it has."""

    say: Callable[[str], None]
    placed: Placed
    jobs: int
    _ended: int = 0
    _seconds: list[float] = field(default_factory=list)
    _told: bool = False

    def __post_init__(self) -> None:
        members = self.placed.sweep.members
        over = sum(member.status in OVER for member in members)
        self._total = len(members)
        self._over = over
        keys = ", ".join(self.placed.plan.keys)
        what = (
            f"sweep of {len(members)} runs over {keys}" if keys else "sweep of one run: no key has several values (a,b)"
        )
        done = f"; {over} of them done before" if over else ""
        self.say(f"labrunner: {what}{done}, in {self.placed.sweep.path}")
        for values, number in self.placed.left_out:
            self.say(f"labrunner: {comparison.values_text(values)} is left out: it is the same as run {number}")

    def beware(self, number: int, apart: str) -> None:
        """Say of a run that was cut without a word how to keep it from the others."""
        which = self._values(number) or f"run {number}"
        self.say(
            f"labrunner: {which} was cut without a word, as by a kill, and is tried once more\n"
            f"  should this command end with it too, give it a process of its own: {apart}"
        )

    def ended(self, outcome: Outcome) -> None:
        self._ended += 1
        if self._ended > 1 or self._total - self._over == 1:  # the first run pays for imports, too
            self._seconds.append(outcome.seconds)
        values = self._values(outcome.number)
        # how many are over is no number of a run: the first of six is run 0
        which = f"run {outcome.number}: {values}" if values else f"run {outcome.number}"
        name = f"[{self._over + self._ended}/{self._total}] {which}"
        if outcome.status == "failed":
            self.say(f"labrunner: {name}  FAILED: {outcome.error}")
        elif outcome.status == "diverged":
            self.say(f"labrunner: {name}  diverged: {outcome.error}")
        else:
            self.say(f"labrunner: {name}  {headline(outcome, self.placed.sweep.monitor)}")
        self._tell_what_is_left()

    def _values(self, number: int) -> str:
        member = next(each for each in self.placed.sweep.members if each.number == number)
        return comparison.values_text(member.values)

    def _tell_what_is_left(self) -> None:
        left = self._total - self._over - self._ended
        if not left or not self._seconds:
            return
        seconds = statistics.median(self._seconds) / min(self.jobs, left) * left
        if seconds > TOLD and (not self._told or self._ended % 10 == 0):
            self._told = True
            self.say(f"labrunner: about {duration(seconds)} to go for {left} runs")


def headline(outcome: Outcome, monitor: str) -> str:
    """How a run ended that did."""
    parts = [f"epoch {outcome.epoch} of {outcome.epochs}"]
    for column in dict.fromkeys((monitor, "val_accuracy")):
        value = (outcome.val or {}).get(column)
        if value is not None:
            parts.append(f"{column} {value:.4f}" if abs(value) < 1e4 else f"{column} {value:.4g}")
    return f"{', '.join(parts)} ({duration(outcome.seconds)})"
