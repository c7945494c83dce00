"""Sweeps that lose a run, or their own process: nine of ten have results, the same command makes what is missing."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest
import yaml
from filelock import FileLock

from labrunner import sweeping
from labrunner.records import load_run
from tests.cli.lab import PATIENCE, Forking, Lab, assert_same_run, processes_in, rows_of, wait_until
from tests.lines import cases, line, measured

SMALL = ("dataset=iris", "epochs=3", "figures=none")
BAD = 5  # the number of the run that fails
MODELS = """
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn


def raises():
    raise ZeroDivisionError("by nothing")


def is_killed():
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory runs out


def ends():
    os._exit(3)


def exits():
    sys.exit("enough")


def finds_no_memory():
    raise MemoryError


def allocates():
    limit, most = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**28, most))
    try:
        torch.empty(2**36)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def is_deaf():
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    subprocess.Popen(["sleep", "1000"])
    Path("deaf").touch()
    while True:
        time.sleep(0.01)


class Net(nn.Module):
    def __init__(self, input_shape, num_classes, width, what, where, bad):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], width), nn.Linear(width, num_classes))
        self.what, self.where, self.batches = what, where, 0
        self.is_bad = width in bad and not Path(f"mended{width}").exists()
        if where == "built":
            self.happens()

    def forward(self, inputs):
        self.batches += self.training
        if self.where == "trained" and self.batches > 4:  # of three in an epoch
            self.happens()
        return self.layers(inputs)

    def happens(self):
        if self.is_bad:
            globals()[self.what]()
"""
KINDS = {
    "raises": "ZeroDivisionError: by nothing",
    "exits": "SystemExit: enough",
    "finds_no_memory": "MemoryError",
    "allocates": "you tried to allocate 274877906944 bytes",
    "is_killed": "the process was killed by signal 9, as happens where memory runs out",
    "ends": "the process ended with exit code 3",
}
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
DEADLY = ("is_killed", "ends")  # to the process
CODES = {"is_killed": -signal.SIGKILL, "ends": 3}


def ten(folder: Path, what: str, where: str = "trained", *more: str, bad: Sequence[int] = (13,)) -> tuple[str, ...]:
    """A sweep over ten widths of a model of one's own; where they are `bad`, `what` happens."""
    (folder / "my_models.py").write_text(MODELS, encoding="utf-8")
    (folder / "conf" / "model").mkdir(parents=True)
    options = {"width": 8, "what": what, "where": where, "bad": [*bad]}
    lines = ["# Ten widths.", "_target_: my_models.Net", *(f"{key}: {value}  # own" for key, value in options.items())]
    (folder / "conf" / "model" / "tiny.yaml").write_text("\n".join(lines), encoding="utf-8")
    return ("-m", "model=tiny", "model.width=range(8,18)", "hydra.sweep.dir=s", *SMALL, *more)


def statuses(folder: Path) -> dict[int, str]:
    """sweep.csv: number -> status."""
    table = pd.read_csv(folder / "sweep.csv")
    return dict(sorted(zip(table["number"], table["status"], strict=True)))


