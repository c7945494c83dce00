"""The table of types and ranges, beside the YAML files that it is about."""

from __future__ import annotations

import copy
import importlib
import math
import sys
from typing import Any

import pytest
import yaml
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from labrunner import schema
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, packaged_conf

CONF = packaged_conf()


def keys_of_yaml() -> set[str]:
    found = set()
    for path in CONF.rglob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        if path.parent.name == "experiment":
            continue
        prefix = "" if path.parent == CONF else f"{path.parent.name}."
        found |= {f"{prefix}{key}" for key in flat(content)}
    return found


def flat(content: dict[str, Any]) -> dict[str, Any]:
    """The keys of a YAML file that are ours; those of a section are dotted."""
    found = {}
    for key, value in content.items():
        if key in ("name", "defaults", "hydra"):
            continue
        found |= {f"{key}.{name}": inner for name, inner in value.items()} if isinstance(value, dict) else {key: value}
    return found


def test_the_table_has_the_keys_of_the_yaml_files_and_no_other():
    assert set(schema.KEYS) == keys_of_yaml()


def test_every_value_in_the_yaml_files_is_one_that_the_table_takes():
    for path in CONF.rglob("*.yaml"):
        if path.parent.name == "experiment":
            continue
        prefix = "" if path.parent == CONF else f"{path.parent.name}."
        for key, value in flat(yaml.safe_load(path.read_text())).items():
            schema.check_value(f"{prefix}{key}", schema.KEYS[f"{prefix}{key}"], value)


def test_keys_outside_the_hash_and_keys_that_take_paths_exist():
    assert set(schema.RESUMABLE) < set(schema.OUTSIDE_HASH) <= set(schema.KEYS)
    assert set(schema.PATHS) - {"hydra.run.dir", "hydra.sweep.dir"} <= set(schema.KEYS)
    assert {key.partition(".")[0] for key in schema.KEYS if "." in key} <= {*GROUPS, "checkpoint"}


def test_keys_are_taken_out_of_a_config_and_the_config_stays_as_it_was():
    config = {"seed": 1, "memory": 2, "dataset": {"name": "fake", "memory": 3, "root": "a"}, "reg": {"memory": 4}}
    before = copy.deepcopy(config)
    assert schema.without(config, ("seed", "dataset.memory", "dataset.missing", "augment.flip")) == {
        "memory": 2,
        "dataset": {"name": "fake", "root": "a"},
        "reg": {"memory": 4},
    }
    assert "reg" not in schema.without(config, ["reg.memory"])  # of which nothing is left
    assert config == before


def test_changed_keys_are_set_in_a_copy_and_a_missing_group_is_made():
    config = {"epochs": 1, "reg": {"l1": 0, "patience": 3}}
    changes = {"epochs": 2, "reg.l1": 1, "checkpoint.every_batches": None}
    assert schema.changed(config, changes) == {
        "epochs": 2,
        "reg": {"l1": 1, "patience": 3},
        "checkpoint": {"every_batches": None},
    }
    assert config == {"epochs": 1, "reg": {"l1": 0, "patience": 3}}


EDGES = {
    "seed": ([0, 2**63 - 1], [-1, 2**63, 0.0, False, "0", None]),
    "epochs": ([1, 10**9], [0, 1.0, True, "1"]),
    "batch_size": ([1, "full"], [0, "Full", 1.0, True]),
    "threads": ([1, "auto"], [0, "all", 1.0]),
    "smoke": ([True, False], [0, 1, "true", None]),
    "model.hidden": ([[], [1], [3, 4]], [[0], [1.0], 3, None, "[]", [True], [[1]]]),
    "model.channels": ([[1]], [[], [0]]),
    "dataset.val_fraction": ([0, 0.0, 0.999999], [1, 1.0, -1e-9, math.nan, math.inf, True, "0.1"]),
    "dataset.samples": ([10], [9]),
    "dataset.channels": ([1, 3], [2, 1.0, 3.0, True, "1"]),
    "dataset.size": ([1, 1024], [0, 1025]),
    "optim.lr": ([1e-300, 1, 1e30], [0, 0.0, -1.0, math.nan, math.inf, True, None]),
    "optim.betas": ([[0.9, 0.999], [0, 0]], [[0.9], [0.9, 0.9, 0.9], [0.9, 1], [0.9, math.nan], 0.9]),
    "reg.patience": ([None, 1], [0, 1.5, "never", True]),
    "reg.weight_decay": ([0, 0.0, 3], [-1e-9, math.inf, math.nan]),
}


