"""Features at each depth of a network: how well classes lie apart in them, and a plane in which to look at the last."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from labrunner.data import Data, Split
from labrunner.learner import Learner
from labrunner.probes import Probe
from labrunner.probes.images.looked_at import to_numpy, watched
from labrunner.thinning import evenly

SAMPLES = 500  # that are looked at
AT_ONCE = 100  # samples whose activations are held
MOST_FEATURES = 4096  # of a depth
MOST_DEPTHS = 12
PERPLEXITY = 30.0  # of t-SNE: about so many neighbours of a sample count
ITERATIONS = 500  # of t-SNE; more move the points no closer to their neighbours
FEWEST = 5  # samples, for a plane
INPUT = "input"
_TWIN = re.compile(r"^(?:linear|norm|act|drop)(\d+)$")  # layers of a multilayer perceptron that make one depth
_BLOCK = re.compile(r"^(.*?\d+)")


class Embedding(Probe):
    """How well the classes lie apart at each depth, at the start and at the chosen epoch, and the last features in 2-D.

    Looked at are up to 500 samples, evenly from the validation split (from training where there is none); of more than
    4096 features every second one, or fewer. Depth 0 is the normalized input, then come the outputs of the blocks, the
    last being what the head gets to see.

    ``probes/silhouette.csv``: ``epoch``, ``step``, ``depth``, ``layer``, ``features`` (how many), ``silhouette``: the
    mean over the samples of (b - a) / max(a, b), with a the mean distance to the own class and b that to the nearest
    other class, from -1 to 1 (Rousseeuw 1987), of the true classes.

    ``probes/embedding.csv``, of the last features at the chosen epoch: ``epoch``, ``step``, ``index`` (position in the
    whole data set), ``label``, ``predicted``, ``pca_1``, ``pca_2`` (principal components, in units of the features),
    ``tsne_1``, ``tsne_2`` (t-SNE, van der Maaten & Hinton 2008: without unit, distances between groups mean little).

    Facts, at the chosen epoch: ``silhouette_input``, ``silhouette_first`` (first block), ``silhouette_last``,
    ``silhouette_rises`` (1 if no depth is below the one before it, else 0); and ``silhouette_untrained``, of the last
    features at the start.
    """

    SILHOUETTE = ("epoch", "step", "depth", "layer", "features", "silhouette")
    PLANE = ("epoch", "step", "index", "label", "predicted", "pca_1", "pca_2", "tsne_1", "tsne_2")

    def start(self, learner: Learner, data: Data, step: int) -> None:
        if step == 0 and not data.description.soft:
            split = watched(data)
            positions = evenly(len(split), SAMPLES)
            depths = features(learner, split, positions)
            self.notes.note("silhouette", self.SILHOUETTE, silhouettes((0, 0), depths, split.labels[positions]))

    def end(self, learner: Learner, data: Data, epoch: int) -> None:
        if data.description.soft:
            return
        split, when = watched(data), (epoch, epoch * data.train.batch_count)
        positions = evenly(len(split), SAMPLES)
        labels, depths = split.labels[positions], features(learner, split, positions)
        start = [tuple(row.values()) for row in self.notes.rows("silhouette") if row["epoch"] == 0]
        self.notes.table("silhouette", self.SILHOUETTE, [*start, *silhouettes(when, depths, labels)])
        last = list(depths.values())[-1]
        if len(last) < FEWEST or not np.isfinite(last).all():
            return
        predicted = learner.probabilities([learner.scores(split.at(positions).inputs)]).argmax(axis=1)
        rows = [
            (*when, int(index), int(label), int(guess), *place)
            for index, label, guess, place in zip(
                split.origin[positions], labels, predicted, in_the_plane(last), strict=True
            )
        ]
        self.notes.table("embedding", self.PLANE, rows)

    def facts(self) -> dict[str, float]:
        rows = self.notes.rows("silhouette")
        before = [row["silhouette"] for row in rows if row["epoch"] == 0]
        after = [row["silhouette"] for row in rows if row["epoch"] != 0]
        found = {"silhouette_input": after[0], "silhouette_last": after[-1]} if after else {}
        if len(after) > 1:
            found["silhouette_first"] = after[1]
            if None not in after:
                found["silhouette_rises"] = float(all(a <= b for a, b in itertools.pairwise(after)))
        if before:
            found["silhouette_untrained"] = before[-1]
        return {name: value for name, value in found.items() if value is not None}


def features(learner: Learner, split: Split, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Depth by its name, from the input on -> features (N, F) of the samples, thinned."""
    parts: dict[str, list[np.ndarray]] = {}
    for first in range(0, len(positions), AT_ONCE):
        inputs = split.at(positions[first : first + AT_ONCE]).inputs
        outputs = learner.activations(inputs)
        wanted = {INPUT: to_numpy(inputs)} | {name: outputs[layer] for name, layer in depths(outputs).items()}
        for name, values in wanted.items():
            flat = values.reshape(len(values), -1)
            parts.setdefault(name, []).append(flat[:, :: -(-flat.shape[1] // MOST_FEATURES)].astype(np.float64))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def depths(outputs: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Depth -> the layer whose output is its own: the last one of each block of the backbone, in forward order."""
    found: dict[str, str] = {}
    for layer in outputs:
        inside = layer.removeprefix("backbone.")
        if layer == "head" or layer.startswith("head.") or inside == "flatten":
            continue
        twin = _TWIN.match(inside)
        block = _BLOCK.match(inside)
        found[f"layer {twin[1]}" if twin else block[1] if block else inside] = layer
    names = list(found)
    places = evenly(len(names), MOST_DEPTHS)
    return {names[place]: found[names[place]] for place in places}


def silhouettes(
    when: tuple[int, int], found: Mapping[str, np.ndarray], labels: np.ndarray
) -> Iterator[tuple[int | str | float | None, ...]]:
    for depth, (name, values) in enumerate(found.items()):
        yield (*when, depth, name, values.shape[1], silhouette(values, labels))


def silhouette(values: np.ndarray, labels: np.ndarray) -> float | None:
    """Of features (N, F) and classes (N,); None where it is not defined or a feature is not finite."""
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(labels)) < len(labels) or not np.isfinite(values).all():
        return None
    with one_thread():
        return float(silhouette_score(values, labels))


def in_the_plane(values: np.ndarray) -> list[tuple[float | None, ...]]:
    """Two principal components and two dimensions of t-SNE of features (N, F); blank t-SNE where all are the same."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    count = len(values)
    if not np.ptp(values, axis=0).any():
        return [(0.0, 0.0, None, None)] * count
    with one_thread():
        main = PCA(min(2, values.shape[1]), svd_solver="full").fit_transform(values)
        main = np.pad(main, ((0, 0), (0, 2 - main.shape[1])))
        # from the principal components, small: what is drawn does not hang on a random start (Kobak & Berens 2019)
        begin = (main / main[:, 0].std() * 1e-4).astype(np.float32)
        nearby = min(PERPLEXITY, (count - 1) / 3)
        tsne = TSNE(2, perplexity=nearby, init=begin, random_state=0, max_iter=ITERATIONS)
        near = tsne.fit_transform(values)
    return [(*one, *other) for one, other in zip(main.tolist(), near.astype(np.float64).tolist(), strict=True)]


def one_thread() -> Any:
    """Sums over several threads would come in any order."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)
