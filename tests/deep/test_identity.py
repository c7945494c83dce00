"""What computes the same is known by the same name in any process, and what computes otherwise by another one."""

from __future__ import annotations

import importlib
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from labrunner.deep.identity import identity


class Block(nn.Module):
    """With what users keep in modules: numbers, functions, collections, arrays."""

    def __init__(self, **given):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.scale, self.act, self.sizes = 1.0, torch.relu, {"a": [1, 2], "b": {3, 1}}
        self.table, self.mean = np.arange(3), torch.ones(3)
        self.register_buffer("quiet", torch.zeros(2), persistent=False)
        for name, value in given.items():
            setattr(self, name, value)


class Other(Block):
    pass


def moved(name, by):
    block = Block()
    with torch.no_grad():
        dict([*block.named_parameters(), *block.named_buffers()])[name].reshape(-1)[0].add_(by)
    return block


def with_hook():
    block = Block()
    block.conv.register_forward_hook(lambda module, inputs, output: output * 2.0)
    return block


def test_equal_modules_have_equal_names():
    assert identity(Block()) == identity(Block())
    assert identity(Block().eval()) == identity(Block().train())
    assert identity(Block().requires_grad_(False)) == identity(Block())


def test_dropout_does_nothing_in_evaluation_and_counts_for_nothing():
    layers = [nn.Linear(2, 2), nn.ReLU()]
    names = ("linear", "act")
    bare, dropping = nn.Sequential(), nn.Sequential()
    for name, layer in zip(names, layers, strict=True):
        bare.add_module(name, layer)
        dropping.add_module(name, layer)
        dropping.add_module(f"drop_{name}", nn.Dropout(0.3))
    assert identity(bare) == identity(dropping)


@pytest.mark.parametrize(
    "other",
    [
        lambda: moved("conv.weight", 1e-7),
        lambda: moved("norm.running_mean", 1e-7),
        lambda: moved("norm.num_batches_tracked", 1),
        lambda: moved("quiet", 1e-7),
        lambda: Block().double(),
        lambda: Block(scale=2.0),
        lambda: Block(act=torch.tanh),
        lambda: Block(act=partial(torch.clamp, min=0.0)),
        lambda: Block(sizes={"a": [1, 2], "b": {3, 2}}),
        lambda: Block(table=np.arange(4)),
        lambda: Block(mean=torch.zeros(3)),
        lambda: Block(extra=nn.Linear(2, 2)),
        lambda: Block(hidden=[nn.Linear(2, 2)]),
        lambda: Block(conv=nn.Conv2d(3, 4, 3, stride=2)),
        lambda: Block(norm=nn.BatchNorm2d(4, eps=1e-3)),
        lambda: nn.Sequential(Block()),
        Other,
        with_hook,
    ],
)
def test_whatever_changes_what_is_computed_changes_the_name(other):
    assert identity(other()) != identity(Block())


def test_the_order_of_layers_counts():
    assert identity(nn.Sequential(nn.ReLU(), nn.Tanh())) != identity(nn.Sequential(nn.Tanh(), nn.ReLU()))


def test_another_process_comes_to_the_same_name_and_an_edited_file_to_another(tmp_path, monkeypatch, as_it_was):
    text = "from torch import nn\nclass Own(nn.Module):\n    def forward(self, x):\n        return x.relu()\n"
    code = "import own, labrunner.deep.identity as i; print(i.identity(own.Own()))"

    def name_in_a_process():
        command = [sys.executable, "-B", "-c", code]
        environment = {"PYTHONPATH": str(tmp_path), "PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=True)
        return done.stdout.strip()

    def name_here():
        sys.modules.pop("own", None)
        return identity(importlib.import_module("own").Own())

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "own.py").write_text(text)
    first, again = name_in_a_process(), name_here()
    (tmp_path / "own.py").write_text(text.replace("relu", "tanh"))
    assert first == again != name_here()
