"""The reader of a run folder: what figures, reports and comparisons are made from."""

from __future__ import annotations

import csv
import shlex
import zipfile
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.aliases import check_aliases, check_values
from labrunner.errors import RequestError
from labrunner.files import from_yaml, opened, read_bytes, read_csv, read_json, whole_lines
from labrunner.records.names import EVALUATION, FORMAT, METRICS, Row, odd, oddity
from labrunner.selection import Chosen, chosen, finished

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SAMPLES = ("index", "image", "label", "predicted", "confidence")
POINTS = ("point", "label", "index", "split")
PLANE = ("epoch", "x", "y", "probabilities", "class_names", "feature_names")
TEXTS = ("layer", "parameter", "pooling", "tensor", "sha256")  # columns of notes: a layer may be called 0.10
MOST_BYTES = 2**28  # of arrays in one archive, once they are unpacked: ours have a tenth of that
NO_NAMES = {column: [""] for column in ("support", "precision", "recall", "f1", "auroc")}


def read_rows(path: Path) -> list[Row]:
    """The rows of ``metrics.csv`` or ``timing.csv`` as numbers, None where blank."""
    header, rows = read_csv(path)
    return [
        {
            name: None if text == "" else int(text) if name == "epoch" else float(text)
            for name, text in zip(header, row, strict=True)
        }
        for row in rows
    ]


def read_notes(path: Path) -> list[dict[str, Any]]:
    """The rows of a file in ``probes/``: numbers where they read as such, else text; None where blank."""
    header, rows = read_csv(path) if path.is_file() else ([], [])
    return [
        {name: text if name in TEXTS else _noted(text) for name, text in zip(header, row, strict=True)} for row in rows
    ]


def _noted(text: str) -> Any:
    if text == "":
        return None
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        return text


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; executes nothing, and nothing in it is longer or deeper than what a run writes.

    Raises
    ------
    RequestError
        for what is.
    OSError, ValueError, RecursionError, yaml.YAMLError
        for what cannot be read.
    """
    text = read_bytes(path).decode()
    check_aliases(text, path)
    said = from_yaml(text)
    check_values(said, path)
    return said


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, empty where there is none that can be read."""
    import yaml

    if odd(path):
        return {}
    try:
        said = read_yaml(path)
    except (yaml.YAMLError, ValueError, RecursionError, OSError, RequestError):
        return {}
    return said if isinstance(said, dict) else {}


def read_arrays(path: Path, names: Sequence[str], alike: Sequence[str]) -> dict[str, np.ndarray] | None:
    """The arrays of an ``.npz`` file that a run wrote, by name; executes nothing that a stranger put there.

    None where there is no such file, it is damaged, one of `names` is missing, or those of `alike` differ in length.
    """
    import numpy as np

    try:
        with opened(path) as file, np.load(file, allow_pickle=False) as archive:
            if sum(each.file_size for each in archive.zip.infolist()) > MOST_BYTES:
                return None  # a few bytes may stand for more than fits in memory
            arrays = {name: archive[name] for name in archive.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            return None  # what is no .npy inside comes as the bytes it is
        lengths = {len(arrays[name]) for name in alike}
    # an .npy is no archive, a truncated one no zip, and what a header claims may be more than there is memory for
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, MemoryError):
        return None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, SyntaxError, OverflowError):
        return None
    return arrays if set(names) <= arrays.keys() and len(lengths) == 1 else None


def load_run(path: str | Path) -> Run:
    """Open a run folder for reading. Raises RequestError if it is none."""
    folder = Path(path)
    if not folder.is_dir():
        raise RequestError(f"there is no run folder {folder}\nthose under outputs are shown by: labrunner ls")
    if (said := oddity(folder)) is not None:
        raise RequestError(f"{folder} is no run folder that can be read: {said}")
    if not (folder / "config.yaml").is_file() or not (folder / "metrics.csv").is_file():
        inside = next((each for each in folder.iterdir() if each.is_dir()), None)
        where = "" if inside is None else f"\nruns in it are shown by: labrunner ls {shlex.quote(str(folder))}"
        raise RequestError(f"{folder} is no run folder: it has no config.yaml and metrics.csv{where}")
    environment = read_json(folder / "environment.json") or {}
    if environment.get("format", FORMAT) != FORMAT:
        raise RequestError(f"{folder} has format {environment['format']}; this version of labrunner reads {FORMAT}")
    return Run(folder)


