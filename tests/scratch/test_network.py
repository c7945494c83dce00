"""The whole network: names, gradients against central differences and torch, and torchsummary's table."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
import torchsummary

from labrunner import initial
from labrunner.scratch.layers import BatchNorm
from labrunner.scratch.losses import CrossEntropy
from labrunner.scratch.network import Network
from labrunner.seeding import generator

SHAPE = (1, 3, 4)
TORCH_ACTIVATIONS = {
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "elu": torch.nn.ELU,
    "gelu": torch.nn.GELU,
    "silu": torch.nn.SiLU,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
}
KINKED = ("relu", "leaky_relu", "elu")  # their slope, or its slope, jumps at 0
cross_entropy, cross_entropy_and_gradient = CrossEntropy(3).value, CrossEntropy(3).value_and_gradient


class Fixed(torch.nn.Module):
    """Dropout in torch with the mask that the NumPy layer drew."""

    def __init__(self, scale: np.ndarray) -> None:
        super().__init__()
        self.scale = torch.from_numpy(scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


def network(hidden=(6, 5), activation="tanh", dropout=0.0, batch_norm=False) -> Network:
    net = Network(SHAPE, hidden, 3, activation, batch_norm=batch_norm, dropout=dropout, dtype=np.float64)
    net.initialize({"name": "default"}, seed=0)
    return net


def twin_of(net: Network, activation: str) -> torch.nn.Sequential:
    """The same network in torch, with the same names in its state dict."""
    modules: OrderedDict[str, torch.nn.Module] = OrderedDict()
    for name, layer in net.layers.items():
        kind = name.removeprefix("backbone.")
        if kind == "flatten":
            modules[kind] = torch.nn.Flatten()
        elif kind.startswith("act"):
            modules[kind] = TORCH_ACTIVATIONS[activation]()
        elif kind.startswith("drop"):
            modules[kind] = Fixed(layer._scale)
        elif isinstance(layer, BatchNorm):
            modules[kind] = torch.nn.BatchNorm1d(len(layer.parameters["bias"]), dtype=torch.float64)
        else:
            outputs, inputs = layer.parameters["weight"].shape
            modules[kind] = torch.nn.Linear(inputs, outputs, bias="bias" in layer.parameters, dtype=torch.float64)
    head = modules.pop("head")
    twin = torch.nn.Sequential(OrderedDict(backbone=torch.nn.Sequential(modules), head=head))
    twin.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in net.weights().items()})
    assert list(twin.state_dict()) == list(net.weights())
    return twin


def batch(n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, *SHAPE)), rng.integers(0, 3, size=n)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("activation", TORCH_ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (6,), (6, 5, 4)])
def test_scores_loss_and_gradients_are_those_of_torch(hidden, activation, dropout, batch_norm):
    net = network(hidden, activation, dropout, batch_norm)
    x, targets = batch()
    scores = net.forward(x, training=True, rng=generator(0, "dropout", 0))
    loss, grad = cross_entropy_and_gradient(scores, targets)
    net.backward(grad)

    twin = twin_of(net, activation)  # in training, batch norm takes the batch's own statistics, whatever it has tracked
    twin_scores = twin(torch.from_numpy(x))
    twin_loss = torch.nn.functional.cross_entropy(twin_scores, torch.from_numpy(targets))
    twin_loss.backward()
    np.testing.assert_allclose(scores, twin_scores.detach(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(loss, twin_loss.item(), rtol=1e-12)
    for name, parameter in twin.named_parameters():
        np.testing.assert_allclose(net.gradients[name], parameter.grad, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(("dropout", "batch_norm"), [(0.0, False), (0.4, False), (0.0, True)])
@pytest.mark.parametrize("activation", TORCH_ACTIVATIONS)
def test_gradients_agree_with_central_differences(activation, dropout, batch_norm):
    net = network((6, 5), activation, dropout, batch_norm)
    x, targets = batch()

    def forward() -> np.ndarray:
        return net.forward(x, training=True, rng=generator(0, "dropout", 0))

    if activation in KINKED:  # central differences across its kink would be no truth
        outputs = net.outputs(x, training=True, rng=generator(0, "dropout", 0))
        before = "norm" if batch_norm else "linear"
        assert min(np.abs(y).min() for name, y in outputs if before in name) > 1e-4
    net.backward(cross_entropy_and_gradient(forward(), targets)[1])
    h = 1e-5
    for name, w in net.parameters.items():
        for i in np.ndindex(w.shape):
            kept = w[i]
            w[i] = kept + h
            above = cross_entropy(forward(), targets)
            w[i] = kept - h
            below = cross_entropy(forward(), targets)
            w[i] = kept
            assert net.gradients[name][i] == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-9), (name, i)


def test_layers_and_parameters_have_the_names_that_never_change():
    assert list(network((6, 5), dropout=0.5).layers) == [
        "backbone.flatten",
        "backbone.linear1",
        "backbone.act1",
        "backbone.drop1",
        "backbone.linear2",
        "backbone.act2",
        "backbone.drop2",
        "head",
    ]
    assert list(network((6,), batch_norm=True).weights()) == [
        "backbone.linear1.weight",
        "backbone.norm1.weight",
        "backbone.norm1.bias",
        "backbone.norm1.running_mean",
        "backbone.norm1.running_var",
        "backbone.norm1.num_batches_tracked",
        "head.weight",
        "head.bias",
    ]
    assert list(network((6,)).layers) == ["backbone.flatten", "backbone.linear1", "backbone.act1", "head"]
    assert list(network(()).layers) == ["backbone.flatten", "head"]
    assert list(network((6,)).parameters) == [
        "backbone.linear1.weight",
        "backbone.linear1.bias",
        "head.weight",
        "head.bias",
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "scheme", [{"name": "default"}, {"name": "he"}, {"name": "orthogonal"}, {"name": "constant", "value": 0.3}]
)
def test_starting_weights_are_the_shared_ones_rounded(scheme, dtype):
    net = Network(SHAPE, [6], 3, dtype=dtype)
    net.initialize(scheme, seed=5)
    expected = {
        "backbone.linear1.weight": initial.weight(scheme, 5, "backbone.linear1.weight", (6, 12)),
        "backbone.linear1.bias": initial.bias(scheme, 5, "backbone.linear1.bias", 6, 12),
        "head.weight": initial.weight(scheme, 5, "head.weight", (3, 6)),
        "head.bias": initial.bias(scheme, 5, "head.bias", 3, 6),
    }
    assert net.parameters.keys() == expected.keys()
    for name, w in net.parameters.items():
        assert w.dtype == dtype
        np.testing.assert_array_equal(w, expected[name].astype(dtype))


@pytest.mark.parametrize(("hidden", "dropout"), [((), 0.0), ((128,), 0.0), ((300, 100), 0.5)])
def test_the_summary_is_torchsummary_s_table(hidden, dropout, capsys):
    net = Network((1, 28, 28), hidden, 10, "relu", dropout=dropout)
    modules = [torch.nn.Flatten()]
    width = 784
    for units in hidden:
        modules += [torch.nn.Linear(width, units), torch.nn.ReLU()]
        modules += [torch.nn.Dropout(dropout)] if dropout > 0 else []
        width = units
    torchsummary.summary(torch.nn.Sequential(*modules, torch.nn.Linear(width, 10)), (1, 28, 28), device="cpu")
    printed = capsys.readouterr().out.strip().splitlines()
    end = next(i for i, line in enumerate(printed) if line.startswith("Non-trainable")) + 2
    assert net.summary().splitlines() == printed[:end]


def test_penalties_pull_at_weights_and_not_at_biases_and_norms_unless_asked():
    net = network((6,), batch_norm=True)
    assert net.decaying(decay_all=False) == ["backbone.linear1.weight", "head.weight"]
    assert net.decaying(decay_all=True) == list(net.parameters)


def test_work_is_the_number_of_weights_of_the_linear_layers():
    assert Network((1, 28, 28), [128], 10).work() == 784 * 128 + 128 * 10
