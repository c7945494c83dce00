"""What the model of a run says of images and of the rows of a CSV, prepared as the run's own samples were."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.errors import RequestError
from labrunner.files import expanded, opened, written
from labrunner.loading import Loaded
from labrunner.own import name_of

if TYPE_CHECKING:
    import numpy as np

AT_ONCE = 2**28  # bytes of images that are in memory together


@dataclass
class Predicted:
    """What the model says of some inputs."""

    names: list[str] = field(default_factory=list)  # of files; of a table's rows their numbers, from 1
    probabilities: list[np.ndarray] = field(default_factory=list)  # (N, K) each
    images: list[np.ndarray] = field(default_factory=list)  # (N, C, H, W) as the model sees them, for the figure
    bad: dict[str, str] = field(default_factory=dict)  # file -> why it cannot be read


def files_of(words: Sequence[str]) -> list[Path]:
    """The images that files, folders and patterns name, each once; those in a folder, however deep, by name.

    Raises
    ------
    RequestError
        for what is not there, and for a folder or pattern without images.
    """
    from labrunner.data.folders import EXTENSIONS

    found: dict[Path, None] = {}
    for word in words:
        path = expanded(word)
        if path.is_dir():
            inside = [
                each
                for each in sorted(path.rglob("*"), key=lambda each: os.fsencode(each))
                if each.suffix.lower() in EXTENSIONS
                and not any(part.startswith(".") for part in each.relative_to(path).parts)
                and not each.is_dir()
            ]
            if not inside:
                raise RequestError(f"{word} holds no images (.jpg, .png, …)")
        elif os.path.lexists(path):
            inside = [path]
        else:
            inside = [Path(each) for each in sorted(glob.glob(str(path), recursive=True)) if not os.path.isdir(each)]
            if not inside:
                what = "nothing matches" if glob.has_magic(word) else "there is no file or folder"
                raise RequestError(f"{what} {word}; predict takes images and folders of them, behind the run")
        found.update(dict.fromkeys(inside))
    return list(found)


def of_images(loaded: Loaded, files: Sequence[Path], keep: int) -> Predicted:
    """What the model says of image files, and the first `keep` images as it sees them."""
    import numpy as np

    from labrunner.data.samples import Samples

    preprocessing, predicted = loaded.preprocessing, Predicted()
    description = preprocessing.description(name_of(loaded.config["dataset"]))
    for part, images, bad in decoded(loaded, files):
        predicted.bad |= bad
        if not part:
            continue
        pixels = preprocessing.pictured(images)
        samples = Samples(description, pixels, np.zeros(len(pixels), dtype=np.int64))
        predicted.names += map(written, part)
        predicted.probabilities.append(probabilities(loaded, samples))
        shown = sum(map(len, predicted.images))
        if shown < keep:
            predicted.images.append(pixels[: keep - shown])
    return predicted


def decoded(loaded: Loaded, files: Sequence[Path]) -> Iterator[tuple[list[Path], np.ndarray, dict[str, str]]]:
    """Files that could be read, their images (N, C, size, size) uint8, and why others could not, a part at a time.

    They are decoded and cut as the images of a data set are (`labrunner.data.decoded`).
    """
    import numpy as np

    from labrunner.data.pictures import BadImage, Geometry, pixels_of
    from labrunner.machine import cores

    preprocessing = loaded.preprocessing
    channels, size, _ = preprocessing.shape
    geometry = Geometry(size, channels, preprocessing.resize or size, preprocessing.interpolation)
    step = max(1, AT_ONCE // (channels * size * size))

    def read(path: Path) -> np.ndarray | str:
        try:
            with opened(path) as file:
                return pixels_of(file, geometry)
        except BadImage as error:
            return str(error)
        except OSError as error:
            return error.strerror or str(error)
        except MemoryError:
            return "too large for this machine's memory"

    with ThreadPoolExecutor(cores()) as pool:
        for first in range(0, len(files), step):
            part = files[first : first + step]
            given = list(zip(part, pool.map(read, part), strict=True))
            good = [(path, image) for path, image in given if not isinstance(image, str)]
            bad = {str(path): reason for path, reason in given if isinstance(reason, str)}
            images = np.stack([image for _, image in good]) if good else np.empty((0, channels, size, size), np.uint8)
            yield [path for path, _ in good], images, bad


def of_rows(loaded: Loaded, words: Sequence[str]) -> Predicted:
    """What the model says of the rows of a CSV."""
    import numpy as np

    from labrunner.data import tables as csv_tables
    from labrunner.data.samples import Samples

    preprocessing = loaded.preprocessing
    if len(words) > 1:
        raise RequestError(f"the run learned from a table, and predict takes one CSV of rows, not {len(words)} files")
    inputs = csv_tables.features_of(words[0], preprocessing.feature_names, preprocessing.offsets)
    description = preprocessing.description(name_of(loaded.config["dataset"]))
    samples = Samples(description, inputs, np.zeros(len(inputs), dtype=np.int64))
    rows = [str(number) for number in range(1, len(inputs) + 1)]
    return Predicted(rows, [probabilities(loaded, samples)])


def probabilities(loaded: Loaded, samples: Any) -> np.ndarray:
    """(N, K) of samples that are like the run's own."""
    import numpy as np

    from labrunner.machine import arithmetic

    learner = loaded.learner
    index = np.arange(len(samples.inputs))
    split = loaded.preprocessing.split("predicted", samples, index, learner, loaded.config["precision"])
    with arithmetic(loaded.threads):
        return learner.probabilities([learner.scores(batch.inputs) for batch in split.in_order()])
