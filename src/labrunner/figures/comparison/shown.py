"""What the figures of a sweep share: its keys and combinations as numbers and names, scales, and notes.

A combination is what the runs have in common that differ in nothing but the swept `seed`: one line, bar or cell. Its
mean and spread are those of the runs that are done; a run that diverged has no result, and is marked as such.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from labrunner import comparison
from labrunner.errors import RequestError
from labrunner.figures.look import plain, shortened
from labrunner.records import Member, Row, Run, Sweep
from labrunner.selection import finished

SEED = "seed"
NUMBERED = 3  # keys; runs of a comparison that differ in more are named by their number
DIGITS = 4  # of a value that was computed
NAME_WIDTH = 37  # characters of a run's name in a legend
NOTE_WIDTH = 100  # characters of a line above the panels
PLAIN_NAMES = {"optim.lr": "learning rate", "batch_size": "batch size", "reg.weight_decay": "weight decay"}
QUANTITIES = {
    "f1": "F1 (macro)",
    "auroc": "AUROC (macro)",
    "precision": "precision (macro)",
    "recall": "recall (macro)",
}
SPLITS = {"val": "validation", "train": "training"}


class Absent:
    """The value of a key that a run's config does not have."""


ABSENT = Absent()


@dataclass(frozen=True)
class Entry:
    """One run: its rows that came to their end, and the two that stand for it."""

    member: Member
    status: str
    rows: list[Row]
    chosen: Row | None
    asked: int | None  # epochs

    @property
    def last(self) -> Row | None:
        return self.rows[-1] if self.rows else None

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Epochs and values; NaN where blank."""
        epochs = np.array([row["epoch"] for row in self.rows], dtype=int)
        return epochs, np.array([math.nan if row[name] is None else row[name] for row in self.rows], dtype=float)

    def result(self, column: str, at: str) -> float | None:
        """The value at the ``chosen`` or the ``last`` epoch of a run that is done; None for all others."""
        row = (self.chosen if at == "chosen" else self.last) if self.status == "done" else None
        return None if row is None or row[column] is None else float(row[column])


class Result(NamedTuple):
    """A metric of a combination over its runs that are done."""

    mean: float
    sd: float | None  # sample standard deviation; None for n = 1
    values: list[float]


@dataclass(frozen=True)
class Combination:
    """The runs that differ in nothing but their seed, by number."""

    values: dict[str, Any]  # key, without seed -> value
    entries: list[Entry]

    @property
    def diverged(self) -> int:
        return sum(entry.status == "diverged" for entry in self.entries)

    @property
    def unfinished(self) -> str:
        """What became of those of its runs that are not done: ``diverged``, ``2 diverged, 1 failed``."""
        count = Counter(entry.status for entry in self.entries if entry.status != "done")
        if not count:
            return ""
        return next(iter(count)) if len(self.entries) == 1 else listed(count)

    def result(self, column: str, at: str = "chosen") -> Result | None:
        values = [value for entry in self.entries if (value := entry.result(column, at)) is not None]
        if not values:
            return None
        mean, sd = comparison.mean_and_sd(values)
        return Result(float(mean or 0.0), sd, values)


class Shown:
    """A sweep as its figures see it."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.entries = [entry(member) for member in sweep.members]
        self.folds = SEED in sweep.keys and len({token(member.values.get(SEED)) for member in sweep.members}) > 1
        values = {key: [value_of(each.member, key) for each in self.entries] for key in sweep.keys if key != SEED}
        self.keys = [key for key in values if len({token(value) for value in values[key]}) > 1]
        self.order = {key: in_order(values[key]) for key in self.keys}
        self.numeric = [key for key in self.keys if all(is_number(value) for value in self.order[key])]

    @property
    def categories(self) -> list[str]:
        return [key for key in self.keys if key not in self.numeric]

    @cached_property
    def combinations(self) -> list[Combination]:
        """In the order of the keys' values, the first key slowest; runs that nothing tells apart stay apart."""
        groups: dict[Hashable, list[Entry]] = {}
        for each in self.entries:
            own = () if self.folds else (each.member.number,)
            groups.setdefault((*(self.rank(key, value_of(each.member, key)) for key in self.keys), *own), []).append(
                each
            )
        ordered = sorted(groups.items())  # type: ignore[type-var]
        if self.sweep.is_comparison and len(self.keys) > 1:  # of no order but that in which they were named
            ordered.sort(key=lambda pair: pair[1][0].member.number)
        return [Combination({key: value_of(group[0].member, key) for key in self.keys}, group) for _, group in ordered]

    def rank(self, key: str, value: Any) -> int:
        """The place of a value among those of its key."""
        return [token(other) for other in self.order[key]].index(token(value))

    @cached_property
    def columns(self) -> list[str]:
        """Validation loss and accuracy and the monitored column, as far as there are any; else those of training."""
        wanted = dict.fromkeys(("val_loss", "val_accuracy", self.sweep.monitor))
        for columns in (wanted, ("train_loss", "train_accuracy")):
            there = [name for name in columns if any(has(each.rows, name) for each in self.entries)]
            if there:
                return there
        return []

    @property
    def deciding(self) -> str:
        """The column that ranks the runs: the monitored one, or the first that there is.

        Losses of different kinds rank nothing where there is an accuracy.
        """
        if self.loss_kinds and (is_loss(self.sweep.monitor) or self.sweep.monitor not in self.columns):
            accuracy = next((column for column in self.columns if column.endswith("_accuracy")), None)
            if accuracy is not None:
                return accuracy
        return self.sweep.monitor if self.sweep.monitor in self.columns else self.columns[0]

    @cached_property
    def loss_kinds(self) -> list[str]:
        """What the runs' losses measure, where they do not measure the same."""
        runs = [each.member.run for each in self.entries if each.member.run is not None]
        kinds = sorted({kind for run in runs if (kind := loss_kind(run))})
        return kinds if len(kinds) > 1 else []

    @property
    def cautions(self) -> list[str]:
        """What a figure that shows losses must say."""
        return [f"losses of different kinds ({', '.join(self.loss_kinds)}): not comparable"] if self.loss_kinds else []

    def names(
        self, combinations: Sequence[Combination], width: int = NAME_WIDTH, keys: Sequence[str] | None = None
    ) -> list[str]:
        """A short name for each: its values, beside their keys where there are several, or its run's number."""
        keys = self.keys if keys is None else keys
        numbered = self.sweep.is_comparison and (len(keys) > NUMBERED or not keys) and not self.folds
        whole = []
        for each, text in zip(combinations, self.valued(combinations, keys, width), strict=True):
            number = each.entries[0].member.number
            if numbered:
                text = f"#{number} {text}".strip()
            elif not keys:
                text = "all runs" if self.folds else f"run {number}"
            whole.append(text)
        distinct = list(dict.fromkeys(whole))
        short = dict(zip(distinct, shortened(distinct, width), strict=True))
        return [short[text] for text in whole]

    def valued(self, combinations: Sequence[Combination], keys: Sequence[str], width: int) -> list[str]:
        """``lr=0.01, model=cnn``, long values shortened one by one, so that their ends still tell them apart."""
        if not keys:
            return [""] * len(combinations)
        whole = [self.named(each, keys) for each in combinations]
        if max(map(len, whole)) <= width:
            return whole
        shorts = short_keys(keys)
        if len(keys) <= NUMBERED and sum(map(len, shorts)) > width // 2:
            shorts = shortened(shorts, max(6, width // (2 * len(keys))))
        heads = [""] if len(keys) == 1 else [f"{short}=" for short in shorts]
        longest = [max(map(len, typed(self.order[key]))) for key in keys]
        rooms = shared_out(width - sum(map(len, heads)) - 2 * (len(keys) - 1), longest)
        texts = {
            key: dict(zip(map(token, self.order[key]), short_values(self.order[key], room), strict=True))
            for key, room in zip(keys, rooms, strict=True)
        }
        return [
            ", ".join(head + texts[key][token(each.values[key])] for head, key in zip(heads, keys, strict=True))
            for each in combinations
        ]

    def named(self, combination: Combination, keys: Sequence[str]) -> str:
        """``lr=0.01, model=cnn``; of a single key its value alone."""
        texts = [self.texts[key][token(combination.values[key])] for key in keys]
        if len(keys) == 1:
            return texts[0]
        return ", ".join(f"{short}={text}" for short, text in zip(short_keys(keys), texts, strict=True))

    @cached_property
    def texts(self) -> dict[str, dict[Hashable, str]]:
        """Of each key, the token of a value -> how it is written."""
        return {key: dict(zip(map(token, values), typed(values), strict=True)) for key, values in self.order.items()}

    def note(self, *more: str) -> str:
        """One sentence on what is drawn, and what became of the others."""
        count = Counter(each.status for each in self.entries)
        others = f" ({listed(count)})" if set(count) - {"done"} else ""
        total = len(self.entries)
        lines = textwrap.wrap("; ".join([f"{total} run{'s' if total != 1 else ''}{others}", *more]), NOTE_WIDTH)
        return "\n".join(lines)

    @property
    def seeds(self) -> str:
        """``3 seeds``, or ``2 to 3 seeds`` where combinations have unequally many."""
        sizes = [len(each.entries) for each in self.combinations]
        return f"{max(sizes)} seeds" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)} seeds"


