"""What a request would take, before it is made: seconds and bytes of each run. Trains nothing and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from labrunner.errors import LabrunnerError
from labrunner.machine import arithmetic
from labrunner.own import name_of
from labrunner.running import Shared, prepare, refuse_download

if TYPE_CHECKING:
    from labrunner.features import Ahead

CHECKPOINTS = 3  # the last two epochs and the best
NUMBER_BYTES = 19  # of a float in a CSV, with its comma
ROW_BYTES = 300  # an epoch's rows in metrics.csv, timing.csv and probes
OTHER_BYTES = 40_000  # config, log, summary, per class, samples
DRAWN_BYTES = {"all": 1_500_000, "few": 350_000, "none": 30_000}  # figures, and the report with them inside
DRAWING = {"all": 2.0, "few": 0.6, "none": 0.1}  # seconds of a processor, beside the next run
OVERHEAD = 0.2  # seconds of a run beside its passes: set-up, test split, files
IMPORTS = 5.0  # seconds of a process before its first run

# what does not change how long a run takes
ALIKE = ("seed", "figures", "jobs", "fail_fast", "monitor", "select", "schedule", "init")


class Decoding(NamedTuple):
    """Images that are decoded before the first of the runs that share them."""

    dataset: str
    images: int
    size: int  # bytes in the cache


@dataclass(frozen=True)
class Cost:
    """What a run will take, about."""

    seconds: float | None  # None where it cannot be told: `why`
    size: float | None  # bytes
    threads: int = 1
    drawing: float = 0.0  # seconds of a processor
    why: str | None = None
    decoding: Decoding | None = None  # what is in none of these numbers


@dataclass
class Costs:
    """Tells what runs cost; those that compute alike are looked at once.

    Features of a frozen backbone that are not there yet are counted once, for the first of the runs that share them.
    """

    shared: Shared = field(default_factory=Shared)
    _known: dict[str, tuple[Cost, Ahead]] = field(default_factory=dict)
    _computed: set[str] = field(default_factory=set)

    def of(self, config: Mapping[str, Any]) -> Cost:
        """The cost of one run, from its own learner and a few of its batches."""
        counted = {key: value for key, value in config.items() if key not in ALIKE}
        counted["optim"] = {key: value for key, value in config["optim"].items() if key in ("name", "_target_")}
        alike = json.dumps(counted, sort_keys=True, default=str)
        if alike not in self._known:
            self._known[alike] = self._look(dict(config))
        cost, ahead = self._known[alike]
        features = of_features(config)
        if features in self._computed or cost.seconds is None or cost.size is None:
            return cost
        self._computed.add(features)
        return replace(cost, seconds=cost.seconds + ahead.seconds, size=cost.size + ahead.size)

    def _look(self, config: dict[str, Any]) -> tuple[Cost, Ahead]:
        from labrunner.features import Ahead, ahead, rehearsed
        from labrunner.trainer import estimate

        try:
            refuse_download(config)
            # a plan reads names of image files, and no file
            ready = prepare({**config, "dataset": {**config["dataset"], "listed": True}}, self.shared)
            with arithmetic(ready.threads):
                seconds = estimate(ready.learner, rehearsed(ready.data), ready.plan.epochs) + OVERHEAD
                missing = ahead(ready.data)
        except LabrunnerError as error:
            return Cost(None, None, why=str(error).splitlines()[0]), Ahead()
        state = sum(array.nbytes for array in ready.learner.state().values())
        test = ready.data.test
        predictions = 0 if test is None else len(test) * (3 + ready.data.description.num_classes) * NUMBER_BYTES
        rows = ready.plan.epochs * ROW_BYTES
        drawn = DRAWN_BYTES[config["figures"]]
        size = min(CHECKPOINTS, ready.plan.epochs) * state + predictions + rows + OTHER_BYTES + drawn
        samples, decoding = ready.data.samples, None
        if samples.listed:
            decoding = Decoding(name_of(config["dataset"]), len(samples.labels), samples.inputs.nbytes)
            if config.get("cache") is None:
                decoding = decoding._replace(size=0)
        return Cost(seconds, size, ready.threads, DRAWING[config["figures"]], decoding=decoding), missing


def of_features(config: Mapping[str, Any]) -> str:
    """What the features of a frozen backbone depend on, as far as a config tells."""
    keys = ["model", "dataset", "precision", "device", "cache"]
    if config["model"].get("weights", "none") == "none":  # weights that are drawn
        keys += ["seed", "init"]
    return json.dumps({key: config.get(key) for key in keys}, sort_keys=True, default=str)


def wall_seconds(costs: Sequence[Cost], jobs: int, cores: int) -> float | None:
    """How long the runs take together, `jobs` at a time as far as the cores allow; None where one cannot be told.

    One process draws, beside the runs as long as a core is free.
    """
    seconds = [cost.seconds for cost in costs]
    if any(each is None for each in seconds) or not costs:
        return None
    at_once = max(1, min([jobs, len(costs), *(cores // max(1, cost.threads) for cost in costs)]))
    known = [each for each in seconds if each is not None]
    drawing = sum(cost.drawing for cost in costs)
    work = sum(each * cost.threads for each, cost in zip(known, costs, strict=True)) + drawing
    return IMPORTS + max(sum(known) / at_once, max(known), drawing, work / cores)
