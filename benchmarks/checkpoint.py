"""What a checkpoint each epoch costs: epochs of `fit` with it, against the same epochs with rows alone.

    python benchmarks/checkpoint.py [--rounds 9] [--epochs 8] [--only cnn]

Both sides train the same model on mnist5k from the same start, in turn, in one process. What is written behind the next
epoch is waited for before the clock stops. Beside the ratio stands what one checkpoint takes by itself: the copy of the
state, its bytes and checksum, and the synced file. A third row takes one every ten batches as well.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spread import interleaved, quartiles

from labrunner.checkpoint import Position
from labrunner.compose import compose
from labrunner.helping import Catalogue
from labrunner.machine import arithmetic
from labrunner.records import RunFolder
from labrunner.running import Shared, prepare
from labrunner.trainer import fit

CASES = {"cnn": ["model=cnn"], "mlp": ["model=mlp"]}


class RowsAlone(RunFolder):
    """A run folder without checkpoints."""

    def commit(self, row: Any, timing: Any, facts: Any, step: int, state: Any, position: Any, keep_epochs: Any) -> None:
        self.record(row, timing, facts, step)


def of(ready: Any, kind: type[RunFolder], epochs: int) -> float:
    """Seconds of an epoch."""
    with tempfile.TemporaryDirectory() as folder:
        run_folder = kind.create(Path(folder) / "run")
        run_folder.record_start(ready.learner.start_epoch(0))
        begin = time.perf_counter()
        fit(ready.learner, ready.data, ready.plan, run_folder)
        run_folder.flush()
        seconds = time.perf_counter() - begin
        run_folder.close()
    return seconds / epochs


def alone(ready: Any, rounds: int) -> list[float]:
    """Seconds of single checkpoints that nothing else goes on beside."""
    found = []
    with tempfile.TemporaryDirectory() as folder, RunFolder.create(Path(folder) / "run") as run_folder:
        for epoch in range(rounds):
            begin = time.perf_counter()
            run_folder.save(ready.learner.state(), Position(epoch), {epoch})
            run_folder.flush()
            found.append(time.perf_counter() - begin)
    return found


def measure(name: str, overrides: list[str], rounds: int, epochs: int) -> None:
    config = compose(["dataset=mnist5k", f"epochs={epochs}", *overrides], Catalogue()).config
    often = compose(
        ["dataset=mnist5k", f"epochs={epochs}", "checkpoint.every_batches=10", *overrides], Catalogue()
    ).config
    shared = Shared()

    def fresh(kind: type[RunFolder], asked: dict[str, Any]) -> Callable[[], float]:
        return lambda: of(prepare(asked, shared), kind, epochs)

    ready = prepare(config, shared)
    with arithmetic(ready.threads):
        of(ready, RunFolder, epochs)
        for what, asked in (("a checkpoint each epoch", config), ("and every ten batches", often)):
            pairs = interleaved(fresh(RunFolder, asked), fresh(RowsAlone, config), rounds)
            low, middle, high = quartiles([100 * (a / b - 1) for a, b in pairs])
            epoch = statistics.median(b for _, b in pairs)
            print(
                f"{name}, {ready.threads} threads, {what}: {middle:+.1f}% of an epoch of {1e3 * epoch:.0f} ms "
                f"(quartiles {low:+.1f} to {high:+.1f}, {rounds} rounds)",
                flush=True,
            )
        low, middle, high = quartiles(alone(ready, 40))
        print(
            f"{name}: one by itself {1e3 * middle:.1f} ms ({1e3 * low:.1f} to {1e3 * high:.1f}), "
            f"{100 * middle / epoch:.2f}% of an epoch",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    for case, overrides in CASES.items():
        if arguments.only in case:
            measure(case, overrides, arguments.rounds, arguments.epochs)
