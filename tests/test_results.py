"""Which test samples a run keeps for its figures."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from labrunner.records import load_run
from labrunner.results import (
    CONFIDENT,
    GRID,
    MOST_POINTS,
    MOST_SAMPLES,
    PER_CELL,
    archive,
    chosen_samples,
    plane,
)
from labrunner.thinning import evenly


def guessed(classes: int, count: int, wrong: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions of which a share is wrong, and confidences."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, size=count)
    predicted = np.where(rng.random(count) < wrong, rng.integers(0, classes, size=count), labels)
    return labels, predicted, rng.random(count)


def test_the_most_confident_mistakes_are_kept_and_a_few_of_each_cell():
    labels, predicted, confidence = guessed(4, 2000, 0.2)
    kept = chosen_samples(labels, predicted, confidence, MOST_SAMPLES)
    assert (np.diff(kept) > 0).all()
    wrong = np.flatnonzero(labels != predicted)
    most = wrong[np.argsort(-confidence[wrong])]
    assert set(most[:CONFIDENT]) <= set(kept)
    for true in range(4):
        for guess in range(4):
            cell = np.flatnonzero((labels == true) & (predicted == guess))
            ours = cell if true == guess else cell[np.argsort(-confidence[cell])]
            assert set(ours[:PER_CELL]) <= set(kept)
            more = set(cell) & set(kept) - set(ours[:PER_CELL])
            assert more <= set(most[:CONFIDENT])


def test_of_ten_thousand_cells_every_class_and_the_most_confident_mistakes_come_first():
    labels, predicted, confidence = guessed(100, 60_000, 0.5)
    kept = chosen_samples(labels, predicted, confidence, MOST_SAMPLES)
    assert len(kept) == len(set(kept)) == MOST_SAMPLES
    right = kept[labels[kept] == predicted[kept]]
    assert np.bincount(labels[right], minlength=100).tolist() == [PER_CELL] * 100
    wrong = np.flatnonzero(labels != predicted)
    assert set(wrong[np.argsort(-confidence[wrong])][:CONFIDENT]) <= set(kept)
    few = chosen_samples(labels, predicted, confidence, CONFIDENT + 100)
    right = few[labels[few] == predicted[few]]
    assert np.bincount(labels[right], minlength=100).tolist() == [1] * 100


@pytest.mark.parametrize("most", [1, 7, 600])
def test_equal_confidences_keep_the_earlier_sample_and_nothing_is_kept_twice(most):
    labels, predicted, _ = guessed(3, 300, 0.3)
    kept = chosen_samples(labels, predicted, np.full(300, 0.5), most)
    wrong = np.flatnonzero(labels != predicted)
    assert len(kept) == len(set(kept)) <= most
    assert set(wrong[: min(most, CONFIDENT)]) <= set(kept)


def test_a_split_that_is_all_right_or_all_wrong_is_kept_as_well():
    labels = np.arange(10) % 2
    confidence = np.linspace(0.5, 1.0, 10)
    assert chosen_samples(labels, labels, confidence, 600).tolist() == list(range(8))
    assert chosen_samples(labels, 1 - labels, confidence, 600).tolist() == list(range(10))


def test_samples_npz_agrees_with_predictions_csv_and_knows_what_is_white(lab):
    run = load_run(lab.train("run", "dataset=digits", "epochs=1"))
    kept, table = run.samples, run.predictions.set_index("index").loc[run.samples["index"]]
    np.testing.assert_array_equal(kept["label"], table["label"])
    np.testing.assert_array_equal(kept["predicted"], table["predicted"])
    np.testing.assert_array_equal(kept["confidence"], table.filter(regex="^p_").max(axis=1))
    assert kept["image"].shape == (len(table), 1, 8, 8)
    assert float(kept["white"]) == 16.0
    assert "white" not in load_run(lab.train("table", "dataset=iris", "epochs=1")).samples


def test_the_pixels_of_large_images_stay_within_their_share_of_the_disk(lab, monkeypatch):
    monkeypatch.setattr("labrunner.results.MOST_BYTES", 10_000)
    setting = ("dataset=fake", "dataset.samples=200", "dataset.size=16", "dataset.channels=3", "epochs=1")
    image = load_run(lab.train("run", *setting)).samples["image"]
    assert image.nbytes <= 10_000
    assert len(image) == 10_000 // (3 * 16 * 16)


def test_a_run_keeps_its_most_confident_mistakes_however_few_samples_it_may_keep(lab, monkeypatch):
    monkeypatch.setattr("labrunner.results.MOST_SAMPLES", 30)
    run = load_run(lab.train("run", "dataset=digits", "epochs=1"))
    table = run.predictions
    wrong = table[table["label"] != table["predicted"]]
    most = wrong.loc[wrong.filter(regex="^p_").max(axis=1).nlargest(CONFIDENT).index, "index"]
    assert len(most) == CONFIDENT
    assert set(most) <= set(run.samples["index"])
    assert len(run.samples["index"]) == 30


def test_the_same_predictions_keep_the_same_samples_and_equal_arrays_are_equal_bytes():
    labels, predicted, confidence = guessed(7, 3000, 0.3)
    kept = chosen_samples(labels, predicted, confidence, 100)
    np.testing.assert_array_equal(chosen_samples(labels.copy(), predicted.copy(), confidence.copy(), 100), kept)
    # which samples there are besides, and what the classes are called, changes nothing of the order of the mistakes
    np.testing.assert_array_equal(chosen_samples(6 - labels, 6 - predicted, confidence, 100), kept)
    content = archive({"index": kept, "confidence": confidence[kept]})
    assert content == archive({"index": kept.copy(), "confidence": confidence[kept]})
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        assert {member.date_time for member in members.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("points", [[[0, 5], [2, 5]], [[1e30, -1e30], [2e30, 1e-30]], [[3, 3]]], ids=str)
def test_the_plane_lies_around_the_points_and_never_shrinks_to_a_line(points):
    values = np.array(points, dtype=np.float32)
    for axis, column in zip(plane(values), values.T, strict=True):
        assert axis.dtype == np.float32
        assert len(axis) == GRID
        assert axis[0] < column.min() <= column.max() < axis[-1]
        assert (np.diff(axis) > 0).all()


@pytest.mark.parametrize("count", [1, 2, MOST_POINTS, MOST_POINTS + 1, 123_456])
def test_of_many_points_some_are_kept_from_the_first_to_the_last(count):
    kept = evenly(count, MOST_POINTS)
    assert len(set(kept)) == len(kept) == min(count, MOST_POINTS)
    assert kept[0] == 0
    assert kept[-1] == count - 1
