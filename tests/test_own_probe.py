"""A student's own probe: a class in a file of theirs, named among the others."""

from __future__ import annotations

import ast
import re
import signal
from pathlib import Path

import pytest

import labrunner.probes
from labrunner.records import load_run
from labrunner.records.names import PROBED
from tests.cli.cuts import interrupt_at
from tests.cli.lab import assert_same_run, essence
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

MODULE = '''
import numpy as np
import torch

from labrunner.probes import Probe


class Seen(Probe):
    """All four places, notes of each kind; draws where it looks."""

    FACTS = {"seen_batches": "training batches that were noted", "seen_share": "share of zeros at the end"}

    def start(self, learner, data, step):
        if step == 0:
            self.notes.note("seen", ("epoch", "step", "loss"), [(0, 0, None)])

    def after_step(self, learner, batch, out):
        torch.rand(3)
        epoch = batch.step // 5 + 1
        self.notes.note("seen", ("epoch", "step", "loss"), [(epoch, batch.step + 1, float(out.loss))])

    def end_epoch(self, learner, data, row):
        self.notes.keep("seen_first", row["epoch"], list(learner.weights().values())[-1])

    def end(self, learner, data, epoch):
        zeros = [float((each == 0).mean()) for each in learner.activations(data.train.at(np.arange(9)).inputs).values()]
        self.notes.table("seen_zeros", ("epoch", "step", "share"), [(epoch, 0, share) for share in zeros])

    def facts(self):
        zeros = [row["share"] for row in self.notes.rows("seen_zeros")]
        return {"seen_batches": len(self.notes.rows("seen")) - 1, "seen_share": max(zeros)}


class Twin(Seen):
    pass


class Clash(Probe):
    FACTS = {"val_loss": "mine"}


class Sneaking(Probe):
    def facts(self):
        return {"parameters": 3}


class Texts(Probe):
    def facts(self):
        return {"word": "many"}


class Failing(Probe):
    def end_epoch(self, learner, data, row):
        raise ZeroDivisionError("at the end of an epoch")


def function(notes, config):
    return None


def noting(name, header=("epoch", "step", "x"), row=(1, 2, 3)):
    class Noting(Probe):
        def end_epoch(self, learner, data, run_row):
            self.notes.note(name, header, [row])

    return Noting


Outside = noting("../../outside")
Theirs = noting("gradients")
Frozen = noting("frozen")
Columns = noting("mine", ("x", "y"), (1, 2))
Short = noting("mine", row=(1, 2))
Halves = noting("mine", row=(1, 2.5, 3))


class Changing(Probe):
    def start(self, learner, data, step):
        self.notes.note("mine", ("epoch", "step", "x"), [(0, 0, 1)])

    def end(self, learner, data, epoch):
        self.notes.note("mine", ("epoch", "step", "y"), [(1, 1, 1)])
'''
EVERYTHING = """
import numpy as np
import torch
from torch import nn


def Net(input_shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], num_classes))


def points():
    return np.random.default_rng(0).normal(size=(99, 2)), np.arange(99) % 2


Step = torch.optim.SGD
"""
SMALL = ("dataset=fake", "dataset.samples=120", "batch_size=16", "epochs=3", "figures=none", "model.hidden=[4]")


@pytest.fixture
def own(lab):
    lab.write("my_probes.py", MODULE)
    return lab


