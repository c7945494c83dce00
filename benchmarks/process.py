"""A whole default run as a process, against a script that imports a lab's libraries and runs the same bare loop.

    python benchmarks/process.py [--rounds 7]

Also `labrunner --help` against a bare `python -c pass`, in milliseconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from spread import interleaved, report, timed

HERE = Path(__file__).resolve().parent
LABRUNNER = str(Path(sys.executable).with_name("labrunner"))


def run_default(folder: str, number: list[int]) -> float:
    number[0] += 1
    return timed([LABRUNNER, f"hydra.run.dir={folder}/{number[0]}"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        count = [0]

        def ours() -> float:
            return run_default(folder, count)

        def theirs() -> float:
            return timed([sys.executable, str(HERE / "bare.py"), "30", "1", "digits", "1"])

        ours(), theirs()
        report("default run, whole process", interleaved(ours, theirs, rounds), unit="s", scale=1.0)
    pairs = interleaved(lambda: timed([LABRUNNER, "--help"]), lambda: timed([sys.executable, "-c", "pass"]), 3 * rounds)
    report("labrunner --help, python -c pass", pairs)
