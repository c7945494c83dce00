"""Features of a backbone that never trains: computed once, kept, and handed to the head in the place of inputs.

`cached` puts them into the splits of a run, and the trainer never knows. `splits` are those splits, `store` is where
features are kept and by whom they are computed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labrunner.data import Data
from labrunner.deep import TorchLearner
from labrunner.deep.extraction import part_size
from labrunner.deep.parting import SAMPLES, why_not
from labrunner.features.splits import Ahead, FeatureSplit, ahead, compute, rehearsed, splits_of, training_work, watched
from labrunner.features.store import Kept, Store, Watch, inputs_at
from labrunner.learner import Learner
from labrunner.machine import threads_for

__all__ = ["Ahead", "Watch", "ahead", "cached", "compute", "rehearsed", "training_work", "watched"]

MEMORY = 4.0  # GiB that features may take where the data set has no key for it


def cached(config: Mapping[str, Any], data: Data, learner: Learner, shared: dict[Any, Any]) -> Data:
    """The data as a run sees them: with features where a backbone never trains, else as they are.

    Where it never trains and features cannot be used all the same, `Data.remarks` says why.

    Parameters
    ----------
    config : the run's, checked
    data : as the learner takes them
    learner : with whatever weights; features are those of its backbone when they are asked for
    shared : keeps features for further runs of this process
    """
    options = config.get("freeze", {})
    if not options.get("cache", False) or not isinstance(learner, TorchLearner):
        return data
    if not stands_still(learner, config["epochs"]):
        return data
    why = varied(config, data) or later(learner, options) or too_large(data, learner, config["dataset"])
    own = "_target_" in config["model"]
    if why is None and own:  # of a shipped network it is known
        why = why_not(learner, inputs_at(data.train, data.train.chosen(1, 0)[:SAMPLES]))
    if why is not None:
        remark = f"the features of the backbone, which stands still, are computed anew in each epoch: {why}"
        return dataclasses.replace(data, remarks=(*data.remarks, remark))
    folder = None if config.get("cache") is None else Path(config["cache"], "features").expanduser()
    auto = threads_for(learner.work * part_size(learner))
    threads = auto if config["threads"] == "auto" else int(config["threads"])
    store = Store(learner, data, folder, shared.setdefault("features", Kept()), threads, tried=own)
    return dataclasses.replace(
        data,
        train=FeatureSplit(data.train, store),
        val=None if data.val is None else FeatureSplit(data.val, store),
        test=None if data.test is None else FeatureSplit(data.test, store),
    )


def stands_still(learner: TorchLearner, epochs: float) -> bool:
    """Whether there is a backbone with weights, and no tensor of it may change in so many epochs."""
    if learner.feature_shape is None or not any(name.startswith("backbone.") for name in learner.parameters()):
        return False
    names = {name for name in learner.network.state_dict() if name.startswith("backbone.")}
    return all(names <= learner.frozen(epoch) for epoch in (1, *learner.turns()) if epoch <= epochs)


def later(learner: TorchLearner, options: Mapping[str, Any]) -> str | None:
    """Whether the backbone would train if the run went on: one that is extended has to be the run in one piece."""
    if stands_still(learner, math.inf):
        return None
    return f"freeze={options['name']} lets it train later, and the run can be extended"


def varied(config: Mapping[str, Any], data: Data) -> str | None:
    """What gives the samples other inputs in each epoch."""
    if not data.train.is_varied:
        return None
    augment = {f"augment.{key}": value for key, value in config["augment"].items() if key not in ("name", "magnitude")}
    mixing = {f"reg.{key}": config["reg"].get(key, 0.0) for key in ("mixup", "cutmix")}
    asked = [f"{key}={value}" for key, value in {**augment, **mixing}.items() if value]
    return f"{' and '.join(asked)} {'makes' if len(asked) == 1 else 'make'} other inputs of the samples each time"


def too_large(data: Data, learner: TorchLearner, options: Mapping[str, Any]) -> str | None:
    """Why there is no room in memory for the features of all splits; None where there is."""
    most = options.get("memory", MEMORY)
    needed = learner.feature_bytes * sum(len(split) for split in splits_of(data)) / 2**30
    if needed <= most:
        return None
    limit = f"dataset.memory is {most:g}" if "memory" in options else f"{most:g} are what they may take"
    return f"they would take {needed:.1f} GiB, and {limit}"
