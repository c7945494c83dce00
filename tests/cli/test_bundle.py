"""``labrunner bundle``: what a room without a network needs, and that it is enough there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torchvision import models

from labrunner.deep import published
from tests.cli.lab import Lab
from tests.data import photographed
from tests.data.written import TEST, network, packed, write
from tests.deep import theirs
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

ARCH = "shufflenet_v2_x0_5"
QUICK = ("model=softmax", "epochs=1", "figures=none", "hydra.run.dir=run")


def at(lab: Lab, folder: str, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The command as it is typed in a folder of another machine: what is not in the folder is nowhere."""
    away = lab.folder.parent / f"{lab.folder.name}-away"
    shutil.move(lab.folder / folder, away)
    for left in lab.folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    network(monkeypatch)
    monkeypatch.chdir(away)
    return Lab(away, lab.capture)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_bundle_is_enough_where_there_is_no_network(lab, monkeypatch, name):
    write(name, lab.folder / "data", monkeypatch)
    network(monkeypatch, packed(name, lab.folder / "data", monkeypatch))
    made = lab("bundle", "room", f"dataset={name}", "model=softmax")
    assert made.code == 0, made.err
    assert f"dataset={name}: " in made.out
    assert not (lab.folder / "data").exists()
    files = [path for path in (lab.folder / "room" / "data").rglob("*") if path.is_file()]
    assert not any(path.suffix in (".gz", ".zip") for path in files), files
    room = at(lab, "room", monkeypatch)
    ended = room(f"dataset={name}", *QUICK)
    assert ended.code == 0, ended.err
    assert json.loads((room.folder / "run" / "test.json").read_text())["n"] == TEST


def test_options_and_code_of_ones_own_come_along(lab, monkeypatch):
    assert lab("new", "model", "boxed").code == 0
    (lab.folder / "conf" / "experiment").mkdir()
    (lab.folder / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n# A lab of mine.\ndefaults:\n  - override /model: boxed\n  - _self_\nepochs: 1\n"
    )
    made = lab("bundle", "room", "experiment=mine")
    assert made.code == 0, made.err
    assert "my_boxed.py: 1 file" in made.out
    assert "  labrunner experiment=mine\n" in (lab.folder / "room" / "README.txt").read_text()
    room = at(lab, "room", monkeypatch)
    ended = room("experiment=mine", "figures=none")
    assert ended.code == 0, ended.err
    looked = room("bundle", ".")
    assert looked.code == 0, looked.err
    assert "is whole: 3 files" in looked.out


def test_what_is_here_already_is_copied_and_nobody_is_asked_for_it(lab, monkeypatch):
    write("svhn", lab.folder / "sets", monkeypatch)
    asked = network(monkeypatch).asked
    made = lab("bundle", "room", "dataset=svhn", "dataset.root=sets")
    assert made.code == 0, made.err
    assert "dataset=svhn: copying from sets" in made.err
    assert asked == []
    for path in (lab.folder / "sets").iterdir():
        assert (lab.folder / "room" / "data" / path.name).read_bytes() == path.read_bytes()


def test_photographs_are_copied_with_their_folders(lab, monkeypatch):
    photographed.write("dtd", lab.folder / "data", monkeypatch)
    made = lab("bundle", "room", "dataset=dtd")
    assert made.code == 0, made.err
    room = at(lab, "room", monkeypatch)
    ended = room("dataset=dtd", "dataset.size=8", "model=mlp", "epochs=1", "figures=none", "hydra.run.dir=run")
    assert ended.code == 0, ended.err


