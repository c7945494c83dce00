"""A folder with all the files that experiments need, for a room without a network.

Files lie in it as a run looks for them from the current folder: ``data/`` is where data sets are read from, and
``weights/`` where torchvision's weights are looked for first. So ``cd FOLDER`` is all there is to do.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labrunner import servers
from labrunner.compose import SweepPlan, request
from labrunner.compose.composing import key_of
from labrunner.course.room import DATA, WEIGHTS, Bundle, Item
from labrunner.data import downloads, remote
from labrunner.errors import RequestError, RunError
from labrunner.helping import Catalogue
from labrunner.own import targets
from labrunner.records.sealing import digest

OWN_FILES = {"csv": "path", "imagefolder": "root"}  # data sets of the user's own files -> the key that names them


@dataclass(frozen=True)
class Asked:
    """One thing that is to work without a network."""

    name: str  # as one would say it: experiment=metrics
    command: str  # what does it
    configs: Sequence[Mapping[str, Any]]
    means_weights: bool = False  # whether a torchvision model stands for its weights, as for `fetch`


# what is asked for


def asked(overrides: Sequence[str], known: Catalogue) -> list[Asked]:
    """Each experiment by itself; data sets and models in every combination of the values that are given.

    A key may be given several times, or with several values: ``dataset=mnist,cifar10``.

    Raises
    ------
    RequestError
        for whatever is wrong with one of them.
    """
    experiments = [name for text in overrides if key_of(text) == "experiment" for name in _values(text)]
    found = [_composed(f"experiment={name}", [f"experiment={name}"], known) for name in dict.fromkeys(experiments)]
    others = _merged([text for text in overrides if key_of(text) != "experiment"])
    if others:
        name = " ".join(others)
        found.append(_composed(name, others, known, means_weights=True))
    return found


def _values(text: str) -> list[str]:
    names = [name.strip() for name in text.partition("=")[2].strip("[]").split(",")]
    if not all(names):
        raise RequestError(f"{text} names no experiment; labrunner labs shows those of the course")
    return names


def _merged(overrides: Iterable[str]) -> list[str]:
    """Keys that are given several times, with all their values at once."""
    found: dict[str, list[str]] = {}
    for text in overrides:
        found.setdefault(key_of(text), []).append(text.partition("=")[2])
    return [f"{key}={','.join(dict.fromkeys(values))}" for key, values in found.items()]


def _composed(name: str, overrides: Sequence[str], known: Catalogue, *, means_weights: bool = False) -> Asked:
    is_several = any(_is_several(text) for text in overrides)
    made = request(overrides, known, multirun=is_several)
    command = shlex.join(["labrunner", *(["-m"] if is_several else []), *overrides])
    return Asked(name, command, list(configs_of(made)), means_weights)


def _is_several(text: str) -> bool:
    from labrunner.compose.names import is_sweep

    return is_sweep(text.partition("=")[2].strip())


def of_manifest(path: Path, known: Catalogue) -> list[Asked]:
    """All experiments of a lecturer's manifest. Raises RequestError as `labrunner.course.manifest.read` does."""
    from labrunner.course import manifest, wanted

    read, lines = manifest.read(path)
    found = []
    for each in wanted.composed(read, lines, known):
        sweep = [f"{key}={wanted.several(values)}" for key, values in each.experiment.sweep.items()]
        command = shlex.join(["labrunner", *(["-m"] if sweep else []), *each.experiment.overrides, *sweep])
        configs = configs_of(each.plan) if each.plan is not None else (run.config for run in each.runs if run.config)
        found.append(Asked(each.name, command, list(configs)))
    return found


class _Any(dict[str, float]):
    """Facts of a run that has not been made: what takes a value from one needs no other files for that."""

    def get(self, name: str, default: Any = None) -> Any:
        return 1.0


def configs_of(made: Any) -> Iterator[Mapping[str, Any]]:
    """The configs of a run, or of all runs of a sweep, also of those that wait for the first."""
    if not isinstance(made, SweepPlan):
        yield made.config
        return
    try:
        plan = made.settled(_Any(), Path("first"))
    except RequestError:  # no run takes such a value: those that are known say enough
        plan = made
    yield from (run.composed.config for run in plan.runs if run.composed is not None)


@dataclass(frozen=True)
class Needed:
    """Files that runs read: of a data set, by its options, or of an architecture."""

    datasets: Mapping[str, dict[str, Any]]  # name in the list -> `dataset` group
    own: Mapping[str, Path]  # where it belongs in the bundle -> file or folder of the user's own
    archs: Sequence[str]
    ready: Sequence[str]  # data sets that labrunner brings along


def needed(requests: Sequence[Asked], options_of: Sequence[Path] = ()) -> Needed:
    """What some requests need beside labrunner itself; `options_of` are the user's own folders of options."""
    datasets: dict[str, dict[str, Any]] = {}
    own: dict[str, Path] = {
        f"conf/{file.relative_to(folder).as_posix()}": file
        for folder in reversed(options_of)  # of two options of a name that of the first is meant
        for file in sorted(folder.rglob("*.yaml"))
    }
    archs: dict[str, None] = {}
    ready: dict[str, None] = {}
    for each in requests:
        for config in each.configs:
            options = config["dataset"]
            name = str(options.get("name", options.get("_target_")))
            if name in remote.NAMES:
                subset = f" dataset.subset={options['subset']}" if "subset" in options else ""
                datasets[f"dataset={name}{subset}"] = dict(options)
            elif (source := own_files(options)) is not None:
                own[_place_of(source)] = source
            elif "_target_" not in options:
                ready[name] = None
            own |= {source.as_posix(): source for source in _modules(config)}
            archs |= dict.fromkeys(_architectures(config["model"], each.means_weights))
    return Needed(datasets, own, list(archs), list(ready))


