"""The NumPy models as torch networks, and what an ONNX model cannot be made of."""

from __future__ import annotations

import sys
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from labrunner import scratch
from labrunner.deep import onnx
from labrunner.deep.twins import twin
from labrunner.learner import Batch
from labrunner.schema import Activation
from tests.data.settings import ADALINE, MLP_NUMPY, NEURON, PERCEPTRON, config

SHAPE = (1, 4, 4)
CASES = [
    *(
        (name, model, classes)
        for name, model in (("perceptron", PERCEPTRON), ("adaline", ADALINE))
        for classes in (2, 3)
    ),
    ("neuron", NEURON, 2),
    *((f"mlp, {name}", {**MLP_NUMPY, "activation": name}, 3) for name in get_args(Activation)),
    ("mlp, batch norm", {**MLP_NUMPY, "batch_norm": True}, 3),
]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("model", "classes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_twin_in_torch_says_what_the_numpy_model_says(model, classes, precision):
    learner = scratch.make(config(model=model, precision=precision), SHAPE, classes)
    rng = np.random.default_rng(0)
    inputs = learner.array(3.0 * rng.standard_normal((40, *SHAPE)))
    for step in range(3):  # running means, and weights that are not as they were drawn
        learner.train_batch(Batch(inputs, rng.integers(0, classes, 40), step), 0.1)
    network = twin(model, SHAPE, classes, learner.weights())
    assert not network.training
    with torch.no_grad():
        found = network(torch.from_numpy(inputs.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, learner.scores(inputs), rtol=1e-4, atol=1e-5)


def test_of_weights_that_are_zero_the_length_is_one():
    learner = scratch.make(config(model=PERCEPTRON), SHAPE, 3)
    zeros = {name: np.zeros_like(values) for name, values in learner.weights().items()}
    network = twin(PERCEPTRON, SHAPE, 3, zeros)
    assert network(torch.ones(2, *SHAPE)).tolist() == [[0.0] * 3] * 2


def test_weights_of_another_model_are_refused():
    learner = scratch.make(config(model=PERCEPTRON), SHAPE, 3)
    with pytest.raises(ValueError, match=r"head\.weight"):
        twin(PERCEPTRON, (1, 5, 5), 3, learner.weights())


class Lengths(nn.Module):
    def forward(self, inputs: torch.Tensor) -> tuple[int, int]:
        return len(inputs), len([1, 2])


def test_a_length_is_a_size_of_the_tensor_while_a_network_is_traced_and_not_afterwards():
    network = Lengths()
    with onnx.symbolic_lengths(network):
        assert "len" in vars(sys.modules[__name__])
        assert network(torch.zeros(3, 1)) == (3, 2)
    assert "len" not in vars(sys.modules[__name__])


def test_what_no_file_can_hold_is_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(onnx, "MOST_BYTES", 100)
    whole = onnx.Whole(nn.Linear(10, 10), np.ones(10), np.zeros(10))
    with pytest.raises(onnx.Unexportable, match=r"its weights take 0\.0 GB, and an ONNX file in one piece holds 2"):
        onnx.encode(whole, "features", (10,), {})


def test_the_reason_is_that_of_the_first_error():
    error = RuntimeError("pages of advice")
    error.__cause__ = KeyError("the cause\nand more")
    assert onnx.reason(error) == "KeyError: 'the cause\\nand more'"
    error.__cause__ = ValueError("the cause\nand more")
    assert onnx.reason(error) == "ValueError: the cause"
    assert onnx.reason(ValueError()) == "ValueError"
