"""Takes out, one at a time, what keeps runs safe, and shows that a test fails for it.

    python tests/teeth.py [fsync replace …]

Each removal is made in a copy of the project, where the tests that should see it are run; they pass before it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("src", "conf", "tests", "docs", "pyproject.toml", "README.md")


@dataclass(frozen=True)
class Removal:
    """A piece of a file, what stands in its place, and the tests that should see it."""

    file: str
    before: str
    after: str
    tests: tuple[str, ...]


REMOVALS: dict[str, Removal] = {
    "fsync": Removal(
        "src/labrunner/files.py",
        "                file.flush()\n                os.fsync(file.fileno())\n",
        "                file.flush()\n",
        ("tests/test_records.py",),
    ),
    "replace": Removal(
        "src/labrunner/files.py",
        'temporary = path.with_name(f".{path.name}.tmp")',
        "temporary = path",
        ("tests/test_records.py",),
    ),
    "derived randomness": Removal(
        "src/labrunner/data/splits.py",
        'generator(self.seed, "shuffle", epoch).permutation(len(self))',
        "np.random.permutation(len(self))",
        ("tests/reliability/test_stops.py",),
    ),
    "lock": Removal(
        "src/labrunner/records/folder.py",
        "self._lock.acquire(timeout=LOCK_SECONDS)",
        "pass",
        ("tests/test_records.py", "tests/reliability/test_starts.py"),
    ),
    "fallback": Removal(
        "src/labrunner/resuming.py",
        "            passed[path.name] = str(error)\n            continue\n",
        '            raise RunError(f"{path} is damaged") from None\n',
        ("tests/reliability/test_corruption.py",),
    ),
    "escaping": Removal(
        "src/labrunner/report/page.py",
        "autoescape=True",
        "autoescape=False",
        ("tests/test_report.py", "tests/reliability/test_names.py"),
    ),
    "checksum": Removal(
        "src/labrunner/checkpoint.py",
        'if _digest(header, state) != header.get("sha256"):',
        "if False:",
        ("tests/test_checkpoint.py", "tests/reliability/test_corruption.py"),
    ),
}


def copy_of_the_project(folder: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    return folder


def apply(removal: Removal, project: Path) -> None:
    """Raises AssertionError where the piece does not stand there once."""
    path = project / removal.file
    text = path.read_text(encoding="utf-8")
    found = text.count(removal.before)
    assert found == 1, f"{removal.file} has {found} times: {removal.before}"
    path.write_text(text.replace(removal.before, removal.after), encoding="utf-8")


def run_tests(project: Path, tests: tuple[str, ...]) -> tuple[int, list[str]]:
    """pytest's exit code and the names of the failed tests; it ends with the third."""
    around = {**os.environ, "PYTHONPATH": str(project / "src"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "--maxfail=3", "-m", "not slow", "-p", "no:cacheprovider"]
    ended = subprocess.run([*command, *tests], cwd=project, env=around, capture_output=True, text=True)
    return ended.returncode, re.findall(r"^FAILED \S+::(.+?)(?: - .*)?$", ended.stdout, re.MULTILINE)


def failures(name: str) -> list[str]:
    """The tests that fail when a removal is made; raises AssertionError where they do not run."""
    removal = REMOVALS[name]
    with tempfile.TemporaryDirectory() as folder:
        project = copy_of_the_project(Path(folder))
        apply(removal, project)
        code, failed = run_tests(project, removal.tests)
    assert code in (0, 1), f"the tests could not run: pytest ended with {code}"
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="REMOVAL", help=", ".join(REMOVALS))
    names = parser.parse_args().names or list(REMOVALS)
    files = tuple(dict.fromkeys(test for name in names for test in REMOVALS[name].tests))
    with tempfile.TemporaryDirectory() as folder:
        code, failed = run_tests(copy_of_the_project(Path(folder)), files)
    print(f"{'nothing':20} {len(failed)} failed", flush=True)
    toothless = [] if code == 0 else ["nothing"]
    for name in names:
        failed = failures(name)
        print(f"{name:20} {len(failed)} failed{': ' + failed[0] if failed else ''}", flush=True)
        toothless += [] if failed else [name]
    return 1 if toothless else 0


if __name__ == "__main__":
    sys.exit(main())
