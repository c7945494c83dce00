"""Made-up data is drawn from its own seed, has the shape that its name says, and can be learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from labrunner import scratch
from labrunner.data import load, make
from labrunner.errors import RequestError
from tests.data.settings import BLOBS, CIRCLES, FAKE, IMBALANCED, MLP_NUMPY, MOONS, POINT, QUADRATIC, XOR, config

PLANE = pytest.mark.parametrize("options", [MOONS, CIRCLES, BLOBS, XOR], ids=lambda options: options["name"])


def test_fake_images_depend_on_the_split_seed_and_on_no_other_seed():
    first = load(FAKE)
    same = load({**FAKE, "val_fraction": 0.4, "test_fraction": 0.0, "normalize": "none"})
    other = load({**FAKE, "split_seed": 1})
    np.testing.assert_array_equal(first.inputs, same.inputs)
    assert (first.inputs != other.inputs).any()


def test_fake_images_can_be_learned():
    samples = load({**FAKE, "samples": 400, "size": 16})
    pixels = samples.inputs.reshape(400, -1) / 255.0
    model = LogisticRegression(max_iter=500).fit(pixels[:300], samples.labels[:300])
    assert model.score(pixels[300:], samples.labels[300:]) > 0.9


def test_noise_makes_fake_images_of_one_class_differ():
    quiet, noisy = load({**FAKE, "noise": 0.0}), load(FAKE)
    np.testing.assert_array_equal(quiet.inputs[quiet.labels == 1].std(axis=0), 0.0)
    assert noisy.inputs[noisy.labels == 1].std(axis=0).min() > 0.0


@PLANE
def test_points_depend_on_the_seed_of_the_data_set_and_not_on_that_of_the_split(options):
    first, same, other = load(options), load(options | {"split_seed": 3}), load(options | {"seed": 3})
    np.testing.assert_array_equal(first.inputs, same.inputs)
    assert (first.inputs != other.inputs).any()
    assert first.description == other.description


@PLANE
def test_points_depend_on_no_global_generator(options):
    np.random.seed(1)  # noqa: NPY002
    first = load(options)
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(first.inputs, load(options).inputs)


@PLANE
@pytest.mark.parametrize("count", [60, 101])
def test_so_many_points_as_asked_for_are_shared_evenly_among_the_classes(options, count):
    samples = load(options | {"samples": count})
    counts = np.bincount(samples.labels)
    assert counts.sum() == len(samples.inputs) == count
    assert np.ptp(counts) <= 2
    assert samples.description.feature_names == ("x1", "x2")


def test_moons_without_noise_are_two_half_circles():
    samples = load(MOONS | {"noise": 0.0})
    upper, lower = (samples.inputs[samples.labels == k] for k in (0, 1))
    np.testing.assert_allclose(np.hypot(*upper.T), 1.0, atol=1e-6)
    np.testing.assert_allclose(np.hypot(lower[:, 0] - 1.0, lower[:, 1] - 0.5), 1.0, atol=1e-6)
    assert upper[:, 1].min() > -1e-6
    assert lower[:, 1].max() < 0.5 + 1e-6


def test_circles_without_noise_have_the_radii_one_and_a_half():
    samples = load(CIRCLES | {"noise": 0.0})
    radius = np.hypot(*samples.inputs.T)
    assert samples.description.class_names == ("outer", "inner")
    np.testing.assert_allclose(radius, np.where(samples.labels == 0, 1.0, 0.5), atol=1e-6)


@pytest.mark.parametrize("options", [MOONS, CIRCLES, XOR], ids=lambda options: options["name"])
def test_noise_is_the_standard_deviation_of_a_coordinate(options):
    # the centres are drawn alike: what differs is the noise alone
    quiet, noisy = (load(options | {"samples": 4000, "noise": noise}) for noise in (0.0, 0.25))
    if options is XOR:
        assert (noisy.inputs - quiet.inputs).std() == pytest.approx(0.25, rel=0.03)
    else:
        spread = noisy.inputs.var(axis=0) - quiet.inputs.var(axis=0)
        np.testing.assert_allclose(spread, 0.25**2, rtol=0.35)


@pytest.mark.parametrize("classes", [2, 5])
def test_blobs_are_a_round_cloud_a_class(classes):
    samples = load(BLOBS | {"samples": 1000 * classes, "num_classes": classes, "noise": 0.5})
    assert samples.description.num_classes == classes
    for label in range(classes):
        covariance = np.cov(samples.inputs[samples.labels == label].T)
        np.testing.assert_allclose(covariance, 0.25 * np.eye(2), atol=0.04)


def test_the_class_of_xor_is_the_sign_of_the_product():
    samples = load(XOR | {"noise": 0.0})
    assert sorted(set(map(tuple, samples.inputs.tolist()))) == [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    signs = [{"opposite": -1, "same": 1}[samples.description.class_names[label]] for label in samples.labels]
    np.testing.assert_array_equal(signs, samples.inputs.prod(axis=1))


@pytest.mark.parametrize("options", [MOONS, CIRCLES, XOR], ids=lambda options: options["name"])
def test_a_network_learns_what_no_line_can_part(options):
    samples = load(options)
    train, test = np.split(np.random.default_rng(0).permutation(500), 2)
    line = LogisticRegression().fit(samples.inputs[train], samples.labels[train])
    network = MLPClassifier((16, 16), max_iter=3000, random_state=0).fit(samples.inputs[train], samples.labels[train])
    assert network.score(samples.inputs[test], samples.labels[test]) >= 0.95
    assert line.score(samples.inputs[test], samples.labels[test]) < 0.92


# objectives


def train_of(options):
    settings = config(dataset=options, model=MLP_NUMPY, batch_size="full")
    samples = load(options)
    return make(settings, samples, scratch.make(settings, samples.description.shape, 2))


def test_the_quadratic_is_the_loss_of_a_linear_unit_without_bias():
    data = train_of(QUADRATIC)
    (batch,) = data.train.batches(1)
    assert data.description.soft
    np.testing.assert_array_equal(batch.targets, np.full((2, 2), 0.5))
    target = batch.targets @ [-1.0, 1.0]
    for w in np.random.default_rng(0).normal(size=(20, 2)) * 3.0:
        loss = torch.nn.functional.mse_loss(torch.from_numpy(batch.inputs @ w), torch.from_numpy(target)).item()
        assert loss == pytest.approx(0.1 * w[0] ** 2 + 2.0 * w[1] ** 2, rel=1e-13)


def test_the_point_is_the_input_one_of_class_zero():
    (batch,) = train_of(POINT).train.batches(1)
    assert batch.inputs.tolist() == [[1.0]]
    assert batch.targets.tolist() == [0]


@pytest.mark.parametrize("options", [QUADRATIC, POINT], ids=lambda options: options["name"])
def test_objectives_have_a_training_split_alone(options):
    data = train_of(options)
    assert data.val is None
    assert data.test is None
    (batch,) = data.train.in_order()
    assert len(batch.targets) == len(data.train)


# very different numbers of samples


def test_the_classes_of_an_imbalanced_set_have_the_shares_that_were_asked_for():
    assert np.bincount(load(IMBALANCED).labels).tolist() == [350, 100, 40, 8, 2]
    assert np.bincount(load(IMBALANCED | {"shares": [1, 3], "samples": 40}).labels).tolist() == [10, 30]


@pytest.mark.parametrize("samples", [10, 11, 57, 500])
def test_no_class_of_an_imbalanced_set_is_empty_and_no_sample_too_many(samples):
    counts = np.bincount(load(IMBALANCED | {"samples": samples}).labels, minlength=5)
    assert counts.sum() == samples
    assert counts.min() >= 1


def test_more_classes_than_samples_are_refused_with_a_way_out():
    with pytest.raises(RequestError, match=r"too few for 20 classes; try dataset\.samples=500"):
        load(IMBALANCED | {"samples": 10, "shares": [1.0] * 20})


def test_the_rarest_class_has_no_sample_in_the_test_split_and_some_to_train_on():
    settings = config(dataset=IMBALANCED, model=MLP_NUMPY)
    samples = load(IMBALANCED)
    data = make(settings, samples, scratch.make(settings, (2,), 5))
    assert (data.test.labels == 4).sum() == 0
    assert (data.train.labels == 4).sum() == 2
    assert set(data.test.labels) == {0, 1, 2, 3}


def test_clouds_stand_apart_by_more_than_their_noise():
    samples = load(IMBALANCED | {"samples": 5000, "shares": [1, 1, 1], "noise": 0.1})
    centres = np.array([samples.inputs[samples.labels == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 2.0, atol=0.02)
    assert LogisticRegression().fit(samples.inputs, samples.labels).score(samples.inputs, samples.labels) == 1.0
