"""The data sets of torchvision: what they are, which files they need, how those come here, and how they are read.

`describe`, `files` and `missing` know the facts by heart and import no torch; `fetch` and `load` go through
torchvision's own classes, in torchvision's own folders below ``dataset.root``.
"""

from __future__ import annotations

import gzip
import os
import shlex
import socket
import string
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labrunner.data.samples import Description, Samples
from labrunner.errors import RequestError

PATIENCE = 5.0  # seconds that a server may be silent; a machine without a network must not wait for long

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


class File(NamedTuple):
    """A file that a set is read from."""

    path: Path
    packed: tuple[Path, ...]  # archives that it can be unpacked from
    url: str  # of the last of these archives, or of the file itself

    @property
    def downloaded(self) -> Path:
        """Where that which the address gives belongs."""
        return self.packed[-1] if self.packed else self.path


def describe(options: dict[str, Any]) -> Description:
    """The description of a composed `dataset` group; reads no file."""
    name = options["name"]
    source = SETS[name]
    class_names = EMNIST[options["subset"]] if name == "emnist" else source.class_names
    return Description(name, source.shape, class_names, white=255.0)


def files(options: dict[str, Any]) -> list[File]:
    """The files that must be there to read the set, whether they are or not."""
    source, root = SETS[options["name"]], _root(options)
    found = []
    for name in source.names:
        path = root / source.folder / name.format(subset=options.get("subset"))
        beside = (Path(f"{path}.gz"),) if name.endswith("-ubyte") else ()
        packed = (*beside, root / source.archive) if source.archive else beside
        found.append(File(path, packed, source.url + (packed[-1] if packed else path).name))
    return found


def missing(options: dict[str, Any]) -> list[Path]:
    """Files that are neither there nor in an archive that is there; looks at names only."""
    return [file.path for file in files(options) if not any(path.is_file() for path in (file.path, *file.packed))]


def absent(options: dict[str, Any]) -> list[File]:
    """Files that are not there, or not unpacked."""
    return [file for file in files(options) if not file.path.is_file()]


def to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


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


def _root(options: dict[str, Any]) -> Path:
    try:
        root = Path(options["root"]).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(root)
    except (OSError, RuntimeError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise RequestError(f"dataset.root={options['root'][:80]!r} is no path: {said}") from None
    return root


# reading


def _open(options: dict[str, Any], download: bool) -> tuple[Any, Any]:
    """Torchvision's training and test part."""
    from torchvision import datasets

    name, root = options["name"], str(_root(options))
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
        return _damaged(options, damaged)
    where = _root(options) / SETS[options["name"]].folder
    return RequestError(
        f"dataset={options['name']}: the files in {where} cannot be read: {_reason(error)}\n"
        f"delete them and fetch again: {command(options)}"
    )


def _damaged(options: dict[str, Any], paths: list[Path]) -> RequestError:
    those, them = ("is", "it") if len(paths) == 1 else ("are", "them")
    return RequestError(
        f"dataset={options['name']}: {', '.join(map(str, paths))} {those} damaged\n"
        f"delete {them} and fetch again: {command(options)}"
    )


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
        raise _damaged(options, [packed]) from None
    except OSError as error:
        raise RequestError(f"dataset={options['name']}: cannot unpack {packed}: {_reason(error)}") from error
    if not _whole_idx(file.path):
        raise _damaged(options, [packed])
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
        say(f"dataset={name}: downloading {_size(name)} from {_address(absent)} into {wanted[0].parent}{again}")
    touched = dict.fromkeys(path for file in files(options) for path in (*file.packed, file.path))
    new = [path for path in touched if not path.is_file()]
    folders = dict.fromkeys(folder for path in touched for folder in path.parents if not folder.exists())
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        with redirect_stdout(sys.stderr):
            _open(options, download=True)
    except BaseException as error:
        for path in new:
            if path.is_file() and not _whole(path, sums):
                with suppress(OSError):
                    path.unlink()
        for folder in sorted(folders, reverse=True):  # the inner ones first; one that holds something stays
            with suppress(OSError):
                folder.rmdir()
        if not isinstance(error, Exception):
            raise
        if all(file.path.is_file() for file in absent):
            raise _unreadable(options, error) from error
        raise _not_downloaded(options, absent, broken, error) from error
    finally:
        socket.setdefaulttimeout(before)


def _not_downloaded(options: dict[str, Any], absent: list[File], broken: list[Path], error: Exception) -> RequestError:
    wanted = list(dict.fromkeys(file.downloaded for file in absent if not file.path.is_file()))
    names, folder = ", ".join(path.name for path in wanted), wanted[0].parent
    what = f"{broken[0]} is damaged and" if broken else f"{wanted[0]} is missing and"
    return RequestError(
        f"dataset={options['name']}: {what} cannot be downloaded: {_reason(error)}\n"
        f"put {names} into {folder}; from {_address(absent)}\n"
        f"or, where there is a network: {command(options)}"
    )


def _address(absent: list[File]) -> str:
    """The address of what is missing: the file's own, or the folder of several."""
    urls = list(dict.fromkeys(file.url for file in absent))
    return urls[0] if len(urls) == 1 else urls[0].rpartition("/")[0] + "/"


def _size(name: str) -> str:
    megabytes = SETS[name].megabytes
    return f"{megabytes} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def command(options: dict[str, Any]) -> str:
    root = "" if options["root"] == "data" else " " + shlex.quote(f"dataset.root={options['root']}")
    return f"labrunner fetch dataset={options['name']}{root}"


def _reason(error: Exception) -> str:
    """The last line of a message: torchvision lists all servers that it tried."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("<urlopen error ").removesuffix(">") if lines else type(error).__name__
