"""Starting weights from files and from torchvision: to the bit, or refused by name."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models
from torchvision.models import DenseNet, densenet
from torchvision.models.vision_transformer import VisionTransformer

from labrunner import deep
from labrunner.deep import classifiers, fitting, pretrained, published, weight_files
from labrunner.errors import RequestError
from labrunner.learner import ANY, Wants
from tests.data.settings import config
from tests.deep import theirs

ARCH = "shufflenet_v2_x0_5"
SHAPE = (3, 32, 32)
MODEL = {"name": "torchvision", "arch": ARCH, "weights": "none"}
RESNET = {**MODEL, "arch": "resnet18"}


def learner(weights: str | list[str], classes: int = 5, model: dict = MODEL, **more):
    return deep.make(config(model={**model, "weights": weights}, precision="float32", **more), SHAPE, classes)


def equal(learner, state: theirs.State, head: str = "fc") -> bool:
    """Whether everything but the head is what a state dict of torchvision's says, buffers too."""
    own = learner.network.backbone.state_dict()
    expected = {name: tensor for name, tensor in state.items() if not name.startswith(f"{head}.")}
    return own.keys() == expected.keys() and all(torch.equal(own[name], expected[name]) for name in own)


def scores(learner, images: torch.Tensor) -> torch.Tensor:
    return learner.scores(images)


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return theirs.network(ARCH)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(2))


def refused(weights: str | list[str], **more) -> str:
    with pytest.raises(RequestError) as caught:
        learner(weights, **more)
    said = str(caught.value)
    assert said.startswith("model.weights=")
    assert len(said.splitlines()) <= 3
    return said


# torchvision's


def test_torchvisions_file_gives_torchvisions_scores_to_the_bit(original, images, tmp_path, monkeypatch):
    path = theirs.place(ARCH, original.state_dict(), tmp_path, monkeypatch)
    made = learner("imagenet", classes=1000)
    with torch.inference_mode():
        assert torch.equal(scores(made, images), original(images))
    assert equal(made, original.state_dict())
    assert made.origin.used == made.origin.asked == "imagenet"
    assert made.origin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert made.origin.remarks == (
        f"model.weights: torchvision's weights of ImageNet, {path.name}",
        "the head of 1000 classes is taken over, too",
    )


def test_a_head_of_another_size_stays_as_it_was_drawn_and_the_features_are_torchvisions(
    original, images, tmp_path, monkeypatch
):
    theirs.place(ARCH, original.state_dict(), tmp_path, monkeypatch)
    made, drawn = learner("imagenet"), learner("none")
    assert drawn.origin is None
    assert made.origin.remarks[1:] == ("the head of 1000 classes is replaced by one of 5",)
    for name in ("head.weight", "head.bias"):
        assert np.array_equal(made.weights()[name], drawn.weights()[name])
    bare = theirs.network(ARCH)
    bare.fc = nn.Identity()
    with torch.inference_mode():
        assert torch.equal(made.features(images), bare(images))


def test_weights_keep_the_networks_memory_format_and_precision(original, tmp_path, monkeypatch):
    theirs.place(ARCH, original.state_dict(), tmp_path, monkeypatch)
    made = deep.make(config(model={**MODEL, "weights": "imagenet"}, precision="float64"), SHAPE, 5)
    weight = made.network.backbone.conv1[0].weight
    assert weight.dtype == torch.float64
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    assert torch.equal(weight, original.conv1[0].weight.double())


def test_a_learner_whose_checkpoint_is_loaded_afterwards_reads_no_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for weights in ("imagenet", "no such file"):
        settings = config(model={**MODEL, "weights": weights}, precision="float32")
        assert deep.make(settings, SHAPE, 5, load_weights=False).origin is None


def test_a_damaged_file_is_named_with_what_to_do(original, tmp_path, monkeypatch):
    path = theirs.place(ARCH, original.state_dict(), tmp_path, monkeypatch)
    path.write_bytes(path.read_bytes()[:-1])
    said = refused("imagenet")
    assert f"{path} is damaged" in said
    assert "delete it" in said
    assert f"labrunner fetch model=torchvision model.arch={ARCH} model.weights=imagenet" in said


def test_models_of_which_torchvision_has_no_weights_are_refused():
    assert "try model=shufflenet_v2_x1_0" in refused("imagenet", model={"name": "cnn", "channels": [4], "weights": ""})


