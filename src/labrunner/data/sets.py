"""The data sets by name: what they are, and how they are read.

`describe` tells shape and class names without reading samples, so that a combination that cannot work is refused before
any work starts; `load` reads. Counts and labels that a description states are compared with what was read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from labrunner.data import embedded, folders, own, photographs, tables, toys, vision
from labrunner.data.samples import Description, Samples, choose_classes, resize
from labrunner.errors import RequestError

# a composed `dataset` group; and, in no YAML, what the weights want (resize, interpolation), the config's cache, and
# whether image files are listed and not read
Options = dict[str, Any]


class Source(NamedTuple):
    """Where a data set comes from."""

    describe: Callable[[Options], Description]
    load: Callable[[Options], Samples]


SOURCES = {
    name: Source(source.describe, source.load)
    for source in (embedded, toys, tables, vision, folders, photographs)
    for name in source.NAMES
}

# keys of what becomes of the samples; they depend on all others
AFTERWARDS = ("val_fraction", "test_fraction", "split_seed", "normalize", "per_class", "label_noise")
ASIDE = ("cache",)  # keys that change no sample


def describe(options: Options) -> Description:
    """The description of a composed `dataset` group; of samples, those of the user's own tables and code are read."""
    description = _source(options).describe(options)
    if options.get("classes") is not None:
        description = description.with_classes(options["classes"])
    size = _size(options, description)
    return description if size is None else description.resized(size)


def load(options: Options) -> Samples:
    """Read the samples of a composed `dataset` group."""
    samples = _source(options).load(options)
    if options.get("classes") is not None:
        samples = choose_classes(samples, options["classes"])
    size = _size(options, samples.description)
    if size is None or samples.paths is not None:  # files were resized as they were decoded
        return samples
    return resize(samples, size, options.get("resize"), options.get("interpolation", "bilinear"))


def _size(options: Options, description: Description) -> int | None:
    """Width and height that images are to have. What a model wants of images it cannot want of a table of the user's,
    whose file need not say that it is one: that the two do not fit is said elsewhere."""
    is_wanted = own.is_own(options) and "resize" in options
    return None if is_wanted and description.white is None else options.get("size")


def identity(options: Options) -> tuple[Any, ...]:
    """What the samples of a composed `dataset` group are a function of."""
    name = options.get("name")
    left_out = {*AFTERWARDS, *ASIDE} - ({"split_seed"} if name == "fake" else set())  # which draws the images
    given = tuple((key, repr(options[key])) for key in sorted(options) if key not in left_out)
    if name == "csv":
        return (*given, tables.stamp(options["path"]))
    return (*given, folders.stamp(options)) if name in folders.NAMES else given


def _source(options: Options) -> Source:
    if own.is_own(options):
        return Source(own.describe, own.load)
    if options["name"] not in SOURCES:
        raise RequestError(f"dataset={options['name']} is not known")
    return SOURCES[options["name"]]
