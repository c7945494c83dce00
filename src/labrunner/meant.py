"""What was meant by words that are no request: the same command, as labrunner takes it.

A first guess comes from another program: ``--epochs 3``, ``model cnn``, ``run``, ``sweep``. Whatever of it can be told
is told whole, so that it can be copied; what cannot be told for sure is not guessed.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence

from labrunner.helping import FLAGS, GROUPS, SYNONYMS, VERBS, Catalogue, nearest

VERB_WORDS = {  # what other programs call it -> what stands in its place
    **dict.fromkeys(("run", "fit", "start", "learn"), ()),
    **dict.fromkeys(("sweep", "multirun", "grid", "search", "tune"), ("-m",)),
    **dict.fromkeys(("test", "eval", "validate", "score"), ("evaluate",)),
    **dict.fromkeys(("list", "runs", "status", "history", "dir"), ("ls",)),
    **dict.fromkeys(("plot", "draw", "figures", "redraw"), ("report",)),
    **dict.fromkeys(("show", "view", "browse", "results"), ("open",)),
    **dict.fromkeys(("continue", "restart", "extend"), ("resume",)),
    **dict.fromkeys(("check", "verify", "diagnose"), ("doctor",)),
    **dict.fromkeys(("infer", "classify"), ("predict",)),
    **dict.fromkeys(("diff", "versus"), ("compare",)),
    **dict.fromkeys(("create", "add", "init"), ("new",)),
    **dict.fromkeys(("describe", "info", "doc", "docs", "man"), ("explain",)),
    **dict.fromkeys(("lab", "experiments"), ("labs",)),
    "download": ("fetch",),
    "onnx": ("export",),
    "estimate": ("plan",),
    "lr_find": ("lr-find",),
    "v": ("--version",),
    "V": ("--version",),
    "version": ("--version",),
}
WHOLE = {"gpu": "device=cuda", "cuda": "device=cuda", "cpu": "device=cpu", "mps": "device=mps"}
TAKE_VALUES = ("--cfg", "-c", "--config-dir", "-cd")
NUMBER = re.compile(r"-?\.?\d")
SURE = 0.8  # likeness of a flag, or a key with dashes, that was misspelt


def meant(argv: Sequence[str], known: Catalogue, takes_words: Sequence[str]) -> list[str] | None:
    """The words that a command should have had; None where that cannot be told.

    Parameters
    ----------
    argv : as typed, without the name of the command
    takes_words : verbs behind which words stand that are no overrides
    """
    rest, said = _joined(argv), list[str]()
    verb: str | None = None
    while rest:
        word = rest.pop(0)
        if word.partition("=")[0] in TAKE_VALUES or word in _flags():
            said.append(word)
            said += [rest.pop(0)] if word in TAKE_VALUES and rest else []
        elif word.startswith("-") and not NUMBER.match(word):
            found = _flag(word, rest, known, is_first=verb is None and not said)
            if found is None:
                return None
            verb, said = found[0] if found and found[0] in VERBS else verb, [*said, *found]
        elif "=" in word or word.startswith("~"):
            said.append(_override(word, known))
        elif verb in takes_words:
            said.append(word)
        elif verb is None and word in VERBS:
            verb, said = word, [word, *said]
        elif verb is None and word in VERB_WORDS and not any("=" in each for each in said):
            found = list(VERB_WORDS[word])
            verb, said = found[0] if found and found[0] in VERBS else "train", [*found, *said]
        else:
            found = _loose(word, rest, said, known, may_be_verb=verb is None)
            if found is None:
                return None
            verb = found[0] if found[0] in VERBS else verb or "train"
            said = found
    return said


def alone(word: str, known: Catalogue) -> str | None:
    """What to type instead of a key or a group that stands without a value; None for any other word."""
    singular = word if word in GROUPS or key_of(word, known) else word.removesuffix("s")
    key = key_of(singular, known)
    if key is None:
        return None
    value = known.defaults.get(key) or (known.top[key].value if key in known.top else None)
    if value is None and (owners := known.owners(key)):
        value = owners[0][1].value
    example = f"{key}={value}" if value is not None else f"{key}=…"
    return f"labrunner {example}, and labrunner explain {key} says what else there is"


def key_of(word: str, known: Catalogue) -> str | None:
    """The key or group that a word names, by its whole name, its last part or another name of it."""
    name = SYNONYMS.get(word.replace("-", "_"), word.replace("-", "_"))
    keys = known.all_keys()
    if name in GROUPS or name in keys:
        return name
    return nearest(name, tails) if (tails := [key for key in keys if key.endswith(f".{name}")]) else None


def _joined(argv: Sequence[str]) -> list[str]:
    """Words with what blanks around an equal sign have parted: ``epochs = 3``."""
    words: list[str] = []
    for word in argv:
        begins = words and "=" not in words[-1] and not words[-1].startswith("-") and word.startswith("=")
        goes_on = words and words[-1].endswith("=") and "=" not in word and not word.startswith("--")
        if begins or goes_on:
            words[-1] += word
        else:
            words.append(word)
    return words


def _flags() -> list[str]:
    return [name.partition(" ")[0] for names in FLAGS for name in names.split(", ")]


def _flag(word: str, rest: list[str], known: Catalogue, *, is_first: bool) -> list[str] | None:
    """What a word with dashes stands for; takes the value behind it from the rest."""
    name, equals, value = word.lstrip("-").partition("=")
    if is_first and not equals and name in VERBS:
        return [name]
    if is_first and not equals and name in VERB_WORDS:
        return list(VERB_WORDS[name]) or None
    if name in WHOLE and not equals:
        return [WHOLE[name]]
    if not name:
        return []
    key = key_of(name, known)
    close = difflib.get_close_matches(f"--{name}", _flags(), n=1, cutoff=SURE)
    if key is None and close:
        return [close[0] + equals + value]
    if key is None:
        tails = {each.rpartition(".")[2]: each for each in [*GROUPS, *reversed(known.all_keys())]}
        similar = difflib.get_close_matches(name.replace("-", "_"), tails, n=1, cutoff=SURE)
        key = tails[similar[0]] if similar else None
    if key is None:
        return None
    if equals:
        return [f"{key}={value}"]
    if _is_value(rest):
        return [f"{key}={rest.pop(0)}"]
    return [f"{key}=true"] if key in known.top and known.top[key].value == "false" else None


def _is_value(rest: Sequence[str]) -> bool:
    """Whether the next word can be a value."""
    return bool(rest) and "=" not in rest[0] and (not rest[0].startswith("-") or NUMBER.match(rest[0]) is not None)


def _override(word: str, known: Catalogue) -> str:
    name, _, value = word.partition("=")
    key = key_of(name, known)
    return word if key is None else f"{key}={value}"


def _loose(word: str, rest: list[str], said: list[str], known: Catalogue, *, may_be_verb: bool) -> list[str] | None:
    """What was said before, with a word that is neither flag nor override: a key, an option, one more value, a verb."""
    name, colon, value = word.partition(":")
    if colon and value and (key := key_of(name, known)) is not None:
        return [*said, f"{key}={value}"]
    before, equals, _ = said[-1].partition("=") if said else ("", "", "")
    options = known.choices_named(word)
    if equals and (NUMBER.match(word) or f"{before}={word}" in options):
        several = [*said[:-1], f"{said[-1].rstrip(',')},{word}"]
        return several if "-m" in said or "--multirun" in said else ["-m", *several]
    if word in WHOLE:
        return [*said, WHOLE[word]]
    if options:
        return [*said, options[0]]
    if (key := key_of(word, known)) is not None:
        return [*said, f"{key}={rest.pop(0)}"] if _is_value(rest) else None
    if not said and not rest and os.path.isdir(word):
        return ["open", word]
    close = difflib.get_close_matches(word, VERBS, n=1)
    return [close[0], *said] if close and may_be_verb and not equals else None
