"""The commands that make a run or a sweep once more: those that made it, for another folder than theirs.

A folder that is there is refused, so a command that names it could not be repeated as it stands.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from labrunner.report.origin import Shown

PLACE = re.compile(r"\+{0,2}hydra\.(run|sweep)\.(dir|subdir)=")
CHANGE = re.compile(r"(epochs|threads|device)=")  # what bears on numbers, of what a resume may change
AGAIN = "again"  # the folder of a run that is resumed, which two commands have to name


def anew(command: object, source: str) -> Shown:
    """A command without where its folder was; as it stands where it names none or no shell could read it."""
    words = _words(command)
    kept = [word for word in words if not PLACE.match(word)]
    return Shown(str(command), source) if kept == words else Shown(shlex.join(kept), f"{source} anew")


def of_run(command: object, resumed: Sequence[object]) -> list[Shown]:
    """The commands of a run. If it went on with other settings they are several, and each names the same new folder.

    A resume that only finished what had been interrupted changed no number, and is left out.
    """
    began = anew(command, "environment.json#command")
    said = [(_words(each), f"environment.json#resumed/{at}/command") for at, each in enumerate(resumed, start=1)]
    changed = [(words, source) for words, source in said if any(CHANGE.match(word) for word in words)]
    if not changed:
        return [began]
    first = shlex.join([*_words(began.text), f"hydra.run.dir={AGAIN}"])
    return [
        Shown(first, "environment.json#command anew in again"),
        *(Shown(shlex.join(_renamed(words)), f"{source} anew in again") for words, source in changed),
    ]


def _renamed(words: Sequence[str]) -> list[str]:
    """``labrunner resume`` with `AGAIN` in place of the run: what is no flag, no value of one and no setting."""
    pairs = zip(words[2:], words[1:], strict=False)
    is_kept = (word.startswith("-") or "=" in word or before == "--config-dir" for word, before in pairs)
    return [*words[:2], *(word if kept else AGAIN for word, kept in zip(words[2:], is_kept, strict=True))]


def _words(command: object) -> list[str]:
    try:
        return shlex.split(str(command))
    except ValueError:  # a stranger's file says anything
        return []
