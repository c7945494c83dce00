"""The help page and `explain` name everything that can be typed, and tell the truth about it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

import labrunner.verbs
from labrunner import schema
from labrunner.cli import CFG, main
from labrunner.helping import (
    EXAMPLES,
    FIRST,
    FLAGS,
    GROUPS,
    MEANINGS,
    ONWARD,
    VERBS,
    Catalogue,
    help_page,
    is_checkout,
    nearest,
    own_folders,
    packaged_conf,
    read_keys,
)
from labrunner.usage import USAGES, verb_page

CONF = packaged_conf()


def flat(text: str) -> str:
    """Without line breaks and runs of blanks, so that wrapped text can be looked for."""
    return re.sub(r"\s+", " ", text)


def squeezed(text: str) -> str:
    """Without any blanks: two columns wrap into each other."""
    return re.sub(r"\s+", "", text)


def test_the_page_names_every_group_option_meaning_key_verb_flag_and_example():
    page = help_page(Catalogue(), width=200)
    for group in GROUPS:
        assert f"{group}=…  {MEANINGS[group]}" in page
        for path in (CONF / group).glob("*.yaml"):
            assert re.search(rf"^    [* ] {path.stem}\b", page, re.MULTILINE), path
    for option in (option for group in GROUPS for option in Catalogue().options(group)):
        assert option.meaning in flat(page)
    for key in Catalogue().top.values():
        assert f"{key.name}={key.value}" in page
        assert key.meaning in flat(page)
    for words in (VERBS.items(), FLAGS.items(), FIRST, ONWARD, EXAMPLES):
        for left, right in words:
            assert left in page
            assert right in flat(page)


def test_the_page_marks_the_default_of_each_group_and_no_other(lab):
    defaults = yaml.safe_load(lab("--cfg", "hydra").out)["hydra"]["runtime"]["choices"]
    page = help_page(Catalogue(), width=120)
    starred = re.findall(r"^    \* (\S+)", page, re.MULTILINE)
    chosen = [defaults[group] for group in GROUPS if defaults.get(group) is not None]
    assert starred == chosen
    assert len(starred) == len(GROUPS) - 1


def test_the_values_on_the_page_are_those_that_a_run_gets(lab):
    config = yaml.safe_load(lab("--cfg", "job").out)
    page = help_page(Catalogue(), width=120)
    said = dict(re.findall(r"^  ([a-z_.]+)=(\[.*?\]|[^\s…]+)(?:  |$)", page, re.MULTILINE))
    assert set(said) >= {"seed", "optim.lr", "reg.patience", "model.hidden"}
    for key, text in said.items():
        found, value = schema.lookup(config, key)
        assert found, key
        assert yaml.safe_load(text) == value, key


@pytest.mark.parametrize("width", [72, 80, 110])
def test_the_page_keeps_to_its_width(width):
    assert [line for line in help_page(Catalogue(), width=width).splitlines() if len(line) > width] == []


def test_the_first_screen_of_a_small_terminal_says_how_to_begin_and_how_to_go_on():
    screen = help_page(Catalogue(), width=80).splitlines()[:23]  # and the line of the prompt
    for command, meaning in (*FIRST, *ONWARD):
        assert any(command in line and meaning in line for line in screen), command
    assert "labrunner --help | less" in help_page(Catalogue(), width=80).splitlines()[-1]


def test_help_is_one_page_wherever_the_flag_stands(lab):
    pages = {lab(*argv).out for argv in (["--help"], ["-h"], ["model=cnn", "-h"], ["-h", "x=1"])}
    assert len(pages) == 1
    assert pages.pop().startswith("usage: labrunner [VERB]")
    of_a_verb = {lab(*argv).out for argv in (["resume", "--help"], ["-h", "resume"], ["resume", "outputs", "-h"])}
    assert len(of_a_verb) == 1
    assert of_a_verb.pop().startswith("usage: labrunner resume")


def test_the_examples_on_the_page_are_requests_that_are_not_refused(lab):
    for line, _ in (*FIRST, *EXAMPLES):
        words = shlex.split(line)[1:]
        if words[:1] in (["resume"], ["open"], ["labs"]):
            continue
        ended = lab(*words) if words[:1] == ["summary"] else lab("--cfg", "job", *words)
        assert ended.code == 0, ended.err


def test_flags_before_and_after_overrides_mean_the_same(lab):
    after = lab("model=cnn", "seed=3", "--cfg", "job")
    assert after.code == 0
    for argv in (
        ["--cfg", "job", "model=cnn", "seed=3"],
        ["model=cnn", "--cfg=job", "seed=3"],
        ["-c", "job", "seed=3", "model=cnn"],
        ["train", "model=cnn", "-c=job", "seed=3"],
    ):
        assert lab(*argv) == after


def test_cfg_job_prints_the_config_that_the_run_then_writes(lab):
    overrides = [
        "dataset=fake",
        "dataset.samples=60",
        "model.hidden=[4, 5]",
        "optim.lr=1e-3",
        "epochs=1",
        "figures=none",
    ]
    said = lab("--cfg", "job", *overrides).out
    assert lab("hydra.run.dir=run", *overrides).code == 0
    assert said == (lab.folder / "run" / "config.yaml").read_text()
    config = yaml.safe_load(said)
    assert config["model"]["hidden"] == [4, 5]
    assert "hydra" not in config
    assert "experiment" not in config


def test_cfg_hydra_and_cfg_all_print_yaml_with_hydras_own_settings(lab):
    hydra, everything = (yaml.safe_load(lab("--cfg", what, "seed=5").out) for what in ("hydra", "all"))
    assert list(hydra) == ["hydra"]
    assert "seed=5" in hydra["hydra"]["overrides"]["task"]
    assert everything["seed"] == 5
    assert everything["hydra"]["job"]["name"] == "labrunner"
    assert set(CFG) == {"job", "hydra", "all"}


def test_cfg_leaves_nothing_behind(lab):
    assert lab("--cfg", "all").code == 0
    assert lab.tree() == {}


def test_the_version_is_that_of_the_installed_package(lab):
    from importlib.metadata import version

    assert lab("--version") == (0, f"labrunner {version('labrunner')}\n", "")


@pytest.mark.parametrize("key", schema.KEYS)
def test_explain_tells_of_every_key_what_it_means_takes_and_is_worth(lab, key):
    ended = lab("explain", key)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{key}: ")
    assert f"takes    {schema.describe(schema.KEYS[key])}" in ended.out
    group, _, name = key.partition(".")
    paths = [path for path in (CONF / group).glob("*.yaml") if name in yaml.safe_load(path.read_text())] if name else []
    for path in paths:
        value = yaml.safe_load(path.read_text())[name]
        line = next(line for line in ended.out.splitlines() if line.strip().startswith(f"{group}={path.stem}:"))
        assert yaml.safe_load(line.partition(f"{group}={path.stem}: ")[2].split("  ")[0].split(";")[0]) == value
    if not name:
        assert f"default  {yaml.safe_load((CONF / 'config.yaml').read_text())[key]}".lower() in ended.out.lower()


def test_explain_takes_a_section(lab):
    said = lab("explain", "checkpoint").out
    assert "checkpoint.every_batches: " in said
    assert "checkpoint.every_minutes: " in said


def test_explain_names_the_architectures(lab):
    said = lab("explain", "model.arch").out
    assert all(name in said for name in ("efficientnet_v2_s", "resnet18", "vit_b_16", "wide_resnet50_2"))
    assert max(map(len, said.splitlines())) <= 120


def test_explain_takes_groups_options_and_several_words(lab):
    said = lab("explain", "optim", "optim=sgd", "experiment=smoke_cnn", "seed").out
    for words in (
        "* optim=adam:",
        "optim.momentum",
        "optim=sgd: Stochastic",
        "smoke=true",
        "seed: where all randomness",
    ):
        assert words in said


def test_explain_marks_the_default_option(lab):
    lines = lab("explain", "optim.lr").out.splitlines()
    assert [line for line in lines if "default option" in line] == ["  optim=adam: 0.001  (the default option)"]


# the user's own options


@pytest.fixture
def own(lab):
    lab.write("conf/model/tiny.yaml", "# My first network.\n_target_: my_models.TinyNet\nwidth: 32  # how wide it is\n")
    lab.write("conf/experiment/mine.yaml", "# @package _global_\n# A thing of mine.\nseed: 3\n")
    return lab


def test_options_of_the_users_are_listed_as_theirs(own):
    page = flat(own("--help").out)
    assert "tiny My first network. (yours)" in page
    assert "mine A thing of mine. (yours)" in page
    assert page.count("(yours)") == 2


def test_explain_knows_options_and_keys_of_the_users(own):
    said = own("explain", "model.width", "model=tiny", "model").out
    assert "model.width: how wide it is" in said
    assert "what its own code takes" in said
    assert "model=tiny: My first network." in said


def test_options_of_the_users_are_among_the_nearest_names(own):
    assert "did you mean model=tiny?" in own("model=tinny").err
    assert "did you mean model.width?" in own("explain", "model.widht").err


def test_a_folder_given_by_flag_adds_its_options(lab):
    lab.write("elsewhere/optim/mine.yaml", "# Mine.\nname: sgd\nlr: 0.3\nmomentum: 0.0\nnesterov: false\n")
    assert "(yours)" not in lab("--help").out
    assert flat("mine Mine. (yours)") in flat(lab("--help", "--config-dir", "elsewhere").out)
    assert yaml.safe_load(lab("--config-dir=elsewhere", "--cfg", "job", "optim=mine").out)["optim"]["lr"] == 0.3


def test_only_folders_with_known_groups_count_as_the_users_own(tmp_path):
    assert own_folders(None, tmp_path) == ()
    (tmp_path / "conf" / "nginx").mkdir(parents=True)
    assert own_folders(None, tmp_path) == ()
    (tmp_path / "conf" / "model").mkdir()
    assert own_folders(None, tmp_path) == (tmp_path / "conf",)
    assert own_folders(str(tmp_path / "conf"), tmp_path) == (tmp_path / "conf",)


def test_a_checkouts_own_conf_is_the_shipped_one_and_not_the_users(tmp_path):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "src" / "labrunner").mkdir(parents=True)
    (tmp_path / "src" / "labrunner" / "helping.py").write_text("")
    assert is_checkout(tmp_path / "conf")
    assert own_folders(None, tmp_path) == ()
    assert own_folders(None, CONF.parent) == ()


# reading YAML by lines


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: path.relative_to(CONF).as_posix())
def test_reading_by_lines_finds_the_keys_and_values_that_yaml_finds(path):
    left_out = {"defaults", "hydra", "sweep"} | ({"checks"} if path.parent.name == "experiment" else set())
    loaded = {key: value for key, value in yaml.safe_load(path.read_text()).items() if key not in left_out}
    read = read_keys(path.read_text().splitlines())
    assert {name: yaml.safe_load(key.value) for name, key in read.items()} == flatten(loaded)


def flatten(section: dict, prefix: str = "") -> dict:
    found = {}
    for key, value in section.items():
        found |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def test_reading_by_lines_follows_sections_and_leaves_out_lists_of_defaults():
    text = """
