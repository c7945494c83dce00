"""What an augmentation of a whole batch costs, in NumPy and in torch, beside torchvision's loop and a training step.

    python benchmarks/augment.py [--rounds 15]

Microseconds per batch, the median of the rounds, on one thread. In every round each case is measured once, in turn:
what slows the machine down slows all of them down. The loop is torchvision's transform of the same kind, called for one
image after another, and stacked; of mixup and cutmix it is torchvision's transform of the batch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import bare
import numpy as np
import torch
from torchvision.transforms import v2

from labrunner.data.augment import Augment
from labrunner.data.mixing import cutmix, mixup

BATCHES = [(32, 1, 28, 28), (128, 1, 28, 28), (32, 3, 32, 32), (128, 3, 32, 32), (32, 3, 224, 224)]
PHOTO = {"resized_crop": 0.35, "flip": 0.5, "jitter": 0.4}
CASES = {
    "shift": {"shift": 2},
    "rotate": {"rotate": 10.0},
    "flip": {"flip": 0.5},
    "crop": {"crop": 4},
    "crop, flip": {"crop": 4, "flip": 0.5},
    "these four": {"shift": 2, "rotate": 10.0, "flip": 0.5, "crop": 4},
    "resized crop": {"resized_crop": 0.35},
    "jitter": {"jitter": 0.4},
    "randaugment": {"randaugment": 2, "magnitude": 9},
    "photo": PHOTO,
    "all": {"shift": 2, "rotate": 10.0, "crop": 4, **PHOTO, "randaugment": 2, "magnitude": 9},
}
MIXING = {"mixup": (mixup, 0.2, v2.MixUp), "cutmix": (cutmix, 1.0, v2.CutMix)}
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


def of_torchvision(side: int) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Transforms of one image that do what the cases do to a batch."""
    shift = v2.RandomAffine(degrees=0, translate=(2 / side, 2 / side))
    turn = v2.RandomRotation(10.0, interpolation=v2.InterpolationMode.BILINEAR)
    flip, crop = v2.RandomHorizontalFlip(0.5), v2.RandomCrop(side, padding=4, padding_mode="reflect")
    window, jitter = v2.RandomResizedCrop(side, scale=(0.35, 1.0)), v2.ColorJitter(0.4, 0.4, 0.4)
    varied = v2.RandAugment(num_ops=2, magnitude=9)
    return {
        "shift": shift,
        "rotate": turn,
        "flip": flip,
        "crop": crop,
        "crop, flip": v2.Compose([crop, flip]),
        "these four": v2.Compose([turn, shift, crop, flip]),
        "resized crop": window,
        "jitter": jitter,
        "randaugment": varied,
        "photo": v2.Compose([window, flip, jitter]),
        "all": v2.Compose([turn, shift, crop, window, flip, jitter, varied]),
    }


def cases(shape: tuple[int, ...]) -> dict[tuple[str, str], Callable[[], object]]:
    """What is measured on batches of a shape, by name and library."""
    rng = np.random.default_rng(0)
    pixels, floats = rng.integers(0, 256, shape, np.uint8), rng.random(shape, np.float32)
    labels = rng.integers(0, 10, shape[0])
    weights = np.eye(10, dtype=np.float32)[labels]
    found: dict[tuple[str, str], Callable[[], object]] = {}
    for library, to_array in LIBRARIES.items():
        batch, inputs, shares = to_array(pixels), to_array(floats), to_array(weights)
        for name, options in CASES.items():
            augment = Augment(options, shape[1:], to_array, "float32")
            found[name, library] = lambda augment=augment, batch=batch: augment(batch, rng)
        for name, (mix, alpha, _) in MIXING.items():
            found[name, library] = lambda mix=mix, x=inputs, y=shares, alpha=alpha, to_array=to_array: mix(
                x, y, rng, alpha, to_array
            )
    images, floating, numbers = list(torch.tensor(pixels)), torch.tensor(floats), torch.tensor(labels)
    for name, transform in of_torchvision(shape[2]).items():
        found[name, "loop"] = lambda transform=transform: torch.stack([transform(image) for image in images])
    for name, (_, alpha, transform) in MIXING.items():
        mixes = transform(alpha=alpha, num_classes=10)
        found[name, "loop"] = lambda mixes=mixes: mixes(floating, numbers)
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
    repeats = 10 if shape[-1] < 100 else 2
    for number in range(rounds + 1):  # the first one warms up
        for key, work in found.items():
            measured = seconds(work, 1 if key[1] == "loop" else repeats)
            if number:
                times[key].append(measured * 1e6)
        measured = seconds(step, 3 if shape[-1] < 100 else 1)
        if number:
            steps.append(measured * 1e6)
    step_time = statistics.median(steps)
    print(f"{shape}: a training step of the cnn takes {step_time:,.0f} us")
    for name in (*CASES, *MIXING):
        middle = {library: statistics.median(times[name, library]) for library in (*LIBRARIES, "loop")}
        ratios = [loop / ours for loop, ours in zip(times[name, "loop"], times[name, "torch"], strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        print(
            f"  {name:13}" + "".join(f"{library} {value:9,.0f} us   " for library, value in middle.items()),
            f"loop over torch {ratio:5.1f} ({low:.1f} to {high:.1f})",
            f"  torch over a step {middle['torch'] / step_time:.1%}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for batch_shape in BATCHES:
        measure(batch_shape, arguments.rounds)
