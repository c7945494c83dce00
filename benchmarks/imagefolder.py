"""What the cache of decoded images saves: the first start on a folder of JPEGs, and the second one.

    python benchmarks/imagefolder.py [--rounds 7] [--images 2000] [--size 64]

Smooth random photographs of 400 x 300 pixels in four class folders. In every round a cache of its own is filled, and
read by a second process and by a third one past the memory budget. All are timed inside, after the imports, from the
description to the first batch: what a run waits for before it trains. The files lie in the page cache from the start.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from spread import quartiles

START = """
import sys, time, types
import numpy as np
from labrunner import data
from labrunner.learner import ANY
root, cache, size, memory = sys.argv[1:]
options = {"name": "imagefolder", "root": root, "size": int(size), "channels": 3, "skip_bad": False,
           "memory": float(memory), "classes": None, "val_fraction": 0.2, "test_fraction": 0.2, "normalize": "standard"}
config = {"dataset": options, "cache": cache, "augment": {},
          "batch_size": 32, "precision": "float32", "seed": 0, "smoke": False, "reg": {}}
learner = types.SimpleNamespace(wants=ANY, array=np.ascontiguousarray)
begin = time.perf_counter()
data.describe(options)
samples = data.samples_of(config, {})
samples.fingerprint
next(data.make(config, samples, learner).train.batches(1))
print(time.perf_counter() - begin)
"""


def photographs(root: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        path = root / f"class {number % 4}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize((400, 300), Image.Resampling.BICUBIC).save(path, quality=90)


def start(root: Path, cache: Path, size: int, memory: float) -> float:
    """Seconds that a process of its own needs up to its first batch."""
    command = [sys.executable, "-c", START, str(root), str(cache), str(size), str(memory)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=64)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, "pictures")
        photographs(pictures, arguments.images)
        seconds: dict[str, list[float]] = {"first": [], "second": [], "second, streamed": []}
        for number in range(arguments.rounds):
            cache = Path(folder, f"cache {number}")
            for name, memory in zip(seconds, (4.0, 4.0, 1e-9), strict=True):
                seconds[name].append(start(pictures, cache, arguments.size, memory))
        print(f"{arguments.images:,} JPEGs of 400 x 300 to {arguments.size} x {arguments.size}:")
        for name, values in seconds.items():
            low, middle, high = quartiles([a / b for a, b in zip(values, seconds["first"], strict=True)])
            print(
                f"  {name:18} {statistics.median(values) * 1e3:8,.0f} ms  over the first "
                f"{middle:.3f} (quartiles {low:.3f} to {high:.3f}, {arguments.rounds} rounds)"
            )
