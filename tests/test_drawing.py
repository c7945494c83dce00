"""The drawing process: what is asked gets drawn, and nothing that happens to it hurts the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labrunner import signals
from labrunner.drawing import Drawing
from labrunner.errors import Interrupted
from tests.folders import write_run

SRC = Path(__file__).parents[1] / "src"
TWO = ("cat", "dog")


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_running(pid: int) -> bool:
    """Whether a process still does anything: one that ended may wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def child_of(drawing: Drawing) -> int:
    assert drawing._process is not None
    return drawing._process.pid


def test_two_folders_are_drawn_one_after_the_other(tmp_path, capfd):
    folders = [write_run(tmp_path / "a", classes=TWO), write_run(tmp_path / "b", classes=("漢字", "犬"))]
    with Drawing() as drawing:
        drawing.start()
        for folder, which in zip(folders, ("few", "all"), strict=True):
            drawing.ask(folder, which)
        assert drawing.finish() == []
    for folder, more in zip(folders, (set(), {"roc.png"}), strict=True):
        names = {path.name for path in (folder / "figures").iterdir()}
        assert {"confusion.png", "curves.png", *more} <= names
        own = {"curves.png", "metrics.png", "confusion.png", "confusion_true.png", "confusion_predicted.png"}
        inside = (folder / "report.html").read_text(encoding="utf-8").count("data:image/webp")
        assert inside == len(names - own)  # of its own curves and tables the page needs no picture
    assert capfd.readouterr() == ("", "")  # matplotlib has a lot to say about characters that its font lacks


def test_none_draws_no_figure_and_still_writes_the_report(tmp_path):
    folder = write_run(tmp_path / "a")
    with Drawing() as drawing:
        drawing.ask(folder, "none")
        assert drawing.finish() == []
    assert list((folder / "figures").iterdir()) == []
    assert "data:image" not in (folder / "report.html").read_text(encoding="utf-8")


def test_a_broken_folder_gives_a_message_and_the_next_one_is_drawn(tmp_path):
    broken = tmp_path / "broken"
    torn, good = (write_run(tmp_path / name, classes=TWO) for name in ("torn", "good"))
    broken.mkdir()
    (torn / "confusion.csv").write_text("true,cat,dog\ncat,many,1\n", encoding="utf-8")
    with Drawing() as drawing:
        for folder in (broken, torn, good):
            drawing.ask(folder, "few")
        messages = drawing.finish()
    assert len(messages) == 2
    assert str(broken) in messages[0]
    assert "no run folder" in messages[0]
    assert "confusion.png" in messages[1]
    assert all("\n" not in message and message.endswith("the CSV files are complete") for message in messages)
    assert (torn / "figures" / "curves.png").is_file()
    assert (good / "figures" / "confusion.png").is_file()
    assert (good / "report.html").is_file()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
def test_the_child_ends_when_its_parent_is_killed():
    code = "from labrunner.drawing import Drawing; d = Drawing(); d.start(); print(d._process.pid, flush=True); input()"
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
    finally:
        parent.kill()
        parent.communicate()
    assert wait_until(lambda: not is_running(child))


def test_the_parent_imports_nothing_that_draws(tmp_path):
    folder = write_run(tmp_path / "a")
    code = f"""
import sys
from pathlib import Path
from labrunner import signals
from labrunner.drawing import Drawing
from labrunner.errors import Interrupted
with Drawing() as drawing:
    drawing.ask(Path({str(folder)!r}), "few")
    print(drawing.finish())
print(sorted({{"matplotlib", "jinja2", "pandas", "numpy", "torch", "labrunner.figures"}} & set(sys.modules)))
"""
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert said.stdout.splitlines() == ["[]", "[]"]
    assert (folder / "figures" / "curves.png").is_file()


