"""The data sets of torchvision: what they are, which files they need, how those come here, and how they are read.

`describe`, `files` and `missing` know the facts by heart and import no torch; `fetch` and `load` go through
torchvision's own classes, in torchvision's own folders below ``dataset.root``.
"""

from __future__ import annotations

import gzip
import os
import string
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labrunner import servers
from labrunner.data import downloads
from labrunner.data.downloads import File, root_of
from labrunner.data.samples import Description, Samples
from labrunner.errors import RequestError
from labrunner.servers import to_stderr

DIGITS = tuple(string.digits)
CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
_CIFAR100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm
"""
CIFAR100 = tuple(_CIFAR100.split())
# lower-case letters that EMNIST keeps apart from their capitals; the others look alike (Cohen 2017, section II)
APART = "abdefghnqrt"
EMNIST = {
    "byclass": (*DIGITS, *string.ascii_uppercase, *string.ascii_lowercase),
    "bymerge": (*DIGITS, *string.ascii_uppercase, *APART),
    "balanced": (*DIGITS, *string.ascii_uppercase, *APART),
    "letters": tuple(string.ascii_lowercase),
    "digits": DIGITS,
    "mnist": DIGITS,
}
WHAT = ("images-idx3", "labels-idx1")
IDX = tuple(f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in WHAT)


@dataclass(frozen=True)
class VisionSet:
    """Where a set comes from and what it holds."""

    kind: str  # torchvision's class
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    folder: str  # of the files that are read, below the root
    names: tuple[str, ...]  # of the files that are read
    url: str  # the folder on the server
    megabytes: int  # to download
    archive: str | None = None  # what the server has, below the root; None where it has the files one by one


SETS = {
    "mnist": VisionSet(
        "MNIST",
        (1, 28, 28),
        DIGITS,
        folder="MNIST/raw",
        names=IDX,
        url="https://ossci-datasets.s3.amazonaws.com/mnist/",
        megabytes=12,
    ),
    "fashion_mnist": VisionSet(
        "FashionMNIST",
        (1, 28, 28),
        CLOTHES,
        folder="FashionMNIST/raw",
        names=IDX,
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        megabytes=31,
    ),
    "kmnist": VisionSet(
        "KMNIST",
        (1, 28, 28),
        KANA,
        folder="KMNIST/raw",
        names=IDX,
        url="http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        megabytes=21,
    ),
    "emnist": VisionSet(
        "EMNIST",
        (1, 28, 28),
        EMNIST["balanced"],  # as far as dataset.subset says nothing else
        folder="EMNIST/raw",
        names=tuple(f"emnist-{{subset}}-{part}-{what}-ubyte" for part in ("train", "test") for what in WHAT),
        url="https://biometrics.nist.gov/cs_links/EMNIST/",
        archive="EMNIST/raw/gzip.zip",
        megabytes=562,
    ),
    "cifar10": VisionSet(
        "CIFAR10",
        (3, 32, 32),
        CIFAR10,
        folder="cifar-10-batches-py",
        names=(*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"),
        url="https://www.cs.toronto.edu/~kriz/",
        archive="cifar-10-python.tar.gz",
        megabytes=171,
    ),
    "cifar100": VisionSet(
        "CIFAR100",
        (3, 32, 32),
        CIFAR100,
        folder="cifar-100-python",
        names=("train", "test", "meta"),
        url="https://www.cs.toronto.edu/~kriz/",
        archive="cifar-100-python.tar.gz",
        megabytes=169,
    ),
    "svhn": VisionSet(
        "SVHN",
        (3, 32, 32),
        DIGITS,
        folder="",
        names=("train_32x32.mat", "test_32x32.mat"),
        url="http://ufldl.stanford.edu/housenumbers/",
        megabytes=246,
    ),
    "stl10": VisionSet(
        "STL10",
        (3, 96, 96),
        STL10,
        folder="stl10_binary",
        names=("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"),
        url="http://ai.stanford.edu/~acoates/stl10/",
        archive="stl10_binary.tar.gz",
        megabytes=2640,
    ),
}
NAMES = tuple(SETS)


def describe(options: dict[str, Any]) -> Description:
    """The description of a composed `dataset` group; reads no file."""
    name = options["name"]
    source = SETS[name]
    class_names = EMNIST[options["subset"]] if name == "emnist" else source.class_names
    return Description(name, source.shape, class_names, white=255.0)


def files(options: dict[str, Any]) -> list[File]:
    """The files that must be there to read the set, whether they are or not."""
    source, root = SETS[options["name"]], root_of(options)
    found = []
    for name in source.names:
        path = root / source.folder / name.format(subset=options.get("subset"))
        beside = (Path(f"{path}.gz"),) if name.endswith("-ubyte") else ()
        packed = (*beside, root / source.archive) if source.archive else beside
        found.append(File(path, packed, source.url + (packed[-1] if packed else path).name))
    return found


def absent(options: dict[str, Any]) -> list[File]:
    """Files that are not there, or not unpacked."""
    return downloads.absent(files(options))


def where(options: dict[str, Any]) -> list[Path]:
    """The folders of the set, for a message."""
    return list(dict.fromkeys(file.path.parent for file in files(options)))


def fetch(options: dict[str, Any], say: Callable[[str], None] = to_stderr) -> bool:
    """See to it that a set's files are there and whole; returns whether something had to be unpacked or downloaded.

    Raises
    ------
    RequestError
        when files are missing and cannot be downloaded, or are damaged.
    """
    absent = _provide(options, say)
    _read(options)
    return absent


def load(options: dict[str, Any], say: Callable[[str], None] = to_stderr) -> Samples:
    """Read a set, the official training samples first, then the official test samples; downloads what is missing.

    Raises
    ------
    RequestError
        as `fetch`, and when the files hold other classes or shapes than described.
    """
    description = describe(options)
    _provide(options, say)
    train, test = _read(options)
    _check_names(description, train)
    images = [_images(description.name, part) for part in (train, test)]
    labels = np.concatenate([_labels(part) for part in (train, test)])
    if description.name == "emnist" and options["subset"] == "letters":
        labels -= 1  # the file counts from 1; torchvision calls class 0 "N/A"
    for each in images:
        if each.shape[1:] != description.shape:
            raise RequestError(
                f"dataset={description.name}: images have shape {each.shape[1:]}, described as {description.shape}\n"
                "these are not the files of this data set"
            )
    count = sum(len(each) for each in images)
    inputs = np.empty((count, *description.shape), np.uint8)  # in C order, whatever the order of the parts
    np.concatenate(images, out=inputs)
    return Samples(description, inputs, labels, test=np.arange(len(images[0]), count))


# reading


def _open(options: dict[str, Any], download: bool) -> tuple[Any, Any]:
    """Torchvision's training and test part."""
    from torchvision import datasets

    name, root = options["name"], str(root_of(options))
    kind = getattr(datasets, SETS[name].kind)
    if name == "stl10":
        # without the 100,000 unlabelled images (2.8 GB), whose checksum torchvision would work out as well
        kind = type("STL10", (kind,), {"train_list": kind.train_list[:2]})
    if name.endswith("mnist"):
        # files that a torchvision before 0.9 left in processed/ would win over those that were checked
        kind = type(kind.__name__, (kind,), {"_check_legacy_exist": lambda self: False})
    if name in ("svhn", "stl10"):
        return kind(root, split="train", download=download), kind(root, split="test", download=download)
    more = {"split": options["subset"]} if name == "emnist" else {}
    return kind(root, train=True, download=download, **more), kind(root, train=False, download=download, **more)


