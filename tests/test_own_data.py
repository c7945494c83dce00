"""A student's own data set: a function that makes arrays, and a YAML that names it."""

from __future__ import annotations

import random
import re
import sys

import numpy as np
import pytest
import torch
import yaml

from labrunner import data, schema
from labrunner.data import Arrays
from labrunner.data.own import checked, undisturbed
from labrunner.errors import RequestError
from labrunner.helping import packaged_conf
from labrunner.records import load_run
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

MODULE = '''
import numpy as np

from labrunner.data import Arrays

CALLS = []


def clouds(samples=120, seed=0, apart=2.0):
    """A table: two round clouds."""
    CALLS.append(seed)
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % 2
    return Arrays(rng.normal(size=(samples, 2)) + apart * labels[:, None], labels, ["left", "right"], ["x", "y"])


def pictures(samples=120, pixels=6, official=False):
    """Images: one half of them is bright."""
    labels = np.arange(samples) % 3
    images = np.random.default_rng(1).integers(0, 60, size=(samples, 1, pixels, pixels), dtype=np.uint8)
    images[labels == 1, :, :3] += 150
    images[labels == 2, :, :, :3] += 150
    test = np.arange(30) if official else None
    return Arrays(images, labels, ["none", "top", "left"], test=test)


def pair(samples=60):
    return np.eye(3)[np.arange(samples) % 3], np.arange(samples) % 3


class Corners:
    """Four points, as attributes of an object."""

    def __init__(self, repeats=20):
        self.inputs = np.tile([[0, 0], [0, 1], [1, 0], [1, 1]], (repeats, 1))
        self.labels = self.inputs.sum(axis=1) == 1
        self.class_names = ("same", "different")


def oblong():
    return np.zeros((40, 3, 8, 12), dtype=np.uint8), np.arange(40) % 2


def loose(samples=60):
    return np.random.default_rng().normal(size=(samples, 2)), np.arange(samples) % 2


def failing(samples):
    raise FileNotFoundError("points.csv")
'''
OPTIONS = {
    "clouds": "# Two clouds.\n_target_: my_data.clouds\nsamples: 120  # how many\nseed: 0\n",
    "pictures": "_target_: my_data.pictures\nsamples: 120\nofficial: false\n",
    "pair": "_target_: my_data.pair\n",
    "corners": "_target_: my_data.Corners\n",
    "oblong": "_target_: my_data.oblong\n",
    "loose": "_target_: my_data.loose\nval_fraction: 0.25\n",
    "failing": "_target_: my_data.failing\nsamples: 9\n",
}
SMALL = ("epochs=2", "model.hidden=[4]")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """What this process knows of earlier tests' files of the same name."""
    monkeypatch.setattr("labrunner.data.own._known", {})
    monkeypatch.setattr("labrunner.data.own._last", {})


EMPTY = """
import numpy as np
from labrunner.data import Arrays


def gap():
    return Arrays(np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2 * 2, ["a", "b", "c"])


def sized(samples=9):
    return np.zeros((samples, 2)), np.arange(samples) % 2
"""


@pytest.fixture
def own(lab):
    lab.write("my_data.py", MODULE)
    for name, text in OPTIONS.items():
        lab.write(f"conf/dataset/{name}.yaml", text)
    return lab


def test_the_keys_of_every_data_set_have_the_values_of_the_shipped_ones():
    shipped = yaml.safe_load((packaged_conf() / "dataset" / "digits.yaml").read_text())
    assert {key: shipped[key] for key in schema.OWN_DATASET} == schema.OWN_DATASET


