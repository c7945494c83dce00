"""What a run leaves behind, recomputed from its own files; and how a run goes on, ends badly, or is repeated."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import math
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml
from filelock import FileLock
from safetensors.numpy import load_file
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from labrunner import checkpoint, results, running, trainer
from labrunner.errors import RunError
from labrunner.records import RunFolder, load_run
from tests.cli.cuts import copies_at_each_write, interrupt_at
from tests.cli.kinds import KINDS, TINY, overrides_of
from tests.cli.lab import Lab, Undrawn, assert_same_run
from tests.lines import cases, line

FILES = {
    *("config.yaml", "overrides.yaml", "environment.json", "status.json", "log.txt", "summary.txt", "metrics.csv"),
    *("timing.csv", "test.json", "per_class.csv", "confusion.csv", "predictions.csv", "samples.npz", "facts.json"),
    *("checks.csv", "initial.json", "freeze.csv", "preprocessing.json", "probes/epochs.csv", "checksums.json"),
}
COLUMNS = "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy,val_precision,val_recall,val_f1,val_auroc"


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def fresh_learner(folder: Path) -> running.Ready:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    return running.prepare(config, running.Shared())


# a finished run


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of plain ``labrunner``, but for its figures."""
    from labrunner.cli import main

    before, handlers = Path.cwd(), [(each, signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM)]
    folder = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labrunner.drawing.Drawing", Undrawn)
        os.chdir(folder)
        try:
            assert main(["figures=none"]) == 0
        finally:
            os.chdir(before)
            for signum, handler in handlers:
                signal.signal(signum, handler)
    (run,) = (folder / "outputs" / "runs").iterdir()
    return run


def test_a_run_lands_under_outputs_with_all_files_of_the_format(done):
    assert {str(path.relative_to(done)) for path in done.rglob("*") if path.is_file()} >= FILES
    assert (done / "figures").is_dir()
    assert ":" not in done.name
    assert json.loads((done / "status.json").read_text())["status"] == "done"
    assert json.loads((done / "environment.json").read_text())["format"] == 1
    assert not list(done.rglob("*.tmp"))


def test_a_page_of_results_is_printed_and_names_the_folder(lab):
    ended = lab("hydra.run.dir=here", *TINY, "epochs=2", "figures=none")
    assert (ended.code, ended.err) == (0, "")
    test = json.loads((lab.folder / "here" / "test.json").read_text())
    assert f"accuracy {test['accuracy']:.4f}" in ended.out
    assert ended.out.splitlines()[-1].strip() == "here"


def test_metrics_csv_has_a_row_an_epoch_and_floats_that_read_back_to_the_bit(done):
    lines = (done / "metrics.csv").read_text().splitlines()
    assert lines[0] == COLUMNS
    rows = [text.split(",") for text in lines[1:]]
    assert [row[0] for row in rows] == [str(epoch) for epoch in range(1, 31)]
    for row in rows:
        assert all(repr(float(cell)) == cell for cell in row[1:])


def test_timing_csv_has_a_row_an_epoch_whose_parts_do_not_exceed_the_whole(done):
    rows = table(done / "timing.csv")
    assert list(rows[0]) == ["epoch", "seconds", "train_seconds", "val_seconds"]
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 31)]
    for row in rows:
        assert float(row["train_seconds"]) + float(row["val_seconds"]) <= float(row["seconds"]) + 1e-9


def test_test_json_agrees_with_scikit_learn_on_predictions_csv(done):
    rows = table(done / "predictions.csv")
    labels = np.array([int(row["label"]) for row in rows])
    predicted = np.array([int(row["predicted"]) for row in rows])
    probabilities = np.array([[float(row[f"p_{k}"]) for k in range(10)] for row in rows])
    test = json.loads((done / "test.json").read_text())
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    auroc = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert test["n"] == len(rows) == 359
    assert test["accuracy"] == pytest.approx((labels == predicted).mean(), abs=1e-12)
    assert test["precision"] == pytest.approx(precision, abs=1e-6)
    assert test["recall"] == pytest.approx(recall, abs=1e-6)
    assert test["f1"] == pytest.approx(f1, abs=1e-6)
    assert test["auroc"] == pytest.approx(auroc, abs=1e-6)
    assert test["loss"] == pytest.approx(-np.log(probabilities[np.arange(len(labels)), labels]).mean(), rel=1e-5)
    assert test["accuracy_low"] < test["accuracy"] < test["accuracy_high"]


