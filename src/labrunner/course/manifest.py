"""A lecturer's manifest: what has to be handed in. docs/course.md shows one whole; an error names its line.

The file is YAML. What it names (options, keys, facts) is checked when it is composed, in `labrunner.course.wanted`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from labrunner import numerals
from labrunner.aliases import check_aliases, check_values
from labrunner.course import slips
from labrunner.errors import RequestError
from labrunner.files import read_bytes

LARGEST = 1_000_000  # bytes: a manifest of a thousand experiments

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
        for low, high in (("at_least", "at_most"), ("equals", "at_most"), ("at_least", "equals")):
            below, above = getattr(self, low), getattr(self, high)
            if below is not None and above is not None and below > above:
                raise ValueError(f"nothing can be both: {low} {below:g} is above {high} {above:g}")
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
    handed_out: list[Annotated[str, Field(min_length=1)]] = []  # the lecturer's folders of runs that all were given
    seeds: dict[str, Annotated[int, Field(ge=0, lt=2**63)]] | None = None  # student -> the seed that was assigned
    experiments: Annotated[list[Experiment], Field(min_length=1)]

    @field_validator("labrunner")
    @classmethod
    def _are_versions(cls, said: str | None) -> str | None:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            SpecifierSet(said or "")
        except InvalidSpecifier:
            raise ValueError(f'{said}: it takes versions, as ">=0.1,<0.2"') from None
        return said


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
    text = ""
    try:
        text = content.decode("utf-8-sig")
        check_aliases(text, path)
        loader = _loader()
        node = yaml.compose(text, Loader=loader)
        said = yaml.load(text, Loader=loader)
        check_values(said, path)
    except yaml.MarkedYAMLError as error:
        line, message = slips.of_yaml(text, error)
        raise RequestError(f"{path}{'' if line is None else f', line {line}'}: {message}") from None
    except UnicodeDecodeError:
        raise RequestError(f"{path} is no text in UTF-8; save it as that") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RequestError(f"{path} is no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(said, dict):
        what = "is empty" if said is None else "is no manifest"
        raise RequestError(f"{path} {what}: it takes title: and experiments:, see docs/course.md")
    lines = Lines(path, node)
    lines.refuse_twice()
    try:
        read = Manifest.model_validate(said)
    except ValidationError as error:
        raise lines.error(*slips.of_values(error.errors(), Manifest)) from None
    names = [experiment.name for experiment in read.experiments]
    for number, name in enumerate(names):
        if name in names[:number]:
            first = lines.line(("experiments", names.index(name), "name"))
            raise lines.error(
                ("experiments", number, "name"), f"{name} is the name of the experiment in line {first} already"
            )
    return read, lines


def _loader() -> Any:
    """Reads numbers as labrunner's own YAML does, and each key as it was typed: a student may be called 007, or No."""
    import yaml

    class Loader(numerals.loader()):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
            self.flatten_mapping(node)
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.constructor.ConstructorError(
                        None, None, "a key is text, and no list or mapping", key.start_mark
                    )
            return {str(key.value): self.construct_object(value, deep=deep) for key, value in node.value}

    return Loader


class Lines:
    """Where each part of a YAML file stands."""

    def __init__(self, path: Path, node: Any) -> None:
        self.path, self._node = path, node

    def error(self, place: Sequence[str | int], message: str) -> RequestError:
        """An error about a part of the file: ``manifest.yaml, line 7, experiments[0].allowed: …``."""
        named = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
        return RequestError(f"{self.path}, line {self.line(place)}{f', {named}' if named else ''}: {message}")

    def line(self, place: Sequence[str | int]) -> int:
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
