"""A sweep over sixteen learning rates as a process, against a script with the same imports and sixteen bare loops.

    python benchmarks/sweep.py [--rounds 5]

Sixteen learning rates of `mlp` on mnist5k, five epochs each, with the curves and the confusion matrix of every run, its
report, and the figures that compare them. Also the same sweep in two processes, against itself in one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from spread import interleaved, report, timed

HERE = Path(__file__).resolve().parent
LABRUNNER = str(Path(sys.executable).with_name("labrunner"))
RATES = ",".join(str(1e-5 * 2.0**power) for power in range(16))
SWEEP = ["-m", f"optim.lr={RATES}", "dataset=mnist5k", "epochs=5", "figures=few"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        count = [0]

        def ours(jobs: int = 1) -> float:
            count[0] += 1
            return timed([LABRUNNER, *SWEEP, f"jobs={jobs}", f"hydra.sweep.dir={folder}/{count[0]}"])

        def theirs() -> float:
            return timed([sys.executable, str(HERE / "bare.py"), "5", "1", "mnist5k", "16"])

        ours(), theirs()
        report("sixteen learning rates", interleaved(ours, theirs, rounds), unit="s", scale=1.0)
        pairs = interleaved(lambda: ours(2), ours, rounds)
        report("jobs=2 (ours), jobs=1 (bare)", pairs, unit="s", scale=1.0)
