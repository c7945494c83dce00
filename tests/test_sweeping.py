"""Sweeps from the command: what is made, what is not made again, and what a failure costs."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from labrunner import tasks
from labrunner.errors import Interrupted
from labrunner.records import load_run, load_sweep
from tests.cli.lab import Lab, assert_same_run, rows_of, wait_until
from tests.lines import cases, line

SMALL = ("dataset=iris", "epochs=3", "figures=none")
NUMBERS = ("best_epoch", "val_loss", "val_accuracy", "val_f1", "val_auroc", "test_accuracy", "test_f1", "test_auroc")

MODELS = """
from pathlib import Path

from torch import nn


def net(input_shape, num_classes, width):
    if width == 13 and not Path("mended").exists():
        raise ZeroDivisionError("thirteen")
    if width == 17 and not Path("mended").exists():
        raise SystemExit(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], width), nn.ReLU(), nn.Linear(width, num_classes))


class Late(nn.Module):
    def __init__(self, input_shape, num_classes, width):
        super().__init__()
        self.layers, self.bad, self.calls = net(input_shape, num_classes, 8), width == 13, 0

    def forward(self, inputs):
        self.calls += self.training
        if self.bad and self.calls > 4 and not Path("mended").exists():
            raise MemoryError("no room")
        return self.layers(inputs)
"""


def read_table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "sweep.csv")


def recomputed(folder: Path) -> dict[str, float]:
    """A run's line of sweep.csv, by pandas from its own files."""
    rows = pd.read_csv(folder / "metrics.csv")
    best = rows.loc[rows["val_loss"].idxmin()]
    test = json.loads((folder / "test.json").read_text())
    return {
        "best_epoch": best["epoch"],
        **{name: best[name] for name in NUMBERS if name.startswith("val_")},
        **{name: test[name.removeprefix("test_")] for name in NUMBERS if name.startswith("test_")},
        "seconds": pd.read_csv(folder / "timing.csv")["seconds"].sum(),
    }


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the runs that are made or gone on with, in order."""
    numbers: list[int] = []
    real = tasks._made

    def counted(task, shared):
        numbers.append(task.number)
        return real(task, shared)

    monkeypatch.setattr(tasks, "_made", counted)
    return numbers


def ten(lab: Lab, target: str = "net", widths: str = "range(8,18)") -> tuple[str, ...]:
    """A sweep over ten widths, or fewer, of a model of one's own, of which 13 fails."""
    lab.write("my_models.py", MODELS)
    lab.write("conf/model/tiny.yaml", f"# Ten widths.\n_target_: my_models.{target}\nwidth: 8  # of the hidden layer\n")
    return ("-m", "model=tiny", f"model.width={widths}", "hydra.sweep.dir=s", *SMALL)


# what comes out


def test_every_number_of_the_table_is_what_pandas_finds_in_the_run_folders(lab):
    ended = lab("-m", "optim.lr=0.001,0.1,1", "model=mlp,softmax", "seed=range(2)", "hydra.sweep.dir=s", *SMALL)
    assert ended.code == 0, ended.err
    table = read_table(lab.folder / "s")
    assert list(table.columns) == ["number", "status", "optim.lr", "model", "seed", *NUMBERS, "seconds"]
    assert len(table) == 12
    assert list(table["val_loss"]) == sorted(table["val_loss"])
    for row in table.to_dict("records"):
        run = lab.folder / "s" / str(row["number"])
        expected = recomputed(run)
        assert {name: row[name] for name in expected} == expected
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert (row["optim.lr"], row["model"], row["seed"]) == (
            config["optim"]["lr"],
            config["model"]["name"],
            config["seed"],
        )
    assert sorted(table["number"]) == list(range(12))
    assert ended.out.splitlines()[1].split()[:3] == ["*", str(table["number"][0]), "done"]


def test_a_run_of_a_sweep_is_the_run_that_its_own_command_makes(lab):
    assert lab("-m", "optim.lr=0.01,0.1", "reg=none,dropout", "hydra.sweep.dir=s", *SMALL).code == 0
    for member in load_sweep(lab.folder / "s").members:
        alone = lab.folder / f"alone{member.number}"
        assert lab(f"hydra.run.dir={alone.name}", *member.overrides).code == 0
        assert_same_run(lab.folder / "s" / str(member.number), alone)
        recorded = load_run(lab.folder / "s" / str(member.number))
        assert recorded.overrides["overrides"] == member.overrides
        assert recorded.environment["command"].startswith("labrunner optim.lr=")


