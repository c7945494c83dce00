"""``labrunner plan …``: what the same command without ``plan`` would make, and what that takes. Writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.compose import Composed
from labrunner.errors import RequestError
from labrunner.verbs.printing import show
from labrunner.verbs.tables import aligned
from labrunner.verbs.train import asked_for

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.compose.sweeps import SweepPlan
    from labrunner.planning import Cost


def main(arguments: Arguments) -> int:
    if arguments.words:
        raise RequestError(
            f"plan takes what a run or a sweep takes, as -m optim.lr=0.1,1, and not {arguments.words[0]}"
        )
    asked = asked_for(arguments, "plan")
    if isinstance(asked, Composed):
        plan_run(asked)
    else:
        plan_sweep(asked)
    return 0


def plan_run(composed: Composed) -> None:
    from labrunner.build import describe
    from labrunner.records import refuse_used

    refuse_used(composed.run_dir)
    describe(composed.config)
    from labrunner.machine import cores
    from labrunner.planning import Costs, wall_seconds

    cost = Costs().of(composed.config)
    choices = composed.choices
    show(f"one run: {choices['model']} on {choices['dataset']}, {composed.config['epochs']} epochs")
    show(f"  {in_all([cost], wall_seconds([cost], 1, cores()))}")
    show_decoding([cost])
    if cost.why is not None:
        show(f"  not told: {cost.why}")
    show(f"  in {composed.run_dir}")


def plan_sweep(plan: SweepPlan) -> None:
    from labrunner.comparison import values_text
    from labrunner.machine import cores
    from labrunner.sweeping import OVER, place
    from labrunner.verbs.sweeps import check_data

    check_data(plan)
    placed = place(plan, plan.sweep_dir)
    from labrunner.planning import Cost, Costs, wall_seconds

    costs, rows, left = Costs(), [], []
    for member in placed.sweep.members:
        composed = placed.planned[member.number].composed
        cost = Cost(None, None, why="it waits for the first run") if composed is None else costs.of(composed.config)
        over = member.status in OVER
        if not over:
            left.append(cost)
        rows.append([str(member.number), *values(plan, member.values), member.status, *cells(cost, over)])
    header = ["number", *plan.keys, "status", "time", "disk"]
    show("\n".join(aligned(header, rows, left=("status",))))
    show("")
    folders = {run.number: number for number, run in placed.planned.items()}
    for dropped, position in plan.dropped:
        number = folders[position]
        show(f"left out: {values_text(dropped)} is the same as run {number}")
    done = len(rows) - len(left)
    before = f" ({done} of {len(rows)} are there already)" if done else ""
    show(f"{len(left)} runs to make{before}, {plan.config['jobs']} at a time, in {plan.sweep_dir}")
    if left:
        show(f"  {in_all(left, wall_seconds(left, plan.config['jobs'], cores()))}")
        show_decoding(left)
    for why in dict.fromkeys(cost.why for cost in left if cost.why is not None):
        show(f"  not told of every run: {why}")


def show_decoding(costs: list[Cost]) -> None:
    """What comes before the runs, and is in none of their numbers."""
    for dataset, images, size in dict.fromkeys(cost.decoding for cost in costs if cost.decoding is not None):
        into = f", into {size_text(size)} of disk" if size else ""
        show(f"  before that, {images:,} images of dataset={dataset} are decoded{into}")


def values(plan: SweepPlan, of: dict[str, Any]) -> list[str]:
    from labrunner.comparison import as_typed

    return [as_typed(of[key]) if key in of else "-" for key in plan.keys]


def cells(cost: Cost, over: bool) -> list[str]:
    from labrunner.running import duration

    if over or cost.seconds is None or cost.size is None:
        return ["-", "-"]
    return [duration(cost.seconds), size_text(cost.size)]


def in_all(costs: list[Cost], seconds: float | None) -> str:
    """Time and disk of several runs in words."""
    from labrunner.running import duration

    sizes = [cost.size for cost in costs]
    known = [size for size in sizes if size is not None]
    disk = f"about {size_text(sum(known))} of disk" if len(known) == len(sizes) else "disk not told"
    free = free_bytes(Path.cwd())
    room = f", of {size_text(free)} that are free" if free is not None else ""
    return f"{'time not told' if seconds is None else f'about {duration(seconds)}'}, {disk}{room}"


def free_bytes(folder: Path) -> int | None:
    import shutil

    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def size_text(size: float) -> str:
    """Bytes in the unit that people use."""
    for unit, bound in (("kB", 1e6), ("MB", 1e9)):
        if size < bound:
            return f"{size / (bound / 1e3):.3g} {unit}"
    return f"{size / 1e9:.3g} GB"
