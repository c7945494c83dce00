"""Sentences whose numbers and names know where they stand: printed as text, in a page with the record they show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Told(NamedTuple):
    """A piece of a sentence that stands in a file, and where: in the forms of `labrunner.report.origin`."""

    text: str
    source: str


Sentence = list[str | Told]


def plain(sentence: Sentence) -> str:
    """A sentence as text."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in sentence)


def listed(pieces: Sequence[str | Told], most: int | None = None) -> Sentence:
    """``a, b, c``; of more than `most` the first ones."""
    said: Sentence = []
    for piece in pieces[:most]:
        said += [", ", piece] if said else [piece]
    return [*said, " and others"] if most is not None and len(pieces) > most else said
