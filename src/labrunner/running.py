"""One run, top to bottom: a checked config and a folder in, a finished run folder out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import __version__, board, checkpoint, combinations, own, records, remarks, schema, signals
from labrunner.errors import Interrupted, LabrunnerError, RequestError, RunError
from labrunner.files import WriteError, to_yaml
from labrunner.machine import arithmetic, bar_size, environment, threads_for
from labrunner.records import RunFolder, resume_command, undrawn
from labrunner.records.names import PREPROCESSING
from labrunner.selection import Why, chosen, finished

if TYPE_CHECKING:
    from labrunner.checks import Verdict
    from labrunner.data import Data
    from labrunner.drawing import Drawing
    from labrunner.learner import Learner
    from labrunner.preprocessing import Preprocessing
    from labrunner.trainer import Diverged, Plan, Start


@dataclass
class Shared:
    """What the runs of one process have in common."""

    samples: dict[Any, Any] = field(default_factory=dict)
    drawing: Drawing | None = None
    say: Callable[[str], None] = lambda text: None
    bars: bool = False
    alone: bool = True  # no run of a sweep, which speaks for all of its runs
    begin: Callable[[int], None] = lambda threads: None  # called when a run is set up, with the threads it will take
    said: set[str] = field(default_factory=set)  # what was said once and need not be said of each run of a sweep

    def say_once(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.say(text)


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    folder: Path
    status: str  # done or diverged
    error: str | None
    epoch: int | None  # the chosen one
    why: Why | None  # it was chosen
    epochs: int  # finished ones
    val: Mapping[str, Any] | None  # the row of the chosen epoch
    test: Mapping[str, Any] | None
    verdicts: Sequence[Verdict] = ()  # of its checks


@dataclass(frozen=True)
class Ready:
    """A run that is set up: nothing has been written yet, and what was wrong with the request has been said."""

    config: dict[str, Any]
    data: Data
    learner: Learner
    plan: Plan
    threads: int
    preprocessing: Preprocessing


def prepare(
    config: dict[str, Any],
    shared: Shared,
    threads: int | None = None,
    saved: Mapping[str, Any] | None = None,
    recorded: Preprocessing | None = None,
) -> Ready:
    """Build data and learner. Raises RequestError as long as nothing was written.

    `threads` is the count that a resumed run began with; None follows the config. `saved` is the config as its folder
    has it, which names the run; None where it is `config` itself. `recorded` is what the folder says of a run whose
    checkpoint is loaded afterwards: no other weights are read.
    """
    from labrunner import probes
    from labrunner.build import as_wanted, build
    from labrunner.preprocessing import Preprocessing
    from labrunner.schedule import make

    probes.check(config)
    with arithmetic(1):  # starting weights must not depend on the threads that the environment names
        data, learner = build(config, shared.samples, None if recorded is None else recorded.recorded())
    refuse_blank_monitor(config, data)
    from labrunner.features import training_work
    from labrunner.trainer import Plan

    asked = config["threads"]
    if asked != "auto":
        count = int(asked)
    elif threads is not None:
        count = threads
    else:
        count = threads_for(training_work(data, learner) * min(data.train.batch_size, len(data.train)))
    plan = Plan(
        epochs=schema.epochs_of(config),
        schedule=make(config["schedule"], config["optim"]["lr"], config["monitor"], data.train.batch_count),
        monitor=config["monitor"],
        select=config["select"],
        patience=config["reg"]["patience"],
        config_hash=config_hash(config if saved is None else saved),
        **config["checkpoint"],
    )
    if recorded is None:
        wanted, _, _ = as_wanted(config, {"wants": learner.wants._asdict()})
        recorded = Preprocessing.of(wanted["dataset"], data, learner)
    return Ready(config, data, learner, plan, count, recorded)


def blanks(config: Mapping[str, Any], data: Data) -> list[str]:
    """Why columns of metrics.csv, or files, will stay empty."""
    reasons = []
    if data.train.is_weighted:
        reasons.append(
            "train_accuracy is blank: training targets are mixtures of classes, which have no hit and no miss"
        )
    if data.val is None:
        reasons.append("val_* is blank: there is no validation split")
    if data.test is None:
        reasons.append("no test.json, predictions.csv, per_class.csv and confusion.csv: there is no test split")
    return reasons


def refuse_blank_monitor(config: dict[str, Any], data: Data) -> None:
    """Early stopping, or a plateau, that watches an empty column would wait for ever."""
    monitor, who = config["monitor"], combinations.watcher(config)
    blank = (monitor.startswith("val_") and data.val is None) or (
        monitor == "train_accuracy" and data.train.is_weighted
    )
    if who is None or not blank:
        return
    if monitor == "train_accuracy":
        raise RequestError(
            f"{who} watches train_accuracy, which is blank while targets are mixed; try monitor=train_loss"
        )
    raise RequestError(
        f"{who} watches {monitor}, and dataset={data.description.name} is left no validation "
        "sample; try a larger dataset.val_fraction, or monitor=train_loss"
    )


def run(
    config: dict[str, Any],
    folder: Path,
    shared: Shared,
    *,
    overrides: Sequence[str] = (),
    choices: Mapping[str, str] | None = None,
    command: str = "",
) -> Result:
    """Carry out one run in a new folder.

    Parameters
    ----------
    config : composed and checked, as plain dicts
    folder : new or empty
    shared : what runs of this process share
    overrides, choices : what was typed and which options it chose, for the record
    command : the command line, for the record

    Returns
    -------
    Result, also of a run that diverged.

    Raises
    ------
    RequestError
        when the request cannot be carried out; nothing has been written.
    Interrupted
        when a signal asked to stop; the run can be resumed.
    RunError
        when it failed on the way; the folder's status and log say why.
    """
    from labrunner.trainer import Start

    board.refuse_missing(config)
    ready = prepare(config, shared)
    shared.begin(ready.threads)
    run_folder = RunFolder.create(folder)
    with (
        signals.deferred() as stop,
        kept(run_folder, stop),
        arithmetic(ready.threads),
        watched(ready, shared, run_folder, stop),
    ):
        run_folder.write("overrides.yaml", to_yaml({"overrides": list(overrides), "choices": dict(choices or {})}))
        around = environment(ready.threads, command, own_files(config))
        run_folder.write_json("environment.json", around | {"data": ready.data.samples.fingerprint})
        run_folder.write("config.yaml", to_yaml(config))  # from here on it can be resumed
        run_folder.status("running")
        run_folder.log(f"labrunner {__version__} begins: {command or 'from Python'}")
        record_start(ready, run_folder)
        for remark in remarks.all_of(ready.config, ready.data, ready.learner, ready.plan.epochs):
            run_folder.log(remark)
            shared.say_once(f"labrunner: {remark}")
        for reason in (*ready.data.remarks, *blanks(config, ready.data)):
            run_folder.log(reason)
        result = carry_out(ready, run_folder, shared, Start(), stop)
    return unless_stopped(result, stop)


def own_files(config: Mapping[str, Any]) -> list[Path]:
    """The files of the user's own code, as far as they are imported by now: a resume compares them."""
    return own.files_of(own.targets(config).values())


