"""What one should know of a run before it begins, of its starting weights and of what will train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labrunner.learner import Learner


def of(config: Mapping[str, Any], learner: Learner, epochs: int) -> list[str]:
    """The remarks on a run of so many epochs, whose learner is as it starts."""
    origin = learner.origin
    found = [] if origin is None else list(origin.remarks)
    if origin is None or origin.used == "none":
        found += _random_features(config, learner)
    return found + _out_of_reach(config, learner, epochs)


def _random_features(config: Mapping[str, Any], learner: Learner) -> list[str]:
    """A backbone that stands still, with weights that nothing has been learned by."""
    model, strategy = config["model"], config["freeze"]["name"]
    *backbone, _ = learner.stages().values()
    frozen, parameters = learner.frozen(1), learner.parameters()
    names = [name for stage in backbone for name in stage if name in parameters]
    if "_target_" in model or not names or not frozen.issuperset(names):
        return []
    weights = model.get("weights")
    because = ", as model.weights=none says" if weights == "none" else ""
    way_out = "" if weights is None else "; try model.weights=…, of a run or a file"
    return [
        f"warning: freeze={strategy}: the backbone's weights are drawn at random{because}, "
        f"and stand still from the first epoch on{way_out}"
    ]


def _out_of_reach(config: Mapping[str, Any], learner: Learner, epochs: int) -> list[str]:
    """Changes of what trains that come after the last epoch."""
    options = config["freeze"]
    if config["smoke"]:  # is cut on purpose
        return []
    last = 1
    if options["name"] == "gradual":
        last = 1 + options["every"] * (len(learner.stages()) - 1)
    elif options["name"] == "patterns":
        last = max(entry["epoch"] for entry in options["train"])
    following = next((e for e in range(epochs + 1, last + 1) if learner.frozen(e) != learner.frozen(epochs)), None)
    if following is None:
        return []
    key = "freeze.every" if options["name"] == "gradual" else "freeze.train"
    return [
        f"warning: freeze={options['name']} changes what trains in epoch {following}, "
        f"which epochs={epochs} never reaches; try epochs={last}, or another {key}"
    ]
