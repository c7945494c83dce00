"""Types and ranges of every shipped key. Read without Hydra and without torch.

The YAML files hold the values and say what they mean; this table says what a value may be. It is checked after
composition, so that it sees what the run will see, wherever a value came from.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, Predicate

from labrunner.errors import RequestError
from labrunner.own import is_dotted

Config = dict[str, Any]

Count = Annotated[int, Ge(1)]
Width = Annotated[int, Ge(1), Le(1_000_000)]
Share = Annotated[float, Ge(0), Lt(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Text = Annotated[str, MinLen(1)]
Seed = Annotated[int, Ge(0), Lt(2**63)]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
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
Probe = Literal[
    "steps",
    "outputs",
    "gradients",
    "activations",
    "weights",
    "updates",
    "trajectory",
    "loss_surface",
    "boundaries",
    "separation",
    "least_squares",
    "gradient_check",
    "kernels",
    "feature_maps",
    "embedding",
    "shift",
    "lr_range",
    "gradcam",
]
OwnProbe = Annotated[str, Predicate(is_dotted)]  # file.ClassName: a class of the user's

KEYS: dict[str, Any] = {
    "seed": Seed,
    "epochs": Count,
    "batch_size": Annotated[int, Ge(1), Le(2**31)] | Literal["full"],
    "monitor": Monitor,
    "select": Literal["best", "last"],
    "device": Literal["auto", "cpu", "cuda", "mps"],
    "precision": Literal["float32", "float64", "bf16"],
    "threads": Annotated[int, Ge(1), Le(1024)] | Literal["auto"],
    "figures": Literal["all", "few", "none"],
    "logger": Literal["none", "tensorboard"],
    "probes": list[Probe | OwnProbe],
    "checks": list[dict[str, Any]],
    "strict": bool,
    "smoke": bool,
    "jobs": Annotated[int, Ge(1), Le(256)],
    "fail_fast": bool,
    "checkpoint.every_batches": Count | None,
    "checkpoint.every_minutes": Positive | None,
    "cache": Text | None,
    "model.arch": Text,
    "model.weights": Text | Annotated[list[Text], MinLen(1)],
    "model.hidden": list[Width],
    "model.activation": Activation,
    "model.loss": Literal["cross_entropy", "mse"],
    "model.bias": bool,
    "model.channels": Annotated[list[Annotated[int, Ge(1), Le(10_000)]], MinLen(1)],
    "model.kernel": Annotated[int, Ge(1), Le(101)],
    "model.pooling": Literal["max", "avg", "none"],
    "model.batch_norm": bool,
    "dataset.path": Text,
    "dataset.label": str | int | None,
    "dataset.features": Annotated[list[str | int], MinLen(1)] | None,
    "dataset.root": Text,
    "dataset.subset": Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"],
    "dataset.samples": Annotated[int, Ge(10), Le(10_000_000)],
    "dataset.num_classes": Annotated[int, Ge(2), Le(1000)],
    "dataset.channels": Literal[1, 3],
    "dataset.size": Annotated[int, Ge(1), Le(1024)] | None,
    "dataset.skip_bad": bool,
    "dataset.memory": Positive,
    "dataset.shares": Annotated[list[Positive], MinLen(2), MaxLen(1000)],
    "dataset.noise": Annotated[float, Ge(0), Le(1000)],
    "dataset.seed": Seed,
    "dataset.classes": Annotated[list[str | int | float | bool], MinLen(2)] | None,
    "dataset.per_class": Count | None,
    "dataset.label_noise": Share,
    "dataset.val_fraction": Share,
    "dataset.test_fraction": Share,
    "dataset.split_seed": Seed,
    "dataset.normalize": Literal["none", "unit", "standard"],
    "optim.lr": Positive,
    "optim.momentum": Share,
    "optim.nesterov": bool,
    "optim.betas": Annotated[list[Share], MinLen(2), MaxLen(2)],
    "optim.alpha": Share,
    "optim.eps": Positive,
    "schedule.step_size": Count,
    "schedule.milestones": Annotated[list[Count], MinLen(1)],
    "schedule.gamma": Annotated[float, Gt(0), Le(1)],
    "schedule.min_lr": NotNegative,
    "schedule.pct_start": Annotated[float, Gt(0), Lt(1)],
    "schedule.div_factor": Annotated[float, Ge(1)],
    "schedule.final_div_factor": Annotated[float, Ge(1)],
    "schedule.factor": Annotated[float, Gt(0), Lt(1)],
    "schedule.patience": Annotated[int, Ge(0)],
    "schedule.warmup": Annotated[int, Ge(0)],
    "reg.dropout": Share,
    "reg.weight_decay": Annotated[float, Ge(0), Le(1000)],
    "reg.decay_all": bool,
    "reg.l1": Annotated[float, Ge(0), Le(1000)],
    "reg.label_smoothing": Share,
    "reg.mixup": Annotated[float, Ge(0), Le(1000)],
    "reg.cutmix": Annotated[float, Ge(0), Le(1000)],
    "reg.clip_norm": Positive | None,
    "reg.patience": Count | None,
    "init.value": Annotated[float, Ge(-1000), Le(1000)],
    "init.std": Annotated[float, Gt(0), Le(1000)],
    "init.weights": list[Annotated[float, Ge(-1000), Le(1000)]],
    "init.biases": list[Annotated[float, Ge(-1000), Le(1000)]],
    "freeze.stages": Count,
    "freeze.every": Count,
    "freeze.probe_epochs": Count,
    "freeze.train": Annotated[list[dict[str, Any]], MinLen(1)],
    "freeze.head_factor": Annotated[float, Gt(0), Le(1000)],
    "freeze.stage_factor": Annotated[float, Gt(0), Le(10)],
    "freeze.cache": bool,
    "augment.shift": Annotated[int, Ge(0)],
    "augment.rotate": Annotated[float, Ge(0), Le(180)],
    "augment.flip": Annotated[float, Ge(0), Le(1)],
    "augment.crop": Annotated[int, Ge(0)],
    "augment.resized_crop": Annotated[float, Ge(0), Le(1)],
    "augment.jitter": Annotated[float, Ge(0), Le(1)],
    "augment.randaugment": Annotated[int, Ge(0), Le(10)],
    "augment.magnitude": Annotated[int, Ge(0), Le(30)],
}

CHECKPOINT = ("checkpoint.every_batches", "checkpoint.every_minutes")
# keys that belong to how a run is carried out and not to what it computes
OUTSIDE_HASH = (
    *("epochs", "figures", "logger", "threads", "device", "jobs", "fail_fast", "checks", "strict", "cache"),
    "dataset.memory",
    *CHECKPOINT,
)
# of these, what no record of a run depends on
NOT_COMPUTED = ("figures", "logger", "jobs", "fail_fast", "checks", "strict", "cache", "dataset.memory", *CHECKPOINT)
# of these, what a resume of a run may change
RESUMABLE = ("epochs", "figures", "logger", "threads", "device", *CHECKPOINT)

PATHS = (
    "hydra.run.dir",
    "hydra.sweep.dir",
    "dataset.path",
    "dataset.root",
    "cache",
)  # their values are paths, whatever characters stand in them

NUMPY_MODELS = ("perceptron", "adaline", "neuron", "mlp_numpy")  # written out in NumPy, on the processor
TORCHVISION = ("efficientnet_b0", "shufflenet_v2_x1_0", "torchvision")  # networks that torchvision has
CONVOLUTIONAL = ("cnn", "lenet", *TORCHVISION)  # which take images, and starting weights from elsewhere
MLPS = ("mlp", "mlp_numpy")
INDIFFERENT = "model=perceptron learns by Rosenblatt's rule, whose steps do the same at every learning rate"
# keys of every data set of the user's own, at what they are where its file does not list them; its class gets none
OWN_DATASET: Config = {
    "val_fraction": 0.2,
    "test_fraction": 0.2,
    "split_seed": 0,
    "normalize": "standard",
    "classes": None,
    "per_class": None,
    "label_noise": 0.0,
    "size": None,
}
RESERVED = ("cache", "memory", "listed", "resize", "interpolation")  # what a data set is told beside its keys
KEPT = (*(f"dataset.{key}" for key in OWN_DATASET), "optim.lr")  # keys that mean ours in options of the user's own too
FEW_WEIGHTS = 16  # of a model whose every weight is noted at every step
WITHOUT_HIDDEN = ("perceptron", "adaline", "neuron", "softmax")  # from the inputs straight to the scores


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
        if base is str:
            dotted = any(isinstance(limit, Predicate) for limit in limits)
            return "file.ClassName of your own" if dotted else "text of at least 1 character"
        return f"{describe(base)} {_range(limits)}".strip()
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return f"a list, each {describe(item)}"
    if get_origin(kind) is dict:
        return "a mapping"
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
            words.append(f"{'to' if any(isinstance(other, Ge) for other in limits) else 'at most'} {_number(limit.le)}")
        elif isinstance(limit, Lt):
            words.append(f"below {_number(limit.lt)}")
    return " and ".join(words) if any("above" in word or "below" in word for word in words) else " ".join(words)


def _number(value: Any) -> str:
    return {2**63: "2^63", 2**31: "2^31"}.get(value, str(value))


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
        if found and (not own or key in KEPT):  # others of the user's own class mean what its author likes
            check_value(key, kind, value)


@cache
def _validator(key: str) -> Callable[[Any], Any]:
    """Of a key of `KEYS`; built once, which takes longer than all its uses in a sweep."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(KEYS[key], config=ConfigDict(strict=True, allow_inf_nan=False)).validate_python


