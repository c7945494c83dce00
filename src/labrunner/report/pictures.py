"""Pictures inside a page: figures in fewer bytes than their files, samples as they are or scaled down where large."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from labrunner.files import read_bytes
from labrunner.records.names import odd

SIDE = 64  # pixels of the longer side, at most
MOST_PIXELS = 2**25  # of a figure that is written anew; ours have a fifteenth of that
MOST_BYTES = 500_000  # of all samples' images in a page; of what is beyond, only the index is told


class Figures(Mapping[str, str]):
    """Name -> ``data:`` address of the figures in the folder of a run or a sweep, each made when it is asked for."""

    def __init__(self, folder: Path) -> None:
        found = sorted((folder / "figures").glob("*.png"))
        self._paths = {path.stem: path for path in found if path.is_file() and not path.is_symlink() and not odd(path)}

    def __getitem__(self, name: str) -> str:
        return figure_uri(read_bytes(self._paths[name]))

    def __contains__(self, name: object) -> bool:
        return name in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def figure_uri(png: bytes) -> str:
    """A figure as a ``data:`` address: the same pixels as WebP, which takes about a third of the bytes of a PNG.

    What is no PNG of a reasonable size is passed on as it is; what a browser makes of it is a broken picture.
    """
    from PIL import Image

    content = io.BytesIO()
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            if picture.width * picture.height <= MOST_PIXELS:
                # twice the effort would save a tenth more, and take twice the time
                picture.save(content, "WEBP", lossless=True, exact=True, method=1, quality=20)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        pass
    kind, inside = ("webp", content.getvalue()) if content.getvalue() else ("png", png)
    return f"data:image/{kind};base64," + base64.b64encode(inside).decode()


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
