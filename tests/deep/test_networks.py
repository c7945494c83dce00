"""Networks have the names that checkpoints rely on, their starting weights, and the device that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from labrunner import deep
from labrunner.deep import choose_device
from labrunner.deep.learner import decaying
from labrunner.errors import RequestError
from tests.data.settings import CNN, LENET, MLP, SOFTMAX, config
from tests.deep.odd import Odd

SHAPE = (3, 12, 12)


class Loaded(nn.Module):
    """A user's network with a layer of each kind that brings its own starting weights."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, width: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(input_shape[0], width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, num_classes)
        self.bare = nn.Parameter(torch.randn(num_classes))
        nn.init.constant_(self.head.bias, 0.25)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.conv(inputs)).mean(dim=(2, 3))) + self.bare


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (
            {**MLP, "hidden": [6, 5]},
            ["backbone.linear1.weight", "backbone.linear1.bias", "backbone.linear2.weight", "backbone.linear2.bias"],
        ),
        ({**MLP, "hidden": []}, []),
        (
            {**CNN, "channels": [4, 2]},
            [f"backbone.block{n}.{name}" for n in (1, 2) for name in ("conv.weight", "norm.weight", "norm.bias")],
        ),
        ({**CNN, "channels": [4], "batch_norm": False}, ["backbone.block1.conv.weight", "backbone.block1.conv.bias"]),
        (SOFTMAX, []),
        (
            LENET,
            [
                f"backbone.{block}.{name}"
                for block in ("block1.conv", "block2.conv", "block3.linear", "block4.linear")
                for name in ("weight", "bias")
            ],
        ),
    ],
)
def test_every_network_has_a_backbone_and_a_head(model, names):
    assert list(deep.make(config(model=model), SHAPE, 5).parameters()) == [*names, "head.weight", "head.bias"]


def test_dropout_changes_no_name():
    for model in (MLP, CNN):
        plain, dropped = (deep.make(config(model=model, reg={"dropout": p}), SHAPE, 5) for p in (0.0, 0.5))
        assert list(plain.weights()) == list(dropped.weights())


@pytest.mark.parametrize(("pooling", "features"), [("max", 2 * 2 * 2), ("avg", 2 * 2 * 2), ("none", 2 * 9 * 8)])
def test_the_cnn_halves_the_image_rounded_down_where_it_pools(pooling, features):
    learner = deep.make(config(model={**CNN, "channels": [3, 2], "pooling": pooling}), (1, 9, 8), 5)
    assert learner.weights()["head.weight"].shape == (5, features)


@pytest.mark.parametrize(
    ("side", "pooling", "features"), [(28, "max", 16 * 5 * 5), (12, "avg", 16), (13, "max", 16), (5, "none", 16)]
)
def test_lenet_has_the_sizes_of_the_paper_down_to_the_smallest_image(side, pooling, features):
    learner = deep.make(config(model={**LENET, "pooling": pooling}), (1, side, side), 10)
    shapes = {name: values.shape for name, values in learner.weights().items() if name.endswith("weight")}
    assert list(shapes.values()) == [(6, 1, 5, 5), (16, 6, 5, 5), (120, features), (84, 120), (10, 84)]
    assert learner.scores(learner.array(np.zeros((2, 1, side, side)))).shape == (2, 10)


def test_lenet_has_as_many_parameters_as_the_textbook_says():
    learner = deep.make(config(model=LENET), (1, 28, 28), 10)
    # 156 + 2,416 + 48,120 + 10,164 + 850, with all 16 maps connected to all 6
    assert sum(count for count, _ in learner.parameters().values()) == 61_706


def parameters_that_decay(network: nn.Module, decay_all: bool) -> set[str]:
    names = decaying(network, decay_all)
    assert len(names) == len(set(names))
    return set(names)


