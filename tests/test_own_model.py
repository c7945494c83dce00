"""A student's own model: one Python file and one YAML in a folder of their own, and nothing edited in labrunner."""

from __future__ import annotations

import json
import re
import signal

import pytest
import yaml

from labrunner.records import load_run
from tests.cli.cuts import interrupt_at
from tests.cli.lab import assert_same_run, ended, rows_of, wait_until
from tests.lines import cases
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

MODELS = '''
import torch
from torch import nn


class TinyNet(nn.Module):
    def __init__(self, input_shape, num_classes, width=8, drop=0.0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(torch.Size(input_shape).numel(), width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(drop),
        )
        self.out = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.out(self.layers(x))


def by_hand(input_shape, num_classes, sizes, deep):
    """A function will do; lists and sections of the YAML arrive as lists and dicts."""
    assert type(sizes) is list and type(deep) is dict and type(deep["keep"]) is bool
    features, width = torch.Size(input_shape).numel(), sizes[0]
    return nn.Sequential(nn.Flatten(), nn.Linear(features, width), nn.Linear(width, num_classes))
'''
BROKEN = """
from torch import nn


class Net(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.layer = nn.LazyLinear(num_classes)

    def forward(self, x):
        if len(x) == 8:
            raise ZeroDivisionError("eight")
        return self.layer(x.flatten(1))
"""
WRONG = """
import numpy as np
import torch
from torch import nn


class Plain(nn.Module):
    def __init__(self, input_shape, num_classes, width: int = 8, name="x", rates=(1, 2)):
        super().__init__()
        first = nn.Linear(int(np.prod(input_shape)), width)
        self.net = nn.Sequential(nn.Flatten(), first, nn.Linear(width, num_classes))

    def forward(self, x):
        return self.net(x)


class Constructor(Plain):
    def __init__(self, input_shape, num_classes, width=8):
        super().__init__(input_shape, num_classes, width)
        {}["nothing"]


class Forward(Plain):
    def forward(self, x):
        return self.half(x)

    def half(self, x):
        return self.net(x[:, :, ::2])


class Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise ValueError("no such gradient")


class Backward(Plain):
    def forward(self, x):
        return Gradient.apply(self.net(x))


class Training(Plain):
    def forward(self, x):
        return self.net(x)[0 if self.training else slice(None)]


class Detached(Plain):
    def forward(self, x):
        return self.net(x).detach()


class Frozen(Plain):
    def __init__(self, input_shape, num_classes, width=8):
        super().__init__(input_shape, num_classes, width)
        self.requires_grad_(False)


class Blank(Plain):
    def __init__(self, input_shape, num_classes, width=8):
        super().__init__(input_shape, num_classes, width)
        nn.init.constant_(self.net[2].bias, float("nan"))


class Infinite(Plain):
    def forward(self, x):
        return self.net(x) * float("inf")


class Softmax(Plain):
    def forward(self, x):
        return self.net(x).softmax(dim=1)


class LogSoftmax(Plain):
    def forward(self, x):
        return self.net(x).log_softmax(dim=1)
"""
LOUD = """

class Loud(TinyNet):
    def __init__(self, **given):
        super().__init__(**given)
        print("built")
        torch.rand(99)
"""
TINY_YAML = """# My first network.
_target_: my_models.TinyNet  # my_lab/my_models.py
width: 8  # how wide it is
drop: 0.0  # share of units left out
"""
SMALL = ("dataset=fake", "dataset.samples=120", "batch_size=16", "epochs=3", "figures=none")


@pytest.fixture
def own(lab):
    lab.write("my_models.py", MODELS)
    lab.write("conf/model/tiny.yaml", TINY_YAML)
    lab.write("conf/model/hand.yaml", "_target_: my_models.by_hand\nsizes: [4, 5]\ndeep:\n  keep: true\n  rate: 1\n")
    return lab


def test_it_trains_and_is_recorded_like_any_other(own):
    folder = own.train("run", "model=tiny", *SMALL)
    run = load_run(folder)
    assert run.status == "done"
    assert run.config["model"] == {"_target_": "my_models.TinyNet", "width": 8, "drop": 0.0}
    assert run.overrides["choices"]["model"] == "tiny"
    inputs = 3 * 16 * 16
    assert run.facts["parameters"] == (inputs * 8 + 8) + 2 * 8 + (8 * 4 + 4)
    assert f"{int(run.facts['parameters']):,} parameters" in run.summary
    assert run.test["accuracy"] > 0.5


def test_what_is_printed_names_it(own):
    assert own("hydra.run.dir=run", "model=tiny", *SMALL).out.startswith("tiny on fake: ")
    said = own("summary", "model=tiny").out
    assert said.startswith("tiny for digits: 1 x 8 x 8 inputs, 10 classes")
    assert "BatchNorm1d" in said


