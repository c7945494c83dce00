"""What a run folder from a stranger may make this process do: nothing that its reader has not put there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from labrunner.aliases import check_aliases
from labrunner.errors import RequestError
from labrunner.trust import check_saved
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

TINY = ("dataset=fake", "dataset.samples=60", "epochs=2", "figures=none")
MARKS = "from pathlib import Path\nPath({marker!r}).touch()\nimport torch\n"
NET = """
def Net(input_shape, num_classes):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(torch.Size(input_shape).numel(), num_classes))
"""


@pytest.fixture
def stranger(lab):
    """A finished run, and a way to change its saved config."""
    folder = lab.train("run", *TINY)
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"status": "interrupted"}))

    def change(**changes: object) -> Path:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        (folder / "config.yaml").write_text(yaml.safe_dump(config | changes))
        return folder

    return change


def marking(folder: Path, name: str, marker: Path) -> None:
    """A module that leaves a marker when it is imported."""
    (folder / f"{name}.py").write_text(MARKS.format(marker=str(marker)) + NET)


def assert_untrusted(lab, *words: str) -> None:
    before = lab.tree()
    ended = lab("resume", "run")
    assert (ended.code, ended.out) == (2, ""), ended.err
    assert ended.err.startswith("labrunner: error: ")
    assert len(ended.err.splitlines()) <= 3
    assert [word for word in words if word not in ended.err] == [], ended.err
    assert not (lab.folder / "marker").exists()
    assert lab.tree() == before


@pytest.mark.parametrize(
    "model",
    [
        {"_target_": "os.system", "command": "touch marker"},
        {"_target_": "torch.utils.collect_env.run", "command": "touch marker"},
        {"_target_": "subprocess.call", "args": "touch marker"},
        {"_target_": "builtins.exec", "source": "open('marker', 'w')"},
        {"_target_": "torch.nn.Linear"},
        {"_target_": "labrunner.machine.git_commit"},
        {"_target_": "tests.folders.write_run"},
        {"_target_": "..run.config"},
        {"_target_": ""},
        {"_target_": None},
        {"_target_": ["os.system"]},
        {"_target_": {"_target_": "os.system"}},
    ],
    ids=lambda model: str(model["_target_"]),
)
def test_a_saved_config_that_names_code_from_elsewhere_is_refused(lab, stranger, model):
    stranger(model=model)
    assert_untrusted(lab, "the saved config", "--trust")


@pytest.mark.parametrize("group", ["dataset", "optim", "schedule", "reg", "init", "freeze"])
def test_a_target_is_refused_in_any_group_and_at_any_depth(lab, stranger, group):
    stranger(**{group: {"name": "x", "deep": [{"_target_": "os.system", "command": "touch marker"}]}})
    assert_untrusted(lab, "os.system", "--trust")


@pytest.mark.parametrize("name", ["os.system", "torch.hub.load", "labrunner.probes.steps.Steps", "their_probes.Seen"])
def test_a_probe_of_code_from_elsewhere_is_refused_without_importing_it(lab, stranger, tmp_path_factory, name):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    marking(elsewhere, "their_probes", lab.folder / "marker")
    sys.path.append(str(elsewhere))
    stranger(probes=["steps", name])
    assert_untrusted(lab, f"the saved config names {name} (probes)", "--trust")
    assert "their_probes" not in sys.modules


@pytest.mark.parametrize("group", ["dataset", "optim"])
def test_a_data_set_and_an_optimizer_of_code_from_elsewhere_are_refused(lab, stranger, group):
    stranger(**{group: {"_target_": "os.system", "command": "touch marker", "lr": 0.1}})
    assert_untrusted(lab, f"the saved config names os.system ({group})", "--trust")


@pytest.mark.parametrize("key", ["_args_", "_partial_", "_recursive_", "_convert_", "_mine_"])
def test_hydras_other_instructions_are_refused(lab, stranger, key):
    stranger(model={"name": "mlp", "hidden": [3], "activation": "relu", key: [1]})
    assert_untrusted(lab, key)


def test_an_unresolved_value_is_refused_and_not_resolved(lab, stranger, monkeypatch):
    monkeypatch.setenv("SECRET_WORD", "s3cret")
    stranger(seed="${oc.env:SECRET_WORD}")
    assert_untrusted(lab, "seed")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeed": 1}, ("seeed", "did you mean seed?")),
        ({"hydra": {"callbacks": {"x": 1}}}, ("no key hydra",)),
        ({"seed": -1}, ("seed=-1",)),
        ({"model": {"name": "vgg"}}, ("vgg",)),
        ({"model": None}, ("no model",)),
        ({"model": "mlp"}, ("model=mlp",)),
        ({"optim": {"name": ["adam"]}}, ("optim",)),
    ],
    ids=str,
)
def test_a_saved_config_that_no_run_writes_is_refused_as_such(lab, stranger, changes, words):
    stranger(**changes)
    assert_untrusted(lab, "the saved config cannot be run", *words)


def test_a_module_outside_the_current_folder_is_refused_without_importing_it(
    lab, stranger, tmp_path_factory, monkeypatch
):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    marking(elsewhere, "their_models", lab.folder / "marker")
    monkeypatch.syspath_prepend(elsewhere)
    stranger(model={"_target_": "their_models.Net"})
    assert_untrusted(lab, "their_models.Net", "--trust")
    assert "their_models" not in sys.modules


def test_a_module_outside_the_current_folder_is_taken_when_trusted(lab, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    marking(elsewhere, "trusted_models", lab.folder / "marker")
    monkeypatch.syspath_prepend(elsewhere)
    lab.write("conf/model/theirs.yaml", "_target_: trusted_models.Net\n")
    folder = lab.train("run", *TINY, "model=theirs")
    assert lab("resume", "run", "epochs=3").code == 2
    ended = lab("resume", "run", "epochs=3", "--trust")
    assert ended.code == 0, ended.err
    assert len((folder / "metrics.csv").read_text().splitlines()) == 4
    del sys.modules["trusted_models"]


@pytest.mark.parametrize("name", ["antigravity", "this", "pip", "setuptools", "sklearn", "yaml"])
def test_a_file_of_an_installed_modules_name_does_not_open_the_door_to_that_module(lab, stranger, name):
    marking(lab.folder, name, lab.folder / "marker")
    stranger(model={"_target_": f"{name}.Net"})
    loaded = sys.modules.get(name)
    assert_untrusted(lab, f"{name}.Net", "--trust")
    assert sys.modules.get(name) is loaded


def test_a_link_that_leads_out_of_the_current_folder_is_refused(lab, stranger, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    marking(elsewhere, "linked", lab.folder / "marker")
    (lab.folder / "linked.py").symlink_to(elsewhere / "linked.py")
    stranger(model={"_target_": "linked.Net"})
    assert_untrusted(lab, "linked.Net", "--trust")


@pytest.mark.parametrize(
    ("files", "target"),
    [
        (("mine.py",), "mine.Net"),
        (("pack/__init__.py",), "pack.Net"),
        (("pack2/__init__.py", "pack2/nets.py"), "pack2.nets.Net"),
        (("bare/nets.py",), "bare.nets.Net"),
    ],
    ids=str,
)
def test_modules_and_packages_under_the_current_folder_are_taken(lab, files, target):
    for name in files:
        lab.write(name, "import torch\n" + NET)
    lab.write("conf/model/own.yaml", f"_target_: {target}\n")
    lab.train("run", *TINY, "model=own")
    ended = lab("resume", "run", "epochs=3")
    assert ended.code == 0, ended.err


def test_checking_a_saved_config_imports_nothing(tmp_path):
    before = set(sys.modules)
    marking(tmp_path, "inside", tmp_path / "marker")
    check_saved({"model": {"_target_": "inside.Net"}}, tmp_path)
    for target in ("inside_not.Net", "torch.hub.load", "ensurepip.bootstrap", "xml.dom.minidom.parse"):
        with pytest.raises(RequestError):
            check_saved({"model": {"_target_": target}}, tmp_path)
    assert not (tmp_path / "marker").exists()
    assert set(sys.modules) == before


# files of a run folder that are not what was written

HOSTILE = {
    "empty": b"",
    "not utf-8": b"\xff\xfe\x00",
    "a list": b"[1, 2]",
    "null": b"null",
    "a number": b"3",
    "a tag": b'!!python/object/apply:os.system ["touch marker"]',
    "a deep tag": b'choices: {model: !!python/object/apply:os.system ["touch marker"]}\nseed: 1',
    "open brackets": b"[" * 2000,
    "aliases": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % o] * 9)) for o, n in zip(b"abcdefgh", b"bcdefghi", strict=True)
    ),
    "itself": b"a: &a [*a]\nb: &b {c: *b}",
    "markup": b"<script>alert(1)</script>",
    "zeros": bytes(100),
}


@pytest.mark.parametrize(
    "name", ["config.yaml", "overrides.yaml", "environment.json", "status.json", "metrics.csv", "test.json"]
)
def test_a_file_that_is_not_what_was_written_is_no_traceback_and_executes_nothing(lab, name):
    folder = lab.train("run", *TINY)
    content = (folder / name).read_bytes()
    for what, hostile in HOSTILE.items():
        (folder / name).write_bytes(hostile)
        ended = lab("resume", "run", "epochs=3") if name != "config.yaml" else lab("resume", "run")
        assert ended.code in (0, 1, 2), what
        assert ended.code == 2 or name != "config.yaml", what
        assert "this should not happen" not in ended.err, (what, ended.err)
        assert "Traceback" not in ended.err
        assert len(ended.err.splitlines()) <= 3
        assert not (lab.folder / "marker").exists()
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("threads", [0, -1, 10**9, "many", True, 1.5, [1], {"a": 1}])
def test_a_recorded_thread_count_that_is_none_is_not_followed(lab, threads):
    folder = lab.train("run", *TINY)
    recorded = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps(recorded | {"threads": threads}))
    ended = lab("resume", "run", "epochs=3")
    assert ended.code == 0, ended.err
    assert json.loads((folder / "environment.json").read_text())["resumed"][-1]["threads"] == 1


def test_aliases_are_measured_before_they_are_written_out():
    check_aliases("a: &a [1, 2]\nb: *a\nc: [*a, *a]\n", "here")
    check_aliases("a: 2 * 3 *x*\n", "here")
    check_aliases("a: [\n - *b", "here")
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcd", "bcde", strict=True)
    )
    with pytest.raises(RequestError, match=r"^here: its aliases"):
        check_aliases(bomb, "here")
    check_aliases("\n".join(bomb.splitlines()[:3]), "here")
    with pytest.raises(RequestError, match="here"):
        check_aliases("a: &a [*a]", "here")