def test_a_table_of_ones_own_is_learned_from_tested_evaluated_and_predicted(own):
    folder = own.train("run", "dataset=clouds", *SMALL, "dataset.val_fraction=0.25", "optim.lr=0.1")
    run = load_run(folder)
    asked = {"_target_": "my_data.clouds", "samples": 120, "seed": 0, "val_fraction": 0.25}
    assert run.config["dataset"] == schema.OWN_DATASET | asked
    assert run.facts["val_samples"] == 30
    assert list(run.predictions.columns[3:]) == ["p_left", "p_right"]
    assert run.environment["versions"]["my_data.py"].startswith("sha256:")
    assert "as in test.json, to the bit" in own("evaluate", "run").out
    before = sys.modules.pop("my_data").CALLS
    assert before == [0], "called once for description, samples and all"
    own.write("rows.csv", "y,x\n0.0,0.0\n3.0,3.0\n")
    assert own("predict", "run", "rows.csv", "csv=out.csv").code == 0
    assert [line.split(",")[1] for line in (own.folder / "out.csv").read_text().splitlines()[1:]] == ["left", "right"]
    assert "my_data" not in sys.modules, "a prediction needs no data set"
    other = own("evaluate", "run", "dataset.seed=7", "hydra.run.dir=other", "figures=none")
    assert other.code == 0, other.err
    assert "all samples of dataset=clouds, 120" in other.out


def test_images_of_ones_own_go_through_a_cnn_with_the_official_split(own):
    keys = ("dataset.official=true", "model=cnn", "model.channels=[4]", "epochs=6", "optim.lr=0.03")
    folder = own.train("run", "dataset=pictures", *keys)
    run = load_run(folder)
    assert sorted(run.predictions["index"]) == list(range(30))
    assert run.test["accuracy"] > 0.9
    assert run.samples["image"].shape[1:] == (1, 6, 6)


def test_size_classes_noise_and_caps_are_applied_as_to_shipped_sets(own):
    keys = ("dataset.size=4", "dataset.classes=[left,top]", "dataset.per_class=10", "dataset.label_noise=0.5")
    run = load_run(own.train("run", "dataset=pictures", *SMALL, *keys))
    assert run.facts["train_samples"] == 20
    assert list(run.per_class["class"]) == ["left", "top"]
    assert run.samples["image"].shape[1:] == (1, 4, 4)


def test_a_pair_of_inputs_and_labels_will_do_and_the_file_need_list_no_key(own):
    run = load_run(own.train("run", "dataset=pair", *SMALL))
    assert list(run.per_class["class"]) == ["0", "1", "2"]


def test_a_class_whose_objects_have_inputs_and_labels_will_do(own):
    run = load_run(own.train("run", "dataset=corners", *SMALL))
    assert list(run.per_class["class"]) == ["same", "different"]


def test_an_experiment_may_choose_it_and_set_keys_that_its_file_does_not_list(own):
    text = "# @package _global_\ndefaults:\n  - override /dataset: clouds\ndataset:\n  test_fraction: 0.5\nepochs: 1\n"
    own.write("conf/experiment/half.yaml", text)
    assert load_run(own.train("run", "experiment=half")).facts["test_samples"] == 60
    assert load_run(own.train("typed", "experiment=half", "dataset.test_fraction=0.25")).facts["test_samples"] == 30


def test_runs_of_a_sweep_share_samples_and_other_keys_make_others(own):
    swept = ("optim.lr=0.01,0.1", "dataset.seed=0,1", "dataset.test_fraction=0.2,0.3")
    ended = own("-m", "dataset=clouds", *SMALL, *swept, "hydra.sweep.dir=sweep", "figures=none")
    assert ended.code == 0, ended.err
    prints = [load_run(own.folder / "sweep" / str(number)).environment["data"] for number in range(8)]
    assert len(set(prints)) == 2
    assert len(sys.modules["my_data"].CALLS) <= 4  # two to see what they are, two to learn from


def test_a_resume_refuses_other_samples_of_the_same_keys(own):
    own.train("run", "dataset=clouds", *SMALL)
    source = own.folder / "my_data.py"
    source.write_text(source.read_text().replace("apart=2.0", "apart=2.5"))
    del sys.modules["my_data"]
    from labrunner.data.own import _known, _last

    _known.clear(), _last.clear()
    refused = own("resume", "run", "epochs=3")
    assert refused.code == 2
    assert "dataset=clouds does not hold the samples that the run began with" in refused.err
    assert "a data set of your own that draws needs a seed: default_rng(0)" in refused.err


