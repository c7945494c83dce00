"""Each layer against central differences, torch, and what is known of it on paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labrunner.scratch.layers import ACTIVATIONS, BatchNorm, Dropout, Flatten, Layer, Linear, Sigmoid
from labrunner.seeding import generator

TORCH_ACTIVATIONS = {
    "relu": torch.relu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "elu": torch.nn.functional.elu,
    "gelu": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
H = 1e-5


def linear() -> Linear:
    layer = Linear(4, 3, np.float64)
    rng = np.random.default_rng(0)
    for value in layer.parameters.values():
        value[...] = rng.normal(size=value.shape)
    return layer


def batch_norm(dtype: type[np.floating] = np.float64) -> BatchNorm:
    layer = BatchNorm(4, dtype)
    rng = np.random.default_rng(0)
    for value in layer.parameters.values():
        value[...] = rng.normal(size=4)
    return layer


LAYERS = {
    "linear": linear,
    "batch_norm": batch_norm,
    "flatten": Flatten,
    "dropout": lambda: Dropout(0.4),
    **ACTIVATIONS,
}
OF_A_TYPE = {"linear": lambda dtype: Linear(4, 3, dtype), "batch_norm": batch_norm}


def x_for(name: str) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(5, 2, 2) if name == "flatten" else (5, 4))
    x[np.abs(x) < 0.01] += 0.1  # central differences know nothing of ReLU's kink
    return x


def forward(layer: Layer, x: np.ndarray) -> np.ndarray:
    return layer.forward(x, training=True, rng=generator(0, "dropout", 0))


def numeric_gradient(f, values: np.ndarray) -> np.ndarray:
    grad = np.empty_like(values)
    for i in np.ndindex(values.shape):
        kept = values[i]
        values[i] = kept + H
        above = f()
        values[i] = kept - H
        grad[i] = (above - f()) / (2 * H)
        values[i] = kept
    return grad


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_agree_with_central_differences(name):
    layer, x = LAYERS[name](), x_for(name)
    upstream = np.random.default_rng(2).normal(size=forward(layer, x).shape)
    given = upstream.copy()
    found = layer.backward(upstream)

    def loss() -> float:
        return float((forward(layer, x) * upstream).sum())

    np.testing.assert_allclose(found, numeric_gradient(loss, x), rtol=1e-6, atol=1e-9)
    for short, gradient in layer.gradients.items():
        kept = gradient.copy()
        np.testing.assert_allclose(kept, numeric_gradient(loss, layer.parameters[short]), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(upstream, given, err_msg="backward writes into what it is given")


def test_linear_is_that_of_torch():
    layer, x = linear(), x_for("linear")
    twin = torch.nn.Linear(4, 3, dtype=torch.float64)
    twin.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in layer.parameters.items()})
    inputs = torch.from_numpy(x).requires_grad_()
    y = twin(inputs)
    upstream = np.random.default_rng(2).normal(size=(5, 3))
    y.backward(torch.from_numpy(upstream))

    np.testing.assert_allclose(forward(layer, x), y.detach(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.backward(upstream), inputs.grad, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.gradients["weight"], twin.weight.grad, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.gradients["bias"], twin.bias.grad, rtol=1e-12, atol=1e-12)


def test_linear_without_a_bias_is_a_product_alone():
    layer = Linear(4, 3, np.float64, bias=False)
    layer.weight[...] = np.arange(12.0).reshape(3, 4)
    x = x_for("linear")
    np.testing.assert_array_equal(forward(layer, x), x @ layer.weight.T)
    layer.backward(np.ones((5, 3)))
    assert layer.gradients.keys() == layer.parameters.keys() == {"weight"}


def test_batch_norm_is_that_of_torch_in_training_and_afterwards():
    layer = batch_norm()
    twin = torch.nn.BatchNorm1d(4, dtype=torch.float64)
    twin.load_state_dict({name: torch.from_numpy(v.copy()) for name, v in (layer.parameters | layer.buffers).items()})
    rng = np.random.default_rng(5)
    for n in (8, 3, 2):
        x = rng.normal(2.0, 3.0, size=(n, 4))
        inputs, upstream = torch.from_numpy(x).requires_grad_(), rng.normal(size=(n, 4))
        twin.zero_grad()
        y = twin(inputs)
        y.backward(torch.from_numpy(upstream))
        np.testing.assert_allclose(forward(layer, x), y.detach(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(layer.backward(upstream), inputs.grad, rtol=1e-10, atol=1e-12)
        for name, parameter in twin.named_parameters():
            np.testing.assert_allclose(layer.gradients[name], parameter.grad, rtol=1e-12, atol=1e-12)
        for name, buffer in twin.named_buffers():
            np.testing.assert_allclose(layer.buffers[name], buffer, rtol=1e-12)
    before = {name: value.copy() for name, value in layer.buffers.items()}
    np.testing.assert_allclose(layer.forward(x), twin.eval()(torch.from_numpy(x)).detach(), rtol=1e-12, atol=1e-12)
    assert all((before[name] == value).all() for name, value in layer.buffers.items()), "evaluation measures nothing"


def test_batch_norm_makes_a_batch_of_mean_zero_and_variance_one_whatever_its_scale():
    layer = BatchNorm(4, np.float64)
    y = forward(layer, np.random.default_rng(0).normal(-50.0, 7.0, size=(200, 4)))
    np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=0), 1.0, rtol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_torch_kinks_and_far_ends_included(name):
    x = np.concatenate([np.linspace(-30, 30, 241), [-1e4, -800.0, 0.0, 800.0, 1e4]])
    inputs = torch.from_numpy(x.copy()).requires_grad_()
    y = TORCH_ACTIVATIONS[name](inputs)
    y.sum().backward()
    layer = ACTIVATIONS[name]()
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(forward(layer, x), y.detach(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(layer.backward(np.ones_like(x)), inputs.grad, rtol=1e-12, atol=1e-12)


def test_sigmoid_keeps_its_digits_far_below_zero():
    x = np.array([-700.0, -100.0, -40.0])
    np.testing.assert_allclose(Sigmoid().value(x), np.exp(x), rtol=1e-14)  # 1/(1 + e^-x) -> e^x


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_stay_in_their_precision(name, dtype):
    layer = OF_A_TYPE[name](dtype) if name in OF_A_TYPE else LAYERS[name]()
    y = forward(layer, x_for(name).astype(dtype))
    assert y.dtype == dtype
    assert layer.backward(np.ones_like(y)).dtype == dtype
    assert all(gradient.dtype == dtype for gradient in layer.gradients.values())
    assert layer.forward(x_for(name).astype(dtype)).dtype == dtype


@pytest.mark.parametrize("name", LAYERS)
def test_an_evaluation_between_forward_and_backward_changes_no_gradient(name):
    x = x_for(name)
    gradients = []
    for evaluate in (False, True):
        layer = LAYERS[name]()
        y = forward(layer, x)
        if evaluate:
            layer.forward(x[:2] + 1.0)
        found = layer.backward(np.ones_like(y))
        gradients.append([found.tobytes(), *(g.tobytes() for g in layer.gradients.values())])
    assert gradients[0] == gradients[1]


def test_flatten_keeps_the_rows_and_torch_s_order():
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(Flatten().forward(x), torch.from_numpy(x).flatten(1))
    assert Flatten().forward(x[:0]).shape == (0, 12)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_leaves_out_a_share_p_and_keeps_the_mean(p):
    n = 200_000
    y = Dropout(p).forward(np.ones((n // 10, 10)), training=True, rng=generator(0, "dropout", 0))
    share = np.mean(y == 0.0)
    spread = np.sqrt(p * (1 - p) / n)  # standard deviation of a share of n independent draws
    assert abs(share - p) < 4 * spread
    np.testing.assert_allclose(np.unique(y), [0.0, 1 / (1 - p)], rtol=1e-15)
    assert abs(y.mean() - 1.0) < 4 * spread / (1 - p)


def test_dropout_draws_units_and_samples_independently():
    left_out = Dropout(0.5).forward(np.ones((20_000, 4)), training=True, rng=generator(0, "dropout", 0)) == 0
    correlations = np.corrcoef(left_out.T)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(20_000)
    assert abs(np.corrcoef(left_out[1:, 0], left_out[:-1, 0])[0, 1]) < 4 / np.sqrt(20_000)


def test_dropout_leaves_out_the_same_units_in_both_precisions():
    masks = [
        Dropout(0.3).forward(np.ones((50, 20), dtype), training=True, rng=generator(0, "dropout", 7)) == 0
        for dtype in (np.float32, np.float64)
    ]
    np.testing.assert_array_equal(*masks)


def test_dropout_in_evaluation_changes_nothing():
    x = x_for("dropout")
    np.testing.assert_array_equal(Dropout(0.5).forward(x), x)


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_a_chance_of_dropout_outside_zero_to_one_is_refused(p):
    with pytest.raises(ValueError, match="dropout"):
        Dropout(p)


def test_dropout_in_training_asks_for_its_generator():
    with pytest.raises(ValueError, match="generator"):
        Dropout(0.5).forward(np.ones((2, 2)), training=True)
