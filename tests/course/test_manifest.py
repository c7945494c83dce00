"""A manifest: what is wrong with one is told with its line, its key and the nearest one that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from labrunner.course import manifest, wanted
from labrunner.errors import RequestError
from labrunner.helping import Catalogue

GOOD = """\
title: Lab
experiments:
  - name: one
    overrides: [dataset=iris, model=softmax]
    allowed: {optim.lr: {at_least: 0.01}, seed: any, optim: [adam, sgd]}
    expect: {test_accuracy: {at_least: 0.5}}
"""


def composed(tmp_path: Path, text: str) -> list[wanted.Wanted]:
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    read, lines = manifest.read(path)
    return wanted.composed(read, lines, Catalogue())


WRONG = {
    "title: Lab\n": "line 1, experiments: it is missing",
    "experiments: []\ntitle: x\n": "line 1, experiments: []: list should have at least 1 item",
    GOOD.replace("overrides:", "overides:"): "line 4, experiments[0].overides: there is no such key; did you mean over",
    GOOD.replace("expect:", "expects:"): "line 6, experiments[0].expects: there is no such key; did you mean expect?",
    GOOD.replace("title", "titel"): "line 1, titel: there is no such key; did you mean title?",
    GOOD.replace("model=softmax", "model=sofmax"): "line 4, experiments[0].overrides: there is no model=sofmax",
    GOOD.replace("[dataset=iris, model=softmax]", "model=softmax"): "line 4, experiments[0].overrides: it takes a",
    GOOD.replace("optim.lr:", "optim.rl:"): "line 5, experiments[0].allowed.optim.rl: there is no key optim.rl",
    GOOD.replace("seed: any", "seed: all"): "line 5, experiments[0].allowed.seed: it takes any, a list of",
    GOOD.replace("seed: any", "seed: [1, x]"): "line 5, experiments[0].allowed.seed: seed=x: it takes a whole number",
    GOOD.replace("[adam, sgd]", "[adam, sdg]"): "line 5, experiments[0].allowed.optim: there is no optim=sdg",
    GOOD.replace("optim: [adam, sgd]", "optim: {at_least: 1}"): "optim is a group; it takes any, or a list of",
    GOOD.replace("{at_least: 0.01}", "{at_laest: 0.01}"): "line 5, experiments[0].allowed.optim.lr.at_laest: there",
    GOOD.replace("{at_least: 0.01}", "{at_least: 2, at_most: 1}"): "allowed.optim.lr: at_least 2 is above at_most 1",
    GOOD.replace("test_accuracy", "test_acuracy"): "line 6, experiments[0].expect.test_acuracy: there is no fact",
    GOOD.replace("test_accuracy", "dead_last"): "line 6, experiments[0].expect.dead_last: there is no fact",
    GOOD.replace("{at_least: 0.5}", "{}"): "line 6, experiments[0].expect.test_accuracy: it takes at_least, at",
    GOOD.replace("{at_least: 0.5}", "{at_least: half}"): "expect.test_accuracy.at_least: half: it takes a number",
    GOOD.replace("{at_least: 0.5}", "{at_least: 0.5, take: maximum}"): "it takes each, mean, median, min",
    GOOD + "    points: -1\n": "line 7, experiments[0].points: -1: input should be greater than or equal to 0",
    GOOD + "    name: two\n": "line 7: name stands here twice",
    GOOD + GOOD.partition("experiments:\n")[2]: "two experiments are called one; give one of them another name",
    GOOD + "    sweep: {seed: [0, 1]}\n": "line 5, experiments[0].allowed.seed: seed is swept",
    "title: [\n": "line 2: ",
    "- a\n": "is no manifest: it takes title: and experiments:",
}


@pytest.mark.parametrize("text", WRONG, ids=list(range(len(WRONG))))
def test_what_is_wrong_is_told_with_its_line_its_key_and_the_nearest(tmp_path, text):
    with pytest.raises(RequestError) as error:
        composed(tmp_path, text)
    said = str(error.value)
    assert WRONG[text] in said
    assert said.startswith(str(tmp_path / "lab.yaml"))
    assert len(said.splitlines()) <= 3


def test_every_key_of_a_run_has_an_expected_value(tmp_path):
    (one,) = composed(tmp_path, GOOD)
    (required,) = one.runs
    assert required.config is not None
    keys = wanted.flat(required.config)
    assert keys["dataset.name"] == "iris"
    assert keys["epochs"] == 30
    assert one.differences(required, required.config, None) == []


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({"optim": {"lr": 0.5}}, []),
        ({"optim": {"lr": 0.001}}, ["optim.lr"]),
        ({"seed": 99, "threads": 4, "device": "cpu", "jobs": 3, "figures": "none"}, []),
        ({"epochs": 31}, ["epochs"]),
        ({"dataset": {"split_seed": 1}}, ["dataset.split_seed"]),
        ({"probes": ["gradients"]}, []),
        ({"smoke": True}, ["smoke"]),
        ({"new": 1}, ["new"]),
    ],
)
def test_keys_that_may_not_differ_are_named(tmp_path, changes, differing):
    (one,) = composed(tmp_path, GOOD)
    config = dict(one.runs[0].config or {})
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    assert [each.key for each in one.differences(one.runs[0], config, None)] == differing


def test_an_option_that_is_free_brings_its_own_expected_keys(tmp_path):
    from labrunner.compose import compose

    (one,) = composed(tmp_path, GOOD)
    for overrides, differing in (
        (["optim=sgd", "optim.lr=0.1"], []),
        (["optim=sgd", "optim.lr=0.1", "optim.momentum=0.5"], ["optim.momentum"]),
        (["optim=rmsprop"], ["optim.name"]),
    ):
        config = compose(["dataset=iris", "model=softmax", *overrides], Catalogue()).config
        assert [each.key for each in one.differences(one.runs[0], config, None)] == differing, overrides


def test_a_students_own_seed_is_the_one_that_was_assigned(tmp_path):
    (one,) = composed(tmp_path, GOOD.replace("seed: any, ", ""))
    config = {**(one.runs[0].config or {}), "seed": 11}
    assert one.differences(one.runs[0], config, 11) == []
    assert [str(each) for each in one.differences(one.runs[0], config, 12)] == ["seed is 11, asked for is 12"]


def test_an_experiment_that_carries_a_sweep_asks_for_all_its_runs(tmp_path):
    text = "title: Lab\nexperiments:\n  - {name: p, overrides: [experiment=perceptron_iris, epochs=3]}\n"
    (one,) = composed(tmp_path, text)
    assert one.swept == ["variant", "seed"]
    assert len({str(run.values) for run in one.runs}) == 10
    assert [check.name for check in one.checks][:1] == ["stops_within_the_bound"]
