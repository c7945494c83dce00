"""A student's own optimizer: a torch.optim.Optimizer, and a YAML that names it."""

from __future__ import annotations

import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from labrunner.deep.own_optimizer import UsersOwn
from labrunner.errors import RequestError, RunError
from labrunner.records import load_run
from labrunner.reg import Reg
from tests.cli.cuts import interrupt_at
from tests.cli.lab import assert_same_run
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

MODULE = '''
import numpy as np
import torch


class Plain(torch.optim.Optimizer):
    """v <- momentum v + g + decay w; w <- w - lr v, as torch's SGD; never asks whether there is a gradient."""

    def __init__(self, params, lr, momentum=0.9, weight_decay=0.5):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["v"] = torch.zeros_like(p)
                state["v"].mul_(group["momentum"]).add_(p.grad + group["weight_decay"] * p)
                p -= group["lr"] * state["v"]


class Rich(torch.optim.Optimizer):
    """Keeps whatever can be kept, and steps by all of it."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr, "count": 0, "scale": 1.0})

    def step(self):
        for group in self.param_groups:
            group["count"] += 1
            group["scale"] *= 0.99
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state.update(t=0, decayed=1.0, flag=False, nothing=None, total=torch.zeros((), dtype=torch.float64))
                    state.update(half=torch.zeros_like(p, dtype=torch.bfloat16), rows=torch.zeros(len(p)))
                state["t"] += 1
                state["decayed"] *= 0.97
                state["flag"] = not state["flag"]
                state["total"] += p.grad.double().square().sum()
                state["half"].add_(p.grad)
                state["rows"] += p.grad.reshape(len(p), -1).sum(dim=1)
                rows = state["rows"].reshape(-1, *[1] * (p.dim() - 1))
                push = p.grad + 0.1 * state["half"].float() + 0.01 * rows
                size = group["scale"] * state["decayed"] / (1 + state["total"].sqrt().item())
                p -= group["lr"] * size * push / (state["t"] + group["count"] + state["flag"])


class Forgetful(Plain):
    _t = 0

    def step(self):
        self._t += 1
        super().step()


class Aside(Plain):
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.buffers = {}

    def step(self):
        for p in self.param_groups[0]["params"]:
            self.buffers[p] = self.buffers.get(p, 0.0) + p.grad
        super().step()


class InPlace(Plain):
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.slow = [torch.zeros_like(p) for p in self.param_groups[0]["params"]]

    def step(self):
        super().step()
        for slow, p in zip(self.slow, self.param_groups[0]["params"]):
            slow.data.add_(p, alpha=0.5)


class InClass(Plain):
    seen = []

    def step(self):
        super().step()
        self.seen.append(1)


class Drawing(Plain):
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.rng = np.random.default_rng(0)

    def step(self):
        super().step()
        self.rng.random()


class Around(Plain):
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.base = torch.optim.SGD(self.param_groups, lr=lr, momentum=0.9)

    def step(self):
        self.base.step()


class Late(Plain):
    def step(self):
        super().step()
        state = self.state[self.param_groups[0]["params"][0]]
        state["t"] = state.get("t", 0) + 1
        if state["t"] == 2:
            self.second = True


class Lawful(Plain):
    """Holds what no step changes, and names for what a checkpoint keeps."""

    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.weights = [p for group in self.param_groups for p in group["params"]]
        self.mine, self.groups, self.itself = self.state, self.param_groups, self
        self.scales = {"a": torch.arange(3), "b": [1, 2.0, None]}
        self.rule = lambda x: x

    def step(self):
        super().step()
        self.scales = {"a": torch.arange(3), "b": [1, 2.0, None]}


class Boxed(Plain):
    def step(self):
        super().step()
        for p in self.param_groups[0]["params"]:
            self.state[p]["box"] = [1]


class NoLr(torch.optim.Optimizer):
    def __init__(self, params, lr):
        self.lr = lr
        super().__init__(params, {})


class Still(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})


class NoDecay(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self):
        raise ZeroDivisionError("a step")


class Others(Plain):
    def __init__(self, params, lr):
        super().__init__([{"params": p} for group in params for p in group["params"]], lr)


def something(params, lr):
    return 3
'''
SMALL = ("dataset=fake", "dataset.samples=120", "batch_size=16", "epochs=3", "figures=none")


@pytest.fixture
def own(lab):
    lab.write("my_optim.py", MODULE)
    for name in ("Plain", "Rich", "Forgetful", "Aside", "Boxed", "NoLr", "NoDecay", "Others", "something"):
        lab.write(f"conf/optim/{name.lower()}.yaml", f"# Mine.\n_target_: my_optim.{name}\nlr: 0.05\n")
    return lab


