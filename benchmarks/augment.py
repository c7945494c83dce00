"""What an augmentation of a whole batch costs, in NumPy and in torch, beside a training step of the cnn.

    python benchmarks/augment.py [--rounds 15]

Microseconds per batch, the median of the rounds, on one thread. In every round each case is measured once, in turn:
what slows the machine down slows all of them down.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import bare
import numpy as np
import torch

from labrunner.data.augment import Augment, mixup

BATCHES = [(32, 1, 28, 28), (128, 1, 28, 28), (32, 3, 32, 32), (128, 3, 32, 32)]
CASES = {
    "shift": {"shift": 2},
    "rotate": {"rotate": 10.0},
    "flip": {"flip": 0.5},
    "crop": {"crop": 4},
    "crop, flip": {"crop": 4, "flip": 0.5},
    "all": {"shift": 2, "rotate": 10.0, "flip": 0.5, "crop": 4},
}
LIBRARIES: dict[str, Callable[[np.ndarray], object]] = {"numpy": np.ascontiguousarray, "torch": torch.tensor}


def training_step(shape: tuple[int, ...]) -> Callable[[], None]:
    """Forward, backward and update of the cnn's default network."""
    count, channels, size, _ = shape
    network = bare.cnn(size, [32, 64], 10)
    if channels != 1:
        network[0] = torch.nn.Conv2d(channels, 32, 3, padding=1, bias=False)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    x, y = torch.rand(shape), torch.randint(10, (count,))

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()

    return step


def cases(shape: tuple[int, ...]) -> dict[tuple[str, str], Callable[[], object]]:
    """What is measured on batches of a shape, by name and library."""
    rng = np.random.default_rng(0)
    pixels, floats = rng.integers(0, 256, shape, np.uint8), rng.random(shape, np.float32)
    weights = np.eye(10, dtype=np.float32)[rng.integers(0, 10, shape[0])]
    found: dict[tuple[str, str], Callable[[], object]] = {}
    for library, to_array in LIBRARIES.items():
        batch, inputs, shares = to_array(pixels), to_array(floats), to_array(weights)
        for name, options in CASES.items():
            augment = Augment(options, shape[1:], to_array, "float32")
            found[name, library] = lambda augment=augment, batch=batch: augment(batch, rng)
        found["mixup", library] = lambda a=inputs, b=shares, to_array=to_array: mixup(a, b, rng, 0.2, to_array)
    return found


def seconds(work: Callable[[], object], times: int) -> float:
    begin = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - begin) / times


def measure(shape: tuple[int, ...], rounds: int) -> None:
    found, step = cases(shape), training_step(shape)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in found}
    steps: list[float] = []
    for number in range(rounds + 1):  # the first one warms up
        for key, work in found.items():
            measured = seconds(work, 10)
            if number:
                times[key].append(measured * 1e6)
        measured = seconds(step, 3)
        if number:
            steps.append(measured * 1e6)
    step_time = statistics.median(steps)
    print(f"{shape}: a training step of the cnn takes {step_time:,.0f} us")
    for name in (*CASES, "mixup"):
        middle = {library: statistics.median(times[name, library]) for library in LIBRARIES}
        print(
            f"  {name:12}" + "".join(f"{library} {value:8,.0f} us   " for library, value in middle.items()),
            f"torch over a step {middle['torch'] / step_time:.1%}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for batch_shape in BATCHES:
        measure(batch_shape, arguments.rounds)
