"""With a frozen backbone features are computed once, and nobody could tell from what comes out of the run."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
import torchvision
from torch import nn

from labrunner import checkpoint
from labrunner.compose import compose
from labrunner.deep import TorchLearner
from labrunner.deep.extraction import Extraction
from labrunner.features import splits, store
from labrunner.features.splits import FeatureSplit
from labrunner.helping import Catalogue
from labrunner.probes import PROBES
from labrunner.records import load_run
from labrunner.running import Shared, prepare
from tests.cli.cuts import interrupt_at
from tests.cli.lab import assert_same_run, essence
from tests.lines import cases
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

IMAGES = ("dataset=fake", "dataset.samples=120", "dataset.size=8", "batch_size=16", "seed=3")
CNN = (*IMAGES, "model=cnn", "model.channels=[6,8]")
FROZEN = ("freeze=backbone", "epochs=4")
PHOTOS = ("dataset=fake", "dataset.samples=40", "dataset.size=32", "batch_size=8", "epochs=2", "optim.lr=0.02")
SMALL = (*CNN, *FROZEN)


def log_of(folder: Path) -> list[str]:
    """What the log says of features."""
    return [line.split("  ", 1)[1] for line in (folder / "log.txt").read_text().splitlines() if "features of" in line]


def files_of(lab) -> list[Path]:
    return sorted((lab.folder / "outputs" / "cache" / "features").glob("*"))


def last_state(folder: Path) -> dict[str, np.ndarray]:
    *_, path = checkpoint.listed(folder / "checkpoints")[-1]
    return dict(checkpoint.read(path)[0])


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Runs that several tests begin with, each in a folder with all that it left."""
    return tmp_path_factory.mktemp("finished")


def begun(lab, finished: Path, **runs: tuple[str, ...]) -> list[Path]:
    """Finished runs in the test's folder, trained once for all tests that begin with the same."""
    kept = finished / hashlib.sha256(repr(runs).encode()).hexdigest()
    if not kept.exists():
        assert lab.tree() == {}
        for name, overrides in runs.items():
            lab.train(name, *overrides)
        shutil.copytree(lab.folder, kept)
    else:
        shutil.copytree(kept, lab.folder, dirs_exist_ok=True)
    return [lab.folder / name for name in runs]


def seen_by_convolutions(monkeypatch) -> list[int]:
    """Samples of each call of a convolution from now on."""
    counts: list[int] = []
    ordinary = nn.Conv2d._conv_forward

    def counting(self, inputs, weight, bias):
        counts.append(len(inputs))
        return ordinary(self, inputs, weight, bias)

    monkeypatch.setattr(nn.Conv2d, "_conv_forward", counting)
    return counts


