"""What a word can go on as: names that exist, values that are taken, folders that are there, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labrunner import completing, schema
from labrunner.completing import TAKES, complete
from labrunner.compose.names import check_override
from labrunner.helping import FLAGS, GROUPS, VERBS, Catalogue
from labrunner.labs import LABS
from labrunner.usage import USAGES
from tests.folders import write_run
from tests.sweeps import write_sweep


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts(*words: str) -> list[str]:
    """What the last of some words can go on as."""
    return [each.text for each in complete(words[:-1], words[-1])]


# verbs and flags


def test_the_first_word_may_be_a_verb_a_group_or_a_key():
    found = texts("")
    assert set(VERBS) <= set(found)
    assert {f"{group}=" for group in GROUPS} | {"epochs=", "checkpoint.every_batches="} <= set(found)
    assert texts("comp") == ["compare", "completion"]
    assert texts("lr-") == ["lr-find"]
    assert texts("nothing") == []


def test_behind_an_override_there_is_no_verb_any_more():
    assert "train" not in texts("model=cnn", "t")
    assert "threads=" in texts("model=cnn", "t")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_takes(verb):
    takes = TAKES[verb]
    assert "--help" in texts(verb, "--")
    known = {name.partition(" ")[0] for names in FLAGS for name in names.split(", ")}
    assert set(takes.flags) <= known | {"-cd"}
    usage = " ".join([USAGES[verb].form, *(what for what, _ in USAGES[verb].takes)])
    said = set(re.findall(r"\b([a-z.]+)=", usage))
    assert said & set(completing.OWN_KEYS) == set(takes.keys) & set(completing.OWN_KEYS)


def test_what_new_makes_is_what_its_help_says():
    assert "|".join(texts("new", "")) in USAGES["new"].form
    assert "|".join(texts("completion", "")) in USAGES["completion"].form


def test_flags_go_with_their_verbs_alone():
    assert {"-m", "--multirun", "--cfg", "--config-dir", "--help", "--version"} <= set(texts("-"))
    assert "-m" not in texts("resume", "run", "-")
    assert "--trust" in texts("resume", "run", "--t")
    assert texts("--tr") == []
    assert texts("--cfg", "") == texts("model=cnn", "-c", "") == ["job", "hydra", "all"]
    assert texts("--cfg=h") == ["--cfg=hydra"]


# overrides


def test_a_group_goes_on_with_its_options_and_what_they_are():
    found = complete([], "model=")
    assert [each.text.partition("=")[2] for each in found] == [each.name for each in Catalogue().options("model")]
    assert all(each.meaning and each.whole for each in found)
    assert texts("model=cn") == ["model=cnn"]


def test_behind_a_comma_comes_the_next_value_and_none_twice():
    assert texts("-m", "model=mlp,cn") == ["model=mlp,cnn"]
    assert "model=mlp,mlp" not in texts("-m", "model=mlp,")
    assert "model=mlp,mlp_numpy" in texts("-m", "model=mlp,")
    assert texts("-m", "reg.decay_all=true,") == ["reg.decay_all=true,false"]


def test_keys_are_those_of_what_is_chosen():
    assert texts("optim") == ["optim=", "optim."]
    assert set(texts("optim.")) == {"optim.lr=", "optim.betas=", "optim.eps="}, "of adam, the default"
    assert {"optim.momentum=", "optim.nesterov="} <= set(texts("optim=sgd", "optim."))
    assert "optim.betas=" not in texts("optim=sgd", "optim.")
    both = texts("-m", "optim=sgd,adam", "optim.")
    assert {"optim.momentum=", "optim.betas="} <= set(both)
    assert texts("optim.mom") == ["optim.momentum="], "of any, where the default has none like it"
    assert "optim.momentum=" in texts("experiment=optimizers", "optim."), "which chooses, too"
    assert texts("optim=sgd", "optim.lr=0.1", "optim.l") == []


def test_keys_with_words_for_values_go_on_with_these():
    assert texts("figures=") == ["figures=all", "figures=few", "figures=none"]
    assert texts("strict=t") == ["strict=true"]
    assert texts("batch_size=") == ["batch_size=full"]
    assert texts("reg.patience=") == ["reg.patience=null"]
    assert texts("monitor=val_a") == ["monitor=val_accuracy", "monitor=val_auroc"]
    assert texts("model=torchvision", "model.arch=squ") == ["model.arch=squeezenet1_0", "model.arch=squeezenet1_1"]
    assert texts("epochs=") == texts("optim.lr=") == texts("nothing=") == []


@pytest.mark.parametrize("key", schema.KEYS)
def test_every_word_that_is_offered_for_a_key_is_taken_by_it(key):
    for word in completing.literals(schema.KEYS[key]):
        value = {"true": True, "false": False, "null": None}.get(word, int(word) if word.isdecimal() else word)
        assert schema.takes(key, value)


def test_every_key_that_is_offered_exists():
    known = Catalogue()
    offered = {
        each
        for group in GROUPS
        for option in known.options(group)
        for each in texts(f"{group}={option.name}", f"{group}.")
    }
    offered |= {each for each in texts("") if each.endswith("=")} | set(texts("hydra."))
    assert len(offered) > 100
    for text in offered:
        value = "RUN" if text == "hydra.mode=" else "1"
        if text[:-1] not in GROUPS:
            check_override(f"{text}{value}", known)


def test_a_list_of_probes_grows_word_by_word():
    assert texts("probes=[gradi") == ["probes=[gradients", "probes=[gradient_check"]
    assert texts("probes=[gradients") == ["probes=[gradients]"]
    found = texts("probes=[gradients,")
    assert "probes=[gradients,activations" in found
    assert "probes=[gradients,gradients" not in found
    assert "probes=[steps" in texts("probes=")


def test_options_of_ones_own_are_offered_and_said_to_be_ones_own(here):
    for folder, name in (("conf", "tiny"), ("elsewhere", "tall")):
        path = here / folder / "model" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text("# My network.\n_target_: nets.Net\nwidth: 3  # of the layer\n")
    (tiny,) = complete([], "model=ti")
    assert (tiny.text, tiny.meaning) == ("model=tiny", "My network. (yours)")
    assert complete(["model=tiny"], "model.w")[0] == ("model.width=", "of the layer (3)", False)
    assert texts("model=ta") == []
    assert texts("--config-dir", "elsewhere", "model=ta") == ["model=tall"]
    assert texts("--config-dir=elsewhere", "model=ta") == ["model=tall"]
    assert texts("--config-dir", "nowhere", "model=cn") == ["model=cnn"]


# folders and files


def test_runs_are_offered_with_what_they_are_the_newest_last(here):
    names = ("2026-01-02_00-00-00_aaaa", "2026-01-01_00-00-00_bbbb")
    for name in names:
        write_run(here / "outputs/runs" / name, epochs=2)
    write_sweep(here / "outputs/sweeps/2026-01-03_00-00-00_cccc", [{"seed": 0}, {"seed": 1}], epochs=2)
    (here / "elsewhere").mkdir()
    (here / ".hidden").mkdir()
    (here / "file").write_text("")
    found = complete(["resume"], "")
    assert [each.text for each in found] == [
        "elsewhere/",
        f"outputs/runs/{names[1]}",
        f"outputs/runs/{names[0]}",
        "outputs/sweeps/2026-01-03_00-00-00_cccc",
    ]
    assert [each.meaning for each in found] == ["", "mlp on digits, done", "mlp on digits, done", "a sweep"]
    assert [each.whole for each in found] == [False, True, True, True]
    assert found[1].shown == names[1]
    # of a sweep predict takes a run, to which it is the way
    assert "outputs/sweeps/2026-01-03_00-00-00_cccc/" in texts("predict", "")
    inside = "outputs/sweeps/2026-01-03_00-00-00_cccc/"
    assert {f"{inside}0", f"{inside}1"} <= set(texts("predict", inside))
    assert texts("resume", "outputs/r") == ["outputs/runs/"]
    assert texts("resume", "outputs/runs/2026-01-02") == [f"outputs/runs/{names[0]}"]


def test_what_a_verb_takes_behind_its_run(here):
    write_run(here / "run", epochs=2)
    (here / "photo.jpg").write_text("")
    assert texts("resume", "run", "ep") == ["epochs="]
    assert texts("resume", "run", "model") == []
    assert texts("export", "run", "") == ["file="]
    assert set(texts("evaluate", "run", "data")) == {"dataset=", "dataset."}
    assert texts("evaluate", "run", "dataset=imagef") == ["dataset=imagefolder"]
    assert texts("evaluate", "run", "model=") == []
    assert "photo.jpg" in texts("predict", "run", "")
    assert "csv=" in texts("predict", "run", "photo.jpg", "")
    assert texts("predict", "run", "csv=ph") == ["csv=photo.jpg"]
    assert (texts("ls", ""), texts("open", "")) == (["run/"], ["run"])


def test_values_that_are_paths_go_on_as_paths(here, monkeypatch):
    (here / "data" / "inside").mkdir(parents=True)
    (here / "data.csv").write_text("")
    assert texts("dataset.path=da") == ["dataset.path=data/", "dataset.path=data.csv"]
    assert texts("dataset.root=da") == ["dataset.root=data/"]
    assert texts("dataset.root=data/") == ["dataset.root=data/inside/"]
    assert texts(f"cache={here}/da") == [f"cache={here}/data/"]
    monkeypatch.setenv("HOME", str(here))
    assert texts("hydra.run.dir=~/da") == ["hydra.run.dir=~/data/"]
    assert texts("--config-dir", "da") == ["data/"]


def test_a_strangers_folder_is_neither_waited_for_nor_believed(here):
    for name in ("pipe", "long", "odd"):
        (here / name).mkdir()
    os.mkfifo(here / "pipe" / "overrides.yaml")
    os.mkfifo(here / "pipe" / "status.json")
    (here / "pipe" / "metrics.csv").write_text("")
    (here / "long" / "metrics.csv").write_text("")
    (here / "long" / "overrides.yaml").write_text("choices: {model: cnn, dataset: digits}\n" + "x" * 10**7)
    (here / "odd" / "metrics.csv").write_text("")
    (here / "odd" / "overrides.yaml").write_bytes(b"choices: {model: \x1b[31m, dataset: \xff}\n")
    (here / "line\nend").mkdir()
    assert {each.text: each.meaning for each in complete(["open"], "")} == {
        "long": "cnn on digits",
        "odd": "",
        "pipe": "",
    }


def test_words_of_the_other_verbs(here):
    assert texts("labs", "") == list(LABS)
    assert texts("explain", "optim.lr") == ["optim.lr"]
    assert texts("explain", "freeze=gr") == ["freeze=gradual"]
    assert "gradcam" in texts("explain", "grad")
    assert "weights_apart" in texts("explain", "weights_")
    assert texts("new", "mo") == ["model"]
    assert texts("new", "model", "") == []


def test_explain_goes_on_with_groups_keys_and_the_last_parts_of_keys():
    assert set(texts("explain", "opt")) >= {"optim", "optim.", "optim="}
    assert {"optim.lr", "optim.momentum"} <= set(texts("explain", "optim."))
    assert texts("explain", "drop") == ["dropout"]
    assert texts("help", "resu") == texts("explain", "resu") == ["resume"]
    assert texts("he") == ["help"]


def test_a_manifest_is_a_yaml_and_what_is_handed_in_is_a_folder(here):
    (here / "anna").mkdir()
    for name in ("lab3.yaml", "lab4.yml", "notes.txt"):
        (here / name).touch()
    assert texts("grade", "") == ["anna/", "lab3.yaml", "lab4.yml"]
    assert [word for word in texts("grade", "lab3.yaml", "") if "=" not in word] == ["anna/"]
    assert texts("bundle", "room", "manifest=") == ["manifest=anna/", "manifest=lab3.yaml", "manifest=lab4.yml"]


def test_nothing_heavy_is_imported_to_answer(here):
    code = (
        "from labrunner.cli import main; assert main(['completion', 'words', 'zsh', '--', 'model=']) == 0\n"
        "import sys; heavy = ('torch', 'hydra', 'numpy', 'pydantic', 'yaml', 'pandas')\n"
        "print('loaded:', *[name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"
