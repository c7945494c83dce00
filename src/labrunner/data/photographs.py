"""The data sets of photographs in torchvision: what they are, which archives they come in, and how they are read.

`describe`, `files` and `absent` know the facts by heart and import no torch. `load` takes the files and their labels
from torchvision's own classes, in torchvision's own folders below ``dataset.root``, and hands them to `decoded`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labrunner.data import archives, class_names, downloads
from labrunner.data.archives import Archive
from labrunner.data.decoded import decoded_samples
from labrunner.data.downloads import File, root_of
from labrunner.data.folders import SIZE
from labrunner.data.samples import WHITE, Description, Samples
from labrunner.errors import RequestError
from labrunner.servers import to_stderr

VGG = "https://www.robots.ox.ac.uk/~vgg/data"
ERDA = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370"
EUROSAT = "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd"
KNOWN = "0.25 to 0.29"  # versions of torchvision whose classes keep their lists in the attributes below


@dataclass(frozen=True)
class Photographs:
    """Where a set comes from and what it holds."""

    kind: str  # torchvision's class
    class_names: tuple[str, ...]
    archives: tuple[Archive, ...]
    counts: Mapping[str, int]  # official split -> images: train, then val and test where they are
    listed: tuple[str, ...]  # the attributes of torchvision's class with files and labels, or with pairs of them
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # of it, where not split=<split>


SETS = {
    # Nilsback & Zisserman 2008, Automated flower classification over a large number of classes
    "flowers102": Photographs(
        "Flowers102",
        class_names.FLOWERS102,
        archives=(
            Archive(
                "flowers-102/102flowers.tgz",
                f"{VGG}/flowers/102/102flowers.tgz",
                "52808999861908f626f3c1f4e79d11fa",
                megabytes=345,
                holds=("jpg",),
            ),
            Archive(
                "flowers-102/imagelabels.mat",
                f"{VGG}/flowers/102/imagelabels.mat",
                "e0620be6f572b9609742df49c70aed4d",
                megabytes=0,
            ),
            Archive(
                "flowers-102/setid.mat",
                f"{VGG}/flowers/102/setid.mat",
                "a5357ecc9cb78c4bef273ce3793fc85c",
                megabytes=0,
            ),
        ),
        counts={"train": 1020, "val": 1020, "test": 6149},
        listed=("_image_files", "_labels"),
    ),
    # Parkhi et al. 2012, Cats and dogs
    "oxford_pets": Photographs(
        "OxfordIIITPet",
        class_names.OXFORD_PETS,
        archives=(
            Archive(
                "oxford-iiit-pet/images.tar.gz",
                f"{VGG}/pets/data/images.tar.gz",
                "5c4f3ee8e5d25df40f4fd59a7f44e54c",
                megabytes=792,
                holds=("images",),
            ),
            Archive(
                "oxford-iiit-pet/annotations.tar.gz",
                f"{VGG}/pets/data/annotations.tar.gz",
                "95a8c909bbe2e81eed6a22bccdf3f68f",
                megabytes=19,
                holds=("annotations",),
            ),
        ),
        counts={"train": 3680, "test": 3669},
        listed=("_images", "_labels"),
        arguments={"train": {"split": "trainval"}},
    ),
    # Helber et al. 2019, EuroSAT: a novel dataset and deep learning benchmark for land use and land cover
    "eurosat": Photographs(
        "EuroSAT",
        class_names.EUROSAT,
        archives=(
            Archive(
                "eurosat/EuroSAT.zip",
                f"{EUROSAT}/EuroSAT.zip",
                "c8fa014336c82ac7804f0398fcb19387",
                megabytes=94,
                holds=("2750",),
            ),
        ),
        counts={"train": 27000},
        listed=("samples",),
        arguments={"train": {}},
    ),
    # Stallkamp et al. 2012, Man vs. computer; the training part is that of the competition of 2011
    "gtsrb": Photographs(
        "GTSRB",
        class_names.GTSRB,
        archives=(
            Archive(
                "gtsrb/GTSRB-Training_fixed.zip",
                f"{ERDA}/GTSRB-Training_fixed.zip",
                "513f3c79a4c5141765e10e952eaa2478",
                megabytes=187,
                holds=("GTSRB/Training",),
            ),
            Archive(
                "gtsrb/GTSRB_Final_Test_Images.zip",
                f"{ERDA}/GTSRB_Final_Test_Images.zip",
                "c7e4e6327067d32654124b0fe9e82185",
                megabytes=89,
                holds=("GTSRB/Final_Test/Images",),
            ),
            Archive(
                "gtsrb/GTSRB_Final_Test_GT.zip",
                f"{ERDA}/GTSRB_Final_Test_GT.zip",
                "fe31e9c9270bbcd7b84b7f21a9d9d9e5",
                megabytes=0,
                holds=("GT-final_test.csv",),
            ),
        ),
        counts={"train": 26640, "test": 12630},
        listed=("_samples",),
    ),
    # Cimpoi et al. 2014, Describing textures in the wild; the first of its ten partitions
    "dtd": Photographs(
        "DTD",
        class_names.DTD,
        archives=(
            Archive(
                "dtd/dtd-r1.0.1.tar.gz",
                f"{VGG}/dtd/download/dtd-r1.0.1.tar.gz",
                "fff73e5086ae6bdbea199a49dfb8a4c1",
                megabytes=625,
                holds=("dtd",),
            ),
        ),
        counts={"train": 1880, "val": 1880, "test": 1880},
        listed=("_image_files", "_labels"),
        arguments={split: {"split": split, "partition": 1} for split in ("train", "val", "test")},
    ),
    # Bossard et al. 2014, Food-101: mining discriminative components with random forests
    "food101": Photographs(
        "Food101",
        class_names.FOOD101,
        archives=(
            Archive(
                "food-101.tar.gz",
                "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
                "85eeb15f3717b99a5da872d97d918f87",
                megabytes=4996,
                holds=("food-101",),
            ),
        ),
        counts={"train": 75750, "test": 25250},
        listed=("_image_files", "_labels"),
    ),
}
NAMES = tuple(SETS)


class Listing(NamedTuple):
    """The files of a set: train, then val, then test, in torchvision's order."""

    paths: list[str]
    labels: np.ndarray  # (N,) int64
    official: dict[str, np.ndarray]  # split -> positions in `paths`


