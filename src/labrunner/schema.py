"""Types and ranges of every shipped key, and what combines with what. Read without Hydra and without torch.

The YAML files hold the values and say what they mean; this table says what a value may be. It is checked after
composition, so that it sees what the run will see, wherever a value came from.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from labrunner.errors import RequestError

Config = dict[str, Any]

Count = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Lt(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Activation = Literal["relu", "tanh", "sigmoid"]
Monitor = Literal[
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_precision",
    "val_recall",
    "val_f1",
    "val_auroc",
]

KEYS: dict[str, Any] = {
    "seed": Annotated[int, Ge(0), Lt(2**63)],
    "epochs": Count,
    "batch_size": Count | Literal["full"],
    "monitor": Monitor,
    "select": Literal["best", "last"],
    "device": Literal["auto", "cpu", "cuda", "mps"],
    "precision": Literal["float32", "float64"],
    "threads": Annotated[int, Ge(1), Le(1024)] | Literal["auto"],
    "figures": Literal["all", "few", "none"],
    "smoke": bool,
    "model.hidden": list[Count],
    "model.activation": Activation,
    "model.channels": Annotated[list[Count], MinLen(1)],
    "model.kernel": Count,
    "model.pooling": Literal["max", "avg", "none"],
    "model.batch_norm": bool,
    "dataset.val_fraction": Share,
    "dataset.test_fraction": Share,
    "dataset.split_seed": Annotated[int, Ge(0), Lt(2**63)],
    "dataset.normalize": Literal["none", "unit", "standard"],
    "dataset.samples": Annotated[int, Ge(10)],
    "dataset.num_classes": Annotated[int, Ge(2)],
    "dataset.channels": Literal[1, 3],
    "dataset.size": Annotated[int, Ge(1), Le(512)],
    "dataset.noise": NotNegative,
    "optim.lr": Positive,
    "optim.momentum": Share,
    "optim.nesterov": bool,
    "optim.betas": Annotated[list[Share], MinLen(2), MaxLen(2)],
    "optim.eps": Positive,
    "schedule.min_lr": NotNegative,
    "reg.dropout": Share,
    "reg.weight_decay": NotNegative,
    "reg.decay_all": bool,
    "reg.patience": Count | None,
}

# keys that belong to how a run is carried out and not to what it computes
OUTSIDE_HASH = ("epochs", "figures", "threads", "device")

FOLDERS = ("hydra.run.dir",)  # their values are paths, whatever characters stand in them


# descriptions


def describe(kind: Any) -> str:
    """A type of `KEYS` in words: ``a number above 0``."""
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(describe(part) for part in get_args(kind))
    if kind is type(None):
        return "null"
    if get_origin(kind) is Literal:
        return _either(get_args(kind))
    if get_origin(kind) is Annotated:
        base, *limits = get_args(kind)
        if get_origin(base) is list:
            return describe(base) + _length(limits)
        return f"{describe(base)} {_range(limits)}".strip()
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return f"a list, each {describe(item)}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]


def _either(words: tuple[Any, ...]) -> str:
    names = [str(word) for word in words]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _range(limits: list[Any]) -> str:
    words = []
    for limit in limits:
        if isinstance(limit, Ge):
            words.append(f"from {_number(limit.ge)}")
        elif isinstance(limit, Gt):
            words.append(f"above {_number(limit.gt)}")
        elif isinstance(limit, Le):
            words.append(f"to {_number(limit.le)}")
        elif isinstance(limit, Lt):
            words.append(f"below {_number(limit.lt)}")
    return " and ".join(words) if any("above" in word or "below" in word for word in words) else " ".join(words)


def _number(value: Any) -> str:
    return "2^63" if value == 2**63 else str(value)


def _length(limits: list[Any]) -> str:
    low = next((limit.min_length for limit in limits if isinstance(limit, MinLen)), 0)
    high = next((limit.max_length for limit in limits if isinstance(limit, MaxLen)), None)
    if high is not None:
        return f"; {low} of them" if low == high else f"; {low} to {high} of them"
    return f"; at least {low}" if low else ""


# checks


def check_types(config: Config) -> None:
    """Refuse the first shipped key whose value has a wrong type or lies outside its range."""
    for key, kind in KEYS.items():
        group = key.partition(".")[0]
        own = isinstance(config.get(group), dict) and "_target_" in config[group]
        found, value = lookup(config, key)
        if found and not own:  # the keys of the user's own class mean what its author likes
            check_value(key, kind, value)


def check_value(key: str, kind: Any, value: Any) -> None:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    if isinstance(value, float) and value != value:
        raise RequestError(f"{key}=nan: it takes {describe(kind)}")
    strict = ConfigDict(strict=True, allow_inf_nan=False)
    try:
        TypeAdapter(kind, config=strict).validate_python(value)
        if get_origin(kind) is Literal and type(value) not in {type(word) for word in get_args(kind)}:
            raise ValueError  # pydantic takes true and 1.0 for 1
    except (ValidationError, ValueError):
        raise RequestError(f"{key}={shown(value)}: it takes {describe(kind)}{near(kind, value)}") from None


def takes(key: str, value: Any) -> bool:
    """Whether a key of `KEYS` may have this value."""
    try:
        check_value(key, KEYS[key], value)
    except RequestError:
        return False
    return True


def near(kind: Any, value: Any) -> str:
    """The nearest word among the choices of a type, for the end of a message."""
    import difflib

    words = [str(word) for part in (kind, *get_args(kind)) if get_origin(part) is Literal for word in get_args(part)]
    # val_acc means val_accuracy, though val_auroc is nearer by letters
    found = [word for word in words if word.startswith(str(value))] or difflib.get_close_matches(str(value), words, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def shown(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def lookup(config: Config, key: str) -> tuple[bool, Any]:
    """(whether a dotted key is there, its value)."""
    here: Any = config
    for part in key.split("."):
        if not isinstance(here, dict) or part not in here:
            return False, None
        here = here[part]
    return True, here


def check_combinations(config: Config) -> None:
    """Refuse combinations of valid values that cannot work; each error names a way out."""
    for rule in RULES:
        rule(config)


def _monitor_needs_val(config: Config) -> None:
    patience, monitor = config["reg"]["patience"], config["monitor"]
    if config["dataset"].get("val_fraction") == 0.0 and patience is not None and monitor.startswith("val_"):
        raise RequestError(
            f"reg.patience={patience} watches {monitor}, and dataset.val_fraction=0 leaves no validation split; "
            "try dataset.val_fraction=0.2 or monitor=train_loss"
        )


def _fractions_leave_train(config: Config) -> None:
    val, test = config["dataset"].get("val_fraction", 0.0), config["dataset"].get("test_fraction", 0.0)
    if val + test >= 1.0:
        raise RequestError(
            f"dataset.val_fraction={val} and dataset.test_fraction={test} leave nothing to train on; "
            "their sum must stay below 1"
        )


def _nesterov_needs_momentum(config: Config) -> None:
    optim = config["optim"]
    if optim.get("nesterov") and optim.get("momentum") == 0.0:
        raise RequestError("optim.nesterov=true needs momentum; try optim.momentum=0.9")


def _dropout_needs_hidden(config: Config) -> None:
    if (
        config["model"].get("name") in ("mlp", "mlp_numpy")
        and config["model"]["hidden"] == []
        and config["reg"]["dropout"] > 0.0
    ):
        raise RequestError(
            f"reg.dropout={config['reg']['dropout']} leaves out hidden units and model.hidden=[] has none; "
            "try reg.dropout=0 or model.hidden=[128]"
        )


def _own_model_has_its_own_dropout(config: Config) -> None:
    if "_target_" in config["model"] and config["reg"]["dropout"] > 0.0:
        raise RequestError(
            f"reg.dropout={config['reg']['dropout']} does not reach into a model of your own; try reg.dropout=0, "
            "and a key of your model's for its dropout"
        )


def _min_lr_below_lr(config: Config) -> None:
    low, lr = config["schedule"].get("min_lr"), config["optim"]["lr"]
    if low is not None and low > lr:
        raise RequestError(f"schedule.min_lr={low} is above optim.lr={lr}; try schedule.min_lr=0")


def _numpy_runs_on_the_processor(config: Config) -> None:
    if config["model"].get("name") == "mlp_numpy" and config["device"] not in ("auto", "cpu"):
        raise RequestError(
            f"model=mlp_numpy computes on the processor and device={config['device']} asks for another; "
            "try device=cpu or model=mlp"
        )


def _mps_has_no_float64(config: Config) -> None:
    if config["device"] == "mps" and config["precision"] == "float64":
        raise RequestError("device=mps has no float64; try device=cpu or precision=float32")


def _kernel_has_a_middle(config: Config) -> None:
    model = config["model"]
    if model.get("name") == "cnn" and model["kernel"] % 2 == 0:
        raise RequestError(
            f"model.kernel={model['kernel']} is even and has no middle; try model.kernel={model['kernel'] + 1}"
        )


RULES: tuple[Callable[[Config], None], ...] = (
    _fractions_leave_train,
    _monitor_needs_val,
    _nesterov_needs_momentum,
    _dropout_needs_hidden,
    _own_model_has_its_own_dropout,
    _min_lr_below_lr,
    _numpy_runs_on_the_processor,
    _mps_has_no_float64,
    _kernel_has_a_middle,
)
