"""The summary's totals are exact, whatever the network, and looking at a network moves nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from labrunner import deep
from labrunner.deep.summary import layer_outputs, multiply_adds, summarize
from tests.data.settings import CNN, MLP, config
from tests.deep.odd import Bare, Odd, Single, TwoNames

SHAPE = (3, 8, 8)


def exact_line(text: str) -> str:
    return text.splitlines()[-1]


def test_the_totals_are_those_of_the_closed_form():
    text = deep.make(config(model={**CNN, "channels": [4, 6]}), SHAPE, 5).summary()
    convolutions = 4 * 3 * 9 + 6 * 4 * 9
    norms = 2 * 4 + 2 * 6
    head = 5 * 6 * 2 * 2 + 5
    assert exact_line(text).startswith(f"Exact, each parameter once: {convolutions + norms + head:,} parameters")
    assert "Conv2d-1" in text
    assert "BatchNorm2d" in text


def test_large_totals_are_exact():
    text = deep.make(config(model={**MLP, "hidden": [300]}), SHAPE, 5).summary()
    assert f"{192 * 300 + 300 + 300 * 5 + 5:,} parameters" in exact_line(text)


def test_frozen_parameters_are_counted_apart():
    network = deep.make(config(model={**MLP, "hidden": [6]}), SHAPE, 5).network
    network.backbone.linear1.bias.requires_grad_(False)
    text = summarize(network, SHAPE)
    assert (
        exact_line(text)
        == f"Exact, each parameter once: {192 * 6 + 6 + 35:,} parameters, {192 * 6 + 35:,} trainable, 6 frozen"
    )


@pytest.mark.parametrize("own", [Odd, TwoNames])
def test_a_table_that_counts_otherwise_is_remarked_upon(own):
    network = own(SHAPE, 5)
    text = summarize(network, SHAPE)
    total = sum(parameter.numel() for parameter in {id(p): p for p in network.parameters()}.values())
    assert f"{total:,} parameters" in exact_line(text)
    assert "counts shared modules twice or misses bare parameters" in text


@pytest.mark.parametrize("model", [MLP, CNN])
def test_a_table_that_is_right_goes_without_a_remark(model):
    text = deep.make(config(model=model), SHAPE, 5).summary()
    assert "misses" not in text
    assert "cannot draw" not in text


class TwoInputs(nn.Bilinear):
    """torchsummary cannot run it: it calls with one argument."""

    def __init__(self):
        super().__init__(4, 4, 2)


class Uncopied(nn.Module):
    """Holds a tensor of the graph, which copy.deepcopy refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.last = self.layer.weight * 2

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(inputs)


class Dictionary(nn.Module):
    """A layer whose output is no tensor."""

    class Inner(nn.Module):
        def forward(self, inputs):
            return {"features": inputs}

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = self.Inner(), nn.Linear(4, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.inner(inputs)["features"])


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (Bare(SHAPE, 5), SHAPE),
        (Single(SHAPE, 5), SHAPE),
        (TwoInputs(), (4,)),
        (Uncopied(), (4,)),
        (Dictionary(), (4,)),
        (nn.Flatten(), SHAPE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_network_that_torchsummary_cannot_draw_gets_its_totals_all_the_same(network, shape, capsys):
    text = summarize(network, shape)
    total = sum(parameter.numel() for parameter in network.parameters())
    assert f"{total:,} parameters, {total:,} trainable, 0 frozen" in exact_line(text)
    assert "instead" in text or "the table's own total" in text.lower() or total == 0
    assert capsys.readouterr().out == ""
    assert all(not module._forward_hooks for module in network.modules())


def everything_of(network: nn.Module) -> tuple:
    modes = [module.training for module in network.modules()]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()]
    state = {name: values.clone() for name, values in network.state_dict().items()}
    return modes, hooks, state, torch.get_rng_state()


