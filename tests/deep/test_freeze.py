"""Freezing: what stands still does so to the bit in every epoch, and what trains does not know of the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from labrunner import deep
from labrunner.deep import TorchLearner, freeze
from labrunner.deep.optimizers import SGD, Optimizer
from labrunner.deep.stages import stages
from labrunner.errors import RequestError
from labrunner.learner import Batch
from tests.data.settings import ADAM, CNN, LENET, MLP, MOMENTUM, config
from tests.data.settings import SGD as PLAIN_SGD
from tests.deep.odd import Odd
from tests.deep.own import Awkward, SmallResidual

SHAPE, CLASSES, EPOCHS, BATCHES = (2, 12, 12), 3, 5, 3
DEEP_MLP = {**MLP, "hidden": [6, 5, 4], "batch_norm": True}
DEEP_CNN = {**CNN, "channels": [4, 3, 5], "activation": "gelu"}
DROPOUT = {"dropout": 0.3, "weight_decay": 0.05, "decay_all": True}

# the model, and by hand the modules of each stage of its backbone, from the inputs on
NETWORKS: dict[str, tuple[dict[str, Any], type[nn.Module] | None, list[tuple[str, ...]]]] = {
    "mlp": (DEEP_MLP, None, [(f"linear{n}", f"norm{n}", f"act{n}", f"drop{n}") for n in (1, 2, 3)]),
    "cnn": (DEEP_CNN, None, [(f"block{n}",) for n in (1, 2, 3)]),
    "lenet": ({**LENET, "activation": "tanh"}, None, [(f"block{n}",) for n in (1, 2, 3, 4)]),
    "residual": (CNN, SmallResidual, [("stem", "norm"), ("block1",), ("block2",), ("last",)]),
}
# options, and by hand: epoch, number of stages -> how many of them stand still
STRATEGIES: dict[str, tuple[dict[str, Any], Callable[[int, int], int]]] = {
    "none": ({"name": "none"}, lambda epoch, n: 0),
    "backbone": ({"name": "backbone"}, lambda epoch, n: n),
    "partial 1": ({"name": "partial", "stages": 1}, lambda epoch, n: n - 1),
    "partial 2": ({"name": "partial", "stages": 2}, lambda epoch, n: n - 2),
    "partial 3": ({"name": "partial", "stages": 3}, lambda epoch, n: n - 3),
    "gradual 1": ({"name": "gradual", "every": 1}, lambda epoch, n: max(0, n + 1 - epoch)),
    "gradual 2": ({"name": "gradual", "every": 2}, lambda epoch, n: max(0, n - (0, 0, 1, 1, 2)[epoch - 1])),
    "probe": ({"name": "linear_probe_then_finetune", "probe_epochs": 2}, lambda epoch, n: n if epoch < 3 else 0),
}
THERE_AND_BACK = [
    {"epoch": 1, "train": ["backbone.block3", "head"]},
    {"epoch": 3, "train": ["*"]},
    {"epoch": 4, "train": ["head.*"]},
    {"epoch": 5, "train": ["backbone", "head"]},
]


def learner_of(model: dict[str, Any], own: type[nn.Module] | None = None, **changes: Any) -> TorchLearner:
    return deep.make(config(model=model, **changes), SHAPE, CLASSES, own)


def made(network: str, options: dict[str, Any], **changes: Any) -> tuple[TorchLearner, list[tuple[str, ...]]]:
    model, own, parts = NETWORKS[network]
    return learner_of(model, own, **({"optim": MOMENTUM, "reg": DROPOUT, "freeze": options} | changes)), parts


def batch(learner: TorchLearner, step: int, count: int = 9) -> Batch:
    rng = np.random.default_rng(step)
    targets = rng.permutation(np.arange(count) % CLASSES)
    inputs = rng.normal(size=(count, *SHAPE)) + targets[:, None, None, None]
    return Batch(learner.array(inputs), learner.array(targets), step)


def train(learner: TorchLearner, epoch: int, lr: float = 0.05) -> None:
    learner.start_epoch(epoch)
    for step in range(BATCHES * (epoch - 1), BATCHES * epoch):
        learner.train_batch(batch(learner, step), lr)


def below(names: Any, modules: list[tuple[str, ...]]) -> set[str]:
    """Of some names, those under these modules of the backbone."""
    prefixes = tuple(f"backbone.{module}." for part in modules for module in part)
    return {name for name in names if name.startswith(prefixes)}


def moved(learner: TorchLearner, before: dict[str, np.ndarray]) -> set[str]:
    return {name for name, values in learner.weights().items() if values.tobytes() != before[name].tobytes()}


# what stands still


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("network", NETWORKS)
def test_in_every_epoch_what_is_frozen_equals_its_start_to_the_bit_and_all_else_moves(network, strategy):
    options, standing = STRATEGIES[strategy]
    learner, parts = made(network, options)
    for epoch in range(1, EPOCHS + 1):
        before = learner.weights()
        still = below(before, parts[: standing(epoch, len(parts))])
        train(learner, epoch)
        assert learner.frozen(epoch) == still
        assert moved(learner, before) == before.keys() - still, f"epoch {epoch}"
        trains = {name for name, (_, trains) in learner.parameters().items() if trains}
        assert trains == learner.parameters().keys() - still


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("network", NETWORKS)
def test_frozen_modules_are_in_evaluation_mode_in_training_and_gradients_and_no_other_is(network, strategy):
    options, standing = STRATEGIES[strategy]
    learner, parts = made(network, options)
    seen: dict[str, bool] = {}
    for name, module in learner.network.named_modules():
        if not any(True for _ in module.children()):
            module.register_forward_hook(lambda module, *_, name=name: seen.update({name: module.training}))
    for epoch in range(1, EPOCHS + 1):
        learner.start_epoch(epoch)
        still = parts[: standing(epoch, len(parts))]
        for look in (learner.gradients, lambda of: learner.train_batch(of, 0.01), learner.gradients):
            learner.eval_batch(batch(learner, 0))
            assert not any(seen.values())
            look(batch(learner, epoch))
            in_backbone = {
                name for name in seen if any(f"backbone.{m}" == name for part in parts for m in part)
            } | below(seen, parts)
            frozen = {name for name in in_backbone if f"{name}." in below({f"{name}."}, still)}
            assert {name for name in in_backbone if not seen[name]} == frozen
            assert all(seen[name] for name in seen if not name.startswith("backbone."))


# networks of torchvision's, and by hand the modules of each stage of their backbones
TORCHVISIONS = {
    "efficientnet_b0": [f"features.{number}" for number in range(9)],
    "shufflenet_v2_x1_0": ["conv1", "stage2", "stage3", "stage4", "conv5"],
}


@pytest.mark.parametrize(
    ("strategy", "epochs"), [("backbone", [1, 2]), ("partial 2", [1]), ("gradual 1", range(1, 11)), ("probe", [2, 3])]
)
@pytest.mark.parametrize("network", TORCHVISIONS)
def test_what_is_frozen_of_networks_of_torchvisions_equals_its_start_to_the_bit(network, strategy, epochs):
    options, standing = STRATEGIES[strategy]
    parts, model = TORCHVISIONS[network], {"name": network, "weights": "none"}
    settings = config(model=model, optim=MOMENTUM, reg=DROPOUT, freeze=options, precision="float32")
    learner = deep.make(settings, (3, 32, 32), 10)
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(4, 3, 32, 32)), np.arange(4)
    for epoch in epochs[: len(parts) + 1]:  # to where the last stage thaws
        before, count = learner.weights(), standing(epoch, len(parts))
        learner.start_epoch(epoch)
        learner.train_batch(Batch(learner.array(inputs), learner.array(targets), epoch), 0.01)
        still = {name for name in before if name.startswith(tuple(f"backbone.{part}." for part in parts[:count]))}
        assert learner.frozen(epoch) == still
        changed = moved(learner, before)
        assert not changed & still
        counters = {name for name in before if name.endswith("num_batches_tracked")}
        assert changed & counters == counters - still
        for part in [f"backbone.{part}." for part in parts[count:]] + ["head."]:
            assert any(name.startswith(part) and name.endswith("weight") for name in changed), part


def test_gradients_and_the_next_step_agree_while_some_is_frozen():
    learner, _ = made("residual", {"name": "partial", "stages": 1}, optim=PLAIN_SGD, reg={"dropout": 0.3})
    learner.start_epoch(1)
    gradients, before = learner.gradients(batch(learner, 3)), learner.weights()
    learner.train_batch(batch(learner, 3), 0.5)
    assert gradients.keys() == learner.parameters().keys() - learner.frozen(1)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(learner.weights()[name], before[name] - 0.5 * gradient, rtol=1e-12, atol=1e-14)


def test_a_frozen_backbone_gives_the_same_features_in_training_as_in_evaluation():
    learner, _ = made("residual", {"name": "backbone"})
    learner.start_epoch(1)
    given: list[torch.Tensor] = []
    learner.network.backbone.register_forward_hook(lambda module, inputs, output: given.append(output.detach().clone()))
    for step in range(4):
        learner.train_batch(batch(learner, step), 0.1)
    for step in range(4):
        learner.eval_batch(batch(learner, step))
    assert all(torch.equal(given[step], given[step + 4]) for step in range(4))


def test_a_user_lists_what_trains_and_it_may_freeze_again():
    learner, _ = made("cnn", {"name": "patterns", "train": THERE_AND_BACK})
    trained = [{"block3", "head"}, {"block3", "head"}, {"block1", "block2", "block3", "head"}, {"head"}]
    for epoch, expected in enumerate([*trained, trained[2]], start=1):
        before = learner.weights()
        train(learner, epoch)
        assert {name.removeprefix("backbone.").partition(".")[0] for name in moved(learner, before)} == expected


@pytest.mark.parametrize("optim", [MOMENTUM, ADAM, {**ADAM, "name": "adamw"}], ids=lambda optim: optim["name"])
def test_what_freezes_leaves_the_optimizer_with_its_state_and_begins_afresh_when_it_thaws(optim):
    learner, _ = made("cnn", {"name": "patterns", "train": THERE_AND_BACK}, optim=optim)
    for epoch in (1, 2, 3, 4):
        train(learner, epoch)
    assert {name.partition(".")[0] for name in learner.optimizer.slots} == {"head"}
    fresh, _ = made("cnn", {"name": "none"}, optim=optim)
    fresh.load({key: value for key, value in learner.state().items() if not key.startswith("optim/backbone")})
    train(learner, 5)
    train(fresh, 5)
    assert {key: value.tobytes() for key, value in learner.state().items()} == {
        key: value.tobytes() for key, value in fresh.state().items()
    }


def test_the_norm_that_is_clipped_is_that_of_what_moves():
    whole, _ = made("cnn", {"name": "none"}, optim=PLAIN_SGD, reg={"clip_norm": 0.01})
    learner, _ = made("cnn", {"name": "backbone"}, optim=PLAIN_SGD, reg={"clip_norm": 0.01})
    for each in (whole, learner):
        each.start_epoch(1)
        before = each.weights()
        each.train_batch(batch(each, 0), 0.5)
        steps = [each.weights()[name] - before[name] for name in each.parameters()]
        length = np.sqrt(sum((step**2).sum() for step in steps))
        assert length == pytest.approx(0.5 * 0.01, rel=1e-4)  # torch divides by the norm + 1e-6


def test_l1_pulls_at_what_trains_alone():
    learner, _ = made("cnn", {"name": "backbone"}, optim=PLAIN_SGD, reg={"l1": 0.3})
    learner.start_epoch(1)
    gradients, before = learner.gradients(batch(learner, 0)), learner.weights()
    learner.train_batch(batch(learner, 0), 0.1)
    weight = before["head.weight"]
    step = 0.1 * (gradients["head.weight"] + 0.3 * np.sign(weight))
    np.testing.assert_allclose(learner.weights()["head.weight"], weight - step, rtol=1e-12, atol=1e-14)
    assert moved(learner, before) == {"head.weight", "head.bias"}


# how fast it moves


@pytest.mark.parametrize("options", [{"name": "none"}, {"name": "partial", "stages": 2}], ids=lambda o: o["name"])
@pytest.mark.parametrize(("network", "parts"), [(name, parts) for name, (_, _, parts) in NETWORKS.items()])
def test_a_step_moves_each_stage_at_its_own_rate(network, parts, options):
    factors = {"head_factor": 4.0, "stage_factor": 0.5}
    learner, _ = made(network, options | factors, optim=PLAIN_SGD, reg={})
    learner.start_epoch(1)
    gradients, before = learner.gradients(batch(learner, 0)), learner.weights()
    learner.train_batch(batch(learner, 0), 0.1)
    for name, gradient in gradients.items():
        factor = 4.0
        for depth, part in enumerate(reversed(parts)):
            factor = 0.5**depth if below({name}, [part]) else factor
        step = before[name] - learner.weights()[name]
        np.testing.assert_allclose(step, 0.1 * factor * gradient, rtol=1e-9, atol=1e-14, err_msg=name)


def test_a_step_is_one_call_for_all_parameters_of_one_rate(monkeypatch):
    calls: list[tuple[float, int]] = []
    update = SGD.update

    def counted(self: Optimizer, parameters: Any, slots: Any, weight_decay: float, lr: float) -> None:
        calls.append((lr, len(parameters)))
        update(self, parameters, slots, weight_decay, lr)

    monkeypatch.setattr(SGD, "update", counted)
    learner, _ = made("cnn", {"name": "none"}, reg={})
    learner.train_batch(batch(learner, 0), 0.1)
    assert calls == [(0.1, len(learner.parameters()))]
    calls.clear()
    learner, _ = made("cnn", {"name": "partial", "stages": 2, "head_factor": 10.0, "stage_factor": 0.5}, reg={})
    learner.train_batch(batch(learner, 0), 0.1)
    assert sorted(calls) == [(0.05, 3), (0.1, 3), (1.0, 2)]
    assert learner.optimizer.fused


# a network of the user's


@pytest.fixture
def awkward() -> Callable[..., TorchLearner]:
    return lambda options: learner_of(CNN, Awkward, optim=MOMENTUM, freeze=options)


MAKER_FROZE = {"backbone.one.bias", *(f"backbone.fixed.0.{name}" for name in ("weight", "bias"))} | {
    f"backbone.fixed.1.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
}


def test_what_its_maker_froze_stands_still_with_its_running_means_where_all_else_trains(awkward):
    learner = awkward({"name": "none"})
    before = learner.weights()
    for epoch in (1, 2):
        train(learner, epoch)
    assert learner.frozen(1) == MAKER_FROZE
    assert moved(learner, before) == before.keys() - MAKER_FROZE


def test_a_layer_of_the_backbone_that_the_head_shares_stands_still_with_the_backbone(awkward):
    learner = awkward({"name": "backbone"})
    before = learner.weights()
    train(learner, 1)
    still = {name for name in before if name.startswith(("backbone.", "head.shared."))}
    assert learner.frozen(1) == still
    assert moved(learner, before) == before.keys() - still
    assert any(name.startswith("between.") for name in before.keys() - still), "it belongs to the head"


def test_batch_norm_without_a_scale_goes_with_the_layer_in_front_of_it(awkward):
    learner = awkward({"name": "patterns", "train": [{"epoch": 1, "train": ["backbone.two", "head.out"]}]})
    before = learner.weights()
    train(learner, 1)
    expected = {"backbone.two.weight", "head.out.weight", "head.out.bias"}
    expected |= {name for name in before if name.startswith(("backbone.two_norm.", "between."))}
    assert moved(learner, before) == before.keys() - learner.frozen(1) == expected
    assert learner.network.backbone.two_drop.training
    assert not learner.network.backbone.inputs.training


@pytest.mark.parametrize("pattern", ["backbone.shared.*", "head.shared", "head.shared.weight"])
def test_a_parameter_may_be_listed_by_each_of_its_names(awkward, pattern):
    learner = awkward({"name": "patterns", "train": [{"epoch": 1, "train": [pattern]}]})
    before = learner.weights()
    train(learner, 1)
    assert {"head.shared.weight", "backbone.shared.weight"} <= moved(learner, before)
    assert learner.frozen(1) >= {"head.out.weight", "backbone.one.weight"}


def test_a_network_without_a_backbone_is_frozen_by_names():
    learner = learner_of(
        CNN, Odd, freeze={"name": "patterns", "train": [{"epoch": 1, "train": ["prototypes", "gain"]}]}
    )
    before = learner.weights()
    train(learner, 1)
    assert moved(learner, before) == {"prototypes", "gain.value"}


# what is refused


def parted(backbone: nn.Module | None = None, head: nn.Module | None = None) -> nn.Module:
    network = nn.Module()
    network.backbone = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)) if backbone is None else backbone
    network.head = nn.Linear(3, 2) if head is None else head
    return network


def listed(*entries: Any) -> dict[str, Any]:
    return {"name": "patterns", "train": list(entries)}


ALONE = {"epoch": 1, "train": ["head"]}
REFUSED: dict[str, tuple[dict[str, Any], nn.Module, tuple[str, ...]]] = {
    "no backbone": ({"name": "gradual", "every": 2}, nn.Linear(2, 2), ("freeze=gradual", "Linear", "freeze=patterns")),
    "no backbone for a factor": ({"name": "none", "head_factor": 2.0}, nn.Linear(2, 2), ("freeze.head_factor",)),
    "no backbone for stages' factors": (listed(ALONE) | {"stage_factor": 0.5}, nn.Linear(2, 2), ("stage_factor",)),
    "a backbone without weights": ({"name": "backbone"}, parted(nn.ReLU()), ("freeze=backbone", "freeze=none")),
    "too many stages": ({"name": "partial", "stages": 3}, parted(), ("freeze.stages=3", "2 stages", "at most 2")),
    "no mapping": (listed("head"), parted(), ("freeze.train[0]", "{epoch: 1, train: [head]}")),
    "a key too many": (listed(ALONE | {"lr": 1}), parted(), ("freeze.train[0]", "epoch and its patterns")),
    "an epoch too early": (listed({"epoch": 0, "train": ["head"]}), parted(), ("freeze.train[0].epoch=0",)),
    "an epoch that is none": (listed({"epoch": True, "train": ["head"]}), parted(), (".epoch=True", "whole number")),
    "an epoch twice": (listed(ALONE, ALONE), parted(), ("freeze.train[1].epoch=1", "once")),
    "no first epoch": (listed({"epoch": 2, "train": ["head"]}), parted(), ("epoch: 1",)),
    "a pattern that is no list": (listed({"epoch": 1, "train": "head"}), parted(), ("freeze.train[0].train=head",)),
    "no pattern": (listed({"epoch": 1, "train": []}), parted(), ("freeze.train[0].train=[]", "wildcards")),
    "a number": (listed({"epoch": 1, "train": [3]}), parted(), ("freeze.train[0].train=[3]",)),
    "a pattern that matches nothing": (
        listed(ALONE, {"epoch": 2, "train": ["head", "hed*"]}),
        parted(),
        ("freeze.train[1]", "matches hed*", "backbone.0.weight", "head.bias"),
    ),
    "what its maker froze": (
        listed(ALONE),
        parted(head=nn.Linear(3, 2).requires_grad_(False)),
        ("its maker froze it",),
    ),
    "a head that its maker froze": (
        {"name": "backbone"},
        parted(head=nn.Linear(3, 2).requires_grad_(False)),
        ("freeze=backbone", "nothing to train", "of the head"),
    ),
    "nothing that trains": ({"name": "none"}, parted().requires_grad_(False), ("freeze=none", "nothing to train")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_strategy_that_cannot_be_is_refused_with_the_way_out(case):
    options, network, words = REFUSED[case]
    with pytest.raises(RequestError) as refused:
        freeze.make(options, network, stages(network))
    assert all(word in str(refused.value) for word in words), str(refused.value)
    assert len(str(refused.value).splitlines()) <= 3


def test_the_head_alone_that_is_all_shared_with_the_backbone_is_refused():
    network = parted()
    network.head = network.backbone[1]
    with pytest.raises(RequestError, match="shared with what is frozen"):
        freeze.make({"name": "backbone"}, network, stages(network))