def test_data_are_read_once(lab, monkeypatch):
    from labrunner.data import embedded

    reads = []
    real = embedded.load
    monkeypatch.setattr(embedded, "load", lambda *given: reads.append(given) or real(*given))
    assert lab("-m", "optim.lr=0.01,0.1,1", "seed=0,1", *SMALL).code == 0
    assert len(reads) <= 1


def test_a_diverged_run_is_a_result_like_any_other(lab, made):
    ended = lab("-m", "model=adaline", "optim.lr=0.01,1e30", "hydra.sweep.dir=s", *SMALL)
    assert ended.code == 0, ended.err
    assert "labrunner: [1/2] run 0: optim.lr=0.01  epoch 3 of 3" in ended.err
    assert "labrunner: [2/2] run 1: optim.lr=1e+30  diverged: " in ended.err
    table = read_table(lab.folder / "s")
    assert list(table["status"]) == ["done", "diverged"]
    assert np.isnan(table["test_accuracy"][1])
    assert lab("-m", "model=adaline", "optim.lr=0.01,1e30", "hydra.sweep.dir=s", *SMALL).code == 0
    assert made == [0, 1]


def test_how_a_sweep_is_made_is_no_part_of_its_runs(lab):
    assert lab("-m", "seed=0,1", "fail_fast=true", "hydra.sweep.dir=s", *SMALL).code == 0
    for member in load_sweep(lab.folder / "s").members:
        assert member.run.config["fail_fast"] is False
        assert not [text for text in member.overrides if "fail_fast" in text]


def test_duplicates_are_said_and_left_out(lab):
    ended = lab("-m", "optim.lr=0.1,0.10,1e-1", "hydra.sweep.dir=s", *SMALL)
    assert ended.code == 0
    assert len(read_table(lab.folder / "s")) == 1
    assert ended.err.count("is the same as run 0") == 2


def test_the_configs_of_a_sweep_can_be_looked_at(lab):
    shown = lab("-m", "optim.lr=0.1,1", "--cfg", "job")
    assert shown.code == 0
    assert [each["optim"]["lr"] for each in yaml.safe_load_all(shown.out)] == [0.1, 1.0]
    assert lab.tree() == {}


# what is refused


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("-m optim.lr=0.1,-1", "optim.lr=-1"),
        ("-m model=mlp,cnn dataset=iris", "run 1 (model=cnn): model=cnn needs images"),
        ("-m model=mlp,cmn", "did you mean model=cnn?"),
        ("-m optim=sgd,adam optim.momentum=0.9", "optim=adam"),
        ("-m seed=0,1 hydra.run.dir=x", "hydra.sweep.dir"),
        ("optim.lr=0.1,1", "labrunner -m optim.lr=0.1,1"),
        ("-m jobs=1,2", "jobs"),
        ("-m optim.lr=0.1, 0.01", "no space stands behind a comma: optim.lr=0.1,0.01"),
        ("summary -m seed=0,1", "-m makes a sweep"),
        ("-m seed=0,1 hydra.sweep.dir=full", "not empty"),
        ("-m seed=0,1 hydra.sweep.dir=full/thesis.txt", "is a file"),
    ],
)
def test_a_wrong_sweep_is_refused_and_nothing_is_left_behind(lab, typed, words):
    lab.write("full/thesis.txt", "years of work")
    before = lab.tree()
    ended = lab(*typed.split())
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert 1 <= len(ended.err.splitlines()) <= 3
    assert lab.tree() == before


# what fails


@line(10, "one run of ten fails")
@pytest.mark.parametrize("target", cases(["Late", "net"], fast=1))
def test_of_ten_runs_one_fails_nine_have_results_and_a_repetition_makes_that_one(lab, made, target):
    typed = ten(lab, target)
    ended = lab(*typed)
    assert ended.code == 1
    assert "model.width=13  FAILED" in ended.err
    assert ("thirteen" if target == "net" else "no room") in ended.err
    statuses = read_table(lab.folder / "s").set_index("model.width")["status"]
    assert statuses[13] == "failed"
    fine = [width for width in range(8, 18) if width != 13 and not (target == "net" and width == 17)]
    assert [statuses[width] for width in fine] == ["done"] * len(fine)
    assert "Traceback" not in ended.err
    assert "Traceback" in (lab.folder / "s" / "5" / "log.txt").read_text()

    before = {path: path.stat().st_mtime_ns for path in (lab.folder / "s").glob("[0-9]/test.json")}
    made.clear()
    lab.write("mended", "")
    again = lab(*typed)
    assert again.code == 0, again.err
    assert made == ([5, 9] if target == "net" else [5])
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert set(read_table(lab.folder / "s")["status"]) == {"done"}
    made.clear()
    assert lab(*typed).code == 0
    assert made == []


