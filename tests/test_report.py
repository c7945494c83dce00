"""The report of a run: every number in it is the recorded one, and nothing in it reaches out."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from labrunner.figures import FIGURES, draw
from labrunner.records import METRICS, Run, load_run
from labrunner.report import TEMPLATES, render, write
from labrunner.report.measured import MEASURED
from tests.figures.looking import write_run
from tests.folders import DIGITS, HOSTILE, metrics_row
from tests.pages.kept import keep_samples
from tests.pages.reading import Page, agrees, recorded
from tests.reliability import hostile_names
from tests.reliability.hostile_names import assert_nothing_gets_in


def rows_that_diverge() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [metrics_row(epoch, 30, rng) for epoch in range(1, 5)] + [dict.fromkeys(METRICS) | {"epoch": 5, "lr": 0.01}]


CASES: dict[str, dict[str, Any]] = {
    "done": {},
    "hostile": {"classes": HOSTILE, "samples": 3000, "settings": {"select": "last"}},
    "two classes": {"classes": ("benign", "malignant"), "samples": 57, "epochs": 1},
    "classes without samples": {"samples": 7},
    "no val": {"val": False},
    "stopped early": {"epochs": 12, "settings": {"monitor": "val_accuracy", "epochs": 40}},
    "diverged": {"rows": rows_that_diverge(), "status": "diverged", "error": "the loss is not finite at step 137"},
    "failed": {"rows": [], "status": "failed", "error": "out of memory\nafter 3 batches"},
    "interrupted": {"epochs": 7, "status": "interrupted", "error": "signal 2"},
    "interrupted after a resume": {"epochs": 7, "status": "interrupted", "tested": True},
    "smoke": {"epochs": 1, "settings": {"smoke": True}, "typed": ("smoke=true",)},
}


DRAWN_BY_THE_PAGE = {"curves", "metrics", "learning_rate"}  # as curves of its own
OF_MANY_CLASSES = {"confusion", "confusion_true", "confusion_predicted"}  # which are tables where classes are few


@pytest.fixture(params=CASES)
def folder(request, tmp_path) -> Path:
    folder = write_run(tmp_path / "run", **CASES[request.param])
    return keep_samples(folder) if (folder / "predictions.csv").is_file() else folder


def test_every_shown_number_is_the_recorded_one(folder):
    page = Page(render(load_run(folder)))
    wrong = [
        (origin, text, record) for origin, text in page.shown if not agrees(text, record := recorded(folder, origin))
    ]
    assert wrong == []
    assert len(page.shown) > 30


def test_no_number_stands_there_without_its_origin(folder):
    free = Page(render(load_run(folder))).free
    for known in ("95% interval", "F1", "val_f1"):
        free = free.replace(known, "")
    assert re.findall(r"\S*\d\S*", free) == []


def test_the_page_reaches_out_for_nothing(folder):
    text = render(with_every_figure(load_run(folder)))
    assert any(tag == "img" for tag, _ in Page(text).elements)
    assert_nothing_gets_in(hostile_names.Page(text))
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert "{{" not in (TEMPLATES / "style.css").read_text(encoding="utf-8")


def test_hostile_texts_are_shown_and_not_obeyed(tmp_path):
    attack = "</pre><script>alert('x')</script><img src=x onerror=alert(1)>"
    folder = write_run(
        tmp_path / "<b>run",
        classes=HOSTILE,
        error=attack,
        typed=(f"dataset.path={attack}",),
        command=f"labrunner 'dataset.path={attack}'",
        settings={"dataset": {"name": attack, "path": attack, "label": '"><script>'}},
    )
    (folder / "summary.txt").write_text(attack, encoding="utf-8")
    page = Page(render(load_run(folder)))
    assert_nothing_gets_in(hostile_names.Page(render(load_run(folder))))
    assert {"img", "b"}.isdisjoint(tag for tag, _ in page.elements)
    texts = [text for _, text in page.shown]
    assert set(HOSTILE) <= set(texts)
    assert texts.count(attack) >= 3
    assert "run <b>run" in page.free


def test_the_headline_says_what_was_reached_and_how_sure_that_is(tmp_path):
    folder = write_run(tmp_path / "run")
    page = Page(render(load_run(folder)))
    test = json.loads((folder / "test.json").read_text(encoding="utf-8"))
    shown = dict(page.shown)
    assert shown["overrides.yaml#choices/model"] == "mlp"
    assert shown["overrides.yaml#choices/dataset"] == "digits"
    assert shown["test.json#accuracy"] == f"{100 * test['accuracy']:.1f}%"
    assert shown["test.json#accuracy_low"] == f"{100 * test['accuracy_low']:.1f}%"
    assert shown["test.json#accuracy_high"] == f"{100 * test['accuracy_high']:.1f}%"
    assert shown["test.json#epoch"] == str(load_run(folder).chosen.epoch)
    assert {f"test.json#{name}" for name in ("precision", "recall", "f1", "auroc", "n", "loss")} <= set(shown)
    assert "the lowest val_loss" in page.text


def test_a_run_on_code_of_ones_own_is_titled_by_it_where_no_choice_was_recorded(tmp_path):
    folder = write_run(tmp_path / "run")
    said = yaml.safe_load((folder / "config.yaml").read_text())
    said["model"] = {"_target_": "my_tiny.Tiny", "width": 32}
    (folder / "config.yaml").write_text(yaml.safe_dump(said))
    (folder / "overrides.yaml").unlink()
    assert dict(Page(render(load_run(folder))).shown)["config.yaml#model/_target_"] == "my_tiny.Tiny"


def test_one_error_in_two_thousand_is_not_shown_as_none(tmp_path):
    folder = write_run(tmp_path / "run")
    path = folder / "test.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"n": 2000, "accuracy": 0.9995}), encoding="utf-8"
    )
    assert dict(Page(render(load_run(folder))).shown)["test.json#accuracy"] == "99.95%"


def test_the_most_frequent_confusions_are_those_of_the_matrix(tmp_path):
    folder = write_run(tmp_path / "run", samples=1000)
    run = load_run(folder)
    counts = run.confusion.to_numpy()
    most = sorted((int(counts[place]) for place in np.ndindex(counts.shape) if place[0] != place[1]), reverse=True)[:10]
    listed = re.findall(r"<h3>Most frequent confusions</h3>\n(.*?)<h3>", render(run), re.DOTALL)[0]
    shown = [int(text) for origin, text in Page(listed).shown if re.fullmatch(r"confusion.csv#\d+/\d+", origin)]
    assert shown == most


def test_a_perfect_run_has_no_confusions(tmp_path):
    folder = write_run(tmp_path / "run", classes=("a", "b"))
    (folder / "confusion.csv").write_text("true,a,b\na,180,0\nb,0,180\n", encoding="utf-8")
    assert "No test sample was predicted wrongly." in Page(render(load_run(folder))).text


@pytest.mark.parametrize(
    ("typed", "marked"),
    [
        (("optim.lr=0.01",), ["optim.lr"]),
        (("+model.hidden=[64]", "epochs=30"), ["epochs", "model.hidden"]),
        (("optim=adam", "seed=0"), ["seed", "optim"]),
        ((), []),
    ],
)
def test_what_was_typed_is_marked_in_the_config(tmp_path, typed, marked):
    text = render(load_run(write_run(tmp_path / "run", typed=typed)))
    rows = re.findall(r'<tr class="(?:group )?typed(?: differs)?"><th scope="row"><code>([^<]*)</code>', text)
    assert rows == marked
    assert text.count(">typed</span>") == len(marked)


def test_the_command_can_be_copied_from_the_page(tmp_path):
    command = "labrunner 'model.hidden=[64, 64]' reg=dropout 'experiment=a b'"
    shown = dict(Page(render(load_run(write_run(tmp_path / "run", command=command)))).shown)
    assert shown["environment.json#command"] == command


def commands_of(folder: Path, command: str, *resumed: str) -> list[str]:
    """What the page of a run says to repeat it, each held against the record that it names."""
    path = folder / "environment.json"
    entries = [{"from_epoch": 3, "command": each} for each in resumed]
    record = json.loads(path.read_text(encoding="utf-8")) | {"command": command, "resumed": entries}
    path.write_text(json.dumps(record), encoding="utf-8")
    shown = [(origin, text) for origin, text in Page(render(load_run(folder))).shown if "/command" in f"/{origin[17:]}"]
    assert all(agrees(text, recorded(folder, origin)) for origin, text in shown)
    return [text for _, text in shown]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("labrunner hydra.run.dir=runs/1 optim.lr=0.1", "labrunner optim.lr=0.1"),
        ("labrunner 'hydra.run.dir=a b' 'model.hidden=[16, 8]'", "labrunner 'model.hidden=[16, 8]'"),
        ("labrunner -m seed=0,1 ++hydra.sweep.dir=x", "labrunner -m seed=0,1"),
        ("labrunner dataset.path=hydra.run.dir=x", "labrunner dataset.path=hydra.run.dir=x"),
        ("labrunner 'never closed", "labrunner 'never closed"),
        ("", ""),
    ],
)
def test_the_command_to_repeat_a_run_names_no_folder_that_is_there_already(tmp_path, command, shown):
    assert commands_of(write_run(tmp_path / "run"), command) == [shown]


def test_a_run_that_was_only_finished_is_repeated_in_one_piece_and_one_that_went_on_by_all_its_commands(tmp_path):
    folder = write_run(tmp_path / "run")
    began = "labrunner epochs=3 hydra.run.dir=r=1"
    assert commands_of(folder, began, "labrunner resume r1", "labrunner resume r1 figures=none") == [
        "labrunner epochs=3"
    ]
    resumed = "labrunner resume --config-dir mine epochs=5 'my runs'"
    assert commands_of(folder, began, "labrunner resume r1", resumed) == [
        "labrunner epochs=3 hydra.run.dir=again",
        "labrunner resume --config-dir mine epochs=5 again",
    ]


def facts_of(folder: Path, **facts: float) -> Run:
    path = folder / "facts.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | facts), encoding="utf-8")
    return load_run(folder)


FACTS = {"parameters": 1234567, "train_samples": 1079, "val_samples": 359, "steps": 68}


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (
            "done",
            "1,234,567 parameters; learnt from 1,079 samples in 68 steps (30 epochs; the chosen network had 25), val",
        ),
        ("diverged", "1,234,567 parameters; learnt from 1,079 samples, validated on 359."),
        ("failed", "1,234,567 parameters; 1,079 samples to learn from."),
    ],
)
def test_a_run_says_how_many_steps_it_learnt_in_where_all_of_them_were_counted(tmp_path, case, sentence):
    folder = write_run(tmp_path / "run", **CASES[case])
    (folder / "facts.json").write_text("{}", encoding="utf-8")
    text = re.sub(r"<[^>]*>", "", render(facts_of(folder, **FACTS)))
    assert sentence in " ".join(text.split())


def test_a_run_whose_values_are_not_the_defaults_is_not_said_to_have_had_nothing_typed(tmp_path):
    nothing = "Nothing was typed"
    plain, longer = (write_run(tmp_path / name, typed=(), command="labrunner") for name in ("plain", "longer"))
    config = longer / "config.yaml"
    config.write_text(re.sub(r"(?m)^epochs: .*$", "epochs: 61", config.read_text("utf-8")), "utf-8")
    assert "epochs: 61" in config.read_text("utf-8")  # as `labrunner resume RUN epochs=61` leaves it
    assert nothing not in render(load_run(longer))
    assert (nothing in render(load_run(plain))) == ('class="differs"' not in render(load_run(plain)))


def test_a_run_that_diverged_at_once_has_no_table_of_epochs(tmp_path):
    rows = [dict.fromkeys(METRICS) | {"epoch": 1, "lr": 1e6}]
    text = render(load_run(write_run(tmp_path / "run", rows=rows, status="diverged", error="nan at step 5")))
    assert "The numbers of each epoch" not in text
    assert "No epoch was finished" in text


@pytest.mark.parametrize(
    ("choices", "flatters"),
    [
        ({}, True),
        ({"settings": {"select": "last"}}, False),
        ({"settings": {"monitor": "train_loss"}}, False),
        ({"epochs": 1}, False),
    ],
)
def test_val_numbers_are_said_to_flatter_the_epoch_where_they_chose_it(tmp_path, choices, flatters):
    text = " ".join(render(load_run(write_run(tmp_path / "run", tested=False, **choices))).split())
    assert "The val split in the chosen epoch." in text
    assert ("These numbers chose the epoch and flatter it" in text) == flatters


def test_of_a_single_epoch_none_was_chosen_and_without_a_val_split_nothing_is_said_of_it(tmp_path):
    page = Page(render(load_run(write_run(tmp_path / "one", epochs=1))))
    assert "the only one." in " ".join(page.free.split())
    assert "validation values are taken" in page.text
    assert "validation values are taken" not in Page(render(load_run(write_run(tmp_path / "none", val=False)))).text


def test_precision_recall_and_f1_are_written_alike_in_all_tables_and_accuracies_as_percentages(tmp_path):
    page = Page(render(load_run(write_run(tmp_path / "run"))))
    for column, is_share in (("val_accuracy", True), ("val_f1", False), ("val_recall", False), ("val_auroc", False)):
        texts = [text for place, text in page.of("metrics.csv") if place.endswith(f"/{column}")]
        assert texts
        assert {text.endswith("%") for text in texts} == {is_share}
    assert not any(text.endswith("%") for place, text in page.of("per_class.csv") if place.endswith(("recall", "f1")))


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("diverged", "This run diverged: its loss was no longer a finite number."),
        ("failed", "This run failed."),
        ("interrupted", "This run was interrupted before it was finished"),
    ],
)
def test_a_run_that_did_not_finish_says_so_first(tmp_path, case, sentence):
    folder = write_run(tmp_path / "run", **CASES[case])
    page = Page(render(load_run(folder)))
    assert sentence in page.text
    assert dict(page.shown)["status.json#error"] == CASES[case]["error"]
    assert "No test result" in page.text
    assert not any(origin.startswith(("test.json", "per_class", "confusion")) for origin, _ in page.shown)


def test_an_old_test_result_of_a_run_that_went_on_is_called_old(tmp_path):
    text = Page(render(load_run(write_run(tmp_path / "run", **CASES["interrupted after a resume"])))).text
    assert "The test result below is from an earlier end of this run" in text
    assert "The test result below" not in Page(render(load_run(write_run(tmp_path / "done")))).text


def test_a_smoke_run_warns_about_its_numbers(tmp_path):
    text = Page(render(load_run(write_run(tmp_path / "run", **CASES["smoke"])))).text
    assert "This was a smoke test" in text
    assert "asked for" not in text


def test_a_second_reading_of_the_test_split_is_not_hidden(tmp_path):
    folder = write_run(tmp_path / "run")
    path = folder / "test.json"
    assert "The more often the test split is read" not in render(load_run(folder))
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"reads": 3}), encoding="utf-8")
    page = Page(render(load_run(folder)))
    assert dict(page.shown)["test.json#reads"] == "3"
    assert "The more often the test split is read" in page.free


MANY = [f"class {chr(97 + index)}" for index in range(26)]


def test_the_figures_of_the_folder_are_inside_the_page(tmp_path):
    run = load_run(write_run(tmp_path / "run", classes=MANY))
    assert "<img" not in render(run)
    drawn = draw(run, "few")
    images = [attributes for tag, attributes in Page(render(run)).elements if tag == "img"]
    assert {path.stem for path in drawn} == {"curves", "confusion"}
    assert len(images) == 1
    assert images[0]["alt"]
    inside = base64.b64decode(str(images[0]["src"]).removeprefix("data:image/webp;base64,"))
    path = run.path / "figures" / "confusion.png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(inside))), np.asarray(Image.open(path)))
    assert len(inside) < path.stat().st_size / 2


def test_a_figure_that_is_no_picture_or_leads_elsewhere_breaks_no_page(tmp_path):
    run = load_run(write_run(tmp_path / "run", classes=MANY))
    secret = tmp_path / "secret.png"
    Image.new("RGB", (3, 3)).save(secret)
    figures = run.path / "figures"
    (figures / "roc.png").write_bytes(secret.read_bytes()[:30])
    (figures / "classes.png").symlink_to(secret)
    sources = [attributes["src"] for tag, attributes in Page(render(run)).elements if tag == "img"]
    assert sources == ["data:image/png;base64," + base64.b64encode(secret.read_bytes()[:30]).decode()]


def with_every_figure(run: Run) -> Run:
    """The run with a file for every figure in its folder, as far as its page can tell."""
    for name in FIGURES:
        (run.path / "figures" / f"{name}.png").write_bytes(name.encode())
    return run


@pytest.mark.parametrize("classes", [DIGITS, MANY], ids=["ten classes", "many classes"])
def test_every_figure_is_shown_once_with_its_own_picture_alt_text_and_caption_or_drawn_by_the_page(tmp_path, classes):
    text = render(with_every_figure(load_run(write_run(tmp_path / "run", classes=classes))))
    images = [attributes for tag, attributes in Page(text).elements if tag == "img"]
    shown = [base64.b64decode(str(attributes["src"]).partition(",")[2]).decode() for attributes in images]
    pictured = set(FIGURES) - DRAWN_BY_THE_PAGE - (OF_MANY_CLASSES if classes is DIGITS else set())
    assert sorted(shown) == sorted(pictured)
    assert len({attributes["alt"] for attributes in images}) == len(pictured)
    captions = [unescape(each) for each in re.findall(r"<figcaption>([^<]+)</figcaption>", text)]
    assert len(set(captions)) == len(pictured)
    assert not any(re.search(r"\d", caption.replace("F1", "")) for caption in captions)


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in DRAWN_BY_THE_PAGE])
def test_a_figure_alone_in_the_folder_is_shown_alone_and_under_a_heading(tmp_path, name):
    run = load_run(write_run(tmp_path / "run", classes=MANY))
    folded = render(run).count("<details")
    (run.path / "figures" / f"{name}.png").write_bytes(name.encode())
    text = render(run)
    assert text.count("<img") == 1
    assert text.count("<details") <= folded + 1
    before = text[: text.index("<img")]
    assert before.rindex("<h2>") > before.rindex("</header>")


def test_the_first_figures_are_open_and_the_others_one_click_away(tmp_path):
    text = render(with_every_figure(load_run(write_run(tmp_path / "run", classes=MANY))))
    folded = re.findall(r"<details>.*?</details>", text, re.DOTALL)
    inside = [base64.b64decode(data).decode() for part in folded for data in re.findall(r"base64,([^\"]+)", part)]
    open_ones = {"boundary", "confusion", "mistakes", "samples", *MEASURED}  # a probe was asked for
    assert set(FIGURES) - DRAWN_BY_THE_PAGE - set(inside) == open_ones
    assert all("<summary>" in part for part in folded)


@pytest.mark.parametrize("count", [25, 26])
def test_the_table_of_many_classes_is_whole_and_one_click_away(tmp_path, count):
    names = [f"class {chr(97 + index)}" for index in range(count)]
    text = render(load_run(write_run(tmp_path / "run", classes=names, samples=300)))
    table = re.findall(r'<table class="sortable" id="classes">.*?</table>', text, re.DOTALL)[0]
    assert [name for place, name in Page(table).of("per_class.csv") if place.endswith("/class")] == names
    folded = re.findall(r"<details>.*?</details>", text, re.DOTALL)
    assert any("per_class.csv#1/recall" in part for part in folded) == (count > 25)


def test_the_checks_of_a_run_are_in_its_page_with_what_was_found(tmp_path):
    folder = write_run(tmp_path / "run")
    with open(folder / "checks.csv", "w", newline="", encoding="utf-8") as file:
        rows = [["learns", "val_accuracy", "at_least", 0.9, 0.93871866, "true"]]
        rows += [["<b>", "x", "below", 1e-06, "", "false"]]
        csv.writer(file).writerows([["check", "fact", "relation", "expected", "found", "passed"], *rows])
    text = render(load_run(folder))
    shown = dict(Page(text).shown)
    assert shown["checks.csv#1/found"] == "0.938719"
    assert shown["checks.csv#2/found"] == "–"
    assert shown["checks.csv#2/expected"] == "1e-06"
    assert shown["checks.csv#2/check"] == "<b>"
    assert (text.count("✓"), text.count("✗")) == (1, 1)


def test_what_was_frozen_is_in_the_page_stage_by_stage(tmp_path):
    folder = write_run(tmp_path / "run")
    path = folder / "freeze.csv"
    header = "stage,parameters,trainable,thawed,frozen,changed\n"
    path.write_text(header + "<b>block1,352,0,,6,1\nhead,650,650,1,0,0\n", encoding="utf-8")
    page = Page(render(load_run(folder)))
    assert "Freezing" in page.text
    shown = [(origin, text) for origin, text in page.shown if origin.startswith("freeze.csv")]
    assert [text for _, text in shown] == ["<b>block1", "352", "0", "–", "6", "1", "head", "650", "650", "1", "0", "0"]
    assert all(agrees(text, recorded(folder, origin)) for origin, text in shown)


def test_a_run_that_froze_nothing_has_no_table_of_it(tmp_path):
    folder = write_run(tmp_path / "run")
    assert "Freezing" not in render(load_run(folder))
    (folder / "freeze.csv").write_text("stage,parameters,trainable,thawed,frozen,changed\nhead,650,650,1,0,0\n")
    assert "Freezing" not in render(load_run(folder))
    (folder / "freeze.csv").write_text("")
    assert "Freezing" not in render(load_run(folder))


def test_the_manual_of_the_run_folder_describes_every_figure():
    manual = (Path(__file__).parents[1] / "docs" / "run-folder.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]*) \|", manual[manual.index("## Figures") :], re.MULTILINE)
    described = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(described) == sorted(FIGURES)
    few = re.findall(r"^\| `(\w+)` \*few\* \|", manual, re.MULTILINE)
    assert sorted(few) == sorted(name for name, (_, in_few) in FIGURES.items() if in_few)


def test_a_page_is_written_without_torch_and_without_matplotlib(tmp_path):
    folder = keep_samples(write_run(tmp_path / "run"))
    program = (
        "import sys; from labrunner.records import load_run; from labrunner.report import write;"
        "write(load_run(sys.argv[1])); print(sorted({'torch', 'matplotlib', 'scipy', 'sklearn'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (folder / "report.html").is_file()


def test_writing_twice_gives_the_same_bytes(tmp_path):
    run = load_run(write_run(tmp_path / "run", classes=HOSTILE))
    with_every_figure(run)
    first = write(run).read_bytes()
    assert write(load_run(run.path)) == run.path / "report.html"
    assert (run.path / "report.html").read_bytes() == first


@pytest.mark.parametrize(
    ("request_line", "shown"),
    [
        ("model=adaline dataset=quadratic epochs=2", "metrics.csv#2/train_loss"),
        ("dataset=fake dataset.samples=60 dataset.test_fraction=0 epochs=2", "val_loss"),
    ],
)
def test_a_finished_run_without_a_test_split_says_so_and_not_that_it_was_cut(lab, request_line, shown):
    page = Page(render(load_run(lab.train("run", *request_line.split()))))
    assert "No test split" in page.text
    assert "did not get there" not in page.text
    assert "so far" not in page.text
    assert any(origin.endswith(shown) for origin, _ in page.shown)