def describe(options: dict[str, Any]) -> Description:
    """The description of a composed `dataset` group; reads no file."""
    size = SIZE if options.get("size") is None else options["size"]
    name = options["name"]
    return Description(name, (options["channels"], size, size), SETS[name].class_names, white=WHITE)


def files(options: dict[str, Any]) -> list[File]:
    """The files and folders that must be there to read the set, whether they are or not."""
    root = root_of(options)
    return [file for archive in SETS[options["name"]].archives for file in archive.files(root)]


def absent(options: dict[str, Any]) -> list[File]:
    """Files and folders that are not there, or not unpacked."""
    return downloads.absent(files(options))


def where(options: dict[str, Any]) -> list[Path]:
    """The folders of the set, for a message."""
    root = root_of(options)
    return list(dict.fromkeys(root / file.path.relative_to(root).parts[0] for file in files(options)))


def fetch(options: dict[str, Any], say: Callable[[str], None] = to_stderr) -> bool:
    """See to it that a set's files are there and complete; returns whether something was unpacked or downloaded.

    Raises
    ------
    RequestError
        when files are missing and cannot be downloaded, or are damaged.
    """
    provided = archives.provide(options, SETS[options["name"]].archives, say)
    listing(options)
    return provided


def load(options: dict[str, Any], say: Callable[[str], None] = to_stderr) -> Samples:
    """Read a set, official train, validation and test samples in this order; downloads what is missing.

    Raises
    ------
    RequestError
        as `fetch`, when the files hold other classes or counts than described, and as `decoded.decode`.
    """
    archives.provide(options, SETS[options["name"]].archives, say)
    found = listing(options)
    return decoded_samples(
        describe(options),
        found.paths,
        found.labels,
        options,
        root=root_of(options),
        val=found.official.get("val"),
        test=found.official.get("test"),
        say=say,
    )


def listing(options: dict[str, Any]) -> Listing:
    """The files of a set that is there, as torchvision lists them.

    Raises
    ------
    RequestError
        when torchvision cannot read them, files are missing, or classes and counts are not the described ones.
    """
    paths: list[str] = []
    labels: list[int] = []
    official = {}
    for split, part in _parts(options).items():
        found, classes = _listed(options, part)
        _check_classes(options, split, part, found, classes)
        _check_count(options, split, len(found))
        official[split] = np.arange(len(paths), len(paths) + len(found))
        paths += found
        labels += classes
    _check_there(options, paths)
    return Listing(paths, np.array(labels, dtype=np.int64), official)


