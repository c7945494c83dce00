"""``labrunner predict RUN IMAGES… [csv=FILE] [figure=FILE.png]``: what a run says of images, or of a CSV's rows."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.errors import RequestError
from labrunner.files import atomic_write, expanded, opened, to_csv, writing, written
from labrunner.verbs import tables
from labrunner.verbs.loaded import Loaded, changes_in, load
from labrunner.verbs.places import new_place, refuse_there
from labrunner.verbs.printing import one_line, say, show

if TYPE_CHECKING:
    import numpy as np

    from labrunner.cli import Arguments

MOST_LINES = 40  # of the table that is printed; the CSV holds all
MOST_SHOWN = 60  # images in a figure
MOST_BAD = 10  # files that a message names
AT_ONCE = 2**28  # bytes of images that are in memory together
USAGE = "labrunner predict outputs/runs/RUN photo.jpg folder/ 'more/*.png' [csv=FILE] [figure=FILE.png]"


@dataclass
class Predicted:
    """What the model says of some inputs."""

    names: list[str] = field(default_factory=list)  # of files; of a table's rows their numbers, from 1
    probabilities: list[np.ndarray] = field(default_factory=list)  # (N, K) each
    images: list[np.ndarray] = field(default_factory=list)  # (N, C, H, W) as the model sees them, for the figure
    bad: dict[str, str] = field(default_factory=dict)  # file -> why it cannot be read


def main(arguments: Arguments) -> int:
    changes, others = changes_in(arguments.overrides, also=("csv", "figure"))
    if others:
        raise RequestError(
            f"{others[0]}: predict takes a run and files, and csv=, figure=, device= and threads=\n{USAGE}"
        )
    if not arguments.words:
        raise RequestError(f"predict takes a run, and images or a CSV: {USAGE}")
    folder, *words = arguments.words
    csv_path = Path(changes.pop("csv")) if "csv" in changes else None
    figure_path = Path(changes.pop("figure")) if "figure" in changes else None
    if csv_path is not None:
        refuse_there(csv_path, "csv")
    if figure_path is not None:
        refuse_there(figure_path, "figure")
        if figure_path.suffix.lower() != ".png":
            raise RequestError(f"figure={figure_path}: figures are PNG files; try figure={figure_path.stem}.png")
    loaded = load(Path(folder), changes, arguments)
    preprocessing = loaded.preprocessing
    if preprocessing.soft:
        raise RequestError(f"the run in {folder} has no classes to predict")
    if not words:
        what = "images" if preprocessing.white is not None else "a CSV with the columns that it learned from"
        raise RequestError(f"predict takes {what} behind the run: {USAGE}")
    if preprocessing.white is None:
        if figure_path is not None:
            raise RequestError(f"figure={figure_path} shows images, and the run in {folder} learned from a table")
        predicted, unit = of_rows(loaded, words), "row"
    else:
        files = files_of(words)
        predicted, unit = of_images(loaded, files, keep=0 if figure_path is None else MOST_SHOWN), "file"
    if not predicted.names:
        raise RequestError(f"no image can be read:\n{bad_text(predicted.bad)}")
    csv_path = csv_path or new_place("predictions").with_suffix(".csv")
    write_csv(csv_path, predicted, preprocessing.class_names, unit)
    if figure_path is not None:
        draw(figure_path, loaded, predicted)
    return tell(loaded, predicted, unit, csv_path, figure_path)


# the inputs


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
    description = preprocessing.description(loaded.config["dataset"]["name"])
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
    description = preprocessing.description(loaded.config["dataset"]["name"])
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


# what is left behind


def write_csv(path: Path, predicted: Predicted, class_names: Sequence[str], unit: str) -> None:
    """A row for each input: its name, the predicted class, its probability, and those of all classes."""
    import numpy as np

    rows = np.concatenate(predicted.probabilities)
    header = [unit, "predicted", "probability", *(f"p_{name}" for name in class_names)]
    lines = (
        [name, class_names[best], values[best], *values]
        for name, values, best in zip(predicted.names, rows.tolist(), rows.argmax(axis=1).tolist(), strict=True)
    )
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, to_csv(header, lines))


def draw(path: Path, loaded: Loaded, predicted: Predicted) -> None:
    """The first images with what was predicted of them."""
    import numpy as np

    from labrunner.figures import png
    from labrunner.figures.look import look
    from labrunner.figures.predicted import predicted_images

    images = np.concatenate(predicted.images)
    rows = np.concatenate(predicted.probabilities)[: len(images)]
    names = [Path(name).name for name in predicted.names[: len(images)]]
    preprocessing = loaded.preprocessing
    with look():
        content = png(
            predicted_images(
                images, preprocessing.white or 255.0, names, rows, preprocessing.class_names, len(predicted.names)
            )
        )
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, content)


def tell(loaded: Loaded, predicted: Predicted, unit: str, csv_path: Path, figure_path: Path | None) -> int:
    """Print the table, and what could not be read; returns the exit code, which is 1 then."""
    import numpy as np

    class_names = loaded.preprocessing.class_names
    rows = np.concatenate(predicted.probabilities)
    order = np.argsort(-rows, axis=1, kind="stable")
    shown = min(len(rows), MOST_LINES)
    header = [unit, "predicted", "probability", "second", "probability"]
    cells = []
    for name, values, (best, second, *_) in zip(predicted.names[:shown], rows[:shown], order[:shown], strict=False):
        cells.append([name, class_names[best], share(values[best]), class_names[second], share(values[second])])
    show("\n".join(tables.aligned(header, cells, left=("predicted", "second", "file"))))
    if len(rows) > shown:
        show(f"… and {len(rows) - shown:,} more")
    if ranks_only(loaded.config):
        show("note: this model's probabilities rank classes; they are not calibrated (docs/run-folder.md)")
    show(f"by epoch {loaded.epoch} of {one_line(loaded.run.path)}")
    show(f"  {one_line(csv_path)}")
    if figure_path is not None:
        show(f"  {one_line(figure_path)}")
    if not predicted.bad:
        return 0
    count = len(predicted.bad)
    files = "1 file" if count == 1 else f"{count} files"
    say(f"labrunner: warning: {files} of {count + len(predicted.names)} cannot be read and left out:")
    say(bad_text(predicted.bad))
    return 1


def bad_text(bad: dict[str, str]) -> str:
    lines = [f"  {one_line(path)}: {reason}" for path, reason in list(bad.items())[:MOST_BAD]]
    return "\n".join([*lines, *([f"  … and {len(bad) - MOST_BAD} more"] if len(bad) > MOST_BAD else [])])


def share(value: float) -> str:
    """A probability with four decimals; no rounding makes it certain."""
    return (
        f"{value:.4f}" if 0.00005 <= value < 0.99995 or value in (0.0, 1.0) else "<0.0001" if value < 0.5 else ">0.9999"
    )


def ranks_only(config: dict[str, Any]) -> bool:
    """Whether the softmax of the scores is no probability, as docs/run-folder.md says."""
    model = config["model"]
    return model.get("name") in ("perceptron", "adaline") or model.get("loss") == "mse"