def test_per_class_csv_agrees_with_scikit_learn_on_predictions_csv(done):
    rows = table(done / "predictions.csv")
    labels, predicted = ([int(row[name]) for row in rows] for name in ("label", "predicted"))
    expected = precision_recall_fscore_support(labels, predicted, zero_division=0)
    for k, row in enumerate(table(done / "per_class.csv")):
        assert row["class"] == str(k)
        assert int(row["support"]) == expected[3][k]
        for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
            assert float(row[name]) == pytest.approx(values[k], abs=1e-9)
        scores = [float(each[f"p_{k}"]) for each in rows]
        assert float(row["auroc"]) == pytest.approx(roc_auc_score(np.array(labels) == k, scores), abs=1e-6)


def test_confusion_csv_agrees_with_scikit_learn_and_rows_are_the_truth(done):
    rows = table(done / "predictions.csv")
    expected = confusion_matrix([int(row["label"]) for row in rows], [int(row["predicted"]) for row in rows])
    lines = [line.split(",") for line in (done / "confusion.csv").read_text().splitlines()]
    assert lines[0][1:] == [line[0] for line in lines[1:]] == [str(k) for k in range(10)]
    assert [[int(cell) for cell in line[1:]] for line in lines[1:]] == expected.tolist()


def test_probabilities_sum_to_one_and_the_prediction_is_the_largest(done):
    for row in table(done / "predictions.csv"):
        probabilities = [float(row[f"p_{k}"]) for k in range(10)]
        assert math.fsum(probabilities) == pytest.approx(1.0, abs=1e-12)
        assert min(probabilities) >= 0.0
        assert int(row["predicted"]) == int(np.argmax(probabilities))


def test_the_index_of_a_prediction_is_its_position_in_the_whole_data_set(done):
    rows = table(done / "predictions.csv")
    index = [int(row["index"]) for row in rows]
    assert [int(row["label"]) for row in rows] == load_digits().target[index].tolist()
    assert len(set(index)) == len(index)


def test_samples_npz_shows_pixels_of_the_data_set_and_the_predictions_of_the_run(done):
    samples, digits = np.load(done / "samples.npz"), load_digits()
    by_index = {int(row["index"]): row for row in table(done / "predictions.csv")}
    assert samples["image"].shape[1:] == (1, 8, 8)
    np.testing.assert_array_equal(samples["image"][:, 0], digits.images[samples["index"]].astype(np.uint8))
    for index, label, predicted in zip(samples["index"], samples["label"], samples["predicted"], strict=True):
        assert (by_index[index]["label"], by_index[index]["predicted"]) == (str(label), str(predicted))
    cells = set(zip(samples["label"].tolist(), samples["predicted"].tolist(), strict=True))
    assert cells == {(int(row["label"]), int(row["predicted"])) for row in by_index.values()}


