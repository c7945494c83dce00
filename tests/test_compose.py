"""From words to a checked config: what Hydra's users expect, and nothing left behind."""

from __future__ import annotations

import re

import pytest

from labrunner import schema
from labrunner.compose import check_config, compose
from labrunner.compose.checks import leaves
from labrunner.compose.names import is_sweep, quote_paths
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue

KNOWN = Catalogue()


def test_nothing_said_gives_the_defaults_as_plain_values():
    composed = compose([], KNOWN)
    assert composed.choices == {
        "model": "mlp",
        "dataset": "digits",
        "optim": "adam",
        "schedule": "constant",
        "reg": "none",
        "init": "default",
        "freeze": "none",
        "augment": "none",
    }
    assert composed.config["optim"] == {"name": "adam", "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8}
    assert {type(value) for value in walk(composed.config)} <= {dict, list, str, int, float, bool, type(None)}
    sections = {key.partition(".")[0] for key in KNOWN.top}
    assert set(composed.config) == {*sections, *GROUPS} - {"experiment"}


def walk(value):
    yield value
    for below in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(below)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("optim.lr=0.01", ("optim", "lr"), 0.01),
        ("optim.lr=1e-2", ("optim", "lr"), 0.01),
        ("optim.lr=1", ("optim", "lr"), 1),
        ("model.hidden=[]", ("model", "hidden"), []),
        ("model.hidden=[64, 32]", ("model", "hidden"), [64, 32]),
        ("batch_size=full", ("batch_size",), "full"),
        ("smoke=True", ("smoke",), True),
        ("reg.patience=null", ("reg", "patience"), None),
        ("reg.patience=5", ("reg", "patience"), 5),
        ("++seed=4", ("seed",), 4),
        ("seed=${epochs}", ("seed",), 30),
        ("select='last'", ("select",), "last"),
    ],
)
def test_an_override_means_what_it_means_to_hydra(text, key, value):
    found = compose([text], KNOWN).config
    for part in key:
        found = found[part]
    assert found == value
    assert type(found) is type(value)


def test_the_last_of_two_overrides_counts_and_options_come_before_keys():
    assert compose(["seed=1", "seed=2"], KNOWN).config["seed"] == 2
    assert compose(["optim.momentum=0.5", "optim=sgd"], KNOWN).config["optim"]["momentum"] == 0.5


def test_run_folders_are_named_by_time_and_never_twice():
    names = [compose([], KNOWN).run_dir for _ in range(5)]
    assert len(set(names)) == 5
    for name in names:
        assert re.fullmatch(r"outputs/runs/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{4}", str(name))


def test_composing_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compose(["model=cnn"], KNOWN)
    with pytest.raises(RequestError):
        compose(["optim.lr=-1"], KNOWN)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "value",
    ["1,2", "mlp,cnn", "range(3)", "choice(1,2)", "glob(*)", "[1],[2]", "{a:1},{b:2}", "'a','b'", "interval(0,1)"],
)
def test_several_values_are_recognized(value):
    assert is_sweep(value)


@pytest.mark.parametrize("value", ["1", "[1,2]", "{a:1,b:2}", "'a,b'", '"a,b"', "[[1,2],[3]]", "ranges", "(1,2)", ""])
def test_one_value_with_commas_inside_is_one_value(value):
    assert not is_sweep(value)


@pytest.mark.parametrize(
    "path",
    [
        "a b",
        "a,b",
        "[a]",
        "a=b",
        "it's",
        "a\\b",
        "a\\",
        "\\'",
        'say "a"',
        "a\\\\'b",
        "(a",
        "{a",
        "a:b",
        "~/a",
        "$a",
        "#a",
    ],
)
def test_a_path_reaches_the_run_as_it_was_typed(path):
    assert str(compose([f"hydra.run.dir={path}"], KNOWN).run_dir) == path


def test_a_path_that_is_quoted_already_is_left_alone():
    assert quote_paths("hydra.run.dir='a b'") == "hydra.run.dir='a b'"
    assert str(compose(["hydra.run.dir='a b'"], KNOWN).run_dir) == "a b"
    assert quote_paths("optim.lr=0.1") == "optim.lr=0.1"


def test_leaves_names_what_is_deepest():
    assert list(leaves({"a": 1, "b": {"c": 2, "d": {"e": [3]}}, "f": {}})) == ["a", "b.c", "b.d.e", "f"]


def test_a_composed_config_passes_the_checks_of_a_saved_one():
    composed = compose(["model=cnn", "reg=dropout"], KNOWN)
    check_config(composed.config, composed.choices, KNOWN)
    for key in [*KNOWN.top, *composed.choices]:
        lacking = schema.without(composed.config, [key])
        with pytest.raises(RequestError, match=key):
            check_config(lacking, composed.choices, KNOWN)


def test_composing_leaves_omegaconf_as_it_was(monkeypatch):
    from omegaconf import OmegaConf

    monkeypatch.setenv("WORD", "here")
    compose([], KNOWN)
    with pytest.raises(RequestError):
        compose(["optim.lr=abc"], KNOWN)
    assert OmegaConf.create({"word": "${oc.env:WORD}", "number": "${oc.decode:'3'}"}) == {"word": "here", "number": 3}
