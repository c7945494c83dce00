"""Runs side by side: the same bytes, no more threads than cores, and nothing that happens to a process hurts others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labrunner import signals
from labrunner.compose import compose
from labrunner.errors import Interrupted, RunError
from labrunner.helping import Catalogue
from labrunner.records import RunFolder, load_run
from labrunner.running import Shared
from labrunner.tasks import Outcome, Task, carry_out
from labrunner.workers import Child, Workers, record_death
from tests.cli.lab import PATIENCE, assert_same_run, rows_of, wait_until
from tests.lines import cases, line

SRC = Path(__file__).parents[1] / "src"
SMALL = ("dataset=fake", "dataset.samples=120", "batch_size=16", "figures=none")
MODELS = """
import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, input_shape, num_classes, **given):
        super().__init__()
        self.layer = nn.Linear(torch.Size(input_shape).numel(), num_classes)
        self.batches = 0

    def forward(self, x):
        if self.training:
            self.batches += 1
            self.happens()
        return self.layer(x.flatten(1))

    def happens(self):
        pass


class Killed(Net):
    def happens(self):
        if self.batches == 12:  # of five an epoch: the first epoch's row is on disk
            print("a word before")
            os.kill(os.getpid(), signal.SIGKILL)


class Ends(Net):
    def happens(self):
        os._exit(3)


class Raises(Net):
    def happens(self):
        raise ZeroDivisionError("by nothing")


class Quits(Net):
    def happens(self):
        sys.exit("enough")


class Talks(Net):
    def happens(self):
        if self.batches == 1:
            print('{"outcome": "forged"}')
            print(f"stdin: {sys.stdin.read()!r}", file=sys.stderr)


class Keyed(Net):
    # its widths have numbers for names
    def __init__(self, widths, **given):
        super().__init__(**given)
        assert list(widths) == [8, 9], widths


class Meets(Net):
    # begins to train when another run is at it too
    def __init__(self, mine, theirs, **given):
        super().__init__(**given)
        self.mine, self.theirs = Path(mine), Path(theirs)

    def happens(self):
        self.mine.touch()
        while not self.theirs.exists():
            time.sleep(0.002)


class Slow(Net):
    # as slow as a large one, as long as there is a file of that name
    def happens(self):
        if Path("slow").exists():
            time.sleep(0.05)


class Deaf(Net):
    # does not hear what it is asked
    def happens(self):
        def hear(*_):
            Path("asked").touch()

        signal.signal(signal.SIGINT, hear)
        Path("deaf").touch()
        while True:
            time.sleep(0.01)
"""
PARENT = """
import json, sys
from pathlib import Path
from labrunner import signals
from labrunner.errors import Interrupted
from labrunner.tasks import Task
from labrunner.workers import Workers

signals.listen()
tasks = [Task(**task | {"folder": Path(task["folder"])}) for task in json.load(sys.stdin)]
try:
    with Workers(2, print, cores=2) as workers:
        for outcome in workers.outcomes(tasks):
            print(outcome, flush=True)
