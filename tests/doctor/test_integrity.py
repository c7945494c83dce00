"""A run folder that was damaged, edited or cut: each change is named, and of a whole folder nothing is said."""

from __future__ import annotations

import itertools
import json
import math
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


def with_test(folder: Path, **changes: float) -> None:
    said = json.loads((folder / "test.json").read_text())
    (folder / "test.json").write_text(json.dumps(said | changes))


def of_another_epoch(folder: Path) -> None:
    said = json.loads((folder / "test.json").read_text())
    (folder / "test.json").write_text(json.dumps(said | {"epoch": said["epoch"] - 1}))


DAMAGES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "an edited row": (edit("metrics.csv", "2,0.001", "2,0.002"), ("changed file", "metrics.csv")),
    "an edited prediction": (edit("predictions.csv", "0.", "1."), ("changed file", "predictions.csv")),
    "an edited accuracy": (better, ("contradiction", "test.json says accuracy")),
    "an accuracy that is no number": (
        lambda folder: with_test(folder, accuracy=math.nan),
        ("contradiction", "test.json says accuracy nan"),
    ),
    "a test loss that is no number": (
        lambda folder: with_test(folder, loss=math.nan),
        ("contradiction", "test.json says loss nan"),
    ),
    "a probability that is no number": (
        lambda folder: set_cell(folder / "predictions.csv", 1, -1, "nan"),
        ("damaged file", "predictions.csv or confusion.csv is not what a run writes"),
    ),
    "a row that is gone": (edit("metrics.csv", "\n2,", "\n9,"), ("damaged file", "epochs of metrics.csv")),
    "half a table": (cut("metrics.csv"), ("cut line", "metrics.csv")),
    "half a JSON": (cut("test.json"), ("damaged file", "test.json holds no JSON object")),
    "half a config": (
        lambda folder: (folder / "config.yaml").write_text("{epochs: ["),
        ("damaged file", "config.yaml"),
    ),
    "a lost status": (removed("status.json"), ("missing file: status.json is not there",)),
    "a lost config": (removed("config.yaml"), ("missing file: config.yaml", "next: nothing yet: config.yaml, which")),
    "lost rows": (removed("metrics.csv"), ("missing file: metrics.csv", "next: nothing yet: metrics.csv, which")),
    "rows that are none": (
        lambda folder: (folder / "metrics.csv").write_text("x,y\n"),
        ("damaged file", "next: nothing yet: metrics.csv, which says how far it got, cannot be read"),
    ),
    "a config that is none": (
        lambda folder: (folder / "config.yaml").write_text("{epochs: ["),
        ("damaged file", "next: nothing yet: config.yaml, which says what it was asked to do, cannot be read"),
    ),
    "a lost timing": (removed("timing.csv"), ("missing file: timing.csv", "3 of 3 epochs")),
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
    assert "nothing found: the files are whole; there is no history to judge: fewer than 20 batches\n" in look.out
    assert "labrunner resume run epochs=6\n" in look.out
    assert lab.tree() == before


def test_a_cut_run_is_whole_and_the_next_batch_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        interrupt_at(patch, TorchLearner, "train_batch", 4)  # which is carried out
        assert lab("hydra.run.dir=run", "figures=none", *TINY, "epochs=3").code == 143
    look = lab("doctor", "run")
    assert look.code == 0, look.out
    assert "interrupted, 1 of 3 epochs, batch 2 of the next; checkpoints" in look.out
    assert "there is no history to judge yet: fewer than 3 epochs\n" in look.out
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
    assert "files are not looked at while a process works on them" in look.out
    assert "whole," not in look.out
    assert "learns" not in look.out
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
    assert look.out.splitlines()[-4:] == [
        "1 of 2 runs with findings; 1 has not begun",
        "sweep:",
        "  has not begun: run 1 (seed=1)",
        "  next: labrunner resume sweep",
    ]


def become(folder: Path, status: str, error: str | None = None) -> None:
    """The run as it would be, had it not come to its end."""
    said = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(said | {"status": status, "error": error}))
    (folder / "checksums.json").unlink()


def without_checkpoints(folder: Path) -> None:
    for _, _, path in checkpoint.listed(folder / "checkpoints"):
        path.unlink()


def without_rows(folder: Path, count: int) -> None:
    for name in ("metrics.csv", "timing.csv"):
        lines = (folder / name).read_text().splitlines()
        (folder / name).write_text("\n".join(lines[: len(lines) - count]) + "\n")


def last(text: str) -> str:
    return text.splitlines()[-1].strip()


def test_a_run_that_failed_says_of_what_in_one_line(lab: Lab, done: Path):
    shutil.copytree(done, lab.folder / "run")
    become(lab.folder / "run", "failed", "OSError: no space left\nand a second line")
    look = lab("doctor", "run")
    assert look.code == 1
    assert "  failed: OSError: no space left\n" in look.out
    assert last(look.out) == "next: labrunner resume run goes on after epoch 3, of 3 epochs"


