"""``labrunner new model tiny``: a small working example of one's own, its YAML and its test, in the current folder."""

from __future__ import annotations

import difflib
import keyword
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from labrunner.errors import RequestError
from labrunner.helping import Catalogue, is_checkout, own_folders
from labrunner.records.names import is_probed
from labrunner.verbs.printing import one_line, show

if TYPE_CHECKING:
    from labrunner.cli import Arguments

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"  # NAME and CLASS stand there for what they will be called
USED = ("np", "Arrays")  # in the data set's file, beside the function of the name that is asked for
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


class Kind(NamedTuple):
    """What can be made."""

    group: str  # of its YAML
    module: str | None  # what its Python file is; None where it has none
    yaml: str  # what its YAML is
    first: str  # the command that uses it


KINDS = {
    "model": Kind("model", "the network", "its keys", "labrunner model=NAME"),
    "dataset": Kind("dataset", "the function that makes the samples", "its keys", "labrunner dataset=NAME"),
    "optimizer": Kind("optim", "the optimizer", "its keys", "labrunner optim=NAME"),
    "probe": Kind(
        "experiment", "the probe", "an experiment that asks for it, with a check", "labrunner experiment=NAME"
    ),
    "experiment": Kind("experiment", None, "the experiment: a sweep, with checks", "labrunner experiment=NAME"),
}


def main(arguments: Arguments) -> int:
    kind, name = asked_for(arguments)
    known = Catalogue(own_folders(None))
    refuse_name(kind, name, known)
    files = files_of(kind, name)
    there = [path for path in files if os.path.lexists(path)]
    if there:
        raise RequestError(f"{there[0]} is there already, and nothing is written over; choose another name")
    write_together(files)
    tell(kind, name, files)
    return 0


def asked_for(arguments: Arguments) -> tuple[str, str]:
    """The kind and the name that were typed."""
    kinds = f"{', '.join(list(KINDS)[:-1])} or {list(KINDS)[-1]}"
    if arguments.overrides:
        raise RequestError(f"new takes no {arguments.overrides[0]}; the keys of what it makes stand in a file then")
    if arguments.config_dir is not None:
        raise RequestError("new writes into ./conf, which is found without --config-dir; leave that out")
    if not arguments.words or arguments.words[0] not in KINDS:
        said = "new" if not arguments.words else f"new {one_line(arguments.words[0])}"
        close = difflib.get_close_matches(arguments.words[0] if arguments.words else "", KINDS, n=1, cutoff=0.5)
        hint = f"\ndid you mean {close[0]}?" if close else ""
        raise RequestError(f"{said}: it makes a {kinds}: labrunner new model tiny{hint}")
    kind, *names = arguments.words
    if len(names) != 1:
        example = "tiny" if kind == "model" else "mine"
        raise RequestError(f"new {kind} takes one name: labrunner new {kind} {example}")
    return kind, names[0]


def refuse_name(kind: str, name: str, known: Catalogue) -> None:
    """Refuse a name that a file, a class, or an option cannot have, or that another one has."""
    group = KINDS[kind].group
    if not WORD.fullmatch(name):
        word = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_0123456789") or "mine"
        raise RequestError(
            f"{one_line(name)} is no name for Python and YAML: letters, digits and _, a letter first\n"
            f"try labrunner new {kind} {word}"
        )
    if keyword.iskeyword(name) or keyword.iskeyword(class_name(name)) or not is_text(name):
        raise RequestError(f"{name} means something else in Python or YAML; try labrunner new {kind} my_{name}")
    if kind == "probe" and is_probed(name):
        raise RequestError(f"probes/{name}.csv is a file that labrunner writes; try labrunner new probe my_{name}")
    if kind == "dataset" and name in USED:
        raise RequestError(f"{name} is a name that the example uses itself; try labrunner new dataset my_{name}")
    options = known.clashes(group, name)
    if options:
        whose = "labrunner's own" if options[0].shipped else "yours already"
        raise RequestError(f"{group}={name} is {whose} ({options[0].path}); choose another name")
    here = Path.cwd()
    if is_checkout(here / "conf"):
        raise RequestError(f"{here} is labrunner's own source; start in a folder of yours: mkdir my_lab; cd my_lab")
    module = f"my_{name}"
    spec = PathFinder.find_spec(module, [entry for entry in sys.path if entry not in ("", str(here))])
    if spec is not None:
        raise RequestError(f"there is a module {module} already ({spec.origin}), which would come first; another name?")


def is_text(name: str) -> bool:
    """Whether YAML and Hydra read a word as text; true, on and nan are none."""
    import yaml

    return isinstance(yaml.safe_load(name), str) and name.lower() not in ("nan", "inf", "infinity", "null")


def class_name(name: str) -> str:
    """``dead_units`` -> ``DeadUnits``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def files_of(kind: str, name: str) -> dict[Path, str]:
    """The files of an example under the name that it is to have: path from the current folder -> text."""
    places = {
        "py": Path(f"my_{name}.py"),
        "yaml": Path("conf", KINDS[kind].group, f"{name}.yaml"),
        "test": Path("tests", f"test_{name}.py"),
    }
    examples = {"py": f"{kind}.py.txt", "yaml": f"{kind}.yaml.txt", "test": f"{kind}_test.py.txt"}
    if KINDS[kind].module is None:
        del places["py"]
    return {path: filled((EXAMPLES / examples[part]).read_text("utf-8"), name) for part, path in places.items()}


def filled(text: str, name: str) -> str:
    return text.replace("CLASS", class_name(name)).replace("NAME", name)


def write_together(files: Mapping[Path, str]) -> None:
    """Write new files, all of them or none.

    Raises
    ------
    RequestError
        when one cannot be written.
    """
    written: list[Path] = []
    made: list[Path] = []
    try:
        for path, text in files.items():
            try:
                for folder in reversed([each for each in path.parents if not each.exists()]):
                    folder.mkdir()
                    made.append(folder)
                with open(path, "xb") as file:
                    written.append(path)
                    file.write(text.encode())
            except OSError as error:
                raise RequestError(f"cannot write {path}: {error.strerror or error}; nothing was made") from None
    except BaseException:
        for path in written:
            with suppress(OSError):
                path.unlink()
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        raise


def tell(kind: str, name: str, files: Mapping[Path, str]) -> None:
    """What was made, and what to type next."""
    what = KINDS[kind]
    meanings = {".py": what.module, ".yaml": what.yaml}
    width = max(len(str(path)) for path in files) + 2
    show(f"{kind} {name} is made:")
    for path in files:
        meaning = "its test" if path.parts[0] == "tests" else meanings[path.suffix]
        show(f"  {path!s:<{width}}{meaning}")
    first = filled(what.first, name)
    group, _, option = first.removeprefix("labrunner ").partition("=")
    rows = {
        first: "it works as it is; then change it",
        f"labrunner explain {group}={option}": "what its comments say",
        f"python -m pytest tests/test_{name}.py": "whether it still does what it should",
    }
    width = max(map(len, rows)) + 2
    show("next:")
    for command, meaning in rows.items():
        show(f"  {command:<{width}}{meaning}")
