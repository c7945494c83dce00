"""Ctrl-C and SIGTERM from the first line of the command on: one line, the exit code, no process left, nothing lost."""

from __future__ import annotations

import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labrunner import __version__
from labrunner.deep import TorchLearner
from labrunner.files import read_json
from labrunner.learner import Batch, BatchOut
from labrunner.records import RunFolder
from tests.cli.lab import (
    Forking,
    Outcome,
    assert_same_run,
    assert_whole,
    computed,
    ended,
    has_ended,
    processes_in,
    rows_of,
    wait_until,
)
from tests.lines import cases, line, measured
from tests.reliability.instants import COUNTING, KINDS, SMALL, assert_goes_on, kind_of, lost, wait_for

SLOWEST = "slowest exit after a signal (s)"

# before the command, in a fork
BEGUN = 'open("begun", "w").close()\n'
# the command as a process of its own, which tells when it begins
BEGINNING = """
import os, sys, time
from labrunner.cli import main

with open(".begun", "w") as file:
    file.write(str(time.process_time()))
os.rename(".begun", "begun")
sys.exit(main())
"""


def which_signal(seed: int) -> signal.Signals:
    return (signal.SIGINT, signal.SIGTERM)[seed % 2]


def assert_stopped(stopped: Outcome, signum: int) -> None:
    """The exit code of a signal, one line on it, and that is the last."""
    assert stopped.code == 128 + signum, stopped
    said = stopped.err.splitlines()
    assert all(text.startswith("labrunner: ") for text in said), stopped.err
    assert [number for number, text in enumerate(said) if "interrupted" in text or "error" in text] == [len(said) - 1]


def status_of(run: Path) -> str | None:
    return (read_json(run / "status.json") or {}).get("status")


def is_done(run: Path) -> bool:
    return status_of(run) == "done"


