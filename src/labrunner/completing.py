"""What a word of the command line can go on as: verbs, flags, groups, options, keys and their values, run folders.

A shell asks at every press of its key, so this must be as quick as ``--help``: names come from `helping`, values from
`schema`, and folders are looked at by name. Nothing is executed, and nothing is an error: where nothing is known, there
is nothing to offer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args, get_origin

from labrunner import nearby
from labrunner.errors import RequestError
from labrunner.helping import FLAGS, GROUPS, MEANINGS, VERBS, Catalogue, own_folders
from labrunner.nearby import Word

CFG = ("job", "hydra", "all")
SHELLS = ("bash", "zsh", "fish")
KINDS = ("model", "dataset", "optimizer", "probe", "experiment")  # of what ``new`` makes
HYDRA = {
    "hydra.run.dir": "the folder of a run",
    "hydra.sweep.dir": "the folder of a sweep",
    "hydra.mode": "RUN or MULTIRUN, a sweep",
}
OWN_KEYS = {  # of verbs alone: what the value is a path of
    "csv": "the CSV file to write",
    "figure": "the PNG file to write",
    "file": "the ONNX file to write",
    "html": "the HTML file to write",
    "manifest": "a manifest",
}
OURS = {  # kinds of words that are folders of labrunner's -> kinds of folders
    "run": ("run",),
    "run or sweep": ("run", "sweep"),
    "anything drawn": ("run", "sweep", "evaluation", "range test"),
}
FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "dataset.root", "cache", "--config-dir", "-cd")
FILES = (*OWN_KEYS, "dataset.path")
YAML = (".yaml", ".yml")


class Takes(NamedTuple):
    """What stands behind a verb."""

    words: tuple[str, ...] = ()  # kinds of the words in turn; the last one again and again where it is `...`
    keys: tuple[str, ...] = ()  # `*` stands for those of every run, `resumable` for `labrunner.schema`'s
    groups: tuple[str, ...] = ()  # whose options and keys are taken
    flags: tuple[str, ...] = ("--help", "-h")


OVERRIDES = Takes((), ("*",), GROUPS, ("--help", "-h", "--config-dir"))
SWEEPABLE = OVERRIDES._replace(flags=(*OVERRIDES.flags, "-m", "--multirun"))
LOADS = ("--help", "-h", "--config-dir", "--trust")
WHERE = ("device", "threads")
TAKES = {
    "train": SWEEPABLE._replace(flags=(*SWEEPABLE.flags, "--cfg", "--version")),
    "resume": Takes(("run or sweep",), ("resumable", "jobs", "fail_fast"), flags=LOADS),
    "plan": SWEEPABLE,
    "compare": Takes(("run or sweep", "..."), ("figures", "hydra.run.dir")),
    "ls": Takes(("folder", "...")),
    "doctor": Takes(("run or sweep", "...")),
    "report": Takes(("anything drawn", "..."), ("figures",)),
    "open": Takes(("anything drawn",)),
    "predict": Takes(("run", "file", "..."), ("csv", "figure", *WHERE), flags=LOADS),
    "evaluate": Takes(("run",), ("hydra.run.dir", "cache", "figures", *WHERE), ("dataset",), LOADS),
    "export": Takes(("run",), ("file",), flags=LOADS),
    "summary": OVERRIDES,
    "lr-find": OVERRIDES,
    "labs": Takes(("lab", "...")),
    "fetch": OVERRIDES,
    "new": Takes(("kind",)),
    "grade": Takes(("yaml", "folder", "..."), ("csv", "html")),
    "bundle": OVERRIDES._replace(words=("folder",), keys=("*", "manifest")),
    "completion": Takes(("shell",)),
    "explain": Takes(("name", "..."), flags=("--help", "-h", "--config-dir")),
}


@dataclass
class Typed:
    """What stands before the word."""

    verb: str | None = None  # None: none yet, which may still come
    words: list[str] = field(default_factory=list)  # behind the verb, neither flags nor overrides
    overrides: dict[str, str] = field(default_factory=dict)  # key -> value
    config_dir: str | None = None
    flag: str | None = None  # the last word, where that wants a value


def typed(before: Sequence[str]) -> Typed:
    """Sort the words before the one that is completed, as `labrunner.cli.parse` would."""
    found = Typed()
    for word in before:
        name, equals, value = word.partition("=")
        if found.flag is not None:
            if found.flag in ("--config-dir", "-cd"):
                found.config_dir = word
            found.flag = None
        elif name in ("--cfg", "-c", "--config-dir", "-cd"):
            found.flag = None if equals else name
            if equals and name in ("--config-dir", "-cd"):
                found.config_dir = value
        elif word.startswith("-") or not word:
            continue
        elif equals:
            found.verb = found.verb or "train"
            found.overrides[name] = value
        elif found.verb is None and word in (*VERBS, "help"):
            found.verb = "explain" if word == "help" else word
        else:
            found.verb = found.verb or "train"
            found.words.append(word)
    return found


def complete(before: Sequence[str], word: str) -> list[Word]:
    """What a word can go on as, each once.

    Parameters
    ----------
    before : the words between the command and this one, without their quotes
    word : as far as it is typed, up to the cursor
    """
    known = typed(before)
    try:
        catalogue = Catalogue(own_folders(known.config_dir))
    except (RequestError, OSError, RuntimeError):
        catalogue = Catalogue()
    seen: dict[str, Word] = {}
    for each in offered(known, word, catalogue):
        goes_on = each.whole or each.text != word
        if goes_on and each.text.startswith(word) and each.text.isprintable():
            seen.setdefault(each.text, each)
    return list(seen.values())


def offered(known: Typed, word: str, catalogue: Catalogue) -> Iterator[Word]:
    if known.flag is not None:
        yield from flag_values(known.flag, "", word)
        return
    takes = TAKES[known.verb or "train"]
    key, equals, value = word.partition("=")
    if word.startswith("-"):
        if equals:
            yield from flag_values(key, f"{key}=", value)
        else:
            yield from flags(takes)
        return
    if equals and known.verb != "explain":
        yield from values(key, value, takes, catalogue)
        return
    if known.verb is None:
        yield from (Word(verb, VERBS[verb]) for verb in VERBS)
        yield Word("help", "the page of a verb, or what a word means")
    expected = kind_of(takes, len(known.words))
    if expected is not None:
        yield from named(expected, word, catalogue)
    if expected is None or word or known.words:
        yield from keys(word, takes, known, catalogue)


def kind_of(takes: Takes, count: int) -> str | None:
    """What the next word is, behind so many; None where no more are taken."""
    if count < len(takes.words) and takes.words[count] != "...":
        return takes.words[count]
    return takes.words[-2] if takes.words and takes.words[-1] == "..." else None


def flags(takes: Takes) -> Iterator[Word]:
    for names, meaning in FLAGS.items():
        for name in names.split(", "):
            flag = name.partition(" ")[0]
            if flag in takes.flags:
                yield Word(flag, meaning)


def flag_values(flag: str, head: str, value: str) -> Iterator[Word]:
    if flag in ("--cfg", "-c"):
        yield from (Word(head + each) for each in CFG)
    elif flag in FOLDERS:
        yield from behind(head, nearby.paths(value, files=False))


def named(kind: str, word: str, catalogue: Catalogue) -> Iterable[Word]:
    """Words that are neither flags nor overrides."""
    if kind in OURS:
        return nearby.ours(word, OURS[kind])
    if kind in ("file", "folder", "yaml"):
        return nearby.paths(word, files=kind != "folder", ends=YAML if kind == "yaml" else ("",))
    if kind == "lab":
        from labrunner.labs import LABS

        options = ((name, catalogue.option("experiment", name)) for name in LABS)
        return [Word(name, "" if option is None else option.meaning) for name, option in options]
    if kind == "name":
        return explainable(word, catalogue)
    return [Word(each) for each in (KINDS if kind == "kind" else SHELLS)]


def explainable(word: str, catalogue: Catalogue) -> Iterator[Word]:
    """What ``explain`` knows, keys also by their last part; without a letter the groups and the keys of every run."""
    group, equals, _ = word.partition("=")
    if equals:
        if group in GROUPS:
            yield from (Word(f"{group}={each.name}", each.meaning) for each in catalogue.options(group))
        return
    yield from (Word(group, MEANINGS[group]) for group in GROUPS)
    yield from (Word(key.name, key.meaning) for key in catalogue.top.values())
    if not word:
        return
    from labrunner import known_facts

    yield from (Word(verb, VERBS[verb]) for verb in VERBS)
    yield from (Word(name, meaning) for name, meaning in known_facts.PROBES.items())
    yield from (Word(name, fact.meaning) for name, fact in known_facts.FACTS.items())
    for group in GROUPS:
        yield Word(f"{group}=", f"options of {group}", whole=False)
        if group != "experiment":
            yield Word(f"{group}.", f"keys of {group}", whole=False)
    for key in catalogue.all_keys():
        name = key if word.partition(".")[0] in GROUPS else key.rpartition(".")[2]
        if name.startswith(word):
            yield Word(name, owners_meaning(key, catalogue))


def owners_meaning(key: str, catalogue: Catalogue) -> str:
    owners = catalogue.owners(key)
    return owners[0][1].meaning if owners else ""


# keys


def keys(word: str, takes: Takes, known: Typed, catalogue: Catalogue) -> Iterator[Word]:
    """``model=``, ``epochs=``, ``optim.`` and, behind that dot, the keys of what is chosen."""
    group, dot, begun = word.partition(".")
    if dot and group in takes.groups:
        yield from group_keys(group, begun, known, catalogue)
    for group in takes.groups:
        if group not in known.overrides:
            yield Word(f"{group}=", MEANINGS[group], whole=False)
        if word and group != "experiment":  # without a letter they would only be in the way
            yield Word(f"{group}.", f"keys of {group}", whole=False)
    top = {key.name: f"{key.meaning} ({key.value})" for key in catalogue.top.values()}
    meanings = {**(HYDRA if word else {}), **top} if "*" in takes.keys else {}
    own = [key for key in takes.keys if key not in ("*", "resumable")]
    if "resumable" in takes.keys:
        from labrunner.schema import RESUMABLE

        own = [*RESUMABLE, *own]
    meanings |= {key: (top | HYDRA | OWN_KEYS).get(key, "") for key in own}
    yield from (Word(f"{key}=", said, whole=False) for key, said in meanings.items() if key not in known.overrides)


def group_keys(group: str, begun: str, known: Typed, catalogue: Catalogue) -> Iterator[Word]:
    """Keys of the options that are chosen, or of the default; of all where an experiment may choose, or none fits."""
    options = catalogue.options(group)
    names = known.overrides[group].split(",") if group in known.overrides else [catalogue.defaults.get(group, "")]
    chosen = [option for option in options if option.name in names]
    if group not in known.overrides and "experiment" in known.overrides:
        chosen = options
    if not any(key.startswith(begun) for option in chosen for key in option.keys):
        chosen = options
    for option in chosen:
        for key in option.keys.values():
            if f"{group}.{key.name}" not in known.overrides:
                yield Word(f"{group}.{key.name}=", f"{key.meaning} ({key.value})", whole=False)


# values


def values(key: str, value: str, takes: Takes, catalogue: Catalogue) -> Iterator[Word]:
    """``key=value`` for what a value can be; behind a comma for what the next of several can be."""
    head = f"{key}="
    if key in FOLDERS or key in FILES:
        ends = YAML if key == "manifest" else ("",)
        yield from behind(head, nearby.paths(value, files=key in FILES, ends=ends))
        return
    if value.startswith("["):
        yield from listed(head, value, kind_of_value(key))
        return
    before, comma, begun = value.rpartition(",")
    used = before.split(",") if comma else []
    for each in single(key, begun, takes, catalogue):
        if each.text not in used:
            yield each._replace(text=f"{head}{before}{comma}{each.text}")
    if not comma and key not in GROUPS and get_origin(kind_of_value(key)) is list:
        yield from listed(head, "[", kind_of_value(key))


def single(key: str, begun: str, takes: Takes, catalogue: Catalogue) -> Iterator[Word]:
    """What one value can be, without its key."""
    if key in GROUPS:
        if key in takes.groups:
            own = {True: "", False: " (yours)"}
            yield from (Word(each.name, each.meaning + own[each.shipped]) for each in catalogue.options(key))
        return
    if key == "model.arch":
        from labrunner.architectures import NAMES

        yield from map(Word, NAMES)
    elif key == "model.weights":
        yield Word("none", "draws them")
        yield Word("imagenet", "those that torchvision has")
        yield from nearby.ours(begun, OURS["run"])
    elif key == "hydra.mode":
        yield from map(Word, ("RUN", "MULTIRUN"))
    else:
        yield from map(Word, literals(kind_of_value(key)))


def listed(head: str, value: str, kind: Any) -> Iterator[Word]:
    """The next in a list such as ``[gradients,act``; of one that is whole the bracket, or a comma."""
    (item,) = get_args(kind) if get_origin(kind) is list else (None,)
    before, comma, begun = value[1:].rpartition(",")
    used, names = before.split(","), literals(item)
    meanings: dict[str, str] = {}
    if head == "probes=":
        from labrunner import known_facts

        meanings = known_facts.PROBES
    for name in names:
        if name not in used:
            yield Word(f"{head}[{before}{comma}{name}", meanings.get(name, ""), whole=False)
    if begun in names:
        yield Word(f"{head}{value}]")


def kind_of_value(key: str) -> Any:
    """The type of a key's value in `labrunner.schema`; None of a key that is not there."""
    from labrunner import schema  # only now: it takes as long as all the rest

    return schema.KEYS.get(key)


def literals(kind: Any) -> list[str]:
    """The words that a type takes, as they are typed: ``true``, ``null``, ``auto``."""
    if kind is None or isinstance(kind, str):
        return []
    if get_origin(kind) is Literal:
        return [str(each) for each in get_args(kind)]
    if kind is bool:
        return ["true", "false"]
    if kind is type(None):
        return ["null"]
    parts = [] if get_origin(kind) is list else get_args(kind)
    return [word for part in parts for word in literals(part)]


def behind(head: str, words: Iterable[Word]) -> Iterator[Word]:
    return (each._replace(text=head + each.text) for each in words)
