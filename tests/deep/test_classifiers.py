"""torchvision's classifiers as backbone and head, held against torchvision's own networks."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torchvision import models

from labrunner import architectures, deep, initial
from labrunner.deep import classifiers, stages
from labrunner.deep.fitting import put
from labrunner.errors import RequestError
from labrunner.seeding import number
from tests.data.settings import config
from tests.deep import theirs

FAMILIES = [
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3"),
    *("maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_large", "resnet18", "resnext50_32x4d"),
    *("shufflenet_v2_x1_0", "squeezenet1_0", "swin_t", "swin_v2_t", "vgg11", "vgg16_bn", "vit_b_16", "vit_l_32"),
    "wide_resnet50_2",
]


def size_of(arch: str) -> int:
    return models.get_model_weights(arch)["DEFAULT"].transforms().crop_size[0]


@cache
def on_meta(arch: str, classes: int = 10, dropout: float = 0.0) -> classifiers.Classifier:
    """A network that takes no memory and no time."""
    with torch.device("meta"):
        return classifiers.build(arch, (3, size_of(arch), size_of(arch)), classes, dropout)


def settings(name: str, **more) -> dict:
    return config(model={"name": name, "weights": "none"}, **more)


def counts(network: nn.Module) -> tuple[int, int]:
    return tuple(sum(each.numel() for each in part.parameters()) for part in (network.head, network))


def test_the_names_that_are_known_without_torch_are_those_that_torchvision_has():
    there = models.list_models(module=models)
    assert set(architectures.NAMES) <= set(there), "these are promised"
    if torchvision.__version__.startswith("0.29."):
        assert list(architectures.NAMES) == there


@pytest.mark.parametrize(
    ("arch", "expected"), [("efficientnet_b0", (12810, 4020358)), ("shufflenet_v2_x1_0", (10250, 1263854))]
)
def test_the_head_on_ten_classes_and_the_whole_have_as_many_parameters_as_the_course_says(arch, expected):
    assert counts(on_meta(arch)) == expected


@pytest.mark.parametrize("arch", FAMILIES)
def test_backbone_and_head_hold_what_torchvision_has_under_its_own_names(arch):
    ours = on_meta(arch).state_dict()
    own = {"aux_logits": False, "init_weights": False} if arch in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        expected = models.get_model(arch, weights=None, num_classes=10, **own).state_dict()
    prefix, layer = on_meta(arch).head_names
    named = {
        layer + name.removeprefix(prefix) if name.startswith(f"{prefix}.") else f"backbone.{name}": tensor.shape
        for name, tensor in expected.items()
    }
    assert {name: tensor.shape for name, tensor in ours.items()} == named
    assert {name.rpartition(".")[2] for name in named if name.startswith("head.")} <= {"weight", "bias"}


@pytest.mark.parametrize("arch", FAMILIES)
def test_a_backbone_has_several_stages_of_which_none_is_nearly_all(arch):
    network = on_meta(arch)
    found = stages.stages(network, stages.ENOUGH)
    assert len(found) >= 6
    assert sorted(name for names in found.values() for name in names) == sorted(network.state_dict())
    sizes = {name: parameter.numel() for name, parameter in network.backbone.named_parameters(prefix="backbone")}
    largest = max(sum(sizes.get(name, 0) for name in names) for names in found.values())
    assert largest < 0.85 * sum(sizes.values())  # three quarters of vgg's weights are in one layer
    assert list(found)[-1] == "head"


@pytest.mark.parametrize(
    ("arch", "size"),
    [
        *(("shufflenet_v2_x0_5", 32), ("efficientnet_b0", 40), ("resnet18", 32), ("densenet121", 32)),
        *(("mobilenet_v3_small", 32), ("mnasnet0_5", 32), ("regnet_y_400mf", 32), ("squeezenet1_1", 45)),
        *(("googlenet", 32), ("swin_t", 40)),
    ],
)
def test_scores_are_torchvisions_to_the_bit_when_its_weights_are_put_in(arch, size):
    original = theirs.network(arch, classes=7)
    ours = classifiers.build(arch, (3, size, size), 7, 0.2, drawn=False)
    assert put(ours, original.state_dict(), "FILE", arch) == ["the head of 7 classes is taken over, too"]
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        scores, expected = ours.eval()(images), original(images)
        assert torch.equal(ours.score(ours.backbone(images)), scores)
    assert torch.equal(scores, expected)
    assert torch.isfinite(scores).all()
    assert scores.std() > 0.0


def test_squeezenets_features_are_maps_and_its_head_is_a_convolution():
    network = on_meta("squeezenet1_1")
    assert network.backbone(torch.zeros(2, 3, 64, 64, device="meta")).shape == (2, 512, 3, 3)
    assert isinstance(network.head.conv, nn.Conv2d)


def test_dropout_is_what_is_asked_for_and_in_front_of_the_head_once():
    for dropout in (0.0, 0.3):
        network = on_meta("vgg11", dropout=dropout)
        inside = {name: each.p for name, each in network.named_modules() if isinstance(each, nn.Dropout)}
        assert inside == {"backbone.classifier.2": dropout} | ({"drop": dropout} if dropout else {})
    network = on_meta("efficientnet_b0", dropout=0.3)
    assert [name for name, each in network.named_modules() if isinstance(each, nn.Dropout)] == ["drop"]
    assert any(type(each).__name__ == "StochasticDepth" and each.p > 0.0 for each in network.modules())
    assert not [each for each in on_meta("googlenet").modules() if isinstance(each, nn.Dropout)]


def test_what_is_left_undrawn_is_no_chance():
    for arch in ("vit_b_32", "mobilenet_v3_small"):
        network = classifiers.build(arch, (3, 32, 32), 2, 0.0, drawn=False)
        assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


@pytest.mark.parametrize("arch", ["inception_v3", "convnext_tiny"])
def test_networks_whose_weights_are_drawn_until_they_fit_can_be_left_undrawn(arch):
    network = classifiers.build(arch, (3, 96, 96), 2, 0.0, drawn=False)
    assert network.training


@pytest.mark.parametrize(
    ("arch", "shape", "said"),
    [
        ("densenet121", (3, 8, 8), "densenet121 cannot take images of 8 x 8 pixels: "),
        ("vit_b_16", (3, 40, 40), "indivisible by patch size\ntry dataset.size=224"),
        ("vit_b_16", (3, 224, 240), "not square"),
        ("maxvit_t", (3, 100, 100), "try dataset.size=224"),
        ("inception_v3", (3, 32, 32), "try dataset.size=299"),
    ],
)
def test_images_that_an_architecture_cannot_take_are_refused_with_a_size_that_it_can(arch, shape, said):
    with pytest.raises(RequestError) as caught:
        classifiers.build(arch, shape, 2, 0.0, drawn=False)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_a_vit_is_built_for_the_size_of_the_images():
    network = classifiers.build("vit_b_32", (3, 64, 64), 2, 0.0, drawn=False)
    assert network.backbone.encoder.pos_embedding.shape == (1, 5, 768)


@pytest.mark.parametrize(("arch", "said"), [("resnet81", "did you mean resnet18?"), ("§", "try one of resnet18")])
def test_an_architecture_that_torchvision_does_not_have_is_refused_with_one_that_it_has(arch, said):
    with pytest.raises(RequestError, match=r"model\.arch=") as caught:
        classifiers.architecture({"name": "torchvision", "arch": arch})
    assert said in str(caught.value)


def test_only_torchvisions_models_have_an_architecture():
    assert classifiers.architecture({"name": "torchvision", "arch": "resnet18"}) == "resnet18"
    assert classifiers.architecture({"name": "efficientnet_b0"}) == "efficientnet_b0"
    assert classifiers.architecture({"name": "cnn", "channels": [4]}) is None
    assert classifiers.architecture({"_target_": "my.Net"}) is None


# starting weights


def test_the_default_start_is_torchvisions_own_of_the_runs_seed_and_its_head_is_drawn_as_all_heads_are():
    made = [
        deep.make(settings("shufflenet_v2_x1_0", seed=seed, precision="float32"), (3, 32, 32), 10) for seed in (0, 0, 1)
    ]
    first, again, other = (learner.weights() for learner in made)
    assert {name: each.tobytes() for name, each in first.items()} == {
        name: each.tobytes() for name, each in again.items()
    }
    name = "backbone.conv1.0.weight"
    assert not np.array_equal(first[name], other[name])
    torch.default_generator.manual_seed(number(0, "init"))
    expected = models.shufflenet_v2_x1_0(weights=None, num_classes=10).conv1[0].weight
    assert np.array_equal(first[name], expected.detach().numpy())
    drawn = initial.weight({"name": "default"}, 0, "head.weight", (10, 1024))
    assert np.array_equal(first["head.weight"], drawn.astype(np.float32))


def test_another_start_fills_every_layer():
    made = deep.make(settings("shufflenet_v2_x1_0", init={"name": "he"}, precision="float32"), (3, 32, 32), 10)
    for name in ("backbone.conv1.0.weight", "backbone.conv5.0.weight", "head.weight"):
        found = made.weights()[name]
        expected = initial.weight({"name": "he"}, 0, name, found.shape)
        assert np.array_equal(found, expected.astype(np.float32)), name
