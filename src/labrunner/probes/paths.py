"""The weights' way: where each step took them, and the loss around it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from labrunner.data import Data
from labrunner.learner import Batch, BatchOut, Learner
from labrunner.probes import Notes, Probe
from labrunner.schema import FEW_WEIGHTS, epochs_of
from labrunner.thinning import evenly

STEPS = 1000  # noted of a run, about; of a longer one every second, every third …
EPOCHS = 60  # whose weights are kept, about
WEIGHTS = 200_000  # of a model whose epochs are kept; sixty of them take 48 MB
PLANE = 41  # points of the grid in each direction around the way, over two weights
BESIDE, FAR = 8, 1.0  # points on each side beyond these, and how far they reach in extents of the way
DIRECTIONS = 25  # points in each direction over two directions among many weights
SAMPLES, FEWEST = 512, 32  # of the training split that the loss is measured on, evenly through it
WORK = 2e10  # multiply-adds that all measured losses of a run may cost, about
MARGIN = 0.2  # of the way's extent, on each side of it
LEAVES = 4.0  # times the loss of the start: points of the way that lie higher lie outside of the picture


def parameter_names(learner: Learner) -> list[str]:
    """A name for each single weight of a small model, in the order of `flat`.

    Of a model that is one unit ``w1``, ``w2``, …, ``b``; of others the parameter with the place in it, counted from
    1: ``head.weight[2,1]`` belongs to the second unit and the first input.
    """
    weights, names = learner.weights(), list(learner.parameters())
    shapes = {name: weights[name].shape for name in names}
    matrices = [shape for shape in shapes.values() if len(shape) > 1]
    if len(matrices) == 1 and matrices[0][0] == 1 and len(matrices[0]) == 2:
        inputs = [f"w{column + 1}" for column in range(matrices[0][1])]
        return [each for name in names for each in (inputs if len(shapes[name]) > 1 else ["b"])]
    return [
        f"{name}[{','.join(str(place + 1) for place in index)}]" for name in names for index in np.ndindex(shapes[name])
    ]


def flat(learner: Learner) -> np.ndarray:
    """All parameters in a row, (W,), in their own number type; buffers are none."""
    weights = learner.weights()
    return np.concatenate([weights[name].ravel() for name in learner.parameters()])


def size(learner: Learner) -> int:
    """How many weights `flat` has."""
    return sum(count for count, _ in learner.parameters().values())


class Stride:
    """Which of `total` steps, or epochs, are noted: every one up to `most` of them, else evenly spread ones."""

    def __init__(self, total: int, most: int) -> None:
        self.total, self.every = total, max(1, math.ceil(total / most))

    def takes(self, number: int) -> bool:
        """Whether the `number`-th, from 1, is noted; the last one is."""
        return number % self.every == 0 or number == self.total


class StepNotes:
    """The weights of a small model after each step, as rows of a CSV file.

    Of more than `STEPS` steps every second, every third … is noted, and the last of all. With a `sample` of the
    training split there is the loss on it, too.
    """

    def __init__(
        self,
        notes: Notes,
        name: str,
        config: Mapping[str, Any],
        learner: Learner,
        data: Data,
        sample: Batch | None = None,
    ) -> None:
        self.notes, self.name, self.batches = notes, name, data.train.batch_count
        self.stride, self.sample = Stride(epochs_of(config) * self.batches, STEPS), sample
        self.header = ["epoch", "step", *parameter_names(learner), *([] if sample is None else ["loss"])]

    def start(self, learner: Learner) -> None:
        self._note(learner, 0, 0)

    def after(self, learner: Learner, batch: Batch) -> None:
        step = int(batch.step) + 1
        if self.stride.takes(step):
            self._note(learner, (step - 1) // self.batches + 1, step)

    def _note(self, learner: Learner, epoch: int, step: int) -> None:
        values = [float(value) for value in flat(learner)]
        if self.sample is not None:
            values.append(float(learner.eval_batch(self.sample).loss))
        self.notes.note(self.name, self.header, [[epoch, step, *map(finite, values)]])


class Trajectory(Probe):
    """All weights of a small model, step by step: ``probes/trajectory.csv``.

    Columns: ``epoch``, ``step`` (training batches so far; 0 is the start), then one column a weight: ``w1``, ``w2``, …,
    ``b`` of a single unit, else names such as ``head.weight[2,1]``. A weight that is no finite number is blank. Up to
    1000 steps are noted, of longer runs evenly spread ones and the last. A model of more than 16 weights notes nothing;
    `LossSurface` shows its way.

    Facts: ``abs_<weight>_last``, the size of each weight in the last row; ``path_length``, the length of the line
    through all rows in the space of the weights; ``path_detour``, the same over the distance from its first point to
    its last: 1 is a straight line.
    """

    _steps: StepNotes | None = None

    def start(self, learner: Learner, data: Data, step: int) -> None:
        if size(learner) > FEW_WEIGHTS:
            return
        self._steps = StepNotes(self.notes, "trajectory", self.config, learner, data)
        if step == 0:
            self._steps.start(learner)

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        if self._steps is not None:
            self._steps.after(learner, batch)

    def facts(self) -> dict[str, float]:
        rows = self.notes.rows("trajectory")
        if not rows:
            return {}
        names = [name for name in rows[0] if name not in ("epoch", "step")]
        found = {f"abs_{name}_last": abs(rows[-1][name]) for name in names if rows[-1][name] is not None}
        points = np.array([[row[name] for name in names] for row in rows], dtype=float)  # blanks are NaN
        # squares of weights that diverged overflow, and that is no fact
        with np.errstate(over="ignore", invalid="ignore"):
            length = float(np.sqrt((np.diff(points, axis=0) ** 2).sum(axis=1)).sum())
            distance = float(np.sqrt(((points[-1] - points[0]) ** 2).sum()))
        if math.isfinite(length):
            found["path_length"] = length
            if distance > 0.0:
                found["path_detour"] = length / distance
        return found


class Directions(NamedTuple):
    """A plane through the end of a way, along which the way extends most."""

    centre: np.ndarray  # (W,) float64
    axes: np.ndarray  # (2, W), orthonormal
    path: np.ndarray  # (E, 2), the kept epochs in the plane
    explained: np.ndarray  # (2,) shares of the squared distances from the centre that lie along each axis


def principal_directions(weights: np.ndarray) -> Directions | None:
    """The two principal directions of a way, after Li et al. 2018, section 7.2; None where it is straight.

    They are those of the differences from the last weights, as there, and not from the mean.

    Parameters
    ----------
    weights : (E, W), the weights of kept epochs; the last row becomes the centre
    """
    weights = np.asarray(weights, dtype=float)
    centre = weights[-1]
    steps = weights - centre  # M = [w_0 - w_n; …; w_(n-1) - w_n]
    # M M^T = U S^2 U^T and M = U S V^T: with few epochs and many weights this is the small side
    squares, left = np.linalg.eigh(steps @ steps.T)
    squares, left = squares[::-1][:2], left[:, ::-1][:, :2]
    if len(squares) < 2 or not squares[1] > 1e-12 * squares[0]:  # one direction alone spans no plane
        return None
    axes = (left / np.sqrt(squares)).T @ steps  # V^T = S^-1 U^T M
    path = steps @ axes.T
    # which of two opposite directions an axis has is open: the start lies at the left and below
    signs = np.where(path[0] > 0.0, -1.0, 1.0)
    return Directions(centre, axes * signs[:, None], path * signs, squares / np.square(steps).sum())


def window(points: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner, (2,) each, of a rectangle around a way.

    What lies higher than `LEAVES` times the loss of the way's first point is left outside: a way that diverges would
    make everything else a dot.

    Parameters
    ----------
    points : (P, 2), finite
    losses : (P,), NaN or infinite where they overflow
    """
    inside = points[losses <= LEAVES * losses[0]] if np.isfinite(losses[0]) else points[:1]
    low, high = inside.min(axis=0), inside.max(axis=0)
    extent = high - low
    extent = np.where(extent > 0.0, extent, extent.max() or max(1.0, float(np.abs(low).max())))
    middle = (low + high) / 2.0
    return middle - (0.5 + MARGIN) * extent, middle + (0.5 + MARGIN) * extent


