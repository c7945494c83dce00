"""Run folders and saved configs from a stranger: nothing is executed, nothing outside is touched, nothing waits."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labrunner.errors import RequestError
from labrunner.records import load_run
from tests.cli.lab import Lab, Outcome, Undrawn
from tests.lines import cases, line
from tests.reliability.strange_configs import CONFIGS, HARMLESS, OPTIONS, SECRET, SWEEPS, VARIABLE, write_sweep
from tests.reliability.strangers import KINDS, RUN, TINY, Ground, KeptDrawing, never_waiting

OTHER = ("dataset=fake", "dataset.samples=40", "dataset.noise=1")
VERBS: dict[str, tuple[str, ...]] = {  # whatever takes a run folder
    "resume": ("resume", "run", "epochs=3", "figures=none"),
    "resume of what is done": ("resume", "run", "figures=none"),
    "evaluate": ("evaluate", "run"),
    "evaluate on other data": ("evaluate", "run", *OTHER, "hydra.run.dir=made/evaluated", "figures=none"),
    "predict": ("predict", "run", "picture.png", "csv=made/predicted.csv", "figure=made/predicted.png"),
    "report": ("report", "run", "figures=few"),
    "compare": ("compare", "run", "whole", "hydra.run.dir=made/compared", "figures=few"),
    "ls": ("ls", "run", "whole"),
    "doctor": ("doctor", "run"),
    "model.weights": ("hydra.run.dir=made/new", "figures=none", *TINY, "epochs=1", "model.weights=run"),
}
EACH_TIME = [
    *("a pickle for checkpoints/00002.safetensors", "a pipe for status.json", "a link out for .lock", "a zip bomb"),
    *("tables that lead out", "a header of 2^60 bytes", "a hole of 1 TB for config.yaml", "JSON of depth 100,000"),
    "a header of a deep list",
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    from labrunner.cli import main

    folder = tmp_path_factory.mktemp("template") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labrunner.drawing.Drawing", Undrawn)
        assert main([f"hydra.run.dir={folder}", *RUN]) == 0
    return folder


@pytest.fixture(scope="module")
def kept_drawing() -> Iterator[KeptDrawing]:
    drawing = KeptDrawing()
    yield drawing
    drawing.end()


@pytest.fixture
def ground(lab: Lab, template: Path, kept_drawing: KeptDrawing, monkeypatch: pytest.MonkeyPatch) -> Ground:
    monkeypatch.setattr("labrunner.drawing.Drawing", lambda: kept_drawing)
    picture = Image.fromarray(np.arange(36, dtype=np.uint8).reshape(6, 6))
    for name in ("picture", *(f"pictures/{label}/{number}" for label in "ab" for number in range(6))):
        (lab.folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(lab.folder / f"{name}.png")
    return Ground(lab.folder, template)


def assert_in_few_lines(ended: Outcome, what: str) -> None:
    """Done, or refused in three lines or fewer."""
    assert ended.code in (0, 1, 2), (what, ended)
    assert "Traceback" not in ended.out + ended.err, (what, ended)
    assert "this should not happen" not in ended.err, (what, ended)
    lines = ended.err.split("labrunner: error: ")[-1].splitlines() if ended.code else []
    assert len(lines) <= 3, (what, ended)


# a run folder


@line(13, "a stranger's run folder, through every verb")
@pytest.mark.parametrize("kind", cases(KINDS, fast=EACH_TIME))
def test_nothing_in_a_run_folder_is_executed_waited_for_or_leads_out_of_it(lab, ground, kind):
    before = ground.around()
    for what, argv in VERBS.items():
        ground.anew(KINDS[kind])
        with never_waiting(ground.run):
            ended = lab(*argv)
        assert_in_few_lines(ended, what)
        assert ground.around() == before, what
    ground.anew(KINDS[kind])
    with never_waiting(ground.run):
        read_all(ground.run)
    assert ground.around() == before


def read_all(folder: Path) -> None:
    """What somebody in Python, or a notebook, asks of a run."""
    try:
        run = load_run(folder)
    except RequestError:
        return
    for name in ("config", "status", "error", "rows", "timing", "test", "per_class", "confusion", "predictions"):
        ask(run, name)
    for name in ("samples", "boundary", "facts", "checks", "summary", "row_list", "chosen", "choices"):
        ask(run, name)


def ask(run, name: str) -> None:
    try:
        getattr(run, name)
    except (RequestError, ValueError, KeyError, TypeError, OverflowError, csv.Error):
        return


# a saved config


@pytest.fixture
def secret(lab: Lab, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A value of the environment, which stands in no file afterwards."""
    monkeypatch.setenv(VARIABLE, SECRET)
    yield
    found = [path for path in lab.folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert found == []


def assert_nothing_done(lab: Lab, ground: Ground, before: object, ended: Outcome, what: str) -> None:
    assert_in_few_lines(ended, what)
    assert ground.around() == before, what
    assert SECRET not in ended.out + ended.err, what


@line(14, "a stranger's saved config, through every verb")
@pytest.mark.parametrize(
    "kind",
    cases(
        CONFIGS,
        fast=["os.system", "a data set of a module", "a probe of a module", "a variable", "a tag that applies, inside"],
    ),
)
def test_nothing_in_a_saved_config_is_executed_or_asks_the_environment(lab, ground, secret, kind):
    for what, argv in VERBS.items():
        ground.anew(CONFIGS[kind])
        before = ground.around()
        ended = lab(*argv)
        assert_nothing_done(lab, ground, before, ended, what)
        if what in ("resume", "evaluate", "predict") and kind not in HARMLESS:
            assert ended.code == 2, (what, ended)
            assert ended.err.startswith("labrunner: error: "), (what, ended)


@line(14, "a stranger's sweep")
@pytest.mark.parametrize("kind", cases(SWEEPS, fast=["a probe", "a variable", "a folder for the sweep"]))
def test_nothing_in_the_list_of_a_sweep_is_executed_or_leads_out_of_it(lab, ground, secret, kind):
    sweep = write_sweep(lab.folder / "sweep", SWEEPS[kind], ground.outside)
    before = ground.around()
    there = lab.tree()
    for argv in (("ls", "sweep"), ("doctor", "sweep"), ("compare", "sweep", "whole"), ("resume", "sweep")):
        ended = lab(*argv)
        assert_nothing_done(lab, ground, before, ended, argv[0])
    assert {name for name in lab.tree() if name not in there and not name.startswith(sweep.name)} <= {"outputs"}


IGNORED = ("callbacks", "a logging factory", "a package of Hydra's")  # what nobody asks Hydra for


@line(14, "a stranger's folder of options")
@pytest.mark.parametrize("kind", cases(OPTIONS, fast=["callbacks", "a variable"]))
def test_nothing_in_a_folder_of_options_is_executed_or_asks_the_environment(lab, ground, secret, kind):
    name, text = OPTIONS[kind]
    path = lab.folder / "theirs" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode(errors="surrogateescape"))
    before = ground.around()
    choice = f"{path.parent.name}=x"
    for argv in ((choice,), ("--cfg", "job", choice), ("--help",), ("explain", choice), ("-m", choice, "seed=0,1")):
        more = (*TINY[1:], "epochs=1", "figures=none", "jobs=1") if choice in argv[:2] else ()
        ended = lab(*argv, "--config-dir", "theirs", *more)
        assert_nothing_done(lab, ground, before, ended, argv[0])
        assert ended.code == 2 or argv[0] in ("--help", "explain") or kind in IGNORED, (argv, ended)