class Noisy(nn.Module):
    """Draws in evaluation mode too, keeps a running count, and holds a module in a mode of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop, self.head = (
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.Dropout(),
            nn.Linear(4, 5),
        )
        self.train()
        self.norm.eval()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.norm(self.conv(inputs))).mean((2, 3))) + torch.randn(5)


def fail_to_count(network: nn.Module) -> None:
    with pytest.raises(RuntimeError):
        multiply_adds(network, torch.zeros(1, 9, 8, 8))


@pytest.mark.parametrize(
    "look",
    [
        lambda network: summarize(network, SHAPE),
        lambda network: multiply_adds(network, torch.zeros(1, *SHAPE)),
        fail_to_count,
        lambda network: summarize(network, (9, 8, 8)),
    ],
    ids=["summary", "multiply_adds", "multiply_adds that fail", "summary that fails"],
)
def test_looking_leaves_randomness_modes_hooks_and_buffers_as_they_were(look, capsys):
    network = Noisy()
    network.conv.register_forward_hook(lambda *_: None)
    before = everything_of(network)
    look(network)
    after = everything_of(network)
    assert before[:2] == after[:2]
    assert all(torch.equal(before[2][name], after[2][name]) for name in before[2])
    assert torch.equal(before[3], after[3])
    assert capsys.readouterr().out == ""


def test_a_float64_network_in_channels_last_is_drawn_without_being_converted():
    network = copy.deepcopy(deep.make(config(model=CNN), SHAPE, 5).network)
    summarize(network, SHAPE)
    assert all(parameter.dtype == torch.float64 for parameter in network.parameters())
    assert network.backbone.block1.conv.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("network", "shape", "expected"),
    [
        (nn.Linear(7, 3), (7,), 7 * 3),
        (nn.Sequential(nn.Linear(7, 4), nn.ReLU(), nn.Linear(4, 3)), (7,), 7 * 4 + 4 * 3),
        (nn.Conv2d(3, 8, 3, padding=1), (3, 10, 6), 8 * 3 * 9 * 10 * 6),
        (nn.Conv2d(3, 8, 5, stride=2), (3, 11, 9), 8 * 3 * 25 * 4 * 3),
        (nn.Conv2d(6, 6, 3, padding=1, groups=6), (6, 5, 5), 6 * 9 * 25),
        (nn.Conv2d(4, 6, (1, 3), dilation=2), (4, 5, 9), 6 * 4 * 3 * 5 * 5),
        (nn.Conv1d(2, 5, 3), (2, 9), 5 * 2 * 3 * 7),
        (nn.Linear(4, 3), (6, 4), 6 * 4 * 3),
        (Odd((1, 2, 2), 3), (1, 2, 2), 2 * 4 * 4),
    ],
)
def test_multiply_adds_are_those_of_the_closed_form(network, shape, expected):
    assert multiply_adds(network, torch.zeros(1, *shape)) == expected


def test_the_work_of_a_learner_is_that_of_one_sample():
    assert deep.make(config(model={**MLP, "hidden": [6]}), SHAPE, 5).work == 192 * 6 + 6 * 5


def test_layer_outputs_are_kept_from_being_overwritten_in_place():
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 2))
    inputs = torch.randn(5, 4)
    outputs = layer_outputs(network, lambda: network(inputs))
    assert list(outputs) == ["0", "1", "2"]
    assert torch.equal(outputs["0"], network[0](inputs))
    assert (outputs["0"] < 0).any()
    assert all(not module._forward_hooks for module in network.modules())


def test_the_summary_of_a_network_that_thaws_says_what_trains_when(lab):
    few = ("model=cnn", "model.channels=[4,8]", "dataset=digits", "epochs=6")
    thawing = lab("summary", *few, "freeze=gradual").out
    # a head on 8 maps of 2 x 2; 8 kernels of 3 x 3 over 4 maps, and 4 over one, each with the two of batch norm
    head, last, first = 8 * 2 * 2 * 10 + 10, 8 * 4 * 9 + 2 * 8, 4 * 9 + 2 * 4
    assert [line.strip() for line in thawing.splitlines() if "parameters train" in line] == [
        f"epochs 1 to 2: {head} parameters train",
        f"epochs 3 to 4: {head + last} parameters train",
        f"epochs 5 to 6: {head + last + first} parameters train",
    ]
    assert "parameters train" not in lab("summary", *few, "freeze=backbone").out
