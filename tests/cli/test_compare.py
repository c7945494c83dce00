"""``labrunner compare``: the table, what differs, what flipped, and the folder that it leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from scipy.stats import binomtest

from labrunner.records import load_run, load_sweep
from tests.cli.lab import Lab
from tests.cli.terminal import on_a_terminal
from tests.folders import config, write_run
from tests.sweeps import write_sweep

RATES = [{"optim.lr": lr, "seed": seed} for lr in (0.001, 0.1) for seed in (0, 1)]


def two_runs(folder: Path, **settings: object) -> list[str]:
    """Runs `a` and `b` under the current folder; `settings` are those of `b`."""
    write_run(folder / "runs/a", epochs=4)
    write_run(folder / "runs/b", epochs=4, seed=1, settings=settings)
    return ["runs/a", "runs/b"]


def test_two_runs_end_in_a_table_and_a_folder(lab: Lab):
    ended = lab("compare", *two_runs(lab.folder, seed=7), "figures=few")
    assert (ended.code, ended.err) == (0, "")
    folder = lab.folder / ended.out.splitlines()[-1]
    assert re.fullmatch(r"outputs/comparisons/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{4}", ended.out.splitlines()[-1])
    left = {path.name for path in folder.iterdir()} - {".lock"}
    tables = {"comparison.csv", "differences.csv", "flips.csv", "mcnemar.csv"}
    assert left == {"comparison.yaml", *tables, "figures", "report.html"}
    assert (folder / "report.html").read_text() == "figures=few"
    assert ended.out.splitlines()[-2] == f"report: {ended.out.splitlines()[-1]}/report.html"
    sweep = load_sweep(folder)
    assert sweep.is_comparison
    assert (sweep.keys, [member.values for member in sweep.members]) == (["seed"], [{"seed": 0}, {"seed": 7}])
    assert sweep.command.startswith("labrunner compare runs/a runs/b")
    assert [run.path.name for _, run in sweep.runs] == ["a", "b"]


def test_the_tables_numbers_are_those_of_the_runs(lab: Lab):
    lab("compare", *two_runs(lab.folder), "hydra.run.dir=seen")
    table = pd.read_csv("seen/comparison.csv").set_index("folder")
    for name in ("runs/a", "runs/b"):
        run = load_run(name)
        assert table["val_loss"][name] == run.rows["val_loss"].min()
        assert table["test_accuracy"][name] == run.test["accuracy"]
    assert list(table["val_loss"]) == sorted(table["val_loss"])


def test_flips_csv_names_what_each_run_predicted(lab: Lab):
    names = [f"class {letter}" for letter in "xyz"]
    for number, name in enumerate("ab"):
        write_run(lab.folder / name, classes=names, samples=60, epochs=2, seed=number)
    lab("compare", "a", "b", "hydra.run.dir=seen")
    one, other = (load_run(name).predictions.set_index("index") for name in "ab")
    flipped = (one["label"] == one["predicted"]) != (other["label"] == other["predicted"])
    expected = pd.DataFrame(
        {"index": one.index, "label": one["label"], "a": one["predicted"], "b": other["predicted"]}
    )[flipped].replace(dict(enumerate(names)) | {}, regex=False)
    expected["index"] = one.index[flipped]
    found = pd.read_csv("seen/flips.csv")
    assert len(found) > 0
    assert found.astype(str).to_numpy().tolist() == expected.astype(str).to_numpy().tolist()


def test_the_flips_of_two_runs_are_told_in_numbers(lab: Lab):
    ended = lab("compare", *two_runs(lab.folder))
    table = lab("compare", "runs/a", "runs/b", "hydra.run.dir=seen")
    assert table.code == 0
    one, other = (load_run(name).predictions for name in ("runs/a", "runs/b"))
    right = [run["label"] == run["predicted"] for run in (one, other)]
    first = int(pd.read_csv("seen/comparison.csv")["number"][0])
    gained, lost = int((right[first] & ~right[1 - first]).sum()), int((right[1 - first] & ~right[first]).sum())
    assert re.search(rf"run {1 - first} +360 +{gained} +{lost}\b", ended.out)
    assert f"{gained + lost} samples that some runs have right and others wrong" in ended.out


def test_two_runs_end_in_a_verdict_on_their_test_samples(lab: Lab):
    ended = lab("compare", *two_runs(lab.folder, seed=3), "hydra.run.dir=seen")
    right = [run.predictions["label"] == run.predictions["predicted"] for run in map(load_run, ("runs/a", "runs/b"))]
    table = pd.read_csv("seen/mcnemar.csv").iloc[0]
    one, other = right[table["run_a"]], right[table["run_b"]]
    p = binomtest(int((one & ~other).sum()), int((one != other).sum())).pvalue
    assert (table["only_a"], table["only_b"]) == ((one & ~other).sum(), (other & ~one).sum())
    assert table["p"] == pytest.approx(p)
    assert re.search(r"^verdict: one seed each: .* McNemar's exact test$", ended.out, re.MULTILINE)
    assert "repeat with 'seed=range(5)'" in ended.out


def test_runs_of_several_seeds_are_judged_by_setting(lab: Lab):
    for number, (lr, seed) in enumerate([(0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1)]):
        settings = {"seed": seed, "optim": {"name": "sgd", "lr": lr}}
        write_run(lab.folder / f"runs/{number}", epochs=2, seed=number, settings=settings)
    ended = lab("compare", *(f"runs/{number}" for number in range(4)), "hydra.run.dir=seen")
    table = pd.read_csv("seen/verdict.csv")
    assert {*table["a"], *table["b"]} == {"optim.lr=0.1", "optim.lr=0.2"}
    assert table["n"].tolist() == [2]
    assert not Path("seen/mcnemar.csv").exists()
    assert "verdict: test_accuracy, differences paired by seed" in ended.out


def test_a_sweep_stands_for_its_runs_under_their_numbers_and_keys(lab: Lab):
    write_sweep(lab.folder / "s", RATES, epochs=3, statuses={1: "missing", 2: "diverged"})
    ended = lab("compare", "s", "hydra.run.dir=seen")
    assert ended.code == 0
    sweep = load_sweep("seen")
    assert [member.number for member in sweep.members] == [0, 2, 3]
    assert [member.values for member in sweep.members] == [RATES[0], RATES[2], RATES[3]]
    assert sweep.keys == ["optim.lr", "seed"]
    assert "note: 1 run of s has not begun" in ended.out


def test_what_differs_beside_the_swept_keys_is_a_key_too(lab: Lab):
    write_sweep(lab.folder / "s", [{"optim.lr": 0.1}, {"optim.lr": 0.2}], epochs=2)
    settings = config(batch_size=7)
    (lab.folder / "s/1/config.yaml").write_text(yaml.safe_dump(settings))
    lab("compare", "s", "hydra.run.dir=seen")
    assert load_sweep("seen").keys == ["optim.lr", "batch_size"]


def test_runs_and_sweeps_mix_and_each_run_counts_once(lab: Lab):
    write_sweep(lab.folder / "s", RATES[:2], epochs=2)
    write_run(lab.folder / "a", epochs=2)
    assert lab("compare", "s/1", "s", "a", "a/", f"{lab.folder}/s", "hydra.run.dir=seen").code == 0
    assert [str(member.path) for member in load_sweep("seen").members] == ["s/1", "s/0", "a"]
    assert pd.read_csv("seen/flips.csv").columns.tolist() == ["index", "label", "1", "0", "a"]


def test_a_comparison_can_be_compared_again(lab: Lab):
    lab("compare", *two_runs(lab.folder, seed=3), "hydra.run.dir=seen")
    assert lab("compare", "seen", "hydra.run.dir=again").code == 0
    assert load_sweep("again").keys == ["seed"]
    assert Path("again/comparison.csv").read_bytes() == Path("seen/comparison.csv").read_bytes()


def test_equal_configs_have_no_keys_and_are_told_apart_by_folder(lab: Lab):
    ended = lab("compare", *two_runs(lab.folder), "hydra.run.dir=seen")
    assert load_sweep("seen").keys == []
    assert "their configs are equal" in ended.out
    assert Path("seen/differences.csv").read_text() == "key,a,b\n"
    assert all(re.search(rf"  runs/{name}$", ended.out, re.MULTILINE) for name in "ab")


def test_runs_of_one_name_are_told_apart_by_the_folder_above(lab: Lab):
    for name in ("x/0", "y/0"):
        write_run(lab.folder / name, epochs=2, settings={"seed": len(name)})
    shutil.copy("x/0/config.yaml", "y/0/config.yaml")
    lab("compare", "x/0", "y/0", "hydra.run.dir=seen")
    assert Path("seen/differences.csv").read_text() == "key,x/0,y/0\n"


def test_what_differs_has_its_columns_in_the_table_and_a_row_each_in_differences_csv(lab: Lab):
    model = {"name": "cnn", "channels": [16, 32]}
    ended = lab("compare", *two_runs(lab.folder, model=model, seed=4, figures="none"), "hydra.run.dir=seen")
    assert ended.out.split()[:4] == ["number", "status", "seed", "model"]
    assert pd.read_csv("seen/differences.csv").to_numpy().tolist() == [["seed", "0", "4"], ["model", "mlp", "cnn"]]


def test_what_an_option_brings_with_it_is_told_with_the_runs_that_have_it(lab: Lab):
    optim = {"name": "sgd", "lr": 0.1, "momentum": 0.9}
    ended = lab("compare", *two_runs(lab.folder, optim=optim), "hydra.run.dir=seen")
    assert load_sweep("seen").keys == ["optim"]
    assert re.search(r"differs in their configs\n  optim.lr +0.01 \(run 0\); 0.1 \(run 1\)\n", ended.out)


def test_unfinished_and_failed_runs_have_their_row(lab: Lab):
    write_run(lab.folder / "a", epochs=2)
    write_run(lab.folder / "b", epochs=2, status="failed")
    write_run(lab.folder / "c", epochs=2, status="running")
    ended = lab("compare", "a", "b", "c", "hydra.run.dir=seen")
    assert ended.code == 0
    table = pd.read_csv("seen/comparison.csv")
    assert table["status"].tolist() == ["done", "failed", "interrupted"]
    assert table["val_loss"].isna().tolist() == [False, True, True]
    assert "fewer than two runs have predictions of test samples" in ended.out


def with_data(path: str, fingerprint: str) -> None:
    file = Path(path) / "environment.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"data": fingerprint}))


def test_what_cannot_be_compared_is_said(lab: Lab):
    paths = two_runs(lab.folder, monitor="val_f1", dataset={"name": "iris"}, model={"name": "adaline"})
    for path in paths:
        with_data(path, f"sha256:{path}")
    ended = lab("compare", *paths, "hydra.run.dir=seen")
    assert "note: the runs have different data sets (digits, iris)" in ended.out
    assert "note: the losses are of different kinds (cross_entropy, mse)" in ended.out
    assert "note: the runs chose their epochs by different metrics (val_f1, val_loss)" in ended.out
    assert "run 0 and run 1 share no test samples" in ended.out
    assert "best: none; their numbers are not of the same samples" in ended.out
    assert not re.search(r"^\*", ended.out, re.MULTILINE)
    assert "verdict: none; one seed each, and no two runs are of the same samples and splits" in ended.out
    assert load_sweep("seen").monitor == "val_accuracy"


def test_other_splits_of_the_same_data_are_said(lab: Lab):
    dataset = config()["dataset"] | {"split_seed": 3}
    ended = lab("compare", *two_runs(lab.folder, dataset=dataset))
    assert "note: the runs split their data differently (dataset.split_seed)" in ended.out
    assert "verdict: none; one seed each, and no two runs are of the same samples and splits" in ended.out


def test_a_damaged_config_is_said(lab: Lab):
    paths = two_runs(lab.folder)
    Path(paths[1], "config.yaml").write_text("a: [")
    ended = lab("compare", *paths, "hydra.run.dir=seen")
    assert ended.code == 0
    assert "the config of run 1 cannot be read" in ended.out


def test_seeds_fold_into_a_second_table(lab: Lab):
    write_sweep(lab.folder / "s", RATES, epochs=3)
    ended = lab("compare", "s", "hydra.run.dir=seen")
    table = pd.read_csv("seen/comparison.csv")
    for lr, rows in table.groupby("optim.lr"):
        mean, deviation = rows["val_accuracy"].mean(), rows["val_accuracy"].std()
        assert re.search(rf"{lr} +2 .*{mean:.4f} ± {deviation:.4f}", ended.out)


NAMED = "\x1b[31mred\x1b[0m"


def test_names_from_outside_do_not_steer_the_terminal(lab: Lab):
    write_run(lab.folder / "a", epochs=2, classes=[NAMED, "b"], settings={"model": {"name": NAMED}})
    write_run(lab.folder / NAMED, epochs=2, classes=[NAMED, "b"], settings={"dataset": {"name": "line\nline"}})
    ended = lab("compare", "a", NAMED)
    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert "\\x1b[31mred" in ended.out


REFUSED: dict[str, tuple[str, ...]] = {
    "": ("two runs or more", "labrunner compare outputs/runs/RUN"),
    "runs/a": ("two runs or more", "only runs/a"),
    "runs/a runs/a/": ("two runs or more",),
    "runs/a runs/x": ("there is no folder runs/x",),
    "runs/a empty": ("empty is no run folder",),
    "runs": ("runs is no run folder", "labrunner compare runs/*"),
    "begun": ("no run of the sweep in begun has begun",),
    "runs/a runs/b figures=some": ("figures=some", "all, few or none"),
    "runs/a runs/b figures=": ("figures=", "all, few or none"),
    "runs/a runs/b seed=1": ("seed=1", "hydra.run.dir"),
    "runs/a runs/b hydra.run.dir=": ("hydra.run.dir=",),
    "runs/a runs/b hydra.run.dir=runs": ("runs is not empty", "hydra.run.dir"),
    "runs/a runs/b hydra.run.dir=file": ("file is a file", "hydra.run.dir"),
}


@pytest.mark.parametrize("typed", REFUSED)
def test_a_wrong_request_is_refused_and_leaves_nothing(lab: Lab, typed):
    two_runs(lab.folder)
    (lab.folder / "empty").mkdir()
    lab.write("file", "")
    write_sweep(lab.folder / "begun", RATES[:2], statuses={0: "missing", 1: "missing"})
    before = lab.tree()
    ended = lab("compare", *typed.split())
    assert ended.code == 2
    assert ended.out == ""
    assert 1 <= len(ended.err.splitlines()) <= 3
    assert [word for word in REFUSED[typed] if word not in ended.err] == []
    assert lab.tree() == before


def test_comparing_waits_for_neither_torch_nor_hydra(lab: Lab):
    paths = two_runs(lab.folder)
    code = (
        "import sys; from tests.cli.lab import Undrawn; import labrunner.drawing; labrunner.drawing.Drawing = Undrawn\n"
        "from labrunner.cli import main; assert main(['compare', *sys.argv[1:]]) == 0\n"
        "print([name for name in ('torch', 'hydra', 'omegaconf', 'pandas', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *paths],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


# what runs are called, and how much is printed


def settle(folder: Path, **settings: object) -> None:
    """Write each run's values into its config, as a sweep that was made does."""
    for member in load_sweep(folder).members:
        said = config(**settings)
        for key, value in member.values.items():
            group, _, name = key.partition(".")
            if name:
                said[group] = said[group] | {name: value}
            else:
                said[group] = value
        (member.path / "config.yaml").write_text(yaml.safe_dump(said, sort_keys=False))


