"""Data sets of the user's own: a function or class that ``_target_`` names makes `Arrays` from the keys of its YAML."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from labrunner.data.samples import WHITE, Description, Samples
from labrunner.errors import LabrunnerError, RequestError, some
from labrunner.own import TRACEBACK, called, misfit, name_of, named, said
from labrunner.schema import OWN_DATASET, RESERVED

Options = dict[str, Any]

NOT_GIVEN = ("_target_", "name", *OWN_DATASET, *RESERVED)  # keys of a composed `dataset` group that are no arguments


class Arrays(NamedTuple):
    """All samples of a data set of your own.

    Parameters
    ----------
    inputs : (N, D) numbers of a table, which become float32; or (N, C, H, W) uint8, images of C = 1 or 3 channels
        and H x H pixels from 0 to 255
    labels : (N,) whole numbers, 0 to K - 1
    class_names : K texts, in the order of the labels; None calls the classes by their numbers
    feature_names : D texts, of a table; None calls the features x1, x2, …
    val, test : positions of an official split's samples, whole numbers; None: labrunner draws one, by
        ``dataset.val_fraction`` and ``dataset.test_fraction``
    """

    inputs: Any
    labels: Any
    class_names: Sequence[str] | None = None
    feature_names: Sequence[str] | None = None
    val: Any = None
    test: Any = None


class Known(NamedTuple):
    """What a call gave, without its samples."""

    description: Description
    fingerprint: str


_known: dict[Any, Known] = {}  # of this process, by what was called with which arguments
_last: dict[Any, Samples] = {}  # the last call's: whoever asks for a description mostly asks for the samples next


def is_own(options: Mapping[str, Any]) -> bool:
    """Whether a composed `dataset` group is one of the user's own."""
    return "_target_" in options


def arguments(options: Options) -> dict[str, Any]:
    """The keys of a composed `dataset` group that its function is called with."""
    return {key: value for key, value in options.items() if key not in NOT_GIVEN}


def describe(options: Options) -> Description:
    """The description, for which the function is called once in a process; imports no torch by itself."""
    key = _key(options)
    if key not in _known:
        load(options)
    return _known[key].description


def load(options: Options) -> Samples:
    """The samples that a function of the user's makes of the keys of a composed `dataset` group.

    Raises
    ------
    RequestError
        when it fails, or gives what is no data set, or other samples than when it was called before.
    """
    key = _key(options)
    if key not in _last:
        samples = made(options)
        known = Known(samples.description, samples.fingerprint)
        if _known.setdefault(key, known) != known:
            raise RequestError(
                f"{options['_target_']} gave other samples when it was called again with the same keys\n"
                "what it draws must depend on its keys alone: rng = np.random.default_rng(seed)"
            )
        _last.clear()
        _last[key] = samples
    return _last[key]


def _key(options: Options) -> Any:
    return options["_target_"], repr(sorted(arguments(options).items()))


