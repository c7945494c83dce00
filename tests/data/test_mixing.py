"""Mixing does to each pair what the papers say, and NumPy and torch see the same batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from labrunner.data import load, make
from labrunner.data.mixing import check, cutmix, mixup
from labrunner.errors import RequestError
from labrunner.learner import ANY
from labrunner.seeding import generator
from tests.data.settings import FAKE, config


class FakeLearner:
    """What a split asks of a learner: its arrays, and that it wants nothing."""

    wants = ANY
    array = staticmethod(np.ascontiguousarray)


def numpy_array(values: np.ndarray) -> np.ndarray:
    """As a NumPy learner has it."""
    return np.ascontiguousarray(values)


def torch_array(values: np.ndarray) -> torch.Tensor:
    """As a torch learner has it."""
    return torch.tensor(values)


@pytest.mark.parametrize("float_type", ["float32", "float64"])
def test_mixup_is_the_weighted_sum_of_a_sample_and_its_partner(float_type):
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(6, 2, 3)).astype(float_type), np.array([0, 1, 2, 0, 1, 2])
    weights = np.eye(3, dtype=float_type)[labels]
    draws = np.random.default_rng(11)
    kept, partners = draws.beta(0.4, 0.4), draws.permutation(6)
    found, shares = mixup(inputs, weights, np.random.default_rng(11), 0.4, numpy_array)
    assert found.dtype == shares.dtype == float_type
    for n, partner in enumerate(partners):
        np.testing.assert_allclose(found[n], kept * inputs[n] + (1 - kept) * inputs[partner], rtol=1e-5, atol=1e-6)
        expected = np.zeros(3)
        expected[labels[n]] += kept
        expected[labels[partner]] += 1 - kept
        np.testing.assert_allclose(shares[n], expected, atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("float_type", ["float32", "float64"])
def test_mixup_is_the_same_in_numpy_and_in_torch(float_type):
    rng = np.random.default_rng(0)
    inputs, weights = rng.normal(size=(32, 3, 8, 8)).astype(float_type), rng.dirichlet(np.ones(10), 32)
    weights = weights.astype(float_type)
    ours = mixup(inputs, weights, np.random.default_rng(2), 0.2, numpy_array)
    theirs = mixup(torch.tensor(inputs), torch.tensor(weights), np.random.default_rng(2), 0.2, torch_array)
    for one, other in zip(ours, theirs, strict=True):
        assert other.numpy().dtype == one.dtype == float_type
        assert other.numpy().tobytes() == one.tobytes()


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_the_share_that_stays_has_a_beta_distribution(alpha):
    rng, weights = np.random.default_rng(4), np.eye(2)
    kept = []
    while len(kept) < 1000:
        inputs, _ = mixup(np.array([[1.0], [0.0]]), weights, rng, alpha, numpy_array)
        if inputs[0, 0] != 1.0:  # the two were mixed with each other
            kept.append(inputs[0, 0])
    assert np.mean(kept) == pytest.approx(0.5, abs=4 * np.std(kept) / np.sqrt(len(kept)))
    assert stats.kstest(kept, stats.beta(alpha, alpha).cdf).pvalue > 0.01


# rectangles


def of_one_colour(count: int, shape: tuple[int, ...], dtype: str = "float64") -> np.ndarray:
    """Images whose every pixel says which of the batch they are."""
    return np.broadcast_to(np.arange(count, dtype=dtype).reshape(-1, 1, 1, 1), (count, *shape)).copy()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 12)])
@pytest.mark.parametrize("seed", range(8))
def test_cutmix_exchanges_one_rectangle_and_mixes_the_classes_by_its_area(shape, seed):
    inputs, weights = of_one_colour(6, shape), np.eye(3)[[0, 1, 2, 0, 1, 2]]
    found, shares = cutmix(inputs, weights, np.random.default_rng(seed), 1.0, numpy_array)
    draws = np.random.default_rng(seed)
    kept, centre, partners = draws.beta(1.0, 1.0), draws.random(2), draws.permutation(6)
    # each pixel's middle against the rectangle's edges
    is_inside = np.ones(shape[1:], bool)
    for axis, size in enumerate(shape[1:]):
        middles = (np.arange(size) + 0.5) / size
        near = np.abs(middles - centre[axis]) <= np.sqrt(1.0 - kept) / 2
        is_inside &= near.reshape((-1, 1) if axis == 0 else (1, -1))
    np.testing.assert_array_equal(found, np.where(is_inside, inputs[partners], inputs))
    share = 1.0 - is_inside.mean()
    np.testing.assert_allclose(shares, share * weights + (1.0 - share) * weights[partners], atol=1e-15)
    np.testing.assert_array_equal(inputs, of_one_colour(6, shape))  # left as they were


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_the_rectangles_are_as_large_as_those_of_the_paper(alpha):
    # of a side s about a centre anywhere in [0, 1], s - s^2 / 4 lies within, on average
    share = stats.beta(alpha, alpha)
    expected = integrate.quad(lambda kept: share.pdf(kept) * (np.sqrt(1.0 - kept) - (1.0 - kept) / 4.0) ** 2, 0.0, 1.0)[
        0
    ]
    rng, weights = np.random.default_rng(0), np.eye(2)
    areas = []
    while len(areas) < 2000:
        found, shares = cutmix(of_one_colour(2, (1, 64, 48)), weights, rng, alpha, numpy_array)
        areas.append((found[0] == 1.0).mean())  # none, half of the time: an image may be its own partner
        assert shares[0, 1] == pytest.approx(areas[-1], abs=1e-12)
    # of two images each is the other's partner half of the time
    assert 2.0 * np.mean(areas) == pytest.approx(expected, abs=4 * 2.0 * np.std(areas) / np.sqrt(len(areas)))


def test_every_pixel_is_exchanged_and_the_middle_most_often():
    rng, counts = np.random.default_rng(1), np.zeros((8, 8))
    for _ in range(1500):
        counts += cutmix(of_one_colour(2, (1, 8, 8)), np.eye(2), rng, 1.0, numpy_array)[0][0, 0]
    assert counts.min() > 0
    assert counts[3:5, 3:5].min() > counts[0].max()
    # no side is preferred
    np.testing.assert_allclose(counts[:4].sum(), counts[4:].sum(), rtol=0.1)
    np.testing.assert_allclose(counts[:, :4].sum(), counts[:, 4:].sum(), rtol=0.1)


@pytest.mark.parametrize("float_type", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(3))
def test_cutmix_is_the_same_in_numpy_and_in_torch(float_type, seed):
    rng = np.random.default_rng(0)
    inputs, weights = rng.normal(size=(32, 3, 8, 9)).astype(float_type), rng.dirichlet(np.ones(10), 32)
    weights = weights.astype(float_type)
    ours = cutmix(inputs, weights, np.random.default_rng(seed), 1.0, numpy_array)
    theirs = cutmix(torch.tensor(inputs), torch.tensor(weights), np.random.default_rng(seed), 1.0, torch_array)
    assert not np.array_equal(ours[0], inputs)
    for one, other in zip(ours, theirs, strict=True):
        assert other.numpy().dtype == one.dtype == float_type
        assert other.numpy().tobytes() == one.tobytes()


def test_cutmix_draws_from_its_own_stream_and_leaves_evaluation_alone():
    plain, mixed = (
        make(config(dataset=FAKE, reg={"cutmix": alpha}, batch_size=7), load(FAKE), FakeLearner())
        for alpha in (0.0, 0.8)
    )
    assert mixed.train.is_weighted
    assert not plain.train.is_weighted
    for number, (before, after) in enumerate(zip(plain.train.batches(2), mixed.train.batches(2), strict=True)):
        weights = np.eye(4)[before.targets]
        rng = generator(0, "cutmix", 2, number)
        inputs, targets = cutmix(before.inputs, weights, rng, 0.8, numpy_array)
        np.testing.assert_array_equal(after.inputs, inputs)
        np.testing.assert_array_equal(after.targets, targets)
        assert after.step == before.step
    for one, other in zip(plain.val.in_order(), mixed.val.in_order(), strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.targets, other.targets)


def test_rectangles_out_of_a_table_are_refused_with_a_way_out():
    words = "reg.cutmix=1.0 cuts rectangles out of images and dataset=iris is a table; try reg.cutmix=0, or reg=mixup"
    with pytest.raises(RequestError, match=words):
        check({"cutmix": 1.0}, (4,), "iris")
    for options, shape in (({"cutmix": 0.0}, (4,)), ({"mixup": 0.2}, (4,)), ({}, (4,)), ({"cutmix": 1.0}, (1, 8, 8))):
        check(options, shape, "iris")
