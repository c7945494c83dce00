"""What goes on inside a network, layer by layer: gradients, activations, weights and updates."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from labrunner import schema, thinning
from labrunner.data import Data, Split
from labrunner.learner import Batch, BatchOut, Learner
from labrunner.probes import Probe

PROBED = 256  # training samples that are looked at, evenly through the split
FIRST = 32  # of these in the first forward pass, which tells how many the next may have
VALUES = 8_000_000  # outputs of all layers in one pass: those of a deep network would fill the memory
BINS = 40  # of a histogram, between the lowest and the highest value
LAYERS = 40  # of a deeper network so many are noted, evenly from the first to the last
MATRICES = 40  # the same of histograms of weights
RECORDED = 1000  # steps whose updates are noted, evenly
LINES = 20_000  # in all, so that networks of many parameters are noted less often,
LEAST = 50  # but not less than so many steps
EQUAL = 1e-4  # rows whose entries differ by no more, as a share of the largest weight, are equal up to rounding
ROWS = 1024  # that are told apart

ACTIVATION = re.compile(r"(^|\.)act\d*$")  # the layers that all networks of labrunner call so
PASSING = re.compile(r"(^|\.)(flatten|pool|drop\d*)$")  # these only hand on what came in


def probed(split: Split) -> np.ndarray:
    """Positions of the probed samples: the same at each epoch and under each seed."""
    count = min(PROBED, len(split))
    return np.arange(count) * len(split) // count


def norm(values: np.ndarray) -> float:
    """Euclidean length of all values together, in float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.linalg.norm(values.astype(np.float64)))


def evenly(names: Sequence[str], most: int) -> list[str]:
    """At most so many of the names, evenly, the first and the last among them."""
    return [names[place] for place in thinning.evenly(len(names), most)]


def histogram(values: np.ndarray) -> tuple[float, float, np.ndarray] | None:
    """Lowest and highest value, and how many lie in each of `BINS` equal parts between; None where one is no number."""
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(high - low):
        return None
    # in float64: bins of a narrow range lie closer than float32 has numbers
    return low, high, np.histogram(values.astype(np.float64), BINS, edges(low, high))[0]


def edges(low: float, high: float) -> tuple[float, float]:
    """A range that is not empty: values that are all one lie in the middle bin."""
    room = max(abs(low), abs(high), 1.0) * 1e-6
    return (low, high) if high - low > room else (low - room, high + room)


def lines_of(
    epoch: int, step: int, name: str, counted: tuple[float, float, np.ndarray] | None
) -> Iterator[Sequence[Any]]:
    """A row for each bin of a histogram, under `BINNED` behind epoch, step and the name."""
    if counted is not None:
        bounds = np.linspace(*edges(*counted[:2]), BINS + 1)
        for low, high, count in zip(bounds[:-1], bounds[1:], counted[2], strict=True):
            yield epoch, step, name, float(low), float(high), int(count)


BINNED = ("low", "high", "count")


class Noted(Probe):
    """What these probes share: a table of the start, to which the end is added."""

    def with_end(self, name: str, header: Sequence[str], rows: list[Sequence[Any]]) -> None:
        """Write a file anew: what was noted of the start, and these rows of the end."""
        start = [[row[column] for column in header] for row in self.notes.rows(name) if row["epoch"] == 0]
        self.notes.table(name, header, [*start, *rows])

    def chosen(self, name: str, rows: Sequence[Mapping[str, Any]]) -> int | None:
        """The epoch of which the file `name` has the end; the last of `rows` in a run that came to none."""
        ends = [row["epoch"] for row in self.notes.rows(name)] + [0]
        return max(ends) or max((row["epoch"] for row in rows), default=None)


