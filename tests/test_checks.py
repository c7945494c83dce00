"""Ticks and crosses: what passes, what fails, and that nothing passes for want of a number."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
import yaml

from labrunner import known_facts
from labrunner.apart import PAIRS
from labrunner.checks import Subject, evaluate, of_run, of_sweep
from labrunner.facts import DERIVED, Facts
from labrunner.files import read_csv
from labrunner.records import load_run
from labrunner.relations import parse
from tests.cli.lab import assert_same_run
from tests.folders import write_run
from tests.sweeps import write_sweep

TINY = ("model.hidden=[8]", "dataset=fake", "dataset.samples=60", "batch_size=16", "epochs=2")


def verdict(check: dict, *subjects: Subject | dict):
    known = [each if isinstance(each, Subject) else Subject(each) for each in subjects]
    return evaluate(parse([{"fact": "a", **check}]), known)[0]


@pytest.mark.parametrize(
    ("relation", "below", "same", "above"),
    [
        ("at_most", True, True, False),
        ("at_least", False, True, True),
        ("below", True, False, False),
        ("above", False, False, True),
        ("equals", False, True, False),
    ],
)
def test_each_relation_means_what_it_says(relation, below, same, above):
    for value, passes in ((1.0, below), (2.0, same), (3.0, above)):
        assert verdict({relation: 2}, {"a": value}).passed is passes
        assert verdict({relation: "b"}, {"a": value, "b": 2.0}).passed is passes


def test_equals_may_leave_room_and_leaves_none_by_itself():
    assert verdict({"equals": 1, "within": 0.1}, {"a": 1.1 - 1e-12}).passed
    assert not verdict({"equals": 1, "within": 0.1}, {"a": 1.2}).passed
    assert not verdict({"equals": 1}, {"a": 1 + 1e-15}).passed


def test_infinity_is_a_number_that_can_be_compared():
    assert verdict({"above": 3}, {"a": math.inf}).passed
    assert not verdict({"at_most": 3}, {"a": math.inf}).passed
    assert verdict({"at_most": 3}, {"a": math.inf}).row[4] == "inf"


@pytest.mark.parametrize("relation", ["at_most", "at_least", "below", "above", "equals"])
def test_a_fact_that_could_not_be_computed_is_a_cross(relation):
    for facts in ({}, {"a": math.nan}):
        found = verdict({relation: 0}, facts)
        assert not found.passed
        assert found.found is None
        assert "not computed" in str(found)
    missing = verdict({relation: "b"}, {"a": 0.0})
    assert not missing.passed
    assert (missing.found, missing.expected) == (0.0, None)


def test_what_was_never_reached_is_no_match_for_what_was_never_reached():
    never = Subject({"a": math.inf, "b": math.inf}, {"m": "x"})
    for relation in ("at_most", "at_least", "equals"):
        assert not verdict({relation: "b"}, never).passed
    assert not verdict({"take": "spread", "at_most": 2}, never, Subject({"a": math.inf})).passed
    assert verdict({"take": "mean", "above": 3}, never).passed


def test_a_run_without_the_number_is_told_and_not_one_that_has_it():
    found = verdict({"at_least": 0.9}, {"a": 0.97}, {})
    assert (found.passed, found.found) == (False, None)


def test_a_list_is_several_values_or_the_value_itself():
    subjects = [Subject({"a": float(number)}, {"hidden": [width]}) for number, width in enumerate((8, 16))]
    assert verdict({"at_least": 0, "of": {"hidden": [16]}}, *subjects).found == 1.0
    assert verdict({"at_least": 0, "of": {"hidden": [[8], [16]]}}, *subjects).found == 0.0


def test_no_run_at_all_is_a_cross():
    assert not verdict({"at_least": 0}).passed
    assert not verdict({"at_least": 0, "of": {"model": "cnn"}}, Subject({"a": 1.0}, {"model": "mlp"})).passed
    assert not verdict({"at_least": 0, "take": "mean"}).passed


def runs(key: str, found: dict) -> list[Subject]:
    return [Subject({"a": value}, {key: option}) for option, values in found.items() for value in values]


def test_each_run_must_pass_and_the_worst_is_told():
    found = verdict({"at_least": 0.5}, *runs("model", {"mlp": [0.9, 0.4, 0.7]}))
    assert (found.passed, found.found) == (False, 0.4)
    found = verdict({"at_most": "b"}, Subject({"a": 1.0, "b": 5.0}), Subject({"a": 8.0, "b": 9.0}))
    assert (found.passed, found.found, found.expected) == (True, 8.0, 9.0)
    assert not verdict({"at_least": 0}, Subject({"a": 1.0}), Subject({})).passed


@pytest.mark.parametrize("take", ["mean", "median", "min", "max"])
def test_several_runs_are_taken_together(take):
    values = [0.1, 0.7, 0.3, 0.2]
    expected = {"mean": statistics.fmean, "median": statistics.median, "min": min, "max": max}[take](values)
    found = verdict({"at_least": 0, "take": take, "of": {"m": "x"}}, *runs("m", {"x": values, "y": [9.0]}))
    assert found.found == expected
    assert verdict({"at_least": 0, "take": "spread"}, *runs("m", {"x": values})).found == max(values) - min(values)


def test_runs_are_held_against_other_runs():
    subjects = runs("m", {"x": [0.9, 0.8], "y": [0.7, 0.5]})
    check = {"of": {"m": "x"}, "take": "mean", "at_least": {"fact": "a", "of": {"m": "y"}, "plus": 0.2}}
    found = verdict(check, *subjects)
    assert (found.passed, found.found, found.expected) == (True, pytest.approx(0.85), pytest.approx(0.8))
    check["at_least"] = {"fact": "a", "of": {"m": "y"}, "take": "max", "times": 2}
    assert not verdict(check, *subjects).passed


def test_runs_are_picked_by_values_as_the_config_has_them():
    values = [{"lr": 0.1, "on": True}, {"lr": 1, "on": False}, {"lr": 1.0, "on": "true"}]
    subjects = [Subject({"a": float(number)}, each) for number, each in enumerate(values)]
    for of, picked in (
        ({"lr": 0.1}, 0.0),
        ({"lr": [0.1, 7]}, 0.0),
        ({"lr": 1, "on": False}, 1.0),
        ({"on": "true"}, 2.0),
        ({"on": True}, 0.0),
    ):
        assert verdict({"at_least": 0, "of": of}, *subjects).found == picked


def test_a_run_is_picked_by_a_fact_of_its_own():
    subjects = [Subject({"a": lr, "limit": 0.3}, {"lr": lr}) for lr in (0.15, 0.3 * 0.99, 0.303)]
    found = verdict({"at_least": 0, "of": {"lr": {"fact": "limit", "times": 0.99}}}, *subjects)
    assert found.found == 0.3 * 0.99
    assert not verdict({"at_least": 0, "of": {"lr": {"fact": "limit"}}}, *subjects).passed


# facts


def test_facts_of_rows_say_what_the_rows_say(tmp_path):
    run = load_run(write_run(tmp_path / "run", epochs=6))
    facts, rows = Facts(run), run.row_list
    losses = [row["train_loss"] for row in rows]
    assert facts["val_accuracy"] == rows[run.chosen.epoch - 1]["val_accuracy"]
    assert facts["first_train_loss"] == losses[0]
    assert facts["last_val_loss"] == rows[-1]["val_loss"]
    assert facts["lowest_train_loss"] == min(losses)
    assert facts["highest_train_loss"] == max(losses)
    assert facts["train_loss_rises"] == sum(b > a for a, b in itertools.pairwise(losses))
    chosen = rows[run.chosen.epoch - 1]
    assert facts["accuracy_gap"] == chosen["train_accuracy"] - chosen["val_accuracy"]
    assert facts["test_accuracy"] == run.test["accuracy"]
    assert facts["diverged"] == 0.0
    with pytest.raises(KeyError):
        facts["no_such_fact"]


def test_the_epochs_to_a_threshold_are_infinite_where_it_is_not_reached(tmp_path):
    facts = Facts(load_run(write_run(tmp_path / "run", epochs=12)))
    rows = load_run(tmp_path / "run").row_list
    first = next(row["epoch"] for row in rows if row["val_accuracy"] >= 0.6)
    assert facts["epochs_to_60"] == first
    assert facts["epochs_to_99"] == math.inf


# of runs and sweeps, from their files


def test_a_run_answers_what_it_can_and_a_sweep_answers_all(tmp_path):
    checks = parse([{"fact": "val_accuracy", "at_least": 0}, {"fact": "val_accuracy", "take": "mean", "at_least": 0}])
    assert len(of_run(checks, load_run(write_run(tmp_path / "run")))) == 1
    sweep = write_sweep(tmp_path / "sweep", [{"seed": 0}, {"seed": 1}], statuses={1: "failed"})
    verdicts = of_sweep(checks, sweep)
    assert [verdict.passed for verdict in verdicts] == [True, True]
    assert verdicts[1].found == Facts(sweep.runs[0][1])["val_accuracy"]  # the failed run has nothing to say


CHECKS = "checks=[{check: learns, fact: val_accuracy, at_least: 0},{check: too_much, fact: epochs, at_least: 3}]"


def test_checks_are_printed_and_written_and_fail_the_command_under_strict_alone(lab):
    ended = lab("hydra.run.dir=run", "figures=none", *TINY, CHECKS)
    assert ended.code == 0
    assert "✓ learns" in ended.out
    assert "✗ too_much: epochs is 2, expected >= 3" in ended.out
    header, rows = read_csv(lab.folder / "run" / "checks.csv")
    assert header == ["check", "fact", "relation", "expected", "found", "passed"]
    assert rows[1] == ["too_much", "epochs", "at_least", "3.0", "2.0", "false"]
    strict = lab("hydra.run.dir=strict", "figures=none", *TINY, CHECKS, "strict=true")
    assert strict.code == 1
    assert "1 of 2 checks failed: too_much" in strict.err
    assert lab("hydra.run.dir=fine", "figures=none", *TINY, CHECKS, "epochs=3", "strict=true").code == 0


def test_strict_without_a_check_is_a_failure(lab):
    ended = lab("hydra.run.dir=run", "figures=none", *TINY, "strict=true")
    assert ended.code == 1
    assert "asks for checks" in ended.err
    assert not (lab.folder / "run").exists()


def test_of_several_runs_that_each_must_pass_the_worst_is_named(tmp_path):
    sweep = write_sweep(tmp_path / "sweep", [{"optim.lr": rate} for rate in (0.1, 0.2, 0.3)], epochs=2)
    losses = [Facts(run)["val_loss"] for _, run in sweep.runs]
    worst = losses.index(max(losses))
    (said,) = of_sweep(parse([{"fact": "val_loss", "below": 0}]), sweep)
    assert f"in run {worst}, the worst of 3, 3 of which fail, expected < 0" in str(said)
    (said,) = of_sweep(parse([{"fact": "val_loss", "take": "mean", "below": 0}]), sweep)
    assert "worst" not in str(said)
    (said,) = of_sweep(parse([{"fact": "val_loss", "of": {"optim.lr": 0.2}, "below": 0}]), sweep)
    assert "worst" not in str(said)  # of one


def test_a_sweep_writes_its_checks_and_its_runs_theirs(lab):
    check = "{fact: weights_apart, above: 0}, {fact: val_accuracy, at_least: 2}"
    ended = lab("-m", "seed=0,1", "hydra.sweep.dir=sweep", "figures=none", *TINY, f"checks=[{check}]", "strict=true")
    assert ended.code == 1
    rows = read_csv(lab.folder / "sweep" / "checks.csv")[1]
    assert [(row[0], row[-1]) for row in rows] == [
        ("weights_apart_above_0", "true"),
        ("val_accuracy_at_least_2", "false"),
    ]
    for number in "01":
        assert [row[-1] for row in read_csv(lab.folder / "sweep" / number / "checks.csv")[1]] == ["false"]
        assert yaml.safe_load((lab.folder / "sweep" / number / "config.yaml").read_text())["strict"] is False


def test_values_that_make_the_same_run_as_others_answer_as_that_run_does(lab):
    lab.write(
        "conf/experiment/mine.yaml",
        "# @package _global_\n# Twins.\nsweep:\n  variants: {a: {model.hidden: [8]}, b: {model.hidden: [8]}}\n"
        "checks:\n  - {check: a, fact: epochs, of: {variant: a}, equals: 2}\n"
        "  - {check: b, fact: epochs, of: {variant: b}, equals: 2}\n",
    )
    ended = lab("experiment=mine", "hydra.sweep.dir=sweep", "figures=none", *TINY[1:], "strict=true")
    assert ended.code == 0, ended.err
    assert "left out" in ended.err


def test_values_that_make_one_run_are_not_held_against_each_other(lab):
    check = "checks=[{fact: weights_apart, equals: 0},{fact: epochs, take: mean, equals: 2}]"
    ended = lab("-m", "optim.lr=0.01,0.010", "hydra.sweep.dir=sweep", "figures=none", *TINY, check)
    assert ended.code == 0
    assert [row[-1] for row in read_csv(lab.folder / "sweep" / "checks.csv")[1]] == ["false", "true"]


def test_a_single_run_says_which_checks_it_cannot_answer_and_is_not_strict_without_them(lab):
    check = "checks=[{fact: val_accuracy, at_least: 0},{fact: val_accuracy, take: mean, at_least: 2}]"
    ended = lab("hydra.run.dir=run", "figures=none", *TINY, check)
    assert ended.code == 0
    assert "1 of 2 checks are about several runs" in ended.out
    assert lab("hydra.run.dir=strict", "figures=none", *TINY, check, "strict=true").code == 1


def test_a_sweep_that_is_done_is_checked_again_when_asked_for_again(lab):
    made = ("-m", "seed=0,1", "hydra.sweep.dir=sweep", "figures=none", *TINY, "strict=true")
    assert lab(*made, "checks=[{fact: val_accuracy, at_least: 2}]").code == 1
    assert lab(*made, "checks=[{fact: val_accuracy, at_least: 0}]").code == 0


def test_checks_and_strictness_change_nothing_of_the_run(lab):
    one = lab.train("one", *TINY)
    other = lab.train("other", *TINY, "checks=[{fact: val_accuracy, at_least: 0}]", "strict=true")
    (one / "checks.csv").unlink(), (other / "checks.csv").unlink()
    for folder in (one, other):
        (folder / "checks.csv").write_text("")
    assert_same_run(one, other)


def test_a_diverged_run_is_checked_too(lab):
    ended = lab(
        "hydra.run.dir=run",
        "figures=none",
        *TINY,
        "optim=sgd",
        "optim.lr=1e30",
        "checks=[{fact: diverged, equals: 1},{fact: val_accuracy, at_least: 0}]",
    )
    assert ended.code == 1
    assert [row[-1] for row in read_csv(lab.folder / "run" / "checks.csv")[1]] == ["true", "false"]


def test_a_cut_run_checks_nothing_and_says_so(lab):
    ended = lab("hydra.run.dir=run", "figures=none", *TINY, CHECKS, "smoke=true")
    assert ended.code == 0
    assert "2 checks are left out" in ended.out
    refused = lab("hydra.run.dir=other", *TINY, CHECKS, "smoke=true", "strict=true")
    assert refused.code == 2
    assert "smoke=true" in refused.err


@pytest.mark.parametrize("checks", ["[{fact: a}]", "[{fact: a, at_mots: 1}]", "nothing", "[1]"])
def test_checks_that_cannot_be_read_are_refused_before_anything_is_done(lab, checks):
    ended = lab(f"checks={checks}", *TINY)
    assert ended.code == 2
    assert "checks" in ended.err
    assert ended.err.count("\n") <= 3
    assert not (lab.folder / "outputs").exists()


@pytest.mark.parametrize(
    ("check", "hint"),
    [
        ("{fact: val_acuracy, at_least: 0.9}", "did you mean val_accuracy?"),
        ("{fact: val_accuracy, at_least: hello}", "there is no fact hello"),
        ("{fact: dead_units, at_most: 3}", "probes=[activations]"),
        ("{fact: val_accuracy, of: {optim.lr: {fact: critical_lr}}, at_least: 0}", "probes=[least_squares]"),
    ],
)
def test_a_fact_that_cannot_be_there_is_refused_before_anything_is_done(lab, check, hint):
    ended = lab(f"checks=[{check}]", *TINY)
    assert ended.code == 2
    assert hint in ended.err
    assert not (lab.folder / "outputs").exists()


def test_every_fact_that_is_read_off_a_run_is_known_by_name(tmp_path):
    facts = Facts(load_run(write_run(tmp_path / "run")))
    assert [name for name in (*facts, *DERIVED, *PAIRS) if known_facts.known(name) is None] == []


def test_a_check_about_runs_that_there_are_none_of_says_so():
    found = verdict({"at_least": 0, "of": {"lr": 0.5}}, Subject({"a": 1.0}, {"lr": 0.1}))
    assert not found.passed
    assert "no run is lr=0.5" in str(found)


def test_too_few_checks_for_a_lab_are_refused_before_it_begins(lab):
    ended = lab("experiment=metrics", "checks=[]", "strict=true")
    assert ended.code == 1
    assert "experiment=metrics has 6 checks" in ended.err
    assert not (lab.folder / "outputs").exists()
    assert lab("experiment=losses", "hydra.mode=RUN", "strict=true").code == 1
