"""The NumPy models as torch networks with the same weights under the same names, for what takes torch networks alone.

They compute what the NumPy side computes in evaluation, to rounding; they are not trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from labrunner.deep.networks import Network, mlp

MARGINS = ("perceptron", "adaline")  # whose scores are asinh of the distance to the boundary


class Units(Network):
    """Linear units behind flattened inputs (N, …): scores (N, K), of one unit s the two scores -s/2 and s/2.

    Parameters
    ----------
    inputs, units : widths; K is `units`, or 2 of a single one
    bias : whether the units have one
    is_margin : whether outputs are margins, of which asinh(margin / length of the weights) is the score
    """

    def __init__(self, inputs: int, units: int, bias: bool, is_margin: bool) -> None:
        super().__init__(nn.Flatten(), nn.Linear(inputs, units, bias))
        self.is_margin = is_margin
        self.length = 1.0  # a number and no function of the weights: it is traced

    def score(self, features: torch.Tensor) -> torch.Tensor:
        outputs = self.head(features)
        if self.is_margin:
            outputs = torch.asinh(outputs / self.length)
        return torch.cat([-0.5 * outputs, 0.5 * outputs], dim=1) if outputs.shape[1] == 1 else outputs

    def measure(self) -> None:
        """Take the length of the weights as they are: of one unit, the root mean square over all; 1 of zeros."""
        weight = self.head.weight.detach().double()  # type: ignore[union-attr, operator]
        largest = float(weight.abs().max()) or 1.0  # scaled by it, no square overflows
        self.length = largest * math.sqrt(float(((weight / largest) ** 2).sum()) / len(weight)) or 1.0


def twin(
    model: Mapping[str, Any], input_shape: tuple[int, ...], num_classes: int, weights: Mapping[str, np.ndarray]
) -> Network:
    """The torch network, float32 and in evaluation mode, of a NumPy model.

    Parameters
    ----------
    model : the composed `model` group of perceptron, adaline, neuron or mlp_numpy
    input_shape, num_classes : from the data set's description
    weights : as its learner's `weights` has them

    Raises
    ------
    ValueError
        when the weights are not those of such a model.
    """
    network: Network
    if model["name"] == "mlp_numpy":
        network = mlp(input_shape, num_classes, model["hidden"], model["activation"], model["batch_norm"], dropout=0.0)
    else:
        is_one = num_classes == 2 or model["name"] == "neuron"
        network = Units(
            math.prod(input_shape), 1 if is_one else num_classes, model.get("bias", True), model["name"] in MARGINS
        )
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in weights.items()})
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    if isinstance(network, Units):
        network.measure()
    return network.eval()
