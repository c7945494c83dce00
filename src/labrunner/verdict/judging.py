"""From the runs of a sweep or a comparison to what can be said between them: rows of verdict.csv or mcnemar.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from labrunner import comparison
from labrunner.flips import Flips, find_flips
from labrunner.records import Member, Sweep, SweepFolder
from labrunner.told import Sentence
from labrunner.verdict.statistics import LEAST, LEVEL, Paired, holm, mcnemar, paired, pairs, seeds_needed

VERDICT, MCNEMAR = "verdict.csv", "mcnemar.csv"


class Pair(NamedTuple):
    """Two settings over the seeds that both have: a row of verdict.csv. None where a number is not defined."""

    a: str  # the one that stands higher by validation
    b: str
    metric: str
    n: int  # common seeds
    mean_a: float  # over these
    mean_b: float
    difference: float  # mean of a - b, seed by seed
    sd: float  # of the differences, divided by n - 1
    low: float | None  # 95% t interval of the mean difference, cut off where none can be larger; from three seeds on
    high: float | None
    p: float | None  # paired t test, two-sided
    p_holm: float | None  # corrected for all pairs that have one
    decided: bool
    seeds_needed: float | None  # for 80% power, should difference and spread be as they were seen


class RunPair(NamedTuple):
    """Two runs on the test samples that both predicted: a row of mcnemar.csv."""

    run_a: int  # the one that stands higher in the table
    run_b: int
    a: str  # their values
    b: str
    n: int  # test samples
    only_a: int  # of these, right in a alone
    only_b: int
    difference: float  # of the accuracies, a - b
    p: float  # McNemar's exact test, two-sided
    p_holm: float
    decided: bool


@dataclass(frozen=True)
class Judgement:
    """What can be said between runs, and of which not and why. Either `pairs` or `run_pairs`, or neither."""

    metric: str | None = None
    pairs: list[Pair] = field(default_factory=list)
    run_pairs: list[RunPair] = field(default_factory=list)
    remarks: list[Sentence] = field(default_factory=list)
    why_not: str = ""  # why there is nothing, where that is worth a word
    best: str | int | None = None  # the setting, or run, at the head by validation, if it was held against others
    data_vary: bool = False  # whether seeds have other samples or splits, too


@dataclass
class Setting:
    """Runs that differ in their seed alone."""

    name: str
    keys: list[str]
    done: dict[Any, Member] = field(default_factory=dict)  # seed -> its run
    diverged: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)  # numbers of those that failed, or are not over


def judge(sweep: Sweep, rows: Sequence[Mapping[str, Any]] | None = None, flips: Flips | None = None) -> Judgement:
    """What the runs of a sweep, or a comparison, say of each other.

    Runs are grouped by all keys but ``seed``. Where two such settings share two seeds or more, each pair is judged by
    the paired t test over its common seeds, from three on; where there is one run of each, each pair of runs of the
    same splits by McNemar's exact test on the test samples. Both are corrected for all pairs after Holm, and not only
    for those of the best: which one is best was seen in the same numbers.

    The metric is the accuracy on the test split, where all runs have one: neither the epoch of a run nor the order of
    the settings was chosen by it. Otherwise it is that of validation, and without one the monitored column.

    Parameters
    ----------
    rows : those of `comparison.table`, where they have been read already
    flips : those of `find_flips` of all runs that have begun, where they are known
    """
    rows = comparison.table(sweep) if rows is None else rows
    rivals = sweep.without_first
    configs = {member.number: comparison.config_of(run) for member, run in rivals.runs}
    if any(config.get("smoke") for config in configs.values()):
        return Judgement(why_not="smoke=true cuts runs short: there is nothing to judge")
    remarks: list[Sentence] = []
    settings = settings_of(sweep, rows, configs, remarks)
    members = [member for setting in settings for member in setting.done.values()]
    metric = metric_of(rows, {member.number for member in members}, sweep.monitor)
    if metric == sweep.monitor and metric.endswith("_loss"):
        kinds = {comparison.loss_of(configs[member.number]) for member in members}
        if len(kinds) > 1:
            return Judgement(remarks=remarks, why_not="the losses are of different kinds, and there is no accuracy")
    if why := too_few(settings, len(members)):
        return Judgement(remarks=remarks, why_not=why)
    if len(members) < 2:
        return Judgement(remarks=remarks)
    if any(len(setting.done) > 1 for setting in settings) and len(settings) > 1:
        return over_seeds(settings, rows, metric, sweep.monitor, configs, remarks)
    if len(settings) == 1 and len(members) > 2:
        return Judgement(remarks=remarks, why_not="all runs have one setting: there are none to judge between")
    return on_samples(sweep, rows, members, configs, remarks, flips)


def too_few(settings: Sequence[Setting], done: int) -> str:
    """Why several runs have nothing to be held against; the remarks tell what became of the others."""
    made = sum(len(each.done) + len(each.diverged) + len(each.left) for each in settings)
    if made < 2:
        return ""  # nobody asked
    if not done:
        return "no run is done"
    if len(settings) > 1 and sum(bool(each.done) for each in settings) == 1:
        return f"only one setting has {'a run that is' if done == 1 else 'runs that are'} done"
    return "only one run is done" if done == 1 else ""


def metric_of(rows: Sequence[Mapping[str, Any]], numbers: set[int], monitor: str) -> str:
    """The first of test accuracy, validation accuracy and monitor that all these runs have."""
    asked = [row for row in rows if row["number"] in numbers]
    for name in ("test_accuracy", "val_accuracy"):
        if all(row[name] is not None for row in asked):
            return name
    return monitor


def settings_of(
    sweep: Sweep,
    rows: Sequence[Mapping[str, Any]],
    configs: Mapping[int, Mapping[str, Any]],
    remarks: list[Sentence],
) -> list[Setting]:
    """The runs by setting, the best by validation first; of what is in no pair, `remarks` gets a sentence."""
    statuses = {row["number"]: row["status"] for row in rows}
    settings: dict[str, Setting] = {}
    repeats: list[int] = []
    for member in sweep.without_first.members:
        values = {key: value for key, value in member.values.items() if key != "seed"}
        known_by = repr(sorted(values.items()))  # a value may be a list
        setting = settings.setdefault(known_by, Setting(comparison.values_text(values), list(values)))
        status, config = statuses[member.number], configs.get(member.number)
        if status == "diverged":
            setting.diverged.append(member.number)
        elif status != "done" or not config:
            setting.left.append(member.number)
        else:
            seed = repr(member.values.get("seed", config.get("seed")))
            if seed in setting.done:
                repeats.append(member.number)
            else:
                setting.done[seed] = member
    found = list(settings.values())
    for setting in found:
        if setting.diverged:
            rest = "what is said of that setting is of the seeds that did not" if setting.done else "it is in no pair"
            its = comparison.values_told(sweep, setting.diverged[0], setting.keys)
            whose: Sentence = [" (", *its, ")"] if its else []
            remarks.append([*comparison.runs_told(sweep, setting.diverged), *whose, f" diverged: {rest}"])
    if left := [number for setting in found for number in setting.left]:
        remarks.append(
            [*comparison.runs_told(sweep, left), f" {'is' if len(left) == 1 else 'are'} not done, and in no pair"]
        )
    if repeats:
        remarks.append(
            [*comparison.runs_told(sweep, repeats), " made once more what another run has made, and in no pair"]
        )
    return sorted(found, key=lambda setting: rank(setting, sweep.monitor))


def rank(setting: Setting, monitor: str) -> tuple[bool, float]:
    """By which settings are sorted, as in the table over seeds."""
    values = [comparison.monitored_value(member, monitor) for member in setting.done.values()]
    mean, _ = comparison.mean_and_sd([value for value in values if value is not None])
    return comparison.standing(len(setting.done), mean, monitor)


# over seeds


def over_seeds(
    settings: Sequence[Setting],
    rows: Sequence[Mapping[str, Any]],
    metric: str,
    monitor: str,
    configs: Mapping[int, Mapping[str, Any]],
    remarks: list[Sentence],
) -> Judgement:
    seeds = sorted({seed for setting in settings for seed in setting.done})
    values = np.full((len(settings), len(seeds)), np.nan)
    at = {row["number"]: row for row in rows}
    data = [
        {seed: samples_of(member, configs[member.number]) for seed, member in setting.done.items()}
        for setting in settings
    ]
    for index, setting in enumerate(settings):
        for seed, member in setting.done.items():
            row = at[member.number]
            value = row[metric] if metric in row else comparison.monitored_value(member, monitor)
            values[index, seeds.index(seed)] = np.nan if value is None else value
    first, second = pairs(len(settings))
    kept = np.array(
        [
            all(data[a][seed] == data[b][seed] for seed in data[a].keys() & data[b].keys())
            for a, b in zip(first, second, strict=True)
        ]
    )
    found = paired(values, kept, most=np.inf if metric.endswith("_loss") else 1.0)
    needed = seeds_needed(found.mean, found.sd, found.n, tests=int((found.n >= LEAST).sum()))
    made = [
        _pair(settings[a].name, settings[b].name, metric, values[[a, b]], found, needed, column)
        for column, (a, b) in enumerate(zip(first, second, strict=True))
        if found.n[column] >= 2
    ]
    others = [
        settings[index].name
        for index in range(len(settings))
        if settings[index].done and not (found.n[(first == index) | (second == index)] >= 2).any()
    ]
    if not kept.all():
        remarks.append(["settings of different samples or splits are not held against each other"])
    elif made and others:
        remarks.append(["settings that share fewer than two seeds with every other are in no pair"])
    why = "" if made else "no two settings of the same samples and splits have two seeds in common"
    if made and not metric.startswith("test_"):
        remarks.append([f"not all runs have a test accuracy: {metric} it is, which epochs or settings are chosen by"])
    vary = any(len(set(each.values())) > 1 for each in data)
    best = settings[0].name if made and made[0].a == settings[0].name and kept.all() else None
    return Judgement(metric, made, [], remarks, why, best, vary)


def _pair(a: str, b: str, metric: str, values: np.ndarray, found: Paired, needed: np.ndarray, column: int) -> Pair:
    common = values[:, np.isfinite(values).all(axis=0)]
    p_holm = _known(found.p_holm[column])
    return Pair(
        a=a,
        b=b,
        metric=metric,
        n=int(found.n[column]),
        mean_a=float(common[0].mean()),
        mean_b=float(common[1].mean()),
        difference=float(found.mean[column]),
        sd=float(found.sd[column]),
        low=_known(found.low[column]),
        high=_known(found.high[column]),
        p=_known(found.p[column]),
        p_holm=p_holm,
        decided=p_holm is not None and p_holm <= LEVEL,
        seeds_needed=None if np.isnan(needed[column]) else float(needed[column]),
    )


def _known(value: Any) -> float | None:
    return float(value) if value == value else None


def samples_of(member: Member, config: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a run's samples and their splits are known by."""
    assert member.run is not None
    flat = comparison.flat(config)
    return comparison.data_of(member.run), *(repr(flat.get(key)) for key in comparison.SPLIT)