def whole_runs(sweep: Sweep) -> list[tuple[Member, Run]]:
    """The runs whose config and rows can be read."""
    return [(member, run) for member, run in sweep.runs if _can_be_read(run)]


def _can_be_read(run: Run) -> bool:
    try:
        return isinstance(run.config.get("model"), dict) and run.row_list is not None
    except RequestError:
        return False


READ: WeakKeyDictionary[Run, tuple[str, list[Row], Row | None]] = WeakKeyDictionary()


def entry(member: Member) -> Entry:
    """What the figures need of a run, read from its files once for all of them, as a `Run` does."""
    run = member.run
    if run is None:
        return Entry(member, comparison.status_of(member), [], None, member.epochs)
    if run not in READ:
        rows = [dict(row) for row in finished(comparison.row_list(run))]
        READ[run] = comparison.status_of(member), rows, comparison.chosen_row(run)
    return Entry(member, *READ[run], member.epochs)


KINDS: WeakKeyDictionary[Run, str] = WeakKeyDictionary()


def loss_kind(run: Run) -> str:
    """What the losses of a run measure, read once; empty where its config cannot be read."""
    if run not in KINDS:
        config = comparison.config_of(run)
        KINDS[run] = comparison.loss_of(config) if config else ""
    return KINDS[run]


