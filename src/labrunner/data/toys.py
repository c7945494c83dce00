"""Made-up data: images and points to try things on, and two objectives whose loss is known in closed form.

What is drawn depends on the data set's own seed: runs with another `seed` see the same samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labrunner.data.samples import Description, Samples
from labrunner.errors import RequestError
from labrunner.seeding import generator, number

AXES = ("x1", "x2")
CLASSES = {  # of the points in the plane
    "moons": ("upper", "lower"),
    "circles": ("outer", "inner"),
    "xor": ("opposite", "same"),  # signs of x1 and x2
}
INNER = 0.5  # radius of the inner circle, that of the outer one is 1
RADIUS = 2.0  # of the circle on which the clouds of `imbalanced` stand
NAMES = ("fake", *CLASSES, "blobs", "imbalanced", "quadratic", "point")


def describe(options: dict[str, Any]) -> Description:
    """The description of one of `NAMES`; draws nothing."""
    name = options["name"]
    if name == "fake":
        shape = (options["channels"], options["size"], options["size"])
        return Description(name, shape, _numbered(options), white=255.0)
    if name == "quadratic":
        return Description(name, (2,), ("-1", "+1"), feature_names=AXES, soft=True)
    if name == "point":
        return Description(name, (1,), ("0", "1"), feature_names=AXES[:1])
    if name == "imbalanced":
        return Description(name, (2,), tuple(f"class {k}" for k in range(len(options["shares"]))), feature_names=AXES)
    names = _numbered(options) if name == "blobs" else CLASSES[name]
    return Description(name, (2,), names, feature_names=AXES)


def _numbered(options: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"class {k}" for k in range(options["num_classes"]))


def load(options: dict[str, Any]) -> Samples:
    """The samples of one of `NAMES`."""
    description = describe(options)
    if description.name == "fake":
        return _fake(description, options)
    if description.name == "quadratic":
        return _quadratic(description)
    if description.name == "point":
        return Samples(description, np.ones((1, 1), dtype=np.float32), np.zeros(1, dtype=np.int64))
    drawn = {"xor": _xor, "imbalanced": _imbalanced}.get(description.name, _from_sklearn)
    inputs, labels = drawn(description, options)
    return Samples(description, inputs.astype(np.float32), labels.astype(np.int64))


def _fake(description: Description, options: dict[str, Any]) -> Samples:
    """A smooth random pattern a class, scaled to grey values, with noise of `noise` times the pattern's spread."""
    count, classes = options["samples"], description.num_classes
    rng = generator(options["split_seed"], "fake")
    channels, height, width = description.shape
    coarse = rng.normal(size=(classes, channels, (height + 3) // 4, (width + 3) // 4))
    pattern = coarse.repeat(4, axis=2).repeat(4, axis=3)[:, :, :height, :width]
    labels = np.arange(count, dtype=np.int64) % classes
    values = pattern[labels] + options["noise"] * rng.normal(size=(count, *description.shape))
    return Samples(description, np.clip(127.5 + 40.0 * values, 0.0, 255.0).astype(np.uint8), labels)


def _from_sklearn(description: Description, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Moons, circles and blobs as scikit-learn makes them."""
    from sklearn import datasets  # takes a second

    name, count, noise = description.name, options["samples"], options["noise"]
    state = number(options["seed"], name) % 2**32  # all that scikit-learn takes
    if name == "moons":
        return datasets.make_moons(count, noise=noise, random_state=state)
    if name == "circles":
        return datasets.make_circles(count, noise=noise, factor=INNER, random_state=state)
    return datasets.make_blobs(count, centers=description.num_classes, cluster_std=noise, random_state=state)


def _xor(description: Description, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Four Gaussian clouds at (±1, ±1), as many samples of each; the class is the sign of the centre's product."""
    cloud = np.arange(options["samples"]) % 4
    centres = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    spread = options["noise"] * generator(options["seed"], "xor").normal(size=(len(cloud), 2))
    return centres[cloud] + spread, (centres.prod(axis=1) > 0)[cloud]


def _imbalanced(description: Description, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Round Gaussian clouds on a circle, one a class, of very different numbers of samples.

    The shares are divided by their sum and rounded to whole samples, one of each class at least; the largest class
    makes up for what that takes.
    """
    shares = np.array(options["shares"], dtype=np.float64)
    counts = np.maximum(1, np.round(options["samples"] * shares / shares.sum()).astype(np.int64))
    counts[counts.argmax()] += options["samples"] - counts.sum()
    if counts.min() < 1:
        raise RequestError(
            f"dataset.samples={options['samples']} are too few for {len(counts)} classes; try dataset.samples=500"
        )
    labels = np.repeat(np.arange(len(counts)), counts)
    angles = 2.0 * np.pi * labels / len(counts)
    centres = RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return centres + options["noise"] * generator(options["seed"], "imbalanced").normal(size=centres.shape), labels


def _quadratic(description: Description) -> Samples:
    """Two points at which the outputs w1 sqrt(0.2) and 2 w2 of a linear unit should be 0, between the two classes.

    The mean of its squared errors is 0.1 w1^2 + 2 w2^2. The inputs are float64, since sqrt(0.2) is rounded.
    """
    inputs = np.array([[np.sqrt(0.2), 0.0], [0.0, 2.0]])
    return Samples(description, inputs, np.zeros(2, dtype=np.int64), weights=np.full((2, 2), 0.5))
