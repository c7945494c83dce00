"""Small data sets in the real formats of the real files, and a network that serves them without being one."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import shutil
import socket
import tarfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError

import numpy as np
import pytest

from labrunner.data import vision
from labrunner.seeding import generator

TRAIN, TEST = 60, 20
MNISTS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
KINDS = {**MNISTS, "emnist": "EMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100", "svhn": "SVHN", "stl10": "STL10"}
ARCHIVES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz", "stl10": "stl10_binary.tar.gz"}


class Written(NamedTuple):
    """What was written: upright images (N, channels, height, width), labels from 0; training samples come first."""

    images: np.ndarray
    labels: np.ndarray


def options(name: str, root: Path | str = "data", **more: Any) -> dict[str, Any]:
    """The keys of a composed `dataset` group that say what is read."""
    return {"name": name, "root": str(root), **({"subset": "balanced"} if name == "emnist" else {}), **more}


def write(name: str, root: Path, monkeypatch: pytest.MonkeyPatch, subset: str = "balanced") -> Written:
    """Write a small set below `root` and let torchvision expect its checksums."""
    shape = {"cifar10": (3, 32, 32), "cifar100": (3, 32, 32), "svhn": (3, 32, 32), "stl10": (3, 96, 96)}
    size = shape.get(name, (1, 28, 28))
    classes = {"letters": 26, "digits": 10, "mnist": 10, "byclass": 62}.get(subset, 47) if name == "emnist" else 10
    count = 100 if name == "cifar100" else classes
    labels = np.arange(TRAIN + TEST) % count
    rng = generator(0, "written", name)
    patterns = rng.integers(0, 200, size=(count, *size))
    images = (patterns[labels] + rng.integers(0, 56, size=(len(labels), *size))).astype(np.uint8)
    if name in MNISTS:
        _mnist(root / MNISTS[name] / "raw", "train", "t10k", images, labels)
    elif name == "emnist":
        # NIST's files hold the columns of an image one after the other, and its letters count from 1
        stored = labels + 1 if subset == "letters" else labels
        prefix = f"emnist-{subset}"
        _mnist(root / "EMNIST/raw", f"{prefix}-train", f"{prefix}-test", images.swapaxes(2, 3), stored)
    elif name.startswith("cifar"):
        _cifar(name, root, images, labels)
    elif name == "svhn":
        _svhn(root, images, labels)
    else:
        _stl10(root / "stl10_binary", images, labels)
    expect(name, root, monkeypatch)
    return Written(images, labels)


def _mnist(folder: Path, train: str, test: str, images: np.ndarray, labels: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for part, chosen in ((train, slice(TRAIN)), (test, slice(TRAIN, None))):
        idx(folder / f"{part}-images-idx3-ubyte", images[chosen, 0])
        idx(folder / f"{part}-labels-idx1-ubyte", labels[chosen])


def idx(path: Path, values: np.ndarray) -> None:
    """MNIST's format: 0, 0, type (8: a byte), dimensions, each size in four bytes, the values."""
    head = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(head + values.astype(np.uint8).tobytes())


def _cifar(name: str, root: Path, images: np.ndarray, labels: np.ndarray) -> None:
    rows = images.reshape(len(images), -1)  # 1024 red, 1024 green, 1024 blue values, row by row
    fine, meta = ("labels", "label_names") if name == "cifar10" else ("fine_labels", "fine_label_names")
    each = TRAIN // 5
    parts = {f"data_batch_{k + 1}": slice(k * each, (k + 1) * each) for k in range(5)}
    parts = {**parts, "test_batch": slice(TRAIN, None)}
    if name == "cifar100":
        parts = {"train": slice(TRAIN), "test": slice(TRAIN, None)}
    folder = root / ("cifar-10-batches-py" if name == "cifar10" else "cifar-100-python")
    folder.mkdir(parents=True)
    for part, chosen in parts.items():
        entry = {"data": rows[chosen], fine: labels[chosen].tolist()}
        (folder / part).write_bytes(pickle.dumps(entry, protocol=2))
    names = {meta: list(vision.CIFAR10 if name == "cifar10" else vision.CIFAR100)}
    (folder / ("batches.meta" if name == "cifar10" else "meta")).write_bytes(pickle.dumps(names, protocol=2))