def test_a_mended_model_is_said_to_be_another_than_that_of_the_finished_runs(lab):
    typed = ten(lab, widths="11,12,13,14")
    lab(*typed)
    path = lab.folder / "my_models.py"
    path.write_text(path.read_text() + "\n# mended\n")
    lab.write("mended", "")
    ended = lab(*typed)
    assert ended.code == 0
    assert "my_models.py has changed since runs 0, 1, 3 were begun" in ended.err


def test_a_run_that_failed_before_it_was_set_up_is_recorded_like_any_other_once_it_is_made(lab):
    typed = ten(lab, widths="12,13")
    lab(*typed)
    lab.write("mended", "")
    assert lab(*typed).code == 0
    fine, mended = (load_run(lab.folder / "s" / number).environment for number in ("0", "1"))
    assert mended["data"] == fine["data"]
    assert set(fine) <= set(mended)
    compared = lab("compare", "s/0", "s/1")
    assert "share no test samples" not in compared.out + compared.err


def test_what_is_said_of_how_to_go_on_names_the_folder_of_own_configs(lab):
    typed = ten(lab, widths="12,13")
    (lab.folder / "conf").rename(lab.folder / "mine")
    for more in ((), ("fail_fast=true",)):
        ended = lab(*typed, *more, "--config-dir", "mine")
        assert ended.code == 1
        hints = [text.partition("labrunner resume")[2] for text in ended.err.splitlines() if "labrunner resume" in text]
        assert hints == [" s --config-dir mine"] * (1 + len(more))
    refused = lab("resume", "s")
    assert refused.code == 2
    assert refused.err.startswith(
        "labrunner: error: there is no model=tiny, which s was made with\n  start labrunner in"
    )
    lab.write("mended", "")
    assert lab("resume", *shlex.split(hints[0])).code == 0


def test_the_first_failure_ends_a_sweep_that_fails_fast(lab, made):
    typed = ten(lab, widths="range(11,16)")
    ended = lab(*typed, "fail_fast=true")
    assert ended.code == 1
    assert made == [0, 1, 2]
    assert list(read_table(lab.folder / "s")["status"]) == ["done"] * 2 + ["failed"] + ["missing"] * 2
    assert "labrunner resume s" in ended.err
    made.clear()
    lab.write("mended", "")
    assert lab("resume", "s", "fail_fast=false").code == 0
    assert made == [3, 4, 2]


def test_a_signal_of_which_a_library_made_another_error_is_no_failure_of_the_run(lab, monkeypatch):
    def interrupted(*_):
        try:
            signal.raise_signal(signal.SIGTERM)
        except Interrupted:
            raise ImportError("half of it") from None

    monkeypatch.setattr(tasks, "_made", interrupted)
    ended = lab("-m", "seed=0,1", "hydra.sweep.dir=s", *SMALL)
    assert ended.code == 143
    assert "FAILED" not in ended.err
    assert list(read_table(lab.folder / "s")["status"]) == ["missing", "missing"]
    assert not (lab.folder / "s" / "0").exists()


# what is gone on with


def test_a_changed_config_is_not_taken_for_a_finished_run(lab, made):
    typed = ("-m", "optim.lr=0.01,0.1", "hydra.sweep.dir=s", *SMALL)
    assert lab(*typed).code == 0
    before = lab.tree()
    for change in ("epochs=4", "seed=1", "threads=2", "reg=dropout", "dataset.split_seed=1"):
        ended = lab(*typed, change)
        assert ended.code == 2, change
        assert "run 0 (optim.lr=0.01)" in ended.err
        assert change.partition("=")[0].partition(".")[2] in ended.err
        assert lab.tree() == before
    assert made == [0, 1]


def test_more_values_of_a_key_add_runs_and_keep_the_numbers_of_those_that_are_there(lab, made):
    assert lab("-m", "optim.lr=0.01,0.1", "hydra.sweep.dir=s", *SMALL).code == 0
    assert lab("-m", "optim.lr=0.001,0.01,0.1,1", "hydra.sweep.dir=s", *SMALL).code == 0
    assert made == [0, 1, 2, 3]
    table = read_table(lab.folder / "s").set_index("number")["optim.lr"]
    assert dict(table) == {0: 0.01, 1: 0.1, 2: 0.001, 3: 1.0}


