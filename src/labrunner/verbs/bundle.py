"""``labrunner bundle FOLDER experiment=…``: a folder with data and weights for a room without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labrunner.errors import RequestError, some
from labrunner.files import expanded
from labrunner.helping import Catalogue, own_folders
from labrunner.verbs.printing import complain, one_line, say, show

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.course.room import Bundle

MOST_WRONG = 5  # damaged files that are told one by one


def main(arguments: Arguments) -> int:
    """Make a bundle, or add to it; without anything that is asked for look whether it is whole (1 if it is not)."""
    if len(arguments.words) != 1:
        raise RequestError("bundle takes one folder: labrunner bundle room experiment=metrics dataset=cifar10")
    folder = expanded(arguments.words[0])
    from labrunner.course import bundling, room

    bundle = room.opened(folder)
    manifests = [text.partition("=")[2] for text in arguments.overrides if text.startswith("manifest=")]
    overrides = [text for text in arguments.overrides if not text.startswith("manifest=")]
    if not arguments.overrides:
        if not (folder / room.LIST).is_file():
            raise RequestError(
                f"there is no bundle {folder}\n"
                f"to make one: labrunner bundle {folder} experiment=metrics, dataset=cifar10, or manifest=FILE"
            )
        return look_at(bundle)
    for override in overrides:
        if override.startswith(("hydra.", "~")):
            raise RequestError(f"{override}: bundle takes experiment=…, manifest=FILE, and keys of data and models")
    options_of = own_folders(arguments.config_dir)
    known = Catalogue(options_of)
    requests = bundling.asked(overrides, known)
    for path in manifests:
        requests += bundling.of_manifest(expanded(path), known)
    wanted = bundling.fill(bundle, requests, say, options_of)
    for name in wanted.ready:
        show(f"dataset={one_line(name)}: nothing needs to be copied, it comes with labrunner")
    print_bundle(bundle)
    return 0


def print_bundle(bundle: Bundle) -> None:
    from labrunner.course.room import README, size

    for item in bundle.items.values():
        show(f"{one_line(item.name)}: {counted(len(item.files))}, {size(item.bytes)}")
    what = f"{size(bundle.bytes)} in all" if bundle.items else "no files are needed"
    show(f"{one_line(bundle.folder)}: {what}; {README} in it says how to use it")


def look_at(bundle: Bundle) -> int:
    """Whether a bundle still is what was put in, then what that is; returns the exit code."""
    from labrunner.course.room import damage, strays

    wrong = [f"{one_line(file)} {what}" for file, what in damage(bundle).items()]
    if wrong:
        again = "what is missing or damaged comes again by the command that made it, once the damaged files are deleted"
        complain(f"{some(wrong, MOST_WRONG, '; ')}\n{again}")
    elif bundle.sums:
        are = "is as it was" if len(bundle.sums) == 1 else "are as they were"
        show(f"{one_line(bundle.folder)} is whole: {counted(len(bundle.sums))} {are} put in")
    print_bundle(bundle)
    if beside := list(map(one_line, strays(bundle))):
        show(f"note: not put in by bundle, and not looked at: {some(beside, MOST_WRONG)}")
    return 1 if wrong else 0


def counted(files: int) -> str:
    return f"{files} file{'' if files == 1 else 's'}"