def test_the_chosen_checkpoint_in_a_fresh_learner_makes_the_same_predictions_csv(done, tmp_path):
    ready = fresh_learner(done)
    chosen = json.loads((done / "test.json").read_text())["epoch"]
    state, position = checkpoint.read(done / "checkpoints" / f"{chosen:05d}.safetensors")
    ready.learner.load(state)
    assert position.epoch == chosen
    folder = RunFolder.create(tmp_path / "again")
    try:
        results.write_evaluation(folder, ready.data, trainer.evaluate(ready.learner, ready.data.test))
    finally:
        folder.close()
    for name in ("predictions.csv", "per_class.csv", "confusion.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (done / name).read_bytes()


def test_the_chosen_epoch_is_the_first_with_the_lowest_validation_loss(done):
    losses = [float(row["val_loss"]) for row in table(done / "metrics.csv")]
    assert json.loads((done / "test.json").read_text())["epoch"] == losses.index(min(losses)) + 1


def test_the_validation_row_of_the_chosen_epoch_is_what_its_checkpoint_gives(done):
    ready = fresh_learner(done)
    chosen = json.loads((done / "test.json").read_text())["epoch"]
    ready.learner.load(checkpoint.read(done / "checkpoints" / f"{chosen:05d}.safetensors")[0])
    again = trainer.evaluate(ready.learner, ready.data.val)
    row = table(done / "metrics.csv")[chosen - 1]
    assert repr(again.scores.loss) == row["val_loss"]
    assert repr(again.scores.accuracy) == row["val_accuracy"]


def test_the_last_two_checkpoints_and_the_best_are_kept(done):
    chosen = json.loads((done / "test.json").read_text())["epoch"]
    kept = {f"{epoch:05d}.safetensors" for epoch in (29, 30, chosen)}
    assert {path.name for path in (done / "checkpoints").iterdir()} == kept


def test_a_checkpoint_holds_no_path_no_time_and_no_name_of_the_run(done):
    content = (done / "checkpoints" / "00030.safetensors").read_bytes()
    assert done.name.encode() not in content
    assert str(done.parent).encode() not in content
    assert b"20" + done.name[2:10].encode() not in content


def test_initial_json_holds_the_hashes_of_a_fresh_learner_and_not_of_the_trained_one(done):
    hashes = json.loads((done / "initial.json").read_text())
    weights = fresh_learner(done).learner.weights()
    assert hashes == {name: checkpoint.tensor_hash(name, values) for name, values in weights.items()}
    state = load_file(done / "checkpoints" / "00030.safetensors")
    assert all(checkpoint.tensor_hash(name, state[f"weights/{name}"]) != hashes[name] for name in hashes)


def test_facts_json_counts_what_closed_forms_count(done):
    facts = json.loads((done / "facts.json").read_text())
    assert facts["parameters"] == facts["parameters_trainable"] == (64 * 128 + 128) + (128 * 10 + 10)
    assert facts["multiply_adds"] == 64 * 128 + 128 * 10
    assert (facts["train_samples"], facts["val_samples"], facts["test_samples"]) == (1079, 359, 359)
    assert facts["epochs"] == 30
    assert facts["steps"] == 30 * math.ceil(1079 / 32)
    assert facts["chosen_epoch"] == json.loads((done / "test.json").read_text())["epoch"]


def test_the_summary_states_the_exact_number_of_parameters(done):
    assert "9,610 parameters, 9,610 trainable, 0 frozen" in (done / "summary.txt").read_text()


def test_the_record_says_what_was_typed_and_what_was_chosen(lab):
    folder = lab.train("typed", *TINY, "optim=sgd", "optim.lr=0.05", "epochs=1")
    said = yaml.safe_load((folder / "overrides.yaml").read_text())
    assert said["overrides"] == ["hydra.run.dir=typed", "figures=none", *TINY, "optim=sgd", "optim.lr=0.05", "epochs=1"]
    assert said["choices"]["optim"] == "sgd"
    assert said["choices"]["model"] == "mlp"


def test_the_saved_config_alone_repeats_the_run(done, tmp_path):
    config = yaml.safe_load((done / "config.yaml").read_text())
    running.run(config, tmp_path / "again", running.Shared())
    assert_same_run(done, tmp_path / "again")


def test_the_default_run_reaches_its_promised_accuracy_over_five_seeds(done, lab):
    accuracies = [json.loads((done / "test.json").read_text())["accuracy"]]
    for seed in range(1, 5):
        folder = lab.train(f"seed{seed}", f"seed={seed}")
        accuracies.append(json.loads((folder / "test.json").read_text())["accuracy"])
    assert len(set(accuracies)) > 1
    assert np.mean(accuracies) >= 0.965


def test_other_seeds_share_the_split_and_another_split_seed_does_not(lab):
    def index(name: str, *overrides: str) -> list[str]:
        return [row["index"] for row in table(lab.train(name, "smoke=true", *overrides) / "predictions.csv")]

    first = index("a")
    assert index("b", "seed=7") == first
    assert index("c", "dataset.split_seed=7") != first


def test_both_perceptrons_begin_with_equal_weights_and_their_first_epoch_agrees(lab):
    common = ("epochs=1", "precision=float64", "dataset=fake", "dataset.samples=80", "model.hidden=[12]")
    torch_run = lab.train("torch", *common)
    numpy_run = lab.train("numpy", "model=mlp_numpy", *common)
    assert (torch_run / "initial.json").read_bytes() == (numpy_run / "initial.json").read_bytes()
    ours, theirs = (table(folder / "metrics.csv")[0] for folder in (numpy_run, torch_run))
    for name in ("train_loss", "val_loss"):
        assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=1e-10)