class LossSurface(Probe):
    """The loss on a plane of the weights around the way that training took, when it has ended.

    The plane of a model of two weights are these two. Of any other model of up to 200,000 weights it is spanned by the
    two principal directions of its way (Li et al. 2018): the weights of up to 60 epochs are kept as
    ``loss_surface_<epoch>.npy``, and the directions explain most of their squared distance from the last one.

    ``probes/loss_surface.csv`` has the grid: ``epoch``, ``step`` (of the chosen epoch), ``w1`` and ``w2``, or
    ``direction1`` and ``direction2`` (in units of the weights, from the last kept epoch), ``loss``: the mean loss,
    without penalties, of up to 512 samples of the training split that lie evenly in it; blank where it overflows. The
    grid covers the way with a fifth of its extent around it, but for points whose loss is above four times that of the
    start; over two weights coarser points lie beyond, so that runs on one objective can be drawn over one grid.
    ``probes/loss_surface_path.csv`` has the way in the same coordinates, and the ``loss`` of its weights on those
    samples: of two weights after each step, as `Trajectory` has them; else at each kept epoch, beside the plane.
    ``probes/loss_surface_plane.csv``, of principal directions: ``direction`` and the share it explains, ``explained``.

    Buffers are no weights: batch norm computes with the running means of the chosen epoch everywhere, and dropout is
    off. A way that is straight, as of one epoch, spans no plane and leaves no file. A run that diverged has the way of
    its two weights and no grid.

    Facts: ``explained_variance_1``, ``explained_variance_2``, of principal directions.
    """

    _steps: StepNotes | None = None
    _epochs: Stride | None = None

    def start(self, learner: Learner, data: Data, step: int) -> None:
        count = size(learner)
        if count == 2:
            sample = sample_of(learner, data, PLANE + 2 * BESIDE)
            self._steps = StepNotes(self.notes, "loss_surface_path", self.config, learner, data, sample)
            if step == 0:
                self._steps.start(learner)
        elif 2 < count <= WEIGHTS:
            self._epochs = Stride(epochs_of(self.config), EPOCHS)
            if step == 0:
                self._keep(learner, 0)

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        if self._steps is not None:
            self._steps.after(learner, batch)

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        if self._epochs is not None and self._epochs.takes(int(row["epoch"])):
            self._keep(learner, int(row["epoch"]))

    def _keep(self, learner: Learner, epoch: int) -> None:
        self.notes.keep("loss_surface", epoch, flat(learner).astype(np.float32))

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        place = epoch, epoch * data.train.batch_count
        if self._steps is not None:
            self._over_two_weights(learner, data, place)
        elif self._epochs is not None:
            self._over_directions(learner, data, place)

    def _over_two_weights(self, learner: Learner, data: Data, place: tuple[int, int]) -> None:
        rows = self.notes.rows("loss_surface_path")
        names = [name for name in rows[0] if name not in ("epoch", "step", "loss")]
        table = np.array([[row[name] for name in (*names, "loss")] for row in rows], dtype=float)
        table = table[np.isfinite(table[:, :2]).all(axis=1)]
        grid = grid_around(table[:, :2], table[:, 2], PLANE, BESIDE)
        with MovedWeights(learner, sample_of(learner, data, PLANE + 2 * BESIDE)) as moved:
            self._note_grid(place, names, grid, moved.losses(grid))

    def _over_directions(self, learner: Learner, data: Data, place: tuple[int, int]) -> None:
        kept = dict(sorted(self.notes.kept("loss_surface").items()))
        weights = np.stack(list(kept.values()))
        plane = principal_directions(weights) if np.isfinite(weights).all() else None
        if plane is None:
            return
        names = ["direction1", "direction2"]
        with MovedWeights(learner, sample_of(learner, data, DIRECTIONS)) as moved:
            losses = moved.losses(weights)
            grid = grid_around(plane.path, losses, DIRECTIONS)
            on_grid = moved.losses(plane.centre + point @ plane.axes for point in grid)
            self._note_grid(place, names, grid, on_grid)
        batches = data.train.batch_count
        path = [
            [at, at * batches, *map(float, point), finite(loss)]
            for at, point, loss in zip(kept, plane.path, losses, strict=True)
        ]
        self.notes.table("loss_surface_path", ["epoch", "step", *names, "loss"], path)
        shares = [[*place, number, float(share)] for number, share in enumerate(plane.explained, start=1)]
        self.notes.table("loss_surface_plane", ["epoch", "step", "direction", "explained"], shares)

    def _note_grid(self, place: tuple[int, int], names: Sequence[str], grid: np.ndarray, losses: np.ndarray) -> None:
        rows = [[*place, *map(float, point), finite(loss)] for point, loss in zip(grid, losses, strict=True)]
        self.notes.table("loss_surface", ["epoch", "step", *names, "loss"], rows)

    def facts(self) -> dict[str, float]:
        rows = self.notes.rows("loss_surface_plane")
        return {f"explained_variance_{row['direction']}": float(row["explained"]) for row in rows}