@pytest.mark.parametrize("arch", ["resnet18", "efficientnet_b0", "swin_t", "vit_h_14", "efficientnet_v2_l"])
def test_images_are_wanted_as_torchvisions_own_transforms_make_them(arch):
    from PIL import Image
    from torchvision.transforms import functional

    found = pretrained.wants({"name": "torchvision", "arch": arch, "weights": "imagenet"})
    pixels = np.random.default_rng(0).integers(0, 256, size=(70, 90, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    expected = models.get_model_weights(arch)["DEFAULT"].transforms()(image)
    kind = functional.InterpolationMode(found.interpolation)
    resized = functional.center_crop(functional.resize(image, found.resize, interpolation=kind), found.size)
    mean, std = (torch.tensor(each)[:, None, None] for each in (found.mean, found.std))
    ours = (functional.to_tensor(resized) - mean) / std
    assert found.channels == 3
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize(("arch", "size"), [("googlenet", 32), ("inception_v3", 80)])
def test_networks_that_turn_their_inputs_get_them_turned_already(arch, size, tmp_path, monkeypatch):
    original = theirs.network(arch, classes=6, transform_input=True)
    state = original.state_dict()
    assert any(name.lower().startswith("aux") for name in state)  # classifiers that are no part of a backbone
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    model = {"name": "torchvision", "arch": arch, "weights": str(path)}
    made = deep.make(config(model=model, precision="float32"), (3, size, size), 6)
    said = models.get_model_weights(arch)["DEFAULT"].transforms()
    wanted = pretrained.wants(model)
    raw = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    usual, own = (
        (raw - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        for mean, std in ((said.mean, said.std), (wanted.mean, wanted.std))
    )
    with torch.inference_mode():
        torch.testing.assert_close(made.scores(own), original(usual), rtol=1e-4, atol=1e-4)


def test_without_weights_images_of_three_channels_are_wanted_and_of_a_file_what_imagenets_want(tmp_path):
    file = tmp_path / "weights.pth"
    file.touch()
    imagenet = Wants(3, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 256, "bilinear")
    assert pretrained.wants(MODEL) == Wants(channels=3)
    assert pretrained.wants({**RESNET, "weights": str(file)}) == imagenet
    assert pretrained.wants({"name": "cnn", "weights": str(file)}) == ANY
    assert pretrained.wants({**RESNET, "weights": [str(tmp_path / "none"), "none"]}) == Wants(channels=3)
    assert pretrained.wants({**RESNET, "weights": ["nowhere", str(file), "none"]}) == imagenet


# files

Saver = Callable[[theirs.State, Path], None]
FORMATS: dict[str, tuple[str, Saver]] = {
    "safetensors": ("w.safetensors", lambda state, path: save_file(state, path)),
    "torch": ("w.pth", lambda state, path: torch.save(state, path)),
    "before torch 1.6": ("w.pt", lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False)),
    "beside an epoch": ("w.ckpt", lambda state, path: torch.save({"epoch": 3, "state_dict": state}, path)),
    "as a model": ("w.bin", lambda state, path: torch.save({"model": state, "args": [1]}, path)),
    "of DataParallel": ("w", lambda state, path: torch.save({f"module.{k}": v for k, v in state.items()}, path)),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_in_torchvisions_names_is_read_in_every_format(kind, original, tmp_path):
    name, save = FORMATS[kind]
    path = tmp_path / name
    save(dict(original.state_dict()), path)
    made = learner(str(path))
    assert equal(made, original.state_dict())
    assert made.origin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "as for torchvision's weights of ImageNet" in made.origin.remarks[0]


@pytest.mark.parametrize("model", [MODEL, {"name": "cnn", "channels": [4], "kernel": 3, "pooling": "max"}])
def test_a_file_in_our_own_names_is_read_too_with_its_head(model, tmp_path):
    model = {"batch_norm": True, "activation": "relu", **model} if model["name"] == "cnn" else model
    first = learner("none", model=model, seed=1)
    theirs.randomized(first.network)
    save_file(
        {name: tensor.contiguous() for name, tensor in first.network.state_dict().items()}, tmp_path / "w.safetensors"
    )
    made = learner(str(tmp_path / "w.safetensors"), model=model)
    assert {name: each.tobytes() for name, each in made.weights().items()} == {
        name: each.tobytes() for name, each in first.weights().items()
    }
    assert made.origin.remarks[1:] == ("the head of 5 classes is taken over, too",)


def test_half_precision_is_widened_and_counts_that_old_files_lack_begin_at_zero(original, tmp_path):
    state = {name: tensor.half() for name, tensor in original.state_dict().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "w.pth")
    own = learner(str(tmp_path / "w.pth")).network.backbone.state_dict()
    for name, tensor in own.items():
        if name.endswith("num_batches_tracked"):
            assert tensor == 0
        else:
            assert torch.equal(tensor, state[name].float()), name


def test_densenets_old_names_are_read_as_torchvision_reads_them(monkeypatch):
    def small() -> DenseNet:
        return DenseNet(4, (2, 1), 8, bn_size=2, num_classes=3)

    original = theirs.randomized(small())
    old = {re.sub(r"(norm|conv)([12])(?=\.)", r"\1.\2", name): each for name, each in original.state_dict().items()}
    old = {name: each for name, each in old.items() if "num_batches" not in name}  # of before torch 0.4.1
    assert "features.denseblock1.denselayer2.norm.1.running_var" in old
    published = models.DenseNet121_Weights.DEFAULT
    monkeypatch.setattr(type(published), "get_state_dict", lambda self, **options: dict(old))
    again = small().eval()
    densenet._load_state_dict(again, published, progress=False)  # torchvision's own way
    ours = classifiers.Classifier("densenet121", *classifiers._parts(small()), 0.0)
    fitting.put(ours, old, "FILE", "densenet")
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(ours.eval()(images), again(images))


def test_the_old_names_of_vits_are_read_as_torchvision_reads_them():
    def small() -> VisionTransformer:
        torch.manual_seed(0)
        return VisionTransformer(32, 16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=12, num_classes=3)

    original = theirs.randomized(small())
    old = {
        name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor
        for name, tensor in original.state_dict().items()
    }
    assert old.keys() != original.state_dict().keys()
    again = small()
    again.load_state_dict(old)  # torchvision's own way
    ours = classifiers.Classifier("vit_b_16", *classifiers._parts(small()), 0.0)
    fitting.put(ours, old, "FILE", "vit")
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(ours.eval()(images), again.eval()(images))


def test_nothing_that_a_pickle_names_is_executed(tmp_path):
    touched = tmp_path / "touched"

    class Evil:
        def __reduce__(self):
            return Path.touch, (touched,)

    for number, save in enumerate(
        (lambda path: torch.save({"a": Evil()}, path), lambda path: path.write_bytes(pickle.dumps(Evil(), 2)))
    ):
        path = tmp_path / f"{number}.pth"
        save(path)
        said = refused(str(path))
        assert "could execute anything" in said
        assert "torch.save(network.state_dict(), FILE)" in said
    assert not touched.exists()


def test_a_whole_module_in_a_file_is_refused_by_the_class_that_it_asks_for(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "w.pth")
    assert "it asks for torch.nn.modules.linear.Linear" in refused(str(tmp_path / "w.pth"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("w.pth", b"", "no file of torch.save's"),
        ("w.pth", b"<!DOCTYPE html>", "no file of torch.save's"),
        ("w.pth", b"\x80\x02odd.", "is damaged, or holds more than arrays"),
        ("w.pth", b"PK\x03\x04odd", "cannot be read as a file of torch.save's: RuntimeError"),
        ("w.safetensors", b"", "cannot be read as safetensors"),
        ("w.safetensors", bytes(8), "cannot be read as safetensors"),
        ("w.safetensors", bytes(range(256)) * 4, "cannot be read as safetensors"),
    ],
)
def test_other_bytes_are_refused(name, content, said, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    assert said in refused(str(path))


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
def test_a_file_that_was_cut_is_refused(name, original, tmp_path):
    path = tmp_path / name
    dict(FORMATS.values())[name](dict(original.state_dict()), path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "cannot be read" in refused(str(path))


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        ([1, 2], "a value of type list"),
        (torch.ones(2), "a tensor of another kind"),
        ({}, "holds nothing"),
        ({"a": 1.5}, "a holds a value of type float"),
        ({3: torch.ones(2)}, "3 holds"),
        ({"a": torch.ones(2).to_sparse()}, "a tensor of another kind"),
    ],
)
def test_what_is_no_state_dict_is_refused(holds, said, tmp_path):
    torch.save(holds, tmp_path / "w.pth")
    assert said in refused(str(tmp_path / "w.pth"))


def test_weights_that_do_not_fit_are_listed_by_name_and_nothing_is_copied(original):
    state = dict(original.state_dict())
    del state["conv1.0.weight"]
    for number in range(5):
        state[f"odd{number}"] = torch.ones(1)
    state["conv5.0.weight"] = torch.ones(2, 3)
    state["conv1.1.weight"] = torch.ones(24, dtype=torch.int64)
    ours = classifiers.build(ARCH, SHAPE, 5, 0.0)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    with pytest.raises(RequestError) as caught:
        fitting.put(ours, state, "model.weights=FILE", "model=torchvision")
    said = str(caught.value)
    assert said.startswith("model.weights=FILE does not fit model=torchvision\n")
    assert "missing: backbone.conv1.0.weight" in said
    assert "unknown: odd0, odd1, odd2, … (5 of them)" in said
    assert "conv5.0.weight has shape (2, 3), the model's is (1024, 192, 1, 1)" in said
    assert "conv1.1.weight holds torch.int64, the model's is torch.float32" in said
    assert all(torch.equal(tensor, before[name]) for name, tensor in ours.state_dict().items())


def test_a_head_without_its_bias_is_no_head_of_another_size(original, tmp_path):
    state = {name: tensor for name, tensor in original.state_dict().items() if name != "fc.bias"}
    torch.save(state, tmp_path / "w.pth")
    assert "missing: head.bias" in refused(str(tmp_path / "w.pth"))


def test_another_architectures_file_is_refused(original, tmp_path):
    torch.save(original.state_dict(), tmp_path / "w.pth")
    said = refused(str(tmp_path / "w.pth"), model=RESNET)
    assert "does not fit model=torchvision model.arch=resnet18" in said
    assert "missing: " in said
    assert "unknown: " in said


def test_a_vit_for_another_size_is_refused_with_a_way_out():
    whole = VisionTransformer(48, 16, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=12, num_classes=3)
    small = VisionTransformer(32, 16, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=12, num_classes=3)
    ours = classifiers.Classifier("vit_b_16", *classifiers._parts(small), 0.0)
    with pytest.raises(RequestError, match="give it the one that they are for"):
        fitting.put(ours, whole.state_dict(), "FILE", "vit")


def test_a_head_on_other_features_is_replaced(tmp_path):
    model = {"name": "lenet", "pooling": "max", "activation": "relu", "weights": "none"}
    first = learner("none", model=model)
    other = deep.make(config(model=model, precision="float32"), SHAPE, 5).network
    other.head = nn.Linear(80, 5)
    assert fitting.put(other, first.network.state_dict(), "FILE", "lenet") == [
        "the head on 84 features is replaced by one on 80"
    ]


# lists, and paths


def test_of_a_list_the_first_that_is_at_hand_is_used(original, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "empty"))
    path = tmp_path / "w.pth"
    torch.save(original.state_dict(), path)
    made = learner(["imagenet", "nowhere", str(path), "none"])
    assert (made.origin.asked, made.origin.used) == (f"[imagenet,nowhere,{path},none]", str(path))
    assert made.origin.remarks[0].startswith(f"model.weights: imagenet, nowhere not at hand: weights of {path}")
    there = theirs.place(ARCH, original.state_dict(), tmp_path, monkeypatch)
    assert learner(["imagenet", str(path)]).origin.used == "imagenet"
    there.write_bytes(b"damaged")
    assert learner(["imagenet", str(path)]).origin.used == str(path)


def test_a_list_that_ends_in_none_says_that_weights_are_drawn_and_draws_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    made, drawn = learner(["imagenet", "none"]), learner("none")
    assert (made.origin.used, made.origin.sha256) == ("none", "")
    assert made.origin.remarks == (
        "warning: model.weights=[imagenet,none]: imagenet not at hand: the weights are drawn at random",
    )
    assert all(np.array_equal(each, drawn.weights()[name]) for name, each in made.weights().items())


def test_a_list_of_which_nothing_is_at_hand_is_refused_with_the_command_that_fetches(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    said = refused(["imagenet", "nowhere"])
    assert f"labrunner fetch model=torchvision model.arch={ARCH} model.weights=imagenet" in said


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("imagnet", "did you mean model.weights=imagenet?"),
        ("x/y.pth", "no such file or run folder"),
        ("a" * 5000, "no such"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(weights, said):
    assert said in refused(weights)


def test_a_start_with_weights_fills_no_more_than_the_head(original, tmp_path):
    torch.save(original.state_dict(), tmp_path / "w.pth")
    assert equal(learner(str(tmp_path / "w.pth"), init={"name": "he"}), original.state_dict())


def test_the_published_files_have_digits_in_their_names_and_sizes_that_are_numbers():
    for arch in models.list_models(module=models):
        file = published.file_of(arch)
        assert 8 <= len(file.prefix) <= 64, arch
        assert math.isfinite(file.megabytes)
        assert file.url.startswith("https://")
        assert file.path.name == file.url.rpartition("/")[2]


def test_decoding_keeps_names_that_only_some_share():
    content = {"module.a": torch.ones(1), "b": torch.ones(1)}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    assert set(weight_files.decode(buffer.getvalue(), False, "FILE")) == {"module.a", "b"}
