"""First guesses at a command lead to the command: whole, so that it can be copied, and one that is taken."""

from __future__ import annotations

import shlex

import pytest

from labrunner import cli
from labrunner.errors import RequestError

# what was typed -> the command that is told
GUESSES = {
    # keys as other programs take them
    "epochs 3": "labrunner epochs=3",
    "--epochs 3": "labrunner epochs=3",
    "--epochs=3": "labrunner epochs=3",
    "-epochs=3": "labrunner epochs=3",
    "--epoch 3": "labrunner epochs=3",
    "epochs = 3": "labrunner epochs=3",
    "epochs= 3": "labrunner epochs=3",
    "epochs =3": "labrunner epochs=3",
    "epochs:3": "labrunner epochs=3",
    "--batch-size 32": "labrunner batch_size=32",
    "--lr 0.1 --model cnn seed=3": "labrunner optim.lr=0.1 model=cnn seed=3",
    "--learning-rate=1e-3": "labrunner optim.lr=1e-3",
    "--strict": "labrunner strict=true",
    "--init.value -1": "labrunner init.value=-1",
    "--gpu": "labrunner device=cuda",
    "train --config-dir . --epochs 2": "labrunner train --config-dir . epochs=2",
    "-- model=cnn": "labrunner model=cnn",
    # options
    "cnn": "labrunner model=cnn",
    "model cnn": "labrunner model=cnn",
    "model:cnn": "labrunner model=cnn",
    "model=cnn digits epochs=3": "labrunner model=cnn dataset=digits epochs=3",
    "model=mlp cnn": "labrunner -m model=mlp,cnn",
    "-m model=mlp cnn": "labrunner -m model=mlp,cnn",
    "seed=0 1 2": "labrunner -m seed=0,1,2",
    # verbs
    "run model=cnn": "labrunner model=cnn",
    "fit": "labrunner",
    "tarin lr=0.1": "labrunner train optim.lr=0.1",
    "test outputs/runs/RUN": "labrunner evaluate outputs/runs/RUN",
    "eval 'a b'": "labrunner evaluate 'a b'",
    "list": "labrunner ls",
    "--list": "labrunner ls",
    "plot RUN figures=few": "labrunner report RUN figures=few",
    "sweep optim.lr=0.1,0.01 'model.hidden=[4]'": "labrunner -m optim.lr=0.1,0.01 'model.hidden=[4]'",
    "lab metrics": "labrunner labs metrics",
    "version": "labrunner --version",
    "-V": "labrunner --version",
    "resume RUN --epochs 60": "labrunner resume RUN epochs=60",
    "--resume RUN": "labrunner resume RUN",
    "notes": "labrunner open notes",  # a folder that is there
    # several values of a run
    "seed=0,1": "labrunner -m seed=0,1",
    "experiment=smoke_cnn seed=0,1": "labrunner -m experiment=smoke_cnn seed=0,1",
    "seed=0,1 model=cnn 'hydra.sweep.dir=a b'": "labrunner -m seed=0,1 model=cnn 'hydra.sweep.dir=a b'",
    "plan 'seed=range(3)' epochs=2": "labrunner plan -m 'seed=range(3)' epochs=2",
    "seed=0,1 --config-dir notes": "labrunner --config-dir notes -m seed=0,1",
}


@pytest.mark.parametrize("guess", GUESSES)
def test_a_first_guess_is_answered_with_the_command_that_was_meant(lab, guess):
    lab.write("notes/a.txt", "")
    before = lab.tree()
    ended = lab(*shlex.split(guess))
    assert (ended.code, ended.out) == (2, "")
    lines = ended.err.splitlines()
    assert len(lines) == 2
    assert lines[1].partition(": ")[2] == GUESSES[guess]
    assert lab.tree() == before
    cli.parse(shlex.split(GUESSES[guess])[1:])


@pytest.mark.parametrize(
    ("guess", "words"),
    {
        "model": ("labrunner model=mlp", "explain model"),
        "models": ("labrunner model=mlp", "explain model"),
        "epochs": ("labrunner epochs=30", "explain epochs"),
        "model=cnn lr": ("labrunner optim.lr=", "explain optim.lr"),
        "model.hidden=64,64": ("'model.hidden=[64,64]'",),
        "model.hidden=64": ("'model.hidden=[64]'",),
        "-m model.hidden=64,32": ("'model.hidden=[64],[32]'",),
        "learning_rate=1": ("did you mean optim.lr?",),
        "optimizer=sgd": ("did you mean optim?",),
        "data=digits": ("did you mean dataset?",),
        "delete RUN": ("verbs are train", "labrunner --help"),
        "--quiet": ("no flag --quiet", "--help", "key=value"),
        "summary model=mlp,cnn": ("model=mlp,cnn names several values",),
    }.items(),
)
def test_what_cannot_be_told_whole_is_told_as_far_as_it_can(lab, guess, words):
    ended = lab(*guess.split())
    assert ended.code == 2
    assert len(ended.err.splitlines()) <= 3
    for word in words:
        assert word in ended.err


def test_nothing_is_guessed_that_would_be_refused_at_once():
    assert cli.repaired(["--nonsense", "3"]) is None
    assert cli.repaired(["fly", "away"]) is None
    assert cli.repaired(["model=cnn"]) is None  # nothing is wrong with it
    with pytest.raises(RequestError, match="no flag --nonsense"):
        cli.parse(["--nonsense", "3"])


def test_help_is_a_word_as_well(lab):
    assert lab("help") == lab("--help")
    assert lab("help", "grade") == lab("grade", "--help")
    assert lab("help", "optim.lr") == lab("explain", "optim.lr")
    assert lab("help", "nonsense").code == 2


def test_explain_takes_the_last_part_of_a_name_and_other_names(lab):
    said = lab("explain", "lr")
    assert said.code == 0
    assert said.out.startswith("optim.lr: ")
    assert "\nlr: " in said.out  # the column of metrics.csv is called so, too
    assert lab("explain", "learning_rate") == lab("explain", "optim.lr")
    both = lab("explain", "dropout").out
    assert both.startswith("reg.dropout: ")
    assert "\nreg=dropout: " in both
    assert lab("explain", "metrics") == lab("explain", "experiment=metrics")
    assert lab("explain", "sweep") == lab("explain", "train")


@pytest.mark.parametrize("verb", ["export", "report", "resume", "evaluate"])
def test_a_folder_of_runs_in_the_place_of_a_run_leads_to_them(lab, verb):
    lab.write("my outputs/runs/a.txt", "")
    assert lab(verb, "my outputs").err.splitlines()[-1].strip() == "runs in it are shown by: labrunner ls 'my outputs'"
    assert "labrunner ls" not in lab(verb, "my outputs/runs").err  # which holds no folders
    assert verb == "report" or lab(verb, "nowhere").err.splitlines()[-1].endswith("labrunner ls")
