"""Feature maps: what each convolutional layer gives out for a few images, and whether poolings pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from labrunner.data import Data, Split
from labrunner.learner import Learner
from labrunner.probes import Probe
from labrunner.probes.images.looked_at import short, to_numpy, watched
from labrunner.thinning import evenly

IMAGES = 3  # whose maps are noted
POOLED = 64  # images whose poolings are computed again
MOST_LAYERS, MOST_CHANNELS = 16, 8
LONGEST = 64  # rows or columns of a map that are noted
INPUT = "input"  # the layer that the image itself is noted as
PASSED_OVER = ("norm", "drop")  # the same maps, scaled


class FeatureMaps(Probe):
    """Maps of each convolution, activation and pooling for a few images, and each pooling computed again in NumPy.

    At the chosen epoch. ``probes/feature_maps.csv``: ``epoch``, ``step``, ``image`` (position in the whole data set),
    ``label``, ``layer`` (``input`` is the normalized image), ``channel``, ``row``, ``column``, ``value``. The images
    are the first one of each of the first three classes; of a layer the first eight channels are noted, of maps more
    than 64 pixels long every second row and column, or fewer.

    ``probes/pooling.csv``: ``epoch``, ``step``, ``layer``, ``pooling`` (max or avg), ``images`` (up to 64, evenly from
    the split), ``values`` (that came out of the pooling), ``from_maximum`` and ``from_average``: the largest difference
    between these and the maximum, or average, of each block of 2 x 2 of what went in, in all channels of all images.

    Facts, the largest of all pooling layers: ``max_pooling_error`` and ``average_pooling_error``, the difference from
    the block's maximum and average, whichever pooling the model has, and ``pooling_error``, that of its own kind.
    """

    MAPS = ("epoch", "step", "image", "label", "layer", "channel", "row", "column", "value")
    POOLING = ("epoch", "step", "layer", "pooling", "images", "values", "from_maximum", "from_average")

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        if len(data.description.shape) != 3:
            return
        split, step = watched(data), epoch * data.train.batch_count
        shown = one_of_each(split, IMAGES)
        inputs = split.at(shown).inputs
        found = layers_to_note(learner.activations(inputs))
        if not found:
            return
        layers = {INPUT: to_numpy(inputs)} | found
        images = list(zip(split.origin[shown].tolist(), split.labels[shown].tolist(), strict=True))
        self.notes.table("feature_maps", self.MAPS, map_rows((epoch, step), images, layers))
        kind = self.config["model"].get("pooling")
        if kind not in ("max", "avg"):
            return
        places = evenly(len(split), POOLED)
        outputs = learner.activations(split.at(places).inputs)
        rows = [
            (epoch, step, layer, kind, len(places), after.size, *differences(before, after))
            for layer, before, after in poolings(outputs)
        ]
        self.notes.table("pooling", self.POOLING, rows)

    def facts(self) -> dict[str, float]:
        rows = [row for row in self.notes.rows("pooling") if None not in row.values()]
        if not rows:
            return {}
        maximum, average = (max(float(row[name]) for row in rows) for name in ("from_maximum", "from_average"))
        own = maximum if rows[0]["pooling"] == "max" else average
        return {"pooling_error": own, "max_pooling_error": maximum, "average_pooling_error": average}


def one_of_each(split: Split, most: int) -> np.ndarray:
    """Positions of the first sample of each of the first classes that there are."""
    _, first = np.unique(split.labels, return_index=True)  # in the order of the classes
    return first[:most]


def layers_to_note(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those outputs that are maps (N, C, H, W), by the layer's name, without normalization and dropout.

    Of very deep networks some, evenly from the first to the last.
    """
    names = [
        name
        for name, output in outputs.items()
        if output.ndim == 4 and output[0, 0].size > 1 and name.rpartition(".")[2] not in PASSED_OVER
    ]
    places = evenly(len(names), MOST_LAYERS)
    return {names[place]: outputs[names[place]] for place in places}


def map_rows(
    when: tuple[int, int], images: list[tuple[int, int]], layers: Mapping[str, np.ndarray]
) -> Iterator[tuple[float | str, ...]]:
    for number, (index, label) in enumerate(images):
        for layer, output in layers.items():
            thinned = -(-max(output.shape[2:]) // LONGEST)
            maps = output[number, :MOST_CHANNELS, ::thinned, ::thinned]
            for (channel, row, column), value in zip(np.ndindex(maps.shape), short(maps), strict=True):
                # where it is in the whole map
                yield (*when, index, label, layer, channel, row * thinned, column * thinned, value)


def poolings(outputs: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each pooling layer with what goes in, the output of the layer in front of it, and what comes out."""
    before: np.ndarray | None = None
    for layer, output in outputs.items():
        if layer.rpartition(".")[2] == "pool" and before is not None and before.ndim == output.ndim == 4:
            yield layer, before, output
        before = output


def differences(before: np.ndarray, after: np.ndarray) -> tuple[float | None, float | None]:
    """The largest distance of `after` from the maximum and from the average of each block of 2 x 2 of `before`.

    Both (N, C, H, W); a row or a column that is over belongs to no block. None where it is not finite.
    """
    height, width = before.shape[2] // 2, before.shape[3] // 2
    blocks = before[:, :, : 2 * height, : 2 * width].reshape(*before.shape[:2], height, 2, width, 2).astype(np.float64)
    found = [float(np.abs(after - pooled).max()) for pooled in (blocks.max(axis=(3, 5)), blocks.mean(axis=(3, 5)))]
    maximum, average = (value if np.isfinite(value) else None for value in found)
    return maximum, average
