"""Features come out as the backbone gives them, quicker, and the same bytes on any number of threads."""

from __future__ import annotations

import copy
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from labrunner import deep
from labrunner.deep.extraction import Extraction, folded, part_size, restored, stored
from labrunner.deep.learner import to_numpy
from tests.data.settings import CNN, MLP, config
from tests.lines import cases

SHAPE = (3, 12, 12)
FROZEN = {"name": "backbone"}


def learner_of(shape=SHAPE, seed=0, own=None, **settings):
    """A learner whose frozen backbone has batch norms that have seen something."""
    learner = deep.make(config(freeze=FROZEN, seed=seed, **settings), shape, 4, own)
    generator = torch.Generator().manual_seed(seed)

    def drawn(tensor, low, high):
        tensor.detach().copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))

    for module in learner.network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            drawn(module.running_mean, -0.3, 0.3)
            drawn(module.running_var, 0.3, 1.0)
            drawn(module.weight, 0.5, 1.5)
            drawn(module.bias, -0.3, 0.3)
    return learner


def inputs_of(learner, count=5):
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn((count, *learner.input_shape), generator=generator, dtype=torch.float64)
    return drawn.to(next(learner.network.parameters()).dtype)


def extracted(learner, inputs, threads=1, size=2):
    extraction = Extraction(learner, inputs)
    parts = [partial(lambda part: part, part) for part in inputs.split(size)]
    return np.concatenate(list(extraction(parts, threads))), extraction


NETWORKS = {
    "cnn": {"model": CNN},
    "cnn without batch norm": {"model": {**CNN, "batch_norm": False}},
    "mlp with batch norm": {"model": {**MLP, "batch_norm": True}},
    "efficientnet_b0": {"model": {"name": "efficientnet_b0", "weights": "none"}, "shape": (3, 32, 32)},
    "shufflenet_v2_x1_0": {"model": {"name": "shufflenet_v2_x1_0", "weights": "none"}, "shape": (3, 32, 32)},
}


PRECISIONS = {"float32": 1e-5, "float64": 1e-12, "bf16": 0.0}
OURS = [name for name in NETWORKS if name.startswith(("cnn", "mlp"))]


@pytest.mark.parametrize(
    ("name", "precision"),
    cases(product(NETWORKS, PRECISIONS), fast=[*product(OURS, PRECISIONS), ("shufflenet_v2_x1_0", "float32")]),
)
def test_features_are_what_the_backbone_gives(name, precision):
    learner = learner_of(precision=precision, **NETWORKS[name])
    inputs = inputs_of(learner)
    found, _ = extracted(learner, inputs)
    expected = learner.features(inputs)
    assert expected.std() > 1e-3, "there is nothing to compare"
    got = restored(found, learner)
    assert got.dtype == expected.dtype
    assert (got.double() - expected.double()).abs().max() <= PRECISIONS[precision] * expected.double().abs().max()


@pytest.mark.parametrize("name", [name for name in NETWORKS if not name.startswith("mlp")])
def test_no_batch_norm_is_left_behind_a_convolution(name):
    learner = learner_of(precision="float32", **NETWORKS[name])
    _, extraction = extracted(learner, inputs_of(learner))
    (way,) = extraction._ways
    assert isinstance(way, fx.GraphModule)
    called = {str(node.target) for node in way.graph.nodes if node.op == "call_module"}
    left = [name for name, module in way.named_modules() if name in called and isinstance(module, nn.BatchNorm2d)]
    assert left == []


