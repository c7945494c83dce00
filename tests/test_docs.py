"""The manual against the code: what it names is there."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from labrunner.helping import GROUPS, Catalogue
from labrunner.records import METRICS, TIMING

ROOT = Path(__file__).resolve().parents[1]
PROMISED = [
    named
    for page in ("promises.md", "reliability.md")
    for named in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / page).read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("file", "test"), PROMISED, ids=[test for _, test in PROMISED])
def test_a_promise_names_a_test_that_exists(file, test):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_line_of_reliability_names_a_test_and_every_counted_test_has_its_line():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = {int(row[1]): row[0] for row in re.finditer(r"^\| (\d+) \|.*$", page, re.MULTILINE)}
    assert sorted(rows) == list(range(1, 18))
    assert [number for number, row in rows.items() if "`tests/" not in row] == []
    counted = {
        int(number)
        for path in (ROOT / "tests").rglob("test_*.py")
        for number in re.findall(r"^@line\((\d+),", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert counted == set(rows)


def test_every_promise_names_a_test():
    for line in (ROOT / "docs" / "promises.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| promise"):
            assert "`tests/" in line, line


def maker():
    """The script behind ``make docs``."""
    spec = importlib.util.spec_from_file_location("options", ROOT / "docs" / "options.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_options_are_what_make_docs_makes_today():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert maker().page(Catalogue()) == (ROOT / "docs" / "options.md").read_text(encoding="utf-8"), "run make docs"
    assert maker().with_table(readme, Catalogue()) == readme, "run make docs"


@pytest.mark.parametrize("group", GROUPS)
def test_the_readme_lists_every_option_with_the_default_first(group):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    line = next(line for line in readme.splitlines() if line.startswith(f"| `{group}` |"))
    named = re.findall(r"`(\w+)`", line.split("|")[2])
    options = [option.name for option in Catalogue().options(group)]
    assert sorted(named) == sorted(options)
    if group in Catalogue().defaults and group != "experiment":
        assert named[0] == Catalogue().defaults[group]


def test_the_manual_of_the_run_folder_names_every_column():
    manual = (ROOT / "docs" / "run-folder.md").read_text(encoding="utf-8")
    for column in (*METRICS, *TIMING):
        assert f"`{column}`" in manual


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])
def test_links_lead_to_files_that_are_there(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
