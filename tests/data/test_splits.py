"""Splits divide every class alike, and batches come in an order that seed and epoch decide."""

from __future__ import annotations

import numpy as np
import pytest

from labrunner import deep, scratch
from labrunner.data import Data, Description, Samples, load, make
from labrunner.data.splits import EVAL_BATCH, Normalization, shares, stratified
from labrunner.errors import RequestError
from tests.data.settings import DIGITS, FAKE, MLP_NUMPY, config

PARTS = ("train", "val", "test")


def data_of(samples: Samples | None = None, **changes) -> Data:
    settings = config(model=MLP_NUMPY, **changes)
    samples = load(settings["dataset"]) if samples is None else samples
    description = samples.description
    return make(settings, samples, scratch.make(settings, description.shape, description.num_classes))


def whole(split) -> np.ndarray:
    return np.concatenate([batch.inputs for batch in split.in_order()])


def random_cases(count: int):
    """(labels, val_fraction, test_fraction) of many sizes, down to classes of one sample."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        counts = rng.integers(1, rng.choice([3, 12, 80]), size=rng.integers(2, 12))
        yield rng.permutation(np.repeat(np.arange(len(counts)), counts)), *rng.uniform(0.0, 0.55, size=2)


def test_the_splits_are_disjoint_and_complete():
    for labels, val, test in random_cases(200):
        parts = stratified(labels, val, test, seed=3)
        assert sorted(np.concatenate([parts[name] for name in PARTS])) == list(range(len(labels)))
        assert all((np.diff(index) > 0).all() for index in parts.values())


def test_the_splits_have_the_sizes_that_were_asked_for():
    for labels, val, test in random_cases(200):
        parts = stratified(labels, val, test, seed=3)
        assert abs(len(parts["test"]) - test * len(labels)) <= 0.5
        left = len(labels) - len(parts["test"])
        assert len(parts["val"]) == left or abs(len(parts["val"]) - val * len(labels)) <= 0.5


def test_each_class_is_divided_like_the_whole_to_one_sample():
    for labels, val, test in random_cases(500):
        counts = np.bincount(labels)
        for name, index in stratified(labels, val, test, seed=3).items():
            exact = counts * len(index) / len(labels)
            found = np.bincount(labels[index], minlength=len(counts))
            assert np.abs(found - exact).max() < 1.0 + 1e-9, name


def test_shares_sum_to_the_classes_and_to_the_parts():
    rng = np.random.default_rng(1)
    for _ in range(500):
        counts = rng.integers(0, rng.choice([2, 5, 1000]), size=rng.integers(1, 12))
        total = int(counts.sum())
        cuts = np.sort(rng.integers(0, total + 1, size=2))
        totals = np.diff([0, *cuts, total])
        divided = shares(counts, totals)
        assert divided.min() >= 0
        np.testing.assert_array_equal(divided.sum(axis=1), counts)
        np.testing.assert_array_equal(divided.sum(axis=0), totals)
        assert np.abs(divided * total - np.outer(counts, totals)).max() <= total


def test_proportions_that_come_out_even_are_met_exactly():
    np.testing.assert_array_equal(
        shares(np.array([10, 20, 70]), np.array([60, 10, 30])), [[6, 1, 3], [12, 2, 6], [42, 7, 21]]
    )


def test_digits_are_divided_as_the_defaults_say():
    data = data_of(dataset=DIGITS)
    assert [len(split) for split in (data.train, data.val, data.test)] == [1079, 359, 359]
    for split in (data.train, data.val, data.test):
        share = np.bincount(split.labels) / np.bincount(load(DIGITS).labels)
        assert np.abs(share * 180 - len(split) / 1797 * 180).max() < 1.1


def test_the_split_depends_on_the_split_seed_and_not_on_the_seed():
    first, other_seed = data_of(seed=0), data_of(seed=1)
    other_split = data_of(dataset={"split_seed": 1})
    for name in PARTS:
        index = getattr(first, name).index
        np.testing.assert_array_equal(index, getattr(other_seed, name).index)
        assert len(getattr(other_split, name).index) == len(index)
        assert (getattr(other_split, name).index != index).any()


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (0.02, 0.96), (0.3, 0.99), (0.9, 0.9), (0.0, 0.96)])
def test_fractions_that_leave_nothing_to_train_on_are_refused(val, test):
    with pytest.raises(RequestError, match="no sample of fake to train on"):
        data_of(dataset={"samples": 10, "num_classes": 2, "val_fraction": val, "test_fraction": test})


def test_a_split_of_no_samples_is_missing():
    data = data_of(dataset={"val_fraction": 0.0, "test_fraction": 0.0})
    assert data.val is None
    assert data.test is None
    assert len(data.train) == 100


# normalization


def test_normalization_looks_at_the_training_split_alone():
    samples = load(FAKE)
    held_out = np.concatenate([data_of(samples).val.index, data_of(samples).test.index])
    changed = samples.inputs.copy()
    changed[held_out] = 255 - changed[held_out] // 3
    before, after = data_of(samples), data_of(Samples(samples.description, changed, samples.labels))
    np.testing.assert_array_equal(before.normalization.scale, after.normalization.scale)
    np.testing.assert_array_equal(before.normalization.shift, after.normalization.shift)
    assert (whole(before.val) != whole(after.val)).any()


@pytest.mark.parametrize("dataset", [DIGITS, FAKE], ids=["digits", "fake"])
def test_standard_gives_each_channel_of_train_mean_zero_and_variance_one(dataset):
    values = whole(data_of(dataset=dataset).train)
    np.testing.assert_allclose(values.mean(axis=(0, 2, 3)), 0.0, atol=1e-12)
    np.testing.assert_allclose(values.var(axis=(0, 2, 3)), 1.0, rtol=1e-12)


def test_standard_gives_each_feature_of_a_table_mean_zero_and_variance_one():
    rng = np.random.default_rng(0)
    table = (rng.normal(size=(60, 4)) * [1.0, 10.0, 0.01, 3.0] + [0.0, 5.0, -1.0, 100.0]).astype(np.float32)
    samples = Samples(Description("table", (4,), ("a", "b")), table, np.arange(60) % 2)
    values = whole(data_of(samples).train)
    np.testing.assert_allclose(values.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(values.var(axis=0), 1.0, rtol=1e-10)


def test_a_constant_channel_stays_near_zero_whatever_its_value():
    for grey in range(0, 256, 5):
        train = np.full((37, 2, 3, 3), grey, np.uint8)
        train[:, 1] = np.arange(37)[:, None, None]
        normalization = Normalization.of("standard", train, Description("flat", (2, 3, 3), ("a", "b"), white=255.0))
        held_out = np.array([0, grey, 255])[:, None, None, None] * normalization.scale + normalization.shift
        assert np.abs(held_out[1, 0]).max() < 1e-12
        assert np.abs(held_out[:, 0]).max() <= 1.0, f"a grey of {grey} is blown up"


def test_a_constant_feature_of_a_table_stays_near_zero():
    table = np.column_stack([np.full(101, 0.1), np.arange(101)]).astype(np.float32)
    normalization = Normalization.of("standard", table, Description("table", (2,), ("a", "b")))
    assert np.abs(table[:, 0].astype(np.float64) * normalization.scale[0] + normalization.shift[0]).max() < 1e-12
    assert normalization.scale[0] < 10.0


def test_unit_divides_by_white_and_none_leaves_the_pixels():
    samples = load(DIGITS)
    raw, unit = (data_of(samples, dataset={**DIGITS, "normalize": kind}).train for kind in ("none", "unit"))
    np.testing.assert_array_equal(whole(raw), samples.inputs[raw.index])
    np.testing.assert_allclose(whole(unit), samples.inputs[unit.index] / 16.0, rtol=1e-15)


def test_unit_leaves_a_table_alone():
    table = np.arange(40, dtype=np.float32).reshape(20, 2)
    samples = Samples(Description("table", (2,), ("a", "b")), table, np.arange(20) % 2)
    train = data_of(samples, dataset={"normalize": "unit"}).train
    np.testing.assert_array_equal(whole(train), table[train.index])


# batches


def seen(split, epoch: int, start: int = 0) -> list[tuple[bytes, bytes, int]]:
    return [(batch.inputs.tobytes(), batch.targets.tobytes(), batch.step) for batch in split.batches(epoch, start)]


def test_a_training_pass_sees_each_sample_once_with_its_own_label():
    data = data_of(dataset={"normalize": "none"}, batch_size=7)
    samples = load(FAKE)
    expected = sorted((samples.inputs[i].astype(np.float64).tobytes(), samples.labels[i]) for i in data.train.index)
    for epoch in (1, 2):
        found = [(x.tobytes(), y) for batch in data.train.batches(epoch) for x, y in zip(*batch[:2], strict=True)]
        assert sorted(found) == expected


def test_the_order_of_a_pass_depends_on_seed_and_epoch_and_on_nothing_else():
    split = data_of(seed=5).train
    first = seen(split, 1)
    list(split.batches(3))
    np.random.default_rng().random()
    assert seen(split, 1) == first
    assert seen(data_of(seed=5).train, 1) == first
    inputs = {seen(data_of(seed=seed).train, epoch)[0][0] for seed in (5, 6) for epoch in (1, 2)}
    assert len(inputs) == 4


def test_another_batch_size_cuts_the_same_order():
    by_seven, by_nine = (data_of(batch_size=size).train for size in (7, 9))
    orders = [np.concatenate([batch.inputs for batch in split.batches(2)]) for split in (by_seven, by_nine)]
    np.testing.assert_array_equal(*orders)


def test_start_gives_exactly_the_tail_of_the_pass():
    split = data_of(batch_size=7).train
    for epoch in (1, 4):
        complete = seen(split, epoch)
        for start in range(split.batch_count + 1):
            assert seen(split, epoch, start) == complete[start:]


def test_steps_count_through_the_epochs():
    split = data_of(batch_size=7).train
    steps = [batch.step for epoch in (1, 2, 3) for batch in split.batches(epoch)]
    assert steps == list(range(3 * split.batch_count))


@pytest.mark.parametrize(("size", "lengths"), [(32, [32, 28]), (30, [30, 30]), (60, [60]), (500, [60]), ("full", [60])])
def test_the_last_batch_takes_what_is_left(size, lengths):
    split = data_of(batch_size=size).train
    assert [len(batch.targets) for batch in split.batches(1)] == lengths
    assert split.batch_count == len(lengths)


def test_smoke_cuts_the_training_pass_and_no_evaluation():
    short, long = data_of(smoke=True, batch_size=7), data_of(batch_size=7)
    assert seen(short.train, 1) == seen(long.train, 1)[:4]
    assert next(short.train.batches(2)).step == short.train.batch_count == 4
    assert sum(len(batch.targets) for batch in short.val.in_order()) == len(short.val)


def test_evaluation_comes_in_order_in_batches_of_its_own():
    samples = load(DIGITS)
    small, large = (data_of(samples, dataset=DIGITS, batch_size=size).train for size in (3, 700))
    assert len(small) > EVAL_BATCH
    batches = list(small.in_order())
    np.testing.assert_array_equal(np.concatenate([batch.targets for batch in batches]), samples.labels[small.index])
    assert [len(batch.targets) for batch in batches] == [len(batch.targets) for batch in large.in_order()]
    np.testing.assert_array_equal(whole(small), whole(large))


def test_pages_show_the_raw_pixels():
    samples = load(DIGITS)
    split = data_of(samples, dataset=DIGITS).test
    np.testing.assert_array_equal(split.pixels(np.array([3, 0])), samples.inputs[split.index[[3, 0]]])


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dataset", [DIGITS, FAKE], ids=["digits", "fake"])
def test_numpy_and_torch_see_equal_numbers(dataset, precision):
    samples = load(dataset)
    description = samples.description
    settings = config(dataset=dataset, precision=precision)
    ours = scratch.make(config(model=MLP_NUMPY, precision=precision), description.shape, description.num_classes)
    theirs = deep.make(settings, description.shape, description.num_classes)
    one, other = make(settings, samples, ours), make(settings, samples, theirs)
    for of_numpy, of_torch in (
        *zip(one.train.batches(2), other.train.batches(2), strict=True),
        *zip(one.val.in_order(), other.val.in_order(), strict=True),
    ):
        assert of_numpy.inputs.dtype == precision
        assert str(of_torch.inputs.dtype) == f"torch.{precision}"
        np.testing.assert_array_equal(of_numpy.inputs, of_torch.inputs.numpy())
        np.testing.assert_array_equal(of_numpy.targets, of_torch.targets.numpy())
        assert of_numpy.step == of_torch.step
