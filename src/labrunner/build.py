"""A checked config -> data and learner.

In this order: the data set's description, the learner for it, the data as the learner wants them.
"""

from __future__ import annotations

import functools
import itertools
import math
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labrunner import architectures, schema
from labrunner.errors import RequestError
from labrunner.learner import ANY, Wants
from labrunner.own import named
from labrunner.trial import failure, refuse_untrainable

if TYPE_CHECKING:
    from labrunner.data import Data, Description
    from labrunner.learner import Learner


def build(
    config: dict[str, Any], shared: dict[Any, Any], recorded: Mapping[str, Any] | None = None
) -> tuple[Data, Learner]:
    """Data and learner of a run.

    Parameters
    ----------
    config : checked, as plain dicts
    shared : keeps samples, and features of frozen backbones, for further runs of this process
    recorded : ``preprocessing.json`` of a run whose checkpoint is loaded afterwards: no other weights are read

    Raises
    ------
    RequestError
        when the data cannot be read, or the user's own code cannot be used.
    """
    from labrunner import data

    config, _, learner = with_learner(config, recorded)
    made = data.make(config, data.samples_of(config, shared), learner)
    if recorded is None:
        refuse_untrainable(config, made, learner)
    check_batches(config, made, learner)
    if config.get("freeze", {}).get("cache", False) and config["model"].get("name") not in schema.NUMPY_MODELS:
        from labrunner.features import cached  # which imports torch

        made = cached(config, made, learner, shared)
    return made, learner


def with_learner(
    config: dict[str, Any], recorded: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], Description, Learner]:
    """The config as its model wants it, the data set's description, and the learner for it; reads no samples."""
    config, own, wants = as_wanted(config, recorded)
    description = describe(config)
    if config["model"].get("name") in ("cnn", "lenet"):
        check_size(config["model"], description)
    return config, description, build_learner(config, description, own, wants, load_weights=recorded is None)


def as_wanted(
    config: dict[str, Any], recorded: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], functools.partial[Any] | None, Wants]:
    """The config with the size of images that the model wants where none was asked for, its class, and its wants.

    The class is the user's own, None for a shipped model; it says what it wants in an attribute:
    ``wants = Wants(channels=3, size=64)``. A shipped model wants what its starting weights were trained with.
    """
    model, own = config["model"], None
    if "_target_" in model:
        own = own_class(model)
        wants = own_wants(own, model)
    elif recorded is not None:
        wants = Wants(**recorded["wants"])
    elif model["name"] in schema.TORCHVISION or model.get("weights", "none") != "none":
        from labrunner.deep import pretrained

        wants = pretrained.wants(model)
    else:
        wants = ANY
    dataset = config["dataset"]
    if wants.size is not None and dataset.get("size", 0) is None:
        geometry = {"size": wants.size, "resize": wants.resize, "interpolation": wants.interpolation}
        config = {**config, "dataset": {**dataset, **geometry}}
    return config, own, wants


def own_wants(own: functools.partial[Any], options: Mapping[str, Any]) -> Wants:
    """What a class of the user's says that it wants."""
    wants = getattr(own.func, "wants", ANY)
    if not isinstance(wants, Wants):
        raise RequestError(
            f"_target_: {options['_target_']}.wants is of type {type(wants).__name__}; "
            "it takes labrunner.learner.Wants(channels=…, size=…, mean=…, std=…)"
        )
    return wants


def describe(config: dict[str, Any]) -> Description:
    """What the data set is, once it is clear that the model can take it; imports no torch."""
    from labrunner.data.sets import describe

    description = describe(config["dataset"])
    check_fit(config, description)
    return description


def check_fit(config: dict[str, Any], description: Description) -> None:
    """Refuse a model, or an augmentation, that cannot take these samples; each error names a way out."""
    from labrunner.data import augment, mixing

    model, name = config["model"], description.name
    kind = model.get("name")
    refuse_oblong(description)
    augment.check(config["augment"], description.shape, name)
    mixing.check(config["reg"], description.shape, name)
    if "arch" in model and model["arch"] not in architectures.NAMES:
        from labrunner.deep import classifiers  # a release of torchvision may have more, and importing it takes long

        classifiers.check(model["arch"])
    if kind in schema.CONVOLUTIONAL:
        if len(description.shape) != 3:
            raise RequestError(f"model={kind} needs images and dataset={name} is a table; try model=mlp")
        # weights may want another size, which is known once they are read
        is_open = model.get("weights", "none") != "none" and config["dataset"].get("size", 0) is None
        if kind in ("cnn", "lenet") and not is_open:
            check_size(model, description)
    if kind == "neuron" and description.num_classes != 2:
        choose = shlex.quote(f"dataset.classes=[{','.join(description.class_names[:2])}]")
        raise RequestError(
            f"model=neuron tells two classes apart and dataset={name} has {description.num_classes}; "
            f"try model=softmax or {choose}"
        )
    if kind == "perceptron" and description.soft:
        raise RequestError(
            f"model=perceptron needs classes to tell apart and dataset={name} has none; try model=adaline"
        )
    check_probes(config, description)


def refuse_oblong(description: Description) -> None:
    """Refuse images that are not square, as a data set of the user's own may have."""
    if len(description.shape) == 3 and description.shape[1] != description.shape[2]:
        height, width = description.shape[1:]
        raise RequestError(
            f"dataset={description.name} has images of {width} x {height} pixels, and they have to be square; "
            f"try dataset.size={min(width, height)}, which cuts out the middle"
        )


