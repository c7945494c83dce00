"""A table of the user's own: a CSV file whose columns are features and a label.

Text is taken without the spaces around it and in one Unicode form (NFC). Numbers stay as they are, but for columns that
lie so far from zero that float32 would blur them (see `_float32`); text and true/false become a column for each value.
What a network would pass over silently (missing values, infinities, text among numbers, a label that is a number) is
refused with the rows and columns.
"""

from __future__ import annotations

import csv
import io
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labrunner.data.samples import Description, Samples
from labrunner.errors import RequestError
from labrunner.files import expanded
from labrunner.helping import nearest

NAMES = ("csv",)
MISSING = frozenset(
    ("", "?", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-NaN", "-nan", "None", "NULL", "null")
)
MOST_FEATURES, MOST_CLASSES = 10_000, 1_000
FEW = 20  # values of text that are never too many, however short the table
FAR = 1e4  # standard deviations from zero: farther out, float32 blurs a column by about a thousandth of one
KEPT = 0.9  # of a column's different values have to be different in float32; some of many random ones agree by chance
EXACT = 2.0**53  # up to here float64 holds every whole number
SHOWN = 5  # places that an error names
SAYS = "says '{}'"  # of a row in an error
KEY = "dataset.path="  # what stands in front of a file's name in an error
CUT, PATH_CUT = 40, 160  # characters of a name or value, and of a path, in an error

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]?inf(?:inity)?", re.IGNORECASE)
_DECORATED = str.maketrans({"\N{MINUS SIGN}": "-", **dict.fromkeys(",%' \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}")})


def describe(options: dict[str, Any]) -> Description:
    """The description of a `csv` group, for which the file has to be read."""
    return load(options).description


def load(options: dict[str, Any]) -> Samples:
    """The samples of a `csv` group; a file that has not changed is read once."""
    return _asked_for(options).samples


def offsets(options: dict[str, Any]) -> dict[str, float]:
    """What was subtracted from columns that float32 would blur, by their names: new rows are moved alike."""
    return dict(_asked_for(options).offsets)


def features_of(path: str, names: Sequence[str], offsets: Mapping[str, float]) -> np.ndarray:
    """The features (N, D) float32 that a model learned from, of the rows of another CSV; it need not hold a label.

    Parameters
    ----------
    path : the CSV file, whose columns may stand in any order and beside others
    names : as `Description.feature_names` has them: a number's column, or ``town=Oslo`` of a text
    offsets : as `offsets` gave them when the model learned

    Raises
    ------
    RequestError
        for a column that is missing, and for values that are missing, no numbers, or texts that the model has not seen.
    """
    return features_in(_text(str(file(path, "")), path, ""), path, names, offsets)


def features_in(text: str, title: str, names: Sequence[str], offsets: Mapping[str, float]) -> np.ndarray:
    """The same of the text of a CSV, which messages call `title`."""
    return _by_names(_table(unicodedata.normalize("NFC", text), title, "", fewest=1), names, offsets)


def labelled(options: dict[str, Any], description: Description, offsets: Mapping[str, float]) -> Samples:
    """The rows of a `csv` group with the features and classes of another description, that of a model.

    Of ``options["classes"]`` these alone, where some are chosen; else every row has to be of a class of the model's.

    Raises
    ------
    RequestError
        as `features_of`, and for labels that are none of the classes.
    """
    path, label = options["path"], options.get("label")
    table = _table(_text(str(file(path)), path), path)
    label = table.names[-1] if label is None else _asked(label)
    _known("label", label, table)
    _refuse_missing(table, [label], fixed=True)
    chosen = options.get("classes")
    if chosen is not None:
        description.with_classes(chosen)  # which refuses those that are none
    labels = _known_classes(table, label, description.class_names, None if chosen is None else list(map(str, chosen)))
    kept = np.flatnonzero(labels >= 0)
    inputs = _by_names(table, description.feature_names, offsets)
    return Samples(description, inputs[kept], labels[kept], origin=None if len(kept) == len(labels) else kept)


