"""``labrunner explain KEY``: type, range, default, meaning, and which options have it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from labrunner import architectures, known_facts, schema
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, MEANINGS, SYNONYMS, VERBS, Catalogue, Option, nearest, own_folders
from labrunner.meant import VERB_WORDS
from labrunner.usage import verb_page
from labrunner.verbs.printing import show

if TYPE_CHECKING:
    from labrunner.cli import Arguments

WIDTH = 100  # characters of a line of names


def main(arguments: Arguments) -> int:
    words = [*arguments.words, *arguments.overrides]
    if not words:
        raise RequestError("explain takes a key, a group or an option: labrunner explain optim.lr")
    known = Catalogue(own_folders(arguments.config_dir))
    show("\n\n".join(explain(word, known) for word in words))
    return 0


def explain(word: str, known: Catalogue) -> str:
    """The text on a key (``optim.lr``), a group (``optim``), an option (``optim=sgd``), a verb, a probe or a fact.

    Of a word that is none of these, but a part or another name of some (``lr``, ``softmax``, ``learning_rate``), the
    text on each of them.
    """
    name, equals, option = word.partition("=")
    if name in GROUPS:
        return explain_option(name, option, known) if equals else explain_group(name, known)
    if name in known.top:
        key = known.top[name]
        return "\n".join([f"{name}: {key.meaning}", f"  takes    {takes(name)}", f"  default  {key.value}"])
    if name in VERBS and not equals:
        return verb_page(name)
    if section := [key for key in known.top if key.startswith(f"{name}.")]:
        return "\n".join(explain(key, known) for key in section)
    if known.owners(name):
        return explain_key(name, known)
    found = [] if equals else [explain(each, known) for each in in_short(name, known)]
    if not equals and (said := measured(name)) is not None:
        found.append(said)
    if not found and not equals and name in VERB_WORDS:
        found = [verb_page(next((each for each in VERB_WORDS[name] if each in VERBS), "train"))]
    if not found:
        close = nearest(name, [*known.all_keys(), *GROUPS, *known_facts.PROBES, *known_facts.FACTS])
        hint = f"; did you mean {close}?" if close else "; labrunner --help names what there is"
        raise RequestError(f"there is no key {name}{hint}")
    return "\n\n".join(found)


def in_short(word: str, known: Catalogue) -> list[str]:
    """The keys, groups and options that a word names by their last part, or by another name."""
    keys = [key for key in known.all_keys() if key.rpartition(".")[2] == word]
    other = [SYNONYMS[word]] if word in SYNONYMS else []
    return [*other, *(key for key in keys if key not in other), *known.choices_named(word)]


def explain_key(name: str, known: Catalogue) -> str:
    owners = known.owners(name)
    meanings = list(dict.fromkeys(key.meaning for _, key in owners))
    lines = [f"{name}: {meanings[0]}", f"  takes    {takes(name)}"]
    default = known.defaults.get(name.partition(".")[0])
    for owner, key in owners:
        mark = "  (the default option)" if owner.name == default else ""
        note = f"; {key.meaning}" if len(meanings) > 1 and key.meaning != meanings[0] else ""
        lines.append(f"  {owner.group}={owner.name}: {key.value}{note}{mark}")
    if name == "model.arch":
        names = textwrap.wrap(", ".join(architectures.NAMES), WIDTH, initial_indent="  ", subsequent_indent="  ")
        lines += ["  torchvision has", *names]
    return "\n".join(lines)


def measured(name: str) -> str | None:
    """The text on a probe, or on a fact; None for what is neither."""
    if name in known_facts.PROBES:
        facts = [fact for fact, each in known_facts.FACTS.items() if each.probe == name]
        lines = [f"{name}: {known_facts.PROBES[name]}", f"  a probe  probes=[{name}]"]
        return "\n".join([*lines, f"  facts    {', '.join(facts)}"] if facts else lines)
    fact = known_facts.known(name)
    if fact is None:
        return None
    source = "a fact   of every run" if fact.probe is None else f"a fact   of probes=[{fact.probe}]"
    return f"{name}: {fact.meaning}\n  {source}"


def takes(key: str) -> str:
    kind = schema.KEYS.get(key)
    return schema.describe(kind) if kind is not None else "what its own code takes"


def explain_group(group: str, known: Catalogue) -> str:
    lines = [f"{group}: {MEANINGS[group]}"]
    for option in known.options(group):
        mark = "*" if known.defaults.get(group) == option.name else " "
        lines.append(f"  {mark} {group}={option.name}: {option.meaning}")
    keys = dict.fromkeys(f"{group}.{key}" for option in known.options(group) for key in option.keys)
    if keys and group != "experiment":
        lines.append(f"  keys: {', '.join(keys)}")
    return "\n".join(lines)


def explain_option(group: str, name: str, known: Catalogue) -> str:
    option = known.option(group, name)
    if option is None:
        raise known.no_option(group, name)
    lines = [f"{group}={name}: {option.meaning}", *key_lines(group, option)]
    shipped = known.option("dataset", known.defaults["dataset"])
    if group == "dataset" and option.is_own and shipped is not None:
        lines.append("as every data set of your own, whether its file lists them or not:")
        kept = (key for name, key in shipped.keys.items() if name in schema.OWN_DATASET and name not in option.keys)
        lines += [f"  dataset.{key.name}={key.value}  {key.meaning}" for key in kept]
    return "\n".join(lines)


def key_lines(group: str, option: Option) -> list[str]:
    prefix = "" if group == "experiment" else f"{group}."
    return [f"  {prefix}{key.name}={key.value}  {key.meaning}".rstrip() for key in option.keys.values()]
