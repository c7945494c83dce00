"""What is wrong with a manifest, in words: for who writes one for the first time, and knows none of YAML's errors."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from labrunner.schema import shown

PERCENT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*%\s*$")
QUOTED = "text with : # % @ [ ] { } or a > in front stands in quotes"
YAMLS = (  # what PyYAML says -> what to do
    ("mapping values are not allowed", f"a colon cannot stand here: check the indentation; {QUOTED}"),
    ("expected <block end>", "this line is indented otherwise than those that it belongs to"),
    ("could not find expected ':'", "a key has a colon and a space behind it: points: 4"),
    ("but got '['", 'an override with brackets stands in quotes: "probes=[gradients]"'),
    ("expected ',' or", f"a bracket before this is not closed, or a comma is missing; {QUOTED}"),
    ("cannot start any token", QUOTED),
    ("expected chomping", f'{QUOTED}: labrunner: ">=0.1,<0.2"'),
    ("unexpected end of stream", "a quote before this is not closed"),
    ("could not determine a constructor", f"a tag (!…) is nothing that a manifest says; {QUOTED}"),
)
SHAPES = {  # key -> how it is written
    "experiments": "- name: baseline",
    "overrides": "[model=mlp, dataset=digits]",
    "allowed": "{seed: any}",
    "expect": "{test_accuracy: {at_least: 0.9}}",
    "sweep": "{seed: [0, 1, 2]}",
    "seeds": "{anna: 11, ben: 12}",
    "labrunner": '">=0.1,<0.2"',
}


def of_yaml(text: str, error: Any) -> tuple[int | None, str]:
    """(line, what to do) of a text that PyYAML could not read; `error` is its ``MarkedYAMLError``."""
    mark = error.problem_mark or error.context_mark
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line[: len(line) - len(line.lstrip())] and (mark is None or number <= mark.line + 2):
            return number, "a tab in the indentation; YAML takes spaces alone"
    problem = str(error.problem or "this is no YAML")
    told = next((words for part, words in YAMLS if part in problem), problem)
    return (None if mark is None else mark.line + 1), told


def of_values(errors: Sequence[Any], whole: type[BaseModel]) -> tuple[list[str | int], str]:
    """(place, what to do) of the error of pydantic's that says most, of a manifest that is made as `whole`."""
    error = _telling(errors)
    place = _place(error["loc"])
    is_range = any("Range" in str(step) for step in error["loc"])
    return place, _told({**error, "loc": place, "is_range": is_range}, whole)


def _telling(errors: Sequence[Any]) -> Any:
    """The error that says most: a misspelt key before the one it is missing as; of a union, what it looks like."""
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    if "allowed" in first["loc"] and isinstance(first["input"], dict):
        return next((each for each in errors if any("Range" in str(step) for step in each["loc"])), first)
    return first


def _place(loc: Sequence[str | int]) -> list[str | int]:
    """Where an error of pydantic's is, without the names that it gives to the members of a union."""
    members = {"Range", "constrained-str", "list[any]", "[key]"}
    return [step for step in loc if not (isinstance(step, str) and (step in members or "[" in step))]


