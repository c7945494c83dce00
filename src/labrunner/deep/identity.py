"""What a module is known by: another one has another identity, in whatever process it was made."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

INNER = frozenset(vars(nn.Module()))  # what every module has


def identity(module: nn.Module) -> str:
    """SHA-256 of what a module computes from in evaluation mode, in hexadecimal digits.

    These are the names and bytes of its parameters and buffers, the classes of all modules inside and the files that
    those are written in, their attributes as far as they are numbers, text, arrays, functions or collections of these,
    and torch's version. (A function of another file, or a global that it reads, is not looked into.)
    """
    digest = hashlib.sha256(f"torch {torch.__version__}".encode())
    files: set[str] = set()
    for name, each in module.named_modules(remove_duplicate=False):
        if type(each).__module__ == nn.Dropout.__module__:  # which does nothing in evaluation mode
            continue
        digest.update(f"\n{name}: {_name(type(each))}".encode())
        for key, value in sorted(vars(each).items()):
            if key not in INNER:
                digest.update(f"\n {key}=".encode())
                _tell(digest, value)
        for hooks in (each._forward_pre_hooks, each._forward_hooks):
            _tell(digest, list(hooks.values()))
        files |= {file for kind in type(each).__mro__ if (file := _file(kind)) is not None}
    tensors = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} ".encode())
        _tell(digest, tensor)
    for file in sorted(files):
        digest.update(hashlib.sha256(Path(file).read_bytes()).digest())
    return digest.hexdigest()


def _file(kind: type) -> str | None:
    """Where a class is written, unless torch or Python brings it."""
    package = kind.__module__.partition(".")[0]
    if package == "torch" or package in sys.stdlib_module_names:
        return None
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return file if file is not None and Path(file).is_file() else None


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"


def _tell(digest: Any, value: Any, depth: int = 0) -> None:
    """Add a value; one that cannot be told counts by its type."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        array = value.detach().cpu() if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
        digest.update(f"{array.dtype} {tuple(array.shape)} ".encode())
        digest.update(array.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif value is None or isinstance(value, (bool, int, float, complex, str, bytes, torch.dtype, torch.device)):
        digest.update(repr(value).encode())
    elif isinstance(value, (list, tuple, set, frozenset, Mapping)) and depth < 8:
        pairs = sorted(value.items(), key=repr) if isinstance(value, Mapping) else enumerate(value)
        if isinstance(value, (set, frozenset)):
            pairs = enumerate(sorted(value, key=repr))
        digest.update(f"{_name(type(value))} {len(value)}".encode())
        for key, inner in pairs:
            digest.update(f" {key!r}:".encode())
            _tell(digest, inner, depth + 1)
    elif isinstance(value, partial):
        _tell(digest, [value.func, value.args, value.keywords], depth + 1)
    elif isinstance(value, nn.Module) and depth < 8:
        digest.update(identity(value).encode())
    else:
        digest.update((_name(value) if callable(value) else _name(type(value))).encode())
