"""Samples of validation and test that are trained on as well: how many there are, and where nobody looks."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labrunner.data import Description, Samples, in_train
from tests.cli.lab import Lab


def samples(inputs: np.ndarray, **more: Any) -> Samples:
    described = Description("drawn", inputs.shape[1:], ("a", "b"))
    return Samples(described, inputs, np.arange(len(inputs)) % 2, **more)


def counted(made: Samples, train: range, val: range | None, test: range | None) -> dict[str, int]:
    splits = {
        name: None if places is None else SimpleNamespace(index=np.array(places))
        for name, places in (("train", train), ("val", val), ("test", test))
    }
    return in_train(SimpleNamespace(samples=made, **splits))  # type: ignore[arg-type]


def test_they_are_counted_as_by_comparing_each_with_each():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 9)).astype(np.float32)
    inputs[rng.integers(0, 200, 60)] = inputs[rng.integers(0, 200, 60)]  # copies within and across splits
    train, val, test = range(100), range(100, 150), range(150, 200)
    expected = {
        name: sum(any((inputs[place] == inputs[other]).all() for other in train) for place in split)
        for name, split in (("val", val), ("test", test))
    }
    assert min(expected.values()) > 0
    assert counted(samples(inputs), train, val, test) == expected
    assert counted(samples(inputs), train, None, test) == {"test": expected["test"]}
    flipped = inputs.reshape(200, 3, 3).transpose(2, 1, 0).copy().transpose(2, 1, 0)  # in another order in memory
    assert counted(samples(flipped), train, val, test) == expected


@pytest.mark.parametrize("differs", [0, 8])
def test_a_copy_that_differs_in_one_number_is_none(differs: int):
    inputs = np.tile(np.arange(40, dtype=np.uint8)[:, None], (1, 9))
    inputs[20:] = inputs[:20]
    assert counted(samples(inputs), range(20), range(20, 30), range(30, 40)) == {"val": 10, "test": 10}
    inputs[25, differs] += 100
    assert counted(samples(inputs), range(20), range(20, 30), range(30, 40)) == {"val": 9, "test": 10}


def test_where_equal_inputs_mean_nothing_or_were_not_read_nobody_looks():
    inputs = np.tile(np.arange(100, dtype=np.float32)[:, None], (1, 8))
    splits = range(50), range(50, 75), range(75, 100)
    assert counted(samples(inputs), *splits) == {"val": 0, "test": 0}
    assert counted(samples(inputs[:, :7]), *splits) == {}, "seven numbers are often the same"
    assert counted(samples(inputs // 10), *splits) == {}, "ten inputs for a hundred samples"
    assert counted(samples(inputs, listed=True), *splits) == {}


def test_a_run_counts_them_in_its_facts(lab: Lab):
    found = json.loads((lab.train("run", "dataset=fake", "epochs=1") / "facts.json").read_text())
    assert (found["val_in_train"], found["test_in_train"]) == (0, 0)
    narrow = json.loads((lab.train("iris", "dataset=iris", "epochs=1") / "facts.json").read_text())
    assert "val_in_train" not in narrow
