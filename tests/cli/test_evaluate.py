"""``labrunner evaluate``: the run's own test split again, and other data prepared as the run's own."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support, roc_auc_score

from labrunner.drawing import Drawing
from labrunner.metrics import wilson
from labrunner.records import Evaluation
from tests.cli.lab import Lab
from tests.data.written import write

QUICK = ("epochs=2", "model.hidden=[16]")
TINY = ("dataset=fake", "dataset.samples=80", "dataset.size=8", "model.hidden=[8]", "epochs=2")

# what counts the readings of the test split
COUNTING = ("run/test.json", "run/log.txt", "run/checksums.json", "run/report.html")


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def probabilities(rows: list[dict[str, str]]) -> np.ndarray:
    names = [name for name in rows[0] if name.startswith("p_")]
    return np.array([[float(row[name]) for name in names] for row in rows])


def evaluated(lab: Lab) -> Path:
    """The one folder under outputs/evaluations."""
    (folder,) = (lab.folder / "outputs" / "evaluations").iterdir()
    return folder


def folders_of(labels: np.ndarray, images: np.ndarray, root: Path, names: list[str]) -> None:
    """Images (N, H, W) uint8 as PNGs in class folders."""
    for place, (label, image) in enumerate(zip(labels, images, strict=True)):
        (root / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / names[label] / f"{place:05d}.png")


DIGITS = load_digits()
BYTES = np.rint(DIGITS.images * (255.0 / 16.0)).astype(np.uint8)
NAMES = [str(digit) for digit in range(10)]


# the run's own test split


@pytest.mark.parametrize("model", [(), ("model=mlp_numpy",), ("model=cnn", "model.channels=[4]")])
def test_the_test_split_read_again_says_the_same_to_the_bit_and_is_counted(lab, model):
    run = lab.train("run", "epochs=2", *model)
    before = json.loads((run / "test.json").read_text())
    others = {name: content for name, content in lab.tree().items() if name not in COUNTING}
    for reads in (2, 3):
        ended = lab("evaluate", "run")
        assert ended.code == 0, ended.err
        assert "as in test.json, to the bit" in ended.out
        assert f"has now been read {reads} times" in ended.out
        assert json.loads((run / "test.json").read_text()) == before | {"reads": reads}
    after = {name: content for name, content in lab.tree().items() if name not in COUNTING}
    assert after == others
    assert "reads the test split again, as number 3" in (run / "log.txt").read_text()


def test_the_page_says_how_often_the_test_split_was_read(lab):
    run = lab.train("run", "epochs=2", "figures=few")
    shown = 'data-src="test.json#reads">{}<'.format
    assert shown(2) not in (run / "report.html").read_text()
    assert lab("evaluate", "run").code == 0
    assert shown(2) in (run / "report.html").read_text()


def test_what_is_printed_is_what_the_files_of_the_run_say(lab):
    run = lab.train("run", *QUICK)
    out = lab("evaluate", "run").out
    test = json.loads((run / "test.json").read_text())
    assert f"run, epoch {test['epoch']}, on its test split, {test['n']} samples" in out
    assert f"accuracy {test['accuracy']:.4f}  (95% interval {test['accuracy_low']:.3f} to" in out
    for name in ("loss", "precision", "recall", "f1", "auroc"):
        assert f"{name} {test[name]:.4f}" in out
    table = [line.split() for line in out.splitlines()[4:14]]
    for cells, row in zip(table, rows_of(run / "per_class.csv"), strict=True):
        assert cells[:2] == [row["class"], row["support"]]
        assert cells[2:] == [f"{float(row[name]):.4f}" for name in ("precision", "recall", "f1", "auroc")]


def test_a_resume_goes_on_counting(lab):
    run = lab.train("run", *QUICK)
    assert lab("evaluate", "run").code == 0
    assert lab("resume", "run", "epochs=3").code == 0
    assert json.loads((run / "test.json").read_text())["reads"] == 3


def test_numbers_that_came_out_otherwise_are_told_and_those_of_the_run_stay(lab):
    run = lab.train("run", *QUICK)
    said = json.loads((run / "test.json").read_text())
    (run / "test.json").write_text(json.dumps(said | {"loss": said["loss"] + 1e-3}))
    ended = lab("evaluate", "run")
    assert "test.json differs by up to 1.0e-03" in ended.out
    assert json.loads((run / "test.json").read_text())["loss"] == said["loss"] + 1e-3


@pytest.mark.parametrize("given", ["dataset=digits", "dataset.classes=[9,8,7,6,5,4,3,2,1,0]"])
def test_the_runs_own_samples_however_they_are_named_are_its_test_split_alone(lab, given):
    run = lab.train("run", *QUICK)
    test = json.loads((run / "test.json").read_text())
    ended = lab("evaluate", "run", given)
    assert ended.code == 0, ended.err
    assert "its test split alone is read" in ended.err
    assert f"on its test split, {test['n']} samples" in ended.out
    assert not (lab.folder / "outputs").exists()


@pytest.mark.parametrize("given", [("dataset.classes=[3,8]",), ("dataset=digits", "dataset.classes=[3,8]")])
def test_some_of_the_samples_that_the_run_learned_from_are_refused(lab, given):
    lab.train("run", *QUICK)
    before = lab.tree()
    ended = lab("evaluate", "run", *given)
    assert ended.code == 2
    assert "dataset=digits is what the run learned from" in ended.err
    assert lab.tree() == before


def test_a_data_set_that_was_moved_is_still_the_runs_own(lab):
    folders_of(DIGITS.target[:60], BYTES[:60], lab.folder / "images", NAMES)
    lab.train("run", "dataset=imagefolder", "dataset.root=images", "dataset.size=8", *QUICK)
    (lab.folder / "images").rename(lab.folder / "moved")
    assert "dataset.root=images is not there" in lab("evaluate", "run").err
    ended = lab("evaluate", "run", "dataset.root=moved")
    assert ended.code == 0, ended.err
    assert "its test split alone is read" in ended.err
    assert "as in test.json, to the bit" in ended.out


def test_a_data_set_that_has_changed_is_refused(lab):
    folders_of(DIGITS.target[:60], BYTES[:60], lab.folder / "images", NAMES)
    run = lab.train("run", "dataset=imagefolder", "dataset.root=images", "dataset.size=8", *QUICK)
    (lab.folder / "images" / "0" / "00000.png").unlink()
    ended = lab("evaluate", "run")
    assert ended.code == 2
    assert "does not hold the samples that the run began with" in ended.err
    assert json.loads((run / "test.json").read_text())["reads"] == 1
    ended = lab("evaluate", "run", "dataset.root=images")
    assert (ended.code, "is what the run learned from" in ended.err) == (2, True)


@pytest.mark.parametrize("status", ["running", "failed", "diverged"])
def test_the_test_split_of_a_run_that_is_not_done_stays_unread(lab, status):
    run = lab.train("run", *QUICK)
    said = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(said | {"status": status}))
    before = lab.tree()
    for given in ((), ("dataset=digits",)):
        ended = lab("evaluate", "run", *given)
        assert ended.code == 2
        assert "a test split is read once a run is done" in ended.err
        assert ("labrunner resume run" in ended.err) == (status != "diverged")
    assert lab.tree() == before
    assert lab("evaluate", "run", "dataset=mnist5k").code == 0


def test_evaluating_downloads_nothing_that_a_saved_config_names(lab, monkeypatch):
    write("mnist", lab.folder / "data", monkeypatch)
    lab.train("run", "dataset=mnist", *QUICK)
    shutil.rmtree(lab.folder / "data")
    ended = lab("evaluate", "run")
    assert ended.code == 2
    assert "to get it: labrunner fetch dataset=mnist" in ended.err


# other data


def test_every_number_on_other_data_is_scikit_learns(lab):
    lab.train("run", *QUICK)
    ended = lab("evaluate", "run", "dataset=mnist5k")
    assert ended.code == 0, ended.err
    folder = evaluated(lab)
    assert "on all samples of dataset=mnist5k, 5,000" in ended.out
    assert ended.out.splitlines()[-1] == f"  {folder.relative_to(lab.folder)}"
    rows, said = rows_of(folder / "predictions.csv"), json.loads((folder / "evaluation.json").read_text())
    values, labels = probabilities(rows), np.array([int(row["label"]) for row in rows])
    guesses = values.argmax(axis=1)
    assert [int(row["index"]) for row in rows] == list(range(5000))
    assert (said["n"], said["run"], said["epoch"], said["samples"]) == (5000, "run", 2, "all samples")
    assert said["accuracy"] == (guesses == labels).mean()
    assert (said["accuracy_low"], said["accuracy_high"]) == wilson(int((guesses == labels).sum()), 5000)
    assert said["f1"] == pytest.approx(f1_score(labels, guesses, average="macro"), rel=1e-12)
    assert said["auroc"] == pytest.approx(roc_auc_score(labels, values, multi_class="ovr"), rel=1e-6)
    assert said["loss"] == pytest.approx(-np.log(values[np.arange(5000), labels]).mean(), rel=1e-5)
    counts = [[int(count) for count in list(row.values())[1:]] for row in rows_of(folder / "confusion.csv")]
    np.testing.assert_array_equal(counts, confusion_matrix(labels, guesses))
    expected = precision_recall_fscore_support(labels, guesses)
    for number, row in enumerate(rows_of(folder / "per_class.csv")):
        found = [float(row[name]) for name in ("precision", "recall", "f1", "support")]
        np.testing.assert_allclose(found, [values[number] for values in expected], rtol=1e-12)


def test_other_images_are_prepared_as_the_runs_own_and_never_by_their_own_mean(lab):
    """The run's own test images, as files in folders, get the probabilities that they had."""
    run = lab.train("run", *QUICK)
    expected = rows_of(run / "predictions.csv")
    chosen = np.array([int(row["index"]) for row in expected])
    bright = chosen[np.argsort(-BYTES[chosen].mean(axis=(1, 2)), kind="stable")][:100]  # another mean than the run's
    folders_of(DIGITS.target[bright], BYTES[bright], lab.folder / "images", NAMES)
    ended = lab("evaluate", "run", "dataset=imagefolder", "dataset.root=images", "hydra.run.dir=bright", "cache=null")
    assert ended.code == 0, ended.err
    found, files = rows_of(lab.folder / "bright/predictions.csv"), rows_of(lab.folder / "bright/files.csv")
    by_index = {int(row["index"]): values for row, values in zip(expected, probabilities(expected), strict=True)}
    for row, file, values in zip(found, files, probabilities(found), strict=True):
        assert row["index"] == file["index"]
        index = int(bright[int(Path(file["file"]).stem)])
        assert int(row["label"]) == DIGITS.target[index]
        np.testing.assert_allclose(values, by_index[index], rtol=0, atol=1e-6)