def test_biases_and_norm_parameters_are_spared_from_decay():
    network = deep.make(config(model={**CNN, "channels": [4]}), SHAPE, 5).network
    assert parameters_that_decay(network, False) == {"backbone.block1.conv.weight", "head.weight"}
    assert parameters_that_decay(network, True) == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize(
    ("layer", "decayed"),
    [
        (nn.LayerNorm(4), set()),
        (nn.GroupNorm(2, 4), set()),
        (nn.RMSNorm(4), set()),
        (nn.InstanceNorm2d(4, affine=True), set()),
        (nn.Conv2d(1, 2, 3), {"weight"}),
        (nn.MultiheadAttention(4, 2), {"in_proj_weight", "out_proj.weight"}),
        (nn.LSTM(3, 2), {"weight_ih_l0", "weight_hh_l0"}),
        (Odd((1, 2, 2), 3), {"mix.weight", "gain.value", "prototypes", "unused"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_decays_is_known_for_layers_of_other_kinds(layer, decayed):
    assert parameters_that_decay(layer, False) == decayed


def test_decay_pulls_weights_and_leaves_biases_where_they_are():
    learner = deep.make(config(model={**MLP, "hidden": []}, reg={"weight_decay": 0.5}), (4,), 2)
    before = learner.weights()
    # equal rows and one label each: the gradient of the scores sums to zero in weight and bias alike at zero input
    inputs = learner.array(np.zeros((2, 4)))
    state = {f"weights/{name}": np.where(name == "head.bias", 0.0, values) for name, values in before.items()}
    learner.load(state)
    from labrunner.learner import Batch

    learner.train_batch(Batch(inputs, learner.array(np.array([0, 1])), 0), 0.1)
    after = learner.weights()
    np.testing.assert_allclose(after["head.weight"], before["head.weight"] * (1 - 0.1 * 0.5), rtol=1e-12)
    np.testing.assert_array_equal(after["head.bias"], 0.0)


def test_a_users_network_keeps_its_own_starting_weights_under_the_default():
    network = deep.make(config(), SHAPE, 5, Loaded).network
    assert (network.head.bias == 0.25).all()
    torch.manual_seed(123)
    # torch's documented default of a convolution: uniform within 1/sqrt(fan_in)
    assert network.conv.weight.abs().max() <= 1 / np.sqrt(27)


def test_two_builds_of_a_users_network_are_equal_and_follow_the_seed():
    builds = []
    for seed in (0, 0, 1):
        torch.rand(3)
        builds.append(deep.make(config(seed=seed), SHAPE, 5, Loaded).weights())
    for name in ("conv.weight", "head.weight", "bare"):
        assert builds[0][name].tobytes() == builds[1][name].tobytes()
        assert (builds[0][name] != builds[2][name]).any()


def test_he_overwrites_a_users_linear_and_convolutional_layers_and_no_others():
    own, he = (deep.make(config(init={"name": name}), SHAPE, 5, Loaded).weights() for name in ("default", "he"))
    for name in ("conv.weight", "conv.bias", "head.weight", "head.bias"):
        assert (own[name] != he[name]).all(), name
    np.testing.assert_array_equal(he["head.bias"], 0.0)
    for name in ("bare", "norm.weight", "norm.running_var"):
        np.testing.assert_array_equal(own[name], he[name])


@pytest.mark.parametrize("scheme", ["default", "he"])
def test_float32_weights_are_the_float64_ones_rounded_once(scheme):
    def weights(precision):
        return deep.make(config(model=CNN, init={"name": scheme}, precision=precision), SHAPE, 5).weights()

    for (name, double), single in zip(weights("float64").items(), weights("float32").values(), strict=True):
        if np.issubdtype(double.dtype, np.floating):
            assert single.dtype == np.float32
            np.testing.assert_array_equal(single, double.astype(np.float32), err_msg=name)


def test_adding_a_layer_does_not_change_where_the_others_start():
    short, long = (deep.make(config(model={**MLP, "hidden": hidden}), SHAPE, 5).weights() for hidden in ([6], [6, 6]))
    np.testing.assert_array_equal(short["backbone.linear1.weight"], long["backbone.linear1.weight"])
    np.testing.assert_array_equal(short["head.weight"], long["head.weight"])


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(RequestError, match=f"device={name}.*device=auto"):
        deep.make(config(device=name), SHAPE, 5)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


def test_auto_takes_cuda_before_mps_before_the_processor(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


class Cannot(nn.Module):
    def __init__(self, **_):
        raise ValueError("no such width")


class Nothing(nn.Module):
    def __init__(self, **_):
        super().__init__()

    def forward(self, inputs):
        return inputs.flatten(1)[:, :5]


class TooMany(nn.Linear):
    def __init__(self, input_shape, num_classes):
        super().__init__(input_shape[-1], num_classes + 1)

    def forward(self, inputs):
        return super().forward(inputs.flatten(1)[:, : self.in_features])


class Unpooled(nn.Conv2d):
    def __init__(self, input_shape, num_classes):
        super().__init__(input_shape[0], num_classes, 3)


class ForOtherImages(nn.Linear):
    def __init__(self, input_shape, num_classes):
        super().__init__(7, num_classes)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (Cannot, "Cannot.*no such width"),
        (lambda input_shape: None, "num_classes"),
        (Nothing, "no parameters"),
        (TooMany, r"\(1, 6\).*\(1, 5\)"),
        (Unpooled, r"\(1, 5, 10, 10\).*\(1, 5\)"),
        (ForOtherImages, r"ForOtherImages"),
        (lambda **_: "a word", "str"),
    ],
    ids=["raises", "takes no num_classes", "no parameters", "too many scores", "no rows", "cannot run", "no module"],
)
def test_a_users_network_that_cannot_work_is_refused(own, words):
    with pytest.raises(RequestError, match=words):
        deep.make(config(), SHAPE, 5, own)