def test_samples_that_change_from_call_to_call_are_refused(own):
    from labrunner.data.own import _last

    options = {"_target_": "my_data.loose", **schema.OWN_DATASET}
    data.describe(options)
    _last.clear()
    with pytest.raises(RequestError, match=r"gave other samples when it was called again.*\n.*default_rng\(seed\)"):
        data.load(options)


def test_what_all_of_a_process_draw_from_begins_alike_in_a_call_and_goes_on_afterwards():
    def drawn():
        return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002

    with undisturbed():
        inside = drawn()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    expected = drawn()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    with undisturbed():
        again = drawn()
    assert again == inside
    assert drawn() == expected


TABLE = np.arange(12.0).reshape(6, 2)
LABELS = np.arange(6) % 2
WRONG = {
    "a dict": ({"inputs": TABLE}, "what it gives is of type dict"),
    "three things": ((TABLE, LABELS, LABELS), "a tuple of 3"),
    "rows of several lengths": (([[1], [1, 2]], [0, 1]), "inputs are no array"),
    "text": ((np.full((6, 2), "a"), LABELS), "a table is made of numbers"),
    "nan": ((np.where(TABLE == 5, np.nan, TABLE), LABELS), r"inputs\[2, 1\] is nan"),
    "too large for float32": ((np.where(TABLE == 5, 1e39, TABLE), LABELS), r"inputs\[2, 1\] is 1e\+39"),
    "one axis": ((TABLE[:, 0], LABELS), r"it takes \(N, features\)"),
    "no channels": ((np.zeros((6, 4, 4), np.uint8), LABELS), r"inputs\[:, None\]"),
    "channels last": ((np.zeros((6, 4, 4, 3), np.uint8), LABELS), r"transpose\(0, 3, 1, 2\)"),
    "seven channels": ((np.zeros((6, 7, 4, 4), np.uint8), LABELS), "1 channel or 3"),
    "images of floats": ((np.zeros((6, 1, 4, 4)), LABELS), "images are of type float64; they are uint8"),
    "no features": ((np.zeros((6, 0)), LABELS), "nothing to learn from"),
    "no sample": ((np.zeros((0, 2)), []), "there is no sample"),
    "too few labels": ((TABLE, LABELS[:5]), "6 samples and 5 labels"),
    "labels in a column": ((TABLE, LABELS[:, None]), r"labels.reshape\(-1\)"),
    "labels of floats": ((TABLE, LABELS / 1), "labels are of type float64.*return_inverse"),
    "labels of text": ((TABLE, np.array(list("ababab"))), "return_inverse"),
    "a negative label": ((TABLE, LABELS - 1), r"labels\[0\] is -1; classes are numbered from 0"),
    "one class": ((TABLE, LABELS * 0), "nothing to tell apart"),
    "years for labels": ((TABLE, LABELS + 2020), "labels are 2020, 2021, and no sample has 0"),
    "labels from 1": ((TABLE, LABELS + 1), r"labels are 1, 2, and no sample has 0.*\n.*return_inverse=True\) numbers"),
    "a gap in the labels": ((TABLE, LABELS * 2), "labels are 0, 2, and no sample has 1"),
    "one class of two": (Arrays(TABLE, LABELS * 0, ["a", "b"]), "all samples are of one class, a"),
    "more labels than names": (Arrays(TABLE, LABELS + 1, ["a", "b"]), "class_names has 2: a, b; the last of them is 1"),
    "a name twice": (Arrays(TABLE, LABELS, ["a", "a"]), "class_names has a twice"),
    "names in one text": (Arrays(TABLE, LABELS, "ab"), "it takes a list of texts"),
    "too few features named": (Arrays(TABLE, LABELS, None, ["x"]), "feature_names has 1 and inputs have 2 columns"),
    "features of images": (Arrays(np.zeros((6, 1, 4, 4), np.uint8), LABELS, None, ["x"]), "are for a table"),
    "a mask for a split": (Arrays(TABLE, LABELS, test=LABELS == 1), r"np.flatnonzero\(test\)"),
    "a split beyond": (Arrays(TABLE, LABELS, test=[9]), "test split names samples beyond the 6"),
    "splits that overlap": (Arrays(TABLE, LABELS, val=[1], test=[1]), "sample 1 is in the validation split and in the"),
}


