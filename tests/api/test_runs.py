"""A run from Python: the command's own files, numbers and refusals, in a session that goes on."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_iris

import labrunner
from labrunner.api import LabrunnerWarning
from labrunner.api.words import in_python
from labrunner.errors import RequestError, RunError
from labrunner.records import RunFolder
from tests.cli.lab import assert_same_run, tree

QUICK = ("epochs=2", "model.hidden=[16]", "figures=none")
IRIS = ("dataset=iris", "model=softmax", "epochs=2", "figures=none")


def run(*overrides: str, **options) -> labrunner.api.Run:
    return labrunner.run(*overrides, progress=False, **options)


def probabilities(table: pd.DataFrame) -> np.ndarray:
    return table.filter(regex="^p_").to_numpy()


TINY = """from torch import nn


class Tiny(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH))
        self.head = nn.Linear(WIDTH, num_classes)

    def forward(self, images):
        return self.head(self.backbone(images))
"""


def write_model(lab, width: int) -> None:
    lab.write("conf/model/tiny.yaml", "# Tiny.\n_target_: tiny_net.Tiny\n")
    lab.write("tiny_net.py", TINY.replace("WIDTH", str(width)))


# the run


def test_python_and_the_command_line_make_the_same_run_to_the_byte(lab):
    made = run(*QUICK, folder="here")
    assert_same_run(made.path, lab.train("there", *QUICK))
    told = [
        (lab.folder / name / "environment.json").read_text().partition('"command"')[2] for name in ("here", "there")
    ]
    assert "labrunner epochs=2 'model.hidden=[16]' figures=none hydra.run.dir=here" in told[0]
    assert (made.status, made.path, len(made.rows), made.test["epoch"]) == ("done", Path("here"), 2, made.chosen.epoch)


def test_overrides_come_one_by_one_and_in_lists(lab):
    made = run(["epochs=1"], "model.hidden=[16]", ("figures=none", "seed=3"))
    assert made.overrides["overrides"] == ["epochs=1", "model.hidden=[16]", "figures=none", "seed=3"]
    assert made.path.parent == Path("outputs/runs")


@pytest.mark.parametrize("typed", ["modle=cnn", "optim.lr=-1", "model=cnn dataset=iris", "seed=${x}"])
def test_what_the_command_refuses_is_refused_in_the_same_words_and_leaves_nothing(lab, typed):
    said = lab(*typed.split()).err
    before = tree(lab.folder)
    with pytest.raises(RequestError) as refused:
        run(*typed.split())
    lines = str(refused.value).splitlines()
    assert said.splitlines() == [f"labrunner: error: {lines[0]}", *(f"  {line}" for line in lines[1:])]
    assert tree(lab.folder) == before


def test_what_is_to_be_typed_next_is_python(lab):
    with pytest.raises(RequestError, match=re.escape('a sweep over them is: labrunner.sweep("optim.lr=1,2")')):
        run("optim.lr=1,2")


@pytest.mark.parametrize(
    ("said", "call"),
    [
        ("labrunner -m 'model.hidden=[3],[4]' seed=1,2", 'labrunner.sweep("model.hidden=[3],[4]", "seed=1,2")'),
        ("labrunner -m --config-dir 'a b' seed=1", 'labrunner.sweep("seed=1", config_dir="a b")'),
        ("labrunner resume 'my run' epochs=4", 'labrunner.load_run("my run").resume("epochs=4")'),
        ("labrunner resume sweep", 'labrunner.load_sweep("sweep").resume()'),
        ("labrunner resume run; or not", "labrunner resume run; or not"),
        ("--trust takes it from wherever", "trust=True takes it from wherever"),
        ("labrunner resume 'half", "labrunner resume 'half"),
    ],
)
def test_commands_at_the_end_of_a_line_become_calls(lab, said, call):
    lab.write("sweep/sweep.yaml", "")
    assert in_python(f"first\nto go on: {said}\nlast") == f"first\nto go on: {call}\nlast"


def test_keys_that_come_as_keywords_are_shown_as_they_are_written(lab):
    cases = {
        'run("epochs=3")': lambda: run(epochs=3),
        'run("optim.lr=0.1", "model.hidden=[3,4]", "smoke=true")': lambda: run(
            **{"optim.lr": 0.1, "model.hidden": [3, 4], "smoke": True}
        ),
        'sweep("seed=0,1,2")': lambda: labrunner.sweep(seed=range(3)),
        "run has no foldr=; did you mean folder=?": lambda: run("epochs=1", foldr="here"),
    }
    for text, call in cases.items():
        with pytest.raises(RequestError, match=re.escape(text)):
            call()
    assert tree(lab.folder) == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"overrides": [3]}, 'as "optim.lr=0.01"'),
        ({"overrides": [["epochs=1", None]]}, 'as "optim.lr=0.01"'),
        ({"overrides": [{"optim.lr": 1}]}, 'as "optim.lr=0.01"'),
        ({"overrides": ["hydra.run.dir=a"], "folder": "b"}, "given twice"),
        ({"overrides": ["experiment=learning_rates"]}, "labrunner.sweep"),
        ({"overrides": [], "config_dir": "nowhere"}, "no such folder"),
    ],
)
def test_what_only_python_can_get_wrong_is_refused_too(lab, arguments, words):
    with pytest.raises(RequestError, match=words):
        run(*arguments.pop("overrides"), **arguments)
    assert tree(lab.folder) == {}


def test_a_used_folder_is_refused_and_left_as_it_is(lab):
    made = run(*QUICK, folder="run")
    before = tree(made.path)
    with pytest.raises(RequestError, match="holds a run already"):
        run(*QUICK, folder="run")
    assert tree(made.path) == before


def test_a_run_that_diverges_is_returned_with_a_warning_at_the_line_that_asked_for_it(lab):
    with pytest.warns(LabrunnerWarning, match="diverged.*smaller optim.lr") as warned:
        made = labrunner.run("optim=sgd", "optim.lr=1e9", *QUICK, progress=False)
    assert (made.status, made.test, made.chosen) == ("diverged", None, None)
    assert warned[0].filename == __file__


def test_a_warning_of_which_python_makes_an_error_does_no_harm_to_the_run(lab):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(LabrunnerWarning):
            run("optim=sgd", "optim.lr=1e9", *QUICK, folder="run")
    assert labrunner.load_run("run").status == "diverged"


def test_a_run_that_fails_raises_and_says_so_in_its_folder(lab):
    write_model(lab, 4)
    with open("tiny_net.py", "a") as file:
        file.write("\n    def train(self, mode=True):\n        self.asked = getattr(self, 'asked', 0) + 1\n")
        file.write("        assert self.asked < 12, 'enough'\n        return super().train(mode)\n")
    with pytest.raises(RunError, match="enough"):
        run("model=tiny", "epochs=30", "figures=none", folder="run")
    assert labrunner.load_run("run").status == "failed"


def test_failed_checks_under_strict_are_warned_of(lab):
    with pytest.warns(LabrunnerWarning, match="1 of 1 checks failed"):
        made = run(*QUICK, "strict=true", "checks=[{fact: val_accuracy, at_least: 1.5}]")
    assert not made.checks.passed.any()


def test_progress_goes_to_stderr_and_nothing_to_stdout(lab):
    lab.capture.readouterr()
    run("model.hidden=[16]", "dataset.val_fraction=0", "epochs=1", "figures=none")
    assert lab.capture.readouterr() == ("", "")
    labrunner.sweep("seed=0,1", *QUICK)
    said = lab.capture.readouterr()
    assert (said.out, said.err.count("epoch 2 of 2")) == ("", 2)


# the session


def test_a_thread_makes_the_run_that_the_main_thread_makes(lab):
    made = {}
    threads = [
        threading.Thread(target=lambda name=name: made.update({name: run(*QUICK, folder=name)})) for name in ("a", "b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run(*QUICK, folder="c")
    assert sorted(made) == ["a", "b"]
    assert_same_run(Path("a"), Path("c"))
    assert_same_run(Path("b"), Path("c"))


def interrupted(monkeypatch: pytest.MonkeyPatch, signum: int, times: int = 1) -> None:
    """A signal, or several, as the first epoch is written."""
    commit = RunFolder.commit

    def with_signal(self, row, *rest):
        commit(self, row, *rest)
        if row["epoch"] == 1:
            for _ in range(times):
                signal.raise_signal(signum)

    monkeypatch.setattr(RunFolder, "commit", with_signal)


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_an_interrupted_run_raises_what_python_does_and_goes_on_to_the_same_bytes(lab, monkeypatch, times):
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        interrupted(patch, signal.SIGINT, times)
        with pytest.raises(KeyboardInterrupt, match=re.escape('to go on: labrunner.load_run("run").resume()')):
            run(*QUICK, folder="run")
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before
    cut = labrunner.load_run("run")
    assert (cut.status, len(cut.rows)) == ("interrupted", 1)
    assert cut.resume(progress=False) is cut
    assert (cut.status, len(cut.rows)) == ("done", 2)
    assert_same_run(cut.path, run(*QUICK, folder="whole").path)


def test_sigterm_does_what_the_session_says_once_the_state_is_saved(lab, monkeypatch):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(labrunner.load_run("run").status))
    try:
        interrupted(monkeypatch, signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            run(*QUICK, folder="run")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == ["interrupted"]


def test_a_signal_that_the_session_ignores_is_ignored(lab, monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupted(monkeypatch, signal.SIGINT)
        assert run(*QUICK).status == "done"
    finally:
        signal.signal(signal.SIGINT, before)


def test_settings_of_the_session_change_nothing_and_are_kept(lab):
    import torch

    whole = run(*QUICK, "reg.dropout=0.5", folder="whole")
    errors, state = np.seterr(all="raise"), torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode():
            made = run(*QUICK, "reg.dropout=0.5", folder="run")
        kept = torch.get_default_dtype(), np.geterr()["under"]
    finally:
        torch.set_default_dtype(torch.float32)
        np.seterr(**errors)
    assert_same_run(made.path, whole.path)
    assert kept == (torch.float64, "raise")
    assert torch.equal(torch.get_rng_state(), state)


def test_hydra_set_up_by_the_session_is_left_to_it(lab):
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    with hydra.initialize_config_dir(str(lab.folder), version_base=None):
        assert run(*QUICK).status == "done"
        assert GlobalHydra.instance().is_initialized()


def test_a_model_that_was_edited_is_the_model_that_is_trained(lab):
    write_model(lab, 4)
    sys.path.append(str(lab.folder))
    import tiny_net  # as a notebook may, before any run

    assert tiny_net.Tiny((1, 8, 8), 10).head.in_features == 4
    widths = []
    for width in (11, 7):
        write_model(lab, width)
        made = run("model=tiny", "epochs=1", "figures=none")
        widths.append((made.model.head.in_features, made.environment["versions"]["tiny_net.py"]))
    assert [width for width, _ in widths] == [11, 7]
    assert widths[0][1] != widths[1][1]


# what a folder holds


def test_load_run_reads_what_run_returned(lab):
    made = run(*QUICK, folder="run")
    read = labrunner.load_run("run")
    pd.testing.assert_frame_equal(read.rows, made.rows)
    pd.testing.assert_frame_equal(read.predictions, made.predictions)
    assert (read.test, read.facts, read.config) == (made.test, made.facts, made.config)
    with open("run/metrics.csv") as file:
        assert [float(row["val_loss"]) for row in csv.DictReader(file)] == list(read.rows.val_loss)


def test_what_is_no_run_folder_is_refused(lab):
    with pytest.raises(RequestError, match="no run folder"):
        labrunner.load_run("nowhere")
    labrunner.sweep("seed=0", *QUICK, folder="sweep", progress=False)
    with pytest.raises(RequestError, match="load_sweep"):
        labrunner.load_run("sweep")


def test_a_resume_extends_a_run_to_what_it_would_have_been(lab):
    made = run("epochs=1", *QUICK[1:], folder="run").resume(epochs=2, progress=False)
    assert len(made.rows) == 2
    whole = run(*QUICK, folder="whole")
    assert (made.path / "metrics.csv").read_bytes() == (whole.path / "metrics.csv").read_bytes()
    with pytest.raises(RequestError, match="resume keeps"):
        made.resume("optim.lr=1")
    with pytest.raises(RequestError, match="only add"):
        made.resume(epochs=1)


def test_figures_are_those_of_the_folder_and_any_other_on_demand(lab):
    from matplotlib.figure import Figure

    from labrunner.figures import draw

    made = run(*QUICK)
    assert list(made.figures) == []
    draw(made, "few")
    assert list(made.figures) == ["confusion", "curves"]
    drawn = made.figures["curves"]
    assert drawn._repr_png_() == (made.path / "figures" / "curves.png").read_bytes()
    axes = drawn.figure().axes
    lines = [line.get_ydata() for ax in axes for line in ax.get_lines()]
    assert any(np.array_equal(values, made.rows.val_loss) for values in lines)
    assert "roc" not in made.figures
    assert isinstance(made.figures["roc"].figure(), Figure)
    made.figures["roc"].save("roc.png")
    with Image.open("roc.png") as image:
        assert image.size[0] > 1000
    Path("secret").write_text("mine")
    (made.path / "figures" / "classes.png").symlink_to(Path("secret").absolute())
    assert "classes" not in made.figures
    assert made.figures["classes"].png[:4] == b"\x89PNG"
    for name, words in (("curvse", "did you mean curves"), ("boundary", "nothing to show")):
        with pytest.raises(KeyError, match=words):
            made.figures[name]


def test_what_a_notebook_shows_of_a_run_is_its_numbers_and_no_markup_of_a_strangers(lab):
    made = run(*QUICK, folder="run")
    shown = made._repr_html_()
    assert f"<td>{made.test['accuracy']:.4f}</td>" in shown
    assert "mlp on digits: done" in shown
    Path("run/overrides.yaml").write_text("choices: {model: '<img src=x onerror=alert(1)>'}\n")
    Path("run/status.json").write_text('{"status": "<script>", "error": ["</div><b>"]}')
    Path("run/test.json").write_text('{"accuracy": "<i>", "f1": [1], "accuracy_low": "x", "loss": 1e999}')
    shown = labrunner.load_run("run")._repr_html_()
    for mark in ("<img", "<script", "<i>", "</div><b>"):
        assert mark not in shown
    assert "&lt;img" in shown


def test_reading_a_strangers_run_executes_nothing_and_its_model_is_not_loaded_untrusted(lab):
    write_model(lab, 4)
    made = run("model=tiny", "epochs=1", "figures=none", folder="run")
    sys.modules.pop("tiny_net")
    (lab.folder / "elsewhere").mkdir()
    shutil.move("tiny_net.py", "elsewhere/tiny_net.py")
    read = labrunner.load_run("run")
    assert len(read.rows) == len(made.rows) == 1
    with pytest.raises(RequestError, match="trust"):
        read.predict(load_digits().images[:2])
    with pytest.raises(RequestError, match="trust"):
        _ = read.model
    sys.path.append(str(lab.folder / "elsewhere"))
    assert len(labrunner.load_run("run", trust=True).predict(load_digits().images[:2])) == 2


# predictions


def test_arrays_of_the_test_images_get_the_probabilities_of_predictions_csv(lab):
    made = run(*QUICK)
    expected = made.predictions
    images = load_digits().images[expected["index"]]
    for given in (images, images.astype(np.uint8), images[:, None], list(images)):
        said = made.predict(given)
        np.testing.assert_allclose(probabilities(said), probabilities(expected), rtol=0, atol=1e-12)
    assert list(said.predicted) == [str(number) for number in expected.predicted]
    np.testing.assert_array_equal(said.probability, probabilities(said).max(axis=1))
    assert list(said.columns) == ["predicted", "probability", *(f"p_{digit}" for digit in range(10))]


def test_files_are_predicted_as_by_the_command_and_broken_ones_are_warned_of(lab):
    made = run(*QUICK, folder="run")
    (lab.folder / "images").mkdir()
    for number, image in enumerate(load_digits().images[:5]):
        Image.fromarray(np.rint(image * (255 / 16)).astype(np.uint8)).save(f"images/{number}.png")
    said = made.predict("images")
    assert lab("predict", "run", "images", "csv=out.csv").code == 0
    written = pd.read_csv("out.csv", dtype={"predicted": str}, index_col="file")
    pd.testing.assert_frame_equal(said, written, check_exact=True)
    Path("images/bad.png").write_text("no image")
    with pytest.warns(LabrunnerWarning, match=r"1 of 6 files .*bad\.png"):
        pd.testing.assert_frame_equal(made.predict([Path("images")]), said)
    with pytest.raises(RequestError, match="no image can be read"):
        made.predict(Path("images/bad.png"))


def test_rows_of_a_dataframe_a_csv_and_an_array_get_the_same_predictions(lab):
    made = run(*IRIS, folder="run")
    iris = load_iris(as_frame=True)
    expected = made.predictions
    values = iris.data.to_numpy()[expected["index"]]
    by_array = made.predict(values)
    np.testing.assert_allclose(probabilities(by_array), probabilities(expected), rtol=0, atol=1e-12)
    columns = json.loads(Path("run/preprocessing.json").read_text())["feature_names"]
    frame = pd.DataFrame(values, columns=columns, index=[f"flower {number}" for number in expected["index"]])
    by_frame = made.predict(frame[columns[::-1]].assign(colour="blue"))
    assert list(by_frame.index) == list(frame.index)
    pd.testing.assert_frame_equal(by_frame.reset_index(drop=True), by_array)
    frame.to_csv("rows.csv", index=False)
    by_file = made.predict("rows.csv")
    assert (by_file.index.name, by_file.index[0]) == ("row", 1)
    pd.testing.assert_frame_equal(by_file.reset_index(drop=True), by_array)


def test_columns_of_a_csv_lose_their_offset_in_every_form(lab):
    generator = np.random.default_rng(0)
    years = 1e9 + generator.normal(size=80)
    table = pd.DataFrame({"when": years, "town": np.where(years > 1e9, "Oslo", "Rome"), "y": (years > 1e9) * 1})
    table.to_csv("data.csv", index=False)
    made = run("dataset=csv", "dataset.path=data.csv", "model=softmax", "epochs=3", "figures=none")
    expected = probabilities(made.predictions)
    rows = table.iloc[made.predictions["index"]]
    np.testing.assert_allclose(probabilities(made.predict(rows[["town", "when"]])), expected, rtol=0, atol=1e-12)
    array = np.stack([rows.when, rows.town == "Oslo", rows.town == "Rome"], axis=1)
    np.testing.assert_allclose(probabilities(made.predict(array)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (np.zeros((8, 8)), r"\(N, 1, 8, 8\), or \(N, 8, 8\)"),
        (np.zeros((2, 3, 8, 8)), r"shape \(2, 3, 8, 8\)"),
        (np.zeros((0, 8, 8)), "empty"),
        (np.full((1, 8, 8), 0.5), r"from 0 to 16; np.rint\(16 \* images\)"),
        (np.full((1, 8, 8), 17), "from 17 to 17"),
        (np.full((1, 8, 8), -1), "from -1 to -1"),
        (np.full((1, 8, 8), np.nan), "no finite"),
        (np.array([["a"]]), "array of numbers"),
        (np.array(3), r"shape \(\)"),
        ([], r"shape \(0,\)"),
        ([[1, 2], [3]], "not this"),
        (None, "type object"),
        (pd.DataFrame({"a": [1]}), "learned from images"),
        ("nowhere.png", "no file or folder nowhere.png"),
    ],
)
def test_inputs_that_the_model_cannot_take_are_refused_with_what_it_takes(digits, inputs, words):
    with pytest.raises(RequestError, match=words):
        digits.predict(inputs)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> labrunner.api.Run:
    from tests.cli.lab import Undrawn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labrunner.drawing.Drawing", Undrawn)
        return run("epochs=1", *QUICK[1:], folder=tmp_path_factory.mktemp("digits") / "run")


def test_the_model_gives_the_scores_behind_the_probabilities(digits):
    import torch

    images = load_digits().images[:6]
    said = digits.predict(images)
    recorded = digits.model
    assert not recorded.training
    from labrunner.preprocessing import read

    normalized = read(digits.path).normalization
    inputs = images[:, None] * normalized.scale + normalized.shift
    with torch.no_grad():
        scores = recorded(torch.tensor(inputs, dtype=torch.float32)).double()
    np.testing.assert_allclose(torch.softmax(scores, 1).numpy(), probabilities(said), atol=1e-6)