def test_weights_in_a_bundle_come_before_those_of_the_machine(lab, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(lab.folder / "hub"))
    content = lab.folder / "new"
    torch.save(theirs.network(ARCH).state_dict(), content)
    import hashlib

    name = f"{ARCH}-{hashlib.sha256(content.read_bytes()).hexdigest()[:8]}.pth"
    place = lab.folder / "hub" / "checkpoints" / name
    place.parent.mkdir(parents=True)
    content.rename(place)
    true = models.get_model_weights(ARCH)["DEFAULT"]
    said = SimpleNamespace(url=f"https://example.org/{name}", meta=true.meta, transforms=true.transforms)
    monkeypatch.setattr(published, "_weights", lambda arch: said)
    asked = ("model=torchvision", f"model.arch={ARCH}")
    made = lab("bundle", "room", *asked)
    assert made.code == 0, made.err
    assert f"weights of {' '.join(asked)}: 1 file" in made.out
    room = at(lab, "room", monkeypatch)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(room.folder / "nowhere"))
    run = ("dataset=digits", "dataset.size=32", "smoke=true", "figures=none", "hydra.run.dir=run")
    ended = room(*asked, "model.weights=imagenet", *run)
    assert ended.code == 0, ended.err
    assert f"torchvision's weights of ImageNet, {name}" in (room.folder / "run" / "log.txt").read_text()
    # TORCH_HOME is what torch.hub looks below: the same file is found from elsewhere
    assert (room.folder / "weights" / "hub" / "checkpoints" / name).is_file()


def test_several_data_sets_and_an_experiment_are_named_at_once_and_more_can_be_added(lab, monkeypatch):
    for name in ("svhn", "mnist"):
        write(name, lab.folder / "data", monkeypatch)
    assert lab("bundle", "room", "dataset=mnist,svhn", "model=mlp").code == 0
    added = lab("bundle", "room", "experiment=metrics")
    assert added.code == 0, added.err
    assert "dataset=imbalanced: nothing needs to be copied, it comes with labrunner" in added.out
    assert "dataset=mnist: 4 files" in added.out
    text = (lab.folder / "room" / "README.txt").read_text()
    assert "labrunner -m dataset=mnist,svhn model=mlp" in text
    assert "labrunner experiment=metrics" in text
    assert "dataset=svhn  (" in text


def test_what_a_manifest_asks_for_is_in_its_bundle_and_so_are_own_files(lab, monkeypatch):
    write("mnist", lab.folder / "data", monkeypatch)
    lab.write("table.csv", "a,b,label\n" + "".join(f"{n},{n % 3},{n % 2}\n" for n in range(40)))
    one, two = "dataset=mnist, model=softmax, epochs=1", "dataset=csv, dataset.path=table.csv, model=softmax, epochs=1"
    lab.write(
        "lab.yaml",
        f"title: Lab\nexperiments:\n  - {{name: one, overrides: [{one}], sweep: {{seed: [0, 1]}}}}\n"
        f"  - {{name: two, overrides: [{two}]}}\n",
    )
    made = lab("bundle", "room", "manifest=lab.yaml")
    assert made.code == 0, made.err
    assert "labrunner -m dataset=mnist model=softmax epochs=1 seed=0,1" in (lab.folder / "room/README.txt").read_text()
    room = at(lab, "room", monkeypatch)
    asked = [text.strip() for text in two.split(",")]
    assert room(*asked, "figures=none", "hydra.run.dir=two").code == 0
    assert room("dataset=mnist", *QUICK).code == 0


def test_a_bundle_says_whether_it_is_whole(lab, monkeypatch):
    write("mnist", lab.folder / "data", monkeypatch)
    assert lab("bundle", "room", "dataset=mnist").code == 0
    whole = lab("bundle", "room")
    assert (whole.code, whole.err) == (0, "")
    assert whole.out.splitlines()[0] == "room is whole: 4 files are as they were put in"
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=lab.folder / "room", capture_output=True, text=True)
    assert (checked.returncode, checked.stdout.count(": OK")) == (0, 4)
    raw = lab.folder / "room" / "data" / "MNIST" / "raw"
    labels = raw / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\7")
    (raw / "train-labels-idx1-ubyte").unlink()
    ended = lab("bundle", "room")
    assert ended.code == 1
    assert "whole" not in ended.out
    assert "data/MNIST/raw/t10k-labels-idx1-ubyte is damaged" in ended.err
    assert "data/MNIST/raw/train-labels-idx1-ubyte is missing" in ended.err


def test_that_a_bundle_is_damaged_is_said_before_what_is_in_it(lab, monkeypatch):
    import sys

    lab.write("table.csv", "a,label\n1,0\n")
    assert lab("bundle", "room", "dataset=csv", "dataset.path=table.csv").code == 0
    lab.write("room/table.csv", "a,label\n2,0\n")
    monkeypatch.setattr(sys, "stderr", sys.stdout)  # as in a terminal
    said = lab("bundle", "room").out.splitlines()
    assert said[0] == "labrunner: error: table.csv is damaged"
    assert said[2] == "table.csv: 1 file, 12 bytes"