@pytest.mark.parametrize(
    "more",
    [
        ("reg.weight_decay=0.01", "schedule=cosine"),
        ("reg.l1=0.001", "reg.clip_norm=0.5", "freeze.head_factor=3"),
        ("freeze=gradual", "freeze.every=1", "model.hidden=[6,5]"),
    ],
    ids=" ".join,
)
def test_it_gets_rates_decay_clipping_and_frozen_parameters_as_a_shipped_one_does(own, more):
    keys = (*SMALL, "precision=float64", "model.hidden=[6]", *more)
    theirs = load_run(own.train("theirs", "optim=sgd", "optim.momentum=0.9", "optim.lr=0.05", *keys))
    mine = load_run(own.train("mine", "optim=plain", *keys))
    for column in ("lr", "train_loss", "val_loss"):
        np.testing.assert_allclose(mine.rows[column], theirs.rows[column], rtol=1e-9)
    assert mine.facts["frozen_changed"] == 0
    assert mine.config["optim"] == {"_target_": "my_optim.Plain", "lr": 0.05}


def test_its_own_default_of_weight_decay_counts_for_nothing_beside_reg(own):
    strong = load_run(own.train("strong", "optim=plain", *SMALL, "reg.weight_decay=0.5"))
    none = load_run(own.train("none", "optim=plain", *SMALL))
    assert strong.rows["train_loss"].iloc[-1] > 100 * none.rows["train_loss"].iloc[-1]


@pytest.mark.parametrize(
    "model", [("mlp", "model.hidden=[6]"), ("cnn", "model.channels=[3]")], ids=lambda each: each[0]
)
def test_whatever_it_keeps_a_cut_run_goes_on_to_the_same_bytes(own, monkeypatch, model):
    from labrunner.deep import TorchLearner

    overrides = ("optim=rich", f"model={model[0]}", model[1], *SMALL)
    whole = own.train("whole", *overrides)
    with monkeypatch.context() as patch:
        interrupt_at(patch, TorchLearner, "train_batch", 6, signal.SIGINT)
        assert own("hydra.run.dir=cut", *overrides).code == 130
    ended = own("resume", "cut")
    assert ended.code == 0, ended.err
    assert_same_run(whole, own.folder / "cut")


def test_an_optimizer_that_was_edited_since_the_run_began_is_said_aloud(own):
    own.train("run", "optim=plain", *SMALL)
    source = own.folder / "my_optim.py"
    source.write_text(source.read_text() + "\n")
    ended = own("resume", "run", "epochs=4")
    assert "warning: the run began with my_optim.py sha256:" in ended.err


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["optim=nodecay", "reg.weight_decay=0.1"], "reg.weight_decay=0.1: my_optim.NoDecay has no weight_decay"),
        (["optim=nolr"], "my_optim.NoLr has no lr among its defaults"),
        (["optim=others"], "has other parameters, or groups, than it was given"),
        (["optim=something"], "gives a int, which is no torch.optim.Optimizer"),
        (["optim=plain", "model=mlp_numpy"], "model=mlp_numpy computes in NumPy; try model=mlp, or optim=sgd"),
        (["optim=plain", "model=perceptron"], "model=perceptron computes in NumPy; try model=softmax, or optim=sgd"),
        (["optim=plain", "optim.lr=0"], "optim.lr=0: it takes a number above 0"),
        (["optim=plain", "optim.mometum=1"], "there is no key optim.mometum"),
        (["optim=extra"], "my_optim.Plain cannot be made: TypeError"),
        (["optim=still"], "my_optim.Still has no step(), which moves the weights"),
        (["optim=bare"], "has a _target_ and no lr"),
        (["optim=decaying"], "weight decay is reg.weight_decay"),
        (["optim=lbfgs"], "torch.optim.LBFGS.step needs closure"),
        (["optim=missing"], "optim._target_: my_optim has no Plane; did you mean my_optim.Plain?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_that_cannot_do_what_is_asked_is_refused_before_anything_is_written(own, overrides, said):
    own.write("conf/optim/extra.yaml", "_target_: my_optim.Plain\nlr: 0.1\nbeta: 3\n")
    own.write("conf/optim/still.yaml", "_target_: my_optim.Still\nlr: 0.1\n")
    own.write("conf/optim/bare.yaml", "_target_: my_optim.Plain\n")
    own.write("conf/optim/decaying.yaml", "_target_: my_optim.Plain\nlr: 0.1\nweight_decay: 0.1\n")
    own.write("conf/optim/lbfgs.yaml", "_target_: torch.optim.LBFGS\nlr: 0.1\n")
    own.write("conf/optim/missing.yaml", "_target_: my_optim.Plane\nlr: 0.1\n")
    refused = own(*overrides)
    assert refused.code == 2, refused
    assert said in refused.err
    assert len(refused.err.splitlines()) <= 3
    assert not (own.folder / "outputs").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("forgetful", "changes self._t in a step, which no checkpoint keeps"),
        ("aside", "changes self.buffers in a step, which no checkpoint keeps"),
        ("boxed", "keeps 'box' of type list from step to step"),
        ("nodecay", "ZeroDivisionError: a step"),
    ],
)
def test_one_that_no_checkpoint_could_hold_or_that_fails_ends_the_run_with_what_to_do(own, name, said):
    ended = own("hydra.run.dir=run", f"optim={name}", *SMALL)
    assert ended.code == 1
    assert said in ended.err
    assert load_run(own.folder / "run").status == "failed"


