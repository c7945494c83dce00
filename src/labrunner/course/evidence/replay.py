"""The last epoch of a run trained again, from the checkpoint of the epoch before.

A checkpoint holds all that a resume needs, and the order of an epoch's batches is a function of the seed: what comes
out is what the run must have got to, on the training split that the grader has read. Weights that were trained on other
samples, by another optimizer, or that belong to another run end elsewhere. Two machines round otherwise, which an epoch
may amplify; so the distance is told as a share of the way that the weights went in that epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labrunner.checkpoint import Position
from labrunner.course.evidence.files import EDITED
from labrunner.course.submissions import Handed, Reason
from labrunner.schedule import make
from labrunner.schema import epochs_of
from labrunner.trainer import Plan, Start, fit

if TYPE_CHECKING:
    from labrunner.data import Data
    from labrunner.learner import Learner
    from labrunner.records import Row

UNLIKE, UNDONE = "not reproduced", "not replayed"
FAR = 0.1  # of the way of the epoch; another order of the same batches ends at about its whole length
STILL = 1e-6  # of the weights' length: nothing moved, and nothing is told by that
NUMBERS = ("train_loss", "train_accuracy")
CLOSE = 0.02  # between the recorded and the new ones, as a share of values above 1


class _Kept:
    """Takes what the loop records, and keeps the last state."""

    def __init__(self) -> None:
        self.state: Mapping[str, np.ndarray] = {}
        self.row: Row = {}

    def record(self, row: Row, timing: Row, facts: Mapping[str, float], step: int) -> None:
        self.row = row

    def commit(
        self,
        row: Row,
        timing: Row,
        facts: Mapping[str, float],
        step: int,
        state: Mapping[str, np.ndarray],
        position: Position,
        keep_epochs: Iterable[int],
    ) -> None:
        self.row, self.state = row, {name: np.array(values) for name, values in state.items()}

    def save(self, state: Mapping[str, np.ndarray], position: Position, keep_epochs: Iterable[int]) -> None: ...

    def flush(self) -> None: ...


def of_replay(
    handed: Handed,
    config: Mapping[str, Any],
    data: Data,
    learner: Learner,
    states: Mapping[int, Mapping[str, np.ndarray]],
) -> Iterator[Reason]:
    """Whether the last epoch ends where the run's own did; moves the learner."""
    rows = handed.run.row_list
    last = len(rows)
    if last == 1:
        yield Reason(UNDONE, "a run of one epoch has no checkpoint before it", "note")
        return
    if missing := [Position(epoch).file_name for epoch in (last - 1, last) if epoch not in states]:
        said = f"a run keeps its last two checkpoints, and there is no {' and no '.join(missing)} that can be used"
        yield Reason(UNDONE, said, "look")  # else whoever takes one away would be spared the rest
        return
    schedule = make(config["schedule"], config["optim"]["lr"], config["monitor"], data.train.batch_count)
    reg = config["reg"]
    plan = Plan(epochs_of(config), schedule, config["monitor"], config["select"], reg["patience"])
    kept = _Kept()
    learner.load(states[last - 1])
    fit(learner, data, plan, kept, start=Start(rows[: last - 1]))
    before, after = (_vector(states[epoch]) for epoch in (last - 1, last))
    way, apart = float(np.linalg.norm(after - before)), float(np.linalg.norm(after - _vector(kept.state)))
    if way <= STILL * max(1.0, float(np.linalg.norm(after))):
        if apart > way + STILL * max(1.0, float(np.linalg.norm(after))):
            yield Reason(UNLIKE, f"epoch {last}: its weights did not move, and trained again they do", "look")
    elif not apart <= FAR * way:
        said = f"epoch {last}, trained again, ends elsewhere: by {apart / way:.0%} of its way, and {FAR:.0%} is allowed"
        yield Reason(UNLIKE, said, "look")
    unlike = [
        f"{name} is {said:.6g} in epoch {last}, it is {now:.6g}"
        for name, said, now in ((name, rows[-1][name], kept.row.get(name)) for name in NUMBERS)
        if said is not None and now is not None and not abs(said - now) <= CLOSE * max(1.0, abs(now))
    ]
    if unlike:
        yield Reason(EDITED, f"metrics.csv says {'; '.join(unlike)}", "look")


def _vector(state: Mapping[str, np.ndarray]) -> np.ndarray:
    """All weights that are floats, (N,) float64."""
    weights = [
        np.asarray(state[name], dtype=np.float64).ravel()
        for name in sorted(state)
        if name.startswith("weights/") and np.issubdtype(state[name].dtype, np.floating)
    ]
    return np.concatenate(weights) if weights else np.zeros(0)
