"""What verbs print."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from labrunner.selection import longer

if TYPE_CHECKING:
    from labrunner.checks import Verdict
    from labrunner.running import Result


def clean(text: str) -> str:
    """Text for a terminal: what was typed, or stands in a file of a stranger's, may hold control characters."""
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def one_line(text: object) -> str:
    """Text from outside in one line of a terminal."""
    return clean(str(text)).replace("\n", "\\n").replace("\t", "\\t")


def show(text: str) -> None:
    """A result, on stdout."""
    print(clean(text))


def say(text: str) -> None:
    """A line for the user that is no result: to stderr, so that stdout stays clean."""
    with suppress(BrokenPipeError):  # nobody reads it any more, which is no reason to end
        print(clean(text), file=sys.stderr, flush=True)


def complain(message: str) -> None:
    """An error as the command line says it."""
    first, *rest = message.split("\n")
    say("\n".join([f"labrunner: error: {first}", *(f"  {line}" for line in rest)]))


def print_result(result: Result, config: Mapping[str, Any], choices: Mapping[str, str]) -> int:
    """A few lines on how a run ended; returns the exit code."""
    if result.status == "diverged":
        complain(f"the run diverged: {result.error}\nwhat it got to: {result.folder}")
        return 1
    what = f"{choices.get('model', 'model')} on {choices.get('dataset', 'data')}"
    monitor = config["monitor"]
    reasons = {
        "best": f"for its {'lowest' if monitor.endswith('_loss') else 'highest'} {monitor}",
        "last": "as the last",
        "blank": f"as the last, since there is no {monitor}",
    }
    reason = reasons[result.why or "last"]
    early = not config["smoke"] and result.epochs < config["epochs"]
    stopped = f"; stopped early, {config['epochs']} epochs were asked for" if early else ""
    show(f"{what}: epoch {result.epoch} of {result.epochs} chosen {reason}{stopped}")
    if result.why == "best" and result.epoch == result.epochs == config["epochs"] and not config["smoke"]:
        show(f"  {config['monitor']} was still improving: epochs={longer(result.epochs)} may do better")
    if result.val is not None and result.val["val_accuracy"] is not None:
        show("  validation  " + numbers(result.val, "val_"))
    if result.test is not None:
        interval = f"  (95% interval {result.test['accuracy_low']:.3f} to {result.test['accuracy_high']:.3f})"
        show("  test        " + numbers(result.test, "") + interval)
    show(f"  {one_line(result.folder)}")
    return print_checks(result.verdicts, config, choices)


def print_checks(verdicts: Sequence[Verdict], config: Mapping[str, Any], choices: Mapping[str, str]) -> int:
    """A tick or a cross for each check; returns the exit code, which is 1 under ``strict`` where one fails or lacks."""
    if config["smoke"]:
        if config["checks"]:
            show(f"  {len(config['checks'])} checks are left out: smoke=true cuts what they are about")
        return 0
    for verdict in verdicts:
        show(f"  {verdict}")
    unanswered = len(config["checks"]) - len(verdicts)  # by a single run
    if unanswered:
        is_one = len(config["checks"]) == 1
        which = "the check is" if is_one else f"{unanswered} of {len(config['checks'])} checks are"
        show(f"  {which} about several runs, which a sweep answers")
    if not config["strict"]:
        return 0
    failed = [verdict.check for verdict in verdicts if not verdict.passed]
    if failed:
        complain(f"{len(failed)} of {len(verdicts)} checks failed: {', '.join(failed)}")
        return 1
    return 0


def numbers(values: Mapping[str, Any], prefix: str) -> str:
    parts = []
    for name in ("accuracy", "f1", "auroc"):
        value = values[f"{prefix}{name}"]
        parts.append(f"{name} {'undefined' if value is None else f'{value:.4f}'}")
    return "  ".join(parts)
