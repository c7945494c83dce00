"""``labrunner summary model=… dataset=…``: the model's table, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labrunner.compose import compose
from labrunner.errors import RequestError
from labrunner.helping import Catalogue, own_folders
from labrunner.schema import epochs_of
from labrunner.verbs.printing import show

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.learner import Learner


def main(arguments: Arguments) -> int:
    if arguments.words:
        raise RequestError(f"summary takes overrides, as in model=cnn dataset=mnist5k, and not {arguments.words[0]}")
    composed = compose(arguments.overrides, Catalogue(own_folders(arguments.config_dir)))
    from labrunner.build import with_learner

    _, description, learner = with_learner(composed.config)
    shape = " x ".join(str(size) for size in description.shape)
    show(f"{composed.choices['model']} for {description.name}: {shape} inputs, {description.num_classes} classes")
    show(learner.summary())
    for line in by_epoch(learner, epochs_of(composed.config)):
        show(line)
    show(f"{learner.work:,} multiply-adds a sample in a forward pass (linear and convolutional layers)")
    return 0


def by_epoch(learner: Learner, epochs: int) -> list[str]:
    """A line for each part of a run in which the same parameters train; none where that never changes."""
    starts = [1, *(epoch for epoch in learner.turns() if epoch <= epochs)]
    if len(starts) < 2:
        return []
    sizes = {name: size for name, (size, _) in learner.parameters().items()}
    lines = []
    for first, following in zip(starts, [*starts[1:], epochs + 1], strict=True):
        when = f"epoch {first}" if following == first + 1 else f"epochs {first} to {following - 1}"
        frozen = learner.frozen(first)
        trains = sum(size for name, size in sizes.items() if name not in frozen)
        lines.append(f"  {when}: {trains:,} parameters train")
    return lines
