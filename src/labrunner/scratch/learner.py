"""The NumPy learner: network, loss and optimizer behind the contract of `labrunner.learner`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from labrunner.learner import ANY, Batch, BatchOut, Origin, Tally, Wants
from labrunner.scratch.losses import Loss, length, smoothed, softmax
from labrunner.scratch.network import Network
from labrunner.scratch.optimizers import Optimizer
from labrunner.seeding import generator


class NumpyLearner:
    """A `labrunner.learner.Learner` of which every line of arithmetic can be read.

    Parameters
    ----------
    network : with its starting weights
    loss : of the network's outputs
    optimizer : built on `network.parameters`, whose arrays it moves in place
    seed : the run's seed; with the step of a batch it decides what dropout leaves out
    label_smoothing : share of each training target that is spread over all classes
    wants : what the inputs have been made to be
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        optimizer: Optimizer,
        seed: int,
        label_smoothing: float = 0.0,
        wants: Wants = ANY,
    ) -> None:
        self.network = network
        self.loss = loss
        self.optimizer = optimizer
        self.seed = seed
        self.label_smoothing = label_smoothing
        self.wants = wants
        self.origin: Origin | None = None
        self.work = network.work()

    def array(self, values: np.ndarray) -> np.ndarray:
        """`values` in the network's precision; integers (images, labels, indices) keep their type."""
        values = np.asarray(values)
        is_float = np.issubdtype(values.dtype, np.floating)
        return np.ascontiguousarray(values, self.network.dtype if is_float else None)

    def start_epoch(self, epoch: int) -> dict[str, float]:
        """Nothing ever freezes here: all parameters train."""
        return {"parameters_trainable": float(sum(w.size for w in self.network.parameters.values()))}

    def stages(self) -> dict[str, list[str]]:
        """Layer -> names of its weights, from the inputs to the head."""
        found: dict[str, list[str]] = {}
        for name in self.network.weights():
            found.setdefault(name.rpartition(".")[0], []).append(name)
        return found

    def frozen(self, epoch: int) -> frozenset[str]:
        """None: nothing ever freezes here."""
        return frozenset()

    def turns(self) -> tuple[int, ...]:
        """None: nothing ever freezes here."""
        return ()

    def train_batch(self, batch: Batch, lr: float) -> BatchOut:
        """Forward, loss, backward, step. The scores are those of training, with dropout, before the step."""
        with quiet():
            out = self._differentiate(batch)
            self.optimizer.step(self.network.gradients, float(lr))
        return out

    def tally(self, outs: Sequence[BatchOut], targets: Sequence[Any]) -> Tally:
        """Losses of the batches, and how many samples have their target at the highest score."""
        hits = None
        if targets[0].ndim == 1:
            hits = sum(int((out.scores.argmax(axis=1) == y).sum()) for out, y in zip(outs, targets, strict=True))
        return Tally([float(out.loss) for out in outs], hits)

    def eval_batch(self, batch: Batch) -> BatchOut:
        """Loss and scores in evaluation mode; moves nothing."""
        with quiet():
            return self._out(self.network.forward(batch.inputs), batch.targets)

    def _out(self, outputs: np.ndarray, targets: np.ndarray) -> BatchOut:
        return BatchOut(self.loss.value(outputs, targets), self._scores(outputs))

    def scores(self, inputs: np.ndarray) -> np.ndarray:
        """(N, K) scores in evaluation mode; moves nothing."""
        with quiet():
            return self._scores(self.network.forward(inputs))

    def _scores(self, outputs: np.ndarray) -> np.ndarray:
        """Margins become distances to the boundary, and far ones are drawn nearer: asinh keeps their order.

        The softmax of distances themselves saturates to ties on inputs that are not normalized, and ties have no rank.
        """
        if self.loss.is_margin:
            outputs = np.arcsinh(self.distances(outputs))
        return self.loss.scores(outputs)

    def distances(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of linear units over the length of their weights, so that they do not depend on its scale."""
        return outputs / outputs.dtype.type(length(self.network.head.weight))

    def probabilities(self, scores: Sequence[Any]) -> np.ndarray:
        """A pass's batches of scores as one (N, K) float64 array whose rows sum to 1."""
        with quiet():
            return softmax(np.concatenate(scores).astype(np.float64))

    def activations(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Output of each layer by its name, first axis N, in evaluation mode; moves nothing."""
        with quiet():
            return {name: y.copy() for name, y in self.network.outputs(inputs)}

    def gradients(self, batch: Batch) -> dict[str, np.ndarray]:
        """Gradient of the data term by the parameters' names, with the batch's own dropout; moves nothing."""
        before = {name: value.copy() for name, value in self.network.buffers.items()}
        with quiet():
            self._differentiate(batch)
        for name, value in before.items():  # running means
            np.copyto(self.network.buffers[name], value)
        return {name: g.copy() for name, g in self.network.gradients.items()}

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of parameters and buffers, under torch's state_dict names."""
        return {name: w.copy() for name, w in self.network.weights().items()}

    def state(self) -> dict[str, np.ndarray]:
        """Copies of the weights (``weights/<name>``) and the optimizer's slots (``optim/<name>/<slot>``)."""
        state = {f"weights/{name}": w for name, w in self.weights().items()}
        for name, slots in self.optimizer.slots.items():
            state.update({f"optim/{name}/{slot}": value.copy() for slot, value in slots.items()})
        return state

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """Take over copies of what `state` returned.

        A parameter whose slots are all absent starts its optimizer afresh, as before the first step.

        Raises
        ------
        ValueError
            when names or shapes differ; nothing has changed then.
        """
        weights, optimizer = self.network.weights(), self.optimizer
        expected = {f"weights/{name}": w for name, w in weights.items()}
        loaded_slots = {}
        for name in self.network.parameters:
            blank = optimizer.blank(name)
            keys = {f"optim/{name}/{slot}": value for slot, value in blank.items()}
            if any(key in state for key in keys):
                expected.update(keys)
                loaded_slots[name] = blank
        _check_fit(state, expected)

        for name, w in weights.items():
            np.copyto(w, state[f"weights/{name}"])  # in place: the layers and the optimizer hold this very array
        for name, slots in loaded_slots.items():
            for slot, value in slots.items():
                np.copyto(value, state[f"optim/{name}/{slot}"], casting="unsafe")  # torch counts steps in floats
        optimizer.slots = loaded_slots

    def parameters(self) -> dict[str, tuple[int, bool]]:
        """Name -> (number of values, True): all of them train."""
        return {name: (w.size, True) for name, w in self.network.parameters.items()}

    def summary(self) -> str:
        """The table of the layers, with exact totals under it."""
        return self.network.summary()

    def _differentiate(self, batch: Batch) -> BatchOut:
        rng = generator(self.seed, "dropout", int(batch.step)) if self.network.has_dropout else None
        outputs = self.network.forward(batch.inputs, training=True, rng=rng)
        loss, grad = self.loss.value_and_gradient(outputs, self._training_targets(batch.targets, outputs.dtype))
        self.network.backward(grad)
        return BatchOut(loss, self._scores(outputs))

    def _training_targets(self, targets: np.ndarray, dtype: np.dtype) -> np.ndarray:
        if self.label_smoothing == 0.0:
            return targets
        return smoothed(targets, self.loss.classes, self.label_smoothing, dtype)


def quiet() -> np.errstate:
    """A run that diverges is seen by its loss; NumPy's warnings about overflow would only come first."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def _check_fit(state: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    faults = [
        f"{word} {_some(sorted(names))}"
        for word, names in [("missing", expected.keys() - state.keys()), ("unexpected", state.keys() - expected.keys())]
        if names
    ]
    for key in sorted(expected.keys() & state.keys()):
        found, wanted = np.shape(state[key]), expected[key].shape
        if found != wanted:
            faults.append(f"{key} has shape {found}, not {wanted}")
    if faults:
        raise ValueError(f"the state does not fit this network: {_some(faults, '; ')}")


def _some(items: Collection[str], separator: str = ", ", limit: int = 4) -> str:
    shown = separator.join(list(items)[:limit])
    return shown if len(items) <= limit else f"{shown}{separator}and {len(items) - limit} more"
