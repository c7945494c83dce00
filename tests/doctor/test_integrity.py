"""A run folder that was damaged, edited or cut: each change is named, and of a whole folder nothing is said."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from labrunner import checkpoint
from labrunner.deep import TorchLearner
from tests.cli.cuts import interrupt_at
from tests.cli.kinds import TINY
from tests.cli.lab import Lab, Undrawn, ended


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from labrunner.cli import main

    folder, here = tmp_path_factory.mktemp("done"), Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labrunner.drawing.Drawing", Undrawn)
        os.chdir(folder)
        try:
            assert main(["hydra.run.dir=run", "figures=none", *TINY, "epochs=3"]) == 0
        finally:
            os.chdir(here)
    return folder / "run"


def edit(name: str, before: str, after: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert before in text
        (folder / name).write_text(text.replace(before, after, 1))

    return change


def flip(name: str, place: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 4
        (folder / name).write_bytes(content)

    return change


def cut(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def removed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def better(folder: Path) -> None:
    """An accuracy that nothing bears out, with a checksum to it."""
    import hashlib

    said = json.loads((folder / "test.json").read_text())
    (folder / "test.json").write_text(json.dumps(said | {"accuracy": 1.0 - said["accuracy"] / 2}))
    sums = json.loads((folder / "checksums.json").read_text())
    sums["sha256"]["test.json"] = hashlib.sha256((folder / "test.json").read_bytes()).hexdigest()
    (folder / "checksums.json").write_text(json.dumps(sums))


def link(folder: Path) -> None:
    (folder / "figures" / "mine").symlink_to("/etc")


def ahead(folder: Path) -> None:
    """A probe's rows of epochs that metrics.csv does not have."""
    path = folder / "probes" / "epochs.csv"
    first = path.read_text().splitlines()
    path.write_text("\n".join([*first, *(line.replace("3,", "9,", 1) for line in first[-1:])]) + "\n")


def shorter(folder: Path) -> None:
    lines = (folder / "timing.csv").read_text().splitlines()
    (folder / "timing.csv").write_text("\n".join(lines[:-1]) + "\n")


def of_another_epoch(folder: Path) -> None:
    said = json.loads((folder / "test.json").read_text())
    (folder / "test.json").write_text(json.dumps(said | {"epoch": said["epoch"] - 1}))


DAMAGES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "an edited row": (edit("metrics.csv", "2,0.001", "2,0.002"), ("changed file", "metrics.csv")),
    "an edited prediction": (edit("predictions.csv", "0.", "1."), ("changed file", "predictions.csv")),
    "an edited accuracy": (better, ("contradiction", "test.json says accuracy")),
    "a row that is gone": (edit("metrics.csv", "\n2,", "\n9,"), ("damaged file", "epochs of metrics.csv")),
    "half a table": (cut("metrics.csv"), ("cut line", "metrics.csv")),
    "half a JSON": (cut("test.json"), ("damaged file", "test.json holds no JSON object")),
    "half a config": (
        lambda folder: (folder / "config.yaml").write_text("{epochs: ["),
        ("damaged file", "config.yaml"),
    ),
    "a lost file": (removed("confusion.csv"), ("missing file", "confusion.csv")),
    "a flipped bit of a checkpoint": (flip("checkpoints/00003.safetensors", -9), ("damaged checkpoint", "checksum")),
    "a loss that is no number": (
        lambda folder: set_cell(folder / "metrics.csv", 1, 2, "nan"),
        ("damaged file", "metrics.csv"),
    ),
    "a row that timing lacks": (shorter, ("contradiction", "3 rows in metrics.csv and 2 rows in timing.csv")),
    "a probe that is ahead": (ahead, ("contradiction", "probes/epochs.csv goes to epoch 9")),
    "a test of another epoch": (of_another_epoch, ("contradiction", "test.json is of epoch")),
    "a status that no run has": (edit("status.json", "done", "perfect"), ("damaged file", "status.json")),
    "checksums without sums": (edit("checksums.json", "sha256", "md5"), ("damaged file", "checksums.json")),
    "checksums of other files": (
        edit("checksums.json", '"metrics.csv"', '"../metrics.csv"'),
        ("damaged file", "outside of the folder"),
    ),
    "a monitor that no run has": (edit("config.yaml", "val_loss", "luck"), ("damaged file", "monitor of config.yaml")),
    "half a checkpoint": (cut("checkpoints/00002.safetensors"), ("damaged checkpoint", "00002.safetensors")),
    "no checkpoint": (lambda folder: shutil.rmtree(folder / "checkpoints"), ("no weights",)),
    "a left-over temporary": (lambda folder: (folder / ".test.json.tmp").touch(), ("left over", ".test.json.tmp")),
    "a link out of the folder": (link, ("not a run's", "a symbolic link")),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_named(lab: Lab, done: Path, name: str):
    shutil.copytree(done, lab.folder / "run", symlinks=True)
    damage, words = DAMAGES[name]
    damage(lab.folder / "run")
    before = sorted(path for path in (lab.folder / "run").rglob("*"))
    look = lab("doctor", "run")
    assert look.code == 1, look
    assert [word for word in words if word not in look.out] == [], look.out
    assert sorted(path for path in (lab.folder / "run").rglob("*")) == before, "it writes nothing"


