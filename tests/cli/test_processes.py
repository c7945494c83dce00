"""The whole command, a signal at its imports, pipes, a terminal: what only processes can show."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.lab import command, ended, processes_in
from tests.lines import cases, line

# the whole command, drawing process and all


def test_a_first_run_leaves_figures_and_a_report_and_says_where(fresh, tmp_path):
    first = ended(fresh("epochs=2", "hydra.run.dir=a folder/with [odd], names=1"))
    run = tmp_path / "a folder" / "with [odd], names=1"
    assert (first.code, first.err) == (0, "")
    assert str(run.relative_to(tmp_path)) in first.out
    assert {path.name for path in (run / "figures").iterdir()} >= {"curves.png", "confusion.png"}
    for path in (run / "figures").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG\r\n")
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<html" in page
    assert f"{json.loads((run / 'test.json').read_text())['accuracy']:.3f}"[:4] in page
    assert not processes_in(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize("columns", cases([100, 0], fast=1))
def test_a_terminal_sees_a_bar_that_leaves_nothing_behind(tmp_path, columns):
    from tests.cli.terminal import on_a_terminal

    code, seen = on_a_terminal("epochs=4", "figures=none", "hydra.run.dir=run", cwd=tmp_path, columns=columns)
    assert code == 0
    assert "| 0/4 [" in seen
    assert "epoch/s" in seen
    lines = seen.rpartition(" \r")[2].splitlines()
    assert lines[0].startswith("mlp on digits: epoch ")
    assert lines[-1].strip() == "run"


def test_the_installed_command_says_its_version():
    script = Path(sys.executable).with_name("labrunner")
    if not script.is_file():
        pytest.skip("labrunner is not installed as a command beside this interpreter")
    said = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.split()[0] == "labrunner"
    assert said.stderr == ""


INTERRUPTED_AT = """
import os, signal, sys

def watch(event, arguments, done=[]):
    if event == "import" and arguments[0] == WHERE and not done:
        done.append(True)
        os.kill(os.getpid(), SIGNUM)

sys.addaudithook(watch)
from labrunner.cli import main
sys.argv[1:] = ["figures=none", "hydra.run.dir=run", "smoke=true"]
sys.exit(main())
"""


IMPORTED = ("yaml", "hydra", "omegaconf", "pydantic", "numpy", "labrunner.records", "torch", "torch.nn", "torchmetrics")


@line(4, "a signal at an import")
@pytest.mark.parametrize("where", cases(IMPORTED, fast=["hydra", "numpy", "torch"]))
def test_a_signal_during_imports_ends_with_one_line(fresh, tmp_path, where):
    for signum, code in ((signal.SIGINT, 130),) if where != "numpy" else ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        program = INTERRUPTED_AT.replace("WHERE", repr(where)).replace("SIGNUM", str(int(signum)))
        stopped = ended(fresh(python=[sys.executable, "-P", "-c", program]))
        assert (stopped.code, stopped.out) == (code, ""), stopped.err
        assert stopped.err == "labrunner: error: interrupted\n"
    assert not any(tmp_path.iterdir())
    assert not processes_in(tmp_path)


# pipes


@pytest.mark.parametrize("argv", [["--help"], ["explain", "optim.lr"], ["--cfg", "job"], ["--version"]], ids=" ".join)
def test_a_reader_that_has_gone_is_no_error(tmp_path, argv):
    read, write = os.pipe()
    os.close(read)
    # unbuffered output would fail at the first line; as a user has it, it fails when the interpreter ends
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(command(*argv), cwd=tmp_path, env=env, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_a_closed_stream_is_no_traceback(tmp_path, stream):
    redirect = {"stdin": "<&-", "stdout": ">&-"}[stream]
    line = f'exec "$@" {redirect}'
    closed = subprocess.run(
        ["sh", "-c", line, "sh", *command("--version")], capture_output=True, text=True, cwd=tmp_path
    )
    assert "Traceback" not in closed.stderr
    assert closed.returncode in (0, 1)


# what is light


LIGHT = """
import contextlib, io, json, sys
from labrunner.cli import main

heavy = {"torch", "torchmetrics", "matplotlib", "pandas", "sklearn"}
for argv in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = main(argv)
    print(json.dumps([argv, code, sorted(heavy & set(sys.modules)), "hydra" in sys.modules]))
"""


def test_help_and_refusals_import_nothing_heavy(fresh, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    without_hydra = [["--help"], ["--version"], ["explain", "optim.lr"], ["model=cnnn"], ["optim.lrr=1"], ["optim.lr="]]
    without_hydra += [["resume", "nowhere"], ["resume", "notes"], ["--hlep"], ["trian"], ["-m", "sed=1,2"]]
    others = [["optim.lr=-1"], ["optim.lr=abc"], ["epochs=0"], ["--cfg", "job"], ["model=cnn", "model.kernel=4"]]
    others += [["hydra.run.dir=notes"], ["summary", "reg.dropout=2"], ["optim.lr=(1"]]
    others += [
        ["-m", "optim.lr=0.1,-1"],
        ["-m", "model=mlp,cnn", "dataset=iris"],
        ["-m", "seed=1,2", "hydra.sweep.dir=notes"],
    ]
    others += [["compare", "notes"], ["report", "notes"]]
    program = [sys.executable, "-P", "-c", LIGHT, json.dumps(without_hydra + others)]
    said = ended(fresh(python=program))
    assert said.code == 0, said.err
    seen = [json.loads(line) for line in said.out.splitlines()]
    assert len(seen) == len(without_hydra) + len(others)
    assert [(argv, heavy) for argv, _, heavy, _ in seen if heavy] == []
    assert [argv for argv, _, _, hydra in seen[: len(without_hydra)] if hydra] == []
    codes = {" ".join(argv): code for argv, code, _, _ in seen}
    assert {line for line, code in codes.items() if code == 0} == {
        "--help",
        "--version",
        "explain optim.lr",
        "--cfg job",
    }
    assert set(codes.values()) == {0, 2}
