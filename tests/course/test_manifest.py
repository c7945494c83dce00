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
    "experiments: []\ntitle: x\n": "line 1, experiments: []: it takes at least one, as - name:",
    GOOD.replace("overrides:", "overides:"): "line 4, experiments[0].overides: there is no such key; did you mean over",
    GOOD.replace("expect:", "expects:"): "line 6, experiments[0].expects: there is no such key; did you mean expect?",
    GOOD.replace("title", "titel"): "line 1, titel: there is no such key; did you mean title?",
    GOOD.replace("model=softmax", "model=sofmax"): "line 4, experiments[0].overrides[1]: there is no model=sofmax",
    GOOD.replace("[dataset=iris, model=softmax]", "model=softmax"): "line 4, experiments[0].overrides: it takes a",
    GOOD.replace(
        "optim.lr:", "optim.rl:"
    ): "line 5, experiments[0].allowed.optim.rl: optim=adam has no key optim.rl\ndid you mean",
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
    GOOD + "    points: -1\n": "line 7, experiments[0].points: -1: it takes a number from 0",
    GOOD + "    name: two\n": "line 7: name stands here twice",
    GOOD
    + GOOD.partition("experiments:\n")[2]: "line 7, experiments[1].name: one is the name of the experiment in line 3",
    GOOD + "    sweep: {seed: [0, 1]}\n": "line 5, experiments[0].allowed.seed: seed is swept",
    "title: [\n": "line 2: ",
    "- a\n": "is no manifest: it takes title: and experiments:",
}


def with_line(line: str, text: str = GOOD) -> str:
    return f"{text}    {line}\n"


