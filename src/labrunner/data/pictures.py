"""One image file -> a square of pixels: what is read, how it is turned, brought to 8 bits, resized and cut."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from labrunner.data.samples import resized_to, square

if TYPE_CHECKING:
    from PIL import Image

# what a file may hold, whatever its name says: some of the other formats that Pillow knows start programs
READABLE = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000", "TGA", "PCX", "ICO", "MPO")
MOST_PIXELS = 178_956_970  # of an image as it is decoded; Pillow, too, takes more for a decompression bomb
# how an image is turned upright, by its EXIF orientation (Exif 2.32, section 4.6.4, tag 274)
ORIENTATION = 274
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


class BadImage(Exception):
    """A file that gives no image; the message says why, in a few words."""


@dataclass(frozen=True)
class Geometry:
    """What images are made to be."""

    size: int  # width and height in pixels
    channels: int  # 3 for colour, 1 for grey
    resize: int  # what the shorter side becomes before the centre is cut to `size`
    interpolation: str  # bilinear or bicubic

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.size, self.size


def pixels_of(file: BinaryIO, geometry: Geometry) -> np.ndarray:
    """The image in a file, (channels, size, size) uint8; the first of several.

    It is turned upright by its EXIF orientation; what is transparent shows white; 16 bits become 8; an image of ink is
    turned to light as Pillow does it.

    Raises
    ------
    BadImage
        when there is none, or only a part of it, or one without an 8-bit meaning.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=readable()) as image:
            image.load()  # the first of several
            upright = _upright(_in_bytes(image, geometry.channels), image)
        sides = resized_to(upright.size, geometry.size, geometry.resize)
        if sides[0] * sides[1] > MOST_PIXELS:
            raise BadImage(f"{upright.width} x {upright.height} pixels are too long a strip")
        values = np.asarray(square(upright, geometry.size, geometry.resize, geometry.interpolation))
    except (BadImage, MemoryError):
        raise
    except UnidentifiedImageError:
        raise BadImage("no image" if file.seek(0, os.SEEK_END) else "empty") from None
    except Image.DecompressionBombError:
        raise BadImage("too many pixels") from None
    except Exception as error:  # decoders raise nearly anything at damaged bytes
        raise BadImage((str(error).splitlines() or [type(error).__name__])[0][:80]) from None
    return np.broadcast_to(values, geometry.shape) if values.ndim == 2 else values.transpose(2, 0, 1)


@cache
def readable() -> list[str]:
    from PIL import Image

    Image.init()  # all formats, of which this Pillow may lack some
    return [each for each in READABLE if each in Image.OPEN]


def _in_bytes(image: Image.Image, channels: int) -> Image.Image:
    """The image as L or RGB; grey ones stay L."""
    from PIL import Image

    if image.mode == "F":
        raise BadImage("floating-point pixels")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise BadImage(f"pixels from {values.min()} to {values.max()}, which are not of 16 bits")
        return Image.fromarray(np.rint(values / 257.0).astype(np.uint8))  # 65535 / 257 = 255
    if image.has_transparency_data:
        page = Image.new("RGBA", image.size, "white")
        page.alpha_composite(image.convert("RGBA"))
        image = page
    if image.mode in ("1", "L"):
        return image.convert("L")
    colours = image.convert("RGB")
    return colours.convert("L") if channels == 1 else colours


def _upright(pixels: Image.Image, image: Image.Image) -> Image.Image:
    """`pixels` turned as the EXIF data of `image` say, which must have been loaded: TIFFs are turned by that."""
    from PIL import Image

    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception:  # EXIF data that are damaged say nothing about the image itself
        return pixels
    turn = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return pixels if turn is None else pixels.transpose(Image.Transpose[turn])
