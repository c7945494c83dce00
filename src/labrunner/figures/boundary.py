"""What a model says of the plane, for data with two inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from labrunner.figures.look import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, literal, page, shortened
from labrunner.records import Run

# a class has a colour and a mark; the eighth and further ones are told apart by the mark
COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, "#8a7000", GREY, "#003f63", "#7a3600")
MARKERS = "os^Dv*Ppdh"
AREA = {"D": 0.85, "*": 1.4, "P": 1.15}  # marks that look larger or smaller than others of their size
PALEST, DEEPEST = 0.10, 0.62  # share of a class's colour where all classes are as likely, and where it is certain
NAME_WIDTH, FEW_NAMES, WIDER = 24, 6, 38  # characters of a class name; so few may have more
LEGEND = 88  # characters beside each other
MANY = 300  # training samples
FEW_RINGS = 40  # more of the large ones would hide each other and what is inside of them


def boundary(run: Run) -> Figure | None:
    """The predicted class over the plane, paler where less certain, with the samples of the splits in it.

    Training and validation samples are in the first panel; test samples in the second, ringed where they are predicted
    wrongly. None where inputs are no points in the plane.
    """
    plane = run.boundary
    if plane is None or plane["probabilities"].shape[-1] > len(COLOURS):
        return None
    width = WIDER if len(plane["class_names"]) <= FEW_NAMES else NAME_WIDTH
    names = shortened([str(name) for name in plane["class_names"]], width)
    has_test = bool((plane["split"] == "test").any())
    panels = 2 if has_test else 1
    columns = _columns(names)
    figure = page((4.5 if has_test else 5.0) + 0.2 * -(-len(names) // columns))
    all_axes = figure.subplots(1, panels, sharex=True, sharey=True, squeeze=False)[0]
    for axes in all_axes:
        _regions(axes, plane)
    titles = shortened([str(name) for name in plane["feature_names"]], 32)
    for axes in all_axes:
        axes.set_xlabel(titles[0], parse_math=False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    all_axes[0].set_ylabel(titles[1], parse_math=False)

    size = 6.0 if (plane["split"] == "train").sum() <= MANY else 4.0  # points
    handles = _points(all_axes[0], plane, "train", names, size)
    said = f"epoch {int(plane['epoch'])}: training samples"
    if (plane["split"] == "val").any():
        _points(all_axes[0], plane, "val", names, size)
        said += " filled,\nvalidation samples hollow"
    all_axes[0].set_title(said, fontsize=11)
    if has_test:
        _points(all_axes[1], plane, "test", names, size)
        all_axes[1].set_title(_ring(all_axes[1], plane, run), fontsize=11)
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=10)
    literal(legend, names)
    return figure


def _columns(names: list[str]) -> int:
    """Columns of the legend, so that it is no wider than the picture."""
    return max(1, min(len(names), int(LEGEND / (max(map(len, names)) + 6))))


def shading(probabilities: np.ndarray) -> np.ndarray:
    """(..., K) probabilities as (..., 3) colours in [0, 1]: of the likeliest class, paler where it is less certain."""
    count = probabilities.shape[-1]
    colours = np.array([to_rgb(colour) for colour in COLOURS[:count]])
    likeliest, highest = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
    certain = np.clip((highest - 1.0 / count) / (1.0 - 1.0 / count), 0.0, 1.0)
    share = (PALEST + (DEEPEST - PALEST) * certain)[..., None]
    return 1.0 - share + share * colours[likeliest]


def _regions(axes: Axes, plane: dict[str, np.ndarray]) -> None:
    x, y, probabilities = plane["x"], plane["y"], plane["probabilities"]
    # the outermost grid points are the middles of the outermost pixels
    right, up = (float(axis[-1] - axis[0]) / (len(axis) - 1) / 2 for axis in (x, y))
    extent = (float(x[0]) - right, float(x[-1]) + right, float(y[0]) - up, float(y[-1]) + up)
    axes.imshow(shading(probabilities), origin="lower", extent=extent, aspect="auto", interpolation="nearest")
    for label in range(probabilities.shape[-1]):
        # how much likelier a class is than any other: zero at its boundary
        lead = probabilities[..., label] - np.delete(probabilities, label, axis=-1).max(axis=-1)
        if lead.min() < 0.0 < lead.max():
            axes.contour(x, y, lead, levels=[0.0], colors="black", linewidths=1.0)
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    axes.grid(False)


def _points(axes: Axes, plane: dict[str, np.ndarray], split: str, names: list[str], size: float) -> list[Line2D]:
    """The samples of a split, each class with its colour and mark; returns a handle for each class."""
    of_split = plane["split"] == split
    handles = []
    for label, (colour, marker) in enumerate(zip(COLOURS, MARKERS, strict=True)):
        if label == len(names):
            break
        points = plane["point"][of_split & (plane["label"] == label)]
        style: dict[str, Any] = {"marker": marker, "linestyle": "none", "markersize": size * AREA.get(marker, 1.0)}
        if split == "val":
            style |= {"markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 1.2}
        else:
            style |= {"markerfacecolor": colour, "markeredgecolor": "white", "markeredgewidth": 0.6}
        axes.plot(points[:, 0], points[:, 1], **style)
        handles.append(Line2D([], [], **(style | {"markersize": 8.0 * AREA.get(marker, 1.0), "label": "a class"})))
    return handles


def _ring(axes: Axes, plane: dict[str, np.ndarray], run: Run) -> str:
    """Ring the test samples that predictions.csv has wrong; returns what the panel shows."""
    if run.predictions is None:
        return "test samples"
    table = run.predictions
    wrong = table.loc[table["label"] != table["predicted"], "index"].to_numpy()
    if not len(wrong):
        return f"test samples, none of {len(table)}\npredicted wrongly"
    ringed = plane["point"][(plane["split"] == "test") & np.isin(plane["index"], wrong)]
    size, breadth = (12.0, 1.4) if len(ringed) <= FEW_RINGS else (8.5, 1.0)  # points
    axes.plot(
        ringed[:, 0],
        ringed[:, 1],
        linestyle="none",
        marker="o",
        markersize=size,
        markerfacecolor="none",
        markeredgecolor="black",
        markeredgewidth=breadth,
    )
    return f"test samples, {len(wrong)} of {len(table)}\npredicted wrongly and ringed"
