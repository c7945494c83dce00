"""Writes what stands in the YAML files into the manual: docs/options.md, the table of options in README.md, and that of
the labs in docs/labs/README.md.

``make docs`` runs it; a test checks that both are current.
"""

from __future__ import annotations

import re
from pathlib import Path

from labrunner.helping import GROUPS, MEANINGS, Catalogue
from labrunner.labs import LABS
from labrunner.schema import KEYS, describe
from labrunner.verbs.labs import duration

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- options: made by make docs -->", "<!-- options: end -->"


def cell(text: str) -> str:
    return re.sub(r"([|*_<])", r"\\\1", text)


def page(known: Catalogue) -> str:
    """docs/options.md: every group, option and key."""
    lines = [
        "# Every option and key",
        "",
        "Made from the YAML files in `conf/` by `make docs`; `labrunner --help` and `explain KEY` say the same.",
        "An option is chosen by `group=option`, a key is set by `key=value`.",
        "",
        "## Keys of every run",
        "",
        *key_table({name: [("", key.value, key.meaning)] for name, key in known.top.items()}, ""),
    ]
    for group in GROUPS:
        options = known.options(group)
        lines += ["", f"## {group}: {MEANINGS[group]}", "", "| option | what it is |", "|---|---|"]
        for option in options:
            default = " (default)" if known.defaults.get(group) == option.name and group != "experiment" else ""
            lines.append(f"| `{group}={option.name}`{default} | {cell(option.meaning)} |")
        if group == "experiment":
            continue
        keys: dict[str, list[tuple[str, str, str]]] = {}
        for option in options:
            for key in option.keys.values():
                keys.setdefault(key.name, []).append((option.name, key.value, key.meaning))
        if keys:
            lines += ["", *key_table(keys, f"{group}.")]
    return "\n".join(lines) + "\n"


def key_table(keys: dict[str, list[tuple[str, str, str]]], prefix: str) -> list[str]:
    """A row a key: its meaning, what it takes, its value in each option that has it."""
    lines = ["| key | meaning | takes | value |", "|---|---|---|---|"]
    for name, owners in keys.items():
        meanings = dict.fromkeys(meaning for _, _, meaning in owners)
        values: dict[str, list[str]] = {}
        for option, value, _ in owners:
            values.setdefault(value, []).append(option)
        if len(values) == 1:
            shown = f"`{next(iter(values))}`"
        else:
            usual = max(values, key=lambda value: len(values[value]))
            rare = [f"`{value}` in {', '.join(names)}" for value, names in values.items() if value != usual]
            shown = f"`{usual}`; {'; '.join(rare)}"
        takes = describe(KEYS[f"{prefix}{name}"])
        lines.append(f"| `{prefix}{name}` | {cell('; '.join(meanings))} | {cell(takes)} | {shown} |")
    return lines


def table(known: Catalogue) -> str:
    """README's table: the options of each group, the default first."""
    lines = ["| group | options (the first is the default) |", "|---|---|"]
    for group in GROUPS:
        default = known.defaults.get(group)
        names = sorted((option.name for option in known.options(group)), key=lambda name: (name != default, name))
        lines.append(f"| `{group}` | {', '.join(f'`{name}`' for name in names)} |")
    return "\n".join(lines)


def with_table(readme: str, known: Catalogue) -> str:
    """README.md with the table of today between its marks."""
    return between_marks(readme, table(known))


def between_marks(text: str, made: str) -> str:
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def course(known: Catalogue) -> str:
    """The table of docs/labs/README.md: the labs in their order."""
    lines = ["| lab | what it shows | takes |", "|---|---|---|"]
    for name, lab in LABS.items():
        option = known.option("experiment", name)
        shows = "" if option is None else cell(option.meaning)
        lines.append(f"| [{cell(name)}]({name}.md) | {shows} | {duration(lab.seconds)} |")
    return "\n".join(lines)


def with_course(index: str, known: Catalogue) -> str:
    """docs/labs/README.md with the labs of today between its marks."""
    return between_marks(index, course(known))


if __name__ == "__main__":
    catalogue, readme_file = Catalogue(), ROOT / "README.md"
    (ROOT / "docs" / "options.md").write_text(page(catalogue), encoding="utf-8")
    readme_file.write_text(with_table(readme_file.read_text(encoding="utf-8"), catalogue), encoding="utf-8")
    index_file = ROOT / "docs" / "labs" / "README.md"
    index_file.write_text(with_course(index_file.read_text(encoding="utf-8"), catalogue), encoding="utf-8")