SLIPS = {  # of who writes a manifest for the first time
    "an empty file": ("", "is empty: it takes title: and experiments:"),
    "a word": ("lab", "is no manifest: it takes title: and experiments:"),
    "experiments without dashes": (
        "title: Lab\nexperiments:\n  name: one\n",
        "line 2, experiments: it takes a list, as - name: baseline, not {name: one}",
    ),
    "a colon in the title": (f"title: Lab 1: first\n{GOOD.partition(chr(10))[2]}", "line 1: a colon cannot stand here"),
    "a title that is a number": (
        GOOD.replace("Lab", "2026", 1),
        'line 1, title: 2026: it takes text; in quotes it is some: "',
    ),
    "a version that is a number": (
        GOOD.replace("title: Lab", "title: Lab\nlabrunner: 0.1"),
        'line 2, labrunner: 0.1: it takes versions in quotes, as ">=0.1,<0.2"',
    ),
    "a version without quotes": (
        GOOD.replace("title: Lab", "title: Lab\nlabrunner: >=0.1"),
        'in quotes: labrunner: ">=',
    ),
    "a tab": (
        GOOD.replace("    overrides", "\toverrides"),
        "line 4: a tab in the indentation; YAML takes spaces alone",
    ),
    "indentation": (GOOD.replace("    overrides", "   overrides"), "line 4: "),
    "a key without a space": (GOOD.replace("expect: {", "expect {"), "line 6: "),
    "a bracket in an override": (
        GOOD.replace("dataset=iris,", "dataset=iris, probes=[gradients],"),
        'line 4: an override with brackets stands in quotes: "probes=[gradients]"',
    ),
    "overrides as they are typed": (
        GOOD.replace("[dataset=iris, model=softmax]", "dataset=iris model=softmax"),
        "line 4, experiments[0].overrides: it takes a list, as [dataset=iris, model=softmax], not dataset=iris model",
    ),
    "overrides as a mapping": (
        GOOD.replace("[dataset=iris, model=softmax]", "{dataset: iris, epochs: 3}"),
        "it takes a list, as [dataset=iris, epochs=3], not {dataset: iris, epochs: 3}",
    ),
    "an override as a mapping": (
        GOOD.replace("dataset=iris,", "epochs: 3,"),
        "line 4, experiments[0].overrides[0]: {epochs: 3}: it takes overrides as text: epochs=3",
    ),
    "an unknown experiment": (
        GOOD.replace("dataset=iris", "experiment=percepton_iris"),
        "line 4, experiments[0].overrides[0]: there is no experiment=percepton_iris\ndid you mean experiment=",
    ),
    "a swept key that is none": (
        with_line("sweep:\n      epochs: [1, 2]\n      optim.rl: [1, 2]"),
        "line 9, experiments[0].sweep.optim.rl: there is no key optim.rl",
    ),
    "a swept value that is none": (
        with_line("sweep: {epochs: [1, two]}"),
        "line 7, experiments[0].sweep.epochs: epochs=two: it takes a whole number",
    ),
    "a swept key with one value": (with_line("sweep: {epochs: 1}"), "epochs: it takes a list, as [1], not 1"),
    "a list of what is free": (
        GOOD.replace("{optim.lr: {at_least: 0.01}, seed: any, optim: [adam, sgd]}", "[seed]"),
        "line 5, experiments[0].allowed: it takes a mapping of names to values, as {seed: any}, not [seed]",
    ),
    "a key that the model has not": (
        GOOD.replace("seed: any", "model.hidden: any"),
        "line 5, experiments[0].allowed.model.hidden: model=softmax has no key model.hidden\n",
    ),
    "a list for each value of a list": (
        GOOD.replace("model=softmax", "model=mlp").replace("seed: any", "model.hidden: [32, 64]"),
        "allowed.model.hidden: model.hidden is a list itself; each that it may be stands in a list of them: [[32, 64]]",
    ),
    "a range of words": (
        GOOD.replace("model=softmax", "model=mlp").replace("seed: any", "model.activation: {at_least: 1}"),
        "line 5, experiments[0].allowed.model.activation.at_least: model.activation takes relu, ",
    ),
    "a share in per cent": (
        GOOD.replace("seed: any", "reg.dropout: {at_least: 10, at_most: 50}"),
        "allowed.reg.dropout.at_least: reg.dropout takes a number from 0 and below 1: 0.1 for 10 %",
    ),
    "an accuracy in per cent": (
        GOOD.replace("at_least: 0.5", "at_least: 80"),
        "line 6, experiments[0].expect.test_accuracy.at_least: test_accuracy is a proportion from 0 to 1: 0.8 for 80 %",
    ),
    "a per cent sign": (GOOD.replace("at_least: 0.5", "at_least: 80%"), "at_least: 80%: it takes a number: 0.8"),
    "a decimal comma": (GOOD.replace("at_least: 0.5", "at_least: 0,8"), "a number has a decimal point, and no comma"),
    "no relation": (GOOD.replace("{at_least: 0.5}", "0.5"), "it takes a relation, as {at_least: 0.5}, not 0.5 alone"),
    "what nothing can be": (
        GOOD.replace("{at_least: 0.5}", "{at_least: 0.9, at_most: 0.8}"),
        "line 6, experiments[0].expect.test_accuracy: nothing can be both: at_least 0.9 is above at_most 0.8",
    ),
    "what nothing can equal": (
        GOOD.replace("test_accuracy: {at_least: 0.5}", "parameters: {equals: 9, at_most: 8}"),
        "nothing can be both: equals 9 is above at_most 8",
    ),
    "a number in quotes": (
        with_line('points: "4"'),
        "points: 4: it takes a number, and this is text; take the quotes away",
    ),
    "points in words": (with_line("points: four"), "line 7, experiments[0].points: four: it takes a number"),
    "replay in words": (with_line("replay: please"), "line 7, experiments[0].replay: please: it takes true or false"),
    "seeds as a list": (
        GOOD.replace("title: Lab", "title: Lab\nseeds: [1, 2]"),
        "line 2, seeds: it takes a mapping of names to values, as {anna: 11, ben: 12}, not [1, 2]",
    ),
    "a seed in words": (
        GOOD.replace("title: Lab", "title: Lab\nseeds: {anna: one}"),
        "seeds.anna: one: it takes a whole",
    ),
    "seeds that no experiment takes": (
        GOOD.replace("title: Lab", "title: Lab\nseeds: {anna: 1}"),
        "line 2, seeds: no experiment takes them: each says its own in overrides, sweep or allowed",
    ),
    "a tag": (GOOD.replace("Lab", "!!python/object/apply:os.getcwd []", 1), "line 1: a tag (!…) is nothing"),
    "a key that is a list": (GOOD.replace("seed: any", "[seed]: any"), "line 5: a key is text, and no list or mapping"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_of_who_writes_the_first_manifest_is_told_with_what_to_do(tmp_path, slip):
    text, told = SLIPS[slip]
    with pytest.raises(RequestError) as error:
        composed(tmp_path, text)
    said = str(error.value)
    assert told in said
    assert said.startswith(str(tmp_path / "lab.yaml"))
    assert len(said.splitlines()) <= 3
    assert "input should" not in said.lower()


@pytest.mark.parametrize("number", ["5e-4", "1e-2", "2E-3", "1.5e-3", "+1e-2", ".1e-1"])
def test_a_number_is_one_as_in_labrunners_own_yaml(tmp_path, number):
    text = GOOD.replace("at_least: 0.01", f"at_least: {number}").replace("[adam, sgd]", "any") + (
        f"  - {{name: two, overrides: [dataset=iris, model=softmax], sweep: {{optim.lr: [{number}, 1.0]}}}}\n"
    )
    one, two = composed(tmp_path, text)
    assert one.experiment.allowed["optim.lr"] == manifest.Range(at_least=float(number))
    assert [required.values for required in two.runs] == [{"optim.lr": float(number)}, {"optim.lr": 1.0}]


@pytest.mark.parametrize("name", ["007", "12345", "No", "1e3"])
def test_a_student_is_called_as_it_was_typed(tmp_path, name):
    text = GOOD.replace("title: Lab", f"title: Lab\nseeds: {{{name}: 3}}").replace("seed: any, ", "")
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    assert manifest.read(path)[0].seeds == {name: 3}


def test_seeds_are_for_the_experiments_that_say_none(tmp_path):
    rest = "overrides: [dataset=iris, model=softmax"
    text = (
        "title: Lab\nseeds: {anna: 7}\nexperiments:\n"
        f"  - {{name: assigned, {rest}]}}\n  - {{name: fixed, {rest}, seed=3]}}\n"
        f"  - {{name: swept, {rest}], sweep: {{seed: [0, 1]}}}}\n  - {{name: free, {rest}], allowed: {{seed: any}}}}\n"
    )
    takes = {each.name: {each.takes_seed(run) for run in each.runs} for each in composed(tmp_path, text)}
    assert takes == {"assigned": {True}, "fixed": {False}, "swept": {False}, "free": {False}}


@pytest.mark.parametrize("model", ["softmax", "mlp"])
def test_a_key_is_free_that_only_some_runs_of_a_sweep_have(tmp_path, model):
    text = (
        "title: Lab\nexperiments:\n  - name: one\n    overrides: [dataset=iris, epochs=1]\n"
        f"    sweep: {{model: [softmax, {model}]}}\n    allowed: {{model.hidden: any}}\n"
    )
    if model == "mlp":
        composed(tmp_path, text)
    else:
        with pytest.raises(RequestError, match=r"has no key model\.hidden"):
            composed(tmp_path, text)


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
