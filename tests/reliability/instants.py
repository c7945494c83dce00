"""Kills and signals at an instant of a command: when it comes, what a fork executes before, and how to go on."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from labrunner import checkpoint
from tests.cli.lab import Fork, Forking, assert_same_run, assert_whole, computed, has_ended, wait_until

SMALL = ("dataset=fake", "dataset.samples=120", "dataset.size=8", "batch_size=4", "epochs=6")
BATCHES = 18  # of an epoch
KINDS: dict[str, tuple[str, ...]] = {
    "adam": (*SMALL, "model.hidden=[32]"),
    "dropout, momentum and cosine": (
        *(*SMALL, "model=cnn", "model.channels=[4]", "reg=dropout"),
        *("optim=sgd", "optim.momentum=0.9", "schedule=cosine"),
    ),
    "numpy": (*SMALL, "model=mlp_numpy", "model.hidden=[32]"),
    "plateau, stopping early": (
        *(*SMALL, "model.hidden=[32]", "optim=adamw", "optim.lr=0.05"),
        *("schedule=plateau", "schedule.patience=0", "reg.patience=2"),
    ),
    "probes": (*SMALL, "model.hidden=[16]", "probes=[steps,weights,loss_surface]"),
}
TICK = 0.01  # seconds, of the clock of what a process has computed

# before the command: keep the number of training batches in a file beside the run
COUNTING = """
import os
from labrunner.deep import TorchLearner
from labrunner.scratch import NumpyLearner

steps = os.open("steps", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

def counting(learner):
    method = learner.train_batch
    def train_batch(self, batch, lr):
        out = method(self, batch, lr)
        os.pwrite(steps, b"%9d" % (batch.step + 1), 0)
        return out
    learner.train_batch = train_batch

counting(TorchLearner)
counting(NumpyLearner)
"""


# before the command: list what is written into the run folder, and die before the write that is asked for
DYING = """
import os
import signal
import sys

run, writes = os.path.abspath("run"), []
listed = os.open("writes", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

def watch(event, given):
    if event == "open":
        if not given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
    elif event not in ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "os.link", "os.symlink"):
        return
    path = given[event == "os.rename"]
    if isinstance(path, int) or not os.path.abspath(os.fsdecode(path)).startswith(run):
        return
    writes.append(f"{event} {os.path.relpath(path)}")
    os.write(listed, f"{writes[-1]}\\n".encode())
    if WHERE in (len(writes), writes[-1]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
"""


def dying(where: int | str) -> str:
    """The program for `Forking.start`: a write is named by its number from 1, or by what is written."""
    return DYING.replace("WHERE", repr(where))


def kind_of(number: int) -> tuple[str, ...]:
    """The kinds in turn."""
    return [*KINDS.values()][number % len(KINDS)]


def wait_for(pid: int, seconds: float) -> None:
    """Wait until a process has computed for so long, or has ended."""
    wait_until(lambda: has_ended(pid) or computed(pid) >= seconds, f"{seconds} s of computing")
    time.sleep(random.Random(seconds).uniform(0.0, TICK))


def killed(fork: Fork, seconds: float) -> bool:
    """Kill a command once it has computed for so long; False of one that was over by then."""
    wait_for(fork.pid, seconds)
    fork.send(signal.SIGKILL)
    return fork.wait().code == -signal.SIGKILL


def again(run: Path, argv: Sequence[str]) -> Sequence[str]:
    """What goes on with a run that was cut: a resume, or the same command if there is nothing to resume yet."""
    return ("resume", str(run)) if (run / "config.yaml").is_file() else argv


def lost(run: Path) -> int:
    """Training batches that `COUNTING` has seen and no checkpoint holds."""
    listed = checkpoint.listed(run / "checkpoints")
    epoch, batch, _ = listed[-1] if listed else (0, 0, None)
    said = run.with_name("steps").read_text() if run.with_name("steps").is_file() else ""
    return max(0, int(said or 0) - (BATCHES * epoch + batch))


def assert_goes_on(forking: Forking, run: Path, argv: Sequence[str], whole: Path) -> None:
    """What is there is whole, no checkpoint has to be passed over, and in the end it is the run in one piece."""
    assert_whole(run)
    ended = forking.start(*again(run, argv), cwd=run.parent).wait()
    assert ended.code == 0, ended.err
    assert "passing over" not in ended.err
    assert_same_run(whole, run)
