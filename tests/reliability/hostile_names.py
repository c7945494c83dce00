"""Names of classes, files, columns and folders as nobody should give them, and somebody does."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from labrunner.report.page import policy, script

NAMES: dict[str, str] = {
    # a page
    "a script": "<script>alert(1)<",
    "an image": "<img src=x onerror=alert(1)>",
    "an attribute": "\" onmouseover='alert(1)' x=\"",
    "the end of a title": "<&title><script src=evil.js>",
    "an entity": "&lt;b&gt;&#60;script&#62;",
    "a template": "{{ 7 * 7 }}{% raw %}{# x #}",
    "a comment": "--><!--[if IE]><svg onload=alert(1)>",
    "an address": "javascript:alert(1)",
    "a style": "x;background:url(evil.png)@import 'evil.css'",
    # a spreadsheet
    "a formula": "=1+1",
    "a command": "=cmd|' &C calc'!A1",
    "a sum": "@SUM(1+1)",
    "a plus": "+1+1",
    "a quote": '"',
    "quotes and commas": "a,\"b\";'c'",
    "a semicolon": "a;b",
    # a terminal
    "two lines": "two\nlines",
    "a carriage return": "one\rtwo",
    "both": "one\r\ntwo",
    "a tab": "one\ttwo",
    "red": "\x1b[31mred",
    "a title of the window": "\x1b]0;owned\x07",
    "a bell and a backspace": "a\x07b\x08\x7f",
    "from right to left": "abc\u202egnp.txt",
    "isolated": "\u2066abc\u2069",
    "without width": "a\u200bb\ufeffc",
    "lines of Unicode": "one\u2028two\x85three",
    "NUL in words": "a\\0b%00",
    # letters
    "Hebrew": "כלב גדול",
    "marks that combine": "e\u0301\u0327\u0308" * 20,
    "emoji": "👩‍🔬🏳️‍🌈",
    "no UTF-8": "no utf-8 \udcff\udc80",
    "two hundred and fifty bytes": "x" * 250,
    "eighty letters of three bytes": "漢" * 80,
    # a figure
    "a formula of TeX": r"$\frac{1}{0}$",
    "half a formula": r"$x_{",
    "a file of TeX": r"\input{_etc_passwd}",
    "hidden": "_hidden",
    # Python, YAML and shells
    "braces": "{}{0}{x!r}",
    "percent": "%s%n%d",
    "an option": "--trust",
    "removal": "-rf",
    "a variable": "${oc.env:HOME}",
    "a shell": "$(touch marker)`touch marker`; touch marker",
    "not a number": "nan",
    "not available": "NA",
    "a number": "1e5",
    "a number below zero": "-0.5",
    "null": "null",
    "true": "true",
    "spaces": "   ",
    "spaces around": " a ",
    "dots": "a..",
    "an override": "model.hidden=[1,2]",
    "a home": "~root",
    "a colon": "C:x",
    "a pattern": "[ab]*?",
}


class Page(HTMLParser):
    """The elements of a page, its text, and what a browser would run or dress it in."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.within: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.within:
            self.within[tag].append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem in self.within:
            self.within[self.cdata_elem][-1] += data
        else:
            self.text += data


PLACE = re.compile(r"#[a-z]+(-\d+)?")  # of a page, by a name that is nobody's
LINKS = (
    "src",
    "href",
    "xlink:href",
    "srcset",
    "action",
    "formaction",
    "background",
    "data",
    "poster",
    "ping",
    "srcdoc",
)


def assert_nothing_gets_in(page: Page) -> None:
    """No script but ours to the byte, no handler, no link but to a place of the page that we numbered, and nothing that
    is fetched from elsewhere.
    """
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint(
        {"iframe", "object", "embed", "base", "link", "form", "foreignobject", "use", "animate", "set"}
    )
    assert page.within["script"] == [script()]
    assert len(page.within["style"]) == 1
    assert "evil" not in page.within["style"][0]
    assert [attributes for tag, attributes in page.elements if tag == "script"] == [{}]
    policies = [
        attributes["content"] for tag, attributes in page.elements if tag == "meta" and "http-equiv" in attributes
    ]
    assert policies == [policy()]
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name, value)
            if tag == "a":
                assert (name, PLACE.fullmatch(value or "") is not None) == ("href", True), (tag, name, value)
            elif name in LINKS:
                assert tag == "img", (tag, name)
                assert (value or "").startswith(("data:image/png;base64,", "data:image/webp;base64,")), (tag, value)


def assert_the_terminal_stays_clean(text: str, name: str) -> None:
    """Nothing in it that steers, and a name of several lines in one."""
    assert [each for each in text if not each.isprintable() and each not in "\n\t"] == []
    assert name not in text or not set(name) & set("\r\n")
