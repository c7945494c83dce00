"""``labrunner ls``: what lies in outputs/, a line each, the newest last."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest

from labrunner.records import METRICS, RunFolder, load_run
from labrunner.verbs import tables
from tests.cli.lab import Lab, ended
from tests.cli.terminal import on_a_terminal
from tests.folders import write_run
from tests.sweeps import write_sweep

OUTPUTS = "outputs/runs"


def lines_of(lab: Lab, *words: str) -> list[list[str]]:
    """The cells of each line below the header."""
    ended = lab("ls", *words)
    assert (ended.code, ended.err) == (0, "")
    return [re.split(r"  +", line.strip()) for line in ended.out.splitlines()[1:]]


def test_a_run_is_told_in_a_line(lab: Lab):
    path = write_run(lab.folder / OUTPUTS / "2026-03-04_05-06-07_abcd", epochs=20, settings={"epochs": 30})
    run = load_run(path)
    best = run.rows.loc[run.rows["val_loss"].idxmin()]
    (cells,) = lines_of(lab)
    assert cells == [
        "outputs/runs/2026-03-04_05-06-07_abcd",
        "done",
        "2026-03-04 05:06",
        "20/30",
        f"{best['epoch']:.0f}",
        f"loss {best['val_loss']:.4f}",
        f"{run.test['accuracy']:.4f}",
        "mlp on digits",
    ]


def test_the_newest_is_last_whatever_it_is(lab: Lab):
    names = ["runs/2026-01-03_00-00-00_aaaa", "sweeps/2026-01-02_00-00-00_bbbb", "runs/2026-01-01_00-00-00_cccc"]
    write_run(lab.folder / "outputs" / names[0], epochs=2)
    write_sweep(lab.folder / "outputs" / names[1], [{"seed": 0}, {"seed": 1}], epochs=2)
    write_run(lab.folder / "outputs" / names[2], epochs=2)
    mine = write_run(lab.folder / "outputs/mine/lab1/run", epochs=2)  # no date in its name
    os.utime(mine, (0, 1e9))
    assert [cells[0] for cells in lines_of(lab)] == [
        "outputs/mine/lab1/run",
        *(f"outputs/{n}" for n in reversed(names)),
    ]


def test_a_sweep_is_told_with_its_keys_counts_and_best_run(lab: Lab):
    values = [{"optim.lr": lr, "seed": seed} for lr in (0.001, 0.01, 1e-05) for seed in (0, 1)]
    statuses = {1: "failed", 5: "missing", 2: "diverged"}
    write_sweep(lab.folder / "outputs/sweeps/s", values, epochs=5, statuses=statuses)
    lab("compare", "outputs/sweeps/s", "hydra.run.dir=seen")
    best = pd.read_csv("seen/comparison.csv").iloc[0]
    (cells,) = lines_of(lab)
    said = f"best optim.lr={best['optim.lr']} seed={best['seed']}"
    assert cells[:2] == ["outputs/sweeps/s", "3 done, 1 diverged, 1 failed, 1 missing"]
    assert cells[-1] == f"sweep of optim.lr (3) x seed (2); {said}"
    assert f"loss {best['val_loss']:.4f}" in cells
    (cells,) = lines_of(lab, "seen")
    assert cells[-1].startswith("comparison of optim.lr (3) x seed (2); best")


def test_of_a_sweep_over_seeds_the_setting_with_the_best_mean_is_told_and_not_the_luckiest_run(lab: Lab):
    values = [{"optim.lr": lr, "seed": seed} for lr in (0.001, 0.01) for seed in (0, 1)]
    losses = [0.10, 0.90, 0.30, 0.32]
    rows = {n: [dict.fromkeys(METRICS, 0.5) | {"epoch": 1, "val_loss": x}] for n, x in enumerate(losses)}
    write_sweep(lab.folder / "outputs/sweeps/s", values, rows=rows, samples=20)
    (cells,) = lines_of(lab)
    assert cells[-1] == "sweep of optim.lr (2) x seed (2); best optim.lr=0.01 (mean of 2 seeds)"
    assert "loss 0.3100" in cells
    tests = [json.loads((lab.folder / f"outputs/sweeps/s/{n}/test.json").read_text())["accuracy"] for n in (2, 3)]
    assert f"{sum(tests) / 2:.4f}" in cells


def test_a_sweep_of_one_run_is_told_as_one(lab: Lab):
    write_sweep(lab.folder / "outputs/sweeps/s", [{}], epochs=2, samples=20)
    assert lines_of(lab)[0][-1] == "sweep of 1 run"


def test_of_a_sweep_that_is_named_the_runs_come_before_it_by_number(lab: Lab):
    write_sweep(lab.folder / "s", [{"seed": seed} for seed in range(11)], epochs=2)
    assert [cells[0] for cells in lines_of(lab, "s")] == [*(f"s/{number}" for number in range(11)), "s"]


@pytest.mark.parametrize("status", ["done", "diverged", "failed", "interrupted"])
def test_the_status_is_the_runs(lab: Lab, status):
    write_run(lab.folder / OUTPUTS / "a", epochs=2, status=status)
    assert lines_of(lab)[0][1] == status


def test_a_run_is_running_while_its_lock_is_held(lab: Lab):
    write_run(lab.folder / OUTPUTS / "a", epochs=2, status="running")
    assert lines_of(lab)[0][1] == "interrupted"
    with RunFolder.reopen(lab.folder / OUTPUTS / "a"):
        assert lines_of(lab)[0][1] == "running"


@pytest.mark.parametrize("name", ["config.yaml", "metrics.csv", "status.json", "environment.json", "overrides.yaml"])
@pytest.mark.parametrize(
    "content",
    [None, b"", b"\xff\xfe", b"[" * 5000, b"{}\n", b"5\n"],
    ids=["gone", "empty", "bytes", "depth", "mapping", "number"],
)
def test_a_damaged_run_has_its_line(lab: Lab, name, content):
    write_run(lab.folder / OUTPUTS / "whole", epochs=2)
    path = write_run(lab.folder / OUTPUTS / "hurt", epochs=2) / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert sorted(cells[0] for cells in lines_of(lab)) == ["outputs/runs/hurt", "outputs/runs/whole"]


def test_damage_is_named(lab: Lab):
    path = write_run(lab.folder / OUTPUTS / "hurt", epochs=2)
    (path / "config.yaml").write_text("a: [1")
    (cells,) = lines_of(lab)
    assert cells[1] == "damaged"
    assert cells[-1].startswith("cannot read config.yaml")


def test_a_damaged_sweep_has_its_line(lab: Lab):
    lab.write("outputs/sweeps/s/sweep.yaml", "format: 1\n")
    assert lines_of(lab)[0][::4] == ["outputs/sweeps/s", "-"]
    assert lines_of(lab)[0][1] == "damaged"


def test_a_run_that_was_killed_at_once_has_its_line(lab: Lab):
    with RunFolder.create(lab.folder / OUTPUTS / "a") as folder:
        folder.write("environment.json", "{}")
    (cells,) = lines_of(lab)
    assert (cells[1], cells[-1]) == ("interrupted", "ended before it began")


def test_what_is_no_run_is_not_listed(lab: Lab):
    write_run(lab.folder / OUTPUTS / "a", epochs=2)
    lab.write("conf/config.yaml", "seed: 1\n")
    lab.write("outputs/notes.txt", "mine")
    (lab.folder / "outputs/empty").mkdir()
    (lab.folder / "outputs/link").symlink_to(lab.folder / "outputs")
    assert [cells[0] for cells in lines_of(lab, ".")] == ["outputs/runs/a"]


@pytest.mark.parametrize("made", [False, True], ids=["no outputs", "empty outputs"])
def test_where_there_is_nothing_it_says_how_to_begin(lab: Lab, made):
    if made:
        (lab.folder / "outputs").mkdir()
    ended = lab("ls")
    assert ended.code == 0
    assert ended.out == "no runs in outputs yet; to begin: labrunner, or labrunner model=cnn optim.lr=0.01\n"


def test_it_writes_nothing(lab: Lab):
    write_run(lab.folder / OUTPUTS / "a", epochs=2, status="running")
    write_sweep(lab.folder / "outputs/sweeps/s", [{"seed": 0}], epochs=2)
    (lab.folder / OUTPUTS / "a/.lock").unlink()
    before = lab.tree()
    assert lab("ls", "outputs", "outputs/sweeps/s").code == 0
    assert lab.tree() == before


@pytest.mark.parametrize(
    ("typed", "said"),
    [("there", "no folder there"), ("seed=1", "seed=1"), ("a/config.yaml", "no folder a/config.yaml")],
)
def test_a_wrong_request_is_refused(lab: Lab, typed, said):
    write_run(lab.folder / "a", epochs=2)
    ended = lab("ls", typed)
    assert ended.code == 2
    assert said in ended.err


def test_names_do_not_steer_the_terminal_and_can_be_pasted(lab: Lab):
    write_run(lab.folder / OUTPUTS / "my run", epochs=2, settings={"model": {"name": "\x1b[31m"}})
    (lab.folder / OUTPUTS / "my run/overrides.yaml").unlink()
    write_run(lab.folder / OUTPUTS / "\x1b[31mred\nline", epochs=2)
    ended = lab("ls")
    assert "'outputs/runs/my run'" in ended.out
    assert "\x1b" not in ended.out
    assert len(ended.out.splitlines()) == 3


def test_listing_waits_for_nothing_heavy(lab: Lab):
    write_run(lab.folder / OUTPUTS / "a", epochs=2)
    write_sweep(lab.folder / "outputs/sweeps/s", [{"seed": 0}], epochs=2)
    code = (
        "import sys; from labrunner.cli import main; assert main(['ls']) == 0\n"
        "print([name for name in ('torch', 'hydra', 'omegaconf', 'pandas', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# tables


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "terminal_width", lambda: 60)


def test_numbers_stand_to_the_right_and_words_to_the_left():
    lines = tables.aligned(["name", "n", "seconds"], [["a", "1", "2.5"], ["long one", "10", "-"]])
    assert lines == ["name       n  seconds", "a          1      2.5", "long one  10        -"]


def test_wide_characters_take_two_columns():
    lines = tables.aligned(["a", "b"], [["狗", "x"], ["abc", "y"]])
    assert lines == ["a    b", "狗   x", "abc  y"]


def test_lines_are_cut_to_a_terminal(narrow):
    (_, line) = tables.aligned(["a"], [["x" * 99]])
    assert line == "x" * 59 + "…"


def test_lines_are_whole_in_a_pipe():
    (_, line) = tables.aligned(["a"], [["x" * 999]])
    assert line == "x" * 999


def test_a_narrow_terminal_loses_columns_before_it_loses_ends(narrow):
    header = ["number", "val_loss", "val_accuracy", "val_f1", "val_auroc", "test_accuracy", "folder"]
    kept, (row,), gone = tables.fitting(header, [["0", "0.1", "0.2", "0.3", "0.4", "0.5", "runs/a"]])
    assert "val_auroc" in gone
    assert set(gone) <= set(tables.FIRST_TO_GO)
    assert "folder" in kept
    assert len(row) == len(kept) == len(header) - len(gone)
    assert sum(map(len, kept)) + 2 * (len(kept) - 1) <= 60


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0.0000"), (0.97221, "0.9722"), (3e-06, "3.0e-06"), (-0.5, "-0.5000"), (2.5e30, "2.5e+30")],
)
def test_metrics_have_four_decimals_where_those_say_something(value, text):
    assert tables.metric_text(value) == text


def test_a_sweeps_table_marks_the_best_run_and_names_its_folder(lab: Lab, capsys):
    values = [{"optim.lr": lr, "model.hidden": [64, 64], "seed": seed} for lr in (0.001, 1e-05) for seed in (0, 1)]
    sweep = write_sweep(lab.folder / "s", values, epochs=3, statuses={3: "diverged"})
    tables.print_sweep(sweep)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:5] == ["number", "status", "optim.lr", "model.hidden", "seed"]
    assert [line.startswith("*") for line in lines[1:5]] == [True, False, False, False]
    assert "[64,64]" in lines[1]
    assert "1e-05" in lines[4]
    assert lines[4].split()[-2:-1] == ["-"]
    assert next(line for line in lines if "±" in line).startswith("over seeds")
    assert str(lab.folder / "s" / lines[1].split()[1]) in [line.strip() for line in lines]


@pytest.mark.parametrize(
    "statuses", [{0: "missing"}, {0: "failed"}, {0: "diverged"}], ids=["missing", "failed", "diverged"]
)
def test_where_no_run_is_done_none_is_best(lab: Lab, capsys, statuses):
    tables.print_sweep(write_sweep(lab.folder / "s", [{"seed": 0}], epochs=3, statuses=statuses))
    out = capsys.readouterr().out
    assert "best:" not in out
    assert "*" not in out


# what is no file of ours, and what is much


ODD = ["config.yaml", "overrides.yaml", "environment.json", "status.json", "test.json", "metrics.csv", "timing.csv"]


def test_pipes_devices_and_huge_files_keep_it_from_nothing(lab: Lab, fresh):
    for name in ODD:
        for kind in ("pipe", "endless", "huge", "folder"):
            path = write_run(lab.folder / "outputs" / kind / name, epochs=1, samples=10, classes="ab") / name
            path.unlink()
            if kind == "pipe":
                os.mkfifo(path)
            elif kind == "endless":
                path.symlink_to("/dev/zero")
            elif kind == "huge":
                path.touch()
                os.truncate(path, 10**11)  # a hole, which takes no room
            else:
                path.mkdir()
    sweep = write_sweep(lab.folder / "outputs/sweeps/s", [{"seed": seed} for seed in range(3)], epochs=2)
    for member, name in zip(sweep.members, ("status.json", "timing.csv", "test.json"), strict=True):
        (member.path / name).unlink()
        os.mkfifo(member.path / name)
    for name in ("pipe", "huge"):
        (lab.folder / f"outputs/{name}sweep").mkdir()
    os.mkfifo(lab.folder / "outputs/pipesweep/sweep.yaml")
    (lab.folder / "outputs/hugesweep/sweep.yaml").touch()
    os.truncate(lab.folder / "outputs/hugesweep/sweep.yaml", 10**11)
    code, out, err = ended(fresh("ls", cwd=lab.folder))  # a process, since one that hangs must not hang this one
    assert (code, err) == (0, "")
    cells = {line.split()[0]: re.split(r"  +", line) for line in out.splitlines()[1:]}
    for name in ODD:
        for kind in ("pipe", "endless", "huge", "folder"):
            line = cells[f"outputs/{kind}/{name}"]
            assert line[1] == "damaged"
            assert line[-1].startswith(f"{name} is {'too large' if kind == 'huge' else 'no ordinary file'}")
    assert cells["outputs/sweeps/s"][1] == "2 done, 1 interrupted"
    assert cells["outputs/hugesweep"][1] == "damaged"


def test_the_list_of_many_runs_is_whole_and_in_the_order_of_time(lab: Lab):
    first = write_run(lab.folder / OUTPUTS / "2026-01-01_00-00-00_0000", epochs=1, samples=10, classes="ab")
    files = ["config.yaml", "overrides.yaml", "metrics.csv", "status.json", "test.json"]
    content = {name: (first / name).read_bytes() for name in files}
    stamps = [f"2026-01-{day:02d}_{hour:02d}-00-00_0000" for day in range(1, 26) for hour in range(8)]
    for stamp in sorted(stamps, key=lambda stamp: stamp[::-1]):
        (lab.folder / OUTPUTS / stamp).mkdir(exist_ok=True)
        for name in files:
            (lab.folder / OUTPUTS / stamp / name).write_bytes(content[name])
    assert [cells[0] for cells in lines_of(lab)] == [f"{OUTPUTS}/{stamp}" for stamp in sorted(stamps)]


@pytest.mark.parametrize("damage", ["epochs: [1]", "epochs: {a: b}", "model: [x]", "dataset: 3", "monitor: [val_loss]"])
def test_a_config_that_says_what_cannot_be_has_its_line(lab: Lab, damage):
    path = write_run(lab.folder / OUTPUTS / "a", epochs=2)
    (path / "config.yaml").write_text(damage)
    (path / "overrides.yaml").unlink()
    (cells,) = lines_of(lab)
    assert (cells[0], cells[3], len(cells)) == (f"{OUTPUTS}/a", "2/?", 8)


def test_a_name_without_end_is_cut(lab: Lab):
    write_run(lab.folder / OUTPUTS / "a", epochs=2, settings={"model": {"name": "x" * 9999}})
    path = lab.folder / OUTPUTS / "a/overrides.yaml"
    path.write_text("choices: {}")
    (cells,) = lines_of(lab)
    assert cells[-1] == f"{'x' * 59}… on digits"


def test_a_narrow_terminal_keeps_folder_status_and_test(lab: Lab):
    write_run(lab.folder / OUTPUTS / "2026-03-04_05-06-07_abcd", epochs=2)
    statuses = {1: "failed", 2: "diverged", 3: "missing"}
    write_sweep(lab.folder / "outputs/sweeps/s", [{"seed": seed} for seed in range(6)], epochs=2, statuses=statuses)
    code, seen = on_a_terminal("ls", cwd=lab.folder, columns=80)
    lines = seen.replace("\r", "").splitlines()
    assert (code, len(lines)) == (0, 3)
    assert max(map(tables.width, lines)) <= 80
    assert re.split(r"  +", lines[0]) == ["folder", "status", "test accuracy", "what"]
    assert lines[2].startswith("outputs/sweeps/s") != lines[1].startswith("outputs/sweeps/s")
    assert any("2 done, 1 d…" in line or "3 done, 1 d…" in line for line in lines)


def test_listing_nothing_waits_for_nothing_heavy(lab: Lab):
    code = (
        "import sys; from labrunner.cli import main; assert main(['ls']) == 0\n"
        "print([name for name in ('torch', 'hydra', 'pandas', 'matplotlib', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
