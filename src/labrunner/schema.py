"""Types and ranges of every shipped key, and what combines with what. Read without Hydra and without torch.

The YAML files hold the values and say what they mean; this table says what a value may be. It is checked after
composition, so that it sees what the run will see, wherever a value came from.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from labrunner import known_facts, relations
from labrunner.errors import RequestError

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
    "probes": list[Probe],
    "checks": list[dict[str, Any]],
    "strict": bool,
    "smoke": bool,
    "jobs": Annotated[int, Ge(1), Le(256)],
    "fail_fast": bool,
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

# keys that belong to how a run is carried out and not to what it computes
OUTSIDE_HASH = (
    *("epochs", "figures", "threads", "device", "jobs", "fail_fast", "checks", "strict", "cache"),
    "dataset.memory",
)
# of these, what no record of a run depends on
NOT_COMPUTED = ("figures", "jobs", "fail_fast", "checks", "strict", "cache", "dataset.memory")
RESUMABLE = ("epochs", "figures", "threads", "device")  # of these, what a resume of a run may change

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
            return "text of at least 1 character"
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
        if found and not own:  # the keys of the user's own class mean what its author likes
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


def without(config: Mapping[str, Any], keys: Sequence[str]) -> Config:
    """A config that lacks some keys; a dotted one is taken out of its group."""
    left = {key: value for key, value in config.items() if key not in keys}
    for group, _, inside in (key.partition(".") for key in keys):
        if inside and isinstance(left.get(group), Mapping):
            left[group] = {key: value for key, value in left[group].items() if key != inside}
    return left


def epochs_of(config: Mapping[str, Any]) -> int:
    """How many epochs a checked config asks for."""
    return 1 if config["smoke"] else int(config["epochs"])


def check_combinations(config: Config) -> None:
    """Refuse combinations of valid values that cannot work; each error names a way out."""
    for rule in RULES:
        rule(config)


def _monitor_needs_val(config: Config) -> None:
    who = watcher(config)
    if config["dataset"].get("val_fraction", 0.0) == 0.0 and who is not None and config["monitor"].startswith("val_"):
        way_out = "dataset.val_fraction=0.2 or " if "val_fraction" in config["dataset"] else ""
        raise RequestError(
            f"{who} watches {config['monitor']}, and dataset={config['dataset'].get('name')} is left no validation "
            f"split; try {way_out}monitor=train_loss"
        )


def watcher(config: Config) -> str | None:
    """The setting that looks at the monitored column while the run trains; None if nothing does."""
    if config["reg"]["patience"] is not None:
        return f"reg.patience={config['reg']['patience']}"
    return "schedule=plateau" if config["schedule"].get("name") == "plateau" else None


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
    name, dropout = config["model"].get("name"), config["reg"]["dropout"]
    if dropout == 0.0:
        return
    if name in WITHOUT_HIDDEN:
        raise RequestError(
            f"reg.dropout={dropout} leaves out hidden units and model={name} has none; try reg.dropout=0 or model=mlp"
        )
    if name in MLPS and config["model"]["hidden"] == []:
        raise RequestError(
            f"reg.dropout={dropout} leaves out hidden units and model.hidden=[] has none; "
            "try reg.dropout=0 or model.hidden=[128]"
        )


def _rosenblatts_rule_takes_no_more(config: Config) -> None:
    if config["model"].get("name") != "perceptron":
        return
    optim = config["optim"]
    if optim.get("name") not in ("sgd", "lms"):
        raise RequestError(
            f"model=perceptron learns by Rosenblatt's rule, which optim={optim.get('name')} has no part in; "
            "try optim=sgd or model=softmax"
        )
    extras = {"optim.momentum": optim.get("momentum", 0.0)}
    extras |= {f"reg.{key}": config["reg"][key] for key in ("weight_decay", "l1", "label_smoothing", "mixup", "cutmix")}
    extras |= {"reg.clip_norm": config["reg"]["clip_norm"]}
    for key, value in extras.items():
        if value:
            off = "null" if key == "reg.clip_norm" else "0"
            raise RequestError(
                f"{key}={value}: model=perceptron learns by Rosenblatt's rule, which has none; "
                f"try {key}={off} or model=softmax"
            )


def _samples_are_mixed_one_way(config: Config) -> None:
    mixup, cutmix = (config["reg"].get(key, 0.0) for key in ("mixup", "cutmix"))
    if mixup > 0.0 and cutmix > 0.0:
        raise RequestError(
            f"reg.mixup={mixup} and reg.cutmix={cutmix} both mix the samples of a batch; "
            "try reg.mixup=0 or reg.cutmix=0"
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


def _warmup_ends(config: Config) -> None:
    warmup, epochs = config["schedule"].get("warmup", 0), config["epochs"]
    if warmup > 0 and warmup >= epochs and not config["smoke"]:
        raise RequestError(
            f"schedule.warmup={warmup} takes all of epochs={epochs}, and the schedule itself would never begin; "
            f"try {f'schedule.warmup={epochs // 2}' if epochs > 1 else f'epochs={10 * warmup}'}"
        )


def _numpy_runs_on_the_processor(config: Config) -> None:
    name = config["model"].get("name")
    if name not in NUMPY_MODELS:
        return
    other = "model=mlp" if name == "mlp_numpy" else "model=softmax"
    if config["device"] not in ("auto", "cpu"):
        raise RequestError(
            f"model={name} computes on the processor and device={config['device']} asks for another; "
            f"try device=cpu or {other}"
        )
    if config["precision"] == "bf16":
        raise RequestError(
            f"precision=bf16: model={name} computes in NumPy, which has no bf16; try precision=float32 or {other}"
        )


def _batch_norm_needs_two(config: Config) -> None:
    model = config["model"]
    if model.get("name") not in MLPS or not model["batch_norm"]:
        return
    if model["hidden"] == []:
        raise RequestError(
            "model.batch_norm=true normalizes hidden layers and model.hidden=[] has none; "
            "try model.batch_norm=false or model.hidden=[128]"
        )
    if config["batch_size"] == 1:
        raise RequestError(
            "model.batch_norm=true normalizes over the batch, and batch_size=1 leaves nothing to compare; "
            "try batch_size=32 or model.batch_norm=false"
        )


def _mps_has_no_float64(config: Config) -> None:
    if config["device"] == "mps" and config["precision"] == "float64":
        raise RequestError("device=mps has no float64; try device=cpu or precision=float32")


def _made_up_images_have_a_size(config: Config) -> None:
    dataset = config["dataset"]
    if dataset.get("name") == "fake" and dataset["size"] is None:
        raise RequestError("dataset.size=null: made-up images have no size of their own; try dataset.size=16")


def _kernel_has_a_middle(config: Config) -> None:
    model = config["model"]
    if model.get("name") == "cnn" and model["kernel"] % 2 == 0:
        raise RequestError(
            f"model.kernel={model['kernel']} is even and has no middle; try model.kernel={model['kernel'] + 1}"
        )


def _given_weights_are_of_one_layer(config: Config) -> None:
    model = config["model"]
    if config["init"]["name"] != "given" or is_one_layer(model):
        return
    name = model.get("name", "(your own)")
    way_out = "model.hidden=[] or init=constant" if name in MLPS else "model=softmax or init=constant"
    raise RequestError(
        f"init=given lists the weights of a single layer and model={name} may have several; try {way_out}"
    )


def is_one_layer(model: Config) -> bool:
    """Whether a shipped model goes from the inputs straight to the scores."""
    return model.get("name") in WITHOUT_HIDDEN or (model.get("name") in MLPS and model["hidden"] == [])


def _trajectories_are_of_few_weights(config: Config) -> None:
    model = config["model"]
    if "trajectory" not in config["probes"] or "name" not in model or is_one_layer(model):
        return
    # of a layer of n units there are at least n weights and n of the next; the data set may ask for more
    if model["name"] not in MLPS or 2 * sum(model["hidden"]) > FEW_WEIGHTS:
        raise RequestError(
            f"probes=[trajectory] notes every weight of models that have up to {FEW_WEIGHTS}, and "
            f"model={model['name']} has more; try probes=[loss_surface], which shows the way of many"
        )


def _kernels_are_of_convolutions(config: Config) -> None:
    asked = [name for name in ("kernels", "feature_maps", "gradcam") if name in config["probes"]]
    name = config["model"].get("name")
    if asked and name in (*WITHOUT_HIDDEN, *MLPS):
        raise RequestError(f"probes=[{asked[0]}] looks into convolutions and model={name} has none; try model=cnn")


def _checks_ask_for_what_there_is(config: Config) -> None:
    asked = [name for check in relations.parse(config["checks"]) for name in check.facts]
    known_facts.check_facts(asked, config["probes"])


def _a_range_test_needs_a_rate(config: Config) -> None:
    if "lr_range" in config["probes"] and config["model"].get("name") == "perceptron":
        raise RequestError(
            f"probes=[lr_range]: {INDIFFERENT}, so there is no learning rate to look for; try model=adaline or softmax"
        )


def _finite_differences_need_float64(config: Config) -> None:
    if "gradient_check" not in config["probes"]:
        return
    if config["precision"] != "float64":
        raise RequestError(
            "probes=[gradient_check] compares with finite differences, and "
            f"precision={config['precision']} leaves them no digits; try precision=float64"
        )
    if config["model"].get("name") == "perceptron":
        raise RequestError(
            "probes=[gradient_check]: model=perceptron learns by Rosenblatt's rule, which is no gradient of its loss; "
            "try model=adaline"
        )


def _least_squares_are_adalines(config: Config) -> None:
    name = config["model"].get("name", "(your own)")
    if "least_squares" in config["probes"] and name != "adaline":
        raise RequestError(
            f"probes=[least_squares] follows the squared error of linear units, and model={name} minimizes another "
            "loss; try model=adaline"
        )


def _freezing_needs_a_backbone(config: Config) -> None:
    freeze, name = config["freeze"], config["model"].get("name")
    if name not in (*NUMPY_MODELS, "softmax"):
        return
    scaled = [key for key in ("head_factor", "stage_factor") if freeze.get(key, 1.0) != 1.0]
    asked = f"freeze.{scaled[0]}={freeze[scaled[0]]}" if scaled else f"freeze={freeze['name']}"
    if scaled or freeze["name"] != "none":
        other = "mlp" if name == "mlp_numpy" else "mlp or cnn"
        raise RequestError(
            f"{asked} sets a backbone apart from its head, and model={name} trains as one; try model={other}, "
            f"or {'freeze.' + scaled[0] + '=1' if scaled else 'freeze=none'}"
        )


def _the_head_is_not_all(config: Config) -> None:
    alone, epochs = config["freeze"].get("probe_epochs", 0), config["epochs"]
    if alone >= epochs and alone > 0 and not config["smoke"]:
        raise RequestError(
            f"freeze.probe_epochs={alone} takes all of epochs={epochs}, and nothing is fine-tuned; "
            f"try {f'freeze.probe_epochs={epochs // 2}' if epochs > 1 else f'epochs={2 * alone}'} or freeze=backbone"
        )


def _a_cut_run_proves_nothing(config: Config) -> None:
    if config["strict"] and config["smoke"]:
        raise RequestError("strict=true asks for checks, and smoke=true cuts the run before there is anything to check")


RULES: tuple[Callable[[Config], None], ...] = (
    _fractions_leave_train,
    _monitor_needs_val,
    _nesterov_needs_momentum,
    _dropout_needs_hidden,
    _rosenblatts_rule_takes_no_more,
    _samples_are_mixed_one_way,
    _own_model_has_its_own_dropout,
    _min_lr_below_lr,
    _warmup_ends,
    _numpy_runs_on_the_processor,
    _batch_norm_needs_two,
    _mps_has_no_float64,
    _made_up_images_have_a_size,
    _kernel_has_a_middle,
    _given_weights_are_of_one_layer,
    _trajectories_are_of_few_weights,
    _kernels_are_of_convolutions,
    _checks_ask_for_what_there_is,
    _a_range_test_needs_a_rate,
    _finite_differences_need_float64,
    _least_squares_are_adalines,
    _freezing_needs_a_backbone,
    _the_head_is_not_all,
    _a_cut_run_proves_nothing,
)
