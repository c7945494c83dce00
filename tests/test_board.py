"""TensorBoard's event file of a run, read back by TensorBoard: it says what the CSV files say."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from labrunner import board
from labrunner.records import RunFolder, load_run
from tests.cli.lab import assert_same_run, tree
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

TINY = ("dataset=fake", "dataset.samples=80", "dataset.size=8", "model.hidden=[8]", "figures=none")
SHOWN = (*TINY, "logger=tensorboard")


def read(run: Path) -> EventAccumulator:
    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    return found


def said_by_tensorboard(run: Path) -> dict[str, dict[int, float]]:
    """Tag -> step -> value; a step that comes twice is an error."""
    found = read(run)
    tables = {tag: found.Scalars(tag) for tag in found.Tags()["scalars"]}
    for tag, events in tables.items():
        assert len({event.step for event in events}) == len(events), tag
    return {tag: {event.step: event.value for event in events} for tag, events in tables.items()}


def said_by_csv(run: Path) -> dict[str, dict[int, float]]:
    """The same of the CSV files and test.json, in single precision."""
    tables: dict[str, dict[int, float]] = {}
    names = {"lr": "lr", "seconds": "seconds/epoch", "train_seconds": "seconds/train", "val_seconds": "seconds/val"}
    for file in ("metrics.csv", "timing.csv"):
        with open(run / file) as lines:
            for row in csv.DictReader(lines):
                for column, text in row.items():
                    if column != "epoch" and text:
                        tag = names.get(column) or "/".join(reversed(column.split("_")))
                        tables.setdefault(tag, {})[int(row["epoch"])] = float(np.float32(text))
    if (run / "test.json").is_file():
        test = json.loads((run / "test.json").read_text())
        for name in ("loss", "accuracy", "precision", "recall", "f1", "auroc"):
            tables[f"{name}/test"] = {test["epoch"]: float(np.float32(test[name]))}
    return tables


def hparams(run: Path) -> dict[str, object]:
    content = read(run).PluginTagToContent("hparams")[metadata.SESSION_START_INFO_TAG]
    said = metadata.parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in said.items()}


def end_of(run: Path) -> int:
    content = read(run).PluginTagToContent("hparams")[metadata.SESSION_END_INFO_TAG]
    return int(metadata.parse_session_end_info_plugin_data(content).status)


def test_tensorboard_reads_what_the_csv_files_say(lab):
    run = lab.train("run", *SHOWN, "epochs=3")
    assert said_by_tensorboard(run) == said_by_csv(run)
    assert {"loss/train", "loss/val", "loss/test", "auroc/val", "lr", "seconds/epoch"} <= set(said_by_csv(run))
    assert end_of(run) == board.SUCCESS


def test_with_and_without_it_the_run_is_the_same_to_the_byte(lab):
    one, other = lab.train("one", *SHOWN, "epochs=2"), lab.train("other", *TINY, "epochs=2")
    assert_same_run(one, other)
    assert not (other / "tensorboard").exists()


def test_blanks_are_absent(lab):
    run = lab.train("run", *SHOWN, "epochs=1", "dataset.val_fraction=0", "dataset.test_fraction=0")
    tags = set(said_by_tensorboard(run))
    assert tags == set(said_by_csv(run))
    assert not [tag for tag in tags if tag.endswith(("/test", "loss/val", "accuracy/val"))]


def test_what_was_asked_for_are_its_hyperparameters(lab):
    run = lab.train("run", *SHOWN, "epochs=1", "optim=sgd", "optim.nesterov=true", "optim.momentum=0.5", "reg=dropout")
    assert hparams(run) == {
        "model": "mlp",
        "dataset": "fake",
        "optim": "sgd",
        "reg": "dropout",
        "optim.lr": 0.1,
        "batch_size": 32.0,
        "seed": 0.0,
        "epochs": 1.0,
        "dataset.samples": 80.0,
        "dataset.size": 8.0,
        "model.hidden": "[8]",
        "optim.nesterov": True,
        "optim.momentum": 0.5,
    }


def test_a_sweep_shows_its_runs_by_number_with_the_values_of_the_swept_keys(lab):
    assert (
        lab("-m", "hydra.sweep.dir=sweep", "model.hidden=[8],[4]", "seed=3,4", "epochs=1", *SHOWN[:3], *SHOWN[4:]).code
        == 0
    )
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

    found = EventMultiplexer().AddRunsFromDirectory("sweep")
    found.Reload()
    assert sorted(found.Runs()) == [f"{number}/tensorboard" for number in range(4)]
    shown = [
        (hparams(Path("sweep", str(number)))["model.hidden"], hparams(Path("sweep", str(number)))["seed"])
        for number in range(4)
    ]
    assert shown == [("[8]", 3.0), ("[8]", 4.0), ("[4]", 3.0), ("[4]", 4.0)]


def test_a_resumed_run_shows_each_epoch_once(lab):
    run = lab.train("run", *SHOWN, "epochs=2")
    assert lab("resume", "run", "epochs=4").code == 0
    assert len(board.files(run)) == 1
    assert said_by_tensorboard(run) == said_by_csv(run)
    assert sorted(said_by_tensorboard(run)["loss/val"]) == [1, 2, 3, 4]


def test_a_run_that_is_cut_can_be_read_and_goes_on_in_one_file(lab, monkeypatch):
    commit = RunFolder.commit

    class Killed(BaseException):
        """As a kill, of which nobody is told."""

    def killed(self, row, *rest):
        commit(self, row, *rest)
        if row["epoch"] == 2:
            self._behind.wait()
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "commit", killed)
        patch.setattr(board.Board, "close", lambda self: None)
        with pytest.raises(Killed):
            lab("hydra.run.dir=run", *SHOWN, "epochs=3")
    run = lab.folder / "run"
    assert said_by_tensorboard(run) == said_by_csv(run)
    (file,) = board.files(run)
    file.write_bytes(file.read_bytes()[:-7])  # in the middle of a record
    assert sorted(said_by_tensorboard(run)["loss/train"]) == [1]
    assert lab("resume", "run").code == 0
    assert said_by_tensorboard(run) == said_by_csv(run)
    assert sorted(said_by_tensorboard(run)["loss/train"]) == [1, 2, 3]
    assert_same_run(run, lab.train("whole", *SHOWN, "epochs=3"))


def test_a_run_that_diverges_shows_what_it_got_to(lab):
    assert lab("hydra.run.dir=run", *SHOWN, "epochs=3", "optim=sgd", "optim.lr=1e20").code == 1
    run = lab.folder / "run"
    assert said_by_tensorboard(run) == said_by_csv(run)
    assert end_of(run) == board.FAILURE
    assert "loss/test" not in said_by_tensorboard(run)


def test_a_loss_beyond_single_precision_is_infinite_there():
    row = dict.fromkeys(board.METRICS) | {"epoch": 1, "lr": 0.1, "train_loss": 1e300}
    timing = {"epoch": 1, "seconds": 1.0, "train_seconds": 0.5, "val_seconds": None}
    shown = {value.tag: value.simple_value for value in board.scalars(row, timing, 0.0).summary.value}
    assert math.isinf(shown["loss/train"])
    assert sorted(shown) == ["loss/train", "lr", "seconds/epoch", "seconds/train"]


def test_a_resume_begins_and_ends_it_as_it_does_figures(lab):
    run = lab.train("run", *TINY, "epochs=2")
    before = tree(run / "checkpoints")
    assert "tensorboard --logdir run" in lab("resume", "run", "logger=tensorboard").err
    assert said_by_tensorboard(run) == said_by_csv(run)
    assert end_of(run) == board.SUCCESS
    assert load_run(run).config["logger"] == "tensorboard"
    assert tree(run / "checkpoints") == before
    assert lab("resume", "run", "logger=none").code == 0
    assert not (run / "tensorboard").exists()
    assert lab("doctor", "run").code == 0


def test_a_folder_that_lacks_the_key_goes_on(lab):
    run = lab.train("run", *TINY, "epochs=1")
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("logger: none\n", ""))
    assert "logger" not in load_run(run).config
    (run / "checksums.json").unlink()
    assert lab("resume", "run", "epochs=2").code == 0
    assert_same_run(run, lab.train("whole", *TINY, "epochs=2"))


@pytest.mark.parametrize("argv", [["hydra.run.dir=new"], ["-m", "seed=0,1", "hydra.sweep.dir=new"], ["resume", "run"]])
def test_without_the_package_it_is_refused_before_any_work(lab, monkeypatch, argv):
    lab.train("run", *TINY, "epochs=1")
    before = tree(lab.folder)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "tensorboard" else find(name))
    ended = lab(*argv, "logger=tensorboard", *([] if argv[0] == "resume" else TINY))
    assert ended.code == 2
    assert "pip install 'labrunner[tensorboard]'" in ended.err
    assert {name: content for name, content in tree(lab.folder).items() if not name.endswith(".lock")} == {
        name: content for name, content in before.items() if not name.endswith(".lock")
    }


def test_a_link_among_event_files_is_left_alone(lab):
    run = lab.train("run", *SHOWN, "epochs=1")
    outside = lab.write("outside.txt", "mine")
    (run / "tensorboard" / "events.out.tfevents.0000000001.x").symlink_to(outside)
    ended = lab("resume", "run", "epochs=2")
    assert ended.code == 2
    assert "symbolic link" in ended.err
    assert outside.read_text() == "mine"
