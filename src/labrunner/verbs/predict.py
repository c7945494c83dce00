"""``labrunner predict RUN IMAGES… [csv=FILE] [figure=FILE.png]``: what a run says of images, or of a CSV's rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.errors import RequestError
from labrunner.files import atomic_write, to_csv, writing
from labrunner.loading import Loaded, changes_in, load
from labrunner.predicting import Predicted, files_of, of_images, of_rows
from labrunner.verbs import tables
from labrunner.verbs.places import new_place, refuse_there
from labrunner.verbs.printing import one_line, say, show

if TYPE_CHECKING:
    from labrunner.cli import Arguments

MOST_LINES = 40  # of the table that is printed; the CSV holds all
MOST_SHOWN = 60  # images in a figure
MOST_BAD = 10  # files that a message names
MOST_COLUMNS = 10  # of a table that a message names
USAGE = "labrunner predict outputs/runs/RUN photo.jpg folder/ 'more/*.png' [csv=FILE] [figure=FILE.png]"
ROWS = "labrunner predict outputs/runs/RUN rows.csv [csv=FILE]"


def main(arguments: Arguments) -> int:
    changes, others = changes_in(arguments.overrides, also=("csv", "figure"))
    if others:
        raise RequestError(
            f"{others[0]}: predict takes a run and files, and csv=, figure=, device= and threads=\n{USAGE}"
        )
    if not arguments.words:
        raise RequestError(f"predict takes a run, and images or, of a run on a table, a CSV\n{USAGE}\n{ROWS}")
    folder, *words = arguments.words
    if Path(folder).is_file():
        raise RequestError(f"there is no run folder {folder}; the run comes first, and then what it is asked about")
    csv_path = Path(changes.pop("csv")) if "csv" in changes else None
    figure_path = Path(changes.pop("figure")) if "figure" in changes else None
    if csv_path is not None:
        refuse_there(csv_path, "csv")
    if figure_path is not None:
        refuse_there(figure_path, "figure")
        if figure_path.suffix.lower() != ".png":
            raise RequestError(f"figure={figure_path}: figures are PNG files; try figure={figure_path.stem}.png")
    loaded = load(Path(folder), changes, trust=arguments.trust, config_dir=arguments.config_dir, say=say)
    preprocessing = loaded.preprocessing
    if preprocessing.soft:
        raise RequestError(f"the run in {folder} has no classes to predict")
    if not words:
        if preprocessing.white is not None:
            raise RequestError(f"predict takes images behind the run: {USAGE}")
        raise RequestError(
            f"predict takes a CSV behind the run: {ROWS}\n"
            f"its first line names the columns that the model learned from: {columns(preprocessing.feature_names)}"
        )
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


def columns(names: Sequence[str]) -> str:
    """The first line of a CSV with the columns of some features; those of ``town=Oslo`` and ``town=Bergen`` are one."""
    known = list(dict.fromkeys(name.partition("=")[0] for name in names))
    more = f", and {len(known) - MOST_COLUMNS} more" if len(known) > MOST_COLUMNS else ""
    return one_line(to_csv(known[:MOST_COLUMNS], []).rstrip("\r\n")) + more


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