def made(options: Options) -> Samples:
    """What a call of the function gives, checked."""
    target, given = str(options["_target_"]), arguments(options)
    function = named(target, "a data set", "dataset._target_")
    try:
        with undisturbed():
            found = function(**given)
    except LabrunnerError:
        raise
    except (Exception, SystemExit) as error:
        hint = f"{misfit(function, 'dataset', given)}\nit is called with {called(given) or 'no keys'}; {TRACEBACK}"
        raise RequestError(f"{target} makes no data: {said(error)}{hint}") from error
    try:
        return checked(found, name_of(options))
    except RequestError as error:
        raise RequestError(f"{target}: {error}") from None


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, generators that all of a process share begin at one seed; afterwards they go on as if nothing had been.

    A function that draws from them gives the same samples in every process. One that makes a generator without a seed
    does not, and a resume refuses its run.
    """
    torch = sys.modules.get("torch")  # whoever draws from it has imported it
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    torch_before = None if torch is None else torch.random.get_rng_state()
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    if torch is not None:
        torch.default_generator.manual_seed(0)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        if torch is not None:
            torch.random.set_rng_state(torch_before)


# what a call may give


def checked(found: Any, name: str) -> Samples:
    """Samples of what a function gave.

    Parameters
    ----------
    found : `Arrays`, a pair (inputs, labels), or an object with attributes of these names
    name : of the data set

    Raises
    ------
    RequestError
        for whatever a network or a metric could not take, or would pass over silently.
    """
    if isinstance(found, tuple) and len(found) == 2:
        found = Arrays(*found)
    if not isinstance(found, Arrays) and hasattr(found, "inputs") and hasattr(found, "labels"):  # an object of a class
        found = Arrays(*(getattr(found, field, None) for field in Arrays._fields))
    if not isinstance(found, Arrays):
        raise RequestError(
            f"what it gives is {_kind(found)}; it takes labrunner.data.Arrays(inputs, labels, …), or the two alone"
        )
    inputs, labels = _inputs(found.inputs), _labels(found.labels)
    if len(inputs) != len(labels):
        raise RequestError(f"there are {len(inputs):,} samples and {len(labels):,} labels")
    if not len(labels):
        raise RequestError("there is no sample")
    classes = _class_names(found.class_names, labels)
    is_image = inputs.ndim == 4
    features = () if is_image else _feature_names(found.feature_names, inputs.shape[1])
    if is_image and found.feature_names is not None:
        raise RequestError("feature_names are for a table, and these are images; leave them out")
    description = Description(name, inputs.shape[1:], classes, WHITE if is_image else None, features)
    val, test = (_positions(found.val, "val"), _positions(found.test, "test"))
    return Samples(description, inputs, labels, val=val, test=test)


def _array(values: Any, what: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except Exception as error:  # rows of several lengths, a tensor on another device
        raise RequestError(f"{what} are no array: {said(error)}") from None
    if array.dtype == object:
        raise RequestError(f"{what} are no array of numbers, but of Python objects; rows must be equally long")
    return array


def _inputs(values: Any) -> np.ndarray:
    inputs = _array(values, "inputs")
    shape, kind = inputs.shape, inputs.dtype
    if inputs.ndim == 2:
        if not (np.issubdtype(kind, np.number) or kind == np.bool_) or np.issubdtype(kind, np.complexfloating):
            raise RequestError(f"inputs are of type {kind}; a table is made of numbers")
        if not shape[1]:
            raise RequestError("inputs have shape (N, 0): there is nothing to learn from")
        with np.errstate(over="ignore"):
            table = np.ascontiguousarray(inputs, dtype=np.float32)
        wrong = np.argwhere(~np.isfinite(table))
        if len(wrong):
            row, column = wrong[0].tolist()
            raise RequestError(
                f"inputs[{row}, {column}] is {inputs[row, column]}; leave such samples out, or put a number there"
            )
        return table
    if inputs.ndim == 3:
        raise RequestError(f"inputs have shape {shape}; images are (N, channels, height, width): inputs[:, None]")
    if inputs.ndim != 4:
        raise RequestError(
            f"inputs have shape {shape}; it takes (N, features) of a table, or (N, channels, height, width) of images"
        )
    if kind != np.uint8:
        raise RequestError(
            f"images are of type {kind}; they are uint8, from 0 to 255: np.rint(255 * images).astype(np.uint8) of "
            "those from 0 to 1"
        )
    if shape[1] not in (1, 3):
        last = shape[3] in (1, 3)
        way_out = "inputs.transpose(0, 3, 1, 2)" if last else "it takes 1 channel or 3; others fit in a table"
        raise RequestError(f"inputs have shape {shape}, which is {shape[1]} channels: {way_out}")
    if not math.prod(shape[1:]):
        raise RequestError(f"inputs have shape {shape}: images without a pixel")
    return inputs


def _labels(values: Any) -> np.ndarray:
    labels = _array(values, "labels")
    if labels.ndim != 1:
        raise RequestError(f"labels have shape {labels.shape}; it takes (N,), one a sample: labels.reshape(-1)")
    if len(labels) and not (np.issubdtype(labels.dtype, np.integer) or labels.dtype == np.bool_):
        raise RequestError(
            f"labels are of type {labels.dtype}; it takes whole numbers from 0: "
            "class_names, labels = np.unique(labels, return_inverse=True)"
        )
    labels = labels.astype(np.int64)
    if len(labels) and labels.min() < 0:
        raise RequestError(f"labels[{labels.argmin()}] is {labels.min()}; classes are numbered from 0")
    return labels


def _class_names(names: Any, labels: np.ndarray) -> tuple[str, ...]:
    highest, there = int(labels.max()), np.unique(labels)
    if names is None:
        missing = next((number for number, label in enumerate(there) if number != label), None)
        if missing is not None:  # a class that nothing can be learned of, and that every metric would count
            seen = some([str(label) for label in there.tolist()])
            raise RequestError(
                f"labels are {seen}, and no sample has {missing}; they count from 0 and leave out none\n"
                "class_names, labels = np.unique(labels, return_inverse=True) numbers them so; else name all classes"
            )
        names = tuple(map(str, range(highest + 1)))
    else:
        names = _texts(names, "class_names")
    if highest >= len(names):
        raise RequestError(
            f"labels[{labels.argmax()}] is {highest}, and class_names has {len(names)}: {some(names)}; the last of "
            f"them is {len(names) - 1}"
        )
    if len(there) < 2:
        only = names[highest]
        raise RequestError(f"all samples are of one class, {only}, and nothing to tell apart; it takes two or more")
    return names


def _feature_names(names: Any, count: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"x{number}" for number in range(1, count + 1))
    found = _texts(names, "feature_names")
    if len(found) != count:
        raise RequestError(f"feature_names has {len(found)} and inputs have {count} columns")
    return found


def _texts(names: Any, what: str) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, (Sequence, np.ndarray)):
        raise RequestError(f"{what} is {_kind(names)}; it takes a list of texts")
    found = tuple(str(name) for name in names)
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise RequestError(f"{what} has {twice} twice")
    if not found:
        raise RequestError(f"{what} is empty")
    return found


def _positions(values: Any, what: str) -> np.ndarray | None:
    if values is None:
        return None
    positions = _array(values, what)
    if positions.ndim != 1 or (len(positions) and not np.issubdtype(positions.dtype, np.integer)):
        way_out = f": np.flatnonzero({what})" if positions.dtype == np.bool_ else ""
        raise RequestError(
            f"{what} is of type {positions.dtype} and shape {positions.shape}; it takes positions of samples{way_out}"
        )
    return positions.astype(np.int64)


def _kind(value: Any) -> str:
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, (tuple, list)) else f"of type {kind}"
