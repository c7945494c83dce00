"""``labrunner completion SHELL``: the script that makes a shell complete labrunner's words, and what it asks for.

The script calls ``labrunner completion words SHELL`` at every press of the key: each answer is a line. What is offered
is `labrunner.completing`'s; this speaks the shells' languages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from labrunner.completing import SHELLS, complete
from labrunner.errors import RequestError
from labrunner.verbs.printing import one_line, show

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.nearby import Word

BREAKS = " \t\n\"'@><=;|&(:"  # where bash cuts words, unless the user has changed it
SPECIAL = set(" \\'\"()&;|<>$`*?!#{}~^\t")  # that bash would not take for letters
ESCAPED_IN_QUOTES = '"\\$`'


def main(arguments: Arguments) -> int:
    if arguments.overrides or len(arguments.words) != 1 or arguments.words[0] not in SHELLS:
        given = one_line(" ".join([*arguments.words, *arguments.overrides]))
        shells = ", ".join(SHELLS[:-1]) + f" or {SHELLS[-1]}"
        raise RequestError(
            f"completion takes the name of a shell, {shells}{f', and not {given}' if given else ''}\n"
            "as in labrunner completion bash"
        )
    path = Path(__file__).parent / "shells" / f"completion.{arguments.words[0]}"
    show(path.read_text(encoding="utf-8").rstrip())
    return 0


def asked(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Answer the script of a shell: ``bash`` with its variables, or ``zsh|fish -- BEFORE… WORD``; never with an error.

    The user is typing, and whatever were said would stand in the middle of that.
    """
    try:
        shell, *words = argv
        before, word = list(words[1:-1]), words[-1] if len(words) > 1 else ""
        lines = {
            "bash": lambda: bash(environment),
            "zsh": lambda: zsh(before, word),
            "fish": lambda: fish(before, word),
        }
        print("\n".join(lines[shell]()), flush=True)
    except Exception:
        if environment.get("LABRUNNER_DEBUG") == "1":
            raise
        return 1
    return 0


# bash


class Line(NamedTuple):
    """A command line up to the cursor."""

    before: list[str]  # its words without their quotes, the command first
    word: str  # the last one, which is being typed
    kept: int  # characters of it that bash leaves as they are: it completes what is behind a break
    quote: str  # that is open at its end, or ""


def cut(line: str, breaks: str = BREAKS) -> Line:
    """The words of a command line as bash will read them; what is behind the last break is what it completes."""
    words: list[str] = []
    word, kept, quote, begun = "", 0, "", False
    letters = iter(line)
    for letter in letters:
        if quote:
            if letter == quote:
                quote = ""
            elif letter == "\\" and quote == '"':
                following = next(letters, "")
                word += following if following in ESCAPED_IN_QUOTES else letter + following
            else:
                word += letter
        elif letter.isspace():
            if begun:
                words.append(word)
            word, kept, begun = "", 0, False
            continue
        elif letter in "'\"":
            quote, kept = letter, len(word)
        elif letter == "\\":
            word += next(letters, "")
        else:
            word += letter
            if letter in breaks:
                kept = len(word)
        begun = True
    return Line(words, word, kept, quote)


def bash(environment: Mapping[str, str]) -> Iterator[str]:
    """What readline puts in the place of what it takes for the word, as it has to be typed."""
    point = environment["COMP_POINT"]
    line = cut(environment["COMP_LINE"][: int(point)], environment.get("COMP_WORDBREAKS", BREAKS))
    for each in complete(line.before[1:], line.word):
        if line.quote not in each.text[line.kept :] or not line.quote:
            yield typed(each.text[line.kept :], line.quote)


def typed(text: str, quote: str) -> str:
    """A text as bash takes it for itself, inside an open quote or outside of any."""
    if quote:
        return text
    return "".join(f"\\{letter}" if letter in SPECIAL else letter for letter in text)


# zsh and fish


def zsh(before: Sequence[str], word: str) -> Iterator[str]:
    """Whether it goes on, the word, and what is listed: ``name:meaning``."""
    for each in complete(before, word):
        name = one_line(each.shown).replace("\\", "\\\\").replace(":", "\\:")
        shown = f"{name}:{one_line(each.meaning)}" if each.meaning else name
        yield "\t".join(["." if each.whole else "+", each.text, shown])


def fish(before: Sequence[str], word: str) -> Iterator[str]:
    """The word and what it means."""
    if word[:1] in ("'", '"'):
        word = word[1:]
    for each in complete(before, word):
        text = f"{each.text}]" if is_open(each) else each.text  # fish would put a space behind it
        yield f"{text}\t{one_line(each.meaning)}"


def is_open(word: Word) -> bool:
    """Whether a word ends inside of a list's brackets."""
    return not word.whole and word.text.rfind("[") > word.text.rfind("]")
