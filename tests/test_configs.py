"""Every shipped YAML is described, composed and run small; a new one is picked up by being there."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import Container, DictConfig

from labrunner import compose, helping, schema
from labrunner.compose import checks, composing
from labrunner.data import remote
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue, packaged_conf
from labrunner.records import load_run, load_sweep
from tests.lines import cases
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

CONF = packaged_conf()
FILES = sorted(CONF.rglob("*.yaml"))
NAMES = {group: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in GROUPS}
SMALL = ("smoke=true", "figures=none", "batch_size=8")
SMALL_DATA = {"fake": ("dataset.samples=60",)}

by_path = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONF).as_posix())


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_every_group_has_options_and_every_folder_is_a_group():
    assert {path.name for path in CONF.iterdir() if path.is_dir()} == {group for group in GROUPS if NAMES[group]}
    assert {path.parent.name for path in FILES} - set(GROUPS) == {CONF.name}


@by_path
def test_every_file_begins_with_a_description_and_explains_every_key(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    if path.parent != CONF:
        described = [line for line in lines if line.startswith("# ") and not line.startswith("# @package")]
        assert described, "no description"
        assert described[0].endswith(".")
        assert lines.index(described[0]) <= 1
    if path.parent.name == "experiment":
        assert lines[0] == "# @package _global_"
        return
    keys = helping.read_keys(lines)
    for name, key in keys.items():
        if name != "name":
            assert key.meaning, f"{name} has no comment"
            assert f"{'' if path.parent == CONF else path.parent.name + '.'}{name}" in schema.KEYS


@by_path
def test_a_file_is_named_like_the_option_it_is(path):
    content = read(path)
    if path.parent != CONF and path.parent.name != "experiment":
        # or a preset of another option, under whose name the program knows it
        assert content["name"] == path.stem or content.keys() == read(path.with_stem(content["name"])).keys()
        assert "_target_" not in content
    assert re.fullmatch(r"[a-z][a-z0-9_]*", path.stem)


def test_all_options_of_reg_have_the_same_keys():
    keys = {tuple(yaml.safe_load((CONF / "reg" / f"{name}.yaml").read_text())) for name in NAMES["reg"]}
    assert len(keys) == 1


def test_a_key_that_several_options_share_means_the_same_in_all_of_them():
    for group in GROUPS:
        if group == "experiment":  # sets keys of others, and says beside them why
            continue
        meanings: dict[str, set[str]] = {}
        for option in Catalogue().options(group):
            for key in option.keys.values():
                meanings.setdefault(key.name, set()).add(key.meaning)
        several = {name: texts for name, texts in meanings.items() if len(texts) > 1}
        # the split seed of made-up data makes the data as well, and each network has its nonlinearity in its own place
        # and nothing is downloaded into a folder of one's own images
        assert set(several) <= {"split_seed", "activation", "size", "root"}, several


# of the others two
CLASSES = {"digits": 10, "mnist5k": 10, "fake": 4, "iris": 3, "wine": 3, "blobs": 3, "imbalanced": 5}
SIDES = {"digits": 8, "mnist5k": 28, "fake": 16, "photo_patches": 32}  # pixels; the others are tables
EMBEDDED = [name for name in NAMES["dataset"] if name not in (*remote.NAMES, "imagefolder", "csv")]
SMALLEST = {"cnn": 4, "lenet": 12, **dict.fromkeys(schema.TORCHVISION, 8)}


def misfit(model: str, dataset: str) -> bool:
    """Whether a model cannot take a data set, known from what both are."""
    return (
        (model in SMALLEST and SIDES.get(dataset, 0) < SMALLEST[model])
        or (model == "neuron" and CLASSES.get(dataset, 2) != 2)
        or (model == "perceptron" and dataset == "quadratic")
    )


PAIRS = list(itertools.product(NAMES["model"], EMBEDDED))


def covering(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs in which every name that occurs in `pairs` occurs, each data set with another model as far as it goes."""
    chosen: list[tuple[str, str]] = []
    for place in (1, 0):
        for name in dict.fromkeys(pair[place] for pair in pairs):
            if not any(name == pair[place] for pair in chosen):
                fitting = [pair for pair in pairs if pair[place] == name and pair[0] != "efficientnet_b0"]
                fitting = fitting or [pair for pair in pairs if pair[place] == name]
                chosen.append(fitting[len(chosen) % len(fitting)])
    return chosen


FITTING = [pair for pair in PAIRS if not misfit(*pair)]
MISFITS = [pair for pair in PAIRS if misfit(*pair)]


