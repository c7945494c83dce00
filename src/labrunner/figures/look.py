"""What all figures share: colours, the library's settings, and how names from outside are drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from labrunner.records import Run

# Okabe & Ito 2008: told apart by readers who do not see red and green alike, and in grey print
BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE, BLACK = [
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
    "#000000",
]
GREY = "#666666"
PALE = "#c8c8c8"  # what stands behind and is not read by itself
APART = (BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE)  # for things of equal rank, in this order

PAGE = 8.0  # inches; on a page, 16 cm wide, 10 points become 8
PIXELS = 1500  # across a page


def page(height: float) -> Figure:
    """An empty figure as wide as a page, `height` in inches; its letters have 10 points or more."""
    return Figure(figsize=(PAGE, height), dpi=PIXELS / PAGE, layout="constrained")


def look() -> AbstractContextManager[None]:
    """The settings that figures are drawn and saved under: ours and the library's, whatever a matplotlibrc says."""
    ours: dict[Any, Any] = {
        "font.size": 11.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e4e4e4",
        "legend.frameon": False,
        "figure.dpi": 150.0,
        "savefig.dpi": "figure",
    }
    defaults: dict[Any, Any] = {
        key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")
    }
    return matplotlib.rc_context({**defaults, **ours})


def luminance(colour: Any) -> float:
    """Relative luminance of an sRGB colour (r, g, b, a) in [0, 1] (WCAG 2.1)."""
    parts = np.asarray(colour)[:3]
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def plain(name: str) -> str:
    """A name on one line, without characters that steer instead of show (line breaks, direction marks)."""
    line = " ".join(name.split())
    line = "".join(character for character in line if unicodedata.category(character)[0] != "C")
    return line or "(no name)"


def of_samples(run: Run, count: int) -> str:
    """``test split, 360 samples``: what a figure of predictions is drawn from."""
    return f"{run.tested}, {count} sample{'' if count == 1 else 's'}"


def left_to_right(*parts: str) -> str:
    """Text with names from outside in it, read from left to right whatever their script."""
    mark = "\u200e"  # LEFT-TO-RIGHT MARK: no width, no ink
    text = "".join(parts)
    return f"{mark}{mark.join(parts)}" if any(unicodedata.bidirectional(c) in ("R", "AL") for c in text) else text


def literal(legend: Legend, names: Sequence[str]) -> None:
    """Write `names` into a legend as they are: no formula in a $, no name left out for its leading underscore.

    The legend was made with as many labels that say nothing.
    """
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def shortened(names: Sequence[str], width: int) -> list[str]:
    """The names in at most `width` characters each, with … where something was left out.

    Long names lose their end; where that would make two names one, their middle; and where even that does, the end
    becomes their position, counted from 1.
    """
    lines = [plain(name) for name in names]
    short = [_cut(line, width) for line in lines]
    for cut in (_cut_middle, None):
        clashes = {name for name in short if short.count(name) > 1}
        for index, line in enumerate(lines):
            if short[index] not in clashes:
                continue
            if cut is not None:
                short[index] = cut(line, width)
            else:
                mark = f"…#{index + 1}"
                short[index] = line[: width - len(mark)].rstrip() + mark
    return short


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1].rstrip(" ,;:") + "…"


def _cut_middle(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    tail = width // 2
    return line[: width - 1 - tail].rstrip() + "…" + line[-tail:].lstrip()
