"""Ratios measured in one run, with their spread."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Sequence


def timed(command: list[str]) -> float:
    """Seconds that a command takes as a whole process."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def interleaved(first: Callable[[], float], second: Callable[[], float], rounds: int) -> list[tuple[float, float]]:
    """Seconds of both, measured in turn: what slows the machine down slows both down."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            b = second()
            pairs.append((first(), b))
        else:
            a = first()
            pairs.append((a, second()))
    return pairs


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return low, middle, high


def report(name: str, pairs: Sequence[tuple[float, float]], unit: str = "ms", scale: float = 1e3) -> None:
    low, middle, high = quartiles([a / b for a, b in pairs])
    ours, theirs = (statistics.median(side) * scale for side in zip(*pairs, strict=True))
    print(
        f"{name:34} ours {ours:8.1f} {unit}  bare {theirs:8.1f} {unit}  "
        f"ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f}, {len(pairs)} rounds)",
        flush=True,
    )
