"""RandAugment of a batch is torchvision's RandAugment of each of its images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import v2

from labrunner.data.randaugment import operations, varied

NAMES = list(v2.RandAugment._AUGMENTATION_SPACE)
SIGNED = {name for name, (_, is_signed) in v2.RandAugment._AUGMENTATION_SPACE.items() if is_signed}
SHAPES = [(1, 16, 16), (3, 21, 32)]


def images(shape, count: int = 28) -> np.ndarray:
    """Smooth images with noise, which every operation has something to do with."""
    rng, (channels, height, width) = np.random.default_rng(7), shape
    slope = np.linspace(20, 200, height)[:, None] + np.linspace(0, 40, width)
    return (slope + rng.integers(-15, 15, (count, channels, height, width))).astype(np.uint8)


def drawing(which, is_minus) -> np.ndarray:
    """Numbers from [0, 1) that stand for operations (operations of an image, N) and their signs."""
    return np.stack([(np.asarray(which) + 0.5) / len(NAMES), np.where(is_minus, 0.75, 0.25)])


def through_torchvision(image: torch.Tensor, name: str, magnitude: int) -> list[np.ndarray]:
    """One image through one operation, as often as it takes to see both signs, and no picture twice."""
    transform = v2.RandAugment(num_ops=1, magnitude=magnitude)
    transform._AUGMENTATION_SPACE = {name: v2.RandAugment._AUGMENTATION_SPACE[name]}
    found: dict[bytes, np.ndarray] = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(12):
            out = transform(image).numpy()
            found[out.tobytes()] = out
    return list(found.values())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("magnitude", [0, 1, 9, 17, 30])
@pytest.mark.parametrize("number", range(14), ids=NAMES)
def test_each_operation_is_torchvisions_with_either_sign(shape, magnitude, number):
    pixels = images(shape, 3)
    signs = [varied(pixels, drawing([[number] * 3], [[minus] * 3]), magnitude, 255.0, "float32") for minus in (0, 1)]
    assert all(out.dtype == np.uint8 for out in signs)
    for n, image in enumerate(pixels):
        expected = {out.tobytes() for out in through_torchvision(torch.tensor(image), NAMES[number], magnitude)}
        assert {out[n].tobytes() for out in signs} == expected
        is_grey = len(image) == 1
        if NAMES[number] in SIGNED and magnitude == 30 and not (is_grey and NAMES[number] == "Color"):
            assert len(expected) == 2


def test_a_plus_moves_and_brightens_as_it_says():
    pixels = images((3, 21, 32), 1)
    brighter, darker = (
        varied(pixels, drawing([[NAMES.index("Brightness")]], [[minus]]), 15, 255.0, "float32") for minus in (0, 1)
    )
    assert darker.mean() < pixels.mean() < brighter.mean()
    right = varied(pixels, drawing([[NAMES.index("TranslateX")]], [[False]]), 9, 255.0, "float32")
    moved = int(150 / 331 * 32 * 9 / 30)
    assert moved == 4
    np.testing.assert_array_equal(right[..., moved:], pixels[..., :-moved])
    assert not right[..., :moved].any()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_is_each_of_its_images_alone(shape):
    pixels, rng = images(shape), np.random.default_rng(2)
    draws = rng.random((2, 3, len(pixels)))
    whole = varied(pixels, draws, 12, 255.0, "float32")
    for n in range(len(pixels)):
        alone = varied(pixels[n : n + 1], draws[..., n : n + 1], 12, 255.0, "float32")
        np.testing.assert_array_equal(alone, whole[n : n + 1])


def test_operations_come_one_after_another():
    pixels = images((3, 21, 32))
    draws = np.random.default_rng(4).random((2, 3, len(pixels)))
    step = pixels
    for number in range(3):
        step = varied(step, draws[:, number : number + 1], 9, 255.0, "float32")
    np.testing.assert_array_equal(varied(pixels, draws, 9, 255.0, "float32"), step)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "white"), [("uint8", 255.0), ("float32", 255.0), ("uint8", 16.0), ("float64", 16.0)])
def test_numpy_and_torch_see_the_same_bytes(shape, dtype, white):
    pixels = (images(shape) / 255.0 * white).astype(dtype)
    draws = np.random.default_rng(3).random((2, 2, len(pixels)))
    ours = varied(pixels, draws, 9, white, "float64")
    theirs = varied(torch.tensor(pixels), draws, 9, white, "float64")
    assert isinstance(theirs, torch.Tensor)
    assert theirs.numpy().dtype == ours.dtype == (np.uint8 if white == 255.0 else np.float64)
    assert theirs.numpy().tobytes() == ours.tobytes()


def test_pixels_between_levels_are_rounded_and_another_white_is_brought_there_and_back():
    levels = images((3, 21, 32))
    draws = np.random.default_rng(3).random((2, 2, len(levels)))
    expected = varied(levels, draws, 9, 255.0, "float32")
    between = levels + np.random.default_rng(0).uniform(-0.4, 0.4, levels.shape)
    np.testing.assert_array_equal(varied(between, draws, 9, 255.0, "float32"), expected)
    of_sixteen = varied(levels * (16.0 / 255.0), draws, 9, 16.0, "float64")
    np.testing.assert_allclose(of_sixteen, expected * (16.0 / 255.0), atol=1e-12)


def test_torch_may_hold_the_batch_with_the_channels_last():
    pixels = torch.tensor(images((3, 21, 32)))
    draws = np.random.default_rng(3).random((2, 2, len(pixels)))
    last = pixels.contiguous(memory_format=torch.channels_last)
    assert torch.equal(varied(last, draws, 9, 255.0, "float32"), varied(pixels, draws, 9, 255.0, "float32"))


def test_there_are_fourteen_operations_and_uniform_draws_make_them_equally_likely():
    assert len(operations(9, 32, 32)) == len(NAMES) == 14
    pixels = np.zeros((4000, 1, 3, 3), np.uint8)
    pixels[:, 0] = [[0, 60, 200], [255, 30, 90], [10, 140, 70]]
    draws = np.random.default_rng(0).random((2, 1, 4000))
    out = varied(pixels, draws, 30, 255.0, "float32").reshape(4000, -1)
    single = {}
    for number in range(14):
        for minus in (False, True):
            picture = varied(pixels[:1], drawing([[number]], [[minus]]), 30, 255.0, "float32").tobytes()
            single.setdefault(picture, []).append(1 / 28)
    counts = dict.fromkeys(single, 0)
    for picture in out:
        counts[picture.tobytes()] += 1
    expected = [4000 * sum(single[picture]) for picture in counts]
    assert stats.chisquare(list(counts.values()), expected).pvalue > 0.01
