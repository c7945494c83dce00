"""Code of the user's own, by its dotted name: ``my_models.TinyNet`` is the class in my_models.py of the current folder.

Imported here and nowhere else. Whether a saved config may name it is asked before (`labrunner.trust`).
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labrunner.errors import RequestError

GROUPS = ("model", "dataset", "optim")  # whose options may name code
TRACEBACK = "LABRUNNER_DEBUG=1 shows the traceback"
WHERE = "in "  # how a note begins that says in what part of a run an error was raised
LONGEST = 40  # letters of an argument in a message
KINDS = {  # of values in YAML
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a mapping",
}


def is_dotted(text: Any) -> bool:
    """Whether a text can name something in a module: ``my_probes.DeadUnits``."""
    return isinstance(text, str) and "." in text and all(part.isidentifier() for part in text.split("."))


def targets(config: Mapping[str, Any]) -> dict[str, str]:
    """What a config names of the user's own code: where it says so -> dotted name."""
    found = {}
    for group in GROUPS:
        section = config.get(group)
        if isinstance(section, Mapping) and "_target_" in section:
            found[f"{group}._target_"] = str(section["_target_"])
    return found | {f"probes[{name}]": name for name in probes(config.get("probes"))}


def probes(listed: Any) -> list[str]:
    """Those of listed probes that are the user's own; dotted ones, whatever else stands there."""
    return [name for name in listed if is_dotted(name)] if isinstance(listed, list) else []


def name_of(section: Any) -> str:
    """What the chosen option of a group is called in messages and files: of one's own, the class or function."""
    if not isinstance(section, Mapping):
        return "?"
    return str(section["name"]) if "name" in section else str(section.get("_target_", "?")).rpartition(".")[2]


def files_of(names: Iterable[str]) -> list[Path]:
    """The files of dotted names, as far as they are imported; each once."""
    modules = (sys.modules.get(name.rpartition(".")[0]) for name in names)
    files = [Path(file) for module in modules if (file := getattr(module, "__file__", None)) is not None]
    return list(dict.fromkeys(files))


def named(target: str, makes: str, where: str = "_target_") -> Callable[..., Any]:
    """The class or function of a dotted name; imports its module.

    Parameters
    ----------
    target : ``module.Name``; the current folder comes last on the import path
    makes : what it is there for, as "a model"
    where : what names it, for messages

    Raises
    ------
    RequestError
        when there is no such module or name in it, or its import fails.
    """
    module_name, _, name = target.rpartition(".")
    if not module_name:
        raise RequestError(f"{where}: {target} names no module; write file.ClassName, as in my_models.TinyNet")
    here = str(Path.cwd())
    if here not in sys.path:  # a console script has no current folder on its path
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise RequestError(
                f"{where}: {target}: there is no module {module_name}\n"
                f"start labrunner in the folder that holds {module_name.partition('.')[0]}.py (this is {here})"
            ) from None
        raise RequestError(f"{where}: {target}: {module_name} imports {error.name}, which is not installed") from error
    except (Exception, SystemExit) as error:
        raise RequestError(f"{where}: {target}: importing {module_name} raised {said(error)}\n{TRACEBACK}") from error
    if not hasattr(module, name):
        own = Path(here, f"{module_name.partition('.')[0]}.py")
        if own.is_file() and Path(getattr(module, "__file__", None) or "") != own:
            raise RequestError(
                f"{where}: {target}: the name {module_name} belongs to another module, which comes before {own}\n"
                "give your file a name of its own"
            )
        close = difflib.get_close_matches(name, [word for word in vars(module) if not word.startswith("_")], n=1)
        hint = f"; did you mean {module_name}.{close[0]}?" if close else ""
        raise RequestError(f"{where}: {module_name} has no {name}{hint}")
    found = getattr(module, name)
    if not callable(found):
        raise RequestError(
            f"{where}: {target} is of type {type(found).__name__}, and no class or function that makes {makes}"
        )
    return found


# what its errors say


def said(error: BaseException) -> str:
    """The first line of an error with its kind, behind the line of the user's code that it came from, if it did.

    ``my_tiny.py:14 in forward: RuntimeError: mat1 and mat2 shapes cannot be multiplied``
    """
    line = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
    found = place(error)
    return f"{found}: {line}" if found else line


def place(error: BaseException) -> str:
    """The innermost line of the user's code that an error passed through: ``my_tiny.py:14 in forward``; or nothing."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file, function = shown(frame.f_code.co_filename), frame.f_code.co_name
        if file is not None:
            found = f"{file}:{line}" if function == "<module>" else f"{file}:{line} in {function}"
    if isinstance(error, SyntaxError) and error.filename is not None:  # of a file that never began to run
        file = shown(error.filename)
        found = found if file is None else f"{file}:{error.lineno}"
    return found


@functools.lru_cache(maxsize=1000)
def shown(file: str) -> str | None:
    """A file of the user's, from the current folder where it is below that; None of one that somebody installed."""
    path = Path(file)
    if not path.is_absolute():
        return None  # <frozen importlib>, <string>
    installed = [Path(__file__).resolve().parent, *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib"))]
    if any(path.is_relative_to(folder) for folder in installed) or {"site-packages", "dist-packages"} & {*path.parts}:
        return None
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


@contextmanager
def during(part: Callable[[], str]) -> Iterator[None]:
    """What is raised inside bears a note on the part of the run: ``training, epoch 2, step 57``."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if part_of(error) is None:
            error.add_note(WHERE + part())
        raise


def part_of(error: BaseException) -> str | None:
    """The part of a run in which an error was raised, where `during` has noted it."""
    notes = getattr(error, "__notes__", [])
    return next((note.removeprefix(WHERE) for note in notes if note.startswith(WHERE)), None)


def failure(error: BaseException) -> str:
    """One line on an error that ends a run: the part of the run, the line of the user's code, the error."""
    part = part_of(error)
    return said(error) if part is None else f"{part}: {said(error)}"


# what it is called with


def called(arguments: Mapping[str, Any]) -> str:
    """Arguments for a message: ``width=64, dropout=0.0``."""
    texts = (f"{name}={value}" for name, value in arguments.items())
    return ", ".join(text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in texts)


def misfit(function: Callable[..., Any], section: str, arguments: Mapping[str, Any]) -> str:
    """A line on the first argument of another kind than its parameter is, by annotation or default; else nothing.

    For a message on a call that failed: a function may well take more than its defaults show.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # it is written in C
        return ""
    for name, value in arguments.items():
        parameter = parameters.get(name)
        wanted = None if parameter is None else kind_of(parameter)
        given = type(value)
        if wanted is None or value is None or given is wanted or (wanted is float and given is int):
            continue
        default = parameter.default  # type: ignore[union-attr]
        example = "" if default in (None, parameter.empty) else f", as {default!r}"  # type: ignore[union-attr]
        return f"\n{section}.{name}={value} is {KINDS.get(given, given.__name__)}; it takes {KINDS[wanted]}{example}"
    return ""


def kind_of(parameter: inspect.Parameter) -> type | None:
    """The kind of YAML's values that a parameter takes, where it says so."""
    said, default = parameter.annotation, parameter.default
    named = {kind.__name__: kind for kind in KINDS}
    if said is not parameter.empty:
        return named.get(said if isinstance(said, str) else getattr(said, "__name__", ""))
    found = list if isinstance(default, tuple) else type(default)
    return found if found in KINDS else None
