"""Image files become the pixels that Pillow, torchvision and arithmetic say, once; then the cache has them."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as theirs

from labrunner.data import decoded, pictures
from labrunner.data.decoded import Decoded, decode
from labrunner.errors import RequestError

PLAIN = {"size": 8, "channels": 3, "resize": None, "interpolation": "bilinear", "skip_bad": False, "memory": 1.0}


def decoded_from(paths: list[Path], cache: Path | None = None, **more: Any) -> Decoded:
    return decode(paths, **{**PLAIN, "cache": cache, "name": "pictures", "say": lambda text: None, **more})


def random(*shape: int, high: int = 256, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


def write(folder: Path, count: int, old: bool = True) -> list[Path]:
    """Pictures of 11 x 9 pixels; old ones, whose times say that they are at rest."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:02}.png" for number in range(count)]
    for number, path in enumerate(paths):
        put(path, number, old)
    return paths


def put(path: Path, seed: int, old: bool = True) -> None:
    Image.fromarray(random(9, 11, 3, seed=seed)).save(path)
    if old:
        os.utime(path, (10**9, 10**9 + seed))


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The names of the files that are decoded."""
    names: list[str] = []
    real = decoded.pixels_of

    def noted(file, geometry):
        names.append(Path(file.name).name)
        return real(file, geometry)

    monkeypatch.setattr(decoded, "pixels_of", noted)
    return names


@pytest.fixture
def hashed(monkeypatch) -> list[int]:
    """The positions of the files that are read to know what is in them."""
    places: list[int] = []
    real = decoded.Index.hash

    def noted(self, place):
        places.append(place)
        return real(self, place)

    monkeypatch.setattr(decoded.Index, "hash", noted)
    return places


# geometry


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("width", "height", "size", "resize"),
    [
        (40, 30, 16, None),
        (30, 41, 16, None),
        (33, 33, 16, None),
        (12, 7, 20, None),
        (57, 40, 16, 19),
        (40, 57, 17, 20),
        (31, 31, 16, 21),
        (16, 16, 16, None),
        (16, 16, 16, 18),
        (300, 16, 16, 16),
        (1, 5, 4, None),
    ],
)
def test_images_are_resized_and_cut_as_torchvision_does(tmp_path, width, height, size, resize, interpolation):
    colour, grey = (Image.fromarray(random(height, width, *more)) for more in ((3,), ()))
    paths = [tmp_path / "colour.png", tmp_path / "grey.png"]
    for image, path in zip((colour, grey), paths, strict=True):
        image.save(path)
    found = decoded_from(paths, size=size, resize=resize, interpolation=interpolation).images
    for image, ours in zip((colour, grey), found, strict=True):
        resized = theirs.resize(image, size if resize is None else resize, InterpolationMode(interpolation))
        expected = np.asarray(theirs.center_crop(resized, [size, size]).convert("RGB"))
        np.testing.assert_array_equal(ours, expected.transpose(2, 0, 1))


def test_a_model_that_sees_more_than_the_resized_image_is_refused(tmp_path):
    with pytest.raises(RequestError, match="shorter side is 6 pixels, cut to 8"):
        decoded_from(write(tmp_path, 1), resize=6)


# kinds of images: 8 x 8 pixels, which are not resized


def one(path: Path, channels: int = 3, **more: Any) -> np.ndarray:
    """(8, 8) or (8, 8, 3): what an image of this size becomes."""
    return decoded_from([path], channels=channels, **more).images[0].transpose(1, 2, 0).squeeze()


def test_grey_images_are_the_same_in_all_three_channels(tmp_path):
    values = random(8, 8)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(one(tmp_path / "a.png"), np.dstack([values] * 3))
    np.testing.assert_array_equal(one(tmp_path / "a.png", channels=1), values)


def test_colours_become_grey_by_their_luma(tmp_path):
    values = random(8, 8, 3)
    Image.fromarray(values).save(tmp_path / "a.png")
    luma = values @ [0.299, 0.587, 0.114]  # ITU-R 601-2
    np.testing.assert_allclose(one(tmp_path / "a.png", channels=1), luma, atol=0.51)


def test_one_bit_is_black_and_white(tmp_path):
    bits = random(8, 8, high=2).astype(bool)
    for suffix in ("png", "pbm", "tiff"):
        Image.fromarray(bits).save(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(one(tmp_path / f"a.{suffix}", channels=1), bits * 255)


def test_a_palette_is_looked_up(tmp_path):
    index, palette = random(8, 8, high=16), random(16, 3)
    image = Image.fromarray(index, "P")
    image.putpalette(palette.tobytes())
    for suffix in ("png", "gif", "bmp"):
        image.save(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(one(tmp_path / f"a.{suffix}"), palette[index])


def test_transparent_colours_of_a_palette_are_white(tmp_path):
    index, palette = random(8, 8, high=16), random(16, 3)
    image = Image.fromarray(index, "P")
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "a.png", transparency=3)
    image.save(tmp_path / "b.png", transparency=bytes([255] * 3 + [0] + [255] * 12))
    for name in ("a.png", "b.png"):
        expected = np.where((index == 3)[..., None], 255, palette[index])
        np.testing.assert_array_equal(one(tmp_path / name), expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colours", [1, 3])
def test_what_is_transparent_shows_white(tmp_path, colours, channels):
    values, alpha = random(8, 8, colours), random(8, 8, 1, seed=1)
    alpha[:2], alpha[6:] = 0, 255
    pixels = np.concatenate([values, alpha], axis=2)
    Image.fromarray(pixels, "LA" if colours == 1 else "RGBA").save(tmp_path / "a.png")
    share = alpha / 255.0
    expected = np.broadcast_to(share * values + (1.0 - share) * 255.0, (8, 8, 3))
    if channels == 1:
        expected = expected @ [0.299, 0.587, 0.114]
    found = one(tmp_path / "a.png", channels=channels)
    np.testing.assert_allclose(found, expected, atol=1.01)
    assert (found[:2] == 255).all()


def test_ink_becomes_light(tmp_path):
    ink = random(8, 8, 4)
    Image.fromarray(ink, "CMYK").save(tmp_path / "a.tiff")
    light = (255.0 - ink[..., :3]) * (255.0 - ink[..., 3:]) / 255.0
    np.testing.assert_allclose(one(tmp_path / "a.tiff"), light, atol=1.01)


def test_ink_in_a_jpeg_is_not_taken_for_its_negative(tmp_path):
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[..., 0] = 255  # cyan
    Image.fromarray(ink, "CMYK").save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(one(tmp_path / "a.jpg"), np.broadcast_to([0, 255, 255], (8, 8, 3)), atol=3)


def test_sixteen_bits_become_eight(tmp_path):
    values = random(8, 8, high=65536, dtype=np.uint16)
    values[0, :4] = 0, 65535, 128, 129  # 128 / 257 is less than a half
    expected = np.floor(values / 257.0 + 0.5)
    for suffix in ("png", "tiff"):
        Image.fromarray(values).save(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(one(tmp_path / f"a.{suffix}", channels=1), expected)
    (tmp_path / "a.pgm").write_bytes(b"P5 8 8 65535\n" + values.astype(">u2").tobytes())
    np.testing.assert_array_equal(one(tmp_path / "a.pgm", channels=1), expected)
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "b.tiff")
    np.testing.assert_array_equal(one(tmp_path / "b.tiff", channels=1), expected)
    assert expected[0, :4].tolist() == [0, 255, 0, 1]


# what the camera saw, from what the file holds (Exif 2.32, tag 274: where row 0 and column 0 are)
TURNED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: a[::-1, ::-1],
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "jpg"])
@pytest.mark.parametrize("orientation", TURNED)
def test_images_are_turned_as_their_exif_data_say(tmp_path, orientation, suffix):
    values = np.zeros((8, 8, 3), np.uint8)
    values[:4, :, 0], values[:, :4, 1], values[6:, 6:, 2] = 255, 255, 255
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    more: dict[str, Any] = (
        {"lossless": True} if suffix == "webp" else {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    )
    Image.fromarray(values).save(tmp_path / f"a.{suffix}", exif=exif, **more)
    loss = 3 if suffix == "jpg" else 0
    np.testing.assert_allclose(one(tmp_path / f"a.{suffix}"), TURNED[orientation](values), atol=loss)


def test_a_turned_image_is_turned_before_its_centre_is_cut_out(tmp_path):
    values = random(10, 30, 3)
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6
    Image.fromarray(values).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(np.ascontiguousarray(np.rot90(values, -1))).save(tmp_path / "b.png")
    first, second = decoded_from([tmp_path / "a.png", tmp_path / "b.png"]).images
    np.testing.assert_array_equal(first, second)


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), grey, np.uint8)) for grey in (10, 200, 90)]
    for suffix in ("gif", "tiff", "webp"):
        more: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
        frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **more)
        assert (one(tmp_path / f"a.{suffix}") == 10).all(), suffix


# bad files


def png_of(width: int, height: int) -> bytes:
    """The beginning of an image of any size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def write_bad(folder: Path) -> dict[str, Path]:
    """Files that are no images, by what is the matter with them."""
    Image.fromarray(random(64, 64, 3)).save(folder / "whole.jpg")
    Image.fromarray(random(64, 64, 3)).save(folder / "whole.png")
    bad = {
        "empty": b"",
        "text": b"not an image",
        "cut.jpg": (folder / "whole.jpg").read_bytes()[:-900],
        "cut.png": (folder / "whole.png").read_bytes()[:-900],
        "head alone": png_of(8, 8),
        "bomb": png_of(60_000, 60_000),
        "program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n",
    }
    paths = {}
    for name, content in bad.items():
        paths[name] = folder / f"bad {name.replace('.', ' ')}.jpg"
        paths[name].write_bytes(content)
    for name in ("whole.jpg", "whole.png"):
        (folder / name).unlink()
    paths["floats"] = folder / "bad floats.tiff"
    Image.fromarray(np.ones((8, 8), np.float32)).save(paths["floats"])
    paths["32 bits"] = folder / "bad 32 bits.tiff"
    Image.fromarray(np.full((8, 8), 70_000, np.int32)).save(paths["32 bits"])
    paths["a strip"] = folder / "bad strip.png"
    Image.fromarray(np.zeros((1, 3_000_000), np.uint8)).save(paths["a strip"])
    paths["gone"] = folder / "bad link.png"
    paths["gone"].symlink_to(folder / "nowhere.png")
    return paths