def test_without_validation_and_test_splits_their_numbers_are_blank_and_the_last_epoch_is_chosen(lab):
    folder = lab.train("bare", *TINY, "epochs=3", "dataset.val_fraction=0", "dataset.test_fraction=0")
    for row in table(folder / "metrics.csv"):
        assert [row[name] for name in row if name.startswith("val_")] == [""] * 6
        assert float(row["train_loss"]) > 0.0
    assert not (folder / "test.json").exists()
    assert not (folder / "predictions.csv").exists()
    assert json.loads((folder / "facts.json").read_text())["chosen_epoch"] == 3


def test_select_last_tests_the_last_epoch_and_monitor_accuracy_is_maximized(lab):
    last = lab.train("last", *TINY, "epochs=3", "select=last")
    assert json.loads((last / "test.json").read_text())["epoch"] == 3
    highest = lab.train("highest", *TINY, "epochs=6", "monitor=val_accuracy", "optim.lr=0.01")
    accuracies = [float(row["val_accuracy"]) for row in table(highest / "metrics.csv")]
    assert json.loads((highest / "test.json").read_text())["epoch"] == accuracies.index(max(accuracies)) + 1


def test_smoke_trains_one_epoch_of_four_batches_and_tests_the_whole_split(lab):
    folder = lab.train("smoke", "smoke=true", "epochs=9")
    assert len(table(folder / "metrics.csv")) == 1
    assert json.loads((folder / "facts.json").read_text())["steps"] == 4
    assert len(table(folder / "predictions.csv")) == 359


def test_a_full_batch_is_one_step_an_epoch(lab):
    folder = lab.train("full", *TINY, "batch_size=full", "epochs=2")
    assert json.loads((folder / "facts.json").read_text())["steps"] == 2


def test_the_learning_rate_of_a_row_is_that_of_its_last_step(lab):
    folder = lab.train("cosine", *TINY, "schedule=cosine", "epochs=2", "optim.lr=0.01", "schedule.min_lr=0.001")
    steps = math.ceil(len(range(120)) * 0.6 / 24)
    for epoch, row in enumerate(table(folder / "metrics.csv"), start=1):
        share = (epoch * steps - 1) / (2 * steps)
        assert float(row["lr"]) == pytest.approx(0.001 + 0.009 * (1 + math.cos(math.pi * share)) / 2, rel=1e-12)


# runs of one process after each other


def test_runs_of_one_process_do_not_leave_anything_to_the_next(lab, forks):
    from labrunner.compose import compose
    from labrunner.helping import Catalogue

    kinds = {
        "cnn": (*TINY[:3], "model=cnn", "model.channels=[4]", "reg=dropout", "epochs=2"),
        "mlp": (*TINY, "reg=dropout", "optim=sgd", "optim.momentum=0.9", "epochs=2", "threads=2"),
        "numpy": (*TINY, "model=mlp_numpy", "reg=dropout", "epochs=2"),
    }
    alone = [forks(f"hydra.run.dir=alone_{name}", "figures=none", *kinds[name]) for name in kinds]
    shared = running.Shared()
    for order in (list(kinds), list(reversed(kinds))):
        for name in order:
            config = compose([*kinds[name], "figures=none"], Catalogue()).config
            running.run(config, lab.folder / f"{name}_{order[0]}", shared)
    assert [fork.wait().code for fork in alone] == [0, 0, 0]
    for name in kinds:
        assert_same_run(lab.folder / f"{name}_cnn", lab.folder / f"alone_{name}")
        assert_same_run(lab.folder / f"{name}_numpy", lab.folder / f"alone_{name}")


# resuming


@line(1, "cut after each row and each checkpoint")
@pytest.mark.parametrize(
    "kind",
    cases(KINDS, fast=["adam with patience", "cnn with dropout", "adamw with plateau and penalties", "perceptron"]),
)
def test_a_run_cut_after_any_row_or_checkpoint_ends_with_the_bytes_of_the_uninterrupted_one(lab, monkeypatch, kind):
    with monkeypatch.context() as patch:
        copies = copies_at_each_write(patch)
        whole = lab.train("whole", *overrides_of(kind))
    stopped = len(table(whole / "metrics.csv"))
    assert stopped == 5 or "patience" in kind
    assert len(copies) == 2 * stopped
    for (rows, what), copy in copies.items():
        ended = lab("resume", copy.name)
        assert ended.code == 0, (rows, what, ended.err)
        assert_same_run(whole, copy)
        assert json.loads((copy / "test.json").read_text())["reads"] == 1


def test_early_stopping_is_among_what_was_cut_and_resumed(lab):
    folder = lab.train("early", *overrides_of("adam with patience"), "epochs=30")
    rows = table(folder / "metrics.csv")
    losses = [float(row["val_loss"]) for row in rows]
    assert len(rows) < 30
    assert len(rows) - (losses.index(min(losses)) + 1) == 2


