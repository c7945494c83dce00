"""A sweep's folder: what is written is read back, what is none is refused, one process owns it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from labrunner.cli import main
from labrunner.errors import RequestError
from labrunner.records import MISSING, Member, Sweep, SweepFolder, is_sweep_folder, load_sweep
from tests.cli.lab import Lab, tree
from tests.folders import write_run

VALUES = {"optim.lr": 1e-05, "model.hidden": [64, 64], "optim": "adam", "reg.patience": None, "dataset.root": "a: b"}


def sweep(path: Path, **changes) -> Sweep:
    members = [Member(0, path / "0", VALUES, ["optim.lr=1e-05"], "f" * 64, 30), Member(1, path / "1", {}, [])]
    said = {"monitor": "val_accuracy", "threshold": 0.9, "overrides": ["optim.lr=1e-05,2"], "command": "labrunner -m"}
    return Sweep(path, list(VALUES), members, **(said | changes))


@pytest.mark.parametrize("is_comparison", [False, True], ids=["sweep", "comparison"])
def test_what_is_written_is_read_back(tmp_path, is_comparison):
    written = sweep(tmp_path / "s", is_comparison=is_comparison)
    with SweepFolder.open(tmp_path / "s") as folder:
        folder.write(written)
    assert load_sweep(tmp_path / "s") == written
    assert is_sweep_folder(tmp_path / "s")
    assert (tmp_path / "s" / ("comparison.yaml" if is_comparison else "sweep.yaml")).is_file()


def test_a_folder_that_was_moved_knows_its_runs(tmp_path):
    with SweepFolder.open(tmp_path / "s") as folder:
        folder.write(sweep(tmp_path / "s"))
    write_run(tmp_path / "s" / "0", epochs=2)
    (tmp_path / "s").rename(tmp_path / "moved")
    first, second = load_sweep(tmp_path / "moved").members
    assert (first.status, second.status) == ("done", MISSING)


def test_a_comparison_names_runs_that_stand_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "a", epochs=2)
    beside = Sweep(Path("seen/c"), [], [Member(0, Path("runs/a"), {}, [])], is_comparison=True)
    with SweepFolder.open(beside.path) as folder:
        folder.write(beside)
    assert load_sweep(beside.path).runs[0][1].path == Path("runs/a")
    monkeypatch.chdir(tmp_path / "seen")
    assert load_sweep("c").members[0].status == "done"


def test_a_run_begins_with_its_config_and_its_rows(tmp_path):
    member = Member(0, tmp_path / "0", {}, [])
    assert (member.run, member.status) == (None, MISSING)
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "config.yaml").write_text("seed: 0\n")
    assert Member(0, tmp_path / "0", {}, []).status == MISSING
    (tmp_path / "0" / "metrics.csv").write_text("")
    assert Member(0, tmp_path / "0", {}, []).status == "interrupted"


def test_members_are_read_in_the_order_of_their_numbers(tmp_path):
    members = [Member(number, tmp_path / str(number), {}, []) for number in (2, 0, 1)]
    with SweepFolder.open(tmp_path) as folder:
        folder.write(Sweep(tmp_path, [], members))
    assert [member.number for member in load_sweep(tmp_path).members] == [0, 1, 2]


def test_a_folder_without_its_file_is_none(tmp_path):
    assert not is_sweep_folder(tmp_path)
    with pytest.raises(RequestError, match="is no sweep folder"):
        load_sweep(tmp_path)


CHANGES = {
    "format": ({"format": 2}, "format 2"),
    "no runs": ({"runs": None}, "not what a sweep writes"),
    "runs of words": ({"runs": ["a"]}, "not what a sweep writes"),
    "number": ({"runs": [{"number": "x"}]}, "not what a sweep writes"),
    "monitor": ({"monitor": "test_accuracy"}, "not what a sweep writes"),
    "list for a monitor": ({"monitor": ["val_loss"]}, "not what a sweep writes"),
    "threshold": ({"threshold": "high"}, "not what a sweep writes"),
    "keys": ({"keys": 3}, "not what a sweep writes"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_no_sweep_writes_is_refused_in_one_line(tmp_path, what):
    change, said = CHANGES[what]
    with SweepFolder.open(tmp_path) as folder:
        folder.write(sweep(tmp_path))
    content = yaml.safe_load((tmp_path / "sweep.yaml").read_text()) | change
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(RequestError, match=said) as caught:
        load_sweep(tmp_path)
    assert "\n" not in str(caught.value)


def test_two_runs_of_one_number_are_refused(tmp_path):
    members = [Member(0, tmp_path / name, {}, []) for name in "ab"]
    with SweepFolder.open(tmp_path) as folder:
        folder.write(Sweep(tmp_path, [], members))
    with pytest.raises(RequestError, match="not what a sweep writes"):
        load_sweep(tmp_path)


ALIASES = "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True))
TEXTS = {
    "empty": b"",
    "a word": b"sweep",
    "no yaml": b"a: [1",
    "bytes": b"\xff\xfe\x00",
    "python": b"!!python/object/apply:os.system [echo]",
    "depth": b"[" * 100_000,
    "blocks": b"- " * 100_000 + b"a",
    "aliases": b"a: &a [1,2]\n" + ALIASES.encode(),
}


@pytest.mark.parametrize("what", TEXTS)
def test_a_file_from_a_stranger_is_refused_and_does_nothing(tmp_path, what):
    (tmp_path / "sweep.yaml").write_bytes(TEXTS[what])
    with pytest.raises(RequestError):
        load_sweep(tmp_path)


def test_a_folder_is_one_process_own(tmp_path):
    with SweepFolder.open(tmp_path / "s"), pytest.raises(RequestError, match="being worked on"):
        SweepFolder.open(tmp_path / "s")
    with SweepFolder.open(tmp_path / "s"):
        assert (tmp_path / "s" / "figures").is_dir()


@pytest.mark.parametrize("name", ["figures", ".lock", "sweep.csv", "0"])
def test_a_symbolic_link_inside_is_refused(tmp_path, name):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RequestError, match="symbolic link"):
        SweepFolder.open(tmp_path / "s")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot write"):
        SweepFolder.open(tmp_path / "file" / "s")


ROUND_TRIP = [
    0.1,
    1e-05,
    1e22,
    5e-324,
    1.7976931348623157e308,
    0.1 + 0.2,
    -0.0,
    float("inf"),
    3,
    10**18,
    True,
    None,
    "1e-05",
    "null",
    "0",
    "yes",
    "",
    " padded ",
    "a: b # c",
    "- {a: [b, *c, &d]}",
    "!!python/name:os.system",
    "two\nlines",
    "carriage\rreturn",
    "\x1b[31m \x00 \x85 \u2028 \ufeff",
    "狗 😀 כלב",
    "no utf-8: \udcff",
    [],
    [64, 64],
    [0.1, None, "a", [True]],
    {"a": {"b": [1, 2.5]}},
]


@pytest.mark.parametrize("value", ROUND_TRIP, ids=range(len(ROUND_TRIP)))
def test_a_value_is_read_back_to_the_bit(tmp_path, value):
    overrides = [value] if isinstance(value, str) else []
    members = [Member(number, tmp_path / str(number), {"key": value, str(value): 0}, overrides) for number in (0, 1)]
    with SweepFolder.open(tmp_path) as folder:
        folder.write(Sweep(tmp_path, ["key"], members, overrides=overrides, command=str(value)))
    read = load_sweep(tmp_path)
    assert repr(read.members) == repr(members)  # which tells 1 from 1.0 and True, and 0.0 from -0.0
    assert (read.overrides, read.command) == (overrides, str(value))


def test_a_list_that_runs_share_is_written_out_for_each(tmp_path):
    shared = {"hidden": [64, 64], "deep": {"a": [1]}}
    with SweepFolder.open(tmp_path) as folder:
        folder.write(Sweep(tmp_path, ["hidden"], [Member(number, tmp_path / "a", shared, []) for number in (0, 1)]))
    assert "&" not in (tmp_path / "sweep.yaml").read_text()
    assert load_sweep(tmp_path).members[1].values == shared


def test_a_huge_file_is_refused_unread(tmp_path):
    (tmp_path / "sweep.yaml").touch()
    os.truncate(tmp_path / "sweep.yaml", 10**11)
    with pytest.raises(RequestError, match="too large"):
        load_sweep(tmp_path)


def test_a_pipe_is_no_sweep(tmp_path):
    os.mkfifo(tmp_path / "sweep.yaml")
    assert not is_sweep_folder(tmp_path)


OPENING = """
import sys, time
from pathlib import Path
from labrunner.errors import RequestError
from labrunner.records import SweepFolder
sys.stdin.readline()
try:
    with SweepFolder.open(Path(sys.argv[1])):
        print("mine", flush=True)
        sys.stdin.readline()
