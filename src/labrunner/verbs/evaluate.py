"""``labrunner evaluate RUN [dataset=…]``: the chosen epoch on the run's test split again, or on other data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.errors import RequestError, some
from labrunner.files import atomic_write, read_json, to_csv, to_json
from labrunner.helping import Catalogue, own_folders
from labrunner.loading import CHANGES, Loaded, changes_in, load
from labrunner.machine import command_line
from labrunner.own import name_of
from labrunner.records import RunFolder, load_run, resume_command
from labrunner.records.names import EVALUATION
from labrunner.verbs import tables
from labrunner.verbs.places import made as newly_made
from labrunner.verbs.places import new_place, refuse_used
from labrunner.verbs.printing import one_line, say, show

if TYPE_CHECKING:
    from labrunner.cli import Arguments
    from labrunner.data import Samples, Split
    from labrunner.trainer import Evaluation

MOST_CLASSES = 30  # of the table that is printed; per_class.csv holds all
FIXED = {  # keys of a data set that the run has settled
    "size": "the size of images",
    "channels": "the channels of images",
    "normalize": "how inputs are normalized",
    "features": "the columns that are learned from",
}
ANY_SHAPE = ("imagefolder", "fake")  # data sets whose images come in the size and channels that are asked for
MODEL = ("name", "_target_", "loss")  # keys of a model that say what its probabilities are
NO_SPLIT = ("val_fraction", "test_fraction", "split_seed", "per_class", "label_noise")


@dataclass(frozen=True)
class Folder:
    """A new folder that results are written to."""

    path: Path

    def write(self, name: str, content: bytes | str) -> None:
        atomic_write(self.path / name, content)

    def write_csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self.write(name, to_csv(header, rows))


def main(arguments: Arguments) -> int:
    if len(arguments.words) != 1:
        raise RequestError("evaluate takes one run: labrunner evaluate outputs/runs/RUN [dataset=imagefolder …]")
    changes, overrides = changes_in(arguments.overrides, also=("hydra.run.dir", "cache"), checked=(*CHANGES, "figures"))
    for override in overrides:
        key = override.partition("=")[0]
        if key != "dataset" and not key.startswith("dataset."):
            raise RequestError(
                f"{override}: evaluate changes nothing of what the run is; it takes dataset=…, dataset.root=… and so "
                "on, hydra.run.dir, cache, figures, device and threads"
            )
    of_others = [f"{key}={changes[key]}" for key in ("hydra.run.dir", "figures") if key in changes]
    folder = Path(changes.pop("hydra.run.dir")) if "hydra.run.dir" in changes else None
    if folder is not None:
        refuse_used(folder)
    cache = {"cache": None if changes["cache"] == "null" else changes["cache"]} if "cache" in changes else {}
    changes.pop("cache", None)
    loaded = load(Path(arguments.words[0]), changes, trust=arguments.trust, config_dir=arguments.config_dir, say=say)
    if loaded.preprocessing.soft:
        raise RequestError(f"the run in {loaded.run.path} has no classes that could be predicted rightly or wrongly")
    loaded = replace(loaded, config=loaded.config | cache)
    if not overrides:
        from labrunner.data import samples_of
        from labrunner.running import refuse_download

        refuse_unfinished(loaded)
        refuse_download(loaded.config)
        return own_again(loaded, samples_of(loaded.config, {}), of_others)
    options = asked_for(overrides, loaded, arguments)
    samples = samples_as(loaded, options)
    if samples.fingerprint == loaded.run.environment.get("data"):
        say("labrunner: these are the samples that the run was made with: its test split alone is read")
        refuse_unfinished(loaded)
        return own_again(loaded, samples, of_others)
    refuse_trained_on(loaded, options)
    folder = folder or new_place("evaluations")
    with drawn(folder, loaded.config["figures"]):
        return other(loaded, samples, options, folder, command_line(arguments.argv))


# the data


def asked_for(overrides: Sequence[str], loaded: Loaded, arguments: Arguments) -> dict[str, Any]:
    """The `dataset` group that is asked for, checked; without ``dataset=`` the run's own with some keys changed.

    Raises
    ------
    RequestError
        for what is no override of a data set, or would change how the run prepares its inputs.
    """
    from labrunner.compose import compose

    own = loaded.config["dataset"]
    keys = [override.partition("=")[0].removeprefix("dataset.") for override in overrides]
    for key, override in zip(keys, overrides, strict=True):
        if key in FIXED:
            raise RequestError(f"{override}: the run settles {FIXED[key]}; leave it out")
        if key in NO_SPLIT:
            raise RequestError(
                f"{override}: evaluate reads all of a data set, or its official test split; leave it out"
            )
    is_other = "dataset" in keys
    choice = own["name"] if "name" in own else loaded.run.choices.get("dataset")
    chosen = [] if is_other or choice is None else [f"dataset={choice}"]
    # what must be given for a data set is given, though the run has it
    needed = [f"dataset.path={own['path']}"] if not is_other and "path" in own and "path" not in keys else []
    composed = compose([*chosen, *needed, *overrides], Catalogue(own_folders(arguments.config_dir)))
    options = composed.config["dataset"]
    if is_other and "skip_bad" not in keys and {"skip_bad"} <= own.keys() & options.keys():
        options["skip_bad"] = own["skip_bad"]
    if not is_other:
        options = own | {key: options[key] for key in keys}
        if "root" in own and "root" not in keys:
            from labrunner.running import refuse_download

            refuse_download({**loaded.config, "dataset": options})
    return options


def samples_as(loaded: Loaded, options: dict[str, Any]) -> Samples:
    """The samples of a `dataset` group, prepared as those of the run."""
    from labrunner import data
    from labrunner.data import tables as csv_tables

    preprocessing, name = loaded.preprocessing, options.get("name")  # None of a data set of the user's own
    if preprocessing.white is None:
        if name in csv_tables.NAMES:
            return csv_tables.labelled(options, preprocessing.description(name), preprocessing.offsets)
        return preprocessing.like_own(data.load(options))
    if name not in ANY_SHAPE and data.describe({**options, "size": None}).white is None:
        other = name_of(options)
        raise RequestError(f"dataset={other} is a table, and the run in {loaded.run.path} learned from images")
    geometry = {"resize": preprocessing.resize, "interpolation": preprocessing.interpolation}
    options = {**options, **geometry, "size": preprocessing.size, "cache": loaded.config.get("cache")}
    if name in ANY_SHAPE:
        options["channels"] = preprocessing.shape[0]
    return preprocessing.like_own(data.load(options))


def refuse_trained_on(loaded: Loaded, options: dict[str, Any]) -> None:
    """Refuse other samples of the very data set that the run learned from: among them are those it was trained on."""
    aside = {*FIXED, *NO_SPLIT, "classes", "resize", "interpolation", "skip_bad", "memory"}
    own, asked = (
        {key: value for key, value in each.items() if key not in aside} for each in (loaded.config["dataset"], options)
    )
    if own == asked:
        raise RequestError(
            f"dataset={name_of(options)} is what the run learned from, and these are not the samples that it was split "
            f"from\nits own test split is read by: labrunner evaluate {tables.folder_text(loaded.run.path)}"
        )


# the run's own test split


def refuse_unfinished(loaded: Loaded) -> None:
    """Nobody is to choose when a run ends by what its test split says."""
    run = loaded.run
    if run.status != "done":
        then = f"to go on with it: {resume_command(run.path)}; other" if run.status != "diverged" else "other"
        raise RequestError(
            f"the run in {run.path} is {run.status}, and a test split is read once a run is done\n"
            f"{then} data can be evaluated with dataset=…"
        )


def own_again(loaded: Loaded, samples: Samples, of_others: Sequence[str]) -> int:
    """Read the run's test split once more, which test.json counts; returns the exit code.

    `of_others` are overrides that say how other data are evaluated.
    """
    from labrunner import data
    from labrunner.machine import arithmetic
    from labrunner.results import test_numbers
    from labrunner.resuming import refuse_other_data
    from labrunner.trainer import evaluate

    run, config = loaded.run, loaded.config
    if of_others:
        raise RequestError(f"{of_others[0]}: of a run's own test split there is nothing new to write; leave it out")
    made = data.make(config, samples, loaded.learner)
    refuse_other_data(run.environment, made)
    if made.test is None:
        raise RequestError(f"the run in {run.path} has no test split; name other data with dataset=…")
    with RunFolder.reopen(run.path) as run_folder:
        before = read_json(run.path / "test.json") or {}
        reads = before.pop("reads", 0)
        count = (reads if isinstance(reads, int) else 0) + 1
        # counted before it is read, and what the run found stays as it found it
        run_folder.rewrite("test.json", to_json(before | {"reads": count}))
        run_folder.log(f"evaluate reads the test split again, as number {count}")
        renew_page(run.path)
        with arithmetic(loaded.threads):
            evaluation = evaluate(loaded.learner, made.test, None, "test")
    numbers = test_numbers(evaluation) | {"epoch": loaded.epoch}
    tell(loaded, f"its test split, {numbers['n']:,} samples", evaluation)
    show(agreement(before, numbers))
    show(f"  the test split has now been read {count} times (test.json)")
    return 0


def renew_page(folder: Path) -> None:
    """A page that is there says how often the test split was read, and is to say so rightly."""
    if not (folder / "report.html").is_file():
        return
    from labrunner import report

    try:
        report.write(load_run(folder))
    except Exception as error:  # it may be anything: the page is made of many files, and its numbers are not at stake
        reason = " ".join(str(error).split())
        say(f"labrunner: warning: report.html still has the old count: {one_line(reason)}")


def agreement(before: dict[str, Any], now: dict[str, Any]) -> str:
    """How the numbers compare with those in test.json."""
    if not before:
        return "  the run has no test.json to compare with"
    apart = [
        abs(before[name] - value)
        for name, value in now.items()
        if isinstance(value, (int, float)) and isinstance(before.get(name), (int, float))
    ]
    if all(before.get(name) == value for name, value in now.items()):
        return "  as in test.json, to the bit"
    causes = "features that were computed once, other versions, threads or another machine"
    return f"  test.json differs by up to {max(apart, default=0.0):.1e}: {causes}"


# other data


def other(loaded: Loaded, samples: Samples, options: dict[str, Any], folder: Path, command: str) -> int:
    """Evaluate other samples and write what came out into a new folder; returns the exit code."""
    import numpy as np

    from labrunner.data import Data
    from labrunner.machine import arithmetic
    from labrunner.results import test_numbers, write_evaluation
    from labrunner.trainer import evaluate

    preprocessing = loaded.preprocessing
    official = samples.test is not None and len(samples.test) > 0
    index = np.sort(samples.test) if official and samples.test is not None else np.arange(len(samples.labels))
    split = preprocessing.split("test", samples, index, loaded.learner, loaded.config["precision"])
    which = "the official test split" if official else "all samples"
    made, writer = Data(samples, samples.description, preprocessing.normalization, split, None, split), Folder(folder)
    with newly_made(folder):
        with arithmetic(loaded.threads):
            evaluation = evaluate(loaded.learner, split, None, "evaluation")
        numbers = test_numbers(evaluation)
        write_evaluation(writer, made, evaluation)
        if samples.paths is not None:
            named = zip(split.origin.tolist(), (samples.paths[place] for place in index.tolist()), strict=True)
            writer.write_csv("files.csv", ["index", "file"], named)
        said = {
            **numbers,
            "run": str(loaded.run.path),
            "epoch": loaded.epoch,
            "dataset": {key: value for key, value in options.items() if key not in NO_SPLIT},
            "model": {key: loaded.config["model"][key] for key in MODEL if key in loaded.config["model"]},
            "samples": which,
            "data": samples.fingerprint,
            "command": command,
        }
        writer.write(EVALUATION, to_json(said))
    tell(loaded, f"{which} of dataset={name_of(options)}, {numbers['n']:,}", evaluation)
    say_missing(split, preprocessing.class_names)
    show(f"  {one_line(folder)}")
    return 0


@contextmanager
def drawn(folder: Path, which: str) -> Iterator[None]:
    """Inside, an evaluation is written into a folder; its figures are drawn then, by a process that starts now."""
    from labrunner.drawing import Drawing

    if which == "none":
        yield
        return
    with Drawing() as drawing:
        drawing.start()
        yield
        drawing.ask(folder, which)
        for message in drawing.finish():
            say(f"labrunner: warning: {message}")


def say_missing(split: Split, class_names: Sequence[str]) -> None:
    """Name the classes that the data have no sample of: their numbers are blank."""
    import numpy as np

    counts = np.bincount(split.labels, minlength=len(class_names))
    missing = [one_line(name) for name, count in zip(class_names, counts, strict=True) if count == 0]
    if missing:
        show(f"  no sample of {some(missing)}: what is not defined there is blank, and in no average")


# what is printed


def tell(loaded: Loaded, what: str, evaluation: Evaluation) -> None:
    """The numbers of all samples, and of each class."""
    from labrunner.results import test_numbers

    numbers, scores = test_numbers(evaluation), evaluation.scores
    show(f"{one_line(loaded.run.path)}, epoch {loaded.epoch}, on {what}")
    interval = f"(95% interval {numbers['accuracy_low']:.3f} to {numbers['accuracy_high']:.3f})"
    show(f"  accuracy {numbers['accuracy']:.4f}  {interval}")
    named = (f"{name} {tables.metric_text(numbers[name])}" for name in ("loss", "precision", "recall", "f1", "auroc"))
    show("  " + "  ".join(named))
    names = loaded.preprocessing.class_names
    header = ["class", "support", "precision", "recall", "f1", "auroc"]
    columns = (scores.class_precision, scores.class_recall, scores.class_f1, scores.class_auroc)
    cells = [
        [name, str(support), *(tables.BLANK if value != value else f"{value:.4f}" for value in values)]
        for name, support, *values in zip(names, scores.support.tolist(), *columns, strict=True)
    ]
    show("\n".join(tables.aligned(header, cells[:MOST_CLASSES], left=("class",))))
    if len(cells) > MOST_CLASSES:
        show(f"… and {len(cells) - MOST_CLASSES} more classes")
