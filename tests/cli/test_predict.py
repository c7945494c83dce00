"""``labrunner predict``: the run's own numbers again from files of its test images, and what is wrong said plainly."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_iris

from labrunner.verbs import predict
from tests.cli.lab import Lab

QUICK = ("epochs=2", "model.hidden=[16]")
TINY = ("dataset=fake", "dataset.samples=80", "dataset.size=8", "model.hidden=[8]", "epochs=1")


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def probabilities(rows: list[dict[str, str]]) -> np.ndarray:
    names = [name for name in rows[0] if name.startswith("p_")]
    return np.array([[float(row[name]) for name in names] for row in rows])


def test_images(run: Path, images: np.ndarray, white: float, folder: Path) -> list[dict[str, str]]:
    """Write a run's test images (N, H, W) or (N, H, W, 3), found by their index, as PNGs named by it."""
    folder.mkdir()
    rows = rows_of(run / "predictions.csv")
    for row in rows:
        pixels = np.rint(images[int(row["index"])] * (255.0 / white)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{int(row['index']):05d}.png")
    return rows


test_images.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture
def digits(lab: Lab) -> Path:
    return lab.train("run", *QUICK)


def photo_tiles() -> np.ndarray:
    from labrunner.data import load

    return load({"name": "photo_patches"}).inputs.transpose(0, 2, 3, 1)


# the numbers


@pytest.mark.parametrize("model", ["mlp", "mlp_numpy"])
def test_files_of_the_test_images_get_the_probabilities_of_predictions_csv(lab, model):
    run = lab.train("run", *QUICK, f"model={model}")
    expected = test_images(run, load_digits().images, 16.0, lab.folder / "images")
    ended = lab("predict", "run", "images", "csv=out.csv")
    assert ended.code == 0, ended.err
    found = rows_of(lab.folder / "out.csv")
    assert [row["file"] for row in found] == [f"images/{int(row['index']):05d}.png" for row in expected]
    np.testing.assert_allclose(probabilities(found), probabilities(expected), rtol=0, atol=1e-12)
    assert [row["predicted"] for row in found] == [row["predicted"] for row in expected]  # the classes are digits


@pytest.mark.parametrize("size", ["null", "40"])
def test_colour_images_of_another_size_too(lab, size):
    settings = ("model=cnn", "model.channels=[4]", "dataset=photo_patches", f"dataset.size={size}", "epochs=1")
    run = lab.train("run", *settings)
    expected = test_images(run, photo_tiles(), 255.0, lab.folder / "images")
    assert lab("predict", "run", "images", "csv=out.csv").code == 0
    np.testing.assert_allclose(
        probabilities(rows_of(lab.folder / "out.csv")), probabilities(expected), rtol=0, atol=1e-6
    )


def test_grey_images_of_a_model_that_wants_colours(lab):
    source = lab.train("source", "model=cnn", "model.channels=[4]", "dataset=photo_patches", "epochs=1")
    run = lab.train("run", "model=cnn", "model.channels=[4]", "epochs=1", f"model.weights={source.name}")
    said = json.loads((run / "preprocessing.json").read_text())
    assert (said["shape"], len(said["scale"])) == ([1, 32, 32], 3)
    expected = test_images(run, load_digits().images, 16.0, lab.folder / "images")
    assert lab("predict", "run", "images", "csv=out.csv").code == 0
    np.testing.assert_allclose(
        probabilities(rows_of(lab.folder / "out.csv")), probabilities(expected), rtol=0, atol=1e-6
    )


def test_a_margin_around_the_centre_and_bicubic_are_cut_as_pillow_does(lab):
    lab.write(
        "wide.py",
        "from torch import nn\nfrom labrunner.learner import Wants\n\n\nclass Wide(nn.Module):\n"
        "    wants = Wants(channels=3, size=20, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), resize=24,"
        " interpolation='bicubic')\n\n"
        "    def __init__(self, input_shape, num_classes):\n        super().__init__()\n"
        "        self.head = nn.Linear(3 * 20 * 20, num_classes)\n\n"
        "    def forward(self, images):\n        return self.head(images.flatten(1))\n",
    )
    lab.write("conf/model/wide.yaml", "# Wide.\n_target_: wide.Wide\n")
    run = lab.train("run", "model=wide", "dataset=photo_patches", "epochs=1")
    tile = photo_tiles()[7]
    Image.fromarray(np.concatenate([tile, tile], axis=1)).save(lab.folder / "long.png")  # 64 x 32
    ended = lab("predict", "run", "long.png", "csv=out.csv")
    assert ended.code == 0, ended.err
    from safetensors.numpy import load_file

    weights = load_file(run / "checkpoints" / "00001.safetensors")
    with Image.open(lab.folder / "long.png") as image:
        cut = image.resize((48, 24), Image.Resampling.BICUBIC).crop((14, 2, 34, 22))
    inputs = (np.asarray(cut) / 255.0 - (0.5, 0.4, 0.3)) / (0.2, 0.3, 0.4)
    scores = weights["weights/head.weight"] @ inputs.transpose(2, 0, 1).reshape(-1) + weights["weights/head.bias"]
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(probabilities(rows_of(lab.folder / "out.csv"))[0], expected, rtol=1e-5)


def test_images_come_in_parts_that_fit_into_memory_and_no_number_changes(lab, digits, monkeypatch):
    from labrunner import predicting

    test_images(digits, load_digits().images, 16.0, lab.folder / "images")
    (lab.folder / "images" / "00000bad.png").write_text("no image")
    assert lab("predict", "run", "images", "csv=one.csv").code == 1
    monkeypatch.setattr(predicting, "AT_ONCE", 50 * 64)
    assert lab("predict", "run", "images", "csv=parts.csv", "figure=parts.png").code == 1
    one, parts = (probabilities(rows_of(lab.folder / name)) for name in ("one.csv", "parts.csv"))
    np.testing.assert_allclose(one, parts, rtol=0, atol=1e-6)


def test_rows_of_a_table_get_the_probabilities_of_predictions_csv(lab):
    run = lab.train("run", "dataset=iris", "epochs=3", "model=softmax")
    iris, expected = load_iris(), rows_of(run / "predictions.csv")
    order = [2, 0, 3, 1]  # columns stand in another order, and beside others
    header = ["name", *(iris.feature_names[column] for column in order)]
    with open(lab.folder / "rows.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in expected:
            writer.writerow(["flower", *iris.data[int(row["index"])][order].tolist()])
    ended = lab("predict", "run", "rows.csv", "csv=out.csv")
    assert ended.code == 0, ended.err
    found = rows_of(lab.folder / "out.csv")
    assert [row["row"] for row in found] == [str(number) for number in range(1, len(expected) + 1)]
    np.testing.assert_allclose(probabilities(found), probabilities(expected), rtol=0, atol=1e-12)


TOWNS = "age,town,since,member,job\n" + "".join(
    f"{20 + number % 31},{('Oslo', 'Rome', 'Bern')[number % 3]},{1_700_000_000 + 97 * number},"
    f"{('true', 'false')[number % 2]},{('baker', 'smith')[number % 5 > 2]}\n"
    for number in range(90)
)


def test_texts_and_columns_that_were_moved_are_prepared_as_the_run_did(lab):
    lab.write("people.csv", TOWNS)
    run = lab.train("run", "dataset=csv", "dataset.path=people.csv", "epochs=2")
    offsets = json.loads((run / "preprocessing.json").read_text())["offsets"]
    assert list(offsets) == ["since"]
    expected = rows_of(run / "predictions.csv")
    lines = TOWNS.splitlines()
    chosen = [lines[1 + int(row["index"])].rpartition(",")[0] for row in expected]  # without the label
    lab.write("rows.csv", "\n".join([lines[0].rpartition(",")[0], *chosen]) + "\n")
    (lab.folder / "people.csv").unlink()
    assert lab("predict", "run", "rows.csv", "csv=out.csv").code == 0
    np.testing.assert_allclose(
        probabilities(rows_of(lab.folder / "out.csv")), probabilities(expected), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age,town,since\n30,Oslo,1700000000\n", "rows.csv has no column member, which the model learned from"),
        ("age,town,since,member\n30,Paris,1,true\n", "row 1 (line 2) says 'Paris'\n  it knows Bern, Oslo, Rome"),
        ("age,town,since,member\nold,Oslo,1,true\n", "column age has 1 value that is no plain number: row 1 (line 2)"),
        ("age,town,since,member\n30,Oslo,,true\n", "rows.csv has 1 missing value: row 1 (line 2) in since"),
        ("age,town,since,member\n1e99,Oslo,1,true\n", "beyond float32: row 1 (line 2) in age"),
        ("", "rows.csv is empty"),
    ],
)
def test_rows_that_the_model_cannot_take_are_named(lab, text, said):
    lab.write("people.csv", TOWNS)
    lab.train("run", "dataset=csv", "dataset.path=people.csv", "epochs=1")
    lab.write("rows.csv", text)
    before = lab.tree()
    ended = lab("predict", "run", "rows.csv")
    assert ended.code == 2
    assert said in ended.err
    assert "dataset." not in ended.err or "beyond" in said
    assert lab.tree() == before


# the run folder alone


def test_a_folder_that_was_moved_predicts_without_data_set_and_starting_weights(lab):
    root = lab.folder / "animals"
    for name, colour in (("cat", 40), ("dog", 200)):
        (root / name).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (20, 16), (colour, number * 9, 255 - colour)).save(root / name / f"{number}.png")
    settings = ("model=cnn", "model.channels=[4]", "dataset.size=16", "epochs=2")
    lab.train("source", *settings, "dataset=photo_patches")
    lab.train("run", *settings, "dataset=imagefolder", "dataset.root=animals", "model.weights=source")
    assert lab("predict", "run", "animals", "csv=before.csv").code == 0
    for name in ("cat", "dog"):
        (lab.folder / "new" / name).mkdir(parents=True)
        for path in sorted((root / name).iterdir()):
            path.rename(lab.folder / "new" / name / path.name)
    shutil.rmtree(root)
    shutil.rmtree(lab.folder / "source")
    shutil.rmtree(lab.folder / "outputs")  # and the cache
    (lab.folder / "far" / "away").mkdir(parents=True)
    (lab.folder / "run").rename(lab.folder / "far" / "away" / "moved")
    ended = lab("predict", "far/away/moved", "new", "csv=after.csv")
    assert ended.code == 0, ended.err
    before, after = rows_of(lab.folder / "before.csv"), rows_of(lab.folder / "after.csv")
    np.testing.assert_array_equal(probabilities(before), probabilities(after))


