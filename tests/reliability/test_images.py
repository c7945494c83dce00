"""Odd images of a data set: those that give none are listed before the first epoch, the others are learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labrunner.data.decoded import shown
from tests.cli.lab import Lab
from tests.lines import cases, line
from tests.reliability.odd_images import UNUSABLE, USABLE
from tests.reliability.strangers import never_waiting

RUN = ("dataset=imagefolder", "dataset.root=pictures", "dataset.size=6", "model=softmax", "epochs=1", "threads=1")
GOOD = 12


@pytest.fixture
def pictures(lab: Lab) -> Path:
    """A data set of two classes."""
    folder = lab.folder / "pictures"
    for number in range(GOOD):
        path = folder / ("cat" if number % 2 else "dog") / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 20 * number, np.uint8)).save(path)
    return folder


@line(9, "odd images that give none")
@pytest.mark.parametrize("kind", cases(UNUSABLE, fast=["PNG, cut", "PNG, a bomb", "a pipe", "a link to nowhere"]))
def test_an_image_that_cannot_be_read_is_named_before_anything_is_written_and_can_be_left_out(lab, pictures, kind):
    name, write = UNUSABLE[kind]
    path = pictures / "cat" / name
    write(path)
    there = sorted(lab.folder.rglob("*"))
    with never_waiting(pictures):
        ended = lab(*RUN)
    assert ended.code == 2, ended
    assert f"1 of {GOOD + 1} images cannot be read: pictures/cat/{shown(name)} (" in ended.err
    assert "dataset.skip_bad=true" in ended.err
    assert len(ended.err.splitlines()) <= 3
    assert sorted(lab.folder.rglob("*")) == there
    with never_waiting(pictures):
        ended = lab(*RUN, "dataset.skip_bad=true", "hydra.run.dir=run", "figures=none")
    assert ended.code == 0, ended
    assert f"1 of {GOOD + 1} images cannot be read and is left out" in ended.err


@line(9, "odd images that give one")
@pytest.mark.parametrize("kind", cases(USABLE, fast=["JPEG of ink", "GIF that moves", "a name that is no UTF-8"]))
def test_an_odd_image_is_learned_from_and_predicted(lab, pictures, kind):
    name, write = USABLE[kind]
    write(pictures / "cat" / name)
    ended = lab(*RUN, "hydra.run.dir=run", "figures=none")
    assert (ended.code, ended.err) == (0, ""), ended
    assert (lab.folder / "run" / "test.json").is_file()
    ended = lab("predict", "run", "pictures", "csv=predicted.csv")
    assert (ended.code, ended.err) == (0, ""), ended


@line(9, "odd images that give none, predicted")
@pytest.mark.parametrize("kind", cases(UNUSABLE, fast=["a pipe"]))
def test_predict_names_an_image_that_cannot_be_read_and_predicts_the_others(lab, pictures, kind):
    assert lab(*RUN, "hydra.run.dir=run", "figures=none").code == 0
    name, write = UNUSABLE[kind]
    write(pictures / "cat" / name)
    with never_waiting(pictures):
        ended = lab("predict", "run", "pictures", "csv=predicted.csv")
    assert ended.code == 1, ended
    assert f"1 file of {GOOD + 1} cannot be read" in ended.err
    assert (lab.folder / "predicted.csv").read_bytes().count(b"\n") == GOOD + 1


def test_all_that_cannot_be_read_is_told_at_once(lab, pictures):
    for number, (name, write) in enumerate(UNUSABLE.values()):
        (pictures / "cat" / str(number)).mkdir()
        write(pictures / "cat" / str(number) / name)
    with never_waiting(pictures):
        ended = lab(*RUN)
    assert ended.code == 2
    assert f"{len(UNUSABLE)} of {len(UNUSABLE) + GOOD} images cannot be read: " in ended.err
    assert f"and {len(UNUSABLE) - 10} more" in ended.err