def test_it_is_in_help_with_its_description(own):
    page = own("--help").out
    assert "tiny" in page
    assert "My first network. (yours)" in page


def test_its_keys_can_be_overridden_and_new_ones_cannot_be_made_up(own):
    config = yaml.safe_load(own("--cfg", "job", "model=tiny", "model.width=16").out)
    assert config["model"]["width"] == 16
    refused = own("model=tiny", "model.widht=16")
    assert refused.code == 2
    assert "did you mean model.width?" in refused.err


def test_lists_and_sections_arrive_as_plain_lists_and_dicts(own):
    folder = own.train("run", "model=hand", "model.deep.rate=2", "model.sizes=[6]", *SMALL)
    assert load_run(folder).config["model"]["deep"] == {"keep": True, "rate": 2}
    assert load_run(folder).config["model"]["sizes"] == [6]


def test_its_saved_config_resumes_to_the_same_bytes(own, monkeypatch):
    from labrunner.deep import TorchLearner

    overrides = ("model=tiny", "model.drop=0.3", *SMALL)
    whole = own.train("whole", *overrides)
    with monkeypatch.context() as patch:
        interrupt_at(patch, TorchLearner, "train_batch", 6, signal.SIGINT)
        assert own("hydra.run.dir=cut", *overrides).code == 130
    ended = own("resume", "cut")
    assert ended.code == 0, ended.err
    assert_same_run(whole, own.folder / "cut")


def test_its_starting_weights_belong_to_the_seed(own):
    one, again, other = (
        json.loads((own.train(name, "model=tiny", *SMALL, seed) / "initial.json").read_text())
        for name, seed in (("one", "seed=1"), ("again", "seed=1"), ("other", "seed=2"))
    )
    assert one == again
    assert one["out.weight"] != other["out.weight"]


def test_an_init_that_is_asked_for_reaches_it(own):
    from labrunner import checkpoint, initial

    folder = own.train("run", "model=tiny", "init=xavier", *SMALL)
    weights = initial.weight({"name": "xavier"}, 0, "out.weight", (4, 8)).astype("float32")
    assert json.loads((folder / "initial.json").read_text())["out.weight"] == checkpoint.tensor_hash(
        "out.weight", weights
    )


def test_a_failure_in_its_forward_during_training_names_the_log(own):
    own.write("broken.py", BROKEN)
    own.write("conf/model/broken.yaml", "_target_: broken.Net\n")
    # 72 of 120 samples train: the fifth batch is one of eight
    ended = own("hydra.run.dir=run", "model=broken", *SMALL)
    assert ended.code == 1
    said = "training, epoch 1, batch 5: broken.py:12 in forward: ZeroDivisionError: eight"
    assert ended.err == f"labrunner: error: {said}\n  the run failed; its traceback is in run/log.txt\n"
    assert "in training, epoch 1, batch 5" in (own.folder / "run" / "log.txt").read_text()
    assert load_run(own.folder / "run").error == said


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(WRONG.splitlines(), start=1) if text in line)


@pytest.fixture
def wrong(own):
    own.write("wrong.py", WRONG)
    names = re.findall(r"^class (\w+)\(Plain\)", WRONG, re.MULTILINE)
    for name in ["Plain", *names]:
        own.write(f"conf/model/my_{name.lower()}.yaml", f"_target_: wrong.{name}\nwidth: 8\n")
    return own


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("constructor", f"cannot be built: wrong.py:{line_of('nothing')} in __init__: KeyError: 'nothing'"),
        ("forward", f"wrong.py:{line_of('::2')} in half: RuntimeError: mat1 and mat2"),
        ("backward", f"first batch raises wrong.py:{line_of('such')} in backward: ValueError: no such gradient"),
        ("training", "cannot be trained: its first batch raises"),
        ("detached", "no parameter gets a gradient from its scores"),
        ("frozen", "no parameter gets a gradient from its scores, so nothing would learn: it sets requires_grad=False"),
        ("blank", "begins with net.2.bias that holds nan"),
    ],
)
def test_what_could_not_train_is_refused_with_its_line_and_leaves_no_folder(wrong, model, said):
    refused = wrong(f"model=my_{model}", *SMALL)
    assert refused.code == 2
    assert said in refused.err
    assert len(refused.err.splitlines()) <= 3
    assert not (wrong.folder / "outputs").exists()


def test_an_argument_of_another_kind_is_named_with_what_it_takes(wrong):
    refused = wrong("model=my_plain", "model.width=abc", *SMALL)
    assert refused.code == 2
    assert "model.width=abc is a text; it takes a whole number, as 8" in refused.err
    assert "num_classes=4, width=abc; LABRUNNER_DEBUG=1 shows the traceback" in refused.err
    assert "model.width" not in wrong("model=my_constructor", *SMALL).err  # of the kind it should be


