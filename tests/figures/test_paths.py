"""Figures of the weights' way: drawn from files alone, whatever these hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labrunner.figures import FIGURES, png
from labrunner.figures.comparison import COMPARISONS
from labrunner.figures.look import look
from labrunner.figures.probed import paths
from labrunner.records import Run, Sweep, load_run
from tests.figures.looking import all_inside, made, write_sweep
from tests.lines import cases

WEIGHTS, DIRECTIONS = ("w1", "w2"), ("direction1", "direction2")


def write_surface(
    run: Run,
    names: tuple[str, str] = WEIGHTS,
    points: np.ndarray | None = None,
    loss: np.ndarray | None = None,
    middle: float = 0.0,
) -> Run:
    """The probe's files: a bowl over a grid, and a way through it."""
    x, y = np.linspace(middle - 3.0, middle + 3.0, 13), np.linspace(-2.0, 2.0, 11)
    across, up = np.meshgrid(x, y)
    bowl = 0.1 * across**2 + 2.0 * up**2 if loss is None else loss
    grid = np.column_stack([across.ravel(), up.ravel(), bowl.ravel()])
    if points is None:
        points = np.column_stack([np.linspace(middle - 2.5, middle, 9), 1.5 * (-0.7) ** np.arange(9)])
    heights = 0.1 * points[:, 0] ** 2 + 2.0 * points[:, 1] ** 2
    write(run, "loss_surface", [*names, "loss"], [(20, 20, *row) for row in grid])
    way = [(i, i, *p, h) for i, (p, h) in enumerate(zip(points, heights, strict=True))]
    write(run, "loss_surface_path", [*names, "loss"], way)
    if names == DIRECTIONS:
        write(run, "loss_surface_plane", ["direction", "explained"], [(20, 20, 1, 0.9), (20, 20, 2, 0.0812)])
    return run


def write(run: Run, name: str, columns: list[str], rows: list[tuple[float, ...]]) -> None:
    lines = [",".join(["epoch", "step", *(f'"{column}"' for column in columns)])]
    lines += [",".join("" if np.isnan(value) else repr(float(value)) for value in row) for row in rows]
    (run.path / "probes" / f"{name}.csv").write_text("\n".join(lines) + "\n")


def drawn(figure_of, recorded):
    with look():
        return figure_of(recorded)


def words(figure) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("name", ["loss_surface", "trajectory"])
def test_a_run_without_the_probe_has_no_figure(tmp_path, name):
    assert FIGURES[name][0](made(tmp_path)) is None


@pytest.mark.parametrize("names", [WEIGHTS, DIRECTIONS])
def test_the_surface_is_drawn_with_its_way_and_nothing_is_cut_off(tmp_path, names):
    figure = drawn(paths.loss_surface, write_surface(made(tmp_path), names))
    all_inside(figure)
    expected = ["weight w1", "weight w2"] if names == WEIGHTS else ["(90.0% of squared", "(8.1% of squared"]
    assert all(text in words(figure) for text in [*expected, "start", "end", "training loss"])
    assert "leaves" not in words(figure)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_way_that_leaves_is_cut_at_the_edge_and_its_step_is_told(tmp_path, axis, sign):
    points = np.zeros((7, 2))
    points[:, axis] = sign * 0.1 * 4.0 ** np.arange(7)
    points[:, 1 - axis] = np.linspace(0.0, 0.5, 7)
    figure = drawn(paths.loss_surface, write_surface(made(tmp_path), WEIGHTS, points))
    all_inside(figure)
    axes = figure.axes[0]
    line = axes.lines[0].get_xydata()
    assert "leaves the picture" in words(figure)
    assert f"step {len(line) - 1}" in words(figure)
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    assert ((line[:-1] >= limits[:, 0]) & (line[:-1] <= limits[:, 1])).all()
    assert not ((line[-1] >= limits[:, 0]) & (line[-1] <= limits[:, 1])).all()


def test_the_place_where_a_way_leaves_is_on_the_line_between_its_points():
    points = np.array([[0.5, 0.5], [0.6, 0.4], [0.7, 2.4]])
    number, (x, y), angle = paths.leaves(points, (0.0, 1.0), (0.0, 1.0))
    assert (number, y, angle) == (2, pytest.approx(1.0), 90.0)
    assert x == pytest.approx(0.6 + 0.1 * 0.6 / 2.0)
    # one that comes back, and one that begins outside, do not leave
    assert paths.leaves(np.array([[0.5, 0.5], [3.0, 0.5], [0.2, 0.2]]), (0.0, 1.0), (0.0, 1.0)) is None
    assert paths.leaves(np.array([[5.0, 0.5], [3.0, 0.5]]), (0.0, 1.0), (0.0, 1.0)) is None


