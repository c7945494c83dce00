"""What a run finds around it: threads for its arithmetic, and the versions that environment.json records."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from labrunner import __version__, records

PACKAGES = ("numpy", "torch", "torchvision", "torchmetrics", "torchsummary", "hydra-core", "omegaconf", "safetensors")
MANY_WORK = 16_000_000  # multiply-adds of a training batch from which a second thread pays; see benchmarks/
MOST_THREADS = 4


@contextmanager
def arithmetic(threads: int) -> Iterator[None]:
    """So many threads for torch and for BLAS inside, whatever the environment says."""
    import torch
    from threadpoolctl import threadpool_limits

    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark
    torch.set_num_threads(threads)
    cudnn.deterministic, cudnn.benchmark = True, False  # on a GPU, convolutions that come out the same each time
    try:
        with threadpool_limits(limits=threads):
            yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]


def threads_for(work: int) -> int:
    """The fixed rule: one thread below `MANY_WORK` multiply-adds a batch, above it up to `MOST_THREADS` cores.

    It looks at the machine's cores, never at a clock or at what else is running.
    """
    if work < MANY_WORK:
        return 1
    return max(1, min(MOST_THREADS, cores()))


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(threads: int, command: str, files: Sequence[Path] = ()) -> dict[str, Any]:
    """What environment.json says; `files` of the user's own count among the versions, by their hash."""
    versions = installed() | {path.name: found for path in files if (found := file_hash(path)) is not None}
    return {
        "format": records.FORMAT,
        "labrunner": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": threads,
        "versions": versions,
        "git_commit": git_commit(),
        "command": command,
    }


@cache
def installed() -> dict[str, str]:
    """Package -> version, of those that are there; a process goes on with what it began with."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def file_hash(path: Path) -> str | None:
    """What a file is known by among the versions; None where there is none."""
    try:
        return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return None


def git_commit() -> str | None:
    """The commit of the current folder's repository, if it is in one."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def command_line(argv: Sequence[str]) -> str:
    """The command as typed, to repeat it by copying."""
    return shlex.join(["labrunner", *argv])


def bar_size() -> dict[str, Any]:
    """How much of the terminal tqdm takes; one that does not say its size is taken by tqdm to have no room."""
    return {"dynamic_ncols": True} if terminal_columns() else {"ncols": 80, "nrows": 24}


def terminal_columns() -> int:
    """Columns of the terminal that stderr is; 0 where it does not say, as in some containers."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 0
