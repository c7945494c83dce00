"""Figures of gradients, activations, weights and updates: of runs, and of sweeps by layer."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from labrunner.deep.networks import ACTIVATIONS
from labrunner.figures.comparison import signals as compared
from labrunner.figures.look import look
from labrunner.figures.probed import signals as probed
from labrunner.files import to_csv
from labrunner.records import load_run, load_sweep
from tests.figures.looking import all_inside, made, write_sweep
from tests.lines import cases


def note(folder, layers=3, epochs=4, name="backbone.linear{}", factor=0.5, blank=False, empty=False):
    """Files of all four probes, as a network of so many hidden layers would leave them."""
    rng = np.random.default_rng(layers)
    matrices = [f"{name.format(number + 1)}.weight" for number in range(layers)] + ["head.weight"]
    acts = [f"{name.format(number + 1).replace('linear', 'act')}" for number in range(layers)] + ["head"]
    nothing = None if blank else 0.0
    rows: dict[str, list] = {each: [] for each in ("gradients", "weights", "activations", "updates")}
    bins: dict[str, list] = {"weight_histograms": [], "activation_histograms": []}
    for epoch in range(epochs + 1):
        for number, (matrix, act) in enumerate(zip(matrices, acts, strict=True)):
            size = nothing if blank or empty else factor**number * rng.uniform(0.8, 1.2)
            rows["gradients"].append([epoch, 10 * epoch, matrix, 2, 64, size])
            rows["gradients"].append([epoch, 10 * epoch, matrix.replace("weight", "bias"), 1, 8, 1.0])
            rows["weights"].append([epoch, 10 * epoch, matrix, 2, 64, size, None])
            dead = None if act == "head" else number
            rows["activations"].append([epoch, 10 * epoch, act, 8, 0.0, size, 0.3, dead])
            if epoch in (0, epochs):
                for low in np.linspace(-1.0, 1.0, 40, endpoint=False):
                    count = int(1000 * math.exp(-20 * low * low)) if not empty else 0
                    for kind, thing in (("weight_histograms", matrix), ("activation_histograms", act)):
                        bins[kind].append([epoch, 10 * epoch, thing, low, low + 0.05, count])
            if epoch:
                rows["updates"] += [
                    [epoch, 10 * (epoch - 1) + step, matrix, 2, 1e-3, 1.0, None if blank or empty else 1e-3 * size]
                    for step in range(1, 11)
                ]
    heads = {
        "gradients": "epoch,step,parameter,axes,values,norm",
        "weights": "epoch,step,parameter,axes,values,norm,distinct_rows",
        "activations": "epoch,step,layer,units,mean,std,zeros,dead",
        "updates": "epoch,step,parameter,axes,update,weight,ratio",
        "weight_histograms": "epoch,step,parameter,low,high,count",
        "activation_histograms": "epoch,step,layer,low,high,count",
    }
    (folder / "probes").mkdir(exist_ok=True)
    for kind, lines in (rows | bins).items():
        (folder / "probes" / f"{kind}.csv").write_text(to_csv(heads[kind].split(","), lines))


def drawn(function, recorded) -> Figure:
    with look():
        figure = function(recorded)
    all_inside(figure)
    return figure


# of a run


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    """A run with files of all four probes; each kind is written once."""
    folders = {}

    def opened(**how):
        if str(how) not in folders:
            run = made(tmp_path_factory.mktemp("noted"), epochs=4)
            note(run.path, **how)
            folders[str(how)] = run.path
        return load_run(folders[str(how)])

    return opened


@pytest.mark.parametrize("name", list(probed.FIGURES))
def test_a_run_without_probes_has_no_such_figure(tmp_path, name):
    assert probed.FIGURES[name][0](made(tmp_path)) is None


NETWORKS = {
    "three layers": {},
    "one layer": {"layers": 1, "epochs": 1},
    "sixty layers": {"layers": 60, "epochs": 2},
    "long names": {"name": "backbone.a_block_with_a_very_long_name.of_many_parts.linear{}"},
    "vanishing": {"factor": 1e-9},
    "before training": {"epochs": 0},
}
OF_EACH = {  # the networks that each figure is drawn of each time
    "gradients": ["three layers", "sixty layers", "vanishing"],
    "activations": ["three layers", "one layer", "before training"],
    "weights": ["three layers", "long names"],
    "updates": ["three layers", "one layer", "before training"],
    "weight_histograms": ["three layers", "vanishing"],
    "activation_histograms": ["sixty layers", "long names"],
}
EACH_TIME = [(name, network) for name, networks in OF_EACH.items() for network in networks]


@pytest.mark.parametrize(("name", "network"), cases(itertools.product(probed.FIGURES, NETWORKS), fast=EACH_TIME))
def test_every_network_can_be_drawn(noted, name, network):
    run = noted(**NETWORKS[network])
    if name == "updates" and network == "before training":
        assert probed.FIGURES[name][0](run) is None  # no step has been made
    else:
        drawn(probed.FIGURES[name][0], run)


@pytest.mark.parametrize("name", list(probed.FIGURES))
@pytest.mark.parametrize("how", [{"blank": True}, {"empty": True}])
def test_numbers_that_are_blank_or_zero_leave_gaps_and_break_nothing(noted, name, how):
    with look():
        figure = probed.FIGURES[name][0](noted(**how))
    if figure is not None:
        all_inside(figure)


@pytest.mark.parametrize("name", list(probed.FIGURES))
def test_a_file_that_is_no_probes_is_passed_over(tmp_path, name):
    run = made(tmp_path)
    (run.path / "probes").mkdir(exist_ok=True)
    for content in ("", "a,b\n1,2\n", "epoch,step\n"):
        (run.path / "probes" / f"{name}.csv").write_text(content)
        assert probed.FIGURES[name][0](load_run(run.path)) is None


def test_the_left_panel_shows_the_start_and_the_chosen_epoch(tmp_path):
    run = made(tmp_path, epochs=4)
    note(run.path)
    table = run.probe("gradients")
    axes = drawn(probed.gradients, run).axes[0]
    for line, epoch in zip(axes.lines, (0, run.chosen.epoch), strict=True):
        rows = table[(table["epoch"] == epoch) & (table["axes"] == 2)]
        assert list(line.get_ydata()) == list(rows["norm"])


def test_a_running_median_is_that_of_numpy():
    values = np.random.default_rng(0).normal(size=40)
    values[7] = np.nan
    found = probed.running_median(values, 5)
    for place in range(40):
        assert found[place] == np.nanmedian(values[max(0, place - 2) : place + 3])


# of a sweep


def sweep_of(path, values, layers=lambda value: 3, **how):
    sweep = write_sweep(path / "sweep", values, epochs=4, samples=20, **how.pop("written", {}))
    for member in sweep.members:
        if member.run is not None:
            note(member.path, layers=layers(member.values), **how)
    return load_sweep(path / "sweep")


SWEEPS = {
    "starts": [{"init": name, "seed": seed} for name in ("zeros", "he", "xavier") for seed in (0, 1)],
    "one run each": [{"init": name} for name in ("zeros", "he")],
    "depths": [{"model.hidden": [64] * depth, "init": name} for depth in (1, 2, 4, 8, 16, 32) for name in ("he", "x")],
    "many": [{"optim.lr": 10.0 ** (-number / 5)} for number in range(30)],
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of `SWEEPS` with files of all four probes; each kind is written once."""
    folders = {}

    def opened(kind, **how):
        if (kind, str(how)) not in folders:
            path = tmp_path_factory.mktemp("swept")
            sweep_of(path, SWEEPS[kind], lambda values: len(values.get("model.hidden", [1, 1, 1])), **how)
            folders[kind, str(how)] = path / "sweep"
        return load_sweep(folders[kind, str(how)])

    return opened