def test_a_sweep_whose_list_was_lost_finds_its_runs_again(lab, made):
    typed = ("-m", "optim.lr=0.01,0.1", "hydra.sweep.dir=s", *SMALL)
    assert lab(*typed).code == 0
    listed = (lab.folder / "s" / "sweep.yaml").read_text()
    (lab.folder / "s" / "sweep.yaml").unlink()
    (lab.folder / "s" / ".sweep.yaml.tmp").write_text("half")  # as a kill leaves it
    assert lab(*typed).code == 0
    assert made == [0, 1]
    assert (lab.folder / "s" / "sweep.yaml").read_text() == listed


def test_the_run_that_others_start_from_is_no_rival_of_theirs(lab):
    lab.write("conf/experiment/critical.yaml", CRITICAL)
    ended = lab("experiment=critical", "figures=none", "hydra.sweep.dir=s")
    sweep = load_sweep(lab.folder / "s")
    assert [member.number for member in sweep.without_first.members] == [1, 2]
    assert "best: optim.lr=" in ended.out
    assert load_sweep(lab.folder / "s").without_first.keys == ["optim.lr"]


def test_an_edited_run_is_not_taken_for_the_planned_one(lab):
    typed = ("-m", "optim.lr=0.01,0.1", "hydra.sweep.dir=s", *SMALL)
    assert lab(*typed).code == 0
    config = lab.folder / "s" / "1" / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.1", "lr: 0.2"))
    ended = lab(*typed)
    assert ended.code == 2
    assert "it has optim.lr=0.2, asked for is 0.1" in ended.err


@line(11, "the sweep's process is killed in a run")
@pytest.mark.parametrize("again", cases(["command", "resume"], fast=1))
def test_a_killed_sweep_makes_every_run_once_and_goes_on_with_the_cut_one(forks, tmp_path, lab, again):
    typed = ("-m", "optim.lr=0.001,0.01,0.1", "epochs=12", "figures=none")
    assert lab(*typed, "hydra.sweep.dir=whole").code == 0
    fork = forks(*typed, "hydra.sweep.dir=cut")
    wait_until(lambda: rows_of(tmp_path / "cut" / "1") >= 4, "the middle of the second run")
    fork.send(signal.SIGKILL)
    assert fork.wait().code == -signal.SIGKILL
    finished = (tmp_path / "cut" / "0" / "test.json").stat().st_mtime_ns
    rest = forks(*typed, "hydra.sweep.dir=cut") if again == "command" else forks("resume", "cut")
    ended = rest.wait()
    assert ended.code == 0, ended.err
    assert "1 of them done before" in ended.err
    assert (tmp_path / "cut" / "0" / "test.json").stat().st_mtime_ns == finished
    for number in range(3):
        assert_same_run(tmp_path / "whole" / str(number), tmp_path / "cut" / str(number))
        log = (tmp_path / "cut" / str(number) / "log.txt").read_text()
        assert log.count(" begins: ") == 1
        assert log.count(" resumes after epoch ") == (number == 1)
    one, other = (read_table(tmp_path / name).drop(columns="seconds") for name in ("whole", "cut"))
    pd.testing.assert_frame_equal(one, other)
    assert (tmp_path / "whole" / "sweep.yaml").read_text().split("overrides:")[1].replace("whole", "cut") == (
        tmp_path / "cut" / "sweep.yaml"
    ).read_text().split("overrides:")[1]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_sweep_with_a_word_on_how_to_go_on(forks, tmp_path, signum, code):
    fork = forks("-m", "seed=range(3)", "epochs=400", "figures=none", "hydra.sweep.dir=s")
    wait_until(lambda: rows_of(tmp_path / "s" / "0") >= 2, "the first run")
    fork.send(signum)
    ended = fork.wait()
    assert ended.code == code
    assert ended.err.splitlines()[-1] == "labrunner: error: interrupted; to go on: labrunner resume s"
    assert list(read_table(tmp_path / "s")["status"]) == ["interrupted", "missing", "missing"]


