"""Runs docs/notebook.ipynb anew and keeps what comes out, without what differs from machine to machine.

``python docs/notebook.py`` writes it in place; a test runs it as well, in a folder of its own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_suffix(".ipynb")
SECONDS = 120  # that a cell may take


def executed(folder: Path) -> Any:
    """The notebook with its outputs, run in a folder. Raises nbclient's CellExecutionError where a cell does."""
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    notebook, place = nbformat.read(PATH, as_version=4), {"metadata": {"path": str(folder)}}
    with tempfile.TemporaryDirectory() as sockets:  # a short path: those of sockets have at most 107 letters
        # files between two processes of one user: no port is opened
        manager = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
        NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=place, config=manager).execute()
    return notebook


def cleaned(notebook: Any) -> Any:
    """The same without times and versions, and of a line that was written over, as a bar's, what it ended as."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for number, cell in enumerate(notebook.cells):
        cell.metadata, cell["id"] = {}, f"cell-{number}"
        if cell.cell_type == "code":
            cell.outputs = [output for output in joined(cell.outputs) if output.get("text", "-").strip()]
    return notebook


def joined(outputs: list[Any]) -> list[Any]:
    """Outputs with one in the place of several parts of a stream that follow each other."""
    found: list[Any] = []
    for output in outputs:
        if found and output.output_type == "stream" and output.name == found[-1].get("name"):
            found[-1].text += output.text
        else:
            found.append(output)
    for output in found:
        if output.output_type == "stream":
            output.text = "".join(shown(line) for line in output.text.split("\n"))
    return found


def shown(line: str) -> str:
    """What a terminal leaves of a line; nothing of one that is empty then."""
    last = line.rpartition("\r")[2].rstrip()
    return f"{last}\n" if last else ""


if __name__ == "__main__":
    import nbformat

    with tempfile.TemporaryDirectory() as place:
        nbformat.write(cleaned(executed(Path(place))), PATH)
