"""Runs that are killed, at any instant and at each of their writes: what is there is whole, what comes is the same."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from labrunner import checkpoint
from tests.cli.lab import Fork, Forking, assert_whole, processes_in, rows_of, wait_until
from tests.lines import cases, line, measured
from tests.reliability.instants import BATCHES, COUNTING, again, assert_goes_on, dying, killed, kind_of, lost, wait_for

OFTEN = 3  # batches from one checkpoint to the next, for half of the cases


@line(1, "killed at a random instant")
@pytest.mark.parametrize("seed", cases(180, fast=[0, 6, 15, 21]))
def test_killed_at_any_instant_it_ends_with_the_same_bytes(forking, tmp_path, request, seed):
    rng, run, kind = random.Random(seed), tmp_path / "run", kind_of(seed)
    interval, often = (OFTEN, (f"checkpoint.every_batches={OFTEN}",)) if seed // 5 % 2 else (BATCHES, ())
    argv, whole = ("hydra.run.dir=run", *kind, *often), forking.whole(*kind, *often)

    def start() -> Fork:
        (tmp_path / "steps").unlink(missing_ok=True)
        return forking.start(*again(run, argv), cwd=tmp_path, first=COUNTING)

    seconds = rng.uniform(whole.begin, whole.seconds)
    while not killed(start(), seconds):
        shutil.rmtree(run)
        seconds *= 0.9
    for _ in range(1 + seed % 3):
        assert_whole(run)
        listed = checkpoint.listed(run / "checkpoints")
        assert rows_of(run) - (listed[-1][0] if listed else 0) <= 1
        batches = lost(run)
        assert batches <= 2 * interval, "a checkpoint is taken once the one before it is on disk"
        measured(request, "most checkpoint intervals lost to a kill", batches / interval)
        killed(start(), rng.uniform(0.0, whole.seconds))  # the resume, too
    assert_goes_on(forking, run, argv, forking.whole(*kind).folder)


@line(1, "killed at a random instant, imports included")
@pytest.mark.parametrize("seed", cases(20, fast=[9]))
def test_the_command_killed_at_any_instant_can_be_gone_on_with(fresh, forking, tmp_path, seed):
    run, kind = tmp_path / "run", kind_of(seed)
    whole = forking.whole(*kind)
    argv = ("hydra.run.dir=run", "figures=none", *kind)
    seconds = random.Random(seed).uniform(0.0, forking.imported + whole.seconds)
    while True:
        process = fresh(*argv)
        wait_for(process.pid, seconds)
        process.kill()
        if process.wait() == -signal.SIGKILL:
            break
        shutil.rmtree(run)
        seconds *= 0.9
    wait_until(lambda: not processes_in(tmp_path), "the end of the drawing process")
    assert_goes_on(forking, run, argv, whole.folder)


# at each of its writes

SHORT = ("dataset=fake", "dataset.samples=120", "dataset.size=8", "batch_size=12", "epochs=3")
RUNS: dict[str, tuple[str, ...]] = {
    "numpy": (*SHORT, "model=mlp_numpy"),
    "probes": (*SHORT, "model.hidden=[16]", "probes=[steps,weights,loss_surface]", "checkpoint.every_batches=4"),
    "thawed": (
        *(*SHORT, "model=cnn", "model.channels=[4]", "freeze=gradual", "freeze.every=1"),
        *("select=last", "checkpoint.every_batches=3"),
    ),
}
WRITES = {"numpy": 66, "probes": 116, "thawed": 79}
# runs that were killed before a write, and are killed once more while they are resumed
CUTS = {
    "in no checkpoint": ("probes", "os.rename run/checkpoints/00000-000004.safetensors"),
    "an epoch beyond the checkpoint": ("probes", "os.rename run/checkpoints/00002.safetensors"),
    "in the middle of an epoch": ("thawed", "open run/checkpoints/.00002.safetensors.tmp"),
    "at the end": ("probes", "os.rename run/test.json"),
    "not drawn": ("numpy", "open run/report.html"),
}
RESUMED = "open run/log.txt"  # the last write before a resume goes on as any run does
WRITES_OF_RESUMES = {
    "in no checkpoint": 33,
    "an epoch beyond the checkpoint": 29,
    "in the middle of an epoch": 24,
    "at the end": 18,
    "not drawn": 10,
}


def written(folder: Path) -> list[str]:
    return (folder / "writes").read_text().splitlines()


@pytest.fixture(scope="module")
def cut(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a run that was killed at one of `CUTS`."""
    made: dict[str, Path] = {}

    def make(which: str) -> Path:
        if which not in made:
            folder = made[which] = tmp_path_factory.mktemp("cut")
            kind, write = CUTS[which]
            fork = forking.start("hydra.run.dir=run", *RUNS[kind], cwd=folder, first=dying(write))
            assert fork.wait().code == -signal.SIGKILL, fork.err.read_text()
        return made[which] / "run"

    return make


@line(2, "killed at a write")
@pytest.mark.parametrize(
    ("kind", "number"),
    cases(
        [(kind, number) for kind in RUNS for number in range(1, WRITES[kind] + 1)],
        fast=[("numpy", 16), ("numpy", 54), ("probes", 40), ("probes", 87), ("thawed", 43)],
    ),
)
def test_killed_at_any_write_it_ends_with_the_same_bytes(forking, tmp_path, kind, number):
    argv, run = ("hydra.run.dir=run", *RUNS[kind]), tmp_path / "run"
    assert forking.start(*argv, cwd=tmp_path, first=dying(number)).wait().code == -signal.SIGKILL
    assert_goes_on(forking, run, argv, forking.whole(*RUNS[kind]).folder)


@line(2, "killed at a write of the resume")
@pytest.mark.parametrize(
    ("which", "number"),
    cases(
        [(which, number) for which in CUTS for number in range(1, WRITES_OF_RESUMES[which] + 1)],
        fast=[("in no checkpoint", 16), ("an epoch beyond the checkpoint", 13), ("in the middle of an epoch", 12)],
    ),
)
def test_killed_at_any_write_of_its_resume_it_ends_with_the_same_bytes(forking, cut, tmp_path, which, number):
    run = shutil.copytree(cut(which), tmp_path / "run")
    assert forking.start("resume", "run", cwd=tmp_path, first=dying(number)).wait().code == -signal.SIGKILL
    assert_goes_on(forking, run, (), forking.whole(*RUNS[CUTS[which][0]]).folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_every_write_of_a_run_is_a_case(forking, tmp_path, kind):
    assert forking.start("hydra.run.dir=run", *RUNS[kind], cwd=tmp_path, first=dying(0)).wait().code == 0
    assert len(written(tmp_path)) == WRITES[kind]


@pytest.mark.slow
@pytest.mark.parametrize("which", CUTS)
def test_every_write_of_a_resume_is_a_case(forking, cut, tmp_path, which):
    shutil.copytree(cut(which), tmp_path / "run")
    assert forking.start("resume", "run", cwd=tmp_path, first=dying(0)).wait().code == 0
    writes = written(tmp_path)
    assert len(writes[: writes.index(RESUMED) + 1] if RESUMED in writes else writes) == WRITES_OF_RESUMES[which]
