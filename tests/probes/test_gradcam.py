"""Grad-CAM against class activation maps, finite differences and other ways to write the same network."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from labrunner import checkpoint
from labrunner.data import make, samples_of
from labrunner.deep import TorchLearner
from labrunner.deep.gradcam import ClassMaps, class_maps, last_maps
from labrunner.deep.networks import cnn, lenet, mlp
from labrunner.deep.optimizers import SGD
from labrunner.files import read_csv
from labrunner.probes.images import gradcam
from labrunner.records import load_run

CNN = ("model=cnn", "model.channels=[3,4]", "dataset.per_class=20", "epochs=2", "figures=none", "probes=[gradcam]")
IMAGES = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
CLASSES = np.array([4, 0, 2])


def maps_of(network: nn.Module, inputs: torch.Tensor = IMAGES, classes: np.ndarray = CLASSES) -> ClassMaps:
    network.eval()
    found = class_maps(network, lambda: network(inputs), classes)
    assert found is not None
    return found


def layer_of(network: nn.Module, inputs: torch.Tensor = IMAGES) -> str | None:
    network.double().eval()
    with torch.no_grad():
        site = last_maps(network, lambda: network(inputs))
    return None if site is None else site.name


def small_cnn(pooling: str = "max", dropout: float = 0.0, activation: str = "tanh") -> nn.Module:
    torch.manual_seed(0)
    return cnn((2, 8, 8), 5, [3, 4], 3, pooling, True, activation, dropout).double()


class Parts(nn.Module):
    """A backbone and a head of two images' channels and five classes."""

    def __init__(self, *layers: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = nn.Sequential(*layers), head

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(inputs))


def pooled(inplace: bool = False) -> Parts:
    """A linear head on maps that are averaged over all places."""
    torch.manual_seed(3)
    maps = nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace), nn.Conv2d(6, 7, 3), nn.ReLU(inplace)
    return Parts(*maps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head=nn.Linear(7, 5)).double()


def test_of_a_linear_head_on_averaged_maps_it_is_the_class_activation_map():
    network = pooled()
    found = maps_of(network)
    with torch.no_grad():
        maps = network.backbone[:5](IMAGES).numpy()
    # Zhou et al. 2016: sum_k w_ck A_k; the average takes 1 / (h w) of each place
    weights = network.head.weight.detach().numpy()[CLASSES] / maps[0, 0].size
    expected = np.maximum(0.0, np.einsum("nk,nkhw->nhw", weights, maps))
    assert (expected > 0.0).any()
    np.testing.assert_allclose(found.values, expected, rtol=1e-12, atol=1e-15)
    assert found.layer == "backbone.4"
    assert found.values.dtype == np.float64


@pytest.mark.parametrize("pooling", ["avg", "max", "none"])
def test_of_flattened_maps_the_weights_are_mean_finite_differences(pooling):
    network = small_cnn(pooling)
    found = maps_of(network)
    blocks = network.backbone
    with torch.no_grad():
        maps = blocks.block2[:3](blocks.block1(IMAGES))

        def score(number: int, values: torch.Tensor) -> float:
            rest = blocks.block2[3](values) if pooling != "none" else values
            return float(network.head(rest.flatten(1))[number, CLASSES[number]])

        gradient, step = np.zeros(maps.shape), 1e-6
        for place in np.ndindex(*maps.shape):
            up, down = maps.clone(), maps.clone()
            up[place] += step
            down[place] -= step
            gradient[place] = (score(place[0], up) - score(place[0], down)) / (2 * step)
    alpha = gradient.mean(axis=(2, 3))
    expected = np.maximum(0.0, (alpha[:, :, None, None] * maps.numpy()).sum(axis=1))
    np.testing.assert_allclose(found.values, expected, atol=1e-9)
    assert found.layer == "backbone.block2.act"
    assert (found.values > 0.0).any()
    assert found.values.shape == ((3, 4, 4) if pooling != "none" else (3, 8, 8))


def test_a_network_that_works_in_place_has_the_maps_of_one_that_does_not():
    apart, inside = maps_of(pooled()), maps_of(pooled(inplace=True))
    assert inside.layer == apart.layer
    np.testing.assert_array_equal(inside.values, apart.values)


class Residual(nn.Module):
    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.conv, self.inplace = nn.Conv2d(2, 2, 3, padding=1), inplace

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        out = self.conv(inputs)
        if self.inplace:
            out += inputs
            return out
        return out + inputs


