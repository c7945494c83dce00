from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.lab import Undrawn
from tests.unsynced import unsynced  # noqa: F401 (for every test here)


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, for all tests of a file: nothing is drawn there, and nothing waits for the disk."""
    folder, before = tmp_path_factory.mktemp("hall"), Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labrunner.drawing.Drawing", Undrawn)
        patch.setattr(os, "fsync", lambda descriptor: None)
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)