def refuse_download(config: Mapping[str, Any]) -> None:
    """A plan downloads nothing, nor does a resume: where a saved config would have it put may be a stranger's word."""
    from labrunner.data import downloads, remote

    options = config["dataset"]
    if absent := remote.absent(options):
        raise RequestError(
            f"dataset={options['name']}: {absent[0].path} is missing\nto get it: {downloads.command(options)}"
        )


def unless_stopped(result: Result, stop: signals.Stop) -> Result:
    """A signal that came too late to cut a run still ends the command."""
    if stop.signum is not None:
        said = undrawn(result.folder) if result.status == "done" else result.error
        raise Interrupted(stop.signum, said or "")
    return result


def record_start(ready: Ready, run_folder: RunFolder) -> None:
    """What is known before the first batch, of a learner that still is as it was built."""
    run_folder.write_json(PREPROCESSING, ready.preprocessing.recorded())
    run_folder.write("summary.txt", ready.learner.summary() + "\n")
    hashes = {name: checkpoint.tensor_hash(name, array) for name, array in sorted(ready.learner.weights().items())}
    run_folder.write_json("initial.json", hashes)
    run_folder.record_start(ready.learner.start_epoch(0))


def carry_out(ready: Ready, run_folder: RunFolder, shared: Shared, start: Start, stop: signals.Stop) -> Result:
    """Fit, choose, test, record: what a new run and a resumed one have in common."""
    from labrunner import probes
    from labrunner.audit import Audit
    from labrunner.features import compute
    from labrunner.results import read_test, write_facts
    from labrunner.trainer import Diverged, StopRequested, fit

    config, data, learner, plan = ready.config, ready.data, ready.learner, ready.plan
    left = plan.epochs - len(start.rows)
    try:
        if left and shared.alone:
            announce(shared, *expected(ready, left), left)
        if left:
            compute(data)
    except StopRequested as request:
        raise Interrupted(request.signum) from None
    board.follow(run_folder, config)
    audit = Audit(run_folder)
    watching = [*probes.make(config["probes"], run_folder, config), audit]
    with progress(shared, plan.epochs, len(start.rows)) as bar:
        try:
            rows = fit(learner, data, plan, run_folder, start=start, probes=watching, stop=stop, bar=bar)
            run_folder.flush()
        except Diverged as error:
            run_folder.flush()
            message = f"{error}; {way_out(error, config['optim']['lr'])}"
            run_folder.log(message)
            epochs = len(finished(records.read_rows(run_folder.path / "metrics.csv")))
            audit.ended(learner, epochs + 1)
            run_folder.status("diverged", message)
            verdicts = write_facts(run_folder, config, data, learner, epochs, None, watching)
            run_folder.seal()
            finish_drawing(run_folder, shared, config)
            return Result(run_folder.path, "diverged", message, None, None, epochs, None, None, verdicts)
    choice = chosen(rows, plan.monitor, plan.select)
    assert choice is not None
    epoch = choice.epoch
    audit.ended(learner, len(rows))
    load_epoch(ready, run_folder, epoch)
    audit.chosen(learner, epoch)
    try:
        test = read_test(run_folder, data, learner, epoch, stop)
    except StopRequested as request:
        raise Interrupted(request.signum) from None
    for probe in watching:
        probe.end(learner, data, epoch)
    verdicts = write_facts(run_folder, config, data, learner, len(rows), epoch, watching)
    run_folder.seal()
    run_folder.status("done")
    run_folder.log(f"done: epoch {epoch} of {len(rows)} chosen ({choice.why} {plan.monitor})")
    finish_drawing(run_folder, shared, config)
    return Result(run_folder.path, "done", None, epoch, choice.why, len(rows), rows[epoch - 1], test, verdicts)