@pytest.mark.parametrize("name", ["facts.json", "config.yaml", "metrics.csv", ".lock", "checkpoints/00003.safetensors"])
def test_a_pipe_in_the_place_of_a_file_is_named_and_not_waited_for(lab: Lab, done: Path, name: str):
    shutil.copytree(done, lab.folder / "run")
    (lab.folder / "run" / name).unlink()
    os.mkfifo(lab.folder / "run" / name)
    look = lab("doctor", "run")
    assert look.code == 1
    assert f"not a run's: {name} is a pipe" in look.out


def set_cell(path: Path, row: int, column: int, text: str) -> None:
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[row][column] = text
    path.write_text("\n".join(map(",".join, lines)) + "\n")


def set_key(path: Path, key: str, value: object) -> None:
    said = yaml.safe_load(path.read_text())
    above, _, name = key.rpartition(".")
    (said[above] if above else said)[name] = value
    path.write_text(json.dumps(said))  # which is YAML, too


HUGE = 10**400
HOSTILE: dict[tuple[str, tuple[str, ...]], tuple[object, ...]] = {
    ("config.yaml", ("epochs", "smoke", "select", "model", "reg", "freeze")): (None, []),
    ("config.yaml", ("optim.lr", "model.name", "model.loss", "reg.patience")): ("x",),
    ("facts.json", ("steps", "train_samples", "val_samples")): (None, "x", HUGE),
    ("status.json", ("status", "error", "pid")): (None, 7, []),
    ("test.json", ("n", "accuracy", "epoch")): (None, "x", HUGE),
    ("checksums.json", ("format", "sha256")): (None, "x", {"metrics.csv": 7}),
    ("preprocessing.json", ("class_names",)): (None, 7, []),
}


@pytest.mark.parametrize(("name", "keys"), HOSTILE)
def test_whatever_a_file_says_is_answered(
    lab: Lab, done: Path, monkeypatch: pytest.MonkeyPatch, name: str, keys: tuple[str, ...]
):
    monkeypatch.setenv("LABRUNNER_DEBUG", "1")  # an error that nobody foresaw is raised
    for number, (key, value) in enumerate(itertools.product(keys, HOSTILE[name, keys])):
        folder = lab.folder / str(number)
        shutil.copytree(done, folder)
        set_key(folder / name, key, value)
        if name != "checksums.json":  # which would name any change
            (folder / "checksums.json").unlink()
        assert lab("doctor", folder.name).code in (0, 1)


@pytest.mark.parametrize("text", ["", "-1", "inf", "x", "9" * 5000])
@pytest.mark.parametrize("name", ["metrics.csv", "timing.csv", "confusion.csv", "predictions.csv"])
def test_whatever_a_cell_holds_it_is_a_finding(
    lab: Lab, done: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
):
    monkeypatch.setenv("LABRUNNER_DEBUG", "1")
    for column in (0, 1, 2):
        folder = lab.folder / str(column)
        shutil.copytree(done, folder)
        set_cell(folder / name, 2, column, text)
        assert lab("doctor", str(column)).code == 1