def test_predicting_leaves_the_run_folder_as_it_was(lab, digits):
    test_images(digits, load_digits().images, 16.0, lab.folder / "images")
    before = {name: content for name, content in lab.tree().items() if name.startswith("run/")}
    assert lab("predict", "run", "images", "csv=out.csv").code == 0
    assert {name: content for name, content in lab.tree().items() if name.startswith("run/")} == before


def test_a_run_of_an_earlier_version_is_prepared_from_its_data_set(lab, digits):
    expected = test_images(digits, load_digits().images, 16.0, lab.folder / "images")
    (digits / "preprocessing.json").unlink()
    ended = lab("predict", "run", "images", "csv=out.csv")
    assert ended.code == 0
    assert "run has no preprocessing.json" in ended.err
    np.testing.assert_allclose(
        probabilities(rows_of(lab.folder / "out.csv")), probabilities(expected), rtol=0, atol=1e-12
    )
    assert not (digits / "preprocessing.json").exists()


def own_model(lab: Lab, factor: str = "1") -> None:
    lab.write(
        "mine.py",
        "from torch import nn\n\n\nclass Mine(nn.Module):\n    def __init__(self, input_shape, num_classes):\n"
        "        super().__init__()\n        self.head = nn.Linear(64, num_classes)\n\n"
        f"    def forward(self, images):\n        return self.head(images.flatten(1)) * {factor}\n",
    )
    lab.write("conf/model/mine.yaml", "# Mine.\n_target_: mine.Mine\n")


