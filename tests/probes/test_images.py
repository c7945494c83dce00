"""What the probes of images note, against SciPy, scikit-learn, plain loops and the run's own checkpoints."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import shift as scipy_shift
from scipy.signal import correlate2d
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness

from labrunner import checkpoint
from labrunner.probes.images import embedding, kernels, maps
from labrunner.probes.images.looked_at import short
from labrunner.probes.images.shift import shifted
from labrunner.records import load_run

CNN = (
    "model=cnn",
    "model.channels=[3,4]",
    "model.batch_norm=false",
    "dataset.per_class=20",
    "epochs=2",
    "figures=none",
)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with open(folder / "probes" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def facts(folder: Path) -> dict[str, float]:
    return json.loads((folder / "facts.json").read_text())


def weights(folder: Path, epoch: int) -> dict[str, np.ndarray]:
    state, _ = checkpoint.read(folder / "checkpoints" / f"{epoch:05d}.safetensors")
    return {name.removeprefix("weights/"): values for name, values in state.items() if name.startswith("weights/")}


def cube(table: list[dict[str, str]], axes: tuple[str, ...]) -> np.ndarray:
    places = [tuple(int(row[name]) for name in axes) for row in table]
    found = np.full([max(place) + 1 for place in zip(*places, strict=True)], np.nan)
    for place, row in zip(places, table, strict=True):
        found[place] = float(row["value"])
    return found


def normalized(folder: Path, index: int) -> np.ndarray:
    """An image of digits as the network gets it: standardized by mean and deviation of the training split."""
    from labrunner.data import Data, make, samples_of
    from labrunner.learner import ANY

    class NumPy:
        wants = ANY

        def array(self, values: np.ndarray) -> np.ndarray:
            return values

    config = load_run(folder).config
    data: Data = make(config, samples_of(config, {}), NumPy())  # type: ignore[arg-type]
    images = load_digits().images / 16.0
    train = images[data.train.index]
    return (images[index] - train.mean()) / train.std()


def test_the_kernels_are_those_of_the_checkpoint_and_of_the_start(lab):
    folder = lab.train("run", *CNN, "probes=[kernels]")
    table = rows(folder, "kernels")
    axes = ("kernel", "channel", "row", "column")
    epochs = sorted({int(row["epoch"]) for row in table})
    assert epochs[0] == 0
    assert len(epochs) == 2
    after = cube([row for row in table if row["epoch"] != "0"], axes)
    np.testing.assert_array_equal(after.astype(np.float32), weights(folder, epochs[1])["backbone.block1.conv.weight"])
    before = cube([row for row in table if row["epoch"] == "0"], axes)
    hashes = json.loads((folder / "initial.json").read_text())
    name = "backbone.block1.conv.weight"
    assert checkpoint.tensor_hash(name, before.astype(np.float32)) == hashes[name]
    assert facts(folder)["kernels_moved"] == pytest.approx(np.linalg.norm(after - before) / np.linalg.norm(before))


def test_very_large_kernels_and_very_many_are_noted_in_part():
    class Learner:
        def __init__(self, *shape: int) -> None:
            self.shape = shape

        def weights(self) -> dict[str, np.ndarray]:
            return {"a.bias": np.zeros(3), "a.weight": np.zeros(self.shape), "b.weight": np.ones((1, 1, 1, 1))}

    assert kernels.first_kernels(Learner(500, 12, 3, 3)).shape == (64, 3, 3, 3)  # type: ignore[arg-type]
    few = kernels.first_kernels(Learner(500, 3, 101, 101))  # type: ignore[arg-type]
    assert few.shape == (1, 3, 101, 101)
    assert kernels.first_kernels(Learner(3, 3)).shape == (1, 1, 1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_the_maps_are_correlations_rectified_and_pooled(lab, kind):
    folder = lab.train("run", *CNN, f"model.pooling={kind}", "probes=[feature_maps]")
    table = rows(folder, "feature_maps")
    epoch, index = int(table[0]["epoch"]), int(table[0]["image"])
    assert {row["label"] for row in table} == {"0", "1", "2"}
    truth = load_digits().target
    assert all(int(row["label"]) == truth[int(row["image"])] for row in table)

    def noted(layer: str) -> np.ndarray:
        mine = [row for row in table if row["layer"] == layer and int(row["image"]) == index]
        return cube(mine, ("channel", "row", "column"))

    own = weights(folder, epoch)
    image = noted("input")
    np.testing.assert_allclose(image[0], normalized(folder, index), atol=1e-5)
    inputs = image
    for block in ("block1", "block2"):
        kernel, bias = (own[f"backbone.{block}.conv.{name}"] for name in ("weight", "bias"))
        maps_of = np.array(
            [
                sum(correlate2d(plane, k, mode="same") for plane, k in zip(inputs, of_map, strict=True)) + b
                for of_map, b in zip(kernel, bias, strict=True)
            ]
        )
        np.testing.assert_allclose(noted(f"backbone.{block}.conv"), maps_of, atol=1e-5)
        np.testing.assert_allclose(noted(f"backbone.{block}.act"), np.maximum(maps_of, 0.0), atol=1e-5)
        active = noted(f"backbone.{block}.act")
        pool = np.max if kind == "max" else np.mean
        inputs = np.array(
            [
                [[pool(plane[i : i + 2, j : j + 2]) for j in range(0, len(plane), 2)] for i in range(0, len(plane), 2)]
                for plane in active
            ]
        )
        np.testing.assert_allclose(noted(f"backbone.{block}.pool"), inputs, atol=0.0 if kind == "max" else 1e-6)
    found = facts(folder)
    assert found["pooling_error"] == found[f"{'max' if kind == 'max' else 'average'}_pooling_error"]
    assert found["pooling_error"] == 0.0 if kind == "max" else 0.0 < found["pooling_error"] < 1e-6
    assert found["average_pooling_error" if kind == "max" else "max_pooling_error"] > 0.01


def test_a_pooling_that_does_not_pool_is_found_out():
    rng = np.random.default_rng(0)
    before = rng.standard_normal((2, 3, 5, 7))
    good = np.array(
        [
            [[[image[i : i + 2, j : j + 2].max() for j in (0, 2, 4)] for i in (0, 2)] for image in channels]
            for channels in before
        ]
    )
    mean = np.array(
        [
            [[[image[i : i + 2, j : j + 2].mean() for j in (0, 2, 4)] for i in (0, 2)] for image in channels]
            for channels in before
        ]
    )
    assert maps.differences(before, good)[0] == 0.0
    assert maps.differences(before, mean)[1] == pytest.approx(0.0, abs=1e-15)
    assert maps.differences(before, mean)[0] == np.abs(good - mean).max()
    good[1, 2, 1, 2] += 1e-9  # the very last value
    assert maps.differences(before, good)[0] == pytest.approx(1e-9, rel=1e-3)
    good[0, 0, 0, 0] = np.nan
    assert maps.differences(before, good) == (None, None)


def test_without_pooling_there_is_no_fact_of_it(lab):
    folder = lab.train("run", *CNN, "model.pooling=none", "probes=[feature_maps]")
    assert not any("pooling" in name for name in facts(folder))
    assert {row["layer"].rpartition(".")[2] for row in rows(folder, "feature_maps")} == {"input", "conv", "act"}


def test_of_large_maps_some_pixels_are_noted_under_their_own_place():
    output = np.arange(2 * 3 * 130 * 70, dtype=np.float32).reshape(2, 3, 130, 70)
    noted = list(maps.map_rows((1, 2), [(7, 0), (9, 1)], {"a": output}))
    assert len(noted) == 2 * 3 * 44 * 24
    for _, _, index, _, _, channel, row, column, value in noted[:: len(noted) // 50]:
        assert value == output[{7: 0, 9: 1}[index], channel, row, column]


def test_numbers_are_written_short_and_read_back_as_they_were():
    values = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    again = [float(repr(value)) for value in short(values)]
    np.testing.assert_array_equal(np.array(again, dtype=np.float32), values)
    assert max(len(repr(value)) for value in short(values)) <= 15


def by_definition(values: np.ndarray, labels: np.ndarray) -> float:
    """Silhouette by Rousseeuw's words, a sample at a time."""
    apart = np.linalg.norm(values[:, None] - values[None], axis=2)
    each = []
    for i, own in enumerate(labels):
        mine = (labels == own) & (np.arange(len(labels)) != i)
        if not mine.any():
            each.append(0.0)
            continue
        a = apart[i][mine].mean()
        b = min(apart[i][labels == other].mean() for other in np.unique(labels) if other != own)
        each.append((b - a) / max(a, b))
    return float(np.mean(each))


