"""Figures of what a network makes of images: kernels, feature maps, pooling, embeddings, shifts; grids are mosaics."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from labrunner.figures.boundary import COLOURS, MARKERS
from labrunner.figures.look import BLACK, BLUE, GREY, PAGE, literal, luminance, page, plain, shortened
from labrunner.records import Run
from labrunner.thinning import evenly

SIGNED = "PuOr"  # kernels: orange below zero, purple above, told apart by all readers
AMOUNT = "cividis"  # maps and shares
POOLED = 5  # channels whose poolings are drawn
MOST_LAYERS = 9  # rows of feature maps
LEAST_SIDE = 40  # pixels of a tile in a mosaic
MOST_CLASSES = len(COLOURS)  # of more classes some share a colour and a mark
NAME_WIDTH = 18  # characters of a class or a layer
NOTE = 10.0  # points
NOTE_WIDTH = 100  # characters of a line above the panels
LAYERS = {"conv": "convolution", "act": "activation", "pool": "pooling"}


def kernels(run: Run) -> Figure | None:
    """The first convolution's kernels before training and after it, on one scale.

    Of three input channels they are coloured as the channels are, with grey for zero; of other numbers the first
    channel is drawn. None without the probe.
    """
    table = run.probe("kernels")
    if table is None or not len(table):
        return None
    axes_of = ("kernel", "channel", "row", "column")
    noted = {epoch: _cube(table[table["epoch"] == epoch], axes_of) for epoch in table["epoch"].unique().tolist()}
    noted = {epoch: values for epoch, values in noted.items() if np.isfinite(values).all()}
    if not noted:
        return None
    count, channels = next(iter(noted.values())).shape[:2]
    most = max(float(np.abs(values).max()) for values in noted.values()) or 1.0
    across = int(np.ceil(np.sqrt(count)))
    wide = 0.5 * (PAGE - 1.2)  # inches, of a panel
    figure = page(min(wide * -(-count // across) / across, wide) + 0.9)
    panels = figure.subplots(1, 2 if len(noted) > 1 else 1, squeeze=False, gridspec_kw={"wspace": 0.08})[0]
    picture: Any = None
    for axes, (epoch, values) in zip(panels, sorted(noted.items()), strict=False):
        title = "before training" if epoch == 0 else f"epoch {epoch}"
        if channels == 3:
            tiles = list(np.clip(0.5 + values.transpose(0, 2, 3, 1) / (2 * most), 0.0, 1.0))
            axes.imshow(mosaic(tiles, across), interpolation="nearest")
        else:
            tiles = list(values[:, 0])
            picture = axes.imshow(mosaic(tiles, across), cmap=SIGNED, vmin=-most, vmax=most, interpolation="nearest")
        _bare(axes)
        axes.set_title(title, fontsize=11)
    if picture is not None:
        _bar(figure, picture, panels, "weight")
    said = f"{_counted(count, 'kernel')} of {values.shape[2]} x {values.shape[3]} pixels of the first convolution"
    if channels == 3:
        said += ", coloured by input channel; grey is 0"
    elif channels > 1:
        said += ", the first of its input channels"
    _note(figure, said)
    return figure


def feature_maps(run: Run) -> Figure | None:
    """A row for each layer: its first maps of one image, each layer on a scale of its own. None without the probe."""
    layers = _layers(run)
    if layers is None:
        return None
    kept = list(layers.maps)
    shown = [kept[place] for place in evenly(len(kept), MOST_LAYERS)]
    across = max(layers.maps[name].shape[0] for name in shown)
    each = (PAGE - 2.7) / across  # inches, of a map beside the names and ranges
    figure = page(0.4 + len(shown) * (min(each, 0.85) + 0.06))
    rows = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, name in zip(rows, shown, strict=True):
        maps = layers.maps[name]
        side = max(maps.shape[1:])
        tiles = [*maps, *(np.full_like(maps[0], np.nan) for _ in range(across - len(maps)))]
        picture = axes.imshow(
            mosaic(tiles, across), cmap="gray" if name == "input" else AMOUNT, interpolation="nearest", aspect="equal"
        )
        _bare(axes)
        axes.set_ylabel(_layer_name(name), rotation=0, ha="right", va="center", fontsize=NOTE, parse_math=False)
        low, high = np.nanmin(maps), np.nanmax(maps)
        axes.text(
            1.01,
            0.5,
            f"{side} x {side}\n{low:.2g} to {high:.2g}",
            transform=axes.transAxes,
            fontsize=NOTE,
            color=GREY,
            va="center",
        )
        picture.set_clim(low, high if high > low else low + 1.0)
    left_out = f"; {len(kept) - len(shown)} layers left out" if len(shown) < len(kept) else ""
    _note(figure, f"{layers.said}; up to {across} channels of each layer, dark is low, range at the right{left_out}")
    return figure


def pooling(run: Run) -> Figure | None:
    """What goes into each pooling and what comes out, of the first channels of one image, on the same scale.

    None without the probe, or for a model that does not pool.
    """
    layers = _layers(run)
    if layers is None:
        return None
    names = list(layers.maps)
    pairs = [
        (before, name)
        for before, name in itertools.pairwise(names)
        if name.rpartition(".")[2] == "pool" and layers.maps[before].shape[0] == layers.maps[name].shape[0]
    ][:3]
    if not pairs:
        return None
    kind = {"max": "maximum", "avg": "average"}.get(str(run.config.get("model", {}).get("pooling")), "pooling")
    across = min(POOLED, max(layers.maps[name].shape[0] for _, name in pairs))
    figure = page(0.4 + len(pairs) * 2 * ((PAGE - 2.9) / max(across, 3) + 0.08))
    rows = figure.subplots(2 * len(pairs), 1, squeeze=False)[:, 0]
    for number, (before, name) in enumerate(pairs):
        picture: Any = None
        low, high = float(layers.maps[before][:across].min()), float(layers.maps[before][:across].max())
        for axes, layer in zip(rows[2 * number :], (before, name), strict=False):
            maps = layers.maps[layer][:across]
            tiles = [*maps, *(np.full_like(maps[0], np.nan) for _ in range(across - len(maps)))]
            limits = {"vmin": low, "vmax": high if high > low else low + 1.0}
            picture = axes.imshow(mosaic(tiles, across), cmap=AMOUNT, interpolation="nearest", **limits)
            _bare(axes)
            size = f"{maps.shape[1]} x {maps.shape[2]}"
            said = f"into {_block(name)}'s\npooling\n{size}" if layer == before else f"{kind}\nof 2 x 2\n{size}"
            axes.set_ylabel(said, rotation=0, ha="right", va="center", fontsize=NOTE, parse_math=False)
        _bar(figure, picture, rows[2 * number : 2 * number + 2], "activation")
    _note(figure, f"{layers.said}: what goes into each pooling and what comes out, of {_counted(across, 'channel')}")
    return figure


def embedding(run: Run) -> Figure | None:
    """The last features of validation samples in two dimensions, by principal components and by t-SNE.

    Colour and mark are the true class, its number stands at its middle, and what was predicted wrongly has a ring. None
    without the probe.
    """
    table = run.probe("embedding")
    if table is None or not len(table):
        return None
    names = run.class_names or [str(label) for label in range(int(table["label"].max()) + 1)]
    labels = table["label"].to_numpy()
    wrong = labels != table["predicted"].to_numpy()
    known = [pair for pair in (("pca", "PCA"), ("tsne", "t-SNE")) if table[f"{pair[0]}_1"].notna().all()]
    if not known:
        return None
    there = [int(label) for label in np.unique(labels)]
    few = len(there) <= MOST_CLASSES
    figure = page(4.7 if few else 4.3)
    panels = figure.subplots(1, len(known), squeeze=False)[0]
    for axes, (key, title) in zip(panels, known, strict=True):
        x, y = table[f"{key}_1"].to_numpy(), table[f"{key}_2"].to_numpy()
        for label in there:
            mine = labels == label
            place = label % MOST_CLASSES
            axes.plot(
                x[mine], y[mine], ls="none", marker=MARKERS[place], ms=4.5, mew=0, color=COLOURS[place], alpha=0.75
            )
        axes.plot(x[wrong], y[wrong], ls="none", marker="o", ms=9, mfc="none", mec=BLACK, mew=1.1, zorder=4)
        for label in there if few else ():
            middle = np.median(x[labels == label]), np.median(y[labels == label])
            axes.text(
                *middle,
                shortened([names[label]], 10)[0],
                ha="center",
                va="center",
                fontsize=NOTE,
                weight="bold",
                zorder=5,
                parse_math=False,
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.0},
            )
        axes.set_title(title, fontsize=11)
        unit = "component" if key == "pca" else "dimension"
        axes.set_xlabel(f"{unit} 1 ({'units of the features' if key == 'pca' else 'no unit'})")
        axes.set_ylabel(f"{unit} 2")
        axes.margins(0.06)
    if few:
        words = shortened([names[label] for label in there], NAME_WIDTH)
        columns = max(1, min(len(words), int(88 / (max(map(len, words)) + 5))))
        handles = [_mark(label) for label in there]
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=NOTE)
        literal(legend, words)
    said = f"epoch {int(table['epoch'].iloc[0])}: features in front of the head, {_counted(len(table), 'sample')}, "
    said += f"{wrong.sum()} of them predicted wrongly (ringed)"
    _note(figure, said + ("" if few else f"; {len(there)} classes share {MOST_CLASSES} colours"))
    return figure


def silhouette(run: Run) -> Figure | None:
    """How well the classes lie apart at each depth, before training and after it. None without the probe."""
    table = run.probe("silhouette")
    if table is None or not table["silhouette"].notna().any():
        return None
    figure = page(3.6)
    axes = figure.subplots()
    for epoch in table["epoch"].unique().tolist():
        part, trained = table[table["epoch"] == epoch], epoch != 0
        axes.plot(
            part["depth"],
            part["silhouette"],
            color=BLUE if trained else GREY,
            marker="o" if trained else "s",
            ls="-" if trained else "--",
            lw=2.0,
            label=f"epoch {epoch}" if trained else "before training",
        )
    depths(axes, table)
    axes.set_ylabel("silhouette of the classes (-1 to 1)")
    axes.legend(fontsize=NOTE)
    _note(figure, "how much nearer samples are to their own class than to the next; higher is further apart")
    return figure


def depths(axes: Axes, table: Any) -> None:
    """The names of the depths along the axis, as far as they have room."""
    named = table.drop_duplicates("depth").sort_values("depth")
    every = -(-len(named) // 8)
    names = shortened([str(name) for name in named["layer"]], 12)
    axes.set_xticks(named["depth"].tolist()[::every], names[::every], parse_math=False)
    axes.set_xlabel("depth")
    axes.margins(x=0.06, y=0.12)


def shift(run: Run) -> Figure | None:
    """Accuracy for each shift of the images in a grid, and against the distance. None without the probe."""
    table = run.probe("shift")
    if table is None or not len(table):
        return None
    grid = table.pivot(index="down", columns="right", values="accuracy")
    values, reach = grid.to_numpy(), int(grid.index.max())
    figure = page(3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
    edges = (-reach - 0.5, reach + 0.5) * 2
    picture = left.imshow(values, cmap=AMOUNT, vmin=0.0, vmax=1.0, extent=edges, origin="lower")
    left.invert_yaxis()
    for (row, column), value in np.ndenumerate(values):
        ink = "white" if luminance(picture.cmap(picture.norm(value))) < 0.3 else "black"
        left.text(column - reach, row - reach, f"{100 * value:.0f}", ha="center", va="center", fontsize=NOTE, color=ink)
    left.grid(False)
    left.set(xlabel="shifted right (pixels)", ylabel="shifted down (pixels)")
    left.set_title("accuracy in percent", fontsize=11)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    places = np.arange(-reach, reach + 1)
    right.plot(places, values[reach], color=BLUE, marker="o", label="to the right")
    right.plot(places, values[:, reach], color=COLOURS[1], marker="s", ls="--", label="down")
    right.set(xlabel="pixels", ylabel="accuracy", ylim=(0.0, 1.03))
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.legend(fontsize=NOTE, loc="lower center")
    samples, epoch = int(table["samples"].iloc[0]), int(table["epoch"].iloc[0])
    _note(figure, f"epoch {epoch}: {_counted(samples, 'image')} shifted as a whole, black coming in")
    return figure


# pieces


class Layers(NamedTuple):
    """What was noted of one image."""

    maps: dict[str, np.ndarray]  # layer -> (C, H, W)
    said: str


def _layers(run: Run) -> Layers | None:
    """The maps of the first image in each layer, in the order of the network; None where there are none to draw."""
    table = run.probe("feature_maps")
    if table is None or not len(table):
        return None
    image, label = int(table["image"].iloc[0]), int(table["label"].iloc[0])
    mine = table[table["image"] == image]
    maps = {str(name): _cube(part, ("channel", "row", "column")) for name, part in mine.groupby("layer", sort=False)}
    maps = {name: values for name, values in maps.items() if np.isfinite(values).all()}
    if len(maps) < 2:
        return None
    names = run.class_names or []
    word = plain(names[label]) if label < len(names) else str(label)
    epoch = int(table["epoch"].iloc[0])
    return Layers(maps, f"epoch {epoch}: image {image}, class {shortened([word], 30)[0]}")


def _cube(table: Any, axes: Sequence[str]) -> np.ndarray:
    """The values of a table in long form as an array, by their places; NaN where there is none."""
    places = [np.unique(table[name].to_numpy(), return_inverse=True) for name in axes]
    cube = np.full([len(values) for values, _ in places], np.nan)
    cube[tuple(inverse for _, inverse in places)] = table["value"].to_numpy(dtype=float)
    return cube


def mosaic(tiles: Sequence[np.ndarray], across: int) -> np.ndarray:
    """Tiles (H, W) or (H, W, 3), so many in a row, as one image with gaps that stay white.

    A pixel of a small tile becomes a square of several, so that gaps are as wide beside small tiles as beside large
    ones; they are NaN, or 1 in a coloured image.
    """
    times = -(-LEAST_SIDE // max(tiles[0].shape[:2]))
    tiles = [tile.repeat(times, axis=0).repeat(times, axis=1) for tile in tiles]
    height, width, *rest = tiles[0].shape
    gap = max(1, round(max(height, width) / 10))
    down = -(-len(tiles) // across)
    shape = down * (height + gap) - gap, across * (width + gap) - gap, *rest
    whole = np.full(shape, 1.0 if rest else np.nan)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, across)
        top, left = row * (height + gap), column * (width + gap)
        whole[top : top + height, left : left + width] = tile
    return whole


def _layer_name(name: str) -> str:
    """``block 1\nconvolution`` of backbone.block1.conv."""
    if name == "input":
        return "input"
    last = name.rpartition(".")[2]
    return f"{_block(name)}\n{LAYERS[last]}" if last in LAYERS else shortened([name.removeprefix("backbone.")], 18)[0]


def _block(name: str) -> str:
    inside = name.removeprefix("backbone.").rpartition(".")[0]
    return shortened([inside.replace("block", "block ")], 14)[0]


def _mark(label: int) -> Line2D:
    place = label % MOST_CLASSES
    return Line2D([], [], ls="none", marker=MARKERS[place], ms=6, mew=0, color=COLOURS[place], label=" ")


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _bar(figure: Figure, picture: Any, panels: Any, label: str) -> None:
    bar = figure.colorbar(picture, ax=list(panels), pad=0.015, aspect=25)
    bar.set_label(label)
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(5)
    bar.update_ticks()


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _note(figure: Figure, text: str) -> None:
    figure.suptitle(textwrap.fill(text, NOTE_WIDTH), x=0.01, ha="left", fontsize=NOTE, color=GREY, parse_math=False)


FIGURES: dict[str, tuple[Callable[[Run], Figure | None], bool]] = {
    "kernels": (kernels, False),
    "feature_maps": (feature_maps, False),
    "pooling": (pooling, False),
    "embedding": (embedding, False),
    "silhouette": (silhouette, False),
    "shift": (shift, False),
}
