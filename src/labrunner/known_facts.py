"""The probes, and the names that a check may ask for: for refusals before any work, and for ``explain``.

What each is to the letter stands with what computes it: `labrunner.facts`, `labrunner.apart`, and the probes' classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from labrunner.errors import RequestError
from labrunner.own import is_dotted


class Known(NamedTuple):
    """A fact."""

    meaning: str
    probe: str | None = None  # that has to be asked for


def _of(probe: str, **meanings: str) -> dict[str, Known]:
    return {name: Known(meaning, probe) for name, meaning in meanings.items()}


FACTS: dict[str, Known] = {
    "parameters": Known("how many parameters the model has"),
    "parameters_trainable": Known("how many of them train in the last epoch"),
    "frozen_tensors": Known("parameters and buffers that were frozen in some epoch"),
    "frozen_changed": Known("how many of them moved while they were: 0, or the run failed"),
    "multiply_adds": Known("multiply-adds of one sample's forward pass"),
    "train_samples": Known("samples of the training split"),
    "val_samples": Known("samples of the validation split"),
    "test_samples": Known("samples of the test split"),
    "val_in_train": Known("validation samples whose input is also that of a training sample"),
    "test_in_train": Known("test samples whose input is also that of a training sample"),
    "epochs": Known("finished epochs"),
    "chosen_epoch": Known("the epoch that was tested"),
    "steps": Known("training batches in all"),
    "diverged": Known("1 if the loss became infinite, else 0"),
    "train_loss_rises": Known("epochs whose training loss is above that of the epoch before"),
    "accuracy_gap": Known("training minus validation accuracy at the chosen epoch"),
    "classes_without_samples": Known("classes of which the test split has no sample"),
    "apart_from_scikit_learn": Known("largest difference of any number of the test split from scikit-learn's"),
    "weights_apart": Known(
        "largest difference of any weight after the last epoch, between the first run and the others"
    ),
    "metrics_apart": Known("largest difference of any number of metrics.csv, between the first run and the others"),
    "gradients_apart": Known("largest relative difference of checked gradients between runs", "gradient_check"),
    **_of(
        "steps",
        step_loss_spread="how much the loss moves from one step to the next near the end",
        step_loss_last="loss of the last noted step",
    ),
    **_of(
        "outputs",
        output_first="probability of the first training sample's class (of two classes, of the second) at the start",
        output_last="the same after the last step",
    ),
    **_of(
        "gradients",
        gradient_ratio_first_last="norm of the first weight matrix's gradient over that of the last hidden one, "
        "before training",
    ),
    **_of(
        "activations",
        dead_units="hidden units that are 0 for all probed samples at the chosen epoch",
        dead_share="their share of all hidden units",
        activation_spread_last_first="spread of the last hidden outputs over that of the first, before training",
        initial_loss="loss on the probed samples before training",
    ),
    **_of(
        "weights",
        weight_norm="length of all weight matrices together at the chosen epoch",
        distinct_rows_w1="units of the first layer whose weights differ from all others' at the chosen epoch",
    ),
    **_of("updates", update_ratio="median length of a step over the length of the weights it moves"),
    **_of(
        "trajectory",
        path_length="length of the way of the weights",
        path_detour="that length over the distance between its ends; 1 is a straight line",
    ),
    **_of(
        "loss_surface",
        explained_variance_1="share of the way's squared distances along the first direction",
        explained_variance_2="and along the second",
    ),
    **_of(
        "separation",
        separable="1 if a line separates the two classes of the training split, else 0",
        radius="length of the longest input, with a constant 1 beside it",
        margin="the best separator's distance to the nearest input",
        novikoff_bound="(radius / margin)^2, the most updates that a perceptron makes from zero (Novikoff 1962)",
        updates_total="updates of the perceptron in all",
        updates_last_epoch="its updates in the last epoch",
        updates_fewest="its updates in the epoch with the fewest",
    ),
    **_of(
        "least_squares",
        lambda_max="largest curvature of the squared error",
        lambda_min="its smallest curvature",
        critical_lr="2 / lambda_max: above it gradient descent diverges",
        best_lr="2 / (lambda_min + lambda_max): at it gradient descent is fastest in the end",
        optimum_distance="distance of the last weights to the least squares, over the length of these",
        steps_to_optimum="steps until a millionth of the start's excess loss is left",
    ),
    **_of(
        "gradient_check",
        gradient_error="largest relative error of a gradient against finite differences",
        gradient_kinks="entries that were left out, at a corner of the loss",
    ),
    **_of("kernels", kernels_moved="how far training moved the first kernels, as a share of their length"),
    **_of(
        "feature_maps",
        pooling_error="largest difference of a pooling's output from NumPy's own",
        max_pooling_error="the same from the blocks' maximum, whatever the pooling",
        average_pooling_error="and from the blocks' average",
    ),
    **_of(
        "embedding",
        silhouette_input="how far the classes lie apart in the inputs, from -1 to 1",
        silhouette_first="and behind the first block",
        silhouette_last="and in the last features",
        silhouette_rises="1 if no depth is below the one before it, else 0",
        silhouette_untrained="of the last features before training",
    ),
    **_of(
        "shift",
        accuracy_unshifted="accuracy on the probed images",
        accuracy_shifted_1="and on the same images one pixel up, down, left and right",
        accuracy_shifted_2="and two pixels",
        accuracy_shifted_3="and three pixels",
        shift_cost="what one pixel takes away",
    ),
    **_of("lr_range", suggested_lr="the learning rate that a range test suggests"),
}

_COLUMNS = (
    "lr",
    "train_loss",
    "train_accuracy",
    *(f"val_{n}" for n in ("loss", "accuracy", "precision", "recall", "f1", "auroc")),
)
_WHEN = {
    "first": "at the first finished epoch",
    "last": "at the last finished epoch",
    "lowest": "at its lowest",
    "highest": "at its highest",
}
FACTS |= {name: Known(f"{name} at the chosen epoch") for name in _COLUMNS}
FACTS |= {f"{when}_{name}": Known(f"{name} {said}") for when, said in _WHEN.items() for name in _COLUMNS}
FACTS |= {
    f"test_{name}": Known(f"{name} of the test split")
    for name in ("n", "loss", "accuracy", "precision", "recall", "f1", "auroc", "accuracy_low", "accuracy_high")
}
FACTS |= {
    f"test_{name}": Known(meaning)
    for name, meaning in (("epoch", "the tested epoch"), ("reads", "how often test was read"))
}
FACTS |= {
    f"{kind}_{name}": Known(f"{kind} average of the {name} of the test split's classes")
    for kind in ("micro", "macro", "weighted")
    for name in ("precision", "recall", "f1")
}

PROBES = {
    "steps": "loss and learning rate of each training step",
    "outputs": "the probabilities of a few training samples, step by step",
    "gradients": "the gradient's norm by parameter, before training and after each epoch",
    "activations": "mean, spread, zeros and dead units of each layer's outputs; histograms",
    "weights": "norm of each parameter; histograms; how many units of the first layer differ",
    "updates": "length of each step over the length of the weights it moves",
    "trajectory": "every weight at every step, of models with up to 16",
    "loss_surface": "the loss over two weights, or over the plane of the way's two principal directions",
    "boundaries": "probabilities over the plane after epochs 0, 1, 2, 4, and on, of data with two inputs",
    "separation": "whether a line separates two classes, with what margin; a perceptron's updates",
    "least_squares": "the curvature of Adaline's loss, its optimum, the way there",
    "gradient_check": "the learner's gradients against finite differences, in float64",
    "kernels": "the kernels of the first convolution",
    "feature_maps": "maps of each layer for a few images; pooling computed again in NumPy",
    "embedding": "silhouettes of the classes by depth; the last features in a plane, by PCA and t-SNE",
    "shift": "accuracy on images that are shifted by up to three pixels",
    "gradcam": "where a few images speak for their class and for the predicted one (Grad-CAM)",
    "lr_range": "the learning-rate range test, before the first step",
}

PATTERNS = {  # of names that are not listed
    re.compile(r"^epochs_to_[1-9][0-9]?$"): Known("the first epoch with so many per cent of validation accuracy"),
    re.compile(r"^abs_\S+_last$"): Known("size of that weight after the last step", "trajectory"),
}


def known(name: str) -> Known | None:
    """What is known of a fact of that name."""
    if name in FACTS:
        return FACTS[name]
    return next((fact for pattern, fact in PATTERNS.items() if pattern.match(name)), None)


def check_facts(names: Iterable[str], probes: Iterable[str]) -> None:
    """Refuse the first name that is no fact, or a fact of a probe that is not asked for.

    Names that nobody knows are let through where one of the probes is the user's own: `labrunner.probes.check` asks it.

    Raises
    ------
    RequestError
        with the nearest name, or the probe.
    """
    import difflib

    asked = list(probes)
    has_own = any(map(is_dotted, asked))
    for name in names:
        fact = known(name)
        if fact is None and has_own:  # which facts they have is known once they are imported
            continue
        if fact is None:
            close = difflib.get_close_matches(name, FACTS, n=1)
            hint = f"; did you mean {close[0]}?" if close else "; docs/checks.md lists them"
            raise RequestError(f"checks: there is no fact {name}{hint}")
        if fact.probe is not None and fact.probe not in asked:
            raise RequestError(
                f"checks: {name} is a fact of a probe; ask for it by probes=[{','.join([*asked, fact.probe])}]"
            )
