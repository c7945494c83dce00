"""What a saved config may name.

The config in a run folder from a stranger is data: it may choose shipped options, and name code only if that code lies
under the current folder, where the user has put it. Anything else needs ``--trust``.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from labrunner.errors import RequestError


def check_saved(config: Any, here: Path, path: str = "") -> None:
    """Refuse a saved config that would execute code from elsewhere; imports nothing."""
    if isinstance(config, dict):
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
    module = str(target).partition(".")[0]
    # the top package alone is looked up: finding a module inside it would import the package
    mine = _places(module, [str(here)])
    reached = _places(module, [*sys.path, str(here)])  # as an import would: what is installed comes first
    inside = bool(mine) and mine == reached and all(place.is_relative_to(here.resolve()) for place in mine)
    taken = module in sys.stdlib_module_names or (module in sys.modules and not _is_at(module, mine))
    if not inside or taken:
        raise RequestError(
            f"the saved config names {target} ({path}), and no module {module} lies under {here}\n"
            f"start labrunner in the folder that holds {module}.py; --trust takes it from wherever Python finds it"
        )


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
