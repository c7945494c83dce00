"""Linear units: what a model says of the plane, whether two classes can be separated, and least squares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labrunner.data import Data
from labrunner.learner import Batch, BatchOut, Learner
from labrunner.probes import Probe
from labrunner.schema import epochs_of

GRID = 80  # points along each axis of the plane
EDGE = 0.06  # of the range of the samples, on each side
MOST_CLASSES = 10  # more regions than this nobody tells apart
MOST_VALUES = 400_000  # samples times inputs; more are not searched for a separator
MOST_SOLVED = 4_000_000  # samples times inputs; of more no least squares are computed
MOST_STEPS = 1000  # that are noted
TINY = 1e-9  # a margin below it, on standardized inputs, is rounding
REACHED = 1e-6  # share of the start's excess loss that counts as none


class Boundaries(Probe):
    """Probabilities over the plane at the start and after epochs 1, 2, 4, 8, …, of data with two inputs.

    Each is kept as ``boundaries_<epoch>.npy``, (80 rows, 80 columns, classes) float32, and has a row in
    ``boundaries.csv``: `epoch`, `step`, and the plane's edges `x_low`, `x_high`, `y_low`, `y_high` in the data's own
    units, the same in each row. It gives no facts. The chosen epoch is in ``boundary.npz``.
    """

    def start(self, learner: Learner, data: Data, step: int) -> None:
        if step == 0:
            self._keep(learner, data, 0)

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        epoch = int(row["epoch"])
        if epoch & (epoch - 1) == 0:  # a rule that does not know how many are to come
            self._keep(learner, data, epoch)

    def _keep(self, learner: Learner, data: Data, epoch: int) -> None:
        description = data.description
        if description.shape != (2,) or description.soft or description.num_classes > MOST_CLASSES:
            return
        edges = plane(data)
        x, y = (np.linspace(low, high, GRID, dtype=np.float32) for low, high in edges)
        grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        probabilities = learner.probabilities([learner.scores(inputs) for inputs in data.train.prepared(grid)])
        self.notes.keep("boundaries", epoch, probabilities.reshape(GRID, GRID, -1).astype(np.float32))
        header = ("epoch", "step", "x_low", "x_high", "y_low", "y_high")
        self.notes.note("boundaries", header, [(epoch, epoch * data.train.batch_count, *edges[0], *edges[1])])


class Separation(Probe):
    """Whether a line separates the two classes of the training split, as the learner sees it, and how far apart.

    ``separation.csv`` has one row: `epoch`, `step`, `separable` (1 or 0, by a linear program), and where it is 1 the
    `radius` R, the largest length of an input with a constant 1 beside it, and the `margin` gamma, the largest distance
    from zero that a separator through the origin of that space leaves to all inputs. ``separator_00000.npy`` holds that
    separator (w1, w2, bias) for the data's own units, of length 1 for the learner's, where there are two inputs.

    Of a perceptron, of however many units, ``separation_updates.csv`` counts the `updates` from the beginning to the
    end of each epoch.

    Facts: `separable`, `radius`, `margin`; `novikoff_bound` = (R / gamma)^2, the most updates that a perceptron makes
    from zero weights (Novikoff 1962), left out where there is no separator. `updates_total`, `updates_last_epoch`, and
    `updates_fewest` in any epoch.
    """

    def start(self, learner: Learner, data: Data, step: int) -> None:
        if step > 0:
            return
        self._count(learner, data, 0)
        inputs, signs = whole(data)
        if data.description.num_classes != 2 or data.description.soft or inputs.size > MOST_VALUES:
            return
        separable = is_separable(inputs, signs)
        found = best_separator(inputs, signs) if separable else None
        radius, margin = None, None
        if found is not None:
            # a bias is the weight of a constant input 1, which counts in both lengths
            radius, margin = float(np.linalg.norm(augmented(inputs), axis=1).max()), found[1]
            if data.description.shape == (2,):
                self.notes.keep("separator", 0, in_own_units(found[0][None], data)[0])
        header = ("epoch", "step", "separable", "radius", "margin")
        self.notes.note("separation", header, [(0, 0, int(separable), radius, margin)])

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        self._count(learner, data, int(row["epoch"]))

    def _count(self, learner: Learner, data: Data, epoch: int) -> None:
        if self.config["model"].get("name") != "perceptron":
            return
        updates = int(learner.state().get("optim/head.weight/updates", 0))  # not there before the first step
        header = ("epoch", "step", "updates")
        self.notes.note("separation_updates", header, [(epoch, epoch * data.train.batch_count, updates)])

    def facts(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for row in self.notes.rows("separation"):
            found["separable"] = row["separable"]
            if row["margin"] is not None:
                found |= {"radius": row["radius"], "margin": row["margin"]}
                found["novikoff_bound"] = (row["radius"] / row["margin"]) ** 2
        counts = [row["updates"] for row in self.notes.rows("separation_updates")]
        if len(counts) > 1:
            each = np.diff(counts)
            found |= {"updates_total": counts[-1], "updates_last_epoch": int(each[-1])}
            found["updates_fewest"] = int(each.min())
        return found


class LeastSquares(Probe):
    """The least squares that Adaline descends: its curvature, its optimum, and the way there.

    The loss is the mean over the training split of the squared errors summed over units, a quadratic in the weights.
    ``least_squares_hessian.csv`` has one row: `epoch`, `step`, `lambda_max` and `lambda_min` of its Hessian 2 X'X / n,
    X with a column of ones where there is a bias. ``least_squares.csv`` has a row for the start and for at most 1000
    steps, evenly: `loss` of the whole split, `excess` of it over the least loss, and `distance` = |w - w*| / |w*| to
    the optimum w*. ``optimum_00000.npy`` holds w* (units, w1, w2, bias) for the data's own units where there are
    two inputs.

    Facts: `lambda_max`, `lambda_min`; `critical_lr` = 2 / lambda_max, above which gradient descent diverges, and
    `best_lr` = 2 / (lambda_min + lambda_max), at which it is fastest; `optimum_distance`, that of the last step noted,
    and `steps_to_optimum`, the first one noted after which no more than a millionth of the start's excess is left.
    """

    def start(self, learner: Learner, data: Data, step: int) -> None:
        self._is_on = self.config["model"].get("name") == "adaline" and len(data.train) * inputs_of(data) <= MOST_SOLVED
        if not self._is_on:
            return
        from labrunner.scratch.losses import SignedSquaredError

        batch = data.train.at(np.arange(len(data.train)))
        self._has_bias = "head.bias" in learner.weights()
        inputs = rows_of(batch.inputs)
        x = augmented(inputs) if self._has_bias else inputs
        targets = SignedSquaredError(data.description.num_classes).codes(np.asarray(batch.targets), x.dtype)
        self._half_hessian = x.T @ x / len(x)
        self._optimum = np.linalg.lstsq(x, targets, rcond=None)[0]  # (D, units)
        self._least = float(((x @ self._optimum - targets) ** 2).sum(axis=1).mean())
        epochs = epochs_of(self.config)
        self._batches = data.train.batch_count
        self._every = max(1, math.ceil(epochs * self._batches / MOST_STEPS))
        if step > 0:
            return
        eigenvalues = np.linalg.eigvalsh(2.0 * self._half_hessian)  # ascending
        header = ("epoch", "step", "lambda_max", "lambda_min")
        lowest = max(0.0, float(eigenvalues[0]))
        self.notes.note("least_squares_hessian", header, [(0, 0, float(eigenvalues[-1]), lowest)])
        if data.description.shape == (2,):
            weights = self._optimum.T if self._has_bias else np.pad(self._optimum.T, ((0, 0), (0, 1)))
            self.notes.keep("optimum", 0, in_own_units(weights, data))
        self._note(learner, 0, 0)

    def after_step(self, learner: Learner, batch: Batch, out: BatchOut) -> None:
        done = batch.step + 1
        if self._is_on and done % self._every == 0:
            self._note(learner, batch.step // self._batches + 1, done)

    def _note(self, learner: Learner, epoch: int, step: int) -> None:
        weights = learner.weights()
        w = weights["head.weight"].astype(np.float64).T  # (D, units)
        if self._has_bias:
            w = np.vstack([w, weights["head.bias"].astype(np.float64)])
        with np.errstate(over="ignore", invalid="ignore"):  # of a run that diverges
            error = w - self._optimum
            # the loss is its least plus (w - w*)' X'X/n (w - w*), in which nothing cancels near the optimum
            excess = float((error * (self._half_hessian @ error)).sum())
            length = float(np.linalg.norm(self._optimum))
            distance = float(np.linalg.norm(error)) / length if length > 1e-12 else math.nan
        row = (epoch, step, *map(defined, (self._least + excess, excess, distance)))
        self.notes.note("least_squares", ("epoch", "step", "loss", "excess", "distance"), [row])

    def facts(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for row in self.notes.rows("least_squares_hessian"):
            high, low = row["lambda_max"], row["lambda_min"]
            found |= {"lambda_max": high, "lambda_min": low}
            if high > 0.0:
                found |= {"critical_lr": 2.0 / high, "best_lr": 2.0 / (low + high)}
        rows = self.notes.rows("least_squares")
        if not rows:
            return found
        if rows[-1]["distance"] is not None:
            found["optimum_distance"] = rows[-1]["distance"]
        start = rows[0]["excess"]
        for row in rows:
            if start is not None and row["excess"] is not None and row["excess"] <= REACHED * start:
                return found | {"steps_to_optimum": row["step"]}
        return found


def plane(data: Data) -> tuple[tuple[float, float], tuple[float, float]]:
    """Lowest and highest x and y of a rectangle around the training and validation samples, in their own units."""
    splits = [split for split in (data.train, data.val) if split is not None]
    points = np.concatenate([split.pixels(np.arange(len(split))) for split in splits]).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    edge = np.where(high > low, EDGE * (high - low), np.maximum(1.0, EDGE * np.abs(low)))
    (x_low, y_low), (x_high, y_high) = (low - edge).tolist(), (high + edge).tolist()
    return (x_low, x_high), (y_low, y_high)


def whole(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The training split as the learner sees it: inputs (N, D) float64, and -1 or, for the class 1, +1 (N,)."""
    inputs = rows_of(data.train.at(np.arange(len(data.train))).inputs)
    return inputs, np.where(data.train.labels == 1, 1.0, -1.0)