def _asked_for(options: dict[str, Any]) -> Read:
    label, features = options.get("label"), options.get("features")
    return _read(
        stamp(options["path"]),
        options["path"],
        None if label is None else _asked(label),
        None if features is None else tuple(_asked(name) for name in features),
    )


def _asked(name: str | int) -> str:
    """A column's name as the names of a file are read."""
    return unicodedata.normalize("NFC", str(name).strip())


def file(path: str, key: str = KEY) -> Path:
    """The regular file at a path, with `~` expanded; `key` stands in front of it in messages.

    Raises
    ------
    RequestError
        when there is none, in one line.
    """
    title = f"{key}{_shown_path(path)}"
    try:
        found = expanded(path)
        mode = found.stat().st_mode
    except PermissionError:
        raise RequestError(f"{title} cannot be reached: Permission denied; try a file that you may read") from None
    except (OSError, ValueError, RuntimeError):  # a name that is too long, one with a NUL, a home of nobody
        raise RequestError(
            f"{title}: there is no such file; paths start from the current folder, which is {_shown_path(Path.cwd())}"
        ) from None
    if stat.S_ISDIR(mode):
        raise RequestError(f"{title} is a folder; try the path of a CSV file in it")
    if not stat.S_ISREG(mode):
        raise RequestError(f"{title} is no file but a pipe or device; try the path of a CSV file")
    return found


def stamp(path: str) -> tuple[str, int, int]:
    """What changes with a file: where it lies, when it was written (nanoseconds), its size in bytes."""
    found = file(path)
    state = found.stat()
    return str(found.resolve()), state.st_mtime_ns, state.st_size


class Read(NamedTuple):
    """What a file gave."""

    samples: Samples
    offsets: dict[str, float]  # column -> what was subtracted from it


@lru_cache(maxsize=1)
def _read(stamped: tuple[str, int, int], path: str, label: str | None, features: tuple[str, ...] | None) -> Read:
    table = _table(_text(stamped[0], path), path)
    label, features = _columns(table, label, features)
    _refuse_missing(table, [*features, label])
    labels, class_names = _classes(table, label)
    inputs, feature_names, moved = _features(table, features)
    description = Description("csv", (len(feature_names),), class_names, feature_names=feature_names)
    return Read(Samples(description, inputs, labels), moved)


# reading


@dataclass(frozen=True)
class Table:
    """The fields of a file, without spaces around them, and the lines where they stand."""

    title: str  # dataset.path=…, as errors begin
    names: list[str]
    rows: list[list[str]]  # each as long as `names`
    lines: list[int]  # of each row, the last one where a field runs over several

    def column(self, name: str) -> list[str]:
        number = self.names.index(name)
        return [row[number] for row in self.rows]

    def places(self, found: Sequence[tuple[int, str]], form: str) -> str:
        """The first of some (row, words from outside) as `row 2 (line 3) in age`, where the form is `in {}`."""
        some = (f"row {row + 1} (line {self.lines[row]}) {form.format(_shown(words))}" for row, words in found[:SHOWN])
        return ", ".join(some) + (", …" if len(found) > SHOWN else "")


def _text(file: str, path: str, key: str = KEY) -> str:
    """The text of a file in one Unicode form, in which an accent is written in one way alone."""
    title = f"{key}{_shown_path(path)}"
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise RequestError(f"{title} cannot be read: {error.strerror}; try a file that can") from None
    try:
        text = content.decode("utf-8-sig")  # with or without the mark that spreadsheets put in front
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RequestError(f"{title} is not UTF-8 text (line {line}); try saving it as CSV in UTF-8") from None
    return unicodedata.normalize("NFC", text)


