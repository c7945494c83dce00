"""The labs of the course in its order: each is an experiment of that name, whose YAML says what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from labrunner import relations
from labrunner.errors import RunError


class Lab(NamedTuple):
    """What is promised of a lab."""

    checks: int  # that it must have at least; strict=true fails below
    seconds: int  # that it takes on two cores, about


LABS: dict[str, Lab] = {
    "perceptron_iris": Lab(checks=4, seconds=30),
    "perceptron_limits": Lab(checks=5, seconds=40),
    "adaline_learning_rate": Lab(checks=5, seconds=15),
    "batch_size": Lab(checks=6, seconds=30),
    "mlp_from_scratch": Lab(checks=5, seconds=25),
    "activations": Lab(checks=5, seconds=50),
    "gradient_descent": Lab(checks=6, seconds=20),
    "losses": Lab(checks=3, seconds=10),
    "regularization": Lab(checks=3, seconds=35),
    "initialization": Lab(checks=7, seconds=35),
    "cnn_design": Lab(checks=6, seconds=80),
    "feature_maps": Lab(checks=4, seconds=50),
    "transfer_efficientnet": Lab(checks=4, seconds=240),
    "transfer_shufflenet": Lab(checks=4, seconds=90),
    "frozen_or_finetuned": Lab(checks=2, seconds=90),
    "metrics": Lab(checks=6, seconds=10),
    "learning_rate_range": Lab(checks=3, seconds=25),
    "learning_rates": Lab(checks=3, seconds=15),
    "optimizers": Lab(checks=3, seconds=20),
}


def refuse_too_few(config: Mapping[str, Any], experiment: str | None, *, sweep: bool) -> None:
    """Refuse a run, or a sweep, whose checks could not satisfy ``strict=true`` whatever came out, before it begins.

    Raises
    ------
    RunError
        when there are fewer checks than the lab is promised to have, or none, or some that a single run cannot answer.
    """
    if not config["strict"]:
        return
    checks = relations.parse(config["checks"])
    several = [] if sweep else [check.name for check in checks if check.is_about_several]
    if several:
        raise RunError(
            f"strict=true asks for all checks, and {several[0]} is about several runs, which a sweep answers; "
            "leave hydra.mode=RUN out, or strict=true"
        )
    wanted = LABS[experiment].checks if experiment in LABS else 1
    if len(checks) < wanted:
        what = f"experiment={experiment} has {wanted} checks" if experiment in LABS else "strict=true asks for checks"
        raise RunError(f"{what}, and here are {len(checks) or 'none'}; leave checks as they are, or strict=true out")
