"""Small sets of photographs in the files and folders of the real ones, and the archives that they come in."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from labrunner.data import photographs
from labrunner.seeding import generator

SPLITS = {
    "flowers102": ("train", "val", "test"),
    "oxford_pets": ("train", "test"),
    "eurosat": ("train",),
    "gtsrb": ("train", "test"),
    "dtd": ("train", "val", "test"),
    "food101": ("train", "test"),
}


class Photograph(NamedTuple):
    """One image as it was written."""

    path: str  # below the root
    label: int
    split: str


def options(name: str, root: Path | str = "data", **more: Any) -> dict[str, Any]:
    """The keys of a composed `dataset` group that say what is read, and a small size."""
    given = {"classes": None, "size": 8, "channels": 3, "skip_bad": False, "memory": 4.0, "cache": None}
    return {"name": name, "root": str(root), **given, **more}


def write(name: str, root: Path, monkeypatch: pytest.MonkeyPatch, each: int = 1) -> list[Photograph]:
    """Write `each` images per class and split below `root`, described as a whole set; returns them as they are listed.

    Their order within a split is that of the real set's files: by class where these list folders, mixed where they
    list images.
    """
    classes = photographs.SETS[name].class_names
    written = globals()[f"_{name}"](root, classes, each)
    for photograph in written:
        draw(root / photograph.path)
    counts = {split: sum(photograph.split == split for photograph in written) for split in SPLITS[name]}
    known = []
    for archive in photographs.SETS[name].archives:
        path = root / archive.path
        known.append(archive if archive.holds else dataclasses.replace(archive, md5=md5(path.read_bytes())))
    described = dataclasses.replace(photographs.SETS[name], counts=counts, archives=tuple(known))
    monkeypatch.setitem(photographs.SETS, name, described)
    if name == "flowers102":
        from torchvision.datasets import Flowers102

        ours = {"label": "imagelabels.mat", "setid": "setid.mat"}
        sums = {key: (file, md5((root / "flowers-102" / file).read_bytes())) for key, file in ours.items()}
        monkeypatch.setattr(Flowers102, "_file_dict", {**Flowers102._file_dict, **sums})
    return written


def draw(path: Path) -> None:
    """An image of its own for each name, wider than high, whatever the format is called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = generator(0, "photographed", path.name, path.parent.name)
    pixels = np.kron(rng.integers(0, 256, size=(4, 6, 3)), np.ones((3, 3, 1))).astype(np.uint8)
    Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def _mixed(count: int, *purpose: str) -> list[int]:
    return generator(0, "mixed", *purpose).permutation(count).tolist()


def _flowers102(root: Path, classes: tuple[str, ...], each: int) -> list[Photograph]:
    from scipy.io import savemat

    folder, number = root / "flowers-102", len(classes) * each
    folder.mkdir(parents=True)
    # images are numbered from 1, and so are the classes
    labels = np.array(_mixed(3 * number)) % len(classes)
    parts: dict[str, list[int]] = {"trnid": [], "valid": [], "tstid": []}
    for label in range(len(classes)):
        of_class = np.flatnonzero(labels == label) + 1
        for at, part in enumerate(parts):
            parts[part] += of_class[at * each : (at + 1) * each].tolist()
    parts = {part: [ids[k] for k in _mixed(number, part)] for part, ids in parts.items()}
    savemat(folder / "imagelabels.mat", {"labels": (labels + 1).astype(np.uint8)[None]})
    savemat(folder / "setid.mat", {part: np.array(ids, np.uint16)[None] for part, ids in parts.items()})
    return [
        Photograph(f"flowers-102/jpg/image_{k:05d}.jpg", int(labels[k - 1]), split)
        for split, ids in zip(SPLITS["flowers102"], parts.values(), strict=True)
        for k in ids
    ]


