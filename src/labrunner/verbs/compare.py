"""``labrunner compare RUN_OR_SWEEP… [figures=all|few|none]``: runs beside each other, what differs, what flipped."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import comparison, schema
from labrunner.errors import RequestError
from labrunner.flips import Flips, find_flips
from labrunner.machine import command_line
from labrunner.records import Member, Run, Sweep, SweepFolder, is_sweep_folder, load_run, load_sweep
from labrunner.told import plain
from labrunner.verbs import tables
from labrunner.verbs.places import new_place, refuse_used
from labrunner.verbs.printing import one_line, say, show
from labrunner.verbs.verdicts import print_verdict
from labrunner.verdict import judge, write

if TYPE_CHECKING:
    from labrunner.cli import Arguments

DRAWING_SECONDS = 120.0
MOST_LINES = 12  # of one kind; the files hold all
MOST_VALUES = 6  # in a line

# keys that decide which samples are validated and tested


@dataclass
class Asked:
    """The runs that were named, each once, in the order in which they were."""

    runs: list[Run] = field(default_factory=list)
    sweep: Sweep | None = None  # where one sweep is all that was named
    missing: dict[Path, int] = field(default_factory=dict)  # sweep -> its runs that have not begun


def main(arguments: Arguments) -> int:
    changes = read_changes(arguments.overrides)
    asked = find(arguments.words)
    folder = changes.get("hydra.run.dir") or new_place("comparisons")
    refuse_used(folder)
    sweep = beside_each_other(asked, folder, command_line(arguments.argv))
    runs = [run for _, run in sweep.runs]
    names = names_of(sweep)
    configs = [comparison.config_of(run) for run in runs]

    from labrunner.drawing import Drawing

    with Drawing() as drawing:
        drawing.start()  # it imports matplotlib while this process reads
        rows = comparison.table(sweep)
        differing = comparison.differing([config for config in configs if config])
        flips = find_flips(runs)
        with SweepFolder.open(folder) as comparison_folder:
            comparison_folder.write(sweep)
            write_tables(comparison_folder, sweep, rows, names, configs, differing, flips)
            judgement = judge(sweep, rows, flips)
            write(comparison_folder, judgement)
        print_table(asked, sweep, rows)
        print_verdict(judgement, tables.terminal_width())
        print_differences(sweep, configs, differing)
        print_flips(sweep, rows, names, flips)
        for line in cautions(asked, sweep):
            show(line)
        drawing.ask(folder, changes.get("figures", "all"))
        for message in drawing.finish(DRAWING_SECONDS):
            say(f"labrunner: warning: {message}")
    page = folder / tables.REPORT
    show("\n".join(["", *([f"report: {tables.folder_text(page)}"] if page.is_file() else [])]))
    show(tables.folder_text(folder))
    return 0


# what was asked for


def read_changes(overrides: Sequence[str]) -> dict[str, Any]:
    """``figures`` and ``hydra.run.dir``, the only keys that a comparison has."""
    changes: dict[str, Any] = {}
    for override in overrides:
        key, _, text = override.partition("=")
        if key == "figures":
            schema.check_value(key, schema.KEYS[key], text)
            changes[key] = text
        elif key == "hydra.run.dir":
            if not text or "${" in text:
                raise RequestError(f"{override}: it takes the folder that the comparison is written to")
            changes[key] = Path(text)
        else:
            raise RequestError(
                f"{override}: compare makes no run; beside folders of runs it takes figures=all, few or none, "
                "and hydra.run.dir"
            )
    return changes


def find(words: Sequence[str]) -> Asked:
    """The runs that the named folders stand for. Raises RequestError if they are fewer than two."""
    asked, seen = Asked(), set()
    for word in words:
        for run in runs_in(Path(word), asked.missing):
            if (real := os.path.realpath(run.path)) not in seen:
                seen.add(real)
                asked.runs.append(run)
    if len(asked.runs) < 2:
        found = f"there is only {asked.runs[0].path}" if asked.runs else "there is none"
        raise RequestError(
            f"compare takes two runs or more, and {found}\n"
            "name run folders, or a sweep's: labrunner compare outputs/runs/RUN outputs/runs/RUN"
        )
    if len({os.path.realpath(word) for word in words}) == 1 and is_sweep_folder(Path(words[0])):
        asked.sweep = load_sweep(words[0])
    return asked


def runs_in(path: Path, missing: dict[Path, int]) -> Iterator[Run]:
    """The run in a run folder; those of a sweep folder that have begun. The others are counted in `missing`."""
    if not path.exists():
        raise RequestError(f"there is no folder {path}")
    if is_sweep_folder(path):
        sweep = load_sweep(path)
        if not sweep.runs:
            raise RequestError(f"no run of the sweep in {path} has begun")
        missing[path] = len(sweep.members) - len(sweep.runs)
        for _, run in sweep.runs:
            yield load_run(run.path)
        return
    if not (path / "config.yaml").is_file() and path.is_dir():
        inside = [each for each in path.iterdir() if (each / "config.yaml").is_file() or is_sweep_folder(each)]
        if inside:
            raise RequestError(f"{path} is no run folder, but there are some in it: labrunner compare {path}/*")
    yield load_run(path)


# the comparison


def beside_each_other(asked: Asked, folder: Path, command: str) -> Sweep:
    """The runs as a comparison: of one sweep under its numbers and keys, otherwise counted, under what differs."""
    configs = [comparison.config_of(run) for run in asked.runs]
    keys = comparison.distinguishing([config for config in configs if config])
    values = [values_of(run, config, keys) for run, config in zip(asked.runs, configs, strict=True)]
    numbers = list(range(len(asked.runs)))
    if asked.sweep is not None:
        listed = {os.path.realpath(member.path): member for member in reversed(asked.sweep.members)}
        swept = [listed[os.path.realpath(run.path)] for run in asked.runs]
        keys = [*asked.sweep.keys, *(key for key in keys if key not in asked.sweep.keys)]
        numbers = [member.number for member in swept]
        values = [given | member.values for given, member in zip(values, swept, strict=True)]
    members = [
        Member(
            number=number,
            path=run.path,
            values={key: given[key] for key in keys if key in given},
            overrides=typed_in(run),
            epochs=config.get("epochs"),
        )
        for number, run, given, config in zip(numbers, asked.runs, values, configs, strict=True)
    ]
    return Sweep(
        path=folder,
        keys=keys,
        members=members,
        monitor=monitor_of([config for config in configs if config]),
        threshold=None if asked.sweep is None else asked.sweep.threshold,
        command=command,
        is_comparison=True,
    )


def values_of(run: Run, config: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """A run's values of the keys, options under the names that they were chosen by."""
    flat = comparison.flat(config)
    for group, name in run.choices.items():
        section = config.get(group)
        if isinstance(section, dict) and "name" not in section:  # a class of the user's own is called by its file
            flat[group] = name
    return {key: flat[key] for key in keys if key in flat}


