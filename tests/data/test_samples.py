"""Descriptions and samples refuse what does not fit, choose classes, and change the size of images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional

from labrunner.data import Description, Samples, load
from labrunner.data.samples import choose_classes, resize
from labrunner.errors import RequestError
from tests.data.settings import DIGITS, IRIS, MNIST5K, PHOTO_PATCHES, QUADRATIC

TWO = Description("two", (3,), ("a", "b"))
ANIMALS = Description("animals", (1,), ("ant", "bat", "cat", "dog"))
LABELS = np.array([3, 0, 1, 2, 3, 3, 0, 2])


def animals(**more) -> Samples:
    """Samples whose only feature is their position."""
    return Samples(ANIMALS, np.arange(8, dtype=np.float32)[:, None], LABELS, **more)


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


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([[0.5, 0.5], [0.5, 0.6]], r"sample 1 are \[0\.5, 0\.6\]"),
        ([[1.5, -0.5], [0.5, 0.5]], "sample 0"),
        ([[1.0], [1.0]], r"\(2, 1\).*\(2, 2\)"),
    ],
)
def test_weights_that_are_no_shares_of_the_classes_are_refused(weights, words):
    with pytest.raises(RequestError, match=words):
        Samples(TWO, np.zeros((2, 3), np.float32), np.zeros(2, np.int64), weights=np.array(weights))


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize(("places", "words"), [([0, 8], "beyond the 8"), ([-1], "beyond"), ([2, 2], "twice")])
def test_an_official_split_of_samples_that_are_not_there_is_refused(split, places, words):
    with pytest.raises(RequestError, match=words):
        animals(**{split: np.array(places)})


def test_a_sample_in_two_official_splits_is_refused():
    with pytest.raises(RequestError, match="sample 4 is in the validation split and in the test split"):
        animals(val=np.array([1, 4]), test=np.array([4, 2]))


def test_as_many_files_as_samples_are_asked_for():
    with pytest.raises(RequestError, match="2 files and 8 labels"):
        animals(paths=("a", "b"))


def test_what_the_inputs_are_known_by_takes_their_place_in_the_fingerprint():
    known = [animals(content=content).fingerprint for content in ("one", "one", "two")]
    assert known[0] == known[1] != known[2]
    others = Samples(ANIMALS, animals().inputs, LABELS[::-1].copy(), content="one")
    assert others.fingerprint != known[0]


# classes


def test_chosen_classes_are_numbered_in_the_order_given_and_others_are_gone():
    chosen = choose_classes(animals(), ["dog", "bat"])
    assert chosen.description.class_names == ("dog", "bat")
    assert chosen.inputs[:, 0].tolist() == [0, 2, 4, 5]
    assert chosen.labels.tolist() == [0, 1, 0, 0]
    assert chosen.labels.dtype == np.int64


def test_the_official_test_split_follows_its_samples():
    chosen = choose_classes(animals(test=np.array([5, 6, 2])), ["bat", "dog"])
    assert sorted(chosen.inputs[chosen.test, 0].tolist()) == [2, 5]


def test_the_official_validation_split_origins_and_files_follow_their_samples():
    files = tuple(f"{letter}.png" for letter in "abcdefgh")
    chosen = choose_classes(
        animals(val=np.array([0, 5]), test=np.array([6, 2]), origin=np.arange(8) * 10, paths=files), ["bat", "dog"]
    )
    assert chosen.inputs[chosen.val, 0].tolist() == [0, 5]
    assert chosen.inputs[chosen.test, 0].tolist() == [2]
    assert chosen.origin.tolist() == [0, 20, 40, 50]
    assert chosen.paths == ("a.png", "c.png", "e.png", "f.png")


def test_all_classes_in_their_order_are_the_samples_themselves():
    samples = animals()
    assert choose_classes(samples, ANIMALS.class_names) is samples
    assert choose_classes(samples, ANIMALS.class_names[::-1]).labels.tolist() == (3 - LABELS).tolist()


def test_numbers_name_the_classes_of_digits():
    digits = load(DIGITS)
    chosen = choose_classes(digits, [8, "3"])
    np.testing.assert_array_equal(chosen.inputs[chosen.labels == 0], digits.inputs[digits.labels == 8])
    np.testing.assert_array_equal(chosen.inputs[chosen.labels == 1], digits.inputs[digits.labels == 3])
    assert chosen.description == digits.description.with_classes([8, 3])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["ant", "dug"], "has no class dug\ndid you mean dog"),
        (["ant", "ant"], "ant twice"),
        (["ant"], "one class"),
        ([3, 4], "no class 3\nthere are ant, bat, cat, dog"),
    ],
)
def test_classes_that_cannot_be_chosen_are_refused(names, words):
    with pytest.raises(RequestError, match=words):
        choose_classes(animals(), names)
    with pytest.raises(RequestError, match=words):
        ANIMALS.with_classes(names)


def test_an_objective_without_classes_has_none_to_choose():
    with pytest.raises(RequestError, match="no classes to choose"):
        choose_classes(load(QUADRATIC), ["-1", "+1"])


# size


@pytest.mark.parametrize("size", [20, 28, 32, 45])
def test_images_are_resized_as_pillow_does(size):
    samples = load(MNIST5K)
    some = Samples(samples.description, samples.inputs[:40], samples.labels[:40])
    resized = resize(some, size)
    assert resized.inputs.dtype == np.uint8
    assert resized.description == some.description.resized(size)
    for image, original in zip(resized.inputs, some.inputs, strict=True):
        theirs = Image.fromarray(original[0]).resize((size, size), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(image[0], np.asarray(theirs))


def test_colours_are_resized_together_as_pillow_does():
    samples = load(PHOTO_PATCHES)
    resized = resize(samples, 13)
    theirs = Image.fromarray(samples.inputs[300].transpose(1, 2, 0)).resize((13, 13), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resized.inputs[300], np.asarray(theirs).transpose(2, 0, 1))


def test_shrinking_by_a_whole_number_weighs_the_neighbours_in_a_triangle():
    # antialiased: at half the size the triangle spans four pixels, with weights 1/8, 3/8, 3/8, 1/8
    stripes = np.zeros((1, 1, 8, 8), np.uint8)
    stripes[..., 3] = 240
    samples = Samples(Description("stripes", (1, 8, 8), ("a", "b"), white=255.0), stripes, np.zeros(1, np.int64))
    assert resize(samples, 4).inputs[0, 0, 1].tolist() == [0, 90, 30, 0]


def test_the_sixteen_greys_of_digits_become_255():
    digits = load(DIGITS)
    resized = resize(digits, 16)
    assert digits.description.resized(16).white == resized.description.white == 255.0
    assert resized.description.shape == (1, 16, 16)
    before, after = digits.inputs.mean() / 16.0, resized.inputs.mean() / 255.0
    assert after == pytest.approx(before, rel=0.01)
    flat = Samples(digits.description, np.full((1, 1, 8, 8), 16, np.uint8), np.zeros(1, np.int64))
    assert (resize(flat, 20).inputs == 255).all()


def test_images_of_the_size_asked_for_stay_as_they_are():
    digits = load(DIGITS)
    assert resize(digits, 8) is digits
    assert digits.description.resized(8) is digits.description


def test_a_table_has_no_size():
    with pytest.raises(RequestError, match=r"iris is a table.*dataset\.size=null"):
        resize(load(IRIS), 8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("shape", "size", "shorter"), [((3, 20, 31), 9, None), ((1, 31, 20), 9, 12), ((3, 12, 12), 12, 15)]
)
def test_the_middle_is_cut_out_as_torchvision_does(shape, size, shorter, interpolation):
    images = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.uint8)
    samples = Samples(Description("images", shape, ("a", "b"), white=255.0), images, np.zeros(2, np.int64))
    resized = resize(samples, size, shorter, interpolation)
    assert resized.description == samples.description.resized(size)
    for image, original in zip(resized.inputs, images, strict=True):
        theirs = Image.fromarray(original.transpose(1, 2, 0).squeeze())
        theirs = functional.resize(theirs, shorter or size, functional.InterpolationMode(interpolation))
        expected = np.asarray(functional.center_crop(theirs, [size, size])).reshape(size, size, shape[0])
        np.testing.assert_array_equal(image, expected.transpose(2, 0, 1))


def test_resized_images_are_known_by_their_pixels():
    images = np.zeros((2, 1, 4, 4), np.uint8)
    samples = Samples(
        Description("images", (1, 4, 4), ("a", "b"), white=255.0), images, np.zeros(2, np.int64), content="files"
    )
    assert resize(samples, 3).content is None


def test_a_model_that_sees_more_than_the_resized_image_is_refused():
    with pytest.raises(RequestError, match=r"shorter side is 6 pixels, cut to 9; try Wants\(resize=9"):
        resize(load(DIGITS), 9, 6)