# on test samples


def on_samples(
    sweep: Sweep,
    rows: Sequence[Mapping[str, Any]],
    members: Sequence[Member],
    configs: Mapping[int, Mapping[str, Any]],
    remarks: list[Sentence],
    flips: Flips | None,
) -> Judgement:
    begun = [member.number for member, _ in sweep.runs]
    if flips is None:
        flips = find_flips([run for _, run in sweep.runs], by_sample=False)
    names = {member.number: comparison.values_text(member.values) for member in members}
    order = [row["number"] for row in rows if row["number"] in names]
    # networks that were trained on other samples differ in these, whatever test samples happen to be in both splits
    data = {member.number: samples_of(member, configs[member.number]) for member in members}
    alike = [(a, b) for place, a in enumerate(order) for b in order[place + 1 :] if data[a] == data[b]]
    if not alike:
        return Judgement(remarks=remarks, why_not="one seed each, and no two runs are of the same samples and splits")
    compared = [
        (a, b, begun.index(a), begun.index(b)) for a, b in alike if flips.shared[begun.index(a)][begun.index(b)]
    ]
    if not compared:
        return Judgement(remarks=remarks, why_not="one seed each, and no two runs have predicted the same test samples")
    if len(set(data.values())) > 1:
        remarks.append(["runs of different samples or splits are not held against each other"])
    shared = np.array([flips.shared[i][j] for *_, i, j in compared])
    only_a = np.array([flips.lost[i][j] for *_, i, j in compared])
    only_b = np.array([flips.lost[j][i] for *_, i, j in compared])
    p = mcnemar(only_a, only_b)
    p_holm = holm(p)
    made = [
        RunPair(
            run_a=a,
            run_b=b,
            a=names[a],
            b=names[b],
            n=int(shared[at]),
            only_a=int(only_a[at]),
            only_b=int(only_b[at]),
            difference=float((only_a[at] - only_b[at]) / shared[at]),
            p=float(p[at]),
            p_holm=float(p_holm[at]),
            decided=bool(p_holm[at] <= LEVEL),
        )
        for at, (a, b, *_) in enumerate(compared)
    ]
    best = order[0] if len([pair for pair in made if pair.run_a == order[0]]) == len(order) - 1 else None
    return Judgement("test_accuracy", [], made, remarks, "", best)


