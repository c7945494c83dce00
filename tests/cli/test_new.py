"""``labrunner new``: a small working example of one's own, in an empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from labrunner.verbs import new
from tests.cli.lab import Lab

NAMES = {"model": "tiny", "dataset": "spirals", "optimizer": "signum", "probe": "sureness", "experiment": "widths"}
DOCS = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
PYTEST = """
import os, sys
import pytest
code = pytest.main(["-p", "no:cacheprovider", "-q", "tests"])
sys.stdout.flush()
os._exit(code)
"""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr("labrunner.data.own._known", {})
    monkeypatch.setattr("labrunner.data.own._last", {})


def next_commands(out: str) -> list[list[str]]:
    """What is printed to be typed next, as words."""
    lines = out.split("next:\n")[1].splitlines()
    return [shlex.split(line.split("  ")[0]) for line in (each.strip() for each in lines)]


@pytest.mark.parametrize("kind", NAMES)
def test_what_is_made_in_an_empty_folder_works_and_so_does_its_test(lab, forking, kind):
    made = lab("new", kind, NAMES[kind])
    assert (made.code, made.err) == (0, "")
    files = sorted(name for name, content in lab.tree().items() if content is not None)
    assert all(name in made.out for name in files)
    assert len(files) == (2 if kind == "experiment" else 3)

    first, explain, test = next_commands(made.out)
    short = ["smoke=true", "seed=0"] if kind == "experiment" else ["epochs=2"]
    ran = lab(*first[1:], *short, "figures=none")
    assert ran.code == 0, ran.err
    said = lab(*explain[1:])
    keys = [line for line in (lab.folder / files[0]).read_text().splitlines() if re.match(r"[a-z]+: \S+  # ", line)]
    assert len(keys) >= (0 if kind in ("probe", "experiment") else 2)
    assert [line for line in keys if line.partition("  # ")[2] not in said.out] == []
    assert "(yours)" in lab("--help").out

    assert test == ["python", "-m", "pytest", f"tests/test_{NAMES[kind]}.py"]
    fork = forking.start(cwd=lab.folder, first=PYTEST)
    ended = fork.wait()
    assert ended.code == 0, ended.out


def test_all_kinds_stand_beside_each_other_and_combine(lab):
    for kind, name in NAMES.items():
        assert lab("new", kind, name).code == 0
    options = ("model=tiny", "dataset=spirals", "optim=signum", "experiment=sureness")
    ended = lab("hydra.run.dir=run", *options, "epochs=2", "figures=none")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("tiny on spirals: ")
    assert "sureness_last" in ended.out


@pytest.mark.parametrize("kind", NAMES)
def test_the_manual_shows_what_it_writes(kind):
    page = DOCS.read_text(encoding="utf-8")
    for path, text in new.files_of(kind, NAMES[kind]).items():
        assert text in page, f"docs/extending.md lacks {path} as labrunner new {kind} {NAMES[kind]} writes it"


def test_words_of_a_name_become_a_class_and_every_place_is_filled(lab):
    assert lab("new", "model", "wide_net").code == 0
    assert "class WideNet(nn.Module):" in (lab.folder / "my_wide_net.py").read_text()
    for content in (each for each in lab.tree().values() if each is not None):
        assert b"NAME" not in content
        assert b"CLASS" not in content


REFUSED = {
    "nothing": ([], ("it makes a model, dataset, optimizer, probe or experiment",)),
    "no such kind": (["modle", "tiny"], ("new modle", "did you mean model?")),
    "a group for a kind": (["optim", "tiny"], ("did you mean optimizer?",)),
    "no name": (["model"], ("labrunner new model tiny",)),
    "two names": (["model", "tiny", "small"], ("takes one name",)),
    "an override": (["model", "tiny", "width=3"], ("takes no width=3",)),
    "a folder of options": (["model", "tiny", "--config-dir", "."], ("./conf",)),
    "a shipped option": (["model", "cnn"], ("model=cnn is labrunner's own",)),
    "a shipped optimizer": (["optimizer", "sgd"], ("optim=sgd is labrunner's own",)),
    "a shipped experiment": (["probe", "metrics"], ("experiment=metrics is labrunner's own",)),
    "signs": (["model", "tiny-net"], ("is no name for Python and YAML", "labrunner new model tiny_net")),
    "a digit first": (["model", "3d"], ("labrunner new model d",)),
    "a way out": (["model", "../tiny"], ("is no name", "labrunner new model tiny")),
    "other letters": (["model", "größe"], ("is no name", "letters, digits and _")),
    "control characters": (["model", "a\x1b[2Jb"], ("\\x1b[2Jb is no name",)),
    "a keyword": (["dataset", "lambda"], ("means something else", "my_lambda")),
    "a keyword as a class": (["model", "true"], ("means something else",)),
    "yes to YAML": (["dataset", "on"], ("means something else",)),
    "no number": (["dataset", "nan"], ("means something else",)),
    "a file of labrunner's": (["probe", "gradients"], ("probes/gradients.csv", "labrunner new probe my_gradients")),
    "a name of the example's": (["dataset", "np"], ("uses itself", "labrunner new dataset my_np")),
}


@pytest.mark.parametrize(("argv", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_made_is_refused_and_nothing_is_left(lab, argv, words):
    refused = lab("new", *argv)
    assert refused.code == 2, refused
    assert [word for word in words if word not in refused.err] == [], refused.err
    assert len(refused.err.splitlines()) <= 3
    assert lab.tree() == {}


@pytest.mark.parametrize("there", ["my_tiny.py", "tests/test_tiny.py", "conf/dataset/tiny.yaml"])
def test_nothing_is_written_over(lab, there):
    lab.write(there, "# mine\n")
    before = lab.tree()
    refused = lab("new", "dataset", "tiny")
    assert refused.code == 2
    assert "choose another name" in refused.err
    assert lab.tree() == before


def test_a_link_that_leads_nowhere_is_something_there(lab):
    (lab.folder / "my_tiny.py").symlink_to(lab.folder / "nowhere.py")
    assert lab("new", "model", "tiny").code == 2
    assert not (lab.folder / "nowhere.py").exists()


@pytest.mark.parametrize("place", ["conf", "tests"])
def test_where_one_file_cannot_be_written_none_is(lab, place):
    lab.write(place, "a file where a folder should be")
    before = lab.tree()
    refused = lab("new", "model", "tiny")
    assert refused.code == 2
    assert f"cannot write {place}/" in refused.err
    assert lab.tree() == before


def test_an_interruption_leaves_nothing_half_written(lab, monkeypatch):
    (lab.folder / "conf").mkdir()
    before = lab.tree()
    with monkeypatch.context() as patch:
        patch.setattr(new, "filled", lambda text, name: Stops(text))
        assert lab("new", "model", "tiny").code == 130
    assert lab.tree() == before


class Stops(str):
    """A text during whose writing a Ctrl-C comes: that of the third file."""

    count = 0

    def encode(self, *given: str) -> bytes:
        Stops.count += 1
        if Stops.count == 3:
            raise KeyboardInterrupt
        return super().encode(*given)


def test_the_name_of_a_module_that_is_installed_is_refused(lab, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "my_tiny.py").write_text("")
    monkeypatch.syspath_prepend(elsewhere)
    refused = lab("new", "model", "tiny")
    assert refused.code == 2
    assert "there is a module my_tiny already" in refused.err
    assert lab.tree() == {}


def test_in_labrunners_own_source_it_is_refused(lab: Lab):
    lab.write("conf/config.yaml", "")
    lab.write("src/labrunner/helping.py", "")
    before = lab.tree()
    refused = lab("new", "model", "tiny")
    assert "labrunner's own source; start in a folder of yours" in refused.err
    assert lab.tree() == before
