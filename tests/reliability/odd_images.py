"""Image files that are odd: some give an image all the same, some give none."""

from __future__ import annotations

import io
import os
import pickle
import socket
import stat
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

Write = Callable[[Path], None]
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 32, 4)).astype(np.uint8)
COLOUR = Image.fromarray(PIXELS[..., :3])


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **more)
    return content.getvalue()


def of(content: bytes) -> Write:
    return lambda path: path.write_bytes(content) and None


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    """A PNG's head, and what comes behind it."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + b"".join(more)


def flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 0xFF
    return bytes(changed)


def bmp(width: int, height: int, bits: int = 24, first: int = 54) -> bytes:
    """A BMP that claims a size, with the pixels of another."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 192, 0, 0, first) + head + bytes(192)


def listening(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # a socket's path is short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)
        os.close(here)


def linked(path: Path) -> None:
    path.with_name("real").write_bytes(saved(COLOUR, "PNG"))
    path.symlink_to("real")


def in_a_folder(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(saved(COLOUR, "PNG"))


def circle(path: Path) -> None:
    """A TIFF whose second page is its first one."""
    content = bytearray(saved(COLOUR, "TIFF"))
    first = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[first : first + 2])[0]
    content[first + 2 + 12 * count : first + 6 + 12 * count] = struct.pack("<I", first)
    path.write_bytes(content)


def exif(orientation: int) -> Image.Exif:
    said = Image.Exif()
    said[274] = orientation
    return said


TEXT = PngImagePlugin.PngInfo()
TEXT.add_text("comment", "x" * 10**6, zip=True)

# what gives no image: the file's name, and how it is made
UNUSABLE: dict[str, tuple[str, Write]] = {
    "empty": ("x.jpg", of(b"")),
    "text": ("x.png", of(b"this is no image")),
    "a web page": ("x.jpg", of(b"<!DOCTYPE html><html><body>404</body></html>")),
    "a drawing of vectors": ("x.png", of(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")),
    "zeros": ("x.jpg", of(bytes(5000))),
    "a pickle": ("x.png", of(pickle.dumps([1, 2]))),
    "a program": ("x.jpg", of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(x) run\nshowpage\n")),
    "JPEG, cut": ("x.jpg", of(saved(COLOUR, "JPEG", quality=95)[:-700])),
    "JPEG, its head alone": ("x.jpg", of(saved(COLOUR, "JPEG")[:200])),
    "JPEG without a size": ("x.jpg", of(saved(COLOUR, "JPEG").replace(struct.pack(">HH", 24, 32), bytes(4)))),
    "PNG, cut": ("x.png", of(saved(COLOUR, "PNG")[:-900])),
    "PNG, its head alone": ("x.png", of(png(8, 8))),
    "PNG of no width": ("x.png", of(png(0, 8, chunk(b"IDAT", zlib.compress(b""))))),
    "PNG with a wrong CRC": ("x.png", of(flipped(saved(COLOUR, "PNG"), 30))),
    "PNG with damaged pixels": ("x.png", of(flipped(saved(COLOUR, "PNG"), 900))),
    "PNG, a bomb": ("x.png", of(png(60_000, 60_000, chunk(b"IDAT", zlib.compress(bytes(10**6)))))),
    "PNG, a bomb of text": (
        "x.png",
        of(png(8, 8, *[chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(10**8)))])),
    ),
    "GIF, a bomb": ("x.gif", of(b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + bytes(20))),
    "GIF without an image": ("x.gif", of(b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b";")),
    "BMP that lies of its size": ("x.bmp", of(bmp(5000, 5000))),
    "BMP that lies of its bits": ("x.bmp", of(bmp(8, 8, bits=77))),
    "BMP of 2^31 pixels": ("x.bmp", of(bmp(2**31 - 1, 8))),
    "WebP, cut": ("x.webp", of(saved(COLOUR, "WEBP", lossless=True)[:-800])),
    "TIFF, cut": ("x.tiff", of(saved(COLOUR, "TIFF")[:400])),
    "floating-point pixels": ("x.tiff", of(saved(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"))),
    "32 bits": ("x.tiff", of(saved(Image.fromarray(np.full((8, 8), 70_000, np.int32)), "TIFF"))),
    "a strip too long": ("x.png", of(saved(Image.fromarray(np.zeros((1, 6_000_000), np.uint8)), "PNG"))),
    "a link to nowhere": ("x.png", lambda path: path.symlink_to("nowhere.png")),
    "a link to itself": ("x.png", lambda path: path.symlink_to("x.png")),
    "a link to a device": ("x.png", lambda path: path.symlink_to("/dev/zero")),
    "a pipe": ("x.png", os.mkfifo),
    "a socket": ("x.png", listening),
    "a device": ("x.png", lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))),
    "a name of two lines": ("x\ny\x1b[31m.png", of(b"")),
}

# what does
USABLE: dict[str, tuple[str, Write]] = {
    "JPEG of ink": ("x.jpg", of(saved(Image.fromarray(PIXELS, "CMYK"), "JPEG"))),
    "JPEG, progressive": ("x.jpg", of(saved(COLOUR, "JPEG", progressive=True))),
    "JPEG with something behind": ("x.jpg", of(saved(COLOUR, "JPEG") + b"<script>alert(1)</script>" * 99)),
    "JPEG under another name": ("x.png", of(saved(COLOUR, "JPEG"))),
    "JPEG, turned": ("x.jpg", of(saved(COLOUR, "JPEG", exif=exif(6)))),
    "JPEG, turned by 99": ("x.jpg", of(saved(COLOUR, "JPEG", exif=exif(99)))),
    "JPEG with damaged EXIF data": ("x.jpg", of(saved(COLOUR, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\0\0" * 9))),
    "JPEG with damaged colours": ("x.jpg", of(saved(COLOUR, "JPEG", icc_profile=b"no profile" * 99))),
    "16 bits": ("x.png", of(saved(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), "PNG"))),
    "a palette": ("x.png", of(saved(COLOUR.convert("P"), "PNG", transparency=3))),
    "grey and transparent": ("x.png", of(saved(Image.fromarray(PIXELS[..., :2], "LA"), "PNG"))),
    "one bit": ("x.png", of(saved(COLOUR.convert("1"), "PNG"))),
    "GIF that moves": ("x.gif", of(saved(COLOUR, "GIF", save_all=True, append_images=[COLOUR.rotate(90)] * 3))),
    "PNG that moves": ("x.apng", of(saved(COLOUR, "PNG", save_all=True, append_images=[COLOUR.rotate(90)] * 3))),
    "PNG with a long text": ("x.png", of(saved(COLOUR, "PNG", pnginfo=TEXT))),
    "TIFF of several pages": ("x.tif", of(saved(COLOUR, "TIFF", save_all=True, append_images=[COLOUR] * 3))),
    "TIFF in a circle": ("x.tif", circle),
    "WebP": ("x.webp", of(saved(COLOUR, "WEBP"))),
    "one pixel": ("x.png", of(saved(COLOUR.resize((1, 1)), "PNG"))),
    "1 x 10,000 pixels": ("x.png", of(saved(COLOUR.resize((1, 10_000)), "PNG"))),
    "a name of two lines": ("x\ny\x1b[31m.png", of(saved(COLOUR, "PNG"))),
    "a name that is no UTF-8": ("x\udcff.png", of(saved(COLOUR, "PNG"))),
    "a name like an option": ("-rf --help=1.png", of(saved(COLOUR, "PNG"))),
    "a link": ("x.png", linked),
    "a folder called like an image": ("x.png/y.png", in_a_folder),
}
