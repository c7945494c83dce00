"""Starting weights: their distributions, and that each parameter's numbers are its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from labrunner import checkpoint, initial
from labrunner.deep.init import initialize
from labrunner.errors import RequestError
from labrunner.scratch.network import Network
from labrunner.seeding import generator

SHAPES = [(400, 300), (300, 400), (64, 32, 3, 5)]
VALUE, STD = -0.3, 0.05
NORMAL = ("normal", "xavier_normal", "he_normal", "he")
UNIFORM = ("default", "xavier_uniform", "he_uniform", "xavier")
DRAWN = [scheme for scheme in initial.SCHEMES if scheme != "given"]  # those that fit weights of every shape


def options(scheme: str) -> dict[str, Any]:
    return {"name": scheme} | {"constant": {"value": VALUE}, "normal": {"std": STD}}.get(scheme, {})


def weight(scheme: str, shape: tuple[int, ...]) -> np.ndarray:
    return initial.weight(options(scheme), 0, "layer.weight", shape)


def variance(scheme: str, shape: tuple[int, ...]) -> float:
    fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
    return {
        "default": 1 / (3 * fan_in),
        "normal": STD**2,
        "xavier_uniform": 2 / (fan_in + fan_out),
        "xavier_normal": 2 / (fan_in + fan_out),
        "xavier": 2 / (fan_in + fan_out),
        "he_uniform": 2 / fan_in,
        "he_normal": 2 / fan_in,
        "he": 2 / fan_in,
    }[scheme]


@pytest.mark.parametrize("shape", [*SHAPES, (10, 5)])
def test_fans_are_those_of_torch(shape):
    assert initial.fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", [*NORMAL, *UNIFORM])
def test_weights_have_mean_zero_and_the_scheme_s_variance(scheme, shape):
    w = weight(scheme, shape)
    assert w.shape == shape
    assert w.dtype == np.float64
    expected = variance(scheme, shape)
    assert abs(w.mean()) < 4 * math.sqrt(expected / w.size)
    kurtosis = 3.0 if scheme in NORMAL else 1.8  # of a normal, of a uniform; Var(s^2) = sigma^4 (kurtosis - 1) / n
    assert abs(w.var() / expected - 1) < 4 * math.sqrt((kurtosis - 1) / w.size)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", UNIFORM)
def test_uniform_schemes_fill_their_bounds_and_stay_within(scheme, shape):
    w = weight(scheme, shape)
    bound = math.sqrt(3 * variance(scheme, shape))  # Var U(-b, b) = b^2 / 3
    assert np.abs(w).max() <= bound
    assert w.max() > 0.999 * bound
    assert w.min() < -0.999 * bound


def test_the_default_has_the_bounds_of_a_torch_layer():
    layer = torch.nn.Linear(50, 4000)
    w, b = weight("default", (4000, 50)), initial.bias(options("default"), 0, "b", 4000, 50)
    assert np.abs(w).max() == pytest.approx(layer.weight.abs().max().item(), rel=1e-3)
    assert np.abs(b).max() == pytest.approx(layer.bias.abs().max().item(), rel=1e-2)


@pytest.mark.parametrize("scheme", NORMAL)
def test_normal_schemes_draw_from_a_normal(scheme):
    w = weight(scheme, (400, 300)) / math.sqrt(variance(scheme, (400, 300)))
    for sigmas, share in [(1, 0.682689), (2, 0.954500), (3, 0.997300)]:
        assert np.mean(np.abs(w) < sigmas) == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / w.size))


def test_zeros_and_constant_are_one_number_in_weights_and_biases():
    for scheme, value in [("zeros", 0.0), ("constant", VALUE)]:
        assert (weight(scheme, (3, 4)) == value).all()
        bias = initial.bias(options(scheme), 0, "layer.bias", 3, 4)
        assert bias.shape == (3,)
        assert bias.dtype == np.float64
        assert (bias == value).all()


@pytest.mark.parametrize("scheme", sorted(set(DRAWN) - {"default", "constant"}))
def test_biases_start_at_zero_but_for_default_and_constant(scheme):
    assert not initial.bias(options(scheme), 0, "layer.bias", 10, 5).any()


@pytest.mark.parametrize(("short", "long"), [("he", "he_normal"), ("xavier", "xavier_uniform")])
def test_a_short_name_has_the_very_numbers_of_the_long_one(short, long):
    assert weight(short, (40, 30)).tobytes() == weight(long, (40, 30)).tobytes()


def test_the_draws_are_those_of_runs_that_were_begun_before():
    # the formulas of the first release, since a resumed run may only go on from its own numbers
    def rng(name: str) -> np.random.Generator:
        return generator(7, "init", name)

    fifth, shape = 1.0 / math.sqrt(5), (4, 5)
    expected = {
        "default": rng("w").uniform(-fifth, fifth, shape),
        "he": rng("w").normal(0.0, math.sqrt(2.0 / 5), shape),
        "xavier": rng("w").uniform(-math.sqrt(6.0 / 9), math.sqrt(6.0 / 9), shape),
    }
    for scheme, values in expected.items():
        assert initial.weight(options(scheme), 7, "w", shape).tobytes() == values.tobytes()
    bias = initial.bias(options("default"), 7, "b", 4, 5)
    assert bias.tobytes() == rng("b").uniform(-fifth, fifth, 4).tobytes()


# given one by one


def test_given_numbers_are_the_weights_unit_by_unit():
    numbers = {"name": "given", "weights": [1, -2.5, 3, 4, 5, 6], "biases": []}
    w = initial.weight(numbers, 0, "head.weight", (2, 3))
    assert w.dtype == np.float64
    assert w.tolist() == [[1.0, -2.5, 3.0], [4.0, 5.0, 6.0]]
    assert initial.bias(numbers, 0, "head.bias", 2, 3).tolist() == [0.0, 0.0]
    assert initial.bias(numbers | {"biases": [7, 8]}, 0, "head.bias", 2, 3).tolist() == [7.0, 8.0]


@pytest.mark.parametrize("weights", [[], [1.0], [1.0, 2.0, 3.0], [0.0] * 20])
def test_as_many_numbers_are_given_as_there_are_weights(weights):
    numbers = {"name": "given", "weights": weights, "biases": weights}
    with pytest.raises(RequestError, match=r"^init\.weights=.* has .* and head\.weight takes 2; try init\.weights="):
        initial.weight(numbers, 0, "head.weight", (1, 2))
    if weights:
        with pytest.raises(RequestError, match=r"^init\.biases=.* and head\.bias takes 2; try init\.biases="):
            initial.bias(numbers, 0, "head.bias", 2, 1)


def test_a_model_begins_at_the_numbers_that_are_given(lab):
    points = ("dataset=moons", "dataset.samples=30", "epochs=1", "optim=sgd", "optim.lr=1e-30", "init=given")
    folder = lab.train("run", *points, "model=neuron", "init.weights=[-5,2.5]", "init.biases=[3]")
    state, _ = checkpoint.read(folder / "checkpoints" / "00001.safetensors")
    assert state["weights/head.weight"].tolist() == [[-5.0, 2.5]]
    assert state["weights/head.bias"].tolist() == [3.0]


@pytest.mark.parametrize(
    ("model", "ways_out"),
    [("mlp", ["model.hidden=[]", "init=constant"]), ("cnn", ["model=softmax", "init=constant"])],
)
def test_weights_of_several_layers_cannot_be_given_and_the_way_out_is_named(lab, model, ways_out):
    request = {"model": model, "dataset": "fake", "init": "given", "init.weights": "[1,2]", "smoke": "true"}
    before = lab.tree()
    refused = lab(*(f"{key}={value}" for key, value in request.items()))
    assert refused.code == 2
    assert f"model={model}" in refused.err
    assert f"try {' or '.join(ways_out)}" in refused.err
    assert lab.tree() == before


def test_a_list_of_the_wrong_length_is_refused_before_anything_is_written(lab):
    before = lab.tree()
    refused = lab("model=adaline", "dataset=quadratic", "model.bias=false", "init=given", "init.weights=[1,2,3]")
    assert refused.code == 2
    assert refused.err.startswith(
        "labrunner: error: init.weights=[1,2,3] has 3 and head.weight takes 2; try init.weights=["
    )
    assert lab.tree() == before


# orthogonal


@pytest.mark.parametrize("shape", [(30, 30), (20, 50), (50, 20), (8, 3, 3, 3), (40, 3, 3, 3), (1, 5), (5, 1)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape):
    w = weight("orthogonal", shape)
    assert w.shape == shape
    matrix = w.reshape(shape[0], -1)
    rows, columns = matrix.shape
    product = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(min(rows, columns)), rtol=0, atol=1e-12)


def test_a_square_orthogonal_weight_keeps_every_length():
    x = np.random.default_rng(0).normal(size=(5, 30))
    np.testing.assert_allclose(
        np.linalg.norm(x @ weight("orthogonal", (30, 30)).T, axis=1), np.linalg.norm(x, axis=1), rtol=1e-12
    )


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 2)])
def test_orthogonal_weights_favour_no_direction(shape):
    # each entry of a uniform one has mean 0 and variance 1 / the longer side, the first ones too, which a bare QR
    # makes negative
    draws = np.stack([initial.weight({"name": "orthogonal"}, seed, "w", shape) for seed in range(4000)])
    assert np.abs(draws.mean(axis=0)).max() < 4.5 * math.sqrt(1 / max(shape) / len(draws))
    squares = draws**2
    error = squares.std(axis=0) / math.sqrt(len(draws))
    assert (np.abs(squares.mean(axis=0) - 1 / max(shape)) < 4.5 * error).all()


# whose numbers


@pytest.mark.parametrize("scheme", DRAWN)
def test_a_layer_more_leaves_the_numbers_of_the_others(scheme):
    small, large = Network((6,), [8], 3), Network((6,), [8, 8], 3)
    small.initialize(options(scheme), 0)
    large.initialize(options(scheme), 0)
    assert small.parameters.keys() < large.parameters.keys()
    for name, w in small.parameters.items():
        np.testing.assert_array_equal(w, large.parameters[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scheme", DRAWN)
def test_both_sides_start_from_the_same_numbers(scheme, dtype):
    network = torch.nn.Sequential()
    network.backbone = torch.nn.Sequential()
    network.backbone.linear1 = torch.nn.Linear(6, 8)
    network.head = torch.nn.Linear(8, 3)
    network.to(dtype)
    initialize(network, options(scheme), 5)
    twin = Network((6,), [8], 3, dtype=np.float32 if dtype == torch.float32 else np.float64)
    twin.initialize(options(scheme), 5)
    found = dict(network.named_parameters())
    assert found.keys() == twin.parameters.keys()
    for name, w in twin.parameters.items():
        np.testing.assert_array_equal(found[name].detach().numpy(), w)


@pytest.mark.parametrize("scheme", DRAWN)
def test_convolutions_are_filled_and_norms_are_not(scheme):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    initialize(network, options(scheme), 0)
    expected = initial.weight(options(scheme), 0, "0.weight", (4, 3, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(network[0].weight.detach().numpy(), expected)
    expected = initial.bias(options(scheme), 0, "0.bias", 4, 27).astype(np.float32)
    np.testing.assert_array_equal(network[0].bias.detach().numpy(), expected)
    assert (network[1].weight == 1.0).all()
    assert (network[1].bias == 0.0).all()


def test_parameters_of_one_shape_and_other_seeds_differ():
    draws = [
        initial.weight(options("default"), seed, name, (8, 8))
        for seed, name in [
            (0, "backbone.linear2.weight"),
            (0, "backbone.linear3.weight"),
            (1, "backbone.linear2.weight"),
        ]
    ]
    for i, one in enumerate(draws):
        assert all(not np.isin(one, other).any() for other in draws[i + 1 :])


def test_an_unknown_scheme_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'glorot'.*default, zeros, .*he, xavier"):
        initial.weight({"name": "glorot"}, 0, "layer.weight", (3, 3))
