"""The freeze audit: whether what is frozen stood still, to the bit, in every run.

It takes no strategy's word for it. A learner says which tensors must not change in an epoch, buffers among them; their
hashes are held against those of the starting weights in ``initial.json``, against those at each epoch after which
something else is frozen, which are noted in ``probes/frozen.csv`` so that a resumed run has them, and against the
weights that training ended with. What it found is ``freeze.csv``; a tensor that moved fails the run before the test
split is read. Where nothing is frozen, it looks at nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from labrunner.checkpoint import tensor_hash
from labrunner.data import Data
from labrunner.errors import RunError
from labrunner.files import read_json
from labrunner.learner import Learner
from labrunner.probes import Probe
from labrunner.records import RunFolder, load_run

NOTED = ("epoch", "step", "tensor", "sha256")
COLUMNS = ("stage", "parameters", "trainable", "thawed", "frozen", "changed")
MOST_NAMED = 3


class Phase(NamedTuple):
    """Epochs in a row in which the same tensors are frozen."""

    first: int
    last: int
    frozen: frozenset[str]


class Audit(Probe):
    """Watches over what is frozen, and writes ``freeze.csv``.

    Parameters
    ----------
    folder : the run's, which has ``initial.json`` and its config by the time training starts
    """

    each_step = False

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(folder, {})
        self.folder = folder
        self._found: dict[str, float] = {}

    def start(self, learner: Learner, data: Data, step: int) -> None:
        """Of a run that an earlier version began, what is frozen counts from where it is resumed: nobody watched."""
        names = learner.frozen(1)
        if step > 0 and names and self._unwatched() and not self.folder.rows("frozen"):
            self._note(learner, step // data.train.batch_count, step, names)

    def end_epoch(self, learner: Learner, data: Data, row: dict[str, Any]) -> None:
        epoch = row["epoch"]
        now, then = learner.frozen(epoch), learner.frozen(epoch + 1)
        if now != then:
            self._note(learner, epoch, epoch * data.train.batch_count, now | then)

    def _note(self, learner: Learner, epoch: int, step: int, names: Iterable[str]) -> None:
        found = hashes(learner, names)
        self.folder.note("frozen", NOTED, [[epoch, step, name, sha256] for name, sha256 in found.items()])

    def _unwatched(self) -> bool:
        """Whether the run began before there were audits, when batch norm that its maker froze moved on."""
        return "stage_factor" not in (load_run(self.folder.path).config.get("freeze") or {})

    def ended(self, learner: Learner, epoch: int) -> None:
        """Hold what was frozen in epochs 1 to `epoch` against what it was; the learner is as that epoch left it.

        Raises
        ------
        RunError
            when a tensor moved while it was frozen, or its hashes were lost; ``freeze.csv`` is written before.
        """
        moved: set[str] = set()
        spans = list(phases(learner, epoch))
        ever = frozenset[str]().union(*(span.frozen for span in spans))
        if ever:
            initial, noted = self._initial(ever), self._noted()
            now = hashes(learner, spans[-1].frozen)
            for span in spans:
                before = initial if span.first == 1 else noted.get(span.first - 1, {})
                after = now if span.last == epoch else noted.get(span.last, {})
                for name in span.frozen:
                    if name not in before or name not in after:
                        raise RunError(
                            f"{self.folder.path / 'probes' / 'frozen.csv'} has lost what {name} was while it was "
                            "frozen, so that nobody can tell whether it moved; start the run anew"
                        )
                    if before[name] != after[name]:
                        moved.add(name)
        self.folder.write_csv("freeze.csv", COLUMNS, table(learner, epoch, ever, moved))
        self._found = {"frozen_tensors": len(ever), "frozen_changed": len(moved)}
        if moved:
            raise RunError(
                f"frozen weights moved: {some(moved)}\n"
                "what usually does it: batch norm left in train mode, a parameter that the optimizer still holds, or "
                "a forward that writes into its weights"
            )

    def chosen(self, learner: Learner, epoch: int) -> None:
        """Hold what was frozen up to the chosen epoch, whose weights the learner has, against the starting weights.

        Raises RunError as `ended` does.
        """
        never = frozenset.intersection(*(span.frozen for span in phases(learner, epoch)))
        if never and not self._unwatched():
            initial = self._initial(never)
            moved = {name for name, sha256 in hashes(learner, never).items() if initial.get(name) != sha256}
            if moved:
                raise RunError(
                    f"the checkpoint of epoch {epoch} has other weights than the run began with where nothing trained: "
                    f"{some(moved)}"
                )

    def _initial(self, names: Iterable[str]) -> Mapping[str, str]:
        """Hash of each tensor at the start, or at the first place where somebody watched."""
        if self._unwatched():
            return {row["tensor"]: row["sha256"] for row in reversed(self.folder.rows("frozen"))}
        found = read_json(self.folder.path / "initial.json")
        return found if isinstance(found, dict) else {}

    def _noted(self) -> dict[int, dict[str, str]]:
        """Epoch -> tensor -> hash at its end."""
        noted: dict[int, dict[str, str]] = {}
        for row in self.folder.rows("frozen"):
            noted.setdefault(row["epoch"], {})[row["tensor"]] = row["sha256"]
        return noted

    def facts(self) -> dict[str, float]:
        return dict(self._found)


def phases(learner: Learner, epoch: int) -> Iterator[Phase]:
    """Epochs 1 to `epoch` in rows of those in which the same tensors are frozen; at least one."""
    for frozen, group in groupby(range(1, max(1, epoch) + 1), learner.frozen):
        epochs = list(group)
        yield Phase(epochs[0], epochs[-1], frozen)


def hashes(learner: Learner, names: Iterable[str]) -> dict[str, str]:
    """Tensor -> SHA-256, in the order of the names."""
    wanted = sorted(names)
    weights = learner.weights() if wanted else {}
    return {name: tensor_hash(name, weights[name]) for name in wanted}


def table(learner: Learner, epoch: int, frozen: frozenset[str], moved: set[str]) -> list[list[Any]]:
    """The rows of ``freeze.csv``: a stage each, from the inputs to the head."""
    parameters = learner.parameters()
    spans = list(phases(learner, epoch))
    rows: list[list[Any]] = []
    for stage, tensors in learner.stages().items():
        counts = {name: parameters[name][0] for name in tensors if name in parameters}
        trainable = sum(count for name, count in counts.items() if name not in spans[-1].frozen)
        thawed = next((span.first for span in spans if counts.keys() - span.frozen), None)
        still = frozen.intersection(tensors)
        rows.append([stage, sum(counts.values()), trainable, thawed, len(still), len(still & moved)])
    return rows


def some(names: Iterable[str]) -> str:
    listed = sorted(names)
    rest = len(listed) - MOST_NAMED
    return ", ".join(listed[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
