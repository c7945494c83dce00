"""A checked config -> data and learner.

In this order: the data set's description, the learner for it, the data as the learner wants them.
"""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.errors import RequestError
from labrunner.helping import nearest

if TYPE_CHECKING:
    from labrunner.data import Data, Description
    from labrunner.learner import Learner


def build(config: dict[str, Any], shared: dict[Any, Any]) -> tuple[Data, Learner]:
    """Data and learner of a run; `shared` keeps samples for further runs of this process.

    Raises
    ------
    RequestError
        when the data cannot be read, or the user's own code cannot be used.
    """
    from labrunner import data

    description = describe(config)
    learner = build_learner(config, description.shape, description.num_classes)
    return data.make(config, data.samples_of(config, shared), learner), learner


def describe(config: dict[str, Any]) -> Description:
    """What the data set is, once it is clear that the model can take it; imports no torch."""
    from labrunner.data.sets import describe

    description = describe(config["dataset"])
    check_fit(config, description)
    return description


def check_fit(config: dict[str, Any], description: Description) -> None:
    """Refuse a model that cannot take these samples; each error names a way out."""
    model = config["model"]
    if model.get("name") != "cnn":
        return
    if len(description.shape) != 3:
        raise RequestError(f"model=cnn needs images and dataset={description.name} is a table; try model=mlp")
    size = min(description.shape[1:])
    halvings = len(model["channels"]) if model["pooling"] != "none" else 0
    if size >> halvings < 1:
        raise RequestError(
            f"model.channels={model['channels']} halves the {size} x {size} images of dataset={description.name} "
            f"{halvings} times, to nothing; try at most {size.bit_length() - 1} blocks, or model.pooling=none"
        )


def build_learner(config: dict[str, Any], input_shape: tuple[int, ...], num_classes: int) -> Learner:
    """The learner alone, for a data set of this shape."""
    if config["model"].get("name") == "mlp_numpy":
        from labrunner import scratch

        return scratch.make(config, input_shape, num_classes)
    from labrunner import deep

    own = own_class(config["model"]) if "_target_" in config["model"] else None
    return deep.make(config, input_shape, num_classes, own)


def own_class(options: dict[str, Any]) -> functools.partial[Any]:
    """The user's class or function that ``_target_`` names, with the other keys of its YAML as arguments."""
    target = str(options["_target_"])
    module_name, _, name = target.rpartition(".")
    if not module_name:
        raise RequestError(f"_target_: {target} names no module; write file.ClassName, as in my_models.TinyNet")
    here = str(Path.cwd())
    if here not in sys.path:  # a console script has no current folder on its path
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise RequestError(
                f"_target_: {target}: there is no module {module_name}\n"
                f"start labrunner in the folder that holds {module_name.partition('.')[0]}.py (this is {here})"
            ) from None
        raise RequestError(f"_target_: {target}: {module_name} imports {error.name}, which is not installed") from error
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise RequestError(f"_target_: {target}: importing {module_name} raised {what}") from error
    if not hasattr(module, name):
        own = Path(here, f"{module_name.partition('.')[0]}.py")
        if own.is_file() and Path(getattr(module, "__file__", None) or "") != own:
            raise RequestError(
                f"_target_: {target}: the name {module_name} belongs to another module, which comes before {own}\n"
                "give your file a name of its own"
            )
        close = nearest(name, [word for word in vars(module) if not word.startswith("_")])
        hint = f"; did you mean {module_name}.{close}?" if close else ""
        raise RequestError(f"_target_: {module_name} has no {name}{hint}")
    if not callable(getattr(module, name)):
        kind = type(getattr(module, name)).__name__
        raise RequestError(f"_target_: {target} is of type {kind}, and no class or function that makes a model")
    arguments = {key: value for key, value in options.items() if key not in ("_target_", "name")}
    return functools.partial(getattr(module, name), **arguments)
