"""A verdict as a sweep and a comparison print it: a few sentences, and where the rest is."""

from __future__ import annotations

import itertools
import textwrap

from labrunner.told import plain
from labrunner.verbs.printing import one_line, show
from labrunner.verdict import MCNEMAR, VERDICT, Judgement, words

MOST_PAIRS = 4
MOST_REMARKS = 4


def print_verdict(judgement: Judgement, room: int | None = None) -> None:
    """What can be said between the runs, in so many columns; nothing where there is nothing to say."""
    lines = lines_of(judgement)
    if not lines:
        return
    wrapped = [textwrap.wrap(line, room, subsequent_indent="    ") if room else [line] for line in lines]
    show("\n".join(["", *itertools.chain.from_iterable(wrapped)]))


def lines_of(judgement: Judgement) -> list[str]:
    """The pairs of the best first, as its file has them, and how many others there are."""
    made = judgement.pairs or judgement.run_pairs
    remarks = [plain(sentence) for sentence in judgement.remarks]
    if len(remarks) > MOST_REMARKS:
        rest = len(remarks) - MOST_REMARKS
        remarks[MOST_REMARKS:] = [f"and {rest} more remark{'s' if rest > 1 else ''} on runs that are in no pair"]
    if not made:
        lines = [f"verdict: none; {judgement.why_not}", *remarks] if judgement.why_not else []
        return indented(lines)
    told = [plain(sentence) for sentence in words.sentences(judgement)]
    lines = [f"verdict: {plain(words.title(judgement))}", *told[:MOST_PAIRS]]
    if (rest := len(told) - MOST_PAIRS) > 0:
        decided = sum(pair.decided for pair in made[MOST_PAIRS:])
        file = VERDICT if judgement.pairs else MCNEMAR
        lines.append(f"and {rest} more pair{'s' if rest > 1 else ''}, {decided or 'none'} decided: {file}")
    return indented([*lines, *remarks, words.scope(judgement)])


def indented(lines: list[str]) -> list[str]:
    """Lines of a terminal, all but the first indented."""
    return [f"{'  ' if at else ''}{one_line(line)}" for at, line in enumerate(lines)]
