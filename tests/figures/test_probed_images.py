"""Figures of kernels, maps, poolings, embeddings and shifts: drawn from odd tables, left out where there is none."""

from __future__ import annotations

import csv
import itertools
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrunner.figures.comparison import images as compared
from labrunner.figures.look import look
from labrunner.figures.probed.images import (
    FIGURES,
    embedding,
    feature_maps,
    kernels,
    mosaic,
    pooling,
    shift,
    silhouette,
)
from labrunner.files import to_json
from labrunner.probes.images import Embedding, FeatureMaps, Kernels, Shift
from labrunner.records import Run, Sweep, load_run, load_sweep
from tests.figures.looking import all_inside, everything, write_run, write_sweep
from tests.folders import HOSTILE

RNG = np.random.default_rng(0)


def noted(folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    (folder / "probes").mkdir(exist_ok=True)
    with open(folder / "probes" / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_kernels(folder: Path, count: int, channels: int, side: int, epochs: Sequence[int] = (0, 9)) -> None:
    places = list(itertools.product(epochs, range(count), range(channels), range(side), range(side)))
    rows = [(epoch, 34 * epoch, *place, RNG.standard_normal()) for epoch, *place in places]
    noted(folder, "kernels", Kernels.HEADER, rows)


def write_maps(folder: Path, layers: dict[str, tuple[int, int, int]], label: int = 3) -> None:
    rows = [
        (9, 306, image, label, layer, *place, RNG.standard_normal())
        for image in (41, 43)
        for layer, shape in layers.items()
        for place in np.ndindex(shape)
    ]
    noted(folder, "feature_maps", FeatureMaps.MAPS, rows)


def write_embedding(folder: Path, classes: int, count: int = 90, tsne: bool = True) -> None:
    rows = [
        (9, 306, i, i % classes, (i + (i % 11 == 0)) % classes, *RNG.standard_normal(2), *near(tsne))
        for i in range(count)
    ]
    noted(folder, "embedding", Embedding.PLANE, rows)


def near(tsne: bool) -> list[Any]:
    return list(RNG.standard_normal(2)) if tsne else ["", ""]


def write_silhouette(folder: Path, depths: Sequence[str], rise: float = 0.05) -> None:
    rows = [
        (epoch, 34 * epoch, i, name, 64, 0.1 + rise * i * (epoch > 0))
        for epoch in (0, 9)
        for i, name in enumerate(depths)
    ]
    noted(folder, "silhouette", Embedding.SILHOUETTE, rows)


def write_shift(folder: Path, reach: int = 3, peak: float = 0.9) -> None:
    reached = range(-reach, reach + 1)
    rows = [
        (9, 306, down, right, 80, peak / (1 + abs(down) + abs(right)))
        for down, right in itertools.product(reached, reached)
    ]
    noted(folder, "shift", Shift.HEADER, rows)


LENET = {
    "input": (1, 28, 28),
    "backbone.block1.conv": (6, 28, 28),
    "backbone.block1.act": (6, 28, 28),
    "backbone.block1.pool": (6, 14, 14),
}
DEEP = {"input": (3, 12, 9)} | {f"backbone.features.{i}.a_layer_with_a_long_name": (8, 6, 5) for i in range(14)}
WRITES = {
    "kernels": [
        (write_kernels, 64, 1, 3),
        (write_kernels, 1, 1, 1, (0,)),
        (write_kernels, 5, 3, 7),
        (write_kernels, 6, 2, 5),
    ],
    "feature_maps": [(write_maps, LENET), (write_maps, DEEP), (write_maps, {"input": (1, 2, 2), "conv": (1, 2, 2)})],
    "pooling": [(write_maps, LENET), (write_maps, {"input": (1, 5, 5), "a.act": (1, 5, 5), "a.pool": (1, 2, 2)})],
    "embedding": [(write_embedding, 10), (write_embedding, 2, 5, False), (write_embedding, 3, 400)],
    "silhouette": [
        (write_silhouette, ["input", "block1"]),
        (write_silhouette, [f"stage number {i}" for i in range(30)]),
    ],
    "shift": [(write_shift,), (write_shift, 1, 0.0)],
}
CASES = [(name, number) for name, writes in WRITES.items() for number in range(len(writes))]


def made(path: Path, name: str, number: int, **choices: Any) -> Run:
    folder = write_run(path / "run", **choices)
    write, *arguments = WRITES[name][number]
    write(folder, *arguments)
    return load_run(folder)


def test_each_figure_is_tried_here():
    assert set(FIGURES) == set(WRITES)


def test_without_the_probes_no_figure_is_drawn(tmp_path):
    run = load_run(write_run(tmp_path / "run"))
    assert all(function(run) is None for function, _ in FIGURES.values())


@pytest.mark.parametrize(("name", "number"), CASES)
def test_odd_tables_are_drawn_with_words_that_can_be_read(tmp_path, name, number):
    run = made(tmp_path, name, number)
    with look(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = FIGURES[name][0](run)
        all_inside(figure)
    assert all(text.get_fontsize() >= 10.0 for text in everything(figure))


@pytest.mark.parametrize("name", ["feature_maps", "pooling", "embedding"])
def test_class_names_from_outside_are_drawn_as_they_are(tmp_path, name):
    run = made(tmp_path, name, 0, classes=HOSTILE)
    with look():
        all_inside(FIGURES[name][0](run))


def test_many_classes_share_colours_and_that_is_said(tmp_path):
    folder = write_run(tmp_path / "run", classes=[f"class {i}" for i in range(25)])
    write_embedding(folder, 25)
    with look():
        figure = embedding(load_run(folder))
        all_inside(figure)
    assert "25 classes share 10 colours" in figure.get_suptitle().replace("\n", " ")
    assert not figure.legends


@pytest.mark.parametrize("content", ["", "epoch,step\n", "\x00\xff", "epoch,step,kernel\n1,2\n1,2,3,4,5\n"])
def test_an_empty_or_damaged_table_draws_nothing_or_says_why(tmp_path, content):
    folder = write_run(tmp_path / "run")
    (folder / "probes" / "kernels.csv").write_text(content, encoding="latin-1")
    assert kernels(load_run(folder)) is None


def test_what_is_not_finite_is_not_drawn(tmp_path):
    folder = write_run(tmp_path / "run")
    noted(folder, "kernels", Kernels.HEADER, [(0, 0, 0, 0, 0, 0, "nan")])
    noted(folder, "silhouette", Embedding.SILHOUETTE, [(0, 0, 0, "input", 4, "")])
    noted(folder, "feature_maps", FeatureMaps.MAPS, [(1, 1, 0, 0, "input", 0, 0, 0, "inf")])
    run = load_run(folder)
    assert kernels(run) is silhouette(run) is feature_maps(run) is pooling(run) is None


def test_the_kernels_have_one_scale_and_stand_where_they_belong(tmp_path):
    folder = write_run(tmp_path / "run")
    noted(
        folder,
        "kernels",
        Kernels.HEADER,
        [(epoch, 0, kernel, 0, 0, 0, sign * (kernel + 1)) for epoch, sign in ((0, 1), (9, -2)) for kernel in range(5)],
    )
    with look():
        figure = kernels(load_run(folder))
    pictures = [axes.images[0] for axes in figure.axes if axes.images]
    assert [picture.get_clim() for picture in pictures] == [(-10.0, 10.0)] * 2
    tiles = np.asarray(pictures[1].get_array().filled(np.nan))
    assert sorted(set(tiles[np.isfinite(tiles)])) == [-10.0, -8.0, -6.0, -4.0, -2.0]
    assert tiles[0, 0] == -2.0
    assert tiles[0, -1] == -6.0  # the third of the first row of three


def test_a_mosaic_keeps_every_pixel_and_its_gaps_are_white():
    tiles = [np.full((4, 4), number, dtype=float) for number in range(5)]
    whole = mosaic(tiles, 3)
    counts = [int((whole == number).sum()) for number in range(5)]
    assert len(set(counts)) == 1
    assert counts[0] > 0
    assert np.isnan(whole).sum() == whole.size - 5 * counts[0]
    coloured = mosaic([np.zeros((50, 50, 3))] * 2, 2)
    assert coloured.shape == (50, 105, 3)
    assert (coloured[:, 50:55] == 1.0).all()


def test_the_grid_of_shifts_has_up_at_its_top_and_says_each_accuracy(tmp_path):
    folder = write_run(tmp_path / "run")
    rows = [(9, 1, down, right, 50, 0.01 * (50 + 10 * down + right)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    noted(folder, "shift", Shift.HEADER, rows)
    with look():
        figure = shift(load_run(folder))
    grid = figure.axes[0]
    said = {text.get_position(): text.get_text() for text in grid.texts}
    assert said[(0, 0)] == "50"
    assert said[(1, -1)] == "41"  # right 1, up 1
    low, high = grid.get_ylim()
    assert low > high  # down is downward
    assert grid.images[0].get_array()[0, 2] == pytest.approx(0.41)


# sweeps


def swept(path: Path, values: Sequence[dict[str, Any]], sizes: Sequence[int] = (), **choices: Any) -> Sweep:
    sweep = write_sweep(path / "sweep", values, epochs=3, **choices)
    for member, size in zip(sweep.members, sizes, strict=False):
        (member.path / "facts.json").write_text(to_json({"parameters": size}))
    return load_sweep(sweep.path)


MODELS = [{"model": name, "seed": seed} for name in ("softmax", "mlp", "lenet", "cnn") for seed in (0, 1)]
SIZES = (650, 650, 9610, 9610, 61_000, 61_000, 250_000, 250_000)


def test_of_models_of_one_size_there_is_nothing_to_compare(tmp_path):
    assert compared.parameters(swept(tmp_path / "one", MODELS, (7,) * 8)) is None
    assert compared.parameters(swept(tmp_path / "none", MODELS)) is None


def test_accuracy_stands_against_parameters_with_its_spread(tmp_path):
    sweep = swept(tmp_path, MODELS, SIZES)
    with look(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = compared.parameters(sweep)
        all_inside(figure)
    axes = figure.axes[0]
    places = [tuple(float(np.ravel(values)[0]) for values in line.get_data()) for line in axes.get_lines()]
    assert [x for x, _ in places] == [650, 9610, 61_000, 250_000]
    runs = dict.fromkeys(SIZES, 0.0)
    for member, run in sweep.runs:
        runs[SIZES[member.number]] += 0.5 * run.row_list[run.chosen.epoch - 1]["val_accuracy"]
    assert [1.0 - y for _, y in places] == pytest.approx(list(runs.values()))
    low, high = axes.get_ylim()
    assert low > high  # fewer mistakes stand higher
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["softmax", "mlp", "lenet", "cnn"]


def test_a_run_without_a_mistake_and_thirty_models_are_drawn_too(tmp_path):
    values = [{"model.hidden": [width]} for width in range(1, 31)]
    rows = {0: [write_row(epoch, 1.0) for epoch in (1, 2)], 1: [write_row(epoch, 0.0) for epoch in (1, 2)]}
    sweep = swept(tmp_path, values, [75 * width for width in range(1, 31)], rows=rows, samples=20)
    with look(), warnings.catch_warnings():
        warnings.simplefilter("error")
        all_inside(compared.parameters(sweep))


def write_row(epoch: int, accuracy: float) -> dict[str, Any]:
    columns = ("accuracy", "precision", "recall", "f1", "auroc")
    row = {"epoch": epoch, "lr": 0.01, "train_loss": 1.0, "train_accuracy": accuracy, "val_loss": 1.0}
    return row | {f"val_{name}": accuracy for name in columns}


def test_each_data_set_has_a_panel(tmp_path):
    models = [*MODELS, *({**values, "optim.lr": 0.1} for values in MODELS)]
    sweep = swept(tmp_path, models, SIZES * 2)
    for member in sweep.members[8:]:
        config = member.path / "config.yaml"
        config.write_text(config.read_text().replace("name: digits", "name: mnist5k"))
    with look():
        figure = compared.parameters(load_sweep(sweep.path))
        all_inside(figure)
    assert {axes.get_title() for axes in figure.axes} == {"digits", "mnist5k"}


def test_a_data_set_with_models_of_two_sizes_has_no_panel(tmp_path):
    sweep = swept(tmp_path, MODELS, SIZES)
    for member in sweep.members[4:]:
        config = member.path / "config.yaml"
        config.write_text(config.read_text().replace("name: digits", "name: mnist5k"))
    assert compared.parameters(load_sweep(sweep.path)) is None


def test_a_damaged_config_stops_no_figure(tmp_path):
    sweep = swept(tmp_path, MODELS, SIZES)
    (sweep.members[0].path / "config.yaml").write_bytes(b"\xff\x00")
    assert compared.parameters(load_sweep(sweep.path)) is not None


@pytest.mark.parametrize("count", [1, 3, 13])
def test_shifts_and_silhouettes_of_a_sweep_are_lines(tmp_path, count):
    values = [{"model.kernel": 2 * i + 1, "seed": seed} for i in range(count) for seed in (0, 1)]
    sweep = swept(tmp_path, values, samples=20)
    assert compared.shifts(sweep) is None
    assert compared.silhouettes(sweep) is None
    for member in sweep.members:
        write_shift(member.path, peak=0.5 + 0.01 * member.number % 0.4)
        write_silhouette(member.path, ["input", "block1", "block2"], 0.02 + 0.01 * (member.number % 5))
    for function in (compared.shifts, compared.silhouettes):
        with look(), warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = function(load_sweep(sweep.path))
            all_inside(figure)
        assert len(figure.axes[0].get_lines()) == min(count, compared.LINES)
        assert ("left out" in figure.get_suptitle().replace("\n", " ")) == (count > compared.LINES)


def test_the_line_of_a_shift_is_the_mean_of_four_directions(tmp_path):
    sweep = swept(tmp_path, [{"model.kernel": 3}])
    rows = [
        (9, 1, down, right, 50, 0.9 - 0.1 * abs(down) - 0.2 * abs(right) - 0.05 * (down > 0))
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    ]
    noted(sweep.members[0].path, "shift", Shift.HEADER, rows)
    with look():
        line = compared.shifts(load_sweep(sweep.path)).axes[0].get_lines()[0]
    np.testing.assert_allclose(line.get_xydata(), [[0.0, 0.9], [1.0, (0.8 + 0.75 + 0.7 + 0.7) / 4]])
