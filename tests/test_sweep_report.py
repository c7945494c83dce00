"""The page of a sweep and of a comparison: its numbers are those of the files beside it, and nothing gets in."""

from __future__ import annotations

import csv
import json
import re
import statistics
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

from labrunner.figures.comparison import COMPARISONS
from labrunner.records import METRICS, Sweep, SweepFolder, load_sweep
from labrunner.report.compared import COMPARED
from labrunner.report.sweeps import render, write
from labrunner.verdict import renew
from tests.pages.reading import Page, agrees
from tests.pages.reading import recorded as recorded_of_run
from tests.reliability import hostile_names
from tests.reliability.hostile_names import NAMES, assert_nothing_gets_in
from tests.sweeps import write_sweep
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

RATES = [{"optim.lr": lr, "reg.l1": 0.5, "seed": seed} for lr in (0.001, 0.01, 0.1) for seed in range(3)]


def recorded(folder: Path, origin: str) -> Any:
    """What the files say, in the forms of labrunner.report.origin, of which a run's page has some."""
    if origin.startswith("minus "):
        return -float(recorded(folder, origin.removeprefix("minus ")))
    if origin.endswith(" in points"):
        return 100 * float(recorded(folder, origin.removesuffix(" in points")))
    if origin.endswith(" key"):
        parts = origin.removesuffix(" key").partition("#")[2].split("/")
        return ".".join(part for part in parts if part not in ("name", "_target_"))
    name, _, place = origin.removesuffix(" count").partition("#")
    if origin.endswith(" count") and not place:
        with open(folder / name, newline="", encoding="utf-8") as file:
            return len(list(csv.reader(file))) - 1
    for how, reduce in (("count", len), ("mean", statistics.mean), ("sd", statistics.stdev)):
        if origin.endswith(f" {how}"):
            path, _, place = origin.removesuffix(f" {how}").partition("#")
            before, rows, column = re.fullmatch(r"(runs/)?([\d,]+)/(.+)", place).groups()
            cells = [recorded(folder, f"{path}#{before or ''}{row}/{column}") for row in rows.split(",")]
            return reduce(cells if how == "count" else [float(each) for each in cells])
    return recorded_of_run(folder, origin)


def judged(sweep: Sweep) -> Sweep:
    """The sweep with the tables that its end writes."""
    with SweepFolder.open(sweep.path) as folder:
        renew(folder, sweep)
    return load_sweep(sweep.path)


def differing_configs(sweep: Sweep) -> Sweep:
    """The values of a made-up sweep written into the configs of its runs."""
    for member in sweep.members:
        path = member.path / "config.yaml"
        if path.is_file():
            config = yaml.safe_load(path.read_text())
            for key, value in member.values.items():
                group, _, name = key.rpartition(".")
                given = {"name": value} if name in ("optim",) else value
                (config.setdefault(group, {}) if group else config)[name] = given
            path.write_text(yaml.safe_dump(config, sort_keys=False))
    return load_sweep(sweep.path)


CASES: dict[str, dict[str, Any]] = {
    "seeds": {"values": RATES},
    "seeds of which some diverged": {
        "values": RATES,
        "statuses": {4: "diverged", 6: "diverged", 7: "diverged", 8: "diverged"},
    },
    "one seed each": {"values": [{"optim.lr": lr} for lr in (0.001, 0.01, 0.1, 1)], "samples": 90},
    "one seed, none tested": {"values": [{"optim.lr": lr} for lr in (0.001, 0.01)], "tested": False},
    "nothing done": {"values": RATES[:3], "statuses": {0: "failed", 1: "missing", 2: "interrupted"}},
    "the seed alone": {"values": [{"seed": seed} for seed in range(3)]},
    "words and lists": {
        "values": [{"model.hidden": h, "optim": o} for h in ([64], [64, 64], None) for o in ("adam", "sgd")]
    },
    "a comparison": {"values": RATES, "comparison": True},
    "a comparison by another monitor": {"values": RATES, "comparison": True, "monitor": "val_auroc"},
}


@pytest.fixture(scope="module", params=CASES)
def sweep(request, tmp_path_factory) -> Sweep:
    case = {"epochs": 3, "samples": 30, **CASES[request.param]}
    made = judged(differing_configs(write_sweep(tmp_path_factory.mktemp("sweep") / "s", **case)))
    header = ["check", "fact", "relation", "expected", "found", "passed"]
    with SweepFolder.open(made.path) as folder:
        folder.write_csv("checks.csv", header, [["learns", "val_accuracy", "at_least", 0.9, 0.93871866, "true"]])
    return made


def test_every_shown_number_is_the_recorded_one(sweep):
    page = Page(render(sweep))
    wrong = [
        (origin, text, record)
        for origin, text in page.shown
        if not agrees(text, record := recorded(sweep.path, origin))
    ]
    assert wrong == []
    assert len(page.shown) > 3 * len(sweep.runs)


