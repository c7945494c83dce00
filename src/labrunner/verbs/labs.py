"""``labrunner labs [NAME]``: the labs of the course in their order; of one, what it shows and what it checks."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from labrunner import numerals, relations
from labrunner.errors import RequestError
from labrunner.helping import Catalogue, Option, nearest
from labrunner.labs import LABS, Lab
from labrunner.verbs.printing import show

if TYPE_CHECKING:
    from labrunner.cli import Arguments

GAP = "  "
LEAST = 30  # columns that a description keeps, however narrow the terminal


def main(arguments: Arguments) -> int:
    if arguments.overrides:
        raise RequestError(
            f"labs takes the name of a lab, as in labrunner labs metrics, and not {arguments.overrides[0]}"
        )
    known = Catalogue()
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if not arguments.words:
        show("\n".join(course(known, room)))
        return 0
    show("\n\n".join("\n".join(one(option_of(word, known), LABS[word], room)) for word in arguments.words))
    return 0


def course(known: Catalogue, room: int | None) -> list[str]:
    """A line for each lab, and how to run one."""
    rows = [(name, duration(lab.seconds), meaning(known.option("experiment", name))) for name, lab in LABS.items()]
    widths = [max(len(row[at]) for row in (*rows, ("lab", "takes", ""))) for at in (0, 1)]
    lines = [f"{'lab':<{widths[0]}}{GAP}{'takes':>{widths[1]}}{GAP}what it shows"]
    for name, takes, shows in rows:
        head = f"{name:<{widths[0]}}{GAP}{takes:>{widths[1]}}{GAP}"
        lines += hanging(head, shows, room)
    lines += ["", f"all {len(LABS)} take {duration(sum(lab.seconds for lab in LABS.values()))} on two cores"]
    name = next(iter(LABS))
    return [*lines, f"to run one: labrunner experiment={name}", f"to look at one first: labrunner labs {name}"]


def one(option: Option, lab: Lab, room: int | None) -> list[str]:
    """What a lab shows, how to run it, and its checks."""
    lines = hanging("", f"{option.name}: {option.meaning}", room)
    lines += [f"  to run it  labrunner experiment={option.name}", f"  takes      {duration(lab.seconds)} on two cores"]
    checks = checks_of(option)
    lines.append("  checks" if checks else "  no checks yet")
    for check in checks:
        lines += hanging("    ", in_words(check), room)
    return lines


def option_of(name: str, known: Catalogue) -> Option:
    option = known.option("experiment", name) if name in LABS else None
    if option is None:
        close = nearest(name, LABS)
        hint = f"; did you mean {close}?" if close else ""
        raise RequestError(f"there is no lab {name}{hint}\nlabrunner labs lists them all")
    return option


def meaning(option: Option | None) -> str:
    return "" if option is None else option.meaning


def checks_of(option: Option) -> list[relations.Check]:
    """What the YAML of a lab expects."""
    import yaml

    said = yaml.load(option.text, Loader=numerals.loader())
    return relations.parse(said.get("checks", []))


def in_words(check: relations.Check) -> str:
    """``gradients agree: gradients_apart <= 1e-12``."""
    relation, within = relations.RELATIONS[check.relation], f" ± {check.within:g}" if check.within else ""
    text = f"{check.found} {relation} {check.expected}{within}"
    return f"{check.name.replace('_', ' ')}: {text}"


def hanging(head: str, text: str, room: int | None) -> list[str]:
    """Text behind a head, wrapped beside it in a terminal; whole where it goes into a pipe."""
    if room is None:
        return [(head + text).rstrip()]
    wrapped = textwrap.wrap(text, max(LEAST, room - len(head)), break_on_hyphens=False) or [""]
    return [(head + wrapped[0]).rstrip(), *(" " * len(head) + line for line in wrapped[1:])]


def duration(seconds: int) -> str:
    """``20 s``, ``3 min``."""
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"
