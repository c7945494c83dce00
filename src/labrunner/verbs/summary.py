"""``labrunner summary model=… dataset=…``: the model's table, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labrunner.compose import compose
from labrunner.errors import RequestError
from labrunner.helping import Catalogue, own_folders
from labrunner.verbs.printing import show

if TYPE_CHECKING:
    from labrunner.cli import Arguments


def main(arguments: Arguments) -> int:
    if arguments.words:
        raise RequestError(f"summary takes overrides, as in model=cnn dataset=mnist5k, and not {arguments.words[0]}")
    composed = compose(arguments.overrides, Catalogue(own_folders(arguments.config_dir)))
    from labrunner.build import with_learner

    _, description, learner = with_learner(composed.config)
    shape = " x ".join(str(size) for size in description.shape)
    show(f"{composed.choices['model']} for {description.name}: {shape} inputs, {description.num_classes} classes")
    show(learner.summary())
    show(f"{learner.work:,} multiply-adds a sample in a forward pass (linear and convolutional layers)")
    return 0