@pytest.mark.parametrize(("model", "dataset"), cases(PAIRS, fast=[*covering(FITTING), *covering(MISFITS)]))
def test_every_model_runs_on_every_embedded_data_set_that_it_fits(lab, model, dataset):
    request = (f"model={model}", f"dataset={dataset}", *SMALL, *SMALL_DATA.get(dataset, ()))
    if misfit(model, dataset):
        before = lab.tree()
        refused = lab(*request)
        assert refused.code == 2
        assert f"model={model}" in refused.err
        assert f"dataset={dataset}" in refused.err
        assert "; try " in refused.err
        assert lab.tree() == before
        return
    run = load_run(lab.train("run", *request))
    assert run.status == "done"
    assert len(run.rows) == 1
    assert np.isfinite(run.rows["train_loss"]).all()
    if dataset in ("quadratic", "point"):  # toy objectives have train alone
        assert run.test is None
        assert run.rows["val_loss"].isna().all()
    else:
        assert run.test["n"] == len(run.predictions) == int(run.confusion.to_numpy().sum())


@pytest.mark.parametrize(("model", "dataset"), cases(MISFITS, fast=covering(MISFITS)))
def test_the_way_out_of_a_misfit_leads_out(lab, model, dataset):
    request = {"model": model, "dataset": dataset}
    words = lab(f"model={model}", f"dataset={dataset}").err.partition("; try ")[2].strip()
    for way_out in map("".join, map(shlex.split, words.split(" or "))):
        key, _, value = way_out.partition("=")
        changed = [f"{name}={chosen}" for name, chosen in (request | {key: value}).items()]
        lab.train(way_out.replace("/", " "), *changed, *SMALL, *SMALL_DATA.get(dataset, ()))


@pytest.mark.parametrize("dataset", EMBEDDED)
def test_adaline_which_any_larger_step_makes_diverge_does_not_at_its_defaults(lab, dataset):
    epochs = "epochs=5" if dataset == "mnist5k" else "epochs=30"
    run = load_run(lab.train("run", "model=adaline", f"dataset={dataset}", epochs))
    losses = run.rows["train_loss"].to_numpy()
    assert losses[-1] <= losses[0]


# torchvision's networks are trained by one class: one of them stands for all where an option is tried
ONE_OF_EACH = [name for name in NAMES["model"] if name not in schema.TORCHVISION or name == "shufflenet_v2_x1_0"]
OTHERS = [(group, name) for group in GROUPS if group not in ("model", "dataset", "experiment") for name in NAMES[group]]
OF_TWO = ("dataset=fake", *SMALL_DATA["fake"], "dataset.num_classes=2")


def has_no_part(model: str, group: str, name: str) -> bool:
    """Whether an option does something that a model does not have."""
    if model == "perceptron" and group == "optim":
        return name not in ("sgd", "lms")
    if model == "perceptron" and group == "reg":
        return name not in ("none", "early_stopping")
    if (group, name) == ("init", "given"):  # its numbers are the user's to give
        return True
    if group == "freeze":  # these have one layer, or train as one
        return name != "none" and model in (*schema.NUMPY_MODELS, "softmax")
    return (group, name) == ("reg", "dropout") and model in schema.WITHOUT_HIDDEN


SIDES_OF_THE_HOUSE = (
    [name for name in ONE_OF_EACH if name in schema.NUMPY_MODELS],
    [name for name in ONE_OF_EACH if name not in (*schema.NUMPY_MODELS, *schema.TORCHVISION)],
)
TRIED = [(group, name, model) for group, name in OTHERS for model in ONE_OF_EACH]


def parts() -> list[tuple[str, str, str]]:
    """Every option with one model of each side that has a part in it, and with one that refuses it; on each a group."""
    chosen = [(group, NAMES[group][-1], "shufflenet_v2_x1_0") for group in dict.fromkeys(group for group, _ in OTHERS)]
    for number, (group, name) in enumerate(OTHERS):
        for side in SIDES_OF_THE_HOUSE:
            models = [model for model in side if not has_no_part(model, group, name)]
            chosen += [(group, name, models[number % len(models)])] if models else []
        refusing = [model for model in ONE_OF_EACH if has_no_part(model, group, name)]
        chosen += [(group, name, refusing[number % len(refusing)])] if refusing else []
    return chosen


@pytest.mark.parametrize(("group", "name", "model"), cases(TRIED, fast=parts()))
def test_every_other_option_runs_with_every_model_that_has_a_part_in_it(lab, group, name, model):
    request = (f"{group}={name}", f"model={model}", *OF_TWO, *SMALL)
    if has_no_part(model, group, name):
        refused = lab(*request)
        assert refused.code == 2
        assert "; try " in refused.err
        return
    config = load_run(lab.train("run", *request)).config
    assert config[group]["name"] == read(CONF / group / f"{name}.yaml")["name"]
    assert config["model"]["name"] == model


