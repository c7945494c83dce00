"""preprocessing.json: what it records, what it makes of other inputs, and what it is for when a run goes on."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_digits

from labrunner import preprocessing
from labrunner.data import Description, Samples
from labrunner.deep.learner import TorchLearner
from labrunner.errors import RequestError
from labrunner.learner import ANY, Wants
from labrunner.preprocessing import Preprocessing, grey, in_units
from labrunner.records.names import PREPROCESSING
from labrunner.seeding import generator
from tests.cli.lab import assert_same_run

TINY = ("model.hidden=[8]", "epochs=2")
SMALL_CNN = ("model=cnn", "model.channels=[4]", "dataset=fake", "dataset.samples=120", "dataset.size=8")


def images(count: int = 6, channels: int = 3, size: int = 4) -> np.ndarray:
    return generator(0, "images").integers(0, 256, size=(count, channels, size, size)).astype(np.uint8)


def of_images(**changes: object) -> Preprocessing:
    """That of a run on images of 3 x 4 x 4 pixels and two classes."""
    given: dict = {
        "shape": (3, 4, 4),
        "class_names": ("cat", "dog"),
        "white": 255.0,
        "scale": (0.01, 0.02, 0.03),
        "shift": (0.1, 0.2, 0.3),
    }
    return Preprocessing(**(given | changes))


def samples(inputs: np.ndarray, names: tuple[str, ...] = ("cat", "dog"), white: float | None = 255.0) -> Samples:
    labels = np.arange(len(inputs)) % len(names)
    return Samples(Description("other", inputs.shape[1:], names, white=white), inputs, labels)


# what is recorded


def test_a_run_records_the_mean_and_deviation_of_its_training_split(lab):
    folder = lab.train("run", *TINY, "dataset.val_fraction=0", "monitor=train_loss")
    said = json.loads((folder / PREPROCESSING).read_text())
    tested = np.loadtxt(folder / "predictions.csv", delimiter=",", skiprows=1, usecols=0, dtype=int)
    trained = np.delete(load_digits().images, tested, axis=0)
    assert (said["shape"], said["white"], said["size"], said["channels"]) == ([1, 8, 8], 16.0, 8, 1)
    assert said["class_names"] == [str(digit) for digit in range(10)]
    assert said["scale"] == [pytest.approx(1.0 / trained.std(), rel=1e-12)]
    assert said["shift"] == [pytest.approx(-trained.mean() / trained.std(), rel=1e-12)]


def test_what_is_written_reads_back_to_the_bit(tmp_path):
    given = of_images(
        scale=(1 / 3, 0.1, 1e-9),
        shift=(-1 / 7, 0.0, 3.0),
        resize=5,
        interpolation="bicubic",
        wants=Wants(3, 4, (0.1, 0.2, 0.3), (1 / 3, 0.5, 0.7), 5, "bicubic"),
        weights={"asked": "imagenet", "used": "imagenet", "sha256": "ab"},
    )
    (tmp_path / PREPROCESSING).write_text(json.dumps(given.recorded()))
    assert preprocessing.read(tmp_path) == given


def test_that_of_a_table_reads_back_with_its_offsets(tmp_path):
    given = Preprocessing(
        shape=(2,),
        class_names=("a", "b"),
        white=None,
        scale=(1.0, 2.0),
        shift=(0.0, -1.0),
        feature_names=("age", "town=Oslo"),
        offsets={"age": 1700000000.5},
    )
    (tmp_path / PREPROCESSING).write_text(json.dumps(given.recorded()))
    assert preprocessing.read(tmp_path) == given


def test_a_folder_without_the_file_says_nothing(tmp_path):
    assert preprocessing.read(tmp_path) is None


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [3, 4]},
        {"shape": [3, 4, 5]},
        {"shape": [3, -4, -4]},
        {"shape": [3, 10**9, 10**9]},
        {"shape": "344"},
        {"class_names": []},
        {"class_names": ["cat", "cat"]},
        {"class_names": ["cat", 3]},
        {"white": "bright"},
        {"white": -1.0},
        {"white": True},
        {"scale": [0.1, 0.2]},
        {"scale": [0.1, 0.2, None]},
        {"shift": 3},
        {"resize": 3},
        {"resize": 2.5},
        {"interpolation": "lanczos"},
        {"feature_names": ["a"]},
        {"offsets": {"a": "b"}},
        {"offsets": []},
        {"wants": {}},
        {"wants": ANY._asdict() | {"mean": ["a"]}},
        {"weights": {"asked": "a"}},
    ],
    ids=str,
)
def test_what_no_run_writes_is_refused_in_one_line(tmp_path, change):
    (tmp_path / PREPROCESSING).write_text(json.dumps(of_images().recorded() | change))
    with pytest.raises(RequestError, match="is not what a run writes"):
        preprocessing.read(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"shape": ', "[" * 100_000, '{"scale": [NaN]}'])
def test_what_is_no_object_is_refused_in_one_line(tmp_path, text):
    (tmp_path / PREPROCESSING).write_text(text)
    with pytest.raises(RequestError, match="is not what a run writes"):
        preprocessing.read(tmp_path)


# what it makes of other inputs


def test_grey_is_what_pillow_makes_of_colours():
    colours = images(20, size=16)
    for image, made in zip(colours, grey(colours), strict=True):
        expected = np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))
        np.testing.assert_array_equal(made[0], expected)


def test_pixels_of_seventeen_levels_survive_the_way_to_bytes_and_back():
    levels = np.arange(17, dtype=np.uint8)
    np.testing.assert_array_equal(in_units(in_units(levels, 16.0, 255.0), 255.0, 16.0), levels)


def test_samples_like_those_of_the_run_stay_the_same_arrays():
    given = samples(images())
    made = of_images().like_own(given)
    assert made.inputs is given.inputs
    assert made.labels is given.labels
    assert made.fingerprint == given.fingerprint


def test_classes_are_matched_by_name_whatever_their_order():
    given = samples(images(), ("dog", "cat"))
    made = of_images().like_own(given)
    names = [made.description.class_names[label] for label in made.labels]
    assert names == [given.description.class_names[label] for label in given.labels]
    assert made.description.class_names == ("cat", "dog")


def test_some_of_the_classes_are_enough():
    made = of_images(class_names=("ant", "bee", "cat")).like_own(samples(images(), ("cat", "ant")))
    assert made.labels.tolist() == [2, 0, 2, 0, 2, 0]


def test_classes_that_the_run_does_not_know_are_listed_with_those_that_it_does():
    with pytest.raises(RequestError) as refused:
        of_images().like_own(samples(images(), ("dog", "emu", "fox", "cat")))
    assert "does not know: emu, fox" in str(refused.value)
    assert "it knows cat, dog; try dataset.classes=[cat,dog]" in str(refused.value)


def test_grey_images_are_repeated_for_a_run_on_colours():
    given = images(channels=1)
    made = of_images().like_own(samples(given))
    np.testing.assert_array_equal(made.inputs, given.repeat(3, axis=1))


def test_colours_become_grey_for_a_run_on_grey_images_in_its_own_units():
    given = images()
    made = of_images(shape=(1, 4, 4), white=16.0, scale=(1.0,), shift=(0.0,)).like_own(samples(given))
    np.testing.assert_array_equal(made.inputs, np.rint(grey(given) * (16.0 / 255.0)).astype(np.uint8))


def test_a_table_is_no_image():
    table = samples(np.zeros((4, 3), np.float32), white=None)
    with pytest.raises(RequestError, match="is a table, and the run learned from images"):
        of_images().like_own(table)


def test_features_are_matched_by_name():
    own = Preprocessing((2,), ("a", "b"), None, (1.0, 1.0), (0.0, 0.0), feature_names=("x", "y"))
    values = generator(0, "values").random((4, 3)).astype(np.float32)
    description = Description("other", (3,), ("a", "b"), feature_names=("y", "z", "x"))
    given = Samples(description, values, np.array([0, 1, 0, 1]))
    np.testing.assert_array_equal(own.like_own(given).inputs, values[:, [2, 0]])
    with pytest.raises(RequestError, match="lacks what the run learned from: w"):
        Preprocessing((1,), ("a", "b"), None, (1.0,), (0.0,), feature_names=("w",)).like_own(given)


# a run that goes on


def cut_after(folder, epochs: int) -> None:
    """Make a finished run one that was killed after some epochs."""
    for path in sorted((folder / "checkpoints").iterdir()):
        if int(path.stem) > epochs:
            path.unlink()
    for name in ("metrics.csv", "timing.csv"):
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(lines[: epochs + 2]))  # an epoch's row stands there before its checkpoint
    (folder / "status.json").write_text(json.dumps({"format": 1, "status": "running", "error": None}))
    (folder / "test.json").unlink()


@pytest.mark.parametrize("kind", ["run", "file"])
def test_a_resume_needs_no_starting_weights_any_more(lab, kind):
    source = lab.train("source", *SMALL_CNN, "epochs=1", "dataset.split_seed=1")
    weights = source
    if kind == "file":
        state = load_file(source / "checkpoints" / "00001.safetensors")
        from safetensors.numpy import save_file

        weights = lab.folder / "weights.safetensors"
        named = {name.removeprefix("weights/"): each for name, each in state.items() if name.startswith("weights/")}
        save_file(named, weights)
    asked = (*SMALL_CNN, f"model.weights={weights.name}", "epochs=3", "cache=null")
    whole, cut = lab.train("whole", *asked), lab.train("cut", *asked)
    said = json.loads((cut / PREPROCESSING).read_text())
    assert said["weights"]["used"] == weights.name
    shutil.rmtree(source)
    if kind == "file":
        weights.unlink()
    cut_after(cut, 2)
    ended = lab("resume", "cut")
    assert ended.code == 0, ended.err
    assert_same_run(whole, cut)
    assert json.loads((cut / PREPROCESSING).read_text()) == said


def test_a_resume_before_the_first_checkpoint_reads_the_starting_weights_again(lab):
    source = lab.train("source", *SMALL_CNN, "epochs=1", "dataset.split_seed=1")
    asked = (*SMALL_CNN, "model.weights=source", "epochs=2", "cache=null")
    whole, cut = lab.train("whole", *asked), lab.train("cut", *asked)
    cut_after(cut, 0)
    ended = lab("resume", "cut")
    assert ended.code == 0, ended.err
    assert_same_run(whole, cut)
    shutil.rmtree(source)
    cut_after(cut, 0)
    ended = lab("resume", "cut")
    assert ended.code == 2
    assert "model.weights=source" in ended.err


def test_a_resume_adds_the_file_to_a_run_of_an_earlier_version(lab):
    run = lab.train("run", *TINY)
    said = (run / PREPROCESSING).read_bytes()
    (run / PREPROCESSING).unlink()
    assert lab("resume", "run", "epochs=3").code == 0
    assert (run / PREPROCESSING).read_bytes() == said


def test_a_damaged_file_stops_a_resume_and_changes_nothing(lab):
    run = lab.train("run", *TINY)
    (run / PREPROCESSING).write_text("{}")
    before = lab.tree()
    ended = lab("resume", "run", "epochs=3")
    assert ended.code == 2
    assert "preprocessing.json is not what a run writes" in ended.err
    assert lab.tree() == before


# what is said of starting weights


def test_a_replaced_head_is_said_aloud_and_in_the_log(lab):
    lab.train("source", *SMALL_CNN, "epochs=1")
    ended = lab(
        *SMALL_CNN, "dataset.num_classes=3", "model.weights=source", "epochs=1", "figures=none", "hydra.run.dir=run"
    )
    assert ended.code == 0, ended.err
    assert ended.err.count("head of") == 1
    assert "head of" in (lab.folder / "run" / "log.txt").read_text()


def test_a_frozen_backbone_of_drawn_weights_is_worth_a_warning(lab):
    ended = lab(*SMALL_CNN, "freeze=backbone", "epochs=1", "figures=none", "hydra.run.dir=run")
    assert "labrunner: warning: freeze=backbone: the backbone's weights are drawn at random" in ended.err
    assert "drawn at random" in (lab.folder / "run" / "log.txt").read_text()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ("model=cnn", "model.channels=[4]", "freeze=backbone"),
            "from the first epoch on; try model.weights=…, of a run",
        ),
        (("model=cnn", "model.channels=[4]", "freeze=gradual", "epochs=3"), "until epoch 3; try model.weights=…, of a"),
        (("model=shufflenet_v2_x1_0", "freeze=backbone"), "from the first epoch on; try model.weights=imagenet"),
    ],
)
def test_the_warning_says_how_long_it_stands_and_which_weights_there_are(lab, asked, said):
    ended = lab(*asked, "dataset=fake", "dataset.samples=60", "smoke=true", "figures=none", "hydra.run.dir=run")
    assert f"and stand still {said}" in ended.err


def test_weights_that_were_not_at_hand_leave_a_frozen_backbone_that_was_drawn(lab):
    asked = ("freeze=backbone", "model.weights=[nowhere,none]")
    ended = lab(*SMALL_CNN, *asked, "epochs=1", "figures=none", "hydra.run.dir=run")
    assert "nowhere not at hand" in ended.err
    assert "warning: freeze=backbone: the backbone's weights are drawn at random, and stand still" in ended.err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        # two stages, of which the last joins in epoch 3 and the first in epoch 5
        (("freeze=gradual", "epochs=2"), "epoch 3, which epochs=2 never reaches; try epochs=5\n"),
        (("freeze=gradual", "epochs=4"), "epoch 5, which epochs=4 never reaches; try epochs=5 or freeze.every=1\n"),
        (("freeze=gradual", "epochs=4", "freeze.every=1"), None),
        (("freeze=gradual", "epochs=5"), None),
        (("freeze=gradual", "epochs=2", "smoke=true"), None),
        (
            ("freeze=patterns", "epochs=5"),
            "epoch 6, which epochs=5 never reaches; try epochs=6 or another freeze.train\n",
        ),
        (("freeze=patterns", "epochs=6"), None),
        (("freeze=backbone", "epochs=1"), None),
    ],
)
def test_what_never_gets_to_train_is_worth_a_warning(lab, asked, said):
    ended = lab(*SMALL_CNN, "model.channels=[4,4]", *asked, "figures=none", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    assert ("changes what trains in" in ended.err) == (said is not None)
    assert said is None or said in ended.err


@pytest.mark.parametrize(
    "asked",
    [
        ("freeze=gradual", "freeze.every=1000000000"),
        ("freeze=patterns", 'freeze.train=[{epoch:1,train:[head]},{epoch:1000000001,train:["*"]}]'),
    ],
)
def test_what_would_train_in_a_billion_epochs_is_not_looked_for_epoch_by_epoch(lab, monkeypatch, asked):
    frozen, seen = TorchLearner.frozen, []

    def counted(self, epoch):
        seen.append(epoch)
        assert len(seen) < 1000
        return frozen(self, epoch)

    monkeypatch.setattr(TorchLearner, "frozen", counted)
    ended = lab(*SMALL_CNN, "model.channels=[4]", *asked, "epochs=1", "figures=none", "hydra.run.dir=run")
    assert "epoch 1000000001, which epochs=1 never reaches; try epochs=1000000001" in ended.err
    summary = lab("summary", *SMALL_CNN, "model.channels=[4]", *asked, "epochs=2000000000").out
    assert "epochs 1 to 1000000000: " in summary
    assert "epochs 1000000001 to 2000000000: " in summary


@pytest.mark.parametrize("freeze", [(), ("freeze=partial", "freeze.stages=1", "model.channels=[4,4]")])
def test_a_backbone_that_trains_is_not(lab, freeze):
    ended = lab(*SMALL_CNN, *freeze, "epochs=1", "figures=none", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    assert "drawn at random" not in ended.err
