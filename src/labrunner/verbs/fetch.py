"""``labrunner fetch dataset=… model=…``: download a data set, or weights, ahead of a lab without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labrunner import schema
from labrunner.compose import compose
from labrunner.errors import RequestError
from labrunner.helping import Catalogue, own_folders
from labrunner.verbs.printing import say, show

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.compose import Composed


def main(arguments: Arguments) -> int:
    if arguments.words:
        raise RequestError(f"fetch takes overrides, as in dataset=cifar10, and not {arguments.words[0]}")
    composed = compose(arguments.overrides, Catalogue(own_folders(arguments.config_dir)))
    from labrunner.data import remote

    is_weights = asks_for_weights(composed)
    if not is_weights or composed.config["dataset"].get("name") in remote.NAMES:
        fetch_dataset(composed)
    if is_weights:
        fetch_weights(composed)
    return 0


def asks_for_weights(composed: Composed) -> bool:
    """Whether there may be weights to fetch: torchvision has some, or the user thinks so."""
    model = composed.config["model"]
    weights = model.get("weights", [])
    return "_target_" not in model and (model["name"] in schema.TORCHVISION or weights == "imagenet")


def fetch_weights(composed: Composed) -> None:
    """torchvision's weights of a model, also where none were asked for: who fetches means these."""
    from labrunner.deep import pretrained, published

    model = composed.config["model"]
    weights = model["weights"]
    if weights != "none" and "imagenet" not in (weights if isinstance(weights, list) else [weights]):
        show(f"model.weights={weights}: nothing needs to be fetched")
        return
    arch = pretrained.architecture(model)
    fetched = published.fetch(arch, say)
    show(f"weights of {published.called(arch)} are {'now' if fetched else 'already'} in {published.file_of(arch).path}")


def fetch_dataset(composed: Composed) -> None:
    from labrunner.data import remote

    options = composed.config["dataset"]
    if options.get("name") not in remote.NAMES:
        show(f"dataset={composed.choices['dataset']}: nothing needs to be fetched")
        return
    fetched = remote.fetch(options, say)
    where = ", ".join(map(str, remote.where(options)))
    show(f"dataset={options['name']} is {'now' if fetched else 'already'} in {where}")