def test_an_official_test_split_is_read_and_the_rest_is_not(lab, monkeypatch):
    written = write("mnist", lab.folder / "data", monkeypatch)
    lab.train("run", *QUICK)
    ended = lab("evaluate", "run", "dataset=mnist")
    assert ended.code == 0, ended.err
    rows = rows_of(evaluated(lab) / "predictions.csv")
    assert f"on the official test split of dataset=mnist, {len(rows)}" in ended.out
    assert [int(row["index"]) for row in rows] == list(range(60, 80))
    assert [int(row["label"]) for row in rows] == written.labels[60:].tolist()


def test_colours_are_made_grey_for_a_run_on_grey_images(lab):
    folders_of(DIGITS.target[:40], BYTES[:40], lab.folder / "grey", NAMES)
    colours = np.repeat(BYTES[:40, :, :, None], 3, axis=3)
    folders_of(DIGITS.target[:40], colours, lab.folder / "colour", NAMES)
    lab.train("run", *QUICK)
    for name in ("grey", "colour"):
        ended = lab("evaluate", "run", "dataset=imagefolder", f"dataset.root={name}", f"hydra.run.dir=on_{name}")
        assert ended.code == 0, ended.err
    assert (lab.folder / "on_grey/predictions.csv").read_bytes() == (
        lab.folder / "on_colour/predictions.csv"
    ).read_bytes()