def test_the_silhouette_of_each_depth_is_what_its_definition_says(lab):
    folder = lab.train("run", *CNN, "probes=[embedding]")
    table = rows(folder, "silhouette")
    assert [row["layer"] for row in table] == ["input", "block1", "block2"] * 2
    assert [int(row["features"]) for row in table] == [64, 3 * 16, 4 * 4] * 2
    plane = rows(folder, "embedding")
    index, labels = ([int(row[name]) for row in plane] for name in ("index", "label"))
    np.testing.assert_array_equal(load_digits().target[index], labels)
    pixels = load_digits().images[index].reshape(len(index), -1)  # one scale and shift for all pixels: no ratio changes
    first = by_definition(pixels, np.array(labels))
    assert float(table[0]["silhouette"]) == pytest.approx(first, abs=1e-5)
    found = facts(folder)
    after = [float(row["silhouette"]) for row in table[3:]]
    assert [found[f"silhouette_{name}"] for name in ("input", "first", "last")] == after
    assert found["silhouette_untrained"] == float(table[2]["silhouette"])
    assert found["silhouette_rises"] == float(after == sorted(after))


def test_the_embedding_says_what_was_predicted_and_keeps_neighbours(lab):
    folder = lab.train("run", *CNN, "epochs=4", "optim.lr=0.01", "probes=[embedding]")
    table = rows(folder, "embedding")
    hits = np.mean([row["label"] == row["predicted"] for row in table])
    chosen = load_run(folder).chosen
    assert hits == pytest.approx(load_run(folder).row_list[chosen.epoch - 1]["val_accuracy"])
    pca = np.array([[float(row["pca_1"]), float(row["pca_2"])] for row in table])
    assert pca.mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-9)
    assert abs(np.corrcoef(pca.T)[0, 1]) < 1e-9
    assert pca[:, 0].var() > pca[:, 1].var()


