"""Names from outside: they stay text in pages, cells, figures and on the terminal, and read back as they were."""

from __future__ import annotations

import csv
import os
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from labrunner.figures import draw
from labrunner.files import written
from labrunner.records import load_run
from labrunner.report import render
from tests.cli.lab import Lab
from tests.lines import cases, line
from tests.reliability.hostile_names import NAMES, Page, assert_nothing_gets_in, assert_the_terminal_stays_clean

RUN = ("model=softmax", "epochs=1", "threads=1", "figures=none", "cache=null")
EACH = 6  # images of a class
EACH_TIME = [
    "a script",
    "a command",
    "two lines",
    "red",
    "from right to left",
    "a formula of TeX",
    "no UTF-8",
    "removal",
]


def pictures(folder: Path, name: str) -> list[Path]:
    """A class of that name with a file of that name, and a plain one; returns the files."""
    made = []
    for label in (name, "plain class"):
        for number in range(EACH):
            path = folder / label / f"{number}.png"
            if (label, number) == (name, 0) and len(os.fsencode(name)) < 245:
                path = folder / label / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((6, 6), 20 * number + (label == name), np.uint8)).save(path, "PNG")
            made.append(path)
    return made


def says(lab: Lab, name: str, *argv: str) -> str:
    """A command that ends well and keeps the terminal clean; returns what it printed."""
    ended = lab(*argv)
    assert ended.code == 0, (argv, ended)
    assert_the_terminal_stays_clean(ended.out + ended.err, name)
    return ended.out


def cells(path: Path) -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def assert_the_names_read_back(folder: Path, names: list[str]) -> None:
    """By the csv module and by pandas, in all files of a run that name classes."""
    assert [row[0] for row in cells(folder / "per_class.csv")[1:]] == names
    assert cells(folder / "confusion.csv")[0][1:] == [row[0] for row in cells(folder / "confusion.csv")[1:]] == names
    assert cells(folder / "predictions.csv")[0][3:] == [f"p_{name}" for name in names]
    table = pd.read_csv(folder / "per_class.csv", dtype={"class": str}, keep_default_na=False)
    assert table["class"].tolist() == names
    assert len(pd.read_csv(folder / "predictions.csv")) == len(cells(folder / "predictions.csv")) - 1
    run = load_run(folder)
    assert (run.per_class["class"].tolist(), run.class_names) == (names, names)


@line(15, "names of classes and image files")
@pytest.mark.parametrize("kind", cases(NAMES, fast=EACH_TIME))
def test_a_class_and_a_file_may_be_called_anything(lab, kind):
    name = NAMES[kind]
    files = pictures(lab.folder / "pictures", name)
    says(lab, name, "dataset=imagefolder", "dataset.root=pictures", "dataset.size=6", "hydra.run.dir=run", *RUN)
    names = [written(each) for each in sorted([name, "plain class"], key=os.fsencode)]
    assert_the_names_read_back(lab.folder / "run", names)
    assert_nothing_gets_in(page := Page(render(load_run(lab.folder / "run"))))
    assert names[0] in page.text
    says(lab, name, "evaluate", "run")
    says(lab, name, "predict", "run", "pictures", "csv=predicted.csv")
    rows = cells(lab.folder / "predicted.csv")[1:]
    assert {row[0] for row in rows} == {written(path.relative_to(lab.folder)) for path in files}
    assert {row[1] for row in rows} <= set(names)
    assert not (lab.folder / "marker").exists()


@line(15, "names of classes in all figures and on the page")
@pytest.mark.parametrize("kind", cases(NAMES, fast=["half a formula"]))
def test_figures_and_page_of_a_class_of_any_name_are_drawn(lab, kind):
    pictures(lab.folder / "pictures", NAMES[kind])
    probes = "probes=[embedding,gradcam,shift]"
    ended = lab(
        "dataset=imagefolder", "dataset.root=pictures", "dataset.size=12", "hydra.run.dir=run", *RUN[1:],
        "model=cnn", "model.channels=[2]", probes,
    )  # fmt: skip
    assert ended.code == 0, ended
    run = load_run(lab.folder / "run")
    assert {"confusion.png", "classes.png", "samples.png"} <= {path.name for path in draw(run)}
    assert_nothing_gets_in(Page(render(run)))


@line(15, "names of labels and columns of a table")
@pytest.mark.parametrize("kind", cases(NAMES, fast=EACH_TIME))
def test_labels_and_columns_of_a_table_may_be_called_anything(lab, kind):
    name = NAMES[kind]
    if kind == "no UTF-8":
        (lab.folder / "table.csv").write_bytes(b"a,y\n1,\xff\n")
        assert lab("dataset=csv", "dataset.path=table.csv", *RUN).code == 2
        return
    with open(lab.folder / "table.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([name, "text", "y"])
        table.writerows([number, name if number % 2 else "b", name if number % 3 else "b"] for number in range(30))
    ended = lab("dataset=csv", "dataset.path=table.csv", "hydra.run.dir=run", *RUN)
    assert_the_terminal_stays_clean(ended.out + ended.err, name)
    assert not (lab.folder / "marker").exists()
    if ended.code == 2:  # a missing value, say
        assert len(ended.err.splitlines()) <= 3
        assert name.strip() in ("", "NA", "nan", "null", "1e5", "-0.5")
        return
    assert ended.code == 0, ended
    known = unicodedata.normalize("NFC", name.strip())
    assert_the_names_read_back(lab.folder / "run", sorted({known, "b"}))
    assert_nothing_gets_in(Page(render(load_run(lab.folder / "run"))))
    says(lab, name, "evaluate", "run")
    says(lab, name, "predict", "run", "table.csv", "csv=predicted.csv")


@line(15, "names of run folders and data sets")
@pytest.mark.parametrize("kind", cases(NAMES, fast=EACH_TIME))
def test_a_run_folder_and_a_data_set_may_be_called_anything(lab, kind):
    name = NAMES[kind]
    pictures(lab.folder / name / "of", "a class")
    if kind in ("no UTF-8", "a variable"):
        ended = lab("dataset=imagefolder", f"dataset.root=./{name}/of", *RUN)
        assert (ended.code, len(ended.err.splitlines())) == (2, 1)
        assert os.environ.get("HOME", "/root") not in ended.err
        (lab.folder / name).rename(lab.folder / "plain")
        name = "plain"
    run = lab.folder / f"{name if kind == 'a variable' else NAMES[kind]}x"[-200:] / "run"
    place = os.path.relpath(run, lab.folder)
    says(
        lab,
        name,
        "dataset=imagefolder",
        f"dataset.root=./{name}/of",
        "dataset.size=6",
        f"hydra.run.dir=./{place}",
        *RUN,
    )
    assert (run / "test.json").is_file()
    says(lab, name, "resume", f"./{place}", "epochs=2", "figures=none")
    says(lab, name, "evaluate", f"./{place}")
    says(lab, name, "ls", ".")
    says(lab, name, "predict", f"./{place}", f"./{name}/of", "csv=predicted.csv")
    says(lab, name, "doctor", f"./{place}")
    page = Page(render(load_run(run)))
    assert_nothing_gets_in(page)
    assert not (lab.folder / "marker").exists()