class Gradients(Noted):
    """Length of the gradient of each parameter, before training and after each epoch.

    ``probes/gradients.csv``: ``epoch``, ``step``, ``parameter``, ``axes`` (1 of a bias, 2 of a linear layer's weight, 4
    of a convolution's), ``values`` (how many it has), ``norm`` (Euclidean length of dL/dw, L the training loss on up to
    256 samples, the same at each epoch). Frozen parameters have no row.

    Fact ``gradient_ratio_first_last``: at the start, the norm of the first weight matrix over that of the last one in
    front of the head. Both are hidden, and of one shape where all hidden layers are equally wide: what is between them
    is what the layers do to the signal. Left out for networks with less than two hidden layers.
    """

    NAME, HEADER = "gradients", ("epoch", "step", "parameter", "axes", "values", "norm")

    def start(self, learner: Learner, data: Data, step: int) -> None:
        if step == 0:
            self._note(learner, data, 0, 0)

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        self._note(learner, data, row["epoch"], row["epoch"] * data.train.batch_count)

    def _note(self, learner: Learner, data: Data, epoch: int, step: int) -> None:
        gradients = learner.gradients(data.train.at(probed(data.train)))
        self.notes.note(
            self.NAME,
            self.HEADER,
            [(epoch, step, name, each.ndim, each.size, norm(each)) for name, each in gradients.items()],
        )

    def facts(self) -> dict[str, float]:
        rows = [row for row in self.notes.rows(self.NAME) if row["epoch"] == 0 and row["axes"] > 1]
        hidden = [row["norm"] for row in rows[:-1]]
        if len(hidden) < 2 or hidden[0] is None or not hidden[-1]:
            return {}
        return {"gradient_ratio_first_last": hidden[0] / hidden[-1]}


class Activations(Noted):
    """Outputs of the layers on up to 256 training samples, before training and after each epoch.

    ``probes/activations.csv``: ``epoch``, ``step``, ``layer``, ``units`` (of a convolution: channels), ``mean``,
    ``std`` (over samples and units), ``zeros`` (share of outputs that are 0), ``dead`` (units that are 0 for all probed
    samples). The layers are the activation functions, in networks without any by that name all that compute something,
    and last the scores, which have no ``dead``. ``probes/activation_histograms.csv``: ``layer``, ``low``, ``high``,
    ``count`` of 40 equal bins, before training and at the chosen epoch. ``probes/probed_loss.csv``: ``samples``,
    ``loss`` on these samples without dropout, before training.

    Facts ``dead_units``: hidden units that are dead at the chosen epoch, and ``dead_share``, their share;
    ``activation_spread_last_first``: at the start, the std of the last hidden activation over that of the first;
    ``initial_loss``: the loss before training.
    """

    NAME, HEADER = "activations", ("epoch", "step", "layer", "units", "mean", "std", "zeros", "dead")
    ENDS, ENDS_HEADER = "activation_histograms", ("epoch", "step", "layer", *BINNED)

    def start(self, learner: Learner, data: Data, step: int) -> None:
        if step == 0:
            moments = self._note(learner, data, 0, 0)
            self.notes.note(self.ENDS, self.ENDS_HEADER, histograms(learner, data, 0, 0, moments))
            positions = probed(data.train)
            loss = float(learner.eval_batch(data.train.at(positions)).loss)
            self.notes.note("probed_loss", ("epoch", "step", "samples", "loss"), [(0, 0, len(positions), loss)])

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        self._note(learner, data, row["epoch"], row["epoch"] * data.train.batch_count)

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        step = epoch * data.train.batch_count
        rows = histograms(learner, data, epoch, step, moments_of(learner, data.train))
        self.with_end(self.ENDS, self.ENDS_HEADER, rows)

    def _note(self, learner: Learner, data: Data, epoch: int, step: int) -> dict[str, Moments]:
        moments = moments_of(learner, data.train)
        scores = list(moments)[-1]
        rows = [
            (epoch, step, name, each.units, each.mean, each.std, each.zeros, None if name == scores else each.dead)
            for name, each in moments.items()
        ]
        self.notes.note(self.NAME, self.HEADER, rows)
        return moments

    def facts(self) -> dict[str, float]:
        facts: dict[str, float] = {}
        loss = next((row["loss"] for row in self.notes.rows("probed_loss")), None)
        if loss is not None:
            facts["initial_loss"] = loss
        rows = [row for row in self.notes.rows(self.NAME) if ACTIVATION.search(row["layer"])]
        rows = [row for row in rows if row["dead"] is not None]  # the scores have none, whatever their layer's name
        spread = [row["std"] for row in rows if row["epoch"] == 0]
        if len(spread) > 1 and spread[0] and spread[-1] is not None:
            facts["activation_spread_last_first"] = spread[-1] / spread[0]
        chosen = self.chosen(self.ENDS, rows)
        ended = [row for row in rows if row["epoch"] == chosen]
        if ended:
            facts["dead_units"] = float(sum(row["dead"] for row in ended))
            facts["dead_share"] = facts["dead_units"] / sum(row["units"] for row in ended)
        return facts


def moments_of(learner: Learner, split: Split) -> dict[str, Moments]:
    """What is noted of each layer."""
    moments: dict[str, Moments] = {}
    for outputs in outputs_of(learner, split):
        for name, values in outputs.items():
            moments.setdefault(name, Moments()).add(values)
    return moments