@pytest.fixture
def classes():
    made: dict = {"__name__": "my_optim"}
    exec(MODULE, made)
    return made


def stepped(target, monkeypatch, classes, steps=4, **settings):
    monkeypatch.setitem(sys.modules, "my_optim", SimpleNamespace(**classes))
    weights = {"w": nn.Parameter(torch.ones(2, 3)), "b": nn.Parameter(torch.ones(()))}
    optimizer = UsersOwn(weights, target, 0.1, settings)
    for _ in range(steps):
        for weight in weights.values():
            weight.grad = torch.ones_like(weight)
        optimizer.step(0.1)


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("Aside", "buffers"),
        ("InPlace", "slow"),
        ("InClass", "seen"),
        ("Drawing", "rng"),
        ("Around", "base"),
        ("Late", "second"),
    ],
)
def test_state_of_any_kind_in_an_attribute_is_found(monkeypatch, classes, name, attribute):
    with pytest.raises(RunError, match=rf"my_optim.{name} changes self\.{attribute} in a step"):
        stepped(f"my_optim.{name}", monkeypatch, classes)


def test_attributes_that_no_step_changes_or_that_name_what_is_kept_are_its_own_affair(monkeypatch, classes):
    stepped("my_optim.Lawful", monkeypatch, classes)


@pytest.mark.parametrize("name", ["Adadelta", "Adagrad", "AdamW", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"])
def test_torchs_own_keep_nothing_beside_their_state(monkeypatch, classes, name):
    stepped(f"torch.optim.{name}", monkeypatch, classes)


def test_torchs_further_optimizers_are_taken_by_name(own):
    own.write("conf/optim/nadam.yaml", "_target_: torch.optim.NAdam\nlr: 0.01\n")
    assert load_run(own.train("run", "optim=nadam", *SMALL)).test["accuracy"] > 0.5


def of(parameters, target="torch.optim.SGD", **given):
    return UsersOwn(parameters, target, 0.1, {"momentum": 0.9}, **given)


def test_what_is_left_out_stands_still_and_begins_afresh():
    one, other = (nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer = of({"one": one, "other": other})
    for parameter in (one, other):
        parameter.grad = torch.ones(3)
    optimizer.step(0.1)
    assert set(optimizer.kept()) == {"one", "other"}
    optimizer.leave_out(["other"])
    before = other.detach().clone()
    optimizer.step(0.1)
    assert torch.equal(other, before)
    assert set(optimizer.kept()) == {"one"}


def test_a_slot_that_no_optimizer_writes_is_refused_by_name_and_changes_nothing():
    parameter = nn.Parameter(torch.ones(3))
    optimizer = of({"w": parameter})
    parameter.grad = torch.ones(3)
    optimizer.step(0.1)
    before = {slot: value.clone() for slot, value in optimizer.kept()["w"].items()}
    for slot, values in (("x:code", np.zeros(())), ("x:int", np.zeros(2)), ("x:int", np.zeros(()))):
        with pytest.raises(ValueError, match=f"w/{slot}"):
            optimizer.restored({"w": {slot: values}})
    assert all(torch.equal(optimizer.kept()["w"][slot], value) for slot, value in before.items())


def test_decay_is_for_weights_alone_and_a_class_without_it_is_refused():
    weight, bias = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = of({"weight": weight, "bias": bias}, reg=Reg(0.5, ["weight"]))
    for parameter in (weight, bias):
        parameter.grad = torch.zeros(2)
    optimizer.step(0.1)
    torch.testing.assert_close(weight.detach(), torch.full((2,), 1 - 0.1 * 0.5))
    assert torch.equal(bias, torch.ones(2))
    with pytest.raises(RequestError, match="no weight_decay among its defaults"):
        UsersOwn({"weight": weight}, "torch.optim.Rprop", 0.1, {}, reg=Reg(0.5, ["weight"]))


def test_a_key_of_its_state_that_is_no_plain_name_is_refused():
    parameter = nn.Parameter(torch.ones(3))
    optimizer = of({"w": parameter})
    for key in (3, "a/b", "a:int", "group.x"):
        optimizer._own.state[parameter] = {key: torch.ones(3)}
        with pytest.raises(RunError, match="give it a plain name"):
            optimizer.kept()