def test_classes_of_another_order_are_matched_by_name_and_missing_ones_are_told(lab):
    lab.train("run", *QUICK)
    some = np.flatnonzero(np.isin(DIGITS.target, (3, 8)))[:40]
    folders_of(DIGITS.target[some], BYTES[some], lab.folder / "images", NAMES)
    ended = lab("evaluate", "run", "dataset=imagefolder", "dataset.root=images", "dataset.classes=[8,3]")
    assert ended.code == 0, ended.err
    assert "no sample of 0, 1, 2, 4, 5, 6, 7, 9" in ended.out
    rows = rows_of(evaluated(lab) / "predictions.csv")
    assert {row["label"] for row in rows} == {"3", "8"}
    per_class = rows_of(evaluated(lab) / "per_class.csv")
    assert [row["support"] for row in per_class if row["class"] not in "38"] == ["0"] * 8
    assert all(row["recall"] == "" for row in per_class if row["class"] not in "38")


# files that cannot be read


def with_a_bad_file(root: Path, start: int) -> None:
    folders_of(DIGITS.target[start : start + 60], BYTES[start : start + 60], root, NAMES)
    (root / "3" / "bad.png").write_bytes(b"no image")


IMAGES = ("dataset=imagefolder", "dataset.size=8")


def test_a_bad_file_is_refused_with_a_hint_that_works(lab):
    folders_of(DIGITS.target[:60], BYTES[:60], lab.folder / "images", NAMES)
    with_a_bad_file(lab.folder / "others", 100)
    lab.train("run", *IMAGES, "dataset.root=images", *QUICK)
    for given in (("dataset.root=others",), ("dataset=imagefolder", "dataset.root=others")):
        ended = lab("evaluate", "run", *given)
        assert ended.code == 2
        assert "1 of 61 images cannot be read: others/3/bad.png (no image)" in ended.err
        assert "leave them out with dataset.skip_bad=true" in ended.err
        ended = lab("evaluate", "run", *given, "dataset.skip_bad=true")
        assert ended.code == 0, ended.err
        assert "of dataset=imagefolder, 60" in ended.out


