"""A table of the user's own: a CSV file whose columns are features and a label.

Numbers stay as they are; text and true/false become a column for each value. What a network would pass over silently
(missing values, infinities, a label that is a number) is refused with the rows and columns.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labrunner.data.samples import Description, Samples
from labrunner.errors import RequestError
from labrunner.helping import nearest

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("csv",)
SHOWN = 5  # places that an error names
MISSING = "fill them in (NA, None and null count as missing), to delete those rows"


def describe(options: dict[str, Any]) -> Description:
    """The description of a `csv` group, for which the file has to be read."""
    return load(options).description


def load(options: dict[str, Any]) -> Samples:
    """The samples of a `csv` group; a file that has not changed is read once."""
    label, features = options.get("label"), options.get("features")
    return _read(
        stamp(options["path"]),
        options["path"],
        None if label is None else str(label),
        None if features is None else tuple(str(name) for name in features),
    )


def stamp(path: str) -> tuple[str, int, int]:
    """What changes with a file: where it lies, when it was written (nanoseconds), its size in bytes."""
    file = Path(path).expanduser()
    if file.is_dir():
        raise RequestError(f"dataset.path={path} is a folder; try the path of a CSV file in it")
    try:
        found = file.stat()
    except OSError:
        raise RequestError(
            f"dataset.path={path}: there is no such file; paths start from the current folder, which is {Path.cwd()}"
        ) from None
    return str(file.resolve()), found.st_mtime_ns, found.st_size


@lru_cache(maxsize=1)
def _read(stamped: tuple[str, int, int], path: str, label: str | None, features: tuple[str, ...] | None) -> Samples:
    text = _text(stamped[0], path)
    names = _header(text, path)
    label, features = _columns(names, path, label, features)
    frame = _frame(text, path, names)
    used = frame[[*features, label]]
    _refuse(used.isna().to_numpy(), [*features, label], f"dataset.path={path} has", "missing value", text, MISSING)
    labels, class_names = _classes(used[label], path, label)
    values, feature_names = _numbers(used[list(features)], path, text)
    description = Description("csv", (len(feature_names),), class_names, feature_names=feature_names)
    return Samples(description, values, labels)


# reading


def _text(file: str, path: str) -> str:
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise RequestError(f"dataset.path={path} cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")  # with or without the mark that spreadsheets put in front
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RequestError(
            f"dataset.path={path} is not UTF-8 text (line {line}); try saving it as CSV in UTF-8"
        ) from None


def _rows(text: str) -> Iterator[tuple[list[str], int]]:
    """The fields of each row and its line, the last one where a field runs over several; blank lines are no rows."""
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    return ((row, reader.line_num) for row in reader if row not in ([], [""]))


def _header(text: str, path: str) -> list[str]:
    """The names of the columns, of which none is twice there."""
    try:
        names = next((row for row, _ in _rows(text)), None)
    except csv.Error as error:
        raise RequestError(f"dataset.path={path} is no CSV: {error}") from None
    if names is None:
        raise RequestError(f"dataset.path={path} is empty; it takes a first line with the names of the columns")
    if len(names) == 1:
        other = next((mark for mark in (";", "\t") if mark in names[0]), None)
        what = "tabs" if other == "\t" else "semicolons"
        way_out = f"it has {what} between them; try commas" if other else "try a table with a column for the label too"
        raise RequestError(f"dataset.path={path} has one column, {names[0]!r}: {way_out}")
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise RequestError(f"dataset.path={path} has several columns {twice[0]!r}; try names that differ")
    number = next((name for name in names if _is_fraction(name)), None)
    if number is not None:
        raise RequestError(
            f"dataset.path={path} has the number {number} in its first line, where the names of the columns belong; "
            "try adding a line with names"
        )
    return names


def _is_fraction(word: str) -> bool:
    """Whether a word is a number such as 5.1; a whole one may well be a column's name."""
    try:
        return not float(word).is_integer() or "." in word
    except (ValueError, OverflowError):
        return False


def _columns(
    names: Sequence[str], path: str, label: str | None, features: tuple[str, ...] | None
) -> tuple[str, tuple[str, ...]]:
    """The label's column and those of the features."""
    if label is None:
        label = names[-1]
    _known("label", label, names, path)
    if features is None:
        features = tuple(name for name in names if name != label)
    else:
        for name in features:
            _known("features", name, names, path)
            if features.count(name) > 1:
                raise RequestError(f"dataset.features names {name} twice; try naming it once")
        if label in features:
            raise RequestError(
                f"dataset.features names {label}, which is the label; try leaving it out, or another dataset.label"
            )
    if "" in (*features, label):
        raise RequestError(
            f"dataset.path={path}: column {names.index('') + 1} has no name, as one that counts the rows; "
            "try a name for it, or dataset.features with the columns to use"
        )
    return label, features