def test_runs_of_a_sweep_are_called_by_their_values(lab: Lab):
    write_sweep(lab.folder / "s", RATES, epochs=3)
    settle(lab.folder / "s")
    ended = lab("compare", "s", "hydra.run.dir=seen")
    names = [f"optim.lr={values['optim.lr']} seed={values['seed']}" for values in RATES]
    assert pd.read_csv("seen/flips.csv").columns.tolist() == ["index", "label", *names]
    assert pd.read_csv("seen/differences.csv").columns.tolist() == ["key", *names]
    head = pd.read_csv("seen/comparison.csv")["number"][0]
    for number, name in enumerate(names):
        assert bool(re.search(rf"  run {number} .*  {re.escape(name)}$", ended.out, re.MULTILINE)) == (number != head)
    assert "differs in their configs" not in ended.out  # the table has it


def test_two_sweeps_over_the_same_keys_are_told_apart_by_what_else_differs(lab: Lab):
    for name, model in (("s", {"name": "mlp", "hidden": [8]}), ("t", {"name": "cnn", "channels": [4]})):
        write_sweep(lab.folder / name, RATES, epochs=3)
        settle(lab.folder / name, model=model)
    assert lab("compare", "s", "t", "hydra.run.dir=seen").code == 0
    sweep = load_sweep("seen")
    assert set(sweep.keys) == {"optim.lr", "seed", "model"}
    table = pd.read_csv("seen/comparison.csv")
    assert sorted(zip(table["model"], table["optim.lr"], table["seed"], strict=True)) == sorted(
        (model, values["optim.lr"], values["seed"]) for model in ("mlp", "cnn") for values in RATES
    )
    assert len(set(pd.read_csv("seen/flips.csv").columns)) == 2 + 8


