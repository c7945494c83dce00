"""Inputs as one has them in Python, and the DataFrame of what a run's model says of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from labrunner.api.session import Told
from labrunner.errors import RequestError, some
from labrunner.loading import Loaded
from labrunner.own import name_of
from labrunner.predicting import files_of, of_images, of_rows, probabilities

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Inputs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | np.ndarray | pd.DataFrame


def predicted(loaded: Loaded, inputs: Inputs, told: Told) -> pd.DataFrame:
    """A row for each input; see `labrunner.api.Run.predict`."""
    import pandas as pd

    preprocessing = loaded.preprocessing
    if preprocessing.soft:
        raise RequestError(f"the run in {loaded.run.path} has no classes to predict")
    paths = paths_of(inputs)
    if paths is None:
        index = inputs.index if isinstance(inputs, pd.DataFrame) else None
        values = rows_of(loaded, inputs) if isinstance(inputs, pd.DataFrame) else array_of(loaded, inputs)
        return table(loaded, said_of(loaded, values), index)
    if preprocessing.white is None:
        found = of_rows(loaded, paths)
        return table(loaded, found.probabilities, pd.RangeIndex(1, len(found.names) + 1, name="row"))
    found = of_images(loaded, files_of(paths), keep=0)
    bad = some([f"{path} ({reason})" for path, reason in found.bad.items()], between="; ")
    if not found.names:
        raise RequestError(f"no image can be read: {bad}")
    if found.bad:
        total = len(found.names) + len(found.bad)
        told.warn(f"{len(found.bad)} of {total} files cannot be read and are left out: {bad}")
    return table(loaded, found.probabilities, pd.Index(found.names, name="file"))


def paths_of(inputs: Any) -> list[str] | None:
    """The paths that inputs are; None where they are none."""
    if isinstance(inputs, (str, os.PathLike)):
        inputs = [inputs]
    if not isinstance(inputs, (list, tuple)) or not inputs:
        return None
    paths = [os.fspath(each) for each in inputs if isinstance(each, (str, os.PathLike))]
    return [os.fsdecode(path) for path in paths] if len(paths) == len(inputs) else None


def table(loaded: Loaded, parts: Iterable[np.ndarray], index: pd.Index | None) -> pd.DataFrame:
    """(N, K) probabilities under the names that ``labrunner predict`` writes."""
    import numpy as np
    import pandas as pd

    names = loaded.preprocessing.class_names
    rows = np.concatenate(list(parts))
    best = rows.argmax(axis=1)
    said = pd.DataFrame(rows, columns=[f"p_{name}" for name in names], index=index)
    said.insert(0, "predicted", [names[number] for number in best])
    said.insert(1, "probability", rows[np.arange(len(rows)), best])
    return said


def said_of(loaded: Loaded, values: np.ndarray) -> list[np.ndarray]:
    """Probabilities of inputs that are in the form and the units of the run's own samples."""
    import numpy as np

    from labrunner.data.samples import Samples

    description = loaded.preprocessing.description(name_of(loaded.config["dataset"]))
    return [probabilities(loaded, Samples(description, values, np.zeros(len(values), dtype=np.int64)))]


def rows_of(loaded: Loaded, frame: pd.DataFrame) -> np.ndarray:
    """The features (N, D) of a DataFrame's rows, read as those of a CSV with the same cells are."""
    from labrunner.data.tables import features_in

    preprocessing = loaded.preprocessing
    if preprocessing.white is not None:
        raise RequestError("the run learned from images, and a DataFrame is a table; predict takes paths or an array")
    if not len(frame):
        raise RequestError("the DataFrame has no rows")
    text = frame.to_csv(index=False, lineterminator="\n")
    return features_in(text, "the DataFrame", preprocessing.feature_names, preprocessing.offsets)


def array_of(loaded: Loaded, inputs: Any) -> np.ndarray:
    """Inputs (N, *shape) of an array, as uint8 pixels or float32 features.

    Raises
    ------
    RequestError
        for another shape, and for pixels that are no whole numbers from 0 to the data set's white.
    """
    import numpy as np

    preprocessing = loaded.preprocessing
    shape, white = preprocessing.shape, preprocessing.white
    try:
        values = np.asarray(inputs)
    except (ValueError, TypeError) as error:
        raise RequestError(f"predict takes paths, an array or a DataFrame, and not this: {error}") from None
    if not (np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)):
        if values.dtype != np.bool_:
            raise RequestError(
                f"predict takes paths, an array of numbers or a DataFrame, and not values of type {values.dtype}"
            )
        values = values.astype(np.uint8)
    if white is not None and shape[0] == 1 and values.ndim == 3 and values.shape[1:] == shape[1:]:
        values = values[:, None]
    if values.shape[1:] != shape or values.ndim == 0:
        raise RequestError(f"the array has shape {values.shape}, and {wanted(shape, white)}")
    if not len(values):
        raise RequestError(f"the array is empty, and {wanted(shape, white)}")
    if not np.isfinite(values).all():
        raise RequestError("the array holds values that are no finite numbers; leave those inputs out")
    if white is None:
        shifts = np.array([preprocessing.offsets.get(name, 0.0) for name in preprocessing.feature_names])
        moved = values.astype(np.float64) - (shifts if len(shifts) else 0.0)
        return np.ascontiguousarray(moved, dtype=np.float32)
    low, high = values.min(), values.max()
    whole = np.issubdtype(values.dtype, np.integer) or bool((values == np.rint(values)).all())
    if low < 0 or high > white or not whole:
        pixels = f"in this data set pixels are whole numbers from 0 to {white:g}"
        small = f"; np.rint({white:g} * images) makes them of shares" if low >= 0 and high <= 1 else ""
        what = f"values from {low:g} to {high:g}" + ("" if whole else ", not all of them whole")
        raise RequestError(f"the array has {what}, and {pixels}{small}")
    return np.ascontiguousarray(values, dtype=np.uint8)


def wanted(shape: tuple[int, ...], white: float | None) -> str:
    """The shape of an array that a model takes, in words."""
    sizes = ", ".join(map(str, shape))
    if white is None:
        return f"the run takes rows (N, {sizes})"
    grey = f", or (N, {shape[1]}, {shape[2]})" if shape[0] == 1 else ""
    return f"the run takes images (N, {sizes}){grey}"


def evaluating(learner: Any) -> Any:
    """A learner's network as one uses it: of torch in evaluation mode."""
    network = learner.network
    return network.eval() if hasattr(network, "eval") else network
