"""The networks of the NumPy side: named layers in a row, run forward for outputs and backward for gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from labrunner import initial
from labrunner.scratch.layers import ACTIVATIONS, BatchNorm, Dropout, Flatten, Layer, Linear


class Network:
    """flatten, then (linear[, batch norm], activation[, dropout]) for each hidden width, then the head.

    Parameters
    ----------
    input_shape : of one sample: (channels, height, width) or (features,)
    hidden : width of each hidden layer, from the input on; empty is a linear model
    units : number of outputs
    activation : a key of `ACTIVATIONS`
    batch_norm : normalize over the batch between a linear layer, then without a bias, and its activation
    dropout : chance that a hidden unit is left out of a training step; 0 makes no dropout layers
    bias : whether the head has one
    dtype : np.float32 or np.float64

    Attributes
    ----------
    layers : name -> layer in forward order: ``backbone.flatten``, ``backbone.linear1``, ``backbone.norm1``,
        ``backbone.act1``, ``backbone.drop1``, …, ``head``
    parameters, gradients : name (``backbone.linear1.weight``) -> array; the layers' own arrays, not copies
    buffers : the same of what is measured and not trained
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        hidden: Sequence[int],
        units: int,
        activation: str = "relu",
        *,
        batch_norm: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        dtype: type[np.floating] = np.float32,
    ) -> None:
        self.input_shape = tuple(input_shape)
        self.dtype = dtype
        self.layers: dict[str, Layer] = {"backbone.flatten": Flatten()}
        width = math.prod(self.input_shape)
        for i, out in enumerate(hidden, start=1):
            # a bias in front of batch norm is subtracted again with the mean
            self.layers[f"backbone.linear{i}"] = Linear(width, out, dtype, bias=not batch_norm)
            if batch_norm:
                self.layers[f"backbone.norm{i}"] = BatchNorm(out, dtype)
            self.layers[f"backbone.act{i}"] = ACTIVATIONS[activation]()
            if dropout > 0.0:
                self.layers[f"backbone.drop{i}"] = Dropout(dropout)
            width = out
        self.head = Linear(width, units, dtype, bias)
        self.layers["head"] = self.head

        self.parameters = {f"{name}.{p}": w for name, layer in self.layers.items() for p, w in layer.parameters.items()}
        self.buffers = {f"{name}.{p}": w for name, layer in self.layers.items() for p, w in layer.buffers.items()}
        self.gradients = {f"{name}.{p}": g for name, layer in self.layers.items() for p, g in layer.gradients.items()}
        self.has_dropout = any(isinstance(layer, Dropout) for layer in self.layers.values())
        self._first = next(layer for layer in self.layers.values() if layer.parameters)
        chain = list(self.layers.values())
        self._behind_first = chain[chain.index(self._first) + 1 :]

    def initialize(self, options: Mapping[str, Any], seed: int) -> None:
        """Draw the starting weights by the composed `init` group: float64 numbers of `labrunner.initial`, rounded."""
        for name, layer in self.layers.items():
            if isinstance(layer, Linear):
                units, inputs = layer.weight.shape
                layer.weight[...] = initial.weight(options, seed, f"{name}.weight", (units, inputs))
                if layer.bias is not None:
                    layer.bias[...] = initial.bias(options, seed, f"{name}.bias", units, fan_in=inputs)

    def weights(self) -> dict[str, np.ndarray]:
        """Parameters and buffers in the order of the layers, as torch's state_dict has them; not copies."""
        named = {**self.parameters, **self.buffers}
        prefixes = [f"{name}." for name in self.layers]
        return {key: named[key] for prefix in prefixes for key in named if key.startswith(prefix)}

    def decaying(self, decay_all: bool) -> list[str]:
        """Names of the parameters that penalties pull at: not biases and norm parameters, unless `decay_all`."""
        pulled = {f"{name}.weight" for name, layer in self.layers.items() if isinstance(layer, Linear)}
        return [name for name in self.parameters if decay_all or name in pulled]

    def outputs(
        self, x: np.ndarray, training: bool = False, rng: np.random.Generator | None = None
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Name and output of each layer in turn, first axis N. An output may share memory with its input."""
        for name, layer in self.layers.items():
            x = layer.forward(x, training, rng)
            yield name, x

    def forward(self, x: np.ndarray, training: bool = False, rng: np.random.Generator | None = None) -> np.ndarray:
        """Outputs (N, units) for the inputs x (N, *input_shape)."""
        for layer in self.layers.values():
            x = layer.forward(x, training, rng)
        return x

    def backward(self, grad: np.ndarray) -> None:
        """Fill `gradients`, given grad (N, units) = dL/doutputs of the last forward call in training."""
        for layer in reversed(self._behind_first):
            grad = layer.backward(grad)
        self._first.fill_gradients(grad)  # nobody needs dL/dx of the data, the most costly product of all

    def work(self) -> int:
        """Multiply-adds of one sample's forward pass."""
        return sum(layer.weight.size for layer in self.layers.values() if isinstance(layer, Linear))

    def summary(self) -> str:
        """torchsummary's table of the layers, with exact totals under it."""
        lines = ["-" * 64, _row("Layer (type)", "Output Shape", "Param #"), "=" * 64]
        one_sample = np.zeros((1, *self.input_shape), self.dtype)
        for number, (name, y) in enumerate(self.outputs(one_sample), start=1):
            layer = self.layers[name]
            count = sum(w.size for w in layer.parameters.values())
            lines.append(_row(f"{type(layer).__name__}-{number}", str([-1, *y.shape[1:]]), f"{count:,}"))
        total = sum(w.size for w in self.parameters.values())
        lines += ["=" * 64, f"Total params: {total:,}", f"Trainable params: {total:,}", "Non-trainable params: 0"]
        return "\n".join([*lines, "-" * 64])


def _row(layer: str, shape: str, count: str) -> str:
    return f"{layer:>20}  {shape:>25} {count:>15}"