def histograms(
    learner: Learner, data: Data, epoch: int, step: int, moments: Mapping[str, Moments]
) -> list[Sequence[Any]]:
    """The rows of each layer whose range is known and finite."""
    ranges = {name: (each.low, each.high) for name, each in moments.items() if math.isfinite(each.high - each.low)}
    counts: dict[str, Any] = dict.fromkeys(ranges, 0)
    for outputs in outputs_of(learner, data.train):
        for name, bounds in ranges.items():
            counts[name] += np.histogram(outputs[name].astype(np.float64), BINS, edges(*bounds))[0]
    return [row for name, bounds in ranges.items() for row in lines_of(epoch, step, name, (*bounds, counts[name]))]


class Moments:
    """Mean, spread, range and zeros of outputs that come in parts, (N, units, …) each."""

    def __init__(self) -> None:
        self._count, self.mean, self._squares, self._zeros = 0, 0.0, 0.0, 0
        self._alive: Any = False
        self.low, self.high = math.inf, -math.inf

    def add(self, values: np.ndarray) -> None:
        values = values.reshape(len(values), values.shape[1] if values.ndim > 1 else 1, -1)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean(dtype=np.float64))
            squares = float(((values - np.float64(mean)) ** 2).sum())
            total, apart = self._count + values.size, mean - self.mean
            # the parts' sums of squares, and how far their means lie apart  (Chan, Golub & LeVeque 1983)
            self._squares += squares + apart * apart * self._count * values.size / total
            self.mean += apart * values.size / total
        self._count = total
        # NumPy's, which hand on what is no number
        self.low, self.high = float(np.minimum(self.low, values.min())), float(np.maximum(self.high, values.max()))
        self._zeros += int((values == 0.0).sum())
        self._alive = self._alive | (values != 0.0).any(axis=(0, 2))

    @property
    def std(self) -> float:
        return math.sqrt(self._squares / self._count) if self._squares >= 0.0 else math.nan

    @property
    def zeros(self) -> float:
        return self._zeros / self._count

    @property
    def units(self) -> int:
        return len(self._alive)

    @property
    def dead(self) -> int:
        return int((~self._alive).sum())