def test_two_commands_never_work_on_one_sweep(forks, tmp_path):
    fork = forks("-m", "seed=range(3)", "epochs=400", "figures=none", "hydra.sweep.dir=s")
    wait_until(lambda: rows_of(tmp_path / "s" / "0") >= 2, "the first run")
    second = forks("resume", "s").wait()
    fork.send(signal.SIGKILL)
    fork.wait()
    assert second.code == 2
    assert "is being worked on" in second.err


@pytest.mark.parametrize(("typed", "words"), [("epochs=9", "epochs=9"), ("optim.lr=1", "start a new sweep")])
def test_a_resumed_sweep_keeps_what_its_runs_compute(lab, typed, words):
    assert lab("-m", "seed=0,1", "hydra.sweep.dir=s", *SMALL).code == 0
    before = lab.tree()
    ended = lab("resume", "s", typed)
    assert ended.code == 2
    assert words in ended.err
    assert lab.tree() == before


# experiments that carry a sweep

CRITICAL = """# @package _global_
# Learning rates at shares of a number that the first run finds.
defaults:
  - override /dataset: iris
epochs: 2
sweep:
  first:
    seed: 5
  facts:
    optim.lr: {fact: parameters, times: [0.001, 0.002]}
  threshold: 0.5
"""


def test_values_come_from_a_fact_of_the_first_run(lab, made):
    lab.write("conf/experiment/critical.yaml", CRITICAL)
    ended = lab("experiment=critical", "figures=none", "hydra.sweep.dir=s")
    assert ended.code == 0, ended.err
    found = json.loads((lab.folder / "s" / "0" / "facts.json").read_text())["parameters"]
    table = read_table(lab.folder / "s").set_index("number")
    assert np.isnan(table["optim.lr"][0])
    assert list(table["optim.lr"].sort_index()[1:]) == [0.001 * found, 0.002 * found]
    assert load_run(lab.folder / "s" / "0").config["seed"] == 5
    assert load_sweep(lab.folder / "s").threshold == 0.5
    assert lab("resume", "s").code == 0
    assert made == [0, 1, 2]


def test_a_first_run_that_fails_leaves_the_others_for_later(lab, made):
    lab.write("my_models.py", MODELS)
    lab.write("conf/model/tiny.yaml", "# Own.\n_target_: my_models.Late\nwidth: 13  # hidden\n")
    lab.write("conf/experiment/critical.yaml", CRITICAL.replace("iris", "iris\n  - override /model: tiny"))
    ended = lab("experiment=critical", "figures=none", "hydra.sweep.dir=s")
    assert ended.code == 1
    assert made == [0]
    assert list(read_table(lab.folder / "s")["status"]) == ["failed", "missing", "missing"]
    lab.write("mended", "")
    assert lab("experiment=critical", "figures=none", "hydra.sweep.dir=s").code == 0
    assert made == [0, 0, 1, 2]


def test_an_experiment_that_sweeps_needs_no_flag_and_the_command_line_wins(lab):
    lab.write(
        "conf/experiment/rates.yaml",
        "# @package _global_\n# Three rates.\ndefaults:\n  - override /dataset: iris\nepochs: 2\n"
        "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      optim.lr: 0.001,0.01,0.1\n",
    )
    assert lab("experiment=rates", "figures=none", "hydra.sweep.dir=three").code == 0
    assert len(read_table(lab.folder / "three")) == 3
    assert lab("experiment=rates", "optim.lr=0.5,1", "-m", "figures=none", "hydra.sweep.dir=two").code == 0
    assert sorted(read_table(lab.folder / "two")["optim.lr"]) == [0.5, 1.0]
    assert lab("experiment=rates", "hydra.mode=RUN", "figures=none", "hydra.run.dir=one").code == 0
    assert load_run(lab.folder / "one").status == "done"


def test_a_first_run_that_diverges_is_said_to_leave_the_others_nothing(lab, made):
    lab.write("conf/experiment/critical.yaml", CRITICAL.replace("seed: 5", "{seed: 5, model: adaline, optim.lr: 1e30}"))
    for _ in range(2):
        ended = lab("experiment=critical", "figures=none", "hydra.sweep.dir=s")
        assert ended.code == 1
        assert "nothing to start from" in ended.err
    assert made == [0]


def test_a_first_run_that_is_equal_to_another_is_told_apart_from_it(lab, made):
    text = (
        CRITICAL[: CRITICAL.index("sweep:")] + "sweep:\n  first: {}\n  variants:\n    plain: {}\n    other: {seed: 1}\n"
    )
    lab.write("conf/experiment/same.yaml", text)
    assert lab("experiment=same", "figures=none", "hydra.sweep.dir=s").code == 0
    assert lab("experiment=same", "figures=none", "hydra.sweep.dir=s").code == 0
    assert made == [0, 1, 2]


