"""The last lines of a run say which epoch was chosen, and why that one."""

from __future__ import annotations

import csv
import re

import pytest

SMALL = ("dataset=fake", "dataset.samples=60", "model.hidden=[4]", "epochs=4", "figures=none", "hydra.run.dir=run")


@pytest.mark.parametrize(("monitor", "best", "word"), [("val_loss", min, "lowest"), ("train_accuracy", max, "highest")])
def test_a_run_says_what_its_chosen_epoch_is_the_best_in(lab, monitor, best, word):
    ended = lab(*SMALL, f"monitor={monitor}", "optim.lr=0.1")
    assert ended.code == 0, ended.err
    said = re.search(r"epoch (\d+) of 4 chosen for its (\w+) (\w+)", ended.out)
    assert said is not None, ended.out
    assert said.groups()[1:] == (word, monitor)
    with open(lab.folder / "run" / "metrics.csv", newline="") as file:
        values = [float(row[monitor]) for row in csv.DictReader(file)]
    assert int(said[1]) == values.index(best(values)) + 1


def test_a_run_without_validation_says_why_its_last_epoch_was_chosen(lab):
    assert "epoch 4 of 4 chosen as the last, since there is no val_loss" in lab(*SMALL, "dataset.val_fraction=0").out
