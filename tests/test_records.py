"""The run folder is whole or absent file by file, reads back to the bit, and belongs to one process at a time."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from labrunner import checkpoint, records
from labrunner.checkpoint import Position
from labrunner.errors import RequestError
from labrunner.files import WriteError, atomic_write, cell, read_csv, to_csv, to_json
from labrunner.records import (
    METRICS,
    TIMING,
    Behind,
    RunFolder,
    load_run,
    read_rows,
)

HOSTILE = [
    "NA",
    "",
    "1",
    "01",
    "-0.5",
    "true",
    "a,b",
    'say "hi"',
    "two\nlines",
    "two\r\nlines",
    "two\rlines",
    " blank ",
    "כלב",
    "nan",
]
AWKWARD = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, 1e16, 123456789.123456789, -0.0, 2.0, 1e-7]


def row(epoch: int, **changes) -> dict:
    return {**dict.fromkeys(METRICS), "epoch": epoch, "lr": 0.1, "train_loss": 1 / (3 * epoch), **changes}


def timing(epoch: int) -> dict:
    return {"epoch": epoch, "seconds": 1.5, "train_seconds": 1.0, "val_seconds": 0.5}


@pytest.fixture
def folder(tmp_path):
    made = RunFolder.create(tmp_path / "run")
    made.write("config.yaml", "select: best\nmonitor: val_loss\n")
    made.record_start({"parameters_trainable": 10.0})
    yield made
    made.close()


# atomic writes


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_content_and_nothing_beside_it(tmp_path, monkeypatch, broken):
    path = tmp_path / "file.txt"
    atomic_write(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(WriteError, match=r"cannot write .*file\.txt: No space left"):
        atomic_write(path, "new and longer")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


def test_a_write_that_is_interrupted_leaves_no_temporary(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "file.txt", "new")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_synced_before_it_gets_its_name_and_the_folder_afterwards(tmp_path, monkeypatch):
    calls = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor):
        is_folder = Path(f"/proc/self/fd/{descriptor}").is_dir()
        size = os.fstat(descriptor).st_size
        calls.append("fsync folder" if is_folder else f"fsync {size} bytes")
        real_fsync(descriptor)

    def replace(source, target):
        calls.append(f"replace {Path(target).name}")
        assert Path(source).parent == Path(target).parent, "a rename within one folder is atomic"
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    atomic_write(tmp_path / "file.bin", b"12345")
    assert calls == ["fsync 5 bytes", "replace file.bin", "fsync folder"]


def test_text_is_written_as_utf8_and_bytes_as_they_are(tmp_path):
    atomic_write(tmp_path / "text", "כלב\r\n")
    atomic_write(tmp_path / "bytes", b"\xff\x00")
    assert (tmp_path / "text").read_bytes() == "כלב\r\n".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\xff\x00"


def test_json_refuses_what_other_readers_could_not_read():
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"loss": math.nan})


# cells


@pytest.mark.parametrize("value", AWKWARD)
def test_a_float_reads_back_to_the_bit(value):
    assert np.float64(cell(value)).tobytes() == np.float64(value).tobytes()
    assert cell(np.float64(value)) == cell(value)


def test_the_undefined_is_blank():
    assert [cell(value) for value in (None, math.nan, math.inf, -math.inf, np.float32("nan"))] == [""] * 5


def test_cells_are_plain_python():
    values = (3, np.int64(3), np.uint8(3), True, np.True_, np.float32(0.5), "a", np.str_("a"))
    assert [cell(value) for value in values] == ["3", "3", "3", "True", "True", "0.5", "a", "a"]


def test_hostile_class_names_read_back_from_a_csv(tmp_path):
    atomic_write(tmp_path / "names.csv", to_csv(["corner", *HOSTILE], [[name, 1, 2.5] for name in HOSTILE]))
    header, rows = read_csv(tmp_path / "names.csv")
    assert header == ["corner", *HOSTILE]
    assert [line[0] for line in rows] == HOSTILE


# rows


def test_rows_read_back_as_numbers_to_the_bit(folder):
    written = [row(n, val_loss=value, val_auroc=None if n % 2 else value) for n, value in enumerate(AWKWARD, start=1)]
    for line in written:
        folder.record(line, timing(line["epoch"]), {"parameters_trainable": 10.0}, 5 * line["epoch"])
    folder.flush()
    assert repr(read_rows(folder.path / "metrics.csv")) == repr(written)
    assert read_rows(folder.path / "timing.csv")[2] == timing(3)
    header, lines = read_csv(folder.path / "probes" / "epochs.csv")
    assert header == ["epoch", "step", "parameters_trainable"]
    assert lines[:3] == [["0", "0", "10.0"], ["1", "5", "10.0"], ["2", "10", "10.0"]]


def test_pandas_reads_the_rows_to_the_bit(folder):
    rng = np.random.default_rng(0)
    values = [*AWKWARD, *(rng.normal(size=40) * 10.0 ** rng.integers(-20, 20, size=40))]
    for n, value in enumerate(values, start=1):
        folder.record(row(n, val_loss=value), timing(n), {"parameters_trainable": 10.0}, n)
    folder.flush()
    assert load_run(folder.path).rows["val_loss"].to_numpy().tobytes() == np.array(values, dtype=float).tobytes()


def cut_last_line(path: Path, keep: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\n", 0, len(content) - 1) + 1 + keep])


@pytest.mark.parametrize("keep", [1, 4, 8])
def test_a_line_that_a_crash_cut_is_no_row_and_is_cut_away(folder, keep):
    for epoch in (1, 2, 3):
        folder.record(row(epoch, val_loss=1.2345678901), timing(epoch), {"parameters_trainable": 10.0}, epoch)
    folder.flush()
    for name in ("metrics.csv", "timing.csv", "probes/epochs.csv"):
        cut_last_line(folder.path / name, keep)
        assert [line[0] for line in read_csv(folder.path / name)[1]][-1] == "2"
    assert len(read_rows(folder.path / "metrics.csv")) == len(load_run(folder.path).rows) == 2
    assert len(load_run(folder.path).timing) == 2
    folder.cut_back(3, 15)
    folder.record(row(3), timing(3), {"parameters_trainable": 10.0}, 3)
    folder.flush()
    assert read_rows(folder.path / "metrics.csv") == [*[row(n, val_loss=1.2345678901) for n in (1, 2)], row(3)]
    assert len(read_csv(folder.path / "probes" / "epochs.csv")[1]) == 4


def test_cutting_back_drops_later_epochs_everywhere_and_keeps_the_rest_to_the_byte(folder):
    for epoch in (1, 2):
        folder.record(row(epoch, val_loss=1 / 3), timing(epoch), {"parameters_trainable": 10.0}, epoch)
    folder.write_csv(
        "probes/gradients.csv", ["epoch", "step", "norm"], [[0, 0, 0.1], [1, 5, 1 / 3], [2, 9, 0.3], [3, 13, 2.0]]
    )
    folder.flush()
    names = ("metrics.csv", "timing.csv", "probes/epochs.csv")
    before = {name: (folder.path / name).read_bytes() for name in names}
    for epoch in (3, 4):
        folder.record(row(epoch), timing(epoch), {"parameters_trainable": 10.0}, epoch)
    folder.flush()
    folder.cut_back(2, 9)
    assert {name: (folder.path / name).read_bytes() for name in names} == before
    assert [line[0] for line in read_csv(folder.path / "probes" / "gradients.csv")[1]] == ["0", "1", "2"]
    folder.cut_back(0, 0)
    assert read_rows(folder.path / "metrics.csv") == []
    assert (folder.path / "metrics.csv").read_text() == ",".join(METRICS) + "\n"
    assert list((folder.path / "probes").iterdir()) == []


# what probes note


def noted(folder: RunFolder, name: str) -> list[list[str]]:
    return read_csv(folder.path / "probes" / f"{name}.csv")[1]


def epoch_of(folder: RunFolder, epoch: int, steps: int = 2) -> None:
    """An epoch of some batches, each of which is noted, as is its end; an array of it is kept."""
    for step in range((epoch - 1) * steps, epoch * steps):
        folder.note("steps", ["epoch", "step", "loss"], [[epoch, step + 1, 1 / (step + 1)]])
    folder.note("ends", ["epoch", "step", "norm"], [[epoch, epoch * steps, 0.1 * epoch]])
    folder.keep("path", epoch, np.full(3, epoch, dtype=np.float32))
    folder.record(row(epoch), timing(epoch), {"parameters_trainable": 10.0}, (epoch - 1) * steps)


def test_notes_are_written_with_the_row_of_their_epoch_and_read_back(folder):
    folder.note("ends", ["epoch", "step", "norm"], [[0, 0, 1 / 3]])
    assert not (folder.path / "probes" / "ends.csv").exists()
    epoch_of(folder, 1)
    epoch_of(folder, 2)
    assert folder.rows("ends") == [
        {"epoch": 0, "step": 0, "norm": 1 / 3},
        {"epoch": 1, "step": 2, "norm": 0.1},
        {"epoch": 2, "step": 4, "norm": 0.2},
    ]
    assert folder.rows("nothing") == []
    assert {epoch: values.tolist() for epoch, values in folder.kept("path").items()} == {1: [1.0] * 3, 2: [2.0] * 3}


def test_notes_tell_numbers_text_and_blanks_apart(folder):
    folder.table("mixed", ["epoch", "step", "name", "value"], [[0, 0, "head, weight", 1e-300], [0, 0, "-", None]])
    assert folder.rows("mixed") == [
        {"epoch": 0, "step": 0, "name": "head, weight", "value": 1e-300},
        {"epoch": 0, "step": 0, "name": "-", "value": None},
    ]


def test_a_layer_whose_name_reads_like_a_number_keeps_it(folder):
    folder.table("layers", ["epoch", "step", "layer", "parameter", "std"], [[0, 0, "0.10", "1_0", 0.1]])
    assert folder.rows("layers") == [{"epoch": 0, "step": 0, "layer": "0.10", "parameter": "1_0", "std": 0.1}]


def test_what_an_end_wrote_goes_when_the_run_goes_on_and_its_start_stays(folder):
    epoch_of(folder, 1)
    folder.table("kernels", ["epoch", "step", "value"], [[0, 0, 0.5], [1, 2, 0.7]])
    folder.table("embedding", ["epoch", "step", "value"], [[1, 2, 0.7]])
    folder.cut_back(1, 2)
    assert folder.rows("kernels") == [{"epoch": 0, "step": 0, "value": 0.5}]
    assert sorted(path.name for path in (folder.path / "probes").iterdir()) == [
        *("ends.csv", "epochs.csv", "kernels.csv", "path_00001.npy", "steps.csv"),
    ]


def test_a_file_of_notes_keeps_its_columns(folder):
    folder.note("ends", ["epoch", "step", "norm"], [])
    with pytest.raises(ValueError, match="columns"):
        folder.note("ends", ["epoch", "step", "loss"], [])


def test_a_checkpoint_in_the_middle_of_an_epoch_keeps_what_was_noted_up_to_it_and_no_more(folder):
    epoch_of(folder, 1)
    folder.note("steps", ["epoch", "step", "loss"], [[2, 3, 0.5]])
    folder.save({"weights/w": np.zeros(1)}, Position(1, 1, {"n": 1, "loss": 0.5}), [1])
    folder.flush()
    before = {path.name: path.read_bytes() for path in (folder.path / "probes").iterdir()}
    folder.note("steps", ["epoch", "step", "loss"], [[2, 4, 0.4]])
    folder.note("ends", ["epoch", "step", "norm"], [[2, 4, 0.2]])
    folder.keep("path", 2, np.zeros(3))
    folder.record(row(2), timing(2), {"parameters_trainable": 10.0}, 2)
    folder.flush()
    folder.note("steps", ["epoch", "step", "loss"], [[3, 5, 0.3]])  # and this was never written
    folder.cut_back(1, 3)
    assert {path.name: path.read_bytes() for path in (folder.path / "probes").iterdir()} == before
    assert [line[1] for line in noted(folder, "steps")] == ["1", "2", "3"]


def test_cutting_back_removes_the_arrays_of_later_epochs(folder):
    for epoch in (1, 2, 3):
        epoch_of(folder, epoch)
    folder.flush()
    folder.cut_back(2, 4)
    assert list(folder.kept("path")) == [1, 2]


# commits


def test_a_commit_is_a_row_and_a_checkpoint_and_older_checkpoints_go(folder):
    for epoch, keep in ((1, {1}), (2, {1, 2}), (3, {2, 3})):
        state = {"weights/w": np.full(3, float(epoch))}
        folder.commit(row(epoch), timing(epoch), {"parameters_trainable": 10.0}, epoch, state, Position(epoch), keep)
    folder.flush()
    listed = checkpoint.listed(folder.path / "checkpoints")
    assert [epoch for epoch, *_ in listed] == [2, 3]
    assert checkpoint.read(listed[-1][2])[0]["weights/w"].tolist() == [3.0] * 3
    folder.save({"weights/w": np.zeros(3)}, Position(3, 4), {2, 3})
    folder.flush()
    assert [entry[:2] for entry in checkpoint.listed(folder.path / "checkpoints")] == [(2, 0), (3, 0), (3, 4)]


def test_a_row_is_on_disk_before_its_checkpoint_has_a_name(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(
        checkpoint, "encode", lambda *_: seen.append(len(read_rows(folder.path / "metrics.csv"))) or b""
    )
    folder.commit(row(1), timing(1), {"parameters_trainable": 10.0}, 1, {}, Position(1), {1})
    folder.flush()
    assert seen == [1]


def test_a_commit_that_fails_says_so_at_the_next_call(folder, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.folder, "atomic_write", fail)
    folder.commit(row(1), timing(1), {"parameters_trainable": 10.0}, 1, {}, Position(1), {1})
    with pytest.raises(OSError, match="No space left"):
        folder.record(row(2), timing(2), {"parameters_trainable": 10.0}, 2)
    monkeypatch.undo()
    assert len(read_rows(folder.path / "metrics.csv")) == 1
    folder.flush()


@pytest.mark.parametrize("call", ["submit", "wait", "close"])
def test_an_error_behind_surfaces_once_at_the_next_call(call):
    behind = Behind()
    behind.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        behind.submit(print) if call == "submit" else getattr(behind, call)()
    behind.wait()
    behind.close()


def test_work_behind_is_done_in_order_and_one_at_a_time():
    behind, done, running = Behind(), [], threading.Lock()

    def work(n: int) -> None:
        assert running.acquire(blocking=False)
        done.append(n)
        running.release()

    for n in range(50):
        behind.submit(work, n)
    behind.close()
    assert done == list(range(50))


# the lock


def test_a_folder_belongs_to_one_process_and_the_refusal_names_it(folder):
    folder.status("running")
    code = (
        "import sys; from pathlib import Path; from labrunner.records import RunFolder, load_run\n"
        "print(load_run(sys.argv[1]).status)\n"
        "RunFolder.reopen(Path(sys.argv[1]))"
    )
    other = subprocess.run([sys.executable, "-c", code, str(folder.path)], capture_output=True, text=True, check=False)
    assert other.stdout.strip() == "running"
    assert f"RequestError: the run in {folder.path} is being worked on by process {os.getpid()}" in other.stderr
    with pytest.raises(RequestError, match=f"process {os.getpid()} on "):
        RunFolder.reopen(folder.path)
    assert folder.path.joinpath("metrics.csv").is_file()


def test_a_closed_folder_can_be_taken_again(folder):
    folder.close()
    folder.close()
    again = RunFolder.reopen(folder.path)
    again.close()


def test_a_folder_is_free_again_when_its_process_was_killed(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from labrunner.records import RunFolder\n"
        "folder = RunFolder.create(Path(sys.argv[1])); folder.write('config.yaml', 'seed: 0')\n"
        "folder.status('running')\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=False)
    assert load_run(tmp_path / "run").status == "interrupted"
    RunFolder.reopen(tmp_path / "run").close()


def test_running_without_a_lock_reads_as_interrupted(folder):
    folder.status("running")
    assert load_run(folder.path).status == "running"
    folder.close()
    assert load_run(folder.path).status == "interrupted"
    for status in ("done", "diverged", "failed", "interrupted"):
        again = RunFolder.reopen(folder.path)
        again.status(status, "why")
        again.close()
        assert (load_run(folder.path).status, load_run(folder.path).error) == (status, "why")


# new folders


def test_a_used_run_folder_is_refused_with_resume_named(folder):
    before = sorted(path.name for path in folder.path.iterdir())
    with pytest.raises(RequestError, match=f"labrunner resume {folder.path}"):
        RunFolder.create(folder.path)
    assert sorted(path.name for path in folder.path.iterdir()) == before


def test_a_folder_of_other_things_and_a_file_are_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RequestError, match="is not empty"):
        RunFolder.create(tmp_path)
    with pytest.raises(RequestError, match="is a file"):
        RunFolder.create(tmp_path / "thesis.tex")
    with pytest.raises(RequestError, match="cannot be made"):
        RunFolder.create(tmp_path / "thesis.tex" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_is_taken(tmp_path):
    RunFolder.create(tmp_path).close()
    assert {path.name for path in tmp_path.iterdir()} >= {
        "metrics.csv",
        "timing.csv",
        "checkpoints",
        "probes",
        "figures",
    }
    assert read_csv(tmp_path / "timing.csv") == (list(TIMING), [])


# reading


@pytest.mark.parametrize("files", [None, [], ["config.yaml"], ["metrics.csv"]])
def test_what_is_no_run_folder_is_refused(tmp_path, files):
    path = tmp_path / "run"
    if files is not None:
        path.mkdir()
        for name in files:
            (path / name).touch()
    with pytest.raises(RequestError, match="no run folder"):
        load_run(path)
    with pytest.raises(RequestError, match="no run folder"):
        load_run(__file__)


def test_a_folder_of_another_format_is_refused(folder):
    folder.write_json("environment.json", {"format": 2})
    with pytest.raises(RequestError, match=r"format 2.*reads 1"):
        load_run(folder.path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "3", '"text"'])
def test_damaged_json_reads_as_absent(folder, content):
    for name in ("environment.json", "status.json", "facts.json", "test.json"):
        folder.write(name, content)
    run = load_run(folder.path)
    assert run.status == "interrupted"
    assert run.error is None
    assert run.environment == {}
    assert run.facts == {}
    assert run.test is None


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1", "", "\tx: 1"])
def test_a_config_that_cannot_be_read_is_refused_by_its_path(folder, content):
    folder.write("config.yaml", content)
    with pytest.raises(RequestError, match=r"config\.yaml"):
        _ = load_run(folder.path).config


def test_a_run_that_did_not_get_far_has_nothing_to_tell(folder):
    run = load_run(str(folder.path))
    assert run.rows.empty
    assert list(run.rows.columns) == list(METRICS)
    assert run.chosen is None
    assert run.epochs == 0
    for name in ("test", "per_class", "confusion", "predictions", "checks", "summary", "class_names"):
        assert getattr(run, name) is None, name
    assert run.facts == {}
    assert run.overrides == {}


def test_class_names_stay_text_and_undefined_numbers_are_missing(folder):
    names = [name for name in HOSTILE if name]
    columns = ["class", "support", "precision", "recall", "f1", "auroc"]
    folder.write_csv("per_class.csv", columns, [[name, n, 0.0, math.nan, 1 / 3, None] for n, name in enumerate(names)])
    folder.write_csv("confusion.csv", ["true \\ predicted", *names], [[name, *range(len(names))] for name in names])
    run = load_run(folder.path)
    assert run.per_class["class"].tolist() == names
    assert run.per_class["support"].tolist() == list(range(len(names)))
    assert run.per_class["precision"].tolist() == [0.0] * len(names)
    assert run.per_class["recall"].isna().all()
    assert run.per_class["auroc"].isna().all()
    assert run.per_class["f1"].tolist() == [1 / 3] * len(names)
    assert run.class_names == names
    assert run.confusion.index.tolist() == names
    assert run.confusion.to_numpy().tolist() == [list(range(len(names)))] * len(names)


@pytest.mark.parametrize("names", [["0", "1"], ["1.0", "1.00"], ["NA", "null"], ["True", "False"]])
def test_classes_that_look_like_numbers_or_blanks_keep_their_names(folder, names):
    folder.write_csv(
        "per_class.csv",
        ["class", "support", "precision", "recall", "f1", "auroc"],
        [[n, 1, 1.0, 1.0, 1.0, 1.0] for n in names],
    )
    folder.write_csv("confusion.csv", ["true \\ predicted", *names], [[name, 1, 2] for name in names])
    run = load_run(folder.path)
    assert run.per_class["class"].tolist() == run.class_names == run.confusion.index.tolist() == names


def test_predictions_read_back_to_the_bit(folder):
    p = np.random.default_rng(0).dirichlet([1e-3, 1.0, 1.0], size=50)
    folder.write_csv(
        "predictions.csv",
        ["index", "label", "predicted", "p_NA", "p_1", "p_b"],
        [[i, 0, 1, *line] for i, line in enumerate(p.tolist())],
    )
    table = load_run(folder.path).predictions
    assert table[["p_NA", "p_1", "p_b"]].to_numpy().tobytes() == p.tobytes()
    assert table["index"].tolist() == list(range(50))


@pytest.mark.parametrize(
    ("select", "monitor", "best"),
    [("best", "val_loss", 2), ("best", "val_f1", 3), ("last", "val_loss", 4), ("best", "val_auroc", 4)],
)
def test_the_best_epoch_is_the_one_that_would_be_tested(folder, select, monitor, best):
    folder.write("config.yaml", f"select: {select}\nmonitor: {monitor}\n")
    for epoch, (loss, f1) in enumerate([(3.0, 0.1), (1.0, None), (1.0, 0.9), (2.0, 0.9)], start=1):
        folder.record(row(epoch, val_loss=loss, val_f1=f1), timing(epoch), {"parameters_trainable": 10.0}, epoch)
    folder.flush()
    assert load_run(folder.path).chosen.epoch == best


def test_what_was_typed_and_what_it_chose_reads_back(folder):
    folder.write("overrides.yaml", "overrides: [optim.lr=0.1]\nchoices: {model: mlp}\n")
    folder.write_json("facts.json", {"steps": 10})
    folder.write("summary.txt", "table\n")
    run = load_run(folder.path)
    assert run.overrides == {"overrides": ["optim.lr=0.1"], "choices": {"model": "mlp"}}
    assert run.facts == {"steps": 10}
    assert run.summary == "table\n"


def test_a_failure_leaves_its_traceback_in_the_log(folder):
    try:
        json.loads("{")
    except ValueError as error:
        folder.report_error(error)
    text = (folder.path / "log.txt").read_text()
    assert "Traceback" in text
    assert "JSONDecodeError" in text
