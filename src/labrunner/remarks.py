"""What one should know of a run before it begins, of its starting weights and of what will train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labrunner import schema
from labrunner.data import in_train
from labrunner.errors import some
from labrunner.own import name_of

if TYPE_CHECKING:
    from labrunner.data import Data
    from labrunner.learner import Learner

LEAKED = 0.05  # of the samples of a split
FEW = 4  # samples that a network of the user's is tried on: enough for batch norm, and no more than is needed
ROUNDING = 1e-3  # of a sum of probabilities; bf16 has three digits
SPLITS = {"val": "validation", "test": "test"}


def all_of(config: Mapping[str, Any], data: Data, learner: Learner, epochs: int) -> list[str]:
    """All remarks on a run of so many epochs, whose learner is as it starts."""
    return [*of(config, learner, epochs), *of_splits(data), *of_classes(data), *of_scores(config, data, learner)]


def of(config: Mapping[str, Any], learner: Learner, epochs: int) -> list[str]:
    """The remarks on a run of so many epochs, whose learner is as it starts."""
    origin = learner.origin
    found = [] if origin is None else list(origin.remarks)
    if origin is None or origin.used == "none":
        found += _random_features(config, learner)
    return found + _out_of_reach(config, learner, epochs)


def of_classes(data: Data) -> list[str]:
    """Which classes nothing can be learned of, since no sample is of them."""
    description, labels = data.description, data.samples.labels
    if description.soft:
        return []
    there = set(np.unique(labels).tolist())
    missing = [name for number, name in enumerate(description.class_names) if number not in there]
    if not missing:
        return []
    which = f"class {missing[0]} has" if len(missing) == 1 else f"classes {some(missing, 5)} have"
    return [f"warning: {which} no sample in dataset={description.name}, and no model can learn what that is"]


def of_scores(config: Mapping[str, Any], data: Data, learner: Learner) -> list[str]:
    """Whether a network of the user's gives out probabilities, of which the loss would take the softmax once more."""
    model = config["model"]
    if "_target_" not in model:
        return []
    scores = learner.scores(data.train.at(np.arange(min(FEW, len(data.train)))).inputs)
    values = np.array(scores.tolist())  # (N, K)
    sums_to_one = np.abs(values.sum(axis=1) - 1.0) < ROUNDING
    if values.min() < 0.0 or not sums_to_one.all():
        return []
    return [
        f"warning: the scores of {name_of(model)} sum to 1 for every sample, as behind a softmax: the loss takes the "
        "softmax itself, and of a second one it learns slowly; leave yours out of forward"
    ]


def of_splits(data: Data) -> list[str]:
    """What is in validation or test and is trained on as well, where that is more than an odd copy."""
    found = []
    for name, count in in_train(data).items():
        samples = len(data.val if name == "val" else data.test)  # type: ignore[arg-type]  # it has some
        if count > LEAKED * samples:
            found.append(
                f"warning: {count} of {samples} {SPLITS[name]} samples are training samples as well: "
                f"{SPLITS[name]} will tell what is known by heart"
            )
    return found


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
    known = "imagenet" if model["name"] in schema.TORCHVISION else "…, of a run or a file"
    way_out = "" if weights is None else f"; try model.weights={known}"
    turns = learner.turns()
    how_long = f"until epoch {turns[0]}" if turns else "from the first epoch on"
    return [
        f"warning: freeze={strategy}: the backbone's weights are drawn at random{because}, "
        f"and stand still {how_long}{way_out}"
    ]


def _out_of_reach(config: Mapping[str, Any], learner: Learner, epochs: int) -> list[str]:
    """Changes of what trains that come after the last epoch."""
    options = config["freeze"]
    found = learner.turns()
    following = next((epoch for epoch in found if epoch > epochs), None)
    if config["smoke"] or following is None:  # a smoke run is cut on purpose
        return []
    way_out = f"epochs={found[-1]}"
    if options["name"] == "patterns":
        way_out += " or another freeze.train"
    elif options["name"] == "gradual":
        steps = (found[-1] - 1) // options["every"]  # until all that may train does
        way_out += f" or freeze.every={(epochs - 1) // steps}" if steps < epochs else ""
    return [
        f"warning: freeze={options['name']} changes what trains in epoch {following}, "
        f"which epochs={epochs} never reaches; try {way_out}"
    ]