except Interrupted as interrupted:
    sys.exit(interrupted.exit_code)
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's folder, with models of theirs."""
    folder = tmp_path_factory.mktemp("workers")
    (folder / "their_models.py").write_text(MODELS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What two workers had to say."""
    return []


@pytest.fixture(scope="module")
def two(said: list[str]) -> Iterator[Workers]:
    """Two workers that the tests share: each takes seconds to import torch."""
    with Workers(2, said.append, cores=2) as workers:
        yield workers


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch, as_it_was: None) -> None:
    monkeypatch.chdir(folder)


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., Task]:
    """``task(0, "epochs=2")``, or with a model of the user's, ``task(0, *SMALL, own="Killed")``."""

    def make(number: int, *overrides: str, own: str | None = None, **options: Any) -> Task:
        composed = compose(list(overrides), Catalogue(()))
        config = composed.config
        if own is not None:
            config = {**config, "model": {"_target_": f"their_models.{own}", **options}}
        return Task(number, config, tmp_path / str(number), composed.overrides, composed.choices, f"command {number}")

    return make


def is_running(pid: int) -> bool:
    """Whether a process still does anything: one that ended may wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def recorded(task: Task) -> dict[str, Any]:
    """status.json as it lies there: `load_run` takes an abandoned run for an interrupted one."""
    found: dict[str, Any] = json.loads((task.folder / "status.json").read_text())
    return found


def by_number(outcomes: Iterator[Outcome]) -> dict[int, Outcome]:
    return {outcome.number: outcome for outcome in outcomes}


SEVERAL = [
    ("epochs=2", "figures=none"),
    ("epochs=2", "figures=none", "model=mlp_numpy"),
    ("epochs=2", "figures=none", "model.batch_norm=true", "reg.dropout=0.3", "optim.lr=0.003"),
    ("epochs=2", "figures=none", "model=mlp_numpy", "seed=3"),
]


@line(16, "processes beside each other against one", count=len(SEVERAL))
def test_runs_side_by_side_are_to_the_byte_those_of_one_process(two, task, tmp_path):
    assert_same_as_alone([task(number, *overrides) for number, overrides in enumerate(SEVERAL)], two, tmp_path)


@line(16, "processes beside each other against one", count=len(SEVERAL))
@pytest.mark.slow
def test_so_are_those_of_three_processes_that_make_them_once_more(task, tmp_path):
    tasks = [task(number, *overrides) for number, overrides in enumerate(SEVERAL)]
    with Workers(3, print, cores=3) as three:
        assert_same_as_alone(tasks, three, tmp_path)
        again = [replace(one, folder=tmp_path / "again" / str(one.number)) for one in reversed(tasks)]
        assert {outcome.status for outcome in three.outcomes(again)} == {"done"}
        assert len(three._children) == 3
    for one in again:
        assert_same_run(one.folder, tmp_path / str(one.number))


def assert_same_as_alone(tasks: list[Task], workers: Workers, tmp_path: Path) -> None:
    """Tasks carried out by workers have what they have when this process makes them, one after the other."""
    beside = by_number(workers.outcomes(tasks))
    assert sorted(beside) == [0, 1, 2, 3]
    shared = Shared(alone=False)
    for one in tasks:
        alone = Task(one.number, one.config, tmp_path / "alone" / str(one.number), [], {}, "")
        outcome, other = carry_out(alone, shared), beside[one.number]
        assert outcome.status == "done"
        assert_same_run(one.folder, alone.folder)
        assert (other.status, other.error, other.epoch, other.epochs) == ("done", None, outcome.epoch, 2)
        assert other.val == outcome.val
    run = load_run(tasks[2].folder)
    assert run.overrides["overrides"] == list(SEVERAL[2])
    assert run.environment["command"] == "command 2"


def test_a_number_that_names_a_value_stays_a_number(two, task):
    (outcome,) = two.outcomes([task(0, *SMALL, "epochs=1", own="Keyed", widths={8: 1, 9: 2})])
    assert (outcome.status, outcome.error) == ("done", None)


def test_two_runs_are_at_it_at_the_same_time(two, task, tmp_path):
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    tasks = [
        task(0, *SMALL, "epochs=1", own="Meets", mine=one, theirs=other),
        task(1, *SMALL, "epochs=1", own="Meets", mine=other, theirs=one),
    ]
    assert {outcome.status for outcome in two.outcomes(tasks)} == {"done"}


def test_what_a_run_prints_goes_to_stderr_and_is_taken_for_no_answer(two, task, capsys):
    (outcome,) = two.outcomes([task(0, *SMALL, "epochs=1", own="Talks")])
    assert outcome.status == "done"
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err == '{"outcome": "forged"}\nstdin: \'\'\n'


def raised_at(text: str) -> str:
    return f"their_models.py:{next(n for n, line in enumerate(MODELS.splitlines(), 1) if text in line)} in happens"


DEATHS = {
    "Killed": "the process was killed by signal 9, as happens where memory runs out (a word before)",
    "Ends": "the process ended with exit code 3",
}


@line(10, "a run takes its process along")
@pytest.mark.parametrize("own", cases(list(DEATHS), fast=0))
def test_a_run_that_takes_its_process_along_costs_no_other_run(two, task, capsys, own):
    named = [own, "Raises", "Quits"]
    tasks = [task(number, *SMALL, "epochs=3", own=name) for number, name in enumerate(named)]
    tasks += [task(number, *SMALL, "epochs=2", own="Net") for number in (3, 4, 5)]
    outcomes = by_number(two.outcomes(tasks))
    said = {number: (outcome.error or "").split("\n")[0] for number, outcome in outcomes.items()}
    assert said == {
        0: DEATHS[own],
        1: f"Raises cannot be trained: its first batch raises {raised_at('by nothing')}: ZeroDivisionError: by nothing",
        2: f"Quits cannot be trained: its first batch raises {raised_at('enough')}: SystemExit: enough",
        3: "",
        4: "",
        5: "",
    }
    assert [outcomes[number].status for number in range(6)] == ["failed"] * 3 + ["done"] * 3
    for number in range(3):
        assert recorded(tasks[number])["status"] == "failed"
        assert recorded(tasks[number])["error"].split("\n")[0] == said[number]
    if own == "Killed":
        assert rows_of(tasks[0].folder) > 0  # what it got to stays
        assert "a word before" in capsys.readouterr().err


@pytest.mark.parametrize("way", ["stop", pytest.param("leave", marks=pytest.mark.slow)])
def test_runs_at_work_save_their_state_when_they_are_stopped_or_left_and_can_be_gone_on_with(
    two, task, folder, tmp_path, way
):
    cut = task(1, *SMALL, "epochs=60", own="Slow")
    # ends when the other one is at work: until then the parent must hear both
    begun = {"mine": str(tmp_path / "mine"), "theirs": str(cut.folder / "initial.json")}
    quick = task(0, *SMALL, "epochs=1", own="Meets", **begun)
    (folder / "slow").touch()
    try:
        outcomes = two.outcomes([cut, quick])
        assert next(outcomes).number == 0
        wait_until(lambda: rows_of(cut.folder) > 0, "a row of the slow one")
        if way == "stop":
            two.stop(signal.SIGINT)
        outcomes.close()  # as leaving a loop does
    finally:
        (folder / "slow").unlink()
    assert two._children == []
    assert recorded(cut)["status"] == "interrupted"
    assert recorded(cut)["error"] == ("signal 2" if way == "stop" else "signal 15")
    whole = Task(2, cut.config, tmp_path / "whole", [], {}, "")
    assert [carry_out(one, Shared(alone=False)).status for one in (cut, whole)] == ["done", "done"]
    assert_same_run(cut.folder, whole.folder)


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A process that carries out tasks by two workers."""
    started: list[subprocess.Popen[str]] = []

    def start(*tasks: Task) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", PARENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SRC)},
        )
        started.append(process)
        assert process.stdin is not None
        json.dump([vars(task) | {"folder": str(task.folder)} for task in tasks], process.stdin)
        process.stdin.close()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [("SIGKILL", -9), ("SIGINT", 130), ("SIGTERM", 143)])