@line(4, "a signal at a random instant")
@pytest.mark.parametrize("seed", cases(70, fast=6))
def test_a_signal_at_any_instant_ends_the_run_with_one_line_and_no_step_is_lost(forking, tmp_path, request, seed):
    rng, signum, run = random.Random(seed), which_signal(seed), tmp_path / "run"
    kind = kind_of(seed // 2)
    argv, whole = ("hydra.run.dir=run", *kind), forking.whole(*kind)
    seconds = rng.uniform(0.0, whole.seconds)
    while True:
        fork = forking.start(*argv, cwd=tmp_path, first=COUNTING + BEGUN)
        wait_until((tmp_path / "begun").exists, "main()")
        wait_for(fork.pid, seconds)
        was_done = has_ended(fork.pid) or is_done(run)
        fork.send(signum)
        begin = time.monotonic()
        stopped = fork.wait()
        if stopped.code:
            break
        assert was_done, "a signal was lost"
        (tmp_path / "begun").unlink()
        shutil.rmtree(run)
        seconds *= 0.9
    measured(request, SLOWEST, time.monotonic() - begin)
    assert_stopped(stopped, signum)
    assert stopped.out == ""
    if not is_done(run):
        assert status_of(run) == ("interrupted" if run.exists() else None)
        how = "; to go on: labrunner resume run" if run.exists() else ""
        assert stopped.err == f"labrunner: error: interrupted{how}\n"
    batches = lost(run)
    measured(request, "most batches lost to a signal", batches)
    assert batches <= 1
    assert_goes_on(forking, run, argv, whole.folder)


@line(4, "a signal at a random instant, imports and drawing included")
@pytest.mark.parametrize("seed", cases(30, fast=[12]))
def test_a_signal_at_any_instant_ends_the_whole_command_and_leaves_no_process(fresh, forking, tmp_path, request, seed):
    rng, signum, run = random.Random(seed), which_signal(seed), tmp_path / "run"
    kind = kind_of(seed // 2)
    argv, whole = ("hydra.run.dir=run", "figures=few", *kind), forking.whole(*kind)
    share = rng.random()
    while True:
        process = fresh(python=[sys.executable, "-P", "-c", BEGINNING, *argv])
        wait_until((tmp_path / "begun").exists, "main()")
        begun = float((tmp_path / "begun").read_text())
        if seed % 8 < 6:
            wait_for(process.pid, begun + share * (forking.imported - begun + whole.seconds))
        else:  # while it is being drawn, during which the command computes nothing
            wait_until(lambda process=process: is_done(run) or process.poll() is not None, "the end of the run")
            time.sleep(share)
        was_done = process.poll() is not None or is_done(run)
        process.send_signal(signum)
        begin = time.monotonic()
        stopped = ended(process)
        if stopped.code:
            break
        assert was_done, "a signal was lost"
        (tmp_path / "begun").unlink()
        shutil.rmtree(run)
        share *= 0.9
    measured(request, SLOWEST, time.monotonic() - begin)
    assert not processes_in(tmp_path)
    assert_stopped(stopped, signum)
    assert stopped.out == ""
    assert_goes_on(forking, run, argv, whole.folder)


# before the command, in a fork: a signal at one of its outermost lines, counted from the one that listens
TRACED = """
import os
import signal
import sys
from labrunner import cli

lines = 0

def local(frame, event, argument):
    global lines
    if event == "line" and lines == NUMBER:
        os.kill(os.getpid(), signal.SIGINT)
    lines += event == "line"
    return local

sys.settrace(lambda frame, event, argument: local if frame.f_code in CODES else None)
CODES = (cli.main.__code__, cli.answer.__code__)
"""


@line(4, "a signal at each of the outermost lines")
@pytest.mark.parametrize(
    ("number", "argv"),
    cases([(number, argv) for number in range(1, 26) for argv in ("--version", "model=none")], fast=6),
)
def test_a_signal_at_every_line_of_main_is_answered(forking, tmp_path, number, argv):
    code, out, err = forking.start(argv, cwd=tmp_path, first=TRACED.replace("NUMBER", str(number))).wait()
    if code == 130:
        assert err.endswith("labrunner: error: interrupted\n")
        assert err.count("interrupted") == 1
    else:  # it was over
        assert number > 10
        assert (code, out) == {"--version": (0, f"labrunner {__version__}\n"), "model=none": (2, "")}[argv]
    assert "Traceback" not in err
    assert "Exception" not in err


# a second one

# before the command: what should be a moment takes for ever, and it is told when a first signal has been heard
HANGING = """
import time
from labrunner import signals
from labrunner import __version__
from labrunner.deep import TorchLearner
from labrunner.records import RunFolder

def hang(self, *arguments):
    open("hangs", "w").close()
    while True:
        time.sleep(0.01)
        if signals._deferred:
            open("heard", "w").close()

OWNER.METHOD = hang
"""
PLACES = ("TorchLearner.train_batch", "TorchLearner.eval_batch", "TorchLearner.summary", "RunFolder._save")


@line(4, "a second signal")
@pytest.mark.parametrize(("where", "signum"), cases([(w, s) for w in PLACES for s in (2, 15)], fast=[(PLACES[3], 2)]))
def test_a_second_signal_ends_a_run_that_hangs_at_once_and_it_can_be_gone_on_with(
    forking, tmp_path, request, where, signum
):
    kind = KINDS["adam"]
    argv = ("hydra.run.dir=run", *kind)
    fork = forking.start(*argv, cwd=tmp_path, first=HANGING.replace("OWNER.METHOD", where))
    wait_until((tmp_path / "hangs").exists, "a place to hang in")
    fork.send(signum)
    wait_until((tmp_path / "heard").exists, "the first signal to be heard")
    fork.send(signum)
    begin = time.monotonic()
    assert fork.wait() == (128 + signum, "", "")
    measured(request, SLOWEST, time.monotonic() - begin)
    assert_goes_on(forking, tmp_path / "run", argv, forking.whole(*kind).folder)


# verbs that make no run

# before the command, in a fork: the real drawing process, which the forks do without
DRAWN = """
import importlib
import labrunner.drawing

importlib.reload(labrunner.drawing)
"""
VERBS: dict[str, tuple[str, ...]] = {
    "evaluate": ("evaluate", "one"),
    "predict": ("predict", "one", "pictures"),
    "plan": ("plan", "-m", "model=mlp,cnn", *SMALL),
    "report": ("report", "one", "two"),
    "compare": ("compare", "one", "two"),
    "lr-find": ("lr-find", "model=cnn", *SMALL),
}


@pytest.fixture(scope="module")
def lived(forking: Forking) -> Callable[..., float]:
    """Seconds that a command computes."""
    known: dict[tuple[str, ...], float] = {}

    def seconds(folder: Path, *argv: str) -> float:
        if argv not in known:
            fork = forking.start(*argv, cwd=folder)
            wait_until(lambda: has_ended(fork.pid), "the end")
            known[argv] = computed(fork.pid)
            assert fork.wait().code == 0, fork.err.read_text()
        return known[argv]

    return seconds


@line(4, "a signal during another verb")
@pytest.mark.parametrize(
    ("verb", "seed"),
    cases([(verb, seed) for verb in VERBS for seed in range(6)], fast=[("predict", 3)]),
)
def test_a_signal_ends_every_verb_with_one_line_and_leaves_its_runs_as_they_are(
    forking, lived, tmp_path, request, verb, seed
):
    from PIL import Image

    rng, signum, argv = random.Random(seed), which_signal(seed), VERBS[verb]
    (tmp_path / "pictures").mkdir()
    for number in range(30):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    whole = {name: forking.whole(*KINDS[kind]).folder for name, kind in (("one", "adam"), ("two", "numpy"))}
    for name, folder in whole.items():
        shutil.copytree(folder, tmp_path / name)
    seconds = rng.uniform(0.0, lived(tmp_path, *argv))
    while True:
        (tmp_path / "begun").unlink(missing_ok=True)
        fork = forking.start(*argv, cwd=tmp_path, first=(DRAWN if verb == "report" else "") + BEGUN)
        wait_until((tmp_path / "begun").exists, "main()")
        if verb == "report":  # the other process computes
            wait_until(lambda: len(processes_in(tmp_path)) == 2, "the drawing process")
            time.sleep(10.0 * seconds)
        else:
            wait_for(fork.pid, seconds)
        fork.send(signum)
        begin = time.monotonic()
        stopped = fork.wait()
        if stopped.code:
            break
        seconds *= 0.9
    measured(request, SLOWEST, time.monotonic() - begin)
    assert not processes_in(tmp_path)
    assert_stopped(stopped, signum)
    for name, folder in whole.items():
        assert_whole(tmp_path / name)
        assert_same_run(folder, tmp_path / name)
    gone_on = forking.start(*argv, cwd=tmp_path).wait()
    assert gone_on.code == 0, gone_on.err


# sweeps

HANGING_MODEL = """
import os
import time

from labrunner import signals
from torch import nn


class Net(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

    def forward(self, inputs):
        while self.training:
            open(f"hangs{os.getpid()}", "w").close()
            time.sleep(0.01)
            if signals._deferred:
                open(f"heard{os.getpid()}", "w").close()
        return self.layers(inputs)
"""
SWEEP = ("-m", "seed=1,2,3", "hydra.sweep.dir=s", *KINDS["adam"])


@line(4, "a signal during a sweep in two processes")
@pytest.mark.parametrize("seed", cases(8, fast=0))
def test_a_signal_ends_a_sweep_with_its_processes_and_its_runs_are_gone_on_with(forking, tmp_path, request, seed):
    rng, signum, sweep = random.Random(seed), which_signal(seed), tmp_path / "s"
    fork = forking.start(*SWEEP, "jobs=2", cwd=tmp_path)
    wait_until(lambda: len(processes_in(tmp_path)) == 3, "its processes")
    if seed % 4 == 0:  # during their imports
        time.sleep(rng.uniform(0.0, 2.0))
    else:
        rows = rng.randrange(1, 17)
        wait_until(lambda: sum(rows_of(sweep / str(number)) for number in range(3)) >= rows, f"{rows} epochs")
    fork.send(signum)
    begin = time.monotonic()
    stopped = fork.wait()
    measured(request, SLOWEST, time.monotonic() - begin)
    assert not processes_in(tmp_path)
    assert_stopped(Outcome(stopped.code, stopped.out, without_progress(stopped.err)), signum)
    assert stopped.err.endswith("labrunner: error: interrupted; to go on: labrunner resume s\n")
    assert_whole(sweep)
    gone_on = forking.start("resume", "s", "jobs=1", cwd=tmp_path).wait()
    assert gone_on.code == 0, gone_on.err
    for number in range(3):
        whole = forking.whole(*KINDS["adam"], f"seed={number + 1}").folder
        assert_same_run(whole, sweep / str(number))


def without_progress(said: str) -> str:
    return "".join(text for text in said.splitlines(keepends=True) if not text.startswith("labrunner: ["))


@line(4, "a second signal")
@pytest.mark.slow
def test_a_second_signal_ends_the_processes_of_a_sweep_at_once(forking, tmp_path, request):
    (tmp_path / "hanging.py").write_text(HANGING_MODEL, encoding="utf-8")
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "hanging.yaml").write_text("# It hangs.\n_target_: hanging.Net\n", encoding="utf-8")
    fork = forking.start("-m", "seed=1,2", "model=hanging", "jobs=2", *SMALL, cwd=tmp_path)
    wait_until(lambda: len(list(tmp_path.glob("hangs*"))) == 2, "two runs to hang")
    fork.send(signal.SIGINT)
    wait_until(lambda: len(list(tmp_path.glob("heard*"))) == 2, "the first signal to be heard")
    fork.send(signal.SIGINT)
    begin = time.monotonic()
    stopped = fork.wait()
    measured(request, SLOWEST, time.monotonic() - begin)
    assert stopped.code == 130
    assert "Traceback" not in stopped.err
    assert not processes_in(tmp_path)


# while a run fails

MOMENTS = [("fails", "report_error")]
MOMENTS += [(how, where) for how in ("fails", "diverges") for where in ("train_batch", "log", "status", "close")]


@line(4, "a signal in the moment in which a run fails or diverges")
@pytest.mark.parametrize(("how", "where"), MOMENTS)
def test_a_signal_in_the_moment_in_which_a_run_fails_ends_the_sweep(lab, monkeypatch, how, where):
    step, sent = TorchLearner.train_batch, []

    def send() -> None:
        if not sent:
            sent.append(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    def train_batch(self: TorchLearner, batch: Batch, lr: float) -> BatchOut:
        if batch.step < 2:
            return step(self, batch, lr)
        if where == "train_batch":
            send()
        else:
            monkeypatch.setattr(RunFolder, where, sending)
        if how == "fails":
            raise ZeroDivisionError
        out = step(self, batch, lr)
        return out._replace(loss=out.loss * float("nan"))

    def sending(self: RunFolder, *arguments: object) -> None:
        send()
        method(self, *arguments)

    method = getattr(RunFolder, where, None)
    monkeypatch.setattr(TorchLearner, "train_batch", train_batch)
    ended = lab("-m", "seed=1,2", "hydra.sweep.dir=s", *SMALL, "model.hidden=[8]")
    assert ended.code == 130, ended.err
    assert sent
    assert not (lab.folder / "s" / "1").exists()
    assert "Traceback" not in ended.err
    assert status_of(lab.folder / "s" / "0") == {"fails": "failed", "diverges": "diverged"}[how]