def test_losses_that_overflowed_are_left_blank(tmp_path):
    loss = np.add.outer(np.linspace(-2, 2, 11) ** 2, np.linspace(-3, 3, 13) ** 2)
    loss[:2] = np.nan
    all_inside(drawn(paths.loss_surface, write_surface(made(tmp_path), loss=loss)))


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_a_surface_that_shows_nothing_is_left_out(tmp_path, value):
    run = write_surface(made(tmp_path), loss=np.full((11, 13), value))
    assert paths.loss_surface(run) is None


def test_a_file_of_another_form_is_left_out(tmp_path):
    run = made(tmp_path)
    (run.path / "probes" / "loss_surface.csv").write_text("epoch,step,w1,w2,loss\n1,1,0,0,1\n1,1,0,1,2\n1,1,1,0,2\n")
    assert paths.loss_surface(run) is None
    (run.path / "probes" / "loss_surface.csv").write_text("epoch,step\n1,1\n")
    assert paths.loss_surface(run) is None


@pytest.mark.parametrize("count", [1, 2, 16])
def test_weights_are_drawn_over_the_steps_with_a_name_each(tmp_path, count):
    run = made(tmp_path)
    names = [f"head.weight[{index + 1},1]" for index in range(count)]
    write(run, "trajectory", names, [(t, t, *np.sin(np.arange(count) + t / 9.0)) for t in range(40)])
    figure = drawn(paths.trajectory, run)
    all_inside(figure)
    assert all(name in words(figure) for name in names)
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines[:count]}
    assert len(looks) == count


def test_weights_that_explode_get_a_scale_on_which_the_first_steps_are_seen(tmp_path):
    run = made(tmp_path)
    rows = [(t, t, -2.0 * (-1.4) ** t, 5.0 * 0.9**t) for t in range(60)]
    write(run, "trajectory", ["w1", "w2"], [*rows, (60, 60, np.nan, np.nan)])
    figure = drawn(paths.trajectory, run)
    all_inside(figure)
    assert figure.axes[0].get_yscale() == "symlog"
    assert "logarithmic" in words(figure)


# sweeps


def swept(path: Path, count: int, key: str = "optim.lr", settings=None, **how) -> Sweep:
    values = [{key: 0.1 * (number + 1)} for number in range(count)]
    sweep = write_sweep(path / "sweep", values, epochs=3, samples=20, settings=settings or {}, **how)
    for member in sweep.members:
        if member.run is not None:
            write_surface(member.run)
    return sweep


loss_surfaces = COMPARISONS["loss_surfaces"][0]


def test_a_sweep_without_the_probe_has_no_figure(tmp_path):
    assert loss_surfaces(write_sweep(tmp_path / "sweep", [{"optim.lr": 0.1}, {"optim.lr": 1.0}], epochs=2)) is None


@pytest.mark.parametrize("count", cases([1, 2, 3, 5, 8, 12, 30], fast=[1, 2, 5, 30]))
def test_each_run_gets_a_panel_of_one_scale_and_what_is_left_out_is_said(tmp_path, count):
    figure = drawn(loss_surfaces, swept(tmp_path, count))
    all_inside(figure)
    panels = [axes for axes in figure.axes if axes.get_visible() and axes.lines]
    assert len(panels) == min(count, 12)
    assert len({(*axes.get_xlim(), *axes.get_ylim()) for axes in panels}) == 1
    assert ("left out: 18" in words(figure)) == (count == 30)


def test_planes_of_their_own_keep_their_scales(tmp_path):
    sweep = swept(tmp_path, 3)
    for number, member in enumerate(sweep.members):
        write_surface(member.run, DIRECTIONS, middle=float(number))
    figure = drawn(loss_surfaces, sweep)
    all_inside(figure)
    panels = [axes for axes in figure.axes if axes.get_visible() and axes.lines]
    assert len({axes.get_xlim() for axes in panels}) == 3
    assert "its own plane" in words(figure)


def test_a_run_that_diverged_without_a_surface_is_drawn_over_that_of_the_others(tmp_path):
    sweep = swept(tmp_path, 3)
    (sweep.members[1].path / "probes" / "loss_surface.csv").unlink()
    figure = drawn(loss_surfaces, sweep)
    assert len([axes for axes in figure.axes if axes.get_visible() and axes.lines]) == 3


def test_of_several_seeds_the_first_is_drawn(tmp_path):
    values = [{"optim.lr": lr, "seed": seed} for lr in (0.1, 1.0) for seed in range(3)]
    sweep = write_sweep(tmp_path / "sweep", values, epochs=2)
    for member in sweep.members:
        write_surface(member.run)
    figure = drawn(loss_surfaces, sweep)
    assert len([axes for axes in figure.axes if axes.get_visible() and axes.lines]) == 2
    assert "the first seed of each" in words(figure)


def test_equal_files_give_equal_bytes(tmp_path):
    run = write_surface(made(tmp_path))
    with look():
        assert png(paths.loss_surface(run)) == png(paths.loss_surface(load_run(run.path)))