def rows_of(inputs: Any) -> np.ndarray:
    """Inputs (N, ...) of either library as (N, D) float64."""
    values = np.asarray(inputs.cpu() if hasattr(inputs, "cpu") else inputs)
    return values.reshape(len(values), -1).astype(np.float64)


def inputs_of(data: Data) -> int:
    """Numbers in one sample."""
    return math.prod(data.description.shape)


def augmented(inputs: np.ndarray) -> np.ndarray:
    """Inputs (N, D) with a constant 1 beside them, (N, D + 1): its weight is the bias."""
    return np.column_stack([inputs, np.ones(len(inputs))])


def in_own_units(weights: np.ndarray, data: Data) -> np.ndarray:
    """Weights (units, D + 1), the bias last, of normalized inputs as weights of the data's own units."""
    scale, shift = data.normalization.scale.reshape(-1), data.normalization.shift.reshape(-1)
    w, bias = weights[:, :-1], weights[:, -1]
    # w (scale x + shift) + b = (w scale) x + (b + w shift)
    return np.column_stack([w * scale, bias + w @ shift])


def is_separable(inputs: np.ndarray, signs: np.ndarray) -> bool:
    """Whether some w and b have t (w x + b) > 0 for all samples: the linear program of the largest margin m.

    Maximize m with t (w x + b) >= m and all weights in [-1, 1]; its w is the proof, which is computed again.

    Parameters
    ----------
    inputs : (N, D)
    signs : (N,) t in {-1, +1}
    """
    from scipy.optimize import linprog  # takes its time to import

    deviation = inputs.std(axis=0)
    # separability does not change with the scale of an input, and the solver's tolerances are absolute
    standardized = (inputs - inputs.mean(axis=0)) / np.where(deviation > 0.0, deviation, 1.0)
    z = signs[:, None] * augmented(standardized)
    count = z.shape[1]
    solved = linprog(
        c=np.r_[np.zeros(count), -1.0],
        A_ub=np.column_stack([-z, np.ones(len(z))]),
        b_ub=np.zeros(len(z)),
        bounds=[(-1.0, 1.0)] * count + [(0.0, None)],
        method="highs",
    )
    return solved.x is not None and bool((z @ solved.x[:-1]).min() > TINY)


