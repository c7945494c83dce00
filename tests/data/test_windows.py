"""Resized crops are those of torchvision and PIL, of windows that are drawn as torchvision draws them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional

from labrunner.data.augment import Augment
from labrunner.data.windows import DRAWS, resized, windows

SHAPES = [(1, 8, 8), (3, 32, 32), (3, 21, 40), (1, 40, 21)]


def images(shape, count: int = 24) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, *shape)).astype(np.uint8)


def drawn(seed: int, count: int, share: float, height: int, width: int) -> np.ndarray:
    return windows(np.random.default_rng(seed).random((DRAWS, count)), share, height, width)


def seen(pixels, found, mirrored=False, float_type="float64"):
    is_mirrored = np.broadcast_to(np.asarray(mirrored), len(pixels))
    return resized(pixels, found, is_mirrored, np.ascontiguousarray, float_type)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_window_is_resized_as_torchvision_does_it_with_antialias_and_without(shape):
    pixels, size = images(shape), list(shape[1:])
    found = drawn(0, len(pixels), 0.1, *shape[1:])
    assert len(np.unique(found, axis=1).T) > 10
    ours = seen(pixels, found)
    for image, out, window in zip(pixels, ours, found.T, strict=True):
        for antialias in (True, False):
            theirs = functional.resized_crop(torch.tensor(image).double(), *window.tolist(), size, antialias=antialias)
            np.testing.assert_allclose(out, theirs.numpy(), atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_window_is_resized_as_pil_does_it_to_a_level(shape):
    pixels, (height, width) = images(shape), shape[1:]
    found = drawn(1, len(pixels), 0.2, height, width)
    ours = seen(pixels, found)
    for image, out, (top, left, high, wide) in zip(pixels, ours, found.T.tolist(), strict=True):
        for plane, expected in zip(out, image, strict=True):
            cropped = Image.fromarray(expected).crop((left, top, left + wide, top + high))
            theirs = np.asarray(cropped.resize((width, height), Image.Resampling.BILINEAR), np.float64)
            np.testing.assert_allclose(plane, theirs, atol=1.01)  # PIL rounds to whole levels, once an axis


def test_a_mirrored_window_is_the_window_mirrored():
    pixels = images((3, 9, 14))
    found, is_mirrored = drawn(2, len(pixels), 0.3, 9, 14), np.arange(len(pixels)) % 3 == 0
    plain, mirrored = seen(pixels, found), seen(pixels, found, is_mirrored)
    np.testing.assert_array_equal(mirrored, np.where(is_mirrored[:, None, None, None], plain[..., ::-1], plain))


@pytest.mark.parametrize("float_type", ["float32", "float64"])
def test_a_window_of_the_whole_image_is_the_image(float_type):
    pixels = images((3, 10, 17))
    whole = np.broadcast_to(np.array([[0], [0], [10], [17]]), (4, len(pixels)))
    ours = seen(pixels, whole, float_type=float_type)
    assert ours.dtype == float_type
    np.testing.assert_array_equal(ours, pixels)


@pytest.mark.parametrize("side", [1, 2, 8, 33, 224])
def test_of_square_images_the_only_window_of_all_of_their_area_is_themselves(side):
    pixels = images((1, side, side), 5)
    found = Augment({"resized_crop": 1.0}, (1, side, side), np.ascontiguousarray, "float32")(
        pixels, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(found, pixels)
    every = drawn(0, 500, 1.0, side, side)
    np.testing.assert_array_equal(every, np.broadcast_to(np.array([[0], [0], [side], [side]]), every.shape))


def theirs(count: int, share: float, height: int, width: int) -> np.ndarray:
    """Windows as torchvision draws them, (4, count)."""
    image = torch.zeros(1, height, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [RandomResizedCrop.get_params(image, [share, 1.0], [3 / 4, 4 / 3]) for _ in range(count)]
    return np.array(drawn).T


@pytest.mark.parametrize(
    ("share", "height", "width"), [(0.08, 224, 224), (0.35, 96, 96), (0.5, 60, 90), (0.2, 200, 120)]
)
def test_windows_are_drawn_as_torchvision_draws_them(share, height, width):
    count = 3000
    ours, other = drawn(0, count, share, height, width), theirs(count, share, height, width)
    top, left, high, wide = ours
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + high <= height).all()
    assert (left + wide <= width).all()
    for quantity in (
        lambda w: w[2] * w[3],
        lambda w: np.log(w[3] / w[2]),
        lambda w: w[0] / np.maximum(1, height - w[2]),
        lambda w: w[1] / np.maximum(1, width - w[3]),
        lambda w: w[2],
        lambda w: w[3],
    ):
        assert stats.ks_2samp(quantity(ours), quantity(other)).pvalue > 0.01


def test_a_small_windows_area_and_log_ratio_are_uniform():
    # on a square image a window of up to three quarters of the area always fits
    draws = np.random.default_rng(3).random((DRAWS, 4000))
    _, _, high, wide = windows(draws, 0.1, 1000, 1000)
    areas, ratios = high * wide / 1e6, np.log(wide / high) / np.log(4 / 3)
    is_small = areas < 0.7
    assert stats.kstest(areas[is_small], stats.uniform(0.1, 0.6).cdf).pvalue > 0.01
    assert stats.kstest(ratios[is_small], stats.uniform(-1.0, 2.0).cdf).pvalue > 0.01


@pytest.mark.parametrize(("height", "width"), [(10, 100), (100, 10), (30, 31), (31, 30), (7, 7), (1, 50), (50, 1)])
def test_after_ten_windows_that_do_not_fit_it_is_torchvisions_middle(height, width):
    never = np.full((DRAWS, 3), 0.999999)  # all of the area and the widest ratio
    if height > width:
        never[1::2] = 0.0  # the highest
        never[-2:] = 0.999999
    expected = RandomResizedCrop.get_params(torch.zeros(1, height, width), [9.0, 9.0], [3 / 4, 4 / 3])
    found = windows(never, 1.0, height, width)
    np.testing.assert_array_equal(found, np.broadcast_to(np.array(expected)[:, None], found.shape))


def test_the_first_try_that_fits_is_taken():
    draws = np.full((DRAWS, 1), 0.999999)  # all of the area, twice as wide as it may be
    draws[4:6, 0] = 0.25, 0.5  # the third try: a quarter of the way from a fifth, square
    draws[6:8, 0] = 0.0, 0.5
    draws[-2:, 0] = 0.0, 0.999999
    np.testing.assert_array_equal(windows(draws, 0.2, 100, 100)[:, 0], [0, 37, 63, 63])  # 63^2 = 0.4 * 100^2
