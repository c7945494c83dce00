"""Starting weights from elsewhere: torchvision's, a file's, or those of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from labrunner.deep import classifiers, published, run_weights, weight_files
from labrunner.deep.fitting import put
from labrunner.errors import RequestError
from labrunner.helping import nearest
from labrunner.learner import ANY, Origin, Wants

DRAWN = "none"
IMAGENET = "imagenet"


@dataclass(frozen=True)
class Choice:
    """Which weights a model starts from.

    Attributes
    ----------
    asked : model.weights as one types it
    used : none, imagenet, or the path of a run folder or a file
    passed : of a list, what stands in front and is not at hand
    """

    asked: str
    used: str
    passed: tuple[str, ...] = ()

    @property
    def is_drawn(self) -> bool:
        return self.used == DRAWN

    @property
    def path(self) -> Path:
        return Path(self.used).expanduser()


def choose(model: Mapping[str, Any]) -> Choice:
    """Which weights a composed `model` group starts from; of a list the first that is at hand.

    Raises
    ------
    RequestError
        when none is at hand, a path leads nowhere, or torchvision has no weights of such a model.
    """
    weights = model.get("weights", DRAWN)
    if isinstance(weights, str):
        if weights == IMAGENET:
            architecture(model)
        elif weights != DRAWN and not _exists(weights):
            raise RequestError(f"model.weights={weights}: there is no such file or run folder{_meant(weights)}")
        return Choice(weights, weights)
    asked = f"[{','.join(weights)}]"
    for place, each in enumerate(weights):
        if _is_at_hand(each, model):
            return Choice(asked, each, tuple(weights[:place]))
    fetch = f": {published.command(architecture(model))}" if IMAGENET in weights else ""
    raise RequestError(
        f"model.weights={asked}: nothing of this is at hand\nadd none at its end, or get what it names{fetch}"
    )


def _is_at_hand(weights: str, model: Mapping[str, Any]) -> bool:
    if weights == IMAGENET:
        return published.at_hand(published.file_of(architecture(model)))
    return weights == DRAWN or _exists(weights)


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # a name that is too long, or no home
        return False


def _meant(weights: str) -> str:
    close = nearest(weights, (DRAWN, IMAGENET))
    return f"; did you mean model.weights={close}?" if close else "; it takes none, imagenet, or a path"


def architecture(model: Mapping[str, Any]) -> str:
    """The architecture of which torchvision has weights."""
    arch = classifiers.architecture(model)
    if arch is None:
        raise RequestError(
            f"model.weights=imagenet: torchvision has no weights of {classifiers.called(model)}; "
            "try model=shufflenet_v2_x1_0, or the folder of a run"
        )
    return arch


def wants(model: Mapping[str, Any]) -> Wants:
    """What the starting weights want images to be: what they were trained with, as far as it is known.

    A file does not say. For a network of torchvision's it is taken to be as torchvision's own weights want it.

    Raises
    ------
    RequestError
        as `choose`, and when the folder of a run does not say it, or belongs to another model.
    """
    arch, choice = classifiers.architecture(model), choose(model)
    if not choice.is_drawn and choice.used != IMAGENET and choice.path.is_dir():
        return run_weights.wants(choice.path, model)
    if arch is None:
        return ANY
    return Wants(channels=3) if choice.is_drawn else published.wants(arch)


def load(network: nn.Module, model: Mapping[str, Any]) -> Origin | None:
    """Put the starting weights of a composed `model` group into its network; a head of another size stays as drawn.

    Returns
    -------
    Where they are from; None where they were to be drawn. ``used`` is none where the rest of a list was not at hand.

    Raises
    ------
    RequestError
        as `choose`, and when they cannot be read, downloaded, or do not fit.
    """
    choice = choose(model)
    passed = f"{', '.join(choice.passed)} not at hand: " if choice.passed else ""
    if choice.is_drawn:
        remark = f"warning: model.weights={choice.asked}: {passed}the weights are drawn at random"
        return Origin(choice.asked, DRAWN, "", (remark,)) if passed else None
    where, called = f"model.weights={choice.used}", classifiers.called(model)
    if choice.used == IMAGENET:
        arch = architecture(model)
        content, sha256 = published.read(arch)
        given = weight_files.decode(content, False, where)
        said = f"torchvision's weights of ImageNet, {published.file_of(arch).path.name}"
    elif choice.path.is_dir():
        given, sha256, said = run_weights.read(choice.path, model)
    else:
        try:
            content = choice.path.read_bytes()
        except OSError as error:
            raise RequestError(f"{where} cannot be read: {error.strerror}") from error
        given, sha256 = (
            weight_files.decode(content, choice.path.suffix == ".safetensors", where),
            hashlib.sha256(content).hexdigest(),
        )
        said = f"weights of {choice.used}"
        if isinstance(network, classifiers.Classifier):
            said += ", with images prepared as for torchvision's weights of ImageNet"
    remarks = put(network, given, where, called)
    return Origin(choice.asked, choice.used, sha256, (f"model.weights: {passed}{said}", *remarks))
