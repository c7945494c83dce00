"""The decision regions: what is drawn is what boundary.npz says, and that is what the chosen weights say."""

from __future__ import annotations

import itertools
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from safetensors.numpy import load_file

from labrunner.figures.boundary import COLOURS, MARKERS, boundary, shading
from labrunner.figures.samples import mistakes, samples
from labrunner.records import Run, load_run
from tests.arrays import write_boundary, write_samples
from tests.cli.lab import assert_same_run, essence
from tests.figures.looking import NAMES, all_inside, write_run
from tests.folders import HOSTILE
from tests.lines import cases


def markers(axes: Any, marker: str) -> list[Any]:
    return [line for line in axes.get_lines() if line.get_marker() == marker and line.get_markersize() < 12]


def test_a_region_has_the_colour_of_its_likeliest_class_paler_where_less_certain():
    probabilities = np.array([[0.5, 0.5], [0.7, 0.3], [0.9, 0.1], [0.0, 1.0]])
    colours = shading(probabilities)
    own = np.array([to_rgb(colour) for colour in COLOURS[:2]])
    distances = np.linalg.norm(colours[:, None] - own, axis=-1)
    assert (np.diff(distances[:3, 0]) < 0).all()
    assert distances[3].argmin() == 1
    # its hue: what is missing to white is a multiple of what is missing to white in the class's colour
    for colour, label in zip(colours, (0, 0, 0, 1), strict=True):
        ratio = (1 - colour) / (1 - own[label])
        np.testing.assert_allclose(ratio, ratio[0])


@pytest.mark.parametrize("count", [2, 10])
def test_every_sample_is_drawn_with_the_colour_and_mark_of_its_class(tmp_path, count):
    folder = write_run(tmp_path / "run", classes=NAMES[count])
    arrays = write_boundary(folder, NAMES[count])
    left, right = boundary(load_run(folder)).axes[:2]
    for label in range(count):
        of_class = arrays["label"] == label
        train, val = markers(left, MARKERS[label])
        (test,) = markers(right, MARKERS[label])
        for line, split in ((train, "train"), (val, "val"), (test, "test")):
            drawn = np.column_stack([line.get_xdata(), line.get_ydata()])
            np.testing.assert_array_equal(drawn, arrays["point"][of_class & (arrays["split"] == split)])
        assert to_hex(train.get_markerfacecolor()) == COLOURS[label].lower()
        assert to_hex(val.get_markerfacecolor()) == "#ffffff"  # hollow
        assert to_hex(val.get_markeredgecolor()) == COLOURS[label].lower()
    assert len(set(MARKERS)) == len(set(COLOURS)) == 10


def test_the_ringed_samples_are_those_that_predictions_csv_has_wrong(tmp_path):
    folder = write_run(tmp_path / "run", classes=("a", "b"), samples=60)
    run = load_run(folder)
    table = run.predictions
    arrays = write_boundary(folder, ("a", "b"), index=np.r_[1000:1120, table["index"].to_numpy()])
    right = boundary(run).axes[1]
    (ring,) = [line for line in right.get_lines() if line.get_markeredgecolor() == "black"]
    wrong = (table["label"] != table["predicted"]).to_numpy()
    np.testing.assert_array_equal(np.column_stack(ring.get_data()), arrays["point"][120:][wrong])
    assert f"{wrong.sum()} of 60" in right.get_title()
    assert ring.get_markerfacecolor() == "none"


@pytest.mark.parametrize(("count", "wrong"), [(60, 0), (60, 40), (200, 41)])
def test_many_rings_are_smaller_and_no_mistake_has_none(tmp_path, count, wrong):
    folder = write_run(tmp_path / "run", classes=("a", "b"), samples=count)
    table = pd.read_csv(folder / "predictions.csv")
    table["predicted"] = np.where(np.arange(count) < wrong, 1 - table["label"], table["label"])
    table.to_csv(folder / "predictions.csv", index=False)
    write_boundary(folder, ("a", "b"), points=count, index=np.r_[1000 : 1000 + 2 * count, table["index"].to_numpy()])
    right = boundary(load_run(folder)).axes[1]
    rings = [line for line in right.get_lines() if line.get_markeredgecolor() == "black"]
    assert [len(ring.get_xdata()) for ring in rings] == ([wrong] if wrong else [])
    assert [ring.get_markersize() > 10 for ring in rings] == ([wrong == 40] if wrong else [])
    assert (f"{wrong} of {count}" in right.get_title()) if wrong else (f"none of {count}" in right.get_title())


