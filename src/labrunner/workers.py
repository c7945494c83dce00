"""Processes that make the runs of a sweep side by side.

The parent starts ``python -m labrunner.workers`` as often as there are runs to be made at once and hands each process
one task after the other; what a process has imported and read serves all of its runs. Requests and answers are lines of
JSON on stdin and stdout; what a run prints goes to a file that the parent passes on to stderr.

A process is set up for its run before it asks for the threads that the run takes, and waits until the parent grants
them: runs at work never take more threads together than there are cores, unless one alone does. How many threads a run
takes does not depend on how many run beside it, and so neither does what it computes.

A process ends when its stdin does, as after the parent was killed, but saves its state first; what its runs have
started ends with it.
"""

from __future__ import annotations

import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from labrunner import children, machine, signals
from labrunner.errors import Interrupted, LabrunnerError, RunError
from labrunner.files import WriteError, from_yaml, read_json, to_yaml
from labrunner.records import RunFolder
from labrunner.running import Shared, failed
from labrunner.tasks import Outcome, Task, carry_out, is_begun, keep_failure

STOP_SECONDS = 10.0  # what a process is given to save its state
TICK = 0.2  # seconds; how often what runs print is passed on

Message = dict[str, Any]


class Child:
    """One of the processes, seen by the parent."""

    def __init__(self) -> None:
        around = children.environment()
        children.spin_briefly(around)
        # a file and no pipe: when the parent is gone, printing does no harm
        self.printed: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process is)
        try:
            self.process = subprocess.Popen(
                children.command("labrunner.workers"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.printed,
                env=around,
                start_new_session=True,  # a Ctrl-C in the terminal is the parent's to handle
            )
        except BaseException:
            self.printed.close()
            raise
        self.is_up = False  # it answers signals
        self.task: Task | None = None
        self.asked = 0  # threads that its run takes
        self.threads = 0  # of these, granted
        self._began = 0.0
        self._unread = b""  # the beginning of an answer
        self._passed_on = 0  # bytes of what it printed
        self._last_line = ""  # that the run printed
        self.send({"path": [entry for entry in sys.path if entry]})

    def fileno(self) -> int:
        """Where its answers come from."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def send(self, message: Message) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):  # it died: its answers will end
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def take(self, task: Task) -> None:
        self.task, self._began, self._last_line = task, time.perf_counter(), ""
        # YAML, as in a run's folder: JSON would make text of a mapping's numbers
        self.send({"task": asdict(task) | {"folder": str(task.folder), "config": to_yaml(task.config)}})

    def leave(self) -> None:
        """The task is over."""
        self.task, self.asked, self.threads = None, 0, 0

    def answers(self) -> tuple[list[Message], bool]:
        """What it has said by now, and whether that was the last of it; does not wait where there is something."""
        came = os.read(self.fileno(), 1 << 16)
        *lines, self._unread = (self._unread + came).split(b"\n")
        return [json.loads(line) for line in lines], not came

    def pass_on(self, ended: bool = False) -> None:
        """Write what it printed since last time to stderr, line by line."""
        descriptor = self.printed.fileno()
        while new := os.pread(descriptor, 1 << 16, self._passed_on):
            if not ended:
                new = new[: new.rfind(b"\n") + 1] or (new if len(new) == 1 << 16 else b"")
            if not new:
                return
            self._passed_on += len(new)
            text = new.decode(errors="replace")
            said = [line.strip() for line in text.splitlines() if line.strip()]
            self._last_line = said[-1] if said else self._last_line
            with suppress(OSError, ValueError):  # nobody reads it any more
                sys.stderr.write(text if text.endswith("\n") else text + "\n")
                sys.stderr.flush()

    def death(self) -> Outcome:
        """The outcome of the task during which it ended."""
        assert self.task is not None
        self.pass_on(ended=True)
        code = self.process.returncode
        if code < 0:
            how = f"the process was killed by signal {-code}"
            how += ", as happens where memory runs out" if -code == signal.SIGKILL else ""
        else:
            how = f"the process ended with exit code {code}"
        error = f"{how} ({self._last_line})" if self._last_line else how
        return Outcome(self.task.number, "failed", error, time.perf_counter() - self._began)

    def end(self) -> None:
        """Kill it and whatever it started, and wait until it is gone."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # a request that it never took
                if pipe is not None:
                    pipe.close()

    def close(self) -> None:
        """Give back what is left of it."""
        if not self.printed.closed:
            self.pass_on(ended=True)
            self.printed.close()


class Workers:
    """Processes that carry out tasks side by side.

    They start with the first `outcomes` and end, whatever they are at, on leaving ``with Workers(2, say) as workers:``.
    """

    def __init__(self, jobs: int, say: Callable[[str], None], cores: int | None = None) -> None:
        """
        Parameters
        ----------
        jobs : runs at once, at most
        say : takes lines for the user, also those of the runs
        cores : threads at once; None for those that this process may use
        """
        self.jobs, self.cores = jobs, machine.cores() if cores is None else cores
        self._say = say
        self._children: list[Child] = []
        self._asking: deque[Child] = deque()  # set up, and waiting for threads; first come, first served
        self._selector = selectors.DefaultSelector()
        self._has_told = False

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stop_for(error)
        finally:
            self._end_all()
            self._selector.close()

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Carry out tasks and give the outcomes in the order in which they end; may be called again when it is through.

        To be called where signals raise, so not inside of `signals.deferred()`. While the caller looks at a run that
        was not done, no new one begins: leaving the loop there stops those at work, which can be resumed.

        Raises
        ------
        Interrupted
            when a signal asked to stop; those at work have saved their state and ended.
        RunError
            when no process can be started.
        """
        left = deque(tasks)
        at_once = min(self.jobs, len(tasks))
        try:
            while left or self._at_work():
                with signals.deferred() as stop:
                    self._occupy(left)
                stop.heed()
                events = self._selector.select(TICK)
                with signals.deferred() as stop:
                    ended = self._serve(events, at_once)
                    if all(outcome.status == "done" for outcome in ended):
                        self._occupy(left)  # before the caller has its time with the outcome
                stop.heed()
                yield from ended
        except BaseException as error:
            self._stop_for(error)
            raise

    def stop(self, signum: int) -> None:
        """Ask every run at work to save its state and end, and wait for that; all processes end.

        A signal meanwhile, or `STOP_SECONDS`, ends the patience: what is still there is killed.
        """
        try:
            for child in self._children:
                # one that only starts would answer SIGINT with a traceback, and has nothing to save
                child.process.send_signal(signum if child.is_up else signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self._children and time.monotonic() < deadline:
                events = self._selector.select(TICK)
                with signals.deferred() as again:
                    for child, message in self._heard(events):
                        if message is None:
                            self._discard(child)
                again.heed()
        finally:
            self._end_all()

    def _stop_for(self, error: BaseException | None) -> None:
        if self._at_work():
            stopping = error.signum if isinstance(error, Interrupted) else None
            stopping = signal.SIGINT if isinstance(error, KeyboardInterrupt) else stopping
            self.stop(signal.SIGTERM if stopping is None else stopping)

    def _at_work(self) -> bool:
        return any(child.task is not None for child in self._children)

    def _occupy(self, left: deque[Task]) -> None:
        """Hand tasks to processes that have none, and start processes as far as there may be more."""
        for child in list(self._children):
            if child.task is None and child.process.poll() is not None:
                self._discard(child)
        while left:
            idle = next((child for child in self._children if child.task is None), None)
            if idle is None:
                if len(self._children) >= min(self.jobs, self.cores):  # a run takes one thread or more
                    return
                try:
                    idle = Child()
                except OSError as error:
                    if self._children:
                        return  # those that are there will do
                    raise RunError(f"no process can be started for the runs: {error.strerror or error}") from None
                self._children.append(idle)
                self._selector.register(idle, selectors.EVENT_READ)
            idle.take(left.popleft())

    def _serve(self, events: Sequence[tuple[selectors.SelectorKey, int]], at_once: int) -> list[Outcome]:
        """Answer what the processes have said; returns the outcomes among it."""
        ended = []
        for child, message in self._heard(events):
            if message is None:
                if child.task is not None:
                    outcome = child.death()
                    record_death(child.task, outcome.error or "")
                    ended.append(outcome)
                self._discard(child)
            elif "threads" in message:
                child.asked = message["threads"]
                self._asking.append(child)
                self._tell(child.asked, at_once)
            elif "outcome" in message:
                child.pass_on()
                child.leave()
                ended.append(Outcome(**message["outcome"]))
        self._grant()
        return ended

    def _heard(self, events: Sequence[tuple[selectors.SelectorKey, int]]) -> Iterator[tuple[Child, Message | None]]:
        """What the processes have said; None for one that has ended."""
        ready = {key.fileobj for key, _ in events}
        for child in list(self._children):
            child.pass_on()
            # what a dead process has started may hold its pipe open, which then has no end
            is_dead = child not in ready and child.process.poll() is not None
            if child in ready:
                messages, is_dead = child.answers()
                for message in messages:
                    if "say" in message:
                        self._say(message["say"])
                    elif "up" in message:
                        child.is_up = True
                    else:
                        yield child, message
            if is_dead:
                child.end()
                yield child, None

    def _grant(self) -> None:
        """Let runs begin as long as there are cores for their threads; one that wants more than all has them alone."""
        while self._asking:
            first = self._asking[0]
            taken = sum(child.threads for child in self._children)
            if taken and taken + first.asked > self.cores:
                return
            self._asking.popleft()
            first.threads = first.asked
            first.send({"granted": first.threads})

    def _tell(self, threads: int, at_once: int) -> None:
        """Say once why fewer runs than asked for go on at once."""
        fitting = max(1, self.cores // threads)
        if self._has_told or fitting >= at_once:
            return
        self._has_told = True
        takes = f"a run takes {threads} thread{'s' if threads > 1 else ''}"
        cores = f"there {'are' if self.cores > 1 else 'is'} {self.cores} core{'s' if self.cores > 1 else ''}"
        self._say(f"labrunner: jobs={self.jobs}: {fitting} at a time, since {takes} and {cores}")

    def _discard(self, child: Child) -> None:
        self._children.remove(child)
        with suppress(ValueError):
            self._asking.remove(child)
        with suppress(KeyError, ValueError):
            self._selector.unregister(child)
        child.end()
        child.close()

    def _end_all(self) -> None:
        with signals.deferred() as stop:  # none may be left
            for child in list(self._children):
                self._discard(child)
        stop.heed()


def record_death(task: Task, message: str) -> None:
    """Let the folder of a run whose process died say so, as far as the disk allows."""
    error = RunError(message)
    if not is_begun(task.folder):
        keep_failure(task, error, message)
        return
    if (read_json(task.folder / "status.json") or {}).get("status") not in (None, "running"):
        return  # it came to say how it ended, or had not begun to go on
    with suppress(LabrunnerError, WriteError), RunFolder.reopen(task.folder) as run_folder:
        failed(run_folder, error, message)


# the other side


def main() -> None:
    """The child: a task a line from stdin, what becomes of it to stdout, until stdin ends."""
    code, orphaned = 0, threading.Event()
    try:
        signals.listen()
        requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "w", encoding="utf-8")
        # what a run reads is no request, and what it prints no answer
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a TextIOWrapper here
        work(requests, answers, orphaned)
    except Interrupted as interrupted:
        code = interrupted.exit_code
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        if orphaned.is_set():
            end_group()
        os._exit(code)  # a thread still reads, and torch would take its time


def work(requests: IO[bytes], answers: IO[str], orphaned: threading.Event) -> None:
    """Carry out one task after the other. Raises Interrupted when a signal, or the end of `requests`, asks to stop."""
    asked: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def send(message: Message) -> None:
        with suppress(OSError):  # the parent is gone, and this process about to notice
            answers.write(json.dumps(message) + "\n")
            answers.flush()

    def begin(threads: int) -> None:
        send({"threads": threads})
        asked.get()  # nothing but the grant can be next

    main_thread = threading.main_thread().ident or 0
    threading.Thread(target=watch, args=(requests, asked, main_thread, orphaned), daemon=True).start()
    send({"up": True})
    sys.path.extend(entry for entry in asked.get()["path"] if entry not in sys.path)
    shared = Shared(say=lambda text: send({"say": text}), alone=False, begin=begin)
    while True:
        task = asked.get()["task"]
        received = {"folder": Path(task["folder"]), "config": from_yaml(task["config"])}
        outcome = carry_out(Task(**task | received), shared)
        send({"outcome": asdict(outcome)})


def watch(requests: IO[bytes], asked: queue.SimpleQueue[Message], main_thread: int, orphaned: threading.Event) -> None:
    """Hand on what the parent sends. When it is gone, the run saves its state and the process ends."""
    with suppress(ValueError):  # half a line: it was killed while it wrote
        for line in requests:
            asked.put(json.loads(line))
    orphaned.set()
    signal.pthread_kill(main_thread, signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    end_group()
    os._exit(128 + signal.SIGTERM)


def end_group() -> None:
    """Kill this process and whatever its runs have started, as the parent would."""
    if os.getpgrp() == os.getpid():  # the parent gave it a group of its own
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
