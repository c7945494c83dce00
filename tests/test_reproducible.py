"""The same command gives the same bytes: in fresh processes, beside a busy one, whatever the environment says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cli.lab import assert_same_run, ended

# two runs by one process, so that its imports are paid once; the second has work for two threads
BOTH = """
import sys
import labrunner.drawing
from labrunner.cli import main

sys.path.append(sys.argv[1])
from tests.cli.lab import Undrawn

labrunner.drawing.Drawing = Undrawn
common = ["figures=none", "reg=dropout"]
code = main(["hydra.run.dir=mlp", "epochs=3", *common])
cnn = ["dataset=fake", "dataset.samples=200", "model=cnn", "model.channels=[8,16]", "epochs=2", "threads=2"]
sys.exit(code or main(["hydra.run.dir=cnn", *cnn, *common]))
"""


@pytest.fixture
def busy() -> Iterator[None]:
    """A process that takes all it can get."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield
    process.kill()
    process.wait()


def test_fresh_processes_agree_whatever_the_environment_says_and_whatever_runs_beside_them(fresh, tmp_path, busy):
    surroundings = {
        "plain": {"OMP_NUM_THREADS": None, "PYTHONHASHSEED": None},
        "one": {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
        "two": {
            "OMP_NUM_THREADS": "2",
            "MKL_NUM_THREADS": "2",
            "PYTHONHASHSEED": "1",
            "TZ": "Asia/Tokyo",
            "LC_ALL": "C",
        },
    }
    root = os.fspath(__import__("pathlib").Path(__file__).parents[1])
    started = []
    for name, env in surroundings.items():
        (tmp_path / name).mkdir()
        started.append(fresh(python=[sys.executable, "-P", "-c", BOTH, root], cwd=tmp_path / name, env=env))
    for process in started:
        said = ended(process)
        assert said.code == 0, said.err
    for name in ("one", "two"):
        for model in ("mlp", "cnn"):
            assert_same_run(tmp_path / "plain" / model, tmp_path / name / model)
    for name in surroundings:
        counts = [
            json.loads((tmp_path / name / each / "environment.json").read_text())["threads"] for each in ("mlp", "cnn")
        ]
        assert counts == [1, 2]


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
