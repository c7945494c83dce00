"""docs/notebook.ipynb: it runs as it stands, says what the files say, and shows what was committed with it."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]


def maker() -> Any:
    """The script that runs it."""
    spec = importlib.util.spec_from_file_location("notebook", ROOT / "docs" / "notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kinds(notebook: Any) -> list[tuple[str, list[list[str]]]]:
    """Of each cell that computes its source, and what kinds of output it has."""
    return [
        (cell.source, [sorted(output.get("data", {output.output_type: ""})) for output in cell.outputs])
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_the_notebook_runs_and_says_what_the_folders_say(tmp_path):
    made = maker().cleaned(maker().executed(tmp_path))
    assert kinds(made) == kinds(nbformat.read(maker().PATH, as_version=4)), "run python docs/notebook.py"
    cells = {cell.source.splitlines()[0]: cell for cell in made.cells if cell.cell_type == "code"}

    def shown(begin: str) -> dict[str, str]:
        """What the cell shows whose first line begins so."""
        return next(cell for line, cell in cells.items() if line.startswith(begin)).outputs[-1].data

    (run,) = (tmp_path / "outputs" / "runs").iterdir()
    metrics, test = pd.read_csv(run / "metrics.csv"), json.loads((run / "test.json").read_text())
    assert len(metrics) == 10
    assert shown("again")["text/plain"] == f"(10, {test['accuracy']!r}, 2)"
    assert f"<td>{metrics.val_loss[7]:.6f}</td>" in shown("first.rows")["text/html"]
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    table = pd.read_csv(sweep / "sweep.csv")
    means = table.groupby("optim.lr").val_loss.mean()
    for mean in means:
        assert f"{mean:.6f}" in shown("rates.folded")["text/plain"]
    assert shown("rates.best")["text/plain"] == f"({table['optim.lr'][0]}, {float(table.test_accuracy[0])!r})"


def test_what_is_committed_of_it_tells_nothing_of_a_machine():
    notebook = nbformat.read(maker().PATH, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    drawn = [output.data.pop("image/png") for output in outputs if "image/png" in output.get("data", {})]
    assert len(drawn) == 2
    text = json.dumps(notebook)
    for place in (str(ROOT), f"{Path.home()}/", "/tmp/", "execution_start", "\\u001b", "\\r"):
        assert place not in text
    assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)
    assert "error" not in {output.output_type for output in outputs}