def has(rows: Iterable[Row], column: str) -> bool:
    return any(row[column] is not None and math.isfinite(row[column]) for row in rows)


def value_of(member: Member, key: str) -> Any:
    return member.values.get(key, ABSENT)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def token(value: Any) -> Hashable:
    """What is equal for equal values, lists too."""
    return float(value) if is_number(value) else as_typed(value)


def in_order(values: Sequence[Any]) -> list[Any]:
    """The distinct values: numbers ascending, then the others as they first appear, then what is absent."""
    distinct = list({token(value): value for value in reversed(values)}.values())[::-1]
    numbers = sorted(value for value in distinct if is_number(value))
    others = [value for value in distinct if not is_number(value) and value is not ABSENT]
    return [*numbers, *others, *(value for value in distinct if value is ABSENT)]


def as_typed(value: Any) -> str:
    """A value as one would give it on the command line, on one line; floats without the dust of their last digits.

    Of a list of equal whole numbers, such as the widths of layers, how many there are: ``4 x 64``.
    """
    if value is ABSENT:
        return "(not set)"
    if isinstance(value, list) and len(value) > 1 and type(value[0]) is int and value == value[:1] * len(value):
        return f"{len(value)} x {value[0]}"
    return f"{value:.10g}" if isinstance(value, float) else plain(comparison.as_typed(value))


