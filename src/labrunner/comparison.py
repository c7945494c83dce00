"""What several runs say beside each other: one table, its rows folded over seeds, what differs, what to beware of.

Pure functions of run folders. A sweep calls `table` after each of its runs, so nothing here imports pandas. A folder
may be a stranger's: what is no ordinary file, or too large to be ours, is not opened.
"""

from __future__ import annotations

import csv
import math
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labrunner.errors import RequestError
from labrunner.helping import GROUPS
from labrunner.records import MISSING, MONITORS, Member, Row, Run, Sweep, read_rows
from labrunner.records.names import odd
from labrunner.records.sweep import COMPARISON, SWEEP, relative
from labrunner.schema import NOT_COMPUTED
from labrunner.selection import chosen, finished, monitored
from labrunner.told import Sentence, Told, listed

VAL = ("val_loss", "val_accuracy", "val_f1", "val_auroc")
TEST = ("test_accuracy", "test_f1", "test_auroc")
NUMBERS = ("best_epoch", *VAL, *TEST, "seconds")

RANKS = ("done", "diverged", "failed", "interrupted", "running", MISSING)  # the table's order where no value decides
SPLIT = ("dataset.split_seed", "dataset.val_fraction", "dataset.test_fraction", "dataset.classes")
MOST_NAMED = 6  # runs in a sentence
REACHES = 0.95  # the share of the best validation accuracy that the automatic threshold asks for


# the table


def columns(sweep: Sweep) -> list[str]:
    """The header of ``sweep.csv``."""
    return ["number", "status", *sweep.keys, *numbers(sweep)]


def numbers(sweep: Sweep) -> list[str]:
    """Its columns of numbers; the monitored metric is one of them, whichever it is."""
    first, *others = NUMBERS
    return [first, *([] if sweep.monitor in NUMBERS else [sweep.monitor]), *others]


def table(sweep: Sweep) -> list[dict[str, Any]]:
    """A row per member under the names of `columns`: numbers, or None where there is none.

    The validation metrics are those of the chosen epoch. A diverged run shows its best finite epoch and no test
    metrics; a run that is not over, or failed, has no metrics. Sorted by ``sweep.monitor`` at the chosen epoch, best
    first, ties by number; runs that are not done come after those that are. A damaged folder gives the row that can
    be read from it.
    """
    return [row for _, row in sorted((_row(sweep, member) for member in sweep.members), key=lambda pair: pair[0])]


def lines(sweep: Sweep, rows: Sequence[Mapping[str, Any]] | None = None) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of ``sweep.csv``: those of `table`, the values of swept keys as they are typed.

    A key that a run does not have is None, as a metric is that there is not; a value of None is ``null``. `rows` are
    those of `table`, where they have been read already.
    """
    names = columns(sweep)
    values = {member.number: member.values for member in sweep.members}
    return names, [
        [as_typed(row[name]) if name in values[row["number"]] else row[name] for name in names]
        for row in (table(sweep) if rows is None else rows)
    ]


def _row(sweep: Sweep, member: Member) -> tuple[tuple[int, float, int], dict[str, Any]]:
    """What a member's row is sorted by, and the row."""
    status = status_of(member)
    row: dict[str, Any] = {"number": member.number, "status": status}
    row |= {key: member.values.get(key) for key in sweep.keys}
    row |= dict.fromkeys(numbers(sweep))
    value = None
    if member.run is not None:
        row["seconds"] = seconds(member.run)
        best = chosen_row(member.run, sweep.monitor) if status in ("done", "diverged") else None
        if best is not None:
            row["best_epoch"] = best["epoch"]
            row |= {name: _number(best[name]) for name in numbers(sweep) if name in best}
            value = monitored(best, sweep.monitor)
        if status == "done":
            row |= tested(member.run)
    rank = RANKS.index(status)
    return (rank, math.inf if value is None or rank else value, member.number), row


def status_of(member: Member) -> str:
    """A member's status; a damaged ``status.json`` reads as interrupted."""
    if member.run is not None and odd(member.path / "status.json"):
        return "interrupted"
    status = member.status
    return status if isinstance(status, str) and status in RANKS else "interrupted"