def _known(key: str, name: str, names: Sequence[str], path: str) -> None:
    if name not in names:
        close = nearest(name, names)
        hint = f"did you mean {close}? " if close else ""
        some = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise RequestError(f"dataset.{key}: {path} has no column {name}\n{hint}there are {some}")


def _frame(text: str, path: str, names: list[str]) -> pd.DataFrame:
    import pandas as pd  # takes a quarter of a second

    try:
        with warnings.catch_warnings():
            # of fields without a name it would only warn, or make an index; low_memory guesses types piece by piece
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(io.StringIO(text, newline=""), skipinitialspace=True, index_col=False, low_memory=False)
    except pd.errors.ParserWarning:
        raise RequestError(
            f"dataset.path={path} has {len(names)} names in its first line and more fields in its rows; "
            "try a name for each column"
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, OverflowError) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise RequestError(
            f"dataset.path={path} is no table: {reason}; try a field for each column in every row"
        ) from None
    if len(frame) == 0:
        raise RequestError(f"dataset.path={path} has the names of {len(names)} columns and no rows; try adding some")
    frame.columns = pd.Index(names)
    return frame


# columns


def _classes(column: pd.Series, path: str, label: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers (N,) int64 and class names: numbers in their order, everything else in that of its text."""
    from pandas.api import types

    is_number = types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)
    if is_number and not np.isfinite(column).all():
        raise RequestError(f"dataset.label={label} is infinite in {path}; try another dataset.label, or correct it")
    if (
        is_number
        and not types.is_integer_dtype(column.dtype)
        and (column % 1 == 0).all()
        and column.abs().max() < 2**53
    ):
        column = column.astype("int64")  # 1.0 is the class 1
    is_whole = types.is_integer_dtype(column.dtype)
    values = column.to_numpy() if is_number else column.astype(str).to_numpy(dtype=object)
    found, labels = np.unique(values, return_inverse=True)
    names = tuple(str(value) for value in found.tolist())
    if len(names) == 1:
        raise RequestError(
            f"dataset.label={label}: all rows of {path} say {names[0]}, which leaves nothing to tell apart; "
            "try another dataset.label"
        )
    # fractions that hardly ever repeat are measurements, even if a few agree
    if len(names) == len(values) or (is_number and not is_whole and 2 * len(names) > len(values)):
        what = "a number to predict (regression)" if is_number else "a name of the row"
        raise RequestError(
            f"dataset.label={label}: {len(names)} different values in {len(values)} rows of {path} are no classes, "
            f"rather {what}; try another dataset.label"
        )
    return labels.reshape(-1).astype(np.int64), names


def _numbers(frame: pd.DataFrame, path: str, text: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Features (N, D) float32 and their names, in the order of the columns."""
    from pandas.api import types

    everything = [str(name) for name in frame]
    numeric = [
        name
        for name in everything
        if types.is_numeric_dtype(frame[name].dtype) and not types.is_bool_dtype(frame[name].dtype)
    ]
    with np.errstate(over="ignore"):
        numbers = frame[numeric].astype(np.float32)
    _refuse(
        ~np.isfinite(numbers.to_numpy()),
        numeric,
        f"dataset.path={path} has",
        "value beyond float32",
        text,
        "correct them",
    )
    columns, names = [], []
    for name in everything:
        if name in numeric:
            columns.append(numbers[name].to_numpy())
            names.append(name)
            continue
        words = frame[name].astype(str).to_numpy(dtype=object)
        values = sorted(set(words))
        if len(values) == len(words):
            others = ",".join(other for other in everything if other != name) or "…"
            raise RequestError(
                f"dataset.path={path}: the text of column {name} is another one in each of the {len(words)} rows and "
                f"says nothing about new ones; try dataset.features=[{others}]"
            )
        columns.extend((words == value).astype(np.float32) for value in values)
        names.extend(f"{name}={value}" for value in values)
    return np.column_stack(columns), tuple(names)


def _refuse(wrong: np.ndarray, names: Sequence[str], where: str, what: str, text: str, way_out: str) -> None:
    """Name the first places at which `wrong` (rows, named columns) is True, in the order of the rows."""
    rows, columns = np.nonzero(wrong)
    if not len(rows):
        return
    lines = [line for _, line in _rows(text)][1:]
    places = [
        f"row {row + 1} (line {lines[row]}) in {names[column]}"
        for row, column in zip(rows[:SHOWN], columns[:SHOWN], strict=True)
    ]
    more = ", …" if len(rows) > SHOWN else ""
    plural = "" if len(rows) == 1 else "s"
    raise RequestError(
        f"{where} {len(rows)} {what}{plural}: {', '.join(places)}{more}\n"
        f"try to {way_out}, or to leave columns out with dataset.features"
    )