def test_when_the_parent_is_stopped_the_runs_save_their_state_and_no_process_stays(parent, task, signum, code):
    tasks = [task(number, "epochs=100000", "figures=none", f"seed={number}") for number in range(2)]
    process = parent(*tasks)
    wait_until(lambda: all(rows_of(task.folder) > 0 for task in tasks), "rows")
    pids = [recorded(task)["pid"] for task in tasks]
    process.send_signal(signal.Signals[signum])
    assert process.wait(PATIENCE) == code
    wait_until(lambda: not any(is_running(pid) for pid in pids), "the end of both")
    expected = signal.SIGTERM if signum == "SIGKILL" else signal.Signals[signum]
    for one in tasks:
        assert recorded(one)["status"] == "interrupted"
        assert recorded(one)["error"] == f"signal {int(expected)}"
    assert process.stderr is not None
    assert process.stderr.read() == ""


@needs_proc
@pytest.mark.slow
def test_a_second_signal_kills_a_run_that_does_not_listen(parent, task, folder):
    deaf = task(0, *SMALL, "epochs=1", own="Deaf")
    process = parent(deaf)
    wait_until(lambda: (folder / "deaf").is_file(), "the run's begin")
    pid = recorded(deaf)["pid"]
    process.send_signal(signal.SIGINT)
    wait_until(lambda: (folder / "asked").is_file(), "the first signal's arrival")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    assert not is_running(pid)


