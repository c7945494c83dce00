"""Whether a folder that is graded as one student's holds a class: each folder in it is a student's of their own.

All runs below a folder count as its student's, so that a class that is taken for one student has everybody's best run.
What tells it is that several folders each hold all that an experiment asks for. One student's tries lie beside each
other as run folders, and labrunner's own folders, and those of experiments, are no students'.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from labrunner.course.submissions import Handed, Submission
from labrunner.course.verdicts import listed
from labrunner.course.wanted import Wanted

LAYOUT = ("outputs", "runs", "sweeps", "checkpoints")  # folders that labrunner makes itself


def told(
    submission: Submission,
    wanted: Sequence[Wanted],
    students: Collection[str],
    is_whole: Callable[[Wanted, Sequence[Handed]], bool],
) -> str | None:
    """What is said of a folder that looks like a class, in two lines; None of one student's.

    Parameters
    ----------
    submission : the runs of the folder
    wanted : all experiments
    students : the names that the manifest knows
    is_whole : whether some runs are all that an experiment asks for
    """
    above, groups = _groups(submission)
    names = {each.name for each in wanted}
    people = {name: runs for name, runs in groups.items() if name not in (*LAYOUT, *names)}
    known = [name for name in people if name in students]
    if len(known) > 1:
        return _said(above, known, "hold runs, and are students of the manifest")
    for each in wanted:
        whole = [name for name, runs in people.items() if is_whole(each, runs)]
        if len(whole) > 1:
            return _said(above, whole, f"each hold all that {each.name} asks for")
    return None


def _said(above: Path, names: Sequence[str], what: str) -> str:
    return (
        f"{above} looks like a class: {listed(names)} {what}; did you mean {above}/*?\n"
        f"or, if it is one student's, name the folder that counts: {above / names[0]}"
    )


def _groups(submission: Submission) -> tuple[Path, dict[str, list[Handed]]]:
    """The innermost folder with all runs in it, and the runs of each folder in that, but for run and sweep folders."""
    units = {
        handed.path: handed.path.parent if handed.path.parent in submission.sweeps else handed.path
        for handed in submission.runs
    }
    if not units:
        return submission.path, {}
    above = Path(os.path.commonpath([unit.parent for unit in units.values()]))
    groups: dict[str, list[Handed]] = {}
    for handed in submission.runs:
        inside = units[handed.path].relative_to(above).parts
        if len(inside) > 1:
            groups.setdefault(inside[0], []).append(handed)
    return above, groups