def chosen_row(run: Run, monitor: str = "val_loss") -> Row | None:
    """The row of metrics.csv that was, or would be, tested; None before the first epoch, or where the file is damaged.

    `monitor` stands in for that of a config which cannot be read.
    """
    rows, config = row_list(run), config_of(run)
    said = config.get("monitor")
    best = chosen(rows, said if said in MONITORS else monitor, config.get("select", "best"))
    return None if best is None else next(row for row in rows if row["epoch"] == best.epoch)


def monitored_value(member: Member, monitor: str) -> float | None:
    """What the table is sorted by: the monitored metric at the chosen epoch, of a run that is done."""
    best = chosen_row(member.run, monitor) if member.run is not None and status_of(member) == "done" else None
    return None if best is None else _number(best[monitor])


def tested(run: Run) -> dict[str, float | None]:
    """``test_accuracy``, ``test_f1`` and ``test_auroc``; None where the run did not look at a test split."""
    test = {} if odd(run.path / "test.json") else run.test or {}
    return {name: _number(test.get(name.removeprefix("test_"))) for name in TEST}


def seconds(run: Run) -> float | None:
    """What its epochs took together; None before the first."""
    import numpy as np

    path = run.path / "timing.csv"
    if odd(path):
        return None
    try:
        took = [row["seconds"] for row in read_rows(path)]
    except (OSError, ValueError, KeyError, csv.Error):
        return None
    known = [value for value in took if value is not None]
    return _number(float(np.sum(known))) if known else None


def row_list(run: Run) -> list[Row]:
    """`Run.row_list`, empty where metrics.csv is damaged or gone."""
    if odd(run.path / "metrics.csv"):
        return []
    try:
        rows = run.row_list
    except (OSError, RequestError):
        return []
    return [] if any(row["epoch"] is None for row in rows) else rows


def config_of(run: Run) -> dict[str, Any]:
    """`Run.config`, empty where it cannot be read."""
    if odd(run.path / "config.yaml"):
        return {}
    try:
        return run.config
    except RequestError:
        return {}


def _number(value: Any) -> float | None:
    # a whole number of a JSON file may be larger than any float
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return float(value) if good else None


# seeds folded away


def folded(
    rows: Sequence[Mapping[str, Any]], keys: Sequence[str], columns: Sequence[str] = NUMBERS
) -> list[dict[str, Any]]:
    """The rows of `table` with ``seed`` folded away: one for each combination of the other keys.

    Each has those keys, ``n`` (runs that are done), ``diverged`` (runs that are that), and for each of `columns` the
    mean as ``<column>`` and the sample standard deviation as ``<column>_sd``, over the done runs that have a value;
    None where there is none, or one alone. In the order in which the combinations come up by number.
    """
    others = [key for key in keys if key != "seed"]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["number"]):
        groups.setdefault(repr([row[key] for key in others]), []).append(row)  # a value may be a list
    return [_folded(group, others, columns) for group in groups.values()]


def _folded(group: Sequence[Mapping[str, Any]], keys: Sequence[str], columns: Sequence[str]) -> dict[str, Any]:
    done = [row for row in group if row["status"] == "done"]
    row = {key: group[0][key] for key in keys}
    row |= {"n": len(done), "diverged": sum(each["status"] == "diverged" for each in group)}
    for column in columns:
        values = [each[column] for each in done if each[column] is not None]
        row[column], row[f"{column}_sd"] = mean_and_sd(values)
    return row


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The mean, and the sample standard deviation (divided by n - 1); None where there is none.

    Both are computed in fractions and rounded once: the deviation of equal values is zero and no rounding noise, and
    the square of a loss that exploded does not overflow.
    """
    if not values:
        return None, None
    mean = float(statistics.mean(map(float, values)))
    return mean, float(statistics.stdev(map(float, values))) if len(values) > 1 else None


def over_seeds(sweep: Sweep, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a sweep's rivals `folded` over ``seed``, the best first; none where no two runs fold."""
    if "seed" not in sweep.keys:
        return []
    rivals = {member.number for member in sweep.without_first.members}
    groups = folded([row for row in rows if row["number"] in rivals], sweep.keys, numbers(sweep))
    groups.sort(key=lambda group: standing(group["n"], group.get(sweep.monitor), sweep.monitor))
    return groups if any(group["n"] > 1 for group in groups) else []


