"""Starting weights out of a run folder: those of the epoch that the run chose."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from labrunner import checkpoint, records
from labrunner.deep.classifiers import called
from labrunner.errors import RequestError
from labrunner.files import read_json
from labrunner.learner import Wants
from labrunner.records.names import PREPROCESSING

FREE = ("name", "arch", "weights", "loss")  # keys of `model` that may differ between two networks that are built alike
WEIGHTS = "weights/"


def read(folder: Path, model: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], str, str]:
    """Name -> tensor; the SHA-256 of all these; and a sentence on what they are.

    Raises
    ------
    RequestError
        when it is no folder of a run that is done, its model is another one, or its checkpoint is damaged or gone.
    """
    run = _checked(folder, model)
    chosen = run.chosen
    if chosen is None:
        raise RequestError(f"model.weights={folder}: the run has no epoch that could be chosen")
    path = folder / "checkpoints" / checkpoint.Position(chosen.epoch).file_name
    try:
        state, _ = checkpoint.read(path)
    except checkpoint.DamagedCheckpoint as error:
        raise RequestError(
            f"model.weights={folder}: the checkpoint of the chosen epoch, {path}, cannot be used: {error}"
        ) from None
    weights = {name.removeprefix(WEIGHTS): array for name, array in state.items() if name.startswith(WEIGHTS)}
    said = f"weights of epoch {chosen.epoch} of {folder}, {called(run.config['model'])} on {_dataset(run)}"
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    return tensors, checkpoint.state_hash(weights), said


def wants(folder: Path, model: Mapping[str, Any]) -> Wants:
    """Images as the run had them: channels, size, and normalization. Raises as `read` does."""
    run = _checked(folder, model)
    said = read_json(folder / PREPROCESSING)
    if said is None:
        raise RequestError(
            f"model.weights={folder}: there is no {PREPROCESSING}, which says how images were prepared: an earlier "
            f"version made the run\nmake it anew, or give its weights as a file"
        )
    try:
        return _wants(said)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        raise RequestError(f"{run.path / PREPROCESSING} is not what a run on images writes") from None


def _wants(said: Mapping[str, Any]) -> Wants:
    """The object of a file; whoever made it may have put anything there. Raises whatever does not fit."""
    channels, height, width = (_whole(each) for each in said["shape"])
    white, resize, interpolation = float(said["white"]), said["resize"], said["interpolation"]
    own = said["wants"]["channels"]
    channels = channels if own is None else _whole(own)  # grey images may have been repeated
    scale, shift = (
        [float(each) for each in said[key]] * (channels if len(said[key]) == 1 else 1) for key in ("scale", "shift")
    )
    # pixels p of images x = p / white in [0, 1]: scale p + shift = (x - mean) / std
    std = tuple(1.0 / (white * each) for each in scale)
    mean = tuple(-offset * deviation for offset, deviation in zip(shift, std, strict=True))
    if len(scale) != channels or not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0.0:
        raise ValueError
    if interpolation not in ("bilinear", "bicubic"):
        raise ValueError
    size = height if height == width else None
    return Wants(channels, size, mean, std, None if resize is None else _whole(resize), interpolation)


def _whole(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError
    return value


def _checked(folder: Path, model: Mapping[str, Any]) -> records.Run:
    """The run, once it is clear that it is done and trained such a model."""
    asked = f"model.weights={folder}"
    if records.is_sweep_folder(folder):
        raise RequestError(f"{asked} is a sweep; name the folder of one of its runs")
    try:
        run = records.load_run(folder)
        theirs = run.config.get("model")
    except RequestError as error:
        raise RequestError(f"{asked}: {error}") from None
    if not isinstance(theirs, dict) or not all(key in run.config for key in ("monitor", "select")):
        raise RequestError(f"{asked}: {folder / 'config.yaml'} is not what a run writes")
    if run.status != "done":
        raise RequestError(
            f"{asked}: the run is not done, its status is {run.status}\nto finish it: {records.resume_command(folder)}"
        )
    refuse_other(theirs, model, asked)
    return run


def refuse_other(theirs: Mapping[str, Any], ours: Mapping[str, Any], asked: str) -> None:
    """Raise RequestError unless two composed `model` groups build the same network, but for the head's size."""
    if "_target_" in theirs or theirs.get("arch", theirs.get("name")) != ours.get("arch", ours["name"]):
        own = theirs.get("_target_")
        name = called(theirs) if own is None else f"a model of one's own, {own}"
        raise RequestError(f"{asked} are weights of {name}, and this is {called(ours)}")
    differing = [key for key in ours if key not in FREE and key in theirs and theirs[key] != ours[key]]
    if differing:
        there = [f"model.{key}={_typed(theirs[key])}" for key in differing]
        here = [f"model.{key}={_typed(ours[key])}" for key in differing]
        raise RequestError(
            f"{asked} are weights of a network with {' '.join(there)}, and this has {' '.join(here)}\n"
            f"try {' '.join(map(shlex.quote, there))}"
        )


def _typed(value: Any) -> str:
    """A value as one types it."""
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _dataset(run: records.Run) -> str:
    dataset = run.config.get("dataset")
    return f"dataset={dataset.get('name')}" if isinstance(dataset, dict) else "data that it does not name"
