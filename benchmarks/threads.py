"""Where a second thread begins to pay: seconds of a training step on one thread and on two, by the work in a batch.

    python benchmarks/threads.py [--rounds 7]

`machine.MANY_WORK` is set from what this prints; it is a constant so that the same run takes the same number of threads
whatever else the machine is doing. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import time

from spread import interleaved, quartiles

from labrunner.compose import compose
from labrunner.helping import Catalogue
from labrunner.machine import arithmetic
from labrunner.running import Shared, prepare

CASES = [
    ["model=mlp", "dataset=digits"],
    ["model=mlp", "dataset=mnist5k"],
    ["model=cnn", "dataset=digits"],
    ["model=mlp", "dataset=mnist5k", "batch_size=256"],
    ["model=mlp", "dataset=mnist5k", "model.hidden=[512,256]"],
    ["model=mlp", "dataset=mnist5k", "model.hidden=[512,256]", "batch_size=128"],
    ["model=cnn", "dataset=mnist5k", "model.channels=[8,16]"],
    ["model=cnn", "dataset=mnist5k", "model.channels=[16,32]"],
    ["model=cnn", "dataset=mnist5k"],
    ["model=cnn", "dataset=mnist5k", "batch_size=128"],
    ["model=mlp_numpy", "dataset=mnist5k"],
    ["model=mlp_numpy", "dataset=mnist5k", "model.hidden=[512,256]", "batch_size=128"],
]


def measure(overrides: list[str], rounds: int) -> None:
    ready = prepare(compose(overrides, Catalogue()).config, Shared())
    batches = [batch for batch, _ in zip(ready.data.train.batches(1), range(20), strict=False)]
    work = ready.learner.work * len(batches[0].targets)

    def steps(threads: int) -> float:
        with arithmetic(threads):
            ready.learner.train_batch(batches[0], 0.001)
            begin = time.perf_counter()
            for batch in batches:
                ready.learner.train_batch(batch, 0.001)
            return (time.perf_counter() - begin) / len(batches)

    pairs = interleaved(lambda: steps(2), lambda: steps(1), rounds)
    low, middle, high = quartiles([two / one for two, one in pairs])
    print(f"{work / 1e6:9.1f} M  two/one {middle:.2f} ({low:.2f} to {high:.2f})  {' '.join(overrides)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for case in CASES:
        measure(case, rounds)