def results(folder: Path) -> dict[str, bytes]:
    """What the done runs of a sweep have, which nothing may touch any more."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for number in done(folder)
        for path in sorted((folder / str(number)).rglob("*"))
        if path.is_file() and path.suffix != ".html"  # what a kill left undrawn is drawn later
    }


def done(folder: Path) -> list[int]:
    """Numbers of the runs that say so."""
    said = {path: json.loads(path.read_text())["status"] for path in folder.glob("[0-9]*/status.json")}
    return sorted(int(path.parent.name) for path, status in said.items() if status == "done")


# one run of ten


@line(10, "one run of ten fails")
@pytest.mark.parametrize(
    ("jobs", "what", "where"),
    cases(
        [
            (jobs, what, where)
            for jobs in (1, 2)
            for what in KINDS
            for where in ("trained", "built")
            if jobs == 2 or what not in DEADLY
        ],
        fast=[(1, "finds_no_memory", "built"), (1, "allocates", "trained")],
    ),
)
def test_nine_of_ten_have_results_and_the_same_command_makes_the_one_that_failed(forks, tmp_path, jobs, what, where):
    typed = ten(tmp_path, what, where, f"jobs={jobs}")
    ended = forks(*typed).wait()
    assert ended.code == 1, ended.err
    said = ended.err.splitlines()
    (failed,) = (number for number, text in enumerate(said) if "model.width=13  FAILED" in text)
    (last,) = (number for number, text in enumerate(said) if text.startswith("labrunner: [10/10]"))
    assert KINDS[what] in said[failed]
    assert failed < last  # as soon as it has
    assert "1 of 10 runs are not done" in ended.err
    assert "labrunner resume s" in said[-1]
    assert "Traceback" not in ended.err
    assert next(row for row in ended.out.splitlines() if " 13 " in row).split()[:3] == ["5", "failed", "13"]
    assert statuses(tmp_path / "s") == dict.fromkeys(range(10), "done") | {BAD: "failed"}
    assert KINDS[what] in load_run(tmp_path / "s" / str(BAD)).error

    before = results(tmp_path / "s")
    (tmp_path / "mended13").touch()
    again = forks(*typed).wait()
    assert again.code == 0, again.err
    assert "9 of them done before" in again.err
    assert results(tmp_path / "s").items() >= before.items()
    assert done(tmp_path / "s") == list(range(10))


@line(10, "one run of ten ends a sweep in one process")
@pytest.mark.parametrize(
    ("what", "where"),
    cases([(what, where) for what in DEADLY for where in ("trained", "built")], fast=[("is_killed", "built")]),
)
def test_a_run_that_ends_the_command_itself_keeps_none_of_the_others_from_their_results(forks, tmp_path, what, where):
    typed = ten(tmp_path, what, where)
    ended = forks(*typed).wait()
    assert ended.code == CODES[what]
    assert done(tmp_path / "s") == [0, 1, 2, 3, 4]
    assert "without a word" not in ended.err

    ended = forks(*typed).wait()
    assert ended.code == CODES[what]
    assert done(tmp_path / "s") == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    begun = "interrupted" if where == "trained" else "missing"
    assert statuses(tmp_path / "s") == dict.fromkeys(range(10), "done") | {BAD: begun}
    *_, cut, apart = ended.err.splitlines()
    assert cut == "labrunner: model.width=13 was cut without a word, as by a kill, and is tried once more"
    assert apart.endswith("give it a process of its own: labrunner resume s jobs=2")

    before = results(tmp_path / "s")
    (tmp_path / "mended13").touch()
    ended = forks(*typed).wait()
    assert ended.code == 0, ended.err
    assert results(tmp_path / "s").items() >= before.items()
    assert done(tmp_path / "s") == list(range(10))


@line(10, "one run of ten ends a sweep in one process")
@pytest.mark.slow
def test_two_jobs_make_a_failure_of_the_run_that_ended_the_command(forks, tmp_path):
    typed = ten(tmp_path, "is_killed")
    for _ in range(2):
        assert forks(*typed).wait().code == -signal.SIGKILL
    ended = forks("resume", "s", "jobs=2").wait()
    assert ended.code == 1
    assert "model.width=13  FAILED: the process was killed by signal 9" in ended.err
    assert "without a word" not in ended.err
    assert statuses(tmp_path / "s") == dict.fromkeys(range(10), "done") | {BAD: "failed"}


@line(10, "two runs of ten end a sweep in one process")
def test_of_runs_that_were_cut_the_one_whose_last_try_is_longest_ago_comes_first(forks, tmp_path):
    typed = ten(tmp_path, "ends", "built", bad=(10, 13))
    finished = []
    for _ in range(3):
        assert forks(*typed).wait().code == 3
        finished.append(len(done(tmp_path / "s")))
    assert finished == [2, 4, 8]
    (tmp_path / "mended13").touch()
    assert forks(*typed).wait().code == 3  # it came before the other, which was tried since
    assert done(tmp_path / "s") == [0, 1, *range(3, 10)]


# the sweep's process is killed

FIRST = """# @package _global_
# Learning rates at shares of a number that the first run finds.
defaults:
  - override /dataset: iris