def grid_around(points: np.ndarray, losses: np.ndarray, count: int, beside: int = 0) -> np.ndarray:
    """Points over the `window` around a way, (side * side, 2), the first coordinate fastest.

    In each direction `count` evenly spaced ones, and `beside` on both sides of these, up to `FAR` extents of the way.
    """
    sides = []
    for low, high in zip(*window(points, losses), strict=True):
        far = FAR / (1.0 + 2.0 * MARGIN) * (high - low)
        out = np.linspace(0.0, far, beside + 1)[1:]
        sides.append(np.concatenate([low - out[::-1], np.linspace(low, high, count), high + out]))
    return np.stack([each.ravel() for each in np.meshgrid(*sides)], axis=1)


def sample_of(learner: Learner, data: Data, side: int) -> Batch:
    """Samples of the training split, evenly through it: so many that a grid of side * side losses is affordable."""
    affordable = int(WORK / (max(1, learner.work) * side * side))
    return data.train.at(evenly(len(data.train), max(FEWEST, min(SAMPLES, affordable))))


class MovedWeights:
    """A learner whose weights may be moved to see the loss there; on leaving it is what it was, to the bit."""

    def __init__(self, learner: Learner, sample: Batch) -> None:
        self.learner, self.sample = learner, sample

    def __enter__(self) -> MovedWeights:
        self._state = self.learner.state()
        # without the optimizer's slots, which nothing asks for here
        self._weights = {name: values for name, values in self._state.items() if name.startswith("weights/")}
        self._shapes = {f"weights/{name}": self._weights[f"weights/{name}"] for name in self.learner.parameters()}
        return self

    def __exit__(self, *raised: object) -> None:
        self.learner.load(self._state)

    def losses(self, points: Any) -> np.ndarray:
        """The loss at each of some flat weights, float64; what overflows is infinite or NaN."""
        return np.array([self._loss(np.asarray(point)) for point in points], dtype=float)

    def _loss(self, point: np.ndarray) -> float:
        moved, begin = dict(self._weights), 0
        for name, values in self._shapes.items():
            moved[name] = point[begin : begin + values.size].reshape(values.shape)
            begin += values.size
        self.learner.load(moved)
        return float(self.learner.eval_batch(self.sample).loss)


def finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
