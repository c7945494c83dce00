"""Grad-CAM: where a few images speak for the class that was predicted, and for their own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labrunner.data import Data, Split
from labrunner.deep import TorchLearner
from labrunner.learner import Learner
from labrunner.probes import Probe
from labrunner.probes.images.looked_at import short, watched
from labrunner.probes.images.maps import LONGEST, one_of_each

RIGHT, WRONG = 3, 3  # images of the first classes, and mistakes
DIGITS = 3  # of a brightness: more than 256 steps need


class GradCam(Probe):
    """Grad-CAM (Selvaraju et al. 2017) of a few images at the chosen epoch, for the predicted and for the true class.

    A map is ReLU(sum_k alpha_k A_k), with A_k the last maps of the backbone in front of a pooling and alpha_k the mean
    over all places of the gradient of the class's score with respect to A_k: where it is high, more of what was found
    there would raise the score. It is as coarse as those maps.

    Looked at are the first image of each of the first three classes, and the three mistakes with the highest
    probability, of the validation split (of training where there is none).

    ``probes/gradcam.csv``: ``epoch``, ``step``, ``image`` (position in the whole data set), ``label``, ``predicted``,
    ``class`` (that the map speaks for: the predicted one, then the true one if it is another), ``layer`` (whose maps
    they are), ``row``, ``column``, ``value`` (in units of the score, not scaled).

    ``probes/gradcam_images.csv``: ``epoch``, ``step``, ``image``, ``channel``, ``row``, ``column``, ``value``: the same
    images as the data set has them, from 0 (black) to 1 (full brightness).

    Of maps more than 64 pixels long every second row and column is noted, or fewer; of such images, the means of blocks
    of 2 x 2 pixels, or larger. Nothing is noted of a model without maps, or whose forward keeps gradients from them.
    """

    each_step = False
    MAPS = ("epoch", "step", "image", "label", "predicted", "class", "layer", "row", "column", "value")
    IMAGES = ("epoch", "step", "image", "channel", "row", "column", "value")

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        described = data.description
        if not isinstance(learner, TorchLearner) or len(described.shape) != 3 or described.soft:
            return
        split, when = watched(data), (epoch, epoch * data.train.batch_count)
        scores = [learner.scores(batch.inputs) for batch in split.in_order()]
        probabilities = learner.probabilities(scores)
        shown = looked_at(split, probabilities)
        inputs, labels = split.at(shown).inputs, split.labels[shown]
        predicted = probabilities[shown].argmax(axis=1)
        of_predicted, of_label = learner.class_maps(inputs, predicted), learner.class_maps(inputs, labels)
        if of_predicted is None or of_label is None:
            return
        rows: list[tuple[float | str | None, ...]] = []
        for number, (image, label, guess) in enumerate(
            zip(split.origin[shown].tolist(), labels.tolist(), predicted.tolist(), strict=True)
        ):
            found = {guess: of_predicted.values[number]} | {label: of_label.values[number]}
            for about, values in found.items():
                which = (*when, image, label, guess, about, of_label.layer)
                rows += [(*which, *place) for place in thinned(values)]
        self.notes.table("gradcam", self.MAPS, rows)
        white = 1.0 if described.white is None else described.white
        pixels = zip(split.origin[shown].tolist(), split.pixels(shown) / white, strict=True)
        pictures = [(*when, image, *place) for image, values in pixels for place in small(values)]
        self.notes.table("gradcam_images", self.IMAGES, pictures)


def looked_at(split: Split, probabilities: np.ndarray) -> np.ndarray:
    """Positions of the first image of each of the first classes, then of the most confident mistakes; none comes twice.

    `probabilities` (N, K) are those of the whole split.
    """
    first = one_of_each(split, RIGHT)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != split.labels)
    most = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
    return np.concatenate([first, most[~np.isin(most, first)][:WRONG]])


def thinned(values: np.ndarray) -> Iterator[tuple[int, int, float | None]]:
    """Row, column and value of a map (h, w), of one that is long a part; None where it is not finite."""
    step = -(-max(values.shape) // LONGEST)
    some = values[::step, ::step]
    for (row, column), value in zip(np.ndindex(some.shape), short(some), strict=True):
        yield row * step, column * step, value if np.isfinite(value) else None


def small(image: np.ndarray) -> Iterator[tuple[int, int, int, float]]:
    """Channel, row, column and brightness of an image (C, H, W) in [0, 1], of one that is long the means of blocks."""
    step = -(-max(image.shape[1:]) // LONGEST)
    channels, *sides = image.shape
    over = [(0, -side % step) for side in sides]  # at the lower and right edge blocks repeat it
    whole = np.pad(image, [(0, 0), *over], mode="edge")
    height, width = (side // step for side in whole.shape[1:])
    means = whole.reshape(channels, height, step, width, step).mean(axis=(2, 4))
    for (channel, row, column), value in np.ndenumerate(means):
        yield channel, row * step, column * step, round(float(value), DIGITS)
