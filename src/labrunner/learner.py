"""The contract between the trainer and whatever learns.

A learner is a model with its loss and its optimizer: it knows how to take one batch. The trainer knows epochs,
schedules, selection and stopping, and nothing of array libraries. A NumPy network and a torchvision network go through
the same loop because both keep to this page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np


class Batch(NamedTuple):
    """What a learner gets to see at once."""

    inputs: Any  # (N, ...) in the learner's own array library, normalized
    targets: Any  # (N,) integers in [0, K); in training also (N, K) weights whose rows sum to 1, as under mixup
    step: int  # training batches before this one; owns the randomness of the batch


class BatchOut(NamedTuple):
    """What comes back from a batch; neither waited for nor a buffer that a later batch uses again."""

    loss: Any  # data term, mean over the batch; a scalar
    scores: Any  # (N, K)


class Tally(NamedTuple):
    """What came out of some training batches, as numbers."""

    losses: list[float]  # of each batch
    hits: int | None  # samples whose target has the highest score; None where targets are weights


class Wants(NamedTuple):
    """What a learner needs its inputs to be; None leaves the data set as it is."""

    channels: int | None = None
    size: int | None = None  # pixels, of a square
    mean: tuple[float, ...] | None = None  # normalization that the weights were trained with
    std: tuple[float, ...] | None = None
    resize: int | None = None  # the shorter side before the centre is cut to `size`; None cuts nothing off it
    interpolation: str = "bilinear"  # or bicubic


ANY = Wants()  # inputs as the data set has them


class Origin(NamedTuple):
    """Starting weights that were not drawn."""

    asked: str  # as in model.weights
    used: str  # imagenet, or the run folder or file that was read; none where nothing of a list was at hand
    sha256: str  # of what was read, if it was
    remarks: tuple[str, ...] = ()  # what happened to them, for the log: a head that was replaced, say


@runtime_checkable
class Learner(Protocol):
    """What the trainer asks of a learner. `labrunner.kit` holds the tests of this contract."""

    wants: Wants
    work: int  # multiply-adds of one sample's forward pass, for the rule that chooses threads
    origin: Origin | None  # where its starting weights are from; None where they were drawn

    def array(self, values: np.ndarray) -> Any:
        """`values` in the learner's own library, on its device; integers keep their type. Called once a split."""

    def start_epoch(self, epoch: int) -> dict[str, float]:
        """Set up for an epoch, counted from 1 (0 is before the first): thaw, freeze. Returns facts of the epoch."""

    def stages(self) -> dict[str, list[str]]:
        """Stage -> names of its tensors as `weights` has them, from the inputs to the scores; each is in one."""

    def frozen(self, epoch: int) -> frozenset[str]:
        """Names of the tensors that must not change in an epoch, buffers among them; a function of the epoch alone."""

    def turns(self) -> tuple[int, ...]:
        """The epochs, in order, in which other tensors are frozen than in the one before, were the run ever so long."""

    def train_batch(self, batch: Batch, lr: float) -> BatchOut:
        """One step of the optimizer with this learning rate. Depends on the state, the batch and its step alone."""

    def tally(self, outs: Sequence[BatchOut], targets: Sequence[Any]) -> Tally:
        """Losses and hits of some batches, waiting for the device once; the first of equal scores counts."""

    def eval_batch(self, batch: Batch) -> BatchOut:
        """Loss and scores in evaluation mode; moves nothing."""

    def scores(self, inputs: Any) -> Any:
        """(N, K) scores in evaluation mode, without labels; moves nothing."""

    def probabilities(self, scores: Sequence[Any]) -> np.ndarray:
        """A pass's batches of scores as one (N, K) float64 array whose rows sum to 1."""

    def activations(self, inputs: Any) -> dict[str, np.ndarray]:
        """Output of each layer by its name, first axis N, in evaluation mode; moves nothing."""

    def gradients(self, batch: Batch) -> dict[str, np.ndarray]:
        """Gradient of the data term of every parameter that trains, in training mode; moves nothing."""

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of parameters and buffers, under torch's state_dict names."""

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that a resume needs, flat: ``weights/<name>`` and ``optim/<name>/<slot>``, nothing else."""

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """Take over what `state` returned, all slots included: one that is absent starts afresh.

        Raises ValueError that names the culprit when names or shapes differ; nothing has changed then.
        """

    def parameters(self) -> dict[str, tuple[int, bool]]:
        """Name -> (number of values, whether it trains), of the parameters without the buffers."""

    def summary(self) -> str:
        """The table of the model's layers, with exact totals under it; moves nothing."""
