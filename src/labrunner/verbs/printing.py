"""What verbs print."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labrunner.running import Result


def complain(message: str) -> None:
    """An error as the command line says it."""
    # what was typed may hold anything; a terminal gets text
    clean = "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in message)
    first, *rest = clean.split("\n")
    print(f"labrunner: error: {first}", *(f"  {line}" for line in rest), sep="\n", file=sys.stderr, flush=True)


def print_yaml(value: Any) -> None:
    import yaml

    sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None))


def print_result(result: Result, config: Mapping[str, Any], choices: Mapping[str, str]) -> int:
    """A few lines on how a run ended; returns the exit code."""
    if result.status == "diverged":
        complain(f"the run diverged: {result.error}\nwhat it got to: {result.folder}")
        return 1
    what = f"{choices.get('model', 'model')} on {choices.get('dataset', 'data')}"
    print(f"{what}: epoch {result.epoch} of {result.epochs} chosen {reason(result, config)}")
    if result.val is not None and result.val["val_accuracy"] is not None:
        print("  validation  " + numbers(result.val, "val_"))
    if result.test is not None:
        interval = f"  (95% interval {result.test['accuracy_low']:.3f} to {result.test['accuracy_high']:.3f})"
        print("  test        " + numbers(result.test, "") + interval)
    print(f"  {result.folder}")
    return 0


def reason(result: Result, config: Mapping[str, Any]) -> str:
    if config["select"] == "last":
        return "as the last"
    if result.val is None or result.val[config["monitor"]] is None:
        return f"as the last, since there is no {config['monitor']}"
    return f"by {config['monitor']}"


def numbers(values: Mapping[str, Any], prefix: str) -> str:
    parts = []
    for name in ("accuracy", "f1", "auroc"):
        value = values[f"{prefix}{name}"]
        parts.append(f"{name} {'undefined' if value is None else f'{value:.4f}'}")
    return "  ".join(parts)
