"""The config on a run's page: what differs from the shipped YAML is marked, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from labrunner.records import Run, load_run
from labrunner.report import render
from labrunner.report.settings import settings
from tests.figures.looking import write_run
from tests.pages.reading import Page

CONF = Path(__file__).parents[2] / "conf"
GROUPS = [path.name for path in sorted(CONF.iterdir()) if path.is_dir() and path.name != "experiment"]
OPTIONS = [f"{group}/{path.stem}" for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]


def shipped(path: Path) -> dict[str, Any]:
    """What PyYAML reads in a shipped file, without what is Hydra's."""
    found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return {key: value for key, value in found.items() if key not in ("defaults", "hydra")}


def default_choices() -> dict[str, str]:
    defaults = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    entries = [entry for entry in defaults if isinstance(entry, dict)]
    return {name: option for entry in entries for name, option in entry.items() if name in GROUPS}


def as_run(config: dict[str, Any], choices: dict[str, str], typed: tuple[str, ...] = ()) -> Run:
    found: Any = SimpleNamespace(config=config, choices=choices, overrides={"overrides": list(typed)})
    return found


def differing(run: Run) -> dict[str, str]:
    """Key, or name of a group -> the default that is shown."""
    groups = settings(run)
    found = {each.key: each.default.text for group in groups for each in group.settings if each.default is not None}
    return found | {group.name: group.default.text for group in groups if group.default is not None}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_config_of_what_the_shipped_yaml_says_differs_in_its_option_alone(option):
    group, _, name = option.partition("/")
    choices = default_choices()
    config = shipped(CONF / "config.yaml") | {each: shipped(CONF / each / f"{choices[each]}.yaml") for each in GROUPS}
    config[group] = shipped(CONF / group / f"{name}.yaml")
    expected = {} if choices[group] == name else {group: choices[group]}
    assert differing(as_run(config, choices | {group: name})) == expected


def test_what_was_changed_is_marked_with_what_it_would_have_been_whoever_changed_it():
    choices = default_choices()
    config = shipped(CONF / "config.yaml") | {each: shipped(CONF / each / f"{choices[each]}.yaml") for each in GROUPS}
    config["epochs"] = 31
    config["checkpoint"] = config["checkpoint"] | {"every_batches": 5}
    config["optim"] = config["optim"] | {"lr": 0.25, "betas": [0.9, 0.99]}
    config["model"] = config["model"] | {"of_my_own": 3}
    lr = str(shipped(CONF / "optim" / "adam.yaml")["lr"])
    epochs = str(shipped(CONF / "config.yaml")["epochs"])
    assert differing(as_run(config, choices)) == {
        "epochs": epochs,
        "checkpoint.every_batches": "null",
        "optim.lr": lr,
        "optim.betas": "[0.9, 0.999]",
    }


@pytest.mark.parametrize(
    ("default", "same", "other"),
    [
        ("1", [1, 1.0], [True, "one", None, 2]),
        ("null", [None], [0, False, "null"]),
        ("false", [False], [0, None]),
        ("1e-8", [1e-8, "1e-8"], [2e-8]),
        ("[1, 2.0]", [[1, 2], [1.0, 2.0]], [[1], [2, 1], 1]),
        ("auto", ["auto"], ["none", None]),
    ],
)
def test_values_are_compared_as_what_they_mean(monkeypatch, default, same, other):
    from labrunner.helping import Catalogue, Key

    monkeypatch.setattr(Catalogue, "top", {"seed": Key("seed", default, "")})
    for value in same:
        assert differing(as_run({"seed": value}, {})) == {}, value
    for value in other:
        assert list(differing(as_run({"seed": value}, {}))) == ["seed"], value


def test_an_option_of_ones_own_has_no_defaults_and_a_group_still_has():
    config = {"optim": {"name": "mine", "lr": 3.0, "speed": 2}}
    assert differing(as_run(config, {"optim": "mine"})) == {"optim": "adam"}


def test_the_page_shows_value_and_default_side_by_side_each_with_its_file(tmp_path):
    folder = write_run(tmp_path / "run", settings={"epochs": 12}, typed=("epochs=12",))
    text = render(load_run(folder))
    shown = dict(Page(text).shown)
    assert shown["config.yaml#epochs"] == "12"
    assert shown["conf/config.yaml#epochs"] == str(shipped(CONF / "config.yaml")["epochs"])
    assert '<tr class="typed differs"><th scope="row"><code>epochs</code>' in text
    assert "conf/config.yaml#seed" not in shown