class Shared(nn.Module):
    """One activation that is called twice, behind each convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.act = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.act(self.second(self.act(self.first(inputs))))


def flat_head(count: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(count, 5))


NETWORKS = {
    "cnn with dropout": (lambda: small_cnn(dropout=0.5), "backbone.block2.act"),
    "mlp": (lambda: mlp((2, 8, 8), 5, [6], "relu", False, 0.0), None),
    "residual": (lambda: Parts(Residual(False), head=flat_head(128)), "backbone.0"),
    "residual in place": (lambda: Parts(Residual(True), head=flat_head(128)), "backbone.0"),
    "shared activation": (lambda: Parts(Shared(), head=flat_head(64)), "backbone.0.act"),
    "pooled before its activation": (
        lambda: Parts(nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True), head=flat_head(36)),
        "backbone.2",
    ),
    "maps in the head": (lambda: Parts(nn.Conv2d(2, 4, 3), head=flat_conv()), "backbone.0"),
    "no backbone": (
        lambda: nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 4, 3), act=nn.GELU(), out=flat_head(144))),
        "act",
    ),
    "nothing but a layer": (lambda: nn.Flatten(), None),
}


def flat_conv() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("name", NETWORKS)
def test_the_layer_is_the_last_of_the_backbone_that_has_maps_and_does_not_pool(name):
    make, layer = NETWORKS[name]
    assert layer_of(make()) == layer


def test_maps_of_one_pixel_are_none():
    inputs = torch.zeros(1, 1, 12, 12, dtype=torch.float64)
    assert layer_of(lenet((1, 12, 12), 5, "max", "relu", 0.0), inputs) == "backbone.block2.act"  # 2 x 2
    network = Parts(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 10), nn.ReLU(), head=flat_head(4))
    assert layer_of(network, inputs) == "backbone.1"


@pytest.mark.parametrize("inplace", [False, True])
def test_the_maps_of_a_residual_block_are_those_behind_the_sum(inplace):
    torch.manual_seed(5)
    network = Parts(Residual(inplace), nn.AdaptiveAvgPool2d(1), head=flat_head(2)).double().eval()
    with torch.no_grad():
        maps = (network.backbone[0].conv(IMAGES) + IMAGES).numpy()
    weights = network.head[1].weight.detach().numpy()[CLASSES] / 64
    expected = np.maximum(0.0, np.einsum("nk,nkhw->nhw", weights, maps))
    np.testing.assert_allclose(maps_of(network).values, expected, rtol=1e-12, atol=1e-15)


def test_an_activation_that_is_called_twice_has_the_maps_of_its_last_call():
    torch.manual_seed(7)
    shared = Parts(Shared(), head=flat_head(64)).double()
    inner = shared.backbone[0]
    apart = Parts(inner.first, nn.ReLU(), inner.second, nn.ReLU(), head=shared.head)
    found = maps_of(shared)
    assert found.layer == "backbone.0.act"
    assert (found.values > 0.0).any()
    np.testing.assert_array_equal(found.values, maps_of(apart).values)


def test_a_head_that_writes_into_the_maps_changes_nothing():
    torch.manual_seed(7)
    maps, linear = nn.Conv2d(2, 4, 3).double(), nn.Linear(144, 5).double()
    found = [
        maps_of(Parts(maps, head=nn.Sequential(nn.ReLU(inplace), nn.Flatten(), linear))).values
        for inplace in (False, True)
    ]
    assert (found[0] > 0.0).any()
    np.testing.assert_array_equal(found[0], found[1])


class Guarded(nn.Module):
    """A backbone that is kept from gradients by its user."""

    def __init__(self, how: str) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.backbone = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.head, self.how = nn.Linear(27, 5), how

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.how == "no_grad":
            with torch.no_grad():
                return self.head(self.backbone(inputs))
        if self.how == "inference_mode":
            with torch.inference_mode():
                features = self.backbone(inputs)
            return self.head(features.clone())
        features = self.backbone(inputs)
        return self.head(features.detach() if self.how == "detach" else features)


def test_a_backbone_under_no_grad_is_explained_all_the_same():
    plain, guarded = (Guarded(how).double() for how in ("", "no_grad"))
    np.testing.assert_array_equal(maps_of(guarded).values, maps_of(plain).values)


@pytest.mark.parametrize("how", ["detach", "inference_mode"])
def test_where_no_gradient_gets_through_there_are_no_maps(how):
    network = Guarded(how).double().eval()
    assert class_maps(network, lambda: network(IMAGES), CLASSES) is None


class Drawing(nn.Module):
    """Draws and counts in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return inputs + 0.0 * torch.rand(())


