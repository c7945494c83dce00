"""The command line's messages for a Python session: calls instead of commands, and keys that came as keywords."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labrunner.errors import RequestError

COMMAND = re.compile(r"labrunner (-m|resume) ([^\n;]+)$", re.MULTILINE)  # at the end of a line: what is to be typed


def in_python(message: str) -> str:
    """A message whose commands are calls: ``labrunner.sweep("optim.lr=0.1,0.01")`` of ``labrunner -m …``."""
    return COMMAND.sub(_call, message).replace("--trust takes", "trust=True takes")


def _call(found: re.Match[str]) -> str:
    from labrunner.records import is_sweep_folder

    try:
        words = shlex.split(found[2])
    except ValueError:  # it is no command after all
        return found[0]
    where = []
    if "--config-dir" in words[:-1]:
        at = words.index("--config-dir")
        where = [f"config_dir={_quoted(words[at + 1])}"]
        del words[at : at + 2]
    if found[1] == "-m":
        return f"labrunner.sweep({', '.join([*map(_quoted, words), *where])})"
    folder, *changes = words or [""]
    if not folder or folder.startswith("-"):
        return found[0]
    load = "load_sweep" if is_sweep_folder(Path(folder)) else "load_run"
    loaded = f"labrunner.{load}({', '.join([_quoted(folder), *where])})"
    return f"{loaded}.resume({', '.join(map(_quoted, changes))})"


def _quoted(text: str) -> str:
    return repr(text) if '"' in text or "\\" in text else f'"{text}"'


def refuse_keywords(call: str, keys: Mapping[str, Any], known: Sequence[str], several: bool = False) -> None:
    """Refuse keyword arguments that are keys of a config, and show how they are written.

    Parameters
    ----------
    call : the function
    keys : what came as keywords
    known : the keywords that it has
    several : whether a list means several values, as of a sweep

    Raises
    ------
    RequestError
    """
    from labrunner.compose.values import written
    from labrunner.schema import KEYS

    if not keys:
        return
    name = next(iter(keys))
    close = difflib.get_close_matches(name, known, n=1)
    if close and name not in KEYS:
        raise RequestError(f"{call} has no {name}=; did you mean {close[0]}=?")
    texts = []
    for key, value in keys.items():
        values = value if several and isinstance(value, (list, tuple, range)) else [value]
        texts.append(f"{key}={','.join(written(each) for each in values)}")
    raise RequestError(f"{call} takes keys as on the command line: {call}({', '.join(map(_quoted, texts))})")