def lighter(name: str) -> list[str]:
    """What makes an experiment of many runs quick and leaves all that differs between them, but for the seed."""
    said = read(CONF / "experiment" / f"{name}.yaml")
    words = ["seed=0"] if "seed" in said.get("sweep", {}).get("params", {}) else []
    large = any(default.get("override /model") in schema.TORCHVISION for default in said["defaults"])
    return [*words, "dataset.size=32", "batch_size=8"] if words and large else words


LIGHTER = [(name, words) for name in NAMES["experiment"] if (words := lighter(name))]
AS_THEY_ARE = [(name, []) for name in NAMES["experiment"]]
# and make smoke has all
EACH_TIME = [("losses", []), ("perceptron_iris", []), ("metrics", []), ("smoke_adaline", []), ("smoke_cnn", [])]


@pytest.mark.parametrize(("name", "words"), cases([*LIGHTER, *AS_THEY_ARE], fast=EACH_TIME))
def test_every_experiment_runs(lab, name, words):
    said = read(CONF / "experiment" / f"{name}.yaml")
    place = "hydra.sweep.dir" if "sweep" in said else "hydra.run.dir"
    ended = lab(f"{place}=there", f"experiment={name}", "smoke=true", "figures=none", "jobs=1", *words)
    assert ended.code == 0, ended.err
    if "sweep" not in said:
        runs = [load_run(lab.folder / "there")]
    else:
        sweep = load_sweep(lab.folder / "there")
        runs = [run for _, run in sweep.runs]
        assert len(runs) == len(sweep.members) > 1
    swept = set() if "sweep" not in said else {key for run in runs for key in typed(run)}
    for run in runs:
        assert run.status in ("done", "diverged") if "sweep" in said else run.status == "done"
        assert run.overrides["choices"]["experiment"] == name
        for default in said["defaults"]:
            for key, option in default.items():
                group = key.removeprefix("override /")
                if group not in swept:
                    assert run.config[group]["name"] == read(CONF / group / f"{option}.yaml")["name"]


def typed(run) -> set[str]:
    """The keys that the command of a run names."""
    return {text.partition("=")[0].lstrip("+") for text in run.overrides["overrides"]}


def test_the_command_line_wins_over_an_experiment(lab):
    said = lab("--cfg", "job", "experiment=smoke_adaline", "smoke=false", "model=mlp", "model.hidden=[3]").out
    config = yaml.safe_load(said)
    assert config["smoke"] is False
    assert config["model"]["name"] == "mlp"
    assert config["model"]["hidden"] == [3]


@pytest.mark.parametrize("activation", schema.KEYS["model.activation"].__args__)
@pytest.mark.parametrize("model", [owner.name for owner, _ in Catalogue().owners("model.activation")])
def test_every_activation_runs_with_every_model_that_has_one(lab, model, activation):
    lab.train("run", f"model={model}", f"model.activation={activation}", *OF_TWO, *SMALL)


def rest_of_the_choices() -> list[str]:
    lines = [f"monitor={word}" for word in schema.KEYS["monitor"].__args__]
    lines += [f"dataset.normalize={word}" for word in schema.KEYS["dataset.normalize"].__args__]
    poolings, losses = schema.KEYS["model.pooling"].__args__, schema.KEYS["model.loss"].__args__
    lines += [f"model={model} model.pooling={word}" for word in poolings for model in ("cnn", "lenet")]
    lines += [f"model={model} model.loss={word}" for word in losses for model in ("mlp", "mlp_numpy", "cnn", "lenet")]
    lines += [
        f"precision={word} model={model}"
        for word in schema.KEYS["precision"].__args__
        for model in ONE_OF_EACH
        if model != "neuron" and (word != "bf16" or model not in schema.NUMPY_MODELS)
    ]
    lines += [f"model={model} model.batch_norm=true" for model in ("mlp", "mlp_numpy")]
    lines += ["model=adaline model.bias=false", "model=neuron model.loss=mse dataset.num_classes=2"]
    lines += ["select=last", "dataset.per_class=3 dataset.label_noise=0.2", "model=adaline batch_size=1"]
    lines += ["reg.mixup=0.3 reg.label_smoothing=0.1 reg.l1=0.001 reg.clip_norm=1 reg.dropout=0.2 reg.weight_decay=0.1"]
    lines += ["augment.shift=1 augment.rotate=5 augment.flip=0.5 augment.crop=2", "schedule=step schedule.warmup=1"]
    lines += ["model=cnn model.batch_norm=false", "model=cnn model.kernel=1", "model.hidden=[]", "model.hidden=[3,4,5]"]
    lines += ["dataset.channels=1", "dataset.num_classes=2", "dataset.size=9", "dataset.noise=0", "batch_size=full"]
    lines += [
        "optim=sgd optim.momentum=0.9 optim.nesterov=true",
        "reg.decay_all=true reg.weight_decay=0.1",
        "threads=2",
    ]
    return lines


