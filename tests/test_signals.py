"""A signal raises at once, except where it may only set a flag."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from labrunner import signals
from labrunner.errors import Interrupted

BOTH = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture(autouse=True)
def handlers(as_it_was):
    """Whatever a test installs is taken away."""


@pytest.mark.parametrize(("signum", "code"), BOTH)
def test_outside_of_training_a_signal_raises_at_once(signum, code):
    signals.listen()
    with pytest.raises(Interrupted) as interrupted:
        signal.raise_signal(signum)
    assert interrupted.value.signum == signum
    assert interrupted.value.exit_code == code


def test_an_interruption_is_no_exception_that_a_handler_of_failures_would_swallow():
    assert not issubclass(Interrupted, Exception)


@pytest.mark.parametrize(("signum", "code"), BOTH)
def test_inside_of_training_a_signal_sets_a_flag_that_says_which(signum, code):
    signals.listen()
    with signals.deferred() as stop:
        assert not stop
        assert stop.signum is None
        signal.raise_signal(signum)
        assert stop
        assert stop.signum == signum


def test_after_training_a_signal_raises_again_even_if_training_failed():
    signals.listen()
    with pytest.raises(ZeroDivisionError), signals.deferred():
        raise ZeroDivisionError
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("signum", "code"), BOTH)
def test_an_error_in_the_moment_of_a_signal_takes_nothing_away_from_it(signum, code):
    signals.listen()

    def fail() -> None:
        with signals.deferred():
            signal.raise_signal(signum)
            raise ZeroDivisionError("by nothing")

    with pytest.raises(Interrupted) as interrupted:
        fail()
    assert interrupted.value.exit_code == code
    assert interrupted.value.message == "by nothing"
    assert isinstance(interrupted.value.__cause__, ZeroDivisionError)


def test_what_was_deferred_can_be_heeded():
    signals.listen()
    with signals.deferred() as stop:
        stop.heed()
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Interrupted) as interrupted:
        stop.heed()
    assert interrupted.value.signum == signal.SIGTERM


def test_the_flag_of_one_training_is_not_that_of_the_next():
    signals.listen()
    with signals.deferred() as first:
        signal.raise_signal(signal.SIGINT)
    with signals.deferred() as second:
        assert first
        assert not second
        with signals.deferred() as inner:
            signal.raise_signal(signal.SIGTERM)
        assert inner.signum == signal.SIGTERM
        assert not second
        signal.raise_signal(signal.SIGINT)
        assert second.signum == signal.SIGINT


def test_a_thread_that_may_not_listen_does_not_fail():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=signals.listen)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


SECOND = """
import os, signal, sys
from labrunner import signals
signals.listen()
with signals.deferred() as stop:
    signal.raise_signal(signal.{first})
    print(stop.signum, flush=True)
    signal.raise_signal(signal.{second})
    print("still here", flush=True)
"""


OVER = """
import signal
from labrunner import signals
signals.listen()
signals.over(7)
print("done", flush=True)
signal.raise_signal(signal.SIGINT)
print("still here", flush=True)
"""


def test_once_the_command_is_over_a_signal_ends_it_with_its_own_exit_code(fresh):
    process = fresh(python=[sys.executable, "-c", OVER])
    out, err = process.communicate()
    assert (process.returncode, out, err) == (7, "done\n", "")


ENDING = """
import os
from labrunner import signals
signals.listen()
signals.over(0)

class Last:
    def __init__(self):
        self.kill, self.pid, self.write = os.kill, os.getpid(), os.write

    def __del__(self):
        self.kill(self.pid, 2)
        self.write(1, b"still here")

last = Last()
"""


def test_a_signal_while_python_itself_ends_changes_nothing(fresh):
    process = fresh(python=[sys.executable, "-c", ENDING])
    assert process.communicate() == ("still here", "")
    assert process.returncode == 0


SWALLOWED = """
import signal, time
from labrunner import signals
from labrunner.errors import Interrupted

class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

signals.listen()
try:
    Finalized()
    time.sleep(60)
except Interrupted as interrupted:
    print(interrupted.exit_code)
"""


def test_a_signal_in_a_finalizer_comes_again(fresh):
    process = fresh(python=[sys.executable, "-c", SWALLOWED])
    assert process.communicate() == ("143\n", "")


IMPORTING = """
import sys
from labrunner import cli, signals

def dispatch(arguments):
    with signals.undone(lambda: print("undone", flush=True)), signals.undone(lambda: 1 / 0):
        import swallowing
    return 0

cli.dispatch = dispatch
sys.exit(cli.main())
"""


@pytest.mark.parametrize(("signum", "code"), BOTH)
def test_during_an_import_which_may_swallow_what_is_raised_a_signal_ends_the_process(fresh, tmp_path, signum, code):
    raising = f"import signal\ntry:\n    signal.raise_signal({int(signum)})\nexcept BaseException:\n    pass\n"
    (tmp_path / "swallowing.py").write_text(raising, encoding="utf-8")
    process = fresh(python=[sys.executable, "-c", IMPORTING])
    assert process.communicate() == ("undone\n", "labrunner: error: interrupted\n")
    assert process.returncode == code


@pytest.mark.parametrize(
    "error", [ImportError("numpy._core.multiarray failed to import"), KeyboardInterrupt()], ids=["error", "keyboard"]
)
def test_a_signal_of_which_a_library_makes_something_else_ends_the_command_like_any_other(lab, monkeypatch, error):
    def dispatch(arguments: object) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except Interrupted:
            raise error from None
        return 0

    monkeypatch.setattr("labrunner.cli.dispatch", dispatch)
    assert lab("--version") == (130, "", "labrunner: error: interrupted\n")


IMPATIENT = """
import signal, sys
from labrunner import cli

said = cli.complain

def complain(message):
    said(message)
    signal.raise_signal(signal.SIGINT)

def dispatch(arguments):
    signal.raise_signal(signal.SIGINT)

cli.complain, cli.dispatch = complain, dispatch
sys.exit(cli.main())
"""


def test_a_second_signal_while_the_first_is_being_answered_adds_nothing(fresh):
    process = fresh(python=[sys.executable, "-c", IMPATIENT])
    assert process.communicate() == ("", "labrunner: error: interrupted\n")
    assert process.returncode == 130


@pytest.mark.parametrize(("second", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_second_signal_ends_the_process_at_once(fresh, second, code):
    process = fresh(python=[sys.executable, "-c", SECOND.format(first="SIGINT", second=second)])
    out, err = process.communicate()
    assert (process.returncode, out, err) == (code, "2\n", "")
