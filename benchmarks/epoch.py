"""An epoch of `fit`, with all five metrics, the CSV row and the checkpoint, against the bare loop of bare.py.

    python benchmarks/epoch.py [--rounds 9] [--epochs 8] [--only cnn]

Both sides train the same network on the same 3,000 digits of mnist5k with plain SGD, in turn, in one process, with the
same number of threads. What is written behind the next epoch is waited for before the clock stops.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import bare
import torch
from spread import interleaved, report

from labrunner.compose import compose
from labrunner.helping import Catalogue
from labrunner.machine import arithmetic
from labrunner.records import RunFolder
from labrunner.running import Shared, prepare
from labrunner.trainer import fit

CASES = {
    "mlp, sgd": ["model=mlp"],
    "mlp, sgd, hidden=[256,128]": ["model=mlp", "model.hidden=[256,128]"],
    "mlp, sgd, batch_size=64": ["model=mlp", "batch_size=64"],
    "cnn, sgd": ["model=cnn"],
    "cnn, sgd, batch_size=64": ["model=cnn", "batch_size=64"],
}


def tensors(split) -> tuple[torch.Tensor, torch.Tensor]:
    """A whole split, normalized, as contiguous tensors."""
    batches = list(split.in_order())
    return torch.cat([batch.inputs for batch in batches]), torch.cat([batch.targets for batch in batches])


def measure(name: str, overrides: list[str], rounds: int, epochs: int) -> None:
    config = compose(["dataset=mnist5k", "optim=sgd", f"epochs={epochs}", *overrides], Catalogue()).config
    shared = Shared()
    ready = prepare(config, shared)
    (x, y), (xv, yv) = tensors(ready.data.train), tensors(ready.data.val)
    model = config["model"]
    network = bare.mlp(784, model["hidden"], 10) if "hidden" in model else bare.cnn(28, model["channels"], 10)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            fresh = prepare(config, shared)
            run_folder = RunFolder.create(Path(folder) / "run")
            run_folder.record_start(fresh.learner.start_epoch(0))
            begin = time.perf_counter()
            fit(fresh.learner, fresh.data, fresh.plan, run_folder)
            run_folder.flush()
            seconds = time.perf_counter() - begin
            run_folder.close()
        return seconds / epochs

    def theirs() -> float:
        begin = time.perf_counter()
        for _ in range(epochs):
            bare.epoch(network, optimizer, x, y, xv, yv, config["batch_size"])
        return (time.perf_counter() - begin) / epochs

    with arithmetic(ready.threads):
        ours(), theirs()
        report(f"{name} ({ready.threads} thread)", interleaved(ours, theirs, rounds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    for case, overrides in CASES.items():
        if arguments.only in case:
            measure(case, overrides, arguments.rounds, arguments.epochs)