def test_each_kind_of_bad_file_is_found(tmp_path):
    good = write(tmp_path, 2)
    for what, path in write_bad(tmp_path).items():
        with pytest.raises(RequestError, match=r"1 of 3 images cannot be read.*\n.*dataset\.skip_bad=true") as refused:
            decoded_from([good[0], path, good[1]])
        assert str(path) in str(refused.value), what


def test_all_bad_files_are_told_the_first_ten_by_name_and_nothing_is_kept(tmp_path):
    good, bad = write(tmp_path, 4), list(write_bad(tmp_path).values())
    bad += [tmp_path / f"{number} missing.png" for number in range(5)]
    with pytest.raises(RequestError) as refused:
        decoded_from(good + bad, tmp_path / "outputs" / "cache")
    text = str(refused.value)
    assert f"{len(bad)} of {len(bad) + 4} images" in text
    assert all(str(path) in text for path in bad[:10])
    assert not any(str(path) in text for path in bad[10:])
    assert f"and {len(bad) - 10} more" in text
    assert len(text.splitlines()) <= 3
    assert not (tmp_path / "outputs").exists()


def test_a_refusal_leaves_a_cache_that_was_there_as_it_was(tmp_path):
    good, cache = write(tmp_path / "a", 3), tmp_path / "cache"
    decoded_from(good, cache)
    before = sorted(path for path in cache.rglob("*"))
    (tmp_path / "a" / "bad.jpg").write_text("no")
    with pytest.raises(RequestError):
        decoded_from([*good, tmp_path / "a" / "bad.jpg"], cache)
    assert sorted(path for path in cache.rglob("*")) == before


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_bad_files_are_left_out_and_counted_where_that_is_asked_for(tmp_path, cached, memory, opened):
    good, bad = write(tmp_path, 4), list(write_bad(tmp_path).values())
    mixed = [good[0], bad[0], good[1], *bad[1:], good[2], good[3]]
    cache = tmp_path / "cache" if cached else None
    for _ in range(2):
        said: list[str] = []
        found = decoded_from(mixed, cache, skip_bad=True, memory=memory, say=said.append)
        assert len(said) == 1
        assert f"{len(bad)} of {len(mixed)} images" in said[0]
        assert found.kept.tolist() == [0, 2, len(mixed) - 2, len(mixed) - 1]
        np.testing.assert_array_equal(found.images, decoded_from(good).images)
    if cached:
        opened.clear()
        with pytest.raises(RequestError, match="skip_bad=true"):
            decoded_from(mixed, cache)
        assert opened == []