@pytest.mark.parametrize("line", rest_of_the_choices())
def test_the_rest_of_the_choices_run(lab, line):
    config = load_run(lab.train("run", "dataset=fake", *SMALL_DATA["fake"], *SMALL, *line.split())).config
    for override in line.split():
        key, _, value = override.partition("=")
        expected = yaml.safe_load(value)
        assert schema.lookup(config, key)[1] == (expected if "." in key or key not in GROUPS else config[key])


def test_a_batch_norm_network_survives_a_last_batch_of_one_sample(lab):
    # 37 training samples in batches of 36
    lab.train("run", "model=cnn", "dataset=fake", "dataset.samples=61", "batch_size=36", "epochs=1")
    counted = json.loads((lab.folder / "run" / "facts.json").read_text())
    assert (counted["train_samples"], counted["steps"]) == (37, 2)


# a new file is picked up by being there


@pytest.fixture
def copied_conf(tmp_path, monkeypatch) -> Path:
    """The shipped folder somewhere else, to add to."""
    copy = tmp_path / "shipped"
    shutil.copytree(CONF, copy)
    for module in (helping, composing, checks):
        monkeypatch.setattr(module, "packaged_conf", lambda: copy)
    return copy


def test_a_new_shipped_file_is_chosen_listed_and_explained_by_being_there(copied_conf, lab):
    (copied_conf / "reg" / "strong.yaml").write_text(
        (CONF / "reg" / "l2.yaml").read_text().replace("name: l2", "name: strong").replace("0.001", "0.5")
    )
    (copied_conf / "experiment" / "strong.yaml").write_text(
        "# @package _global_\n# Strong weight decay.\ndefaults:\n  - override /reg: strong\nsmoke: true\n"
    )
    folder = lab.train("run", "experiment=strong")
    assert load_run(folder).config["reg"]["weight_decay"] == 0.5
    assert "Strong weight decay." in lab("--help").out
    assert "reg=strong: 0.5" in lab("explain", "reg.weight_decay").out


def test_composing_is_the_same_whatever_was_composed_before():
    known = Catalogue()
    first = compose.compose(["model=cnn"], known).config
    compose.compose(["seed=9", "optim=sgd"], known)
    with pytest.raises(RequestError):
        compose.compose(["optim.lr=-1"], known)
    assert compose.compose(["model=cnn"], known).config == first


OPTIONS = [f"{group}={name}" for group in GROUPS for name in NAMES[group]]


SHARING = [
    *(f"{option} seed=3" for option in OPTIONS),
    "model=lenet dataset=mnist5k optim.lr=0.5 optim=sgd experiment=losses hydra.mode=RUN",
    "experiment=smoke_cnn seed=3 ++epochs=2 hydra.run.dir='a b' seed=4",
]


@pytest.mark.parametrize("words", cases(SHARING, fast=[*SHARING[::12], *SHARING[-2:]]))
def test_what_shares_a_composition_is_what_hydra_composes_of_the_files(words):
    texts = shlex.split(words)
    with composing.composing(Catalogue()) as composer:
        assert described(composer.hydras(texts)) == described(composer.afresh(texts))


def described(config) -> list[tuple]:
    """Every node of a composition: its place, type, flags and value, interpolations as they are written."""
    nodes, found = [config], []
    while nodes:
        node = nodes.pop()
        metadata = node._metadata
        said = (node._get_full_key(None), type(node), metadata.ref_type, metadata.object_type, metadata.flags)
        if isinstance(node, Container) and not node._is_none():
            keys = list(node) if isinstance(node, DictConfig) else range(len(node))
            nodes += [node._get_node(key) for key in keys]
            found.append((*said, list(keys)))
        else:
            found.append((*said, node._value()))
    return found


def test_a_shipped_file_that_is_edited_is_read_again(copied_conf):
    def dropout() -> float:
        return compose.compose(["reg=dropout"], Catalogue()).config["reg"]["dropout"]

    shipped, path = dropout(), copied_conf / "reg" / "dropout.yaml"
    path.write_text(path.read_text().replace(f"dropout: {shipped}", "dropout: 0.125"))
    os.utime(path, ns=(1, 1))
    assert dropout() == 0.125 != shipped
