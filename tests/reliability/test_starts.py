"""Commands that start at the same time: each has a folder of its own, and one folder is worked on by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.lab import Fork, Outcome, assert_same_run, has_ended, wait_until
from tests.lines import cases, line
from tests.reliability.instants import dying

SMALL = ("dataset=fake", "dataset.samples=120", "dataset.size=8", "batch_size=24", "epochs=2")

# before the command: a call waits, until it is told to go on
WAITING = """
import os
import time
from labrunner import running
from labrunner.deep import TorchLearner

method = PLACE

def waiting(*arguments, **named):
    while not os.path.exists("go"):
        time.sleep(0.01)
    return method(*arguments, **named)

PLACE = waiting
"""


@line(12, "starts in the same second")
@pytest.mark.parametrize("count", cases([3, 20], fast=1))
def test_starts_in_the_same_second_get_folders_of_their_own(forking, tmp_path, count):
    started = [forking.start(*SMALL, cwd=tmp_path) for _ in range(count)]
    assert [fork.wait().code for fork in started] == [0] * count
    runs = list((tmp_path / "outputs" / "runs").iterdir())
    assert len(runs) == count
    for run in runs:
        assert_same_run(forking.whole(*SMALL).folder, run)


def one_and_the_others(started: list[Fork], folder: Path) -> tuple[Fork, list[Outcome]]:
    """Of commands at one folder the one that waits in it, which then goes on, and what became of the others."""
    wait_until(lambda: sum(has_ended(fork.pid) for fork in started) == len(started) - 1, "all but one to end")
    (one,) = (fork for fork in started if not has_ended(fork.pid))
    others = [fork.wait() for fork in started if fork is not one]
    (folder / "go").touch()
    return one, others


def assert_refused(refused: Outcome, one: Fork) -> None:
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(f"labrunner: error: the run in run is being worked on by process {one.pid} on ")
    assert refused.err.count("\n") == 1


@line(12, "starts in one folder")
@pytest.mark.parametrize("count", cases([3, 20], fast=1))
def test_of_many_starts_in_one_folder_one_runs_and_the_others_are_refused(forking, tmp_path, count):
    waiting = WAITING.replace("PLACE", "TorchLearner.train_batch")
    started = [forking.start("hydra.run.dir=run", *SMALL, cwd=tmp_path, first=waiting) for _ in range(count)]
    one, others = one_and_the_others(started, tmp_path)
    for refused in others:
        if "holds a run already" not in refused.err:  # it came so late that there was a config
            assert_refused(refused, one)
        assert refused.code == 2
    assert one.wait().code == 0
    assert_same_run(forking.whole(*SMALL).folder, tmp_path / "run")


@line(12, "resumes of one run")
@pytest.mark.parametrize("where", ["running.prepare", "TorchLearner.train_batch"])
@pytest.mark.parametrize("count", cases([2, 20], fast=1))
def test_of_many_resumes_one_proceeds_and_the_others_name_the_process_that_holds_the_lock(
    forking, tmp_path, count, where
):
    cut = dying("os.rename run/checkpoints/00002.safetensors")
    assert forking.start("hydra.run.dir=run", *SMALL, cwd=tmp_path, first=cut).wait().code < 0
    waiting = WAITING.replace("PLACE", where)
    started = [forking.start("resume", "run", cwd=tmp_path, first=waiting) for _ in range(count)]
    one, others = one_and_the_others(started, tmp_path)
    for refused in others:
        assert_refused(refused, one)
    assert one.wait().code == 0
    assert_same_run(forking.whole(*SMALL).folder, tmp_path / "run")


@line(12, "a start and a resume")
def test_a_start_where_a_run_is_resumed_is_refused_and_does_not_disturb_it(forking, tmp_path):
    cut = dying("os.rename run/checkpoints/00002.safetensors")
    assert forking.start("hydra.run.dir=run", *SMALL, cwd=tmp_path, first=cut).wait().code < 0
    waiting = WAITING.replace("PLACE", "running.prepare")
    resumed = forking.start("resume", "run", cwd=tmp_path, first=waiting)
    refused = forking.start("hydra.run.dir=run", *SMALL, cwd=tmp_path).wait()
    assert (refused.code, refused.err.count("holds a run already")) == (2, 1)
    (tmp_path / "go").touch()
    assert resumed.wait().code == 0
    assert_same_run(forking.whole(*SMALL).folder, tmp_path / "run")