def test_a_model_of_ones_own_predicts_where_its_file_is_and_nowhere_else(lab, monkeypatch):
    own_model(lab)
    run = lab.train("run", "model=mine", "epochs=1")
    test_images(run, load_digits().images, 16.0, lab.folder / "images")
    assert lab("predict", "run", "images", "csv=out.csv").code == 0
    elsewhere = lab.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    ended = lab("predict", "../run", "../images")
    assert ended.code == 2
    assert "start labrunner in the folder that holds mine.py" in ended.err
    assert list(elsewhere.iterdir()) == []


def test_a_model_whose_file_has_changed_is_warned_of(lab):
    own_model(lab)
    run = lab.train("run", "model=mine", "epochs=1")
    test_images(run, load_digits().images, 16.0, lab.folder / "images")
    own_model(lab, factor="1.0")
    assert "warning: mine.py has changed since the run began" in lab("predict", "run", "images").err


# runs that are not done


def unfinished(run: Path, status: str) -> None:
    said = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(said | {"status": status}))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("running", "the run was interrupted: these are the weights of epoch 2 of 2 so far"),
        ("failed", "the run failed: these are the weights of epoch 2 of 2 so far"),
        ("diverged", "the run diverged: these are the weights of epoch 2 of 2 before that"),
    ],
)
def test_a_run_that_is_not_done_predicts_by_its_best_epoch_so_far_and_says_so(lab, digits, status, said):
    test_images(digits, load_digits().images, 16.0, lab.folder / "images")
    unfinished(digits, status)
    ended = lab("predict", "run", "images", "csv=out.csv")
    assert ended.code == 0
    assert said in ended.err


