"""The same command gives the same bytes: in fresh processes, beside a busy one, whatever the environment says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.lab import assert_same_run, ended
from tests.lines import cases
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

# the second has work for two threads
RUNS = {
    "mlp": ("epochs=2", "reg=dropout", "figures=none"),
    "cnn": (
        "dataset=fake",
        "dataset.samples=120",
        "model=cnn",
        "model.channels=[8]",
        "threads=2",
        "smoke=true",
        "figures=none",
    ),
}
# both by one process, so that its imports are paid once
BOTH = """
import json, sys
import labrunner.drawing
from labrunner.cli import main

sys.path.append(sys.argv[1])
from tests.cli.lab import Undrawn

labrunner.drawing.Drawing = Undrawn
sys.exit(max(main([f"hydra.run.dir={name}", *overrides]) for name, overrides in json.loads(sys.argv[2]).items()))
"""


@pytest.fixture
def busy() -> Iterator[None]:
    """A process that takes all it can get."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield
    process.kill()
    process.wait()


SURROUNDINGS = {
    "plain": {"OMP_NUM_THREADS": None, "PYTHONHASHSEED": None},
    "other": {
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "PYTHONHASHSEED": "1",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
    },
}


@pytest.mark.parametrize("names", cases([["other"], ["plain", "other"]], fast=1), ids=" and ".join)
def test_fresh_processes_agree_whatever_the_environment_says_and_whatever_runs_beside_them(lab, fresh, busy, names):
    program = [sys.executable, "-P", "-c", BOTH, str(Path(__file__).parents[1]), json.dumps(RUNS)]
    started = []
    for name in names:
        (lab.folder / name).mkdir()
        started.append(fresh(python=program, cwd=lab.folder / name, env=SURROUNDINGS[name]))
    for name, overrides in RUNS.items():
        lab.train(f"here/{name}", *overrides)
    for process in started:
        said = ended(process)
        assert said.code == 0, said.err
    for model, threads in (("mlp", 1), ("cnn", 2)):
        for name in ("here", *names):
            folder = lab.folder / name / model
            assert json.loads((folder / "environment.json").read_text())["threads"] == threads
            assert_same_run(lab.folder / "here" / model, folder)


def test_another_seed_gives_other_bytes(lab):
    tiny = ("dataset=fake", "dataset.samples=120", "epochs=1")
    one, other = lab.train("one", *tiny), lab.train("other", *tiny, "seed=1")
    for name in ("metrics.csv", "predictions.csv", "initial.json", "checkpoints/00001.safetensors"):
        assert (one / name).read_bytes() != (other / name).read_bytes()


def test_seed_zero_is_a_seed_like_any_other(lab):
    tiny = ("dataset=fake", "dataset.samples=120", "epochs=1")
    assert_same_run(lab.train("said", *tiny, "seed=0"), lab.train("unsaid", *tiny))


def test_what_is_drawn_elsewhere_in_the_process_does_not_reach_a_run(lab):
    import random

    import numpy as np
    import torch

    tiny = ("dataset=fake", "dataset.samples=120", "epochs=2", "reg=dropout", "model=cnn", "model.channels=[4]")
    one = lab.train("one", *tiny)
    torch.manual_seed(5), np.random.seed(5), random.seed(5)  # noqa: NPY002
    torch.rand(100), np.random.rand(100)  # noqa: NPY002
    other = lab.train("other", *tiny)
    assert_same_run(one, other)


def test_whether_and_how_figures_are_drawn_is_nothing_to_a_run(lab):
    tiny = ("dataset=fake", "dataset.samples=120", "epochs=2")
    one = lab.train("one", *tiny)
    assert lab("hydra.run.dir=other", "figures=few", *tiny).code == 0
    assert_same_run(one, lab.folder / "other")