def standing(n: int, mean: float | None, monitor: str) -> tuple[bool, float]:
    """What settings are sorted by: the mean of the monitored metric over n seeds, the best least.

    Settings of several seeds come before those of one, whose number is luck as well; those without any come last.
    """
    if mean is None:
        return True, math.inf
    return n < 2, mean if monitor.endswith("_loss") else -mean


def best_of(sweep: Sweep, rows: Sequence[Mapping[str, Any]]) -> tuple[Member, Mapping[str, Any]] | None:
    """The run at the head of the table, if it is done and there is something to be best in: see `why_no_best`.

    The run that the others start from is none of them.
    """
    if why_no_best(sweep):
        return None
    members = {member.number: member for member in sweep.without_first.members}
    row = next((row for row in rows if row["number"] in members), None)
    if row is None or row["status"] != "done":
        return None
    member = members[row["number"]]
    return None if monitored_value(member, sweep.monitor) is None else (member, row)


def best_over_seeds(sweep: Sweep, groups: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of `over_seeds` the setting of several seeds with the best mean; None where there is nothing to be best in."""
    ranked = [group for group in groups if group["n"] > 1 and group.get(sweep.monitor) is not None]
    return ranked[0] if ranked and len(groups) > 1 and not why_no_best(sweep) else None


def why_no_best(sweep: Sweep) -> str:
    """Why the order of a table makes no run, or setting, the best; empty where it does.

    A difference between numbers of other samples, or of losses of another kind, says nothing of the models.
    """
    rivals = sweep.without_first
    configs = [(member, config) for member, run in rivals.runs if (config := config_of(run))]
    if len(data_sets(rivals)) > 1 or splits(configs):
        return "their numbers are not of the same samples: a difference is no comparison of models"
    if sweep.monitor.endswith("_loss") and len({loss_of(config) for _, config in configs}) > 1:
        return "their losses are of different kinds"
    return ""


# how soon a run gets somewhere


def epochs_to(rows_of_metrics: Iterable[Mapping[str, Any]], column: str, threshold: float) -> int | None:
    """The first epoch whose value reaches the threshold: from above for a loss, otherwise from below; None if none."""
    for row in rows_of_metrics:
        value = row.get(column)
        if value is None or value != value:
            continue
        if value <= threshold if column.endswith("_loss") else value >= threshold:
            return int(row["epoch"])
    return None


def threshold(sweep: Sweep) -> float | None:
    """The validation accuracy that runs are timed to: the sweep's own, or 95% of the best that any of them reached.

    The latter is rounded down to two decimals; None where no run has a validation accuracy.
    """
    if sweep.threshold is not None:
        return sweep.threshold
    reached = [
        row["val_accuracy"]
        for _, run in sweep.runs
        for row in finished(row_list(run))
        if _number(row["val_accuracy"]) is not None
    ]
    # 0.95 * 0.8 is a little less than 0.76 in binary: rounded before it is cut
    return math.floor(round(REACHES * max(reached) * 100, 6)) / 100 if reached else None


# what differs


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """A config under dotted keys, the option of each group under the group's own name."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            if not above and key in GROUPS:
                values[name] = value.get("name", value.get("_target_"))
            values |= flat(value, f"{name}.")
        else:
            values[name] = value
    for group in GROUPS if not above else ():
        if group in values:  # said by the group's own name
            for key in ("name", "_target_"):
                if values.get(f"{group}.{key}") == values[group]:
                    del values[f"{group}.{key}"]
    return values


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Dotted keys whose values differ between composed configs, or which some lack; in the configs' order.

    A group whose chosen option differs stands under its own name. Of its keys, those that only some options have are
    not named for that alone. Keys that change nothing of what a run computes are left out.
    """
    tables = [flat(config) for config in configs]
    names = dict.fromkeys(name for each in tables for name in each)
    return sorted(
        (name for name in names if name not in NOT_COMPUTED and _differs(name, tables)),
        key=lambda name: _position(name, list(names)),
    )


def _position(name: str, names: Sequence[str]) -> tuple[int, int]:
    """Where a key stands in its config, with the keys of a group behind each other."""
    return next(at for at, each in enumerate(names) if each.split(".")[0] == name.split(".")[0]), names.index(name)


def _differs(name: str, tables: Sequence[Mapping[str, Any]]) -> bool:
    group = name.partition(".")[0]
    having = [each for each in tables if name in each]
    if len({repr(each[name]) for each in having}) > 1:
        return True
    lacking = [each for each in tables if name not in each]
    options = {repr(each.get(group)) for each in having}
    # an option has the keys it has; what is lacking though the option is the same was added or taken away
    return any(name == group or group not in GROUPS or repr(each.get(group)) in options for each in lacking)


def distinguishing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those of `differing` that no chosen option brings with it: what a comparison's runs are told apart by."""
    tables = [flat(config) for config in configs]
    names = differing(configs)

    def brought(name: str) -> bool:
        group = name.partition(".")[0]
        if name == group or group not in names:
            return False
        values: dict[str, set[str]] = {}
        for each in tables:
            values.setdefault(repr(each.get(group)), set()).add(repr(each.get(name)))
        return all(len(found) == 1 for found in values.values())

    return [name for name in names if not brought(name)]


def as_typed(value: Any) -> str:
    """A value as it is typed on the command line: ``0.001``, ``[64,64]``, ``true``, ``null``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(as_typed(each) for each in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{as_typed(each)}' for key, each in value.items())}}}"
    return repr(value) if isinstance(value, float) else str(value)


# what cannot be compared


def cautions(sweep: Sweep) -> list[Sentence]:
    """What of the runs that have begun cannot be held against each other; a sentence each."""
    lines: list[Sentence] = []
    configs = [(member, config_of(run)) for member, run in sweep.runs]
    known = [(member, config) for member, config in configs if config]
    if unread := [member.number for member, config in configs if not config]:
        lines.append(["the config of ", *runs_told(sweep, unread), " cannot be read: how it differs is not known"])
    if len(sets := data_sets(sweep)) > 1:
        names: dict[str, Told] = {}
        for member, config in known:
            key = "name" if "name" in _section(config, "dataset") else "_target_"
            name = str(_section(config, "dataset").get(key))
            names.setdefault(name, Told(name, f"{_folder(sweep, member)}/config.yaml#dataset/{key}"))
        told = [names[name] for name in dict.fromkeys(name for name, _ in sets) if name in names]
        what: Sentence = ["data sets (", *listed(told), ")"] if len(told) > 1 else ["samples of ", *told]
        lines.append(["the runs have different ", *what, ": their metrics are not of the same samples"])
    else:
        split = splits(known)
        if split:
            lines.append([f"the runs split their data differently ({', '.join(split)}): metrics are of other samples"])
    losses: dict[str, str | Told] = {}
    for member, config in known:
        named = _section(config, "model").get("loss") == loss_of(config)
        source = f"{_folder(sweep, member)}/config.yaml#model/loss"
        losses.setdefault(loss_of(config), Told(loss_of(config), source) if named else loss_of(config))
    if len(losses) > 1:
        kinds = listed([losses[kind] for kind in sorted(losses)])
        lines.append(["the losses are of different kinds (", *kinds, ") and cannot be compared"])
    monitors: dict[str, Told] = {}
    for member, config in known:
        name = str(config.get("monitor"))
        monitors.setdefault(name, Told(name, f"{_folder(sweep, member)}/config.yaml#monitor"))
    if len(monitors) > 1:
        told = [monitors[name] for name in sorted(monitors)]
        lines.append(["the runs chose their epochs by different metrics (", *listed(told), ")"])
    return lines


def data_sets(sweep: Sweep) -> list[tuple[str, str]]:
    """The different samples of the runs that have begun, as `data_of` knows them."""
    return list(dict.fromkeys(found for _, run in sweep.runs if (found := data_of(run)) is not None))


def splits(configs: Sequence[tuple[Member, Mapping[str, Any]]]) -> list[str]:
    """The keys by which the runs split their data differently."""
    return [key for key in differing([config for _, config in configs]) if key in SPLIT]


def notes(sweep: Sweep) -> list[Sentence]:
    """What the table of a sweep alone would let one overlook; a sentence each."""
    lines = cautions(sweep)
    rivals = sweep.without_first.members
    done = [(each.number, each.run) for each in rivals if each.run is not None and each.status == "done"]
    if last := [number for number, run in done if still_improving(run)]:
        lines.append(
            [
                *_these(sweep, last, [number for number, _ in done]),
                " best in the last epoch: more epochs may change the order",
            ]
        )
    return lines


def _these(sweep: Sweep, some: Sequence[int], done: Sequence[int]) -> Sentence:
    """``3 of 12 runs were``, of those that are done."""
    if len(done) == 1:
        return ["the run that is done was"]
    if len(some) == len(done):
        return ["all ", count_told(sweep, done), " runs were"] if len(done) > 2 else ["both runs were"]
    return [count_told(sweep, some), " of ", count_told(sweep, done), f" runs {'was' if len(some) == 1 else 'were'}"]


def runs_told(sweep: Sweep, numbers: Sequence[int]) -> Sentence:
    """``run 3, 4``, of many the first ones."""
    pieces = [Told(str(number), f"{listing(sweep)}#runs/{at}/number") for number, at in _places(sweep, numbers).items()]
    return ["run ", *listed(pieces, MOST_NAMED)]


def count_told(sweep: Sweep, numbers: Sequence[int]) -> Told:
    """How many these runs are."""
    places = ",".join(map(str, _places(sweep, numbers).values()))
    return Told(str(len(numbers)), f"{listing(sweep)}#runs/{places}/number count")


def _places(sweep: Sweep, numbers: Sequence[int]) -> dict[int, int]:
    """Number -> place in the list of runs."""
    at = {member.number: place for place, member in enumerate(sweep.members, start=1)}
    return {number: at[number] for number in numbers}


def values_told(sweep: Sweep, number: int, keys: Sequence[str]) -> Sentence:
    """A run's values of the keys, ``optim.lr=0.1 optim=adam``."""
    place, member = next((at, each) for at, each in enumerate(sweep.members, start=1) if each.number == number)
    said: Sentence = []
    for key in keys:
        name = Told(key, f"{listing(sweep)}#keys/{sweep.keys.index(key) + 1}")
        value = Told(as_typed(member.values[key]), f"{listing(sweep)}#runs/{place}/values/{key}")
        said += [*([" "] if said else []), name, "=", value]
    return said


def listing(sweep: Sweep) -> str:
    """The file that lists a sweep's runs, or a comparison's."""
    return COMPARISON if sweep.is_comparison else SWEEP


def _folder(sweep: Sweep, member: Member) -> str:
    return relative(member.path, sweep.path)


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    return section if isinstance(section, Mapping) else {}


def still_improving(run: Run) -> bool:
    """Whether the chosen epoch is the last of all that were asked for."""
    config, rows = config_of(run), row_list(run)
    best = chosen_row(run)
    if best is None or config.get("select") != "best" or config.get("smoke"):
        return False
    return len(rows) > 1 and best["epoch"] == len(rows) == config.get("epochs")


def data_of(run: Run) -> tuple[str, str] | None:
    """A run's data set by name, and the fingerprint of its samples; None where that is not recorded."""
    dataset = config_of(run).get("dataset")
    name = dataset.get("name", dataset.get("_target_")) if isinstance(dataset, dict) else None
    fingerprint = run.environment.get("data")
    return None if fingerprint is None else (str(name), str(fingerprint))


def loss_of(config: Mapping[str, Any]) -> str:
    """What a config's ``*_loss`` columns measure."""
    model = config.get("model")
    model = model if isinstance(model, dict) else {}
    if "_target_" in model:
        return str(model.get("loss", "cross_entropy"))
    own = {"adaline": "mse", "perceptron": "the perceptron criterion"}
    return str(model.get("loss") or own.get(str(model.get("name")), "cross_entropy"))


def values_text(values: Mapping[str, Any]) -> str:
    """Swept values as they are typed: ``optim.lr=0.01 seed=0``."""
    return " ".join(f"{key}={as_typed(value)}" for key, value in values.items())
