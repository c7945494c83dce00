"""Sweep folders for tests of what reads them, written without training anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labrunner.comparison import as_typed
from labrunner.records import METRICS, MISSING, Member, Sweep, SweepFolder, load_sweep
from tests.folders import write_run


def curve(best: float, epochs: int, rng: np.random.Generator, speed: float = 4.0) -> list[dict[str, Any]]:
    """Rows of a run whose validation accuracy comes close to `best` and whose loss turns up again at the end."""
    rows = []
    for epoch in range(1, epochs + 1):
        progress = epoch / max(epochs, 2)
        accuracy = min(1.0, max(0.0, best * (1 - 0.9 * np.exp(-speed * progress)) + 0.008 * rng.standard_normal()))
        loss = 2.3 * np.exp(-speed * progress) * best + 1.5 * (1 - best) + 0.3 * max(0.0, progress - 0.7)
        loss *= 1 + 0.03 * rng.standard_normal()
        row: dict[str, Any] = dict.fromkeys(METRICS)
        row |= {"epoch": epoch, "lr": 0.01, "train_loss": 0.8 * loss, "train_accuracy": min(1.0, accuracy + 0.02)}
        row |= {"val_loss": loss, "val_accuracy": accuracy, "val_f1": accuracy - 0.003}
        row |= {
            "val_precision": accuracy - 0.004,
            "val_recall": accuracy - 0.002,
            "val_auroc": min(1.0, accuracy + 0.02),
        }
        rows.append(row)
    return rows


def exploding(after: int, rng: np.random.Generator, factor: float = 30.0) -> list[dict[str, Any]]:
    """Rows of a run that diverges in the epoch behind `after`: its loss grows, and the last row is blank."""
    rows = curve(0.4, max(after, 1), rng)[:after]
    for row in rows:
        row |= {"train_loss": 2.0 * factor ** (row["epoch"] - 1), "val_loss": 2.5 * factor ** (row["epoch"] - 1)}
        row |= {"val_accuracy": 0.1, "train_accuracy": 0.1}
    return [*rows, dict.fromkeys(METRICS) | {"epoch": after + 1, "lr": 0.01}]


def quality(values: dict[str, Any]) -> float:
    """A made-up best accuracy in (0, 1) that depends on the values as one would expect: best near a rate of 0.01."""
    best = 0.93
    for key, value in values.items():
        if key == "optim.lr":
            best -= 0.05 * abs(np.log10(value) + 2) ** 1.5
        elif key != "seed":
            best -= (sum(map(ord, as_typed(value))) % 17) / 120
    return float(max(0.15, best))


def write_sweep(
    path: Path,
    values: Sequence[dict[str, Any]],
    *,
    statuses: dict[int, str] | None = None,
    epochs: int = 30,
    lengths: dict[int, int] | None = None,
    after: int = 3,
    monitor: str = "val_loss",
    threshold: float | None = None,
    comparison: bool = False,
    rows: dict[int, list[dict[str, Any]]] | None = None,
    **choices: Any,
) -> Sweep:
    """Write a whole sweep, a run for each of `values`, and open it.

    `statuses` names those that are not done, by number; a diverged run did so in the epoch behind `after`. `lengths`
    are the epochs of runs that stopped earlier, `rows` replaces the made-up rows of a run, and `choices` goes to
    `write_run` for all.
    """
    members = []
    for number, each in enumerate(values):
        rng = np.random.default_rng(number)
        status = (statuses or {}).get(number, "done")
        folder = path / str(number) if not comparison else path.parent / f"{path.name}-runs" / str(number)
        length = (lengths or {}).get(number, epochs if status == "done" else max(1, epochs // 2))
        made = exploding(after, rng) if status == "diverged" else curve(quality(each), length, rng)
        if status != MISSING:
            write_run(
                folder,
                status=status,
                rows=(rows or {}).get(number, made),
                seed=number,
                settings={"monitor": monitor, **choices.get("settings", {})},
                typed=[f"{key}={as_typed(value)}" for key, value in each.items()],
                **{key: value for key, value in choices.items() if key != "settings"},
            )
        overrides = [f"{key}={as_typed(value)}" for key, value in each.items()]
        members.append(Member(number, folder, dict(each), overrides, f"{number:064x}", epochs))
    keys = list(dict.fromkeys(key for each in values for key in each))
    sweep = Sweep(path, keys, members, monitor, threshold, [], "labrunner -m", comparison)
    with SweepFolder.open(path) as folder:
        folder.write(sweep)
    return load_sweep(path)