class Run:
    """What a run folder holds, each file read when it is first asked for. None where the run did not get that far."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def tested(self) -> str:
        """What its predictions are of, in words."""
        return "test split"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed config, as plain dicts, lists and numbers."""
        import yaml

        try:
            config = read_yaml(self.path / "config.yaml")
        except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:  # a ValueError of dates and numbers, too
            raise RequestError(f"cannot read {self.path / 'config.yaml'}: {str(error).splitlines()[0]}") from None
        if not isinstance(config, dict):
            raise RequestError(f"{self.path / 'config.yaml'} does not hold a config")
        return config

    @property
    def status(self) -> str:
        """running, done, diverged, failed or interrupted; running without a held lock reads as interrupted."""
        status = (read_json(self.path / "status.json") or {}).get("status", "interrupted")
        return "interrupted" if status == "running" and not self._locked() else status

    @property
    def error(self) -> str | None:
        return (read_json(self.path / "status.json") or {}).get("error")

    def _locked(self) -> bool:
        from filelock import FileLock, Timeout

        path = self.path / ".lock"
        if path.is_symlink() or not path.is_file():  # reading makes no file
            return False
        try:
            with FileLock(path).acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # a folder that may not be written to is nobody's to hold
            return False

    @cached_property
    def environment(self) -> dict[str, Any]:
        return read_json(self.path / "environment.json") or {}

    @cached_property
    def overrides(self) -> dict[str, Any]:
        """What the user typed, and the chosen option of every group; empty if it cannot be read."""
        return read_mapping(self.path / "overrides.yaml")

    @property
    def choices(self) -> dict[str, str]:
        """Group -> chosen option."""
        choices = self.overrides.get("choices")
        return {str(group): str(name) for group, name in choices.items()} if isinstance(choices, dict) else {}

    def _table(self, name: str, **options: Any) -> pd.DataFrame | None:
        import pandas as pd

        path = self.path / name
        if not path.is_file():
            return None
        lines = whole_lines(path)
        try:
            header = next(csv.reader(lines), [])
        except csv.Error as error:
            raise ValueError(f"{path}: {error}") from None
        if len(set(header)) < len(header):  # of very many, pandas would take very long to tell them apart
            raise ValueError(f"{path} has several columns of one name")
        lines.seek(0)
        return pd.read_csv(lines, **options)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """metrics.csv: a row per epoch."""
        try:
            table = self._table("metrics.csv")
        except ValueError:  # pandas' own errors and those of decoding are ValueErrors
            table = None
        if table is None or tuple(table.columns) != METRICS:
            raise RequestError(f"{self.path / 'metrics.csv'} is not what a run writes")
        return table

    @cached_property
    def timing(self) -> pd.DataFrame | None:
        return self._table("timing.csv")

    @cached_property
    def test(self) -> dict[str, Any] | None:
        """test.json: the test metrics of the chosen epoch."""
        return read_json(self.path / "test.json")

    @cached_property
    def per_class(self) -> pd.DataFrame | None:
        # a class may be called "NA" or "1": its name stays text
        return self._table("per_class.csv", dtype={"class": str}, keep_default_na=False, na_values=NO_NAMES)

    @cached_property
    def confusion(self) -> pd.DataFrame | None:
        """Counts, rows true and columns predicted, class names on both."""
        path = self.path / "confusion.csv"
        if not path.is_file():
            return None
        header, rows = read_csv(path)
        if {len(rows) + 1} != {len(line) for line in (header, *rows)}:
            raise ValueError(f"{path} is no square")
        import pandas as pd

        counts = [[int(value) for value in row[1:]] for row in rows]
        return pd.DataFrame(counts, index=[row[0] for row in rows], columns=header[1:])

    @cached_property
    def predictions(self) -> pd.DataFrame | None:
        """index, label, predicted, and the probability of each class of the test samples."""
        return self._table("predictions.csv")

    @cached_property
    def samples(self) -> dict[str, np.ndarray] | None:
        """samples.npz: index, image, label, predicted, confidence of a few test samples; of images their white."""
        return read_arrays(self.path / "samples.npz", SAMPLES, SAMPLES)

    @cached_property
    def boundary(self) -> dict[str, np.ndarray] | None:
        """boundary.npz: probabilities over the plane, and the samples that lie in it; only of two-input data."""
        return read_arrays(self.path / "boundary.npz", (*PLANE, *POINTS), POINTS)

    def probe(self, name: str) -> pd.DataFrame | None:
        """``probes/<name>.csv``: what a probe noted, each row with its epoch and step; None where it is not there."""
        try:
            return self._table(f"probes/{name}.csv")
        except ValueError:  # pandas' own errors and those of decoding are ValueErrors
            return None

    @cached_property
    def facts(self) -> dict[str, float]:
        return read_json(self.path / "facts.json") or {}

    @cached_property
    def checks(self) -> pd.DataFrame | None:
        return self._table("checks.csv")

    @cached_property
    def summary(self) -> str | None:
        path = self.path / "summary.txt"
        return path.read_text(encoding="utf-8") if path.is_file() else None

    @cached_property
    def class_names(self) -> list[str] | None:
        return None if self.confusion is None else [str(name) for name in self.confusion.columns]

    @cached_property
    def row_list(self) -> list[Row]:
        """metrics.csv as the trainer has it: dicts, None where a cell is blank."""
        try:
            rows = read_rows(self.path / "metrics.csv")
        except (ValueError, csv.Error):
            rows = None
        if rows is None or any(tuple(row) != METRICS for row in rows):
            raise RequestError(f"{self.path / 'metrics.csv'} is not what a run writes")
        return rows

    @property
    def epochs(self) -> int:
        """How many epochs came to their end: not the one in which a run diverged."""
        return len(finished(self.row_list))

    @property
    def needs_checkpoint(self) -> bool:
        """Whether no kill can have left it without one: it is done, or has more than the row before the first."""
        return self.status == "done" or len(self.row_list) > 1

    @property
    def chosen(self) -> Chosen | None:
        """The epoch that was, or would be, tested, and why."""
        return chosen(self.row_list, self.config["monitor"], self.config["select"])

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, status={self.status!r})"


class Evaluation(Run):
    """What a run predicts of other data: those of its files that tell of a test split, and evaluation.json."""

    @cached_property
    def said(self) -> dict[str, Any]:
        return read_json(self.path / EVALUATION) or {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """Of the run's config the model, as far as it says what probabilities are."""
        return {"model": self.said.get("model") or {}}

    @property
    def tested(self) -> str:
        name = f"dataset={(self.said.get('dataset') or {}).get('name')}"
        return name if self.said.get("samples") == "all samples" else f"{name}, official test split"

    def __repr__(self) -> str:
        return f"Evaluation({str(self.path)!r})"
