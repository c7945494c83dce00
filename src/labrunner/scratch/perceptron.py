"""The perceptron: Rosenblatt's rule, one sample after the other."""

from __future__ import annotations

import numpy as np

from labrunner.learner import ANY, Batch, BatchOut, Wants
from labrunner.scratch.learner import NumpyLearner, quiet
from labrunner.scratch.losses import PerceptronCriterion
from labrunner.scratch.network import Network
from labrunner.scratch.optimizers import Optimizer


class Rosenblatt(Optimizer):
    """w <- w + lr t x and b <- b + lr t for each unit that is wrong about a sample x (Rosenblatt 1958).

    t is +1 for the unit's own class and -1 for the rest; an output of exactly 0 is wrong, so that learning can begin at
    w = 0. Its one slot counts the updates, each unit's for itself.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network.parameters)
        self.weight, self.bias = network.head.weight, network.head.bias

    def learn(self, x: np.ndarray, signs: np.ndarray, lr: float) -> np.ndarray:
        """One trip through a batch, sample by sample.

        Parameters
        ----------
        x : (N, D)
        signs : (N, units) of -1 and +1
        lr : the length of an update in units of the sample

        Returns
        -------
        (N, units) outputs of the units as each sample came.
        """
        weight, bias = self.weight, self.bias
        assert bias is not None
        outputs = np.empty(signs.shape, x.dtype)
        step, updates = x.dtype.type(lr), 0
        for sample, t, output in zip(x, signs, outputs, strict=True):
            output[...] = weight @ sample + bias
            wrong = t * output <= 0.0
            if wrong.any():
                change = step * t[wrong]
                weight[wrong] += np.outer(change, sample)  # w <- w + lr t x
                bias[wrong] += change  # b <- b + lr t
                updates += len(change)
        self.slots.setdefault("head.weight", self.blank("head.weight"))["updates"] += updates
        return outputs

    @property
    def updates(self) -> int:
        """Updates since the beginning, of all units together."""
        return int(self.slots["head.weight"]["updates"]) if self.slots else 0

    def blank(self, name: str) -> dict[str, np.ndarray]:
        return {"updates": np.zeros((), np.int64)} if name == "head.weight" else {}


class PerceptronLearner(NumpyLearner):
    """A learner that takes a batch sample by sample: the size of the batches changes nothing but the bookkeeping.

    The loss it reports is the perceptron criterion, of which the rule is the stochastic gradient descent, in distances
    to the boundary: in outputs, which grow with the weights, no epoch could be compared with another. `gradients` are
    those in outputs, the direction of the rule.
    """

    def __init__(self, network: Network, seed: int, classes: int, wants: Wants = ANY) -> None:
        rule, criterion = Rosenblatt(network), PerceptronCriterion(classes)
        super().__init__(network, criterion, rule, seed, wants=wants)
        self.rule, self.criterion = rule, criterion

    def start_epoch(self, epoch: int) -> dict[str, float]:
        """How many parameters train, and how many updates there were before this epoch."""
        return {**super().start_epoch(epoch), "updates": float(self.rule.updates)}

    def train_batch(self, batch: Batch, lr: float) -> BatchOut:
        """The rule on each sample in turn; the loss and the scores are those of its outputs on the way."""
        with quiet():
            x = batch.inputs.reshape(len(batch.inputs), -1)
            outputs = self.rule.learn(x, self.criterion.codes(batch.targets, x.dtype), float(lr))
            return self._out(outputs, batch.targets)

    def _out(self, outputs: np.ndarray, targets: np.ndarray) -> BatchOut:
        return BatchOut(self.criterion.value(self.distances(outputs), targets), self._scores(outputs))