def best_separator(inputs: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The separator through the origin of the inputs with a constant 1 that keeps the farthest from all of them.

    The shortest u with t u (x, 1) >= 1, found as the residual of a least-squares problem with non-negative unknowns
    (least distance programming, Lawson & Hanson 1974, chapter 23).

    Parameters
    ----------
    inputs : (N, D)
    signs : (N,) t in {-1, +1}

    Returns
    -------
    u (D + 1,) of length 1, the bias last, and its margin, the least t u (x, 1); None where it has none.
    """
    from scipy.optimize import nnls  # takes its time to import

    z = signs[:, None] * augmented(inputs)
    radius = np.linalg.norm(z, axis=1).max()
    e = np.vstack([z.T / radius, np.ones(len(z))])
    f = np.r_[np.zeros(len(e) - 1), 1.0]
    try:
        y, _ = nnls(e, f, maxiter=30 * len(z))
    except RuntimeError:  # it did not converge
        return None
    residual = e @ y - f
    u = residual[:-1]
    length = float(np.linalg.norm(u))
    if length == 0.0:
        return None
    u = u / length
    margin = float((z @ u).min())
    return (u, margin) if margin > 0.0 else None


def defined(value: float) -> float | None:
    """None, a blank, in the place of what is no finite number."""
    return value if math.isfinite(value) else None