def test_its_notes_and_facts_are_in_the_folder_and_the_run_computes_what_it_does_without(own):
    keys = (*SMALL, "reg.dropout=0.3")
    checks = "checks=[{fact: seen_batches, at_least: 15},{fact: seen_share, below: 1}]"
    folder = own.train("run", "probes=[gradients,my_probes.Seen]", checks, *keys)
    run = load_run(folder)
    assert run.facts["seen_batches"] == 15
    assert list(run.checks["passed"]) == [True, True]
    lines = (folder / "probes" / "seen.csv").read_text().splitlines()
    assert lines[:2] == ["epoch,step,loss", "0,0,"]
    assert len(lines) == 2 + 15
    assert sorted(path.name for path in (folder / "probes").glob("seen*")) == [
        "seen.csv",
        *(f"seen_first_0000{epoch}.npy" for epoch in (1, 2, 3)),
        "seen_zeros.csv",
    ]
    assert run.environment["versions"]["my_probes.py"].startswith("sha256:")
    bare = own.train("bare", *keys)
    for name in ("metrics.csv", "predictions.csv", "initial.json"):
        assert (bare / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_cut_run_has_its_notes_and_facts_to_the_byte(own, monkeypatch):
    from labrunner.deep import TorchLearner

    overrides = ("probes=[my_probes.Seen]", *SMALL)
    whole = own.train("whole", *overrides)
    with monkeypatch.context() as patch:
        interrupt_at(patch, TorchLearner, "train_batch", 6, signal.SIGINT)
        assert own("hydra.run.dir=cut", *overrides).code == 130
    ended = own("resume", "cut")
    assert ended.code == 0, ended.err
    assert_same_run(whole, own.folder / "cut")
    assert "probes/seen_zeros.csv" in essence(whole)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["probes=[my_probes.Sen]"], "probes=[my_probes.Sen]: my_probes has no Sen; did you mean my_probes.Seen?"),
        (["probes=[my_probe.Seen]"], "there is no module my_probe"),
        (["probes=[my_probes.function]"], "no class that extends labrunner.probes.Probe"),
        (["probes=[my_probes.Clash]"], "its fact val_loss is one of labrunner's"),
        (["probes=[my_probes.Seen,my_probes.Twin]"], "both have a fact seen_batches"),
        (["probes=[my_probes.Seen]", "checks=[{fact: seen_batch, above: 1}]"], "did you mean seen_batches?"),
        (["probes=[my_probes.Seen]", "checks=[{fact: dead_units, above: 1}]"], "probes=[my_probes.Seen,activations]"),
        (["checks=[{fact: seen_batches, above: 1}]"], "there is no fact seen_batches"),
        (["probes=[gradient]"], "did you mean gradients?"),
        (["probes=[steps,gradient]"], "did you mean gradients?"),
        (["probes=[os:system]"], "file.ClassName of your own"),
        (["probes=[a/b.c]"], "file.ClassName of your own"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_that_is_none_or_whose_facts_nobody_gives_is_refused_before_anything_is_written(own, overrides, said):
    refused = own(*overrides)
    assert refused.code == 2, refused
    assert said in refused.err
    assert len(refused.err.splitlines()) <= 3
    assert not (own.folder / "outputs").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Failing", "ZeroDivisionError: at the end of an epoch"),
        ("Outside", "'../../outside', which is no name for a file"),
        ("Theirs", "notes gradients, a file that labrunner writes itself"),
        ("Frozen", "notes frozen, a file that labrunner writes itself"),
        ("Columns", "probes/mine.csv: its first columns are epoch and step, by which a resume cuts it, and not x, y"),
        ("Short", "my_probes.Short: probes/mine.csv: a row has 2 values for 3 columns, epoch, step, x"),
        ("Halves", "my_probes.Halves: probes/mine.csv: epoch and step are whole numbers, and not 1 and 2.5"),
        ("Changing", "my_probes.Changing notes epoch, step, y in probes/mine.csv, which has epoch, step, x"),
        ("Sneaking", "gives a fact parameters, which is one of labrunner's"),
        ("Texts", "its fact word is 'many', and no number"),
    ],
)
def test_one_that_goes_wrong_ends_the_run_with_its_name_and_the_log_has_the_place(own, name, said):
    ended = own("hydra.run.dir=run", f"probes=[my_probes.{name}]", *SMALL, "smoke=true")
    assert ended.code == 1
    assert said in ended.err
    assert ended.err.endswith("run/log.txt\n")
    assert len(ended.err.splitlines()) == 2
    assert name in ("Sneaking", "Texts") or re.search(r"my_probes.py:\d+ in (end_epoch|end): ", ended.err)
    assert load_run(own.folder / "run").status == "failed"
    assert "my_probes." in (own.folder / "run" / "log.txt").read_text()
    assert not list(own.folder.glob("outside*"))


def listed(node: ast.AST) -> list[object]:
    """A name, or the names of a tuple; a value, or the values."""
    return [each.id if isinstance(each, ast.Name) else each for each in getattr(node, "elts", [node])]


def test_every_file_that_a_shipped_probe_writes_is_known_as_taken():
    written = set()
    for path in Path(labrunner.probes.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr in ("note", "table", "keep", "with_end") and isinstance(node.args[0], ast.Constant):
                    written.add(node.args[0].value)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], (ast.Name, ast.Tuple)):
                words = dict(zip(*map(listed, (node.targets[0], node.value)), strict=False))
                written |= {words[name].value for name in ("NAME", "ENDS") if isinstance(words.get(name), ast.Constant)}
    assert {"gradients", "weight_histograms", "gradcam_images"} <= written
    assert written <= PROBED


def test_figures_and_report_of_a_run_with_ones_own_code_everywhere_are_drawn(own):
    from labrunner.figures import draw
    from labrunner.report import write

    own.write("my_lab.py", EVERYTHING)
    for group, name, keys in (("model", "Net", ""), ("dataset", "points", ""), ("optim", "Step", "lr: 0.1\n")):
        own.write(f"conf/{group}/mine.yaml", f"_target_: my_lab.{name}\n{keys}")
    options = ("model=mine", "dataset=mine", "optim=mine", "probes=[my_probes.Seen]")
    run = load_run(own.train("run", *options, "batch_size=16", "epochs=3", "figures=none"))
    draw(run, "few")
    write(run)
    assert (run.path / "figures" / "confusion.png").is_file()
    page = (run.path / "report.html").read_text()
    assert "my_lab.points" in page
    assert "mine on mine" in own("ls", "run").out
    assert own("doctor", "run").code == 0
    assert own("compare", "run", "run", "hydra.run.dir=both", "figures=none").code in (0, 2)