def test_bad_files_are_left_out_as_by_the_run_unless_one_says_otherwise(lab):
    with_a_bad_file(lab.folder / "images", 0)
    with_a_bad_file(lab.folder / "others", 100)
    lab.train("run", *IMAGES, "dataset.root=images", "dataset.skip_bad=true", *QUICK)
    for number, given in enumerate((("dataset.root=others",), ("dataset=imagefolder", "dataset.root=others"))):
        ended = lab("evaluate", "run", *given, f"hydra.run.dir=on{number}")
        assert ended.code == 0, ended.err
        assert "1 of 61 images cannot be read" in ended.err
        assert json.loads((lab.folder / f"on{number}/evaluation.json").read_text())["dataset"]["skip_bad"] is True
        ended = lab("evaluate", "run", *given, "dataset.skip_bad=false")
        assert (ended.code, "others/3/bad.png (no image)" in ended.err) == (2, True)
    assert lab("evaluate", "run", "dataset=mnist5k").code == 0  # which has no such key


# figures

OF_TABLES = {
    *("confusion", "confusion_true", "confusion_predicted", "classes"),
    *("averages", "roc", "precision_recall", "reliability"),
}


def drawn(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "figures").iterdir()}


def test_the_figures_of_a_test_split_are_drawn_of_other_data(lab, monkeypatch):
    monkeypatch.setattr("labrunner.drawing.Drawing", Drawing)
    lab.train("run", *QUICK)
    folders_of(DIGITS.target[:60], BYTES[:60], lab.folder / "images", NAMES)
    given = ("dataset=imagefolder", "dataset.root=images")
    for which, expected in (("all", OF_TABLES | {"samples", "mistakes"}), ("few", {"confusion"})):
        ended = lab("evaluate", "run", *given, f"figures={which}", f"hydra.run.dir={which}")
        assert (ended.code, ended.err) == (0, "")
        assert drawn(lab.folder / which) == expected
        assert not (lab.folder / which / "report.html").exists()
    assert lab("evaluate", "run", *given, "hydra.run.dir=none").code == 0  # as the run's own figures=none says
    assert not (lab.folder / "none" / "figures").exists()