def test_the_plane_holds_the_directions_of_most_variance_and_near_ones_stay_near():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((80, 12)) * np.linspace(4.0, 0.1, 12) + 10.0 * rng.integers(0, 3, 80)[:, None]
    plane = np.array(embedding.in_the_plane(values))
    spectrum = np.linalg.svd(values - values.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose((plane[:, :2] ** 2).sum(axis=0), spectrum[:2] ** 2)
    assert trustworthiness(values, plane[:, 2:], n_neighbors=5) > 0.9
    assert embedding.in_the_plane(values) == [tuple(row) for row in plane.tolist()]
    assert embedding.in_the_plane(np.ones((6, 3))) == [(0.0, 0.0, None, None)] * 6
    assert len(embedding.in_the_plane(rng.standard_normal((6, 1)))) == 6


def test_what_has_no_silhouette_is_blank():
    values = np.random.default_rng(0).standard_normal((6, 2))
    assert embedding.silhouette(values, np.zeros(6, dtype=int)) is None
    assert embedding.silhouette(values, np.arange(6)) is None
    assert embedding.silhouette(np.where(values > 0, np.nan, values), np.arange(6) % 2) is None


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        (["backbone.flatten", "backbone.linear1", "backbone.norm1", "backbone.act1", "head"], {"layer 1": "act1"}),
        (["backbone.block1.conv", "backbone.block1.act", "backbone.flatten", "head"], {"block1": "block1.act"}),
        (["backbone.layer1.0.conv1", "backbone.layer2.1.bn", "head"], {"layer1": None, "layer2": "layer2.1.bn"}),
        (["backbone.flatten", "head"], {}),
    ],
)
def test_a_depth_is_the_last_layer_of_its_block(layers, found):
    depths = embedding.depths(dict.fromkeys(layers, np.zeros(1)))
    assert list(depths) == list(found)
    assert all(depths[name] == f"backbone.{layer}" for name, layer in found.items() if layer)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 0), (-2, 3), (3, -1), (-3, -3)])
def test_images_shift_as_in_scipy(down, right):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 2, 6, 5)).astype(np.uint8)
    expected = scipy_shift(pixels, (0, 0, down, right), order=0, cval=0)
    moved = shifted(pixels, down, right)
    assert moved.dtype == np.uint8
    np.testing.assert_array_equal(moved, expected)


def test_the_accuracy_without_a_shift_is_that_of_the_chosen_epoch(lab):
    folder = lab.train("run", *CNN, "epochs=4", "optim.lr=0.01", "probes=[shift]")
    table = {(int(row["down"]), int(row["right"])): float(row["accuracy"]) for row in rows(folder, "shift")}
    assert len(table) == 49
    found, run = facts(folder), load_run(folder)
    assert found["accuracy_unshifted"] == table[0, 0]
    assert table[0, 0] == pytest.approx(run.row_list[run.chosen.epoch - 1]["val_accuracy"])
    straight = [table[place] for place in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    assert found["accuracy_shifted_1"] == pytest.approx(np.mean(straight))
    assert found["shift_cost"] == pytest.approx(table[0, 0] - np.mean(straight))
    assert found["shift_cost"] > 0.0


def test_without_a_val_split_the_training_images_are_looked_at(lab):
    probes = "probes=[kernels,feature_maps,embedding,shift]"
    folder = lab.train("run", *CNN, "dataset.val_fraction=0", "monitor=train_loss", probes)
    assert {int(row["samples"]) for row in rows(folder, "shift")} == {200}
    assert len(rows(folder, "embedding")) == 200


def test_a_table_has_an_embedding_and_features_of_each_hidden_layer(lab):
    folder = lab.train("run", "dataset=iris", "model=mlp", "model.hidden=[8,6]", "epochs=3", "probes=[embedding]")
    assert [row["layer"] for row in rows(folder, "silhouette")] == ["input", "layer 1", "layer 2"] * 2
    assert len(rows(folder, "embedding")) == 30


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["model=mlp", "probes=[kernels]"], "probes=[kernels] looks into convolutions and model=mlp has none"),
        (["model=neuron", "probes=[feature_maps]"], "try model=cnn"),
        (["dataset=iris", "model=mlp", "probes=[shift]"], "probes=[shift] moves images and dataset=iris is a table"),
    ],
)
def test_a_probe_that_would_have_nothing_to_say_is_refused(lab, typed: list[str], words: str):
    before: dict[str, Any] = lab.tree()
    ended = lab(*typed)
    assert ended.code == 2
    assert words in ended.err
    assert lab.tree() == before
