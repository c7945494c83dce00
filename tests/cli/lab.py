"""The command in a test: in this process, as a process or as a fork; and what two runs must agree on."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml

from labrunner import checkpoint
from labrunner.files import read_csv

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
import json, os, sys, time, traceback
import labrunner.compose, labrunner.running, labrunner.build, labrunner.deep, labrunner.trainer, labrunner.drawing
import labrunner.verbs.train, labrunner.verbs.resume, hydra, omegaconf, pandas, pydantic, threadpoolctl, torchsummary
import sklearn, filelock, safetensors.numpy, antlr4, hydra.core.plugins, pydantic.main, omegaconf._impl
import labrunner.agreement, labrunner.audit, labrunner.features, labrunner.preprocessing, labrunner.results
from labrunner import cli

sys.path.append(sys.argv[1])
from tests.cli.lab import Undrawn

labrunner.drawing.Drawing = Undrawn

def main(argv):
    sys.argv[1:] = argv
    return cli.main()

imported = time.process_time()
for line in sys.stdin:
    request = json.loads(line)
    if "imported" in request:
        print(json.dumps(imported), flush=True)
        continue
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
        exec(request.get("first", ""), {"__name__": "first"})
        code = main(request["argv"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
"""


class Whole(NamedTuple):
    """A run that nothing disturbed."""

    folder: Path
    begin: float  # seconds of computing before its folder was there
    seconds: float  # of all


class Forking:
    """Asks one process for forks of itself, each of which runs the command."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", FORKING, str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @cached_property
    def folder(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory()

    @cached_property
    def started(self) -> list[Fork]:
        return []

    @cached_property
    def _whole(self) -> dict[tuple[str, ...], Whole]:
        return {}

    def start(self, *argv: str, cwd: Path, first: str = "") -> Fork:
        """``labrunner ARGV`` in a folder; `first` is a program that the fork executes before."""
        out, err = (Path(self.folder.name, f"{len(self.started)}.{name}") for name in ("out", "err"))
        request = {"argv": list(argv), "cwd": str(cwd), "out": str(out), "err": str(err), "first": first}
        self.started.append(Fork(self, self.ask(request), out, err))
        return self.started[-1]

    def whole(self, *argv: str) -> Whole:
        """A run in one piece, which is made once."""
        if argv not in self._whole:
            folder = Path(self.folder.name)
            run = folder / f"run{len(self._whole)}"
            fork = self.start(f"hydra.run.dir={run}", *argv, cwd=folder)
            wait_until(lambda: run.exists() or has_ended(fork.pid), "a folder")
            begin = computed(fork.pid)
            wait_until(lambda: has_ended(fork.pid), "the end")
            self._whole[argv] = Whole(run, begin, computed(fork.pid))
            assert fork.wait().code == 0, fork.err.read_text()
        return self._whole[argv]

    @property
    def imported(self) -> float:
        """Seconds of the processor that the imports took."""
        return float(self.ask({"imported": True}))

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
        for fork in self.started:
            if not fork.is_waited_for:
                fork.send(signal.SIGKILL)
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.folder.cleanup()


@dataclass
class Fork:
    """A started command."""

    forking: Forking
    pid: int
    out: Path
    err: Path
    is_waited_for: bool = False

    def send(self, signum: int) -> None:
        os.kill(self.pid, signum)

    def wait(self) -> Outcome:
        """Exit code (negative: the signal that killed it) and streams."""
        code = self.forking.ask({"wait": self.pid})
        self.is_waited_for = True
        return Outcome(code, self.out.read_text(), self.err.read_text())


# what a process is at


def computed(pid: int) -> float:
    """Seconds of the processor that a process has had: a clock that stands still while others have it."""
    return sum(int(ticks) for ticks in _stat(pid)[11:13]) / os.sysconf("SC_CLK_TCK")


def has_ended(pid: int) -> bool:
    """Whether a process has nothing left to do; its parent may not have asked for its exit code yet."""
    return not Path(f"/proc/{pid}").exists() or _stat(pid)[0] in "ZX"


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # behind the name: state, …


def processes_in(folder: Path) -> list[str]:
    """The command lines of processes at work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            is_there = entry.name.isdigit() and (entry / "cwd").resolve() == folder.resolve()
            if is_there and not has_ended(int(entry.name)):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


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


# what a run folder must be, whatever happened


def assert_whole(folder: Path) -> None:
    """Every file that is there can be read to its end; temporaries aside."""
    for path in (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".tmp")):
        match path.suffix:
            case ".safetensors":
                checkpoint.read(path)
            case ".json":
                json.loads(path.read_text())
            case ".yaml":
                assert isinstance(yaml.safe_load(path.read_text()), dict), path
            case ".npz" | ".npy":
                np.load(path, allow_pickle=False)
            case ".csv":
                header, rows = read_csv(path)
                assert header, path
                assert {len(row) for row in rows} <= {len(header)}, path
                if path.name in ("metrics.csv", "timing.csv"):
                    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))


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