def test_a_row_whose_checkpoint_was_never_written_is_not_chosen(lab, digits):
    test_images(digits, load_digits().images, 16.0, lab.folder / "images")
    unfinished(digits, "running")
    (digits / "checkpoints" / "00002.safetensors").unlink()
    assert "the weights of epoch 1 of 1 so far" in lab("predict", "run", "images").err


def test_a_run_without_a_finished_epoch_is_refused(lab, digits):
    Image.new("L", (8, 8)).save(lab.folder / "a.png")
    shutil.rmtree(digits / "checkpoints")
    unfinished(digits, "diverged")
    ended = lab("predict", "run", "a.png")
    assert (ended.code, "is diverged and has no finished epoch" in ended.err) == (2, True)


def test_a_damaged_checkpoint_is_never_used(lab, digits):
    Image.new("L", (8, 8)).save(lab.folder / "a.png")
    path = digits / "checkpoints" / "00002.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    ended = lab("predict", "run", "a.png")
    assert ended.code == 1
    assert "checksum does not match" in ended.err


# what is left, and what is said


def test_the_table_names_the_two_likeliest_classes_and_ends_with_the_file(lab, digits):
    test_images(digits, load_digits().images, 16.0, lab.folder / "images")
    first = sorted((lab.folder / "images").iterdir())[0]
    ended = lab("predict", "run", str(first.relative_to(lab.folder)))
    (path,) = (lab.folder / "outputs" / "predictions").iterdir()
    (row,) = rows_of(path)
    values = probabilities([row])[0]
    order = np.argsort(-values)
    header, line, by, where = ended.out.splitlines()
    assert header.split() == ["file", "predicted", "probability", "second", "probability"]
    expected = [f"images/{first.name}", str(order[0]), f"{values[order[0]]:.4f}"]
    assert line.split() == [*expected, str(order[1]), f"{values[order[1]]:.4f}"]
    assert by == "by epoch 2 of run"
    assert where == f"  {path.relative_to(lab.folder)}"


def test_a_long_table_is_cut_on_the_screen_alone(lab, digits):
    count = len(test_images(digits, load_digits().images, 16.0, lab.folder / "images"))
    ended = lab("predict", "run", "images", "csv=out.csv")
    assert f"… and {count - 40} more" in ended.out
    assert len(rows_of(lab.folder / "out.csv")) == count


def test_files_folders_and_patterns_each_once_and_in_order(lab, digits):
    for name in ("b/2.png", "b/1.JPG", "b/.hidden/3.png", "b/in/4.png", "b/notes.txt", "a=1.png", "c[1].png"):
        (lab.folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".txt"):
            lab.write(name, "no image")
        else:
            Image.new("L", (8, 8)).save(lab.folder / name, "png")
    ended = lab("predict", "run", "b/2.png", "b", "a=1.png", "c[1].png", "b/*.png", "csv=out.csv")
    assert ended.code == 0, ended.err
    found = [row["file"] for row in rows_of(lab.folder / "out.csv")]
    assert found == ["b/2.png", "b/1.JPG", "b/in/4.png", "a=1.png", "c[1].png"]


def test_files_that_cannot_be_read_are_named_and_the_others_predicted(lab, digits):
    Image.new("L", (8, 8)).save(lab.folder / "good.png")
    lab.write("bad.png", "no image")
    (lab.folder / "cut.png").write_bytes((lab.folder / "good.png").read_bytes()[:40])
    (lab.folder / "gone.png").symlink_to(lab.folder / "nowhere")
    ended = lab("predict", "run", "bad.png", "good.png", "cut.png", "gone.png", "csv=out.csv")
    assert ended.code == 1
    assert "3 files of 4 cannot be read and left out" in ended.err
    assert "bad.png: no image" in ended.err
    assert "gone.png: No such file or directory" in ended.err
    assert [row["file"] for row in rows_of(lab.folder / "out.csv")] == ["good.png"]


def test_where_no_file_can_be_read_nothing_is_written(lab, digits):
    lab.write("bad.png", "no image")
    before = lab.tree()
    ended = lab("predict", "run", "bad.png")
    assert ended.code == 2
    assert "bad.png: no image" in ended.err
    assert lab.tree() == before


