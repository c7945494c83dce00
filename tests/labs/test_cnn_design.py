"""The lab on the design of a CNN: its checks pass, and each falls where its reason is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from labrunner import checks, relations
from labrunner.facts import Facts
from labrunner.records import load_sweep
from tests.cli.lab import Lab
from tests.labs.outcomes import crosses, outcomes, settings
from tests.lines import cases

FEW = {"dataset.per_class": 60}  # a fifth of mnist5k
CNN = {"model": "cnn", "model.channels": [16, 32], "model.kernel": 3}
NEEDED = ("softmax", "cnn", "kernel_1", "one_block", "mnist_perceptron", "mnist_softmax", "mnist_mlp", "mnist_lenet")
SABOTAGE: dict[str, tuple[str, dict[str, Any]]] = {  # check -> a variant and what is changed in it
    "cnns_reach_96_percent": ("one_block", {"model.channels": [1]}),
    "a_cnn_beats_softmax": ("softmax", {**CNN, "model.pooling": "avg", "epochs": 12}),  # a CNN under its name
    "a_kernel_of_one_pixel_sees_no_shape": ("kernel_1", {"model.kernel": 3, "model.channels": [16, 30]}),
    "softmax_beats_the_perceptron": ("mnist_softmax", {"optim.lr": 0.00001}),
    "a_hidden_layer_beats_softmax": ("mnist_mlp", {"model.hidden": [2]}),
    "lenet_beats_the_hidden_layer": ("mnist_lenet", {"optim.lr": 0.00001}),
}


def write_experiment(lab: Lab, variants: dict[str, dict[str, Any]], expected: Sequence[dict[str, Any]]) -> None:
    """The user's own experiment `mine`: the lab with these variants and checks."""
    own = settings("cnn_design")
    own["sweep"]["variants"], own["checks"], own["jobs"] = variants, list(expected), 1
    lab.write("conf/experiment/mine.yaml", "# @package _global_\n# Mine.\n" + yaml.safe_dump(own, sort_keys=False))


def test_its_checks_are_those_of_the_course():
    assert [check["check"] for check in settings("cnn_design")["checks"]] == list(SABOTAGE)


@pytest.mark.parametrize("data", cases(["digits", "mnist"], fast=1))
def test_one_seed_passes_all_checks_and_each_falls_alone_where_its_reason_is_taken_away(lab, data):
    # a sabotaged variant runs beside the others, and then stands in for the one it was made from
    sabotage = {check: each for check, each in SABOTAGE.items() if each[0].startswith("mnist_") == (data == "mnist")}
    expected = [check for check in settings("cnn_design")["checks"] if check["check"] in sabotage]
    shipped = settings("cnn_design")["sweep"]["variants"]
    needed = [name for name in NEEDED if name.startswith("mnist_") == (data == "mnist")]
    variants = {name: {**shipped[name], **(FEW if data == "mnist" else {})} for name in needed}
    spoilt = {f"spoilt_{name}": {**variants[name], **change} for name, change in sabotage.values()}
    write_experiment(lab, {**variants, **spoilt}, expected)
    assert crosses(outcomes(lab, "experiment=mine", "seed=0", "threads=1")) == []
    facts = {member.values["variant"]: Facts(run) for member, run in load_sweep(lab.folder / "swept").runs}
    assert set(facts) == {*variants, *spoilt}, "runs that came out the same"
    for check, (name, _) in sabotage.items():
        subjects = [
            checks.Subject(facts[f"spoilt_{each}" if each == name else each], {"variant": each}) for each in variants
        ]
        verdicts = checks.evaluate(relations.parse(expected), subjects)
        assert all(verdict.found is not None and verdict.expected is not None for verdict in verdicts)
        assert [verdict.check for verdict in verdicts if not verdict.passed] == [check]
