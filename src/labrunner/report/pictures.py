"""Images of samples as the bytes of PNG files inside a page: small ones as they are, large ones scaled down."""

from __future__ import annotations

import base64
import io

import numpy as np

SIDE = 64  # pixels of the longer side, at most
MOST_BYTES = 500_000  # of all samples' images in a page; of what is beyond, only the index is told


def data_uri(image: np.ndarray, white: float) -> str:
    """An image (C, H, W) in [0, white] as a ``data:`` address of a PNG of at most `SIDE` by `SIDE` pixels.

    Three channels are colours; of any other number the mean is shown in grey.
    """
    from PIL import Image

    channels = image if image.shape[0] == 3 else image.mean(axis=0, keepdims=True)
    with np.errstate(invalid="ignore", over="ignore"):
        bright = np.nan_to_num(np.rint(channels * (255.0 / white)), nan=0.0)
    pixels = np.ascontiguousarray(np.clip(bright, 0, 255).astype(np.uint8).transpose(1, 2, 0))
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if max(picture.size) > SIDE:
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
