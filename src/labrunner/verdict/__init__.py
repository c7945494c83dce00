"""Verdicts: which differences between runs their numbers support, and in which words.

`judge` reads the runs, `statistics` decides, `words` says it. What it all rests on: runs of several seeds on the same
splits tell how much a result moves when training is repeated; they do not tell how it moves on other data.
"""

from __future__ import annotations

from labrunner.verdict.judging import (
    MCNEMAR,
    VERDICT,
    Judgement,
    Pair,
    RunPair,
    judge,
    renew,
    tables,
    write,
)

__all__ = ["MCNEMAR", "VERDICT", "Judgement", "Pair", "RunPair", "judge", "renew", "tables", "write"]