def test_files_of_which_none_can_be_read_are_refused_whatever_is_asked_for(tmp_path):
    with pytest.raises(RequestError, match="that is all of them"):
        decoded_from(list(write_bad(tmp_path).values()), tmp_path / "cache", skip_bad=True)
    assert not (tmp_path / "cache").exists()


def test_names_that_cannot_be_printed_are_escaped_in_messages(tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\n.jpg"))
    odd.write_bytes(b"")
    with pytest.raises(RequestError) as refused:
        decoded_from([*write(tmp_path, 1), odd])
    assert len(str(refused.value).encode().splitlines()) == 2
    assert "a\\udcff\\n.jpg" in str(refused.value)


# the cache


def test_the_second_time_no_file_is_read(tmp_path, opened, hashed):
    paths, cache = write(tmp_path / "a", 6), tmp_path / "cache"
    first = decoded_from(paths, cache)
    assert sorted(opened) == [path.name for path in paths]
    opened.clear(), hashed.clear()
    second = decoded_from(paths, cache)
    assert opened == hashed == []
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.images, decoded_from(paths).images)
    assert first.fingerprint == second.fingerprint == decoded_from(paths).fingerprint


def test_a_touched_file_is_read_again_and_not_decoded(tmp_path, opened, hashed):
    paths, cache = write(tmp_path / "a", 4), tmp_path / "cache"
    first = decoded_from(paths, cache)
    os.utime(paths[2], (10**9 + 50, 10**9 + 50))
    opened.clear(), hashed.clear()
    assert decoded_from(paths, cache).fingerprint == first.fingerprint
    assert (opened, hashed) == ([], [2])
    hashed.clear()
    decoded_from(paths, cache)
    assert hashed == []