def test_equal_sweeps_have_columns_of_their_own_all_the_same(lab: Lab):
    for name in "st":
        write_sweep(lab.folder / name, RATES[:2], epochs=2)
        settle(lab.folder / name)
    lab("compare", "s", "t", "hydra.run.dir=seen")
    columns = Path("seen/flips.csv").read_text().splitlines()[0].split(",")
    assert columns == ["index", "label", *(f"seed={number % 2} (run {number})" for number in range(4))]


def test_of_many_runs_the_table_is_whole_and_the_rest_is_short(lab: Lab):
    for number in range(25):
        settings = {"seed": number, "model": {"name": "mlp", "hidden": [8 + number % 2]}, "batch_size": number // 5}
        write_run(lab.folder / f"r/{number:02d}", epochs=2, seed=number, samples=40, settings=settings)
    ended = lab("compare", *(f"r/{number:02d}" for number in range(25)), "hydra.run.dir=seen")
    assert ended.code == 0
    table, _, rest = ended.out.partition("in the order of")
    assert all(f"  r/{number:02d}\n" in table for number in range(25))
    assert len(rest.splitlines()) < 25
    assert "  and 12 more runs" in rest
    assert len(pd.read_csv("seen/comparison.csv")) == 25
    assert max(map(len, rest.splitlines())) < 160


def test_a_key_that_one_run_does_not_have_is_blank_and_null_is_a_value(lab: Lab):
    write_run(lab.folder / "a", epochs=2, settings={"extra": None})
    write_run(lab.folder / "b", epochs=2)
    write_run(lab.folder / "c", epochs=2, settings={"extra": 3})
    assert lab("compare", "a", "b", "c", "hydra.run.dir=seen").code == 0
    table = pd.read_csv("seen/comparison.csv", keep_default_na=False, dtype=str).set_index("folder")
    assert [table["extra"][name] for name in "abc"] == ["null", "", "3"]
    assert [member.values for member in load_sweep("seen").members] == [{"extra": None}, {}, {"extra": 3}]


@pytest.mark.parametrize("name", ["config.yaml", "metrics.csv", "status.json", "environment.json", "test.json"])
def test_a_run_with_a_pipe_for_a_file_is_refused_unread(lab: Lab, name):
    paths = two_runs(lab.folder)
    (lab.folder / paths[1] / name).unlink()
    os.mkfifo(lab.folder / paths[1] / name)
    ended = lab("compare", *paths)
    assert ended.code == 2
    assert "runs/b" in ended.err
    assert not (lab.folder / "outputs").exists()


@pytest.mark.parametrize("data", [{"a": 1}, ["x"], None, 5])
def test_a_fingerprint_of_any_kind_is_taken(lab: Lab, data):
    paths = two_runs(lab.folder)
    file = lab.folder / paths[0] / "environment.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"data": data}))
    assert lab("compare", *paths).code == 0


def test_on_a_narrow_terminal_lines_are_as_wide_as_it_is(lab: Lab):
    write_sweep(lab.folder / "s", [{"optim.lr": lr, "seed": seed} for lr in (0.1, 0.2) for seed in (0, 1)], epochs=2)
    settle(lab.folder / "s")
    code, seen = on_a_terminal("compare", "s", "figures=none", "hydra.run.dir=seen", cwd=lab.folder, columns=80)
    lines = seen.replace("\r", "").splitlines()
    assert code == 0
    assert lines[0].split() == ["number", "status", "lr", "seed", "epoch", "val_loss", "val_acc", "test_acc"]
    assert "comparison.csv has more: " in seen
    assert max(map(len, lines)) <= 80