# strangers


def test_a_copied_run_folder_is_not_taken_for_a_new_run(lab):
    typed = ("-m", "hydra.sweep.dir=s", *SMALL)
    assert lab(*typed, "seed=0,1").code == 0
    shutil.copytree(lab.folder / "s" / "0", lab.folder / "s" / "2")
    ended = lab(*typed, "seed=0,1,5")
    assert ended.code == 2
    assert "holds run" in ended.err


def test_the_list_of_a_sweep_cannot_lead_to_other_folders(lab, made):
    typed = ("-m", "seed=0,1", "hydra.sweep.dir=s", *SMALL)
    assert lab(*typed).code == 0
    path = lab.folder / "s" / "sweep.yaml"
    path.write_text(path.read_text().replace("number: 0", "number: 7").replace("number: 1", "number: 0"))
    assert lab(*typed).code == 0
    table = read_table(lab.folder / "s").set_index("number")["seed"]
    assert dict(table) == {0: 0, 1: 1}
    assert made == [0, 1]


def test_what_is_left_of_a_damaged_run_is_named_with_a_way_out_that_leads_out(lab):
    assert lab("-m", "seed=0,1", *SMALL, "hydra.sweep.dir=sweep").code == 0
    (lab.folder / "sweep" / "1" / "metrics.csv").unlink()
    before = (lab.folder / "sweep" / "0" / "metrics.csv").read_bytes()
    ended = lab("resume", "sweep")
    assert ended.code == 1
    assert "it has no metrics.csv\nmove that folder elsewhere, or delete it" in ended.err
    (lab.folder / "sweep" / "1").rename(lab.folder / "elsewhere")
    assert lab("resume", "sweep").code == 0
    assert (lab.folder / "sweep" / "0" / "metrics.csv").read_bytes() == before
    assert_same_run(lab.folder / "sweep" / "1", lab.train("alone", *SMALL, "seed=1"))


def test_a_resumed_sweep_from_a_stranger_executes_nothing_and_downloads_nothing(lab):
    lab.write("my_models.py", MODELS)
    lab.write("conf/model/tiny.yaml", "# Own.\n_target_: my_models.net\nwidth: 8  # hidden\n")
    lab.write("h/hubconf.py", "open('EXECUTED', 'w')\n")
    assert lab("-m", "seed=0,1", "hydra.sweep.dir=s", *SMALL).code == 0
    path = lab.folder / "s" / "sweep.yaml"
    said = yaml.safe_load(path.read_text())
    foreign = ["++model._target_=torch.hub.load", "++model.repo_or_dir=h", "++model.model=net", "++model.source=local"]
    for typed in (
        ["model=tiny", *foreign, "seed=0,1", "dataset=iris"],
        ["dataset=mnist", "dataset.root=x", "seed=0,1"],
    ):
        path.write_text(yaml.safe_dump(said | {"overrides": typed, "runs": []}))
        shutil.rmtree(lab.folder / "s" / "0", ignore_errors=True)
        shutil.rmtree(lab.folder / "s" / "1", ignore_errors=True)
        ended = lab("resume", "s")
        assert ended.code == 2, ended.err
        assert not (lab.folder / "EXECUTED").exists()
        assert not (lab.folder / "x").exists()
        assert not (lab.folder / "s" / "0").exists()


# plans


def test_a_plan_lists_what_would_be_made_and_writes_nothing(lab):
    assert lab("-m", "optim.lr=0.01,0.1", "hydra.sweep.dir=s", *SMALL).code == 0
    before = lab.tree()
    planned = lab("plan", "-m", "optim.lr=0.01,0.1,0.10,1", "hydra.sweep.dir=s", *SMALL)
    assert planned.code == 0, planned.err
    lines = planned.out.splitlines()
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["0", "0.01", "done"],
        ["1", "0.1", "done"],
        ["2", "1", "missing"],
    ]
    assert "optim.lr=0.1 is the same as run 1" in planned.out
    assert "1 runs to make (2 of 3 are there already)" in planned.out
    assert "of disk" in planned.out
    assert lab.tree() == before
    assert lab("plan", "dataset=iris").code == 0
    assert lab.tree() == before
