"""A process of its own: run or sweep folder -> PNGs and report, on the other core while training goes on.

The parent starts ``python -m labrunner.drawing`` at the beginning of a run, so that matplotlib is imported meanwhile,
and hands it folders; the child answers each when it is done. Requests and answers are lines of JSON on stdin and
stdout. The child ends when its stdin does, so that it does not outlive its parent however that ends.

The CSV files are the result of a run and are complete without its figures: what goes wrong here becomes a message,
never an exception.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO

from labrunner import children, signals

# the arithmetic of a figure is small: threads of it would only take the processor from training
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
NICENESS = 10


class Drawing:
    """The drawing process, seen by the process that trains; imports nothing that draws.

    It starts with `start`, or with the first `ask`. On leaving ``with Drawing() as drawing:`` it ends, and work that
    was not waited for with `finish` is dropped.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[bytes] | None = None  # what the child and its libraries print
        self._requests: queue.SimpleQueue[tuple[Path, str] | None] = queue.SimpleQueue()
        self._pending: list[Path] = []
        self._messages: list[str] = []
        self._talk: threading.Thread | None = None
        self._over = threading.Event()  # the thread's own word: an interrupted join() takes it for ended (bpo-45274)
        self._failure: str | None = None
        self._around = contextlib.ExitStack()

    def start(self) -> None:
        """Start the process and return at once; a second call does nothing."""
        if self._process is not None or self._failure is not None:
            return
        try:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the child is)
            with signals.deferred() as stop:  # a process that nobody knows of could not be ended
                self._process = subprocess.Popen(
                    children.command("labrunner.drawing"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._said,
                    env=_environment(),
                    encoding="utf-8",
                    start_new_session=True,  # a Ctrl-C in the terminal is the parent's to handle
                )
        except OSError as error:
            self._failure = f"the drawing process cannot be started: {error.strerror or error}"
            return
        stop.heed()
        self._talk = threading.Thread(target=self._serve, args=(self._process,), name="labrunner-drawing", daemon=True)
        self._talk.start()

    def ask(self, folder: Path, which: str = "all") -> None:
        """Queue the figures (``all``, ``few`` or ``none``) of a folder, and its report; returns at once."""
        self.start()
        self._pending.append(folder)
        self._requests.put((folder.absolute(), which))

    @property
    def pending(self) -> tuple[Path, ...]:
        """The folders that are still to be drawn."""
        return tuple(self._pending)

    def finish(self, timeout: float = 120.0) -> list[str]:
        """Wait until all that was asked is drawn, end the process, and return a line for each folder that failed.

        Parameters
        ----------
        timeout
            Seconds to wait; then the process is killed and what it did not get to is among the messages.
        """
        self._requests.put(None)
        late = False
        if self._talk is not None:
            late = not self._over.wait(timeout)
        self.close()
        if late:
            self._failure = f"drawing was stopped after {timeout:g} s"
        messages, self._messages = self._messages, []
        if self._pending:
            first, *others = self._pending
            where = f"{first} and {len(others)} more" if others else f"{first}"
            messages.append(f"{self._failure}: no figures and report in {where}; the CSV files are complete")
            self._pending = []
        return messages

    def close(self) -> None:
        """End the process, whatever it is at; a second call does nothing."""
        with signals.deferred() as stop:
            self._end()
        stop.heed()

    def _end(self) -> None:
        if self._process is not None:
            self._requests.put(None)
            self._process.kill()
            self._process.wait()
            if self._talk is not None:
                self._over.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):  # a request that the child never took
                    if pipe is not None:
                        pipe.close()
            self._process = None
            self._failure = self._failure or "the drawing process was ended"
        if self._said is not None:
            self._said.close()
            self._said = None

    def __enter__(self) -> Drawing:
        self._around.enter_context(signals.undone(self._kill))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        self._around.close()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _serve(self, process: subprocess.Popen[str]) -> None:
        try:
            self._hand_over(process)
        finally:
            self._over.set()

    def _hand_over(self, process: subprocess.Popen[str]) -> None:
        """Hand over one request, take its answer, and so on: neither pipe ever holds more than a line."""
        assert process.stdin is not None
        assert process.stdout is not None
        while (request := self._requests.get()) is not None:
            folder, which = request
            try:
                process.stdin.write(json.dumps({"folder": str(folder), "which": which}) + "\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline() or "null")
            except (OSError, ValueError):
                answer = None
            if answer is None:
                self._failure = self._failure or f"the drawing process died{self._last_words(process)}"
                return
            done = self._pending.pop(0)
            if answer["error"] is not None:
                self._messages.append(f"{done}: not all could be drawn: {answer['error']}; the CSV files are complete")

    def _last_words(self, process: subprocess.Popen[str]) -> str:
        """How the child ended, and the last line it printed."""
        code = process.wait()
        how = f" with signal {-code}" if code < 0 else f" with exit code {code}"
        assert self._said is not None
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f"{how} ({lines[-1].strip()})" if lines else how


def _environment() -> dict[str, str]:
    return {**children.environment(), **dict.fromkeys(ONE_THREAD, "1"), "MPLBACKEND": "agg"}


def main() -> None:
    """The child: a request a line from stdin, an answer a line to stdout, until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer

    # before the first request: they take a second that training does not wait for
    import pandas  # noqa: F401

    from labrunner.figures import draw, draw_evaluation, draw_range, draw_sweep
    from labrunner.records import Evaluation, Sweep, is_sweep_folder, load_run, load_sweep
    from labrunner.records.names import is_evaluation_folder, is_range_folder
    from labrunner.report import write
    from labrunner.report.sweeps import write as write_sweep

    def work(folder: str, which: str) -> str | None:
        """Draw, then render; what went wrong in one line. A figure that fails does not take the report with it."""
        path, errors = Path(folder), []
        try:
            if is_range_folder(path):
                draw_range(path)
                return None
            if is_evaluation_folder(path):
                draw_evaluation(Evaluation(path), which)
                return None
            recorded = load_sweep(folder) if is_sweep_folder(path) else load_run(folder)
        except Exception as error:
            return _one_line(error)
        try:
            draw_sweep(recorded, which) if isinstance(recorded, Sweep) else draw(recorded, which)
        except Exception as error:
            errors.append(_one_line(error))
        try:
            write_sweep(path) if isinstance(recorded, Sweep) else write(recorded)
        except Exception as error:
            errors.append(f"report.html: {_one_line(error)}")
        return "; ".join(errors) or None

    for line in sys.stdin:
        request = json.loads(line)
        answer = {"folder": request["folder"], "error": work(request["folder"], request["which"])}
        try:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
        except BrokenPipeError:  # the parent is gone
            os._exit(0)


def _one_line(error: Exception) -> str:
    from labrunner.errors import LabrunnerError

    text = " ".join(str(error).split())
    return text if isinstance(error, LabrunnerError) else f"{type(error).__name__}: {text}"


if __name__ == "__main__":
    main()
