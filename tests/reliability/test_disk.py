"""A disk that is full, a file that may not grow, a device that fails: one line, and nothing lost."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labrunner import checkpoint
from labrunner.records import load_run
from tests.cli.kinds import TINY
from tests.cli.lab import Lab, Outcome, assert_same_run
from tests.lines import cases, line

WIDE = (*TINY[:3], "batch_size=24", "model.hidden=[512]", "epochs=4")
KINDS: dict[str, tuple[str, ...]] = {
    "adam": (),
    "often": ("checkpoint.every_batches=1",),
    "numpy": ("model=mlp_numpy", "optim=sgd", "optim.momentum=0.9"),
}
BESIDE = 192 * 1024  # bytes of the other files of a run, a page each at least
SIZES = (1.0, 1.5, 2.0, 2.5)  # checkpoints for which there is room


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], None]]:
    """A file system of so many bytes at `folder`; what is given makes room."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system can be mounted by root alone")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True) and None
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def size_of_a_checkpoint(folder: Path) -> int:
    return checkpoint.listed(folder / "checkpoints")[-1][2].stat().st_size


def assert_said_in_one_line(ended: Outcome, folder: Path, why: str) -> None:
    """A refusal where nothing had begun, a failure afterwards; the path stands in it."""
    assert ended.code in (1, 2), ended
    assert len(ended.err.splitlines()) == 1, ended.err
    assert ended.err.startswith("labrunner: error: cannot ")
    assert str(folder) in ended.err
    assert why in ended.err
    if (folder / "config.yaml").is_file():
        assert ended.err.endswith(f"; once there is room: labrunner resume {folder}\n")


def assert_nothing_is_half(folder: Path) -> None:
    """What is there of a run is whole, and no temporary takes up room."""
    for _, _, path in checkpoint.listed(folder / "checkpoints"):
        checkpoint.read(path)
    assert not list(folder.rglob(".*.tmp"))


def assert_goes_on(lab: Lab, folder: Path, whole: Path, request: tuple[str, ...]) -> None:
    """With room, a resume, or the same command where nothing had begun, ends with the same bytes."""
    begun = (folder / "config.yaml").is_file()
    ended = lab("resume", str(folder)) if begun else lab(f"hydra.run.dir={folder}", "figures=none", *request)
    assert ended.code == 0, ended.err
    assert_same_run(whole, folder)


@line(5, "a file system with room for 1, 1.5, 2 and 2.5 checkpoints")
@pytest.mark.parametrize(
    ("kind", "size"),
    cases([(kind, size) for kind in KINDS for size in SIZES], fast=[("adam", 1.5), ("often", 2.0), ("numpy", 1.0)]),
)
def test_a_full_disk_is_one_line_and_with_room_it_goes_on(lab, kind, size):
    request = (*WIDE, *KINDS[kind])
    whole = lab.train("whole", *request)
    disk = lab.folder / "disk"
    with small_disk(disk, int(size * size_of_a_checkpoint(whole)) + BESIDE) as make_room:
        folder = disk / "run"
        ended = lab(f"hydra.run.dir={folder}", "figures=none", *request)
        assert_said_in_one_line(ended, folder, "No space left on device")
        assert_nothing_is_half(folder)
        assert load_run(folder).status in ("failed", "interrupted")
        again = lab("resume", str(folder))
        assert again.code == 1, "there still is no room"
        assert len(again.err.splitlines()) == 1
        assert_nothing_is_half(folder)
        make_room()
        assert_goes_on(lab, folder, whole, request)


@line(5, "no file larger than a share of a checkpoint (RLIMIT_FSIZE)")
@pytest.mark.parametrize("share", cases([0.999, 0.5, 0.1, 0.01], fast=[0.5]))
def test_a_file_that_may_not_grow_is_one_line_and_without_the_limit_it_goes_on(lab, share):
    whole = lab.train("whole", *WIDE)
    folder = lab.folder / "run"
    with small_files(int(share * size_of_a_checkpoint(whole))):
        ended = lab("hydra.run.dir=run", "figures=none", *WIDE)
    assert_said_in_one_line(ended, Path("run"), "File too large")
    assert_nothing_is_half(folder)
    assert_goes_on(lab, folder, whole, WIDE)


@line(5, "an I/O error of the device at a sync")
@pytest.mark.parametrize("call", cases([30, 0, 7, 14, 24, 40], fast=[30]))
def test_a_device_that_fails_is_one_line_and_once_it_works_it_goes_on(lab, monkeypatch, call):
    request = (*TINY, "epochs=4", "checkpoint.every_batches=2")
    whole = lab.train("whole", *request)
    fsync, seen = os.fsync, 0

    def failing(descriptor: int) -> None:
        nonlocal seen
        seen += 1
        if seen == call + 1:  # this once: what is said of the failure can be written
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    folder = lab.folder / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        ended = lab("hydra.run.dir=run", "figures=none", *request)
    assert_said_in_one_line(ended, Path("run"), "Input/output error")
    assert_nothing_is_half(folder)
    assert_goes_on(lab, folder, whole, request)