def _told(error: Mapping[str, Any], whole: type[BaseModel]) -> str:
    kind, loc, value, context = error["type"], error["loc"], error["input"], error.get("ctx", {})
    known = fields_at(loc, whole)
    name = next((step for step in reversed(loc) if isinstance(step, str)), "")
    if kind == "extra_forbidden":
        known = fields_at(loc[:-1], whole)
        close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
        if str(name).isdigit():
            return "a number has a decimal point, and no comma: 0.8"
        return f"there is no such key; {f'did you mean {close[0]}? ' if close else ''}it takes {', '.join(known)}"
    if kind == "missing":
        return f"it is missing{_as(name)}"
    if kind == "value_error":
        return str(context.get("error", "it is not what a manifest says"))
    if "allowed" in loc and name != "allowed" and not error["is_range"]:
        return f"it takes any, a list of values, or {{at_least: …, at_most: …}}, not {shown(value)}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        if "at_least" in known and isinstance(value, int | float):
            return f"it takes a relation, as {{at_least: {shown(value)}}}, not {shown(value)} alone"
        return f"it takes a mapping of {', '.join(known) or 'names to values'}{_as(name)}, not {written(value)}"
    if kind == "list_type":
        return f"it takes a list, {_listed(name, value)}, not {written(value)}"
    if kind == "literal_error":
        words = str(context.get("expected")).replace("'", "")
        close = difflib.get_close_matches(str(value), words.replace(" or ", ", ").split(", "), n=1)
        return f"{shown(value)}: it takes {words}{f'; did you mean {close[0]}?' if close else ''}"
    return f"{written(value)}: it takes {_wanted(kind, name, value, context)}"


def _wanted(kind: str, name: str, value: Any, context: Mapping[str, Any]) -> str:
    """What a key takes that has another simple value."""
    if kind == "string_type":
        if name == "overrides":
            pairs = [f"{key}={_inline(each)}" for key, each in value.items()] if isinstance(value, dict) else []
            return f"overrides as text: {pairs[0] if pairs else 'epochs=20'}; one with a comma or brackets in quotes"
        if name == "labrunner":
            return f"versions in quotes{_as(name)}"
        return f'text; in quotes it is some: "{shown(value)}"'
    if kind in ("float_type", "int_type"):
        what = "a number" if kind == "float_type" else "a whole number"
        if isinstance(value, str) and (percent := PERCENT.match(value)):
            return f"{what}: {float(percent[1]) / 100:g}"
        is_quoted = isinstance(value, str) and value.strip().removeprefix("-").replace(".", "", 1).isdigit()
        return what + (", and this is text; take the quotes away" if is_quoted else "")
    if kind == "greater_than_equal":
        return f"a number from {context['ge']:g}"
    if kind == "less_than":
        return "a number below 2^63"
    return {
        "bool_type": "true or false",
        "finite_number": "a finite number",
        "string_too_short": f"text of at least 1 character{_as(name)}",
        "string_too_long": f"text of at most {context.get('max_length')} characters",
        "too_short": f"at least one{_as(name)}",
    }.get(kind, "something else")


def written(value: Any) -> str:
    """A value as it stands in YAML, on one line."""
    return shown(_inline(value)) if isinstance(value, dict | list) else shown(value) if value != "" else '""'


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_inline(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _as(name: str) -> str:
    return f", as {SHAPES[name]}" if name in SHAPES else ""


def _listed(name: str, value: Any) -> str:
    """How what was written for a list would be one."""
    if name == "overrides" and isinstance(value, str) and value:
        return f"as [{', '.join(value.replace(',', ' ').split())}]"
    if name == "overrides" and isinstance(value, dict):
        return "as [" + ", ".join(f"{key}={_inline(each)}" for key, each in value.items()) + "]"
    if name in SHAPES:
        return f"as {SHAPES[name]}"
    return f"as [{value}]" if isinstance(value, int | float | str) and value != "" else "as [0, 1, 2]"


def fields_at(loc: Sequence[str | int], whole: type[BaseModel]) -> tuple[str, ...]:
    """The keys that a part of the file may have."""
    kind: Any = whole
    for step in loc:
        if _is_part(kind) and step in kind.model_fields:
            kind = kind.model_fields[str(step)].annotation
        elif get_origin(kind) in (dict, list):
            kind = get_args(kind)[-1]
        while get_origin(kind) is Annotated or get_origin(kind) in (Union, types.UnionType):
            parts = [part for part in get_args(kind) if part is not type(None)]
            models = [part for part in parts if _is_part(part)]
            kind = models[0] if models and get_origin(kind) is not Annotated else parts[0]
    return tuple(kind.model_fields) if _is_part(kind) else ()


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