def _read(options: dict[str, Any]) -> tuple[Any, Any]:
    try:
        return _open(options, download=False)
    except Exception as error:
        raise _unreadable(options, error) from error


def _images(name: str, part: Any) -> np.ndarray:
    """(N, channels, height, width) uint8, as a view where that will do."""
    values = np.asarray(part.data)
    if name == "emnist":
        # its files hold columns where MNIST's hold rows (https://github.com/pytorch/vision/issues/8783)
        values = values.swapaxes(1, 2)
    if values.ndim == 3:
        return values[:, None]
    return values.transpose(0, 3, 1, 2) if name.startswith("cifar") else values


def _labels(part: Any) -> np.ndarray:
    return np.asarray(part.labels if hasattr(part, "labels") else part.targets).astype(np.int64)


def _check_names(description: Description, part: Any) -> None:
    """Compare the class names with those that torchvision has, from its own code or from a file of the set."""
    # MNIST's are "0 - zero" and so on; SVHN has none
    theirs = [str(name).partition(" - ")[0] for name in getattr(part, "classes", ()) if name != "N/A"]
    if theirs and tuple(theirs) != description.class_names:
        raise RequestError(
            f"dataset={description.name}: the files name the classes {', '.join(theirs[:3])}, …; "
            f"described are {', '.join(description.class_names[:3])}, …\nthese are not the files of this data set"
        )


# damage