# torchvision's classes


def _parts(options: dict[str, Any]) -> dict[str, Any]:
    """Split -> the object of torchvision's class."""
    from torchvision import datasets

    source, root = SETS[options["name"]], root_of(options)
    kind = getattr(datasets, source.kind)
    try:
        return {
            split: kind(str(root), **source.arguments.get(split, {"split": split}), download=False)
            for split in source.counts
        }
    except Exception as error:
        broken = [root / archive.path for archive in source.archives if not (archive.holds or archive.is_whole(root))]
        if broken:
            raise downloads.damaged(options, broken) from error
        raise downloads.unreadable(options, _folders(options), error) from error


def _listed(options: dict[str, Any], part: Any) -> tuple[list[str], list[int]]:
    """Files and labels as one of torchvision's objects has them."""
    source = SETS[options["name"]]
    try:
        lists = [getattr(part, name) for name in source.listed]
        pairs = lists[0] if len(lists) == 1 else list(zip(*lists, strict=True))
        return [os.fspath(path) for path, _ in pairs], [int(label) for _, label in pairs]
    except (AttributeError, TypeError, ValueError):
        import torchvision

        names = " and ".join(f"{source.kind}.{name}" for name in source.listed)
        raise RequestError(
            f"dataset={options['name']}: torchvision {torchvision.__version__} keeps no list of files in {names}\n"
            f"try torchvision {KNOWN}"
        ) from None


# what was read against what is described


def _check_classes(options: dict[str, Any], split: str, part: Any, paths: Sequence[str], labels: Sequence[int]) -> None:
    """Compare the classes of an official split with those described: each of them has images in each split."""
    described = SETS[options["name"]].class_names
    names, theirs = described, getattr(part, "classes", None)
    if theirs is None and split == "train":  # of GTSRB, whose folders have numbers for names
        names = tuple(f"{number:05d}" for number in range(len(described)))
        theirs = sorted({Path(path).parent.name for path in paths})
    numbers = {*range(len(described))}
    unknown, lacking = sorted({*labels} - numbers), sorted(numbers - {*labels})
    if theirs is not None and tuple(theirs) != names:
        what = _difference(tuple(theirs), names)
    elif unknown:
        what = f"the {split} split has a class of number {unknown[0]}; described are 0 to {len(described) - 1}"
    elif lacking:
        what = f"the {split} split has no image of class {described[lacking[0]]}"
    else:
        return
    raise RequestError(
        f"dataset={options['name']}: {what}\n"
        f"these are not the files of this data set; to fetch them, delete {_folders(options)}: "
        f"{downloads.command(options)}"
    )


def _difference(theirs: tuple[str, ...], described: tuple[str, ...]) -> str:
    """Where class names begin to differ from those described."""
    for name, expected in zip(theirs, described, strict=False):
        if name != expected:
            return f"the files name a class {name} where {expected} is described"
    return f"the files name {len(theirs)} classes, described are {len(described)}"


def _check_count(options: dict[str, Any], split: str, count: int) -> None:
    counts = SETS[options["name"]].counts
    if count != counts[split]:
        which = f" of the {split} split" if len(counts) > 1 else ""
        raise _incomplete(
            options, f"{count:,} images{which} are in {_folders(options)}, and {counts[split]:,} belong there"
        )


def _check_there(options: dict[str, Any], paths: Sequence[str]) -> None:
    """Refuse a set of which files are missing: unpacking it was cut short, say."""
    there: dict[str, set[str]] = {}
    gone = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in there:
            there[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        if name not in there[folder]:
            gone.append(path)
    if gone:
        also = f", and {len(gone) - 1:,} more of {len(paths):,} images" if len(gone) > 1 else ""
        raise _incomplete(options, f"{gone[0]} is missing{also}")


def _incomplete(options: dict[str, Any], what: str) -> RequestError:
    return RequestError(
        f"dataset={options['name']}: {what}\ndelete {_folders(options)} and fetch again: {downloads.command(options)}"
    )


def _folders(options: dict[str, Any]) -> str:
    """What the archives hold, as text."""
    held = [file.path for file in files(options) if file.packed]
    return ", ".join(map(str, held))