def test_no_number_stands_there_without_its_origin(sweep):
    free = Page(render(sweep)).free
    for known in ("95% interval", "F1", "'seed=range(5)'"):
        free = free.replace(known, "")
    assert re.findall(r"\S*\d\S*", free) == []


def test_every_run_of_the_table_is_on_the_page_with_all_its_numbers(sweep):
    file = "comparison.csv" if sweep.is_comparison else "sweep.csv"
    with open(sweep.path / file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    shown = {origin for origin, _ in Page(render(sweep)).shown}
    expected = {f"{file}#{at}/{name}" for at, row in enumerate(rows, start=1) for name, text in row.items() if text}
    assert expected <= shown


def test_nothing_gets_in_and_no_link_leads_elsewhere(sweep):
    assert_only_links_to_runs(render(sweep))


def assert_only_links_to_runs(text: str) -> list[str]:
    page = hostile_names.Page(text)
    links = [attributes for tag, attributes in page.elements if tag == "a"]
    assert all(
        set(each) == {"href"} and re.fullmatch(r"\./[^:?#<>\"]*/report\.html", each["href"] or "") for each in links
    )
    page.elements = [(tag, attributes) for tag, attributes in page.elements if tag != "a"]
    assert_nothing_gets_in(page)
    assert not re.search(r"https?:|url\(|@import", "".join(page.within["style"]))
    return [each["href"] or "" for each in links]


@pytest.fixture(scope="module")
def over_seeds(tmp_path_factory) -> Sweep:
    return judged(write_sweep(tmp_path_factory.mktemp("seeds") / "s", RATES, epochs=3, samples=30))


def test_a_deviation_has_the_decimals_of_its_mean(tmp_path):
    rows = {
        seed: [dict.fromkeys(METRICS, 0.5) | {"epoch": 1, "val_loss": loss, "val_f1": 0.9 + 1e-5 * seed}]
        for seed, loss in enumerate([2e-6, 3e-6, 4e-6])
    }
    values = [{"optim.lr": 0.1, "seed": seed} for seed in range(3)]
    page = Page(render(judged(write_sweep(tmp_path / "s", values, rows=rows, samples=20))))
    shown = {origin.rpartition("/")[2]: text for origin, text in page.shown if origin.endswith((" mean", " sd"))}
    assert (shown["val_f1 mean"], shown["val_f1 sd"]) == ("0.9000", "0.0000")
    assert (shown["val_loss mean"], shown["val_loss sd"]) == ("3.00000e-06", "1.00000e-06")


def test_the_verdict_is_told_in_the_words_that_are_printed(over_seeds):
    from labrunner.verdict import judge, words

    text = Page(render(over_seeds)).free
    judgement = judge(over_seeds)
    with open(over_seeds.path / "verdict.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(judgement.pairs) == 3
    flat = " ".join(unescape(re.sub(r"<[^>]+>", "", render(over_seeds))).split())
    from labrunner.told import plain

    assert all(plain(sentence) in flat for sentence in words.sentences(judgement))
    assert words.scope(judgement) in " ".join(text.split())
    assert words.headline(judgement) in flat


def test_a_verdict_of_other_runs_is_not_shown(tmp_path):
    sweep = judged(write_sweep(tmp_path / "s", RATES, epochs=3, samples=30))
    test = sweep.path / "4/test.json"
    test.write_text(json.dumps(json.loads(test.read_text()) | {"accuracy": 0.5}))
    page = Page(render(load_sweep(sweep.path)))
    assert "The runs have changed since their verdict was written" in page.text
    assert not any(origin.startswith("verdict.csv") for origin, _ in page.shown)
    assert any(origin.startswith("verdict.csv") for origin, _ in Page(render(judged(load_sweep(sweep.path)))).shown)


def test_a_sweep_that_was_cut_before_its_first_table_has_a_page(tmp_path):
    sweep = write_sweep(tmp_path / "s", RATES, epochs=2, statuses=dict.fromkeys(range(9), "missing"))
    assert "There is no table of the runs yet" in Page(render(sweep)).text
    (sweep.path / "sweep.csv").write_bytes(b"\xff\x00 no,\ntable")
    assert "There is no table of the runs yet" in Page(render(sweep)).text


def test_links_lead_to_the_pages_that_there_are(tmp_path):
    sweep = judged(write_sweep(tmp_path / "s", RATES[:4], epochs=2, samples=30))
    assert assert_only_links_to_runs(render(sweep)) == []
    for number in (0, 2):
        (sweep.path / str(number) / "report.html").write_text("a page")
    (sweep.path / "3/report.html").mkdir()
    found = set(assert_only_links_to_runs(render(sweep)))
    assert found == {"./0/report.html", "./2/report.html"}


def test_a_comparison_links_to_runs_elsewhere_and_a_sweep_does_not(tmp_path):
    compared = judged(write_sweep(tmp_path / "a #b%", RATES[:2], epochs=2, samples=30, comparison=True))
    for member in compared.members:
        (member.path / "report.html").write_text("a page")
    links = assert_only_links_to_runs(render(compared))
    assert set(links) == {f"./../a%20%23b%25-runs/{number}/report.html" for number in (0, 1)}
    with SweepFolder.open(compared.path) as folder:
        folder.write(Sweep(compared.path, compared.keys, compared.members))
    (compared.path / "comparison.yaml").unlink()
    assert assert_only_links_to_runs(render(judged(load_sweep(compared.path)))) == []


def test_values_as_nobody_should_give_them_are_text(tmp_path):
    odd = ("two lines", "both", "from right to left", "NUL in words", "no UTF-8", "null", "a quote", "spaces")
    names = [*list(NAMES.values())[:9], *(NAMES[name] for name in odd)]  # the first are made against pages
    values = [{"dataset.path": name, "seed": seed} for name in names for seed in (0, 1)]
    sweep = judged(write_sweep(tmp_path / "s", values, epochs=1, samples=20, classes=("a", "b")))
    text = render(sweep)
    assert_only_links_to_runs(text)
    shown = dict(Page(text).shown)
    with open(sweep.path / "sweep.csv", newline="", encoding="utf-8") as file:
        for at, row in enumerate(csv.DictReader(file), start=1):
            assert shown[f"sweep.csv#{at}/dataset.path"] == row["dataset.path"]
    assert "verdict.csv#1/a" in shown


def test_a_hostile_list_of_runs_is_text(tmp_path):
    attack = "</pre><script>alert('x')</script><img src=x onerror=alert(1)>"
    sweep = judged(write_sweep(tmp_path / "<b>s", [{attack: 1, "seed": s} for s in (0, 1)], epochs=1, samples=20))
    with SweepFolder.open(sweep.path) as folder:
        folder.write(Sweep(sweep.path, sweep.keys, sweep.members, overrides=[attack], command=f"labrunner {attack}"))
        folder.write_csv(
            "checks.csv",
            ["check", "fact", "relation", "expected", "found", "passed"],
            [[attack] * 3 + ["", "", "false"]],
        )
    text = render(load_sweep(sweep.path))
    assert_only_links_to_runs(text)
    assert [shown for _, shown in Page(text).shown].count(f"labrunner {attack}") == 1


def test_every_figure_that_a_sweep_can_have_is_shown_with_an_alt_text_and_a_caption_of_its_own(tmp_path):
    assert set(COMPARED) == set(COMPARISONS)
    sweep = judged(write_sweep(tmp_path / "s", RATES[:2], epochs=1, samples=20))
    for name in (*COMPARISONS, "not_ours"):
        (sweep.path / "figures" / f"{name}.png").write_bytes(name.encode())
    images = [attributes for tag, attributes in Page(render(sweep)).elements if tag == "img"]
    assert len({each["src"] for each in images}) == len(images) == len(COMPARISONS)
    assert len({each["alt"] for each in images}) == len(COMPARISONS)


def test_a_figure_that_is_a_link_is_not_looked_into(tmp_path):
    sweep = judged(write_sweep(tmp_path / "s", RATES[:2], epochs=1, samples=20))
    (tmp_path / "secret").write_bytes(b"secret")
    (sweep.path / "figures/bars.png").symlink_to(tmp_path / "secret")
    assert "<img" not in render(sweep)


def test_the_command_to_repeat_a_sweep_leaves_its_folder_alone(tmp_path):
    sweep = write_sweep(tmp_path / "s", [{"seed": seed} for seed in range(2)], epochs=1, samples=20, classes=("a", "b"))
    command = "labrunner -m 'seed=0,1' hydra.sweep.dir=s"
    with SweepFolder.open(sweep.path) as folder:
        folder.write(Sweep(sweep.path, sweep.keys, sweep.members, overrides=["seed=0,1"], command=command))
    assert ("sweep.yaml#command anew", "labrunner -m seed=0,1") in Page(render(load_sweep(sweep.path))).shown


def test_the_command_that_makes_the_sweep_can_be_copied(over_seeds):
    assert ("sweep.yaml#command", "labrunner -m") in Page(render(over_seeds)).shown


def test_writing_twice_gives_the_same_bytes(over_seeds):
    first = write(over_seeds.path).read_bytes()
    assert write(over_seeds.path).read_bytes() == first


def test_the_drawing_process_writes_the_page_after_the_figures(tmp_path):
    from labrunner.drawing import Drawing

    sweep = judged(write_sweep(tmp_path / "s", RATES, epochs=3, samples=30))
    with Drawing() as drawing:
        drawing.ask(sweep.path, "few")
        assert drawing.finish() == []
    drawn = sorted(path.stem for path in (sweep.path / "figures").glob("*.png"))
    text = (sweep.path / "report.html").read_text()
    assert drawn
    assert text.count("<img") == len(drawn)