# a description
defaults:
  - override /model: cnn
  - _self_
width: 3  # how wide
text: "a # b"  # with a mark in it
section:
  deep: 1  # below
  deeper:
    deepest: [1, 2]
after: null
"""
    read = read_keys(text.splitlines())
    assert {name: key.value for name, key in read.items()} == {
        "width": "3",
        "text": '"a # b"',
        "section.deep": "1",
        "section.deeper.deepest": "[1, 2]",
        "after": "null",
    }
    assert read["width"].meaning == "how wide"
    assert read["text"].meaning == "with a mark in it"


@pytest.mark.parametrize(
    ("word", "meant"),
    [("optim.lrr", "optim.lr"), ("lr", "optim.lr"), ("model.lr", "optim.lr"), ("sede", "seed"), ("xyzzy", None)],
)
def test_the_nearest_name_is_the_one_that_was_probably_meant(word, meant):
    assert nearest(word, Catalogue().all_keys()) == meant


def test_the_description_of_an_option_is_its_first_comment_line_and_no_instruction_to_hydra(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.yaml").write_text("# @package _global_\n# What it is.\n# More.\nwidth: 1\n")
    (tmp_path / "model" / "b.yaml").write_text("width: 1\n# not this\n")
    catalogue = Catalogue((tmp_path,))
    assert catalogue.option("model", "a").meaning == "What it is."
    assert catalogue.option("model", "b").meaning == ""
    assert not catalogue.option("model", "a").shipped
    assert Path(catalogue.option("model", "mlp").path).parent == CONF / "model"


@pytest.mark.parametrize("verb", VERBS)
def test_the_page_of_a_verb_says_how_it_is_typed_and_its_examples_begin_with_it(verb, capsys):
    assert main([verb, "--help"]) == 0
    page = capsys.readouterr().out
    form = page.splitlines()[0]
    assert form.startswith("usage: labrunner [train]" if verb == "train" else f"usage: labrunner {verb}")
    shown = page.split("\nexamples\n")[1].splitlines()
    assert shown
    named = [line for line in shown if "labrunner" in line]
    assert all(line.strip().startswith(("labrunner", "eval")) for line in named)
    assert any(verb in line or verb == "train" for line in named)
    assert max(map(len, page.splitlines())) <= 110
    assert verb_page(verb, 72).split() == page.split()


def test_every_verb_has_a_page_and_a_file_of_its_own():
    assert set(USAGES) == set(VERBS)
    folder = Path(labrunner.verbs.__file__).parent
    assert [verb for verb in VERBS if not (folder / f"{verb.replace('-', '_')}.py").is_file()] == []
