"""``labrunner labs``: the course in its order, and one lab with its checks in words."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from labrunner import compose, relations
from labrunner.helping import Catalogue
from labrunner.labs import LABS
from labrunner.verbs import labs

HEAVY = ("numpy", "torch", "hydra", "omegaconf", "pandas", "pydantic", "matplotlib", "sklearn")


def test_every_lab_has_a_line_in_the_order_of_the_course(lab):
    header, *lines = lab("labs").out.splitlines()
    assert header.split() == ["lab", "takes", "what", "it", "shows"]
    named = [line.split("  ")[0] for line in lines[: len(LABS)]]
    assert named == list(LABS)
    for name, line in zip(named, lines, strict=False):
        option = Catalogue().option("experiment", name)
        assert line.endswith(option.meaning)
        assert re.search(r" \d+ (s|min)  ", line)


def test_it_says_how_to_run_one_and_what_it_says_can_be_typed(lab):
    out = lab("labs").out
    command = re.search(r"to run one: labrunner (\S+)", out)[1]
    assert compose.compose([command, "hydra.mode=RUN"], Catalogue()).choices["experiment"] == next(iter(LABS))
    looked = re.search(r"to look at one first: labrunner (.+)", out)[1]
    assert lab(*looked.split()).code == 0


@pytest.mark.parametrize("name", LABS)
def test_a_lab_tells_its_checks_as_hydra_reads_them(lab, name):
    config = compose.compose([f"experiment={name}", "hydra.mode=RUN"], Catalogue()).config
    checks = relations.parse(config["checks"])
    assert labs.checks_of(Catalogue().option("experiment", name)) == checks
    out = lab("labs", name).out
    assert f"labrunner experiment={name}\n" in out
    for check in checks:
        assert f"    {check.name.replace('_', ' ')}: {check.found} " in out


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"fact": "a_apart", "at_most": 1e-6, "check": "they_agree"}, "they agree: a_apart <= 1e-06"),
        (
            {"fact": "f", "of": {"seed": 3}, "take": "mean", "at_least": {"fact": "x", "plus": -0.1}, "check": "c"},
            "c: mean f of seed=3 >= x - 0.1",
        ),
        ({"fact": "n", "equals": 3, "within": 0.5, "check": "three"}, "three: n = 3 ± 0.5"),
    ],
)  # fmt: skip
def test_checks_are_told_in_words(said, words):
    assert labs.in_words(relations.parse([said])[0]) == words


def test_a_lab_that_there_is_none_of_is_named_with_the_nearest(lab):
    ended = lab("labs", "metric")
    assert ended.code == 2
    assert "there is no lab metric; did you mean metrics?" in ended.err
    assert lab("labs", "smoke_cnn").code == 2  # an experiment, and no lab
    assert lab("labs", "seed=3").code == 2


def test_what_a_lab_shows_wraps_beside_its_name_in_a_terminal():
    lines = labs.course(Catalogue(), room=80)
    assert max(map(len, lines)) <= 80
    start = lines[0].index("what it shows")
    inner = [line for line in lines[1:] if line.startswith(" ")]
    assert inner
    assert all(line[:start].isspace() and not line[start].isspace() for line in inner)
    assert re.sub(r"\s+", " ", " ".join(lines)) == re.sub(r"\s+", " ", " ".join(labs.course(Catalogue(), room=None)))


@pytest.mark.parametrize("seconds", [5, 99, 100, 240, 2700])
def test_durations_are_short_words(seconds):
    number, unit = labs.duration(seconds).split()
    assert abs(int(number) * {"s": 1, "min": 60}[unit] - seconds) <= 30


@pytest.mark.parametrize("argv", [["labs"], ["labs", "metrics"]])
def test_nothing_heavy_is_imported(argv, tmp_path):
    code = (
        f"import sys\nfrom labrunner.cli import main\nassert main({argv}) == 0\n"
        f"print('loaded:', *[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"
