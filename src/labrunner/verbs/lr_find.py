"""``labrunner lr-find model=… dataset=…``: a learning-rate range test, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labrunner import schema
from labrunner.compose import Composed, compose
from labrunner.errors import RequestError
from labrunner.helping import Catalogue, own_folders
from labrunner.verbs.places import made
from labrunner.verbs.printing import say, show
from labrunner.verbs.shared import shared_for

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.probes.lr_range import Tried
    from labrunner.running import Shared

HOME = Path("outputs", "lr_find")


def main(arguments: Arguments) -> int:
    if arguments.words:
        raise RequestError(f"lr-find takes overrides, as in model=cnn optim=sgd, and not {arguments.words[0]}")
    composed = compose(arguments.overrides, Catalogue(own_folders(arguments.config_dir)))
    if composed.config["model"].get("name") == "perceptron":
        raise RequestError(f"lr-find has nothing to look for: {schema.INDIFFERENT}\ntry model=adaline or model=softmax")
    folder = place(composed)
    from labrunner.build import describe

    describe(composed.config)  # before torch is imported
    with shared_for() as shared, made(folder):
        tried = range_test(composed, shared)
        write(folder, composed, tried)
        assert shared.drawing is not None
        shared.drawing.ask(folder)
        return tell(folder, composed, tried)


def place(composed: Composed) -> Path:
    """The new folder: that of ``hydra.run.dir`` if it was given, otherwise one under outputs/lr_find.

    Raises
    ------
    RequestError
        when something is there already.
    """
    from labrunner.compose.composing import key_of
    from labrunner.records import refuse_used

    given = any(key_of(text) == "hydra.run.dir" for text in composed.overrides)
    folder = composed.run_dir if given else HOME / composed.run_dir.name
    refuse_used(folder)
    return folder


def range_test(composed: Composed, shared: Shared) -> list[Tried]:
    """The steps of the test, on the threads that a run would take."""
    from labrunner.machine import arithmetic
    from labrunner.probes import lr_range
    from labrunner.running import prepare, watched

    ready = prepare(composed.config, shared)
    with arithmetic(ready.threads), watched(ready, shared):
        return lr_range.range_test(ready.learner, ready.data.train)


def write(folder: Path, composed: Composed, tried: list[Tried]) -> None:
    from labrunner.files import atomic_write, to_csv, to_yaml
    from labrunner.probes import lr_range
    from labrunner.records.names import RANGE

    atomic_write(folder / "config.yaml", to_yaml(composed.config))
    said = {"overrides": composed.overrides, "choices": composed.choices}
    atomic_write(folder / "overrides.yaml", to_yaml(said))
    steps = ((number, *row) for number, row in enumerate(lr_range.table(tried), start=1))
    atomic_write(folder / RANGE, to_csv(["step", *lr_range.COLUMNS], steps))


def tell(folder: Path, composed: Composed, tried: list[Tried]) -> int:
    """Print what came out; returns the exit code, which is 1 where there is nothing to suggest."""
    from labrunner.probes import lr_range

    at = lr_range.suggestion(tried)
    what = f"{composed.choices.get('model', 'model')} on {composed.choices.get('dataset', 'data')}"
    if at is None:
        say(f"labrunner: warning: the loss of {what} falls at no learning rate up to {lr_range.HIGHEST:g}")
        show(f"  {folder}")
        return 1
    best = min(range(lr_range.SETTLING, len(tried)), key=lambda number: tried[number].smoothed)
    ends = "the loss exploded" if tried[-1].lr < lr_range.HIGHEST else "the last"
    show(f"{what}: {len(tried)} steps, learning rates from {lr_range.LOWEST:g} to {tried[-1].lr:.2g} ({ends})")
    show(f"  the loss falls steepest at {tried[at].lr:.2g}, and is least at {tried[best].lr:.2g}")
    show(f"  optim.lr={lr_range.rounded(tried[at].lr):g}")
    show(f"  {folder}")
    return 0