@pytest.mark.parametrize(("rows", "is_named"), [(1, False), (2, True), (3, True)])
def test_rows_without_any_checkpoint_are_a_finding_that_no_kill_leaves(lab: Lab, done: Path, rows: int, is_named: bool):
    folder = lab.folder / "run"
    shutil.copytree(done, folder)
    shutil.rmtree(folder / "probes")
    without_rows(folder, 3 - rows)
    without_checkpoints(folder)
    become(folder, "interrupted")
    look = lab("doctor", "run")
    assert look.code == int(is_named), look.out
    assert (f"no checkpoint: metrics.csv has {rows} epochs" in look.out) is is_named
    anew, first = "start the run anew: it has no checkpoint", "labrunner resume run begins with the first epoch"
    assert last(look.out) == f"next: {anew if is_named else first}"


@pytest.mark.parametrize("kind", ["gone", "damaged"])
def test_a_finished_run_without_a_whole_checkpoint_is_not_said_to_be_extendable(lab: Lab, done: Path, kind: str):
    shutil.copytree(done, lab.folder / "run")
    for _, _, path in checkpoint.listed(lab.folder / "run" / "checkpoints"):
        path.unlink() if kind == "gone" else os.truncate(path, 9)
    look = lab("doctor", "run")
    assert look.code == 1
    assert "labrunner resume" not in look.out
    assert "a resume passes it over" not in look.out
    assert last(look.out).startswith("next: nothing is left, and it cannot be extended: ")
    assert last(look.out).endswith("start the run anew")


@pytest.mark.parametrize("status", ["interrupted", "done"])
def test_a_checkpoint_that_the_rows_do_not_reach_is_not_gone_on_from(lab: Lab, done: Path, status: str):
    folder = lab.folder / "run"
    shutil.copytree(done, folder)
    without_rows(folder, 1)
    become(folder, status)
    look = lab("doctor", "run")
    assert look.code == 1
    assert "contradiction: checkpoints/00003.safetensors follows epoch 3, and metrics.csv has 2 epochs" in look.out
    reached = "goes on after epoch 2, of 3 epochs: the newest whole checkpoint that metrics.csv reaches"
    assert last(look.out) == f"next: labrunner resume run {reached}"
    without_rows(folder, 1)  # the checkpoint of epoch 1 is not kept
    anew = "start the run anew: metrics.csv reaches none of its whole checkpoints"
    assert [each[0] for each in checkpoint.listed(folder / "checkpoints")] == [2, 3]
    assert last(lab("doctor", "run").out) == f"next: {anew}"


def test_a_finished_run_of_which_nothing_is_drawn_is_no_finding_and_the_command_is_named(lab: Lab, done: Path):
    folder = lab.folder / "run"
    shutil.copytree(done, folder)
    (folder / "checksums.json").unlink()
    (folder / "report.html").unlink(missing_ok=True)
    assert "labrunner report" not in lab("doctor", "run").out, "figures=none"
    edit("config.yaml", "figures: none", "figures: few")(folder)
    look = lab("doctor", "run")
    assert look.code == 0
    assert last(look.out).endswith("; to draw it: labrunner report run")
    for name in ("report.html", "figures/loss.png"):
        (folder / name).touch()
        assert "labrunner report" not in lab("doctor", "run").out
        (folder / name).unlink()


def test_a_run_cut_before_its_config_has_lost_nothing(lab: Lab):
    for name in ("checkpoints", "probes", "figures"):
        (lab.folder / "run" / name).mkdir(parents=True)
    for name in (".lock", "metrics.csv"):
        (lab.folder / "run" / name).touch()
    look = lab("doctor", "run")
    assert (look.code, look.out.splitlines()[0]) == (0, "run: interrupted before it began, nothing is lost")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, done: Path) -> Path:
    """A sweep of nine runs, all of them copies of one, listed as a sweep lists them."""
    folder = tmp_path_factory.mktemp("sweep") / "sweep"
    folder.mkdir()
    runs = [
        {
            "number": number,
            "folder": str(number),
            "values": {"seed": number},
            "overrides": [],
            "config_hash": None,
            "epochs": 3,
        }
        for number in range(9)
    ]
    said = {"format": 1, "command": "", "overrides": [], "keys": ["seed"], "monitor": "val_loss", "threshold": None}
    (folder / "sweep.yaml").write_text(json.dumps(said | {"runs": runs}))
    for number in range(3):
        shutil.copytree(done, folder / str(number))
    return folder


