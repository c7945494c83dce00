"""Stages: which modules they are, and that every tensor is in one."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from labrunner.deep.networks import Network, cnn, mlp
from labrunner.deep.stages import ENOUGH, stages


class Bare(nn.Module):
    """A backbone with a parameter of its own, a ModuleList, and a norm behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.stem = nn.Linear(2, 2)
        self.pool = nn.Identity()
        self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))])
        self.norm = nn.BatchNorm1d(2)


def held(network: nn.Module, least: int = 1) -> dict[str, int]:
    """Stage -> how many tensors it has, once it is clear that each tensor is in one."""
    found = stages(network, least)
    assert sorted(name for names in found.values() for name in names) == sorted(network.state_dict())
    return {stage: len(names) for stage, names in found.items()}


def test_blocks_of_a_cnn_and_layers_of_an_mlp_are_stages_with_their_norms():
    small = cnn((1, 8, 8), 3, [2, 4], 3, "max", True, "relu", 0.1)
    assert held(small) == {"backbone.block1": 6, "backbone.block2": 6, "head": 2}
    deep = mlp((4,), 3, [5, 6], "relu", True, 0.0)
    assert held(deep) == {"backbone.linear1": 6, "backbone.linear2": 6, "head": 2}


def test_the_modules_of_a_list_are_stages_each_and_the_list_is_none():
    assert held(Network(Bare(), nn.Linear(2, 3))) == {
        "backbone.stem": 3,
        "backbone.blocks.0": 2,
        "backbone.blocks.2": 9,
        "head": 2,
    }


def test_containers_are_opened_until_there_are_enough_stages():
    inner = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    network = Network(nn.Sequential(OrderedDict(features=inner, last=nn.Linear(2, 2))), nn.Linear(2, 3))
    assert list(held(network)) == ["backbone.features", "backbone.last", "head"]
    opened = ["backbone.features.0", "backbone.features.1", "backbone.features.2", "backbone.last", "head"]
    assert list(held(network, ENOUGH)) == opened


def test_a_network_without_parts_is_one_stage():
    assert held(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))) == {"model": 4}


def test_a_backbone_without_tensors_leaves_the_head_alone():
    assert held(Network(nn.Flatten(), nn.Linear(4, 2))) == {"head": 2}
