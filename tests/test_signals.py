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


@pytest.mark.parametrize(("second", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_second_signal_ends_the_process_at_once(fresh, second, code):
    process = fresh(python=[sys.executable, "-c", SECOND.format(first="SIGINT", second=second)])
    out, err = process.communicate()
    assert (process.returncode, out, err) == (code, "2\n", "")