def test_of_changed_files_these_alone_are_decoded_again(tmp_path, opened):
    paths, cache = write(tmp_path / "a", 5), tmp_path / "cache"
    first = decoded_from(paths, cache)
    put(paths[1], seed=77)
    opened.clear()
    second = decoded_from([*paths[:4], tmp_path / "a" / "00.png"], cache)
    assert opened == ["01.png"]
    assert second.fingerprint != first.fingerprint
    np.testing.assert_array_equal(second.images, decoded_from([*paths[:4], paths[0]]).images)


def test_a_file_that_was_copied_over_with_its_size_and_time_is_seen(tmp_path):
    paths, cache = [tmp_path / "a.bmp", tmp_path / "b.bmp"], tmp_path / "cache"
    for seed, path in enumerate(paths):
        put(path, seed)
    first = decoded_from(paths, cache)
    size = paths[0].stat().st_size
    put(paths[0], seed=9)
    os.utime(paths[0], (10**9, 10**9))
    assert (paths[0].stat().st_size, paths[0].stat().st_mtime_ns) == (size, 10**18)
    assert decoded_from(paths, cache).fingerprint != first.fingerprint


def test_files_written_a_moment_ago_are_read_again(tmp_path, hashed):
    paths, cache = write(tmp_path / "a", 2, old=False), tmp_path / "cache"
    decoded_from(paths, cache)
    hashed.clear()
    decoded_from(paths, cache)
    assert hashed == [0, 1]


