"""Values that are right by themselves and do not go together. Read without Hydra and without torch.

Each rule looks at a composed config whose keys have the right types, and its refusal names a way out.
"""

from __future__ import annotations

from collections.abc import Callable

from labrunner import known_facts, own, relations, schema
from labrunner.errors import RequestError
from labrunner.schema import Config


def check(config: Config) -> None:
    """Refuse combinations of valid values that cannot work; each error names a way out."""
    for rule in RULES:
        rule(config)


def _monitor_needs_val(config: Config) -> None:
    who = watcher(config)
    if config["dataset"].get("val_fraction", 0.0) == 0.0 and who is not None and config["monitor"].startswith("val_"):
        way_out = "dataset.val_fraction=0.2 or " if "val_fraction" in config["dataset"] else ""
        raise RequestError(
            f"{who} watches {config['monitor']}, and dataset={own.name_of(config['dataset'])} is left no validation "
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
    if name in schema.WITHOUT_HIDDEN:
        raise RequestError(
            f"reg.dropout={dropout} leaves out hidden units and model={name} has none; try reg.dropout=0 or model=mlp"
        )
    if name in schema.MLPS and config["model"]["hidden"] == []:
        raise RequestError(
            f"reg.dropout={dropout} leaves out hidden units and model.hidden=[] has none; "
            "try reg.dropout=0 or model.hidden=[128]"
        )


def _numpy_takes_shipped_optimizers(config: Config) -> None:
    name = config["model"].get("name")
    if "_target_" in config["optim"] and name in schema.NUMPY_MODELS:
        other = "model=mlp" if name == "mlp_numpy" else "model=softmax"
        raise RequestError(
            f"the chosen optim is an optimizer for torch, and model={name} computes in NumPy; try {other}, or optim=sgd"
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
    if name not in schema.NUMPY_MODELS:
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
    if model.get("name") not in schema.MLPS or not model["batch_norm"]:
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
    way_out = "model.hidden=[] or init=constant" if name in schema.MLPS else "model=softmax or init=constant"
    raise RequestError(
        f"init=given lists the weights of a single layer and model={name} may have several; try {way_out}"
    )


def is_one_layer(model: Config) -> bool:
    """Whether a shipped model goes from the inputs straight to the scores."""
    return model.get("name") in schema.WITHOUT_HIDDEN or (model.get("name") in schema.MLPS and model["hidden"] == [])


def _trajectories_are_of_few_weights(config: Config) -> None:
    model = config["model"]
    if "trajectory" not in config["probes"] or "name" not in model or is_one_layer(model):
        return
    # of a layer of n units there are at least n weights and n of the next; the data set may ask for more
    if model["name"] not in schema.MLPS or 2 * sum(model["hidden"]) > schema.FEW_WEIGHTS:
        raise RequestError(
            f"probes=[trajectory] notes every weight of models that have up to {schema.FEW_WEIGHTS}, and "
            f"model={model['name']} has more; try probes=[loss_surface], which shows the way of many"
        )


def _kernels_are_of_convolutions(config: Config) -> None:
    asked = [name for name in ("kernels", "feature_maps", "gradcam") if name in config["probes"]]
    name = config["model"].get("name")
    if asked and name in (*schema.WITHOUT_HIDDEN, *schema.MLPS):
        raise RequestError(f"probes=[{asked[0]}] looks into convolutions and model={name} has none; try model=cnn")


def _checks_ask_for_what_there_is(config: Config) -> None:
    asked = [name for check in relations.parse(config["checks"]) for name in check.facts]
    known_facts.check_facts(asked, config["probes"])


def _a_range_test_needs_a_rate(config: Config) -> None:
    if "lr_range" in config["probes"] and config["model"].get("name") == "perceptron":
        raise RequestError(
            f"probes=[lr_range]: {schema.INDIFFERENT}, so there is no learning rate to look for; "
            "try model=adaline or softmax"
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
    if name not in (*schema.NUMPY_MODELS, "softmax"):
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
    _numpy_takes_shipped_optimizers,
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
