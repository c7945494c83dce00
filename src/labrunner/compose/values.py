"""Several values behind a key, in Hydra's grammar, and values written so that the grammar reads them back."""

from __future__ import annotations

import math
import random
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labrunner import schema
from labrunner.compose.composing import Composer, key_of
from labrunner.compose.names import is_sweep, split_prefix
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

MOST = 10_000  # runs of a sweep
SHUFFLE = re.compile(r"\bshuffle\s*\(")


@dataclass(frozen=True)
class Setting:
    """An override as key and value, so that a value can be filled in before it is written."""

    key: str  # with a plus sign, where one was typed
    value: Any

    @property
    def text(self) -> str:
        return f"{self.key}={written(self.value, always_quoted=key_of(self.key) in schema.PATHS)}"


def read(text: str, composer: Composer) -> list[Any] | Setting:
    """The values of an override that names several, in order; or the one that it names, as a `Setting`.

    Raises
    ------
    RequestError
        for values that cannot be counted, or that no sweep goes through.
    """
    from hydra.errors import HydraException

    prefix, body = split_prefix(text)
    key, _, value = body.partition("=")
    key, value = key.strip(), value.strip()
    among_paths = key in schema.PATHS and value.startswith("choice(") and value.endswith(")")
    override = composer.in_grammar(text) if among_paths else composer.parsed(text)
    if not override.is_sweep_override():
        if key not in schema.PATHS and SHUFFLE.search(text):
            raise RequestError(f"{text}: a shuffled list is another one each time; write the list as it shall be")
        return Setting(prefix + key, _unquoted(override.value()))
    if key.startswith("hydra."):
        raise RequestError(f"{text}: a sweep goes through what its runs compute, and {key} is not of that")
    if key in schema.NOT_COMPUTED:
        raise RequestError(
            f"{text}: {key} says how a sweep is carried out, not what its runs compute; give it one value"
        )
    try:
        values = _expanded(override, text, key, composer.known)
    except (HydraException, ValueError, ArithmeticError, TypeError) as error:
        raise RequestError(f"{text}: {str(error).splitlines()[0]}") from None
    if not values:
        raise RequestError(f"{text} names no value")
    if schema.is_list(schema.KEYS.get(key)) and not any(isinstance(value, list) for value in values):
        lists = ",".join(f"[{written(value)}]" for value in values[:3])
        raise RequestError(
            f"{text}: {key} takes a list in each run\n"
            f"a sweep over lists of one is written {shlex.quote(f'{key}={lists}')}"
        )
    return _options(key, values, composer.known) if key in GROUPS else values


def as_typed(text: str, setting: Setting) -> str:
    """An override of one value; rewritten where a quick look at it would take the one for several."""
    return setting.text if is_sweep(text.partition("=")[2].strip()) else text


def _expanded(override: Override, text: str, key: str, known: Catalogue) -> list[Any]:
    from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, RangeSweep

    several: Any = override.value()
    if isinstance(several, IntervalSweep):
        raise RequestError(
            f"{text}: interval() is for a sampler that draws from it, and a sweep takes each value; "
            "use range(start,stop,step) or a list of values"
        )
    if isinstance(several, Glob):
        return _matching(several, text, key, known)
    values: Sequence[Any]
    if isinstance(several, RangeSweep):
        values = _range(several, text)
    else:
        assert isinstance(several, ChoiceSweep)
        values = [_unquoted(value) for value in several.list]
    if len(values) > MOST:
        raise too_many(len(values), text)
    values = list(values)
    if several.shuffle:
        random.Random(text).shuffle(values)  # the same command names the same runs
    return values


def _range(several: Any, text: str) -> Sequence[Any]:
    found = several.range()
    if isinstance(found, range):
        count = -((found.start - found.stop) // found.step)
        if count > MOST:
            raise too_many(count, text)
        return found
    if not (found.start.is_finite() and found.stop.is_finite() and found.step.is_finite() and found.step != 0):
        raise RequestError(f"{text}: a range takes finite numbers, and a step that is not 0")
    count = math.ceil((found.stop - found.start) / found.step)
    if count > MOST:
        raise too_many(count, text)
    return list(found)


def too_many(count: int, text: str) -> RequestError:
    return RequestError(f"{text} makes {count:,} runs, and a sweep has {MOST:,} at most; take fewer values")


def _matching(glob: Any, text: str, key: str, known: Catalogue) -> list[str]:
    if key not in GROUPS:
        raise RequestError(f"{text}: glob() chooses among the options of a group, and {key} is none; list its values")
    names = sorted({option.name for option in known.options(key)})
    found: list[str] = glob.filter(names)
    if not found:
        raise RequestError(f"{text} matches no option; there are {', '.join(names)}")
    return found


def _options(group: str, values: list[Any], known: Catalogue) -> list[str]:
    names = [value if isinstance(value, str) else written(value) for value in values]
    for name in names:
        if known.option(group, name) is None:
            raise known.no_option(group, name)
    return names


def _unquoted(value: Any) -> Any:
    """A parsed value without the quotes that the grammar keeps."""
    from hydra.core.override_parser.types import QuotedString

    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_unquoted(each) for each in value]
    if isinstance(value, dict):
        return {_unquoted(key): _unquoted(each) for key, each in value.items()}
    return value


def written(value: Any, *, always_quoted: bool = False) -> str:
    """A value as Hydra's grammar takes it: read back, it is the same to the bit, and of the same type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(written(each) for each in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{written(each)}' for key, each in value.items())}}}"
    if isinstance(value, str):
        return value if value and not always_quoted and _reads_back(value) else _quoted(value)
    return repr(value)


def _reads_back(text: str) -> bool:
    """Whether text means itself without quotes."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(f"key={text}")
    except (HydraException, RecursionError):
        return False
    return not override.is_sweep_override() and type(override.value()) is str and override.value() == text


def _quoted(text: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()
