"""A lecturer's manifest: what has to be handed in. docs/course.md shows one whole; an error names its line.

The file is YAML. What it names (options, keys, facts) is checked when it is composed, in `labrunner.course.wanted`.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from labrunner.aliases import check_aliases, check_values
from labrunner.errors import RequestError
from labrunner.files import read_bytes
from labrunner.schema import shown

LARGEST = 1_000_000  # bytes: a manifest of a thousand experiments
SIMPLE = {"int_type": "a whole number", "float_type": "a number", "string_type": "text", "bool_type": "true or false"}

Name = Annotated[str, Field(min_length=1, max_length=80)]


class Part(BaseModel):
    """Keys as they stand in the file, none beside them, and no value taken for one of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Range(Part):
    """Numbers from `at_least` to `at_most`, both included; one of them may be left out."""

    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if self.at_least is None and self.at_most is None:
            raise ValueError("it takes at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least:g} is above at_most {self.at_most:g}")
        return self

    def holds(self, value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        above = is_number and (self.at_least is None or value >= self.at_least)
        return above and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        if self.at_most is None:
            return f"from {self.at_least:g}"
        return f"at most {self.at_most:g}" if self.at_least is None else f"{self.at_least:g} to {self.at_most:g}"


Allowed = Literal["any"] | list[Any] | Range


class Expected(Part):
    """What a fact has to be: in each run of a sweep, or as what is taken of all of them."""

    at_least: float | None = None
    at_most: float | None = None
    equals: float | None = None
    take: Literal["each", "mean", "median", "min", "max", "spread"] = "each"

    @model_validator(mode="after")
    def _says_something(self) -> Expected:
        if self.at_least is None and self.at_most is None and self.equals is None:
            raise ValueError("it takes at_least, at_most or equals")
        return self


class Experiment(Part):
    """One that has to be handed in: a run, or all runs of a sweep."""

    name: Name
    overrides: list[str] = []
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    allowed: dict[str, Allowed] = {}
    expect: dict[str, Expected] = {}
    replay: bool = False  # whether the last epoch is trained again
    points: Annotated[float, Field(ge=0)] | None = None


class Manifest(Part):
    """All that is asked of a class."""

    title: Name
    labrunner: Annotated[str, Field(min_length=1)] | None = None  # versions, as ">=0.1,<0.2"
    code: Annotated[str, Field(min_length=1)] | None = None  # the lecturer's folder of modules that models may name
    seeds: dict[str, Annotated[int, Field(ge=0, lt=2**63)]] | None = None  # student -> the seed that was assigned
    experiments: Annotated[list[Experiment], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_once(self) -> Manifest:
        names = [experiment.name for experiment in self.experiments]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two experiments are called {twice}; give one of them another name")
        return self


def read(path: Path) -> tuple[Manifest, Lines]:
    """The manifest in a file, and where its parts stand.

    Raises
    ------
    RequestError
        when it cannot be read, or says what no manifest does; with the line, the key and the nearest one there is.
    """
    import yaml

    try:
        content = read_bytes(path)
    except OSError as error:
        raise RequestError(f"the manifest {path} cannot be read: {error.strerror or error}") from None
    if len(content) > LARGEST:
        raise RequestError(f"the manifest {path} is too large: {len(content) / 1e6:.0f} MB")
    try:
        text = content.decode()
        check_aliases(text, path)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        said = yaml.safe_load(text)
        check_values(said, path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f", line {mark.line + 1}"
        raise RequestError(f"{path}{where}: {error.problem or 'this is no YAML'}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RequestError(f"{path} is no YAML: {str(error).splitlines()[0]}") from None
    lines = Lines(path, node)
    if not isinstance(said, dict):
        raise RequestError(f"{path} is no manifest: it takes title: and experiments:, see docs/course.md")
    lines.refuse_twice()
    try:
        return Manifest.model_validate(said), lines
    except ValidationError as error:
        first = _telling(error.errors())
        place = _place(first["loc"])
        is_range = any("Range" in str(step) for step in first["loc"])
        raise lines.error(place, _told({**first, "loc": place, "is_range": is_range})) from None


class Lines:
    """Where each part of a YAML file stands."""

    def __init__(self, path: Path, node: Any) -> None:
        self.path, self._node = path, node

    def error(self, place: Sequence[str | int], message: str) -> RequestError:
        """An error about a part of the file: ``manifest.yaml, line 7, experiments[0].allowed: …``."""
        named = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
        return RequestError(f"{self.path}, line {self._line(place)}{f', {named}' if named else ''}: {message}")

    def _line(self, place: Sequence[str | int]) -> int:
        """The line of a part; of one that is not there, that of what it is missing in."""
        import yaml

        node, line = self._node, 1
        for step in place:
            if isinstance(node, yaml.MappingNode):
                found = [(key, value) for key, value in node.value if str(key.value) == str(step)]
                if not found:
                    break
                line, node = found[0][0].start_mark.line + 1, found[0][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                break
        return line

    def refuse_twice(self) -> None:
        """Refuse a key that stands twice in one mapping, of which YAML's reader takes the last without a word."""
        import yaml

        waiting: list[tuple[Any, tuple[str | int, ...]]] = [(self._node, ())]
        while waiting:
            node, place = waiting.pop(0)
            if isinstance(node, yaml.SequenceNode):
                waiting += [(each, (*place, number)) for number, each in enumerate(node.value)]
            if not isinstance(node, yaml.MappingNode):
                continue
            seen = set()
            for key, value in node.value:
                name = str(key.value)
                if name in seen:
                    raise RequestError(f"{self.path}, line {key.start_mark.line + 1}: {name} stands here twice")
                seen.add(name)
                waiting.append((value, (*place, name)))


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


def _told(error: Mapping[str, Any]) -> str:
    """An error of pydantic's in our words."""
    kind, loc, value, context = error["type"], error["loc"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = list(_fields_at(loc[:-1]))
        close = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
        return f"there is no such key; {f'did you mean {close[0]}? ' if close else ''}it takes {', '.join(known)}"
    if kind == "missing":
        return "it is missing"
    if kind == "value_error":
        return str(context.get("error", "it is not what a manifest says"))
    if "allowed" in loc and not error["is_range"]:
        return f"it takes any, a list of values, or {{at_least: …, at_most: …}}, not {shown(value)}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"it takes a mapping of {', '.join(_fields_at(loc)) or 'names to values'}, not {shown(value)}"
    if kind == "list_type":
        return f"it takes a list, not {shown(value)}"
    if kind == "literal_error":
        close = difflib.get_close_matches(str(value), str(context.get("expected")).replace("'", "").split(", "), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"{shown(value)}: it takes {str(context.get('expected')).replace(chr(39), '')}{hint}"
    return f"{shown(value)}: it takes {SIMPLE[kind]}" if kind in SIMPLE else f"{shown(value)}: {error['msg'].lower()}"


def _fields_at(loc: Sequence[str | int]) -> tuple[str, ...]:
    """The keys that a part of the file may have."""
    kind: Any = Manifest
    for step in loc:
        if isinstance(kind, type) and issubclass(kind, Part) and step in kind.model_fields:
            kind = kind.model_fields[str(step)].annotation
        elif get_origin(kind) in (dict, list):
            kind = get_args(kind)[-1]
        while get_origin(kind) is Annotated or get_origin(kind) in (Union, types.UnionType):
            parts = [part for part in get_args(kind) if part is not type(None)]
            models = [part for part in parts if isinstance(part, type) and issubclass(part, Part)]
            kind = models[0] if models and get_origin(kind) is not Annotated else parts[0]
    return tuple(kind.model_fields) if isinstance(kind, type) and issubclass(kind, Part) else ()