# the same as without


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(CNN, marks=pytest.mark.slow),
        pytest.param((*CNN, "precision=float64"), marks=pytest.mark.slow),
        (*CNN, "precision=bf16"),
        (*CNN, "model.batch_norm=false", "optim=sgd", "optim.momentum=0.9"),
        (*CNN, "reg.dropout=0.3", "reg.label_smoothing=0.1", "dataset.label_noise=0.2"),
        (*CNN, "batch_size=full", "dataset.test_fraction=0"),
        (*CNN, "dataset.val_fraction=0", "monitor=train_loss", "dataset.channels=1"),
        (*CNN, "freeze.head_factor=3", "reg.weight_decay=0.01", "schedule=cosine", "reg=early_stopping"),
        (*IMAGES, "model=lenet", "dataset.size=12"),
        (*IMAGES, "model=mlp", "model.hidden=[9,7]", "model.batch_norm=true"),
        pytest.param(("dataset=moons", "model=mlp", "model.hidden=[9]"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_run_finds_what_it_finds_without(lab, overrides):
    lab.train("before", *overrides, "epochs=2", "seed=7")
    start = ("model.weights=before",) if "model=cnn" in overrides or "model=lenet" in overrides else ()
    same(lab, *overrides, *FROZEN, *start)


@pytest.mark.parametrize(
    ("model", "precision"),
    cases(
        product(("shufflenet_v2_x1_0", "efficientnet_b0"), ("float32", "bf16", "float64")),
        fast=[("shufflenet_v2_x1_0", "float32")],
    ),
)
def test_a_network_of_torchvisions_finds_what_it_finds_without(lab, model, precision):
    torch.save(settled(model), lab.folder / "weights.pt")
    asked = (*PHOTOS, f"model={model}", "model.weights=weights.pt", "reg.dropout=0.2", f"precision={precision}")
    # random weights make nearly the same of all samples, so that rounding decides on their order
    same(lab, *asked, "freeze=backbone", ranked=precision == "float64")
    rows = load_run(lab.folder / "with").row_list
    assert rows[-1]["train_loss"] < 0.95 * rows[0]["train_loss"], "it learns, or there is nothing to compare"


def settled(model: str) -> dict[str, torch.Tensor]:
    """Random weights in torchvision's own names, whose batch norms do something, and give a signal through."""
    torch.manual_seed(0)
    network = getattr(torchvision.models, model)(num_classes=4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.3, 1.0)
    return network.state_dict()


def same(lab, *overrides, ranked=True):
    """Run with features and without, and compare all numbers; those that depend on the order of samples if `ranked`."""
    with_them = lab.train("with", *overrides)
    without = lab.train("without", *overrides, "freeze.cache=false")
    assert len(log_of(with_them)) >= 2
    assert log_of(without) == []
    one, other = load_run(with_them), load_run(without)
    assert one.facts["chosen_epoch"] == other.facts["chosen_epoch"]
    assert len(one.row_list) == len(other.row_list)
    for row, expected in zip(one.row_list, other.row_list, strict=True):
        for name, value in expected.items():
            if ranked or name != "val_auroc":
                assert row[name] == pytest.approx(value, abs=1e-5), name
    if one.test is not None:
        predicted, reference = (
            np.genfromtxt(folder / "predictions.csv", delimiter=",", skip_header=1) for folder in (with_them, without)
        )
        np.testing.assert_allclose(predicted, reference, rtol=0.0, atol=1e-5)
    state, expected_state = last_state(with_them), last_state(without)
    assert state.keys() == expected_state.keys()
    for name, values in expected_state.items():
        if ".backbone." in name.replace("weights/", "."):
            assert state[name].tobytes() == values.tobytes()
        else:
            np.testing.assert_allclose(state[name], values, atol=2e-4)
    frozen = [(folder / "freeze.csv").read_text() for folder in (with_them, without)]
    assert frozen[0] == frozen[1]
    assert json.loads((with_them / "initial.json").read_text()) == json.loads((without / "initial.json").read_text())


# once


def test_a_second_run_with_another_learning_rate_makes_no_forward_pass_of_the_backbone(lab, monkeypatch):
    lab.train("first", *SMALL)
    counts = seen_by_convolutions(monkeypatch)
    second = lab.train("second", *SMALL, "optim.lr=0.01")
    assert max(counts) <= 2, "more than one sample of zeros, for the summary and the count of multiply-adds"
    assert sum(counts) < 20
    assert all(" from outputs/cache/features/" in line for line in log_of(second))
    assert load_run(second).facts["test_samples"] == 24


def test_the_screen_says_once_whether_features_are_computed_or_read(lab):
    first, second = (lab("figures=none", f"hydra.run.dir={name}", *SMALL) for name in ("first", "second"))
    assert first.err.count("the features of the frozen backbone are computed once and kept in outputs/cache/feat") == 1
    assert second.err.count("the features of the frozen backbone are read from outputs/cache/features\n") == 1
    assert "read from" not in first.err
    assert "computed once" not in second.err


def test_the_screen_says_that_features_are_kept_in_memory_where_there_is_no_folder_for_them(lab):
    lab.write("file", "")
    for cache in ("null", "file"):
        ended = lab("figures=none", *SMALL, f"cache={cache}")
        assert ended.code == 0, ended.err
        assert ended.err.count("the features of the frozen backbone are computed once and kept in memory\n") == 1


def test_the_trainer_sees_the_samples_of_each_batch_that_it_would_see_without():
    data = [prepared(*SMALL, f"freeze.cache={cache}", "cache=null").data for cache in ("true", "false")]
    assert [type(each.train) for each in data] == [FeatureSplit, splits.Split]
    ready = prepared(*SMALL, "cache=null")
    for ours, theirs in zip(data[0].train.batches(2, 1), data[1].train.batches(2, 1), strict=True):
        assert torch.equal(ours.targets, theirs.targets)
        assert ours.step == theirs.step
        torch.testing.assert_close(ours.inputs.values, ready.learner.features(theirs.inputs), rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(data[0].val.in_order(), data[1].val.in_order(), strict=True):
        assert torch.equal(ours.targets, theirs.targets)
        torch.testing.assert_close(ours.inputs.values, ready.learner.features(theirs.inputs), rtol=1e-4, atol=1e-5)
    positions = np.array([3, 1])
    assert torch.equal(data[0].train.at(positions).inputs, data[1].train.at(positions).inputs)
    assert data[0].train.pixels(positions).tobytes() == data[1].train.pixels(positions).tobytes()


def prepared(*overrides):
    return prepare(compose(list(overrides), Catalogue()).config, Shared())


def test_a_sweep_over_the_head_computes_them_once_and_reads_no_file_again(lab, monkeypatch):
    computed, read = [], []
    for name, seen in (("_computed", computed), ("_read", read)):
        ordinary = getattr(store.Store, name)

        def counting(self, *arguments, ordinary=ordinary, seen=seen):
            found = ordinary(self, *arguments)
            seen.append(found is not None)
            return found

        monkeypatch.setattr(store.Store, name, counting)
    values = ("optim.lr=0.01,0.1", "reg.dropout=0,0.5", "reg.label_smoothing=0,0.1")
    ended = lab("-m", "hydra.sweep.dir=sweep", *SMALL, *values, "figures=none")
    assert ended.code == 0, ended.err
    assert len(computed) == 3
    assert not any(read)
    assert "those that a run before this one had" in log_of(lab.folder / "sweep" / "7")[0]


def test_two_runs_at_a_time_compute_them_once(lab, forks):
    started = [forks(f"hydra.run.dir={lr}", *SMALL, f"optim.lr={lr}", "figures=none") for lr in (0.01, 0.1)]
    for fork in started:
        ended = fork.wait()
        assert ended.code == 0, ended.err
    assert sum("computed in" in line for name in ("0.01", "0.1") for line in log_of(lab.folder / name)) == 3
    assert not [path for path in files_of(lab) if path.suffix != ".npy"], "locks and temporary files are gone"


@pytest.mark.slow
def test_two_processes_of_a_sweep_compute_them_once(lab, forks):
    ended = forks("-m", "hydra.sweep.dir=sweep", *SMALL, "optim.lr=0.01,0.1", "jobs=2", "figures=none").wait()
    assert ended.code == 0, ended.err
    said = [line for number in "01" for line in log_of(lab.folder / "sweep" / number)]
    assert sum("computed in" in line for line in said) == 3
    for once in ("backbone are computed once and kept", "the backbone's weights are drawn at random"):
        assert ended.err.count(once) == 1
    assert not [path for path in files_of(lab) if path.suffix != ".npy"], "locks and temporary files are gone"


def test_without_a_folder_they_stay_in_memory(lab):
    folder = lab.train("run", *SMALL, "cache=null")
    assert all("kept in memory alone" in line for line in log_of(folder))
    assert not (lab.folder / "outputs").exists()
    assert_same_run(folder, lab.train("other", *SMALL))


@pytest.mark.parametrize(("typed", "cache"), [("null", None), ("./null", "./null"), ("a,b [c]", "a,b [c]")])
def test_null_is_no_folder_and_any_other_name_is_one(typed, cache):
    assert compose([f"cache={typed}"], Catalogue()).config["cache"] == cache


def test_memory_keeps_the_newest(monkeypatch):
    monkeypatch.setattr(store, "KEPT", 1000)
    kept = store.Kept()
    for number in range(4):
        kept.put(str(number), np.zeros(100))
        assert kept.get("0") is None if number > 0 else True
    assert "3" in kept
    assert "2" not in kept


def test_the_test_split_waits_until_it_is_read(lab, monkeypatch):
    computed, ended = [], []
    ordinary = store.Store.of

    def noting(self, split):
        computed.append((split.name, len(ended)))
        return ordinary(self, split)

    monkeypatch.setattr(store.Store, "of", noting)
    monkeypatch.setattr("labrunner.audit.Audit.chosen", lambda *arguments: ended.append(1))
    lab.train("run", *SMALL)
    assert computed == [("train", 0), ("val", 0), ("test", 1)]


# files


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"no array at all",
        lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
        lambda content: content.replace(b"(72,", b"(71,"),
        lambda content: content.replace(b"(72,", b"(9999999999999,"),
    ],
    ids=["last byte", "half", "empty", "text", "one bit", "shape", "huge"],
)
def test_a_damaged_file_is_made_again(lab, finished, damage):
    (whole,) = begun(lab, finished, whole=SMALL)
    content = {path: path.read_bytes() for path in files_of(lab)}
    train = next(path for path, held in content.items() if b"(72, 32)" in held)
    train.write_bytes(damage(content[train]))
    again = lab.train("again", *SMALL)
    assert_same_run(whole, again)
    assert any("is damaged and made again" in line for line in log_of(again))
    assert {path: path.read_bytes() for path in files_of(lab)} == content


def test_a_file_is_an_array_that_numpy_reads_and_the_hash_of_its_numbers(lab):
    lab.train("run", *SMALL)
    shapes = []
    for path in files_of(lab):
        values = np.load(path, allow_pickle=False)
        assert values.dtype == np.float32
        assert path.read_bytes().endswith(store.digest(values))
        shapes.append(values.shape)
    assert sorted(shapes) == [(24, 32), (24, 32), (72, 32)]


def test_a_folder_that_cannot_be_written_is_no_obstacle(lab):
    lab.write("outputs/cache/features", "a file")
    folder = lab.train("run", *SMALL)
    assert all("not kept" in line for line in log_of(folder))


def test_a_full_disk_is_no_obstacle(lab, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.np, "save", full)
    folder = lab.train("run", *SMALL)
    assert sum("cannot be written: No space left on device" in line for line in log_of(folder)) == 3
    assert [path for path in files_of(lab) if path.suffix == ".npy"] == []


OTHERS = [
    ("seed=4",),
    ("model.channels=[6,9]",),
    ("model.activation=tanh",),
    ("model.kernel=5",),
    ("dataset.noise=0.4",),
    ("dataset.samples=121",),
    ("dataset.normalize=none",),
    ("dataset.split_seed=1",),
    ("dataset.per_class=5",),
    ("precision=float64",),
    ("precision=bf16",),
]
ALIKE = [
    ("optim=sgd",),
    ("reg.label_smoothing=0.1",),
    ("batch_size=5",),
    ("epochs=9",),
    ("threads=1",),
    ("dataset.label_noise=0.3",),
    ("freeze.head_factor=2",),
    ("freeze=patterns", "freeze.train=[{epoch: 1, train: [head.weight]}]"),
]


@pytest.mark.parametrize("override", OTHERS, ids=" ".join)
def test_what_changes_features_changes_the_name_of_their_file(override):
    assert name_of_train(*override) != name_of_train()


@pytest.mark.parametrize("override", ALIKE, ids=" ".join)
def test_what_changes_the_head_alone_finds_the_same_file(override):
    assert name_of_train(*override) == name_of_train()


def name_of_train(*overrides):
    train = prepared(*SMALL, *overrides).data.train
    return train.store.key(train.inputs)


def test_weights_that_are_loaded_afterwards_are_those_that_count():
    ready, other = prepared(*SMALL, "cache=null"), prepared(*SMALL, "cache=null", "seed=9")
    before = ready.data.train.store.key(ready.data.train.inputs)
    ready.learner.load(other.learner.state())
    key = ready.data.train.store.key(ready.data.train.inputs)
    assert key != before
    assert key == other.data.train.store.key(other.data.train.inputs)
    mine, theirs = next(ready.data.train.in_order()), next(other.data.train.in_order())
    assert torch.equal(mine.inputs.values, theirs.inputs.values)


# where they cannot be used


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("augment=flip",), "augment.flip=0.5 makes other inputs"),
        (("augment.shift=1", "augment.jitter=0.2"), "augment.shift=1 and augment.jitter=0.2 make other inputs"),
        (("reg=mixup",), "reg.mixup=0.2 makes other inputs"),
        (("reg=cutmix",), "reg.cutmix=1.0 makes other inputs"),
        (("freeze=gradual", "freeze.every=9"), "freeze=gradual lets it train later"),
        (("freeze=gradual", "freeze.every=1000000000"), "freeze=gradual lets it train later"),
        (
            ("freeze=patterns", "freeze.train=[{epoch: 1, train: [head]}, {epoch: 50, train: ['*']}]"),
            "freeze=patterns lets it train later",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_where_they_cannot_be_used_the_log_says_why(lab, overrides, said):
    folder = lab.train("run", *SMALL, *overrides)
    (line,) = log_of(folder)
    assert "computed anew in each epoch" in line
    assert said in line
    assert files_of(lab) == []


@pytest.mark.parametrize(
    "overrides",
    [
        ("freeze=none",),
        ("freeze=partial",),
        ("freeze.cache=false",),
        ("freeze=gradual", "freeze.every=2"),
        ("freeze=patterns", "freeze.train=[{epoch: 1, train: [head, backbone.block1.norm.bias]}]"),
    ],
    ids=" ".join,
)
def test_where_nobody_expects_them_nothing_is_said(lab, overrides):
    assert log_of(lab.train("run", *SMALL, *overrides)) == []
    assert files_of(lab) == []


def test_features_that_memory_does_not_hold_are_not_kept(monkeypatch):
    monkeypatch.setattr("labrunner.features.MEMORY", 1e-6)
    data = prepared(*SMALL).data
    assert not splits.with_features(data)
    assert "they would take 0.0 GiB" in data.remarks[0]


# cut, resumed, planned


STOPPED = [(), ("cache=null",), ("reg.dropout=0.4", "precision=bf16")]


@pytest.mark.parametrize(
    ("overrides", "batch"),
    cases(product(STOPPED, (0, 7, 12)), fast=list(zip(STOPPED, (0, 7, 12), strict=True))),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_a_run_stopped_in_the_middle_of_an_epoch_and_resumed_is_the_run_in_one_piece(
    lab, finished, monkeypatch, overrides, batch
):
    (whole,) = begun(lab, finished, whole=(*SMALL, *overrides))
    with monkeypatch.context() as patch:
        interrupt_at(patch, TorchLearner, "train_batch", batch)
        assert lab("hydra.run.dir=cut", "figures=none", *SMALL, *overrides).code == 143
    assert lab("resume", "cut").code == 0
    assert_same_run(whole, lab.folder / "cut")


def test_a_run_that_is_extended_is_the_run_in_one_piece(lab):
    whole = lab.train("whole", *SMALL)
    lab.train("short", *SMALL, "epochs=2")
    shutil.rmtree(lab.folder / "outputs")
    assert lab("resume", "short", "epochs=4").code == 0
    assert_same_run(whole, lab.folder / "short")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_signal_ends_the_work_on_features_and_the_run_goes_on_later(lab, monkeypatch, split):
    whole = lab.train("whole", *SMALL, "cache=null")
    ordinary, asked = store.Store._parts, []

    def interrupted(self, of):
        for part in ordinary(self, of):
            if of.name == split and not asked:  # a second signal would end the process at once
                asked.append(signal.raise_signal(signal.SIGTERM))
            yield part

    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "_parts", interrupted)
        patch.setattr(store.Store, "seconds", lambda self, of: 0.0)
        patch.setattr("labrunner.deep.extraction.MOST", 10)
        ended = lab("hydra.run.dir=cut", "figures=none", *SMALL)
    assert ended.code == 143, ended.err
    assert load_run(lab.folder / "cut").status == "interrupted"
    assert not list((lab.folder / "outputs" / "cache" / "features").glob("*-*"))
    assert lab("resume", "cut").code == 0
    assert_same_run(whole, lab.folder / "cut")


def test_features_are_the_same_bytes_on_one_thread_and_on_two(lab):
    lab.train("one", *SMALL, "threads=1")
    content = {path.name: path.read_bytes() for path in files_of(lab)}
    shutil.rmtree(lab.folder / "outputs")
    lab.train("two", *SMALL, "threads=2")
    assert {path.name: path.read_bytes() for path in files_of(lab)} == content


def test_the_head_takes_the_threads_that_its_own_work_is_worth(lab, monkeypatch):
    monkeypatch.setattr("labrunner.machine.cores", lambda: 2)
    large = ("dataset=fake", "dataset.samples=60", "dataset.size=28", "model=cnn", "freeze=backbone", "epochs=1")
    folder = lab.train("run", *large)
    assert load_run(folder).environment["threads"] == 1
    assert "on 2 threads" in log_of(folder)[0]
    assert load_run(lab.train("without", *large, "freeze.cache=false")).environment["threads"] == 2


def test_a_plan_computes_no_features_and_writes_nothing(lab, monkeypatch):
    computed = []
    monkeypatch.setattr(store.Store, "_computed", lambda *arguments: computed.append(arguments))
    ended = lab("plan", "-m", *SMALL, "optim.lr=0.1,0.01", "seed=1,2")
    assert ended.code == 0, ended.err
    assert "4 runs to make" in ended.out
    assert computed == []
    assert lab.tree() == {}


def test_a_plan_counts_features_once_for_the_runs_that_share_them(lab, monkeypatch):
    from labrunner.planning import Costs

    monkeypatch.setattr(store.Store, "seconds", lambda self, split: 1000.0)
    costs = Costs()

    def seconds(*overrides):
        return costs.of(compose([*SMALL, *overrides], Catalogue()).config).seconds

    assert seconds() > 120_000.0
    assert seconds("optim.lr=0.1") < 100.0
    assert seconds("reg.dropout=0.1") < 100.0
    assert seconds("seed=8") > 120_000.0
    lab.train("run", *SMALL)
    assert Costs().of(compose([*SMALL], Catalogue()).config).seconds < 100.0


def test_a_long_run_says_how_long_features_take(lab, monkeypatch):
    monkeypatch.setattr(store.Store, "seconds", lambda self, split: 1.0)
    ended = lab("hydra.run.dir=run", "figures=none", *SMALL)
    assert "this will take about 2 min: 2 min for the features of the backbone, 4 epochs of 0.0 s" in ended.err


def test_a_terminal_shows_how_far_they_are(lab, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    ended = lab("hydra.run.dir=run", "figures=none", *SMALL)
    assert ended.code == 0
    assert "features of the backbone" in ended.err


def test_the_learning_rate_finder_trains_on_them(lab, monkeypatch):
    lab.train("run", *SMALL)
    counts = seen_by_convolutions(monkeypatch)
    ended = lab("lr-find", *SMALL, "hydra.run.dir=found")
    assert ended.code in (0, 1), ended.err
    assert max(counts) <= 2


# what looks on


LOOKING = [name for name in PROBES if name not in ("trajectory", "boundaries", "separation", "least_squares")]


@pytest.mark.parametrize("name", LOOKING)
def test_a_probe_sees_what_it_sees_without(lab, finished, name):
    common = (*SMALL, "model.weights=before", "optim.lr=0.01", "precision=float64")
    before = (*CNN, "epochs=2", "seed=7")
    _, alone = begun(lab, finished, before=before, alone=(*common, "probes=[]"))
    shutil.rmtree(lab.folder / "outputs")
    asked = (*common, f"probes=[{name}]")
    watched = lab.train("watched", *asked)
    without = lab.train("without", *asked, "freeze.cache=false")
    assert_same_but_for_probes(watched, alone)
    names = sorted(path.name for path in (watched / "probes").iterdir())
    assert names == sorted(path.name for path in (without / "probes").iterdir())
    assert len(names) > 1, "it has noted nothing"
    for file in names:
        if file.endswith(".npy"):
            arrays = [np.load(folder / "probes" / file) for folder in (watched, without)]
            np.testing.assert_allclose(*(each.astype(float) for each in arrays), rtol=1e-6, atol=1e-6)
            continue
        one, other = (cells(folder / "probes" / file) for folder in (watched, without))
        assert len(one) == len(other)
        for ours, theirs in zip(one, other, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6), file


def cells(path: Path) -> list[float]:
    """Numbers of a table, and texts as their hashes, cell by cell."""
    found = []
    for line in path.read_text().splitlines():
        for cell in line.split(","):
            try:
                found.append(float(cell))
            except ValueError:
                found.append(float(sum(cell.encode())))
    return found


def assert_same_but_for_probes(one: Path, other: Path) -> None:
    told = ("facts.json", "checks.csv")
    left, right = (
        {
            name: content
            for name, content in essence(folder).items()
            if name not in told and not name.startswith(("probes/", "checkpoints/"))
        }
        for folder in (one, other)
    )
    assert left == right
    states = last_state(one), last_state(other)
    assert all(states[0][name].tobytes() == states[1][name].tobytes() for name in states[1])


def test_evaluate_reads_the_test_split_through_the_whole_network(lab, monkeypatch):
    folder = lab.train("run", *SMALL)
    test = load_run(folder).test
    shutil.rmtree(lab.folder / "outputs")
    counts = seen_by_convolutions(monkeypatch)
    ended = lab("evaluate", "run")
    assert ended.code == 0, ended.err
    assert 24 in counts
    assert f"{test['accuracy']:.4f}" in ended.out
    assert files_of(lab) == []


# a network of somebody else's

ELSEWHERE = '''
import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    def __init__(self, planes):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(planes, planes, 3, padding=1, bias=False), nn.BatchNorm2d(planes)

    def forward(self, x):
        return F.relu(x + self.bn(self.conv(x)))


class FishNet(nn.Module):
    """As another package has it: its own names, a classifier of a thousand classes, weights in a file."""

    def __init__(self):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 12, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(12)
        self.blocks = nn.Sequential(Residual(12), Residual(12))
        self.classifier = nn.Linear(12, 1000)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn(self.stem(x))))
        return self.classifier(x.mean((2, 3)))
'''
WRAPPED = """
import fishnet
import torch
from torch import nn

class Fish(nn.Module):
    def __init__(self, input_shape, num_classes, file):
        super().__init__()
        self.backbone = fishnet.FishNet()
        self.backbone.load_state_dict(torch.load(file, weights_only=True))
        self.backbone.classifier, self.head = nn.Identity(), nn.Linear(12, num_classes)
    def forward(self, images):
        return self.head(self.backbone(images))
"""
WRAPPED_YAML = """# FishNet, as its authors trained it.
_target_: my_fish.Fish
file: fishnet.pt
"""


@pytest.fixture
def wrapped(lab, monkeypatch):
    """A package of somebody's with a weights file, and a user's ten lines around it."""
    lab.write("fishnet.py", ELSEWHERE)
    lab.write("my_fish.py", WRAPPED)
    lab.write("conf/model/fish.yaml", WRAPPED_YAML)
    monkeypatch.syspath_prepend(lab.folder)
    import fishnet

    torch.manual_seed(5)
    network = fishnet.FishNet().train()
    for _ in range(3):  # so that its batch norms have seen something
        network(torch.randn(16, 3, 8, 8))
    torch.save(network.state_dict(), lab.folder / "fishnet.pt")
    return lab


WRAPPED_RUN = ("model=fish", *IMAGES, *FROZEN, "optim.lr=0.02")


def test_a_pretrained_network_from_another_package_goes_through_freeze_audit_and_cache(wrapped, monkeypatch):
    assert len(WRAPPED.strip().splitlines()[4:]) <= 10, "of Python, imports apart"
    same(wrapped, *WRAPPED_RUN)
    folder = wrapped.folder / "with"
    assert all("computed in" in line for line in log_of(folder))
    file, state = torch.load(wrapped.folder / "fishnet.pt", weights_only=True), last_state(folder)
    for name, tensor in file.items():
        if not name.startswith("classifier."):
            assert torch.equal(tensor, torch.from_numpy(state[f"weights/backbone.{name}"]))
    lines = (folder / "freeze.csv").read_text().splitlines()
    assert lines[-1].startswith("head,52,52,")
    assert all(line.endswith(",0") for line in lines[1:]), lines
    counts = seen_by_convolutions(monkeypatch)
    second = wrapped.train("second", *WRAPPED_RUN, "optim.lr=0.1")
    assert max(counts) <= 4, "a few samples, to see that it still is head(backbone(inputs))"
    assert all(" from outputs/cache" in line for line in log_of(second))
    for verb in (("evaluate", "with"), ("resume", "with", "epochs=6")):
        ended = wrapped(*verb)
        assert ended.code == 0, ended.err


def test_a_file_of_the_users_that_is_edited_is_computed_with_anew(wrapped):
    wrapped.train("run", *WRAPPED_RUN)
    count = len(files_of(wrapped))
    import sys

    path = wrapped.folder / "fishnet.py"
    path.write_text(path.read_text().replace("F.relu(x + self", "F.gelu(x + self"))
    for name in ("fishnet", "my_fish"):
        del sys.modules[name]
    shutil.rmtree(wrapped.folder / "__pycache__", ignore_errors=True)
    again = wrapped.train("again", *WRAPPED_RUN)
    assert all("computed in" in line for line in log_of(again))
    assert len(files_of(wrapped)) == 2 * count


def test_a_helper_that_no_hash_knows_of_is_noticed_when_it_changes_what_is_computed(wrapped):
    import sys

    wrapped.write("helper.py", "SCALE = 1.0\n")
    text = ELSEWHERE.replace("return self.classifier(x", "return self.classifier(helper.SCALE * x")
    wrapped.write("fishnet.py", "import helper\n" + text)
    sys.modules.pop("fishnet")
    wrapped.train("run", *WRAPPED_RUN)
    before = {path: path.read_bytes() for path in files_of(wrapped)}
    sys.modules["helper"].SCALE = 2.0
    again = wrapped.train("again", *WRAPPED_RUN)
    assert sum("computed otherwise" in line for line in log_of(again)) >= 3
    after = {path: path.read_bytes() for path in files_of(wrapped)}
    assert before.keys() == after.keys()
    for path in before:
        np.testing.assert_allclose(np.load(path), 2.0 * np.frombuffer(before[path][128:-32], "<f4").reshape(-1, 12))


def test_a_network_whose_forward_does_more_is_trained_as_it_is_and_the_log_says_so(wrapped):
    text = WRAPPED.replace(
        "self.backbone(images))", "nn.functional.dropout(self.backbone(images), 0.5, self.training))"
    )
    wrapped.write("my_fish.py", text)
    folder = wrapped.train("run", *WRAPPED_RUN)
    (line,) = log_of(folder)
    assert "the scores of Fish are not head(backbone(inputs))" in line
    assert files_of(wrapped) == []


def test_a_backbone_that_its_maker_froze_needs_no_freeze(wrapped):
    text = WRAPPED.replace(
        "self.backbone.classifier, self.head",
        "self.backbone.requires_grad_(False)\n        " + "self.backbone.classifier, self.head",
    )
    wrapped.write("my_fish.py", text)
    folder = wrapped.train("run", *WRAPPED_RUN, "freeze=none")
    assert len(log_of(folder)) == 3
    assert safetensors.numpy.load_file(checkpoint.listed(folder / "checkpoints")[-1][2])


def test_the_extraction_is_made_once_for_all_splits(lab, monkeypatch):
    made = []
    ordinary = Extraction.__init__

    def counting(self, *arguments):
        made.append(1)
        ordinary(self, *arguments)

    monkeypatch.setattr(Extraction, "__init__", counting)
    lab.train("run", *SMALL)
    assert made == [1]