# files


def tables(judgement: Judgement) -> dict[str, tuple[Sequence[str], list[list[Any]]] | None]:
    """Header and rows of verdict.csv and mcnemar.csv; None for one that there is not."""
    return {
        VERDICT: (Pair._fields, _cells(judgement.pairs)) if judgement.pairs else None,
        MCNEMAR: (RunPair._fields, _cells(judgement.run_pairs)) if judgement.run_pairs else None,
    }


def _cells(pairs: Sequence[Pair | RunPair]) -> list[list[Any]]:
    counts = ("seeds_needed",)  # a count beyond counting is blank, as one that is not known
    return [
        [
            str(value).lower()
            if isinstance(value, bool)
            else int(value)
            if name in counts and value is not None and value != float("inf")
            else value
            for name, value in zip(pair._fields, pair, strict=True)
        ]
        for pair in pairs
    ]


def renew(folder: SweepFolder, sweep: Sweep) -> Judgement:
    """Write the table of a sweep, or a comparison, and the verdict as its runs are now, and return the latter.

    A comparison whose runs are not all there any more keeps what was written while they were.
    """
    rows = comparison.table(sweep)
    judgement = judge(sweep, rows)
    header, lines = comparison.lines(sweep, rows)
    if sweep.is_comparison:
        if len(sweep.runs) < len(sweep.members):
            return judgement
        paths = {member.number: str(member.path) for member in sweep.members}
        header = [*header, "folder"]
        lines = [[*line, paths[row["number"]]] for line, row in zip(lines, rows, strict=True)]
    folder.write_csv("comparison.csv" if sweep.is_comparison else "sweep.csv", header, lines)
    write(folder, judgement)
    return judgement


def write(folder: SweepFolder, judgement: Judgement) -> None:
    """Write verdict.csv or mcnemar.csv; one of earlier runs, which there is no longer, goes."""
    for name, table in tables(judgement).items():
        if table is None:
            (folder.path / name).unlink(missing_ok=True)
        else:
            folder.write_csv(name, *table)
