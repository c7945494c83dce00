"""What a resume finds, keeps and refuses, beside the bytes that test_running.py is about."""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest
import yaml

from labrunner import checkpoint, records, running, trainer
from labrunner.checkpoint import Position
from labrunner.deep import TorchLearner
from labrunner.files import WriteError
from labrunner.records import load_run
from tests.cli.cuts import interrupt_at
from tests.cli.lab import Lab, assert_same_run
from tests.data.written import network, write

TINY = ("model.hidden=[8]", "dataset=fake", "dataset.samples=60", "figures=none", "batch_size=16")


@pytest.fixture
def run(lab: Lab):
    return lab.train("run", *TINY, "epochs=3")


def cut(folder, epochs=2):
    """Make a finished run one that was killed after some epochs."""
    for name in ("metrics.csv", "timing.csv"):
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(lines[: epochs + 1]))
    for name in ("test.json", "per_class.csv", "confusion.csv", "predictions.csv", "samples.npz", "facts.json"):
        (folder / name).unlink()
    for epoch, _, path in checkpoint.listed(folder / "checkpoints"):
        if epoch > epochs:
            path.unlink()
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"status": "running"}))
    return folder


# the folder


@pytest.mark.parametrize("name", ["log.txt", "status.json", ".lock", "checkpoints", "probes", ".metrics.csv.tmp"])
def test_a_link_that_leads_out_of_the_folder_is_refused_and_what_it_names_is_left_alone(lab, run, name):
    outside = lab.folder / "outside"
    if (run / name).is_dir():
        shutil.move(run / name, outside)
        content = sorted(path.name for path in outside.iterdir())
    else:
        outside.write_text("precious")
        (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(outside)
    ended = lab("resume", "run", "epochs=5")
    assert ended.code == 2
    assert "symbolic link" in ended.err
    assert name in ended.err
    if outside.is_dir():
        assert sorted(path.name for path in outside.iterdir()) == content
    else:
        assert outside.read_text() == "precious"


def test_a_link_among_the_checkpoints_is_refused(lab, run):
    outside = lab.folder / "outside"
    outside.write_text("precious")
    (run / "checkpoints" / ".00004.safetensors.tmp").symlink_to(outside)
    assert "symbolic link" in lab("resume", "run", "epochs=5").err
    assert outside.read_text() == "precious"


def test_a_run_folder_that_is_itself_reached_through_a_link_resumes(lab, run):
    (lab.folder / "short").symlink_to(run)
    assert lab("resume", "short", "epochs=4").code == 0
    assert load_run(run).epochs == 4


def test_reading_a_folder_makes_no_file_in_it(run):
    (run / ".lock").unlink()
    before = sorted(path.name for path in run.iterdir())
    assert load_run(run).status == "done"
    (run / "status.json").write_text('{"status": "running"}')
    assert load_run(run).status == "interrupted"
    assert sorted(path.name for path in run.iterdir()) == before


@pytest.mark.parametrize("planned", [4, "many", None])
def test_a_cut_run_keeps_the_epochs_it_was_begun_with(lab, monkeypatch, planned):
    with monkeypatch.context() as patch:
        interrupt_at(patch, TorchLearner, "train_batch", 5)
        assert lab("hydra.run.dir=run", *TINY, "epochs=4").code == 143
    config = lab.folder / "run" / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 4", f"epochs: {json.dumps(planned)}"))
    before = lab.tree()
    ended = lab("resume", "run", "epochs=2")
    if planned == 4:
        assert (ended.code, lab.tree()) == (2, before)
        assert ended.err == "labrunner: error: epochs=2: the run is one of 4; a resume can only add to them\n"
    assert "Traceback" not in ended.err


def test_checkpoints_in_the_middle_of_an_epoch_can_be_left_out_from_a_resume_on(lab, run):
    for key in ("checkpoint.every_minutes", "checkpoint.every_batches"):
        assert "has no value" in lab("resume", "run", "epochs=4", f"{key}=").err
        assert (
            lab("resume", "run", f"{key[:-1]}=4").err
            == f"labrunner: error: there is no {key[:-1]}; did you mean {key}?\n"
        )
    without = ("checkpoint.every_minutes=null", "checkpoint.every_batches=null")
    assert lab("resume", "run", "epochs=4", *without).code == 0
    assert load_run(run).config["checkpoint"] == {"every_minutes": None, "every_batches": None}


class Killed(BaseException):
    """Nothing in the program answers it, as nothing does a kill."""


@pytest.mark.parametrize("written", [0, 2, 4, 5, 6, 7])
def test_a_folder_whose_run_was_killed_before_it_had_a_config_can_be_used_again(lab, run, monkeypatch, written):
    """Kill while the files in front of config.yaml are written, at each of them."""
    real, count = records.folder.atomic_write, 0

    def killed(path, content):
        nonlocal count
        if count == written or path.name == "config.yaml":
            path.with_name(f".{path.name}.tmp").write_bytes(b"half")
            raise Killed
        count += 1
        real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(records.folder, "atomic_write", killed)
        with pytest.raises(Killed):
            lab("hydra.run.dir=again", *TINY, "epochs=3")
    again = lab.folder / "again"
    assert not (again / "config.yaml").exists()
    ended = lab("hydra.run.dir=again", *TINY, "epochs=3")
    assert ended.code == 0, ended.err
    assert_same_run(run, again)


def test_a_folder_with_a_file_of_another_kind_beside_the_lock_is_still_refused(lab):
    (lab.folder / "mine").mkdir()
    (lab.folder / "mine" / ".lock").touch()
    (lab.folder / "mine" / "thesis.txt").write_text("years of work")
    assert "not empty" in lab("hydra.run.dir=mine", *TINY).err
    (lab.folder / "mine" / "thesis.txt").rename(lab.folder / "thesis.txt")
    (lab.folder / "mine" / "figures").mkdir()
    (lab.folder / "mine" / "figures" / "plot.png").touch()
    assert "not empty" in lab("hydra.run.dir=mine", *TINY).err


def test_paths_in_advice_can_be_pasted(lab):
    name = "it's & mine"
    assert lab(f"hydra.run.dir={name}", *TINY, "epochs=1").code == 0
    ended = lab("resume", name)
    command = ended.err.partition("to extend it: ")[2].strip()
    marker = lab.folder / "said"
    assert os.system(f"labrunner() {{ printf '%s|' \"$@\" > '{marker}'; }}; {command}") == 0
    assert marker.read_text() == f"resume|{name}|epochs=2|"


# what is done already


def test_a_done_run_without_its_report_is_drawn_and_not_trained_or_tested_again(lab, run):
    (run / "report.html").unlink()
    ended = lab("resume", "run")
    assert (ended.code, ended.err) == (0, "")
    assert (run / "report.html").read_text() == "figures=none"
    assert json.loads((run / "test.json").read_text())["reads"] == 1


def test_other_figures_of_a_done_run_are_drawn_when_asked_for(lab, run):
    before = (run / "metrics.csv").read_bytes(), (run / "log.txt").read_bytes()
    assert lab("resume", "run", "figures=few").code == 0
    assert (run / "report.html").read_text() == "figures=few"
    assert load_run(run).config["figures"] == "few"
    assert ((run / "metrics.csv").read_bytes(), (run / "log.txt").read_bytes()) == before


def test_a_run_that_stopped_early_is_not_tested_again_by_a_resume(lab):
    folder = lab.train("run", *TINY, "epochs=30", "reg.patience=1", "optim.lr=0.3")
    epochs = load_run(folder).epochs
    assert epochs < 30
    for changes in ((), ("epochs=40",)):
        ended = lab("resume", "run", *changes)
        assert ended.code == 0
        assert f"stopped early after epoch {epochs}" in ended.err
    assert json.loads((folder / "test.json").read_text())["reads"] == 1


def test_a_run_that_stopped_early_says_so(lab):
    ended = lab("hydra.run.dir=run", *TINY, "epochs=30", "reg.patience=1", "optim.lr=0.3")
    assert ended.out.splitlines()[0].endswith("; stopped early, 30 epochs were asked for")
    assert "stopped early" not in lab("hydra.run.dir=all", *TINY, "epochs=2").out


def test_a_done_smoke_run_offers_nothing_that_would_do_nothing(lab):
    lab.train("run", *TINY, "smoke=true")
    for changes in ((), ("epochs=40",)):
        ended = lab("resume", "run", *changes)
        assert ended.code == 0
        assert "smoke run has one epoch" in ended.err
        assert "to extend" not in ended.err


def test_control_characters_out_of_a_folder_do_not_reach_the_terminal(lab, run):
    said = yaml.safe_load((run / "overrides.yaml").read_text())
    said["choices"]["model"] = "mlp\x1b[2J\x07"
    (run / "overrides.yaml").write_text(yaml.safe_dump(said))
    ended = lab("resume", "run", "epochs=4")
    assert ended.code == 0
    assert "\x1b" not in ended.out + ended.err
    assert "mlp\\x1b[2J\\x07 on fake" in ended.out


# what is recorded of it


def test_the_command_that_began_the_run_stays_on_record_and_each_resume_is_added(lab, run):
    began = json.loads((run / "environment.json").read_text())
    assert "resumed" not in began
    assert lab("resume", "run", "epochs=4").code == 0
    assert lab("resume", "run", "epochs=5", "threads=2").code == 0
    now = json.loads((run / "environment.json").read_text())
    resumed = now.pop("resumed")
    assert now == began
    assert [(entry["from_epoch"], entry["threads"]) for entry in resumed] == [(3, 1), (4, 2)]
    assert resumed[0]["command"] == "labrunner resume run epochs=4"
    assert resumed[0]["versions"] == began["versions"]


def test_a_run_cut_before_its_first_epoch_keeps_the_command_that_began_it(lab, run):
    began = json.loads((run / "environment.json").read_text())["command"]
    cut(run, epochs=0)
    assert lab("resume", "run").code == 0
    assert json.loads((run / "environment.json").read_text())["command"] == began


def test_other_versions_than_at_the_beginning_are_said_aloud(lab, run):
    began = json.loads((run / "environment.json").read_text())
    began["versions"]["torch"] = "2.10.0"
    (run / "environment.json").write_text(json.dumps(began))
    ended = lab("resume", "run", "epochs=4")
    assert ended.code == 0
    assert "warning: the run began with torch 2.10.0, now" in ended.err
    assert len(ended.err.splitlines()) == 1


# checkpoints


def test_the_chosen_epoch_is_never_taken_from_another_runs_checkpoint(lab):
    mine = lab.train("mine", *TINY, "epochs=4", "optim.lr=0.05", "monitor=val_accuracy")
    best = load_run(mine).chosen.epoch
    other = lab.train("other", *TINY, f"epochs={best}", "optim.lr=0.001", "seed=1")
    if best == 4:
        pytest.skip("the last epoch is the best, and restoring would see it first")
    cut(mine, epochs=4)
    shutil.copy(other / "checkpoints" / f"{best:05d}.safetensors", mine / "checkpoints")
    ended = lab("resume", "mine")
    assert ended.code == 1
    assert "another config" in ended.err
    assert not (mine / "test.json").exists()


def test_a_checkpoint_under_another_epochs_name_is_passed_over_aloud(lab):
    whole = lab.train("whole", *TINY, "epochs=4")
    folder = lab.train("run", *TINY, "epochs=4")
    cut(folder, epochs=3)
    (folder / "checkpoints" / "00003.safetensors").write_bytes(
        (whole / "checkpoints" / "00004.safetensors").read_bytes()
    )
    ended = lab("resume", "run")
    assert ended.code in (0, 1), ended.err
    assert "written as 00004.safetensors" in ended.err


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": -1},
        {"epoch": "3"},
        {"epoch": True},
        {"batch": None},
        {"sums": [1]},
        {"sums": {"n": "x"}},
        {"config_hash": 0},
    ],
    ids=str,
)
def test_a_header_that_no_run_writes_is_a_damaged_checkpoint(changes):
    import numpy as np

    position = Position(3, 0, {}, "abc")
    for name, value in changes.items():
        object.__setattr__(position, name, value)
    if changes.get("sums") == [1]:
        with pytest.raises(TypeError):
            checkpoint.encode({"w": np.zeros(2)}, position)
        return
    with pytest.raises(checkpoint.DamagedCheckpoint, match=r"does not say|no numbers"):
        checkpoint.decode(checkpoint.encode({"w": np.zeros(2)}, position))


