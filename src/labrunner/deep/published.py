"""The weights that torchvision publishes: which file holds them, what they were trained with, how the file comes here.

The files lie where torch.hub keeps them, so that one that another program has downloaded serves here, too. A folder
that ``labrunner bundle`` made has some with it: in that folder these come first.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

import torch

from labrunner.deep import classifiers
from labrunner.errors import RequestError
from labrunner.learner import Wants
from labrunner.schema import TORCHVISION
from labrunner.servers import NotDownloaded, patiently, reason, to_stderr

HASHED = re.compile(r"-([a-f0-9]{8,})\.")  # the first digits of a file's SHA-256 stand in its name
BUNDLED = Path("weights", "hub", "checkpoints")  # below the current folder; TORCH_HOME=weights names the same place
# trained on inputs in [-1, 1]: torchvision's own networks turn images that are normalized otherwise into that
HALVES = ("googlenet", "inception_v3")


class Published(NamedTuple):
    """A file of weights."""

    arch: str
    path: Path  # where torch.hub keeps it, or a bundle has it
    url: str
    prefix: str  # of its SHA-256, in hexadecimal digits
    megabytes: float

    def is_whole(self, sha256: str) -> bool:
        return sha256.startswith(self.prefix)


def file_of(arch: str) -> Published:
    """The file of an architecture's best weights."""
    weights = _weights(arch)
    name = Path(urlparse(weights.url).path).name
    found = HASHED.search(name)
    path = BUNDLED / name if (BUNDLED / name).is_file() else Path(torch.hub.get_dir(), "checkpoints", name)
    return Published(arch, path, weights.url, found[1] if found else "", weights.meta["_file_size"])


def wants(arch: str) -> Wants:
    """What these weights were trained with: the size of images, how they are resized, and their normalization."""
    said = _weights(arch).transforms()
    mean, std = (tuple(said.mean), tuple(said.std)) if arch not in HALVES else ((0.5,) * 3, (0.5,) * 3)
    return Wants(3, said.crop_size[0], mean, std, said.resize_size[0], said.interpolation.value)


def _weights(arch: str) -> Any:
    from torchvision import models

    classifiers.check(arch)
    return models.get_model_weights(arch)["DEFAULT"]


def at_hand(file: Published) -> bool:
    """Whether the file is here and whole."""
    try:
        status = file.path.stat()
    except OSError:
        return False
    return file.is_whole(_sha256(file.path, status.st_size, status.st_mtime_ns))


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def fetch(arch: str, say: Callable[[str], None] = to_stderr) -> bool:
    """See to it that the file is here and whole; returns whether it had to be downloaded.

    Raises
    ------
    RequestError
        when it is missing and cannot be downloaded, or is damaged.
    """
    file = file_of(arch)
    if file.path.is_file():
        if not at_hand(file):
            raise damaged(file)
        return False
    say(f"{called(arch)}: downloading {file.megabytes:.0f} MB from {file.url} into {file.path.parent}")
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with patiently():  # it writes under another name until all has come and the digits fit
            torch.hub.download_url_to_file(file.url, str(file.path), file.prefix or None, progress=sys.stderr.isatty())
    except Exception as error:  # the network's and the disk's
        raise NotDownloaded(
            f"model.weights=imagenet: {file.path} is missing and cannot be downloaded: {reason(error)}\n"
            f"put {file.path.name} into {file.path.parent}; from {file.url}\n"
            f"or, where there is a network: {command(arch)}"
        ) from error
    return True


def read(arch: str) -> tuple[bytes, str]:
    """The file's content and its SHA-256; downloads it if it is not here. Raises as `fetch` does."""
    fetch(arch)
    file = file_of(arch)
    try:
        content = file.path.read_bytes()
    except OSError as error:
        raise RequestError(f"model.weights=imagenet: {file.path} cannot be read: {error.strerror}") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if not file.is_whole(sha256):
        raise damaged(file)
    return content, sha256


def damaged(file: Published) -> RequestError:
    return RequestError(
        f"model.weights=imagenet: {file.path} is damaged: its SHA-256 does not begin with {file.prefix}\n"
        f"delete it and fetch it again: {command(file.arch)}"
    )


def command(arch: str) -> str:
    return f"labrunner fetch {called(arch)} model.weights=imagenet"


def called(arch: str) -> str:
    """An architecture as one asks for it."""
    return f"model={arch}" if arch in TORCHVISION else f"model=torchvision model.arch={arch}"