def typed(values: Sequence[Any]) -> list[str]:
    """The values of a key, computed ones in four digits where these tell all apart."""
    whole = [as_typed(value) for value in values]
    short = [
        f"{value:.{DIGITS}g}" if isinstance(value, float) and abs(value) < 10**DIGITS else text
        for value, text in zip(values, whole, strict=True)
    ]
    return short if len(set(short)) == len(set(whole)) else whole


def tick_names(values: Sequence[Any]) -> list[str]:
    """The values of a key on a scale, in three digits where these tell them apart."""
    whole = [as_typed(value) for value in values]
    short = [f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else as_typed(value) for value in values]
    return short if len(set(short)) == len(set(whole)) else whole


def named(values: dict[str, Any], keys: Sequence[str]) -> str:
    if len(keys) == 1:
        return as_typed(values[keys[0]])
    return ", ".join(f"{short}={as_typed(values[key])}" for key, short in zip(keys, short_keys(keys), strict=True))


def short_keys(keys: Sequence[str]) -> list[str]:
    """The last part of each dotted key, or all of it where that would name two."""
    ends = [key.rpartition(".")[2] for key in keys]
    return [end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)]


def shared_out(room: int, wanted: Sequence[int]) -> list[int]:
    """Characters for each: what it wants where there is enough, otherwise what the modest leave; at least eight."""
    given = [0] * len(wanted)
    for left, index in zip(range(len(wanted), 0, -1), sorted(range(len(wanted)), key=wanted.__getitem__), strict=True):
        given[index] = max(8, min(wanted[index], room // left))
        room -= given[index]
    return given


def short_values(values: Sequence[Any], width: int) -> list[str]:
    """The values in at most `width` characters each; of a path that is too long, its end."""
    whole = typed(values)
    ends = [path_end(text, width) for text in whole]
    if len(set(ends)) == len(set(whole)):
        whole = ends
    return shortened(whole, width)


def path_end(text: str, width: int) -> str:
    """The name of the file, or its end, of a path that is too long; other texts as they are."""
    if len(text) <= width or "/" not in text:
        return text
    name = "…/" + text.rpartition("/")[2]
    return name if len(name) <= width else "…" + text[1 - width :]


def key_label(key: str, width: int = 34) -> str:
    """``learning rate (optim.lr)``, in at most `width` characters."""
    whole = f"{PLAIN_NAMES[key]} ({key})" if key in PLAIN_NAMES else key
    return whole if len(whole) <= width and whole != key else shortened([key], max(8, width))[0]


def metric_label(column: str) -> str:
    split, _, quantity = column.partition("_")
    return f"{SPLITS.get(split, split)} {QUANTITIES.get(quantity, quantity)}"


def is_loss(column: str) -> bool:
    return column.endswith("_loss")


def shown_value(column: str, value: float) -> str:
    if column.endswith("_accuracy"):
        return f"{value:.1%}" if value < 0.9995 or value == 1 else f"{value:.2%}"
    return f"{value:#.4g}".removesuffix(".") if is_loss(column) else f"{value:.3f}"


def listed(count: Counter[str]) -> str:
    return ", ".join(f"{number} {status}" for status, number in sorted(count.items()))


def better(column: str, values: Sequence[float]) -> int:
    """The index of the best value."""
    return int(np.argmin(values) if is_loss(column) else np.argmax(values))


def is_log(key: str, values: Iterable[float]) -> bool:
    """Whether a key's numbers are told apart by their ratio: those of a learning rate always."""
    numbers = list(values)
    return min(numbers) > 0 and (key == "optim.lr" or max(numbers) / min(numbers) >= 10)
