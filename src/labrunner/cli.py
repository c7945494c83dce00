"""The command line: arguments -> a verb, errors -> one to three lines and an exit code.

Nothing heavy is imported here: help and errors must not wait for torch.
"""

from __future__ import annotations

import difflib
import importlib
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from labrunner import signals
from labrunner.errors import Interrupted, LabrunnerError, RequestError
from labrunner.verbs.printing import complain, show

CFG = ("job", "hydra", "all")
TAKES_FOLDERS = ("resume", "report", "open", "compare", "ls", "doctor", "evaluate", "predict", "export", "grade")
TAKES_WORDS = ("explain", "labs", "new", "bundle", "completion")
SWEEPS = ("train", "plan")


@dataclass
class Arguments:
    """What was typed, sorted."""

    argv: list[str] = field(default_factory=list)  # all of it
    verb: str = "train"
    words: list[str] = field(default_factory=list)  # what is neither flag nor override
    overrides: list[str] = field(default_factory=list)
    help: bool = False
    version: bool = False
    cfg: str | None = None
    config_dir: str | None = None
    trust: bool = False
    multirun: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `labrunner` command; returns the exit code."""
    try:
        signals.listen(None if argv is not None else interrupted_import)
        code = answer(sys.argv[1:] if argv is None else argv)
        if argv is None:  # the process is about to end
            signals.over(code)
    except (Interrupted, KeyboardInterrupt) as stopped:  # the latter from where somebody else listens
        interrupted = stopped if isinstance(stopped, Interrupted) else Interrupted(signal.SIGINT)
        code = interrupted.exit_code
        if argv is None:
            signals.over(code)  # a second one
        complain(interrupted.message or "interrupted")
    return code


def interrupted_import() -> None:
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    complain("interrupted")


def answer(argv: Sequence[str]) -> int:
    """Do what was typed; an error becomes a few lines and an exit code."""
    code = 0
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # a stream that is closed, or none of Python's own
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        if list(argv[:2]) == ["completion", "words"]:  # a shell asks, of words that need not be a request yet
            from labrunner.verbs.completion import asked

            code = asked(argv[2:], os.environ)
        else:
            code = dispatch(parse(argv))
        sys.stdout.flush()  # here, where a reader that has gone is expected, and not at the interpreter's end
        return code
    except LabrunnerError as error:
        signals.raised().heed()  # a composition that was interrupted may end as a refusal
        if os.environ.get("LABRUNNER_DEBUG") == "1":
            raise
        complain(str(error))
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has gone, as in `labrunner --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code
    except Exception as error:
        signals.raised().heed()  # an import that was interrupted may end as another error
        if os.environ.get("LABRUNNER_DEBUG") == "1":
            raise
        complain(surprise(error))
        return 1


def surprise(error: Exception) -> str:
    """What to say of an error that nobody explained."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for this; try a smaller model, batch or data set"
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"{said}\nthis should not happen; LABRUNNER_DEBUG=1 shows where it came from"


def parse(argv: Sequence[str]) -> Arguments:
    """Sort the arguments; flags stand anywhere. Raises RequestError for a flag or a verb that is none."""
    from labrunner.helping import VERBS

    arguments, rest = Arguments(argv=list(argv)), list(argv)
    loose: list[str] = []
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        if word in ("--help", "-h"):
            arguments.help = True
        elif word == "--version":
            arguments.version = True
        elif word == "--trust":
            arguments.trust = True
        elif word in ("-m", "--multirun"):
            arguments.multirun = True
        elif flag in ("--cfg", "-c", "--config-dir", "-cd"):
            if not equals:
                value = rest.pop(0) if rest and not rest[0].startswith("-") else ""
            if not value:
                example = "--cfg job" if flag in ("--cfg", "-c") else "--config-dir FOLDER"
                raise RequestError(f"{flag} takes a value: {example}")
            if flag in ("--cfg", "-c"):
                if value not in CFG:
                    raise RequestError(f"--cfg {value}: it takes {', '.join(CFG[:-1])} or {CFG[-1]}")
                arguments.cfg = value
            else:
                arguments.config_dir = value
        elif word.startswith("-") and word != "-":
            raise RequestError(unknown_flag(flag, argv))
        else:
            loose.append(word)
    if loose[:1] == ["help"]:  # as with git: of a verb its page, of any other word what it means
        loose.pop(0)
        if all(word in VERBS for word in loose[:1]):
            arguments.help = True
        else:
            arguments.verb, arguments.words = "explain", loose
            return arguments
    if loose and loose[0] in VERBS:
        arguments.verb = loose.pop(0)
    takes_words = arguments.verb in (*TAKES_WORDS, *TAKES_FOLDERS)
    for before, word in zip(["", *loose], loose, strict=False):
        if before.endswith(",") and "=" in before:
            raise RequestError(f"'{before} {word}': no space stands behind a comma: {before}{word}")
        if "=" in word or word.startswith("~"):
            # a folder's name may hold an equal sign, and that of an image
            there = os.path.exists if arguments.verb == "predict" else os.path.isdir
            is_word = arguments.verb in TAKES_FOLDERS and there(word)
            (arguments.words if is_word else arguments.overrides).append(word)
        elif takes_words:
            arguments.words.append(word)
        else:
            raise RequestError(unknown_word(word, bool(arguments.overrides), argv))
    return arguments


