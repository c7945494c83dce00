"""What a saved config may name.

The config in a run folder from a stranger is data: it may choose shipped options, and name code only if that code lies
under the current folder, where the user has put it. Anything else needs ``--trust``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from labrunner.errors import RequestError
from labrunner.own import probes

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def check_saved(config: Any, here: Path, path: str = "") -> None:
    """Refuse a saved config that would execute code from elsewhere; imports nothing."""
    if isinstance(config, dict):
        for name in probes(config.get("probes")) if not path else ():
            _check_target(name, here, "probes")
        for key, value in config.items():
            if key == "_target_":
                _check_target(value, here, path or "the config")
            elif str(key).startswith("_") and str(key).endswith("_"):
                raise RequestError(
                    f"the saved config has {path}.{key}, which no run writes; --trust takes it all the same"
                )
            check_saved(value, here, f"{path}.{key}".lstrip("."))
    elif isinstance(config, list):
        for number, value in enumerate(config):
            check_saved(value, here, f"{path}[{number}]")
    elif isinstance(config, str) and "${" in config:
        raise RequestError(f"the saved config has an unresolved {path}, which no run writes")


def _check_target(target: Any, here: Path, path: str) -> None:
    if not _is_inside(str(target), here, set()):
        module = str(target).partition(".")[0]
        raise RequestError(
            f"the saved config names {target} ({path}), which no file under {here} makes\n"
            f"start labrunner in the folder that holds {module}.py; --trust takes it from wherever Python finds it"
        )


def _is_inside(target: str, here: Path, seen: set[str]) -> bool:
    """Whether a module under the current folder makes what a target names; imports nothing."""
    if target in seen:  # two files that import it from each other: an import will say so
        return True
    seen.add(target)
    module = target.partition(".")[0]
    # the top package alone is looked up: finding a module inside it would import the package
    mine = _places(module, [str(here)])
    reached = _places(module, [*sys.path, str(here)])  # as an import would: what is installed comes first
    file = _file_of(target, here)
    places = [*mine, *([] if file is None else [file.resolve()])]
    inside = bool(mine) and mine == reached and all(place.is_relative_to(here.resolve()) for place in places)
    taken = module in sys.stdlib_module_names or (module in sys.modules and not _is_at(module, mine))
    if not inside or taken:
        return False
    return file is not None and all(_is_inside(each, here, seen) for each in _imported(target, file))


def _file_of(target: str, here: Path) -> Path | None:
    """The file of the module in front of a target's last dot; None where there is none."""
    *modules, _ = target.split(".")
    if not modules or not all(map(str.isidentifier, modules)):
        return None
    stem = here.joinpath(*modules)
    try:
        return next((file for file in (stem / "__init__.py", stem.with_suffix(".py")) if file.is_file()), None)
    except OSError:  # a name that is too long
        return None


def _imported(target: str, file: Path) -> list[str]:
    """Where a file has a target's name from, if it imports it: subprocess.run, of ``from subprocess import run``."""
    *modules, name = target.split(".")
    package = modules if file.name == "__init__.py" else modules[:-1]
    try:
        statements = list(_of_module(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # an import will say so
    found, anything = [], []
    for each in statements:
        if isinstance(each, ast.Import):
            found += [alias.name for alias in each.names if (alias.asname or alias.name.partition(".")[0]) == name]
        elif isinstance(each, ast.ImportFrom):
            above = package[: len(package) - each.level + 1] if each.level else []
            base = [*above, *([each.module] if each.module else [])]
            found += [".".join([*base, alias.name]) for alias in each.names if (alias.asname or alias.name) == name]
            anything += [".".join([*base, name]) for alias in each.names if alias.name == "*"]
    made = {each.name for each in statements if isinstance(each, DEFINITIONS)}
    made |= {each.id for each in statements if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    return found if found or name in made else anything


def _of_module(tree: ast.AST) -> Iterator[ast.AST]:
    """What a module's own statements consist of, without the bodies of functions and classes."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, (*DEFINITIONS, ast.Lambda)):
            yield from _of_module(node)


def _places(module: str, path: list[str]) -> list[Path]:
    """The file of a module or package, or the folders of a package without an ``__init__.py``; imports nothing."""
    spec = PathFinder.find_spec(module, path) if module.isidentifier() else None
    if spec is None:
        return []
    found = [spec.origin] if spec.origin is not None else list(spec.submodule_search_locations or ())
    return list(dict.fromkeys(Path(each).resolve() for each in found))


def _is_at(module: str, places: list[Path]) -> bool:
    loaded = sys.modules[module]
    file = getattr(loaded, "__file__", None)
    at = [file] if file is not None else list(getattr(loaded, "__path__", ()))
    return list(dict.fromkeys(Path(each).resolve() for each in at)) == places
