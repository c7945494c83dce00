"""Images of the user's own as the model saw them, with what it predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from labrunner.figures.look import left_to_right, shortened
from labrunner.figures.samples import CHARACTER, LINE, WIDTH, Line, Tile, captions, mosaic, percent

ACROSS = 5  # images
SIDE = 1.15  # inches


def predicted_images(
    images: np.ndarray,
    white: float,
    names: Sequence[str],
    probabilities: np.ndarray,
    class_names: Sequence[str],
    total: int,
) -> Figure:
    """A tile for each image: its file's name, the predicted class and its probability.

    Parameters
    ----------
    images : (N, C, H, W) with pixels from 0 to `white`, N at least 1
    names : of the N files
    probabilities : (N, K)
    class_names : of the K classes
    total : how many images there were, of which these are the first
    """
    pitch = WIDTH / ACROSS
    lines, tags = captions(class_names, pitch)
    files = shortened(names, int((pitch - 0.04) / CHARACTER))
    height = SIDE + LINE * (2 + lines) + 0.22
    tiles, texts = [], []
    for place, (image, file, row) in enumerate(zip(images, files, probabilities, strict=True)):
        down, right = divmod(place, ACROSS)
        x, y = right * pitch, down * height
        best = int(row.argmax())
        tiles.append(Tile(image, x + (pitch - SIDE) / 2, y, SIDE, False))
        below = y + SIDE + 0.05
        texts.append(Line(left_to_right(file), x + pitch / 2, below, quiet=True))
        texts.append(Line(percent(float(row[best])), x + pitch / 2, below + LINE))
        texts.append(Line(left_to_right(tags[best]), x + pitch / 2, below + 2 * LINE, strong=True))
    which = f"{total} image{'' if total == 1 else 's'}"
    if total > len(images):
        which = f"the first {len(images)} of {which}"
    title = f"{which}, as the model sees {'it' if total == 1 else 'them'}: predicted class and its probability"
    return mosaic(tiles, texts, -(-len(images) // ACROSS) * height, title, white)
