"""Starting weights: their distributions, and that each parameter's numbers are its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from labrunner import initial
from labrunner.scratch.network import Network

SHAPES = [(400, 300), (300, 400), (64, 32, 3, 5)]


def variance(scheme: str, shape: tuple[int, ...]) -> float:
    fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
    return {"default": 1 / (3 * fan_in), "he": 2 / fan_in, "xavier": 2 / (fan_in + fan_out)}[scheme]


@pytest.mark.parametrize("shape", [*SHAPES, (10, 5)])
def test_fans_are_those_of_torch(shape):
    assert initial.fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", initial.SCHEMES)
def test_weights_have_mean_zero_and_the_scheme_s_variance(scheme, shape):
    w = initial.weight(scheme, 0, "layer.weight", shape)
    assert w.shape == shape
    assert w.dtype == np.float64
    expected = variance(scheme, shape)
    assert abs(w.mean()) < 4 * math.sqrt(expected / w.size)
    kurtosis = 3.0 if scheme == "he" else 1.8  # of a normal, of a uniform; Var(s^2) = sigma^4 (kurtosis - 1) / n
    assert abs(w.var() / expected - 1) < 4 * math.sqrt((kurtosis - 1) / w.size)


@pytest.mark.parametrize("scheme", ["default", "xavier"])
def test_uniform_schemes_fill_their_bounds_and_stay_within(scheme):
    w = initial.weight(scheme, 0, "layer.weight", (400, 300))
    bound = math.sqrt(3 * variance(scheme, (400, 300)))  # Var U(-b, b) = b^2 / 3
    assert np.abs(w).max() <= bound
    assert w.max() > 0.999 * bound
    assert w.min() < -0.999 * bound


def test_the_default_has_the_bounds_of_a_torch_layer():
    layer = torch.nn.Linear(50, 4000)
    assert np.abs(initial.weight("default", 0, "w", (4000, 50))).max() == pytest.approx(
        layer.weight.abs().max().item(), rel=1e-3
    )
    assert np.abs(initial.bias("default", 0, "b", 4000, 50)).max() == pytest.approx(
        layer.bias.abs().max().item(), rel=1e-2
    )


def test_he_draws_from_a_normal():
    w = initial.weight("he", 0, "layer.weight", (400, 300)) / math.sqrt(2 / 300)
    for sigmas, share in [(1, 0.682689), (2, 0.954500), (3, 0.997300)]:
        assert np.mean(np.abs(w) < sigmas) == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / w.size))


@pytest.mark.parametrize("scheme", ["he", "xavier"])
def test_biases_start_at_zero_in_he_and_xavier(scheme):
    assert not initial.bias(scheme, 0, "layer.bias", 10, 5).any()


@pytest.mark.parametrize("scheme", initial.SCHEMES)
def test_a_layer_more_leaves_the_numbers_of_the_others(scheme):
    small, large = Network((6,), [8], 3), Network((6,), [8, 8], 3)
    small.initialize(scheme, 0)
    large.initialize(scheme, 0)
    assert small.parameters.keys() < large.parameters.keys()
    for name, w in small.parameters.items():
        np.testing.assert_array_equal(w, large.parameters[name])


def test_parameters_of_one_shape_and_other_seeds_differ():
    draws = [
        initial.weight("default", seed, name, (8, 8))
        for seed, name in [
            (0, "backbone.linear2.weight"),
            (0, "backbone.linear3.weight"),
            (1, "backbone.linear2.weight"),
        ]
    ]
    for i, one in enumerate(draws):
        assert all(not np.isin(one, other).any() for other in draws[i + 1 :])


def test_an_unknown_scheme_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'glorot'.*default, he, xavier"):
        initial.weight("glorot", 0, "layer.weight", (3, 3))