def check_probes(config: dict[str, Any], description: Description) -> None:
    """Refuse a probe that would have nothing to say of these samples."""
    name, count = description.name, description.num_classes
    if "boundaries" in config["probes"] and (description.shape != (2,) or description.soft):
        has = "no classes to show there" if description.soft else f"{math.prod(description.shape)} numbers a sample"
        raise RequestError(
            f"probes=[boundaries] shows the plane of two inputs and dataset={name} has {has}; "
            "try dataset=moons, or two columns of a table in dataset.features"
        )
    if "shift" in config["probes"] and len(description.shape) != 3:
        raise RequestError(
            f"probes=[shift] moves images and dataset={name} is a table; try dataset=digits, or leave the probe out"
        )
    weights = weights_of_layers(config["model"], description)
    if "trajectory" in config["probes"] and weights is not None and weights > schema.FEW_WEIGHTS:
        raise RequestError(
            f"probes=[trajectory] notes every weight of models that have up to {schema.FEW_WEIGHTS}, and "
            f"model={config['model']['name']} has {weights:,} on dataset={name}; try probes=[loss_surface]"
        )
    is_perceptron = config["model"].get("name") == "perceptron"  # whose updates are counted for any classes
    if "separation" in config["probes"] and not is_perceptron and (count != 2 or description.soft):
        choose = shlex.quote(f"dataset.classes=[{','.join(description.class_names[:2])}]")
        raise RequestError(
            f"probes=[separation] looks for a line between two classes and dataset={name} has {count}; try {choose}"
        )


def weights_of_layers(model: dict[str, Any], description: Description) -> int | None:
    """How many weights a shipped model of linear layers has, biases included; None of all others."""
    name, inputs, classes = model.get("name"), math.prod(description.shape), description.num_classes
    if name in ("perceptron", "adaline", "neuron"):
        return (inputs + bool(model.get("bias", True))) * (1 if classes == 2 else classes)
    if name != "softmax" and name not in schema.MLPS:
        return None
    widths = [inputs, *model.get("hidden", []), classes]
    return sum((before + 1) * width for before, width in itertools.pairwise(widths))


def check_size(model: dict[str, Any], description: Description) -> None:
    """Refuse images of which a convolutional network would leave nothing."""
    size, name = min(description.shape[1:]), description.name
    if model["name"] == "lenet":
        smallest = 5 if model["pooling"] == "none" else 12
        if size < smallest:
            raise RequestError(
                f"model=lenet needs images of {smallest} x {smallest} pixels or more and those of dataset={name} are "
                f"{size} x {size}; try dataset.size=28 or model=cnn"
            )
        return
    halvings = len(model["channels"]) if model["pooling"] != "none" else 0
    if size >> halvings < 1:
        raise RequestError(
            f"model.channels={model['channels']} halves the {size} x {size} images of dataset={name} "
            f"{halvings} times, to nothing; try at most {size.bit_length() - 1} blocks, or model.pooling=none"
        )


def check_batches(config: dict[str, Any], data: Data, learner: Learner) -> None:
    """Refuse a last batch of one sample where batch norm has nothing to compare in it."""
    model, train = config["model"], data.train
    if train.last_batch != 1:
        return
    norm = model.get("batch_norm", False) is True and "_target_" not in model
    trouble = failure(learner, next(train.batches(1, train.batch_count - 1)))
    if norm and (trouble is not None or model["name"] == "mlp_numpy"):  # NumPy would take it, and learn nothing
        trouble = "model.batch_norm=true has nothing to compare there"
    if trouble is None:
        return
    larger = (size for size in range(train.batch_size + 1, len(train) + 1) if len(train) % size != 1)
    way_out = f"batch_size={next(larger)}" if len(train) > 1 else "model.batch_norm=false" if norm else "more data"
    raise RequestError(
        f"batch_size={config['batch_size']} leaves one sample of {len(train)} for the last batch, and {trouble}; "
        f"try {way_out}"
    )


def build_learner(
    config: dict[str, Any],
    description: Description,
    own: functools.partial[Any] | None = None,
    wants: Wants = ANY,
    load_weights: bool = True,
) -> Learner:
    """The learner alone, for a data set of this description."""
    shape = description.shape
    if wants.channels is not None and len(shape) == 3:
        if shape[0] not in (1, wants.channels):
            wanted = "grey images" if wants.channels == 1 else f"images of {wants.channels} channels"
            can_be = wants.channels == 1 and "channels" in config["dataset"]
            way_out = "try dataset.channels=1" if can_be else f"try a model, or weights, for {shape[0]}"
            raise RequestError(
                f"the model wants {wanted}, and those of dataset={description.name} have {shape[0]} channels; {way_out}"
            )
        shape = (wants.channels, *shape[1:])
    if config["model"].get("name") in schema.NUMPY_MODELS:
        from labrunner import scratch

        return scratch.make(config, shape, description.num_classes, wants)
    from labrunner import deep

    return deep.make(config, shape, description.num_classes, own, wants, load_weights)


def own_class(options: dict[str, Any]) -> functools.partial[Any]:
    """The user's class or function that ``_target_`` names, with the other keys of its YAML as arguments."""
    function = named(str(options["_target_"]), "a model")
    arguments = {key: value for key, value in options.items() if key not in ("_target_", "name")}
    return functools.partial(function, **arguments)
