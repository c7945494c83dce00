"""Pages in a browser that is installed; where there is none, the tests say so and are skipped.

`opened(path, width)` gives a page by its file, with all it said and all it asked for. One browser serves all tests.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
TALL = 900


@dataclass
class Opened:
    """A page in the browser: the page itself, what it said on the console, and the addresses it asked for."""

    page: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def overflow(self) -> int:
        """How many pixels the page is wider than what is seen of it."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def column(self, table: str, number: int) -> list[str]:
        """The texts of a column, as they are shown from top to bottom; hidden rows are left out."""
        shown = "(rows, at) => rows.filter(row => row.checkVisibility()).map(row => row.cells[at].innerText.trim())"
        return list(self.page.locator(f"{table} > tbody > tr").evaluate_all(shown, number))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    program = os.environ.get("LABRUNNER_CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(PROGRAMS)} is installed, and LABRUNNER_CHROMIUM names none")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def contexts(browser: Any) -> Callable[[bool, bool], Any]:
    """One context for each way of looking: a new one a test would cost more than the test."""

    @cache
    def context(dark: bool, script: bool) -> Any:
        return browser.new_context(color_scheme="dark" if dark else "light", java_script_enabled=script)

    return context


@pytest.fixture
def opened(contexts: Callable[[bool, bool], Any]) -> Iterator[Callable[..., Opened]]:
    """``opened(path, width=1440, dark=False, script=True)``: a page by ``file://``, as wide as a phone or a screen."""
    pages = []

    def open_page(path: Path, width: int = 1440, *, dark: bool = False, script: bool = True) -> Opened:
        found = Opened(contexts(dark, script).new_page())
        pages.append(found.page)
        found.page.set_viewport_size({"width": width, "height": TALL})
        found.page.on("console", lambda message: found.messages.append(message.text))
        found.page.on("pageerror", lambda error: found.messages.append(str(error)))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.goto(path.absolute().as_uri())
        return found

    yield open_page
    for page in pages:
        page.close()