LAYERED = ["gradients_by_layer", "activation_spread", "activation_grid", "dead_units", "weights_compared"]


SWEPT_EACH_TIME = [  # runs of several starts are drawn below as well
    ("starts", "activation_spread"),
    ("one run each", "dead_units"),
    ("one run each", "weights_compared"),
    ("depths", "gradients_by_layer"),
    ("depths", "activation_grid"),
    ("depths", "dead_units"),
    ("many", "gradients_by_layer"),
    ("many", "activation_spread"),
    ("many", "weights_compared"),
]


@pytest.mark.parametrize(("kind", "name"), cases(itertools.product(SWEEPS, LAYERED), fast=SWEPT_EACH_TIME))
def test_every_sweep_can_be_drawn(swept, name, kind):
    drawn(compared.FIGURES[name][0], swept(kind))


@pytest.mark.parametrize("name", list(compared.FIGURES))
def test_a_sweep_without_probes_has_no_such_figure(tmp_path, name):
    assert compared.FIGURES[name][0](write_sweep(tmp_path / "sweep", SWEEPS["starts"], epochs=3)) is None


@pytest.mark.parametrize("name", LAYERED)
def test_runs_that_diverged_or_are_missing_are_passed_over(swept, name):
    written = {"statuses": {1: "diverged", 2: "missing"}}
    drawn(compared.FIGURES[name][0], swept("starts", written=written))


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.parametrize("how", [{"blank": True}, {"empty": True}])
def test_a_sweep_of_blanks_or_zeros_breaks_nothing(swept, name, how):
    with look():
        figure = compared.FIGURES[name][0](swept("starts", **how))
    if figure is not None:
        all_inside(figure)