@line(3, "stopped at every batch, the test's included")
@pytest.mark.parametrize(
    "kind",
    cases(
        [
            "adam",
            "momentum with cosine",
            "cnn with dropout",
            "numpy with dropout",
            "numpy with batch norm",
            "mixup of augmented images",
            "perceptron",  # counts its updates, and says at each epoch's start how many there were
        ],
        fast=["adam", "mixup of augmented images", "perceptron"],
    ),
)
def test_a_run_stopped_at_any_batch_ends_with_the_bytes_of_the_uninterrupted_one(lab, monkeypatch, kind):
    from labrunner.deep import TorchLearner
    from labrunner.scratch import NumpyLearner, PerceptronLearner

    overrides = overrides_of(kind, epochs=2)
    whole = lab.train("whole", *overrides)
    steps = json.loads((whole / "facts.json").read_text())["steps"]
    learner = NumpyLearner if "numpy" in kind else PerceptronLearner if kind == "perceptron" else TorchLearner
    # 2 epochs of training batches, and the one batch of each validation and of the test
    for name, count in (("train_batch", steps), ("eval_batch", 3)):
        for number in range(count):
            folder = lab.folder / f"{name}{number}"
            with monkeypatch.context() as patch:
                interrupt_at(patch, learner, name, number)
                ended = lab(f"hydra.run.dir={folder.name}", "figures=none", *overrides)
            assert ended.code == 143
            if (name, number) == ("eval_batch", 2):  # it came with the last batch of all: the run is done
                assert_same_run(whole, folder)
                assert "the run is done" in ended.err
                assert "not drawn" in ended.err
                continue
            assert ended.err == f"labrunner: error: interrupted; to go on: labrunner resume {folder.name}\n"
            assert load_run(folder).status == "interrupted"
            assert lab("resume", folder.name).code == 0
            assert_same_run(whole, folder)


def test_resuming_loses_no_step_of_an_interrupted_pass(lab, monkeypatch):
    from labrunner.deep import TorchLearner

    method, steps = TorchLearner.train_batch, []

    def counted(self, batch, lr):
        steps.append(batch.step)
        if len(steps) == 5:
            signal.raise_signal(signal.SIGINT)
        return method(self, batch, lr)

    monkeypatch.setattr(TorchLearner, "train_batch", counted)
    assert lab("hydra.run.dir=cut", "figures=none", *TINY, "epochs=3").code == 130
    assert lab("resume", "cut").code == 0
    assert steps == list(range(9))


def test_a_constant_schedule_extended_is_the_run_in_one_piece(lab):
    for kind in ("adam", "momentum", "cnn with dropout"):
        name = kind.split()[0]
        whole = lab.train(f"{name}_whole", *overrides_of(kind, epochs=5))
        grown = lab.train(f"{name}_grown", *overrides_of(kind, epochs=2))
        ended = lab("resume", grown.name, "epochs=5")
        assert ended.code == 0, ended.err
        assert_same_run(whole, grown)
        assert json.loads((grown / "test.json").read_text())["reads"] == 2
        assert yaml.safe_load((grown / "config.yaml").read_text())["epochs"] == 5


def test_a_run_that_stopped_early_stays_stopped(lab):
    folder = lab.train("early", *overrides_of("adam with patience"), "epochs=30")
    before = (folder / "metrics.csv").read_bytes(), (folder / "predictions.csv").read_bytes()
    ended = lab("resume", "early", "epochs=40")
    assert ended.code == 0, ended.err
    assert ((folder / "metrics.csv").read_bytes(), (folder / "predictions.csv").read_bytes()) == before


def test_resuming_a_finished_run_says_so_and_changes_nothing(lab):
    folder = lab.train("done", *TINY, "epochs=2")
    before = lab.tree()
    ended = lab("resume", "done")
    assert (ended.code, ended.out) == (0, "")
    assert "done: 2 epochs" in ended.err
    assert "labrunner resume done epochs=4" in ended.err
    assert lab.tree() == before
    assert json.loads((folder / "test.json").read_text())["reads"] == 1


