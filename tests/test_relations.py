"""What an experiment expects is data, read whole or refused with the part that is wrong; nothing is executed."""

from __future__ import annotations

import pytest

from labrunner.errors import RequestError
from labrunner.relations import RELATIONS, TAKES, parse


def one(**said):
    (check,) = parse([{"fact": "val_accuracy", **said}])
    return check


def test_a_number_or_a_fact_stands_on_the_right():
    assert one(at_least=0.9).expected.number == 0.9
    assert one(at_most="novikoff_bound").expected.fact == "novikoff_bound"
    other = one(at_least={"fact": "val_accuracy", "of": {"model": "mlp"}, "plus": 0.08}).expected
    assert (other.fact, dict(other.of), other.take, other.plus) == ("val_accuracy", {"model": "mlp"}, "mean", 0.08)


def test_a_check_without_a_name_is_called_by_what_it_says():
    assert one(at_least=0.9).name == "val_accuracy_at_least_0.9"
    assert one(at_least=0.9, take="mean", of={"model": "mlp"}).name == "mean_val_accuracy_of_model_mlp_at_least_0.9"
    assert one(check="learns", at_least=0.9).name == "learns"


@pytest.mark.parametrize(
    ("said", "is_about_several"),
    [
        ({"at_least": 0.9}, False),
        ({"at_least": "test_accuracy"}, False),
        ({"at_least": 0.9, "take": "mean"}, True),
        ({"at_least": 0.9, "of": {"model": "mlp"}}, True),
        ({"at_least": {"fact": "val_accuracy", "of": {"model": "mlp"}}}, True),
        ({"fact": "weights_apart", "equals": 0}, True),
    ],
)
def test_what_only_a_sweep_can_answer_is_known(said, is_about_several):
    assert one(**said).is_about_several is is_about_several


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("nonsense", "takes a list"),
        (["nonsense"], "takes a mapping"),
        ([{}], "takes a fact and one of"),
        ([{"fact": "a"}], "takes a fact and one of"),
        ([{"at_most": 1}], "takes a fact and one of"),
        ([{"fact": "a", "at_most": 1, "at_least": 0}], "takes a fact and one of"),
        ([{"fact": "a", "atmost": 1}], "did you mean at_most"),
        ([{"fact": "a", "at_most": None}], "takes a number, or the name of a fact"),
        ([{"fact": "a", "at_most": True}], "takes a number, or the name of a fact"),
        ([{"fact": "a", "at_most": float("nan")}], "takes a number, or the name of a fact"),
        ([{"fact": "a", "at_most": [1]}], "takes a number, or the name of a fact"),
        ([{"fact": 3, "at_most": 1}], "name of a fact"),
        ([{"fact": "a", "at_most": {"fact": "b", "within": 1}}], "no such part"),
        ([{"fact": "a", "at_most": {"plus": 1}}], "name of a fact"),
        ([{"fact": "a", "at_most": 1, "take": "mode"}], "each, mean, median"),
        ([{"fact": "a", "at_most": 1, "of": "model"}], "swept keys with their values"),
        ([{"fact": "a", "at_most": 1, "of": {"optim.lr": {"times": 2}}}], "a value, a list of values"),
        ([{"fact": "a", "at_most": 1, "of": {"optim.lr": {"fact": "b", "plus": 2}}}], "no such part"),
        ([{"fact": "a", "at_most": 1, "times": "2"}], "takes a number"),
        ([{"fact": "a", "equals": 1, "within": "2"}], "takes a number"),
        ([{"fact": "a", "equals": 1, "within": -0.1}], "from 0"),
        ([{"fact": "a", "at_most": 1, "within": 0.1}], "room that equals leaves"),
        ([{"fact": "weights_apart", "above": 0, "take": "min"}], "of several runs already"),
        ([{"fact": "a", "at_most": {"fact": "weights_apart"}}], "stands on the left"),
        ([{"fact": "a", "at_least": "0.9"}], "without quotes"),
        ([{"fact": "a", "at_most": 1, "check": 7}], "takes a name"),
        ([{"fact": "a", "at_most": 1}, {"fact": "a", "at_most": 1}], "two are called"),
    ],
)
def test_what_is_no_check_is_refused_with_the_part_that_is_wrong(said, complaint):
    with pytest.raises(RequestError, match=r"^checks") as refused:
        parse(said)
    assert complaint in str(refused.value)
    assert str(refused.value).count("\n") < 3


def test_text_is_a_fact_to_look_up_and_never_an_expression():
    check = one(at_most="__import__('os').system('false')")
    assert check.expected.fact == "__import__('os').system('false')"


def test_every_relation_and_every_way_to_take_several_can_be_named():
    for relation in RELATIONS:
        assert one(**{relation: 1}).relation == relation
    for take in TAKES:
        assert one(at_most=1, take=take).found.take == take