def unknown_flag(flag: str, argv: Sequence[str]) -> str:
    known = ["--help", "--version", "--multirun", "--cfg", "--config-dir", "--trust"]
    command = repaired(argv)
    if command is None:
        return f"there is no flag {flag}; there are {', '.join(known)}, and keys are written key=value"
    is_key = any("=" in each and each not in argv for each in command)
    why = "; a key is written without dashes, as key=value" if is_key else ""
    close = difflib.get_close_matches(flag, known, n=1)
    if close and close[0] in command:
        return f"there is no flag {flag}; did you mean {close[0]}?"
    return f"there is no flag {flag}{why}\ndid you mean: {shlex.join(['labrunner', *command])}"


def unknown_word(word: str, among_overrides: bool, argv: Sequence[str]) -> str:
    from labrunner.helping import VERBS, Catalogue
    from labrunner.meant import alone

    if word in VERBS:
        return f"the verb comes first: labrunner {word} …"
    command = repaired(argv)
    if command is not None:
        close = difflib.get_close_matches(word, VERBS, n=1)
        kind = "no verb" if not among_overrides and close and close[0] in command else "neither a verb nor an override"
        what = f"there is no verb {word}" if kind == "no verb" else f"'{word}' is {kind} (key=value)"
        return f"{what}\ndid you mean: {shlex.join(['labrunner', *command])}"
    if (instead := alone(word, Catalogue(own_conf()))) is not None:
        return f"'{word}' stands alone, and is written key=value\nas in {instead}"
    return f"'{word}' is neither a verb nor an override (key=value)\nverbs are {', '.join(VERBS)}; labrunner --help"


def repaired(argv: Sequence[str]) -> list[str] | None:
    """The command that was probably meant, if it is one."""
    from labrunner.helping import Catalogue
    from labrunner.meant import meant

    words = meant(argv, Catalogue(own_conf()), (*TAKES_WORDS, *TAKES_FOLDERS))
    if words is None or words == list(argv):
        return None
    try:
        parse(words)
    except RequestError:
        return None
    return words


def own_conf() -> tuple[Path, ...]:
    from labrunner.helping import own_folders

    return own_folders(None)


def dispatch(arguments: Arguments) -> int:
    if arguments.version:
        from labrunner import __version__

        print(f"labrunner {__version__}")
        return 0
    if arguments.help:
        import shutil

        width = max(72, min(shutil.get_terminal_size().columns, 110))
        if arguments.verb in arguments.argv:  # and not left out
            from labrunner.usage import verb_page

            show(verb_page(arguments.verb, width))
            return 0
        from labrunner.helping import Catalogue, help_page, own_folders

        show(help_page(Catalogue(own_folders(arguments.config_dir)), width))
        return 0
    if arguments.cfg is not None and arguments.verb != "train":
        raise RequestError(f"--cfg shows what a new run is composed of, and does not go with {arguments.verb}")
    if arguments.multirun and arguments.verb not in SWEEPS:
        raise RequestError(f"-m makes a sweep, and does not go with {arguments.verb}")
    verb = importlib.import_module(f"labrunner.verbs.{arguments.verb.replace('-', '_')}")
    return int(verb.main(arguments))