except RequestError as error:
    print(error, flush=True)
"""


def test_of_processes_that_open_a_new_folder_at_once_one_owns_it(tmp_path):
    command = [sys.executable, "-c", OPENING, str(tmp_path / "new/s")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    try:
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.stdout.readline().strip() for process in processes]
        assert sorted(said)[0] == "mine"
        owner = processes[said.index("mine")].pid
        who = f"process {owner} on {socket.gethostname()}" if Path("/proc/locks").exists() else "another process"
        assert [line for line in said if line != "mine"] == [
            f"the sweep in {tmp_path / 'new/s'} is being worked on by {who}"
        ] * 2
    finally:
        for process in processes:
            process.communicate()


# a sweep.yaml that names folders elsewhere


@pytest.mark.parametrize("where", ["../../outside/run", "absolute", "link"])
def test_a_sweep_that_names_folders_elsewhere_leads_nobody_to_write_there(lab: Lab, where):
    outside = write_run(lab.folder / "outside/run", epochs=2, status="running")
    inside = write_run(lab.folder / "mine/s/0", epochs=2)
    written = str(outside) if where == "absolute" else where
    if where == "link":
        (lab.folder / "mine/s/link").symlink_to(outside)
    run = {"values": {"seed": 0}, "overrides": ["seed=0"], "config_hash": None, "epochs": 2}
    said = {"format": 1, "command": "", "overrides": ["seed=0,1"], "keys": ["seed"], "monitor": "val_loss"}
    said |= {"threshold": None, "runs": [run | {"number": 0, "folder": "0"}, run | {"number": 1, "folder": written}]}
    (lab.folder / "mine/s/sweep.yaml").write_text(yaml.safe_dump(said))
    before = tree(lab.folder / "outside")
    sweep = load_sweep(lab.folder / "mine/s")
    assert sweep.members[1].status == "interrupted"  # it can be looked at
    for argv in (["ls", "mine/s"], ["compare", "mine/s"], ["report", "mine/s"], ["report", "mine/s", "figures=few"]):
        main(argv)
        assert tree(lab.folder / "outside") == before
    if where != "link":
        with SweepFolder.open(sweep.path) as folder:
            folder.write(sweep)
            folder.write_csv("sweep.csv", ["a"], [])
        assert (inside / "report.html").is_file()  # its own runs are drawn
    else:
        with pytest.raises(RequestError, match="symbolic link"):
            SweepFolder.open(sweep.path)
    assert tree(lab.folder / "outside") == before