# a run that an earlier version began


def test_a_run_from_before_a_key_was_there_goes_on_as_it_began(lab):
    """As a later version will find a folder of this one: keys are missing, and its checkpoints know only the others."""
    whole = lab.train("whole", *TINY, "epochs=4")
    folder = lab.train("run", *TINY, "epochs=4")
    cut(folder, epochs=3)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    del config["smoke"], config["freeze"], config["reg"]["decay_all"], config["model"]["activation"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    known = running.config_hash(config)
    for _, _, path in checkpoint.listed(folder / "checkpoints"):
        state, position = checkpoint.read(path)
        path.write_bytes(checkpoint.encode(state, Position(position.epoch, position.batch, position.sums, known)))
    ended = lab("resume", "run")
    assert ended.code == 0, ended.err
    for name in ("metrics.csv", "predictions.csv"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert yaml.safe_load((folder / "config.yaml").read_text()) == config, "it stays what its checkpoints know"


# ends


def test_a_disk_that_is_full_does_not_change_how_an_interrupted_command_ends(lab, monkeypatch):
    def full(self, *arguments, **named):
        raise WriteError("cannot write status.json: No space left on device")

    from labrunner.deep import TorchLearner

    method = TorchLearner.train_batch

    def stopping(self, *arguments):
        signal.raise_signal(signal.SIGINT)
        monkeypatch.setattr(records.RunFolder, "status", full)
        return method(self, *arguments)

    monkeypatch.setattr(TorchLearner, "train_batch", stopping)
    ended = lab("hydra.run.dir=run", *TINY)
    assert ended.code == 130
    assert ended.err == "labrunner: error: interrupted; to go on: labrunner resume run\n"


def test_an_interruption_that_hydra_makes_an_error_of_stays_one(lab, monkeypatch):
    from hydra.errors import ConfigCompositionException

    def interrupted(*arguments, **named):
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            raise ConfigCompositionException from None

    monkeypatch.setattr("labrunner.compose.composing.of_options", interrupted)
    ended = lab(*TINY, "optim.lr=0.0123")
    assert (ended.code, ended.err) == (143, "labrunner: error: interrupted\n")
    monkeypatch.undo()
    assert not (lab.folder / "outputs").exists()


def test_an_error_of_the_operating_system_that_is_no_writing_keeps_its_traceback(lab, monkeypatch):
    def missing(*arguments, **named):
        raise FileNotFoundError(2, "No such file or directory", "weights.bin")

    monkeypatch.setattr(trainer, "evaluate", missing)
    ended = lab("hydra.run.dir=run", *TINY)
    assert ended.code == 1
    assert "cannot write" not in ended.err
    assert "weights.bin" in ended.err
    assert "Traceback" in (lab.folder / "run" / "log.txt").read_text()


def test_a_new_run_follows_no_link_either(lab):
    outside = lab.folder / "outside"
    outside.write_text("precious")
    (lab.folder / "run").mkdir()
    (lab.folder / "run" / ".lock").touch()
    (lab.folder / "run" / ".metrics.csv.tmp").symlink_to(outside)
    assert "symbolic link" in lab("hydra.run.dir=run", *TINY).err
    assert outside.read_text() == "precious"


ROWS = "".join(f"{i % 7},{i % 5},{'yes' if i % 7 > 3 else 'no'}\n" for i in range(100))
TABLE = ("dataset=csv", "dataset.path=table.csv", "epochs=2")


def test_a_run_on_a_table_is_resumed_and_one_on_other_rows_is_refused(lab):
    table = lab.write("table.csv", "a,b,label\n" + ROWS)
    whole = lab.train("whole", *TABLE[:-1], "epochs=3")
    folder = lab.train("run", *TABLE)
    assert lab("resume", "run", "epochs=3").code == 0
    assert_same_run(whole, folder)
    before = lab.tree()
    others = (ROWS + "1,1,no\n", ROWS.replace("yes", "aye"), ROWS.replace("6,", "5,"), ROWS.replace("yes", "maybe", 3))
    for text in ("a,b,label\n" + rows for rows in others):
        table.write_text(text)
        refused = lab("resume", "run", "epochs=4")
        assert refused.code == 2
        assert len(refused.err.splitlines()) <= 3
        table.write_text("a,b,label\n" + ROWS)
        assert lab.tree() == before, "the run is as it was"
    assert lab("resume", "run", "epochs=4").code == 0


def test_a_path_may_begin_with_the_home_folder(lab, monkeypatch):
    lab.write("home/table.csv", "a,b,label\n" + ROWS)
    monkeypatch.setenv("HOME", str(lab.folder / "home"))
    lab.train("run", "dataset=csv", "dataset.path=~/table.csv", "epochs=1")


def test_a_resume_downloads_nothing_wherever_a_saved_config_would_have_it(lab, monkeypatch):
    write("mnist", lab.folder / "data", monkeypatch)
    lab.train("run", "dataset=mnist", "epochs=1")
    stand_in = network(monkeypatch)
    config = lab.folder / "run" / "config.yaml"
    config.write_text(config.read_text().replace("root: data", "root: elsewhere/deep"))
    before = lab.tree()
    refused = lab("resume", "run", "epochs=2")
    assert refused.code == 2
    assert "labrunner fetch dataset=mnist dataset.root=elsewhere/deep" in refused.err
    assert lab.tree() == before
    assert stand_in.asked == []


def test_a_checkpoint_that_a_crash_kept_from_going_is_gone_after_a_resume(lab, run):
    """Between the last checkpoint and the end of the one that it supersedes: nothing is left to train."""
    whole = lab.train("whole", *TINY, "epochs=3")
    left = lab.train("left", *TINY, "epochs=1") / "checkpoints" / "00001.safetensors"
    assert not (run / "checkpoints" / "00001.safetensors").exists()
    shutil.copy(left, run / "checkpoints")
    for name in ("test.json", "predictions.csv", "facts.json"):
        (run / name).unlink()
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"status": "running"}))
    assert lab("resume", "run").code == 0
    assert_same_run(whole, run)
