"""Splits divide every class alike, and batches come in an order that seed and epoch decide."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler

from labrunner import deep, scratch
from labrunner.data import Data, Description, Samples, load, make
from labrunner.data.augment import Augment
from labrunner.data.splits import EVAL_BATCH, Normalization, shares, stratified
from labrunner.errors import RequestError
from labrunner.learner import Wants
from labrunner.seeding import generator
from tests.data.settings import DIGITS, FAKE, IRIS, MLP, MLP_NUMPY, config

PARTS = ("train", "val", "test")
SHIFT = {"name": "shift", "shift": 2, "rotate": 0.0, "flip": 0.0, "crop": 0}


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


def test_unit_brings_each_feature_of_a_table_to_zero_to_one_of_train():
    table = np.random.default_rng(0).normal(3.0, [1.0, 1e-6, 1e6], size=(40, 3)).astype(np.float32)
    samples = Samples(Description("table", (3,), ("a", "b")), table, np.arange(40) % 2)
    data = data_of(samples, dataset={"normalize": "unit"})
    scaler = MinMaxScaler().fit(table[data.train.index].astype(np.float64))
    for split in (data.train, data.val):
        np.testing.assert_allclose(whole(split), scaler.transform(table[split.index].astype(np.float64)), atol=1e-6)


def test_features_too_small_for_an_inverse_count_as_constant():
    table = np.full((40, 1), 1e-40, dtype=np.float32)
    table[::2] = 0.0
    samples = Samples(Description("table", (1,), ("a", "b")), table, np.arange(40) % 2)
    for kind in ("unit", "standard"):
        assert np.isfinite(whole(data_of(samples, dataset={"normalize": kind}, precision="float32").train)).all()


def test_positions_in_the_whole_data_set_are_those_of_the_samples_also_of_chosen_classes():
    everything, some = load(IRIS), load({**IRIS, "classes": ["virginica", "versicolor"]})
    data = data_of(some, dataset=IRIS)
    for split in (data.train, data.val, data.test):
        np.testing.assert_array_equal(everything.inputs[split.origin], some.inputs[split.index])
        assert (everything.labels[split.origin] > 0).all()
    assert data.test.origin.min() >= 50
    np.testing.assert_array_equal(
        data_of(everything, dataset=IRIS).test.origin, data_of(everything, dataset=IRIS).test.index
    )


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


# what a data set is asked for: an official test split, fewer samples, wrong labels


def positions(count: int = 200, classes: int = 4, test: np.ndarray | None = None) -> Samples:
    """Samples whose only feature is their position."""
    names = tuple("abcdef"[:classes])
    inputs = np.arange(count, dtype=np.float32)[:, None]
    return Samples(Description("positions", (1,), names), inputs, np.arange(count) * 7 % classes, test=test)


def test_an_official_test_split_stays_test_and_val_is_a_share_of_the_rest():
    official = np.arange(150, 200)[::-1].copy()
    data = data_of(positions(test=official), dataset={**IRIS, "val_fraction": 0.1, "test_fraction": 0.5})
    assert data.test.index.tolist() == list(range(150, 200))
    assert [len(data.val), len(data.train)] == [15, 135]
    assert sorted([*data.val.index, *data.train.index]) == list(range(150))
    assert np.ptp(np.bincount(data.val.labels)) <= 1


def test_an_official_test_split_needs_no_key_of_its_own():
    without = {key: value for key, value in IRIS.items() if key != "test_fraction"}
    assert len(data_of(positions(test=np.arange(10)), dataset=without).test) == 10


def test_an_official_test_split_that_leaves_nothing_is_refused():
    with pytest.raises(RequestError, match=r"val_fraction=0\.9 leaves no sample of positions"):
        data_of(positions(test=np.arange(1, 200)), dataset={**IRIS, "val_fraction": 0.9})


@pytest.mark.parametrize("most", [1, 5, 29])
def test_per_class_keeps_exactly_so_many_training_samples_of_each_class(most):
    samples = positions()
    full, capped = data_of(samples, dataset=IRIS), data_of(samples, dataset={**IRIS, "per_class": most})
    assert np.bincount(capped.train.labels).tolist() == [most] * 4
    assert set(capped.train.index) <= set(full.train.index)
    for name in ("val", "test"):
        np.testing.assert_array_equal(getattr(capped, name).index, getattr(full, name).index)


def test_per_class_leaves_smaller_classes_whole():
    labels = np.repeat([0, 1], [90, 10])
    samples = Samples(Description("odd", (1,), ("a", "b")), np.zeros((100, 1), np.float32), labels)
    assert np.bincount(data_of(samples, dataset={**IRIS, "per_class": 20}).train.labels).tolist() == [20, 6]


def test_more_per_class_adds_samples_and_takes_none_away():
    few, more = (set(data_of(positions(), dataset={**IRIS, "per_class": n}).train.index) for n in (5, 12))
    assert few < more


def test_the_mean_is_that_of_the_samples_that_per_class_leaves():
    values = whole(data_of(positions(), dataset={**IRIS, "per_class": 3}).train)
    assert abs(values.mean()) < 1e-12
    assert values.var() == pytest.approx(1.0)


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.1, 12), (0.25, 30), (0.9, 108)])
def test_label_noise_replaces_exactly_its_share_of_the_training_labels(share, count):
    samples = positions()
    data = data_of(samples, dataset={**IRIS, "label_noise": share})
    assert int((data.train.labels != samples.labels[data.train.index]).sum()) == count
    for split in (data.val, data.test):
        np.testing.assert_array_equal(split.labels, samples.labels[split.index])
    fed = {x.item(): y.item() for batch in data.train.batches(1) for x, y in zip(*batch[:2], strict=True)}
    inputs = whole(data.train)[:, 0].tolist()
    assert [fed[x] for x in inputs] == data.train.labels.tolist()
    assert samples.labels.tolist() == positions().labels.tolist(), "the shared samples were changed"


def test_label_noise_counts_what_per_class_leaves():
    samples = positions()
    train = data_of(samples, dataset={**IRIS, "label_noise": 0.5, "per_class": 5}).train
    assert int((train.labels != samples.labels[train.index]).sum()) == 10


def test_label_noise_draws_the_other_classes_evenly():
    samples = positions(12_000)
    train = data_of(samples, dataset={**IRIS, "label_noise": 0.6}).train
    true = samples.labels[train.index]
    moved = np.zeros((4, 4))
    np.add.at(moved, (true, train.labels), 1)
    # 1,800 of each class keep no label of theirs for 0.6 of them: 360 to each other class, give or take chance
    off = moved[~np.eye(4, dtype=bool)]
    assert off.sum() == round(0.6 * len(train))
    assert np.abs(off - 360).max() < 5 * np.sqrt(360)


def test_more_label_noise_keeps_what_less_has_replaced():
    samples = positions()
    little, much = (data_of(samples, dataset={**IRIS, "label_noise": share}).train.labels for share in (0.1, 0.3))
    replaced = little != samples.labels[data_of(samples, dataset=IRIS).train.index]
    np.testing.assert_array_equal(little[replaced], much[replaced])


@pytest.mark.parametrize("key", ["per_class", "label_noise"])
def test_what_is_drawn_depends_on_the_split_seed_and_not_on_the_seed(key):
    options = {**IRIS, key: {"per_class": 5, "label_noise": 0.3}[key]}

    def drawn(seed: int, split_seed: int) -> tuple[list[int], list[int]]:
        train = data_of(positions(), dataset={**options, "split_seed": split_seed}, seed=seed).train
        return train.index.tolist(), train.labels.tolist()

    assert drawn(0, 0) == drawn(1, 0)
    assert drawn(0, 0) != drawn(0, 1)


# what a learner wants


def wanting(samples: Samples, wants: Wants, **changes) -> Data:
    settings = config(model=MLP_NUMPY, **changes)
    learner = scratch.make(settings, samples.description.shape, samples.description.num_classes)
    learner.wants = wants
    return make(settings, samples, learner)


@pytest.mark.parametrize("kind", ["none", "unit", "standard"])
def test_grey_images_become_three_equal_channels(kind):
    samples, options = load(DIGITS), {**DIGITS, "normalize": kind}
    grey = data_of(samples, dataset=options)
    colour = wanting(samples, Wants(channels=3), dataset=options)
    for one, three in zip(grey.train.batches(1), colour.train.batches(1), strict=True):
        assert three.inputs.shape[1:] == (3, 8, 8)
        np.testing.assert_array_equal(three.inputs, np.repeat(one.inputs, 3, axis=1))
    np.testing.assert_array_equal(whole(colour.val), np.repeat(whole(grey.val), 3, axis=1))
    assert colour.train.pixels(np.array([0])).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("kind", ["none", "standard"])
def test_mean_and_deviation_of_the_learner_take_the_place_of_the_training_splits(kind):
    samples = load(FAKE)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    data = wanting(samples, Wants(mean=mean, std=std), dataset={"normalize": kind})
    expected = (samples.inputs[data.val.index] / 255.0 - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
    np.testing.assert_allclose(whole(data.val), expected, rtol=1e-12, atol=1e-13)


def test_grey_images_take_the_mean_and_deviation_of_three_channels():
    samples = load(DIGITS)
    data = wanting(samples, Wants(3, None, (0.1, 0.2, 0.3), (1.0, 2.0, 4.0)), dataset=DIGITS)
    grey = samples.inputs[data.val.index] / 16.0
    expected = np.concatenate([grey - 0.1, (grey - 0.2) / 2.0, (grey - 0.3) / 4.0], axis=1)
    np.testing.assert_allclose(whole(data.val), expected, atol=1e-14)


def test_a_mean_of_other_channels_than_the_images_have_is_refused():
    with pytest.raises(RequestError, match="by 3 channels and those of dataset=digits have 1"):
        wanting(load(DIGITS), Wants(mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0)), dataset=DIGITS)


def test_a_table_has_no_channels_for_a_learner_to_want():
    table, wants = load(IRIS), Wants(3, 8, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(whole(wanting(table, wants, dataset=IRIS).val), whole(data_of(dataset=IRIS).val))


# weights, mixing and augmentation


def test_weights_of_the_samples_are_the_targets_in_the_learners_type():
    weights = np.random.default_rng(0).dirichlet([1.0] * 4, size=200)
    plain = positions()
    samples = Samples(plain.description, plain.inputs, plain.labels, weights=weights)
    data = data_of(samples, dataset={**IRIS, "normalize": "none"}, precision="float32")
    for batch in data.train.batches(1):
        assert batch.targets.dtype == np.float32
        np.testing.assert_array_equal(batch.targets, weights[batch.inputs[:, 0].astype(int)].astype(np.float32))
    np.testing.assert_array_equal(next(data.val.in_order()).targets, weights[data.val.index].astype(np.float32))


def test_mixup_mixes_inputs_and_targets_of_a_batch_alike():
    plain, mixed = (data_of(dataset=FAKE, reg={"mixup": alpha}, batch_size=7).train for alpha in (0.0, 0.8))
    for number, (before, after) in enumerate(zip(plain.batches(2), mixed.batches(2), strict=True)):
        rng = generator(0, "mixup", 2, number)
        kept, partners = rng.beta(0.8, 0.8), rng.permutation(len(before.targets))
        certain = np.eye(4)[before.targets]
        np.testing.assert_allclose(after.targets, kept * certain + (1 - kept) * certain[partners], atol=1e-15)
        expected = kept * before.inputs + (1 - kept) * before.inputs[partners]
        np.testing.assert_allclose(after.inputs, expected, atol=1e-14)
        assert after.step == before.step


def test_mixup_and_augmentation_leave_evaluation_alone():
    plain = data_of(dataset=FAKE)
    changed = data_of(dataset=FAKE, reg={"mixup": 0.4}, augment=SHIFT)
    for name in PARTS:
        for before, after in zip(getattr(plain, name).in_order(), getattr(changed, name).in_order(), strict=True):
            np.testing.assert_array_equal(before.inputs, after.inputs)
            np.testing.assert_array_equal(before.targets, after.targets)


@pytest.mark.parametrize("kind", ["none", "standard"])
def test_training_images_are_augmented_before_they_are_normalized(kind):
    samples, options = load(FAKE), {"normalize": kind}
    plain = data_of(samples, dataset={**options, "normalize": "none"}, batch_size=7)
    changed = data_of(samples, dataset=options, augment=SHIFT, batch_size=7)
    augment = Augment(SHIFT, samples.description.shape, np.asarray, "float64")
    scale, shift = changed.normalization.scale, changed.normalization.shift
    for number, (before, after) in enumerate(zip(plain.train.batches(3), changed.train.batches(3), strict=True)):
        moved = augment(before.inputs.astype(np.uint8), generator(0, "augment", 3, number))
        assert (moved != before.inputs).any()
        np.testing.assert_allclose(after.inputs, moved * scale + shift, atol=1e-13)
        np.testing.assert_array_equal(before.targets, after.targets)


def test_augmented_and_mixed_passes_can_begin_in_the_middle():
    split = data_of(reg={"mixup": 0.4}, augment={**SHIFT, "rotate": 20.0}, batch_size=7).train
    complete = seen(split, 2)
    for start in range(split.batch_count + 1):
        assert seen(split, 2, start) == complete[start:]


def test_bf16_has_batches_of_float32():
    samples, settings = load(DIGITS), config(dataset=DIGITS, model=MLP_NUMPY, precision="float32", reg={"mixup": 0.2})
    learner = scratch.make(settings, (1, 8, 8), 10)
    one, other = (make({**settings, "precision": kind}, samples, learner).train for kind in ("float32", "bf16"))
    assert next(other.batches(1)).inputs.dtype == next(other.batches(1)).targets.dtype == np.float32
    assert seen(one, 1) == seen(other, 1)


@pytest.mark.parametrize(
    ("size", "smoke", "last"), [(32, False, 28), (59, False, 1), (60, False, 60), (99, False, 60), (7, True, 7)]
)
def test_the_last_batch_is_as_long_as_it_says(size, smoke, last):
    split = data_of(batch_size=size, smoke=smoke).train
    assert split.last_batch == last == len(list(split.batches(1))[-1].targets)


# official validation splits


def test_an_official_validation_split_stays_val_and_no_fraction_takes_more():
    samples = positions(test=np.arange(150, 200))
    samples = Samples(
        samples.description, samples.inputs, samples.labels, val=np.arange(149, 119, -1), test=samples.test
    )
    data = data_of(samples, dataset={**IRIS, "val_fraction": 0.5, "test_fraction": 0.5})
    assert data.train.index.tolist() == list(range(120))
    assert data.val.index.tolist() == list(range(120, 150))
    assert data.test.index.tolist() == list(range(150, 200))


def test_beside_an_official_validation_split_test_is_a_share_of_the_rest():
    samples = positions()
    samples = Samples(samples.description, samples.inputs, samples.labels, val=np.arange(100))
    data = data_of(samples, dataset={**IRIS, "val_fraction": 0.5, "test_fraction": 0.1})
    assert data.val.index.tolist() == list(range(100))
    assert [len(data.train), len(data.test)] == [90, 10]
    assert np.ptp(np.bincount(data.test.labels)) <= 1


def test_official_splits_that_leave_nothing_are_refused():
    samples = positions(test=np.arange(100))
    samples = Samples(samples.description, samples.inputs, samples.labels, val=np.arange(100, 200), test=np.arange(100))
    with pytest.raises(RequestError, match="the official splits leave no sample of positions to train on"):
        data_of(samples, dataset=IRIS)
    samples = Samples(samples.description, samples.inputs, samples.labels, val=np.arange(10, 200))
    with pytest.raises(RequestError, match=r"^dataset\.test_fraction=1\.0 leaves no sample"):
        data_of(samples, dataset={**IRIS, "test_fraction": 1.0})


# images that memory would not hold


def in_a_file(samples: Samples, folder) -> Samples:
    """The same samples with their images in a file."""
    np.save(folder / "pixels.npy", samples.inputs)
    mapped = np.load(folder / "pixels.npy", mmap_mode="r")
    return Samples(samples.description, mapped, samples.labels, content=samples.fingerprint)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augment": {**SHIFT, "flip": 0.5}},
        {"reg": {"mixup": 0.4}},
        {"dataset": {"label_noise": 0.2, "per_class": 11}},
        {"batch_size": "full"},
    ],
    ids=lambda each: next(iter(each), "plain"),
)
def test_images_in_a_file_give_the_same_batches_to_the_byte(tmp_path, library, changes):
    def batches(samples: Samples):
        settings = config(model=MLP_NUMPY if library == "numpy" else MLP, precision="float32", **changes)
        maker = scratch if library == "numpy" else deep
        data = make(settings, samples, maker.make(settings, samples.description.shape, 4))
        yield data.normalization.scale, data.normalization.shift, 0
        for epoch in (1, 2):
            yield from data.train.batches(epoch)
        yield from data.train.batches(3, start=1)
        yield from data.val.in_order()
        yield data.test.at(np.array([7, 0, 7, 3]))
        for inputs in data.test.prepared(data.test.pixels(np.array([4, 2]))):
            yield inputs, data.test.pixels(np.array([1])), 0

    samples = load(FAKE)
    pairs = list(zip(batches(samples), batches(in_a_file(samples, tmp_path)), strict=True))
    assert len(pairs) >= 6
    for ours, theirs in pairs:
        for one, other in zip(ours[:2], theirs[:2], strict=True):
            assert type(one) is type(other)
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        assert ours[2] == theirs[2]


def test_no_more_than_a_batch_of_images_in_a_file_is_in_memory_at_once(tmp_path, monkeypatch):
    samples = in_a_file(load({**FAKE, "samples": 2000}), tmp_path)
    most = 0

    class Learner:
        wants = Wants()

        def array(self, values: np.ndarray) -> np.ndarray:
            nonlocal most
            most = max(most, values.nbytes if values.dtype == np.uint8 else 0)
            return np.ascontiguousarray(values)

    monkeypatch.setattr("labrunner.data.counts.COUNTED_AT_ONCE", 1000)
    data = make(config(batch_size=10), samples, Learner())  # type: ignore[arg-type]
    for _ in data.train.batches(1):
        pass
    assert most == 10 * 3 * 6 * 6
    assert "_inputs" in vars(data.train)
    most = 0
    for _ in data.val.in_order():
        pass
    assert most == len(data.val) * 3 * 6 * 6


def test_moments_counted_in_parts_are_those_of_all_pixels_to_the_bit(monkeypatch):
    samples, index = load(FAKE), np.arange(99, 0, -2)
    whole_at_once = Normalization.of("standard", samples.inputs[index], samples.description)
    for at_once in (1, 300, 10_000):
        monkeypatch.setattr("labrunner.data.counts.COUNTED_AT_ONCE", at_once)
        in_parts = Normalization.of("standard", samples.inputs, samples.description, index=index)
        np.testing.assert_array_equal(in_parts.scale, whole_at_once.scale)
        np.testing.assert_array_equal(in_parts.shift, whole_at_once.shift)
    pixels = samples.inputs[index] / 255.0
    np.testing.assert_allclose(1.0 / in_parts.scale.ravel() / 255.0, pixels.std(axis=(0, 2, 3)), rtol=1e-12)


def test_the_order_of_a_pass_can_be_asked_for():
    split = data_of(batch_size=7, dataset={"normalize": "none"}).train
    order = split.order(3)
    assert sorted(order) == list(range(len(split)))
    for number, batch in enumerate(split.batches(3)):
        chosen = split.chosen(3, number)
        np.testing.assert_array_equal(chosen, order[7 * number : 7 * number + 7])
        np.testing.assert_array_equal(batch.inputs, split.pixels(chosen))


def test_large_images_are_evaluated_in_smaller_batches():
    images = np.zeros((60, 1, 2000, 300), np.uint8)
    samples = Samples(Description("large", (1, 2000, 300), ("a", "b"), white=255.0), images, np.arange(60) % 2)
    settings = config(model=MLP_NUMPY, precision="float32", dataset={"val_fraction": 0.5, "test_fraction": 0.0})
    split = make(settings, samples, scratch.make(settings, (1, 2000, 300), 2)).val
    assert [len(batch.targets) for batch in split.in_order()] == [13, 13, 4]  # 13 * 600,000 < 2^23