@pytest.mark.parametrize(("found", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_data_set_is_refused_with_what_to_give_instead(found, said):
    with pytest.raises(RequestError, match=said):
        checked(found, "mine")


def test_a_function_that_fails_or_asks_for_more_is_refused_before_anything_is_written(own):
    refused = own("dataset=failing")
    assert refused.code == 2
    said = r"my_data.failing makes no data: my_data.py:\d+ in failing: FileNotFoundError: points.csv"
    assert re.search(said, refused.err)
    own.write("conf/dataset/failing.yaml", "_target_: my_data.failing\nsize: 4\n")
    assert "missing 1 required positional argument: 'samples'" in own("dataset=failing").err
    assert not (own.folder / "outputs").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["dataset=clouds", "model=cnn"], "model=cnn needs images and dataset=clouds is a table"),
        (["dataset=clouds", "model=shufflenet_v2_x1_0"], "needs images and dataset=clouds is a table"),
        (["dataset=clouds", "dataset.val_fraction=2"], "dataset.val_fraction=2: it takes a number from 0 and below 1"),
        (["dataset=clouds", "dataset.smaples=9"], "did you mean dataset.samples?"),
        (["dataset=clouds", "dataset.size=9"], "is a table and has no size in pixels"),
        (["dataset=clouds", "dataset.classes=[left,up]"], "dataset=clouds has no class up"),
        (["dataset=clouds", "reg.patience=3", "dataset.val_fraction=0"], "dataset=clouds is left no validation split"),
        (["dataset=oblong"], "images of 12 x 8 pixels, and they have to be square; try dataset.size=8"),
        (["dataset=moons", "dataset.size=9"], "dataset=moons has no key dataset.size"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_keys_and_combinations_are_checked_as_of_shipped_sets(own, overrides, said):
    refused = own(*overrides)
    assert refused.code == 2, refused.out
    assert said in refused.err
    assert not (own.folder / "outputs").exists()


def test_explain_names_its_keys_and_those_of_every_data_set_once(own):
    said = own("explain", "dataset=loose").out
    assert said.count("dataset.val_fraction=0.25") == 1
    assert "dataset.val_fraction=0.2 " not in said
    assert all(f"dataset.{key}=" in said for key in schema.OWN_DATASET)
    assert "dataset.split_seed" not in own("explain", "dataset=point").out


@pytest.mark.parametrize("key", schema.RESERVED)
def test_a_key_that_labrunner_has_a_use_for_is_refused_and_not_swallowed(own, key):
    own.write("conf/dataset/taken.yaml", f"_target_: my_data.clouds\n{key}: 1\n")
    assert f"dataset.{key}: a data set of your own cannot have a key of that name" in own("dataset=taken").err


def test_an_oblong_image_is_cut_where_a_size_is_asked_for(own):
    own.train("run", "dataset=oblong", "dataset.size=8", "smoke=true")


def test_a_group_whose_options_are_no_code_says_which_are(lab):
    lab.write("conf/reg/mine.yaml", "_target_: my_reg.Reg\n")
    refused = lab("reg=mine")
    assert refused.code == 2
    assert "taken for model, dataset and optim, and for probes" in refused.err


def test_a_class_that_no_sample_is_of_is_warned_of(own):
    own.write("my_data.py", EMPTY)
    own.write("conf/dataset/gap.yaml", "_target_: my_data.gap\n")
    ended = own("hydra.run.dir=run", "dataset=gap", "smoke=true", "figures=none")
    assert ended.code == 0
    assert "labrunner: warning: class b has no sample in dataset=gap" in ended.err
    assert "has no sample" not in own("hydra.run.dir=other", "dataset=iris", "smoke=true", "figures=none").err


def test_an_argument_of_another_kind_is_named_with_what_it_takes(own):
    own.write("my_data.py", EMPTY)
    own.write("conf/dataset/sized.yaml", "_target_: my_data.sized\nsamples: 9\n")
    refused = own("dataset=sized", "dataset.samples=many")
    assert refused.code == 2
    assert "dataset.samples=many is a text; it takes a whole number, as 9" in refused.err