def way_out(error: Diverged, lr: float) -> str:
    """What to try after a divergence."""
    if error.at_once:
        return "no learning rate mends that; look at the inputs, the weights that it begins with, and its scores"
    return f"a smaller optim.lr (it is {lr}) usually helps"


def load_epoch(ready: Ready, run_folder: RunFolder, epoch: int) -> None:
    """The weights of the chosen epoch, from its checkpoint."""
    path = run_folder.path / "checkpoints" / checkpoint.Position(epoch).file_name
    try:
        state, _ = checkpoint.read(path, ready.plan.config_hash)
        ready.learner.load(state)
    except (checkpoint.DamagedCheckpoint, ValueError) as error:
        raise RunError(f"the checkpoint of the chosen epoch, {path}, cannot be used: {error}") from None


# around the run


@contextmanager
def kept(run_folder: RunFolder, stop: signals.Stop) -> Iterator[None]:
    """Whatever happens inside, the folder's status says so and its lock is released.

    A failure ends the command as a signal does that came at the same time, or the next run of a sweep would begin.
    """
    try:
        yield
    except Interrupted as interrupted:
        with suppress(WriteError):  # a full disk takes nothing away from how the command ends
            run_folder.status("interrupted", f"signal {interrupted.signum}")
            run_folder.log(f"interrupted by signal {interrupted.signum}")
        how = f"interrupted; to go on: {resume_command(run_folder.path)}"
        raise Interrupted(interrupted.signum, how) from None
    except LabrunnerError as error:
        message = failed(run_folder, error, str(error))
        if isinstance(error, WriteError) and (run_folder.path / "config.yaml").is_file():
            error = WriteError(f"{message}; once there is room: {resume_command(run_folder.path)}")
        elif type(error) is RunError and "\n" not in message and f"{run_folder.path}/" not in message:
            error = RunError(f"{message}\nthe run failed; its log: {run_folder.path / 'log.txt'}")
        if stop.signum is not None:
            raise Interrupted(stop.signum, str(error)) from error
        raise error
    except (Exception, SystemExit) as error:  # a model of the user's may call sys.exit()
        message = failed(run_folder, error, own.failure(error))
        message += f"\nthe run failed; its traceback is in {run_folder.path / 'log.txt'}"
        if stop.signum is not None:
            raise Interrupted(stop.signum, message) from error
        raise RunError(message) from error
    finally:
        run_folder.close()