def test_a_sweep_of_code_that_cannot_be_used_is_refused_once_and_leaves_no_folder(wrong):
    refused = wrong("-m", "model=my_detached", "seed=1,2", *SMALL)
    assert refused.code == 2
    assert refused.err.startswith("labrunner: error: run 0 (seed=1): Detached: no parameter gets a gradient")
    assert refused.err.count("no parameter") == 1
    refused = wrong("-m", "model=my_plain", "model.width=abc,x", *SMALL)
    assert refused.err.startswith("labrunner: error: run 0 (model.width=abc): Plain cannot be built")
    assert not (wrong.folder / "outputs").exists()


def test_one_value_that_cannot_be_used_keeps_no_other_run_from_being_made(wrong):
    ended = wrong("-m", "model=my_plain", "model.width=abc,8", "hydra.sweep.dir=sweep", "smoke=true", *SMALL)
    assert ended.code == 1
    assert "model.width=abc  FAILED: Plain cannot be built" in ended.err
    assert [load_run(wrong.folder / "sweep" / name).status for name in "01"] == ["failed", "done"]


def test_of_a_sweep_on_the_same_code_one_run_is_tried(wrong, monkeypatch):
    from labrunner import sweeping

    tried = []
    monkeypatch.setattr(sweeping, "prepare", lambda config, shared: tried.append(config["seed"]))
    wrong("-m", "model=my_plain", "seed=1,2", "optim.lr=0.1,0.2", "hydra.sweep.dir=sweep", "smoke=true", *SMALL)
    assert tried == [1]


def test_a_loss_that_never_was_a_number_is_not_blamed_on_the_learning_rate(wrong):
    ended = wrong("hydra.run.dir=run", "model=my_infinite", *SMALL)
    assert ended.code == 1
    assert "the training loss is nan at step 0 (epoch 1, lr 0.001), before any update" in ended.err
    assert "no learning rate mends that" in ended.err
    assert "optim.lr" not in ended.err
    found = wrong("doctor", "run").out
    assert "look at the inputs, the weights that it begins with, and its scores" in found
    assert "optim.lr" not in found


def test_a_softmax_in_front_of_the_loss_is_warned_of_and_a_log_softmax_is_not(wrong):
    said = "the scores of Softmax sum to 1 for every sample"
    warned = wrong("hydra.run.dir=run", "model=my_softmax", "smoke=true", *SMALL)
    assert warned.code == 0
    assert warned.err.count(said) == 1
    assert said in (wrong.folder / "run" / "log.txt").read_text()
    assert "sum to 1" not in wrong("hydra.run.dir=other", "model=my_logsoftmax", "smoke=true", *SMALL).err
    assert "sum to 1" not in wrong("hydra.run.dir=third", "model=my_plain", "smoke=true", *SMALL).err


def test_a_network_that_prints_and_draws_random_numbers_when_built_changes_nothing_else(own):
    own.write("loud.py", MODELS + LOUD)
    own.write("conf/model/loud.yaml", "_target_: loud.Loud\nwidth: 8\ndrop: 0.5\n")
    quiet = own.train("quiet", "model=tiny", "model.drop=0.5", *SMALL)
    loud = own.train("loud_run", "model=loud", *SMALL)
    assert (loud / "metrics.csv").read_bytes() == (quiet / "metrics.csv").read_bytes()


@pytest.mark.parametrize("name", ["random", "yaml", "torch"])
def test_a_file_of_the_name_of_another_module_is_told_from_it(own, name):
    own.write(f"{name}.py", MODELS)
    own.write("conf/model/taken.yaml", f"_target_: {name}.TinyNet\n")
    ended = own("model=taken", *SMALL)
    assert ended.code == 2
    assert f"{name}.py" in ended.err
    assert "name of its own" in ended.err


