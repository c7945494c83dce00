"""The command in a test: in this process, as a process or as a fork; and what two runs must agree on."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PATIENCE = 120.0  # seconds after which a process counts as hanging; no test asks how long something took


class Outcome(NamedTuple):
    """What a command left on its streams, and its exit code."""

    code: int
    out: str
    err: str


class Undrawn:
    """Stands in for the drawing process, so that a run in the test process starts none."""

    pending: tuple[Path, ...] = ()

    def start(self) -> None: ...

    def ask(self, folder: Path, which: str = "all") -> None:
        (folder / "report.html").write_text(f"figures={which}")

    def finish(self, timeout: float = 0.0) -> list[str]:
        return []

    def close(self) -> None: ...

    def __enter__(self) -> Undrawn:
        return self

    def __exit__(self, *exception: object) -> None: ...


@dataclass
class Lab:
    """The command in this process, started in a folder of its own: ``lab("model=cnn", "epochs=2")``."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *argv: str) -> Outcome:
        from labrunner.cli import main

        self.capture.readouterr()
        code = main(list(argv))
        return Outcome(code, *self.capture.readouterr())

    def train(self, name: str, *overrides: str) -> Path:
        """A run that must succeed; returns its folder."""
        ended = self(f"hydra.run.dir={name}", "figures=none", *overrides)
        assert ended.code == 0, ended.err
        return self.folder / name

    def write(self, name: str, text: str) -> Path:
        """A file of the user's in the current folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def tree(self) -> dict[str, bytes | None]:
        """Everything in the folder: path -> content, None for folders."""
        return tree(self.folder)


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


# processes from scratch


def command(*argv: str) -> list[str]:
    """The command as its installed script starts it: without the current folder on the import path."""
    return [sys.executable, "-P", "-c", "import sys; from labrunner.cli import main; sys.exit(main())", *argv]


def ended(process: subprocess.Popen[str]) -> Outcome:
    """Wait for a process to end."""
    out, err = process.communicate(timeout=PATIENCE)
    return Outcome(process.returncode, out, err)


# forks of a process that has imported everything

FORKING = """
import json, os, sys, traceback
import labrunner.compose, labrunner.running, labrunner.build, labrunner.deep, labrunner.trainer, labrunner.drawing
import labrunner.verbs.train, labrunner.verbs.resume, hydra, omegaconf, pandas, pydantic, threadpoolctl, torchsummary
import sklearn, filelock, safetensors.numpy
from labrunner.cli import main

sys.path.append(sys.argv[1])
from tests.cli.lab import Undrawn

labrunner.drawing.Drawing = Undrawn
for line in sys.stdin:
    request = json.loads(line)
    if "wait" in request:
        code = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        print(json.dumps(code), flush=True)
        continue
    pid = os.fork()
    if pid:
        print(json.dumps(pid), flush=True)
        continue
    code = 1
    try:
        os.chdir(request["cwd"])
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv[1:] = request["argv"]
        code = main(request["argv"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
"""


class Forking:
    """Asks one process for forks of itself, each of which runs the command."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", FORKING, str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        if not ready:
            raise AssertionError(f"no answer to {request}")
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()


@dataclass
class Fork:
    """A started command."""

    forking: Forking
    pid: int
    out: Path
    err: Path

    def send(self, signum: int) -> None:
        os.kill(self.pid, signum)

    def wait(self) -> Outcome:
        """Exit code (negative: the signal that killed it) and streams."""
        code = self.forking.ask({"wait": self.pid})
        return Outcome(code, self.out.read_text(), self.err.read_text())


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Look again and again; a condition that never comes about is a failure."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.002)


def rows_of(folder: Path) -> int:
    """Finished rows in a run's metrics.csv, while another process writes it."""
    path = folder / "metrics.csv"
    return max(0, path.read_text().count("\n") - 1) if path.is_file() else 0


# what two runs must agree on

AGREE = (
    "metrics.csv",
    "predictions.csv",
    "per_class.csv",
    "confusion.csv",
    "samples.npz",
    "initial.json",
    "freeze.csv",
    "preprocessing.json",
    "facts.json",
    "checks.csv",
    "summary.txt",
)
AGREE_WHERE_THERE = ("boundary.npz",)  # of points in the plane


def essence(folder: Path) -> dict[str, bytes]:
    """All that a run computed, by file: equal for two runs that computed the same."""
    there = [name for name in AGREE_WHERE_THERE if (folder / name).is_file()]
    found = {name: (folder / name).read_bytes() for name in (*AGREE, *there)}
    for inside in ("checkpoints", "probes"):
        found |= {f"{inside}/{path.name}": path.read_bytes() for path in sorted((folder / inside).iterdir())}
    test = json.loads((folder / "test.json").read_text())
    del test["reads"]
    return found | {"test.json": json.dumps(test).encode()}


def assert_same_run(one: Path, other: Path) -> None:
    """Byte for byte the same results; names the files that differ."""
    left, right = essence(one), essence(other)
    assert sorted(left) == sorted(right)
    assert [name for name in left if left[name] != right[name]] == []