sweep:
  first:
    seed: 5
  facts:
    optim.lr: {fact: parameters, times: [0.0001, 0.0002]}
"""
SWEEPS = {
    "values": ("-m", "optim.lr=0.001,0.01,0.1", "reg=dropout", "dataset=iris", "epochs=6", "figures=none"),
    "facts of the first": ("experiment=first", "reg=dropout", "epochs=6", "figures=none"),
    "many epochs": ("-m", "optim.lr=0.001,0.01,0.1,1", "reg=dropout", "dataset=iris", "epochs=40", "figures=none"),
}
LIST = ["open s/.sweep.yaml.tmp", "os.rename s/sweep.yaml"]
TABLE = ["open s/.sweep.csv.tmp", "os.rename s/sweep.csv"]
MADE = [[f"os.mkdir s/{number}", f"os.utime s/{number}", *TABLE] for number in range(3)]
BEGIN = ["os.mkdir s", "open s/.lock", "os.mkdir s/figures", *LIST, *TABLE]
JUDGED = ["open s/.mcnemar.csv.tmp", "os.rename s/mcnemar.csv"]  # of one seed each
END = [*TABLE, *JUDGED, "open s/.checks.csv.tmp", "os.rename s/checks.csv", "open s/report.html"]
WRITES = {  # all that a sweep in one process writes beside its runs, in order
    "values": [*BEGIN, *MADE[0], *MADE[1], *MADE[2], *END],
    "facts of the first": [*BEGIN, *MADE[0], *LIST, *MADE[1], *MADE[2], *END],
}
MODELS_OF_ALL_KINDS = (
    *("-m", "model=mlp,cnn,mlp_numpy", "reg.dropout=0,0.3", "dataset=fake", "dataset.samples=120", "batch_size=16"),
    *("epochs=2", "probes=[gradients]", "figures=none", "hydra.sweep.dir=s"),
)
# before the command: list what is written into the sweep's own folder, and die before the write of a number
DYING = """
import os
import signal
import sys
from labrunner import sweeping

