"""Randomness has an owner: the same arguments, the same numbers, in every process; any other argument, others."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from labrunner.seeding import generator, number, numbers


def test_the_same_arguments_give_the_same_numbers():
    one, other = generator(0, "shuffle", 3), generator(0, "shuffle", 3)
    np.testing.assert_array_equal(one.permutation(1000), other.permutation(1000))
    assert number(0, "shuffle", 3) == number(0, "shuffle", 3)


@pytest.mark.parametrize(
    "arguments", [(1, "shuffle", 3), (0, "augment", 3), (0, "shuffle", 4), (0, "shuffle"), (0, "shuffle", 3, 0)]
)
def test_any_other_argument_gives_other_numbers(arguments):
    assert number(*arguments) != number(0, "shuffle", 3)
    ours = generator(0, "shuffle", 3).random(1000)
    theirs = generator(*arguments).random(1000)
    assert not np.isin(ours, theirs).any()
    assert abs(np.corrcoef(ours, theirs)[0, 1]) < 4 / np.sqrt(1000)


def test_arguments_do_not_run_into_each_other():
    assert len({number(1, "a", 23), number(12, "a", 3), number(1, "a2", 3), number(1, "a", "23"), number(-1, "a")}) == 5


def test_many_epochs_and_seeds_share_no_number():
    assert len({number(seed, "shuffle", epoch) for seed in range(100) for epoch in range(200)}) == 20_000


def test_numbers_fill_64_bits_evenly():
    numbers = [number(0, "dropout", step) for step in range(4000)]
    assert all(0 <= n < 2**64 for n in numbers)
    for bit in range(64):  # each bit is set in half of them, within four standard deviations
        assert abs(sum(n >> bit & 1 for n in numbers) - 2000) < 4 * np.sqrt(4000 / 4)


def test_drawing_leaves_numpy_s_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002  the global generator is what this test watches
    generator(0, "init").random(10)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_numbers_are_the_same_in_every_process_whatever_the_hash_seed():
    code = (
        "from labrunner.seeding import generator, number;"
        "print(number(7, 'shuffle', 2), generator(7, 'shuffle', 2).random(3).tobytes().hex())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "random")
    }
    here = f"{number(7, 'shuffle', 2)} {generator(7, 'shuffle', 2).random(3).tobytes().hex()}\n"
    assert printed == {here}


def test_a_sequence_of_numbers_is_a_function_of_seed_purpose_and_step():
    at = numbers(3, "layers")
    drawn = [at(step) for step in range(10_000)]
    assert drawn == [numbers(3, "layers")(step) for step in range(10_000)]
    assert len(set(drawn)) == len(drawn)
    assert all(0 <= value < 2**64 for value in drawn)
    assert not set(drawn) & {numbers(4, "layers")(step) for step in range(10_000)}
    assert not set(drawn) & {numbers(3, "other")(step) for step in range(10_000)}


def test_the_bits_of_a_sequence_of_numbers_are_even_and_do_not_follow_the_step():
    values = np.array([numbers(0, "layers")(step) for step in range(20_000)], dtype=np.uint64)
    bits = (values[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    # 5 standard deviations of a fair coin thrown 20,000 times
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(len(values))
    changed = (bits[1:] != bits[:-1]).mean(axis=0)
    assert np.abs(changed - 0.5).max() < 5 * 0.5 / np.sqrt(len(values))