def _table(text: str, path: str, key: str = KEY, fewest: int = 2) -> Table:
    """The fields of a text, whose first row names the columns; tells nothing of its content before it is a table.

    A table with fewer than `fewest` columns is refused.
    """
    title = f"{key}{_shown_path(path)}"
    content = _rows(text, title)
    names, _ = next(content, ([], 0))
    if not names:
        raise RequestError(f"{title} is empty; it takes a first line with the names of the columns")
    if len(names) < fewest:
        what = {";": "semicolons", "\t": "tabs"}
        other = next((words for mark, words in what.items() if mark in names[0]), None)
        way_out = f"it has {other} between them; try commas" if other else "try a table with a column for the label too"
        raise RequestError(f"{title} has one column: {way_out}")
    rows: list[list[str]] = []
    lines: list[int] = []
    for row, line in content:
        if len(row) != len(names):
            raise RequestError(
                f"{title} is no table: row {len(rows) + 1} (line {line}) has {_count(len(row), 'field')} and the "
                f"first line {len(names)} names; try a field and a name for each column"
            )
        rows.append(row)
        lines.append(line)
    if not rows:
        raise RequestError(f"{title} has the names of {len(names)} columns and no rows; try adding some")
    twice = next((name for name, count in Counter(names).items() if count > 1 and name), None)
    if twice is not None:
        raise RequestError(f"{title} has several columns {_shown(twice)}; try names that differ")
    # a whole number may well be a column's name
    number = next((name for name in names if "." in name and _NUMBER.fullmatch(name)), None)
    if number is not None:
        raise RequestError(
            f"{title} has the number {_shown(number)} in its first line, where the names of the columns belong; "
            "try adding a line with names"
        )
    return Table(title, names, rows, lines)


def _rows(text: str, title: str) -> Iterator[tuple[list[str], int]]:
    """The fields of each row, without spaces around them, and its line.

    Lines of nothing, of spaces, or of an empty pair of quotes are no rows.
    """
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if fields not in ([], [""]):
                yield fields, reader.line_num
    except csv.Error as error:
        # a quote that is not closed is noticed at the end of the file, or where a field has become too long
        raise RequestError(
            f"{title} is no CSV: {error} (line {reader.line_num}); try a quote at both ends of a field, or at none"
        ) from None


# names and values from outside


def _shown(words: str, most: int = CUT) -> str:
    """A name or value as part of one line: what does not print is escaped, and what is long is cut."""
    line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in words[: most + 1])
    return line if len(line) <= most else line[: most - 1] + "…"


def _shown_path(path: str | Path) -> str:
    """A path as part of one line; of a long one the end, where the file's name is."""
    line = _shown(str(path)[-PATH_CUT - 1 :], 10 * PATH_CUT)
    return line if len(line) <= PATH_CUT else "…" + line[1 - PATH_CUT :]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# choosing columns


def _columns(table: Table, label: str | None, features: tuple[str, ...] | None) -> tuple[str, tuple[str, ...]]:
    """The label's column and those of the features."""
    names = table.names
    if label is None:
        label = names[-1]
    _known("label", label, table)
    if features is None:
        features = tuple(name for name in names if name != label)
    else:
        for name in features:
            _known("features", name, table)
        twice = next((name for name, count in Counter(features).items() if count > 1), None)
        if twice is not None:
            raise RequestError(f"dataset.features names {_shown(twice)} twice; try naming it once")
        if label in features:
            raise RequestError(
                f"dataset.features names {_shown(label)}, which is the label; "
                "try leaving it out, or another dataset.label"
            )
    if "" in (*features, label):
        raise RequestError(
            f"{table.title}: column {names.index('') + 1} has no name, as one that counts the rows; "
            "try a name for it, or dataset.features with the columns to use"
        )
    if len(features) > MOST_FEATURES:
        raise RequestError(
            f"{table.title} has {len(features):,} columns of features, and {MOST_FEATURES:,} are the most; "
            "try dataset.features with those to use"
        )
    return label, features


def _known(key: str, name: str, table: Table) -> None:
    if name not in table.names:
        close = nearest(name, table.names)
        hint = f"did you mean {_shown(close)}? " if close else ""
        some = ", ".join(_shown(known) for known in table.names[:12]) + (", …" if len(table.names) > 12 else "")
        raise RequestError(
            f"dataset.{key}: {table.title.partition('=')[2]} has no column {_shown(name)}\n{hint}there are {some}"
        )