def test_the_image_lies_where_its_grid_does(tmp_path):
    folder = write_run(tmp_path / "run", classes=NAMES[2])
    arrays = write_boundary(folder, NAMES[2])
    (image,) = boundary(load_run(folder)).axes[0].images
    low_x, high_x, low_y, high_y = image.get_extent()
    rows, columns = image.get_array().shape[:2]
    middles_x = low_x + (np.arange(columns) + 0.5) * (high_x - low_x) / columns
    middles_y = low_y + (np.arange(rows) + 0.5) * (high_y - low_y) / rows
    np.testing.assert_allclose(middles_x, arrays["x"], atol=1e-5)
    np.testing.assert_allclose(middles_y, arrays["y"], atol=1e-5)
    assert image.origin == "lower"


@pytest.mark.parametrize("splits", [("train",), ("train", "val"), ("train", "test")], ids="+".join)
def test_a_split_that_is_not_there_is_not_spoken_of(tmp_path, splits):
    folder = write_run(tmp_path / "run", classes=NAMES[2])
    write_boundary(folder, NAMES[2], splits=splits)
    figure = boundary(load_run(folder))
    assert len(figure.axes) == (2 if "test" in splits else 1)
    assert ("hollow" in figure.axes[0].get_title()) == ("val" in splits)
    all_inside(figure)


@pytest.mark.parametrize(
    "names", [NAMES[2], HOSTILE, NAMES[100][:10], ("_a", "_b")], ids=["two", "hostile", "long", "_"]
)
def test_names_from_outside_are_literal_and_inside_the_page(tmp_path, names):
    folder = write_run(tmp_path / "run", classes=names)
    write_boundary(folder, names, features=(r"$\frac{1}{0}$ and much more than would fit", "two\nlines"))
    figure = boundary(load_run(folder))
    all_inside(figure)
    texts = [*figure.legends[0].get_texts(), figure.axes[0].xaxis.label, figure.axes[0].yaxis.label]
    assert len(texts) == len(names) + 2
    assert not any(text.get_parse_math() for text in texts)
    assert all(text.get_text() for text in texts)


