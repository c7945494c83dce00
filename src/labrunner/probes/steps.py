"""What happens step by step: the loss of each training batch, and the outputs for a few samples behind it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labrunner import schedule
from labrunner.data import Data
from labrunner.learner import Batch, BatchOut, Learner
from labrunner.probes import Notes, Probe
from labrunner.schema import epochs_of
from labrunner.thinning import evenly

ALL_STEPS = 1024  # so many steps are noted each
PAIRS = 256  # and of each doubling of the steps after them so many pairs of successive ones
END = 0.2  # the last part of the steps, over which the loss's movement is told
SAMPLES = 4  # whose outputs are followed
MOST_CLASSES = 20  # of more classes the probability of the right one is followed alone


def is_noted(step: int) -> bool:
    """Whether the `step`-th training batch, from 1, is noted: a rule of its number alone.

    A run that is resumed with more epochs has then noted what one piece would have. Later steps are noted in pairs, so
    that the loss of successive steps can be compared everywhere.
    """
    if step <= ALL_STEPS:
        return True
    octave = 2 ** (step.bit_length() - 1)  # the largest power of two that is not above the step
    return step % (octave // PAIRS) in (0, 1)


class Steps(Probe):
    """Loss and learning rate of each training step; of long runs, of fewer and fewer of them.

    ``probes/steps.csv``: ``epoch``, ``step`` (from 1), ``lr`` (of that step; blank under a plateau, which looks at
    rows), ``loss`` (of its batch, before the step: a mean without penalties). Of a run that diverges, the steps before.

    Facts: ``step_loss_spread``, how much the loss moves from one step to the next near the end: the mean of
    abs(loss[t+1] - loss[t]) over the noted successive steps among the last fifth of all. It is 0 for a full batch
    that has converged. ``step_loss_last`` is the loss of the last noted step.
    """

    HEADER = ("epoch", "step", "lr", "loss")

    def start(self, learner: Learner, data: Data, step: int) -> None:
        self._batches = data.train.batch_count
        epochs = epochs_of(self.config)
        self._total = epochs * self._batches
        options, rate = self.config["schedule"], self.config["optim"]["lr"]
        self._schedule = None
        if options["name"] != "plateau":
            self._schedule = schedule.make(options, rate, steps_per_epoch=self._batches)

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        step = batch.step + 1
        if is_noted(step):
            epoch = batch.step // self._batches + 1
            self.notes.note("steps", self.HEADER, [(epoch, step, self._lr(epoch, batch.step), float(out.loss))])

    def _lr(self, epoch: int, before: int) -> float | None:
        finished: list[Mapping[str, Any]] = [{}] * (epoch - 1)  # all but a plateau only count them
        return None if self._schedule is None else self._schedule(before, self._total, finished)

    def facts(self) -> dict[str, float]:
        rows = [row for row in self.notes.rows("steps") if row["loss"] is not None]
        if not rows:
            return {}
        found = {"step_loss_last": rows[-1]["loss"]}
        moved = movement([row["step"] for row in rows], [row["loss"] for row in rows])
        return found if moved is None else found | {"step_loss_spread": moved}


def movement(steps: Sequence[int], losses: Sequence[float]) -> float | None:
    """Mean of abs(loss[t+1] - loss[t]) over successive steps in the last `END` of them; None where there are none.

    Of few steps the last two count however long ago the first of them was.
    """
    begin = min((1.0 - END) * steps[-1], steps[-1] - 1)
    pairs = itertools.pairwise(zip(steps, losses, strict=True))
    moved = [abs(b - a) for (step, a), (after, b) in pairs if after == step + 1 and step >= begin]
    return math.fsum(moved) / len(moved) if moved else None


class Outputs(Probe):
    """Probability of each class for a few training samples, at the start and behind the steps that `Steps` notes.

    ``probes/outputs.csv``: ``epoch``, ``step`` (training batches so far; 0 is the start), ``index`` (position in the
    whole data set), ``label``, ``p_label`` (probability of the sample's class), then of up to 20 classes ``p_0``,
    ``p_1`` and on. Samples are taken evenly from the first to the last of the training split, four at most, and looked
    at in evaluation mode.

    Facts, of the first sample at the first and the last noted step: ``output_first``, ``output_last``: the probability
    of the second of two classes, which is the output of a sigmoid unit; of more classes that of the sample's own.
    """

    def __init__(self, notes: Notes, config: Mapping[str, Any]) -> None:
        super().__init__(notes, config)
        self._over = False

    def start(self, learner: Learner, data: Data, step: int) -> None:
        train = data.train
        positions = evenly(len(train), SAMPLES)
        self._inputs = train.at(positions).inputs
        self._labels, self._index = train.labels[positions], train.origin[positions]
        self._batches = train.batch_count
        classes = data.description.num_classes
        self._followed = range(classes if classes <= MOST_CLASSES else 0)
        if step == 0:
            self._note(learner, 0, 0)

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        step = batch.step + 1
        if not self._over and is_noted(step):
            self._note(learner, batch.step // self._batches + 1, step)

    def _note(self, learner: Learner, epoch: int, step: int) -> None:
        header = ("epoch", "step", "index", "label", "p_label", *(f"p_{k}" for k in self._followed))
        found = learner.probabilities([learner.scores(self._inputs)])  # (SAMPLES, K)
        self._over = not bool(np.isfinite(found).all())
        rows = [
            (epoch, step, int(index), int(label), *map(_shown, [p[label], *(p[k] for k in self._followed)]))
            for index, label, p in zip(self._index, self._labels, found, strict=True)
        ]
        self.notes.note("outputs", header, rows)

    def facts(self) -> dict[str, float]:
        rows = self.notes.rows("outputs")
        if not rows:
            return {}
        # columns p_0 and p_1 and no third: two classes
        column = "p_1" if "p_1" in rows[0] and "p_2" not in rows[0] else "p_label"
        first = [row[column] for row in rows if row["index"] == rows[0]["index"] and row[column] is not None]
        return {"output_first": first[0], "output_last": first[-1]} if first else {}


def _shown(probability: float) -> float | None:
    return float(probability) if math.isfinite(probability) else None
