"""What a saved config may name.

The config in a run folder from a stranger is data: it may choose shipped options, and name code only if that code lies
under the current folder, where the user has put it. Anything else needs ``--trust``.
"""

from __future__ import annotations

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
                raise RequestError(f"the saved config has {path}.{key}, which no run writes; --trust takes it all the same")
            check_saved(value, here, f"{path}.{key}".lstrip("."))
    elif isinstance(config, list):
        for number, value in enumerate(config):
            check_saved(value, here, f"{path}[{number}]")
    elif isinstance(config, str) and "${" in config:
        raise RequestError(f"the saved config has an unresolved {path}, which no run writes")


def _check_target(target: Any, here: Path, path: str) -> None:
    module = str(target).partition(".")[0]
    # the top package alone is looked up: finding a module inside it would import the package
    spec = PathFinder.find_spec(module, [str(here)]) if module.isidentifier() else None
    origin = spec.origin if spec is not None else None
    inside = origin is not None and Path(origin).resolve().is_relative_to(here.resolve())
    import sys

    shadowed = module in sys.stdlib_module_names or module in sys.modules and not _is_at(module, origin)
    if not inside or shadowed:
        raise RequestError(
            f"the saved config names {target} ({path}), and no module {module} lies under {here}\n"
            "if you trust the folder it comes from, add --trust"
        )


def _is_at(module: str, origin: str | None) -> bool:
    import sys

    file = getattr(sys.modules[module], "__file__", None)
    return file is not None and origin is not None and Path(file).resolve() == Path(origin).resolve()