def test_a_damaged_or_incomplete_file_is_none(tmp_path):
    folder = write_run(tmp_path / "run")
    assert boundary(load_run(folder)) is None
    write_boundary(folder, NAMES[2])
    whole = (folder / "boundary.npz").read_bytes()
    for content in (b"", b"no archive", whole[: len(whole) // 2], whole[:-1]):
        (folder / "boundary.npz").write_bytes(content)
        assert load_run(folder).boundary is None
    for position in range(0, len(whole), 997):  # wherever a bit is wrong
        spoilt = bytearray(whole)
        spoilt[position] ^= 255
        (folder / "boundary.npz").write_bytes(bytes(spoilt))
        load_run(folder).boundary  # noqa: B018 (raises nothing)
    write_boundary(folder, NAMES[2], index=np.arange(3))
    assert load_run(folder).boundary is None


class Payload:
    """Whoever unpickles it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["boundary", "samples"])
def test_a_pickle_in_an_archive_or_in_its_place_is_never_loaded(tmp_path, name):
    folder, path, trap = write_run(tmp_path / "run"), tmp_path / "run" / f"{name}.npz", tmp_path / "trap"
    arrays = write_boundary(folder, NAMES[2]) if name == "boundary" else write_samples(folder)
    assert getattr(load_run(folder), name) is not None
    for spoilt in ("label", "besides"):
        np.savez(path, **(arrays | {spoilt: np.array([Payload(trap)] * len(arrays["label"]))}))
        assert getattr(load_run(folder), name) is None
    path.write_bytes(pickle.dumps(Payload(trap)))
    assert getattr(load_run(folder), name) is None
    with zipfile.ZipFile(path, "w") as archive:
        for member in arrays:
            archive.writestr(f"{member}.npy", pickle.dumps(Payload(trap)))
    assert getattr(load_run(folder), name) is None
    assert not trap.exists()
    pickle.loads(pickle.dumps(Payload(trap)))
    assert trap.exists()  # it would have


@pytest.mark.parametrize("figure", [samples, mistakes])
def test_a_damaged_samples_npz_draws_nothing(tmp_path, figure):
    folder = write_run(tmp_path / "run")
    arrays = write_samples(folder)
    path = folder / "samples.npz"
    whole = path.read_bytes()
    assert figure(load_run(folder)) is not None
    for content in (b"", b"no archive", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        assert figure(load_run(folder)) is None
    for missing in ("image", "label", "white"):
        np.savez(path, **{name: array for name, array in arrays.items() if name != missing})
        assert figure(load_run(folder)) is None
    np.savez(path, **(arrays | {"label": arrays["label"][:-1]}))
    assert figure(load_run(folder)) is None


# what a run writes


@pytest.mark.parametrize(
    "setting",
    [("dataset=moons",), ("dataset=xor", "model=mlp_numpy"), ("dataset=blobs", "dataset.num_classes=10")],
    ids=" ".join,
)
def test_at_the_test_samples_the_grid_says_what_was_predicted(lab, setting):
    run = load_run(lab.train("run", *setting, "epochs=5"))
    plane, table = run.boundary, run.predictions.set_index("index")
    test = plane["split"] == "test"
    points, indices = plane["point"][test], plane["index"][test]
    assert sorted(indices) == sorted(table.index)
    columns = np.searchsorted(plane["x"], points[:, 0])
    rows = np.searchsorted(plane["y"], points[:, 1])
    around = [plane["probabilities"][rows - up, columns - right] for up in (0, 1) for right in (0, 1)]
    classes = np.stack([corner.argmax(axis=-1) for corner in around])  # of the corners of a sample's cell
    inside = (classes == classes[0]).all(axis=0)  # no boundary runs through the cell
    assert inside.mean() > 0.8
    recorded = table.loc[indices]
    np.testing.assert_array_equal(classes[0][inside], recorded["predicted"].to_numpy()[inside])
    lowest, highest = np.min(around, axis=0), np.max(around, axis=0)
    between = recorded.filter(regex="^p_").to_numpy()
    assert np.maximum(lowest - between, between - highest).max() < 0.02


MODELS, SCALES = ("softmax", "perceptron", "neuron"), ("standard", "unit", "none")


@pytest.mark.parametrize(
    ("normalize", "model"),
    cases(itertools.product(SCALES, MODELS), fast=[*zip(SCALES, MODELS, strict=True), ("none", "perceptron")]),
)
def test_the_regions_of_a_linear_model_are_divided_by_the_line_of_its_weights(lab, normalize, model):
    setting = ("dataset=blobs", "dataset.num_classes=2", f"dataset.normalize={normalize}")
    run = load_run(lab.train("run", *setting, f"model={model}", "epochs=3"))
    plane = run.boundary
    weight, bias = weights_of(run)
    inputs = plane["point"][plane["split"] == "train"].astype(np.float64)
    grid = np.stack(np.meshgrid(plane["x"], plane["y"]), axis=-1).astype(np.float64)
    if normalize == "standard":
        grid = (grid - inputs.mean(axis=0)) / inputs.std(axis=0)
    elif normalize == "unit":
        grid = (grid - inputs.min(axis=0)) / (inputs.max(axis=0) - inputs.min(axis=0))
    values = grid @ weight.T + bias
    lead = values[..., 1] - values[..., 0] if values.shape[-1] == 2 else values[..., 0]  # w.x + b
    clear = np.abs(lead) > 1e-4
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(plane["probabilities"].argmax(axis=-1)[clear], (lead > 0).astype(int)[clear])


@pytest.mark.parametrize("model", ["mlp", "mlp_numpy"])
def test_looking_at_the_plane_moves_nothing_and_gives_the_same_bytes_again(lab, monkeypatch, model):
    setting = ("dataset=xor", "epochs=3", f"model={model}", "reg=dropout")
    first, second = lab.train("first", *setting), lab.train("second", *setting)
    assert_same_run(first, second)
    computed = essence(first)
    assert computed.pop("boundary.npz")
    assert {"metrics.csv", "predictions.csv", "checkpoints/00003.safetensors"} <= set(computed)
    monkeypatch.setattr("labrunner.results.write_boundary", lambda *arguments: None)
    assert essence(lab.train("without", *setting)) == computed


def weights_of(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Weight (units, 2) and bias (units,) of a linear model, in the epoch that was drawn."""
    state = load_file(run.path / "checkpoints" / f"{int(run.boundary['epoch']):05d}.safetensors")
    of_model = {name: value for name, value in state.items() if name.startswith("weights/")}
    weight = next(np.atleast_2d(value) for name, value in of_model.items() if name.endswith("weight"))
    bias = next(np.atleast_1d(value) for name, value in of_model.items() if name.endswith("bias"))
    assert weight.shape[1] == 2
    return weight.astype(np.float64), bias.astype(np.float64)


def standardized(plane: dict[str, np.ndarray], values: np.ndarray) -> np.ndarray:
    train = plane["point"][plane["split"] == "train"].astype(np.float64)
    return (values - train.mean(axis=0)) / train.std(axis=0)


def test_of_a_softmax_of_four_classes_the_likeliest_is_the_one_with_the_highest_score(lab):
    run = load_run(lab.train("run", "dataset=blobs", "dataset.num_classes=4", "model=softmax", "epochs=3"))
    plane, (weight, bias) = run.boundary, weights_of(run)
    scores = standardized(plane, np.stack(np.meshgrid(plane["x"], plane["y"]), axis=-1)) @ weight.T + bias
    lead = np.diff(np.sort(scores)[..., -2:]).squeeze(-1)
    np.testing.assert_array_equal(
        plane["probabilities"].argmax(axis=-1)[lead > 1e-4], scores.argmax(axis=-1)[lead > 1e-4]
    )
    assert (lead > 1e-4).mean() > 0.99
    assert len(np.unique(scores.argmax(axis=-1))) > 2


def test_the_drawn_boundary_of_a_softmax_is_the_line_on_which_both_scores_are_equal(lab):
    run = load_run(lab.train("run", "dataset=blobs", "dataset.num_classes=2", "model=softmax", "epochs=3"))
    plane, (weight, bias) = run.boundary, weights_of(run)
    drawn = np.concatenate([path.vertices for lines in boundary(run).axes[0].collections for path in lines.get_paths()])
    assert len(drawn) > 100
    # (w1 - w0).x + b1 - b0 = 0, as a distance from the line in standardized units
    normal = weight[1] - weight[0]
    distance = np.abs(standardized(plane, drawn) @ normal + bias[1] - bias[0]) / np.linalg.norm(normal)
    cell = (
        standardized(plane, np.array([plane["x"][1], plane["y"][1]]))
        - standardized(plane, np.array([plane["x"][0], plane["y"][0]]))
    ).min()
    assert distance.max() < 0.05 * cell
    # and all of it: from edge to edge of the plane
    edges = [(drawn[:, 0].min(), plane["x"][0]), (drawn[:, 0].max(), plane["x"][-1])]
    edges += [(drawn[:, 1].min(), plane["y"][0]), (drawn[:, 1].max(), plane["y"][-1])]
    assert sum(bool(np.isclose(reached, edge)) for reached, edge in edges) >= 2


@pytest.mark.parametrize(
    "setting",
    [
        ("dataset=quadratic", "model=adaline"),
        ("dataset=point", "model=softmax"),
        ("dataset=iris",),
        ("dataset=blobs", "dataset.num_classes=11"),
    ],
    ids=["no classes", "one input", "four inputs", "eleven classes"],
)
def test_only_classes_in_the_plane_have_regions_to_draw(lab, setting):
    assert not (lab.train("run", *setting, "epochs=1") / "boundary.npz").exists()


def test_without_a_test_split_the_regions_are_there_with_what_there_is(lab):
    plane = load_run(lab.train("run", "dataset=circles", "dataset.test_fraction=0", "epochs=1")).boundary
    assert sorted(set(plane["split"])) == ["train", "val"]
    assert len(plane["point"]) == 500


def test_a_table_with_two_features_has_its_own_units_and_names(lab):
    rng = np.random.default_rng(0)
    rows = [
        f"{1000 + 50 * x:.2f},{y / 1000:.6f},{'warm' if x + y > 0 else 'cold'}" for x, y in rng.normal(size=(90, 2))
    ]
    lab.write("weather.csv", "pressure ($hPa),rain\n".replace("\n", ",kind\n") + "\n".join(rows) + "\n")
    run = load_run(lab.train("run", "dataset=csv", "dataset.path=weather.csv", "epochs=2"))
    plane = run.boundary
    assert plane["feature_names"].tolist() == ["pressure ($hPa)", "rain"]
    assert sorted(plane["class_names"]) == ["cold", "warm"]
    points = plane["point"]
    for axis, values in (("x", points[:, 0]), ("y", points[:, 1])):
        assert plane[axis][0] < values.min()
        assert plane[axis][-1] > values.max()
    assert boundary(run) is not None
