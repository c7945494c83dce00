"""The verdict on a sweep's page: sentences and a table, each number with its cell of verdict.csv or mcnemar.csv."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from labrunner.files import encoded, read_bytes, read_csv, to_csv
from labrunner.records import Sweep
from labrunner.records.names import odd
from labrunner.report.origin import BLANK, Shown, count, metric, percent
from labrunner.told import Sentence
from labrunner.verdict import Judgement, judge, tables
from labrunner.verdict.words import headline, p_text, points, scope, sentences, title

SHARES = ("accuracy", "f1", "auroc", "precision", "recall")  # what is told in points
FEW = 8  # sentences and rows of a verdict that are not folded


def shown(sentence: Sentence) -> list[str | Shown]:
    return [piece if isinstance(piece, str) else Shown(*piece) for piece in sentence]


def read_lines(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV, both empty where it cannot be read."""
    try:
        return ([], []) if odd(path) else read_csv(path)
    except (OSError, ValueError, csv.Error):
        return [], []


def judged(sweep: Sweep) -> tuple[Judgement, bool]:
    """What the runs say of each other, and whether that is, to the byte, what verdict.csv or mcnemar.csv holds."""
    judgement = judge(sweep)
    for name, table in tables(judgement).items():
        path = sweep.path / name
        try:
            there = read_bytes(path) if path.exists() and not odd(path) else None
        except OSError:
            there = None
        if there != (None if table is None else encoded(to_csv(*table))):
            return judgement, False
    return judgement, True


def verdict(judgement: Judgement) -> dict[str, Any]:
    told = [shown(sentence) for sentence in sentences(judgement)]
    made = bool(judgement.pairs or judgement.run_pairs)
    return {
        "headline": headline(judgement),
        "title": shown(title(judgement)) if made else [],
        "sentences": told[:FEW],
        "others": told[FEW:],
        "remarks": [shown(sentence) for sentence in judgement.remarks],
        "scope": scope(judgement) if made else "",
        "why_not": judgement.why_not,
        "pairs": pair_cells(judgement),
        "run_pairs": run_pair_cells(judgement),
        "few": FEW,
    }


def pair_cells(judgement: Judgement) -> list[dict[str, Any]]:
    """A row for each of verdict.csv."""
    made = []
    for at, pair in enumerate(judgement.pairs, start=1):
        source = f"verdict.csv#{at}/"
        in_points = pair.metric.endswith(SHARES)
        unit = " in points" if in_points else ""
        spans = {}
        for name in ("difference", "low", "high", "sd"):
            value = getattr(pair, name)
            text = points([value])[0] if in_points else f"{value:#.4g}".rstrip(".") if value is not None else BLANK
            spans[name] = Shown(text, source + name + (unit if value is not None else ""))
        made.append(
            spans
            | {"a": Shown(pair.a, source + "a"), "b": Shown(pair.b, source + "b"), "n": count(pair.n, source + "n")}
            | {
                name: (percent if in_points else metric)(getattr(pair, name), source + name)
                for name in ("mean_a", "mean_b")
            }
            | {
                name: Shown(BLANK if getattr(pair, name) is None else p_text(getattr(pair, name)), source + name)
                for name in ("p", "p_holm")
            }
            | {
                "seeds_needed": count(pair.seeds_needed, source + "seeds_needed"),
                "in_points": in_points,
                "decided": pair.decided,
            }
        )
    return made


def run_pair_cells(judgement: Judgement) -> list[dict[str, Any]]:
    """A row for each of mcnemar.csv."""
    made = []
    for at, pair in enumerate(judgement.run_pairs, start=1):
        source = f"mcnemar.csv#{at}/"
        cells: dict[str, Any] = {
            name: count(getattr(pair, name), source + name) for name in ("run_a", "run_b", "n", "only_a", "only_b")
        }
        cells |= {name: Shown(getattr(pair, name), source + name) for name in ("a", "b") if getattr(pair, name)}
        cells |= {name: Shown(p_text(getattr(pair, name)), source + name) for name in ("p", "p_holm")}
        cells["difference"] = Shown(points([pair.difference])[0], f"{source}difference in points")
        made.append({"a": "", "b": "", "decided": pair.decided, **cells})
    return made
