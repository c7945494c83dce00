"""Several runs beside each other: the table's numbers against pandas, and what is said of runs that are not whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labrunner import comparison
from labrunner.flips import Flips, find_flips
from labrunner.records import METRICS, MISSING, Member, Run, Sweep, load_run, load_sweep
from labrunner.records.names import READ, oddity
from tests.folders import config, metrics_row, write_run
from tests.sweeps import write_sweep
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

RATES = [{"optim.lr": lr, "seed": seed} for lr in (0.001, 0.01, 0.1) for seed in (0, 1)]


def sweep_of(*paths: Path, monitor: str = "val_loss", keys: tuple[str, ...] = ()) -> Sweep:
    members = [Member(number, path, dict.fromkeys(keys, number), []) for number, path in enumerate(paths)]
    return Sweep(paths[0].parent, list(keys), members, monitor)


def constant(epochs: int, **values: float | None) -> list[dict[str, float | None]]:
    """Rows that all hold the same values."""
    return [dict.fromkeys(METRICS, 0.5) | {"epoch": epoch, **values} for epoch in range(1, epochs + 1)]


# the table


def test_the_table_equals_pandas_on_the_run_folders_to_the_bit(tmp_path):
    sweep = write_sweep(tmp_path / "s", RATES, epochs=12)
    expected = []
    for number, values in enumerate(RATES):
        folder = tmp_path / "s" / str(number)
        metrics, timing = pd.read_csv(folder / "metrics.csv"), pd.read_csv(folder / "timing.csv")
        best = metrics.loc[metrics["val_loss"].idxmin()]
        test = json.loads((folder / "test.json").read_text())
        expected.append(
            {"number": number, "status": "done", **values, "best_epoch": int(best["epoch"])}
            | {name: best[name] for name in ("val_loss", "val_accuracy", "val_f1", "val_auroc")}
            | {f"test_{name}": test[name] for name in ("accuracy", "f1", "auroc")}
            | {"seconds": timing["seconds"].sum()}
        )
    expected = pd.DataFrame(expected).sort_values(["val_loss", "number"], ignore_index=True)
    found = pd.DataFrame(comparison.table(sweep))
    assert list(found.columns) == comparison.columns(sweep)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_the_folded_table_equals_pandas(tmp_path):
    sweep = write_sweep(tmp_path / "s", RATES, epochs=5, statuses={3: "diverged", 4: "failed"})
    rows = comparison.table(sweep)
    folded = comparison.folded(rows, sweep.keys, comparison.NUMBERS)
    done = pd.DataFrame(rows).query("status == 'done'").astype(dict.fromkeys(comparison.NUMBERS, float))
    groups = done.groupby("optim.lr")[list(comparison.NUMBERS)]
    assert [row["optim.lr"] for row in folded] == [0.001, 0.01, 0.1]
    assert [(row["n"], row["diverged"]) for row in folded] == [(2, 0), (1, 1), (1, 0)]
    for row in folded:
        for name in comparison.NUMBERS:
            assert row[name] == pytest.approx(groups.mean().loc[row["optim.lr"], name], rel=1e-14)
            deviation = groups.std().loc[row["optim.lr"], name]
            assert row[f"{name}_sd"] == (None if np.isnan(deviation) else pytest.approx(deviation, rel=1e-9, abs=1e-14))


def test_lists_and_words_fold_as_well_as_numbers():
    rows = [
        {"number": number, "status": "done", "model.hidden": hidden, "seed": number, "val_loss": float(number)}
        for number, hidden in enumerate(([64], [64, 64], [64], [64, 64]))
    ]
    folded = comparison.folded(list(reversed(rows)), ["model.hidden", "seed"], ["val_loss"])
    assert [(row["model.hidden"], row["n"], row["val_loss"]) for row in folded] == [([64], 2, 1.0), ([64, 64], 2, 2.0)]


@pytest.mark.parametrize(("monitor", "best"), [("val_loss", 1), ("val_accuracy", 0), ("train_loss", 2)])
def test_the_table_is_sorted_by_the_monitor_at_the_chosen_epoch_and_never_by_test(tmp_path, monitor, best):
    values = [(0.9, 0.9, 0.5), (0.1, 0.5, 0.6), (0.5, 0.1, 0.1)]  # val_loss, val_accuracy, train_loss
    paths = [
        write_run(
            tmp_path / str(number),
            rows=constant(2, val_loss=loss, val_accuracy=accuracy, train_loss=train),
            settings={"monitor": monitor},
        )
        for number, (loss, accuracy, train) in enumerate(values)
    ]
    for number, path in enumerate(paths):  # on test the last is best, whatever it is sorted by
        test = json.loads((path / "test.json").read_text()) | {"accuracy": number / 10}
        (path / "test.json").write_text(json.dumps(test))
    rows = comparison.table(sweep_of(*paths, monitor=monitor))
    assert rows[0]["number"] == best
    assert [row["test_accuracy"] for row in rows] == [row["number"] / 10 for row in rows]


def test_the_last_epoch_counts_under_select_last(tmp_path):
    rows = [dict.fromkeys(METRICS, 0.5) | {"epoch": epoch, "val_loss": float(epoch)} for epoch in (1, 2, 3)]
    path = write_run(tmp_path / "a", rows=rows, settings={"select": "last"})
    (row,) = comparison.table(sweep_of(path))
    assert (row["best_epoch"], row["val_loss"]) == (3, 3.0)


def test_equal_runs_stand_by_number(tmp_path):
    paths = [write_run(tmp_path / name, rows=constant(3)) for name in "cab"]
    assert [row["number"] for row in comparison.table(sweep_of(*paths))] == [0, 1, 2]


def test_runs_that_are_not_done_follow_by_what_became_of_them(tmp_path):
    statuses = {0: MISSING, 1: "interrupted", 2: "failed", 3: "diverged", 5: "diverged", 6: "failed"}
    sweep = write_sweep(tmp_path / "s", [{"seed": seed} for seed in range(8)], statuses=statuses, epochs=6)
    rows = comparison.table(sweep)
    assert {row["number"] for row in rows[:2]} == {4, 7}
    assert [(row["number"], row["status"]) for row in rows[2:]] == [
        (3, "diverged"),
        (5, "diverged"),
        (2, "failed"),
        (6, "failed"),
        (1, "interrupted"),
        (0, MISSING),
    ]
    blank = [row for row in rows if row["status"] in ("failed", "interrupted", MISSING)]
    assert all(row[name] is None for row in blank for name in (*comparison.VAL, *comparison.TEST, "best_epoch"))


def test_a_diverged_run_shows_its_best_finite_epoch_and_no_test_metrics(tmp_path):
    sweep = write_sweep(tmp_path / "s", [{"seed": 0}], statuses={0: "diverged"}, after=3)
    (row,) = comparison.table(sweep)
    metrics = pd.read_csv(tmp_path / "s" / "0" / "metrics.csv")
    assert (row["best_epoch"], row["val_loss"]) == (1, metrics["val_loss"].min())
    assert [row[name] for name in comparison.TEST] == [None] * 3
    assert row["seconds"] is not None


def test_a_run_that_diverged_at_once_has_no_metrics(tmp_path):
    path = write_run(tmp_path / "a", rows=[dict.fromkeys(METRICS) | {"epoch": 1, "lr": 0.1}], status="diverged")
    (row,) = comparison.table(sweep_of(path))
    assert (row["best_epoch"], row["val_loss"]) == (None, None)


def test_without_a_validation_split_the_numbers_are_blank_and_the_order_is_by_number(tmp_path):
    paths = [write_run(tmp_path / name, epochs=3, val=False) for name in "ab"]
    rows = comparison.table(sweep_of(*paths))
    assert [(row["number"], row["best_epoch"], row["val_loss"]) for row in rows] == [(0, 3, None), (1, 3, None)]
    assert all(row["test_accuracy"] is not None for row in rows)


DAMAGE = {
    "metrics.csv": b"epoch,lr\n1,\xff\n",
    "timing.csv": b"nonsense\n1,2,3\n",
    "test.json": b'{"accuracy": "high", "f1": [1], "auroc": null}',
    "status.json": b'{"status": ["done"]}',
    "config.yaml": b"monitor: [a\n",
    "environment.json": b"{",
    "overrides.yaml": b"- 1",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_costs_its_own_numbers_only(tmp_path, name):
    path = write_run(tmp_path / "a", epochs=3)
    whole = comparison.table(sweep_of(path))[0]
    (path / name).write_bytes(DAMAGE[name])
    (row,) = comparison.table(sweep_of(path))
    lost = {
        "metrics.csv": {"best_epoch", *comparison.VAL},
        "timing.csv": {"seconds"},
        "test.json": set(comparison.TEST),
        "status.json": {"status", "best_epoch", *comparison.VAL, *comparison.TEST},
    }.get(name, set())
    assert {key for key in row if row[key] != whole[key]} == lost
    assert all(row[key] is None for key in lost - {"status"})


@pytest.mark.parametrize("monitor", ["[val_loss]", "5", "null", "accuracy", "{a: 1}"])
def test_a_monitor_that_is_none_gives_way_to_the_sweeps(tmp_path, monitor):
    path = write_run(tmp_path / "a", epochs=6)
    (path / "config.yaml").write_text(f"monitor: {monitor}\nselect: best\n")
    best = pd.read_csv(path / "metrics.csv")["val_accuracy"].max()
    assert comparison.table(sweep_of(path, monitor="val_accuracy"))[0]["val_accuracy"] == best


def test_a_cut_last_line_is_left_out(tmp_path):
    path = write_run(tmp_path / "a", epochs=3)
    for name in ("metrics.csv", "timing.csv"):
        (path / name).write_bytes((path / name).read_bytes() + b"4,0.0")
    (row,) = comparison.table(sweep_of(path))
    assert row["best_epoch"] == 3
    assert row["seconds"] == pd.read_csv(path / "timing.csv")["seconds"][:3].sum()


def test_the_table_needs_no_pandas(tmp_path):
    write_sweep(tmp_path / "s", RATES[:2], epochs=3)
    code = (
        "import sys; from labrunner import comparison; from labrunner.flips import find_flips; "
        "from labrunner.records import load_sweep\n"
        "s = load_sweep(sys.argv[1]); comparison.table(s); comparison.threshold(s)\n"
        "find_flips([run for _, run in s.runs])\n"
        "print([name for name in ('pandas', 'torch', 'hydra', 'omegaconf', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# epochs to a threshold


@pytest.mark.parametrize(
    ("column", "threshold", "epoch"),
    [
        ("val_accuracy", 0.5, 2),
        ("val_accuracy", 0.9, 4),
        ("val_accuracy", 0.91, None),
        ("val_loss", 0.5, 3),
        ("val_loss", 0.0, None),
    ],
)
def test_a_threshold_is_reached_from_below_or_for_a_loss_from_above(column, threshold, epoch):
    rows = [
        {"epoch": 1, "val_accuracy": None, "val_loss": None},
        {"epoch": 2, "val_accuracy": 0.5, "val_loss": 0.7},
        {"epoch": 3, "val_accuracy": 0.4, "val_loss": 0.5},
        {"epoch": 4, "val_accuracy": 0.9, "val_loss": float("nan")},
    ]
    assert comparison.epochs_to(rows, column, threshold) == epoch


@pytest.mark.parametrize(("best", "expected"), [(1.0, 0.95), (0.8, 0.76), (0.9321, 0.88), (0.1, 0.09), (0.0, 0.0)])
def test_the_automatic_threshold_is_95_percent_of_the_best_rounded_down(tmp_path, best, expected):
    low = write_run(tmp_path / "low", rows=constant(3, val_accuracy=0.0))
    high = write_run(
        tmp_path / "high", rows=[*constant(1, val_accuracy=best), metrics_row(2, 2, np.random.default_rng())]
    )
    (high / "metrics.csv").write_text("".join((high / "metrics.csv").read_text().splitlines(keepends=True)[:2]))
    assert comparison.threshold(sweep_of(low, high)) == expected


def test_a_sweeps_own_threshold_goes_first_and_without_accuracies_there_is_none(tmp_path):
    assert comparison.threshold(write_sweep(tmp_path / "s", RATES[:1], epochs=2, threshold=0.3)) == 0.3
    assert comparison.threshold(sweep_of(write_run(tmp_path / "a", epochs=2, val=False))) is None


# what differs


def test_equal_configs_do_not_differ():
    assert comparison.differing([config(), config()]) == []


def test_how_a_run_is_carried_out_is_no_difference():
    assert comparison.differing([config(figures="all", jobs=1, fail_fast=False), config(figures="none", jobs=2)]) == []


def test_keys_that_differ_are_named_in_the_order_of_the_config():
    one, other = config(), config(seed=1, epochs=3)
    other["model"] = other["model"] | {"hidden": [64, 64]}
    assert comparison.differing([one, other]) == ["seed", "epochs", "model.hidden"]


def test_a_group_whose_option_differs_stands_under_its_own_name():
    sgd = config(optim={"name": "sgd", "lr": 0.1, "momentum": 0.9})
    assert comparison.differing([config(), sgd]) == ["optim", "optim.lr"]
    # the rate comes with the optimizer: the runs are told apart by that alone
    assert comparison.distinguishing([config(), sgd]) == ["optim"]


def test_a_key_that_differs_within_an_option_is_named_beside_the_option():
    models = ({"name": "mlp", "hidden": [8]}, {"name": "mlp", "hidden": [9]}, {"name": "cnn", "channels": [4]})
    configs = [config(model=model) for model in models]
    assert comparison.differing(configs) == ["model", "model.hidden"]
    assert comparison.distinguishing(configs) == ["model", "model.hidden"]


def test_a_key_that_one_of_two_equal_options_lacks_is_a_difference():
    other = config()
    other["model"] = other["model"] | {"extra": 1}
    assert comparison.differing([config(), other]) == ["model.extra"]


def test_one_is_not_true_and_not_the_word_one():
    assert comparison.differing([config(seed=1), config(seed=True)]) == ["seed"]
    assert comparison.differing([config(seed=1), config(seed="1")]) == ["seed"]


def test_classes_of_the_users_own_are_told_apart_by_their_target():
    configs = [config(model={"_target_": f"lab.{name}", "width": 3}) for name in ("Tiny", "Wide")]
    assert comparison.differing(configs) == ["model"]
    assert comparison.flat(configs[1])["model"] == "lab.Wide"


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        (0.001, "0.001"),
        (1e-05, "1e-05"),
        ([64, 64], "[64,64]"),
        (True, "true"),
        (None, "null"),
        ("adam", "adam"),
        (3, "3"),
    ],
    ids=str,
)
def test_values_are_shown_as_they_are_typed(value, typed):
    assert comparison.as_typed(value) == typed


# flips


def predict(
    path: Path, classes: list[str], index: list[int], label: list[int], predicted: list[int], data: str = "x"
) -> Path:
    """A run folder with these predictions."""
    write_run(path, classes=classes, epochs=2, samples=len(classes))
    table = pd.DataFrame({"index": index, "label": label, "predicted": predicted})
    table.assign(**{f"p_{name}": 0.5 for name in classes}).to_csv(path / "predictions.csv", index=False)
    environment = json.loads((path / "environment.json").read_text()) | {"data": data}
    (path / "environment.json").write_text(json.dumps(environment))
    return path


def test_flips_are_those_that_pandas_finds(tmp_path):
    runs = [load_run(write_run(tmp_path / str(seed), seed=seed, epochs=2, samples=300)) for seed in range(3)]
    flips = find_flips(runs)
    tables = [pd.read_csv(run.path / "predictions.csv").set_index("index") for run in runs]
    right = pd.DataFrame({at: table["label"] == table["predicted"] for at, table in enumerate(tables)})
    for a in range(3):
        for b in range(3):
            assert flips.shared[a][b] == 300
            assert flips.lost[a][b] == int((right[a] & ~right[b]).sum())
    flipped = right[right.any(axis=1) & ~right.all(axis=1)]
    assert [sample.index for sample in flips.samples] == list(flipped.index)
    assert [sample.right for sample in flips.samples] == [tuple(row) for row in flipped.to_numpy().tolist()]
    assert [sample.predicted for sample in flips.samples] == [
        tuple(str(table["predicted"][index]) for table in tables) for index in flipped.index
    ]


def test_samples_are_matched_by_their_place_in_the_data_set(tmp_path):
    classes = ["cat", "dog"]
    one = predict(tmp_path / "a", classes, [7, 3, 5], [0, 1, 0], [0, 1, 1])
    other = predict(tmp_path / "b", classes, [5, 9, 7], [0, 1, 0], [0, 0, 1])
    flips = find_flips([load_run(one), load_run(other)])
    assert flips.shared == [[3, 2], [2, 3]]
    assert flips.lost == [[0, 1], [1, 0]]
    assert [(s.index, s.label, s.predicted) for s in flips.samples] == [
        (5, "cat", ("dog", "cat")),
        (7, "cat", ("cat", "dog")),
    ]


@pytest.mark.parametrize("difference", ["data", "classes", "labels"])
def test_runs_of_other_data_share_no_test_samples(tmp_path, difference):
    one = predict(tmp_path / "a", ["cat", "dog"], [0, 1], [0, 1], [0, 0])
    other = predict(
        tmp_path / "b",
        ["cat", "cow"] if difference == "classes" else ["cat", "dog"],
        [0, 1],
        [1, 1] if difference == "labels" else [0, 1],
        [1, 1],
        data="y" if difference == "data" else "x",
    )
    flips = find_flips([load_run(one), load_run(other)])
    assert flips.shared == [[2, 0], [0, 2]]
    assert flips.samples == []
    assert flips.strangers == [(0, 1)]


def test_runs_of_two_data_sets_flip_among_their_own(tmp_path):
    paths = [
        predict(tmp_path / f"{data}{guess}", ["cat", "dog"], [0], [0], [guess], data=data)
        for data in "xy"
        for guess in (0, 1)
    ]
    flips = find_flips([load_run(path) for path in paths])
    assert [s.predicted for s in flips.samples] == [("cat", "dog", None, None), (None, None, "cat", "dog")]
    assert [s.right for s in flips.samples] == [(True, False, None, None), (None, None, True, False)]
    assert len(flips.strangers) == 4


HOSTILE = ["a,b", 'the "quoted"', "two\nlines", "carriage\rreturn"]


def test_names_of_classes_may_hold_anything(tmp_path):
    paths = [write_run(tmp_path / str(seed), classes=HOSTILE, seed=seed, epochs=2, samples=40) for seed in (0, 1)]
    flips = find_flips([load_run(path) for path in paths])
    assert flips.shared[0][1] == 40
    assert {sample.label for sample in flips.samples} <= set(HOSTILE)


NO_PREDICTIONS = {
    "empty": b"",
    "columns": b"index,label\n1,2\n",
    "words": b"index,label,predicted\n1,x,2\n",
    "twice": b"index,label,predicted\n1,1,1\n1,1,0\n",
    "bytes": b"\xff",
}


@pytest.mark.parametrize("content", NO_PREDICTIONS.values(), ids=NO_PREDICTIONS)
def test_runs_without_predictions_are_named(tmp_path, content):
    paths = [write_run(tmp_path / name, epochs=2) for name in "abc"]
    (paths[0] / "predictions.csv").unlink()
    (paths[1] / "predictions.csv").write_bytes(content)
    flips = find_flips([load_run(path) for path in paths])
    assert flips.without == [0, 1]
    assert flips.samples == []


def test_flips_of_no_runs_are_none():
    assert find_flips([]) == Flips([], [])


def test_a_sweep_is_read_as_it_was_written(tmp_path):
    sweep = write_sweep(tmp_path / "s", RATES, epochs=2)
    assert load_sweep(tmp_path / "s") == sweep


# mean and spread


@pytest.mark.parametrize("value", [0.9333333333333333, 0.1, 1e-300, 1e300, 0.0, -2.5])
@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_equal_values_have_their_value_as_mean_and_no_deviation(value, n):
    assert comparison.mean_and_sd([value] * n) == (value, 0.0)


def test_the_mean_is_the_exact_one_rounded_once():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.random(7).tolist()
        mean, deviation = comparison.mean_and_sd(values)
        assert mean == float(sum(map(Fraction, values)) / 7)
        assert deviation == pytest.approx(pd.Series(values).std(), rel=1e-13)


def test_losses_that_exploded_have_a_deviation():
    mean, deviation = comparison.mean_and_sd([1e200, 3e200])
    assert mean == pytest.approx(2e200)
    assert deviation == pytest.approx(2e200 / np.sqrt(2))


def test_one_value_has_no_deviation_and_none_no_mean():
    assert comparison.mean_and_sd([0.5]) == (0.5, None)
    assert comparison.mean_and_sd([]) == (None, None)


def test_whole_numbers_give_floats():
    assert [type(each) for each in comparison.mean_and_sd([3, 5])] == [float, float]


def test_runs_that_are_equal_fold_without_noise(tmp_path):
    paths = [write_run(tmp_path / name, rows=constant(2, val_accuracy=0.9333333333333333)) for name in "abc"]
    (row,) = comparison.folded(comparison.table(sweep_of(*paths, keys=("seed",))), ["seed"])
    assert (row["n"], row["val_accuracy"], row["val_accuracy_sd"]) == (3, 0.9333333333333333, 0.0)


def test_epochs_to_the_threshold_are_those_that_pandas_finds(tmp_path):
    sweep = write_sweep(tmp_path / "s", RATES, epochs=12)
    tables = [pd.read_csv(run.path / "metrics.csv") for _, run in sweep.runs]
    best = max(table["val_accuracy"].max() for table in tables)
    asked = comparison.threshold(sweep)
    assert asked <= 0.95 * best < asked + 0.01
    for column in ("val_accuracy", "val_loss"):
        for (_, run), table in zip(sweep.runs, tables, strict=True):
            reached = table[table[column] <= asked] if column == "val_loss" else table[table[column] >= asked]
            expected = None if reached.empty else int(reached["epoch"].iloc[0])
            assert comparison.epochs_to(run.row_list, column, asked) == expected


# what is no file of ours


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 10**11)  # a hole, which takes no room


READS = [*READ, "predictions.csv", "confusion.csv"]


@pytest.mark.parametrize("put", [pipe, endless, huge, Path.mkdir])
@pytest.mark.parametrize("name", READS)
def test_what_is_no_file_of_a_run_is_not_read(tmp_path, name, put):
    path = write_run(tmp_path / "a", epochs=2)
    (path / name).unlink()
    put(path / name)
    sweep = sweep_of(path, write_run(tmp_path / "b", epochs=2))
    rows = comparison.table(sweep)
    assert sorted(row["number"] for row in rows) == [0, 1]
    comparison.threshold(sweep)
    assert isinstance(Run(path).choices, dict)
    find_flips([Run(path), load_run(tmp_path / "b")])
    assert (oddity(path) is None) == (put is Path.mkdir and name not in READ)


def test_our_own_files_are_nothing_odd(tmp_path):
    path = write_run(tmp_path / "a", epochs=2)
    assert oddity(path) is None
    assert oddity(tmp_path / "nowhere") is None


@pytest.mark.parametrize("name", ["<script>", "a\nb", "\x1b[31m", "=cmd()", "..", "x" * 200])
def test_folders_and_options_may_be_called_anything(tmp_path, name):
    folder = tmp_path / "runs" / (name if name != ".." else "dots")
    settings = {"model": {"name": name, name: [name]}, "dataset": {"name": name}, name: {name: name}}
    paths = [write_run(folder, epochs=2, classes=[name, "b"], samples=8, settings=settings)]
    paths.append(write_run(tmp_path / "plain", epochs=2, classes=[name, "b"], samples=8, seed=1))
    assert [row["status"] for row in comparison.table(sweep_of(*paths))] == ["done", "done"]
    differing = comparison.differing([comparison.config_of(load_run(path)) for path in paths])
    assert {"model", "dataset", f"{name}.{name}"} <= set(differing)
    assert find_flips([load_run(path) for path in paths]).shared[0][1] == 8


def test_a_run_of_another_format_does_not_stop_the_table(tmp_path):
    path = write_run(tmp_path / "a", epochs=2)
    (path / "environment.json").write_text('{"format": 2}')
    assert comparison.table(sweep_of(path))[0]["status"] == "done"


def brute_force(tables: list[pd.DataFrame], a: int, b: int) -> tuple[int, int]:
    """How many samples both predicted, and how many of them are right in a and wrong in b, sample by sample."""
    one, other = (tables[at].set_index("index") for at in (a, b))
    both = [index for index in one.index if index in other.index]
    lost = [
        index
        for index in both
        if one["predicted"][index] == one["label"][index] and other["predicted"][index] != other["label"][index]
    ]
    return len(both), len(lost)


@pytest.mark.parametrize("seed", range(4))
def test_flips_equal_a_count_sample_by_sample(tmp_path, seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, 60)
    paths = []
    for at in range(4):
        index = rng.permutation(60)[: int(rng.integers(1, 50))]
        guess = rng.integers(0, 3, len(index))
        paths.append(predict(tmp_path / str(at), list("abc"), index.tolist(), label[index].tolist(), guess.tolist()))
    tables = [pd.read_csv(path / "predictions.csv") for path in paths]
    flips = find_flips([load_run(path) for path in paths])
    for a in range(4):
        for b in range(4):
            assert (flips.shared[a][b], flips.lost[a][b]) == brute_force(tables, a, b)
    seen = pd.concat(tables).assign(right=lambda each: each["label"] == each["predicted"]).groupby("index")["right"]
    assert [sample.index for sample in flips.samples] == [index for index, each in seen if each.nunique() == 2]


def test_groups_and_nested_keys_of_three_configs_are_told_apart():
    models = [{"name": "mlp", "hidden": [8], "deep": {"a": 1, "b": {"c": 2}}} for _ in range(3)]
    models[2]["deep"] = {"a": 1, "b": {"c": 3}}
    optims = [
        {"name": "sgd", "lr": 0.1},
        {"name": "sgd", "lr": 0.1},
        {"name": "adam", "lr": 0.001, "betas": [0.9, 0.9]},
    ]
    configs = [config(model=model, optim=optim) for model, optim in zip(models, optims, strict=True)]
    assert comparison.differing(configs) == ["optim", "optim.lr", "model.deep.b.c"]
    assert comparison.distinguishing(configs) == ["optim", "model.deep.b.c"]
    assert comparison.differing(configs[:2]) == comparison.distinguishing(configs[:2]) == []
    configs[1]["optim"] = {"name": "sgd", "lr": 0.2}
    assert comparison.distinguishing(configs) == ["optim", "optim.lr", "model.deep.b.c"]


def test_a_section_against_a_value_is_a_difference():
    assert comparison.differing([config(extra={"a": 1}), config(extra=3), config()]) == ["extra.a", "extra"]


def test_a_sample_that_a_run_did_not_predict_is_never_right_in_it(tmp_path):
    one = predict(tmp_path / "a", ["cat", "dog"], [0, 1], [-1, 0], [0, 0])  # a label that no run of ours writes
    other = predict(tmp_path / "b", ["cat", "dog"], [1], [0], [0])
    assert find_flips([load_run(one), load_run(other)]).samples == []


def test_the_monitored_metric_has_its_column_whichever_it_is(tmp_path):
    values = [{"optim.lr": lr, "seed": seed} for lr in (0.1, 0.2) for seed in (0, 1)]
    losses = [0.1, 0.9, 0.3, 0.32]
    rows = {n: [dict.fromkeys(METRICS) | {"epoch": 1, "lr": 0.1, "train_loss": x}] for n, x in enumerate(losses)}
    sweep = write_sweep(tmp_path / "s", values, monitor="train_loss", rows=rows, tested=False)
    names, lines = comparison.lines(sweep)
    at = names.index("train_loss")
    assert names[at - 1 : at + 2] == ["best_epoch", "train_loss", "val_loss"]
    assert [line[at] for line in lines] == sorted(losses)
    groups = comparison.over_seeds(sweep, comparison.table(sweep))
    assert [(group["optim.lr"], group["train_loss"]) for group in groups] == [(0.2, 0.31), (0.1, 0.5)]
    assert comparison.best_over_seeds(sweep, groups) is groups[0]
    assert "train_loss" not in comparison.columns(write_sweep(tmp_path / "t", values, epochs=1))