@pytest.mark.parametrize("name", ["config.yaml", "metrics.csv"])
def test_a_run_of_a_sweep_that_is_not_whole_is_named_and_those_that_have_not_begun(lab: Lab, sweep: Path, name: str):
    shutil.copytree(sweep, lab.folder / "sweep")
    (lab.folder / "sweep" / "1" / name).unlink()
    become(lab.folder / "sweep" / "2", "interrupted")
    look = lab("doctor", "sweep")
    assert look.code == 1
    assert f"sweep/1: done; checkpoints: 2 whole\n  missing file: {name}" in look.out
    assert "sweep/2: interrupted, 3 of 3 epochs, nothing found" in look.out
    listed = ", ".join(f"run {number} (seed={number})" for number in range(3, 8))
    assert look.out.splitlines()[-4:] == [
        "1 of 3 runs with findings; 6 have not begun",
        "sweep:",
        f"  have not begun: {listed} and 1 more",
        "  next: labrunner resume sweep; run 1 (seed=1) only once its folder is whole, or taken away",
    ]


@pytest.mark.parametrize("status", ["interrupted", "failed", "done"])
def test_what_makes_the_rest_of_a_sweep_is_named_where_there_is_a_rest(lab: Lab, sweep: Path, status: str):
    folder = lab.folder / "sweep"
    shutil.copytree(sweep, folder)
    said = json.loads((folder / "sweep.yaml").read_text())
    (folder / "sweep.yaml").write_text(json.dumps(said | {"runs": said["runs"][:3]}))
    become(folder / "1", status, "no room")
    assert (last(lab("doctor", "sweep").out) == "next: labrunner resume sweep") is (status != "done")


def test_a_sweep_at_work_is_not_said_to_be_resumed(lab: Lab, sweep: Path):
    shutil.copytree(sweep, lab.folder / "sweep")
    with FileLock(lab.folder / "sweep" / ".lock"):
        assert last(lab("doctor", "sweep").out).startswith("next: nothing: the sweep in sweep is being worked on")


def test_of_a_folder_of_runs_and_sweeps_each_is_looked_at_once(lab: Lab, done: Path, sweep: Path):
    shutil.copytree(done, lab.folder / "outputs" / "runs" / "one")
    shutil.copytree(done, lab.folder / "outputs" / "runs" / "two")
    (lab.folder / "outputs" / "runs" / "two" / "config.yaml").unlink()
    shutil.copytree(sweep, lab.folder / "outputs" / "sweeps" / "some")
    (lab.folder / "outputs" / "notes").mkdir()
    look = lab("doctor", "outputs")
    assert look.code == 1, look
    assert "outputs/runs/one: done, nothing found" in look.out
    assert "outputs/runs/two: done; checkpoints: 2 whole\n  missing file: config.yaml" in look.out
    assert "1 of 5 runs with findings; 6 have not begun" in look.out
    assert last(look.out) == "next: labrunner resume outputs/sweeps/some"
    assert "1 of 2 runs with findings\n" in lab("doctor", "outputs/runs").out
    assert "1 of 2 runs with findings\n" in lab("doctor", "outputs/runs", "outputs/runs/two").out, "each once"


def test_what_cannot_be_opened_in_a_folder_of_runs_keeps_nobody_from_the_others(lab: Lab, done: Path, sweep: Path):
    shutil.copytree(done, lab.folder / "outputs" / "runs" / "one")
    shutil.copytree(sweep, lab.folder / "outputs" / "sweeps" / "some")
    (lab.folder / "outputs" / "sweeps" / "some" / "sweep.yaml").write_text("{format: [")
    look = lab("doctor", "outputs")
    assert look.code == 1
    assert "outputs/runs/one: done, nothing found" in look.out
    assert "outputs/sweeps/some: not looked at: cannot read outputs/sweeps/some/sweep.yaml" in look.out
    assert last(look.out) == "1 of 2 runs with findings"
    assert lab("doctor", "outputs/sweeps/some").code == 2


@pytest.mark.parametrize("name", ["a\0b", "..", "/", "x" * 200, "1/../1"])
def test_whatever_folder_a_sweep_names_is_answered(lab: Lab, sweep: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv("LABRUNNER_DEBUG", "1")  # an error that nobody foresaw is raised
    shutil.copytree(sweep, lab.folder / "sweep")
    said = json.loads((lab.folder / "sweep" / "sweep.yaml").read_text())
    said["runs"][0]["folder"] = name
    (lab.folder / "sweep" / "sweep.yaml").write_text(json.dumps(said))
    assert "has not begun" in (look := lab("doctor", "sweep")).out or "have not begun" in look.out, look


@pytest.mark.parametrize("files", [(), ("status.json",), ("test.json",)])
def test_a_folder_with_neither_config_nor_rows_is_no_run(lab: Lab, files: tuple[str, ...]):
    (lab.folder / "run").mkdir()
    for name in files:
        (lab.folder / "run" / name).write_text("{}")
    look = lab("doctor", "run")
    assert (look.code, look.out) == (2, "")
    assert "run is no run folder" in look.err


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
