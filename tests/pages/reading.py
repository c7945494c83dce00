"""A page as a browser takes it apart, and what the files of a run say, read without any code of ours."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import yaml

VOID = {"meta", "img", "br", "link", "input", "hr"}
CONF = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a browser would make of the page: elements, texts, and the shown numbers with their origin."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[tuple[str, str]] = []  # origin, text
        self.free = ""  # text without an origin; a curve's ticks are its scale and measure nothing
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        origin = dict(attributes).get("data-src")
        if origin is not None:
            self.shown.append((origin, ""))
        if tag not in VOID:
            self._open.append((tag, origin))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1][0] == tag, f"</{tag}> closes <{self._open[-1][0]}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][1] is not None:
            origin, text = self.shown.pop()
            self.shown.append((origin, text + data))
        elif {tag for tag, _ in self._open}.isdisjoint({"style", "title", "script", "svg"}):
            self.free += data

    @property
    def text(self) -> str:
        return " ".join((self.free + " ".join(text for _, text in self.shown)).split())

    def of(self, name: str) -> Iterator[tuple[str, str]]:
        """(place, text) of what is shown of a file."""
        return ((origin.partition("#")[2], text) for origin, text in self.shown if origin.startswith(f"{name}#"))


def recorded(folder: Path, origin: str) -> Any:
    """What the files say; see labrunner.report.origin for the forms."""
    if " over " in origin:
        above, below = (recorded(folder, part) for part in origin.split(" over "))
        return float(above) / float(below) if float(below) else ""
    if " plus " in origin:
        return sum(float(recorded(folder, part)) for part in origin.split(" plus "))
    if origin.endswith((" anew", " anew in again")):
        return without_place(recorded(folder, origin.partition(" ")[0]), origin.endswith("again"))
    name, _, place = origin.partition("#")
    path = CONF / name if name.startswith("conf/") else folder / name
    if not place:
        return path.read_text(encoding="utf-8")
    if name.endswith((".json", ".yaml")):
        content = path.read_text(encoding="utf-8")
        value = json.loads(content) if name.endswith(".json") else yaml.safe_load(content)
        for key in place.split("/"):
            if isinstance(value, list) and not key.isdecimal():  # the defaults list of a YAML
                value = next(entry for entry in value if isinstance(entry, dict) and key in entry)
            value = value[int(key) - 1] if isinstance(value, list) else value[key]
        return value
    row, column, *feature = place.split("/")
    if name.endswith(".npz"):
        arrays = np.load(path)
        if column.isdecimal():
            return int(((arrays["label"] == int(row) - 1) & (arrays["predicted"] == int(column) - 1)).sum())
        return arrays[column][(int(row) - 1, *(int(each) - 1 for each in feature))].item()
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    at = int(column) if name == "confusion.csv" else header.index(column)
    if row == "*":
        return sum(float(cells[at]) for cells in rows)
    if name == "metrics.csv":
        return next(cells[at] for cells in rows if cells[0] == row)
    if "," in row:
        return ", ".join(rows[int(each) - 1][at] for each in row.split(","))
    return rows[int(row) - 1][at]


def without_place(command: str, again: bool) -> str:
    """A command of ``labrunner`` for another folder than that it was typed for."""
    words = [word for word in shlex.split(command) if not word.lstrip("+").startswith(("hydra.run.", "hydra.sweep."))]
    if again and words[1] == "resume":
        at = [
            at for at in range(2, len(words)) if "=" not in words[at] and "--config-dir" not in words[at - 1 : at + 1]
        ]
        words[at[-1]] = "again"
    elif again:
        words.append("hydra.run.dir=again")
    return shlex.join(words)


def agrees(text: str, record: Any) -> bool:
    """Whether the text is the record, rounded to the digits shown."""
    if isinstance(record, str) and text == record:
        return True
    if re.fullmatch(r"\d{1,3}(,\d{3})+", text):
        text = text.replace(",", "")
    if record is None or record == "":
        return text == ("–" if record == "" else "null")
    if isinstance(record, (bool, list)):
        return json.loads(text) == record
    if isinstance(record, (int, float)) and text == str(record):
        return True
    percent, value = text.endswith("%"), Decimal(repr(record) if isinstance(record, float) else str(record))
    shown = Decimal(text.rstrip("%"))
    if percent:
        value *= 100
    # half a unit of the last digit shown, and the rounding of the product by 100; a whole number is shown whole, but
    # for one that is written with four digits or more
    _, digits, exponent = shown.as_tuple()
    assert isinstance(exponent, int)
    rounded = exponent < 0 or len(digits) >= 4 or shown == value
    return rounded and abs(shown - value) <= Decimal(5).scaleb(exponent - 1) + Decimal("1e-12")