@pytest.fixture
def cut(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A whole run of four epochs, and what a crash after its third would have left."""
    with monkeypatch.context() as patch:
        copies = copies_at_each_write(patch)
        whole = lab.train("whole", *TINY, "epochs=4")
    return whole, copies["3", "checkpoint"]


def test_a_half_written_last_line_is_computed_again(lab, cut):
    whole, folder = cut
    with open(folder / "metrics.csv", "a") as file:
        file.write("4,0.001,0.3")
    assert lab("resume", folder.name).code == 0
    assert_same_run(whole, folder)


def test_left_over_temporary_files_do_not_matter(lab, cut):
    whole, folder = cut
    (folder / "checkpoints" / ".00004.safetensors.tmp").write_bytes(b"half")
    (folder / ".config.yaml.tmp").write_bytes(b"half")
    assert lab("resume", folder.name).code == 0
    left = {path.name for path in (folder / "checkpoints").iterdir()} - {".00004.safetensors.tmp"}
    assert left == {path.name for path in (whole / "checkpoints").iterdir()}
    assert (folder / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()


def test_a_run_cut_before_its_first_row_gets_all_of_its_files_when_resumed(lab, cut):
    whole, folder = cut
    for name in ("environment.json", "overrides.yaml", "status.json", "summary.txt", "initial.json", "log.txt"):
        (folder / name).unlink()
    for name in ("metrics.csv", "timing.csv"):
        (folder / name).write_text((folder / name).read_text().splitlines(keepends=True)[0])
    shutil.rmtree(folder / "checkpoints")
    shutil.rmtree(folder / "probes")
    ended = lab("resume", folder.name)
    assert ended.code == 0, ended.err
    assert_same_run(whole, folder)
    assert json.loads((folder / "environment.json").read_text())["threads"] == 1


def test_a_resume_names_who_holds_the_run_and_touches_nothing(lab, cut):
    _, folder = cut
    with FileLock(folder / ".lock"):
        before = lab.tree()
        ended = lab("resume", folder.name)
        assert lab.tree() == before
    assert (ended.code, ended.out) == (2, "")
    assert str(os.getpid()) in ended.err
    assert folder.name in ended.err


REFUSED_CHANGES = {
    "optim.lr=0.1": ("optim.lr=0.1", "epochs", "start a new run"),
    "seed=1": ("seed=1", "epochs"),
    "model=cnn": ("model=cnn", "epochs"),
    "smoke=true": ("smoke=true", "epochs"),
    "epohcs=9": ("epohcs", "epochs"),
    "epochs=abc": ("epochs=abc", "whole number"),
    "epochs=": ("epochs=", "whole number"),
    "epochs=0": ("epochs=0", "whole number"),
    "epochs=2": ("epochs=2", "4 already"),
    "epochs=true": ("epochs=true", "whole number"),
    "epochs=[": ("epochs=[", "whole number"),
    "epochs=5,6": ("epochs=5,6", "whole number"),
    "threads=0": ("threads=0", "auto"),
    "device=gpu": ("device=gpu", "cpu"),
    "figures=nome": ("figures=nome", "none"),
    "hydra.run.dir=x": ("hydra.run.dir",),
    "~epochs": ("~epochs",),
    "+epochs=9": ("+epochs",),
}


def test_a_resume_refuses_to_change_what_the_run_computes(lab):
    lab.train("done", *TINY, "epochs=4")
    before = lab.tree()
    for change, words in REFUSED_CHANGES.items():
        ended = lab("resume", "done", change)
        assert (ended.code, ended.out) == (2, ""), change
        assert all(word in ended.err for word in words), ended.err
        assert 1 <= len(ended.err.splitlines()) <= 3
        assert ended.err.startswith("labrunner: error: ")
    assert lab.tree() == before


def test_a_resume_takes_another_thread_count_and_keeps_the_recorded_one_otherwise(lab, cut, monkeypatch):
    import torch
    from threadpoolctl import threadpool_info

    whole, folder = cut
    seen: set[tuple[int, ...]] = set()
    monkeypatch.setattr(running, "threads_for", lambda work: 2)  # as on a machine with another rule
    evaluate = trainer.evaluate

    def watched(*arguments, **named):
        blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        seen.add((torch.get_num_threads(), *blas))
        return evaluate(*arguments, **named)

    monkeypatch.setattr(trainer, "evaluate", watched)
    assert lab("resume", folder.name).code == 0
    assert seen == {(1, 1)}
    assert_same_run(whole, folder)
    seen.clear()
    before = torch.get_num_threads()
    assert lab("resume", folder.name, "epochs=5", "threads=2").code == 0
    assert seen == {(2, 2)}
    assert torch.get_num_threads() == before


# runs that go wrong


@pytest.mark.parametrize("model", ["mlp", "mlp_numpy"])
def test_a_run_that_diverges_keeps_its_rows_and_names_step_and_learning_rate(lab, model):
    ended = lab("hydra.run.dir=off", "figures=none", *TINY, f"model={model}", "optim=sgd", "optim.lr=1e30")
    folder = lab.folder / "off"
    assert (ended.code, ended.out) == (1, "")
    assert 1 <= len(ended.err.splitlines()) <= 3
    assert ended.err.startswith("labrunner: error: the run diverged")
    assert "step" in ended.err
    assert "1e+30" in ended.err
    assert "off" in ended.err.splitlines()[-1]
    status = json.loads((folder / "status.json").read_text())
    assert status["status"] == "diverged"
    assert "optim.lr" in status["error"]
    last = table(folder / "metrics.csv")[-1]
    assert float(last["lr"]) == 1e30
    assert {last[name] for name in last if name not in ("epoch", "lr")} == {""}
    assert not (folder / "test.json").exists()


def test_a_run_that_diverges_later_leaves_finite_checkpoints_of_the_epochs_before(lab, monkeypatch):
    from labrunner.deep import TorchLearner

    method = TorchLearner.train_batch
    # epoch 3 begins at step 6; the third batch of the pass is the first bad one
    monkeypatch.setattr(
        TorchLearner, "train_batch", lambda self, batch, lr: method(self, batch, 1e38 if batch.step >= 7 else lr)
    )
    ended = lab("hydra.run.dir=late", "figures=none", *TINY, "optim=sgd")
    folder = lab.folder / "late"
    assert ended.code == 1
    assert "at step 8 (epoch 3" in ended.err
    rows = table(folder / "metrics.csv")
    assert [row["train_loss"] == "" for row in rows] == [False, False, True]
    kept = sorted((folder / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["00001.safetensors", "00002.safetensors"]
    for path in kept:
        assert all(np.isfinite(values).all() for values in load_file(path).values())


@line(5, "a disk that is full from the n-th sync on, and stays so")
@pytest.mark.parametrize("apart", cases([12, 3], fast=[12]))
def test_a_full_disk_is_said_in_one_line_and_the_run_goes_on_once_there_is_room(lab, monkeypatch, apart):
    whole = lab.train("whole", *TINY, "epochs=4")
    fsync, calls = os.fsync, 0

    def count(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", count)
        lab.train("counted", *TINY, "epochs=4")

    for number in range(0, calls, apart):
        seen = 0

        def full(descriptor: int, number: int = number) -> None:
            nonlocal seen
            seen += 1
            if seen > number:  # from here on, whatever is tried
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(descriptor)

        name = f"full{number}"
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            ended = lab(f"hydra.run.dir={name}", "figures=none", *TINY, "epochs=4")
        folder = lab.folder / name
        assert ended.code in (1, 2), (number, ended)
        assert len(ended.err.splitlines()) == 1, ended.err
        assert ended.err.startswith("labrunner: error: cannot ")
        assert name in ended.err
        assert "No space left on device" in ended.err
        if not (folder / "config.yaml").is_file():
            continue  # it had not begun
        for _, _, path in checkpoint.listed(folder / "checkpoints")[-2:]:
            checkpoint.read(path)
        ended = lab("resume", name)
        assert ended.code == 0, (number, ended.err)
        assert_same_run(whole, folder)


def test_a_failure_in_the_middle_is_one_line_and_its_traceback_is_in_the_log(lab, monkeypatch):
    from labrunner.deep import TorchLearner

    def broken(self, batch):
        raise RuntimeError("a layer\nfell off")

    monkeypatch.setattr(TorchLearner, "eval_batch", broken)
    ended = lab("hydra.run.dir=broken", "figures=none", *TINY, "epochs=2")
    assert (ended.code, ended.out) == (1, "")
    assert "a layer" in ended.err
    assert "log.txt" in ended.err
    assert "Traceback" not in ended.err
    folder = lab.folder / "broken"
    assert "Traceback" in (folder / "log.txt").read_text()
    assert load_run(folder).status == "failed"


@pytest.mark.parametrize("error", [RuntimeError("a layer fell off"), SystemExit(3), RunError("no memory")], ids=repr)
def test_a_signal_in_the_moment_of_a_failure_ends_the_command_as_a_signal_does(lab, monkeypatch, error):
    from labrunner.deep import TorchLearner

    def broken(self, batch, lr):
        signal.raise_signal(signal.SIGINT)
        raise error

    monkeypatch.setattr(TorchLearner, "train_batch", broken)
    ended = lab("hydra.run.dir=broken", "figures=none", *TINY, "epochs=2")
    assert ended.code == 130
    assert str(error) in ended.err
    assert load_run(lab.folder / "broken").status == "failed"
    sweep = lab("-m", "seed=1,2", "hydra.sweep.dir=sweep", "figures=none", *TINY, "epochs=2")
    assert sweep.code == 130
    assert "labrunner resume sweep" in sweep.err
    assert not (lab.folder / "sweep" / "1").exists(), "the next run does not begin"


def test_a_signal_while_a_run_diverges_ends_a_sweep(lab, monkeypatch):
    from labrunner.deep import TorchLearner

    method = TorchLearner.train_batch

    def at_last(self, batch, lr):
        out = method(self, batch, lr)
        if batch.step == 2:  # the last of the epoch: the flag is not looked at again before the loss is
            signal.raise_signal(signal.SIGTERM)
            return out._replace(loss=out.loss * math.nan)
        return out

    monkeypatch.setattr(TorchLearner, "train_batch", at_last)
    ended = lab("-m", "seed=1,2", "hydra.sweep.dir=sweep", "figures=none", *TINY, "epochs=2")
    assert ended.code == 143
    assert load_run(lab.folder / "sweep" / "0").status == "diverged"
    assert not (lab.folder / "sweep" / "1").exists()


# checksums


def sums_that_differ(folder: Path) -> list[str]:
    recorded = json.loads((folder / "checksums.json").read_text())["sha256"]
    return [name for name, sha in recorded.items() if hashlib.sha256((folder / name).read_bytes()).hexdigest() != sha]


def test_a_finished_run_has_the_checksums_of_its_results(lab):
    folder = lab.train("run", *TINY, "epochs=2", "probes=[gradients]")
    recorded = json.loads((folder / "checksums.json").read_text())["sha256"]
    unsealed = {"status.json", "log.txt", "checksums.json", "report.html", ".lock"}
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert recorded.keys() == {name for name in files - unsealed if not name.startswith("checkpoints/")}
    assert sums_that_differ(folder) == []
    text = (folder / "metrics.csv").read_text()
    (folder / "metrics.csv").write_text(text.replace("2,0.001", "2,0.002"))
    assert sums_that_differ(folder) == ["metrics.csv"]


def test_the_checksums_are_those_of_the_last_end(lab, monkeypatch):
    from labrunner.deep import TorchLearner

    folder = lab.train("run", *TINY, "epochs=2")
    with monkeypatch.context() as patch:
        interrupt_at(patch, TorchLearner, "train_batch", 1)
        assert lab("resume", "run", "epochs=3").code == 143
    assert not (folder / "checksums.json").exists(), "a run that goes on has none"
    assert lab("resume", "run").code == 0
    assert sums_that_differ(folder) == []
    assert lab("evaluate", "run").code == 0
    assert json.loads((folder / "test.json").read_text())["reads"] == 3
    assert sums_that_differ(folder) == [], "what counts the readings belongs to the run"
    (folder / "test.json").write_text((folder / "test.json").read_text().replace('"n": 24', '"n": 25'))
    assert lab("evaluate", "run").code in (0, 1, 2)
    assert "test.json" in sums_that_differ(folder), "an edited file stays one"


# what is said before a long run


def test_a_long_run_is_announced_and_a_short_one_is_not(lab, monkeypatch):
    monkeypatch.setattr(trainer, "estimate", lambda learner, data, epochs: 59.0)
    assert lab("hydra.run.dir=short", "figures=none", *TINY, "epochs=2").err == ""
    monkeypatch.setattr(trainer, "estimate", lambda learner, data, epochs: 7200.0)
    said = lab("hydra.run.dir=long", "figures=none", *TINY, "epochs=2").err
    assert said == "labrunner: this will take about 2.0 h: 2 epochs of 60 min\n"


def test_the_estimate_of_a_run_with_nothing_left_to_do_is_silent(lab):
    folder = lab.train("done", *TINY, "epochs=2")
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"status": "interrupted"}))
    ended = lab("resume", "done")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads((folder / "test.json").read_text())["reads"] == 2