def outputs_of(learner: Learner, split: Split) -> Iterator[dict[str, np.ndarray]]:
    """Outputs of the noted layers on the probed samples, part by part."""
    positions, count = probed(split), FIRST
    while len(positions):
        outputs = learner.activations(split.at(positions[:count]).inputs)
        yield {name: outputs[name] for name in noted(list(outputs))}
        positions = positions[count:]
        count = max(1, VALUES * count // sum(values.size for values in outputs.values()))


def noted(names: Sequence[str]) -> list[str]:
    """The layers that are noted: activation functions, else all but those that pass on; and the scores, at last."""
    hidden, scores = names[:-1], names[-1]
    shown = [name for name in hidden if ACTIVATION.search(name)] or [n for n in hidden if not PASSING.search(n)]
    return [*evenly(shown, LAYERS), scores]


class Weights(Noted):
    """Length of each parameter, before training and after each epoch.

    ``probes/weights.csv``: ``epoch``, ``step``, ``parameter``, ``axes`` and ``values`` as in gradients.csv, ``norm``
    (Euclidean length), ``distinct_rows`` (of the first weight matrix: rows, one a unit, that differ by more than
    rounding).
    ``probes/weight_histograms.csv``: ``parameter``, ``low``, ``high``, ``count`` of 40 equal bins of each weight
    matrix, before training and at the chosen epoch.

    Facts, at the chosen epoch: ``distinct_rows_w1``; ``weight_norm``, the length of all weight matrices together,
    without biases and norm layers.
    """

    NAME, HEADER = "weights", ("epoch", "step", "parameter", "axes", "values", "norm", "distinct_rows")
    ENDS, ENDS_HEADER = "weight_histograms", ("epoch", "step", "parameter", *BINNED)

    def start(self, learner: Learner, data: Data, step: int) -> None:
        if step == 0:
            self._note(learner, 0, 0)
            self.notes.note(self.ENDS, self.ENDS_HEADER, self._histograms(learner, 0, 0))

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        self._note(learner, row["epoch"], row["epoch"] * data.train.batch_count)

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        rows = self._histograms(learner, epoch, epoch * data.train.batch_count)
        self.with_end(self.ENDS, self.ENDS_HEADER, rows)

    def _note(self, learner: Learner, epoch: int, step: int) -> None:
        values = parameters_of(learner)
        first = next(iter(matrices(values)), None)
        self.notes.note(
            self.NAME,
            self.HEADER,
            [
                (epoch, step, name, each.ndim, each.size, norm(each), distinct_rows(each) if name == first else None)
                for name, each in values.items()
            ],
        )

    def _histograms(self, learner: Learner, epoch: int, step: int) -> list[Sequence[Any]]:
        values = parameters_of(learner)
        names = evenly(matrices(values), MATRICES)
        return [row for name in names for row in lines_of(epoch, step, name, histogram(values[name]))]

    def facts(self) -> dict[str, float]:
        rows = self.notes.rows(self.NAME)
        chosen = self.chosen(self.ENDS, rows)
        rows = [row for row in rows if row["epoch"] == chosen]
        facts: dict[str, float] = {}
        distinct = next((row["distinct_rows"] for row in rows if row["distinct_rows"] is not None), None)
        if distinct is not None:
            facts["distinct_rows_w1"] = float(distinct)
        norms = [row["norm"] for row in rows if row["axes"] > 1]
        if norms and None not in norms:
            facts["weight_norm"] = math.hypot(*norms)
        return facts


def parameters_of(learner: Learner) -> dict[str, np.ndarray]:
    """The parameters without the buffers."""
    weights = learner.weights()
    return {name: weights[name] for name in learner.parameters()}


def matrices(values: Mapping[str, np.ndarray]) -> list[str]:
    """The weights of linear and convolutional layers, from the input on; biases and norms have one axis."""
    return [name for name, value in values.items() if value.ndim > 1]


def distinct_rows(weight: np.ndarray) -> int | None:
    """How many of the first 1024 rows of a weight differ by more than rounding; None where one is no number."""
    rows = weight[:ROWS].reshape(len(weight[:ROWS]), -1).astype(np.float64)
    largest = np.abs(rows).max()
    if not math.isfinite(largest):
        return None
    room = EQUAL * largest
    # equal rows lie close in any one direction: only these need be compared entry by entry
    direction = np.cos(np.arange(rows.shape[1]))
    places = rows @ direction
    order = np.argsort(places, kind="stable")
    close = room * np.abs(direction).sum()
    kept: list[int] = []

    def near(index: int) -> Iterator[int]:
        return itertools.takewhile(lambda other: places[index] - places[other] <= close, reversed(kept))

    for index in order:
        if not any(np.abs(rows[index] - rows[other]).max() <= room for other in near(index)):
            kept.append(index)
    return len(kept)


class Updates(Probe):
    """How far a step moves each parameter, as a share of its length.

    ``probes/updates.csv``: ``epoch``, ``step`` (training batches so far, this one included), ``parameter``, ``axes`` as
    in gradients.csv, ``update`` (Euclidean length of the step), ``weight`` (of the parameter before it), ``ratio`` (the
    one over the other; blank for a parameter that is 0). Up to 1000 steps, evenly, the first among them; fewer of a
    network with many parameters.

    Fact ``update_ratio``: the median ratio of all weights with two axes or more; about .001 is often called healthy.
    """

    NAME, HEADER = "updates", ("epoch", "step", "parameter", "axes", "update", "weight", "ratio")

    def start(self, learner: Learner, data: Data, step: int) -> None:
        epochs = schema.epochs_of(self.config)
        self._batches = data.train.batch_count
        most = max(LEAST, min(RECORDED, LINES // max(1, len(learner.parameters()))))
        self._every = math.ceil(epochs * self._batches / most)
        self._before = parameters_of(learner) if self._is_recorded(step) else {}

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        step = int(batch.step)
        if self._is_recorded(step):
            after, epoch = parameters_of(learner), step // self._batches + 1
            self.notes.note(self.NAME, self.HEADER, [self._row(epoch, step + 1, name, after) for name in after])
            self._before = after
        if self._is_recorded(step + 1) and not self._is_recorded(step):
            self._before = parameters_of(learner)

    def _is_recorded(self, step: int) -> bool:
        return step % self._every == 0

    def _row(self, epoch: int, step: int, name: str, after: Mapping[str, np.ndarray]) -> Sequence[Any]:
        before = self._before[name]
        with np.errstate(over="ignore", invalid="ignore"):
            update, weight = norm(after[name].astype(np.float64) - before), norm(before)
        return epoch, step, name, before.ndim, update, weight, update / weight if weight > 0.0 else None

    def facts(self) -> dict[str, float]:
        ratios = [row["ratio"] for row in self.notes.rows(self.NAME) if row["axes"] > 1 and row["ratio"] is not None]
        return {"update_ratio": median(ratios)} if ratios else {}