def check_value(key: str, kind: Any, value: Any) -> None:
    from pydantic import ValidationError

    if isinstance(value, float) and value != value:
        raise RequestError(f"{key}=nan: it takes {describe(kind)}")
    try:
        _validator(key)(value)
        if get_origin(kind) is Literal and type(value) not in {type(word) for word in get_args(kind)}:
            raise ValueError  # pydantic takes true and 1.0 for 1
    except (ValidationError, ValueError):
        said = as_list(key, kind, value) or near(kind, value)
        raise RequestError(f"{key}={shown(value)}: it takes {describe(kind)}{said}") from None


def is_list(kind: Any) -> bool:
    """Whether a type of `KEYS` is that of a list."""
    return get_origin(get_args(kind)[0] if get_origin(kind) is Annotated else kind) is list


def as_list(key: str, kind: Any, value: Any) -> str:
    """How one value is written where a list is taken, quoted for the shell; for the end of a message."""
    if not is_list(kind) or isinstance(value, list | dict) or value is None or not takes(key, [value]):
        return ""
    return f"\na list of one is written '{key}=[{shown(value)}]', with the quotes"


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

    words = [str(word) for word in _words(kind)]
    if isinstance(value, list):  # of several words the first that is none
        value = next((each for each in value if str(each) not in words), value)
    # val_acc means val_accuracy, though val_auroc is nearer by letters
    found = [word for word in words if word.startswith(str(value))] or difflib.get_close_matches(str(value), words, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _words(kind: Any) -> list[Any]:
    """The choices of a type, those of a list's items and of a union's parts among them."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [word for part in get_args(kind) for word in _words(part)]


def shown(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def with_own_defaults(config: Config) -> Config:
    """A config with the keys that every data set of the user's own has, also where its file does not list them."""
    dataset = config.get("dataset")
    if not isinstance(dataset, dict) or "_target_" not in dataset:
        return config
    return {**config, "dataset": {**dataset, **{key: dataset.get(key, OWN_DATASET[key]) for key in OWN_DATASET}}}


def lookup(config: Config, key: str) -> tuple[bool, Any]:
    """(whether a dotted key is there, its value)."""
    here: Any = config
    for part in key.split("."):
        if not isinstance(here, dict) or part not in here:
            return False, None
        here = here[part]
    return True, here


def without(config: Mapping[str, Any], keys: Sequence[str]) -> Config:
    """A config that lacks some keys; a dotted one is taken out of its group, and with its last key the group goes."""
    left = {key: value for key, value in config.items() if key not in keys}
    for group, _, inside in (key.partition(".") for key in keys):
        if inside and isinstance(left.get(group), Mapping) and inside in left[group]:
            left[group] = {key: value for key, value in left[group].items() if key != inside}
            if not left[group]:
                del left[group]
    return left


def changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> Config:
    """A config with other values of some keys; a dotted one is set in its group."""
    new = dict(config)
    for key, value in changes.items():
        group, _, inside = key.partition(".")
        section = new.get(group)
        new[group] = {**(section if isinstance(section, Mapping) else {}), inside: value} if inside else value
    return new


def epochs_of(config: Mapping[str, Any]) -> int:
    """How many epochs a checked config asks for."""
    return 1 if config["smoke"] else int(config["epochs"])