@pytest.mark.parametrize(
    "kind", [(nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d)]
)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_a_batch_norm_goes_into_its_convolution_as_torch_itself_does_it(kind, bias, affine):
    convolution, norm = kind[0](4, 6, 3, groups=2, bias=bias).double(), kind[1](6, affine=affine).double()
    norm.running_mean.copy_(torch.randn(6))
    norm.running_var.copy_(torch.rand(6) + 0.1)
    both = nn.Sequential(convolution, norm).eval()
    before = {name: tensor.clone() for name, tensor in both.state_dict().items()}
    graph = folded(fx.symbolic_trace(both))
    assert next(type(module) for module in graph.children() if list(module.parameters())) is kind[0]
    fused = fuse_conv_bn_eval(convolution, norm)
    torch.testing.assert_close(graph.get_submodule("0").weight, fused.weight, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(graph.get_submodule("0").bias, fused.bias, rtol=1e-13, atol=1e-13)
    assert all(torch.equal(tensor, before[name]) for name, tensor in both.state_dict().items())


class Fork(nn.Module):
    """What comes out of the convolution is wanted twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        x = self.conv(x)
        return self.norm(x) + x


class Again(Fork):
    """The convolution is used twice."""

    def forward(self, x):
        return self.norm(self.conv(self.conv(x)))


def hooked():
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    module[0].register_forward_hook(lambda module, inputs, output: output + 1.0)
    return module.eval()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fork().eval(),
        lambda: Again().eval(),
        hooked,
        lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)).eval(),
        lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).train(),
        lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)).eval(),
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 3, 1), nn.BatchNorm2d(3)).eval(),
    ],
    ids=["two users", "used twice", "hook", "no running means", "train mode", "something between", "transposed"],
)
def test_what_cannot_be_folded_is_left_as_it_is(make):
    module = make()
    inputs = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    expected = copy.deepcopy(module)(inputs)
    graph = folded(fx.symbolic_trace(module))
    called = [str(node.target) for node in graph.graph.nodes if node.op == "call_module"]
    assert any(isinstance(graph.get_submodule(name), nn.BatchNorm2d) for name in called)
    assert torch.equal(graph(inputs), expected)


class Wandering(nn.Module):
    """Keeps what it has seen, and does what no trace can follow."""

    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.backbone = Looking(input_shape)
        self.head = nn.Linear(6, num_classes)

    def forward(self, x):
        return self.head(self.backbone(x))


class Looking(nn.Module):
    def __init__(self, input_shape):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(input_shape[0], 6, 3), nn.BatchNorm2d(6)

    def forward(self, x):
        self.seen = x
        x = self.norm(self.conv(self.seen))
        return x.mean((2, 3)) if float(x.sum()) < 1e9 else x.amax((2, 3))


class Keeping(Looking):
    """Keeps what it has seen, and can be followed."""

    def forward(self, x):
        self.seen = x
        return self.norm(self.conv(self.seen)).mean((2, 3))


class Viewing(Looking):
    """Takes memory in one order alone."""

    def forward(self, x):
        return self.norm(self.conv(x.view(len(x), -1).view(x.shape))).mean((2, 3))


@pytest.mark.parametrize("kind", [Looking, Keeping, Viewing])
def test_a_backbone_of_the_users_that_nobody_can_see_through_works_all_the_same(kind):
    def own(input_shape, num_classes):
        network = Wandering(input_shape, num_classes)
        network.backbone = kind(input_shape)
        return network

    learner = learner_of(precision="float32", model={"_target_": "own.Own"}, own=own)
    inputs = inputs_of(learner, 8)
    one, _ = extracted(learner, inputs)
    two, _ = extracted(learner, inputs, threads=3)
    expected = to_numpy(learner.features(inputs))
    assert one.tobytes() == two.tobytes()
    np.testing.assert_allclose(one, expected, atol=1e-5 * np.abs(expected).max())
    assert not isinstance(getattr(learner.network.backbone, "seen", None), fx.Proxy)


@pytest.mark.parametrize("name", cases(NETWORKS, fast=[*OURS, "shufflenet_v2_x1_0"]))
def test_features_are_the_same_bytes_on_any_number_of_threads(name):
    learner = learner_of(precision="float32", **NETWORKS[name])
    inputs = inputs_of(learner, 9)
    before = torch.get_num_threads()
    one, _ = extracted(learner, inputs)
    for threads in (2, 5, 8):
        assert extracted(learner, inputs, threads)[0].tobytes() == one.tobytes()
    assert torch.get_num_threads() == before


def test_nothing_of_the_learner_moves():
    learner = learner_of(precision="float32", model=CNN)
    inputs = inputs_of(learner)
    before, random = learner.state(), torch.get_rng_state()
    extracted(learner, inputs, threads=2)
    after = learner.state()
    assert before.keys() == after.keys()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    assert torch.equal(torch.get_rng_state(), random)
    assert not learner.network.backbone.training


def test_work_that_is_given_up_leaves_the_threads_as_they_were():
    learner = learner_of(precision="float32", model=CNN)
    inputs, before = inputs_of(learner, 20), torch.get_num_threads()
    extraction, begun = Extraction(learner, inputs), []

    def part(number):
        begun.append(number)
        return inputs[number : number + 1]

    found = extraction((partial(part, number) for number in range(20)), 2)
    next(found)
    found.close()
    assert torch.get_num_threads() == before
    assert len(begun) < 20


def test_an_error_in_a_part_comes_out():
    learner = learner_of(precision="float32", model=CNN)

    def part():
        raise ZeroDivisionError("of the user's")

    with pytest.raises(ZeroDivisionError):
        list(Extraction(learner, inputs_of(learner))([part] * 4, 2))


def test_features_of_bf16_are_kept_bit_by_bit():
    learner = learner_of(precision="bf16", model=CNN)
    values = torch.randn(7, 5, 3).to(torch.bfloat16).transpose(1, 2)
    kept = stored(values)
    assert (kept.shape, kept.nbytes) == ((7, 3, 5), 7 * 3 * 5 * 2)
    assert torch.equal(restored(kept, learner), values)


def test_a_part_is_eight_photographs_or_many_small_images():
    shapes = {(3, 224, 224): 8, (3, 512, 512): 1, (1, 8, 8): 128, (3, 1000, 1000): 1}
    learner = learner_of(precision="float32", model=CNN)
    for shape, size in shapes.items():
        learner.input_shape = shape
        assert part_size(learner) == size
