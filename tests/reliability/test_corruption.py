"""A newest checkpoint that is damaged: never loaded silently, and the one before it takes its place."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labrunner import checkpoint
from tests.cli.cuts import copies_at_each_write
from tests.cli.kinds import TINY
from tests.cli.lab import Lab, Undrawn, assert_same_run, tree
from tests.lines import cases, line

RUN = (*TINY, "epochs=3", "checkpoint.every_batches=2")
NEWEST, BEFORE = "00002.safetensors", "00001.safetensors"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A whole run, and what a crash after its second epoch leaves."""
    from labrunner.cli import main

    folder, here = tmp_path_factory.mktemp("template"), Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labrunner.drawing.Drawing", Undrawn)
        copies = copies_at_each_write(patch)
        os.chdir(folder)
        try:
            assert main(["hydra.run.dir=whole", "figures=none", *RUN]) == 0
        finally:
            os.chdir(here)
    cut = folder / "cut"
    shutil.copytree(folder / copies["2", "row"], cut)  # the checkpoint in the middle of the second epoch is there
    shutil.copy(folder / "whole" / "checkpoints" / NEWEST, cut / "checkpoints")
    return folder / "whole", cut


def assert_passed_over(lab: Lab, template: tuple[Path, Path], damage: Callable[[Path], None]) -> None:
    whole, cut = template
    folder = lab.folder / "run"
    shutil.copytree(cut, folder)
    newest = folder / "checkpoints" / NEWEST
    damage(newest)
    ended = lab("resume", "run")
    assert ended.code == 0, ended.err
    warnings = ended.err.splitlines()
    assert len(warnings) == 1, ended.err
    assert warnings[0].startswith(f"labrunner: warning: passing over {Path('run/checkpoints') / NEWEST}: ")
    assert_same_run(whole, folder)


@line(6, "truncated at an offset")
@pytest.mark.parametrize("seed", cases(50, fast=4))
def test_a_truncated_checkpoint_is_passed_over_aloud(lab, template, seed):
    size = (template[1] / "checkpoints" / NEWEST).stat().st_size
    # the edges first: nothing, the length alone, a byte too little
    offset = [0, 7, 8, size - 1][seed] if seed < 4 else random.Random(seed).randrange(size)
    assert_passed_over(lab, template, lambda path: os.truncate(path, offset))


@line(6, "one bit flipped")
@pytest.mark.parametrize("seed", cases(100, fast=6))
def test_a_flipped_bit_is_seen(lab, template, seed):
    content = bytearray((template[1] / "checkpoints" / NEWEST).read_bytes())
    header = int.from_bytes(content[:8], "little") + 8
    dice = random.Random(seed)
    place = dice.randrange(header) if seed % 2 else dice.randrange(len(content))  # half of them in the header
    content[place] ^= 1 << dice.randrange(8)
    assert_passed_over(lab, template, lambda path: path.write_bytes(content) and None)


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def pickled(path: Path) -> None:
    path.write_bytes(b"\x80\x04cposix\nsystem\n\x8c\x0ctouch marker\x85R.")


def anothers(path: Path) -> None:
    state, position = checkpoint.read(path)
    content = checkpoint.encode(state, checkpoint.Position(position.epoch, config_hash="0" * 64))
    path.write_bytes(content)


def of_an_earlier_epoch(path: Path) -> None:
    state, position = checkpoint.read(path)
    path.write_bytes(checkpoint.encode(state, checkpoint.Position(1, config_hash=position.config_hash)))


def of_other_shapes(path: Path) -> None:
    state, position = checkpoint.read(path)
    path.write_bytes(checkpoint.encode({name: np.append(values, values) for name, values in state.items()}, position))


def of_another_version(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'\\"format\\": 1', b'\\"format\\": 9'))


WHOLE = {
    each.__name__: each
    for each in (zeroed, pickled, anothers, of_an_earlier_epoch, of_other_shapes, of_another_version)
}


@line(6, "zeroed, another's, of other shapes, a pickle …")
@pytest.mark.parametrize("damage", cases(WHOLE, fast=list(WHOLE)))
def test_what_is_no_checkpoint_of_the_run_is_passed_over_aloud(lab, template, damage):
    assert_passed_over(lab, template, WHOLE[damage])
    assert not (lab.folder / "marker").exists()


@line(6, "missing")
def test_a_missing_newest_checkpoint_leaves_the_one_before_it(lab, template):
    whole, cut = template
    shutil.copytree(cut, lab.folder / "run")
    (lab.folder / "run" / "checkpoints" / NEWEST).unlink()
    assert lab("resume", "run").code == 0
    assert_same_run(whole, lab.folder / "run")


@line(6, "all of them damaged")
@pytest.mark.parametrize("damage", cases(WHOLE, fast=["zeroed"]))
def test_where_none_is_left_the_resume_fails_and_touches_nothing(lab, template, damage):
    folder = lab.folder / "run"
    shutil.copytree(template[1], folder)
    for _, _, path in checkpoint.listed(folder / "checkpoints"):
        if damage == "of_an_earlier_epoch" and path.name == BEFORE:
            path.unlink()
            continue
        WHOLE[damage](path)
    assert_refused_untouched(lab, "none of the ")


def assert_refused_untouched(lab: Lab, said: str, *changes: str) -> None:
    before = tree(lab.folder / "run")
    ended = lab("resume", "run", *changes)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith(f"labrunner: error: {said}")
    assert ended.err.splitlines()[-1].endswith("start the run anew")
    assert tree(lab.folder / "run") == before


@line(6, "none left of a finished run, none at all")
@pytest.mark.parametrize("kind", ["finished, damaged", "finished, gone", "cut, gone"])
def test_neither_a_finished_run_nor_rows_are_given_up_for_lack_of_a_checkpoint(lab, template, kind):
    folder = lab.folder / "run"
    shutil.copytree(template[0 if kind.startswith("finished") else 1], folder)
    for _, _, path in checkpoint.listed(folder / "checkpoints"):
        zeroed(path) if kind.endswith("damaged") else path.unlink()
    changes = ("epochs=9",) if kind.startswith("finished") else ()
    assert_refused_untouched(lab, "none of the " if kind.endswith("damaged") else "there is no checkpoint", *changes)


@line(6, "rows that do not reach the newest")
@pytest.mark.parametrize("kind", ["cut", "finished"])
def test_a_checkpoint_that_the_rows_do_not_reach_is_passed_over_aloud(lab, template, kind):
    whole, cut = template
    folder = lab.folder / "run"
    shutil.copytree(whole if kind == "finished" else cut, folder)
    newest = checkpoint.listed(folder / "checkpoints")[-1][2]
    os.truncate(folder / "metrics.csv", (folder / "metrics.csv").stat().st_size - 9)
    ended = lab("resume", "run", *(("epochs=9",) if kind == "finished" else ()))
    assert ended.code == 0, ended
    assert f"passing over run/checkpoints/{newest.name}: metrics.csv" in ended.err
    if kind == "cut":
        assert_same_run(whole, folder)
    else:
        assert len((folder / "metrics.csv").read_text().splitlines()) == 10
