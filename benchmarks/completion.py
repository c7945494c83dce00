"""What a press of the key costs: the whole process that a shell asks, against a bare `python -c pass`.

    python benchmarks/completion.py [--rounds 21]

The queries are those of a beginning, of a group's options, of the keys of an option, and of run folders of which there
are many.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from spread import interleaved, report, timed

LABRUNNER = str(Path(sys.executable).with_name("labrunner"))
RUNS = 100
QUERIES = {
    "a beginning": [""],
    "model=": ["model="],
    "optim=sgd optim.": ["optim=sgd", "optim."],
    f"resume, {RUNS} runs": ["resume", ""],
}


def write_runs(folder: Path) -> None:
    """Folders that look like runs."""
    for number in range(RUNS):
        run = folder / "outputs" / "runs" / f"2026-01-01_00-00-00_{number:04d}"
        run.mkdir(parents=True)
        (run / "metrics.csv").write_text("epoch\n")
        (run / "overrides.yaml").write_text("overrides: []\nchoices: {dataset: digits, model: mlp}\n")
        (run / "status.json").write_text('{"status": "done"}\n')


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        write_runs(Path(folder))
        os.chdir(folder)
        for name, words in QUERIES.items():
            command = [LABRUNNER, "completion", "words", "zsh", "--", *words]
            pairs = interleaved(lambda: timed(command), lambda: timed([sys.executable, "-c", "pass"]), rounds)  # noqa: B023
            report(f"{name}, python -c pass", pairs)
