"""Verdicts in words. No sentence claims more than the decision after Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence

from labrunner.told import Sentence, Told
from labrunner.verdict.judging import MCNEMAR, VERDICT, Judgement, Pair, RunPair
from labrunner.verdict.statistics import LEAST, LEVEL

AGAIN = "'seed=range(5)'"
MOST_DIGITS = 4


def title(judgement: Judgement) -> Sentence:
    """What is judged, and how."""
    if judgement.pairs:
        rows = [row for row, pair in enumerate(judgement.pairs, start=1) if pair.n >= LEAST]
        return [f"{judgement.metric}, differences paired by seed", *_family(rows, VERDICT)]
    return [
        "one seed each: two trained networks on the same test samples, McNemar's exact test",
        *_family(range(1, 1 + len(judgement.run_pairs)), MCNEMAR),
    ]


def _family(rows: Sequence[int], file: str) -> Sentence:
    """Over how many pairs is corrected, which are these rows of the file."""
    told = Told(str(len(rows)), f"{file}#{','.join(map(str, rows))}/n count")
    return [", Holm's correction over ", told, " pairs"] if len(rows) > 1 else []


def _too_few(pairs: Sequence[Pair]) -> bool:
    """Whether all of them lack the seeds for an interval."""
    return all(pair.n < LEAST for pair in pairs)


def scope(judgement: Judgement) -> str:
    """What the verdict covers, and what not."""
    if judgement.run_pairs:
        return f"it is about these trained networks; another seed may turn it round: repeat with {AGAIN}"
    if _too_few(judgement.pairs):
        return f"two seeds give no useful interval and decide nothing; three are the least: repeat with {AGAIN}"
    if judgement.data_vary:
        return "intervals are of training again with another seed, and on the samples or splits that come with it"
    return "intervals are of training again with another seed on the same splits, not of other data"


def sentences(judgement: Judgement) -> list[Sentence]:
    """One for each pair, in the order of its file."""
    if judgement.pairs:
        return [of_pair(pair, row) for row, pair in enumerate(judgement.pairs, start=1)]
    return [of_runs(pair, row) for row, pair in enumerate(judgement.run_pairs, start=1)]


def headline(judgement: Judgement) -> str:
    """How the setting, or run, that is best by validation stands against the others; nothing where none was judged."""
    made: Sequence[Pair | RunPair] = judgement.pairs or judgement.run_pairs
    its = [pair for pair in made if judgement.best == (pair.a if isinstance(pair, Pair) else pair.run_a)]
    if not its:
        return ""
    ahead = [is_ahead(pair) for pair in its if pair.decided]
    others = "the other" if len(its) == 1 else "any of the others"
    if judgement.run_pairs:
        return _of_networks(ahead, len(its), others)
    if _too_few([pair for pair in its if isinstance(pair, Pair)]):
        return f"Two seeds do not tell whether the best by validation beats {others}."
    if not all(ahead):
        return "The best by validation is beaten by another."
    if len(ahead) == len(its):
        return f"The best by validation beats {'the other' if len(its) == 1 else 'all others it is held against'}."
    if ahead:
        return "The best by validation beats some of the others, and cannot be told apart from the rest."
    return f"The best by validation cannot be told apart from {others}."


def _of_networks(ahead: Sequence[bool], count: int, others: str) -> str:
    """The same of one run each, whose settings another seed may order otherwise."""
    if not all(ahead):
        return "Another run has more test samples right than the best by validation, more than chance explains."
    if len(ahead) == count:
        return f"The best by validation has more test samples right than {others}, more than chance explains."
    if ahead:
        return "The best by validation has more test samples right than some others; chance may explain the rest."
    return f"Whether the best by validation or {others} has more test samples right may be chance."


def is_ahead(pair: Pair | RunPair) -> bool:
    """Whether the first of a pair has the better number."""
    falls = isinstance(pair, Pair) and pair.metric.endswith("_loss")
    return pair.difference < 0 if falls else pair.difference > 0


def of_pair(pair: Pair, row: int) -> Sentence:
    """A row of verdict.csv."""
    source = f"{VERDICT}#{row}/"
    a, b = Told(pair.a, source + "a"), Told(pair.b, source + "b")
    seeds: Sentence = [Told(str(pair.n), source + "n"), " seeds"]
    if pair.sd == 0 and pair.difference == 0:
        return [a, " and ", b, " came out the same with each of ", *seeds]
    ahead, behind = (a, b) if is_ahead(pair) else (b, a)
    gap, interval = _gap(pair, source)
    if pair.n < LEAST:
        few: Sentence = [" over ", *seeds, ", too few for an interval"]
        if pair.difference == 0:
            return [a, " and ", b, " have the same mean", *few]
        return [ahead, " is ahead of ", behind, " by ", *gap, *few]
    if pair.p is None:
        said: Sentence = [ahead, " is ahead of ", behind, " by ", *gap, " with each of ", *seeds, " alike: without a"]
        return [*said, " spread nothing can be decided; more seeds would show one"]
    if pair.decided:
        return [ahead, " beats ", behind, " by ", *gap, " (", *interval, ")"]
    if pair.p <= LEVEL:
        said = [ahead, " is ahead of ", behind, " by ", *gap, " (", *interval, "), enough for this pair alone"]
        said = [*said, ", and not decided after Holm's correction for all pairs (p=", _p(pair.p_holm, source), ")"]
        return [*said, *_needed(pair, source)]
    said = [ahead, " and ", behind, " cannot be told apart with ", *seeds, " (difference ", *gap, ", ", *interval, ")"]
    return [*said, *_needed(pair, source)]


def _needed(pair: Pair, source: str) -> Sentence:
    if pair.seeds_needed is None:
        return []
    if math.isinf(pair.seeds_needed):
        return ["; more than ten thousand would be needed for a difference as small"]
    return ["; about ", Told(str(int(pair.seeds_needed)), source + "seeds_needed"), " would be needed"]


def _gap(pair: Pair, source: str) -> tuple[Sentence, Sentence]:
    """The difference and its interval, as the lead of whoever is ahead."""
    turned = pair.difference < 0
    low, high = (pair.high, pair.low) if turned else (pair.low, pair.high)
    columns = ("difference", "high", "low") if turned else ("difference", "low", "high")
    values = [None if each is None else -each if turned else each for each in (pair.difference, low, high)]
    in_points = not pair.metric.endswith("_loss")
    texts = points(values) if in_points else digits(values)
    unit = " in points" if in_points else ""
    shown = [
        Told(text, f"{'minus ' if turned else ''}{source}{column}{unit}")
        for text, column in zip(texts, columns, strict=True)
    ]
    name = " points" if in_points else f" in {pair.metric}"
    is_cut = in_points and any(value is not None and abs(value) == 1 for value in (low, high))
    cut = [", cut off where no difference can be larger"] if is_cut else []
    return [shown[0], name], ["95% interval ", shown[1], " to ", shown[2], *cut]


def points(values: Sequence[float | None]) -> list[str]:
    """Shares in hundredths, to one decimal; to as many more as none of them, not being 0, needs to look like 0."""
    hundredths = [None if value is None else 100 * value for value in values]
    places = next(
        (
            places
            for places in range(1, MOST_DIGITS)
            if all(value is None or value == 0 or abs(value) >= 0.5 * 10**-places for value in hundredths)
        ),
        MOST_DIGITS,
    )
    return ["–" if value is None else _signed(f"{value:.{places}f}") for value in hundredths]


def digits(values: Sequence[float | None]) -> list[str]:
    """Numbers of any size, to four digits."""
    return ["–" if value is None else f"{value:#.4g}".rstrip(".") for value in values]


def _signed(text: str) -> str:
    return text.removeprefix("-") if float(text) == 0 else text


def _p(value: float | None, source: str) -> Told:
    return Told("–" if value is None else p_text(value), source + "p_holm")


def p_text(value: float) -> str:
    """A p value to two decimals, below 0.1 to two digits."""
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.2g}"


def of_runs(pair: RunPair, row: int) -> Sentence:
    """A row of mcnemar.csv."""
    source = f"{MCNEMAR}#{row}/"
    a, b = (_run(pair, side, source) for side in "ab")
    if pair.only_a == pair.only_b == 0:
        return [*a, " and ", *b, " have the same of ", Told(str(pair.n), source + "n"), " test samples right"]
    said: Sentence = [*a, " alone has ", Told(str(pair.only_a), source + "only_a"), " of "]
    said += [Told(str(pair.n), source + "n"), " test samples right, "]
    said += [*b, " alone ", Told(str(pair.only_b), source + "only_b")]
    p = Told(p_text(pair.p_holm), source + "p_holm")
    if pair.decided:
        which = a if pair.difference > 0 else b
        return [*said, ": ", *which[:2], " is right more often than chance explains (p=", p, ")"]
    if pair.p <= LEVEL:
        said += [": enough for this pair alone (p=", Told(p_text(pair.p), source + "p"), "), and not decided after"]
        return [*said, " Holm's correction for all pairs (p=", p, ")"]
    return [*said, ": no more than chance explains (p=", p, ")"]


def _run(pair: RunPair, side: str, source: str) -> Sentence:
    number, name = (pair.run_a, pair.a) if side == "a" else (pair.run_b, pair.b)
    values: Sentence = [" (", Told(name, source + side), ")"] if name else []
    return ["run ", Told(str(number), f"{source}run_{side}"), *values]
