"""labrunner report: figures and report again from the files, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from labrunner.cli import Arguments, main
from labrunner.errors import RequestError
from labrunner.files import read_csv
from labrunner.records import Member, Sweep, SweepFolder
from labrunner.verbs import report
from tests.cli.lab import Undrawn
from tests.folders import write_run
from tests.sweeps import write_sweep as write_made_up


class Asked(Undrawn):
    """The drawing process, of which only what it was asked for is kept."""

    folders: list[tuple[str, str]]
    messages: list[str]

    def ask(self, folder: Path, which: str = "all") -> None:
        Asked.folders.append((str(folder), which))

    def finish(self, timeout: float = 0.0) -> list[str]:
        return Asked.messages


@pytest.fixture
def asked(tmp_path, monkeypatch) -> list[tuple[str, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("labrunner.drawing.Drawing", Asked)
    Asked.folders, Asked.messages = [], []
    return Asked.folders


def drawn(*words: str, overrides: tuple[str, ...] = ()) -> int:
    return report.main(Arguments(verb="report", words=list(words), overrides=list(overrides)))


def write_sweep(path: Path, runs: list[Path], comparison: bool = False) -> Path:
    members = [Member(number, run, {"optim.lr": 0.1 * number}, []) for number, run in enumerate(runs)]
    with SweepFolder.open(path) as folder:
        folder.write(Sweep(path, ["optim.lr"], members, is_comparison=comparison))
    return path


def test_a_run_is_drawn_by_the_drawing_process_with_all_figures_unless_fewer_are_asked_for(asked, capsys):
    write_run(Path("one"))
    assert drawn("one") == 0
    assert drawn("one/", overrides=("figures=few",)) == 0
    assert asked == [("one", "all"), ("one", "few")]
    assert capsys.readouterr().out == 2 * f"drawn: {Path('one/report.html')}\n"


def test_figures_that_few_takes_away_are_told(asked, capsys, monkeypatch):
    write_run(Path("one"))
    Path("one/figures").mkdir(exist_ok=True)
    for name in ("loss", "roc", "calibration"):
        Path(f"one/figures/{name}.png").touch()
    assert drawn("one", overrides=("figures=few",)) == 0  # nothing goes while nothing is drawn
    assert "taken away" not in capsys.readouterr().out

    def finish(self, timeout: float = 0.0) -> list[str]:
        Path("one/figures/roc.png").unlink()
        Path("one/figures/calibration.png").unlink()
        return []

    monkeypatch.setattr(Asked, "finish", finish)
    assert drawn("one", overrides=("figures=few",)) == 0
    assert "2 figures of an earlier drawing taken away" in capsys.readouterr().out


def test_a_sweep_is_drawn_after_those_of_its_runs_that_have_begun(asked, capsys):
    sweep = Path("sweep")
    write_sweep(sweep, [sweep / "0", sweep / "1", sweep / "2"])
    for number in (0, 2):
        write_run(sweep / str(number), epochs=2)
    assert drawn("sweep") == 0
    assert asked == [("sweep/0", "all"), ("sweep/2", "all"), ("sweep", "all")]
    assert capsys.readouterr().out == "drawn, with 2 runs: sweep/report.html\n"


@pytest.mark.parametrize("comparison", [True, False])
def test_runs_that_stand_elsewhere_are_left_as_they_are(asked, comparison):
    write_run(Path("elsewhere"))
    write_sweep(Path("folder"), [Path("elsewhere")], comparison)
    assert drawn("folder") == 0
    assert asked == [("folder", "all")]


def test_the_table_and_the_verdict_of_a_sweep_are_those_of_its_runs_as_they_are_now(asked):
    made = write_made_up(Path("s"), [{"optim.lr": lr, "seed": seed} for lr in (0.1, 0.01) for seed in (0, 1)], epochs=2)
    assert drawn("s") == 0
    before = read_csv(made.path / "verdict.csv")
    write_test(made.path / "3", accuracy=0.5)
    assert drawn("s") == 0
    header, (after,) = read_csv(made.path / "verdict.csv")
    assert after != before[1][0]
    assert "0.5" in [row[-4] for row in read_csv(made.path / "sweep.csv")[1]]
    assert header[:3] == ["a", "b", "metric"]


def test_the_tables_of_a_sweep_that_is_being_worked_on_stay_as_they_are(asked, capsys):
    made = write_made_up(Path("s"), [{"optim.lr": lr} for lr in (0.1, 0.01)], epochs=2)
    with SweepFolder.open(made.path):
        assert drawn("s") == 0
    assert "its table and verdict stay as they are" in capsys.readouterr().err
    assert not (made.path / "sweep.csv").exists()
    assert ("s", "all") in asked


def test_a_comparison_whose_runs_are_gone_keeps_what_was_written_of_them(asked):
    made = write_made_up(Path("c"), [{"optim.lr": lr} for lr in (0.1, 0.01)], epochs=2, comparison=True)
    assert drawn("c") == 0
    before = [(made.path / name).read_bytes() for name in ("comparison.csv", "mcnemar.csv")]
    assert read_csv(made.path / "comparison.csv")[0][-1] == "folder"
    shutil.rmtree(made.members[0].path)
    assert drawn("c") == 0
    assert [(made.path / name).read_bytes() for name in ("comparison.csv", "mcnemar.csv")] == before


def write_test(run: Path, **changes: float) -> None:
    test = json.loads((run / "test.json").read_text())
    (run / "test.json").write_text(json.dumps(test | changes))


def test_a_folder_that_is_named_twice_is_drawn_once(asked):
    write_run(Path("one"), epochs=2)
    assert drawn("one", "./one") == 0
    assert asked == [("one", "all")]


def test_a_run_that_was_cut_is_drawn_as_far_as_it_got(asked):
    write_run(Path("cut"), status="interrupted", epochs=3)
    assert drawn("cut") == 0
    assert asked == [("cut", "all")]


def test_a_folder_whose_name_holds_an_equal_sign_is_a_folder(asked):
    write_run(Path("lr=0.1"), epochs=2)
    assert drawn(overrides=("lr=0.1",)) == 0
    assert asked == [("lr=0.1", "all")]


@pytest.mark.parametrize(
    ("words", "overrides", "said"),
    [
        ((), (), "report takes run folders"),
        (("nowhere",), (), "nowhere"),
        (("empty",), (), "no run folder"),
        (("one", "empty"), (), "no run folder"),
        (("one",), ("figures=some",), "all, few"),
        (("one",), ("epochs=3",), "figures=all"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is(asked, words, overrides, said):
    write_run(Path("one"), epochs=2)
    Path("empty").mkdir()
    with pytest.raises(RequestError, match=said):
        drawn(*words, overrides=overrides)
    assert asked == []


def test_a_link_that_leads_out_of_the_folder_is_refused(asked, tmp_path):
    write_run(Path("one"), epochs=2)
    (tmp_path / "outside.png").write_bytes(b"mine")
    os.symlink(tmp_path / "outside.png", "one/figures/curves.png")
    with pytest.raises(RequestError, match="symbolic link"):
        drawn("one")
    assert asked == []


def test_what_could_not_be_drawn_is_said_and_the_exit_code_is_one(asked, capsys):
    write_run(Path("one"), epochs=2)
    Asked.messages = ["one: not all could be drawn: curves.png: no"]
    assert drawn("one") == 1
    streams = capsys.readouterr()
    assert streams.err == "labrunner: error: one: not all could be drawn: curves.png: no\n"
    assert streams.out == ""


def test_the_command_asks_for_a_run_that_was_trained_and_touches_nothing_but_its_page(lab):
    lab.train("run", "dataset=iris", "epochs=1")
    before = lab.tree()
    ended = lab("report", "run")
    assert (ended.code, ended.out, ended.err) == (0, f"drawn: {Path('run/report.html')}\n", "")
    after = lab.tree()
    assert after.pop("run/report.html") == b"figures=all"
    before.pop("run/report.html")
    assert after == before
    assert lab("report", "figures=few", "run").code == 0
    assert lab.tree()["run/report.html"] == b"figures=few"


def test_the_command_names_the_page_of_a_sweep_which_has_its_figures(lab):
    assert lab("-m", "hydra.sweep.dir=sweep", "dataset=iris", "epochs=1", "seed=0,1", "figures=none").code == 0
    ended = lab("report", "sweep")
    assert (ended.code, ended.err) == (0, "labrunner: drawing 3 folders\n")
    assert ended.out == f"drawn, with 2 runs: {Path('sweep/report.html')}\n"
    assert lab.tree()["sweep/0/report.html"] == lab.tree()["sweep/1/report.html"] == b"figures=all"


@pytest.mark.parametrize("argv", [("report",), ("report", "nowhere"), ("report", "run", "epochs=3")], ids=" ".join)
def test_the_command_refuses_what_it_cannot_draw_with_exit_code_two(lab, argv):
    lab.train("run", "dataset=iris", "epochs=1")
    before = lab.tree()
    ended = lab(*argv)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("labrunner: error: ")
    assert lab.tree() == before


def test_the_command_draws_what_was_deleted_and_changes_no_other_file(tmp_path, capsys):
    folder = write_run(tmp_path / "run", epochs=4)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["report", str(folder), "figures=few"]) == 0
    assert (folder / "report.html").is_file()
    assert sorted(path.name for path in (folder / "figures").iterdir()) == ["confusion.png", "curves.png"]
    assert before == {path: path.read_bytes() for path in before}
    assert main(["report", str(folder), "figures=none"]) == 2
    assert "all or few" in capsys.readouterr().err
    assert len(list((folder / "figures").iterdir())) == 2