def _refuse_missing(table: Table, names: Sequence[str], fixed: bool = False) -> None:
    """Refuse missing values in columns; a model that has learned can spare none of them: then they are `fixed`."""
    numbers = [table.names.index(name) for name in names]
    missing = [
        (row, table.names[number])
        for row, fields in enumerate(table.rows)
        for number in numbers
        if fields[number] in MISSING
    ]
    if missing:
        raise RequestError(
            f"{table.title} has {_count(len(missing), 'missing value')}: {table.places(missing, 'in {}')}\n"
            "try to fill them in (?, NA, None and null count as missing)"
            + (" or to delete those rows" if fixed else ", to delete those rows, or to leave columns out with ")
            + ("" if fixed else "dataset.features")
        )


# what becomes of the columns


def _numbers(words: Sequence[str]) -> np.ndarray | None:
    """A column's numbers, (N,) float64, infinite where they are too large; None if some are text."""
    return np.array([float(word) for word in words]) if all(map(_NUMBER.fullmatch, words)) else None


def _categories(words: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The different texts, sorted, and their positions (N,) int64; true and false are written True and False."""
    texts = np.array(words, dtype=object)
    if {word.lower() for word in set(words)} <= {"true", "false"}:
        texts = np.array([word.capitalize() for word in words], dtype=object)
    found, positions = np.unique(texts, return_inverse=True)
    return found.tolist(), positions.reshape(-1).astype(np.int64)


def _classes(table: Table, label: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers (N,) int64 and class names: numbers in their order, everything else in that of its text."""
    words, title = table.column(label), f"dataset.label={_shown(label)}"
    path = table.title.partition("=")[2]
    numbers = _numbers(words)
    if numbers is not None and not np.isfinite(numbers).all():
        raise RequestError(f"{title} is infinite in {path}; try another dataset.label, or correct it")
    if numbers is not None and np.abs(numbers).max() < EXACT:
        whole = bool((numbers % 1 == 0).all())  # 1.0 is the class 1
        found, labels = np.unique(numbers.astype(np.int64) if whole else numbers, return_inverse=True)
        names = [str(value) for value in found.tolist()]
    else:
        names, labels = _categories(words)
    if len(names) == 1:
        raise RequestError(
            f"{title}: all rows of {path} say {_shown(names[0])}, which leaves nothing to tell apart; "
            "try another dataset.label"
        )
    if len(names) == len(words) or (len(names) > 2 and 2 * len(names) > len(words)):
        what = "a name of the row" if numbers is None else "a number to predict (regression)"
        raise RequestError(
            f"{title}: {len(names)} different values in {len(words)} rows of {path} are no classes, rather {what}; "
            "try another dataset.label"
        )
    if len(names) > MOST_CLASSES:
        raise RequestError(
            f"{title} has {len(names):,} classes in {path}, and {MOST_CLASSES:,} are the most; "
            "try another dataset.label"
        )
    return labels.reshape(-1).astype(np.int64), tuple(names)


def _features(table: Table, chosen: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...], dict[str, float]]:
    """Features (N, D) float32 and their names, in the order of the columns, and what columns were moved by."""
    columns: list[np.ndarray] = []  # (N,) float32 numbers, or int64 positions among the values of a text
    starts: list[int] = []
    names: list[str] = []
    offsets: dict[str, float] = {}
    for name in chosen:
        words = table.column(name)
        numbers = _numbers(words)
        starts.append(len(names))
        if numbers is not None:
            column, offset = _float32(table, name, words, numbers)
            columns.append(column)
            names.append(name)
            if offset != 0.0:
                offsets[name] = offset
        else:
            _refuse_text_among_numbers(table, name, words)
            values, positions = _categories(words)
            _refuse_names_of_rows(table, name, len(values), chosen)
            columns.append(positions)
            names.extend(f"{name}={value}" for value in values)
        if len(names) > MOST_FEATURES:
            raise RequestError(
                f"{table.title}: with column {_shown(name)} there are {len(names):,} features, and {MOST_FEATURES:,} "
                "are the most, as text becomes one for each value; try dataset.features with fewer columns"
            )
    inputs = np.zeros((len(table.rows), len(names)), dtype=np.float32)
    rows = np.arange(len(table.rows))
    for start, column in zip(starts, columns, strict=True):
        if column.dtype == np.float32:
            inputs[:, start] = column
        else:
            inputs[rows, start + column] = 1.0
    return inputs, tuple(names), offsets


