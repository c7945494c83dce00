"""Every data set is what its description says, and is read again only when something it depends on changes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from labrunner.data import describe, load, samples_of
from labrunner.data.sets import AFTERWARDS, identity
from labrunner.errors import RequestError
from labrunner.helping import Catalogue
from labrunner.schema import KEYS
from tests.data.settings import (
    BLOBS,
    BREAST_CANCER,
    CIRCLES,
    CSV,
    DIGITS,
    FAKE,
    IRIS,
    MNIST5K,
    MOONS,
    PHOTO_PATCHES,
    WINE,
    XOR,
)

EMBEDDED = [DIGITS, MNIST5K, PHOTO_PATCHES, IRIS, WINE, BREAST_CANCER]
DRAWN = [FAKE, {**FAKE, "channels": 1, "size": 9, "num_classes": 3}, MOONS, CIRCLES, BLOBS, XOR]
CHOSEN = [
    {**DIGITS, "classes": [3, 8], "size": 28},
    {**IRIS, "classes": ["virginica", "setosa"]},
    {**FAKE, "classes": ["class 1", "class 3"]},
    {**MNIST5K, "size": 32},
]


@pytest.mark.parametrize("options", EMBEDDED + DRAWN + CHOSEN, ids=str)
def test_a_description_is_what_load_reads(options):
    description, samples = describe(options), load(options)
    assert samples.description == description
    assert samples.inputs.shape[1:] == description.shape
    assert samples.inputs.dtype == (np.float32 if description.white is None else np.uint8)
    assert samples.labels.dtype == np.int64
    assert set(samples.labels.tolist()) == set(range(description.num_classes))
    assert len(description.feature_names) == (description.shape[0] if description.white is None else 0)


def test_an_unknown_data_set_is_refused_by_name():
    with pytest.raises(RequestError, match="nowhere"):
        describe({"name": "nowhere"})


def test_samples_are_read_once_for_runs_that_differ_in_nothing_that_they_depend_on():
    shared: dict = {}
    first = samples_of({"dataset": FAKE}, shared)
    afterwards = {"val_fraction": 0.3, "normalize": "none", "per_class": 3, "label_noise": 0.1}
    assert samples_of({"dataset": FAKE | afterwards}, shared) is first
    for key, value in {
        "samples": 70,
        "noise": 0.7,
        "split_seed": 5,
        "size": 9,
        "classes": ["class 0", "class 1"],
    }.items():
        assert samples_of({"dataset": FAKE | {key: value}}, shared) is not first, key


@pytest.mark.parametrize(("options", "depends"), [(FAKE, True), (DIGITS, False), (MOONS, False)])
def test_only_made_up_images_depend_on_the_split_seed(options, depends):
    assert (identity(options) != identity(options | {"split_seed": 9})) is depends


OTHER_VALUES = {
    "path": "other.csv",
    "label": "a",
    "features": ["a"],
    "root": "elsewhere",
    "subset": "digits",
    "samples": 70,
    "num_classes": 5,
    "channels": 1,
    "size": 9,
    "shares": [0.5, 0.5],
    "noise": 0.7,
    "seed": 5,
    "classes": ["class 0", "class 1"],
    "skip_bad": True,
    "memory": 0.5,
}


def test_samples_depend_on_every_key_but_on_those_of_what_becomes_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("table.csv", "other.csv"):
        (tmp_path / name).write_text("a,b\n1,x\n2,x\n3,y\n")
    keys = {key.partition(".")[2] for key in KEYS if key.startswith("dataset.")}
    assert keys == OTHER_VALUES.keys() | set(AFTERWARDS)
    for option in Catalogue().options("dataset"):
        options = yaml.safe_load(option.text) | ({"path": "table.csv"} if option.name == "csv" else {})
        for key in options.keys() - {"name"} - set(AFTERWARDS):
            assert identity(options) != identity(options | {key: OTHER_VALUES[key]}), (option.name, key)
        for key in set(AFTERWARDS) & options.keys() - {"split_seed"}:
            assert identity(options) == identity(options | {key: 0.9}), (option.name, key)


def test_a_table_is_another_one_once_its_file_was_written_again(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("a,b\n1,x\n2,x\n3,y\n")
    options = {**CSV, "path": str(file)}
    shared: dict = {}
    first = samples_of({"dataset": options}, shared)
    assert samples_of({"dataset": options | {"split_seed": 1}}, shared) is first
    file.write_text("a,b\n5,x\n2,x\n3,y\n")
    os.utime(file, ns=(1, 1))
    assert samples_of({"dataset": options}, shared).inputs[0, 0] == 5.0


def test_the_folder_of_the_cache_changes_no_sample():
    shared: dict = {}
    first = samples_of({"dataset": FAKE, "cache": "here"}, shared)
    assert samples_of({"dataset": FAKE, "cache": None}, shared) is first
    assert samples_of({"dataset": FAKE}, shared) is first


def test_images_are_resized_as_the_model_wants_them():
    options = {**PHOTO_PATCHES, "size": 20, "resize": 24, "interpolation": "bicubic"}
    shape, samples = describe(options).shape, load(options)
    assert samples.inputs.shape[1:] == shape == (3, 20, 20)
    plain = Image.fromarray(load(PHOTO_PATCHES).inputs[7].transpose(1, 2, 0))
    expected = np.asarray(plain.resize((24, 24), Image.Resampling.BICUBIC))[2:22, 2:22]
    np.testing.assert_array_equal(samples.inputs[7], expected.transpose(2, 0, 1))


def test_describing_imports_nothing_heavy():
    code = (
        f"import sys\nfrom labrunner.data.sets import describe\n[describe(o) for o in {EMBEDDED + DRAWN + CHOSEN!r}]\n"
        "print([n for n in ('torch', 'torchvision', 'sklearn', 'pandas', 'PIL', 'mlxtend') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
