"""``labrunner fetch dataset=…``: download a data set ahead of a lab without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labrunner.compose import compose
from labrunner.errors import RequestError
from labrunner.helping import Catalogue, own_folders
from labrunner.verbs.printing import say, show

if TYPE_CHECKING:
    from labrunner.cli import Arguments


def main(arguments: Arguments) -> int:
    if arguments.words:
        raise RequestError(f"fetch takes overrides, as in dataset=cifar10, and not {arguments.words[0]}")
    composed = compose(arguments.overrides, Catalogue(own_folders(arguments.config_dir)))
    from labrunner.data import vision

    options = composed.config["dataset"]
    if options.get("name") not in vision.NAMES:
        show(f"dataset={composed.choices['dataset']}: nothing needs to be fetched")
        return 0
    fetched = vision.fetch(options, say)
    where = ", ".join(dict.fromkeys(str(file.path.parent) for file in vision.files(options)))
    show(f"dataset={options['name']} is {'now' if fetched else 'already'} in {where}")
    return 0