def _float32(table: Table, name: str, words: Sequence[str], numbers: np.ndarray) -> tuple[np.ndarray, float]:
    """Numbers (N,) float64 in float32, which has seven digits, without losing what tells them apart.

    Returns them and what was subtracted from them.

    A column that lies more than `FAR` standard deviations from zero (times in seconds since 1970), or of whose
    different values float32 would lose more than one in ten, is replaced by its differences from one of them, the
    middle one, taken in float64. If float32 still loses more than one in ten, the column is refused.
    """
    rounded = _rounded(table, name, numbers)
    values, largest = np.unique(numbers), np.abs(numbers).max()
    different = len(values) if largest < EXACT else len(set(words))

    def keeps(column: np.ndarray) -> bool:
        return bool(np.isfinite(column).all()) and len(np.unique(column)) >= KEPT * different

    if different == 1 or (largest <= FAR * numbers.std() and keeps(rounded)):
        return rounded, 0.0
    middle = float(values[len(values) // 2])
    with np.errstate(over="ignore"):
        moved = (numbers - middle).astype(np.float32)
    if not keeps(moved):
        raise RequestError(
            f"{table.title}: column {_shown(name)} has {different:,} different numbers, which float32 with its seven "
            "digits cannot tell apart\ntry to round them, or to leave the column out with dataset.features"
        )
    return moved, middle


def _rounded(table: Table, name: str, numbers: np.ndarray) -> np.ndarray:
    """Numbers (N,) float64 in float32, refused where they are beyond it."""
    with np.errstate(over="ignore"):
        rounded = numbers.astype(np.float32)
    beyond = [(int(row), name) for row in np.flatnonzero(~np.isfinite(rounded))]
    if beyond:
        raise RequestError(
            f"{table.title} has {_count(len(beyond), 'value')} beyond float32: {table.places(beyond, 'in {}')}\n"
            "try to correct them, or to leave columns out with dataset.features"
        )
    return rounded


def _refuse_text_among_numbers(table: Table, name: str, words: Sequence[str]) -> None:
    """Refuse a column of which half or more are numbers, or would be without a comma or percent sign."""
    others = [(row, word) for row, word in enumerate(words) if not _NUMBER.fullmatch(word)]
    decorated = sum(_NUMBER.fullmatch(word.translate(_DECORATED)) is not None for _, word in others)
    count = len(words) - len(others)
    if 2 * (count + decorated) < len(words):
        return
    numbers = f"{_count(count, 'number')} and " if count else ""
    places = table.places(others, "says '{}'")
    none = "is no plain number" if len(others) == 1 else "are no plain numbers"
    way_out = "write numbers as 3.5, without commas and percent signs" if decorated else "correct what is no number"
    raise RequestError(
        f"{table.title}: column {_shown(name)} has {numbers}{_count(len(others), 'value')} that {none}: "
        f"{places}\n"
        f"try to {way_out}, or to leave the column out with dataset.features"
    )


def _refuse_names_of_rows(table: Table, name: str, different: int, chosen: Sequence[str]) -> None:
    """Refuse a text that is another one in all rows, or in more than half of many."""
    count = len(table.rows)
    if different < count and (different <= FEW or 2 * different <= count):
        return
    others = [other for other in chosen if other != name]
    if not others:
        way_out = "another table, or text that repeats"
    elif len(others) <= 8 and all(re.fullmatch(r"\w+", other) and len(other) <= CUT for other in others):
        way_out = f"dataset.features=[{','.join(others)}]"
    else:
        way_out = "dataset.features without it"
    raise RequestError(
        f"{table.title}: the text of column {_shown(name)} has {different:,} different values in {count:,} rows and "
        f"says too little about new ones; try {way_out}"
    )


# rows for a model that has learned already


def _by_names(table: Table, names: Sequence[str], offsets: Mapping[str, float]) -> np.ndarray:
    """Features (N, D) float32 by their names, whatever else the table holds."""
    places = [_place(table, name) for name in names]
    _refuse_missing(table, list(dict.fromkeys(column for column, _ in places)), fixed=True)
    inputs = np.zeros((len(table.rows), len(names)), dtype=np.float32)
    values: dict[str, dict[str, int]] = {}  # of each text column, value -> position among the features
    for position, (column, value) in enumerate(places):
        if value is not None:
            values.setdefault(column, {})[value] = position
            continue
        words = table.column(column)
        others = [(row, word) for row, word in enumerate(words) if not _NUMBER.fullmatch(word)]
        if others:
            raise RequestError(
                f"{table.title}: column {_shown(column)} has {_count(len(others), 'value')} that "
                f"{'is no plain number' if len(others) == 1 else 'are no plain numbers'}: "
                f"{table.places(others, SAYS)}\nthe model learned from numbers there; try to correct them"
            )
        numbers = np.array([float(word) for word in words])
        inputs[:, position] = _rounded(table, column, numbers - offsets.get(column, 0.0))
    for column, known in values.items():
        words = _as_categories(table.column(column), known)
        strangers = [(row, word) for row, word in enumerate(words) if word not in known]
        if strangers:
            raise RequestError(
                f"{table.title}: column {_shown(column)} has texts that the model has not seen: "
                f"{table.places(strangers, SAYS)}\nit knows {_listed(known)}; try to leave those rows out"
            )
        inputs[np.arange(len(words)), [known[word] for word in words]] = 1.0
    return inputs


def _place(table: Table, name: str) -> tuple[str, str | None]:
    """The column of a feature, and the text that it stands for; None where it is a number."""
    if name in table.names:
        return name, None
    for match in re.finditer("=", name):
        if name[: match.start()] in table.names:
            return name[: match.start()], name[match.end() :]
    column = name.partition("=")[0]
    raise RequestError(
        f"{table.title} has no column {_shown(column)}, which the model learned from\nthere are {_listed(table.names)}"
    )


def _known_classes(
    table: Table, label: str, class_names: Sequence[str], chosen: Collection[str] | None = None
) -> np.ndarray:
    """(N,) int64 classes of a column, by their names; of numbers by their value, as 1.0 is the class 1.

    Where some are chosen, all others are -1; else what is no class is refused.
    """
    known = {name: number for number, name in enumerate(class_names)}
    by_value = {float(name): number for name, number in known.items() if _NUMBER.fullmatch(name)}
    words = _as_categories(table.column(label), known)
    found = [known.get(word, by_value.get(float(word)) if _NUMBER.fullmatch(word) else None) for word in words]
    if chosen is not None:
        found = [number if number is not None and class_names[number] in chosen else -1 for number in found]
    strangers = [(row, word) for row, (word, number) in enumerate(zip(words, found, strict=True)) if number is None]
    if strangers:
        raise RequestError(
            f"dataset.label={_shown(label)}: {table.title.partition('=')[2]} has classes that the model does not know: "
            f"{table.places(strangers, SAYS)}\nit knows {_listed(class_names)}"
        )
    return np.array(found, dtype=np.int64)


def _as_categories(words: Sequence[str], known: Collection[str]) -> list[str]:
    """Texts as `_categories` wrote those that are known: true and false as True and False, where that is all."""
    truths = set(known) <= {"True", "False"}
    return [word.capitalize() if truths and word.lower() in ("true", "false") else word for word in words]


def _listed(names: Iterable[str], most: int = 12) -> str:
    names = list(names)
    return ", ".join(_shown(name) for name in names[:most]) + (", …" if len(names) > most else "")