def test_figures_say_what_they_are_of_and_only_probabilities_are_held_against_accuracy(lab, monkeypatch):
    from labrunner.figures import EVALUATED

    write("mnist", lab.folder / "data", monkeypatch)
    lab.train("run", *QUICK)
    lab.train("mse", *QUICK, "model.loss=mse")
    for run, data in (("run", "mnist5k"), ("run", "mnist"), ("mse", "mnist")):
        assert lab("evaluate", run, f"dataset={data}", f"hydra.run.dir={run}_{data}").code == 0

    def titles(name: str) -> dict[str, str]:
        evaluation = Evaluation(lab.folder / name)
        figures = {key: function(evaluation) for key, (function, _) in EVALUATED.items()}
        return {
            key: figure.axes[0].get_title() + figure.axes[0].get_xlabel()
            for key, figure in figures.items()
            if figure is not None
        }

    whole, part, mse = titles("run_mnist5k"), titles("run_mnist"), titles("mse_mnist")
    assert set(whole) == set(EVALUATED)
    assert set(EVALUATED) - set(mse) == {"reliability"}
    for name in set(EVALUATED) - {"mistakes"}:
        assert "dataset=mnist5k" in whole[name]
        assert "dataset=mnist, official test split" in part[name]
        assert "test split" not in whole[name]
    assert whole["confusion"].startswith("dataset=mnist5k, 5000 samples")


def test_figures_that_could_not_be_drawn_are_told_and_the_files_are_there(lab, monkeypatch):
    class Failing(Drawing):
        def finish(self, timeout: float = 0.0) -> list[str]:
            return ["on: not all could be drawn"]

    lab.train("run", *QUICK)
    monkeypatch.setattr("labrunner.drawing.Drawing", Failing)
    ended = lab("evaluate", "run", "dataset=mnist5k", "hydra.run.dir=on", "figures=few")
    assert (ended.code, ended.err) == (0, "labrunner: warning: on: not all could be drawn\n")
    assert (lab.folder / "on" / "evaluation.json").is_file()


TABLE = "job,age,town\n" + "".join(
    f"{('baker', 'smith')[number % 3 > 1]},{20 + 7 * number % 40},{('Oslo', 'Rome')[number % 2]}\n"
    for number in range(60)
)


def test_another_table_is_taken_by_the_names_of_its_columns(lab):
    lab.write("people.csv", TABLE)
    lab.train("run", "dataset=csv", "dataset.path=people.csv", "dataset.label=job", "epochs=2")
    rows = [line.split(",") for line in TABLE.splitlines()[:31]]
    lab.write(
        "other.csv", "\n".join(f"{town},{job},x,{age}" for job, age, town in rows).replace(",x", ",more", 1) + "\n"
    )
    ended = lab("evaluate", "run", "dataset.path=other.csv")
    assert ended.code == 0, ended.err
    assert "on all samples of dataset=csv, 30" in ended.out
    assert [row["label"] for row in rows_of(evaluated(lab) / "predictions.csv")] == [
        str(int(job == "smith")) for job, _, _ in rows[1:]
    ]
    ended = lab("predict", "run", "other.csv", "csv=out.csv")
    np.testing.assert_array_equal(
        probabilities(rows_of(lab.folder / "out.csv")), probabilities(rows_of(evaluated(lab) / "predictions.csv"))
    )


