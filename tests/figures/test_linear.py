"""The figures of the perceptron and Adaline: from what was noted, and none where nothing was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labrunner.figures import draw, draw_sweep
from labrunner.figures.comparison.linear import FIGURES as OF_SWEEPS
from labrunner.figures.comparison.linear import boundaries_beside, descent, updates_by_epoch
from labrunner.figures.look import GREY, VERMILLION
from labrunner.figures.probed.linear import FIGURES, boundaries, margins, perceptron_updates, shown_epochs
from labrunner.records import load_run, load_sweep
from tests.arrays import write_boundary
from tests.figures.looking import all_inside, everything, write_run, write_sweep
from tests.folders import HOSTILE
from tests.sweeps import curve


def noted(path: Path, name: str, header: str, rows: list[str]) -> None:
    (path / "probes" / f"{name}.csv").write_text("\n".join([header, *rows, ""]))


def told(path: Path, **facts: float) -> None:
    import json

    (path / "facts.json").write_text(json.dumps(facts))


def with_updates(path: Path, each: list[int], **facts: float) -> None:
    rows = [f"{epoch},{10 * epoch},{total}" for epoch, total in enumerate(np.cumsum([0, *each]))]
    noted(path, "separation_updates", "epoch,step,updates", rows)
    told(path, **facts)


def with_planes(path: Path, epochs: list[int], classes: int = 2) -> None:
    noted(
        path,
        "boundaries",
        "epoch,step,x_low,x_high,y_low,y_high",
        [f"{epoch},{epoch},-1.5,2.5,-0.5,1.5" for epoch in epochs],
    )
    for epoch in epochs:
        values = np.random.default_rng(epoch).dirichlet(np.ones(classes), (20, 20)).astype(np.float32)
        np.save(path / "probes" / f"boundaries_{epoch:05d}.npy", values)


def with_descent(path: Path, excess: list[float | None], critical: float = 0.5, best: float = 0.4) -> None:
    cells = [("", "") if value is None else (value, value + 0.05) for value in excess]
    rows = [f"{step},{step},{loss},{value},0.1" for step, (value, loss) in enumerate(cells)]
    noted(path, "least_squares", "epoch,step,loss,excess,distance", rows)
    told(path, critical_lr=critical, best_lr=best)


@pytest.mark.parametrize("name", FIGURES)
def test_a_run_without_probes_has_none_of_them(tmp_path, name):
    folder = write_run(tmp_path / "run", classes=("a", "b"))
    assert FIGURES[name][0](load_run(folder)) is None
    write_boundary(folder, ("a", "b"))
    assert FIGURES[name][0](load_run(folder)) is None


@pytest.mark.parametrize("name", OF_SWEEPS)
def test_a_sweep_without_probes_and_planes_has_none_of_them(tmp_path, name):
    sweep = write_sweep(tmp_path / "sweep", [{"optim.lr": lr} for lr in (0.1, 0.2)], epochs=3)
    assert OF_SWEEPS[name][0](sweep) is None


def test_each_kept_plane_has_a_panel_and_the_chosen_one_stands_in_its_place(tmp_path):
    folder = write_run(tmp_path / "run", classes=("a", "b"))
    with_planes(folder, [0, 1, 2, 4, 8])
    write_boundary(folder, ("a", "b"))  # of epoch 7
    figure = boundaries(load_run(folder))
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["start", "epoch 1", "epoch 2", "epoch 4", "epoch 7, chosen", "epoch 8"]
    all_inside(figure)


def test_planes_of_a_run_that_diverged_and_of_one_with_a_damaged_file_are_drawn(tmp_path):
    folder = write_run(tmp_path / "run", classes=("a", "b", "c"))
    with_planes(folder, [2**power for power in range(20)], classes=3)
    (folder / "probes" / "boundaries_00002.npy").write_bytes(b"none")
    figure = boundaries(load_run(folder))
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles[:2] == ["epoch 1", "epoch 4"]
    assert len(titles) == 12
    all_inside(figure)


def test_names_from_outside_stay_inside_of_the_picture(tmp_path):
    folder = write_run(tmp_path / "run", classes=HOSTILE)
    with_planes(folder, [0, 1], classes=10)
    write_boundary(folder, HOSTILE, features=HOSTILE[5:7])
    all_inside(boundaries(load_run(folder)))
    two = write_run(tmp_path / "two", classes=HOSTILE[:2])
    write_boundary(two, HOSTILE[:2], features=HOSTILE[5:7])
    noted(two, "separation", "epoch,step,separable,radius,margin", ["0,0,1,3.0,0.5"])
    np.save(two / "probes" / "separator_00000.npy", np.array([0.6, 0.8, 0.0]))
    all_inside(margins(load_run(two)))


def test_the_lines_of_the_margin_lie_where_the_separator_says_so(tmp_path):
    folder = write_run(tmp_path / "run", classes=("a", "b"))
    write_boundary(folder, ("a", "b"))
    noted(folder, "separation", "epoch,step,separable,radius,margin", ["0,0,1,3.0,0.5"])
    np.save(folder / "probes" / "separator_00000.npy", np.array([0.6, 0.8, -0.4]))
    told(folder, separable=1, margin=0.5)
    axes = margins(load_run(folder)).axes[0]
    levels = []
    for lines in axes.collections[1:]:  # the first is the model's
        for level, path in zip(lines.levels, lines.get_paths(), strict=True):
            np.testing.assert_allclose(path.vertices @ (0.6, 0.8) - 0.4, level, atol=1e-6)
            levels.append(level)
    assert sorted(levels) == [-0.5, 0.0, 0.5]


def test_inseparable_classes_have_no_margin_and_it_is_said(tmp_path):
    folder = write_run(tmp_path / "run", classes=("a", "b"))
    write_boundary(folder, ("a", "b"))
    noted(folder, "separation", "epoch,step,separable,radius,margin", ["0,0,0,,"])
    told(folder, separable=0)
    figure = margins(load_run(folder))
    assert "no line separates" in figure.axes[0].get_title()
    all_inside(figure)


def test_the_bars_are_the_updates_and_the_dashed_line_is_the_bound(tmp_path):
    folder = write_run(tmp_path / "run")
    with_updates(folder, [7, 3, 1, 0, 0], novikoff_bound=50.0, separable=1)
    figure = perceptron_updates(load_run(folder))
    left, right = figure.axes
    assert [bar.get_height() for bar in left.patches] == [7, 3, 1, 0, 0]
    steps, bound = right.get_lines()
    assert steps.get_ydata().tolist() == [0, 7, 10, 11, 11, 11]
    assert set(bound.get_ydata()) == {50.0}
    assert any("none from epoch 4 to 5" in text.get_text() for text in everything(figure))
    all_inside(figure)


def test_many_epochs_become_a_line_and_those_after_the_last_update_are_left_out(tmp_path):
    assert shown_epochs(np.r_[np.full(20, 3), np.zeros(180)]) == 42
    assert shown_epochs(np.full(200, 3)) == 200
    folder = write_run(tmp_path / "run")
    with_updates(folder, [5] * 300, separable=0)
    figure = perceptron_updates(load_run(folder))
    assert not figure.axes[0].patches
    assert any("never fewer than 5" in text.get_text() for text in everything(figure))
    all_inside(figure)


SEEDED = [{"variant": name, "seed": seed} for name in ("easy", "hard") for seed in (0, 1, 2)]


def test_updates_of_a_sweep_are_means_with_a_band_and_each_combination_has_its_bound(tmp_path):
    write_sweep(tmp_path / "sweep", SEEDED, epochs=3)
    for number in range(6):
        with_updates(
            tmp_path / "sweep" / str(number), [number + 1, 0, 0], **({"novikoff_bound": 9.0} if number < 3 else {})
        )
    figure = updates_by_epoch(load_sweep(tmp_path / "sweep"))
    left, right = figure.axes
    assert left.get_lines()[0].get_ydata().tolist() == [2, 0, 0]
    assert left.get_lines()[1].get_ydata().tolist() == [5, 0, 0]
    dashed = [line for line in right.get_lines() if line.get_linestyle() == "--"]
    assert [set(line.get_ydata()) for line in dashed] == [{9.0}]
    all_inside(figure)


def test_runs_of_unequal_length_are_drawn_as_far_as_all_go(tmp_path):
    write_sweep(tmp_path / "sweep", SEEDED, epochs=3, statuses={1: "failed", 4: "missing"})
    for number, length in ((0, 5), (1, 2), (2, 90), (3, 80), (5, 70)):
        with_updates(tmp_path / "sweep" / str(number), [2] * length)
    all_inside(updates_by_epoch(load_sweep(tmp_path / "sweep")))


def test_two_keys_make_a_table_of_planes(tmp_path):
    values = [{"variant": v, "model": m, "seed": s} for v in "xyz" for m in ("line", "curve") for s in (0, 1)]
    write_sweep(tmp_path / "sweep", values, epochs=3, classes=("a", "b"))
    for number in range(12):
        write_boundary(tmp_path / "sweep" / str(number), ("a", "b"))
    figure = boundaries_beside(load_sweep(tmp_path / "sweep"))
    titles = [axes.get_title().split("\n")[0] for axes in figure.axes]
    assert titles == ["line, x", "line, y", "line, z", "curve, x", "curve, y", "curve, z"]
    all_inside(figure)


def test_without_a_val_split_the_accuracy_is_that_of_the_shown_plane(tmp_path):
    rates = (0.2758684847, 0.5517369694)
    rows = curve(0.9, 3, np.random.default_rng(0))
    rows = [{name: None if name.startswith("val_") else value for name, value in row.items()} for row in rows]
    write_sweep(tmp_path / "sweep", [{"optim.lr": lr} for lr in rates], epochs=3, rows={0: rows, 1: rows}, classes="ab")
    grid = np.linspace(-1.0, 1.0, 41)
    right = np.repeat((grid > 0.0)[None, :], 41, axis=0)  # the second class lies where x > 0
    points = np.random.default_rng(1).uniform(-1.0, 1.0, (50, 2))
    points = points[np.abs(points[:, 0]) > 0.05]
    labels = (points[:, 0] > 0.0).astype(int)
    labels[:3] = 1 - labels[:3]
    for number, second in enumerate((right, ~right)):
        np.savez(
            tmp_path / "sweep" / str(number) / "boundary.npz",
            x=grid,
            y=grid,
            probabilities=np.stack((~second, second), axis=-1).astype(np.float32),
            point=points,
            label=labels,
            split=np.array(["train"] * len(points)),
            index=np.arange(len(points)),
            feature_names=np.array(["x", "y"]),
            class_names=np.array(["a", "b"]),
            epoch=3,
        )
    figure = boundaries_beside(load_sweep(tmp_path / "sweep"))
    share = 3 / len(points)
    titles = [axes.get_title().split("\n") for axes in figure.axes if axes.images]
    assert titles == [["0.2759", f"accuracy {1 - share:.1%}"], ["0.5517", f"accuracy {share:.1%}"]]


def test_of_thirty_planes_twelve_are_drawn_and_it_is_said(tmp_path):
    write_sweep(
        tmp_path / "sweep", [{"optim.lr": 0.1 * n} for n in range(1, 31)], epochs=2, classes=("a", "b"), samples=20
    )
    for number in range(30):
        write_boundary(tmp_path / "sweep" / str(number), ("a", "b"))
    figure = boundaries_beside(load_sweep(tmp_path / "sweep"))
    assert len([axes for axes in figure.axes if axes.images]) == 12
    assert any("12 of 30" in text.get_text() for text in everything(figure))
    all_inside(figure)


def test_a_combination_whose_runs_failed_leaves_its_cell_empty(tmp_path):
    values = [{"variant": v, "model": m} for v in "xy" for m in ("line", "curve")]
    write_sweep(tmp_path / "sweep", values, epochs=3, classes=("a", "b"), statuses={1: "failed"})
    for number in (0, 2, 3):
        write_boundary(tmp_path / "sweep" / str(number), ("a", "b"))
    all_inside(boundaries_beside(load_sweep(tmp_path / "sweep")))


def test_the_limit_and_the_best_rate_are_marked_and_lines_are_what_was_noted(tmp_path):
    rates = {0: 0.25, 1: 0.4, 2: 0.6}
    values = [{"optim.lr": lr} for lr in rates.values()]
    write_sweep(tmp_path / "sweep", values, epochs=3)
    for number, lr in rates.items():
        folder = tmp_path / "sweep" / str(number)
        write_rate(folder, lr)
        with_descent(folder, [1.0, 0.1 * lr, None if number == 2 else 1e-9])
    figure = descent(load_sweep(tmp_path / "sweep"))
    plain, log, against = figure.axes
    assert plain.get_lines()[0].get_ydata()[:2].tolist() == pytest.approx([1.05, 0.075])
    assert log.get_lines()[1].get_ydata().tolist() == pytest.approx([1.0, 0.04, 1e-9])
    marked = {line.get_color(): line.get_xdata()[0] for line in against.get_lines() if line.get_linestyle() != "None"}
    assert (marked[VERMILLION], marked[GREY]) == (0.5, 0.4)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["0.25, 0.5 of the limit", "0.4, 0.8 of the limit, the best", "0.6, 1.2 of the limit"]
    all_inside(figure)


def write_rate(folder: Path, lr: float) -> None:
    import yaml

    from labrunner.files import from_yaml

    config = from_yaml((folder / "config.yaml").read_text())
    config["optim"]["lr"] = lr
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.parametrize("excess", [[1.0, 1e300, None], [0.0, 0.0], [1e-30, 1e-31, 0.0], [None, None]])
def test_odd_descents_are_drawn_or_left_out(tmp_path, excess):
    rates = np.geomspace(1e-6, 1e6, 30).tolist()
    write_sweep(tmp_path / "sweep", [{"optim.lr": lr} for lr in rates], epochs=2, samples=20)
    for number, lr in enumerate(rates):
        write_rate(tmp_path / "sweep" / str(number), lr)
        with_descent(tmp_path / "sweep" / str(number), excess)
    figure = descent(load_sweep(tmp_path / "sweep"))
    if figure is not None:
        all_inside(figure)


def test_they_are_among_those_that_are_drawn(tmp_path):
    folder = write_run(tmp_path / "run", classes=("a", "b"))
    with_updates(folder, [3, 0])
    assert "perceptron_updates.png" in {path.name for path in draw(load_run(folder), "few")}
    write_sweep(tmp_path / "sweep", SEEDED, epochs=3)
    for number in range(6):
        with_updates(tmp_path / "sweep" / str(number), [1, 0])
    assert "updates_by_epoch.png" in {path.name for path in draw_sweep(load_sweep(tmp_path / "sweep"), "few")}
