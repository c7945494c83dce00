"""Fixtures for tests that go through the command.

Importing torch takes seconds, so most tests call the command inside the test process (`lab`). Where processes are the
point there are forks of one process that has imported everything and computed nothing (`forks`), and, where the start
itself is the point, processes from scratch (`fresh`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.lab import Fork, Forking, Lab, Undrawn, command
from tests.lines import (  # noqa: F401 (hooks)
    pytest_collection_modifyitems,
    pytest_runtest_logreport,
    pytest_terminal_summary,
)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_it_was: None) -> Lab:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("labrunner.drawing.Drawing", Undrawn)
    return Lab(tmp_path, capsys)


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """Signal handlers, the import path and the imported modules are afterwards what they were before."""
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    path, modules = list(sys.path), set(sys.modules)
    yield
    for signum, handler in handlers.items():
        signal.signal(signum, handler)
    added = [entry for entry in sys.path if entry not in path]
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        # a user's module: the next test's file of that name is another one
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(tuple(added or ["\0"])):
            del sys.modules[name]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``labrunner ARGV`` as a process: ``fresh("epochs=2", env={"OMP_NUM_THREADS": None})``."""
    started: list[subprocess.Popen[str]] = []

    def start(
        *argv: str, cwd: Path = tmp_path, env: Mapping[str, str | None] | None = None, python: list[str] | None = None
    ) -> subprocess.Popen[str]:
        wanted = {**os.environ, **(env or {})}
        process = subprocess.Popen(
            python if python is not None else command(*argv),
            cwd=cwd,
            env={name: value for name, value in wanted.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def forking() -> Iterator[Forking]:
    forking = Forking()
    yield forking
    forking.close()


@pytest.fixture
def forks(forking: Forking, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Fork]]:
    """Start ``labrunner ARGV`` in `tmp_path` without waiting for imports: ``forks("epochs=2").wait()``."""
    started: list[Fork] = []
    streams = tmp_path_factory.mktemp("streams")

    def start(*argv: str, cwd: Path = tmp_path) -> Fork:
        out, err = streams / f"{len(started)}.out", streams / f"{len(started)}.err"
        pid = forking.ask({"argv": list(argv), "cwd": str(cwd), "out": str(out), "err": str(err)})
        started.append(Fork(forking, pid, out, err))
        return started[-1]

    yield start
    for fork in started:
        with suppress(ProcessLookupError):
            fork.send(signal.SIGKILL)
