"""Augmentation does to each image what NumPy and SciPy do to one, and NumPy and torch see the same batch."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from labrunner.data import augment as augmenting
from labrunner.data import colours, load, make, randaugment, windows
from labrunner.data.augment import Augment, check
from labrunner.errors import RequestError
from labrunner.learner import ANY
from tests.data.settings import FAKE, config

SHAPES = [(1, 8, 8), (3, 7, 10)]


class Given:
    """A generator that hands out one row of draws for each of the six purposes."""

    def __init__(self, angle=0.5, down=0.5, right=0.5, lower=0.5, further=0.5, mirror=0.999) -> None:
        self.rows = [angle, down, right, lower, further, mirror]

    def random(self, size):
        assert size[0] == len(self.rows)
        return np.stack([np.broadcast_to(np.asarray(row, np.float64), size[1]) for row in self.rows])


def draw(moved: int, most: int) -> float:
    """A number from [0, 1) that stands for a move among -most ... most."""
    return (moved + most + 0.5) / (2 * most + 1)


def numpy_array(values: np.ndarray) -> np.ndarray:
    """As a NumPy learner has it."""
    return np.ascontiguousarray(values)


def torch_array(values: np.ndarray) -> torch.Tensor:
    """As a torch learner has it."""
    return torch.tensor(values)


class FakeLearner:
    """What a split asks of a learner: its arrays, and that it wants nothing."""

    wants = ANY

    def __init__(self, array) -> None:
        self.array = array


def images(shape, count=5, dtype="uint8") -> np.ndarray:
    return np.random.default_rng(7).integers(1, 255, (count, *shape)).astype(dtype)


def augmented(pixels, rng, float_type="float64", **options):
    return Augment(options, pixels.shape[1:], numpy_array, float_type)(pixels, rng)


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """By slices, with zeros where nothing comes from."""
    height, width = image.shape[-2:]
    out = np.zeros_like(image)
    out[..., max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = image[
        ..., max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
    ]
    return out


def cropped(image: np.ndarray, most: int, lower: int, further: int) -> np.ndarray:
    """By np.pad and a window; zero moves take the middle."""
    height, width = image.shape[-2:]
    padded = np.pad(image, [(0, 0), (most, most), (most, most)], mode="reflect")
    return padded[:, most + lower : most + lower + height, most + further : most + further + width]


def turned(image: np.ndarray, degrees: float, mode: str = "grid-constant") -> np.ndarray:
    """By SciPy; grid-constant is black outside and fades to it, constant is black where a neighbour is missing."""
    image = image.astype(np.float64)
    return ndimage.rotate(image, degrees, axes=(2, 1), reshape=False, order=1, mode=mode, cval=0.0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_shift_moves_the_image_and_leaves_black(shape, dtype):
    pixels = images(shape, dtype=dtype)
    down, right = np.array([-3, 0, 1, 3, 2]), np.array([2, 0, -3, 3, -1])
    found = augmented(pixels, Given(down=draw(down, 3), right=draw(right, 3)), shift=3)
    assert found.dtype == dtype
    for image, out, y, x in zip(pixels, found, down, right, strict=True):
        np.testing.assert_array_equal(out, shifted(image, y, x))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_flip_mirrors_left_to_right_the_images_whose_draw_is_below_the_chance(shape, dtype):
    pixels = images(shape, dtype=dtype)
    found = augmented(pixels, Given(mirror=[0.0, 0.29, 0.3, 0.31, 0.99]), flip=0.3)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[:2], pixels[:2, ..., ::-1])
    np.testing.assert_array_equal(found[2:], pixels[2:])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("most", [1, 4, 6])
def test_a_crop_is_a_window_of_the_image_padded_by_its_mirror_image(shape, most):
    pixels = images(shape)
    lower, further = np.array([-most, 0, most, 1, -1]), np.array([most, 0, -most, -1, most])
    found = augmented(pixels, Given(lower=draw(lower, most), further=draw(further, most)), crop=most)
    assert found.dtype == np.uint8
    for image, out, y, x in zip(pixels, found, lower, further, strict=True):
        np.testing.assert_array_equal(out, cropped(image, most, y, x))


def test_a_quarter_turn_is_that_of_rot90():
    pixels = images((3, 9, 9), count=2)
    found = augmented(pixels, Given(angle=[0.0, 1.0]), rotate=90.0)
    np.testing.assert_allclose(found[0], np.rot90(pixels[0], -1, axes=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(found[1], np.rot90(pixels[1], 1, axes=(1, 2)), atol=1e-6)


def test_a_half_turn_mirrors_both_ways():
    pixels = images((3, 7, 10))
    np.testing.assert_allclose(augmented(pixels, Given(angle=1.0), rotate=180.0), pixels[..., ::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize("float_type", ["float32", "float64"])
def test_a_turn_by_no_angle_changes_nothing_but_the_type(float_type):
    pixels = images((3, 7, 10))
    found = augmented(pixels, Given(angle=0.5), float_type, rotate=30.0)
    assert found.dtype == float_type
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("shape", [*SHAPES, (1, 28, 28)])
def test_a_turn_is_the_bilinear_one_of_scipy(shape):
    pixels, degrees = images(shape), np.array([-40.0, -10.0, 3.0, 25.0, 40.0])
    found = augmented(pixels, Given(angle=(degrees / 40.0 + 1.0) / 2.0), rotate=40.0)
    for image, out, angle in zip(pixels, found, degrees, strict=True):
        np.testing.assert_allclose(out, turned(image, angle), atol=1e-9)
        # SciPy's constant is zero as soon as one of the four neighbours is missing, and equal where none is
        inside = turned(np.ones_like(image), angle, "constant") > 0.5
        assert inside.mean() > 0.5
        np.testing.assert_allclose(out[inside], turned(image, angle, "constant")[inside], atol=1e-9)


def test_a_turn_in_float32_is_that_of_float64_to_rounding():
    pixels = images((3, 32, 32))
    found = [augmented(pixels, np.random.default_rng(0), kind, rotate=15.0) for kind in ("float32", "float64")]
    np.testing.assert_allclose(*found, atol=1e-3)  # of 255


def test_all_that_is_asked_for_is_applied_in_the_order_rotate_shift_crop_flip():
    pixels = images((3, 9, 12), count=4)
    degrees, down, right = np.array([20.0, -20.0, 5.0, 0.0]), np.array([2, -1, 0, 2]), np.array([-2, 1, 2, 0])
    lower, further, mirror = np.array([3, -3, 0, 1]), np.array([-1, 2, 3, 0]), np.array([0.1, 0.9, 0.1, 0.9])
    given = Given((degrees / 20 + 1) / 2, draw(down, 2), draw(right, 2), draw(lower, 3), draw(further, 3), mirror)
    moves = {"shift": 2, "crop": 3, "flip": 0.5}
    for options in ({**moves, "rotate": 20.0}, moves):
        found = augmented(pixels, given, **options)
        for n, image in enumerate(pixels):
            expected = turned(image, degrees[n]) if "rotate" in options else image
            expected = cropped(shifted(expected, down[n], right[n]), 3, lower[n], further[n])
            expected = expected[..., ::-1] if mirror[n] < 0.5 else expected
            np.testing.assert_allclose(found[n], expected, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 30)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("options", [{"shift": 2}, {"flip": 0.5}, {"crop": 4}, {"shift": 3, "crop": 2, "flip": 0.5}])
def test_numpy_and_torch_see_the_same_pixels_to_the_byte(shape, dtype, options):
    pixels = images(shape, 33, dtype)
    ours = Augment(options, shape, numpy_array, "float32")(pixels, np.random.default_rng(3))
    theirs = Augment(options, shape, torch_array, "float32")(torch.tensor(pixels), np.random.default_rng(3))
    assert isinstance(theirs, torch.Tensor)
    assert theirs.numpy().dtype == ours.dtype == dtype
    assert theirs.numpy().tobytes() == ours.tobytes()
    assert not np.array_equal(ours, pixels)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("float_type", ["float32", "float64"])
def test_numpy_and_torch_turn_alike_to_rounding(dtype, float_type):
    options, pixels = {"rotate": 10.0, "shift": 2, "flip": 0.5}, images((3, 32, 32), 33, dtype)
    ours = Augment(options, (3, 32, 32), numpy_array, float_type)(pixels, np.random.default_rng(3))
    theirs = Augment(options, (3, 32, 32), torch_array, float_type)(torch.tensor(pixels), np.random.default_rng(3))
    assert theirs.numpy().dtype == ours.dtype == float_type
    np.testing.assert_allclose(theirs.numpy(), ours, atol=1e-4 if float_type == "float32" else 1e-12)


def test_torch_may_hold_the_batch_with_the_channels_last():
    options, pixels = {"rotate": 10.0, "crop": 2, "flip": 0.5}, torch.tensor(images((3, 8, 8)))
    augment = Augment(options, (3, 8, 8), torch_array, "float32")
    last = pixels.contiguous(memory_format=torch.channels_last)
    assert torch.equal(augment(pixels, np.random.default_rng(1)), augment(last, np.random.default_rng(1)))


def test_a_batch_depends_on_the_generator_alone():
    augment = Augment({"shift": 2, "rotate": 10.0, "flip": 0.5, "crop": 2}, (1, 8, 8), numpy_array, "float32")
    pixels = images((1, 8, 8), 40)
    first = augment(pixels, np.random.default_rng(5))
    augment(pixels[:7], np.random.default_rng(6))
    np.testing.assert_array_equal(augment(pixels, np.random.default_rng(5)), first)
    assert not np.array_equal(augment(pixels, np.random.default_rng(6)), first)


def test_what_else_is_asked_for_changes_no_shift():
    pixels = images((1, 8, 8), 20)
    alone = augmented(pixels, np.random.default_rng(5), shift=2)
    both = augmented(pixels, np.random.default_rng(5), shift=2, flip=1.0)
    np.testing.assert_array_equal(both, alone[..., ::-1])


def test_the_batch_that_comes_in_is_left_as_it_was():
    pixels = images((3, 7, 10))
    before = pixels.copy()
    augmented(pixels, np.random.default_rng(0), shift=2, rotate=10.0, flip=0.5, crop=2)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("key", ["shift", "crop"])
def test_every_move_occurs_about_equally_often(key):
    count, most = 5000, 2
    # a pixel of its own value everywhere, so that the one in the middle tells the move
    pixels = np.broadcast_to(np.arange(1, 82, dtype=np.uint8).reshape(1, 1, 9, 9), (count, 1, 9, 9))
    found = augmented(pixels, np.random.default_rng(0), **{key: most})
    moves = Counter(found[:, 0, 4, 4].tolist())
    places = {1 + 9 * (4 + y) + 4 + x for y in range(-most, most + 1) for x in range(-most, most + 1)}
    assert set(moves) == places
    assert stats.chisquare(list(moves.values())).pvalue > 0.01


def test_half_of_the_images_are_mirrored_and_turns_are_uniform():
    pixels = np.zeros((4000, 1, 1, 41), np.uint8)
    pixels[..., 40] = 200
    mirrored = augmented(pixels, np.random.default_rng(0), flip=0.5)[:, 0, 0, 0] == 200
    assert stats.binomtest(int(mirrored.sum()), len(pixels), 0.5).pvalue > 0.01
    # a slope from top to bottom: what a turn makes of it beside the middle is the sine of the angle
    slope = np.broadcast_to(np.arange(21, dtype=np.float64).reshape(1, 1, 21, 1), (4000, 1, 21, 21))
    rise = augmented(slope, np.random.default_rng(0), rotate=30.0)[:, 0, 10, 15] - 10.0
    angles = np.degrees(np.arcsin(rise / 5.0))
    assert stats.kstest(angles, stats.uniform(-30.0, 60.0).cdf).pvalue > 0.01


def test_nothing_asked_is_false_and_returns_the_batch_itself():
    pixels = images((1, 8, 8))
    for options in ({}, {"name": "none", "shift": 0, "rotate": 0.0, "flip": 0.0, "crop": 0}):
        augment = Augment(options, (1, 8, 8), numpy_array, "float32")
        assert not augment
        assert augment(pixels, np.random.default_rng(0)) is pixels
    for options in ({"shift": 1}, {"rotate": 1.0}, {"flip": 0.1}, {"crop": 1}):
        assert Augment(options, (1, 8, 8), numpy_array, "float32")


def test_a_single_image_is_a_batch():
    pixels = images((1, 8, 8), count=1)
    assert augmented(pixels, np.random.default_rng(0), shift=2, rotate=10.0, crop=2, flip=0.5).shape == pixels.shape


@pytest.mark.parametrize(
    ("options", "shape", "words"),
    [
        (
            {"name": "shift", "shift": 2},
            (4,),
            "augment=shift moves images and dataset=iris is a table; try augment=none",
        ),
        ({"name": "none", "flip": 0.5}, (4,), "augment.flip=0.5 mirrors images .* try augment.flip=0"),
        ({"name": "rotate", "rotate": 10.0}, (4,), "augment=rotate turns images"),
        ({"name": "shift", "shift": 8}, (1, 8, 9), "augment.shift=8 .* iris are 8 x 9 .* try augment.shift=2"),
        ({"name": "crop", "crop": 8}, (3, 9, 8), "augment.crop=8 .* iris are 9 x 8 .* try augment.crop=2"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_way_out(options, shape, words):
    with pytest.raises(RequestError, match=words):
        check(options, shape, "iris")


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"name": "none", "shift": 0, "rotate": 0.0, "flip": 0.0, "crop": 0}, (4,)),
        ({"shift": 7, "crop": 7}, (1, 8, 8)),
        ({}, (1, 1, 1)),
    ],
)
def test_what_can_be_done_is_let_through(options, shape):
    check(options, shape, "digits")


# what comes together


PHOTO = {"name": "photo", "flip": 0.5, "resized_crop": 0.35, "jitter": 0.4}
EVERYTHING = {**PHOTO, "shift": 2, "rotate": 10.0, "crop": 2, "randaugment": 2, "magnitude": 9}


def draws_of(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a generator gives for moves, windows, colours and two operations, in this order."""
    rng = np.random.default_rng(seed)
    moved, seen, coloured = (rng.random((rows, count)) for rows in (6, 22, 4))
    return moved, seen, coloured, rng.random((2, 2, count)).swapaxes(0, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("moved", [{}, {"shift": 2, "rotate": 10.0, "crop": 2}])
def test_all_is_applied_in_the_order_moves_window_flip_jitter_randaugment(shape, moved):
    pixels, options = images(shape, 12), {**PHOTO, "randaugment": 2, "magnitude": 9, **moved}
    of_moves, of_windows, of_colours, of_operations = draws_of(5, 12)
    unmirrored = {**moved, "flip": 0.0}
    expected = augmented(pixels, np.random.default_rng(5), **unmirrored)
    drawn = windows.windows(of_windows, 0.35, *shape[1:])
    expected = windows.resized(expected, drawn, np.zeros(12, bool), numpy_array, "float64")
    expected = np.where((of_moves[5] < 0.5)[:, None, None, None], expected[..., ::-1], expected)
    expected = colours.jittered(expected, of_colours, 0.4, 255.0, numpy_array, "float64")
    np.testing.assert_allclose(
        augmented(pixels, np.random.default_rng(5), **{**options, "randaugment": 0}), expected, atol=1e-9
    )
    expected = randaugment.varied(expected, of_operations, 9, 255.0, "float64")
    found = augmented(pixels, np.random.default_rng(5), **options)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_what_else_is_asked_for_changes_no_window_no_factor_and_no_operation():
    pixels = images((3, 8, 8), 20)

    def of(**options):
        return augmented(pixels, np.random.default_rng(5), **options)

    windowed, jittered, varied = of(resized_crop=0.5), of(jitter=0.3), of(randaugment=1, magnitude=9)
    assert not np.array_equal(windowed, pixels)
    np.testing.assert_array_equal(of(resized_crop=0.5, flip=1.0), windowed[..., ::-1])
    # of a mirrored image the mean grey is the same but for rounding
    np.testing.assert_allclose(of(jitter=0.3, flip=1.0), jittered[..., ::-1], atol=1e-9)
    # a window of the whole image is the image
    np.testing.assert_allclose(of(jitter=0.3, resized_crop=1.0), jittered, atol=1e-9)
    np.testing.assert_array_equal(of(randaugment=1, magnitude=9, resized_crop=1.0), varied)
    # a second operation leaves the first one's draw alone: where it is the identity, nothing is added
    again = of(randaugment=2, magnitude=9)
    *_, of_operations = draws_of(5, 20)
    is_identity = of_operations[0, 1] < 1 / 14
    assert is_identity.any()
    np.testing.assert_array_equal(again[is_identity], varied[is_identity])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("float_type", ["float32", "float64"])
@pytest.mark.parametrize(
    "options", [{"resized_crop": 0.35, "flip": 0.5}, {"jitter": 0.4}, {**EVERYTHING, "randaugment": 0}]
)
def test_numpy_and_torch_crop_and_colour_alike_to_rounding(shape, dtype, float_type, options):
    pixels = images(shape, 33, dtype)
    ours = Augment(options, shape, numpy_array, float_type)(pixels, np.random.default_rng(3))
    theirs = Augment(options, shape, torch_array, float_type)(torch.tensor(pixels), np.random.default_rng(3))
    assert isinstance(theirs, torch.Tensor)
    assert theirs.numpy().dtype == ours.dtype == float_type
    np.testing.assert_allclose(theirs.numpy(), ours, atol=3e-4 if float_type == "float32" else 1e-11)


@pytest.mark.parametrize(
    "options", [{"shift": 2}, {"rotate": 10.0}, {"flip": 0.3, "crop": 2}, {**EVERYTHING, "randaugment": 0}]
)
@pytest.mark.parametrize("to_array", [numpy_array, torch_array])
def test_a_large_batch_is_worked_on_in_parts_and_comes_out_as_it_would_whole(monkeypatch, options, to_array):
    pixels = to_array(images((3, 7, 10), 23))
    whole = Augment(options, (3, 7, 10), to_array, "float32")(pixels, np.random.default_rng(2))
    for part in (1, 5 * 210, 22 * 210):
        monkeypatch.setattr(augmenting, "PART", part)
        found = Augment(options, (3, 7, 10), to_array, "float32")(pixels, np.random.default_rng(2))
        assert type(found) is type(whole)
        assert found.dtype == whole.dtype
        np.testing.assert_allclose(np.asarray(found), np.asarray(whole), atol=3e-4 if "jitter" in options else 0)


@pytest.mark.parametrize("to_array", [numpy_array, torch_array])
@pytest.mark.parametrize("options", [PHOTO, EVERYTHING, {"randaugment": 2, "magnitude": 20}])
def test_the_batch_that_comes_in_is_left_as_it_was_by_all_of_it(to_array, options):
    for dtype in ("uint8", "float32"):
        pixels = to_array(images((3, 7, 10), dtype=dtype))
        before = np.asarray(pixels).copy()
        Augment(options, (3, 7, 10), to_array, "float32")(pixels, np.random.default_rng(0))
        np.testing.assert_array_equal(np.asarray(pixels), before)


def test_white_is_the_brightest_that_an_image_becomes():
    pixels = np.random.default_rng(0).integers(0, 17, (40, 1, 8, 8)).astype(np.uint8)
    for options in ({"jitter": 1.0}, {"randaugment": 3, "magnitude": 30}):
        found = Augment(options, (1, 8, 8), numpy_array, "float32", 16.0)(pixels, np.random.default_rng(0))
        assert found.dtype == np.float32
        assert found.min() == 0.0
        assert found.max() == 16.0


@pytest.mark.parametrize("model", ["numpy", "torch"])
def test_passes_of_photographs_can_begin_in_the_middle(model):
    settings = config(dataset=FAKE, augment=EVERYTHING, reg={"cutmix": 1.0}, batch_size=7, precision="float32")
    learner = FakeLearner(torch_array if model == "torch" else numpy_array)
    split = make(settings, load(FAKE), learner).train
    complete = [(np.asarray(b.inputs).tobytes(), np.asarray(b.targets).tobytes()) for b in split.batches(2)]
    assert len({inputs for inputs, _ in complete}) == split.batch_count
    for start in range(split.batch_count):
        rest = [(np.asarray(b.inputs).tobytes(), np.asarray(b.targets).tobytes()) for b in split.batches(2, start)]
        assert rest == complete[start:]


def test_torch_is_not_needed_for_what_numpy_does_alone():
    code = """
import sys, numpy as np
from labrunner.data.augment import Augment
options = {"shift": 1, "rotate": 5.0, "flip": 0.5, "crop": 1, "resized_crop": 0.5, "jitter": 0.4}
pixels = np.zeros((3, 1, 8, 8), np.uint8)
Augment(options, (1, 8, 8), np.ascontiguousarray, "float32")(pixels, np.random.default_rng(0))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("options", "shape", "words"),
    [
        ({"name": "photo", **PHOTO}, (4,), "augment=photo changes images and .* is a table; try augment=none"),
        ({"name": "jitter", "jitter": 0.4}, (4,), "augment=jitter changes the colours of images"),
        ({"name": "none", "resized_crop": 0.5}, (4,), "augment.resized_crop=0.5 .* try augment.resized_crop=0"),
        ({"name": "none", "randaugment": 2}, (4,), "augment.randaugment=2 changes images .* augment.randaugment=0"),
        ({"name": "jitter", "jitter": 0.4}, (4, 8, 8), "augment.jitter=0.4 is for .* have 4; try augment.jitter=0"),
        ({"randaugment": 2}, (2, 8, 8), "augment.randaugment=2 .* one channel or three and those of iris have 2"),
    ],
)
def test_what_colours_cannot_be_done_to_is_refused_with_a_way_out(options, shape, words):
    with pytest.raises(RequestError, match=words):
        check(options, shape, "iris")


def test_a_strength_alone_asks_for_nothing():
    assert not Augment({"magnitude": 9}, (1, 8, 8), numpy_array, "float32")
    check({"magnitude": 9}, (4,), "iris")
