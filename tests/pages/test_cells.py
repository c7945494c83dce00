"""The confusion matrix of a run's page: each count is the matrix's, and behind it stand the samples of that cell."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labrunner.records import load_run
from labrunner.report import render
from labrunner.report.cells import MANY_CLASSES, MOST_INDEXES
from labrunner.report.features import MOST_FEATURES
from labrunner.report.origin import probability
from labrunner.report.pictures import MOST_BYTES, SIDE, data_uri
from labrunner.results import archive
from tests.figures.looking import write_run
from tests.folders import HOSTILE
from tests.pages.kept import keep_samples
from tests.pages.reading import Page, agrees, recorded


def panels(text: str) -> dict[str, str]:
    """Id -> the markup of what a cell opens."""
    parts = text.split('<div class="panel" id="')[1:]
    return {part.partition('"')[0]: part.partition("</section>")[0] for part in parts}


def predicted(folder: Path) -> list[tuple[int, int, int]]:
    """(index, label, predicted) of all test samples."""
    with open(folder / "predictions.csv", newline="", encoding="utf-8") as file:
        return [(int(row[0]), int(row[1]), int(row[2])) for row in list(csv.reader(file))[1:]]


def indexes(panel: str) -> list[int]:
    shown = [(origin, text) for origin, text in Page(f'<div id="{panel}').shown if origin.endswith("/index")]
    return [int(index) for _, text in shown for index in text.split(", ")]


def test_each_cell_of_the_matrix_is_a_cell_of_confusion_csv(tmp_path):
    folder = write_run(tmp_path / "run", classes=HOSTILE, samples=300)
    table = re.findall(r'<table class="matrix.*?</table>', render(load_run(folder)), re.DOTALL)[0]
    with open(folder / "confusion.csv", newline="", encoding="utf-8") as file:
        truth = [cells[1:] for cells in list(csv.reader(file))[1:]]
    cells = list(Page(table).of("confusion.csv"))
    assert cells == [(f"{row + 1}/{column + 1}", truth[row][column]) for row in range(10) for column in range(10)]


def test_behind_each_cell_that_is_not_zero_stand_its_samples_and_no_others(tmp_path):
    folder = keep_samples(write_run(tmp_path / "run"))
    text = render(load_run(folder))
    found, truth = panels(text), predicted(folder)
    cells = {(label, guess) for _, label, guess in truth}
    assert set(found) == {f"cell-{label + 1}-{guess + 1}" for label, guess in cells}
    matrix = re.findall(r'<table class="matrix.*?</table>', text, re.DOTALL)[0]
    assert set(re.findall(r'popovertarget="([^"]+)"', matrix)) == set(found)
    for label, guess in cells:
        members = [index for index, *cell in truth if cell == [label, guess]]
        listed = indexes(found[f"cell-{label + 1}-{guess + 1}"])
        assert len(set(listed)) == len(listed)
        assert set(listed) == set(members) if len(members) <= MOST_INDEXES else set(listed) <= set(members)


def test_a_picture_in_a_panel_has_the_pixels_of_its_sample(tmp_path):
    folder = keep_samples(write_run(tmp_path / "run"))
    kept = np.load(folder / "samples.npz")
    found = 0
    for panel in panels(render(load_run(folder))).values():
        for picture, index in re.findall(r'<img src="([^"]+)" alt="sample (\d+)">', panel):
            image = Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2])))
            [at] = np.flatnonzero(kept["index"] == int(index))
            assert np.array_equal(np.asarray(image), np.rint(kept["image"][at, 0] * (255 / 16)).astype(np.uint8))
            found += 1
    assert found == len(kept["index"])


def test_a_panel_says_how_many_of_its_samples_are_shown_and_which_are_not(tmp_path):
    folder = keep_samples(write_run(tmp_path / "run", samples=2000))
    kept = np.load(folder / "samples.npz")
    truth = predicted(folder)
    label, guess = 2, 2
    panel = panels(render(load_run(folder)))["cell-3-3"]
    members = [index for index, *cell in truth if cell == [label, guess]]
    shown = [int(i) for i, *cell in zip(kept["index"], kept["label"], kept["predicted"], strict=True) if cell == [2, 2]]
    sentence = " ".join(re.sub(r"<[^>]*>", "", panel.partition("<p>")[2]).split())
    assert sentence.startswith(f"{len(shown)} of {len(members)} shown")
    others = [index for index in members if index not in shown]
    assert indexes(panel) == [*shown, *others[:MOST_INDEXES]]
    assert len(others) > MOST_INDEXES
    assert "and more in predictions.csv" in panel


def test_mistakes_stand_in_the_order_of_their_confidence(tmp_path):
    folder = keep_samples(write_run(tmp_path / "run", samples=2000))
    several = 0
    for name, panel in panels(render(load_run(folder))).items():
        _, label, guess = name.split("-")
        values = [recorded(folder, origin) for origin, _ in Page(f'<div id="{panel}').shown if "/confidence" in origin]
        if label != guess:
            assert values == sorted(values, reverse=True)
            several += len(values) > 1
    assert several > 3


def test_no_rounding_makes_a_probability_certain():
    texts = {value: probability(value, "").text for value in (1.0, 0.5, 0.9996, 0.99999, 0.9999999, 1 - 1e-12, np.nan)}
    assert list(texts.values()) == ["100.0%", "50.0%", "99.96%", "99.999%", "99.99999%", "100.00000%", "–"]


def table_of(folder: Path, names: list[str], **said: object) -> Path:
    """A run on a table of these features."""
    keep_samples(write_run(folder, classes=("benign", "malignant")), shape=(len(names),), white=None)
    record = {"white": None, "feature_names": names, **said}
    (folder / "preprocessing.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_of_a_table_of_numbers_a_panel_lists_index_probability_and_every_feature_by_its_name(tmp_path):
    names = ["width", "<b>height", "since", "age"]
    folder = table_of(tmp_path / "run", names, offsets={"since": 1_700_000_000.0})
    text = render(load_run(folder))
    assert "<img" not in text
    kept = np.load(folder / "samples.npz")
    seen = 0
    for panel in panels(text).values():
        page = Page(f'<div id="{panel}')
        if "<table" not in panel:
            continue
        assert [text for origin, text in page.shown if "feature_names" in origin] == names
        assert all(agrees(text, recorded(folder, origin)) for origin, text in page.shown)
        values = [float(text) for origin, text in page.shown if "/image/" in origin]
        rows = [int(text) for origin, text in page.shown if re.fullmatch(r"samples.npz#\d+/index", origin)]
        for at, index in enumerate(rows):
            [place] = np.flatnonzero(kept["index"] == index)
            assert values[4 * at : 4 * at + 4] == [
                *kept["image"][place, :2],
                1.7e9 + kept["image"][place, 2],
                kept["image"][place, 3],
            ]
            seen += 1
    assert seen == len(kept["index"])


@pytest.mark.parametrize("said", [None, ["width"], {"feature_names": ["only one"]}, {"feature_names": 4}])
def test_features_without_names_of_their_own_are_left_out(tmp_path, said):
    folder = table_of(tmp_path / "run", ["a", "b"])
    path = folder / "preprocessing.json"
    path.unlink() if said is None else path.write_text(json.dumps(said), encoding="utf-8")
    panel = panels(render(load_run(folder)))["cell-1-2"]
    assert "/image/" not in panel
    assert "/confidence" in panel


def test_of_very_many_features_the_first_are_shown_and_the_panel_says_so(tmp_path):
    few, many = ([f"feature {at}" for at in range(count)] for count in (MOST_FEATURES, MOST_FEATURES + 1))
    for names in (few, many):
        panel = panels(render(load_run(table_of(tmp_path / str(len(names)), names))))["cell-1-2"]
        assert panel.count('<th scope="col"') == 2 + MOST_FEATURES
        assert ("the data set has more" in panel) == (names is many)


@pytest.mark.parametrize("count", [MANY_CLASSES, MANY_CLASSES + 1])
def test_of_many_classes_the_most_frequent_confusions_open_and_there_is_no_table(tmp_path, count):
    names = [f"class {chr(97 + at)}" for at in range(count)]
    folder = keep_samples(write_run(tmp_path / "run", classes=names, samples=600))
    text = render(load_run(folder))
    assert ('<table class="matrix' in text) == (count <= MANY_CLASSES)
    listed = re.findall(r"<h3>Most frequent confusions</h3>\n(.*?)<h3>", text, re.DOTALL)[0]
    opened = re.findall(r'popovertarget="([^"]+)"', listed)
    assert len(opened) == 10
    assert set(opened) <= set(panels(text))
    if count > MANY_CLASSES:
        assert set(opened) == set(panels(text))


def test_large_images_are_scaled_down_and_what_a_page_has_no_room_for_is_named(tmp_path):
    folder = keep_samples(write_run(tmp_path / "run", samples=1500), shape=(3, 80, 120), most=200, white=255.0)
    text = render(load_run(folder))
    pictures = re.findall(r'<img src="([^"]+)" alt="sample', text)
    assert 10 < len(pictures) < 200
    assert sum(map(len, pictures)) < MOST_BYTES + 30_000
    sizes = {Image.open(io.BytesIO(base64.b64decode(each.partition(",")[2]))).size for each in pictures}
    assert sizes == {(SIDE, round(SIDE * 80 / 120))}
    kept = np.load(folder / "samples.npz")
    assert {int(index) for panel in panels(text).values() for index in indexes(panel)} >= set(kept["index"].tolist())
    wrong = {int(index) for index in kept["index"][kept["label"] != kept["predicted"]]}
    first = [int(index) for index in re.findall(r'alt="sample (\d+)"', text)]
    assert set(first[: min(len(first), len(wrong))]) <= wrong, "mistakes come first"


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (4, "L")])
def test_three_channels_are_colours_and_others_their_mean_in_grey(channels, mode):
    image = np.random.default_rng(0).integers(0, 256, size=(channels, 5, 7)).astype(np.uint8)
    shown = Image.open(io.BytesIO(base64.b64decode(data_uri(image, 255.0).partition(",")[2])))
    assert (shown.mode, shown.size) == (mode, (7, 5))
    truth = image.transpose(1, 2, 0) if channels == 3 else np.rint(image.mean(axis=0))
    assert np.array_equal(np.asarray(shown), truth)


ODD = {
    "labels that are texts": {"label": np.array(["a", "b"])},
    "labels beyond the classes": {"label": np.array([900, -3])},
    "labels in a square": {"label": np.zeros((2, 2), dtype=int)},
    "indexes that are no numbers": {"index": np.array([np.nan, np.inf])},
    "confidences that are no numbers": {"confidence": np.array([np.nan, np.inf])},
    "images without pixels": {"image": np.zeros((2, 1, 0, 4), dtype=np.uint8)},
    "images of complex numbers": {"image": np.zeros((2, 1, 4, 4), dtype=complex)},
    "images of NaN": {"image": np.full((2, 3, 4, 4), np.nan)},
    "one number for all images": {"image": np.zeros((2,))},
    "white is nothing": {"white": np.float64(0)},
    "white is NaN": {"white": np.float64("nan")},
    "white is several": {"white": np.ones(3)},
    "white is text": {"white": np.array("white")},
}


@pytest.mark.parametrize("kind", ODD)
def test_whatever_a_stranger_calls_samples_the_page_is_written(tmp_path, kind):
    folder = write_run(tmp_path / "run")
    plain = {"index": np.arange(2), "image": np.zeros((2, 1, 4, 4), dtype=np.uint8), "label": np.array([0, 1])}
    plain |= {"predicted": np.array([1, 1]), "confidence": np.array([0.5, 0.6]), "white": np.float64(16)}
    (folder / "samples.npz").write_bytes(archive(plain | ODD[kind]))
    text = render(load_run(folder))
    assert "Confusion matrix" in text
    assert panels(text), "of predictions.csv"


def test_without_samples_and_predictions_a_cell_opens_nothing(tmp_path):
    folder = write_run(tmp_path / "run")
    assert panels(render(load_run(folder)))
    for spoil in (lambda path: path.write_text('index,"label\n'), lambda path: path.unlink()):
        spoil(folder / "predictions.csv")
        text = render(load_run(folder))
        assert not panels(text)
        assert "popovertarget" not in text
        assert '<table class="matrix' in text


def test_class_names_in_a_panel_are_shown_and_not_obeyed(tmp_path):
    folder = keep_samples(write_run(tmp_path / "run", classes=HOSTILE, samples=400))
    title = re.findall(r'<h4 id="cell-1-1-title">(.*?)</h4>', render(load_run(folder)), re.DOTALL)[0]
    assert "<script" not in title
    assert HOSTILE[0] in unescape(title)
