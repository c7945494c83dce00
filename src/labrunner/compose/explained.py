"""What Hydra and OmegaConf raise, in one to three lines of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from labrunner import schema
from labrunner.compose.names import refuse_key, split_prefix
from labrunner.errors import RequestError
from labrunner.helping import GROUPS, Catalogue, nearest


@contextmanager
def explained(typed: Sequence[str], known: Catalogue) -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise into one to three lines of ours."""
    import yaml
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except OverrideParseException as error:
        raise RequestError(
            f"cannot read {error.override}: its value is not in Hydra's override grammar\n{_quoted(error.override)}"
        ) from None
    except MissingConfigException as error:
        raise _missing(error, known) from None
    except yaml.YAMLError as error:
        raise _yaml_error(error, known) from None
    except UnicodeDecodeError:
        raise _undecodable(known) from None
    except RecursionError:
        raise RequestError("the config cannot be composed: it is nested too deeply") from None
    except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
        raise _refused(error, typed, known) from None


def _quoted(override: str) -> str:
    key, _, value = (override or "").partition("=")
    if value.startswith("["):
        return f"a list is written '{key}=[1,2]'; text in it with spaces or signs needs quotes: '{key}=[\"a (b)\",c]'"
    return f"text with brackets, commas or equal signs needs quotes inside quotes: '{key}=\"{value}\"'"


def _missing(error: Any, known: Catalogue) -> RequestError:
    group, _, name = str(error.missing_cfg_file or "").partition("/")
    names = [option.name for option in known.options(group)] if group in GROUPS else []
    if not names:
        return RequestError(str(error).splitlines()[0])
    close = nearest(name, names)
    hint = f"did you mean {close}? " if close else ""  # as it stands in a defaults list, without its group
    return RequestError(f"there is no {group}={name}\n{hint}there are {', '.join(names)}")


def _yaml_error(error: Any, known: Catalogue) -> RequestError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:
        return RequestError(f"a YAML file cannot be read: {problem}")
    return RequestError(f"{mark.name}:{mark.line + 1}:{mark.column + 1}: {problem}")


def _undecodable(known: Catalogue) -> RequestError:
    for option in (option for group in GROUPS for option in known.options(group)):
        try:
            option.path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            return RequestError(f"{option.path} is not in utf-8 (byte {error.start}); save it in that encoding")
    return RequestError("a YAML file is not in utf-8")


def _refused(error: BaseException, typed: Sequence[str], known: Catalogue) -> RequestError:
    cause = error.__cause__ if error.__cause__ is not None else error
    said = re.search(r"Could not override '([^']+)'", str(error))
    key = said[1] if said else str(getattr(cause, "full_key", None) or "")
    text = next((text for text in typed if key and split_prefix(text)[1].partition("=")[0] == key), None)
    if text is not None and said:
        owners = ", ".join(f"{option.group}={option.name}" for option, _ in known.owners(key))
        if owners:
            return RequestError(f"the chosen {key.partition('.')[0]} has no key {key}; it belongs to {owners}")
        refuse_key(key, known)
    place = re.search(r"In '([^']+)'", str(error))
    if text is None and said and place and key not in GROUPS:
        if "@experiment." in key:
            return RequestError(f"{place[1]}.yaml: its first line must be '# @package _global_'")
        close = nearest(key, GROUPS)
        hint = f"; did you mean {close}?" if close else f"; there are {', '.join(GROUPS)}"
        return RequestError(f"{place[1]}.yaml overrides {key}, and there is no such group{hint}")
    if text is not None:
        kind = schema.KEYS.get(key)
        takes = f": it takes {schema.describe(kind)}" if kind is not None and "${" not in text else ""
        return RequestError(f"{text}{takes or f': {str(cause).splitlines()[0]}'}")
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return RequestError(f"the config cannot be composed: {f'{key}: ' if key else ''}{first}")