def failed(run_folder: RunFolder, error: BaseException, message: str) -> str:
    """Record a failure as far as the disk allows; returns the message."""
    with suppress(WriteError):  # a full disk may be what is being reported
        run_folder.report_error(error)
        run_folder.status("failed", message)
    return message


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of what the config makes the run compute."""
    counted = schema.without(config, schema.OUTSIDE_HASH)
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def expected(ready: Ready, epochs: int) -> tuple[float, float]:
    """Seconds that `epochs` will take, and those before them, of features that have to be computed."""
    from labrunner.features import ahead, rehearsed
    from labrunner.trainer import estimate

    return estimate(ready.learner, rehearsed(ready.data), epochs), ahead(ready.data).seconds


def announce(shared: Shared, seconds: float, before: float, epochs: int) -> None:
    """One line before a run that takes over a minute."""
    if before + seconds > 60.0:
        features = f"{duration(before)} for the features of the backbone, " if before > 0.0 else ""
        each = f"{epochs} epochs of {duration(seconds / max(1, epochs))}"
        shared.say(f"labrunner: this will take about {duration(before + seconds)}: {features}{each}")


@contextmanager
def watched(
    ready: Ready, shared: Shared, run_folder: RunFolder | None = None, stop: signals.Stop | None = None
) -> Iterator[None]:
    """Inside, features that are computed are told of on screen and in the log, and give way to a signal."""
    from labrunner import features
    from labrunner.trainer import heed

    log = (lambda text: None) if run_folder is None else run_folder.log

    def say(text: str) -> None:
        shared.say_once(f"labrunner: {text}")

    with features.watched(ready.data, features.Watch(log, partial(counting, shared), partial(heed, stop), say)):
        yield


@contextmanager
def counting(shared: Shared, total: int) -> Iterator[Callable[[int], object]]:
    """tqdm's bar of samples that go through a backbone, on a terminal."""
    if not shared.bars:
        yield lambda more: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="features of the backbone", unit="sample", leave=False, **bar_size()) as bar:
        yield bar.update


def duration(seconds: float) -> str:
    if seconds < 90.0:
        return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.1f} s"
    minutes = seconds / 60.0
    return f"{minutes:.0f} min" if minutes < 90.0 else f"{minutes / 60.0:.1f} h"


@contextmanager
def progress(shared: Shared, epochs: int, done: int) -> Iterator[Any]:
    """tqdm's bar on a terminal; silence elsewhere."""
    from labrunner.trainer import silent

    if not shared.bars:
        yield silent
        return
    from tqdm import tqdm

    with tqdm(total=epochs, initial=done, unit="epoch", leave=False, mininterval=0.2, **bar_size()) as bar:

        def show(epoch: int, batch: int, loss: float, row: records.Row | None) -> None:
            accuracy = row and row["val_accuracy"]
            said = f"loss {loss:.4f}" + (f"  val accuracy {accuracy:.4f}" if accuracy is not None else "")
            bar.set_postfix_str(said, refresh=row is None)
            if row is not None:
                bar.update(epoch - bar.n)

        yield show


def finish_drawing(run_folder: RunFolder, shared: Shared, config: Mapping[str, Any]) -> None:
    """Ask for the figures; they are drawn in a process of their own, from the files."""
    if shared.drawing is not None:
        shared.drawing.ask(run_folder.path, config["figures"])
