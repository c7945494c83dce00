"""Kills, signals, pipes and two processes at one run: what only processes can show."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labrunner.records import load_run
from tests.cli.lab import assert_same_run, command, ended, rows_of, wait_until

# long enough that a signal meant for the middle of training comes there, short enough to wait for
TRAIN = ("dataset=fake", "dataset.size=8", "model.hidden=[32]", "batch_size=4", "epochs=12", "figures=none")


@pytest.fixture(scope="module")
def whole(forking, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of `TRAIN` that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    names = {"cwd": str(folder), "out": str(folder / "out"), "err": str(folder / "err")}
    pid = forking.ask({"argv": ["hydra.run.dir=run", *TRAIN], **names})
    assert forking.ask({"wait": pid}) == 0
    return folder / "run"


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_run_is_resumed_to_the_same_bytes(forks, tmp_path, whole, seed):
    rows = random.Random(seed).randrange(0, 11)
    fork = forks("hydra.run.dir=run", *TRAIN)
    wait_until(
        lambda: rows_of(tmp_path / "run") >= rows and (tmp_path / "run" / "status.json").is_file(), f"{rows} rows"
    )
    fork.send(signal.SIGKILL)
    assert fork.wait().code == -signal.SIGKILL
    assert load_run(tmp_path / "run").status == "interrupted"
    assert rows_of(tmp_path / "run") < 12
    resumed = forks("resume", "run").wait()
    assert (resumed.code, resumed.err) == (0, "")
    assert_same_run(whole, tmp_path / "run")


def test_a_run_killed_again_and_again_still_ends_with_the_same_bytes(forks, tmp_path, whole):
    run = tmp_path / "run"
    fork = forks("hydra.run.dir=run", *TRAIN)
    for rows in (1, 3, 4, 8):
        wait_until(lambda rows=rows: rows_of(run) >= rows, f"{rows} rows")
        fork.send(signal.SIGKILL)
        assert fork.wait().code == -signal.SIGKILL
        fork = forks("resume", "run")
    assert fork.wait().code == 0
    assert_same_run(whole, run)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("rows", [0, 5])
def test_a_signal_during_training_leaves_one_line_that_says_how_to_go_on(forks, tmp_path, whole, signum, code, rows):
    fork = forks("hydra.run.dir=run", *TRAIN)
    wait_until(lambda: (tmp_path / "run" / "probes" / "epochs.csv").is_file(), "the start")
    wait_until(lambda: rows_of(tmp_path / "run") >= rows, f"{rows} rows")
    fork.send(signum)
    stopped = fork.wait()
    assert (stopped.code, stopped.out) == (code, "")
    assert stopped.err == "labrunner: error: interrupted; to go on: labrunner resume run\n"
    assert load_run(tmp_path / "run").status == "interrupted"
    assert rows_of(tmp_path / "run") < 12
    assert forks("resume", "run").wait().code == 0
    assert_same_run(whole, tmp_path / "run")


def test_the_second_of_two_resumes_names_the_first_and_the_first_is_not_disturbed(forks, tmp_path, whole):
    fork = forks("hydra.run.dir=run", *TRAIN)
    wait_until(lambda: rows_of(tmp_path / "run") >= 2, "2 rows")
    fork.send(signal.SIGKILL)
    fork.wait()
    first = forks("resume", "run")
    wait_until(lambda: rows_of(tmp_path / "run") >= 5, "5 rows")
    first.send(signal.SIGSTOP)
    second = forks("resume", "run").wait()
    first.send(signal.SIGCONT)
    assert (second.code, second.out) == (2, "")
    assert f"process {first.pid}" in second.err
    assert len(second.err.splitlines()) == 1
    assert first.wait().code == 0
    assert_same_run(whole, tmp_path / "run")


def test_of_ten_starts_in_one_folder_one_runs_and_nine_are_refused(forks, tmp_path):
    started = [forks("hydra.run.dir=run", "smoke=true", "figures=none") for _ in range(10)]
    codes = sorted(fork.wait().code for fork in started)
    assert codes == [0] + [2] * 9
    assert load_run(tmp_path / "run").status == "done"
    for fork in started:
        assert "Traceback" not in fork.err.read_text()


def test_starts_in_the_same_second_get_folders_of_their_own(forks, tmp_path):
    started = [forks("smoke=true", "figures=none") for _ in range(8)]
    assert [fork.wait().code for fork in started] == [0] * 8
    assert len(list((tmp_path / "outputs" / "runs").iterdir())) == 8


# the whole command, drawing process and all


def drawing_processes(folder: Path) -> list[int]:
    """Processes that draw and were started in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or b"labrunner.drawing" not in (entry / "cmdline").read_bytes():
                continue
            dead = b") Z " in (entry / "stat").read_bytes()
            if not dead and (entry / "cwd").resolve() == folder.resolve():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


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
    assert not drawing_processes(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize("columns", [100, 0])
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


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_whole_command_leaves_no_process_behind(fresh, tmp_path, signum, code):
    process = fresh("hydra.run.dir=run", "epochs=100000", "figures=all")
    wait_until(lambda: rows_of(tmp_path / "run") >= 2 or process.poll() is not None, "2 rows")
    assert drawing_processes(tmp_path)
    process.send_signal(signum)
    stopped = ended(process)
    assert (stopped.code, stopped.out) == (code, "")
    # how long a run will take may be said before it; what is said of the signal is one line
    assert stopped.err.splitlines()[-1] == "labrunner: error: interrupted; to go on: labrunner resume run"
    assert len([line for line in stopped.err.splitlines() if "this will take" not in line]) == 1
    assert not drawing_processes(tmp_path)
    assert load_run(tmp_path / "run").status == "interrupted"


INTERRUPTED_AT = """
import os, signal, sys

def watch(event, arguments, done=[]):
    if event == "import" and arguments[0] == WHERE and not done:
        done.append(True)
        os.kill(os.getpid(), SIGNUM)

sys.addaudithook(watch)
from labrunner.cli import main
sys.exit(main(["figures=none", "hydra.run.dir=run", "smoke=true"]))
"""


@pytest.mark.parametrize(
    "where",
    [
        "yaml",
        "hydra",
        "omegaconf",
        "pydantic",
        "numpy",
        "labrunner.records",
        "torch",
        "torch.nn",
        "torchmetrics",
    ],
)
def test_a_signal_during_imports_ends_with_one_line(fresh, tmp_path, where):
    for signum, code in ((signal.SIGINT, 130),) if where != "numpy" else ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        program = INTERRUPTED_AT.replace("WHERE", repr(where)).replace("SIGNUM", str(int(signum)))
        stopped = ended(fresh(python=[sys.executable, "-P", "-c", program]))
        assert (stopped.code, stopped.out) == (code, ""), stopped.err
        assert stopped.err == "labrunner: error: interrupted\n"
    assert not any(tmp_path.iterdir())


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
    others += [["compare", "notes"], ["draw", "notes"]]
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