def test_a_relative_path_and_files_named_like_libraries_do_no_harm(tmp_path, monkeypatch):
    write_run(tmp_path / "run", classes=TWO)
    for name in ("random", "matplotlib", "labrunner", "json"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('a file of the student')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with Drawing() as drawing:
        drawing.ask(Path("run"))
        assert drawing.finish() == []
    assert (tmp_path / "run" / "report.html").is_file()


def test_ctrl_c_does_not_reach_the_child(tmp_path):
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    with Drawing() as drawing:
        drawing.ask(first, "none")
        assert wait_until((first / "report.html").is_file)
        os.kill(child_of(drawing), signal.SIGINT)
        drawing.ask(second, "few")
        assert drawing.finish() == []
    assert (second / "report.html").is_file()


def test_a_child_that_died_is_reported_in_one_line(tmp_path):
    folders = [write_run(tmp_path / name) for name in "abc"]
    with Drawing() as drawing:
        drawing.start()
        os.kill(child_of(drawing), signal.SIGKILL)
        for folder in folders:
            drawing.ask(folder)
        (message,) = drawing.finish()
    assert message.startswith("the drawing process died with signal 9")
    assert f"{folders[0]} and 2 more" in message
    assert message.endswith("the CSV files are complete")


def test_a_child_that_dies_of_an_error_says_its_last_words(tmp_path, monkeypatch):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('a broken installation')", encoding="utf-8")
    # in front of the installed one, as a broken installation would be
    monkeypatch.setattr("labrunner.drawing._environment", lambda: {**os.environ, "PYTHONPATH": f"{tmp_path}:{SRC}"})
    with Drawing() as drawing:
        drawing.ask(tmp_path)
        (message,) = drawing.finish()
    assert "exit code 1 (ImportError: a broken installation)" in message


def test_a_child_that_hangs_is_killed(tmp_path):
    folder = write_run(tmp_path / "a")
    with Drawing() as drawing:
        drawing.start()
        child = child_of(drawing)
        os.kill(child, signal.SIGSTOP)
        drawing.ask(folder)
        (message,) = drawing.finish(timeout=0.2)
    assert message == f"drawing was stopped after 0.2 s: no figures and report in {folder}; the CSV files are complete"
    assert not is_running(child)


def test_a_child_that_cannot_be_started_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no_python_here"))
    with Drawing() as drawing:
        drawing.start()
        drawing.ask(tmp_path / "a")
        (message,) = drawing.finish()
    assert message.startswith("the drawing process cannot be started: No such file")
    assert "the CSV files are complete" in message


def test_nothing_asked_is_nothing_to_wait_for_or_to_report():
    with Drawing() as drawing:
        assert drawing.finish() == []
    with Drawing() as drawing:
        drawing.start()
        child = child_of(drawing)
        assert drawing.finish() == []
    assert not is_running(child)


def test_leaving_without_finish_ends_the_child_and_what_it_was_at(tmp_path):
    with Drawing() as drawing:
        drawing.ask(write_run(tmp_path / "a"))
        child = child_of(drawing)
    assert not is_running(child)


def test_a_signal_while_the_child_is_started_or_ended_leaves_none_behind(monkeypatch, as_it_was):
    started: list[subprocess.Popen[str]] = []

    class Popen(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)  # type: ignore[call-overload]
            started.append(self)
            if len(started) == 1:
                signal.raise_signal(signal.SIGINT)

        def kill(self) -> None:
            if len(started) == 2:
                signal.raise_signal(signal.SIGTERM)
            super().kill()

    monkeypatch.setattr(subprocess, "Popen", Popen)
    signals.listen()
    for signum in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(Interrupted) as interrupted, Drawing() as drawing:
            drawing.start()
        assert interrupted.value.signum == signum
        assert not is_running(started[-1].pid)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_an_interrupt_while_it_is_waited_for_ends_everything_without_a_traceback(tmp_path, monkeypatch):
    """Python 3.11 takes a thread for ended when an exception interrupts its join (bpo-45274's remedy)."""

    def ring(*_):
        raise Interrupted(signal.SIGINT)

    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        with Drawing() as drawing:
            drawing.ask(write_run(tmp_path / "run"))
            talk = drawing._talk
            signal.setitimer(signal.ITIMER_REAL, 0.05)  # importing matplotlib alone takes longer
            with pytest.raises(Interrupted):
                drawing.finish()
            assert drawing.pending == (tmp_path / "run",)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    deadline = time.monotonic() + 10.0
    while talk in threading.enumerate() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert talk not in threading.enumerate()
    assert failures == []