sweeping.Table.SHARE = 1e9  # a table after each run
writes = []
listed = os.open("writes", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

def watch(event, given):
    if event == "open" and not given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return
    if event not in ("open", "os.rename", "os.mkdir", "os.utime") or isinstance(given[0], int):
        return
    path = os.path.relpath(given[event == "os.rename"])
    if event in ("open", "os.mkdir") and os.path.isdir(path):  # it is there
        return
    if path == "s" or os.path.dirname(path) == "s":
        writes.append(f"{event} {path}")
        os.write(listed, f"{writes[-1]}\\n".encode())
        if len(writes) - 1 == NUMBER:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def undisturbed(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder in which a sweep was made in one piece."""
    made: dict[str, Path] = {}

    def make(which: str) -> Path:
        if which not in made:
            folder = made[which] = tmp_path_factory.mktemp("undisturbed")
            write_first(folder)
            whole = forking.start(*SWEEPS[which], "hydra.sweep.dir=s", cwd=folder).wait()
            assert whole.code == 0, whole.err
        return made[which]

    return make


def write_first(folder: Path) -> None:
    """The experiment whose runs start from facts of the first."""
    (folder / "conf" / "experiment").mkdir(parents=True)
    (folder / "conf" / "experiment" / "first.yaml").write_text(FIRST, encoding="utf-8")


def assert_each_run_once(whole: Path, folder: Path, before: Mapping[str, bytes] | None = None) -> None:
    """A sweep that was killed and finished has what one in one piece has, and made nothing twice.

    `before` are the `results` that it had when it was killed.
    """
    assert done(folder) == done(whole)
    assert results(folder).items() >= (before or {}).items()
    for number in done(whole):
        assert_same_run(whole / str(number), folder / str(number))
        log = (folder / str(number) / "log.txt").read_text()
        parts = log.count(" begins: "), log.count(" resumes after epoch ")
        assert parts in [(1, 0), (1, 1), (0, 1)]  # where it was cut it goes on, once
    one, other = (pd.read_csv(each / "sweep.csv").drop(columns="seconds") for each in (whole, folder))
    pd.testing.assert_frame_equal(one, other)
    one, other = (yaml.safe_load((each / "sweep.yaml").read_text()) for each in (whole, folder))
    assert one["runs"] == other["runs"]


@line(11, "the sweep's process is killed at a random instant")
@pytest.mark.parametrize("seed", cases(30, fast=2))
def test_a_sweep_killed_at_a_random_instant_is_finished_and_each_run_made_once(forks, tmp_path, undisturbed, seed):
    rng = random.Random(seed)
    which = [*SWEEPS][seed % 2]
    whole = undisturbed(which) / "s"
    write_first(tmp_path)
    folder, typed = tmp_path / "s", (*SWEEPS[which], "hydra.sweep.dir=s")
    fork = forks(*typed)
    rows = rng.randrange(3 * 6)
    wait_until(lambda: sum(rows_of(folder / str(number)) for number in range(3)) >= rows, f"{rows} epochs")
    time.sleep(rng.uniform(0.0, 0.1))
    fork.send(signal.SIGKILL)
    fork.wait()
    before = results(folder)
    again = typed if seed % 4 < 2 or not (folder / "sweep.yaml").is_file() else ("resume", "s")
    ended = forks(*again).wait()
    assert ended.code == 0, ended.err
    assert_each_run_once(whole, folder, before)


@line(11, "the sweep's process is killed at a write")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "at"), [(which, at) for which, writes in WRITES.items() for at in range(len(writes) + 1)]
)
def test_a_sweep_killed_at_a_write_is_finished_and_each_run_made_once(forking, tmp_path, undisturbed, which, at):
    whole = undisturbed(which) / "s"
    write_first(tmp_path)
    folder, typed = tmp_path / "s", (*SWEEPS[which], "hydra.sweep.dir=s")
    ended = forking.start(*typed, cwd=tmp_path, first=DYING.replace("NUMBER", str(at))).wait()
    if at == len(WRITES[which]):
        assert ended.code == 0, ended.err
        assert (tmp_path / "writes").read_text().splitlines() == WRITES[which]
    else:
        assert ended.code == -signal.SIGKILL, ended.err
    before = results(folder)
    again = ("resume", "s") if at % 2 and (folder / "sweep.yaml").is_file() else typed
    ended = forking.start(*again, cwd=tmp_path).wait()
    assert ended.code == 0, ended.err
    assert_each_run_once(whole, folder, before)


@needs_proc
@line(11, "the process of a sweep of two jobs is killed at a random instant")
@pytest.mark.parametrize("seed", cases(10, fast=0))
def test_a_killed_sweep_of_two_jobs_is_finished_at_once_while_its_processes_still_save(
    forks, tmp_path, undisturbed, seed
):
    rng = random.Random(seed)
    whole = undisturbed("many epochs") / "s"
    folder, typed = tmp_path / "s", (*SWEEPS["many epochs"], "hydra.sweep.dir=s", "jobs=2")
    fork = forks(*typed)
    if seed % 5 < 4:
        rows = rng.randrange(4 * 40 - 10)
        wait_until(lambda: sum(rows_of(folder / str(number)) for number in range(4)) > rows, f"{rows} epochs")
    else:  # while its processes begin
        wait_until(lambda: len(processes_in(tmp_path)) == 3, "two processes")
        time.sleep(rng.uniform(0.0, 5.0))
    fork.send(signal.SIGKILL)
    fork.wait()
    again = [("resume", "s", "jobs=1"), typed, ("resume", "s")][seed % 3]
    ended = forks(*again).wait()
    assert ended.code == 0, ended.err
    assert "FAILED" not in ended.err
    assert_each_run_once(whole, folder)
    wait_until(lambda: not processes_in(tmp_path), "the end of all processes")


@needs_proc
@line(11, "a run does not listen when the process of a sweep of two jobs is killed")
@pytest.mark.slow
def test_a_run_that_does_not_listen_ends_soon_after_its_sweep_was_killed_with_all_that_it_started(
    fresh, forks, tmp_path, request
):
    typed = ten(tmp_path, "is_deaf", "trained", "jobs=2")
    process = fresh(*typed)
    wait_until(lambda: (tmp_path / "deaf").is_file(), "the run that does not listen")
    process.kill()
    killed = time.monotonic()
    assert any(command.startswith("sleep ") for command in processes_in(tmp_path))
    (tmp_path / "mended13").touch()
    again = forks(*typed[:-1])
    waits = "run 5 is still being worked on"
    wait_until(lambda: again.err.is_file() and waits in again.err.read_text(), "the word that it waits")
    wait_until(lambda: len(processes_in(tmp_path)) <= 1, "the end of all processes but the one that waits")
    measured(request, "slowest end of a sweep's processes after it was killed (s)", time.monotonic() - killed)
    ended = again.wait()
    assert ended.code == 0, ended.err
    assert done(tmp_path / "s") == list(range(10))


# a run that another process is at


def held(lab: Lab, number: int) -> FileLock:
    """A sweep of three runs, of which another process seems to be at one that has not come to its end."""
    assert lab("-m", "seed=range(3)", "hydra.sweep.dir=s", *SMALL).code == 0
    folder = lab.folder / "s" / str(number)
    said = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(said | {"status": "running"}))
    lock = FileLock(folder / ".lock", thread_local=False)
    lock.acquire()
    return lock


def test_a_sweep_waits_for_a_run_that_is_still_being_worked_on_and_says_so_once(lab):
    lock = held(lab, 1)
    letting_go = threading.Timer(1.0, lock.release)
    letting_go.start()
    ended = lab("resume", "s")
    letting_go.join()
    assert ended.code == 0, ended.err
    said = "labrunner: run 1 is still being worked on, as after a kill; waiting until that has ended"
    assert ended.err.splitlines().count(said) == 1
    assert done(lab.folder / "s") == [0, 1, 2]


def test_a_run_that_stays_with_another_process_fails_alone(lab, monkeypatch):
    monkeypatch.setattr(sweeping, "HELD_SECONDS", 0.3)
    lock = held(lab, 1)
    ended = lab("-m", "seed=range(4)", "hydra.sweep.dir=s", *SMALL)
    lock.release()
    assert ended.code == 1
    assert "seed=1  FAILED: the run in s/1 is being worked on by process" in ended.err
    assert statuses(lab.folder / "s") == {0: "done", 1: "running", 2: "done", 3: "done"}
    assert lab("resume", "s").code == 0


# how many processes, and how often

MADE_BY = {  # environment and jobs
    "one": ({}, 1),
    "one, once more": ({"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "2"}, 1),
    "two": ({}, 2),
    "two, once more": ({"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "2"}, 2),
    "three": ({}, 3),
}


@pytest.fixture(scope="module")
def sequentially(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep over models of all kinds, made by one process."""
    folder = tmp_path_factory.mktemp("sequentially")
    whole = forking.start(*MODELS_OF_ALL_KINDS, cwd=folder).wait()
    assert whole.code == 0, whole.err
    return folder / "s"


@line(16, "fresh processes, one to three at a time", count=6)
@pytest.mark.slow
@pytest.mark.parametrize("made_by", MADE_BY)
def test_the_bytes_of_a_sweep_are_the_same_from_any_number_of_fresh_processes(fresh, tmp_path, sequentially, made_by):
    environment, jobs = MADE_BY[made_by]
    process = fresh(*MODELS_OF_ALL_KINDS, f"jobs={jobs}", env=environment)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert done(tmp_path / "s") == done(sequentially) == list(range(6))
    for number in range(6):
        assert_same_run(sequentially / str(number), tmp_path / "s" / str(number))
    one, other = (pd.read_csv(each / "sweep.csv").drop(columns="seconds") for each in (sequentially, tmp_path / "s"))
    pd.testing.assert_frame_equal(one, other)
