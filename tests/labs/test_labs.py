"""The course as a whole: every lab has its file, page, picture and checks, and what a page says to type composes."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from labrunner import compose, relations
from labrunner.cli import Arguments, parse
from labrunner.compose.sweeps import SweepPlan
from labrunner.errors import RequestError
from labrunner.helping import Catalogue
from labrunner.labs import LABS
from tests.test_docs import maker

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "labs"
MOST_BYTES = 80_000  # of a picture
HOUR = 45 * 60  # seconds that all labs together may take
each_lab = pytest.mark.parametrize("name", LABS)


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def commands(text: str) -> list[list[str]]:
    """The arguments of every ``labrunner …`` in a page, in blocks and between lines."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    typed = [shlex.split(line, comments=True) for line in lines if line.strip().startswith("labrunner ")]
    return [words[1:] for words in typed]


@each_lab
def test_a_lab_has_a_description_and_at_least_as_many_checks_as_are_promised(name):
    option = Catalogue().option("experiment", name)
    assert option is not None
    assert option.meaning.endswith(".")
    config = compose.compose([f"experiment={name}", "hydra.mode=RUN"], Catalogue()).config
    checks = relations.parse(config["checks"])
    assert len(checks) >= LABS[name].checks >= 1
    assert all("check" in said for said in config["checks"]), "each is to have a name"


@each_lab
def test_what_was_measured_stands_beside_the_checks(name):
    text = Catalogue().option("experiment", name).text
    below = text[text.index("\nchecks:") :]
    assert below.count("#") >= 1
    assert re.search(r"#.*\d", below), "no measured number"


@each_lab
def test_a_lab_has_its_page_with_command_picture_and_the_way_back(name):
    text = page(name)
    assert text.startswith("# ")
    assert f"labrunner experiment={name}\n" in text
    assert f"(images/{name}.png)" in text
    assert "(README.md)" in text
    assert len(commands(text)) >= 3, "the lab, and two to try next"


@each_lab
def test_a_picture_is_small_and_wide_enough_to_read(name):
    path = PAGES / "images" / f"{name}.png"
    assert path.stat().st_size < MOST_BYTES
    with Image.open(path) as image:
        assert 600 <= image.width <= 1200


def test_every_page_and_picture_belongs_to_a_lab():
    assert {path.stem for path in PAGES.glob("*.md")} == {*LABS, "README"}
    assert {path.stem for path in (PAGES / "images").iterdir()} == set(LABS)


def composed(arguments: Arguments) -> compose.Composed | SweepPlan:
    """What a command asks for; of a sweep one run, if that will do: composing all of a large one takes seconds."""
    if not arguments.multirun:
        with suppress(RequestError):
            return compose.compose([*arguments.overrides, "hydra.mode=RUN"], Catalogue())
    return compose.request(arguments.overrides, Catalogue(), multirun=arguments.multirun)


@pytest.mark.parametrize("name", [*LABS, "README"])
def test_every_command_of_a_page_composes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for argv in commands(page(name)):
        arguments = parse(argv)
        if arguments.verb == "labs":
            assert set(arguments.words) <= LABS.keys()
        elif arguments.verb in ("train", "plan", "summary", "lr-find"):
            assert composed(arguments).config, argv


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_links_of_a_page_lead_to_files_that_are_there(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_index_is_what_make_docs_makes_today():
    index = page("README")
    assert maker().with_course(index, Catalogue()) == index, "run make docs"
    rows = re.findall(r"^\| \[([\w\\]+)\]\((\w+)\.md\)", index, re.MULTILINE)
    assert [target for _, target in rows] == list(LABS)


def test_no_lab_takes_five_minutes_and_all_together_less_than_three_quarters_of_an_hour():
    assert max(lab.seconds for lab in LABS.values()) < 300
    assert sum(lab.seconds for lab in LABS.values()) < HOUR