def typed_in(run: Run) -> list[str]:
    typed = run.overrides.get("overrides")
    return [str(text) for text in typed] if isinstance(typed, list) else []


def monitor_of(configs: Sequence[Mapping[str, Any]]) -> str:
    """The column that orders the table: the runs' monitor, val_accuracy where they have several, or several losses."""
    monitors = {str(config.get("monitor", "val_loss")) for config in configs} or {"val_loss"}
    first = min(monitors)
    if len(monitors) > 1 or first not in schema.get_args(schema.Monitor):
        return "val_accuracy"
    return (
        "val_accuracy"
        if first.endswith("_loss") and len({comparison.loss_of(config) for config in configs}) > 1
        else first
    )


def names_of(sweep: Sweep) -> list[str]:
    """What columns call the runs: those of sweeps by their values, others by their folders; no two are the same."""
    names = short_names([member.path for member in sweep.members])
    for at, member in enumerate(sweep.members):
        if member.values and is_sweep_folder(member.path.parent):
            names[at] = comparison.values_text(member.values)
    count = Counter(names)
    return [
        f"{name} (run {member.number})" if count[name] > 1 else name
        for name, member in zip(names, sweep.members, strict=True)
    ]


def short_names(paths: Sequence[Path]) -> list[str]:
    """The paths' last parts, as few as tell them apart."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


# files


def write_tables(
    folder: SweepFolder,
    sweep: Sweep,
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    configs: Sequence[Mapping[str, Any]],
    differing: Sequence[str],
    flips: Flips,
) -> None:
    """comparison.csv, differences.csv and flips.csv."""
    columns, lines = comparison.lines(sweep, rows)
    paths = {member.number: member.path for member in sweep.members}
    folders = (str(paths[row["number"]]) for row in rows)
    folder.write_csv(
        "comparison.csv", [*columns, "folder"], ([*line, path] for line, path in zip(lines, folders, strict=True))
    )
    flat = [comparison.flat(config) for config in configs]
    folder.write_csv(
        "differences.csv",
        ["key", *names],
        ([key, *(comparison.as_typed(each[key]) if key in each else None for each in flat)] for key in differing),
    )
    folder.write_csv(
        "flips.csv",
        ["index", "label", *names],
        ([sample.index, sample.label, *sample.predicted] for sample in flips.samples),
    )


# what is printed


def print_table(asked: Asked, sweep: Sweep, rows: Sequence[Mapping[str, Any]]) -> None:
    paths = {member.number: member.path for member in sweep.members}
    folders = [tables.folder_text(paths[row["number"]]) for row in rows]
    show("\n".join(tables.table_of(sweep, rows, {"folder": folders} if asked.sweep is None else None)))
    if groups := comparison.over_seeds(sweep, rows):
        show("\n".join(["", *tables.folded_table(sweep, groups)]))
    show(f"\nin the order of {sweep.monitor} at the epoch that each run chose")
    if none := tables.no_best_text(sweep):
        show(none)


def print_differences(sweep: Sweep, configs: Sequence[Mapping[str, Any]], differing: Sequence[str]) -> None:
    """Each key that is no column of the table, with its values and the runs that have them."""
    if not differing:
        show("\ntheir configs are equal")
        return
    differing = [key for key in differing if key not in sweep.keys]
    if not differing:
        return
    show("\nwhat else differs in their configs" if sweep.keys else "\nwhat differs in their configs")
    flat = [comparison.flat(config) for config in configs]
    lines = []
    for key in differing[:MOST_LINES]:
        having: dict[str, list[str]] = {}
        for member, each, config in zip(sweep.members, flat, configs, strict=True):
            if config:
                said = comparison.as_typed(each[key]) if key in each else "(none)"
                having.setdefault(said, []).append(str(member.number))
        values = [f"{value} ({runs_text(numbers)})" for value, numbers in having.items()]
        more = [f"and {len(values) - MOST_VALUES} more"] if len(values) > MOST_VALUES else []
        lines.append(["", key, "; ".join([*values[:MOST_VALUES], *more])])
    show("\n".join(tables.aligned(["", "", ""], lines, left=[""])[1:]))
    if len(differing) > MOST_LINES:
        show(f"  and {len(differing) - MOST_LINES} more keys: differences.csv")


def runs_text(numbers: Sequence[str]) -> str:
    return f"run {', '.join(numbers)}" if len(numbers) <= MOST_VALUES else f"{len(numbers)} runs"


def print_flips(sweep: Sweep, rows: Sequence[Mapping[str, Any]], names: Sequence[str], flips: Flips) -> None:
    """The run at the head of the table against the others, test sample by test sample."""
    numbers = [member.number for member in sweep.members]
    order = [numbers.index(row["number"]) for row in rows]
    order = [at for at in order if at not in flips.without]
    if len(order) < 2:
        show("\nfewer than two runs have predictions of test samples: none to compare")
        return
    head = order[0]
    lines = [
        ["", f"run {numbers[other]}", str(flips.shared[head][other]), str(flips.lost[head][other]),
         str(flips.lost[other][head]), names[other]]
        for other in order[1:]
        if flips.shared[head][other]
    ]  # fmt: skip
    if lines:
        show(f"\ntest samples that run {numbers[head]} and another predicted, and only one has right")
        header = ["", "against", "both predicted", f"only run {numbers[head]}", "only the other", ""]
        show("\n".join(tables.aligned(header, lines[:MOST_LINES], left=[""])))
        if len(lines) > MOST_LINES:
            show(f"  and {len(lines) - MOST_LINES} more runs")
    if flips.samples:
        some = "sample that some runs have" if len(flips.samples) == 1 else "samples that some runs have"
        show(f"{len(flips.samples)} {some} right and others wrong: flips.csv")
    if flips.strangers:
        a, b = flips.strangers[0]
        more = f", nor do {len(flips.strangers) - 1} other pairs" if len(flips.strangers) > 1 else ""
        show(f"run {numbers[a]} and run {numbers[b]} share no test samples{more}")


def cautions(asked: Asked, sweep: Sweep) -> list[str]:
    """What cannot be compared, a line each."""
    lines = [one_line(plain(line)) for line in comparison.cautions(sweep)]
    for path, count in asked.missing.items():
        if count:
            lines.append(
                f"{count} {'run' if count == 1 else 'runs'} of {path} {'has' if count == 1 else 'have'} not begun"
            )
    return ["", *(f"note: {line}" for line in lines)] if lines else []