def _svhn(root: Path, images: np.ndarray, labels: np.ndarray) -> None:
    from scipy.io import savemat

    root.mkdir(parents=True)
    tens = np.where(labels == 0, 10, labels)[:, None]  # the files call the digit 0 ten
    for part, chosen in (("train", slice(TRAIN)), ("test", slice(TRAIN, None))):
        arrays = {"X": images[chosen].transpose(2, 3, 1, 0), "y": tens[chosen].astype(np.uint8)}
        savemat(root / f"{part}_32x32.mat", arrays)


def _stl10(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for part, chosen in (("train", slice(TRAIN)), ("test", slice(TRAIN, None))):
        # each channel column by column, classes from 1
        (folder / f"{part}_X.bin").write_bytes(images[chosen].swapaxes(2, 3).tobytes())
        (folder / f"{part}_y.bin").write_bytes((labels[chosen] + 1).astype(np.uint8).tobytes())
    (folder / "class_names.txt").write_text("\n".join(vision.STL10) + "\n")


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def expect(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the checksums of the files below `root` into torchvision's class, where it checks any."""
    from torchvision import datasets

    kind = getattr(datasets, KINDS[name])
    if name == "svhn":
        new = {
            part: [url, file, md5(root / file)] for part, (url, file, _) in kind.split_list.items() if part != "extra"
        }
        monkeypatch.setattr(kind, "split_list", {**kind.split_list, **new})
    elif name in ARCHIVES:
        folder = root / kind.base_folder
        for attribute in ("train_list", "test_list"):
            known = [
                [file, md5(folder / file) if (folder / file).exists() else old]
                for file, old in getattr(kind, attribute)
            ]
            monkeypatch.setattr(kind, attribute, known)
        if name != "stl10":
            monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(folder / kind.meta["filename"])})


# archives and a network


def packed(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Take the files below `root` away; returns what a server would give: address -> bytes, with known checksums."""
    from torchvision import datasets

    kind = getattr(datasets, KINDS[name])
    if name in MNISTS:
        folder = root / MNISTS[name] / "raw"
        served = {Path(file).stem: gzip.compress((folder / Path(file).stem).read_bytes()) for file, _ in kind.resources}
        sums = [(f"{file}.gz", hashlib.md5(data).hexdigest()) for file, data in served.items()]
        monkeypatch.setattr(kind, "resources", sums)
        found = {f"{kind.mirrors[0]}{file}.gz": data for file, data in served.items()}
    elif name == "emnist":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for file in (root / "EMNIST/raw").iterdir():
                archive.writestr(f"gzip/{file.name}.gz", gzip.compress(file.read_bytes()))
        monkeypatch.setattr(kind, "md5", hashlib.md5(buffer.getvalue()).hexdigest())
        found = {kind.url: buffer.getvalue()}
    elif name == "svhn":
        found = {kind.split_list[part][0]: (root / kind.split_list[part][1]).read_bytes() for part in ("train", "test")}
    else:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.add(root / kind.base_folder, kind.base_folder)
        monkeypatch.setattr(kind, "tgz_md5", hashlib.md5(buffer.getvalue()).hexdigest())
        found = {kind.url: buffer.getvalue()}
    shutil.rmtree(root)
    return found


class Network:
    """Stands in for `urllib.request.urlopen`; an address that it does not know is one that cannot be reached."""

    def __init__(self, served: dict[str, bytes]) -> None:
        self.served, self.asked, self.timeouts = served, [], set()

    def __call__(self, request: Any) -> Answer:
        self.asked.append(request.full_url)
        self.timeouts.add(socket.getdefaulttimeout())
        if request.full_url not in self.served:
            raise URLError(OSError(-3, "Temporary failure in name resolution"))
        return Answer(request.full_url, self.served[request.full_url])


class Answer(io.BytesIO):
    """An answer with the two attributes that torchvision reads."""

    def __init__(self, url: str, data: bytes) -> None:
        super().__init__(data)
        self.url, self.length = url, len(data)


def network(monkeypatch: pytest.MonkeyPatch, served: dict[str, bytes] | None = None) -> Network:
    """No network at all, or one that serves these addresses."""
    stand_in = Network(served or {})
    monkeypatch.setattr("urllib.request.urlopen", stand_in)
    return stand_in
