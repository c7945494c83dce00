"""Files of weights, read without executing anything that is in them."""

from __future__ import annotations

import io
import json
import pickle
import warnings
from collections.abc import Mapping
from typing import Any

import torch

from labrunner.errors import RequestError

WRAPPERS = ("state_dict", "model")  # keys under which training scripts put the weights beside other things
SAVED = (b"PK", b"\x80")  # how files of torch.save begin: as a zip, or, before torch 1.6, as a pickle
PARALLEL = "module."  # what torch.nn.DataParallel puts in front of each name


def decode(content: bytes, is_safetensors: bool, where: str) -> dict[str, torch.Tensor]:
    """The tensors of a state dict by name, on the processor.

    Parameters
    ----------
    content : of a .safetensors file, or of one that torch.save wrote
    is_safetensors : which of these
    where : what messages begin with, as ``model.weights=FILE``

    Raises
    ------
    RequestError
        when it is damaged, holds code, or is no state dict.
    """
    found = _safetensors(content, where) if is_safetensors else _unwrapped(_torch(content, where))
    if not isinstance(found, Mapping) or not found:
        raise RequestError(f"{where} holds {_kind(found)} and no state dict; save network.state_dict()")
    odd = [name for name, value in found.items() if not isinstance(name, str) or not _is_plain(value)]
    if odd:
        raise RequestError(
            f"{where} is no state dict: {odd[0]} holds {_kind(found[odd[0]])}; save network.state_dict() alone"
        )
    if all(name.startswith(PARALLEL) for name in found):
        return {name.removeprefix(PARALLEL): tensor for name, tensor in found.items()}
    return dict(found)


def _safetensors(content: bytes, where: str) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        found = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, ValueError, KeyError) as error:  # KeyError: a type that torch does not have
        raise RequestError(f"{where} cannot be read as safetensors: {error}") from error
    if "labrunner" in header.get("__metadata__", {}):
        raise RequestError(f"{where} is a checkpoint of a run; name the run's folder instead")
    return found


def _torch(content: bytes, where: str) -> Any:
    if not content.startswith(SAVED):  # a web page, say
        raise RequestError(f"{where} is no file of torch.save's, and none of safetensors by its name")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other versions: they are read or refused
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RequestError(
            f"{where} {_culprit(error)}, and is not read\n"
            "save the weights alone: torch.save(network.state_dict(), FILE)"
        ) from error
    except Exception as error:  # of bytes that are no pickle, anything
        said = f"{type(error).__name__}: {error}".splitlines()[0].partition(". ")[0]
        raise RequestError(f"{where} cannot be read as a file of torch.save's: {said.rstrip(': ')}") from error


def _culprit(error: Exception) -> str:
    """What is wrong with a refused pickle, as far as torch says it."""
    _, found, rest = str(error).partition("Unsupported global: GLOBAL ")
    if not found:
        return "is damaged, or holds more than arrays, which could execute anything"
    return f"holds more than arrays, which could execute anything: it asks for {rest.split()[0]}"


def _unwrapped(found: Any) -> Any:
    inner = (found.get(key) for key in WRAPPERS) if isinstance(found, Mapping) else ()
    return next((each for each in inner if isinstance(each, Mapping)), found)


def _is_plain(value: Any) -> bool:
    """Whether a value is a tensor with numbers in it, one by one."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "nothing"
    return "a tensor of another kind" if isinstance(value, torch.Tensor) else f"a value of type {type(value).__name__}"
