"""What each part of a run's page says: from the recorded files to texts with their origins, no HTML."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from labrunner.files import read_csv
from labrunner.records import Run
from labrunner.report.origin import BLANK, Shown, amount, count, exact, measured, number, percent
from labrunner.report.repeating import of_run

SCORES = ("precision", "recall", "f1", "auroc")
STATUS = {
    "running": "This run was still going when the page was written.",
    "diverged": "This run diverged: its loss was no longer a finite number.",
    "failed": "This run failed.",
    "interrupted": "This run was interrupted before it was finished; labrunner resume continues it.",
}


class Status(NamedTuple):
    word: Shown
    meaning: str  # a sentence, or nothing where there is nothing to explain
    error: Shown | None


class Progress(NamedTuple):
    """The chosen epoch, among how many, and why that one."""

    epoch: Shown
    trained: Shown
    asked: Shown | None  # where fewer epochs were trained than asked for
    reason: str
    value: Shown | None  # of the column that chose
    seconds: Shown | None
    flatters: bool  # whether the val split chose it


def title(run: Run) -> dict[str, Shown]:
    """What was trained on what: the chosen options."""
    choices = run.overrides.get("choices") or {}
    shown = {}
    for group in ("model", "dataset"):
        if choices.get(group) is not None:
            shown[group] = Shown(str(choices[group]), f"overrides.yaml#choices/{group}")
        else:
            key = "name" if "name" in run.config[group] else "_target_"
            shown[group] = Shown(str(run.config[group][key]), f"config.yaml#{group}/{key}")
    return shown


def status(run: Run) -> Status:
    word = run.status
    error = None if run.error is None else Shown(run.error, "status.json#error")
    return Status(Shown(word, "status.json#status"), STATUS.get(word, ""), error)


def progress(run: Run) -> Progress | None:
    """None before the first epoch was recorded."""
    if run.chosen is None:
        return None
    last, monitor = run.epochs, run.config["monitor"]
    if run.test is not None:
        chosen = run.test["epoch"]
        epoch = count(chosen, "test.json#epoch")
    else:
        chosen = run.chosen.epoch
        epoch = count(chosen, f"metrics.csv#{chosen}/epoch")
    reason = {
        "last": "the last one, as select=last asks",
        "blank": f"the last one, since {monitor} is blank",
        "best": f"the {'lowest' if monitor.endswith('_loss') else 'highest'} {monitor}",
    }[run.chosen.why]
    value = None
    if last == 1:
        reason = "the only one"
    elif run.chosen.why == "best":
        at = run.rows.loc[run.rows["epoch"] == chosen, monitor]
        value = number(at.iloc[0], f"metrics.csv#{chosen}/{monitor}", 4) if len(at) else None
    seconds = None if run.timing is None else float(run.timing["seconds"].sum())
    asked = 1 if run.config["smoke"] else run.config["epochs"]
    return Progress(
        epoch,
        count(last, f"metrics.csv#{last}/epoch"),
        exact(asked, "config.yaml#epochs") if asked != last else None,
        reason,
        value,
        None if seconds is None else number(seconds, "timing.csv#*/seconds", 1 if seconds >= 10 else 2),
        last > 1 and run.chosen.why == "best" and monitor.startswith("val_"),
    )


def facts(run: Run) -> dict[str, Shown]:
    """How large the model is and on how much it learnt and was judged; what was not recorded is left out."""
    names = ["parameters", "parameters_trainable", "train_samples", "val_samples", "test_samples", "steps"]
    if run.status == "diverged":
        names.remove("steps")  # which counts those of whole epochs, and it was another that the loss was lost in
    return {name: amount(run.facts[name], f"facts.json#{name}") for name in names if _counted(run.facts.get(name))}


def _counted(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and np.isfinite(value))


def test(run: Run) -> dict[str, Shown] | None:
    """The metrics of the test split; None if it was not read."""
    if run.test is None:
        return None
    record = run.test
    # one more digit where the split is large enough to tell: 1 error in 2,000 is not 100.0%
    digits = 1 if record["n"] < 1000 else 2
    shown = {
        name: percent(record[name], f"test.json#{name}", digits)
        for name in ("accuracy", "accuracy_low", "accuracy_high")
    }
    shown |= {name: _score(record[name], "test.json#", name) for name in SCORES}
    shown |= {"n": amount(record["n"], "test.json#n"), "reads": count(record["reads"], "test.json#reads")}
    return shown | {"loss": number(record["loss"], "test.json#loss", 4)}


def _score(value: Any, row: str, column: str) -> Shown:
    # AUROC crowds towards 1, where three digits would call a model perfect that is not
    return number(value, row + column, 4 if column.endswith(("auroc", "loss")) else 3)


def validation(run: Run) -> dict[str, Shown] | None:
    """The metrics of the val split in the best epoch so far; None if there is none."""
    if run.chosen is None:
        return None
    epoch = run.chosen.epoch
    row = run.rows.loc[run.rows["epoch"] == epoch].iloc[0]
    columns = {"loss": "val_loss", "f1": "val_f1", "auroc": "val_auroc"}
    shown = {name: _score(row[column], f"metrics.csv#{epoch}/", column) for name, column in columns.items()}
    shown["accuracy"] = percent(row["val_accuracy"], f"metrics.csv#{epoch}/val_accuracy")
    return None if all(np.isnan(row[column]) for column in (*columns.values(), "val_accuracy")) else shown


def training(run: Run) -> Shown | None:
    """The training loss in the best epoch so far."""
    if run.chosen is None:
        return None
    epoch = run.chosen.epoch
    loss = run.rows.loc[run.rows["epoch"] == epoch, "train_loss"].iloc[0]
    return number(loss, f"metrics.csv#{epoch}/train_loss", 4)


def checks(run: Run) -> list[dict[str, Any]]:
    """checks.csv, a row for each expectation."""
    if run.checks is None:
        return []
    shown = []
    for index, row in enumerate(run.checks.to_dict("records"), start=1):
        source = f"checks.csv#{index}/"
        cells: dict[str, Any] = {"passed": row["passed"]}
        cells |= {name: Shown(str(row[name]), source + name) for name in ("check", "fact", "relation")}
        shown.append(cells | {name: measured(row[name], source + name) for name in ("found", "expected")})
    return shown


def classes(run: Run) -> list[dict[str, Shown]] | None:
    """per_class.csv; None before the test split was read."""
    if run.per_class is None:
        return None
    shown = []
    for index, row in enumerate(run.per_class.to_dict("records"), start=1):
        source = f"per_class.csv#{index}/"
        cells = {"name": Shown(row["class"], source + "class"), "support": amount(row["support"], source + "support")}
        cells |= {name: _score(row[name], source, name) for name in SCORES}
        shown.append(cells)
    return shown


def freezing(run: Run) -> list[dict[str, Any]]:
    """freeze.csv, a row for each stage; nothing where nothing was ever frozen, or before training ended."""
    path = run.path / "freeze.csv"
    header, rows = read_csv(path) if path.is_file() else ([], [])
    shown = []
    for index, row in enumerate((dict(zip(header, row, strict=True)) for row in rows), start=1):
        cells: dict[str, Any] = {"stage": Shown(row["stage"], f"freeze.csv#{index}/stage")}
        for name in ("parameters", "trainable", "thawed", "frozen", "changed"):
            text = f"{int(row[name]):,}" if row[name].isdecimal() and name != "thawed" else row[name] or BLANK
            cells[name] = Shown(text, f"freeze.csv#{index}/{name}")
        shown.append(cells)
    return shown if any(row["frozen"].text != "0" for row in shown) else []


def summary(run: Run) -> Shown | None:
    return None if run.summary is None else Shown(run.summary, "summary.txt")


def environment(run: Run) -> dict[str, Any]:
    """Versions and machine, and the commands that repeat the run; empty where nothing was recorded."""
    record = run.environment
    rows = [
        (name, exact(record[key], f"environment.json#{key}"))
        for key, name in (
            ("labrunner", "labrunner"),
            ("git_commit", "git commit"),
            ("python", "Python"),
            ("platform", "platform"),
            ("threads", "threads"),
        )
        if record.get(key) is not None
    ]
    rows += [
        (str(package), exact(version, f"environment.json#versions/{package}"))
        for package, version in sorted((record.get("versions") or {}).items())
    ]
    resumed = [entry for entry in record.get("resumed") or () if isinstance(entry, dict)]
    rows += [
        ("resumed after epoch", exact(entry.get("from_epoch"), f"environment.json#resumed/{index}/from_epoch"))
        for index, entry in enumerate(resumed, start=1)
    ]
    command = record.get("command")
    commands = [] if command is None else of_run(command, [entry.get("command") for entry in resumed])
    return {"rows": rows, "commands": commands, "is_resumed": bool(resumed)}
