"""The table that a sweep ends with: its numbers, its width, and where the rest is."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd
import pytest

from labrunner import comparison
from labrunner.records import METRICS, Sweep, load_sweep
from labrunner.verbs import tables
from labrunner.verdict import judge
from tests.sweeps import write_sweep

VALUES = [{"optim.lr": lr, "seed": seed} for lr in (0.001, 0.01, 0.1) for seed in range(8)]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return write_sweep(tmp_path_factory.mktemp("table") / "s", VALUES, epochs=3, statuses={5: "diverged"})


def printed(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    tables.print_sweep(sweep)
    return capsys.readouterr().out.splitlines()


def in_columns(width: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "terminal_width", lambda: width)


def test_of_many_pairs_a_few_are_told_and_how_many_others_there_are(tmp_path, capsys):
    values = [{"optim.lr": lr, "seed": seed} for lr in (0.001, 0.003, 0.01, 0.03, 0.1) for seed in (0, 1, 2)]
    made = write_sweep(tmp_path / "s", values, epochs=2, samples=40, classes=("a", "b"))
    lines = printed(made, capsys)
    begin = next(at for at, line in enumerate(lines) if line.startswith("verdict: test_accuracy, "))
    end = lines.index("", begin)
    judgement = judge(made)
    assert "Holm's correction over 10 pairs" in lines[begin]
    assert all(judgement.best in line for line in lines[begin + 1 : begin + 5])  # the best by validation first
    rest = sum(pair.decided for pair in judgement.pairs[4:]) or "none"
    assert lines[begin + 5 : end] == [
        f"  and 6 more pairs, {rest} decided: verdict.csv",
        "  intervals are of training again with another seed on the same splits, not of other data",
    ]


def test_a_verdict_is_wrapped_where_a_terminal_is_narrow(sweep, capsys, monkeypatch):
    in_columns(60, monkeypatch)
    lines = printed(sweep, capsys)
    begin = next(at for at, line in enumerate(lines) if line.startswith("verdict: "))
    assert max(map(len, lines[begin : lines.index("", begin)])) <= 60


def test_every_run_of_a_sweep_has_a_line_with_the_numbers_of_its_files(sweep, capsys):
    lines = printed(sweep, capsys)
    found = [dict(zip(lines[0].split(), line.lstrip("*").split(), strict=True)) for line in lines[1:25]]
    assert [int(row["number"]) for row in found] == [row["number"] for row in comparison.table(sweep)]
    for row in found:
        metrics = pd.read_csv(sweep.path / row["number"] / "metrics.csv")
        best = metrics.loc[metrics["val_loss"].idxmin()]
        assert row["best_epoch"] == f"{best['epoch']:.0f}"
        for name in comparison.VAL:
            assert row[name] == tables.metric_text(best[name])
        assert re.fullmatch(r"\d+\.\d", row["seconds"])


def test_the_folder_of_the_sweep_stands_below_that_of_the_best_run(sweep, capsys):
    best = comparison.table(sweep)[0]["number"]
    assert printed(sweep, capsys)[-3:] == [f"  {sweep.path / str(best)}", "all: sweep.csv", f"  {sweep.path}"]


def test_figures_are_named_once_they_are_drawn(tmp_path, capsys):
    drawn = write_sweep(tmp_path / "s", VALUES[:2], epochs=2)
    (drawn.path / "figures/validation.png").write_bytes(b"")
    assert printed(drawn, capsys)[-2:] == ["all: sweep.csv and figures", f"  {drawn.path}"]


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "val_f1", "val_auroc"])
def test_in_eighty_columns_the_important_ones_stay_whole(tmp_path, capsys, monkeypatch, monitor):
    values = [each | {"optim.momentum": 0.9} for each in VALUES[:3]]
    narrow = write_sweep(tmp_path / "s", values, epochs=2, monitor=monitor)
    in_columns(80, monkeypatch)
    lines = printed(narrow, capsys)
    header = lines[0].split()
    assert header[:6] == ["number", "status", "lr", "seed", "momentum", "epoch"]
    short = {"val_accuracy": "val_acc"}
    assert {short.get(monitor, monitor), "val_acc", "test_acc"} <= set(header)
    said = lines[4].partition(": ")
    assert said[0] == "sweep.csv has more"
    assert len(header) + len(said[2].split(", ")) == len(comparison.columns(narrow))
    assert max(map(tables.width, lines[:5])) <= 80
    assert "…" not in "".join(lines[:4])


@pytest.mark.parametrize("width", [None, 200])
def test_with_room_all_columns_stand_under_their_names(sweep, capsys, monkeypatch, width):
    in_columns(width, monkeypatch)
    lines = printed(sweep, capsys)
    assert lines[0].split() == comparison.columns(sweep)
    assert "has more" not in "".join(lines)


def test_keys_that_end_alike_keep_their_names():
    assert tables.shortened(["a.lr", "b.lr", "model.hidden", "val_accuracy"]) == ["a.lr", "b.lr", "hidden", "val_acc"]


def test_a_folder_is_the_last_column_to_go(monkeypatch):
    header, row = ["number", "val_accuracy", "seconds", "folder"], ["0", "0.5", "1.0", "outputs/runs/a"]
    in_columns(40, monkeypatch)
    assert tables.fitting(header, [row])[0] == ["number", "val_accuracy", "folder"]
    in_columns(35, monkeypatch)
    assert tables.fitting(header, [row])[0] == ["number", "val_acc", "folder"]
    in_columns(25, monkeypatch)
    assert tables.fitting(header, [row]) == (["number", "val_acc"], [["0", "0.5"]], ["seconds", "folder"])


def test_without_rows_there_is_a_header(monkeypatch):
    in_columns(10, monkeypatch)
    assert tables.fitting(["number", "folder"], [])[0] == ["number"]
    assert tables.aligned(["a", "b"], []) == ["a  b"]


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (None, None, "-"),
        (0.93333, None, "0.9333"),
        (0.93333, 0.0, "0.9333 ± 0.0000"),
        (0.93333, 1.4e-16, "0.9333 ± 0.0000"),
        (0.93333, 2.4e-05, "0.9333 ± 0.0000"),
        (0.93333, 0.012345, "0.9333 ± 0.0123"),
        (2e-06, 4e-07, "2.0e-06 ± 4.0e-07"),
        (2e-06, 1e-22, "2.0e-06 ± 0.0000"),
        (0.0, 0.0, "0.0000 ± 0.0000"),
        (90000.0, 250000.0, "90000.0000 ± 2.5e+05"),
        (2e30, 4e29, "2.0e+30 ± 4.0e+29"),
    ],
    ids=str,
)
def test_a_deviation_has_the_decimals_of_its_mean_and_no_rounding_noise(mean, deviation, text):
    assert tables.spread_text(mean, deviation) == text


def test_the_folded_table_equals_pandas_on_the_run_folders(sweep, capsys):
    done = []
    for number, values in enumerate(VALUES):
        metrics = pd.read_csv(sweep.path / str(number) / "metrics.csv")
        if number != 5:
            done.append(values | dict(metrics.loc[metrics["val_loss"].idxmin(), list(comparison.VAL)]))
    groups = pd.DataFrame(done).groupby("optim.lr")
    lines = printed(sweep, capsys)
    first = next(at for at, line in enumerate(lines) if line.startswith("over seeds")) + 2
    names = lines[first - 1].split()
    assert names[:3] == ["optim.lr", "n", "diverged"]
    best = groups["val_loss"].mean().idxmin()
    in_order = sorted(groups, key=lambda group: group[1]["val_loss"].mean())
    for line, (lr, runs) in zip(lines[first : first + 3], in_order, strict=True):
        cells = dict(zip(names, re.split(r"  +", line.lstrip("* ")), strict=True))
        assert (cells["optim.lr"], cells["n"], cells["diverged"]) == (str(lr), str(len(runs)), str(8 - len(runs)))
        assert line.startswith("*") == (lr == best)
        for name in comparison.VAL:
            assert cells[name] == f"{runs[name].mean():.4f} ± {runs[name].std():.4f}"


def test_null_is_a_value_and_a_key_that_is_lacking_is_blank(tmp_path, capsys):
    values = [{"reg.patience": None}, {"reg.patience": 3}]
    lines = printed(write_sweep(tmp_path / "null", values, epochs=2), capsys)
    assert {line.lstrip("*").split()[2] for line in lines[1:3]} == {"null", "3"}
    lines = printed(write_sweep(tmp_path / "lacking", [{}, {"reg.patience": 3}], epochs=2), capsys)
    assert {line.lstrip("*").split()[2] for line in lines[1:3]} == {"-", "3"}


HOSTILE = ("\x1b[31mred", "two\nlines", "tab\there", "狗 and 猫", "$x_1$", "-", "±")


def test_values_from_outside_stay_in_their_cells(tmp_path, capsys):
    hostile = write_sweep(tmp_path / "s", [{"dataset.path": each} for each in HOSTILE], epochs=2)
    lines = printed(hostile, capsys)
    judged = 8  # a blank line, a title, four pairs, how many more, what it is about
    assert len(lines) == 1 + len(HOSTILE) + judged + 5
    assert "\x1b" not in "".join(lines)
    assert any("two\\nlines" in line for line in lines)
    # cells to the right begin where their column does, whatever stands before them
    ends = {tables.width(line[: line.index("0.", 30)]) for line in lines[1 : 1 + len(HOSTILE)] if line.isascii()}
    assert len(ends) == 1


def test_the_lines_of_the_file_are_those_of_the_table_with_values_as_typed(tmp_path):
    values = [{"model.hidden": [64, 64], "reg.patience": None, "optim.lr": 1e-05}, {"model.hidden": [8]}]
    sweep = write_sweep(tmp_path / "s", values, epochs=2)
    header, rows = comparison.lines(sweep)
    assert header == comparison.columns(sweep)
    by_number = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert [by_number[0][key] for key in values[0]] == ["[64,64]", "null", "1e-05"]
    assert [by_number[1][key] for key in values[0]] == ["[8]", None, None]
    for row in comparison.table(sweep):
        assert {name: by_number[row["number"]][name] for name in comparison.NUMBERS} == {
            name: row[name] for name in comparison.NUMBERS
        }


def test_a_sweeps_file_reads_back_to_the_bit(tmp_path, sweep):
    from labrunner.records import SweepFolder

    with SweepFolder.open(tmp_path / "other") as folder:
        folder.write_csv("sweep.csv", *comparison.lines(sweep))
    with open(tmp_path / "other/sweep.csv", newline="") as file:
        found = list(csv.DictReader(file))
    for read, row in zip(found, comparison.table(sweep), strict=True):
        for name in comparison.NUMBERS:
            assert read[name] == ("" if row[name] is None else repr(row[name]))
            assert read[name] == "" or float(read[name]) == row[name]


def test_paths_can_be_pasted(tmp_path, capsys):
    spaced = write_sweep(tmp_path / "my sweep", [{"optim.lr": 0.1}], epochs=2)
    assert printed(spaced, capsys)[-1] == f"  '{spaced.path}'"
    assert Path(printed(spaced, capsys)[-3].strip().strip("'")) == spaced.path / "0"


def test_of_runs_of_several_data_sets_or_splits_none_is_the_best(tmp_path, capsys):
    values = [{"optim.lr": lr, "seed": seed} for lr in (0.001, 0.01) for seed in (0, 1)]
    made = write_sweep(tmp_path / "s", values, epochs=2, samples=20)
    assert "\n* " in "\n".join(printed(made, capsys))
    for number in (0, 1):
        path = made.path / str(number) / "config.yaml"
        path.write_text(path.read_text().replace("split_seed: 0", "split_seed: 1"))
    lines = printed(load_sweep(made.path), capsys)
    assert "best: none; their numbers are not of the same samples: a difference is no comparison of models" in lines
    assert not any(line.startswith("*") for line in lines)


def test_losses_of_different_kinds_have_no_best_unless_another_metric_orders_them(tmp_path, capsys):
    for monitor in ("val_loss", "val_accuracy"):
        made = write_sweep(tmp_path / monitor, [{"model.loss": "mse"}, {"model.loss": "x"}], epochs=2, monitor=monitor)
        path = made.path / "0/config.yaml"
        path.write_text(path.read_text().replace("activation: relu", "loss: mse"))
        lines = printed(load_sweep(made.path), capsys)
        assert ("best: none; their losses are of different kinds" in lines) == (monitor == "val_loss")
        assert sum(line.startswith("*") for line in lines) == (monitor == "val_accuracy")


def test_why_there_is_no_verdict_is_said_with_what_became_of_the_runs(tmp_path, capsys):
    values = [{"optim.lr": lr} for lr in (0.01, 0.1, 1)]
    made = write_sweep(tmp_path / "s", values, epochs=2, statuses={1: "diverged", 2: "diverged"})
    lines = printed(made, capsys)
    begin = lines.index("verdict: none; only one setting has a run that is done")
    assert lines[begin + 1 : begin + 3] == [
        "  run 1 (optim.lr=0.1) diverged: it is in no pair",
        "  run 2 (optim.lr=1) diverged: it is in no pair",
    ]


@pytest.mark.parametrize(
    ("lengths", "note"),
    [
        ([2], "the run that is done was best in the last epoch"),
        ([2, 2], "both runs were best in the last epoch"),
        ([2, 2, 2], "all 3 runs were best in the last epoch"),
        ([2, 1, 1], "1 of 3 runs was best in the last epoch"),
        ([2, 2, 1], "2 of 3 runs were best in the last epoch"),
    ],
)
def test_runs_that_were_best_in_the_last_epoch_are_counted_in_words_that_agree(tmp_path, capsys, lengths, note):
    improving = [dict.fromkeys(METRICS, 0.5) | {"epoch": epoch, "val_loss": 1 / epoch} for epoch in (1, 2)]
    rows = {number: improving[:length] for number, length in enumerate(lengths)}
    values = [{"optim.lr": 0.1 * (number + 1)} for number in range(len(lengths))]
    made = write_sweep(tmp_path / "s", values, epochs=2, rows=rows, samples=20, settings={"epochs": 2})
    assert f"note: {note}: more epochs may change the order" in printed(made, capsys)