def test_the_key_is_contents_order_and_geometry_and_no_name(tmp_path):
    paths = write(tmp_path / "a", 3)
    first = decoded_from(paths).fingerprint
    moved = [path.rename(tmp_path / f"moved {path.name}") for path in paths]
    assert decoded_from(moved).fingerprint == first
    others = [
        decoded_from(moved[::-1]),
        decoded_from(moved[:2]),
        decoded_from(moved, size=9),
        decoded_from(moved, channels=1),
        decoded_from(moved, resize=9),
        decoded_from(moved, interpolation="bicubic"),
    ]
    assert len({first, *(other.fingerprint for other in others)}) == 7
    assert decoded_from(moved, resize=8).fingerprint == first  # the shorter side becomes 8 anyway


def pixels_file(cache: Path) -> Path:
    (found,) = (cache / "images").glob("*/pixels.npy")
    return found


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def of_another_shape(file: Path) -> None:
    np.save(file, np.zeros((5, 3, 4, 16), np.uint8))


def of_another_type(file: Path) -> None:
    np.save(file, np.zeros((5, 3, 8, 8), np.int8))


def of_another_order(file: Path) -> None:
    np.save(file, np.asfortranarray(np.zeros((5, 3, 8, 8), np.uint8)))


def no_array(file: Path) -> None:
    file.write_bytes(b"nothing")


def no_description(file: Path) -> None:
    (file.parent / "about.json").unlink()


def another_description(file: Path) -> None:
    (file.parent / "about.json").write_text('{"files": 5, "bad": [3]}')


def an_impossible_description(file: Path) -> None:
    about = json.loads((file.parent / "about.json").read_text())
    (file.parent / "about.json").write_text(json.dumps(about | {"bad": {"7": "odd"}}))


DAMAGE = [
    cut_short,
    lengthen,
    of_another_shape,
    of_another_type,
    of_another_order,
    no_array,
    no_description,
    another_description,
    an_impossible_description,
    Path.unlink,
]


@pytest.mark.parametrize("memory", [1.0, 1e-9])
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda each: each.__name__)
def test_a_damaged_cache_is_not_believed_and_made_again(tmp_path, damage, memory, opened):
    paths, cache = write(tmp_path / "a", 5), tmp_path / "cache"
    expected = decoded_from(paths, cache).images.copy()
    damage(pixels_file(cache))
    opened.clear()
    np.testing.assert_array_equal(decoded_from(paths, cache, memory=memory).images, expected)
    # images that are whole are taken from a folder whose description is not
    assert len(opened) == (0 if damage is an_impossible_description else 5)
    opened.clear()
    np.testing.assert_array_equal(decoded_from(paths, cache, memory=memory).images, expected)
    assert opened == []


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1, "files": [1]}', '{"format": 1, "files": {"/00.png": 3}}'])
def test_a_damaged_index_is_not_believed(tmp_path, text, hashed):
    paths, cache = write(tmp_path / "a", 3), tmp_path / "cache"
    first = decoded_from(paths, cache)
    (index,) = (cache / "images").glob("files-*.json")
    index.write_text(text)
    assert decoded_from(paths, cache).fingerprint == first.fingerprint
    hashed.clear()
    decoded_from(paths, cache)
    assert hashed == []


