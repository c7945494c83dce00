"""What all figures share: colours, the library's settings, and how names from outside are drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib

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


def plain(name: str) -> str:
    """A name on one line, without characters that steer instead of show (line breaks, direction marks)."""
    line = " ".join(name.split())
    line = "".join(character for character in line if unicodedata.category(character)[0] != "C")
    return line or "(no name)"


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