def _oxford_pets(root: Path, classes: tuple[str, ...], each: int) -> list[Photograph]:
    folder = root / "oxford-iiit-pet/annotations"
    folder.mkdir(parents=True)
    cats = {"Abyssinian", "Bengal", "Birman", "Bombay", "British Shorthair", "Egyptian Mau", "Maine Coon", "Persian"}
    cats |= {"Ragdoll", "Russian Blue", "Siamese", "Sphynx"}
    written, start = [], 1
    for split, file in (("train", "trainval.txt"), ("test", "test.txt")):
        lines = []
        for label, name in enumerate(classes):
            stem = name.replace(" ", "_") if name in cats else name.replace(" ", "_").lower()
            for k in range(start, start + each):
                # the breed from 1, the species (1 cat, 2 dog), and the breed within the species
                lines.append(f"{stem}_{k} {label + 1} {1 if name in cats else 2} 1")
                written.append(Photograph(f"oxford-iiit-pet/images/{stem}_{k}.jpg", label, split))
        (folder / file).write_text("\n".join(lines) + "\n")
        start += each
    return written


def _eurosat(root: Path, classes: tuple[str, ...], each: int) -> list[Photograph]:
    return [
        Photograph(f"eurosat/2750/{name}/{name}_{k}.jpg", label, "train")
        for label, name in enumerate(classes)
        for k in range(1, each + 1)
    ]


def _gtsrb(root: Path, classes: tuple[str, ...], each: int) -> list[Photograph]:
    written = []
    for label in range(len(classes)):
        folder = root / f"gtsrb/GTSRB/Training/{label:05d}"
        folder.mkdir(parents=True)
        (folder / f"GT-{label:05d}.csv").write_text("Filename;Width;Height\n")
        written += [
            Photograph(f"gtsrb/GTSRB/Training/{label:05d}/00000_{k:05d}.ppm", label, "train") for k in range(each)
        ]
    lines = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for place, mixed in enumerate(_mixed(len(classes) * each)):
        label = mixed % len(classes)
        lines.append(f"{place:05d}.ppm;18;12;1;1;17;11;{label}")
        written.append(Photograph(f"gtsrb/GTSRB/Final_Test/Images/{place:05d}.ppm", label, "test"))
    (root / "gtsrb/GT-final_test.csv").write_text("\r\n".join(lines) + "\r\n")
    return written


def _dtd(root: Path, classes: tuple[str, ...], each: int) -> list[Photograph]:
    folder = root / "dtd/dtd/labels"
    folder.mkdir(parents=True)
    written = []
    for at, split in enumerate(SPLITS["dtd"]):
        names = [
            (label, f"{name}/{name}_{k:04d}.jpg")
            for label, name in enumerate(classes)
            for k in range(at * each, (at + 1) * each)
        ]
        (folder / f"{split}1.txt").write_text("".join(f"{name}\n" for _, name in names))
        (folder / f"{split}2.txt").write_text("".join(f"{name}\n" for _, name in names[::-1]))
        written += [Photograph(f"dtd/dtd/images/{name}", label, split) for label, name in names]
    return written


def _food101(root: Path, classes: tuple[str, ...], each: int) -> list[Photograph]:
    folder = root / "food-101/meta"
    folder.mkdir(parents=True)
    written = []
    for at, split in enumerate(SPLITS["food101"]):
        listed = {classes[label]: [] for label in _mixed(len(classes), split)}
        for name in listed:
            listed[name] = [f"{name}/{1000 * at + k}" for k in range(each)]
            written += [Photograph(f"food-101/images/{stem}.jpg", classes.index(name), split) for stem in listed[name]]
        (folder / f"{split}.json").write_text(json.dumps(listed))
    return written


# archives


def packed(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Take the files below `root` away; returns what a server would give: address -> bytes, with known checksums."""
    served, known = {}, []
    for archive in photographs.SETS[name].archives:
        path = root / archive.path
        data = _archive(path.name, path.parent, archive.holds) if archive.holds else path.read_bytes()
        served[archive.url] = data
        known.append(dataclasses.replace(archive, md5=md5(data)))
    described = dataclasses.replace(photographs.SETS[name], archives=tuple(known))
    monkeypatch.setitem(photographs.SETS, name, described)
    shutil.rmtree(root)
    return served


def _archive(name: str, folder: Path, holds: tuple[str, ...]) -> bytes:
    buffer = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("Readme.txt", "what comes along in an archive")
            for held in holds:
                for path in [folder / held] if (folder / held).is_file() else sorted((folder / held).rglob("*.*")):
                    archive.write(path, path.relative_to(folder).as_posix())
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for held in holds:
                archive.add(folder / held, held)
    return buffer.getvalue()