def test_networks_of_each_depth_have_a_panel_and_names_without_the_depth(tmp_path):
    values = [each for each in SWEEPS["depths"] if len(each["model.hidden"]) in (2, 8)]
    sweep = sweep_of(tmp_path, values, lambda values: len(values["model.hidden"]))
    figure = drawn(compared.gradients_by_layer, sweep)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["2 hidden layers", "8 hidden layers"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["he", "x"]
    assert len({(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}) == 2


def test_all_looks_differ():
    assert len(set(compared.LOOKS)) == len(compared.LOOKS) >= compared.MOST


# activation functions


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activation_functions_are_those_of_torch_with_their_derivatives(name):
    value, derivative = compared.FUNCTIONS[name]
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)[torch.arange(33) != 16].requires_grad_()  # no kink at 0
    y = ACTIVATIONS[name]()(x)
    y.sum().backward()
    np.testing.assert_allclose(value(x.detach().numpy()), y.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(derivative(x.detach().numpy()), x.grad.numpy(), atol=1e-12)


def test_activation_functions_are_drawn_where_runs_differ_in_them(tmp_path):
    values = [{"model.activation": name} for name in ("relu", "tanh", "sigmoid")]
    sweep = write_sweep(tmp_path / "sweep", values, epochs=2)
    assert compared.activation_functions(sweep) is None  # their configs say relu
    for member in sweep.members:
        path = member.path / "config.yaml"
        path.write_text(
            path.read_text().replace("activation: relu", f"activation: {member.values['model.activation']}")
        )
    figure = drawn(compared.activation_functions, load_sweep(tmp_path / "sweep"))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["relu", "tanh", "sigmoid"]


# the gap


def regularized(path, values):
    sweep = write_sweep(path / "sweep", values, epochs=5, samples=20)
    for member in sweep.members:
        file = member.path / "config.yaml"
        file.write_text(file.read_text().replace("dropout: 0.0", f"dropout: {member.values['reg.dropout']}"))
    return load_sweep(path / "sweep")


@pytest.mark.parametrize(("seeds", "rates"), cases([(1, 2), (3, 2), (1, 40), (3, 40)], fast=[(3, 2), (1, 40)]))
def test_the_gap_is_drawn_where_runs_differ_in_regularization(tmp_path, seeds, rates):
    values = [{"reg.dropout": rate / 50, "seed": seed} for rate in range(rates) for seed in range(seeds)]
    figure = drawn(compared.generalization_gap, regularized(tmp_path, values))
    assert len(figure.axes[0].get_yticks()) == min(rates, compared.BARS)


def test_the_black_mark_is_the_mean_of_the_best_epochs(tmp_path):
    sweep = regularized(tmp_path, [{"reg.dropout": rate, "seed": seed} for rate in (0.0, 0.5) for seed in (0, 1)])
    figure = drawn(compared.generalization_gap, sweep)
    marks = {float(line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_marker() == "|"}
    best = [run.rows["val_accuracy"].max() for _, run in sweep.runs]
    assert {np.mean(best[:2]), np.mean(best[2:])} <= marks
