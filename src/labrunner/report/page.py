"""The shell of every page: templates, the one script, and the policy that allows that script and no other.

A page is one file. Its ``Content-Security-Policy`` forbids a browser everything but the style inside, images that are
inside as ``data:``, and a script whose SHA-256 is that of `script`: what a class name or an error message would smuggle
in is not run, even if it got past the escaping. All that is measured is in the HTML; the script sorts, filters, and
shows under the pointer what stands in a table already.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
PARTS = ("begin", "tables", "filters", "scrolling", "curves", "copy", "print")  # of the script, in this order


@cache
def environment() -> Environment:
    """The templates, each compiled once."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # class names, messages and values come from outside
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals |= {"script": Markup(script()), "policy": policy()}
    return made


@cache
def script() -> str:
    """The script of every page, to the byte: its hash is in the policy."""
    parts = (TEMPLATES / "script" / f"{name}.js" for name in PARTS)
    return "\n" + "\n".join(part.read_text(encoding="utf-8") for part in parts)


@cache
def policy() -> str:
    """The Content-Security-Policy: nothing but the style inside, images inside, and `script`."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    allowed = ("style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'", "img-src data:")
    return "; ".join(("default-src 'none'", *allowed, "base-uri 'none'", "form-action 'none'"))


def page(template: str, **content: Any) -> str:
    """A page by the name of its template, which extends ``page.html``."""
    return environment().get_template(template).render(**content)