@pytest.mark.parametrize("figures", cases(["none", "few"], fast=1))
def test_files_named_like_modules_of_the_standard_library_do_not_disturb_the_command(fresh, tmp_path, figures):
    for name in ("random", "types", "copy", "torch", "yaml", "hydra", "numpy", "signal"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a file of the student')\n")
    said = ended(fresh("hydra.run.dir=run", "smoke=true", f"figures={figures}"))
    assert (said.code, said.err) == (0, "")


@pytest.mark.parametrize("first", cases(["fork", "fresh"], fast=1))
def test_it_runs_and_resumes_as_a_process_in_its_folder_and_is_refused_elsewhere(
    own, fresh, forks, tmp_path_factory, first
):
    overrides = ("model=tiny", "model.drop=0.2", *SMALL, "epochs=40")
    process = (fresh if first == "fresh" else forks)("hydra.run.dir=run", *overrides)
    wait_until(lambda: rows_of(own.folder / "run") >= 3, "3 rows")
    if first == "fresh":
        process.send_signal(signal.SIGTERM)
        assert ended(process).code == 143
    else:
        process.send(signal.SIGTERM)
        assert process.wait().code == 143
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    refused = forks("resume", str(own.folder / "run"), cwd=elsewhere).wait()
    assert refused.code == 2
    assert "my_models.TinyNet" in refused.err
    resumed = forks("resume", "run").wait()
    assert resumed.code == 0, resumed.err
    whole = forks("hydra.run.dir=whole", *overrides)
    assert whole.wait().code == 0
    assert_same_run(own.folder / "whole", own.folder / "run")


def test_its_keys_may_be_called_as_ours_and_hold_what_it_likes(lab):
    """Types and rules of shipped keys say nothing of a class of the user's own."""
    lab.write(
        "named.py",
        "from torch import nn\n\n\n"
        "def net(input_shape, num_classes, hidden, activation, channels, kernel, pooling):\n"
        "    assert (hidden, activation, channels, kernel, pooling) == (8, 'mish', 0, 'wide', None)\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n",
    )
    keys = "hidden: 8\nactivation: mish\nchannels: 0\nkernel: wide\npooling: null\n"
    lab.write("conf/model/named.yaml", f"_target_: named.net\n{keys}")
    ended = lab("model=named", "hydra.run.dir=run", "smoke=true", "figures=none")
    assert ended.code == 0, ended.err


def test_a_name_beside_its_target_is_refused(lab):
    lab.write("conf/model/both.yaml", "name: cnn\n_target_: named.net\n")
    ended = lab("model=both")
    assert ended.code == 2
    assert "name and a _target_" in ended.err


def test_a_config_of_ones_own_is_not_passed_over_without_a_word(lab):
    lab.write("conf/model/tiny.yaml", "_target_: named.net\n")
    lab.write("conf/config.yaml", "seed: 5\n")
    ended = lab("hydra.run.dir=run", "smoke=true", "figures=none")
    assert ended.code == 0
    assert "warning" in ended.err
    assert "config.yaml is not read" in ended.err
    assert load_run(lab.folder / "run").config["seed"] == 0


def test_a_model_that_was_edited_since_the_run_began_is_said_aloud(own):
    assert own("model=tiny", "hydra.run.dir=run", "epochs=1", "dataset=fake", "figures=none").code == 0
    assert own("resume", "run", "epochs=2").err == ""
    source = own.folder / "my_models.py"
    source.write_text(source.read_text().replace("nn.ReLU()", "nn.Tanh()"))
    ended = own("resume", "run", "epochs=3")
    assert ended.code == 0, ended.err
    assert "warning: the run began with my_models.py sha256:" in ended.err


WANTING = (
    MODELS
    + """

from labrunner.learner import Wants


class Wanting(TinyNet):
    wants = Wants(channels=3, size=12, mean=(0.5, 0.5, 0.5))
"""
)


def test_a_model_gets_the_images_that_it_wants(lab):
    lab.write("my_models.py", WANTING)
    lab.write("conf/model/wanting.yaml", TINY_YAML.replace("TinyNet", "Wanting"))
    said = lab("summary", "model=wanting").out
    assert "3,464" in said  # 3 * 12 * 12 inputs, 8 units
    folder = lab.train("run", "model=wanting", "dataset=digits", "smoke=true")
    assert load_run(folder).config["dataset"]["size"] is None, "the config says what was asked for"
    before = (folder / "metrics.csv").read_bytes()
    assert lab("resume", "run").code == 0
    assert (folder / "metrics.csv").read_bytes() == before
    asked = lab.train("asked", "model=wanting", "dataset=digits", "dataset.size=6", "smoke=true")
    assert "872" in (asked / "summary.txt").read_text()  # 3 * 6 * 6 inputs, 8 units: what was asked for wins


def test_wants_that_are_none_are_refused(lab):
    lab.write("my_models.py", WANTING.replace("Wants(channels=3, size=12, mean=(0.5, 0.5, 0.5))", "224"))
    lab.write("conf/model/wanting.yaml", TINY_YAML.replace("TinyNet", "Wanting"))
    refused = lab("model=wanting")
    assert refused.code == 2
    assert "wants is of type int" in refused.err
    assert not (lab.folder / "outputs").exists()


def test_a_last_batch_of_one_that_it_cannot_take_is_refused_before_anything_is_written(own):
    # 120 samples, 72 of them for training: 71 and one that batch norm has nothing to compare with
    refused = own("model=tiny", "dataset=fake", "dataset.samples=120", "batch_size=71", "epochs=1")
    assert refused.code == 2
    assert "batch_size=71 leaves one sample of 72" in refused.err
    assert "try batch_size=72" in refused.err
    assert not (own.folder / "outputs").exists()
    own.train("run", "model=tiny", "dataset=fake", "dataset.samples=120", "batch_size=72", "epochs=1")
