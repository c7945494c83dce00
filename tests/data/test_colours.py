"""Colour jitter is torchvision's brightness, contrast and saturation, with factors and orders of each image's own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms.v2 import functional

from labrunner.data.colours import DRAWS, ORDERS, jittered

ADJUST = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation)
SHAPES = [(1, 9, 8), (3, 7, 10)]


def images(shape, count: int = 24) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, *shape)).astype(np.uint8)


def changed(pixels, draws, most=0.4, white=255.0, float_type="float64"):
    return jittered(pixels, draws, most, white, np.ascontiguousarray, float_type)


def draw(factors, order: int, most: float) -> np.ndarray:
    """The numbers from [0, 1) that stand for three factors and an order."""
    return np.array([*((factor - 1.0) / most / 2.0 + 0.5 for factor in factors), (order + 0.5) / 6.0])


def test_there_are_all_six_orders():
    assert sorted(map(tuple, ORDERS.tolist())) == sorted(itertools.permutations(range(3)))


@pytest.mark.parametrize("shape", SHAPES)
def test_each_image_is_adjusted_as_torchvision_does_it_in_its_order(shape):
    pixels, rng = images(shape), np.random.default_rng(1)
    factors, orders = rng.uniform(0.3, 1.7, (len(pixels), 3)), np.arange(len(pixels)) % 6
    draws = np.stack([draw(*each, 0.7) for each in zip(factors, orders, strict=True)], axis=1)
    ours = changed(pixels, draws, 0.7)
    for image, out, factor, order in zip(pixels, ours, factors, orders, strict=True):
        theirs = torch.tensor(image, dtype=torch.float64) / 255.0
        for kind in ORDERS[order]:
            theirs = ADJUST[kind](theirs, factor[kind])
        np.testing.assert_allclose(out, theirs.numpy() * 255.0, atol=1e-9)


@pytest.mark.parametrize("kind", range(3))
def test_one_adjustment_of_whole_levels_is_torchvisions_but_for_rounding(kind):
    pixels, factors = images((3, 7, 10)), np.ones((24, 3))
    factors[:, kind] = np.linspace(0.6, 1.4, 24)
    ours = changed(pixels, np.stack([draw(each, 0, 0.4) for each in factors], axis=1))
    for image, out, factor in zip(pixels, ours, factors[:, kind], strict=True):
        theirs = ADJUST[kind](torch.tensor(image), factor).numpy().astype(np.float64)
        np.testing.assert_allclose(out, theirs, atol=1.5)  # it cuts off fractions, of greys as well


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("float_type", ["float32", "float64"])
def test_factors_of_one_change_nothing_but_the_type(shape, float_type):
    pixels = images(shape)
    draws = np.concatenate([np.full((3, 24), 0.5), np.random.default_rng(0).random((1, 24))])
    found = changed(pixels, draws, 0.4, float_type=float_type)
    assert found.dtype == float_type
    np.testing.assert_array_equal(found, pixels)


def test_saturation_changes_no_grey_image():
    pixels, draws = images((1, 9, 8)), np.random.default_rng(0).random((DRAWS, 24))
    other = draws.copy()
    other[2] = np.random.default_rng(1).random(24)
    np.testing.assert_array_equal(changed(pixels, draws), changed(pixels, other))
    draws[:2] = 0.5
    np.testing.assert_array_equal(changed(pixels, draws), pixels)


def test_a_grey_image_of_three_channels_stays_grey():
    pixels = np.repeat(images((1, 9, 8)), 3, axis=1)
    found = changed(pixels, np.random.default_rng(0).random((DRAWS, 24)))
    # the shares of the colours sum to 0.9999
    np.testing.assert_allclose(found, np.broadcast_to(found[:, :1], found.shape), atol=1e-9)
    assert not np.allclose(found, pixels, atol=1.0)


def test_another_white_is_the_same_in_its_own_units():
    pixels, draws = images((3, 7, 10)) / 255.0 * 16.0, np.random.default_rng(0).random((DRAWS, 24))
    found = changed(pixels, draws, 0.9, white=16.0)
    np.testing.assert_allclose(found / 16.0, changed(pixels / 16.0 * 255.0, draws, 0.9) / 255.0, atol=1e-12)
    assert found.max() == 16.0


def test_no_colours_of_an_image_depend_on_its_neighbours():
    pixels, draws = images((3, 7, 10)), np.random.default_rng(0).random((DRAWS, 24))
    whole = changed(pixels, draws)
    for n in range(24):
        np.testing.assert_allclose(changed(pixels[n : n + 1], draws[:, n : n + 1]), whole[n : n + 1], atol=1e-9)


def test_factors_are_uniform_and_orders_equally_likely():
    draws = np.random.default_rng(0).random((DRAWS, 6000))
    # one grey pixel of half of the white: only its brightness changes
    found = changed(np.full((6000, 1, 1, 1), 100.0), draws, 0.4)
    assert stats.kstest(found.reshape(-1) / 100.0, stats.uniform(0.6, 0.8).cdf).pvalue > 0.01
    counts = np.bincount(np.floor(draws[3] * 6).astype(int), minlength=6)
    assert stats.chisquare(counts).pvalue > 0.01
