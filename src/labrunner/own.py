"""Code of the user's own, by its dotted name: ``my_models.TinyNet`` is the class in my_models.py of the current folder.

Imported here and nowhere else. Whether a saved config may name it is asked before (`labrunner.trust`).
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from labrunner.errors import RequestError

GROUPS = ("model", "dataset", "optim")  # whose options may name code


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
        raise RequestError(f"{where}: {target}: importing {module_name} raised {said(error)}") from error
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


def said(error: BaseException) -> str:
    """The first line of an error, with its kind."""
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