def test_rows_of_classes_that_the_run_does_not_know_are_named_or_left_out(lab):
    lab.write("people.csv", TABLE)
    lab.train("run", "dataset=csv", "dataset.path=people.csv", "dataset.label=job", "epochs=2")
    lab.write("other.csv", "job,age,town\nsmith,40,Rome\nfarmer,30,Oslo\nbaker,20,Oslo\n")
    ended = lab("evaluate", "run", "dataset.path=other.csv")
    assert ended.code == 2
    assert (
        "has classes that the model does not know: row 2 (line 3) says 'farmer'\n  it knows baker, smith" in ended.err
    )
    ended = lab("evaluate", "run", "dataset.path=other.csv", "dataset.classes=[baker,smith]")
    assert ended.code == 0, ended.err
    assert [(row["index"], row["label"]) for row in rows_of(evaluated(lab) / "predictions.csv")] == [
        ("0", "1"),
        ("2", "0"),
    ]


def test_a_run_that_is_moved_is_evaluated_on_other_data_without_its_own(lab):
    folders_of(DIGITS.target[:80], BYTES[:80], lab.folder / "images", NAMES)
    folders_of(DIGITS.target[100:140], BYTES[100:140], lab.folder / "others", NAMES)
    lab.train("run", "dataset=imagefolder", "dataset.root=images", "dataset.size=8", "dataset.channels=1", *QUICK)
    shutil.rmtree(lab.folder / "images")
    shutil.rmtree(lab.folder / "outputs")
    (lab.folder / "run").rename(lab.folder / "moved")
    ended = lab("evaluate", "moved", "dataset.root=others")
    assert ended.code == 0, ended.err
    assert "on all samples of dataset=imagefolder, 40" in ended.out


# what is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "evaluate takes one run"),
        (("run", "run"), "evaluate takes one run"),
        (("nowhere",), "there is no run folder nowhere"),
        (("run", "optim.lr=1"), "evaluate changes nothing of what the run is"),
        (("run", "epochs=3"), "evaluate changes nothing of what the run is"),
        (("run", "dataset=digitz"), "there is no dataset=digitz"),
        (("run", "dataset=iris"), "dataset=iris is a table, and the run in run learned from images"),
        (("run", "dataset=csv"), "dataset.path"),
        (("run", "dataset=photo_patches"), "does not know: china, flower\n  it knows 0, 1, 2"),
        (("run", "dataset=mnist5k", "dataset.size=9"), "dataset.size=9: the run settles the size of images"),
        (("run", "dataset=mnist5k", "dataset.normalize=unit"), "the run settles how inputs are normalized"),
        (("run", "dataset=mnist5k", "dataset.val_fraction=0.5"), "evaluate reads all of a data set"),
        (("run", "dataset=imagefolder", "dataset.root=nowhere"), "dataset.root=nowhere is not there"),
        (("run", "dataset=mnist5k", "hydra.run.dir=run"), "the folder run is not empty"),
        (("run", "hydra.run.dir=new"), "nothing new to write"),
        (("run", "figures=all"), "figures=all: of a run's own test split there is nothing new to write"),
        (("run", "dataset=mnist5k", "figures=some"), "figures=some"),
        (("run", "dataset=mnist5k", "threads=none"), "threads=none"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(lab, words, said):
    lab.train("run", *QUICK)
    before = lab.tree()
    ended = lab("evaluate", *words)
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.splitlines()) <= 3
    assert lab.tree() == before


def test_a_run_without_classes_is_refused(lab):
    lab.train("run", "model=adaline", "dataset=quadratic", "epochs=1", "batch_size=full", "optim=sgd")
    ended = lab("evaluate", "run")
    assert (ended.code, "has no classes" in ended.err) == (2, True)


def test_foreign_code_in_a_saved_config_is_not_run(lab):
    run = lab.train("run", *TINY)
    import yaml

    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"] = {"_target_": "os.system", "command": "touch owned"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for words in (("evaluate", "run"), ("predict", "run", "run/test.json")):
        ended = lab(*words)
        assert ended.code == 2
        assert "names os.system" in ended.err
    assert not (lab.folder / "owned").exists()