@pytest.mark.parametrize("key", EDGES)
def test_the_range_of_a_key_ends_where_it_says(key):
    taken, refused = EDGES[key]
    for value in taken:
        schema.check_value(key, schema.KEYS[key], value)
    for value in refused:
        with pytest.raises(RequestError, match=rf"^{key}="):
            schema.check_value(key, schema.KEYS[key], value)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("optim.lr", "a number above 0"),
        ("reg.dropout", "a number from 0 and below 1"),
        ("seed", "a whole number from 0 and below 2^63"),
        ("dataset.size", "a whole number from 1 to 1024 or null"),
        ("dataset.root", "text of at least 1 character"),
        ("batch_size", "a whole number from 1 to 2^31 or full"),
        ("reg.patience", "a whole number from 1 or null"),
        ("smoke", "true or false"),
        ("select", "best or last"),
        ("figures", "all, few or none"),
        ("model.hidden", "a list, each a whole number from 1 to 1000000"),
        ("model.channels", "a list, each a whole number from 1 to 10000; at least 1"),
        ("optim.betas", "a list, each a number from 0 and below 1; 2 of them"),
    ],
)
def test_a_type_is_described_in_plain_words(key, words):
    assert schema.describe(schema.KEYS[key]) == words


def test_a_description_speaks_of_every_limit():
    for key, kind in schema.KEYS.items():
        said = schema.describe(kind)
        for limit in getattr(kind, "__metadata__", ()):
            bound = {Ge: "ge", Gt: "gt", Le: "le", Lt: "lt", MinLen: "min_length", MaxLen: "max_length"}[type(limit)]
            value = getattr(limit, bound)
            assert ("2^63" if value == 2**63 else str(value)) in said, key


def test_a_long_value_is_cut_in_messages():
    with pytest.raises(RequestError) as refused:
        schema.check_value("select", schema.KEYS["select"], "x" * 500)
    assert len(str(refused.value)) < 120


def test_lookup_tells_a_missing_key_from_one_that_is_null():
    config = {"reg": {"patience": None}, "seed": 0}
    assert schema.lookup(config, "reg.patience") == (True, None)
    assert schema.lookup(config, "reg.dropout") == (False, None)
    assert schema.lookup(config, "seed") == (True, 0)
    assert schema.lookup(config, "seed.deeper") == (False, None)


def test_the_table_names_activations_devices_and_monitors_that_exist():
    from labrunner import initial
    from labrunner.deep import PRECISIONS, networks
    from labrunner.records import MONITORS
    from labrunner.scratch.layers import ACTIVATIONS

    def words(key):
        return list(schema.KEYS[key].__args__)

    assert words("monitor") == list(MONITORS)
    assert set(words("model.activation")) == set(networks.ACTIVATIONS) == set(ACTIVATIONS)
    assert set(words("model.pooling")) == {*networks.POOLINGS, "none"}
    assert set(words("precision")) == set(PRECISIONS)
    assert {path.stem for path in (CONF / "init").glob("*.yaml")} == set(initial.SCHEMES)


def test_reading_the_table_imports_neither_torch_nor_hydra(fresh):
    program = "import sys, labrunner.schema, labrunner.helping; print({'torch', 'hydra', 'yaml'} & set(sys.modules))"
    process = fresh(python=[sys.executable, "-P", "-c", program])
    assert process.communicate()[0].strip() == "set()"
    assert importlib.util.find_spec("labrunner.schema")