def test_files_that_nobody_put_into_a_bundle_are_named_and_are_no_damage(lab):
    lab.write("table.csv", "a,label\n1,0\n")
    assert lab("bundle", "room", "dataset=csv", "dataset.path=table.csv").code == 0
    assert "note:" not in lab("bundle", "room").out
    lab.write("room/data/sub/stray\x1b.bin", "x")
    lab.write("room/notes.txt", "x")
    lab.write("room/outputs/runs/config.yaml", "x")  # of a run that was made there
    ended = lab("bundle", "room")
    assert ended.code == 0
    assert ended.out.splitlines()[0] == "room is whole: 1 file is as it was put in"
    said = "note: not put in by bundle, and not looked at: data/sub/stray\\x1b.bin, notes.txt"
    assert ended.out.splitlines()[-1] == said


def test_a_download_that_fails_leaves_nothing_of_it_and_what_came_whole_is_kept(lab, monkeypatch):
    network(monkeypatch)
    ended = lab("bundle", "room", "dataset=cifar10")
    assert ended.code == 1
    archive = "room/data/cifar-10-python.tar.gz"
    assert ended.err.splitlines()[-2:] == [
        f"labrunner: error: dataset=cifar10: {archive} is missing and cannot be downloaded: "
        "no network: Temporary failure in name resolution",
        "  where there is a network, the same command goes on",
    ]
    assert lab.tree() == {}
    write("svhn", lab.folder / "data", monkeypatch)
    again = lab("bundle", "room", "dataset=svhn,cifar10", "model=mlp")
    assert again.code == 1
    told = "  what came before is kept in room; where there is a network, the same command goes on"
    assert again.err.splitlines()[-1] == told
    kept = lab("bundle", "room")
    assert (kept.code, kept.out.splitlines()[1].partition(":")[0]) == (0, "dataset=svhn")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "bundle takes one folder"),
        (("room", "other"), "bundle takes one folder"),
        (("room",), "there is no bundle room"),
        (("full", "dataset=mnist"), "full holds notes.txt and is no bundle"),
        (("full/notes.txt", "dataset=mnist"), "full/notes.txt is a file"),
        (("room", "experiment=metrisc"), "did you mean experiment=metrics?"),
        (("room", "dataset=mnits"), "did you mean dataset=mnist?"),
        (("room", "manifest=nothing.yaml"), "the manifest nothing.yaml cannot be read"),
        (("room", "hydra.run.dir=x"), "bundle takes experiment=…"),
        (("room", "dataset=csv", "dataset.path=nothing.csv"), "nothing.csv is not there"),
        (("foreign", "dataset=digits"), "is not what bundle writes"),
    ],
)
def test_a_wrong_request_ends_with_code_2_and_leaves_nothing(lab, argv, said):
    lab.write("full/notes.txt", "mine")
    items = [{"name": "x", "bytes": 1, "files": ["../full/notes.txt"]}]
    lab.write("foreign/bundle.json", json.dumps({"format": 1, "items": items, "commands": {}}))
    lab.write("foreign/SHA256SUMS", f"{'0' * 64}  ../full/notes.txt\n")
    before = lab.tree()
    ended = lab("bundle", *argv)
    assert ended.code == 2, ended.out
    assert said in ended.err
    assert lab.tree() == before


def test_a_bundle_needs_no_network_for_what_labrunner_brings_along(lab, monkeypatch):
    asked = network(monkeypatch).asked
    made = lab("bundle", "room", "dataset=digits")
    assert (made.code, asked) == (0, [])
    # sha256sum -c fails on a list of nothing
    assert sorted(path.name for path in Path("room").iterdir()) == ["README.txt", "bundle.json"]
    assert "sha256sum" not in Path("room/README.txt").read_text()
    told = "room: no files are needed; README.txt in it says how to use it"
    assert made.out.splitlines()[-1] == told
    looked_at = lab("bundle", "room")
    assert (looked_at.code, looked_at.out.splitlines()) == (0, [told])