CHILD = """
import os, signal, sys, time
from pathlib import Path
from labrunner.data import decoded
real = decoded.pixels_of
def pixels_of(file, geometry):
    with open({log!r}, "a") as log:
        log.write("x")
    if {kill} and os.path.getsize({log!r}) > 4:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return real(file, geometry)
decoded.pixels_of = pixels_of
paths = sorted(Path({folder!r}).iterdir())
found = decoded.decode(paths, size=8, channels=3, resize=None, interpolation="bilinear", cache=Path({cache!r}),
                       skip_bad=False, memory=1.0, name="pictures")
print(found.images.sum())
"""


def child(tmp_path: Path, kill: bool) -> subprocess.Popen[str]:
    log, folder, cache = (str(tmp_path / name) for name in ("log", "a", "cache"))
    code = CHILD.format(log=log, folder=folder, cache=cache, kill=kill)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_what_a_killed_process_left_is_not_taken_for_whole(tmp_path, opened):
    paths, cache = write(tmp_path / "a", 20), tmp_path / "cache"
    killed = child(tmp_path, kill=True)
    killed.communicate()
    assert killed.returncode == -9
    left = [path.name for path in (cache / "images").iterdir() if path.is_dir()]
    assert len(left) == 1
    np.testing.assert_array_equal(decoded_from(paths, cache).images, decoded_from(paths).images)
    folders = [path.name for path in (cache / "images").iterdir() if path.is_dir()]
    assert len(folders) == 1
    assert folders != left


def test_two_processes_decode_once(tmp_path):
    paths = write(tmp_path / "a", 20)
    (tmp_path / "log").touch()
    both = [child(tmp_path, kill=False) for _ in range(2)]
    sums = [int(each.communicate()[0]) for each in both]
    assert sums == [int(decoded_from(paths).images.sum())] * 2
    assert (tmp_path / "log").stat().st_size == 20


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    paths, cache = write(tmp_path / "a", 5), tmp_path / "outputs" / "cache"

    def interrupt(file, geometry):
        raise KeyboardInterrupt

    monkeypatch.setattr(decoded, "pixels_of", interrupt)
    with pytest.raises(KeyboardInterrupt):
        decoded_from(paths, cache)
    assert not (tmp_path / "outputs").exists()


def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"cannot keep decoded images in .*file.*\n.*cache=null"):
        decoded_from(write(tmp_path / "a", 2), tmp_path / "file" / "cache")


def test_a_full_disk_is_told_before_any_image_is_decoded(tmp_path, monkeypatch, opened):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(RequestError, match="No space left on device"):
        decoded_from(write(tmp_path / "a", 2), tmp_path / "cache")
    assert opened == []
    assert not (tmp_path / "cache").exists()


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path, monkeypatch):
    paths = write(tmp_path / "a", 3)
    monkeypatch.setattr(decoded.Index, "hash", lambda self, place: "0" * 64)
    with pytest.raises(RequestError, match="has changed while it was read; try again"):
        decoded_from(paths, tmp_path / "cache")


# memory


@pytest.mark.parametrize("cached", [True, False])
def test_past_the_budget_the_images_stay_in_their_file(tmp_path, cached, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    paths, cache = write(tmp_path / "a", 6), tmp_path / "cache" if cached else None
    size = 6 * 3 * 8 * 8 / 2**30
    inside, outside = (decoded_from(paths, cache, memory=size * share) for share in (1.0, 0.99))
    assert type(inside.images) is np.ndarray
    assert isinstance(outside.images, np.memmap)
    assert not outside.images.flags.writeable
    np.testing.assert_array_equal(inside.images, outside.images)
    assert sorted(path.name for path in tmp_path.iterdir()) == (["a", "cache"] if cached else ["a"])


def test_another_pillow_decodes_anew_and_the_data_are_the_same(tmp_path, monkeypatch, opened):
    paths, cache = write(tmp_path / "a", 3), tmp_path / "cache"
    first = decoded_from(paths, cache)
    monkeypatch.setattr(decoded, "_pillow", lambda: "0.1")
    opened.clear()
    assert decoded_from(paths, cache).fingerprint == first.fingerprint
    assert len(opened) == 3