@pytest.mark.parametrize("kind", ["L", "RGB", "P", "CMYK", "I;16", "LA"])
def test_every_kind_of_image_is_taken(lab, digits, kind):
    Image.new("L", (12, 9), 130).save(lab.folder / "grey.png")
    image = Image.new("L", (12, 9), 130)
    name = "image.tif" if kind == "CMYK" else "image.png"
    image = Image.fromarray(np.full((9, 12), 130 * 257, np.uint16)) if kind == "I;16" else image.convert(kind)
    image.save(lab.folder / name)
    assert lab("predict", "run", "grey.png", name, "csv=out.csv").code == 0
    plain, other = probabilities(rows_of(lab.folder / "out.csv"))
    np.testing.assert_allclose(plain, other, atol=1e-6)


def test_a_figure_shows_the_images_with_what_was_predicted(lab, digits):
    test_images(digits, load_digits().images, 16.0, lab.folder / "images")
    ended = lab("predict", "run", "images", "csv=out.csv", "figure=deep/down/out.png")
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "  deep/down/out.png"
    with Image.open(lab.folder / "deep/down/out.png") as picture:
        assert picture.width == 1500


def test_a_model_that_only_ranks_says_so(lab):
    lab.train("run", *TINY, "model.loss=mse")
    Image.new("L", (8, 8)).save(lab.folder / "a.png")
    assert "rank classes; they are not calibrated" in lab("predict", "run", "a.png").out


# what is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "predict takes a run, and images"),
        (("run",), "predict takes images behind the run"),
        (("nowhere", "a.png"), "there is no run folder nowhere"),
        (("run", "b.png"), "there is no file or folder b.png"),
        (("run", "*.jpg"), "nothing matches *.jpg"),
        (("run", "empty"), "empty holds no images"),
        (("run", "a.png", "csv=a.png"), "csv=a.png is there already"),
        (("run", "a.png", "csv=empty"), "csv=empty is a folder"),
        (("run", "a.png", "csv=a.png/out.csv"), "a.png is a file"),
        (("run", "a.png", "csv="), "csv= has no value"),
        (("run", "a.png", "figure=out.pdf"), "try figure=out.png"),
        (("run", "a.png", "optim.lr=1"), "predict takes a run and files, and csv=, figure=, device= and threads="),
        (("run", "a.png", "device=tpu"), "device=tpu"),
        (("run", "a.png", "threads=0"), "threads=0"),
        (("a.png", "run"), "there is no run folder a.png; the run comes first"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(lab, digits, words, said):
    Image.new("L", (8, 8)).save(lab.folder / "a.png")
    (lab.folder / "empty").mkdir()
    before = lab.tree()
    ended = lab("predict", *words)
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.splitlines()) <= 3
    assert lab.tree() == before


def test_a_run_on_a_table_says_which_columns_it_takes_and_a_csv_that_begins_so_is_taken(lab):
    lab.train("run", "dataset=iris", "model.hidden=[4]", "epochs=1")
    ended = lab("predict", "run")
    assert ended.code == 2
    first = ended.err.splitlines()[-1].partition("learned from: ")[2]
    lab.write("flowers.csv", f"{first}\n5.1,3.5,1.4,0.2\n")
    ended = lab("predict", "run", "flowers.csv", "csv=out.csv")
    assert ended.code == 0, ended.err
    (row,) = rows_of(lab.folder / "out.csv")
    assert list(row) == ["row", "predicted", "probability", "p_setosa", "p_versicolor", "p_virginica"]


def test_the_columns_of_many_features_are_told_once_each():
    assert predict.columns(["age", "town=Oslo", "town=Bergen", 'a "b", c']) == 'age,town,"a ""b"", c"'
    assert predict.columns([f"f{number}" for number in range(12)]).endswith("f9, and 2 more")


def test_a_sweep_is_asked_for_one_of_its_runs(lab):
    assert lab("-m", "seed=0,1", *TINY, "figures=none", "hydra.sweep.dir=sweep").code == 0
    Image.new("L", (8, 8)).save(lab.folder / "a.png")
    ended = lab("predict", "sweep", "a.png")
    assert (ended.code, "sweep is a sweep; name one of its runs, as sweep/0" in ended.err) == (2, True)
    assert lab("predict", "sweep/0", "a.png").code == 0


def test_other_commands_pass_by_what_is_new_in_a_run_folder(lab, digits):
    assert "done" in lab("ls", "run").out
    assert lab("resume", "run", "epochs=3").code == 0
    assert lab("predict", "run", str(lab.write("x.txt", "no image"))).code == 2


def test_help_and_explain_know_the_verbs(lab):
    page = lab("--help").out
    for verb in ("predict", "evaluate"):
        assert f"\n  {verb} " in page
        assert f"usage: labrunner {verb} RUN" in lab("explain", verb).out
