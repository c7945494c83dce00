"""``labrunner lr-find``: what it prints and leaves, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from labrunner.drawing import Drawing
from labrunner.figures import draw_range
from labrunner.files import read_csv

SMALL = ("dataset=fake", "dataset.samples=60", "dataset.size=8", "batch_size=12", "model=softmax")


def test_it_prints_an_override_to_copy_and_leaves_what_it_saw(lab):
    ended = lab("lr-find", *SMALL)
    assert (ended.code, ended.err) == (0, "")
    (folder,) = (lab.folder / "outputs/lr_find").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{4}", folder.name)
    assert str(Path("outputs/lr_find") / folder.name) in ended.out
    header, rows = read_csv(folder / "lr_range.csv")
    assert header == ["step", "lr", "loss", "smoothed", "suggested"]
    (marked,) = (float(row[1]) for row in rows if row[4] == "1")
    (copied,) = re.findall(r"^  (optim\.lr=\S+)$", ended.out, re.MULTILINE)
    assert float(copied.partition("=")[2]) == pytest.approx(marked, rel=0.05)
    assert yaml.safe_load((folder / "config.yaml").read_text())["model"]["name"] == "softmax"
    assert yaml.safe_load((folder / "overrides.yaml").read_text())["overrides"] == list(SMALL)
    assert lab(*SMALL, copied, "epochs=1", "figures=none").code == 0


def test_the_same_request_finds_the_same_and_another_seed_something_else(lab):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert lab("lr-find", *SMALL, f"seed={seed}", f"hydra.run.dir={name}").code == 0
    table = [(lab.folder / name / "lr_range.csv").read_bytes() for name in "abc"]
    assert table[0] == table[1] != table[2]


def test_it_finds_what_the_probe_of_a_run_finds(lab):
    run = lab.train("run", *SMALL, "epochs=1", "probes=[lr_range]")
    assert lab("lr-find", *SMALL, "hydra.run.dir=find").code == 0
    probed, found = read_csv(run / "probes/lr_range.csv")[1], read_csv(lab.folder / "find/lr_range.csv")[1]
    assert [row[2:] for row in probed] == found


def test_its_folder_is_no_run_and_is_not_used_twice(lab):
    assert lab("lr-find", *SMALL, "hydra.run.dir=outputs/find").code == 0
    before = lab.tree()
    listed = lab("ls")
    assert (listed.code, "no runs" in listed.out) == (0, True)
    for verb in (("lr-find",), ()):
        ended = lab(*verb, *SMALL, "hydra.run.dir=outputs/find")
        assert ended.code == 2
        assert "holds a range test already" in ended.err
    assert lab.tree() == before


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("model=perceptron", "dataset=iris"), "Rosenblatt's rule"),
        (("optim.lr=0.1,1",), "several values"),
        (("-m", "optim.lr=0.1,1"), "-m makes a sweep"),
        (("experiment=losses",), "is a sweep"),
        (("digits",), "dataset=digits"),
        (("--cfg", "job"), "--cfg"),
        (("model=cnm",), "did you mean model=cnn"),
        (("model=cnn", "dataset=iris"), "try model=mlp"),
        (("optim.lr=-1",), "optim.lr"),
    ],
)
def test_what_it_cannot_do_is_refused_and_nothing_is_written(lab, argv, said):
    ended = lab("lr-find", *argv)
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.splitlines()) <= 3
    assert lab.tree() == {}


def test_a_loss_that_never_falls_is_said_with_code_1(lab):
    """A neuron that is sure of the right answer has nothing left to learn."""
    sure = ("model=neuron", "init=constant", "init.value=-30", "dataset=point", "monitor=train_loss")
    ended = lab("lr-find", *sure)
    assert ended.code == 1
    assert "falls at no learning rate" in ended.err


def test_the_drawing_process_draws_it_from_the_file(lab):
    assert lab("lr-find", *SMALL, "hydra.run.dir=find").code == 0
    folder = lab.folder / "find"
    with Drawing() as drawing:
        drawing.ask(folder)
        assert drawing.finish() == []
    drawn = (folder / "lr_range.png").read_bytes()
    assert draw_range(folder).read_bytes() == drawn
    ended = lab("report", "find")
    assert (ended.code, ended.out) == (0, "drawn: find/lr_range.png\n")


def test_a_damaged_file_gives_a_message_and_no_traceback(lab):
    assert lab("lr-find", *SMALL, "hydra.run.dir=find").code == 0
    (lab.folder / "find/lr_range.csv").write_text("step,lr\n1,0.1\n")
    with Drawing() as drawing:
        drawing.ask(lab.folder / "find")
        (message,) = drawing.finish()
    assert "find" in message
    assert "\n" not in message