def _unreadable(options: dict[str, Any], error: Exception) -> RequestError:
    """What to say about files that are there and cannot be read."""
    sums = _checksums(options["name"])
    damaged = [file.path for file in files(options) if not _whole(file.path, sums)]
    if damaged:
        return downloads.damaged(options, damaged)
    return downloads.unreadable(options, root_of(options) / SETS[options["name"]].folder, error)


def _checksums(name: str) -> dict[str, str]:
    """File name -> MD5, as far as torchvision knows it."""
    from torchvision import datasets

    kind: Any = getattr(datasets, SETS[name].kind)
    if name == "svhn":
        return {file: md5 for _, file, md5 in kind.split_list.values()}
    if name == "emnist":
        return {"gzip.zip": kind.md5}
    if name.endswith("mnist"):
        return dict(kind.resources)
    meta = [(kind.meta["filename"], kind.meta["md5"])] if hasattr(kind, "meta") else []
    return dict([*kind.train_list, *kind.test_list, *meta, (kind.filename, kind.tgz_md5)])


def _whole(path: Path, sums: dict[str, str]) -> bool:
    """Whether a file is there with all its bytes."""
    from torchvision.datasets.utils import check_integrity

    if path.name.endswith("-ubyte"):
        return path.is_file() and _whole_idx(path)
    return bool(check_integrity(path, sums.get(path.name)))


def _whole_idx(path: Path) -> bool:
    """Whether a file in MNIST's format is as long as its head says.

    The head is two zero bytes, the type of the values (8: uint8), the number of dimensions, and each dimension in four
    bytes, the highest first (http://yann.lecun.com/exdb/mnist/).
    """
    dimensions = 3 if "idx3" in path.name else 1
    with path.open("rb") as file:
        head = file.read(4 + 4 * dimensions)
    if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, 8, dimensions)):
        return False
    sizes = [int.from_bytes(head[at : at + 4], "big") for at in range(4, len(head), 4)]
    return path.stat().st_size == len(head) + int(np.prod(sizes))


# unpacking and downloading


def _provide(options: dict[str, Any], say: Callable[[str], None]) -> bool:
    """Unpack or download what is not there; returns whether there was something to do."""
    unpacked = [_unpack(options, file) for file in files(options)]
    still_absent = absent(options)
    if still_absent:
        _download(options, still_absent, say)
    return any(unpacked) or bool(still_absent)


def _unpack(options: dict[str, Any], file: File) -> bool:
    """Unpack the .gz beside a file that is not there, or is cut short because unpacking it was."""
    packed = Path(f"{file.path}.gz")
    if packed not in file.packed or not packed.is_file() or (file.path.is_file() and _whole_idx(file.path)):
        return False
    from torchvision.datasets.utils import extract_archive

    try:
        # in a folder of its own, so that a file that is half unpacked never has the name of a whole one
        with tempfile.TemporaryDirectory(dir=packed.parent, prefix=".unpacking-") as folder:
            extract_archive(str(packed), folder)
            os.replace(Path(folder, file.path.name), file.path)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise downloads.damaged(options, [packed]) from None
    except OSError as error:
        raise RequestError(f"dataset={options['name']}: cannot unpack {packed}: {servers.reason(error)}") from error
    if not _whole_idx(file.path):
        raise downloads.damaged(options, [packed])
    return True


def _download(options: dict[str, Any], absent: list[File], say: Callable[[str], None]) -> None:
    """Let torchvision download and unpack, and leave nothing behind that is not whole."""
    name, sums = options["name"], _checksums(options["name"])
    wanted = list(dict.fromkeys(file.downloaded for file in absent))
    at_hand = [path for path in wanted if path.is_file()]
    broken = [path for path in at_hand if not _whole(path, sums)]
    if at_hand and not broken:
        say(f"dataset={name}: unpacking {', '.join(map(str, at_hand))}")
    else:
        again = f"; {broken[0]}, which is damaged, is replaced" if broken else ""
        size = downloads.size(SETS[name].megabytes)
        say(f"dataset={name}: downloading {size} from {downloads.address(absent)} into {wanted[0].parent}{again}")
    touched = dict.fromkeys(path for file in files(options) for path in (*file.packed, file.path))
    new = [path for path in touched if not path.is_file()]
    try:
        with downloads.cleared([path.parent for path in touched]), servers.patiently():
            try:
                _open(options, download=True)
            except BaseException:
                for path in new:
                    if path.is_file() and not _whole(path, sums):
                        with suppress(OSError):
                            path.unlink()
                raise
    except Exception as error:
        still_absent = downloads.absent(absent)
        if not still_absent:
            raise _unreadable(options, error) from error
        raise downloads.not_downloaded(options, still_absent, broken, error) from error