def test_of_a_whole_folder_nothing_is_said_and_what_is_next(lab: Lab, done: Path):
    shutil.copytree(done, lab.folder / "run")
    before = lab.tree()
    look = lab("doctor", "run")
    assert (look.code, look.err) == (0, "")
    assert "nothing found" in look.out
    assert "labrunner resume run epochs=13" in look.out
    assert lab.tree() == before


def test_a_cut_run_is_whole_and_the_next_batch_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        interrupt_at(patch, TorchLearner, "train_batch", 4)  # which is carried out
        assert lab("hydra.run.dir=run", "figures=none", *TINY, "epochs=3").code == 143
    look = lab("doctor", "run")
    assert look.code == 0, look.out
    assert "interrupted" in look.out
    assert "labrunner resume run goes on after epoch 1, batch 2, of 3 epochs" in look.out


def test_a_resume_is_said_to_go_on_from_the_checkpoint_before_a_damaged_one(
    lab: Lab, done: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        interrupt_at(patch, TorchLearner, "train_batch", 11)
        assert lab("hydra.run.dir=run", "figures=none", *TINY, "epochs=5").code == 143
    *_, before, newest = checkpoint.listed(lab.folder / "run" / "checkpoints")
    cut(f"checkpoints/{newest[2].name}")(lab.folder / "run")
    look = lab("doctor", "run")
    assert look.code == 1
    assert f"damaged checkpoint: checkpoints/{newest[2].name}: it is" in look.out
    assert f"labrunner resume run goes on after epoch {before[0]}, of 5 epochs" in look.out
    assert f"passing over run/checkpoints/{newest[2].name}" in lab("resume", "run").err, "and so it is"


def test_who_works_on_a_run_is_said(lab: Lab, done: Path):
    folder = lab.folder / "run"
    shutil.copytree(done, folder)
    said = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(said | {"status": "running"}))
    (folder / "checksums.json").unlink()
    with FileLock(folder / ".lock"):
        look = lab("doctor", "run")
    assert f"worked on by process {os.getpid()}" in look.out
    assert "interrupted" in lab("doctor", "run").out, "nobody holds the lock any more"


def test_of_several_each_is_looked_at_and_they_are_counted(lab: Lab, done: Path):
    for name in ("one", "two"):
        shutil.copytree(done, lab.folder / name)
    edit("metrics.csv", "2,0.001", "2,0.002")(lab.folder / "two")
    look = lab("doctor", "one", "two")
    assert look.code == 1
    assert "one: done, nothing found" in look.out
    assert look.out.splitlines()[-1] == "1 of 2 runs with findings"


def test_of_a_sweep_each_run_is_looked_at_and_those_that_have_not_begun_are_counted(lab: Lab):
    assert lab("-m", "hydra.sweep.dir=sweep", "figures=none", *TINY, "epochs=1", "seed=0,1,2").code == 0
    assert lab("doctor", "sweep").code == 0
    shutil.rmtree(lab.folder / "sweep" / "1")
    cut("test.json")(lab.folder / "sweep" / "2")
    look = lab("doctor", "sweep")
    assert look.code == 1
    assert "sweep/0: done, nothing found" in look.out
    assert "test.json holds no JSON object" in look.out
    assert look.out.splitlines()[-1] == "1 of 2 runs with findings; 1 have not begun"


def test_it_imports_nothing_that_takes_seconds(fresh: Callable[..., subprocess.Popen[str]], done: Path):
    program = "import sys; from labrunner.cli import main; main(['doctor', sys.argv[1]]); print(*sys.modules)"
    look = ended(fresh(python=[sys.executable, "-P", "-c", program, str(done)]))
    assert (look.code, look.err) == (0, "")
    assert {"torch", "pandas", "matplotlib", "sklearn", "hydra"} & set(look.out.split()) == set()


@pytest.mark.parametrize(
    ("argv", "word"), [([], "takes runs or sweeps"), (["nowhere"], "nowhere"), (["epochs=3"], "epochs=3")]
)
def test_a_wrong_request_is_refused(lab: Lab, argv: list[str], word: str):
    look = lab("doctor", *argv)
    assert (look.code, look.out) == (2, "")
    assert word in look.err
