"""The labs of the course in its order: each is an experiment of that name, whose YAML says what it shows."""

from __future__ import annotations

from typing import NamedTuple


class Lab(NamedTuple):
    """What is promised of a lab."""

    checks: int  # that it must have at least; strict=true fails below
    seconds: int  # that it takes on two cores, about


LABS: dict[str, Lab] = {
    "perceptron_iris": Lab(checks=4, seconds=10),
    "perceptron_limits": Lab(checks=5, seconds=60),
    "adaline_learning_rate": Lab(checks=4, seconds=20),
    "gradient_descent": Lab(checks=5, seconds=20),
    "losses": Lab(checks=2, seconds=10),
    "batch_size": Lab(checks=2, seconds=60),
    "mlp_from_scratch": Lab(checks=4, seconds=20),
    "activations": Lab(checks=4, seconds=200),
    "initialization": Lab(checks=6, seconds=120),
    "learning_rate_range": Lab(checks=1, seconds=60),
    "learning_rates": Lab(checks=3, seconds=60),
    "optimizers": Lab(checks=3, seconds=60),
    "regularization": Lab(checks=2, seconds=240),
    "metrics": Lab(checks=4, seconds=20),
    "cnn_design": Lab(checks=3, seconds=240),
    "feature_maps": Lab(checks=4, seconds=60),
}
