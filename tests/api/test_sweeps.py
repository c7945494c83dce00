"""A sweep from Python: the command's own folder, its table as a DataFrame, and what did not go well said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import labrunner
from labrunner.api import LabrunnerWarning
from labrunner.errors import RequestError
from labrunner.records import RunFolder
from tests.cli.lab import assert_same_run, tree
from tests.sweeps import write_sweep

QUICK = ("dataset=fake", "dataset.samples=80", "dataset.size=8", "model.hidden=[8]", "epochs=2", "figures=none")
RATES = ("optim.lr=0.001,0.01", "seed=0,1")


def sweep(*overrides: str, **options) -> labrunner.api.Sweep:
    return labrunner.sweep(*overrides, progress=False, **options)


@pytest.fixture(scope="module")
def rates(tmp_path_factory: pytest.TempPathFactory) -> labrunner.api.Sweep:
    from tests.cli.lab import Undrawn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labrunner.drawing.Drawing", Undrawn)
        return sweep(*RATES, *QUICK, folder=tmp_path_factory.mktemp("rates") / "sweep")


def test_python_and_the_command_line_make_the_same_sweep(lab, rates):
    assert lab("-m", "hydra.sweep.dir=there", *RATES, *QUICK).code == 0
    for number in range(4):
        assert_same_run(rates.path / str(number), Path("there", str(number)))
    listed = labrunner.load_sweep("there")
    columns = [name for name in rates.table if name != "seconds"]
    pd.testing.assert_frame_equal(listed.table[columns], rates.table[columns])


def test_the_table_is_that_of_sweep_csv(rates):
    written = pd.read_csv(rates.path / "sweep.csv")
    pd.testing.assert_frame_equal(rates.table, written, check_dtype=False)
    assert list(rates.table.number[:1]) == [int(rates.best.path.name)]
    assert rates.best.rows.val_loss.min() == rates.table.val_loss.min()


def test_seeds_are_folded_as_pandas_groups_them(rates):
    grouped = rates.table.groupby("optim.lr").val_accuracy
    folded = rates.folded.set_index("optim.lr")
    np.testing.assert_allclose(folded.val_accuracy, grouped.mean()[folded.index])
    np.testing.assert_allclose(folded.val_accuracy_sd, grouped.std()[folded.index])
    assert list(folded.n) == [2, 2]


def test_runs_go_by_their_number(rates):
    assert list(rates.runs) == [0, 1, 2, 3]
    assert [(run.config["optim"]["lr"], run.config["seed"]) for run in rates.runs.values()] == [
        (0.001, 0),
        (0.001, 1),
        (0.01, 0),
        (0.01, 1),
    ]
    assert rates.keys == ["optim.lr", "seed"]


def test_figures_of_a_sweep_are_drawn_on_demand(rates):
    assert list(rates.figures) == []
    axes = rates.figures["validation"].figure().axes
    drawn = [line.get_ydata() for ax in axes for line in ax.get_lines()]
    mean = (rates.runs[0].rows.val_loss + rates.runs[1].rows.val_loss) / 2  # of the seeds
    assert any(np.shape(values) == (2,) and np.allclose(values, mean) for values in drawn)
    with pytest.raises(KeyError, match="did you mean validation"):
        rates.figures["validaton"]


def test_what_a_notebook_shows_of_a_sweep_is_its_table(rates, lab):
    shown = rates._repr_html_()
    assert "sweep of 4 runs over optim.lr, seed: 4 done; sorted by val_loss" in shown
    assert shown.index("<td>0.01</td>") < shown.index("<td>0.001</td>")
    text = (rates.path / "sweep.yaml").read_text()
    lab.write("sweep/sweep.yaml", text.replace("optim.lr", "<script>"))
    assert "<script>" not in labrunner.load_sweep("sweep")._repr_html_()


def test_the_verdict_is_what_stands_in_the_folder(rates):
    path = rates.path / "verdict.csv"
    if path.is_file():
        pd.testing.assert_frame_equal(rates.verdict, pd.read_csv(path))
        path.unlink()
    assert rates.verdict is None
    path.write_text("a,b,p\noptim.lr=0.01,optim.lr=0.001,0.5\n")
    assert rates.verdict.p[0] == 0.5


def test_a_run_that_diverges_or_fails_is_warned_of_and_the_others_are_made(lab, monkeypatch):
    with pytest.warns(LabrunnerWarning, match=r"run 1 diverged: optim.lr=1000000000000\.0$"):
        made = sweep("optim=sgd", "optim.lr=0.01,1e12", *QUICK)
    assert sorted(made.table.status) == ["diverged", "done"]
    assert made.best is not None
    commit = RunFolder.commit

    def failing(self, *row):
        if self.path.name == "0":
            raise ValueError("no luck")
        commit(self, *row)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "commit", failing)
        with pytest.warns(LabrunnerWarning, match=r"run 0 \(seed=0\) failed: .*no luck"):
            made = sweep("seed=0,1", *QUICK)
    assert list(made.table.status) == ["done", "failed"]
    assert made.resume(progress=False) is made
    assert list(made.table.status) == ["done", "done"]


@pytest.mark.parametrize("typed", ["optim.lr=1,-2", "optim.lr=", "hydra.run.dir=x"])
def test_a_refused_sweep_leaves_nothing(lab, typed):
    with pytest.raises(RequestError) as refused:
        sweep(typed)
    assert lab("-m", typed).err.startswith(f"labrunner: error: {str(refused.value).splitlines()[0]}")
    assert tree(lab.folder) == {}
    with pytest.raises(RequestError, match="jobs is given twice"):
        sweep("jobs=2", jobs=2)
    with pytest.raises(RequestError, match="no sweep folder"):
        labrunner.load_sweep(".")


def test_the_front_door_names_what_it_has_and_imports_it_when_it_is_asked_for(tmp_path):
    code = (
        "import sys, labrunner\nassert {'run', 'sweep', 'load_run', 'load_sweep'} <= set(dir(labrunner))\n"
        "assert 'labrunner.api' not in sys.modules\nfrom labrunner import run, load_run\n"
        "print('torch' in sys.modules, run.__module__)\n"
        "try: labrunner.ran\nexcept AttributeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.splitlines() == [
        "False labrunner.api",
        "module 'labrunner' has no attribute 'ran'",
    ], done.stderr


def test_among_runs_of_other_splits_none_is_best(tmp_path):
    made = write_sweep(tmp_path / "s", [{"optim.lr": 0.1}, {"optim.lr": 0.2}], epochs=2, samples=20)
    assert labrunner.load_sweep(made.path).best is not None
    config = made.path / "1/config.yaml"
    config.write_text(config.read_text().replace("split_seed: 0", "split_seed: 1"))
    assert labrunner.load_sweep(made.path).best is None