def own_files(options: Mapping[str, Any]) -> Path | None:
    """The file or folder of the user's own that a data set is read from, if it is."""
    key = OWN_FILES.get(options.get("name", ""))
    return Path(options[key]).expanduser() if key is not None and options.get(key) is not None else None


def _modules(config: Mapping[str, Any]) -> Iterator[Path]:
    """The files below the current folder that the user's own code is imported from."""
    for target in targets(config).values():
        name = target.partition(".")[0]
        yield from (source for source in (Path(f"{name}.py"), *sorted(Path(name).rglob("*.py"))) if source.is_file())


def _place_of(source: Path) -> str:
    """Where a file of the user's own belongs: the same place if that is below the current folder, else in data/."""
    inside = not source.is_absolute() and ".." not in source.parts
    return source.as_posix() if inside else f"{DATA}/{source.name}"


def _architectures(model: Mapping[str, Any], means_weights: bool) -> list[str]:
    """The architectures whose published weights a model may start from."""
    from labrunner.schema import TORCHVISION

    weights = model.get("weights", "none")
    wants = "imagenet" in (weights if isinstance(weights, list) else [weights])
    is_torchvisions = "_target_" not in model and model["name"] in TORCHVISION
    if not wants and not (means_weights and is_torchvisions and weights == "none"):
        return []
    from labrunner.deep import pretrained

    return [pretrained.architecture(model)]


# making


def fill(
    bundle: Bundle, requests: Sequence[Asked], say: Callable[[str], None], options_of: Sequence[Path] = ()
) -> Needed:
    """Put into a bundle what some requests need: downloaded as `fetch` does, or copied from where it is.

    What came whole is kept and listed, so that the same command goes on after a download that failed.

    Raises
    ------
    RequestError
        when something of the user's own is missing, or something is damaged.
    RunError
        when something cannot be downloaded.
    """
    wanted = needed(requests, options_of)
    folder = bundle.folder
    for source in wanted.own.values():
        if not source.exists():
            raise RequestError(f"{source} is not there, and it is no data set that could be downloaded")
    try:
        with downloads.cleared([folder / DATA, folder / WEIGHTS]):
            _fill(bundle, wanted, say)
            folder.mkdir(parents=True, exist_ok=True)
    except servers.NotDownloaded as error:
        kept = f"what came before is kept in {folder}; " if bundle.items else ""
        said = str(error).splitlines()[0]
        raise RunError(f"{said}\n{kept}where there is a network, the same command goes on") from error
    bundle.commands |= {each.name: each.command for each in requests}
    bundle.write()
    return wanted


def _fill(bundle: Bundle, wanted: Needed, say: Callable[[str], None]) -> None:
    folder = bundle.folder
    for place, source in wanted.own.items():
        _copy(source, folder / place)
        _add(bundle, place, _below(folder, [folder / place]))
    for name, options in wanted.datasets.items():
        _add(bundle, name, _dataset(folder, options, say))
    for arch in wanted.archs:
        from labrunner.deep import published

        _add(bundle, f"weights of {published.called(arch)}", _weights(folder, arch, say))


def _add(bundle: Bundle, name: str, files: list[str]) -> None:
    """List what has come, with its checksums."""
    bundle.items[name] = Item(name, files, sum((bundle.folder / file).stat().st_size for file in files))
    bundle.sums |= {file: digest(bundle.folder / file) for file in files}
    bundle.write()


def _dataset(folder: Path, options: dict[str, Any], say: Callable[[str], None]) -> list[str]:
    """The files of a data set that comes from a server, whole and checked."""
    inside = {**options, "root": str(folder / DATA)}
    if remote.absent(inside) and not remote.absent(options):
        say(f"dataset={options['name']}: copying from {options['root']}")
        for there, here in zip(remote.files(options), remote.files(inside), strict=True):
            if not here.is_there:
                _copy(there.path, here.path)
    remote.fetch(inside, say)
    paths = [file.path for file in remote.files(inside)]
    for archive in {path for file in remote.files(inside) for path in file.packed} - set(paths):
        archive.unlink(missing_ok=True)  # what it held is there, and a room needs it once
    return _below(folder, paths)


def _weights(folder: Path, arch: str, say: Callable[[str], None]) -> list[str]:
    """The published weights of an architecture."""
    from labrunner.deep import published

    published.fetch(arch, say)
    source = published.file_of(arch).path
    place = folder / published.BUNDLED / source.name
    if not place.is_file() or digest(place) != digest(source):
        _copy(source, place)
    return _below(folder, [place])


def _copy(source: Path, place: Path) -> None:
    """Copy a file or a folder, whole or not at all."""
    if place.exists() and place.samefile(source):
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}-copying")
    try:
        if source.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
            shutil.copytree(source, beside)
            if place.exists():
                shutil.rmtree(place)
        else:
            shutil.copyfile(source, beside)
        os.replace(beside, place)
    except OSError as error:
        raise RequestError(f"cannot copy {source} to {place}: {error.strerror or error}") from None
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        else:
            beside.unlink(missing_ok=True)


def _below(folder: Path, paths: Iterable[Path]) -> list[str]:
    """All files at some places, as seen from the bundle."""
    found: dict[str, None] = {}
    for path in paths:
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file():
                found[each.relative_to(folder).as_posix()] = None
    return list(found)
