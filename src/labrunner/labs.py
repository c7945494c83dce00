"""The labs of the course in its order: each is an experiment of that name, whose YAML says what it shows."""

from __future__ import annotations

from typing import NamedTuple


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
    "metrics": Lab(checks=6, seconds=10),
    "learning_rate_range": Lab(checks=3, seconds=25),
    "learning_rates": Lab(checks=3, seconds=15),
    "optimizers": Lab(checks=3, seconds=20),
}
