"""The lab on the network from scratch: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from labrunner import checkpoint
from labrunner.checks import of_sweep
from labrunner.probes import gradient_check
from labrunner.records import load_sweep
from labrunner.relations import parse
from tests.cli.lab import Lab
from tests.labs.outcomes import crosses, outcomes, settings
from tests.lines import cases

LAB = "experiment=mlp_from_scratch"
CHECKS = ["finite_differences_agree", "gradients_agree", "weights_agree", "rows_agree", "both_learn"]


def judged(folder: Path) -> list[str]:
    """The crosses that the files of a sweep have now, all of which are computed."""
    sweep = load_sweep(folder)
    verdicts = of_sweep(parse(sweep.runs[0][1].config["checks"]), load_sweep(folder))
    assert len(verdicts) == len(CHECKS)
    assert all(verdict.found is not None for verdict in verdicts)
    return [verdict.check for verdict in verdicts if not verdict.passed]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished") / "swept"


@pytest.fixture
def swept(lab: Lab, finished: Path) -> Path:
    """The lab's sweep after three epochs, made once."""
    if not finished.exists():
        outcomes(lab, LAB, "epochs=3")
        (lab.folder / "swept").rename(finished)
    return shutil.copytree(finished, lab.folder / "swept")


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("mlp_from_scratch")["checks"]] == CHECKS


def test_numpy_and_torch_are_the_same_network_over_200_steps(lab):
    assert crosses(outcomes(lab, LAB)) == []
    runs = [run for _, run in load_sweep(lab.folder / "swept").runs]
    assert [run.config["model"]["name"] for run in runs] == ["mlp_numpy", "mlp"]
    assert [run.facts["steps"] for run in runs] == [200, 200]


def test_a_step_too_wide_makes_finite_differences_wrong_and_nothing_else(lab, monkeypatch):
    monkeypatch.setattr(gradient_check, "STEPS", (0.5,))
    monkeypatch.setattr(gradient_check, "KINK", np.inf)
    assert crosses(outcomes(lab, LAB, "epochs=3")) == ["finite_differences_agree"]


def test_a_rate_that_differs_in_the_eleventh_digit_shows_in_the_gradients_alone(lab):
    found = outcomes(lab, LAB, "epochs=3", "model=mlp", "optim.lr=0.1,0.1000000000005")
    assert crosses(found) == ["gradients_agree"]


def test_weights_that_were_kept_in_float32_are_not_the_same(swept):
    path = swept / "1" / "checkpoints" / checkpoint.Position(3).file_name
    state, position = checkpoint.read(path, None)
    rounded = {name: values.astype(np.float32).astype(values.dtype) for name, values in state.items()}
    path.write_bytes(checkpoint.encode(rounded, position))
    assert judged(swept) == ["weights_agree"]


def test_rows_that_were_copied_with_six_digits_are_not_the_same(swept):
    path = swept / "1" / "metrics.csv"
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    at = header.index("val_loss")
    for row in rows:
        row[at] = f"{float(row[at]):.6f}"
    path.write_text("\n".join(map(",".join, [header, *rows])) + "\n")
    assert judged(swept) == ["rows_agree"]


def test_a_rate_too_small_lets_both_learn_nothing_alike(lab):
    assert crosses(outcomes(lab, LAB, "epochs=3", "optim.lr=1e-5")) == ["both_learn"]


@pytest.mark.parametrize("key", cases(["optim.lr=0.6", "reg.dropout=0.3"], fast=1))
def test_runs_that_part_keep_right_gradients(lab, key):
    failed = crosses(outcomes(lab, LAB, key))
    assert {"gradients_agree", "weights_agree", "rows_agree"} <= set(failed)
    assert "finite_differences_agree" not in failed
