"""Names of classes, columns and files as a stranger may choose them: pages, tables and terminals stay what they are."""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labrunner.records import load_run
from tests.cli.lab import Lab, Outcome
from tests.lines import cases, line

NAMES: dict[str, str] = {
    "script": "<script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)>",
    "svg": "<svg/onload=alert(1)>",
    "end of title": "</title><script>alert(1)</script>",
    "end of style": "</style><b>",
    "comment": "<!-- ",
    "double quote": '" onmouseover="alert(1)',
    "single quote": "' onfocus='alert(1)",
    "entity": "&lt;b&gt;&amp;",
    "template": "{{ 7*7 }}{% raw %}",
    "format": "{0} {name} %s %(x)s %n",
    "formula": "=cmd|'-C calc'!A1",
    "plus": "+1+1",
    "minus": "-rf",
    "at": "@SUM(A1)",
    "tab": "a\tb",
    "newline": "a\nb",
    "carriage return": "a\rb",
    "both": "a\r\nb",
    "escape": "\x1b[31mred\x1b[0m",
    "title of the terminal": "\x1b]0;owned\x07",
    "bell": "ding\x07",
    "backspace": "abc\b\b\bxyz",
    "next line": "a\u0085b",
    "line separator": "a\u2028b",
    "right to left": "\u202egpj.exe",
    "isolate": "\u2066abc\u2069",
    "zero width": "a\u200bb",
    "combining": "e" + "\u0301" * 20,
    "emoji": "\U0001f408\u200d\u2b1b",
    "arabic": "\u0642\u0637\u0629",
    "math": r"$\frac{1}{0}$",
    "broken math": r"$\badcommand{",
    "dollar": "$5 or $6",
    "tex": r"\input{/etc/passwd}",
    "backslash": "C:\\temp\\n",
    "comma": 'a,b;"c"',
    "nan": "nan",
    "NA": "NA",
    "number": "1e5",
    "true": "true",
    "null": "null",
    "spaces": " a ",
    "long": "x" * 255,
    "umlauts, long": "ä" * 127,
    "not UTF-8": b"caf\xe9".decode("utf-8", "surrogateescape"),
    "dots": "...",
    "tilde": "~root",
    "glob": "*[!a]?",
    "variable": "${oc.env:HOME}",
}
QUICK = ["script", "escape", "broken math", "newline"]
QUIET = (
    "epochs=1",
    "batch_size=8",
    "model=softmax",
    "figures=none",
    "dataset.val_fraction=.25",
    "dataset.test_fraction=.25",
)
ALLOWED = {"\n", "\t"}


class Page(HTMLParser):
    """What of a page could act: its tags, and attributes that are handlers or lead elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.acting: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        outside = ("http:", "https:", "//", "javascript:")
        for name, value in attrs:
            leads_out = name in ("src", "href", "action", "data") and (value or "").strip().lower().startswith(outside)
            if name.startswith("on") or leads_out:
                self.acting.append((name, value))


def folder_of_images(folder: Path, name: str) -> tuple[str, ...]:
    """Two classes of images, one of the name, with files of that name as far as it may be one."""
    rng = np.random.default_rng(0)
    for label, shade in ((name, 40), ("plain", 200)):
        for number in range(12):
            stem = name[:100] if number == 0 and len(name.encode("utf-8", "surrogateescape")) < 200 else ""
            path = folder / "photos" / label / f"{stem}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((shade + rng.integers(0, 30, (8, 8))).astype(np.uint8)).save(path)
    return ("dataset=imagefolder", "dataset.root=photos", "dataset.size=8", "dataset.channels=1")


def table(folder: Path, name: str) -> tuple[str, ...]:
    """A CSV whose column and one of whose labels have the name."""
    rng = np.random.default_rng(0)
    with open(folder / "data.csv", "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow([name, "x", "label"])
        for number in range(48):
            label = (name, "plain")[number % 2]
            writer.writerow([*(rng.normal(size=2) + 3 * (number % 2)).tolist(), label])
    return ("dataset=csv", "dataset.path=data.csv", "dataset.label=label")


MAKERS = {"folder": folder_of_images, "table": table}


def assert_clean(ended: Outcome) -> None:
    """A terminal gets printable characters and line ends alone, and no traceback."""
    said = ended.out + ended.err
    odd = {character for character in said if unicodedata.category(character).startswith("C")} - ALLOWED
    assert not odd, ascii(said)
    assert "Traceback" not in said


@line(15, "names of classes, files, labels and columns")
@pytest.mark.parametrize(
    ("name", "where"),
    cases(
        [(name, where) for name in NAMES for where in MAKERS],
        fast=[(name, "folder") for name in QUICK] + [("formula", "table")],
    ),
)
def test_a_name_stays_a_name_in_tables_pages_figures_and_on_the_terminal(lab: Lab, name: str, where: str):
    from labrunner.figures import draw
    from labrunner.report import write

    text = NAMES[name]
    request = MAKERS[where](lab.folder, text)
    ended = lab("hydra.run.dir=run", *QUIET, *request)
    assert_clean(ended)
    folder = lab.folder / "run"
    if ended.code == 2:  # what cannot be kept is refused before anything is written
        assert len(ended.err.splitlines()) <= 3
        assert not folder.exists()
        return
    assert ended.code == 0, ended.err
    run = load_run(folder)
    expected = sorted(run.class_names or [])
    assert len(expected) == 2
    assert "plain" in expected
    rows = list(csv.reader(io.StringIO((folder / "per_class.csv").read_bytes().decode(), newline="")))
    assert sorted(row[0] for row in rows[1:]) == expected
    assert run.per_class is not None
    assert sorted(run.per_class["class"]) == expected
    assert run.predictions is not None
    assert len(run.predictions) == (run.test or {})["n"]
    draw(run, "few")
    assert (folder / "figures" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    write(run)
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert not {"script", "iframe", "object", "embed", "svg"} & set(page.tags)
    assert page.acting == []
    for verb in (("ls", "."), ("doctor", "run"), ("evaluate", "run")):
        again = lab(*verb)
        assert again.code in (0, 1), again.err
        assert_clean(again)


@line(15, "names of run folders")
@pytest.mark.parametrize(
    "name", cases([name for name in NAMES if "/" not in NAMES[name]], fast=["escape", "not UTF-8"])
)
def test_a_run_folder_of_any_name_can_be_listed_and_gone_on_with(lab: Lab, name: str):
    made = lab("hydra.run.dir=run", "dataset=fake", "dataset.samples=40", "model=softmax", "epochs=1", "figures=none")
    assert made.code == 0
    place = lab.folder / "runs" / NAMES[name]
    place.parent.mkdir()
    os.rename(lab.folder / "run", place)
    for verb in (("ls", "runs"), ("doctor", str(place)), ("resume", str(place), "epochs=2"), ("evaluate", str(place))):
        ended = lab(*verb)
        assert ended.code == 0, ended
        assert_clean(ended)
    assert len(load_run(place).row_list) == 2
