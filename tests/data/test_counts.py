"""Pixels are counted as NumPy counts them, and once: what is kept beside the images is of these images alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrunner.data import counts, load, make
from labrunner.data.counts import pixel_counts
from labrunner.data.samples import Samples, resize
from tests.data.settings import config
from tests.data.test_folders import noise, of

IMAGES = np.random.default_rng(0).integers(0, 256, (9, 3, 4, 5)).astype(np.uint8)
SOME = np.array([7, 2, 3])


class Learner:
    from labrunner.learner import ANY as wants

    array = staticmethod(np.ascontiguousarray)


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """How many images were counted, each time."""
    sizes: list[int] = []
    real = counts._counted

    def noted(images, index):
        sizes.append(len(index))
        return real(images, index)

    monkeypatch.setattr(counts, "_counted", noted)
    return sizes


def expected(images: np.ndarray) -> np.ndarray:
    return np.array([[(images[:, channel] == value).sum() for value in range(256)] for channel in range(3)])


def test_each_value_is_counted_in_each_channel():
    np.testing.assert_array_equal(pixel_counts(IMAGES), expected(IMAGES))
    np.testing.assert_array_equal(pixel_counts(IMAGES, SOME), expected(IMAGES[SOME]))


def test_an_image_that_stands_for_many_is_counted_once(counted):
    many = np.broadcast_to(IMAGES[0], IMAGES.shape)
    np.testing.assert_array_equal(pixel_counts(many, SOME), expected(many[SOME]))
    assert counted == [1]


def test_what_was_counted_is_not_counted_again(tmp_path, counted):
    first = pixel_counts(IMAGES, SOME, tmp_path)
    again = pixel_counts(np.zeros_like(IMAGES), SOME, tmp_path)  # which are not looked at
    np.testing.assert_array_equal(again, expected(IMAGES[SOME]))
    assert (again.dtype, again.shape) == (first.dtype, first.shape)
    assert counted == [3]
    assert len(list(tmp_path.iterdir())) == 1


def test_other_choices_of_the_same_images_are_counted_for_themselves(tmp_path, counted):
    for index in (SOME, SOME[:2], np.array([7, 2, 4]), None):
        np.testing.assert_array_equal(
            pixel_counts(IMAGES, index, tmp_path), expected(IMAGES if index is None else IMAGES[index])
        )
    assert counted == [3, 2, 3, 9]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content[:-32][::-1] + content[-32:],
    ],
    ids=["empty", "cut", "longer", "a flipped bit", "in another order"],
)
def test_counts_that_are_damaged_are_made_again(tmp_path, counted, damage):
    pixel_counts(IMAGES, SOME, tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    np.testing.assert_array_equal(pixel_counts(IMAGES, SOME, tmp_path), expected(IMAGES[SOME]))
    assert counted == [3, 3]
    assert path.read_bytes() == whole


def test_counts_that_cannot_be_kept_are_counts_all_the_same(tmp_path, counted):
    for _ in range(2):
        np.testing.assert_array_equal(pixel_counts(IMAGES, SOME, tmp_path / "gone"), expected(IMAGES[SOME]))
    assert counted == [3, 3]


def made(samples: Samples, **options: Any) -> Any:
    return make(config(dataset=of("", **options)), samples, Learner())  # type: ignore[arg-type]


@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_a_second_start_on_a_folder_counts_nothing_and_normalizes_to_the_bit(tmp_path, counted, memory):
    root, cache = noise(tmp_path / "a"), str(tmp_path / "cache")
    without = made(load(of(root))).normalization
    counted.clear()
    first, second = (made(load(of(root, cache=cache, memory=memory))).normalization for _ in range(2))
    assert counted == [18]
    for normalization in (first, second):
        assert normalization.scale.tobytes() == without.scale.tobytes()
        assert normalization.shift.tobytes() == without.shift.tobytes()


def test_counts_are_of_the_images_of_their_size_and_of_their_files(tmp_path, counted):
    root, cache = noise(tmp_path / "a"), str(tmp_path / "cache")
    made(load(of(root, cache=cache)))
    made(load(of(root, cache=cache, size=9)))
    made(load(of(root, cache=cache, channels=1)))
    (root / "class 1" / "00.png").write_bytes((root / "class 2" / "00.png").read_bytes())
    made(load(of(root, cache=cache)))
    made(load(of(root, cache=cache)), split_seed=1)
    assert counted == [18] * 5


def test_images_that_were_made_of_those_in_the_cache_are_counted(tmp_path, counted):
    root, cache = noise(tmp_path / "a"), str(tmp_path / "cache")
    samples = load(of(root, cache=cache))
    made(samples)
    smaller = made(resize(samples, 5))
    assert counted == [18, 18]
    pixels = smaller.samples.inputs[smaller.train.index] / 255.0
    np.testing.assert_allclose(1.0 / smaller.normalization.scale.ravel() / 255.0, pixels.std(axis=(0, 2, 3)))


def test_nothing_is_kept_without_a_cache(tmp_path, counted, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = noise(Path("a"))
    for _ in range(2):
        made(load(of(root)))
    assert counted == [18, 18]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