@pytest.mark.slow
def test_runs_that_together_take_more_threads_than_there_are_cores_go_one_after_the_other(task, monkeypatch):
    events: list[str] = []
    send, leave = Child.send, Child.leave

    def sent(self: Child, message: dict[str, Any]) -> None:
        events.extend(["begins"] if "granted" in message else [])
        send(self, message)

    def left(self: Child) -> None:
        events.append("ends")
        leave(self)

    monkeypatch.setattr(Child, "send", sent)
    monkeypatch.setattr(Child, "leave", left)
    said: list[str] = []
    tasks = [task(number, *SMALL, "epochs=1", "threads=2", f"seed={number}") for number in range(4)]
    with Workers(2, said.append, cores=3) as workers:
        assert {outcome.status for outcome in workers.outcomes(tasks)} == {"done"}
    assert events == ["begins", "ends"] * 4
    assert said == ["labrunner: jobs=2: 1 at a time, since a run takes 2 threads and there are 3 cores"]
    assert {load_run(task.folder).environment["threads"] for task in tasks} == {2}


# without processes


class Asks(SimpleNamespace):
    """Stands in for a process that asks for threads."""

    def __init__(self, asked: int) -> None:
        super().__init__(asked=asked, threads=0)

    def send(self, message: dict[str, int]) -> None:
        assert message == {"granted": self.asked}


def queued(cores: int, *threads: int) -> tuple[Workers, list[Any]]:
    workers, asking = Workers(8, print, cores), [Asks(count) for count in threads]
    workers._children, workers._asking = list(asking), deque(asking)
    return workers, asking


@pytest.mark.parametrize(
    ("cores", "threads", "rounds"),
    [
        (1, (1, 1, 1), [[0], [1], [2]]),
        (4, (2, 2, 1, 1), [[0, 1], [2, 3]]),
        (4, (1, 4, 1, 1), [[0], [1], [2, 3]]),  # none overtakes, so that a large one comes to its turn
        (2, (1, 8, 1), [[0], [1], [2]]),  # more than there are: alone
    ],
    ids=["one-core", "pairs", "first-come", "more-than-all"],
)
def test_threads_are_granted_in_order_and_never_more_than_there_are(cores, threads, rounds):
    workers, asking = queued(cores, *threads)
    for expected in rounds:
        workers._grant()
        granted = [number for number, child in enumerate(asking) if child.threads]
        assert granted == expected
        for number in granted:
            asking[number].threads = 0
    workers._grant()
    assert not workers._asking


def test_it_is_said_once_and_only_where_fewer_than_jobs_run_at_once():
    said: list[str] = []
    workers = Workers(4, said.append, cores=1)
    workers._tell(1, at_once=1)
    assert said == []
    workers._tell(1, at_once=4)
    workers._tell(1, at_once=4)
    assert said == ["labrunner: jobs=4: 1 at a time, since a run takes 1 thread and there is 1 core"]


def test_no_tasks_are_no_processes():
    with Workers(2, print) as workers:
        assert list(workers.outcomes([])) == []
        assert workers._children == []


def test_processes_that_cannot_be_started_are_a_failure_in_one_line(task, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with Workers(2, print) as workers, pytest.raises(RunError, match="no process can be started for the runs: No such"):
        list(workers.outcomes([task(0)]))


@pytest.mark.parametrize(
    ("status", "after"),
    [(None, "failed"), ("running", "failed"), ("interrupted", "interrupted"), ("done", "done")],
)
def test_a_process_that_died_makes_a_failure_of_a_run_that_was_at_work_and_of_no_other(task, status, after):
    one = task(0)
    with RunFolder.create(one.folder) as run_folder:
        run_folder.write("config.yaml", "epochs: 2\n")
        if status is not None:
            run_folder.status(status)
    record_death(one, "the process died")
    assert recorded(one)["status"] == after


def test_a_process_that_died_before_its_run_had_a_folder_leaves_one_that_says_so(task):
    one = task(0)
    record_death(one, "the process died")
    assert recorded(one)["status"] == "failed"
    assert recorded(one)["error"] == "the process died"
    assert load_run(one.folder).config == one.config


def test_a_signal_while_outcomes_are_dealt_with_is_not_lost(monkeypatch):
    signals.listen()
    workers = Workers(1, print)

    def serve(*_: object) -> list[Outcome]:
        signal.raise_signal(signal.SIGTERM)
        return [Outcome(0, "done", None, 0.0)]

    monkeypatch.setattr(workers, "_serve", serve)
    monkeypatch.setattr(workers, "_occupy", lambda left: None)
    with pytest.raises(Interrupted) as interrupted:
        list(workers.outcomes([SimpleNamespace()]))  # type: ignore[list-item]
    assert interrupted.value.signum == signal.SIGTERM