def test_everything_is_afterwards_as_it_was():
    network = pooled()
    network.backbone.insert(4, Drawing())
    network.head.bias.requires_grad_(False)
    network.head.weight.grad = torch.ones_like(network.head.weight)
    network.eval()
    network.backbone[1].train()  # a mode of its own
    before = {name: values.clone() for name, values in network.state_dict().items()}
    asking = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    modes = {name: module.training for name, module in network.named_modules()}
    drawn = torch.get_rng_state()
    found = class_maps(network, lambda: network(IMAGES), CLASSES)
    assert found is not None
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    assert asking == {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    assert modes == {name: module.training for name, module in network.named_modules()}
    assert torch.equal(torch.get_rng_state(), drawn)
    assert torch.equal(network.head.weight.grad, torch.ones_like(network.head.weight))
    assert [name for name, parameter in network.named_parameters() if parameter.grad is not None] == ["head.weight"]
    assert not any(module._forward_hooks for module in network.modules())
    assert torch.is_grad_enabled()


def test_a_frozen_network_has_the_maps_of_one_that_trains():
    network = pooled()
    trains = maps_of(network).values
    network.requires_grad_(False)
    np.testing.assert_array_equal(maps_of(network).values, trains)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_in_bf16_the_maps_are_nearly_those_of_float32():
    found = {}
    for bf16 in (False, True):
        network = pooled().float()
        learner = TorchLearner(network, SGD(dict(network.named_parameters())), (2, 8, 8), 0, bf16=bf16)
        found[bf16] = learner.class_maps(IMAGES.float(), CLASSES).values
        assert found[bf16].dtype == np.float32
    assert not np.array_equal(found[True], found[False])
    np.testing.assert_allclose(found[True], found[False], atol=0.05 * found[False].max())


# the probe


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    header, found = read_csv(folder / "probes" / f"{name}.csv")
    return [dict(zip(header, row, strict=True)) for row in found]


def cubes(table: list[dict[str, str]], keys: tuple[str, ...], axes: tuple[str, ...]) -> dict[Any, np.ndarray]:
    groups: dict[Any, dict[tuple[int, ...], float]] = {}
    for row in table:
        place = tuple(int(row[name]) for name in axes)
        groups.setdefault(tuple(int(row[key]) for key in keys), {})[place] = float(row["value"])
    made = {}
    for key, values in groups.items():
        made[key] = np.full([max(place) + 1 for place in zip(*values, strict=True)], np.nan)
        for place, value in values.items():
            made[key][place] = value
    return made


def own_network(folder: Path) -> nn.Module:
    """The network of a run's chosen epoch, built by hand."""
    network = cnn((1, 8, 8), 10, [3, 4], 3, "max", True, "relu", 0.0)
    path = folder / "checkpoints" / f"{load_run(folder).chosen.epoch:05d}.safetensors"
    state, _ = checkpoint.read(path)
    own = {
        name.removeprefix("weights/"): torch.from_numpy(value) for name, value in state.items() if "weights/" in name
    }
    network.load_state_dict(own)
    return network.eval()


@pytest.mark.parametrize("freeze", ["none", "backbone"])
def test_what_is_noted_is_the_map_of_the_checkpoint_for_each_class(lab, freeze):
    folder = lab.train("run", *CNN, f"freeze={freeze}")
    table, pixels = rows(folder, "gradcam"), rows(folder, "gradcam_images")
    images = cubes(pixels, ("image",), ("channel", "row", "column"))
    digits = load_digits()
    for (index,), values in images.items():
        np.testing.assert_allclose(values[0], digits.images[index] / 16.0, atol=5e-4)
    told = {int(row["image"]): (int(row["label"]), int(row["predicted"])) for row in table}
    assert all(digits.target[index] == label for index, (label, _) in told.items())
    assert [label for label, _ in told.values()][:3] == [0, 1, 2]
    assert 4 <= len(told) <= 6
    assert all(label != predicted for label, predicted in list(told.values())[3:])
    assert {row["layer"] for row in table} == {"backbone.block2.act"}
    maps = cubes(table, ("image", "class"), ("row", "column"))
    assert list(maps) == [key for index, pair in told.items() for key in dict.fromkeys((index, k) for k in pair[::-1])]
    network = own_network(folder)
    learner = TorchLearner(network, SGD(dict(network.named_parameters())), (1, 8, 8), 0)
    config = load_run(folder).config
    split = make(config, samples_of(config, {}), learner).val
    for (index, about), values in maps.items():
        inputs = split.at(np.flatnonzero(split.origin == index)).inputs
        assert int(network(inputs).argmax()) == told[index][1]
        again = maps_of(network, inputs, np.array([about])).values[0]
        np.testing.assert_allclose(values, again, rtol=1e-4, atol=1e-7)


def test_the_mistakes_are_the_most_confident_ones_and_no_image_comes_twice():
    labels = np.array([0, 1, 0, 1, 2, 2, 1])
    sure = [0.6, 0.9, 0.5, 0.7, 0.8, 0.7, 0.99]
    guess = [1, 1, 1, 0, 2, 0, 0]  # wrong: 0 (also the first of its class), 2, 3, 5, 6
    probabilities = np.full((7, 3), 0.0)
    for number, (share, label) in enumerate(zip(sure, guess, strict=True)):
        probabilities[number] = (1 - share) / 2
        probabilities[number, label] = share
    split: Any = SimpleNamespace(labels=labels)
    assert gradcam.looked_at(split, probabilities).tolist() == [0, 1, 4, 6, 3, 5]


def test_of_large_maps_some_places_are_noted_and_of_large_images_the_means_of_blocks():
    rng = np.random.default_rng(0)
    values = rng.random((130, 70)).astype(np.float32)
    noted = list(gradcam.thinned(values))
    assert len(noted) == 44 * 24
    assert all(value == pytest.approx(values[row, column]) for row, column, value in noted)
    image = rng.random((3, 130, 70))
    places = list(gradcam.small(image))
    assert len(places) == 3 * 44 * 24
    for channel, row, column, value in places[::97]:
        if row + 3 <= 130 and column + 3 <= 70:
            block = image[channel, row : row + 3, column : column + 3]
            assert value == pytest.approx(block.mean(), abs=5e-4)
    assert [value for *_, value in gradcam.small(np.full((1, 65, 65), 0.25))] == [0.25] * 33 * 33


def test_what_is_not_finite_is_blank():
    assert [value for *_, value in gradcam.thinned(np.array([[np.nan, 1.0], [np.inf, 0.0]]))] == [None, 1.0, None, 0.0]


OWN = """
from torch import nn

class Own(nn.Module):
    def __init__(self, input_shape, num_classes, cut=False):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(input_shape[0], 4, 3), nn.ReLU(inplace=True))
        self.out, self.cut = nn.Linear(4 * (input_shape[1] - 2) * (input_shape[2] - 2), num_classes), cut

    def forward(self, images):
        maps = self.maps(images).flatten(1)
        return self.out(maps.detach() if self.cut else maps)
"""


def test_a_model_of_ones_own_is_explained_and_one_that_keeps_gradients_away_is_not(lab):
    lab.write("own.py", OWN)
    lab.write("conf/model/own.yaml", "# Own.\n_target_: own.Own\ncut: false\n")
    asked = ("model=own", "dataset.per_class=10", "epochs=1", "figures=none", "probes=[gradcam]")
    told = lab.train("told", *asked)
    assert {row["layer"] for row in rows(told, "gradcam")} == {"maps.1"}
    silent = lab.train("silent", *asked, "model.cut=true")
    assert not list((silent / "probes").glob("gradcam*"))


def test_without_a_val_split_training_images_are_looked_at(lab):
    folder = lab.train("run", *CNN, "dataset.val_fraction=0", "monitor=train_loss")
    assert {row["image"] for row in rows(folder, "gradcam")} == {row["image"] for row in rows(folder, "gradcam_images")}


@pytest.mark.parametrize("typed", [["model=mlp"], ["model=softmax"], ["dataset=iris", "model=neuron"]])
def test_a_model_without_convolutions_is_refused(lab, typed):
    before = lab.tree()
    ended = lab(*typed, "probes=[gradcam]")
    assert ended.code == 2
    assert "probes=[gradcam] looks into convolutions" in ended.err
    assert lab.tree() == before
